import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec.causal import lee_bounds


def log(rng, n, more=0.2):
    """Everybody has an outcome under 1 with 0.6 + more, under 0 with 0.6; effect 1."""
    u = rng.uniform(size=n)
    t = rng.binomial(1, 0.5, size=n)
    seen = u < 0.6 + more * t
    y = 1.0 * t + 3 * u + rng.normal(size=n)
    return np.where(seen, y, np.nan), t


def truth(more, n=2_000_000):
    """The bounds where the distribution is known: a very large sample, sorted."""
    y, t = log(np.random.default_rng(0), n, more)
    outcomes = np.sort(y[(t == 1) & ~np.isnan(y)])
    keep = round(0.6 / (0.6 + more) * len(outcomes))
    plain = np.nanmean(y[t == 0])
    return outcomes[:keep].mean() - plain, outcomes[-keep:].mean() - plain


def test_bounds_and_coverage():
    low, high = truth(0.2)
    assert low < 1 < high
    rng, found, wide = np.random.default_rng(1), [], 0
    for _ in range(200):
        its = lee_bounds(*log(rng, 1500))
        found.append((its.low, its.high))
        wide += its.interval[0] <= low and its.interval[1] >= high
    assert np.allclose(np.mean(found, axis=0), (low, high), atol=0.03)
    # Both ends at once: each is missed one-sidedly in one of twenty.
    assert 0.82 < wide / 200 < 0.97


def test_errors_are_those_of_repetition():
    rng = np.random.default_rng(2)
    for more in (0.2, -0.2):
        lows, errors = [], []
        for _ in range(200):
            its = lee_bounds(*log(rng, 1000, more))
            lows.append(its.low)
            errors.append((its.low - its.interval[0]) / 1.645)
        assert 0.85 < np.mean(errors) / np.std(lows) < 1.2


def test_the_larger_arm_is_trimmed():
    y = [1.0, 2, 3, 4, 1, 3, np.nan, np.nan]
    t = [1, 1, 1, 1, 0, 0, 0, 0]
    found = lee_bounds(y, t)
    assert (found.low, found.high, found.trimmed) == (1.5 - 2, 3.5 - 2, 0.5)
    turned = lee_bounds(y, t, control=1)
    assert (turned.low, turned.high) == (2 - 3.5, 2 - 1.5)
    full = lee_bounds([1.0, 2, 3, 4], [0, 0, 1, 1])
    assert full.low == full.high == 2 and full.trimmed == 0
    # Half of an outcome counts by half.
    half = lee_bounds([1.0, 2, 3, 1, np.nan, np.nan, 1, 3], [1, 1, 1, 0, 0, 0, 0, 0])
    assert np.isclose(half.trimmed, 0.4)
    assert np.isclose(half.low, (1 + 0.8 * 2) / 1.8 - 5 / 3)


def test_clusters_and_containers():
    rng = np.random.default_rng(3)
    y, t = log(rng, 200)
    twice = lee_bounds(np.tile(y, 2), np.tile(t, 2), cluster=np.tile(np.arange(200), 2))
    once = lee_bounds(y, t)
    assert np.allclose(twice.interval, once.interval, atol=0.02)
    naive = lee_bounds(np.tile(y, 2), np.tile(t, 2))
    assert naive.interval[0] > twice.interval[0]
    for make in (list, pd.Series, pl.Series):
        assert lee_bounds(make(y), make(t)) == once


@pytest.mark.parametrize(
    ("y", "treatment", "message"),
    [
        ([1, 2, np.nan], [1, 1, 0], "no control row has an outcome"),
        ([np.nan, 2, 3], [1, 0, 0], "no treated row has an outcome"),
        ([1, 2, 3], [1, 2, 0], "two arms"),
        ([1, 2, np.inf], [1, 0, 0], "y is inf"),
        ([1, 2], [1, 0, 0], "3"),
    ],
)
def test_bad_input(y, treatment, message):
    with pytest.raises(ValueError, match=message):
        lee_bounds(y, treatment)
