"""Effects by R-stacking against simulated truths and closed forms."""

import pickle

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression

from sklearn_causalrec.effects import stacked
from sklearn_causalrec.effects.learners import Bins, Grouped, MixedRidge
from sklearn_causalrec.effects.stacked import StackedEffect, convex_weights

pytestmark = pytest.mark.filterwarnings("ignore")


def log(n=2000, seed=0, slope=1.0, binary=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    t = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    effect = 1 + slope * X[:, 1]
    if binary:
        effect = 0.2 + 0.15 * np.tanh(X[:, 1])
        y = rng.binomial(1, 0.3 + 0.1 * np.tanh(X[:, 0]) + t * effect)
    else:
        y = 2 * X[:, 0] + t * effect + rng.normal(size=n)
    return X, y, t, effect


@pytest.fixture(scope="module")
def fitted():
    X, y, t, effect = log()
    return StackedEffect(random_state=0).fit(X, y, t), X, y, t, effect


def error(a, b):
    return np.sqrt(np.mean((a - b) ** 2))


def test_effect_and_average_of_a_confounded_log(fitted):
    stage, _, y, t, effect = fitted
    X_new, _, _, truth = log(seed=1)
    assert error(stage.effect(X_new), truth) < 0.25
    naive = y[t == 1].mean() - y[t == 0].mean()
    assert abs(naive - effect.mean()) > 0.5
    assert abs(stage.ate_ - effect.mean()) < 4 * stage.ate_stderr_ < 0.4
    low, high = stage.ate_interval()
    assert low < stage.ate_ < high
    np.testing.assert_allclose(stage.ate_, stage.scores_.mean())
    np.testing.assert_allclose(stage.influence_.mean(), 0, atol=1e-9)


def test_weights_are_convex(fitted):
    weights = np.array(list(fitted[0].weights_.values()))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1)


def test_a_constant_effect_stays_nearly_constant():
    X, y, t, effect = log(slope=0.0, seed=3)
    assert error(StackedEffect(random_state=0).fit(X, y, t).effect(X), effect) < 0.2


def test_binary_outcome_gives_a_difference_of_risks():
    X, y, t, effect = log(n=6000, seed=2, binary=True)
    stage = StackedEffect(random_state=0).fit(X, y, t)
    assert error(stage.effect(X), effect) < 0.08 < effect.std()
    assert abs(stage.ate_ - effect.mean()) < 4 * stage.ate_stderr_ < 0.08


def test_units_follow_the_outcome(fitted):
    stage, X, y, t, _ = fitted
    other = StackedEffect(random_state=0).fit(X, 1000 * y + 5e4, t)
    np.testing.assert_allclose(
        other.effect(X), 1000 * stage.effect(X), rtol=1e-3, atol=5
    )
    np.testing.assert_allclose(other.ate_, 1000 * stage.ate_, rtol=1e-3)


def test_refits_and_threads_are_bit_identical(fitted):
    stage, X, y, t, _ = fitted
    again = StackedEffect(n_jobs=1, random_state=0).fit(X, y, t)
    assert np.array_equal(again.effect(X), stage.effect(X))
    assert again.ate_interval() == stage.ate_interval()
    copy = pickle.loads(pickle.dumps(stage))
    assert np.array_equal(copy.effect(X), stage.effect(X))


def test_rows_of_weight_zero_do_not_count():
    """Half of the rows carry another effect and no weight."""
    X, y, t, effect = log(n=3000, seed=4)
    w = np.r_[np.ones(1500), np.zeros(1500)]
    y[1500:] += 10 * t[1500:]
    stage = StackedEffect(random_state=0).fit(X, y, t, sample_weight=w)
    assert error(stage.effect(X), effect) < 0.3
    assert abs(stage.ate_ - effect[:1500].mean()) < 4 * stage.ate_stderr_ < 0.6


def test_folds_are_those_given(fitted):
    """A row's cross-fitted effect does not depend on its own outcome."""
    _, X, y, t, _ = fitted
    fold = np.arange(len(y)) % 3
    given = dict(fold=fold, propensity=np.full(len(y), 0.5))
    first = StackedEffect(random_state=0).fit(X, y, t, **given)
    changed = y + np.where(fold == 1, np.random.default_rng(0).normal(size=len(y)), 0)
    second = StackedEffect(random_state=0).fit(X, changed, t, **given)
    same = [a[1] for a in (first._outcome_models, second._outcome_models)]
    scales = [s._scale for s in (first, second)]
    a, b = (
        m[0][0].predict(X) * s + f._shift
        for m, s, f in zip(same, scales, (first, second))
    )
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_known_propensities_are_used_as_they_are(fitted):
    _, X, y, t, _ = fitted
    e = 1 / (1 + np.exp(-X[:, 0].astype(float)))
    stage = StackedEffect(random_state=0).fit(X, y, t, propensity=e)
    np.testing.assert_array_equal(stage.propensity_, e)
    np.testing.assert_array_equal(stage.calibrated_, e)


def test_effects_of_rows_are_learned_with_probabilities_inside_the_clip(fitted):
    _, X, y, t, _ = fitted
    e = 1 / (1 + np.exp(-3 * X[:, 0].astype(float)))
    assert (e < 0.05).any()
    one, other = (
        StackedEffect(clip=0.1, random_state=0).fit(X, y, t, propensity=p)
        for p in (e, np.clip(e, 0.1, 0.9))
    )
    assert one.weights_ == other.weights_
    np.testing.assert_array_equal(one.effect_oof_, other.effect_oof_)


@pytest.mark.parametrize("known", [True, False])
def test_probabilities_of_a_rare_arm_reach_the_average_below_the_clip(known):
    """With 3 % treated and a clip of 0.05 the least weight is 1 / 0.003, not 20."""
    rng = np.random.default_rng(4)
    n, p = 4000, np.repeat([0.01, 0.05], 2000)
    X = np.column_stack([p > 0.03, rng.normal(size=n)]).astype(np.float32)
    t = rng.binomial(1, p)
    y = X[:, 1] + t + rng.normal(size=n)
    given = dict(fold=np.arange(n) % 3, propensity=p if known else None)
    stage = StackedEffect(clip=0.05, random_state=0).fit(X, y, t, **given)
    low, one = X[:, 0] == 0, t == 1
    assert stage.calibrated_[low].mean() == pytest.approx(0.01, abs=0.005)
    # The score of a treated row is what its outcome is off, times its weight.
    rows = np.flatnonzero(low & one)
    off = y[rows] - stage.outcome_oof_[rows, 1]
    weight = np.polyfit(off, stage.scores_[rows], 1)[0]
    assert weight > (90 if known else 50)


def test_a_good_network_is_used_and_its_outcomes_are_asked_for():
    """A network that knows the outcomes, nonlinear ones, takes the weight."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(1500, 4))
    t = rng.binomial(1, 0.5, size=1500)
    effect = np.sin(3 * X[:, 0] * X[:, 1])
    base = np.cos(4 * X[:, 2] * X[:, 3])
    y = base + t * effect + 0.3 * rng.normal(size=1500)
    net = np.column_stack([base, base + effect])
    stage = StackedEffect(random_state=0).fit(X, y, t, outcome_oof=net)
    plain = StackedEffect(random_state=0).fit(X, y, t)
    assert stage.weights_["T"] + stage.weights_["T-network"] > 0.8
    assert error(stage.effect(X, net), effect) < 0.3 * error(plain.effect(X), effect)
    with pytest.raises(ValueError, match="outcome="):
        stage.effect(X)


@pytest.mark.parametrize("wrong", ["outcome", "exposure"])
def test_average_is_doubly_robust(wrong):
    from sklearn.dummy import DummyRegressor

    def constant(bins, seed):
        return DummyRegressor()

    X, y, t, _ = log(n=4000, seed=6)
    stage = StackedEffect(random_state=0, **{f"{wrong}_learners": (constant,)})
    stage.fit(X, y, t)
    assert abs(stage.ate_ - 1) < 4 * stage.ate_stderr_ < 0.4


def test_row_intervals_cover_on_average(fitted):
    stage = fitted[0]
    X_new, _, _, truth = log(seed=7)
    low, high = stage.effect_interval(X_new)
    assert np.mean((low <= truth) & (truth <= high)) > 0.8
    assert np.mean(high - low) < 1.5
    low_half, high_half = stage.effect_interval(X_new, alpha=0.5)
    assert (low < low_half).all() and (high_half < high).all()


def test_learners_see_at_most_max_rows():
    seen = []

    class Counting(LinearRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(len(y))
            return super().fit(X, y, sample_weight)

    X, y, t, _ = log()
    StackedEffect(
        max_rows=300, outcome_learners=(lambda bins, seed: Counting(),), random_state=0
    ).fit(X, y, t)
    assert set(seen) == {300}


@pytest.mark.parametrize("t", [np.ones(50), np.arange(50) % 3])
def test_treatment_must_be_binary(t):
    X = np.zeros((50, 2))
    with pytest.raises(ValueError, match="t must hold both 0 and 1"):
        StackedEffect().fit(X, np.zeros(50), t)


def test_a_fold_that_holds_a_whole_arm_is_an_error():
    X, y, t, _ = log(n=200)
    with pytest.raises(ValueError, match="without fold 0 an arm has fewer"):
        StackedEffect().fit(X, y, t, fold=t)


def test_convex_weights_solve_the_constrained_problem():
    rng = np.random.default_rng(8)
    P = rng.normal(size=(300, 4))
    y = P @ [0.7, 0.2, 0.3, -0.2] + rng.normal(size=300)
    w = rng.uniform(0.2, 2, size=300)
    found = minimize(
        lambda c: np.average((y - P @ c) ** 2, weights=w),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda c: c.sum() - 1},
    ).x
    np.testing.assert_allclose(convex_weights(P, y, w), found, atol=2e-3)


def test_lines_alone_predict_a_linear_effect_of_many_rows(monkeypatch):
    monkeypatch.setattr(stacked, "MANY_ROWS", 2_000)
    rng = np.random.default_rng(4)
    X = rng.normal(size=(3_000, 6))
    t = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    truth = 1 + 0.3 * X[:, 0] - 0.2 * X[:, 1]
    y = np.sin(2 * X[:, 0]) + X[:, 2] + t * truth + rng.normal(size=3_000)
    stage = StackedEffect(random_state=0).fit(X, y, t)
    assert "X-additive" not in stage.weights_
    assert stage.weights_["R-linear"] > 0.5
    # what least squares make of it, were the rest of the outcome known
    known = np.column_stack([np.ones(3_000), X]) * (t - 0.5)[:, None]
    rest = y - np.sin(2 * X[:, 0]) - X[:, 2] - truth / 2
    best = np.column_stack([np.ones(3_000), X]) @ np.linalg.lstsq(known, rest)[0]
    assert error(stage.effect(X), truth) < 1.5 * error(best, truth)
    bent = y + t * 2 * (X[:, 1] > 0)
    stage = StackedEffect(random_state=0).fit(X, bent, t)
    assert stage.weights_["R-linear"] < 0.3


def test_few_large_trees_predict_a_bent_effect_of_many_rows(monkeypatch):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(10_000, 5))
    t = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    truth = np.tanh(2 * X[:, 0]) + (X[:, 1] > 0.3) * (X[:, 2] > -0.3)
    y = np.sin(2 * X[:, 0]) + X[:, 2] + t * truth + rng.normal(0, 2, size=10_000)
    found = StackedEffect(random_state=0).fit(X, y, t)
    assert found.weights_["X-boost"] > 0.4
    as_of_few = stacked.imputed_effect_learner(1_000)
    monkeypatch.setattr(stacked, "imputed_effect_learner", lambda n: as_of_few)
    before = StackedEffect(random_state=0).fit(X, y, t)
    assert error(found.effect(X), truth) < 0.96 * error(before.effect(X), truth)


def test_bins_keep_order_and_rare_values():
    x = np.r_[np.zeros(990), np.ones(10)]
    many = np.random.default_rng(0).normal(size=1000)
    codes = Bins(np.column_stack([x, many]))(np.column_stack([x, many]))
    assert len(np.unique(codes[:, 0])) == 2
    assert (np.diff(codes[np.argsort(many), 1].astype(int)) >= 0).all()
    assert codes[:, 1].max() == 63


def grouped_rows(n=6000, seed=12, noise=1.0):
    """A line in two features and offsets of 100 users and 50 items, sd 0.7 and 0.4."""
    rng = np.random.default_rng(seed)
    groups = np.column_stack([rng.integers(0, 100, n), rng.integers(0, 50, n)])
    offsets = 0.7 * rng.normal(size=100), 0.4 * rng.normal(size=50)
    X, w = rng.normal(3, 2, size=(n, 2)), rng.uniform(0.5, 2, n)
    signal = 1 + X @ [0.5, 0] + offsets[0][groups[:, 0]] + offsets[1][groups[:, 1]]
    y = signal + noise * rng.normal(size=n) / np.sqrt(w)
    return X, groups, w, y, signal


def test_mixed_ridge_solves_the_mixed_model_equations():
    """Henderson's, by one dense solve, given the variances; these are the true ones."""
    X, groups, w, y, _ = grouped_rows()
    model = MixedRidge(max_iter=500, tol=1e-6).fit(Grouped(X, groups), y, w)
    of_line, *of_offsets, noise = model.variances_
    np.testing.assert_allclose(np.sqrt(of_offsets), [0.7, 0.4], rtol=0.25)
    assert noise == pytest.approx(1, rel=0.05)
    Z = np.column_stack([np.ones(len(X)), (X - X.mean(0)) / X.std(0)])
    D = np.column_stack([Z, np.eye(100)[groups[:, 0]], np.eye(50)[groups[:, 1]]])
    priors = (
        [0.0],
        [1 / of_line] * 2,
        [1 / of_offsets[0]] * 100,
        [1 / of_offsets[1]] * 50,
    )
    A = (D.T * w) @ D + noise * np.diag(np.concatenate(priors))
    expected = D @ np.linalg.solve(A, D.T @ (w * y))
    predicted = model.predict(Grouped(X, groups))
    np.testing.assert_allclose(predicted, expected, atol=1e-3)


def test_mixed_ridge_knows_no_groups_but_those_it_saw():
    X, groups, w, y, _ = grouped_rows()
    model = MixedRidge().fit(Grouped(X, groups), y, w)
    new = model.predict(Grouped(X, np.full_like(groups, 1000)))
    centred = (X - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(new, model.coef_[0] + centred @ model.coef_[1:])
    # Without offsets in truth, next to nothing is made of 150 groups of rows.
    flat = 1 + X[:, 0] + np.random.default_rng(1).normal(size=len(X))
    model = MixedRidge().fit(Grouped(X, groups), flat, np.ones(len(X)))
    assert error(model.predict(Grouped(X, groups)), 1 + X[:, 0]) < 0.1
    # Nothing to learn, and codes that no row has.
    model = MixedRidge().fit(Grouped(X, 2 * groups + 1), np.ones(len(X)), w)
    np.testing.assert_allclose(model.predict(Grouped(X, groups)), 1)


def test_effects_that_users_and_items_differ_in():
    X, groups, _, _, signal = grouped_rows(n=4000)
    rng = np.random.default_rng(2)
    t = rng.binomial(1, 0.5, len(X))
    y = X[:, 1] + t * signal + rng.normal(size=len(X))
    plain = StackedEffect(random_state=0).fit(X, y, t)
    stage = StackedEffect(random_state=0).fit(X, y, t, groups=groups)
    assert stage.weights_["R-mixed"] > 0.5
    found = stage.effect(X, groups=groups)
    assert error(found, signal) < 0.7 * error(plain.effect(X), signal)
    assert error(stage.effect_oof_, signal) < 0.8 * error(plain.effect_oof_, signal)
    low, high = stage.effect_interval(X, groups=groups)
    assert (low < found).all() and (found < high).all()
    with pytest.raises(ValueError, match="groups="):
        stage.effect(X)
