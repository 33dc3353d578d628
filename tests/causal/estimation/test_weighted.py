"""Weighted regressions: exact on discrete models, one-step, and on continuous data."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM
from sklearn_causalrec._testing.estimation_problems import (
    exact_rows,
    make_problem,
    sample,
)
from sklearn_causalrec.causal.estimation.ratios import (
    ContinuousRatio,
    Sample,
)
from sklearn_causalrec.causal.estimation.strategies.general import (
    KernelWeights,
    backward_steps,
    weighted,
)
from sklearn_causalrec.causal.estimation.strategies.plug_in import plugin

NAPKIN = "w -> r -> x -> y; w <-> x; w <-> y"
GRAPHS = {
    "adjustment": ("z -> x -> y; z -> y", "x"),
    "front door": ("x -> m -> y; x <-> y", "x"),
    "primal": ("x -> m -> y; x <-> y; z -> x; z -> m; z -> y", "x"),
    "napkin": (NAPKIN, "x"),
    "nested": ("1 -> 2 -> 3 -> x -> y; 1 <-> 3; 2 <-> x; 3 <-> y; 1 <-> y", "x"),
    "napkin and mediator": (
        "w -> r -> x -> m -> y; x -> y; w <-> x; w <-> y; c -> m; c -> y",
        "x",
    ),
    "four districts": (
        "b -> a; b -> y; a -> d; d -> y; e -> x; x -> y; a <-> e; a <-> x; e <-> y",
        "x",
    ),
    "chain of three": (
        "a -> b -> x -> d -> e -> y; a -> d; a <-> b; b <-> d; b <-> y; x <-> y",
        "x",
    ),
    "two treatments in turn": ("z -> a -> x -> y; z -> x; a -> y; a <-> y", "zx"),
    "two treatments, weighted": (
        "b -> a; a -> c; a -> x; a -> y; c -> x; x -> y; b <-> x; a <-> c; c <-> y",
        "xb",
    ),
    "two treatments, three districts": (
        "x -> a; x -> c; x -> y; z -> b; b -> a; b -> c; b -> y; c -> y; "
        "x <-> z; z <-> a; z <-> y",
        "zx",
    ),
}
TREES = {
    "outcome_model": DecisionTreeRegressor(),
    "treatment_model": DecisionTreeClassifier(),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_exact_on_discrete_models(name):
    """With saturated nuisances and the law itself as data, the truth comes out."""
    text, treatment = GRAPHS[name]
    graph = CausalGraph(text)
    treatment = list(treatment)
    for seed in range(100):
        scm = DiscreteSCM(graph, np.random.default_rng(seed), floor=0.4)
        truth = scm.effect(["y"], treatment)[..., 1].ravel()
        if np.ptp(truth) > 0.02:
            break
    frame = exact_rows(scm, 20_000).sample(frac=1, random_state=0, ignore_index=True)
    problem = make_problem(
        graph, frame, "y", treatment, n_folds=2, clip=1e-6, **TREES
    )  # fmt: skip
    assert np.ptp(truth) > 0.02
    found = weighted(problem)
    np.testing.assert_allclose(found.nuisances.plain, truth, atol=2e-3)
    np.testing.assert_allclose(found.mean, truth, atol=2e-3)
    np.testing.assert_allclose(found.scores.mean(0), found.mean)


def test_the_graphs_are_of_many_kinds():
    kinds = set()
    for text, treatment in GRAPHS.values():
        estimand = CausalGraph(text).identify("y", list(treatment))
        chain = max(len(k.chain) for k in estimand.kernels)
        kinds.add((estimand.strategy, len(estimand.kernels), chain))
    assert {s for s, *_ in kinds} >= {"adjustment", "frontdoor", "general"}
    assert {c for s, _, c in kinds if s == "general"} == {1, 2, 3}
    assert {d for s, d, _ in kinds if s == "general"} >= {1, 2, 3, 4}


@pytest.mark.parametrize("name", ["adjustment", "primal", "napkin", "nested"])
def test_scores_are_those_of_the_saturated_model(name):
    """On discrete data the influence function is that of the joint table."""
    graph = CausalGraph(GRAPHS[name][0])
    rng = np.random.default_rng(2)
    frame = sample(DiscreteSCM(graph, rng, floor=0.5), 6000, rng)
    problem = make_problem(graph, frame, "y", "x")
    one, other = weighted(problem), plugin(problem)
    for a in range(2):
        assert np.corrcoef(one.scores[:, a], other.scores[:, a])[0, 1] > 0.98
    se = np.sqrt(np.diag(other.covariance))
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), se, rtol=0.03)
    assert (np.abs(one.mean - other.mean) < 0.25 * se).all()


def napkin(rng, n):
    """Effect 1 of x on y."""
    u, v = rng.normal(size=(2, n))
    w = 0.7 * u + 0.7 * v + 0.5 * rng.normal(size=n)
    r = rng.binomial(1, expit(0.8 * w))
    x = rng.binomial(1, expit(1.2 * r - 0.3 + 0.8 * u))
    y = x + v + 0.7 * rng.normal(size=n)
    return pd.DataFrame({"w": w, "r": r, "x": x, "y": y})


@pytest.mark.parametrize("wrong", ["nothing", "weights", "regressions"])
def test_doubly_robust_on_the_napkin(wrong):
    frame = napkin(np.random.default_rng(0), 20_000)
    models = {"treatment_model": LogisticRegression(C=100)}
    if wrong == "weights":
        models = {"treatment_model": DummyClassifier()}
    elif wrong == "regressions":
        models["outcome_model"] = DummyRegressor()
    found = weighted(make_problem(CausalGraph(NAPKIN), frame, "y", "x", **models))
    effect, error, _ = found.contrast(0, 1)
    assert error < 0.03 and abs(effect - 1) < 3 * error
    if wrong == "weights":
        assert abs(np.diff(found.nuisances.plain)[0] - 1) > 3 * error


def test_continuous_mediators_by_bayes_rule():
    """Front door: p(m) / p(m | x) from the probabilities of a binary x."""
    rng, n = np.random.default_rng(1), 10_000
    u = rng.normal(size=n)
    x = rng.binomial(1, expit(u))
    m = x + rng.normal(size=n)
    y = 0.7 * m + u + rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "m": m, "y": y})
    problem = make_problem(CausalGraph("x -> m -> y; x <-> y"), frame, "y", "x")
    found = weighted(problem)
    effect, error, _ = found.contrast(0, 1)
    assert error < 0.03 and abs(effect - 0.7) < 3 * error
    share = x.mean()
    mixed = (1 - share) * norm.pdf(m) + share * norm.pdf(m - 1)
    weight = mixed / norm.pdf(m - x)
    gap = np.log(found.nuisances.weights[0] / weight)
    assert np.median(np.abs(gap)) < 0.05


def test_ratio_of_continuous_pairs():
    rng = np.random.default_rng(0)
    a = rng.normal(size=6000)
    b = 0.5 * a + np.sqrt(0.75) * rng.normal(size=6000)
    frame = pd.DataFrame({"a": a, "b": b, "x": rng.integers(0, 2, 6000), "y": a + b})
    graph = CausalGraph("a -> b; a -> x; a -> y; b -> x; b -> y; x -> y")
    problem = make_problem(graph, frame, "y", "x", outcome_model=None)
    data = Sample(problem)
    assert data.discrete == {"x"}
    ratio = data.ratio("b", [], ["a"], np.ones(6000))
    assert isinstance(ratio, ContinuousRatio)
    truth = norm.pdf(b) / norm.pdf(b, 0.5 * a, np.sqrt(0.75))
    middle = (np.abs(a) < 2) & (np.abs(b) < 2)
    assert np.median(np.abs(np.log(ratio.value / truth))[middle]) < 0.08
    # E[w a b] = 0 is estimated with less error once corrected
    total = ratio.value * a * b
    corrected = total + ratio.correction(total)
    assert abs(corrected.mean()) < 4 * corrected.std() / np.sqrt(6000)
    assert corrected.std() < total.std()


def test_weights_use_the_smallest_conditions():
    """The mediator's density ratio rests on x alone, not on w, r and c too."""
    text, treatment = GRAPHS["napkin and mediator"]
    graph = CausalGraph(text)
    frame = sample(DiscreteSCM(graph, np.random.default_rng(0)), 500,
                   np.random.default_rng(1))  # fmt: skip
    problem = make_problem(graph, frame, "y", treatment)
    first, *_ = steps = backward_steps(problem.estimand)
    assert [s.block for s in steps] == [("y",), ("m",), ("c",)]
    assert [s.weighted for s in steps] == [True, False, False]
    layer = KernelWeights(Sample(problem), first).layers[0]
    given = [part[3] for ratio in layer.ratios for part in ratio.parts]
    assert sorted(map(sorted, given)) == [["c", "x"], ["w"]]


def test_words_and_classes():
    graph = CausalGraph(NAPKIN)
    rng = np.random.default_rng(3)
    frame = sample(DiscreteSCM(graph, rng, floor=0.4), 1500, rng)
    words = frame.assign(
        x=frame["x"].map({0: "no", 1: "yes"}),
        w=pd.Categorical(frame["w"].map({0: "a", 1: "b"})),
    )
    one = weighted(make_problem(graph, frame, "y", "x"))
    other = weighted(make_problem(graph, words, "y", "x"))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-3)


def test_no_effect_is_the_mean():
    frame = napkin(np.random.default_rng(0), 200)
    found = weighted(make_problem(CausalGraph(NAPKIN), frame, "w", "x"))
    np.testing.assert_allclose(found.mean, frame["w"].mean())
    assert found.contrast(0, 1) == (0.0, 0.0, np.inf)


def test_an_arm_with_hardly_a_row_is_named():
    frame = napkin(np.random.default_rng(0), 300).assign(x=0)
    frame.loc[17, "x"] = 1
    with pytest.raises(ValueError, match=r"only 1 rows have 'x' as row 17"):
        weighted(make_problem(CausalGraph(NAPKIN), frame, "y", "x"))
