"""Signs, weights and clips of the core, each by hand: what mutants of them survived."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.causal.estimation import nuisances, ratios
from sklearn_causalrec.causal.estimation.answers import ArmsAnswer
from sklearn_causalrec.causal.estimation.conditional import _regressed
from sklearn_causalrec.causal.estimation.corrected import Corrected
from sklearn_causalrec.causal.estimation.dose_response import (
    DoseResponse,
    _errors,
)
from sklearn_causalrec.causal.estimation.instruments import (
    InstrumentEffect,
    anderson_rubin_set,
)
from sklearn_causalrec.causal.estimation.problem import ArmMeans
from sklearn_causalrec.causal.estimation.query import Query
from sklearn_causalrec.causal.estimation.strategies import adjustment
from sklearn_causalrec.causal.estimation.strategies.instrument import InstrumentAnswer
from sklearn_causalrec.effects import arms as arms_module
from sklearn_causalrec.effects.additive import AdditiveLasso
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.clusters import ratio_of_means
from sklearn_causalrec.effects.compiled_stage import _Models
from sklearn_causalrec.effects.formula import outcome_weights
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import Grouped, MixedRidge
from sklearn_causalrec.effects.log_scores import LogScores
from sklearn_causalrec.effects.outcome_difference import outcome_difference_interval
from sklearn_causalrec.effects.stacked import StackedEffect
from sklearn_causalrec.encoding.checks import pair
from sklearn_causalrec.encoding.exposure import (
    TINY,
    ClassifierExposure,
    NaiveBayesExposure,
)
from sklearn_causalrec.metrics import (
    bernstein_interval,
    confidence_sequence,
    ips_confidence_sequence,
    policy_value,
)


def test_a_stack_without_weights_is_a_plain_mean():
    stage = SimpleNamespace(
        _outcome_models=[[[1, 2], [1, 2]]], weights_={},
        _outcome_weights=[np.zeros(3), np.array([1.0, 3.0, 0.0])],
    )  # fmt: skip
    assert outcome_weights(stage, 0).tolist() == [0.5, 0.5]
    assert outcome_weights(stage, 1).tolist() == [0.25, 0.75]


def test_what_is_passed_on_leaves_the_mean_alone(monkeypatch):
    score, correction = np.array([1.0, 2.0, 6.0]), np.array([3.0, 0.0, 1.0])
    weight = np.array([1.0, 1.0, 2.0])
    monkeypatch.setattr(adjustment, "arm_mean", lambda *a, **o: (score, correction))
    problem = SimpleNamespace(
        y=score, arm=np.array([0, 1, 0]), arms=[0, 1], fold=np.zeros(3, int),
        weight=weight, propensity=np.full(3, 0.5), clip=0.01, clusters=None,
    )  # fmt: skip
    found = adjustment._calibrated_scores(
        problem, None, np.zeros((3, 2)), np.ones((3, 2))
    )
    passed_on = (3 + 2) / 4
    expected = np.array([1 - 3, 2 - 0, 6 - 1]) + passed_on
    np.testing.assert_allclose(found, np.column_stack([expected, expected]))
    assert np.average(found[:, 0], weights=weight) == pytest.approx(
        np.average(score, weights=weight)
    )


def test_pairs_that_are_certain_have_finite_odds():
    odds = ClassifierExposure._odds(np.array([0.0, 0.5, 1.0]))
    assert odds[1] == 1 and 0 < odds[0] < 2 * TINY
    assert np.isfinite(odds[2]) and odds[2] > 0.4 / TINY


def test_an_asymptotic_sequence_is_equation_11():
    x = np.random.default_rng(0).normal(size=500)
    low, high = confidence_sequence(x, alpha=0.1, n_planned=200)
    t, a = 500, 0.1
    rho2 = (-2 * np.log(a) + np.log(-2 * np.log(a) + 1)) / 200
    inside = (t * rho2 + 1) / rho2 * np.log((t * rho2 + 1) / a**2)
    reach = x.std() * np.sqrt(inside) / t
    assert (high[-1] - low[-1]) / 2 == pytest.approx(reach, rel=1e-9)


def test_rows_that_are_clusters_of_their_own_agree_as_rows_do(rng):
    n = 300
    y, action = 3 + rng.normal(size=n), np.arange(n) % 2
    policy = np.column_stack([np.full(n, 0.8), np.full(n, 0.2)])
    outcome = 3 + rng.normal(size=(n, 2))
    given = dict(propensity=np.full(n, 0.5), outcome=outcome, estimator="dr")
    alone = policy_value(y, action, policy, **given)
    rows = policy_value(y, action, policy, cluster=np.arange(n), **given)
    np.testing.assert_allclose(rows.agreement, alone.agreement, rtol=0.02, atol=1e-6)
    assert np.abs(alone.agreement.to_numpy()).max() > 0.05


def test_pseudo_effects_are_differences_to_the_first_arm():
    pseudo = np.array([[1.0, 4.0, 9.0], [2.0, 2.0, 0.0]])
    given = SimpleNamespace(_means=SimpleNamespace(pseudo=pseudo), _weight=None)
    found, weight = ArmsAnswer.pseudo_effects(given)
    assert found.tolist() == [[3, 8], [0, -2]] and weight.tolist() == [1, 1]


def test_averages_over_other_rows_weigh_the_rows_of_the_log():
    weight = np.array([1.0, 3.0])
    given = SimpleNamespace(
        clusters=None, weight=weight,
        scores=np.array([[0.0, 0.0], [2.0, 6.0]]),
        fitted=np.array([[0.0, 0.0], [1.0, 1.0]]),
        influence=np.zeros((2, 2)),
        elsewhere=[None, SimpleNamespace(at=lambda X, effect, clustered: (0.5, 1.0))],
        effect=lambda X, *more: X,
        _residual=lambda t: np.zeros(2),
        _doubted=lambda found, variance, t0, t1: found,
    )  # fmt: skip
    assert ArmEffects.ate(given, 0, 1).value == pytest.approx((2 + 18) / 4)
    found = ArmEffects.ate(given, 0, 1, np.array([10.0, 20.0]))
    assert found.value == pytest.approx(15 + (1 * 1 + 3 * 5) / 4 + 0.5)


def test_chances_of_arms_are_learned_with_weights(monkeypatch):
    """Both the classifier and its calibration: one alone would hide the other."""
    weight, seen = np.array([1.0, 2.0, 3.0, 4.0]), []

    def classify(problem, X, codes, n, *, weight, salt):
        seen.append(weight)
        return lambda X: np.tile([[0.4, 0.6], [0.2, 0.8]], (2, 1))

    monkeypatch.setattr(nuisances, "classify", classify)
    problem = SimpleNamespace(
        arms=[0, 1],
        propensity=None,
        weight=weight,
        arm=np.array([0, 1, 1, 1]),
        clip=0.01,
    )
    p, raw = nuisances.arm_probabilities(problem, np.zeros((4, 1)))
    assert seen[0] is weight
    # Rows 0 and 2 share a chance: a quarter of their weight had arm 0.
    assert p[0] == pytest.approx([0.25, 0.75]) and p[2] == pytest.approx([0.25, 0.75])
    assert raw[0].tolist() == [0.4, 0.6]


def test_the_offset_of_a_contrast_is_a_weighted_mean(monkeypatch):
    """What averages within groups move is moved as the rows of the log count."""
    rng = np.random.default_rng(0)
    n, weight = 80, np.repeat([1.0, 5.0], 40)
    moved = np.repeat([0.0, 1.0], 40)

    class Within:
        doubt_, ways_ = 0.0, ("user",)

        def __init__(self, **options):
            pass

        def fit(self, X, y, treatment, **given):
            np.testing.assert_array_equal(given["sample_weight"], weight)
            self.scores_ = stages[-1].effect_oof_ + moved
            self.influence_ = np.zeros(n)
            self.outcome_oof_, self.calibrated_ = np.zeros((n, 2)), np.full(n, 0.5)
            return self

    stages, fit = [], arms_module.StackedEffect.fit

    def kept(self, *args, **options):
        stages.append(self)
        return fit(self, *args, **options)

    monkeypatch.setattr(arms_module, "AverageWithinGroups", Within)
    monkeypatch.setattr(arms_module.StackedEffect, "fit", kept)
    t = np.arange(n) % 2
    X = rng.normal(size=(n, 2))
    y = X[:, 0] + t + rng.normal(size=n)
    outcome = np.column_stack([X[:, 0], X[:, 0] + 1])
    effects = arms_module.ArmEffects(2, 0.05, 0).fit(
        X=X, y=y, arm=t, weight=weight, outcome=outcome, features=X,
        exposure=np.full((n, 2), 0.5), fold=np.arange(n) // 2 % 2,
        groups=np.arange(n)[:, None] % 9,
        outcome_by_fold=lambda rows: np.stack([outcome[rows]] * 2),
    )  # fmt: skip
    assert effects.offset[1] == pytest.approx(5 / 6)


def test_a_ratio_of_weighted_means_and_its_error():
    top, below = np.array([1.0, 4.0, 2.0]), np.array([1.0, 2.0, 3.0])
    weight = np.array([1.0, 2.0, 3.0])
    found = ratio_of_means(top, below, weight)
    ratio = (1 + 8 + 6) / (1 + 4 + 9)
    assert found.value == pytest.approx(ratio)
    relative, share = weight / 2, 14 / 6
    influence = relative * (top - ratio * below) / share
    assert found.error == pytest.approx(np.sqrt((influence**2).mean() / 3))


def test_means_of_scores_weigh_rows():
    scores = np.array([[0.0, 1.0], [0.0, 5.0], [0.0, 9.0]])
    weight = np.array([3.0, 1.0, 2.0])
    log = LogScores(scores=scores, fitted=None, weight=weight / 2, arm=np.zeros(3, int))
    values = log.between(0, 1)[0]
    found = log.mean(values)
    assert found.value == pytest.approx((3 + 5 + 18) / 6)
    part = log.mean(values, np.array([True, True, False]))
    assert part.value == pytest.approx((3 + 5) / 4) and part.degrees == 1


def test_influence_of_three_arms_weighs_rows():
    rng = np.random.default_rng(0)
    n, weight = 120, np.repeat([1.0, 3.0], 60)
    arm = np.arange(n) % 3
    X = rng.normal(size=(n, 2))
    outcome = np.column_stack([X[:, 0], X[:, 0] + 1, X[:, 0] - X[:, 1]])
    y = outcome[np.arange(n), arm] + rng.normal(size=n)
    effects = ArmEffects(3, 0.05, 0).fit(
        X=X, y=y, arm=arm, weight=weight, outcome=outcome,
        exposure=np.full((n, 3), 1 / 3), fold=np.arange(n) // 3 % 2,
        outcome_by_fold=lambda rows: np.stack([outcome[rows]] * 2),
    )  # fmt: skip
    for t in (1, 2):
        score = effects.scores[t]
        expected = weight / 2 * (score - np.average(score, weights=weight))
        np.testing.assert_allclose(effects.influence[t], expected)
        assert effects.influence[t].mean() == pytest.approx(0, abs=1e-9)


def test_regressions_within_ratios_get_the_weights(monkeypatch):
    seen = {}
    monkeypatch.setattr(ratios, "CrossFit", lambda *a, **o: seen.update(o))
    problem = SimpleNamespace(
        binary=False, outcome_model=LinearRegression(), fold=np.zeros(4, int), seed=0
    )
    weight = np.arange(4.0)
    of = object.__new__(ratios.Sample)
    of.problem = problem
    of.regression(np.zeros((4, 1)), np.zeros(4), weight=weight)
    assert seen["weight"] is weight


def test_effects_by_regression_of_scores_weigh_rows():
    """Of weighted rows, the mean of each group is the weighted one."""
    x, weight = np.repeat([0.0, 1.0], 50), np.tile([1.0, 3.0], 50)
    scores = np.column_stack([np.zeros(100), np.tile([0.0, 4.0], 50) + x])
    problem = SimpleNamespace(
        variables=SimpleNamespace(matrix=lambda names: x[:, None]),
        fold=np.arange(100) // 2 % 2, weight=weight, seed=0, n_jobs=None,
    )  # fmt: skip
    found = _regressed(problem, ["x"], scores, LinearRegression())["_fitted"]
    np.testing.assert_allclose(found[:, 1], 3 + x)


def test_many_outcomes_count_by_their_tenths():
    y = np.arange(100.0)
    known = SimpleNamespace(
        y=y, weight=np.ones(100), randomized=np.arange(100) % 2 == 0,
        propensity=np.where(np.arange(100) % 2 == 0, 0.5, np.nan),
    )  # fmt: skip
    model = NaiveBayesExposure().fit(known, None, None)
    np.testing.assert_allclose(model.edges, np.quantile(y, np.arange(1, 10) / 10))
    assert len(model.table) == 10


def test_an_effect_by_instruments_is_linear_around_the_mean_of_x():
    """The features are far from zero: a sign at their centre shows."""
    rng = np.random.default_rng(0)
    x, z, u = 10 + rng.normal(size=4000), rng.normal(size=4000), rng.normal(size=4000)
    t = z + u + rng.normal(size=4000)
    y = t * (x - 8) + u + rng.normal(size=4000)
    model = InstrumentEffect().fit(y, t, z[:, None], X=x[:, None])
    at = model.effect(np.array([[8.0], [10.0], [12.0]]), 0.0, 1.0)
    np.testing.assert_allclose(at, [0, 2, 4], atol=0.3)


def test_an_interval_by_instruments_is_as_wide_as_its_step():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 500))
    t = z + rng.normal(size=500)
    model = InstrumentEffect().fit(t + rng.normal(size=500), t, z[:, None])
    for bounds in (model.ate_interval, model.effect_interval):
        rows = x[:3, None] * 0 if bounds is model.effect_interval else None
        one = np.diff(bounds(rows, t0=0, t1=1), axis=0)
        np.testing.assert_allclose(np.diff(bounds(rows, t0=2, t1=5), axis=0), 3 * one)


def test_kernels_are_centred():
    rng = np.random.default_rng(0)
    X = rng.normal(7, 1, size=(200, 2))
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    found = KernelRidge().fit(X, y).predict(X)
    assert np.mean((found - y) ** 2) < 0.1


def test_doses_are_predicted_around_the_mean_dose():
    effect = lambda variables, t0, t1: np.array([2.0, 3.0])  # noqa: E731
    given = SimpleNamespace(_mean=(5.0, 4.0), effect=effect)
    assert InstrumentAnswer.predict(given, None, [4, 6]).tolist() == [5, 5 + 3 * 2]


def test_models_that_count_by_fold_by_hand():
    """Two folds, one row, one outcome model an arm beside the network."""
    outcome = np.array([[3.0, 7.0]])
    sums = np.array([[1.0], [2.0], [5.0], [9.0]])  # arm 0 of two folds, then arm 1
    c = np.array([0.75, 0.25])
    stage = SimpleNamespace(
        constants=np.array([0.5, 0.7]), weights=np.ones(3), has_network=True,
        shift=1.0, scale=2.0, offsets=[], learners={},
        arms=[(np.array([[0], [1]]), c), (np.array([[2], [3]]), c)],
        tables=SimpleNamespace(sums=lambda X, groups: sums.T),
    )  # fmt: skip
    out, doubt, offsets = _Models.by_fold(stage, np.zeros((1, 1)), outcome, None)
    net = (1.0, 3.0)  # in the units of the stage
    assert out[:, 0, 0].tolist() == [0.5, 0.7]
    assert out[:, 0, 2].tolist() == [2.0, 2.0]
    expected, spread = [], 0.0
    for k in (0, 1):
        pairs = [(sums[k, 0], net[0]), (sums[2 + k, 0], net[1])]
        means = [0.75 * a + 0.25 * b for a, b in pairs]
        expected.append(means[1] - means[0])
        even = (2 * c + 0.5) / 3
        for one, mean in zip(pairs, means):
            spread += (even * (np.array(one) - mean) ** 2).sum() / 2
    np.testing.assert_allclose(out[:, 0, 1], expected)
    np.testing.assert_allclose(doubt, spread)
    assert offsets.tolist() == [0]


def test_a_difference_of_outcomes_is_as_wide_as_their_spread():
    """Far from zero, so that a sum in place of a difference shows."""
    rng = np.random.default_rng(0)
    X, arm = rng.normal(size=(600, 1)), np.arange(600) % 2
    y = 1000 + X[:, 0] + arm + rng.normal(size=600)
    low, high = outcome_difference_interval(
        X, y, arm, X[:50], outcome_model=LinearRegression(),
        propensity=np.full(600, 0.5), propensity_new=np.full(50, 0.5),
    )  # fmt: skip
    assert 4 < np.mean(high - low) < 15 and abs(np.mean(high + low) / 2 - 1) < 1


def test_a_bounded_sequence_is_that_of_the_unit_interval():
    x = np.random.default_rng(0).uniform(size=300)
    unit = confidence_sequence(x, method="bernstein", lower=0, upper=1)
    moved = confidence_sequence(2 + 3 * x, method="bernstein", lower=2, upper=5)
    np.testing.assert_allclose(moved, [2 + 3 * side for side in unit])


def test_with_gaps_the_scores_are_those_of_aipw(monkeypatch):
    y, arm = np.array([10.0, 20.0, 30.0]), np.array([0, 1, 0])
    outcomes = {0: np.array([11.0, 12.0, 13.0]), 1: np.array([19.0, 18.0, 17.0])}
    propensity = np.array([[0.5, 0.5], [0.2, 0.8], [0.4, 0.6]])
    monkeypatch.setattr(
        adjustment, "regress", lambda *a, salt, **o: lambda Z: outcomes[salt]
    )
    monkeypatch.setattr(
        adjustment, "arm_probabilities", lambda problem, Z: (propensity, propensity)
    )
    problem = SimpleNamespace(
        variables=SimpleNamespace(matrix=lambda names: np.zeros((3, 1))),
        y=y, arm=arm, arms=[0, 1], weight=None, gaps=True, clusters=None,
    )  # fmt: skip
    scores = adjustment.aipw(problem, ["x"]).pseudo
    zero = [11 - 1 / 0.5, 12, 13 + 17 / 0.4]
    one = [19, 18 + 2 / 0.8, 17]
    np.testing.assert_allclose(scores, np.column_stack([zero, one]))


def test_a_curve_weighs_rows_as_weighted_least_squares_do(monkeypatch):
    """The influence of a row is what leaving it out changes: exactly so for HC3."""
    none = lambda self, X, moved: np.zeros((len(X), len(moved)))  # noqa: E731
    monkeypatch.setattr(Corrected, "passed_on", none)  # outcomes are known here

    class Known(DoseResponse):
        """Outcomes and the marginal density by dose alone: no other row speaks."""

        def _on_grid(self, k, at, Z):
            flat = np.ones(len(Z))
            return np.outer(2 + at, flat), np.outer(np.full(len(at), 0.3), flat)

    rng = np.random.default_rng(0)
    Z = rng.normal(size=(300, 1))
    t = 0.7 * Z[:, 0] + rng.normal(size=300)
    y, linear = t + Z[:, 0] ** 2 + rng.normal(size=300), LinearRegression()
    model = Known(linear, linear).fit(y, t, Z, np.arange(300) % 3)
    w, B = model.weight_, model._spline.transform(t[:, None])
    assert w.std() > 0.2 and B.shape[1] == 7  # five knots of 300 rows, by the rate
    rest = (model.pseudo_outcome_ - (2 + t)) / w

    def weighted(rows):
        root = np.sqrt(w[rows])[:, None]
        return np.linalg.lstsq(root * B[rows], root[:, 0] * rest[rows])[0]

    every = np.arange(300)
    line = np.linalg.lstsq(B, 2 + t)[0]
    np.testing.assert_allclose(model.coef_, line + weighted(every), rtol=1e-5)
    for i in (0, 7, int(w.argmax())):
        without = weighted(np.delete(every, i))
        expected = 300 * (weighted(every) - without)
        np.testing.assert_allclose(model.influence_[i], expected, rtol=1e-3, atol=1e-3)


def test_averages_by_graphs_over_other_rows_weigh_the_rows_of_the_log():
    x, weight = np.repeat([0.0, 1.0], 200), np.tile([0.5, 1.5], 200)
    pseudo = np.column_stack([np.zeros(400), np.tile([0.0, 4.0], 200) + x])
    rows = lambda x: SimpleNamespace(n=len(x), matrix=lambda names: x[:, None])  # noqa: E731
    given = SimpleNamespace(
        variables=rows(x), modifiers=("x",),
        effect=lambda v, t0, t1: np.full(v.n, 10.0),
        _means=SimpleNamespace(pseudo=pseudo, clusters=None),
        _conditional=SimpleNamespace(fitted=lambda t0, t1: 10.0),
        pseudo_effects=lambda: (None, weight),
    )  # fmt: skip
    same = ArmsAnswer.average(given, 0, 1, rows(x))
    assert same.value == pytest.approx(3 + 0.5)
    psi = weight * (pseudo[:, 1] - 3.5)
    assert same.error == pytest.approx(psi.std() / 20, rel=0.02)
    above = ArmsAnswer.average(given, 0, 1, rows(np.ones(50)))
    assert above.value == pytest.approx(3 + 1, abs=0.1) and above.error > same.error


def test_a_stack_standardises_by_weights():
    rng = np.random.default_rng(0)
    X, t, y = rng.normal(size=(60, 2)), np.arange(60) % 2, rng.normal(2, 3, 60)
    weight, fold = rng.uniform(0, 2, 60), np.arange(60) // 2 % 2
    scaled = StackedEffect()._start(X, y, t, weight, fold, None)
    assert np.average(scaled, weights=weight) == pytest.approx(0)
    assert np.average(scaled**2, weights=weight) == pytest.approx(1)


def test_rows_of_no_weight_are_no_rows_of_an_arm():
    rng = np.random.default_rng(0)
    X, y, fold = rng.normal(size=(40, 2)), rng.normal(size=40), np.arange(40) // 2 % 2
    for arm in (0, 1):
        t = np.arange(40) % 2
        weight = np.where((t == arm) & (fold == 0), 0.0, 1.0)  # all that fold 1 has
        with pytest.raises(ValueError, match="without fold 1 an arm has fewer"):
            StackedEffect()._start(X, y, t, weight, fold, None)


def test_scores_of_weighted_means():
    pseudo, weight = np.array([[0.0, 2.0], [4.0, 6.0]]), np.array([0.5, 1.5])
    means = ArmMeans(pseudo, "", "", weight=weight)
    assert means.mean.tolist() == [3, 5]
    assert means.scores.tolist() == [[1.5, 3.5], [4.5, 6.5]]


def test_an_additive_learner_weighs_rows():
    """Of two lines that cancel, the one without weight does not count."""
    X = np.random.default_rng(0).normal(size=(400, 1))
    y, weight = np.r_[X[:200, 0], -X[200:, 0]], np.repeat([1.0, 0.0], 200)
    found = AdditiveLasso().fit(X, y, weight).predict(X)
    np.testing.assert_allclose(found, X[:, 0], atol=0.2)


def test_levels_within_ratios_are_weighted_means():
    codes, target = np.array([0, 0, 1, 1] * 2), np.arange(8.0)
    given = SimpleNamespace(weight=np.array([1.0, 3, 2, 0] * 2), sample=None)
    means = SimpleNamespace(fold=np.arange(8) // 4)
    seen = []

    def regression(X, target, *, rows, weight):
        seen.append(weight[rows])
        return lambda X: np.full(len(X), np.average(target[rows], weights=weight[rows]))

    given.sample = SimpleNamespace(
        problem=means, n=8, matrix=lambda names: np.zeros((8, 1)), regression=regression
    )
    expected = [(0 + 3 * 1 + 4 + 3 * 5) / 8, (2 + 6) / 2]
    for names in ((), ("x",)):
        found = ratios.DiscreteRatio._levels(given, codes, names, target)
        np.testing.assert_allclose(found, np.tile(expected, (8, 1)))
    assert [list(w) for w in seen] == [[1, 3, 1, 3], [2, 0, 2, 0]]


def test_the_effect_on_the_treated_clips_probabilities():
    e = np.array([0.001, 0.5, 0.5, 0.9])
    given = SimpleNamespace(
        y=np.array([1.0, 2.0, 4.0, 8.0]), arm=np.array([0, 0, 1, 1]), clip=0.01,
        propensity=np.column_stack([np.array([0.0, 0.5, 0.5, 0.1]), e]),
        outcomes=np.zeros((4, 2)), weight=np.ones(4), clusters=None,
        _doubted=lambda found, variance, t0, t1: found,
    )  # fmt: skip
    expected = (4 + 8 - 1 * 0.001 / 0.01 - 2 * 0.5 / 0.5) / 2
    assert ArmEffects.att(given, 0, 1).value == pytest.approx(expected)


def test_a_curve_bounds_its_weights():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(300, 1))
    t, linear = 2 * Z[:, 0] + rng.normal(size=300), LinearRegression()
    fold = np.arange(300) % 3
    free = DoseResponse(linear, linear).fit(t, t, Z, fold).weight_
    bounded = DoseResponse(linear, linear, clip=0.5).fit(t, t, Z, fold).weight_
    np.testing.assert_allclose(bounded, np.minimum(free, 2))
    assert free.max() > 2.5


def test_errors_below_rounding_are_zero():
    assert _errors(np.eye(2), np.diag([-1e-20, 4.0])).tolist() == [0, 2]


@pytest.mark.parametrize("given", [(1, 2), [1, 2], np.array([1, 2])])
def test_two_of_a_kind(given):
    assert pair(given, "bounds") == [1, 2]


@pytest.mark.parametrize("given", [3, "ab", np.array(3), (1, 2, 3), {1, 2}])
def test_what_is_not_two(given):
    with pytest.raises(ValueError, match="bounds"):
        pair(given, "bounds")


def test_noise_with_fewer_rows_than_offsets_stays_finite():
    """Every row is a group of its own: no row is left for the noise."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    groups = np.column_stack([np.arange(12), np.arange(12)])
    model = MixedRidge().fit(Grouped(X, groups), y, np.ones(12))
    assert np.isfinite(model.variances_).all() and (model.variances_ > 0).all()


@pytest.mark.parametrize(
    "asks",
    [
        lambda a: CausalDNNRecommender().effect_interval([[0.0]], alpha=a),
        lambda a: CausalDNNRecommender().att_interval(alpha=a),
        lambda a: CausalDNNRecommender().ate_interval(alpha=a),
        lambda a: anderson_rubin_set(np.zeros(5), np.zeros(5), np.ones((5, 1)), a),
        lambda a: bernstein_interval("no numbers", lower=0, upper=1, alpha=a),
        lambda a: ips_confidence_sequence("no numbers", 1, alpha=a),
    ],
)
def test_alpha_is_refused_before_anything_else(asks):
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        asks(2.0)


def test_what_is_summed_may_modify_an_effect():
    query = SimpleNamespace(
        graph=SimpleNamespace(descendants=lambda names: {"M"}), treatments=("T",),
        adjustment=None, program=object(), estimand=SimpleNamespace(summed=("C", "D")),
    )  # fmt: skip
    given = {"C": True, "CD": True, "CE": False, "CDE": False, "M": False, "": True}
    for names, known in given.items():
        assert Query._is_identified_given(query, names) is known, names
