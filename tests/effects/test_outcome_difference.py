"""Bounds of the difference of two outcomes, against drawn pairs of outcomes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import outcome_difference_interval
from sklearn_causalrec.effects.outcome_difference import _weighted_quantile


def draws(seed, n=1000):
    """Confounded, with more noise where the treatment is rare."""
    rng = np.random.default_rng([61, seed])
    X = rng.normal(size=(n, 3))
    p = 1 / (1 + np.exp(1 - 1.5 * X[:, 0]))
    noise = rng.normal(size=(n, 2)) * np.exp(-0.5 * X[:, :1])
    outcomes = X[:, 1:2] + noise + np.outer(1 + X[:, 0] ** 2, [0, 1])
    t = rng.binomial(1, p)
    return X, outcomes[np.arange(n), t], t, p, outcomes[:, 1] - outcomes[:, 0]


def share(seed, model, known=True, alpha=0.1, n_fit=600):
    X, y, t, p, change = draws(seed)
    old, new = slice(n_fit), slice(n_fit, None)
    given = {}
    if known:
        taken = np.where(t == 1, p, 1 - p)
        given = {"propensity": taken[old], "propensity_new": p[new]}
    low, high = outcome_difference_interval(
        X[old], y[old], t[old], X[new], alpha=alpha, outcome_model=model,
        treatment_model=LogisticRegression(), random_state=seed, **given,
    )  # fmt: skip
    return np.mean((low <= change[new]) & (change[new] <= high))


@pytest.mark.parametrize("model", [LinearRegression(), DummyRegressor()])
@pytest.mark.parametrize("known", [True, False])
def test_differences_are_covered_whatever_the_model(model, known):
    shares = [share(seed, model, known) for seed in range(30)]
    assert np.mean(shares) > 0.9 - 2 * np.std(shares) / np.sqrt(30)


def test_each_outcome_is_bounded_at_half_of_alpha():
    """Against a treatment without noise, one outcome is all that is left."""
    shares = []
    for seed in range(40):
        rng = np.random.default_rng([62, seed])
        X, t = rng.normal(size=(500, 1)), rng.integers(0, 2, 500)
        treated = rng.standard_t(3, size=500)
        low, high = outcome_difference_interval(
            X[:300], (treated * t)[:300], t[:300], X[300:], alpha=0.2,
            propensity=np.full(300, 0.5), propensity_new=np.full(200, 0.5),
            outcome_model=LinearRegression(), random_state=seed,
        )  # fmt: skip
        shares.append(np.mean((low <= treated[300:]) & (treated[300:] <= high)))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.025)


def test_quantiles_with_a_point_at_infinity_by_hand():
    scores, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    # In order: 1, 2, 3 with masses 2, 5, 6 of 6 + weight of the fresh row.
    found = _weighted_quantile(scores, weights, np.array([0.0, 1.0, 4.0, 6.0]), 0.6)
    assert_allclose(found, [2, 2, 3, np.inf])
    even = np.arange(1.0, 20.0)  # split conformal: the 19th of 19 at 0.95
    found = _weighted_quantile(even, np.ones(19), np.ones(1), 0.95 - 1e-12)
    assert_allclose(found, [19])


def test_few_rows_bound_nothing_and_units_are_those_of_y():
    X, y, t, _, _ = draws(0, 400)
    ask = dict(outcome_model=LinearRegression(), random_state=0)
    low, high = outcome_difference_interval(X, y, t, X, alpha=0.001, **ask)
    assert np.isinf(low).all() and np.isinf(high).all()
    one = outcome_difference_interval(X, y, t, X[:5], alpha=0.2, **ask)
    many = outcome_difference_interval(X, 100 * y, t, X[:5], alpha=0.2, **ask)
    assert_allclose(many, 100 * np.array(one))
    frame = pd.DataFrame(X, columns=list("abc"))
    text = np.where(t == 1, "push", "none")
    named = outcome_difference_interval(frame, y, text, frame[:5], alpha=0.2, **ask)
    np.testing.assert_array_equal(named, one)
    other = outcome_difference_interval(
        frame, y, text, frame[:5], alpha=0.2, control="push", **ask
    )
    assert_allclose(other, -np.array(one)[::-1], rtol=1e-6)


def test_what_is_refused():
    X, y, t, p, _ = draws(1, 100)
    with pytest.raises(ValueError, match="go together"):
        outcome_difference_interval(X, y, t, X, propensity=p)
    with pytest.raises(ValueError, match="alpha"):
        outcome_difference_interval(X, y, t, X, alpha=0)
    with pytest.raises(ValueError, match="2 columns"):
        outcome_difference_interval(X, y, t, X[:, :2])
    with pytest.raises(ValueError, match="four rows"):
        outcome_difference_interval(X, y, np.arange(100) < 3, X)
    with pytest.raises(ValueError, match="reaches 0 or 1"):
        ones = np.ones(100)
        outcome_difference_interval(
            X, y, t, X, propensity=ones / 2, propensity_new=ones
        )
    with pytest.raises(ValueError, match="two arms"):
        outcome_difference_interval(X, y, np.arange(100) % 3, X)
