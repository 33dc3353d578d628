"""The additive lasso by its short way against scikit-learn's by the long one."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import Lasso, LassoCV

from sklearn_causalrec.effects import additive
from sklearn_causalrec.effects.additive import (
    N_ALPHAS,
    AdditiveBasis,
    AdditiveLasso,
    AdditiveLogit,
    lowest,
)

pytestmark = pytest.mark.filterwarnings("ignore:Objective did not converge")


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(900, 4)).astype(np.float32)
    X[:, 2] = np.round(X[:, 2])  # knots are values that rows have
    X[:, 3] = X[:, 3] > 0
    y = 50 + np.maximum(X[:, 0], 0) + (X[:, 1] > 0) - 0.5 * (X[:, 2] > 0)
    return X, y + rng.normal(size=900) * 0.5, rng.uniform(0.2, 3, size=900)


def all_terms(basis, X):
    """Lines, hinges and steps, one by one from their definition; (n, n_terms)."""
    Z = (X.astype(float) - basis.mean) / basis.scale
    at = [(Z[:, j], k) for j, k in zip(basis.knot_of, basis.knots)]
    hinges = [np.maximum(z - k, 0) for z, k in at]
    return np.column_stack([Z, *hinges, *[(z > k) * 1.0 for z, k in at]])


def test_terms_in_both_precisions_and_chosen_ones(log):
    X = log[0]
    basis = AdditiveBasis(X)
    expected = all_terms(basis, X)
    assert expected.shape == (len(X), len(basis))
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 2e-6)):
        found = np.empty((len(basis), len(X)), dtype)
        basis.fill(X, found)
        assert_allclose(found.T, expected, rtol=rtol, atol=rtol)
    rng = np.random.default_rng(0)
    for size in (1, 5, len(basis)):
        chosen = np.sort(rng.choice(len(basis), size, replace=False))
        assert_allclose(basis.some(X, chosen).T, expected[:, chosen], rtol=1e-12)


def test_lasso_at_its_penalty_is_scikit_learns(log):
    X, y, w = log
    ours = AdditiveLasso().fit(X, y, w)
    B = all_terms(ours.basis_, X)
    center = np.average(B, axis=0, weights=w)
    B = (B - center) / np.sqrt(np.average((B - center) ** 2, axis=0, weights=w))
    theirs = Lasso(alpha=ours.alpha_, tol=1e-8, max_iter=100_000)
    theirs.fit(B, y, sample_weight=w)
    assert 0 < np.count_nonzero(ours.coef_) < len(ours.coef_)
    assert_allclose(ours.predict(X), theirs.predict(B), atol=0.01 * y.std())


def test_least_of_a_parabola_and_at_an_end():
    x = np.linspace(2, -1, 7)
    for place in (-0.3, 0.6, 1.1):
        assert_allclose(lowest(x, 4 + 3 * (x - place) ** 2), place, atol=1e-12)
    assert lowest(x, x) == -1 and lowest(x, -x) == 2
    assert lowest(x[:1], np.ones(1)) == 2
    assert lowest(x, np.r_[3, 1, 1, 1, 1, 1, 3.0]) == pytest.approx(1.25)
    assert lowest(x, np.zeros(7)) == 2


def test_penalty_is_that_of_a_fine_whole_path(log):
    # The path ends early: no smaller penalty that was left out is better. It is coarse:
    # none between two of its own is better than the one interpolated.
    X, y, _ = log
    ours = AdditiveLasso().fit(X, y)
    B = all_terms(ours.basis_, X)
    B = (B - B.mean(0)) / B.std(0)
    most = np.abs(B.T @ (y - y.mean())).max() / len(y)
    alphas = most * np.logspace(0, -2.7, 8 * N_ALPHAS)
    folds = [
        (np.flatnonzero(np.arange(900) % 3 != f), np.arange(f, 900, 3))
        for f in range(3)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LassoCV(cv=folds, alphas=alphas, max_iter=5000).fit(B, y)
    error = dict(zip(theirs.alphas_, theirs.mse_path_.mean(1)))
    near = min(error, key=lambda a: abs(np.log(a / ours.alpha_)))
    assert error[near] <= min(error.values()) * 1.0005
    coarse = [error[a] for a in theirs.alphas_[:: len(alphas) // N_ALPHAS]]
    assert error[near] <= min(coarse)
    step = 2.7 * np.log(10) / (N_ALPHAS - 1)
    assert abs(np.log(near / theirs.alpha_)) < step / 2


@pytest.mark.parametrize("factor", [1.0, 7.0, 1e-4])
def test_weights_have_no_unit(log, factor):
    X, y, w = log
    plain, scaled = (AdditiveLasso().fit(X, y, v) for v in (w, factor * w))
    assert_allclose(scaled.predict(X), plain.predict(X), atol=1e-4)


def test_a_basis_that_is_given_is_used(log):
    X, y, _ = log
    basis = AdditiveBasis(X[:200])
    assert AdditiveLasso(basis=basis).fit(X, y).basis_ is basis
    other = AdditiveLasso().fit(X, y).basis_
    assert not np.array_equal(other.knots, basis.knots)
    logit = AdditiveLogit(basis).fit(X, y > np.median(y))
    assert logit.terms.basis_ is basis
    p = logit.predict(X)
    assert p[y > np.median(y)].mean() > 0.7 > 0.4 > p[y < np.median(y)].mean()


@pytest.mark.parametrize("newton_terms", [200, 0])
def test_logits_are_those_of_least_penalised_log_loss(log, monkeypatch, newton_terms):
    """By scipy, on terms computed one by one; few of them closely, many roughly."""
    monkeypatch.setattr(additive, "NEWTON_TERMS", newton_terms)
    X, y, w = log
    t = (y > np.median(y)).astype(float)
    logit = AdditiveLogit().fit(X, t, w)
    Z = all_terms(logit.terms.basis_, X)[:, logit.chosen]

    def loss(c):
        z = c[0] + Z @ c[1:]
        return (w * (np.logaddexp(0, z) - t * z)).sum() + c[1:] @ c[1:] / (2 * 0.1)

    def slope(c):
        short = w * (expit(c[0] + Z @ c[1:]) - t)
        return np.append(short.sum(), short @ Z + c[1:] / 0.1)

    start = np.zeros(1 + Z.shape[1])
    best = minimize(loss, start, jac=slope, method="BFGS", options={"gtol": 1e-6}).x
    expected = expit(best[0] + Z @ best[1:])
    far = 1e-4 if newton_terms else 0.02
    assert_allclose(logit.predict(X), expected, atol=far)


def test_noise_has_no_terms_and_predicts_its_mean():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(400, 3)), 3 + rng.normal(size=400)
    found = AdditiveLasso().fit(X, y).predict(X)
    assert np.abs(found - y.mean()).max() < 0.3


def test_states_of_before_have_their_basis_again(log):
    X, y, _ = log
    model = AdditiveLasso().fit(X, y)
    old = {k: v for k, v in vars(model).items() if not k.startswith("basis")}
    old |= {f"{k}_": v for k, v in vars(model.basis_).items()}
    again = AdditiveLasso.__new__(AdditiveLasso)
    again.__setstate__(old)
    assert_allclose(again.predict(X), model.predict(X), rtol=0)
    assert_allclose(pickle.loads(pickle.dumps(again)).predict(X), model.predict(X))
