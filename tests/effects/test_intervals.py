"""Intervals against the tables of the normal and Student's law, and by counting."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from sklearn_causalrec import DoCalculusEffect
from sklearn_causalrec.effects.intervals import (
    Estimate,
    effective_sample_size,
    normal_interval,
    normal_quantile,
    standard_error,
    summarize_overlap,
)
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.metrics import (
    bernstein_interval,
    bootstrap_interval,
    calibration_error,
    effect_calibration,
    policy_value,
)


@pytest.mark.parametrize("alpha, quantile", [(0.05, 1.959964), (0.1, 1.644854),
                                             (0.01, 2.575829)])  # fmt: skip
def test_normal_intervals_are_those_of_the_tables(alpha, quantile):
    assert normal_quantile(alpha) == pytest.approx(quantile, abs=1e-6)
    assert normal_interval(1.0, 2.0, alpha) == pytest.approx(
        (1 - 2 * quantile, 1 + 2 * quantile), abs=1e-5
    )
    assert standard_error(4 * quantile, alpha) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("alpha, quantile", [(0.05, 2.570582), (0.1, 2.015048)])
def test_intervals_of_few_degrees_are_students(alpha, quantile):
    low, high = Estimate(1.0, 2.0, 5).interval(alpha)
    assert (low, high) == pytest.approx((1 - 2 * quantile, 1 + 2 * quantile), abs=1e-5)


def _draws(values, alpha):
    """The quantiles of a mean over resamples: normal, for so many rows."""
    error = values.std() / np.sqrt(len(values))
    return values.mean() + np.array([-1, 1]) * norm.isf(alpha / 2) * error, error


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_bootstraps_have_their_level_on_both_sides(alpha, rng):
    values = rng.normal(size=400)
    wanted, error = _draws(values, alpha)
    found = bootstrap_interval(values, alpha=alpha, n_bootstrap=6000)
    assert np.abs(found - wanted).max() < 0.15 * error
    policy = np.full((400, 2), 0.5)
    value = policy_value(
        values, np.arange(400) % 2, policy, propensity=np.full(400, 0.5),
        estimator="ips", interval="bootstrap", alpha=alpha, n_bootstrap=6000,
        random_state=0,
    )  # fmt: skip
    assert np.abs(np.array(value.interval) - wanted).max() < 0.15 * error


def test_bins_of_effects_have_normal_intervals(rng):
    scores = rng.normal(size=600)
    effect = np.repeat([0.0, 1.0], 300)
    table = effect_calibration(effect, scores, n_bins=2, alpha=0.1)
    reach = (table["high"] - table["low"]) / 2 / table["stderr"]
    assert reach.tolist() == pytest.approx([1.644854] * 2, abs=1e-5)
    part = scores[:300]
    assert table["stderr"][0] == pytest.approx(part.std(ddof=1) / np.sqrt(300))


def test_the_noise_of_bins_is_taken_off():
    """Two bins, each off by 2 with a standard error of 1: sqrt(4 - 1)."""
    scores = np.array([1.0, 3.0, 11.0, 13.0])
    effect = np.array([0.0, 0.0, 10.0, 10.0])
    assert calibration_error(effect, scores, n_bins=2) == pytest.approx(np.sqrt(3))
    assert calibration_error(effect + 2, scores, n_bins=2) == 0


def test_bernstein_is_the_formula():
    values = np.tile([0.0, 1.0], 50)
    log = np.log(4 / 0.1)
    reach = np.sqrt(2 * (100 / 99 / 4) * log / 100) + 7 * log / (3 * 99)
    found = bernstein_interval(values, lower=0, upper=1, alpha=0.1)
    assert found == pytest.approx((0.5 - reach, 0.5 + reach))


def test_effective_sizes_and_overlap_by_counting():
    assert effective_sample_size([3, 1]) == pytest.approx(16 / 10)
    rows = Rows(
        features=np.zeros((4, 0)), arm=np.array([0, 0, 1, 1]),
        weight=np.array([1.0, 1.0, 1.0, 3.0]),
    )  # fmt: skip
    exposure = np.array([0.5, 0.01, 0.5, 0.25])
    found = summarize_overlap(rows, exposure, np.array(["a", "b"]), clip=0.1)
    assert found["clipped"] == 0.25
    w = {"a": np.array([2.0, 10.0]), "b": np.array([2.0, 12.0])}
    for arm, weights in w.items():
        size = weights.sum() ** 2 / (weights**2).sum()
        assert found["effective_sample_size"][arm] == pytest.approx(size)
    assert found["calibration"]["a"] == pytest.approx((2 + 100) / 6)
    assert found["calibration"]["b"] == pytest.approx((2 + 12) / 6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_average_and_its_interval_by_hand(weighted, rng):
    """Two arms of known chance, and no features to adjust for but a constant effect."""
    n = 400
    X = pd.DataFrame({"a": rng.normal(size=n)})
    arm = rng.integers(0, 2, n)
    y = (arm * (1 + X["a"]) + rng.normal(size=n)).to_numpy()
    weight = np.where(X["a"] > 0, 3.0, 1.0) if weighted else None
    model = DoCalculusEffect(effect_model=None, cv=2, random_state=0).fit(
        X, y, treatment=arm, propensity=np.full(n, 0.5), sample_weight=weight
    )
    # Weights count the rows: those of large effects thrice.
    truth = np.average(1 + X["a"], weights=weight)
    low, high = model.ate_interval(alpha=0.1)
    assert low < truth < high and high - low < 0.6
    assert model.ate() == pytest.approx(truth, abs=0.3)
    wide = np.diff(model.ate_interval(alpha=0.01))[0]
    ratio = norm.isf(0.005) / norm.isf(0.05)
    assert wide / (high - low) == pytest.approx(ratio, rel=0.03)


def test_students_law_is_that_of_scipy():
    half = t.isf(0.05, 3)
    assert Estimate(0.0, 1.0, 3).interval(0.1) == pytest.approx((-half, half))
