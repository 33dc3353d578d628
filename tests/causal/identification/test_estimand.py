import pickle
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph, NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM, random_admg
from sklearn_causalrec._testing.graph_strategies import admgs, split
from sklearn_causalrec.causal.identification.evaluation import Evaluator
from sklearn_causalrec.causal.identification.expression import (
    AnyValue,
    P,
    Product,
    Ratio,
    Sum,
)

NAPKIN = CausalGraph("w -> r -> x -> y; w <-> x; w <-> y")
FRONT = CausalGraph("x -> m -> y; x <-> y")
BACK = CausalGraph("z -> x -> y; z -> y")


@pytest.fixture
def table():
    return DiscreteSCM(BACK, np.random.default_rng(0)).table()


# -- evaluate ------------------------------------------------------------------------


def test_adjustment_by_hand(table):
    p = table.unstack("z")
    weight = p.sum()
    by_hand = (p.loc[1] / p.loc[1].sum() * weight).sum(axis=1)
    order = table.reorder_levels(["x", "y", "z"]).unstack("z")
    by_hand = (order.loc[1] / order.loc[1].sum() * weight).sum(axis=1)
    found = BACK.identify("y", "x").evaluate(table, {"x": 1})
    np.testing.assert_allclose(found, by_hand, atol=1e-12)
    assert found.name == "P(y | do(x))" and found.index.name == "y"


def test_order_and_extra_levels_of_the_table_do_not_matter(table):
    estimand = BACK.identify("y", "x")
    expected = estimand.evaluate(table, {"x": 0})
    shuffled = table.sample(frac=1, random_state=0).reorder_levels(["y", "z", "x"])
    pd.testing.assert_series_equal(estimand.evaluate(shuffled, {"x": 0}), expected)
    wider = pd.concat({"a": table * 0.25, "b": table * 0.75}, names=["q"])
    pd.testing.assert_series_equal(estimand.evaluate(wider, {"x": 0}), expected)


def test_values_may_be_words(table):
    words = table.rename(index={0: "no", 1: "yes"})
    found = BACK.identify("y", "x").evaluate(words, {"x": "yes"})
    assert found.index.tolist() == ["no", "yes"]
    expected = BACK.identify("y", "x").evaluate(table, {"x": 1})
    np.testing.assert_allclose(found, expected)


def test_counts_of_a_frame_work_when_normalised():
    frame = pd.DataFrame({"x": [0, 0, 1, 1, 1], "y": [0, 1, 0, 1, 1]})
    found = (
        CausalGraph("x -> y")
        .identify("y", "x")
        .evaluate(frame.value_counts(normalize=True), {"x": 1})
    )
    np.testing.assert_allclose(found, [1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("spoil", "do", "message"),
    [
        (lambda t: t.groupby(level=["x", "y"]).sum(), {"x": 1}, r"misses.*\['z'\]"),
        (lambda t: t * 2, {"x": 1}, "sums to 2, not to one"),
        (lambda t: t.where(t.index != (0, 0, 0), -0.1), {"x": 1}, "not a probability"),
        (lambda t: t.where(t.index != (0, 0, 0)), {"x": 1}, "not a probability"),
        (lambda t: pd.concat([t / 2, t / 2]), {"x": 1}, "more than once"),
        (lambda t: t, {"x": 7}, r"'x' has no value 7.*\[0, 1\]"),
        (lambda t: t, {}, r"misses a value for the treatments \['x'\]"),
        (lambda t: t, {"x": 1, "y": 0}, r"do names \['y'\]"),
    ],
)
def test_bad_tables_and_values(table, spoil, do, message):
    with pytest.raises(ValueError, match=message):
        BACK.identify("y", "x").evaluate(spoil(table), do)


def test_table_must_be_a_series(table):
    with pytest.raises(TypeError, match="pandas Series of joint probabilities"):
        BACK.identify("y", "x").evaluate(table.to_frame(), {"x": 1})


def test_positivity_names_the_cell(table):
    hole = table.copy()
    hole[
        (hole.index.get_level_values("x") == 1)
        & (hole.index.get_level_values("z") == 0)
    ] = 0
    hole /= hole.sum()
    with pytest.raises(
        ValueError, match=r"positivity.*\(z = 0, x = 1\), which is zero"
    ):
        BACK.identify("y", "x").evaluate(hole, {"x": 1})
    # The other value of the treatment needs no such cell.
    BACK.identify("y", "x").evaluate(hole, {"x": 0})
    without = hole[hole > 0]
    with pytest.raises(ValueError, match=r"\(z = 0, x = 1\)"):
        BACK.identify("y", "x").evaluate(without, {"x": 1})


def test_zero_that_is_not_divided_by_is_no_obstacle():
    """A value of z that never occurs weighs nothing."""
    index = pd.MultiIndex.from_product([[0, 1]] * 3, names=["z", "x", "y"])
    table = pd.Series([0.2, 0.3, 0.4, 0.1, 0, 0, 0, 0], index=index)
    found = BACK.identify("y", "x").evaluate(table, {"x": 1})
    np.testing.assert_allclose(found, [0.8, 0.2])


def test_positivity_in_a_ratio_of_kernels():
    scm = DiscreteSCM(NAPKIN, np.random.default_rng(1))
    table = scm.table()
    hole = table.copy()
    hole[(table.index.get_level_values("x") == 1)] = 0
    with pytest.raises(ValueError, match=r"positivity.*x = 1"):
        NAPKIN.identify("y", "x").evaluate(hole / hole.sum(), {"x": 1})
    # One value of r suffices: the estimand is the same for all.
    truth = scm.effect(["y"], ["x"])[1]
    scm.tables["r"][0][:] = [1.0, 0.0]
    scm._joint.clear()
    found = NAPKIN.identify("y", "x").evaluate(scm.table(), {"x": 1})
    np.testing.assert_allclose(found, truth, atol=1e-12)


def test_conditions_are_levels_or_values():
    graph = CausalGraph("x -> y; z -> x; z -> y; s -> y")
    scm = DiscreteSCM(graph, np.random.default_rng(0))
    estimand = graph.identify("y", "x", given=["z"])
    open_ = estimand.evaluate(scm.table(), {"x": 1})
    assert open_.index.names == ["y", "z"]
    pinned = estimand.evaluate(scm.table(), {"x": 1}, given={"z": 1})
    pd.testing.assert_series_equal(open_.xs(1, level="z"), pinned)
    np.testing.assert_allclose(pinned, scm.effect(["y"], ["x"], ["z"])[1, 1])
    with pytest.raises(ValueError, match=r"given names \['s'\]"):
        estimand.evaluate(scm.table(), {"x": 1}, given={"s": 1})


def test_levels_of_several_outcomes_come_in_the_order_asked():
    graph = CausalGraph("x -> a; x -> b; a -> b")
    scm = DiscreteSCM(graph, np.random.default_rng(0), states={"a": 3})
    found = graph.identify(["b", "a"], "x").evaluate(scm.table(), {"x": 0})
    assert found.index.names == ["b", "a"] and len(found) == 6
    np.testing.assert_allclose(
        found.to_numpy().reshape(2, 3), scm.effect(["b", "a"], ["x"])[0]
    )


# -- what is shown ---------------------------------------------------------------


def test_text():
    assert str(FRONT.identify("y", "x")) == (
        "P(y | do(x)) = Σ_{m} P(m | x) Σ_{x'} P(y | x', m) P(x')"
    )
    assert BACK.identify("y", "x").to_latex() == (
        r"P(y \mid do(x)) = \sum_{z} P(y \mid z, x) \, P(z)"
    )
    assert str(NAPKIN.identify("y", "x")) == (
        "P(y | do(x)) = [Σ_{w} P(w) P(x | w, r) P(y | w, r, x)] / "
        "[Σ_{w, y'} P(w) P(x | w, r) P(y' | w, r, x)]"
    )
    graph = CausalGraph("watch_time -> y")
    latex = graph.identify("y", "watch_time").to_latex()
    assert r"\mathit{watch\_time}" in latex
    assert repr(BACK.identify("y", "x")) == "<Estimand of P(y | do(x)) by adjustment>"
    html = NAPKIN.identify("y", "x")._repr_html_()
    assert "general" in html and html.count("<li>") == len(
        NAPKIN.identify("y", "x").derivation
    )


def test_program_is_plain_data():
    estimand = NAPKIN.identify("y", "x")
    (kernel,) = estimand.kernels
    assert kernel.district == ("y",) and kernel.parents == ("x",)
    assert kernel.chain == (("w", "x", "y"), ("y",))
    assert kernel.blankets[0] == (
        ("w", ()),
        ("x", ("w", "r")),
        ("y", ("w", "r", "x")),
    )
    assert kernel.blankets[1] == (("y", ("x",)),)
    assert kernel.fixing_sequence == ((("x",), ("w",)), ((), ()))
    assert estimand.variables == ("w", "r", "x", "y")
    assert FRONT.identify("y", "x").summed == ("m",)
    assert FRONT.identify("y", "x").mediators == {"m"}
    assert BACK.identify("y", "x").adjustment_set == {"z"}


def test_pickles(table):
    estimand = pickle.loads(pickle.dumps(BACK.identify("y", "x")))
    assert estimand.strategy == "adjustment" and len(estimand.derivation) == 3
    estimand.evaluate(table, {"x": 1})


# -- derivations -----------------------------------------------------------------


def normal(expr):
    """The same expression with factors in a fixed order, to compare by."""
    if isinstance(expr, AnyValue):
        return normal(expr.body)
    if isinstance(expr, Product):
        parts = []
        for f in map(normal, expr.factors):
            parts += f.factors if isinstance(f, Product) else [f]
        return Product(tuple(sorted(parts, key=repr)))
    if isinstance(expr, Sum):
        return Sum(tuple(sorted(expr.over)), normal(expr.body))
    if isinstance(expr, Ratio):
        return Ratio(normal(expr.numerator), normal(expr.denominator))
    return Product((expr,))


def terms(expr):
    if isinstance(expr, P):
        return [expr]
    if isinstance(expr, Product):
        return [t for f in expr.factors for t in terms(f)]
    if isinstance(expr, Ratio):
        return terms(expr.numerator) + terms(expr.denominator)
    return terms(expr.body)


def assert_derived(estimand, scm):
    """Every step by its rule and by exact tables; together they give the result."""
    graph = estimand.graph
    value = Evaluator(scm.names, scm.shape, scm.term)
    query = value(P(estimand.outcome, estimand.given, estimand.treatment))
    for derivation, goal in (
        (estimand.derivation, None),
        (estimand.canonical_derivation, estimand.expression),
    ):
        assert set(terms(derivation.start)[0].outcome) == set(estimand.outcome)
        for step in derivation:
            assert step.rule in (None, 1, 2, 3)
            if step.rule:
                assert graph.rule(step.rule, **step.arguments), str(step)
                assert isinstance(step.before, P) and isinstance(step.after, P)
                assert_rule_says(step)
            np.testing.assert_allclose(
                *np.broadcast_arrays(value(step.before), value(step.after)),
                atol=1e-9, err_msg=str(step),
            )  # fmt: skip
        result = derivation.replay()
        assert not any(t.do for t in terms(result))
        np.testing.assert_allclose(
            *np.broadcast_arrays(value(result), query), atol=1e-9
        )
        goals = {normal(estimand.formula), normal(estimand.expression)}
        assert normal(result) in ({normal(goal)} if goal else goals)


def assert_rule_says(step):
    """The two sides differ by just what the rule, with its arguments, allows."""
    y, x, z, w = (
        set(step.arguments[k]) for k in ("outcome", "treatment", "z", "given")
    )
    seen, done, both = (w | z, x), (w, x | z), (w, x)
    sides = {1: (seen, both), 2: (done, seen), 3: (done, both)}[step.rule]
    for p in (step.before, step.after):
        assert set(p.outcome) == y
    found = [(set(p.given), set(p.do)) for p in (step.before, step.after)]
    assert found in ([*sides], [*sides[::-1]])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_every_step_of_every_derivation(data):
    graph = data.draw(admgs(low=3, high=6))
    most = 2 if len(graph) > 4 else 1
    y, x, z = split(data.draw, graph.nodes, (most, most, 2 if len(graph) > 4 else 1))
    try:
        estimand = graph.identify(y, x, z)
    except NotIdentifiableError:
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    assert_derived(estimand, DiscreteSCM(graph, rng))


def test_derivations_of_downstream_queries():
    """Queries in which the treatment acts: the longer derivations."""
    rng = np.random.default_rng(11)
    longest = 0
    for _ in range(400):
        graph = random_admg(rng, int(rng.integers(4, 8)), 0.5, rng.uniform(0.1, 0.5))
        x = str(rng.choice(graph.nodes))
        later = sorted(graph.descendants(x) - {x})
        if not later:
            continue
        try:
            estimand = graph.identify(str(rng.choice(later)), x)
        except NotIdentifiableError:
            continue
        assert_derived(estimand, DiscreteSCM(graph, rng))
        longest = max(longest, len(estimand.derivation))
    assert longest > 10


@pytest.mark.parametrize(
    "text",
    [
        "w -> r -> x -> y; w <-> x; w <-> y",
        "1 -> 2 -> 3 -> x -> y; 1 <-> 3; 2 <-> x; 3 <-> y; 1 <-> y",
        "x -> y; z1 -> x; w1 -> z2 -> z1; w1 -> w2 -> z2; x <-> z2; z2 <-> y; "
        "w1 <-> w2; w2 <-> z2",
    ],
)
def test_derivations_of_general_queries(text):
    graph = CausalGraph(text)
    estimand = graph.identify("y", "x")
    assert_derived(estimand, DiscreteSCM(graph, np.random.default_rng(0)))


def test_derivation_reads_as_on_paper():
    lines = str(BACK.identify("y", "x").derivation).splitlines()
    assert lines == [
        "P(y | do(x))",
        "1. total probability: P(y | do(x)) = Σ_{z} P(y | do(x), z) P(z | do(x))",
        "2. rule 3 in G with the edges into x removed: P(z | do(x)) = P(z)",
        "3. rule 2 in G with the edges out of x removed: P(y | do(x), z) = P(y | z, x)",
    ]


def test_wrong_steps_would_be_noticed():
    """The check fails on a step that the graph does not allow."""
    from dataclasses import replace

    step = BACK.identify("y", "x").derivation[2]
    assert step.check(BACK)
    assert not step.check(CausalGraph("z -> x -> y; z -> y; x <-> y"))
    wrong = replace(step, arguments={**step.arguments, "given": ()})
    assert not wrong.check(BACK)


# -- the evaluator itself ------------------------------------------------------------


def test_sum_over_a_variable_that_does_not_occur_counts_its_values():
    value = Evaluator(["a"], [3], lambda p: np.ones(1))
    assert value(Sum(("a",), P(()))) == pytest.approx(3)


def test_zero_times_undefined_is_zero():
    parts = {("a",): np.array([0.0, 1.0]), ("b",): np.array([np.nan, np.nan])}
    value = Evaluator(["v"], [2], lambda p: parts[p.outcome])
    found = value(Product((P(("a",)), P(("b",)))))
    assert found[0] == 0 and np.isnan(found[1])


def test_formula_equals_program_on_random_graphs():
    rng = np.random.default_rng(5)
    for _ in range(200):
        graph = random_admg(rng, 5, 0.5, 0.3)
        y, x = (str(v) for v in rng.choice(graph.nodes, 2, replace=False))
        try:
            estimand = graph.identify(y, x)
        except NotIdentifiableError:
            continue
        scm = DiscreteSCM(graph, rng)
        value = Evaluator(scm.names, scm.shape, scm.term)
        np.testing.assert_allclose(
            *np.broadcast_arrays(value(estimand.formula), value(estimand.expression)),
            atol=1e-9,
        )


def test_every_do_value_and_state_count():
    graph = CausalGraph("x -> m -> y; x <-> y; z -> x; z -> y")
    scm = DiscreteSCM(
        graph, np.random.default_rng(2), states={"x": 4, "m": 3, "y": 2, "z": 3}
    )
    estimand = graph.identify("y", "x")
    for (value,) in product(range(4)):
        np.testing.assert_allclose(
            estimand.evaluate(scm.table(), {"x": value}),
            scm.effect(["y"], ["x"])[value],
            atol=1e-9,
        )
