"""Dose-response: closed forms, double robustness, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    StandardScaler,
)

from sklearn_causalrec.causal.estimation import corrected as corrected_module
from sklearn_causalrec.causal.estimation.corrected import Corrected, Terms
from sklearn_causalrec.causal.estimation.dose_response import (
    DoseResponse,
    ResidualDensity,
    _interpolation,
)
from sklearn_causalrec.effects.cross_fitting import CrossFit
from sklearn_causalrec.effects.default_learners import DoseByRest


def terms(X):
    return np.column_stack([np.sin(X[:, 0]), X, X[:, 1] ** 2])


RIGHT = make_pipeline(FunctionTransformer(terms), LinearRegression())


def truth(t):
    return np.sin(t) + 0.3 * np.asarray(t)


def log(seed, n=1_000):
    rng = np.random.default_rng([11, seed])
    Z = rng.normal(size=(n, 2))
    t = 0.6 * Z[:, 0] - 0.4 * Z[:, 1] + rng.normal(size=n)
    y = truth(t) + Z @ [0.8, 0.5] + 0.5 * (Z[:, 0] ** 2 - 1) + rng.normal(size=n)
    return y, t, Z, np.arange(n) % 5


@pytest.fixture(scope="module")
def fitted():
    return DoseResponse(RIGHT, LinearRegression()).fit(*log(0))


@pytest.mark.parametrize(
    "outcome, treatment",
    [
        (RIGHT, LinearRegression()),
        (LinearRegression(), LinearRegression()),
        (DummyRegressor(), LinearRegression()),
        (RIGHT, DummyRegressor()),
    ],
    ids=["both right", "outcome linear", "outcome constant", "dose constant"],
)
def test_doubly_robust(outcome, treatment):
    """Either nuisance may be wrong: mean errors are Monte-Carlo noise."""
    errors, ratios = [], []
    for seed in range(1, 9):
        model = DoseResponse(outcome, treatment).fit(*log(seed))
        contrast, se, _ = model.contrast(-1, 1)
        derivative, se_d, _ = model.average_derivative()
        mean, se_c = model.curve([0.0])
        off = contrast - truth(1) + truth(-1), derivative - np.exp(-0.76) - 0.3, mean[0]
        errors.append(off)
        ratios.append(np.divide(off, (se, se_d, se_c[0])))
    errors = np.array(errors)
    spread = errors.std(0) / np.sqrt(len(errors))
    assert (np.abs(errors.mean(0)) < 4 * spread + 0.01).all()
    assert (np.mean(np.square(ratios), 0) < 2.5).all()


def test_both_wrong_is_wrong():
    """Confounded by a wave, which no correction has: with neither nuisance right the
    answer is off."""
    rng = np.random.default_rng(0)
    Z = rng.uniform(-2, 2, size=(4_000, 1))
    wave = np.sin(5 * Z[:, 0])
    t = wave + rng.normal(size=4_000)
    y = truth(t) + 2 * wave + rng.normal(size=4_000)
    model = DoseResponse(DummyRegressor(), DummyRegressor())
    contrast, error, _ = model.fit(y, t, Z, np.arange(4_000) % 5).contrast(-1, 1)
    assert contrast - truth(1) + truth(-1) > 3 * error


def test_a_model_that_is_too_simple_is_corrected():
    """Squares and products of the covariates are in the answer, whoever left them out:
    a constant as model of y errs as the right one does. Uncorrected, it errs twice."""
    errors, counted = np.zeros((2, 30)), []
    for seed in range(30):
        for found, outcome in zip(errors, (RIGHT, DummyRegressor())):
            model = DoseResponse(outcome, LinearRegression()).fit(*log(seed + 31_000))
            contrast = model.contrast(-1, 1)
            found[seed] = contrast.value - truth(1) + truth(-1)
        counted.append(contrast.error)
    right, simple = errors.std(1)
    assert simple < 1.2 * right
    assert 0.75 < np.mean(counted) / simple < 1.3


def test_errors_count_what_a_wrong_density_passes_on(monkeypatch):
    """With a constant for the dose all rests on the outcome, whose error is counted:
    without it the error is a tenth short of the spread."""
    errors, counted, less = [], [], []

    def answers(model):
        return model.contrast(-1, 1), model.average_derivative()

    for seed in range(40):
        model = DoseResponse(RIGHT, DummyRegressor())
        found = answers(model.fit(*log(seed + 32_000)))
        errors.append([one.value for one in found])
        counted.append([one.error for one in found])
        if seed < 10:
            with monkeypatch.context() as patch:
                zero = lambda self, X, moved: np.zeros((len(X), len(moved)))  # noqa: E731
                patch.setattr(Corrected, "passed_on", zero)
                without = answers(model.fit(*log(seed + 32_000)))
            less.append([one.error for one in without])
    ratio = np.mean(counted, 0) / np.std(errors, 0)
    assert ((ratio > 0.8) & (ratio < 1.3)).all(), ratio
    assert (np.mean(counted[:10], 0) > 1.03 * np.mean(less, 0)).all()


def test_corrections_are_a_ridge_regression():
    """And what they pass on is what one more unit of an outcome moves, times n."""
    rng = np.random.default_rng(0)
    X, fold = rng.uniform(-2, 2, size=(300, 3)), np.arange(300) % 3
    y = X[:, 0] * X[:, 1] + rng.normal(size=300)

    def corrected(y):
        fit = CrossFit([DummyRegressor()], X, np.zeros(300), fold)  # it learns nothing
        return Corrected(fit, X, y, fold)

    found = corrected(y)
    Z = PolynomialFeatures(2, include_bias=False).fit_transform(
        StandardScaler().fit_transform(X)
    )

    def ridge(rows, y):
        one = np.column_stack([np.ones(300), Z])  # the constant is drawn in as well
        return Ridge(one.shape[1], fit_intercept=False).fit(one[rows], y[rows]), one

    for k in range(3):
        model, one = ridge(fold != k, y)
        np.testing.assert_allclose(found.by(k, X), model.predict(one))
        np.testing.assert_allclose(found(X)[fold == k], found.by(k, X)[fold == k])
    moved = rng.normal(size=(2, 10))
    passed_on, all_rows = found.passed_on(X, moved), np.ones(300, bool)
    for i in (0, 7):
        more = y + (np.arange(300) == i)
        change = ridge(all_rows, more)[0].coef_ - ridge(all_rows, y)[0].coef_
        np.testing.assert_allclose(passed_on[i], 300 * moved @ change)
    doses = np.array([-9.0, -0.3, 0.0, 1.7])
    powers, means = found.terms.means(doses, X)
    at = found.at_doses(1, doses, X)
    for dose, mean, every in zip(doses, powers @ means, at):
        there = np.column_stack([np.full(300, dose), X[:, 1:]])
        np.testing.assert_allclose(mean, found.terms(there).mean(0), atol=1e-12)
        np.testing.assert_allclose(every, found.by(1, there), atol=1e-12)


@pytest.mark.parametrize("size", [7, 100])
def test_corrections_by_blocks_are_those_of_all_rows(size, monkeypatch):
    y, t, Z, fold = log(5, 300)
    whole = DoseResponse(LinearRegression(), LinearRegression()).fit(y, t, Z, fold)
    monkeypatch.setattr(corrected_module, "BLOCK", size)
    parts = DoseResponse(LinearRegression(), LinearRegression()).fit(y, t, Z, fold)
    np.testing.assert_allclose(parts.influence_, whole.influence_, rtol=1e-8, atol=1e-9)
    assert parts.average_derivative() == pytest.approx(whole.average_derivative())


def test_many_columns_have_no_products():
    terms = Terms(np.random.default_rng(0).normal(size=(300, 6)))
    assert terms(np.zeros((1, 6))).shape == (1, 7)  # 21 products want 420 rows


def test_randomised_dose_without_covariates():
    """No columns in Z: the curve is the regression of y on splines of t."""
    rng = np.random.default_rng(2)
    t = rng.uniform(-2, 2, size=1_500)
    y = truth(t) + rng.normal(size=1_500)
    model = DoseResponse(LinearRegression(), None)
    model.fit(y, t, np.empty((1_500, 0)), np.arange(1_500) % 5)
    basis = model._spline.transform(t[:, None])
    plain = basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    curve = model._design([-1, 0, 1]) @ model.coef_
    assert np.abs(basis @ model.coef_ - plain).max() < 0.05
    assert np.abs(curve - truth([-1, 0, 1])).max() < 0.25
    assert model.weight_ == pytest.approx(np.ones(1_500), abs=0.002)


def test_error_includes_averages_over_covariates():
    """Without noise in y the curve still varies, by the mean of Z: sd(Z) / sqrt(n)."""
    rng = np.random.default_rng(3)
    n = 1_000
    Z = rng.normal(size=(n, 1))
    t = 0.5 * Z[:, 0] + rng.normal(size=n)
    y = t + 3 * Z[:, 0]
    model = DoseResponse(LinearRegression(), LinearRegression())
    model.fit(y, t, Z, np.arange(n) % 5)
    mean, error = model.curve([-0.5, 0.5])
    assert error == pytest.approx(3 / np.sqrt(n), rel=0.05)
    assert mean == pytest.approx([-0.5 + 3 * Z.mean(), 0.5 + 3 * Z.mean()], abs=0.01)
    contrast, error, _ = model.contrast(-0.5, 0.5)
    assert contrast == pytest.approx(1, abs=0.03) and error < 0.03


def test_uniform_band_is_wider_and_holds_the_pointwise(fitted):
    low, high = fitted.band()
    low_1, high_1 = fitted.band(uniform=False)
    mean, error = fitted.curve()
    assert (low < low_1).all() and (high > high_1).all()
    assert high_1 - mean == pytest.approx(norm.ppf(0.975) * error)
    one = fitted.band([0.3]), fitted.band([0.3], uniform=False)
    assert np.ravel(one[0]) == pytest.approx(np.ravel(one[1]), abs=0.02)


def test_contrast_is_the_difference_of_the_curve(fitted):
    mean, _ = fitted.curve([-1, 1])
    there, error, _ = fitted.contrast(-1, 1)
    back, same, _ = fitted.contrast(1, -1)
    assert there == pytest.approx(mean[1] - mean[0])
    assert (back, same) == (pytest.approx(-there), pytest.approx(error))
    assert fitted.contrast(0.5, 0.5) == (0.0, pytest.approx(0, abs=1e-9), np.inf)


def test_influence_function_gives_the_covariance(fitted):
    n = len(fitted.influence_)
    assert fitted.covariance_ == pytest.approx(
        fitted.influence_.T @ fitted.influence_ / n**2
    )


def test_default_models_are_close():
    y, t, Z, fold = log(20, 300)
    model = DoseResponse(seed=1).fit(y, t, Z, fold)
    effect, error, _ = model.contrast(-1, 1)
    assert abs(effect - truth(1) + truth(-1)) < 4 * error < 2
    again = DoseResponse(seed=1).fit(y, t, Z, fold)
    assert (again.coef_ == model.coef_).all()
    copy = pickle.loads(pickle.dumps(model))
    assert copy.contrast(-1, 1) == model.contrast(-1, 1)
    assert copy.average_derivative() == model.average_derivative()


def test_doses_outside_of_the_data_are_refused(fitted):
    low, high = fitted.support_
    for call in (
        lambda: fitted.curve([0, high + 1]),
        lambda: fitted.contrast(low - 2, 0),
        lambda: fitted.band([np.nan]),
    ):
        with pytest.raises(ValueError, match=r"outside of the observed range \[-"):
            call()


def test_few_rows_are_named(fitted):
    with pytest.warns(UserWarning, match=f"Positivity.*{fitted.support_[1]:.4g}"):
        fitted.curve([0, fitted.support_[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.curve()
    near = np.abs(fitted._t) <= fitted._t.std() / 5
    assert 0.3 * near.sum() < fitted.effective_rows(0.0)[0] <= near.sum()


def test_unsuited_treatments_are_refused():
    y, t, Z, fold = log(0, 100)
    with pytest.raises(ValueError, match="discrete"):
        DoseResponse().fit(y, (t > 0) * 1.0, Z, fold)
    with pytest.raises(ValueError, match="regression"):
        DoseResponse(None, LogisticRegression()).fit(y, t, Z, fold)


def test_residual_density_keeps_mean_and_variance():
    rng = np.random.default_rng(0)
    residual = rng.gamma(2, size=3_000) - 1
    for derivative in (False, True):
        density = ResidualDensity(residual, derivative)
        step = density.at[1] - density.at[0]
        mass = density.value * step
        mean = mass @ density.at
        assert mass.sum() == pytest.approx(1, abs=1e-6)
        assert mean == pytest.approx(residual.mean(), abs=1e-3)
        assert mass @ (density.at - mean) ** 2 == pytest.approx(
            residual.var(), rel=1e-3
        )
        assert density(density.edge + 1) == 0


def test_density_of_normal_residuals():
    points = np.linspace(-2, 2, 41)
    residual = norm.ppf((np.arange(4_000) + 0.5) / 4_000)
    assert ResidualDensity(residual)(points) == pytest.approx(
        norm.pdf(points), abs=2e-3
    )


def test_products_and_interpolation():
    X = np.random.default_rng(0).normal(size=(50, 3))
    products = DoseByRest().fit(X).transform(X)
    # splines sum to one: so the products with a covariate sum to it
    summed = products.reshape(50, -1, 2).sum(1)
    assert summed == pytest.approx(X[:, 1:])
    at = np.linspace(-1, 1, 9)
    t = np.array([-1, -0.3, 0.11, 1])
    assert _interpolation(t, at) @ (3 * at + 2) == pytest.approx(3 * t + 2)
