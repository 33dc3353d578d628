"""Products of conditionals against exact interventional means."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_causalrec import CausalGraph, DoCalculusEffect, NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM, random_admg
from sklearn_causalrec.causal.estimation.answers import ArmsAnswer
from sklearn_causalrec.causal.estimation.nuisances import ArmRegression
from sklearn_causalrec.causal.estimation.problem import Problem, Variables
from sklearn_causalrec.causal.estimation.program import (
    Program,
    SequentialMean,
    path_effects,
)
from sklearn_causalrec.causal.estimation.query import Options, Query
from sklearn_causalrec.causal.estimation.strategies.sequential import sequential
from sklearn_causalrec.effects.clusters import ratio_of_means
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


def test_errors_count_what_a_clip_leaves_to_the_regression(monkeypatch):
    """A mediator that the arms hardly share: clipped, weights no longer make up for
    what splines err beyond an arm's own rows. Without it the ratio is 0.43."""
    graph, found = CausalGraph("T -> M -> Y; T <-> Y"), []
    splines = make_pipeline(
        SplineTransformer(4, extrapolation="linear"), LinearRegression()
    )
    models = dict(outcome_model=splines, treatment_model=LogisticRegression())
    for seed in range(40):
        rng = np.random.default_rng([3, seed])
        U = rng.normal(size=1500)
        T = rng.binomial(1, 1 / (1 + np.exp(-2 * U)))
        M = 2 * T + rng.normal(size=1500)
        frame = pd.DataFrame(dict(T=T, M=M, Y=M + 2 * U + rng.normal(size=1500)))
        problem = make_problem(graph, frame, "Y", ["T"], clip=0.05, **models)
        found.append(sequential(problem).contrast(0, 1))
    estimates, errors, _ = np.transpose(found)
    assert abs(estimates.mean() - 2) < 4 * estimates.std() / np.sqrt(40)
    assert 0.75 < errors.mean() / estimates.std() < 1.3
    none = lambda self, X, *given: np.zeros(len(X))  # noqa: E731
    monkeypatch.setattr(SequentialMean, "_passed_on", none)
    value, error, _ = sequential(problem).contrast(0, 1)
    assert value == pytest.approx(estimates[-1], abs=1e-12)  # it is left alone
    assert error < 0.7 * errors[-1]


def test_what_is_passed_on_never_makes_an_error_smaller():
    """Rows that weigh half as much too much, or too little: alpha is 1/2, or -1/2."""
    rng = np.random.default_rng(0)
    X, rest, weight = rng.normal(size=(4000, 1)), rng.normal(size=4000), np.ones(4000)
    of = SimpleNamespace(problem=SimpleNamespace(outcome_model=None), n_folds=2)
    given = of, X, weight
    none = SequentialMean._passed_on(*given, weight / 2, rest, None)
    np.testing.assert_array_equal(none, 0)
    found = SequentialMean._passed_on(*given, -weight / 2, rest, None)
    expected = rest.mean() / 2 - rest / 2
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01)


def test_a_score_is_what_its_row_adds():
    """More rows of a cell move the front-door formula as their scores say (Gateaux).

    What M does to Y depends on U, and so on T: the step of T's own law shows.
    """
    graph, cells = CausalGraph("T -> M -> Y; T <-> Y"), []
    for u, t, m, y in np.ndindex(2, 2, 2, 2):
        chance = (0.8 if t == u else 0.2) * (0.8 if m == t else 0.2) / 2
        chance *= 0.9 if y == m * u else 0.1
        cells += [(t, m, y)] * round(20_000 * chance)
    frame = pd.DataFrame(cells, columns=["T", "M", "Y"])

    def front_door(log):
        mean = log.groupby(["M", "T"]).Y.mean().unstack() @ log["T"].value_counts(True)
        return log.groupby("T").M.mean().diff()[1] * mean.diff()[1]

    fitted = sequential(make_problem(graph, frame, "Y", ["T"], **SATURATED))
    scores = fitted.scores[:, 1] - fitted.scores[:, 0]
    for cell, rows in frame.groupby(["T", "M", "Y"]).indices.items():
        longer = pd.concat([frame, frame.iloc[rows[:100]]], ignore_index=True)
        expected = front_door(longer) - front_door(frame)
        found = 100 / len(longer) * (scores[rows].mean() - scores.mean())
        assert found == pytest.approx(expected, rel=0.1), cell


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


# -- effects along paths, and on the treated -----------------------------------------


def on_the_way(graph, treatments, mediators, outcome):
    """What lies on directed paths from treatments to mediators, and leads on."""
    import networkx as nx

    G = nx.DiGraph(e for e in graph.directed_edges if e[1] not in treatments)
    G.add_nodes_from(graph.nodes)
    after = {v for x in treatments for v in nx.descendants(G, x)}
    between = after & nx.ancestors(G, outcome)
    if not between >= set(mediators):
        return None
    return between & {v for m in mediators for v in {m, *nx.ancestors(G, m)}}


def crossed_mean(scm, graph, treatments, through, outcome, control, arm):
    """E[Y(arm, M(control))], by sums over all latents."""
    reads = {
        v: {
            x: (control if v in through else arm)[k]
            for k, x in enumerate(treatments)
            if (x, v) in graph.directed_edges
        }
        for v in graph.nodes
        if v not in treatments
    }
    return scm.counterfactual(outcome, reads)[1]


def path_problems(seeds):
    """Random problems with mediators; None where these are refused."""
    for rng, graph, y, x in queries(*seeds):
        others = [v for v in graph.nodes if v not in (y, *x)]
        chosen = rng.permutation(others)[:2].tolist()
        names = [v for v in chosen if on_the_way(graph, x, [v], y)]
        if not names:
            continue
        query, options = None, Options(mediators=names)
        try:
            query = Query(graph, y, tuple(x), tuple(others), options)
        except ValueError as error:
            assert "not identified" in str(error)
        yield rng, graph, y, x, names, query


def check_paths(scm, graph, y, x, names, query):
    problem = make_problem(graph, expanded(scm, 20_000), y, x, **SATURATED)
    found = path_effects(query, problem, 0)["estimate"].to_numpy()[-3:]
    arms = (0,) * len(x), (1,) * len(x)

    def mean(through):
        return crossed_mean(scm, graph, x, through, y, *arms)

    base, full = mean(graph.nodes), mean(())
    crossed = mean(on_the_way(graph, x, names, y))
    truth = [full - base, crossed - base, full - crossed]
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_paths_equal_to_the_exact_means_on_random_graphs():
    counts = Counter()
    for rng, graph, y, x, names, query in path_problems((0, 260)):
        counts["refused" if query is None else len(x)] += 1
        if query is not None:
            check_paths(DiscreteSCM(graph, rng), graph, y, x, names, query)
    # one treatment, and several that are set together
    assert min(counts[1], counts[2], counts[3]) > 3 and counts["refused"]


@pytest.mark.parametrize(
    "text, x, names",
    [
        # V is a mediator, and shares a law with W, which is none: that of the arm
        ("T -> W -> Y; T -> L -> V -> Y; V <-> W", ["T"], ["V"]),
        # the second treatment follows from a mediator of the first
        ("A -> M -> B -> Y; M -> Y; A -> Y; A <-> B", ["A", "B"], ["M"]),
        ("A -> M; B -> M; A -> Y; B -> Y; M -> Y; C -> A; C -> B; C -> Y", "AB", "M"),
        # what comes before the second treatment is not on the way once that is set
        ("A -> L -> B -> M -> Y; L -> Y; A -> Y", "AB", "M"),
    ],
)
def test_paths_of_named_graphs(text, x, names):
    graph, x = CausalGraph(text), list(x)
    others = tuple(v for v in graph.nodes if v not in ("Y", *x))
    query = Query(graph, "Y", tuple(x), others, Options(mediators=list(names)))
    scm = DiscreteSCM(graph, np.random.default_rng(22))
    check_paths(scm, graph, "Y", x, names, query)


def on_treated(scm, graph, arms=(0, 1)):
    """E[Y(t1) - Y(t0) | T = t1], by sums over all latents."""
    t0, t1 = arms
    reads = {v: {"T": t0} for v in graph.children("T")}
    without = scm.counterfactual("Y", reads, keep=["T"])
    with_it = scm.counterfactual("Y", {}, keep=["T"])
    return (with_it[t1, 1] - without[t1, 1]) / with_it[t1].sum()


FRONT = "C -> T; C -> Y; C -> M; T -> M -> Y; T <-> Y"


@pytest.mark.parametrize(
    "text, seed, strategies",
    [
        (FRONT, 6, ["auto", "sequential"]),
        ("T -> M -> L -> Y; T -> Y; T <-> L", 172, ["auto", "primal-fixable"]),
        ("W -> R -> T -> Y; W <-> T; W <-> Y", 371, ["auto", "general"]),  # napkin
        ("C -> T -> Y; C -> Y", 59, ["auto", "plug-in"]),
        ("T -> M; T <-> Y; Y -> M", 0, ["auto"]),  # no effect
    ],
)
def test_effect_on_the_treated_is_exact(text, seed, strategies):
    graph = CausalGraph(text)
    scm = DiscreteSCM(graph, np.random.default_rng(seed), floor=0.1)
    frame, truth = expanded(scm, 20_000), on_treated(scm, graph)
    whole = np.diff(scm.effect(["Y"], ["T"])[..., 1].ravel())[0]
    assert strategies == ["auto"] or abs(truth - whole) > 0.1
    for strategy in strategies:
        model = DoCalculusEffect(
            graph, treatment="T", outcome="Y", strategy=strategy, effect_model=None,
            random_state=0, **SATURATED,
        ).fit(frame.drop(columns="Y"), frame["Y"])  # fmt: skip
        low, high = model.att_interval()
        assert model.att() == pytest.approx(truth, abs=0.015)
        assert low < model.att() < high or truth == 0
        other = model.att(T0=1, T1=0)
        assert other == pytest.approx(on_treated(scm, graph, (1, 0)), abs=0.015)
        assert model.att(T0=1, T1=1) == 0


def test_effect_on_the_treated_of_three_arms():
    """The means do not tell it; the rows of two arms do, where the message says so."""
    graph = CausalGraph(FRONT)
    scm = DiscreteSCM(graph, np.random.default_rng(2), states={"T": 3})
    frame = expanded(scm, 20_000)
    model = DoCalculusEffect(
        graph, treatment="T", outcome="Y", effect_model=None, random_state=0
    )
    X, y = frame.drop(columns="Y"), frame["Y"]
    with pytest.raises(ValueError, match="Fit to the rows of the two arms alone"):
        model.fit(X, y).att(T0=0, T1=2)
    keep = X["T"] != 1
    found = model.fit(X[keep], y[keep]).att(T0=0, T1=2)
    assert found == pytest.approx(on_treated(scm, graph, (0, 2)), abs=0.01)
    back = CausalGraph("C -> T -> Y; C -> Y")
    frame = expanded(DiscreteSCM(back, np.random.default_rng(2), states={"T": 3}), 2000)
    model.set_params(graph=back).fit(frame.drop(columns="Y"), frame["Y"])
    with pytest.raises(ValueError, match="Set strategy='adjustment', which tells it"):
        model.att(T0=0, T1=2)
    assert (
        model.set_params(strategy="adjustment")
        .fit(frame.drop(columns="Y"), frame["Y"])
        .att(T0=0, T1=2)
    )
    none = CausalGraph("T -> M; T <-> Y; Y -> M")
    frame = expanded(DiscreteSCM(none, np.random.default_rng(2), states={"T": 3}), 2000)
    model.set_params(graph=none, strategy="auto")
    assert model.fit(frame.drop(columns="Y"), frame["Y"]).att(T0=0, T1=2) == 0
    both = CausalGraph("A -> L -> B -> Y; A -> B; A -> Y; L -> Y; L <-> Y")
    frame = expanded(DiscreteSCM(both, np.random.default_rng(2)), 2000)
    model.set_params(graph=both, treatment=["A", "B"], strategy="auto")
    model.fit(frame.drop(columns="Y"), frame["Y"])
    with pytest.raises(ValueError, match="it by adjustment only"):
        model.att(T0=(0, 0), T1=(1, 1))


def test_error_of_a_ratio_of_means():
    """Against leaving out each row."""
    rng = np.random.default_rng(0)
    below = rng.binomial(1, 0.3, 400)
    top, weight = below * rng.normal(5, 1, 400), rng.uniform(0.5, 2, 400)
    total, count = weight * top, weight * below
    without = (total.sum() - total) / (count.sum() - count)
    jackknife = np.sqrt(399 * without.var())
    value, error, _ = ratio_of_means(top, below, weight)
    assert value == pytest.approx(total.sum() / count.sum())
    assert error == pytest.approx(jackknife, rel=0.01)


def test_error_of_the_effect_on_the_treated():
    """The effect depends on C, of which the treated have more."""
    found, truths = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        C, u = rng.normal(size=(2, 1000))
        T = rng.binomial(1, 1 / (1 + np.exp(-C - u)))
        M = T * (1 + C) + rng.normal(size=1000)
        frame = pd.DataFrame(dict(C=C, T=T, M=M, Y=M + C + u + rng.normal(size=1000)))
        problem = make_problem(CausalGraph(FRONT), frame, "Y", ["T"], **LINEAR)
        answer = ArmsAnswer(problem, sequential(problem), strategy="frontdoor")
        found.append(answer.average_on_treated(0, 1))
        truths.append(C[T == 1].mean())
    estimates, errors, _ = np.transpose(found)
    assert abs(estimates.mean() - 1 - np.mean(truths)) < 4 * estimates.std() / 40**0.5
    assert np.mean(truths) > 0.3
    assert 0.7 < errors.mean() / estimates.std() < 1.35
