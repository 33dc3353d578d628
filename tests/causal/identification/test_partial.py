"""Effects over classes of graphs, against lists of all graphs with few nodes."""

import pickle
import random
from itertools import chain, combinations

import numpy as np
import pytest

from sklearn_causalrec import CausalGraph, NotIdentifiableError, PartialGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM
from sklearn_causalrec._testing.graph_classes import (
    admg_classes,
    dag_classes,
    marks_of_admgs,
    marks_of_dags,
)
from sklearn_causalrec.causal import UndecidedError
from sklearn_causalrec.causal.graphs.bitsets import separated
from sklearn_causalrec.causal.identification.adjustment import is_adjustment_set


def check_sets(graph, members, outcome, treatment):
    """A set is valid exactly where it is in every graph of the class."""
    others = [v for v in graph.nodes if v not in {*outcome, *treatment}]
    truth = {
        frozenset(z)
        for z in chain.from_iterable(
            combinations(others, k) for k in range(len(others) + 1)
        )
        if all(is_adjustment_set(g, *map(g.mask, (treatment, outcome, z)))
               for g in members)
    }  # fmt: skip
    assert set(graph.adjustment_sets(outcome, treatment, "all")) == truth
    assert all(graph.is_adjustment_set(outcome, treatment, z) for z in truth)
    minimal = {z for z in truth if not any(other < z for other in truth)}
    assert set(graph.adjustment_sets(outcome, treatment)) == minimal
    for kind in ("optimal", "minimum"):
        best = list(graph.adjustment_sets(outcome, treatment, kind))
        assert len(best) == bool(truth) and set(best) <= truth


def with_knowledge(rng, names, members):
    """The graph of a class of DAGs, some of whose edges are known, and the class."""
    graph = PartialGraph.from_edges(marks_of_dags(members), names, kind="cpdag")
    for _ in range(rng.choice([0, 0, 1, 2])):
        if graph.undecided:
            a, _, b = rng.choice(graph.undecided)
            a, b = rng.sample([a, b], 2)
            graph = graph.orient([(a, b)])
            members = [edges for edges in members if (a, b) in edges]
    # Meek's rules direct exactly what all members that are left direct alike.
    expected = PartialGraph.from_edges(marks_of_dags(members), names, kind="cpdag")
    assert graph == expected and graph.edges == expected.edges
    return graph, members


@pytest.mark.parametrize(("n", "share"), [(3, 1.0), (4, 0.5), (5, 0.015)])
def test_adjustment_in_classes_of_dags(n, share):
    rng, names = random.Random(n), list("abcde"[:n])
    for members in dag_classes(names):
        if rng.random() > share:
            continue
        graph, members = with_knowledge(rng, names, members)
        graphs = [CausalGraph.from_edges(edges, nodes=names) for edges in members]
        for _ in range(3):
            order, k = rng.sample(names, n), rng.choice([1, 1, 2])
            m = min(rng.choice([1, 1, 2]), n - k)
            check_sets(graph, graphs, order[k : k + m], order[:k])


def all_separations(graph):
    """Those of `graph_classes.separations`, which is slow, by the package."""
    nodes, found = sorted(graph.nodes), []
    joined = {frozenset(e) for e in (*graph.directed_edges, *graph.bidirected_edges)}
    for a, b in combinations(nodes, 2):
        if {a, b} in joined:
            continue
        others = [v for v in nodes if v not in (a, b)]
        for k in range(len(others) + 1):
            for z in combinations(others, k):
                if separated(graph, *map(graph.mask, (a, b, z))):
                    found.append((a, b, z))
    return frozenset(found)


def test_adjustment_in_classes_of_graphs_with_latent_causes_of_three_nodes():
    names = list("abc")
    classes = admg_classes(names)
    assert classes.keys() == admg_classes(names, all_separations).keys()
    assert sum(map(len, classes.values())) == 200
    for signature, members in classes.items():
        edges = marks_of_admgs(names, signature, members)
        graph = PartialGraph.from_edges(edges, names, kind="pag")
        graphs = [CausalGraph.from_edges(d, b, names) for d, b in members]
        for x in names:
            for y in set(names) - {x}:
                check_sets(graph, graphs, [y], [x])


@pytest.fixture(scope="module")
def classes_of_four():
    return list(admg_classes(list("abcd"), all_separations).items())


def test_adjustment_in_classes_of_graphs_with_latent_causes_of_four_nodes(
    classes_of_four,
):
    rng, names = random.Random(0), list("abcd")
    for signature, members in rng.sample(classes_of_four, 80):
        edges = marks_of_admgs(names, signature, members)
        graph = PartialGraph.from_edges(edges, names, kind="pag")
        some = rng.sample(members, min(len(members), 80))
        graphs = [CausalGraph.from_edges(d, b, names) for d, b in some]
        for _ in range(4):
            order, k = rng.sample(names, 4), rng.choice([1, 1, 2])
            check_sets(graph, graphs, order[k : k + 1], order[:k])


def effect(table, edges, names, treatment, outcome):
    """P(outcome = 1 | do(treatment = 1)) in one DAG: the truncated factorization."""
    p = table.to_numpy().reshape([2] * len(names))
    axis = {v: k for k, v in enumerate(names)}

    def marginal(keep):
        out = tuple(k for v, k in axis.items() if v not in keep)
        return p.sum(axis=out, keepdims=True)

    joint = np.ones([1] * len(names))
    for v in names:
        if v not in treatment:
            parents = {a for a, b in edges if b == v}
            joint = joint * marginal({v, *parents}) / marginal(parents)
    joint = np.broadcast_to(joint, p.shape)
    at = tuple(1 if v in (*treatment, outcome) else slice(None) for v in names)
    return float(joint[at].sum())


@pytest.mark.parametrize(("n", "count"), [(4, 120), (5, 80)])
def test_identification_and_cases_in_classes_of_dags(n, count):
    """Each case has one of the effects of the class, and no two have the same."""
    rng, numbers = random.Random(n), np.random.default_rng(n)
    names = list("abcde"[:n])
    several = 0
    for members in rng.sample(dag_classes(names), count):
        graph, members = with_knowledge(rng, names, members)
        first = CausalGraph.from_edges(members[0], nodes=names)
        table = DiscreteSCM(first, numbers).table()
        order = rng.sample(names, n)
        outcome, treatment = order[0], order[1 : rng.choice([2, 2, 3])]
        truth = {round(effect(table, e, names, treatment, outcome), 9) for e in members}

        first_ = treatment[0]
        caused = {
            v
            for edges in members
            for v in CausalGraph.from_edges(edges, nodes=names).descendants(first_)
        }
        assert graph.possible_descendants(first_) == caused
        cases = list(graph.resolutions(outcome, treatment))
        do = dict.fromkeys(treatment, 1)
        values = {
            round(
                float(case.identify(outcome, treatment).evaluate(table, do).loc[1]), 9
            )
            for case in cases
        }
        assert values == truth
        if len(treatment) == 1:
            assert len(cases) == len(truth)
        if len(truth) == 1:
            assert cases[0] is graph or len(treatment) > 1
        else:
            several += 1
            with pytest.raises(NotIdentifiableError, match="open: "):
                graph.identify(outcome, treatment)
        for edges in members:  # the cases are disjoint, and together the class
            held = [
                all((a, b) in edges for a, mark, b in case.edges if mark == "-->")
                for case in cases
            ]
            assert sum(held) == 1
    assert several > count / 10


def test_identification_in_a_pag_reads_nothing_but_the_adjustment(classes_of_four):
    names = list("abcd")
    rng, numbers = random.Random(1), np.random.default_rng(1)
    found = 0
    for signature, members in classes_of_four:
        edges = marks_of_admgs(names, signature, members)
        graph = PartialGraph.from_edges(edges, names, kind="pag")
        y, x = rng.sample(names, 2)
        try:
            estimand = graph.identify(y, x)
        except UndecidedError:
            continue
        member = CausalGraph.from_edges(*rng.choice(members), names)
        scm = DiscreteSCM(member, numbers)
        value = estimand.evaluate(scm.table(), {x: 1}).to_numpy()
        assert np.allclose(value, scm.effect([y], [x])[1])
        found += estimand.strategy == "adjustment"
    assert found > 2


# -- beyond adjustment, with latent causes -------------------------------------------


def agree(members, names, y, x, table):
    """Whether all graphs identify an effect, with one value, by brute force."""
    known = None
    for directed, bidirected in members:
        try:
            estimand = CausalGraph.from_edges(directed, bidirected, names).identify(
                y, x
            )
        except NotIdentifiableError:
            return False
        value = estimand.evaluate(table, dict.fromkeys(x, 1)).to_numpy()
        if known is not None and not np.allclose(value, known, atol=1e-7):
            return False
        known = value
    return True


def of_one_mag(names, signature, members):
    """The ADMGs of a class that agree on what causes what, by their common MAG."""
    apart = {frozenset((a, b)) for a, b, _ in signature}
    joined = [p for p in combinations(names, 2) if frozenset(p) not in apart]
    found = {}
    for edges in members:
        graph = CausalGraph.from_edges(*edges, names)
        causes = {v: graph.ancestors(v) for v in names}
        marks = tuple(
            (a, "-->" if a in causes[b] else "<--" if b in causes[a] else "<->", b)
            for a, b in joined
        )
        found.setdefault(marks, []).append(edges)
    return found


@pytest.mark.parametrize("kind", ["pag", "mag"])
def test_an_effect_is_identified_where_all_graphs_agree(classes_of_four, kind):
    rng, names, beyond, answers = random.Random(5), list("abcd"), 0, set()
    for signature, members in rng.sample(classes_of_four, 60):
        edges = marks_of_admgs(names, signature, members)
        if kind == "mag":
            mags = of_one_mag(names, signature, members)
            edges = rng.choice(sorted(mags))
            members = mags[edges]
        graph = PartialGraph.from_edges(edges, names, kind=kind)
        member = CausalGraph.from_edges(*rng.choice(members), names)
        scm = DiscreteSCM(member, np.random.default_rng(0))
        some = rng.sample(members, min(len(members), 60))
        for _ in range(5):
            y, *x = rng.sample(names, rng.choice([2, 3, 3]))
            try:
                estimand = graph.identify(y, x)
            except UndecidedError:
                answers.add(False)
                # one of all that differ is enough, and a sample may lack it
                assert not agree([*some, *members], names, y, x, scm.table())
                continue
            answers.add(True)
            assert agree(some, names, y, x, scm.table())
            value = estimand.evaluate(scm.table(), dict.fromkeys(x, 1))
            truth = scm.effect([y], x)[(1,) * len(x)]
            np.testing.assert_allclose(value.to_numpy().squeeze(), truth)
            no_set = next(graph.adjustment_sets(y, x), None) is None
            beyond += no_set and estimand.strategy != "no-effect"
    assert answers == {True, False} and (kind == "pag" or beyond > 5)


def test_an_effect_in_a_pag_that_no_adjustment_gives():
    """b is set for nothing, and its latent cause with e makes every set invalid."""
    graph = PartialGraph("a o-o d; d o-> c; b <-> c; b <-> e; c --> e", kind="pag")
    assert list(graph.adjustment_sets("e", ["b", "c"], "all")) == []
    estimand = graph.identify("e", ["b", "c"])
    assert list(graph.resolutions("e", ["b", "c"])) == [graph]
    member = "a -> d; d -> c; b <-> c; b <-> e; c -> e"
    scm = DiscreteSCM(CausalGraph(member), np.random.default_rng(1))
    value = estimand.evaluate(scm.table(), {"b": 1, "c": 1}).to_numpy().squeeze()
    np.testing.assert_allclose(value, scm.effect(["e"], ["b", "c"])[1, 1])


def test_conditional_effects():
    graph = PartialGraph("c --- d; c --> x; d --> y; x --> y; e --> x")
    assert str(graph.identify("y", "x", given="d")) == "P(y | do(x), d) = P(y | d, x)"
    with pytest.raises(UndecidedError, match="x --- w"):
        PartialGraph("x --> y; z --> y; x --- w").identify("y", "x", given="w")
    pag = PartialGraph("c o-> x; x --> y; c --> y; d o-> x")
    assert str(pag.identify("y", "x", given="c")) == "P(y | do(x), c) = P(y | c, x)"
    with pytest.raises(UndecidedError, match="no set of variables is valid"):
        pag = PartialGraph("d o-> x; x --> y; y --> w")
        pag.identify("y", "x", given="w")


def test_refusals_name_the_way_out():
    with pytest.raises(UndecidedError, match=r"x --- y.*orient.*ate_range") as info:
        PartialGraph("x --- y").identify("y", "x")
    error = info.value
    assert error.hedge is None and error.edges == (("x", "---", "y"),)
    assert error.remedies["decide"] == [("x", "---", "y")]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    pag = PartialGraph("x --> y", kind="pag")
    with pytest.raises(UndecidedError, match=r"x --> y.*bounds\(\)"):
        pag.identify("y", "x")
    with pytest.raises(UndecidedError):
        pag.resolutions("y", "x")
    assert PartialGraph("x <-> y").identify("y", "x").strategy == "no-effect"
    assert list(pag.adjustment_sets("y", "x")) == []


def test_bad_questions():
    graph = PartialGraph("x --- y; z")
    with pytest.raises(ValueError, match="'q' is not in the graph"):
        graph.identify("q", "x")
    with pytest.raises(ValueError, match="cannot be both outcome and treatment"):
        graph.identify("x", "x")
    with pytest.raises(ValueError, match="kind must be"):
        graph.adjustment_sets("y", "x", "best")
    with pytest.raises(ValueError, match="at least one outcome"):
        graph.identify((), "x")
    with pytest.raises(ValueError, match="at least one treatment"):
        graph.adjustment_sets("y", ())
