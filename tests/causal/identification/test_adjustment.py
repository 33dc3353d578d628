from itertools import chain, combinations, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import (
    DiscreteSCM,
    d_separated,
    random_admg,
)
from sklearn_causalrec._testing.graph_strategies import admgs, split


def subsets(names):
    return chain.from_iterable(combinations(names, k) for k in range(len(names) + 1))


def paths(graph, x, y):
    """Proper causal paths from x to y, by walking."""
    stack = [[v] for v in x]
    while stack:
        path = stack.pop()
        for a, b in graph.directed_edges:
            if a == path[-1] and b not in x:
                if b in y:
                    yield [*path, b]
                stack.append([*path, b])


def valid_sets(graph, y, x):
    """Every valid adjustment set by the definition: paths listed one by one."""
    on_paths = {v for path in paths(graph, x, y) for v in path[1:]}
    forbidden = {d for v in on_paths for d in graph.descendants(v)}
    first = {(p[0], p[1]) for p in paths(graph, x, y)}
    pruned = CausalGraph.from_edges(
        [e for e in graph.directed_edges if e not in first],
        graph.bidirected_edges,
        graph.nodes,
    )
    others = [v for v in graph.nodes if v not in {*x, *y}]
    return {
        frozenset(z)
        for z in subsets(others)
        if not forbidden & set(z) and d_separated(pruned, x, y, z)
    }


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_enumerations_are_those_of_brute_force(data):
    graph = data.draw(admgs(low=3, high=6))
    most = 2 if len(graph) > 4 else 1
    y, x = split(data.draw, graph.nodes, (most, most))
    valid = valid_sets(graph, y, x)
    every = list(graph.adjustment_sets(y, x, kind="all"))
    assert len(every) == len(set(every)) and set(every) == valid
    minimal = {z for z in valid if not any(other < z for other in valid)}
    found = list(graph.adjustment_sets(y, x))
    assert len(found) == len(set(found)) and set(found) == minimal
    smallest = list(graph.adjustment_sets(y, x, kind="minimum"))
    assert len(smallest) == bool(valid)
    if valid:
        assert smallest[0] in valid
        assert len(smallest[0]) == min(map(len, valid))
    best = list(graph.adjustment_sets(y, x, kind="optimal"))
    assert len(best) == bool(valid) and set(best) <= valid


@settings(deadline=None)
@given(st.data())
def test_minimum_cost(data):
    graph = data.draw(admgs(low=4, high=6))
    y, x = split(data.draw, graph.nodes, (1, 1))
    cost = {v: data.draw(st.integers(1, 9)) for v in graph.nodes}
    valid = valid_sets(graph, y, x)
    found = list(graph.adjustment_sets(y, x, kind="minimum", cost=cost))
    assert len(found) == bool(valid)
    if valid:
        best = min(sum(cost[v] for v in z) for z in valid)
        assert found[0] in valid and sum(cost[v] for v in found[0]) == best


def linear_variance(graph, rng, y, x, sets):
    """Asymptotic variances of the least-squares effect of x on y, one for each set."""
    names = list(graph.nodes)
    latents = [("u", k) for k in range(len(graph.bidirected_edges))]
    index = {v: k for k, v in enumerate([*names, *latents])}
    B = np.zeros((len(index),) * 2)
    for a, b in graph.directed_edges:
        B[index[b], index[a]] = rng.uniform(0.5, 1.5) * rng.choice([-1, 1])
    for u, edge in zip(latents, graph.bidirected_edges):
        for v in edge:
            B[index[v], index[u]] = rng.uniform(0.5, 1.5) * rng.choice([-1, 1])
    A = np.linalg.inv(np.eye(len(index)) - B)
    cov = A @ np.diag(rng.uniform(0.5, 2, len(index))) @ A.T

    def residual(v, given):
        given = [index[g] for g in given]
        if not given:
            return cov[v, v]
        part = np.linalg.solve(cov[np.ix_(given, given)], cov[given, v])
        return cov[v, v] - cov[v, given] @ part

    return [residual(index[y], [x, *z]) / residual(index[x], z) for z in sets]


def test_optimal_sets_have_the_smallest_variance():
    rng = np.random.default_rng(0)
    checked = 0
    for _ in range(300):
        graph = random_admg(rng, 6, 0.45, 0.0)
        x = str(rng.choice(graph.nodes))
        later = sorted(graph.descendants(x) - {x})
        if not later:
            continue
        y = str(rng.choice(later))
        sets = list(graph.adjustment_sets(y, x, kind="all"))
        (best,) = graph.adjustment_sets(y, x, kind="optimal")
        variances = dict(zip(sets, linear_variance(graph, rng, y, x, sets)))
        assert variances[best] <= min(variances.values()) + 1e-9
        checked += len(sets) > 1
    assert checked > 50


def test_optimal_with_latents_is_the_best_minimal_one():
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(600):
        graph = random_admg(rng, 6, 0.45, 0.2)
        x = str(rng.choice(graph.nodes))
        later = sorted(graph.descendants(x) - {x})
        if not later:
            continue
        y = str(rng.choice(later))
        for best in graph.adjustment_sets(y, x, kind="optimal"):
            sets = list(graph.adjustment_sets(y, x))
            variances = linear_variance(graph, rng, y, x, [best, *sets])
            assert variances[0] <= min(variances[1:]) + 1e-9
            checked += len(sets) > 1
    assert checked > 20


def test_enumeration_is_lazy():
    """A ladder with 2**40 minimal sets and more valid ones."""
    edges = [("x", "y")]
    for k in range(40):
        edges += [(f"a{k}", "x"), (f"a{k}", f"b{k}"), (f"b{k}", "y")]
    graph = CausalGraph.from_edges(edges)
    for kind in ("minimal", "all"):
        some = list(islice(graph.adjustment_sets("y", "x", kind=kind), 50))
        assert len(set(some)) == 50
    (smallest,) = graph.adjustment_sets("y", "x", kind="minimum")
    assert len(smallest) == 40
    (best,) = graph.adjustment_sets("y", "x", kind="optimal")
    assert best == {f"b{k}" for k in range(40)}


def test_known_cases():
    def minimal(text, **query):
        graph = CausalGraph(text)
        return {frozenset(z) for z in graph.adjustment_sets("y", "x", **query)}

    assert minimal("x -> y; m <-> x; m <-> y") == {frozenset()}
    assert minimal("x -> y; x <-> y") == set()
    assert minimal("x -> m -> y; x <-> y") == set()
    assert minimal("a -> x; a -> b -> y; x -> y") == {frozenset("a"), frozenset("b")}
    graph = CausalGraph("0 -> 1; 1 -> 3; 2 -> 3; 0 <-> 2; 0 <-> 3")
    assert list(graph.adjustment_sets("3", "1")) == [frozenset({"0"})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "best"}, "kind must be one of"),
        ({"outcome": "x"}, "cannot be both outcome and treatment"),
        ({"outcome": "q"}, "'q' not in the graph"),
        ({"outcome": []}, "at least one"),
        ({"kind": "minimum", "cost": {"z": 0.5}}, "'z': 0.5"),
        ({"kind": "minimum", "cost": {"q": 1}}, "'q' not in the graph"),
    ],
)
def test_bad_arguments_raise_at_once(arguments, message):
    graph = CausalGraph("z -> x -> y; z -> y")
    with pytest.raises(ValueError, match=message):
        graph.adjustment_sets(**{"outcome": "y", "treatment": "x", **arguments})


# -- the front door, the primal fixing, instruments ------------------------------------


def frontdoor_by_definition(graph, y, x, z):
    """Pearl's three conditions."""
    meets = not any(not set(z) & set(p) for p in paths(graph, x, y))
    first = not z or d_separated(graph.without_outgoing(x), x, z, [])
    second = not z or d_separated(graph.without_outgoing(z), z, y, x)
    return meets and first and second


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_frontdoor_sets_are_those_of_the_definition(data):
    graph = data.draw(admgs(low=3, high=6))
    y, x = split(data.draw, graph.nodes, (1, 2 if len(graph) > 4 else 1))
    others = [v for v in graph.nodes if v not in {*x, *y}]
    expected = {
        frozenset(z) for z in subsets(others) if frontdoor_by_definition(graph, y, x, z)
    }
    found = list(graph.frontdoor_sets(y, x))
    assert len(found) == len(set(found)) and set(found) == expected


def test_frontdoor_with_several_mediators():
    graph = CausalGraph("x -> a -> c -> y; x -> b -> y; x <-> y; a -> b")
    estimand = graph.identify("y", "x")
    assert estimand.strategy == "frontdoor"
    assert estimand.mediators in set(graph.frontdoor_sets("y", "x"))
    assert {"a", "b"} in set(graph.frontdoor_sets("y", "x"))
    for v in estimand.mediators:
        assert estimand.mediators - {v} not in set(graph.frontdoor_sets("y", "x"))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_named_strategy_is_the_first_valid_one(data):
    from sklearn_causalrec import NotIdentifiableError

    graph = data.draw(admgs(low=3, high=6))
    y, x = split(data.draw, graph.nodes, (1, 1))
    try:
        strategy = graph.identify(y, x).strategy
    except NotIdentifiableError:
        assert not valid_sets(graph, y, x)
        assert not list(graph.frontdoor_sets(y, x))
        return
    if y[0] not in graph.descendants(x):
        expected = "no-effect"
    elif valid_sets(graph, y, x):
        expected = "adjustment"
    elif any(graph.frontdoor_sets(y, x)):
        expected = "frontdoor"
    else:
        among = graph.subgraph(graph.ancestors(y))
        blocked = among.district(x) & among.children(x)
        expected = "general" if blocked else "primal-fixable"
    assert strategy == expected


def test_instruments():
    graph = CausalGraph("z -> x -> y; x <-> y; w -> z; w -> y")
    assert ("z", frozenset("w")) in list(graph.instruments("y", "x"))
    assert list(CausalGraph("z -> x -> y; z -> y; x <-> y").instruments("y", "x")) == []
    with pytest.raises(ValueError, match="one treatment and one outcome"):
        graph.instruments(["y", "w"], "x")


@settings(deadline=None)
@given(admgs(low=3, high=6))
def test_instruments_satisfy_their_definition(graph):
    x, y = graph.nodes[0], graph.nodes[-1]
    pruned = graph.proper_backdoor(y, x)
    for z, given_ in graph.instruments(y, x):
        assert not d_separated(graph, [z], [x], given_)
        assert d_separated(pruned, [z], [y], given_)
        assert not given_ & graph.descendants(x)


def test_instrument_gives_the_linear_effect():
    rng = np.random.default_rng(0)
    w, u = rng.normal(size=(2, 200_000))
    z = w + rng.normal(size=w.size)
    x = 0.8 * z + u + rng.normal(size=w.size)
    y = 1.5 * x - 2 * u + w + rng.normal(size=w.size)
    graph = CausalGraph("w -> z -> x -> y; w -> y; x <-> y")
    pairs = dict(graph.instruments("y", "x"))
    assert pairs["z"] == {"w"}
    rest = z - w * (w @ z) / (w @ w)  # z given w
    assert (rest @ y) / (rest @ x) == pytest.approx(1.5, abs=0.03)


def test_adjustment_formula_is_exact_for_every_set_listed():
    rng = np.random.default_rng(4)
    used = 0
    for _ in range(60):
        graph = random_admg(rng, 5, 0.5, 0.2)
        x = str(rng.choice(graph.nodes))
        later = sorted(graph.descendants(x) - {x})
        if not later:
            continue
        y = str(rng.choice(later))
        scm = DiscreteSCM(graph, rng)
        p, axis = scm.joint(), {v: k for k, v in enumerate(scm.names)}
        truth = scm.effect([y], [x])
        for z in graph.adjustment_sets(y, x, kind="all"):
            drop = tuple(axis[v] for v in graph.nodes if v not in {x, y, *z})
            q = p.sum(axis=drop, keepdims=True)
            given_xz = q / q.sum(axis=axis[y], keepdims=True)
            weight = q.sum(axis=(axis[x], axis[y]), keepdims=True)
            out = tuple(k for v, k in axis.items() if v not in (x, y))
            found = (given_xz * weight).sum(axis=out)
            found = found if axis[x] < axis[y] else found.T
            np.testing.assert_allclose(found, truth, atol=1e-9)
            used += 1
    assert used > 50
