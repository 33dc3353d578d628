"""The plug-in: value, derivative, variance, and where it must refuse."""

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM
from sklearn_causalrec._testing.estimation_problems import (
    identified_query,
    make_problem,
    sample,
)
from sklearn_causalrec.causal.estimation.strategies.plug_in import (
    SmoothTable,
    Table,
    fits_plugin,
    plugin,
)

NAPKIN = CausalGraph("w -> r -> x -> y; w <-> x; w <-> y")
FRONT = CausalGraph("x -> m -> y; x <-> y")
BACK = CausalGraph("z -> x -> y; z -> y")
NESTED = CausalGraph("1 -> 2 -> 3 -> x -> y; 1 <-> 3; 2 <-> x; 3 <-> y; 1 <-> y")
KINDS = ("adjustment", "frontdoor", "primal-fixable", "general")


def expected(problem, frame, treatment):
    """The arms' means by `Estimand.evaluate` on the frequencies."""
    table = frame.value_counts(normalize=True)
    names = [treatment] if isinstance(treatment, str) else treatment
    means = []
    for arm in problem.arms:
        arm = arm if isinstance(arm, tuple) else (arm,)
        law = problem.estimand.evaluate(table, dict(zip(names, arm)))
        means.append(law.to_numpy() @ law.index.to_numpy(float))
    return means


@pytest.mark.parametrize(
    "strategy, treatments",
    [*((kind, 1) for kind in KINDS), ("adjustment", 2), ("general", 2)],
)
def test_value_is_that_of_the_program_on_the_frequencies(strategy, treatments):
    rng = np.random.default_rng([1, treatments])
    for _ in range(4):
        graph, y, x = identified_query(rng, [strategy], treatments=treatments)
        scm = DiscreteSCM(graph, rng, states={y: 3})
        frame = sample(scm, 4000, rng)
        problem = make_problem(graph, frame, y, x)
        found = plugin(problem, smoothing=1e-9)
        np.testing.assert_allclose(found.mean, expected(problem, frame, x), atol=1e-7)
        np.testing.assert_allclose(found.scores.mean(0), found.mean)
        # smoothing vanishes faster than the error
        gap = np.abs(plugin(problem).mean - found.mean)
        assert (gap < 0.2 * np.sqrt(np.diag(found.covariance)) + 1e-3).all()


@pytest.mark.parametrize("strategy", KINDS)
def test_derivative_by_complex_step(strategy):
    rng = np.random.default_rng(7)
    for _ in range(3):
        graph, y, x = identified_query(rng, [strategy])
        estimand = graph.identify(y, x)
        scm = DiscreteSCM(graph, rng, states={x: 3})
        keep = [v for v in scm.names if v in estimand.variables]
        out = tuple(k for k, v in enumerate(scm.names) if v not in keep)
        order = [keep.index(v) for v in estimand.variables]
        p = scm.joint().sum(axis=out).transpose(order)
        # off the model, so that means over `AnyValue` matter
        p = p * rng.uniform(0.5, 1.5, p.shape)
        raw = Table(estimand.variables, p)
        table = SmoothTable(estimand.variables, p, raw)
        value = table(estimand.expression)
        seed = rng.normal(size=value.shape)
        gradient = table.gradient(estimand.expression, seed)
        for cell in rng.integers(p.size, size=12):
            q = p.astype(complex)
            q.ravel()[cell] += 1e-30j
            there = SmoothTable(estimand.variables, q, raw)(estimand.expression)
            np.testing.assert_allclose(
                gradient.ravel()[cell], (seed * there).sum().imag / 1e-30, rtol=1e-9,
                atol=1e-12,
            )  # fmt: skip


@pytest.mark.parametrize("graph", [NAPKIN, FRONT, BACK], ids="nfb")
def test_standard_error_is_the_spread_of_estimates(graph):
    rng = np.random.default_rng(3)
    scm = DiscreteSCM(graph, rng, floor=0.5)
    truth = scm.effect(["y"], ["x"])[:, 1]
    found = [
        plugin(make_problem(graph, sample(scm, 1500, rng), "y", "x"))
        for _ in range(150)
    ]
    steps = np.array([r.contrast(0, 1) for r in found])
    assert 0.85 < steps[:, 1].mean() / steps[:, 0].std() < 1.15
    error = abs(steps[:, 0].mean() - (truth[1] - truth[0]))
    assert error < 3.5 * steps[:, 0].std() / np.sqrt(150) + 2e-3


def test_values_of_the_outcome_and_words():
    rng = np.random.default_rng(0)
    scm = DiscreteSCM(BACK, rng, states={"y": 3})
    frame = sample(scm, 3000, rng)
    words = frame.assign(
        y=frame["y"].map({0: -1.5, 1: 2.0, 2: 10.0}),
        x=frame["x"].map({0: "no", 1: "yes"}),
        z=pd.Categorical(frame["z"].map({0: "a", 1: "b"})),
    )
    problem = make_problem(BACK, words, "y", "x")
    assert problem.arms == ["no", "yes"]
    law = np.array(
        [
            BACK.identify("y", "x").evaluate(
                frame.value_counts(normalize=True), {"x": a}
            )
            for a in (0, 1)
        ]
    )
    found = plugin(problem, smoothing=1e-9)
    np.testing.assert_allclose(found.mean, law @ [-1.5, 2.0, 10.0], atol=1e-7)


def test_no_effect_is_the_mean():
    frame = sample(DiscreteSCM(FRONT, np.random.default_rng(0)), 500,
                   np.random.default_rng(1))  # fmt: skip
    found = plugin(make_problem(FRONT, frame, "x", "y"))
    np.testing.assert_allclose(found.mean, frame["x"].mean(), rtol=1e-9)
    np.testing.assert_allclose(found.covariance, frame["x"].var(ddof=0) / 500)
    assert found.contrast(0, 1) == (0.0, 0.0, np.inf)


def test_structural_zero_is_named_in_spite_of_smoothing():
    frame = sample(DiscreteSCM(BACK, np.random.default_rng(0)), 2000,
                   np.random.default_rng(1))  # fmt: skip
    frame = frame[~((frame["z"] == 1) & (frame["x"] == 0))]
    rows = int((frame["z"] == 1).sum())
    problem = make_problem(BACK, frame.reset_index(drop=True), "y", "x")
    with pytest.raises(
        ValueError, match=rf"\(z = 1, x = 0\).*the {rows} rows with z ="
    ):
        plugin(problem, smoothing=5.0)


def test_undefined_values_of_a_free_choice_are_left_out():
    """The napkin holds for any r: one at which x is never 1 tells nothing."""
    rng = np.random.default_rng(2)
    scm = DiscreteSCM(NAPKIN, rng, states={"r": 3})
    frame = sample(scm, 6000, rng)
    frame = frame[~((frame["r"] == 2) & (frame["x"] == 1))].reset_index(drop=True)
    problem = make_problem(NAPKIN, frame, "y", "x")
    found = plugin(problem, smoothing=1e-9)
    np.testing.assert_allclose(found.mean, expected(problem, frame, "x"), atol=1e-7)
    np.testing.assert_allclose(plugin(problem).mean, found.mean, atol=2e-3)


def test_when_it_covers():
    rng = np.random.default_rng(0)
    frame = sample(DiscreteSCM(BACK, rng), 400, rng)
    assert fits_plugin(make_problem(BACK, frame, "y", "x"))
    assert not fits_plugin(make_problem(BACK, frame[:40], "y", "x"))
    assert not fits_plugin(
        make_problem(BACK, frame.assign(z=rng.normal(size=400)), "y", "x")
    )
    assert not fits_plugin(
        make_problem(BACK, frame.assign(y=rng.normal(size=400)), "y", "x")
    )
    with pytest.raises(ValueError, match="smoothing must be positive"):
        plugin(make_problem(BACK, frame, "y", "x"), smoothing=0)


def test_too_many_cells_are_refused():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 300, (3000, 3)), columns=["z", "x", "y"])
    frame["x"] = frame["x"] % 20
    with pytest.raises(ValueError, match=r"cells.*z: 300"):
        plugin(make_problem(BACK, frame, "y", "x"))
