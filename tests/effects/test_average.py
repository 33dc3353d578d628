"""Average effect: its influence function against closed forms."""

import numpy as np
import pytest

from sklearn_causalrec.effects.average import (
    average_effect,
    binned,
    residual_regression,
)


def terms(X):
    pairs = np.triu_indices(X.shape[1])
    return np.column_stack([np.ones(len(X)), X, X[:, pairs[0]] * X[:, pairs[1]]])


def least_squares(Z, y):
    return np.linalg.lstsq(Z, y, rcond=None)[0]


def log(n, seed=0):
    """A confounded log whose outcome is linear; the effect is 1 + X[:, 1]."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).clip(-3, 3)
    g = 1 / (1 + np.exp(-1.2 * X[:, 0] + 0.8 * X[:, 1]))
    t = rng.binomial(1, g)
    outcome = np.column_stack([2 * X[:, 0], 2 * X[:, 0] + 1 + X[:, 1]])
    y = outcome[np.arange(n), t] + rng.normal(size=n)
    return X, y, t, g, outcome, np.arange(n) % 5


def average(X, y, t, g, outcome, fold, known=False, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return average_effect(X, y, t, outcome, g, weight, fold, known=known, clip=0.01)


def test_constant_propensity_has_the_error_of_a_regression():
    """With a constant propensity the mean is that of the regression, whose
    sandwich standard error is a closed form; the naive one is far below."""
    n = 20_000
    X, y, t, _, outcome, fold = log(n)
    score, influence = average(X, y, t, np.full(n, t.mean()), outcome, fold)
    Z = terms(X)
    fitted = [Z @ least_squares(Z[t == a], y[t == a]) for a in (0, 1)]
    expected = fitted[1] - fitted[0]
    for arm, sign in ((0, -1), (1, 1)):
        mine = t == arm
        load = Z @ np.linalg.solve(Z[mine].T @ Z[mine] / n, Z.mean(0))
        expected = expected + sign * np.where(mine, load * (y - fitted[arm]), 0)
    np.testing.assert_allclose(score.mean(), (fitted[1] - fitted[0]).mean(), atol=0.01)
    np.testing.assert_allclose(influence.std(), expected.std(), rtol=0.03)
    assert np.std(score) < 0.9 * expected.std()


@pytest.mark.parametrize("known", [False, True])
def test_right_nuisances_have_the_efficient_influence(known):
    n = 20_000
    X, y, t, g, outcome, fold = log(n, seed=1)
    score, influence = average(X, y, t, g, outcome, fold, known)
    taken, probability = outcome[np.arange(n), t], np.where(t == 1, g, 1 - g)
    efficient = outcome[:, 1] - outcome[:, 0]
    efficient = efficient + (2 * t - 1) * (y - taken) / probability
    np.testing.assert_allclose(influence.std(), efficient.std(), rtol=0.05)
    assert np.corrcoef(influence, efficient)[0, 1] > 0.97
    np.testing.assert_allclose(score.mean(), efficient.mean(), atol=0.02)


def test_weights_count_as_copies():
    """A row of weight 2 and two equal rows give the same mean and sum of influence."""
    X, y, t, g, outcome, fold = log(600, seed=2)
    w = np.random.default_rng(3).integers(1, 3, size=600).astype(float)
    score, influence = average(X, y, t, g, outcome, fold, weight=w)
    copies = np.repeat(np.arange(600), w.astype(int))
    twice = [a[copies] for a in (X, y, t, g, outcome, fold)]
    repeated, _ = average(*twice)
    np.testing.assert_allclose(np.average(score, weights=w), repeated.mean(), atol=0.02)
    np.testing.assert_allclose(influence.mean(), 0, atol=1e-9)


def test_representer_of_a_linear_functional():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(5000, 3)).clip(-3, 3)
    weight, pull = rng.uniform(0, 2, size=5000), rng.normal(size=5000) + X[:, 0]
    f = terms(X) @ rng.normal(size=10)
    fold = np.arange(5000) % 4
    fitted, whole, alpha = residual_regression(X, f, 2 * f, weight, pull, fold)
    np.testing.assert_allclose(fitted, f, atol=0.05 * f.std())
    np.testing.assert_allclose(whole, 2 * f, atol=0.05 * f.std())
    np.testing.assert_allclose(np.sum(weight * alpha * f), pull @ f, rtol=0.02)


def test_regression_does_not_see_its_own_fold():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(400, 2)), rng.normal(size=400)
    fold, ones = np.arange(400) % 2, np.ones(400)
    other = np.where(fold == 0, 9.0, y)
    before, whole, _ = residual_regression(X, y, y, ones, ones, fold)
    after, same, _ = residual_regression(X, other, y, ones, ones, fold)
    np.testing.assert_array_equal(whole, same)
    np.testing.assert_allclose(before[fold == 0], after[fold == 0], atol=1e-9)
    assert not np.allclose(before[fold == 1], after[fold == 1])


def test_binned_means():
    x = np.repeat([0.0, 1.0, 2.0], 100)
    np.testing.assert_allclose(binned(x, 3 * x, np.ones(300), [0, 2]), [0, 6])


def test_calibration_costs_little_where_overlap_is_poor():
    """One confounder decides nearly all; nuisances are the truth. Calibrations of parts
    of the rows made the spread a quarter larger than that of the plain estimator."""
    n, found = 1000, []
    for seed in range(100):
        rng = np.random.default_rng([3, seed])
        z = rng.normal(size=n)
        g = 1 / (1 + np.exp(-1.5 * z))
        t = (rng.random(n) < g).astype(int)
        outcome = np.column_stack([1.5 * z, 1 + 1.5 * z])
        y = outcome[np.arange(n), t] + rng.normal(size=n)
        score, influence = average_effect(
            z[:, None], y, t, outcome, g, np.ones(n), np.arange(n) % 20,
            known=False, clip=0.05,
        )  # fmt: skip
        chance = np.clip(np.where(t == 1, g, 1 - g), 0.05, 1)
        plain = 1 + (2 * t - 1) * (y - outcome[np.arange(n), t]) / chance
        error = influence.std() / np.sqrt(n)
        found.append((plain.mean() - 1, score.mean() - 1, error))
    plain, own, error = np.transpose(found)
    assert own.std() < 1.15 * plain.std()
    assert np.mean(np.abs(own) < 1.96 * error) >= 0.93


def test_a_rare_arm_has_a_clip_of_its_own():
    """One row in 25 has the arm: chances of 0.02 to 0.06 are not raised to 0.1."""
    n = 40_000
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, size=n)
    g = 0.04 + 0.02 * x
    t = (rng.random(n) < g).astype(int)
    y = x**3 + t + 0.1 * rng.normal(size=n)
    nothing = np.zeros((n, 2))
    score, _ = average_effect(
        np.zeros((n, 1)), y, t, nothing, g, np.ones(n), np.arange(n) % 5,
        known=True, clip=0.1,
    )  # fmt: skip
    np.testing.assert_allclose(score.mean(), 1, atol=0.02)
