"""Instruments: closed forms, tests inverted on a grid, and what is refused."""

import pickle

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f as f_distribution
from sklearn.linear_model import LinearRegression

from sklearn_causalrec.causal.estimation.instruments import (
    WEAK,
    InstrumentEffect,
    anderson_rubin_set,
    effective_f,
    two_stage,
)

LINES = dict.fromkeys(
    ("outcome_model", "treatment_model", "instrument_model"), LinearRegression()
)


def log(seed=0, n=500, strength=(0.5, 0.3)):
    rng = np.random.default_rng([3, seed])
    X, W, u = rng.normal(size=(n, 1)), rng.normal(size=(n, 2)), rng.normal(size=n)
    Z = rng.normal(size=(n, len(strength))) + 0.3 * W[:, :1]
    noise = rng.normal(size=(2, n)) * (1 + 0.5 * (Z[:, 0] > 0))
    t = Z @ strength + u + W[:, 0] + noise[0]
    return t * (1 + 0.5 * X[:, 0]) + u + W[:, 0] + noise[1], t, Z, W, X


def test_matches_linearmodels():
    """IV2SLS(...).fit(cov_type="robust", debiased=True) of linearmodels 7.1."""
    i = np.arange(1.0, 41)
    z1, z2, w = np.sin(i), np.cos(2 * i), np.sin(3 * i) + i / 40
    t = z1 + 0.5 * z2 + 0.3 * w + np.cos(5 * i)
    y = 2 * t + w + np.cos(5 * i) + np.sin(7 * i) * (1 + z1**2)
    model = InstrumentEffect().fit(y, t, np.column_stack([z1, z2]), w)
    assert model.coef_[0] == pytest.approx(1.800691739195631, rel=1e-10)
    assert np.sqrt(model.covariance_[0, 0]) == pytest.approx(
        0.30007787783575596, rel=1e-10
    )


def test_one_instrument_is_the_ratio_of_covariances():
    y, t, Z, *_ = log()
    model = InstrumentEffect().fit(y, t, Z[:, 0])
    wald = np.cov(Z[:, 0], y)[0, 1] / np.cov(Z[:, 0], t)[0, 1]
    assert model.ate(t0=1, t1=3) == pytest.approx(2 * wald)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_treatment_as_its_own_instrument_is_least_squares():
    y, t, _, W, _ = log()
    model = InstrumentEffect().fit(y, t, t, W)
    plain = sm.OLS(y, sm.add_constant(np.column_stack([t, W]))).fit(cov_type="HC1")
    assert model.coef_[0] == pytest.approx(plain.params[1])
    assert model.covariance_[0, 0] == pytest.approx(plain.cov_params()[1, 1])


def test_effective_f_of_one_instrument_is_the_robust_f():
    y, t, Z, W, _ = log()
    model = InstrumentEffect().fit(y, t, Z[:, :1], W)
    first = sm.OLS(t, sm.add_constant(np.column_stack([Z[:, 0], W])))
    assert model.f_ == pytest.approx(first.fit(cov_type="HC1").tvalues[1] ** 2)


def test_effective_f_without_heteroscedasticity_is_near_the_usual():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(20_000, 3))
    t = Z @ [0.05, 0.02, 0.0] + rng.normal(size=20_000)
    usual = sm.OLS(t, Z).fit().fvalue
    assert effective_f(t, Z) == pytest.approx(usual, rel=0.05)


def rejected(y, t, Z, b, alpha):
    """The robust Wald test that the instruments do not predict y - b t."""
    n, k = Z.shape
    gap = y - b * t
    gram = np.linalg.inv(Z.T @ Z)
    coef = gram @ (Z.T @ gap)
    score = Z * (gap - Z @ coef)[:, None]
    wald = coef @ np.linalg.solve(gram @ score.T @ score @ gram * n / (n - k), coef)
    return wald / k > f_distribution.ppf(1 - alpha, k, n - k)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 4),
    strength=st.sampled_from([0.0, 0.02, 0.1, 0.4]),
    alpha=st.sampled_from([0.01, 0.05, 0.3]),
    unit=st.sampled_from([1e-4, 1.0, 1e4]),
)
def test_anderson_rubin_set_inverts_the_test(seed, k, strength, alpha, unit):
    rng = np.random.default_rng(seed)
    Z, u = rng.normal(size=(200, k)), rng.normal(size=200)
    t = strength * Z.sum(1) + u + rng.normal(size=200)
    y = unit * (t + u + rng.normal(size=200) * (1 + np.abs(Z[:, 0])))
    found = anderson_rubin_set(y, t, Z, alpha)
    for b in np.concatenate([np.linspace(-5, 7, 97), [-1e3, 1e3]]) * unit:
        inside = any(low <= b <= high for low, high in found)
        edge = any(abs(b - e) < 1e-6 * unit for pair in found for e in pair)
        assert edge or inside != rejected(y, t, Z, b, alpha)


def test_anderson_rubin_when_weak_or_contradicted():
    rng = np.random.default_rng(5)
    Z, u = rng.normal(size=(400, 2)), rng.normal(size=400)
    t = u + rng.normal(size=400)
    with pytest.warns(UserWarning, match=r"F is \d\.\d\d, below 10.*anderson_rubin"):
        model = InstrumentEffect().fit(t + u, t, Z)
    assert np.isinf(model.anderson_rubin_interval()).any()
    assert model.f_ < WEAK
    t = Z.sum(1) + u
    model = InstrumentEffect().fit(2 * t + u + 5 * Z[:, 0], t, Z)
    assert model.anderson_rubin_set() == []
    assert np.isnan(model.anderson_rubin_interval()).all()


def test_anderson_rubin_scales_and_turns_with_the_doses():
    model = InstrumentEffect().fit(*log()[:4])
    low, high = model.anderson_rubin_interval()
    assert low < model.ate() < high
    turned = model.anderson_rubin_interval(t0=3, t1=1)
    assert turned == pytest.approx((-2 * high, -2 * low))


def test_effect_by_modifiers():
    y, t, Z, W, X = log(n=4_000)
    model = InstrumentEffect().fit(y, t, Z, W, X)
    low, high = model.effect_interval([[-1.0], [1.0]], alpha=1e-3)
    assert ((low < [0.5, 1.5]) & (high > [0.5, 1.5])).all()
    assert model.ate() == pytest.approx(model.coef_[0])
    low, high = model.ate_interval()
    inner = model.ate_interval(X)
    spread = 1.959964**2 * model.effect().var() / len(y)
    half = (inner[1] - inner[0]) / 2
    assert (high - low) / 2 == pytest.approx(np.sqrt(half**2 + spread), rel=1e-6)


@pytest.mark.parametrize("method", ["ortho_iv", "dmliv"])
@pytest.mark.parametrize("n_instruments", [1, 2])
def test_econml_with_linear_models_is_near_two_stages(method, n_instruments):
    y, t, Z, W, X = log(n=2_000)
    Z = Z[:, :n_instruments]
    plain = InstrumentEffect().fit(y, t, Z, W, X)
    model = InstrumentEffect(method, **LINES).fit(y, t, Z, W, X)
    low, high = plain.ate_interval()
    assert abs(model.ate() - plain.ate()) < (high - low) / 4
    assert model.f_ == plain.f_
    if method == "ortho_iv":
        ours, theirs = model.ate_interval(), plain.ate_interval()
        assert np.diff(ours) == pytest.approx(np.diff(theirs), rel=0.15)
        assert pickle.loads(pickle.dumps(model)).ate_interval() == ours
    else:
        with pytest.raises(ValueError, match="n_bootstrap"):
            model.ate_interval()


def test_bootstrap_interval_of_dmliv():
    y, t, Z, W, _ = log()
    model = InstrumentEffect("dmliv", n_bootstrap=5, **LINES).fit(y, t, Z, W)
    low, high = model.ate_interval()
    assert low < high and model.effect(np.zeros((3, 1))) == pytest.approx(model.ate())


def test_two_stage_drops_no_parameter():
    y, t, Z, *_ = log()
    coef, covariance = two_stage(y, np.column_stack([t, Z[:, 0]]), Z)
    assert coef.shape == (2,) and (np.linalg.eigvalsh(covariance) > 0).all()


def test_bad_input_is_named():
    y, t, Z, W, _ = log()
    holes = np.where(np.arange(500) == 3, np.nan, y)
    for args, text in (
        ((holes, t, Z), "y has missing"),
        ((y, t[:-1], Z), "500 rows and the treatment 499"),
        ((y, t, Z[:-1]), "500 rows and Z 499"),
        ((y, t, np.column_stack([Z, Z[:, 0]])), "Instrument column 2"),
        ((y, t, W[:, :1] * 2 + 1, W), "Instrument column 0"),
        ((y, t, np.empty((500, 0))), "No instrument"),
    ):
        with pytest.raises(ValueError, match=text):
            InstrumentEffect().fit(*args)
    with pytest.raises(ValueError, match="'liml' is none of"):
        InstrumentEffect("liml").fit(y, t, Z)
    # repeated controls are no error
    doubled = np.column_stack([W, W, np.ones(500)])
    assert InstrumentEffect().fit(y, t, Z, doubled).ate() == pytest.approx(
        InstrumentEffect().fit(y, t, Z, W).ate()
    )
