import pickle
from collections import Counter
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph, NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import (
    DiscreteSCM,
    has_hedge,
    is_hedge,
    random_admg,
)
from sklearn_causalrec._testing.graph_strategies import admgs, split

# name: (graph, outcome, treatment, given, strategy or None where not identified)
FIXTURES = {
    "bow arc": ("x -> y; x <-> y", "y", "x", (), None),
    "back-door": ("z -> x -> y; z -> y", "y", "x", (), "adjustment"),
    "front-door": ("x -> m -> y; x <-> y", "y", "x", (), "frontdoor"),
    "two mediators": (
        "x -> a -> y; x -> b -> y; x <-> y", "y", "x", (), "frontdoor",
    ),
    "napkin": ("w -> r -> x -> y; w <-> x; w <-> y", "y", "x", (), "general"),
    "M-bias": ("x -> y; m <-> x; m <-> y", "y", "x", (), "adjustment"),
    "instrument": ("z -> x -> y; x <-> y", "y", "x", (), None),
    "Verma": ("a -> b -> c -> d; b <-> d", "d", "c", (), "adjustment"),
    "Verma, first cause": ("a -> b -> c -> d; b <-> d", "d", "a", (), "adjustment"),
    "no effect": ("x <-> y; y -> x", "y", "x", (), "no-effect"),
    "adjust for 0": (
        "0 -> 1; 1 -> 3; 2 -> 3; 0 <-> 2; 0 <-> 3", "3", "1", (), "adjustment",
    ),
    "Tian 2002, p. 70": (
        "1 -> 2 -> 3 -> 4 -> 5; 1 <-> 3; 2 <-> 4; 3 <-> 5",
        "5", "1", (), "primal-fixable",
    ),
    "Tian 2002, p. 59": (
        "1 -> 2 -> 3 -> 4 -> 5; 1 <-> 5; 1 <-> 3; 2 <-> 4",
        "5", "1", (), "primal-fixable",
    ),
    # Shpitser and Pearl 2006; numbers as in their 2008 paper
    "S&P: a cause": ("x -> y", "y", "x", (), "adjustment"),
    "S&P 2b": ("x -> y; x -> z -> y; y <-> z", "y", "x", (), "adjustment"),
    "S&P 2c": ("x -> y; z -> x; z -> y; x <-> z", "y", "x", (), "adjustment"),
    "S&P 2e": ("x -> z -> y; x <-> y", "y", "x", (), "frontdoor"),
    "S&P 3a, joint": (
        "x -> y1; w1 -> x; w2 -> y2; w1 <-> w2; w1 <-> y1; w1 <-> y2; x <-> w2",
        ("y1", "y2"), "x", (), "general",
    ),
    "S&P 3a with x <-> y1": (
        "x -> y1; w1 -> x; w2 -> y2; w1 <-> w2; w1 <-> y1; w1 <-> y2; x <-> w2; "
        "x <-> y1", ("y1", "y2"), "x", (), None,
    ),
    "S&P line 6": ("x -> y; x -> z -> y; x <-> z", "y", ("x", "z"), (), "adjustment"),
    "S&P conditional": ("x -> z -> y; x <-> z", "y", "x", "z", "adjustment"),
    "S&P unconditional": ("x -> z -> y; x <-> z", "y", "x", (), None),
    "napkin, conditional": (
        "w -> r -> x -> y; w <-> x; w <-> y", "y", "x", "r", None,
    ),
    # From the documentation of the R package of Tikka and Karvanen 2017
    "T&K back-door": ("x -> y; z -> x; z -> y; x <-> z", "y", "x", (), "adjustment"),
    "T&K pruning 1": (
        "w1 -> w2 -> x; w1 -> x; z2 -> x -> z1; z2 -> z1; z2 -> z3; z4 -> z1; "
        "z1 -> y; z3 -> y; w1 <-> w2; w1 <-> x; w2 <-> x; z4 <-> z1; x <-> y; "
        "z2 <-> y; x <-> z3; x <-> z2", "y", "x", (), "primal-fixable",
    ),
    "T&K pruning 2": (
        "w1 -> x1 -> y1; w2 -> w1; w2 -> x2 -> z; z -> y2; z -> y1; w1 <-> w2; "
        "w1 <-> x1; w2 <-> x2; x1 <-> z; x2 <-> y2; x1 <-> x2",
        ("y1", "y2"), ("x1", "x2"), (), "general",
    ),
    "T&K pruning 3": (
        "x -> y; z1 -> x; w1 -> z2 -> z1; w1 -> w2 -> z2; x <-> z2; z2 <-> y; "
        "w1 <-> w2; w2 <-> z2", "y", "x", (), "general",
    ),
    "T&K pruning 4": (
        "x -> z1 -> y; z3 -> y; z2 -> x; z2 -> z1; z2 -> z3; x <-> y; x <-> z3; "
        "x <-> z2; y <-> z2", "y", "x", (), "primal-fixable",
    ),
    "T&K pruning 5": (
        "x -> z4 -> y; z2 -> z1 -> x; z3 -> z2; z3 -> x; z5 -> z1; z5 -> z4; "
        "x <-> z2; z3 <-> z2; z2 <-> y; z4 <-> y; z5 <-> z4", "y", "x", (), "general",
    ),
}  # fmt: skip


def assert_exact(graph, outcome, treatment, conditions, rng, estimand=None, **model):
    """`evaluate` against the truth, at every value of the treatments."""
    estimand = estimand or graph.identify(outcome, treatment, conditions)
    scm = DiscreteSCM(graph, rng, **model)
    size = dict(zip(scm.names, scm.shape))
    truth = scm.effect(outcome, treatment, conditions)
    table = scm.table()
    for do in product(*(range(size[v]) for v in treatment)):
        found = estimand.evaluate(table, dict(zip(treatment, do)))
        assert list(found.index.names) == [*outcome, *conditions]
        shape = [size[v] for v in (*outcome, *conditions)]
        found = found.to_numpy().reshape(shape)
        found = np.moveaxis(found, range(len(outcome)), range(-len(outcome), 0))
        np.testing.assert_allclose(found, truth[do], rtol=0, atol=1e-9)


def names(value):
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("name", FIXTURES)
def test_known_graphs(name):
    text, outcome, treatment, conditions, strategy = FIXTURES[name]
    graph = CausalGraph(text)
    y, x, z = names(outcome), names(treatment), names(conditions)
    if strategy is None:
        with pytest.raises(NotIdentifiableError) as caught:
            graph.identify(outcome, treatment, conditions)
        assert is_hedge(graph, *caught.value.effective, *caught.value.hedge)
        return
    estimand = graph.identify(outcome, treatment, conditions)
    assert estimand.strategy == strategy
    for seed in range(3):
        rng = np.random.default_rng(seed)
        three = {v: 3 for v in graph.nodes[:2]}
        assert_exact(graph, y, x, z, rng, states=three)


def test_bow_arc_hedge():
    with pytest.raises(NotIdentifiableError) as caught:
        CausalGraph("x -> y; x <-> y").identify("y", "x")
    assert caught.value.hedge == (frozenset("xy"), frozenset("y"))


def test_napkin_is_not_the_regression():
    graph = CausalGraph("w -> r -> x -> y; w <-> x; w <-> y")
    estimand, gaps = graph.identify("y", "x"), []
    for seed in range(20):
        scm = DiscreteSCM(graph, np.random.default_rng(seed), floor=0.1)
        table = scm.table()
        found = estimand.evaluate(table, {"x": 1})
        np.testing.assert_allclose(found, scm.effect(["y"], ["x"])[1], atol=1e-12)
        naive = table.xs(1, level="x").groupby("y").sum()
        gaps.append(np.abs(found - naive / naive.sum()).max())
    assert max(gaps) > 0.01


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_every_query_is_exact_or_refused_with_a_hedge(data):
    graph = data.draw(admgs(low=3))
    most = 2 if len(graph) > 4 else 1
    y, x = split(data.draw, graph.nodes, (most, most))
    seed = data.draw(st.integers(0, 2**32 - 1))
    try:
        estimand = graph.identify(y, x)
    except NotIdentifiableError as error:
        assert is_hedge(graph, y, x, *error.hedge)
        assert has_hedge(graph, y, x)
        return
    assert not has_hedge(graph, y, x)
    rng = np.random.default_rng(seed)
    assert_exact(graph, y, x, [], rng, estimand, states={graph.nodes[0]: 3})


def largest_exchange(graph, y, x, z):
    """The largest subset of z that rule 2 turns into interventions: by trying all."""
    for k in range(len(z), -1, -1):
        for moved in combinations(z, k):
            rest = [v for v in z if v not in moved]
            if not moved or graph.rule(2, y, x, moved, rest):
                return [*x, *moved], [*y, *rest]


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_conditional_queries_are_exact_or_refused(data):
    graph = data.draw(admgs(low=4))
    y, x, z = split(data.draw, graph.nodes, (1, 1, min(3, len(graph) - 2)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    do, joint = largest_exchange(graph, y, x, z)
    try:
        estimand = graph.identify(y, x, z)
    except NotIdentifiableError as error:
        assert set(error.effective[0]) == set(joint)
        assert set(error.effective[1]) == set(do)
        assert is_hedge(graph, joint, do, *error.hedge)
        return
    assert not has_hedge(graph, joint, do)
    assert_exact(graph, y, x, z, np.random.default_rng(seed), estimand)


def test_random_sparse_graphs_reach_every_strategy():
    """Graphs of other densities than hypothesis draws."""
    seen = Counter()
    rng = np.random.default_rng(7)
    for _ in range(2000):
        n = int(rng.integers(4, 8))
        graph = random_admg(rng, n, rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.5))
        x = str(rng.choice(graph.nodes))
        later = sorted(graph.descendants(x) - {x})
        if not later:
            continue
        y = str(rng.choice(later))
        try:
            estimand = graph.identify(y, x)
        except NotIdentifiableError:
            assert has_hedge(graph, [y], [x])
            continue
        seen[estimand.strategy] += 1
        assert_exact(graph, [y], [x], [], rng, estimand)
    for strategy in ("adjustment", "frontdoor", "primal-fixable"):
        assert seen[strategy] > 0, seen


def test_graphs_around_the_napkin_are_exact():
    """The general case is rare in random graphs: start from one and add to it."""
    rng = np.random.default_rng(3)
    general = 0
    for _ in range(300):
        names = ["w", "r", "x", "y", *"ab"[: rng.integers(1, 3)]]
        names = [str(v) for v in rng.permutation(names)]
        names.sort(key=lambda v: "wrxy".find(v) if v in "wrxy" else rng.uniform(-1, 4))
        pairs = list(combinations(names, 2))
        extra = [e for e in pairs if rng.random() < 0.25]
        hidden = [e for e in pairs if rng.random() < 0.12]
        graph = CausalGraph.from_edges(
            [("w", "r"), ("r", "x"), ("x", "y"), *extra],
            [("w", "x"), ("w", "y"), *hidden],
        )
        try:
            estimand = graph.identify("y", "x")
        except NotIdentifiableError:
            assert has_hedge(graph, ["y"], ["x"])
            continue
        general += estimand.strategy == "general"
        assert_exact(graph, ["y"], ["x"], [], rng, estimand)
    assert general > 20


# -- refusals ----------------------------------------------------------------------


def test_refusal_says_what_blocks_and_what_would_help():
    graph = CausalGraph("coupon -> click -> buy; click <-> buy; season -> buy")
    with pytest.raises(NotIdentifiableError) as caught:
        graph.identify("buy", "click")
    text = str(caught.value)
    assert "P(buy | do(click)) is not identified" in text
    assert "latent common causes of click and buy" in text
    assert "Measuring the common cause of click and buy would identify it" in text
    assert "coupon is an instrument" in text and "extra assumptions" in text
    assert caught.value.remedies["measure"] == [(("click", "buy"),)]
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.hedge == caught.value.hedge and str(again) == text


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_remedies_work(data):
    graph = data.draw(admgs(low=3, high=6))
    y, x = split(data.draw, graph.nodes, (1, 1))
    try:
        graph.identify(y, x)
        return
    except NotIdentifiableError as error:
        remedies = error.remedies
    assert remedies["measure"]
    for latents in remedies["measure"]:
        gone = {frozenset(e) for e in latents}
        causes = [("u " + " ".join(sorted(e)), v) for e in latents for v in e]
        measured = CausalGraph.from_edges(
            (*graph.directed_edges, *causes),
            [e for e in graph.bidirected_edges if frozenset(e) not in gone],
        )
        measured.identify(y, x)
    for v in remedies["experiment"]:
        assert v not in (*y, *x)
        graph.identify(y, x, experiments=[v])


def test_bad_queries():
    graph = CausalGraph("z -> x -> y")
    with pytest.raises(ValueError, match="'x' cannot be both outcome and treatment"):
        graph.identify("x", "x")
    with pytest.raises(ValueError, match="'y' cannot be both outcome and given"):
        graph.identify("y", "x", given="y")
    with pytest.raises(ValueError, match="'q' not in the graph"):
        graph.identify("y", "q")
    with pytest.raises(ValueError, match="at least one outcome"):
        graph.identify([], "x")
    assert str(graph.identify("y", [])) == "P(y) = P(y)"


# -- experiments on other variables ----------------------------------------------


def experiment_table(scm, on, rng):
    """Data of an experiment in which the variables were set at random."""
    axes = [scm.names.index(v) for v in on]
    shape = [n if k in axes else 1 for k, n in enumerate(scm.shape)]
    chance = rng.dirichlet(np.ones(np.prod(shape))).reshape(shape)
    table = scm.table()
    return pd.Series((scm.joint(on) * chance).ravel(), index=table.index)


def test_surrogate_experiment_identifies():
    graph = CausalGraph("w -> z -> x -> y; w -> y; w <-> y; z <-> y; z <-> x")
    with pytest.raises(NotIdentifiableError):
        graph.identify("y", "x")
    estimand = graph.identify("y", "x", experiments=["z"])
    assert estimand.strategy == "experiment"
    rng = np.random.default_rng(0)
    scm = DiscreteSCM(graph, rng)
    with pytest.raises(ValueError, match="reads an experiment on"):
        estimand.evaluate(scm.table(), {"x": 1})
    found = estimand.evaluate(
        scm.table(), {"x": 1}, experiments={"z": experiment_table(scm, ["z"], rng)}
    )
    np.testing.assert_allclose(found, scm.effect(["y"], ["x"])[1], atol=1e-9)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_experiments_are_used_exactly(data):
    graph = data.draw(admgs(low=4, high=6))
    y, x, on = split(data.draw, graph.nodes, (1, 2, 2))
    on = on or [x[0]]
    try:
        graph.identify(y, x)
        return
    except NotIdentifiableError:
        pass
    try:
        estimand = graph.identify(y, x, experiments=[on])
    except NotIdentifiableError:
        assert set(on) != set(x)  # an experiment on the treatment always answers
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scm = DiscreteSCM(graph, rng)
    data_ = {tuple(on): experiment_table(scm, on, rng)}
    truth = scm.effect(y, x)
    for do in product(range(2), repeat=len(x)):
        found = estimand.evaluate(scm.table(), dict(zip(x, do)), experiments=data_)
        np.testing.assert_allclose(found, truth[do], atol=1e-9)
    for step in estimand.derivation:
        assert step.check(graph)


# -- size ----------------------------------------------------------------------------


def test_long_chains_need_no_recursion():
    n = 5000
    graph = CausalGraph.from_edges(
        [(k, k + 1) for k in range(n)], [(k, k + 2) for k in range(0, n - 2, 7)]
    )
    estimand = graph.identify(n, n // 2)
    assert estimand.do == (n // 2,) and len(str(estimand)) > 10
    assert next(graph.adjustment_sets(n, n // 2)) is not None
