"""Averages over rows unlike the log, against least squares done by hand."""

import numpy as np
import pytest

from sklearn_causalrec.effects import elsewhere
from sklearn_causalrec.effects.clusters import error
from sklearn_causalrec.effects.elsewhere import Elsewhere
from sklearn_causalrec.encoding.cluster_columns import Clusters


def rows(n=4000, p=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), np.zeros(n), rng.normal(size=n), np.ones(n), rng


def test_a_regression_by_hand():
    """Value and error are those of the Riesz representer, row by row."""
    X, fitted, _, weight, rng = rows(n=400)
    fitted, weight = X @ [1.0, 2, 0] + X[:, 0] ** 2, rng.uniform(0.5, 2, 400)
    weight /= weight.mean()
    rest = weight * (rng.normal(size=400) + X[:, 1])
    rest -= rest.mean()
    new = rng.normal(1.0, 1, size=(50, 3))
    value, times = Elsewhere(X, fitted, rest, weight).at(new, new @ [1.0, 2, 0])

    def standardized(Z, center, spread):
        return (Z - center) / spread

    log, there = np.column_stack([fitted, X]), np.column_stack([new @ [1.0, 2, 0], new])
    center = np.average(log, axis=0, weights=weight)
    spread = np.sqrt(np.average((log - center) ** 2, axis=0, weights=weight))
    log, there = standardized(log, center, spread), standardized(there, center, spread)
    squares = np.clip(log, -4, 4) ** 2
    middle = np.average(squares, axis=0, weights=weight)
    Z = np.column_stack([np.ones(400), log, squares - middle])
    z = np.r_[1, there.mean(0), (np.clip(there, -4, 4) ** 2).mean(0) - middle]
    gram = Z.T @ (Z * weight[:, None]) + np.diag([0.0] + [Z.shape[1]] * 8)
    alpha = Z @ np.linalg.solve(gram, z)  # sums to 1, not to n
    residual = rest - weight * (Z @ np.linalg.solve(gram, Z.T @ rest))
    further = alpha - Z @ np.linalg.inv(gram)[:, 0]
    plain, noise = further @ rest, np.sum((further * residual) ** 2)
    assert abs(plain) > 0.5 and noise > 0.001
    assert value == pytest.approx(plain * (1 - noise / plain**2))
    here = np.sum((Z @ np.linalg.inv(gram)[:, 0] * residual) ** 2)
    assert times == pytest.approx(np.sqrt(np.sum((alpha * residual) ** 2) / here))


def test_rows_like_the_log_change_nothing():
    X, fitted, rest, weight, _ = rows()
    value, times = Elsewhere(X, fitted, rest, weight).at(X, fitted)
    assert abs(value) < 1e-12 and times == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_the_error_grows_as_that_of_a_line(shift):
    """Of a mean, at x standard deviations: sqrt(1 + x^2) times as much."""
    X, fitted, rest, weight, _ = rows(n=20_000)
    new = X + [shift, 0, 0]
    _, times = Elsewhere(X, fitted, rest, weight).at(new, fitted)
    squares = (np.clip(X[:, 0] + shift, -4, 4) ** 2).mean() - 1  # their variance is 2
    expected = np.sqrt(1 + shift**2 + squares**2 / 2)
    assert times == pytest.approx(expected, rel=0.05)


def test_what_predictions_leave_out_is_found():
    X, fitted, rest, weight, rng = rows(n=20_000)
    new = rng.normal([1.0, 0, 0], 1, size=(500, 3))
    value, _ = Elsewhere(X, fitted, rest + 2 * X[:, 0], weight).at(new, np.zeros(500))
    assert value == pytest.approx(2 * (new[:, 0].mean() - X[:, 0].mean()), abs=0.1)


def test_noise_adds_nothing():
    X, fitted, rest, weight, _ = rows(n=2000, seed=3)
    made = [Elsewhere(X, fitted, np.roll(rest, s), weight) for s in range(40)]
    values = np.array([e.at(X + [1, 0, 0], fitted)[0] for e in made])
    assert 0.5 < (values == 0).mean() < 0.9  # P(|z| < 1) is .68


def test_gaps_and_constants_say_nothing():
    X, fitted, rest, weight, _ = rows()
    rest = rest + X[:, 0]
    full = Elsewhere(X, fitted, rest, weight).at(X[:100] + 1, fitted[:100])
    more = np.column_stack([X, np.full(len(X), 7.0)])
    gap = np.column_stack([X, np.full(len(X), np.nan)])
    for log in (more, gap):
        new = log[:100] + 1
        found = Elsewhere(log, fitted, rest, weight).at(new, fitted[:100])
        # two terms more, whose prior weight is all they have
        np.testing.assert_allclose(found, full, rtol=0.01, atol=1e-3)
    some = X.copy()
    some[::2, 1] = np.nan
    assert np.isfinite(Elsewhere(some, fitted, rest, weight).at(some + 1, fitted)).all()


def test_a_large_offset_costs_no_digits():
    X, fitted, rest, weight, _ = rows()
    near = Elsewhere(X, fitted, rest, weight).at(X + 1, fitted)
    far = Elsewhere(X + 1e7, fitted, rest, weight).at(X + 1e7 + 1, fitted)
    np.testing.assert_allclose(far, near, rtol=1e-5)


def test_blocks_of_rows_are_one_sum(monkeypatch):
    X, fitted, rest, weight, rng = rows(n=500)
    users = Clusters(rng.integers(0, 40, (500, 2)), ["user", "item"])
    whole = Elsewhere(X, fitted, rest, weight, users).at(X + 1, fitted)
    monkeypatch.setattr(elsewhere, "BLOCK", 7)
    parts = Elsewhere(X, fitted, rest, weight, users).at(X + 1, fitted)
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


def test_rows_of_a_cluster_count_together():
    """Features and residuals by cluster: as many rows as clusters, not as rows."""
    X, _, rest, _, _ = rows(n=200)
    code = np.repeat(np.arange(200), 10)
    many = X[code], np.zeros(2000), rest[code], np.ones(2000)
    clustered = Elsewhere(*many, Clusters(code[:, None], ["user"]))
    alone = Elsewhere(*many)
    together = clustered.at(X + 1, np.zeros(200))
    apart = clustered.at(X + 1, np.zeros(200), clustered=False)
    assert apart == pytest.approx(alone.at(X + 1, np.zeros(200)))
    # both errors grow alike, and that of the log is sqrt(10) times as large
    assert together[1] == pytest.approx(apart[1], rel=1e-6)
    users = Clusters(code[:, None], ["user"])
    ratio = error(many[2], users) / (np.std(many[2]) / np.sqrt(2000))
    assert ratio == pytest.approx(np.sqrt(10), rel=0.01)


def test_too_many_features_leave_the_effect():
    rng = np.random.default_rng(0)
    X, fitted = rng.normal(size=(100, 40)), rng.normal(size=100)
    found = Elsewhere(X, fitted, fitted + rng.normal(size=100), np.ones(100))
    value, times = found.at(X + 100, fitted + 1)
    assert value == pytest.approx(1, abs=0.4) and 1.2 < times < 1.6


def test_two_ways_of_grouping():
    """By the sums of each way's clusters, less those of the rows, by hand."""
    X, fitted, rest, weight, rng = rows(n=600, p=1)
    codes = np.column_stack([rng.integers(0, 30, 600), rng.integers(0, 20, 600)])
    rest = (
        rest + rng.normal(size=30)[codes[:, 0]] + 0.5 * rng.normal(size=20)[codes[:, 1]]
    )
    made = Elsewhere(X, fitted, rest, weight, Clusters(codes, ["user", "item"]))
    Z = made._terms(X, fitted)
    residual = Z * (rest - rest.mean() - Z @ made._slopes)[:, None]
    gram = Z.T @ Z + np.diag([0.0] + [Z.shape[1]] * (Z.shape[1] - 1))
    z = made._terms(X + 1, fitted).mean(0)

    def variance(at):
        psi = residual @ np.linalg.solve(gram, at)
        one, two = (np.sum(np.bincount(c, psi) ** 2) for c in codes.T)
        return max(one + two - np.sum(psi**2), one, two)

    _, times = made.at(X + 1, fitted)
    assert times**2 == pytest.approx(variance(z) / variance(np.eye(len(z))[0]))
