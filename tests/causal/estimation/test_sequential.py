"""Products of conditionals against exact interventional means."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_causalrec import CausalGraph, NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM, random_admg
from sklearn_causalrec.causal.estimation.nuisances import ArmRegression
from sklearn_causalrec.causal.estimation.problem import Problem, Variables
from sklearn_causalrec.causal.estimation.program import Program
from sklearn_causalrec.causal.estimation.strategies.sequential import sequential
from sklearn_causalrec.effects.cross_fitting import stratified_folds


def expanded(scm, n=50_000):
    """Rows in the proportions of the exact joint: no sampling error to speak of."""
    table = scm.table()
    counts = np.floor(table.to_numpy() * n + 0.5).astype(int)
    rows = np.repeat(np.arange(len(table)), counts)
    return table.index.to_frame(index=False).iloc[rows].reset_index(drop=True)


def make_problem(graph, frame, outcome, treatments, n_folds=2, **models):
    frame = frame.copy()
    y = frame.pop(outcome).to_numpy(float)
    levels, arm = np.unique(frame[treatments].to_numpy(), axis=0, return_inverse=True)
    arm, arms = arm.ravel(), [tuple(level) for level in levels.tolist()]
    if len(treatments) == 1:
        arms = [level for (level,) in arms]
    fold = stratified_folds(arm, n_folds, np.random.RandomState(0))
    return Problem(
        graph.identify(outcome, treatments), Variables(frame), y, arms, arm, fold,
        **models,
    )  # fmt: skip


SATURATED = dict(
    outcome_model=DecisionTreeRegressor(),
    treatment_model=DecisionTreeClassifier(),
    clip=1e-6,
)


LINEAR = dict(outcome_model=LinearRegression(), treatment_model=LogisticRegression())


def queries(first, last):
    """Random identified queries on random graphs that are programs."""
    for seed in range(first, last):
        rng = np.random.default_rng(seed)
        graph = random_admg(rng, int(rng.integers(3, 7)))
        nodes = list(graph.topological_order)
        k = min(int(rng.integers(1, 4)), len(nodes) - 2)
        x = rng.choice(nodes[:-1], size=max(1, k), replace=False).tolist()
        try:
            estimand = graph.identify(nodes[-1], x)
        except NotIdentifiableError:
            continue
        if estimand.strategy != "no-effect" and Program.of(estimand) is not None:
            yield rng, graph, nodes[-1], x


def test_equal_to_the_exact_means_on_random_graphs():
    strategies = set()
    for rng, graph, y, x in queries(0, 120):
        scm = DiscreteSCM(graph, rng)
        problem = make_problem(graph, expanded(scm), y, x, **SATURATED)
        means = sequential(problem)
        truth = scm.effect([y], x)[..., 1].ravel()
        np.testing.assert_allclose(means.mean, truth, atol=0.012)
        np.testing.assert_allclose(means.scores.mean(0), means.mean)
        copied = len(Program.of(problem.estimand).copied)
        strategies.add((problem.estimand.strategy, len(x), copied))
    # one treatment and several; front door; copies of none and of one treatment
    assert {s for s, *_ in strategies} >= {"adjustment", "frontdoor"}
    assert {copied for *_, copied in strategies} >= {0, 1}


@pytest.mark.parametrize(
    "text, x, y, strategy",
    [
        ("T -> M -> Y; T <-> Y", ["T"], "Y", "frontdoor"),
        (
            "C -> T; C -> Y; T -> M1 -> M2 -> Y; T -> M2; M1 -> Y; T <-> Y",
            ["T"],
            "Y",
            "frontdoor",
        ),
        ("T -> M -> L -> Y; T -> Y; T <-> L", ["T"], "Y", "primal-fixable"),
        ("A -> L -> B -> Y; A -> B; A -> Y; L -> Y; L <-> Y", ["A", "B"], "Y", None),
        # two districts of the outcome's causes in one district of the graph
        ("T -> M -> A; M -> Y; A -> Y; T <-> A; T <-> Y", ["T"], "Y", None),
    ],
)
def test_named_graphs(text, x, y, strategy):
    graph = CausalGraph(text)
    scm = DiscreteSCM(graph, np.random.default_rng(1), states={x[0]: 3, "Y": 2})
    problem = make_problem(graph, expanded(scm), y, x, **SATURATED)
    if strategy:
        assert problem.estimand.strategy == strategy
    means = sequential(problem)
    truth = scm.effect([y], x)[..., 1].ravel()
    np.testing.assert_allclose(means.mean, truth, atol=0.012)


def test_a_chain_of_kernels_is_no_program():
    napkin = CausalGraph("W -> R -> X -> Y; W <-> X; W <-> Y").identify("Y", "X")
    assert Program.of(napkin) is None


def frontdoor_log(rng, n=4000):
    u = rng.normal(size=n)
    t = rng.binomial(1, 1 / (1 + np.exp(-u)))
    m = t + rng.normal(size=n)
    y = m + u + rng.normal(size=n)
    return pd.DataFrame({"T": t, "M": m, "Y": y})


@pytest.mark.parametrize("wrong", ["outcome_model", "treatment_model"])
def test_doubly_robust(wrong):
    from sklearn.dummy import DummyClassifier, DummyRegressor

    models = dict(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression()
    )
    broken = dict(outcome_model=DummyRegressor(), treatment_model=DummyClassifier())
    graph = CausalGraph("T -> M -> Y; T <-> Y")
    frame = frontdoor_log(np.random.default_rng(0), 20_000)
    models[wrong] = broken[wrong]
    one = sequential(make_problem(graph, frame, "Y", ["T"], **models))
    estimate, error, _ = one.contrast(0, 1)
    assert abs(estimate - 1) < 4 * error and error < 0.05
    both = sequential(make_problem(graph, frame, "Y", ["T"], **broken))
    assert abs(both.contrast(0, 1)[0] - 1) > 0.5


def test_scores_are_an_influence_function():
    """The standard error matches the spread over logs."""
    graph = CausalGraph("T -> M -> Y; T <-> Y")
    models = dict(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression()
    )
    found = []
    for seed in range(40):
        frame = frontdoor_log(np.random.default_rng(seed), 800)
        problem = make_problem(graph, frame, "Y", ["T"], **models)
        found.append(sequential(problem).contrast(0, 1))
    estimates, errors, _ = np.transpose(found)
    assert abs(estimates.mean() - 1) < 4 * estimates.std() / np.sqrt(40)
    # 40 draws: the ratio of deviations has a standard error of 11 %
    assert 0.7 < errors.mean() / estimates.std() < 1.35


def test_treatments_never_seen_together():
    graph = CausalGraph("A -> L -> B -> Y; A -> Y; L -> Y; A -> B; L <-> Y")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 300)
    frame = pd.DataFrame({"A": a, "L": rng.normal(size=300), "B": a})
    frame["Y"] = rng.normal(size=300)
    problem = make_problem(graph, frame, "Y", ["A", "B"])
    problem.arms = [(0, 0), (0, 1)]
    with pytest.raises(ValueError, match=r"0 rows have A = 0\.0, B = 1\.0"):
        sequential(problem)


def far_mediator(seed, n=3000):
    """A mediator that the treatment moves by two standard deviations."""
    rng = np.random.default_rng(seed)
    U = rng.normal(size=n)
    T = rng.binomial(1, 1 / (1 + np.exp(-U)))
    M = 2 * T + rng.normal(size=n)
    y = np.sin(M) + M + U + rng.normal(size=n)
    graph = CausalGraph("T -> M -> Y; T <-> Y")
    return make_problem(graph, pd.DataFrame(dict(T=T, M=M, Y=y)), "Y", ["T"])


def test_rows_of_the_other_arm_tell_what_own_rows_do_not():
    problem = far_mediator(0)
    treatments = problem.arm[:, None]
    X = problem.variables.matrix(["M"])
    fit = ArmRegression(problem, X, treatments, [0], problem.y, first=True, salt=0)
    assert fit.share > 0.1
    rng = np.random.default_rng(1)
    M = rng.normal(2, 1, size=(2000, 1))  # as where T = 1
    truth = np.sin(M[:, 0]) + M[:, 0]

    def error(model, X):
        found = np.mean([model.by(k, X) for k in range(2)], 0)
        # the outcome's mean where T = 0 differs by a constant that U brings
        return np.std(found - truth)

    assert error(fit, M) < 0.85 * error(fit.own, M)


def test_a_model_that_is_named_sees_the_rows_of_its_arm_alone():
    problem = far_mediator(0)
    problem.outcome_model = LinearRegression()
    treatments = problem.arm[:, None]
    X = problem.variables.matrix(["M"])
    fit = ArmRegression(problem, X, treatments, [1], problem.y, first=True, salt=0)
    assert fit.shared is None
    rows = (problem.arm == 1) & (problem.fold != 0)
    alone = LinearRegression().fit(X[rows], problem.y[rows])
    np.testing.assert_allclose(fit.by(0, X), alone.predict(X))
