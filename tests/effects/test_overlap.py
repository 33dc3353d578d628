"""Which rows lack overlap, where an arm is rare and where it is not."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.effects.average import least_and_most
from sklearn_causalrec.effects.overlap import (
    at_the_clip,
    common_support,
    least_of_arms,
    told_clip,
)


def shares(*p, n=1000):
    return np.tile(p, (n, 1))


def test_bounds_of_two_arms_are_those_of_averages():
    for share in (0.02, 0.3, 0.5, 0.9):
        least, most = least_and_most(share, 0.05)
        found = least_of_arms(shares(1 - share, share), 0.05)
        np.testing.assert_allclose(found, [1 - most, least])
    np.testing.assert_allclose(least_of_arms(shares(0.5, 0.5), 0.4), 0.4)


def test_of_many_arms_each_is_rare():
    np.testing.assert_allclose(least_of_arms(shares(*[0.05] * 20), 0.05), 0.025)
    np.testing.assert_allclose(least_of_arms(shares(*[0.25] * 4), 0.05), 0.05)
    found = least_of_arms(shares(0.9, 0.08, 0.02), 0.05)
    np.testing.assert_allclose(found, [0.05, 0.05 * 0.24, 0.05 * 0.06])


def test_the_clip_in_words():
    assert told_clip(0.05) == told_clip(np.array([0.05, 0.049])) == "0.05"
    assert told_clip(np.array([0.05, 0.0045])) == "0.05 (of a rare arm 0.0045)"


def test_a_row_may_lack_either_arm():
    p = np.array([[0.96, 0.04], [0.997, 0.003], [0.04, 0.96], [0.5, 0.5]])
    least = np.array([0.05, 0.005])
    assert at_the_clip(p, least).tolist() == [False, True, True, False]
    assert common_support(p, least).tolist() == [True, False, False, True]
    assert common_support(p, least, 0.1).tolist() == [False, False, False, True]


def fitted(slope):
    """One row in twenty is treated; the slope says how much it goes by x0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    t = rng.binomial(1, 1 / (1 + np.exp(3.1 - slope * x[:, 0])))
    X = pd.DataFrame(x, columns=["x0", "x1"])
    model = CausalDNNRecommender(max_epochs=5, n_folds=2, random_state=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, x[:, 0] + t + rng.normal(size=3000), treatment=t)
        model.propensity_  # noqa: B018 it fits the second stage
    return model, [str(w.message) for w in told if "poor overlap" in str(w.message)]


def test_a_rare_arm_is_no_lack_of_overlap():
    """Nearly all rows have a probability below 0.05 there, and all may be treated."""
    model, told = fitted(0.3)
    assert (model.propensity_.min(1) < 0.05).mean() > 0.4
    assert not told
    assert model.overlap_["clipped"] < 0.01
    assert model.common_support().mean() > 0.99


def test_a_rare_arm_that_half_of_the_rows_never_have():
    model, told = fitted(5.0)
    assert len(told) == 1 and "clip=0.05 (of a rare arm 0.0" in told[0]
    assert "mostly at x0 <=" in told[0]
    assert model.overlap_["clipped"] > 0.2
    kept = model.common_support().mean()
    assert model.overlap_["clipped"] == pytest.approx(1 - kept)
