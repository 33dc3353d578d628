"""The targeted step: its value and its standard error."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from sklearn_causalrec.effects.targeted import targeted_step


def make_rows(n=500, moved=1.0, seed=0):
    rng = np.random.default_rng(seed)
    mean, ratio = rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    return mean + moved + rng.normal(size=n), mean, ratio, rng.uniform(0.5, 1.5, n)


def weights(ratio, weight, clip):
    relative = ratio * (weight / ratio).sum() / weight.sum()
    return weight / np.maximum(relative, clip)


def test_a_linear_step_in_closed_form():
    """The weighted mean residual, less two standard errors of residuals around it."""
    y, mean, ratio, weight = make_rows()
    w = weights(ratio, weight, 0.7)
    eps = np.average(y - mean, weights=w)
    error = np.sqrt((w**2 * (y - mean - eps) ** 2).sum()) / w.sum()
    step = targeted_step(y, mean, ratio, weight, binary=False, clip=0.7)
    assert step == pytest.approx(eps - 2 * error, rel=1e-12)


def test_the_standard_error_does_not_grow_with_the_step():
    y, mean, ratio, weight = make_rows(moved=0.0)
    given = (mean, ratio, weight)
    near = targeted_step(y + 10, *given, binary=False, clip=0.5)
    far = targeted_step(y + 1000, *given, binary=False, clip=0.5)
    assert far - near == pytest.approx(990, rel=1e-9)


def test_a_binary_step_solves_its_equation():
    rng = np.random.default_rng(1)
    link, ratio = rng.normal(size=4000), rng.uniform(0.5, 2.0, 4000)
    y, weight = rng.binomial(1, expit(link + 0.5)), np.ones(4000)
    w = weights(ratio, weight, 0.5)
    eps = brentq(lambda e: w @ (y - expit(link + e)), -3, 3, xtol=1e-13)
    fitted = expit(link + eps)
    error = np.sqrt((w**2 * (y - fitted) ** 2).sum()) / (w @ (fitted * (1 - fitted)))
    given = (expit(link), ratio, weight)
    step = targeted_step(y, *given, binary=True, clip=0.5)
    assert step == pytest.approx(eps - 2 * error, rel=1e-8)
    assert logit(expit(step)) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("binary", [False, True])
def test_noise_alone_moves_nothing(binary):
    rng = np.random.default_rng(2)
    mean = np.full(300, 0.3)
    y = np.repeat([1.0, 0.0], [91, 209]) if binary else mean + rng.normal(size=300)
    ones = np.ones(300)
    assert targeted_step(y, mean, ones, ones, binary=binary, clip=0.5) == 0
