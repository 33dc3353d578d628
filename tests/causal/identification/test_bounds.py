"""Bounds of effects, against closed forms and models with every latent explicit."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM, random_admg
from sklearn_causalrec.causal.bounds import EffectBounds
from sklearn_causalrec.causal.identification.response_types import (
    ContradictionError,
    TypeProgram,
)
from sklearn_causalrec.causal.identification.table import JointTable

INSTRUMENT = CausalGraph("z -> x -> y; x <-> y")
CONFOUNDED = CausalGraph("x -> y; x <-> y")


def table_of(names, p):
    p = np.asarray(p, float)
    index = pd.MultiIndex.from_product([range(n) for n in p.shape], names=names)
    return pd.Series(p.ravel(), index=index)


def balke_pearl(table):
    """The closed form of Balke and Pearl (1997), equations 6 and 7."""
    p = table.to_numpy().reshape(2, 2, 2)
    p = p / p.sum((1, 2), keepdims=True)

    def c(y, x, z):
        return p[z, x, y]

    low = max(
        c(1, 1, 1) + c(0, 0, 0) - 1,
        c(1, 1, 0) + c(0, 0, 1) - 1,
        c(1, 1, 0) - c(1, 1, 1) - c(1, 0, 1) - c(0, 1, 0) - c(1, 0, 0),
        c(1, 1, 1) - c(1, 1, 0) - c(1, 0, 0) - c(0, 1, 1) - c(1, 0, 1),
        -c(0, 1, 1) - c(1, 0, 1),
        -c(0, 1, 0) - c(1, 0, 0),
        c(0, 0, 1) - c(0, 1, 1) - c(1, 0, 1) - c(0, 1, 0) - c(0, 0, 0),
        c(0, 0, 0) - c(0, 1, 0) - c(1, 0, 0) - c(0, 1, 1) - c(0, 0, 1),
    )
    high = min(
        1 - c(0, 1, 1) - c(1, 0, 0),
        1 - c(0, 1, 0) - c(1, 0, 1),
        -c(0, 1, 0) + c(0, 1, 1) + c(0, 0, 1) + c(1, 1, 0) + c(0, 0, 0),
        -c(0, 1, 1) + c(1, 1, 1) + c(0, 0, 1) + c(0, 1, 0) + c(0, 0, 0),
        c(1, 1, 1) + c(0, 0, 1),
        c(1, 1, 0) + c(0, 0, 0),
        -c(1, 0, 1) + c(1, 1, 1) + c(0, 0, 1) + c(1, 1, 0) + c(1, 0, 0),
        -c(1, 0, 0) + c(1, 1, 0) + c(0, 0, 0) + c(1, 1, 1) + c(1, 0, 1),
    )
    return low, high


def test_with_an_instrument_they_are_those_of_balke_and_pearl():
    rng = np.random.default_rng(0)
    for _ in range(25):
        table = DiscreteSCM(INSTRUMENT, rng).table()
        bounds = INSTRUMENT.bounds("y", "x", table)
        assert np.allclose(bounds.effect(), balke_pearl(table), atol=1e-9)
        assert bounds.sharp and not bounds.identified


def test_without_an_instrument_they_are_those_of_manski():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(6)).reshape(2, 3)  # y has the values 0, 1, 2
    bounds = CONFOUNDED.bounds("y", "x", table_of(["x", "y"], p))
    for x in (0, 1):
        others = p[1 - x].sum()
        for y in (0, 1, 2):
            row = bounds.probabilities.loc[(x, y)]
            assert np.allclose(row, [p[x, y], p[x, y] + others])
    means, others = p @ [0, 1, 2], p.sum(1)[::-1]
    low = means[1] + 0 * others[1] - (means[0] + 2 * others[0])
    high = means[1] + 2 * others[1] - (means[0] + 0 * others[0])
    assert np.allclose(bounds.effect(), (low, high))
    assert np.allclose(bounds.effect(T0=1, T1=0), (-high, -low))


def test_a_covariate_makes_one_program_a_value():
    """Given c the bounds are those of an instrument; they add up by P(c)."""
    graph = CausalGraph("c -> z -> x -> y; c -> x; c -> y; x <-> y")
    table = DiscreteSCM(graph, np.random.default_rng(2), {"c": 3}).table()
    total = np.zeros(2)
    for c in range(3):
        part = table.xs(c, level="c")
        part = part.reorder_levels(["z", "x", "y"]).sort_index()
        total += np.array(balke_pearl(part / part.sum())) * part.sum()
    assert np.allclose(graph.bounds("y", "x", table).effect(), total)


def brute_force(table):
    """A confounded mediator: x -> m -> y with x, m, y in one district.

    The program is written out anew, over the potential outcomes of every node.
    """
    p = table.to_numpy().reshape(2, 2, 2)
    types = [(x, m0, m1, y0, y1) for x in (0, 1) for m0 in (0, 1) for m1 in (0, 1)
             for y0 in (0, 1) for y1 in (0, 1)]  # fmt: skip
    rows = {(x, m, y): [] for x in (0, 1) for m in (0, 1) for y in (0, 1)}
    effect = []
    for x, m0, m1, y0, y1 in types:
        m = (m0, m1)[x]
        cell = x, m, (y0, y1)[m]
        for key, row in rows.items():
            row.append(float(key == cell))
        effect.append((y0, y1)[m1] - (y0, y1)[m0])
    given = {"A_eq": list(rows.values()), "b_eq": [p[key] for key in rows]}
    return [sign * linprog(sign * np.array(effect), **given).fun for sign in (1, -1)]


def test_a_mediator_in_the_district():
    graph = CausalGraph("x -> m -> y; x <-> m; m <-> y; x <-> y")
    rng = np.random.default_rng(3)
    for _ in range(10):
        table = DiscreteSCM(graph, rng).table()
        assert np.allclose(graph.bounds("y", "x", table).effect(), brute_force(table))


def test_no_truth_is_outside_and_what_is_identified_is_a_point():
    rng = np.random.default_rng(4)
    kinds = {"open": 0, "identified": 0, "point": 0}
    for _ in range(100):
        graph = random_admg(rng, int(rng.integers(3, 6)), 0.5, 0.35)
        y, x = rng.permutation(list(graph.nodes))[:2]
        scm = DiscreteSCM(graph, rng)
        table, truth = scm.table(), scm.effect([y], [x])
        try:
            bounds = graph.bounds(y, x, table)
        except ValueError as error:
            assert "more than 100,000" in str(error)
            continue
        found = bounds.probabilities.to_numpy().reshape(2, 2, 2)
        assert (found[..., 0] <= truth + 1e-7).all()
        assert (found[..., 1] >= truth - 1e-7).all()
        low, high = bounds.effect()
        assert low - 1e-7 <= truth[1, 1] - truth[0, 1] <= high + 1e-7
        kinds["identified" if bounds.identified else "open"] += 1
        if not bounds.identified or x not in graph.ancestors(y):
            continue
        # The program does not know that the effect is identified, and finds it.
        causes = graph.subgraph(graph.ancestors(y))
        joint = JointTable(table, causes.topological_order)
        program = TypeProgram(causes, causes.number[y], causes.number[x], joint.shape)
        low, high = program.limits([joint.p], np.array([[0, -1.0], [0, 1]]))[0]
        assert low - 1e-7 <= truth[1, 1] - truth[0, 1] <= high + 1e-7
        if program.sharp:
            assert high - low < 1e-6
            kinds["point"] += 1
    assert min(kinds.values()) > 5


def test_where_the_bounds_may_be_wider_than_need_be_they_say_so():
    napkin = CausalGraph("w -> z -> x -> y; w <-> x; w <-> y; x -> v; v <-> x; v -> y")
    table = DiscreteSCM(napkin, np.random.default_rng(0)).table()
    bounds = napkin.bounds("y", "x", table)
    assert not bounds.sharp and "valid" in repr(bounds)
    assert CONFOUNDED.bounds("y", "x", table).sharp


def test_what_the_graph_cannot_have_is_refused():
    p = np.zeros((2, 2, 2))
    p[0, 0, 0] = p[1, 0, 1] = 0.5  # z acts on y, and x never changes
    p = 0.98 * p + 0.02 / 8
    table = table_of(["z", "x", "y"], p)
    with pytest.raises(ContradictionError, match=r"distribution of x, y.*n_rows"):
        INSTRUMENT.bounds("y", "x", table).effect()
    with pytest.raises(ContradictionError, match="See to the graph"):
        INSTRUMENT.bounds("y", "x", table, n_rows=1000).effect()
    # A few rows may be so by chance: the nearest distribution that it has is taken.
    p = np.full((2, 2, 2), 0.12)
    p[0, 0], p[1, 0] = [0.26, 0], [0, 0.26]
    table = table_of(["z", "x", "y"], p)
    with pytest.raises(ContradictionError, match=r"distance of 0\.08"):
        INSTRUMENT.bounds("y", "x", table).effect()
    low, high = INSTRUMENT.bounds("y", "x", table, n_rows=200).effect()
    assert -1 <= low <= high <= 1


def test_sampling_with_strata_of_few_rows():
    graph = CausalGraph("c -> z -> x -> y; c -> x; c -> y; x <-> y")
    table = DiscreteSCM(graph, np.random.default_rng(2), {"c": 3}).table()
    counts = np.random.default_rng(0).multinomial(150, table)
    drawn = pd.Series(counts / 150, index=table.index)
    bounds = graph.bounds("y", "x", drawn, n_rows=150)
    low, high = bounds.effect_interval(n_bootstrap=20)
    assert -1.5 < low < bounds.effect()[0] and bounds.effect()[1] < high < 1.5


def test_sampling():
    rng = np.random.default_rng(5)
    table = table_of(["x", "y"], [[0.3, 0.2], [0.1, 0.4]])
    counts = pd.Series(rng.multinomial(500, table), index=table.index)
    bounds = CONFOUNDED.bounds("y", "x", counts / 500, n_rows=500)
    rows = counts.index.to_frame(index=False).loc[
        np.repeat(np.arange(4), counts)
    ]  # fmt: skip
    same = CONFOUNDED.bounds("y", "x", rows)
    assert bounds.effect() == same.effect()
    interval = bounds.effect_interval()
    assert interval == same.effect_interval() == bounds.effect_interval()
    # Each bound is a sum of two cells. Bounds that lie far apart miss on one side.
    p = counts.to_numpy() / 500
    low = -(p[1] + p[2])
    error = np.sqrt(-low * (1 + low) / 500)
    expected = low - 1.645 * error, low + 1 + 1.645 * error
    assert np.allclose(interval, expected, atol=0.5 * error)
    narrow = bounds.effect_interval(alpha=0.3)
    assert interval[0] < narrow[0] < low and narrow[1] < interval[1]
    inside = bounds.probability_interval(1, 1)
    limits = bounds.probabilities.loc[(1, 1)]
    assert inside[0] < limits["low"] < limits["high"] < inside[1]
    # What is identified has a point and the interval of one.
    free = CausalGraph("x -> y").bounds("y", "x", rows)
    assert free.identified and free.effect()[0] == free.effect()[1]
    low, high = free.effect_interval(n_bootstrap=80)
    a, b = p[1] / p[:2].sum(), p[3] / p[2:].sum()
    error = np.sqrt(a * (1 - a) / 500 / p[:2].sum() + b * (1 - b) / 500 / p[2:].sum())
    assert np.isclose(free.effect()[0], b - a)
    assert np.allclose([low, high], [b - a - 1.96 * error, b - a + 1.96 * error],
                       atol=0.5 * error)  # fmt: skip


def test_bad_questions():
    table = table_of(["x", "y"], [[0.3, 0.2], [0.1, 0.4]])
    with pytest.raises(ValueError, match="one treatment and one outcome"):
        INSTRUMENT.bounds("y", ["x", "z"], table)
    with pytest.raises(ValueError, match=r"misses the variables \['z'\]"):
        INSTRUMENT.bounds("y", "x", table)
    with pytest.raises(ValueError, match=r"misses the columns \['z'\]"):
        INSTRUMENT.bounds("y", "x", pd.DataFrame({"x": [0, 1], "y": [1, 0]}))
    with pytest.raises(TypeError, match="pandas Series"):
        CONFOUNDED.bounds("y", "x", table.to_numpy())
    with pytest.raises(ValueError, match="n_rows is told"):
        CONFOUNDED.bounds("y", "x", pd.DataFrame({"x": [0], "y": [0]}), n_rows=3)
    with pytest.raises(ValueError, match="n_rows is 0"):
        CONFOUNDED.bounds("y", "x", table, n_rows=0)
    bounds = CONFOUNDED.bounds("y", "x", table)
    with pytest.raises(ValueError, match="pass n_rows="):
        bounds.effect_interval()
    with pytest.raises(ValueError, match="outcome=7 is no value of 'y'"):
        EffectBounds(CONFOUNDED, "y", "x", table, 9).probability_interval(7, 0)
    with pytest.raises(ValueError, match="T1"):
        bounds.effect(T1=3)
    words = table.rename({0: "no", 1: "yes"}, level="y")
    with pytest.raises(ValueError, match="no numbers"):
        CONFOUNDED.bounds("y", "x", words).effect()
    assert len(CONFOUNDED.bounds("y", "x", words).probabilities) == 4
    many = table_of(["z", "x", "y"], np.full((9, 4, 3), 1 / 108))
    with pytest.raises(ValueError, match="response types of x, y"):
        INSTRUMENT.bounds("y", "x", many)
    never = CausalGraph("w -> x -> m -> y; w -> m; x <-> y; w <-> x; w <-> y; w <-> m")
    p = np.full((2, 2, 2, 2), 1.0)
    p[0, 1] = 0
    table = table_of(["w", "x", "m", "y"], p / p.sum())
    graph = CausalGraph("w -> x -> m -> y; w -> m; x <-> y; w -> y; w <-> y")
    with pytest.raises(ValueError, match="positivity"):
        graph.bounds("y", "x", table).effect()
    assert never.bounds("y", "x", table).effect() is not None
