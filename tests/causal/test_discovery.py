import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec import CausalGraph, PartialGraph
from sklearn_causalrec.causal.discovery import DiscoveredGraph, _assemble

pytest.importorskip("causallearn")


def collider(n=3000, seed=0, noise="normal"):
    """a -> c <- b, c -> d."""
    rng = np.random.default_rng(seed)
    draw = {"normal": rng.normal, "uniform": lambda size: rng.uniform(-2, 2, size)}
    a, b, e, f = draw[noise](size=(4, n))
    c = a + b + 0.5 * e
    return pd.DataFrame({"a": a, "b": b, "c": c, "d": c + f})


def chain(n=3000, seed=0):
    """a -> b -> c: no end is decided by independences."""
    rng = np.random.default_rng(seed)
    a, e, f = rng.normal(size=(3, n))
    return pd.DataFrame({"a": a, "b": a + e, "c": a + e + f})


TRUTH = CausalGraph("a -> c; b -> c; c -> d")


@pytest.mark.parametrize("method", ["pc", "ges", "lingam"])
def test_finds_a_graph_that_is_determined(method):
    data = collider(noise="uniform")
    graph = CausalGraph.discover(
        data, method=method, alpha=0.001, n_bootstrap=5, random_state=0
    )
    assert isinstance(graph, CausalGraph) and graph == TRUTH
    assert graph.undirected == () and "CausalGraph('a -> c" in repr(graph)
    assert graph.identify("d", "c").strategy == "adjustment"
    assert set(graph.support.columns) == {"a", "mark", "b", "support", "adjacent"}
    assert len(graph.support) == 3 and graph.support["support"].between(0, 1).all()
    assert (graph.support["support"] >= 0.6).all()


def test_open_ends_are_reported_and_must_be_decided():
    with pytest.warns(UserWarning, match="direction of 2 edges open: a --- b, b --- c"):
        graph = CausalGraph.discover(chain(), method="pc", n_bootstrap=0)
    assert graph.undirected == (("a", "---", "b"), ("b", "---", "c"))
    assert graph.directed_edges == () and "2 undecided" in repr(graph)
    for question in (
        lambda: graph.identify("c", "a"),
        lambda: graph.is_separated("a", "c"),
        lambda: graph.ancestors("c"),
        lambda: list(graph.testable_implications()),
        lambda: graph.subgraph(["a", "b"]),
    ):
        with pytest.raises(ValueError, match=r"leave these edges open.*orient"):
            question()
    with pytest.raises(ValueError, match="undecided"):
        graph.orient([("a", "b")])
    with pytest.raises(ValueError, match="not undirected"):
        graph.orient([("a", "b"), ("b", "c"), ("a", "c")])
    decided = graph.orient([("a", "b"), ("b", "c")])
    assert type(decided) is CausalGraph and decided == CausalGraph("a -> b -> c")


def test_background_knowledge_decides():
    for knowledge in (
        {"tiers": [["a"], ["b"], ["c"]]},
        {"required": [("a", "b"), ("b", "c")]},
        {"forbidden": [("b", "a"), ("c", "b")]},
    ):
        graph = CausalGraph.discover(chain(), n_bootstrap=0, **knowledge)
        assert graph == CausalGraph("a -> b -> c")
    graph = CausalGraph.discover(
        collider(noise="uniform"),
        method="lingam",
        n_bootstrap=0,
        tiers=[["a", "b"], ["c"], ["d"]],
    )
    assert graph == TRUTH


def test_fci_reports_hidden_causes():
    rng = np.random.default_rng(0)
    a, b, u, e, f = rng.normal(size=(5, 5000))
    data = pd.DataFrame({"a": a, "b": b, "c": a + u + 0.5 * e, "d": b + u + 0.5 * f})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = CausalGraph.discover(data, method="fci", n_bootstrap=0)
    assert [set(e) for e in graph.bidirected_edges] == [{"c", "d"}]
    assert {(x, y) for x, mark, y in graph.undirected} == {("a", "c"), ("b", "d")}
    assert all(mark == "o->" for _, mark, _ in graph.undirected)


def test_what_is_open_is_kept():
    with pytest.warns(UserWarning, match="to_partial"):
        graph = CausalGraph.discover(chain(), n_bootstrap=0)
    partial = graph.to_partial()
    assert partial == PartialGraph("a --- b --- c") and partial.kind == "cpdag"
    assert len(list(partial.resolutions("c", "a"))) == 2
    with warnings.catch_warnings(action="ignore"):
        graph = CausalGraph.discover(collider(), method="fci", n_bootstrap=0)
    assert graph.to_partial() == PartialGraph("a o-> c; b o-> c; c --> d")
    decided = CausalGraph.discover(collider(), n_bootstrap=0)
    assert decided.to_partial() == PartialGraph("a -> c; b -> c; c -> d", kind="cpdag")
    marks = {("a", "b"): "<->", ("c", "b"): "-->"}
    with pytest.warns(UserWarning, match="open"):
        graph = _assemble("pc", list("abc"), marks, [])
    with pytest.raises(ValueError, match="contradict themselves"):
        graph.to_partial()


def test_contradictions_are_left_open():
    marks = {("a", "b"): "-->", ("b", "c"): "-->", ("c", "a"): "-->", ("c", "d"): "<->"}
    with pytest.warns(UserWarning, match="4 edges open"):
        graph = _assemble("pc", list("abcd"), marks, [])
    assert graph.directed_edges == () and graph.bidirected_edges == ()
    assert isinstance(graph, DiscoveredGraph) and len(graph.undirected) == 4
    assert graph.support["support"].isna().all()


def test_bootstrap_is_reproducible():
    data = collider(n=200)
    runs = [
        CausalGraph.discover(data, n_bootstrap=6, random_state=3).support
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*runs)


def test_arrays_polars_and_categories():
    data = collider()
    array = CausalGraph.discover(data.to_numpy(), n_bootstrap=0)
    assert array == CausalGraph("x0 -> x2; x1 -> x2; x2 -> x3")
    assert CausalGraph.discover(pl.DataFrame(data), n_bootstrap=0) == TRUTH
    rng = np.random.default_rng(0)
    a, b = rng.integers(2, size=(2, 4000))
    c = np.where(rng.random(4000) < 0.9, a | b, rng.integers(2, size=4000))
    words = pd.DataFrame({"a": a, "b": b, "c": c}).replace({0: "no", 1: "yes"})
    assert CausalGraph.discover(words, n_bootstrap=0) == CausalGraph("a -> c; b -> c")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"method": "magic"}, "method must be one of"),
        ({}, {"test": "magic"}, "test must be"),
        ({}, {"method": "ges", "required": [("a", "b")]}, "ges takes no such"),
        ({}, {"method": "lingam", "forbidden": [("a", "b")]}, "lingam takes no such"),
        ({}, {"tiers": [["q"]]}, r"names \['q'\]"),
        ({"a": np.nan}, {}, r"missing values in \['a'\]"),
        ({"a": 1.0}, {}, r"\['a'\] do not vary"),
        ({"a": [f"{k}" for k in range(50)]}, {"test": "fisherz"}, "not numbers"),
    ],
)
def test_bad_input(change, options, message):
    data = collider(n=50).assign(**change)
    with pytest.raises(ValueError, match=message):
        CausalGraph.discover(data, n_bootstrap=0, **options)


def test_without_causal_learn_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "causallearn", None)
    with pytest.raises(ImportError, match=r"sklearn-causalrec\[discovery\]"):
        CausalGraph.discover(collider(n=50), n_bootstrap=0)


# -- falsification -------------------------------------------------------------------


def test_implications_hold_in_the_graph_and_cover_all_pairs():
    from sklearn_causalrec._testing.discrete_scm import d_separated, random_admg

    rng = np.random.default_rng(0)
    for _ in range(100):
        graph = random_admg(rng, 6, 0.4, 0.2)
        found = list(graph.testable_implications())
        for a, b, given in found:
            assert d_separated(graph, [a], [b], given)
        assert len({frozenset(c[:2]) for c in found}) == len(found)
        told = {frozenset(c[:2]) for c in found}
        for a in graph.nodes:
            for b in graph.nodes:
                if a < b and frozenset((a, b)) not in told:
                    rest = graph.ancestors([a, b]) - {a, b}
                    assert not d_separated(graph, [a], [b], rest)


def test_verma_graph_implies_no_independence_of_its_inducing_path():
    graph = CausalGraph("a -> b -> c -> d; b <-> d")
    pairs = {frozenset(c[:2]) for c in graph.testable_implications()}
    assert pairs == {frozenset("ac")}  # a and d: a Verma constraint instead


def test_falsify_rejects_the_wrong_graph_only():
    data = collider()
    right = TRUTH.falsify(data)
    assert len(right) == 3 and not right["rejected"].any()
    wrong = CausalGraph("c -> a; c -> b; c -> d").falsify(data)
    assert wrong["rejected"].any()
    worst = wrong.iloc[0]
    assert {worst["a"], worst["b"]} == {"a", "b"} and worst["given"] == {"c"}
    assert wrong["p_value"].is_monotonic_increasing
    assert CausalGraph("a -> b; a -> c; b -> c").falsify(data).empty


def test_falsify_is_calibrated():
    """Under the right graph about one run in twenty rejects anything."""
    runs = [TRUTH.falsify(collider(300, seed))["rejected"].any() for seed in range(100)]
    assert np.mean(runs) < 0.1


def test_falsify_discrete():
    rng = np.random.default_rng(0)
    a = rng.integers(3, size=5000)
    b = np.where(rng.random(5000) < 0.7, a, rng.integers(3, size=5000))
    c = np.where(rng.random(5000) < 0.7, b, rng.integers(3, size=5000))
    data = pd.DataFrame({"a": a, "b": b, "c": c})
    assert not CausalGraph("a -> b -> c").falsify(data)["rejected"].any()
    assert CausalGraph("a -> b; c").falsify(data)["rejected"].any()


def test_corrections():
    from statsmodels.stats.multitest import multipletests

    from sklearn_causalrec.causal.falsification import adjust_p_values

    p = np.random.default_rng(0).random(20) ** 3
    names = {"holm": "holm", "bonferroni": "bonferroni", "bh": "fdr_bh", "by": "fdr_by"}
    for ours, theirs in names.items():
        np.testing.assert_allclose(
            adjust_p_values(p, ours), multipletests(p, method=theirs)[1]
        )


def test_falsify_bad_input():
    data = collider(50)
    with pytest.raises(ValueError, match=r"no column for the nodes \['e'\]"):
        CausalGraph("a -> e").falsify(data)
    with pytest.raises(ValueError, match="correction must be one of"):
        TRUTH.falsify(data, correction="none")
    with pytest.raises(ValueError, match="alpha must lie"):
        TRUTH.falsify(data, alpha=5)
    with pytest.raises(TypeError, match="DataFrame"):
        TRUTH.falsify(data.to_numpy())
    assert len(TRUTH.falsify(data, max_tests=1)) == 1
