"""Metrics of rows that belong together: one row copied many times is still one row."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t as student
from sklearn.base import BaseEstimator, RegressorMixin

from sklearn_causalrec import metrics


@pytest.fixture
def bandit(rng):
    """200 users of one row each, and the same log with every row five times."""
    action = rng.integers(0, 2, 200)
    y = rng.normal(size=200) + action
    return y, action, np.full(200, 0.5), np.arange(200)


def five_times(*columns):
    return [np.repeat(c, 5) for c in columns]


def value(y, action, p, **options):
    return metrics.policy_value(
        y, action, 1, propensity=p, actions=[0, 1], outcome=np.zeros((len(y), 2)),
        estimators=["ips", "snips", "dr", "sndr"], **options,
    )  # fmt: skip


def test_copies_of_a_row_say_nothing_new_of_a_policy(bandit):
    y, action, p, user = bandit
    once = value(y, action, p, cluster=user)
    y5, action5, p5, user5 = five_times(y, action, p, user)
    copied = value(y5, action5, p5, cluster=user5)
    assert_allclose(copied.table["stderr"], once.table["stderr"])
    assert_allclose(copied.interval, once.interval)
    assert_allclose(copied.agreement, once.agreement, atol=1e-9)
    alone = value(y5, action5, p5)
    assert (copied.table["stderr"] > 2 * alone.table["stderr"]).all()
    # a cluster a row: the usual error, but for the degrees of freedom
    assert_allclose(once.table["stderr"], value(y, action, p).table["stderr"])


def test_the_bootstrap_draws_whole_clusters(bandit):
    y, action, p, user = bandit
    options = dict(interval="bootstrap", estimator="sndr", n_bootstrap=300)
    once = value(y, action, p, **options)
    y5, action5, p5, user5 = five_times(y, action, p, user)
    copied = value(y5, action5, p5, cluster=user5, **options)
    assert_allclose(copied.interval, once.interval)
    low, high = metrics.bootstrap_interval(y)
    assert_allclose(metrics.bootstrap_interval(y5, cluster=user5), (low, high))


def test_intervals_of_means_by_cluster(rng):
    user = np.repeat(np.arange(40), 10)
    x = rng.normal(size=40)[user] + 0.1 * rng.normal(size=400)
    means = np.bincount(user, x) / 10
    reach = means.std(ddof=1) / np.sqrt(40)
    low, high = metrics.normal_interval(x, cluster=user)
    # balanced clusters: that of the clusters' means, with at most 39 degrees
    assert (high - low) / 2 > student.ppf(0.975, 39) * reach * 0.999
    assert (high - low) / 2 < 1.1 * student.ppf(0.975, 39) * reach
    # text ids, in a frame with a second way to group
    both = pd.DataFrame({"user": user.astype(str), "item": np.tile(np.arange(10), 40)})
    wide = metrics.normal_interval(x, cluster=both)
    assert wide[1] - wide[0] > 0.95 * (high - low)


def test_values_of_policies_cover_where_users_repeat():
    covered, alone = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(60), 20)
        action = rng.integers(0, 2, len(user))
        y = 0.3 * action + rng.normal(size=60)[user] + rng.normal(size=len(user))
        p = np.full(len(user), 0.5)
        for cluster, kept in ((user, covered), (None, alone)):
            low, high = metrics.policy_value(
                y, action, 1, propensity=p, cluster=cluster
            ).interval
            kept.append(low <= 0.3 <= high)
    assert np.mean(covered) > 0.88
    assert np.mean(alone) < 0.65


def test_folds_keep_clusters_whole(rng):
    class Memory(RegressorMixin, BaseEstimator):
        """Knows the users it has seen."""

        def fit(self, X, y):
            self.seen = set(X[:, 0])
            return self

        def predict(self, X):
            return np.array([float(x in self.seen) for x in X[:, 0]])

    user = np.repeat(np.arange(30.0), 8)
    action = rng.integers(0, 2, len(user))
    y = rng.normal(size=len(user))
    given = y, action, 2, user[:, None], Memory()
    assert not metrics.cross_fit_outcomes(*given, cluster=user).any()
    assert metrics.cross_fit_outcomes(*given).all()


def test_halves_of_clusters(rng):
    effect = rng.normal(size=300)
    priority = effect + rng.normal(size=300)
    once = metrics.rate(priority, effect)
    copied = metrics.rate(
        *five_times(priority, effect), cluster=np.repeat(np.arange(300), 5)
    )
    assert_allclose(copied.stderr, once.stderr, rtol=0.1)
    assert_allclose(copied.estimate, once.estimate, rtol=0.1)


def test_effects_in_bins_by_cluster(rng):
    effect = rng.normal(size=400)
    scores = effect + rng.normal(size=400)
    once = metrics.effect_calibration(effect, scores, n_bins=4)
    effect5, scores5 = five_times(effect, scores)
    copied = metrics.effect_calibration(
        effect5, scores5, n_bins=4, cluster=np.repeat(np.arange(400), 5)
    )
    assert_allclose(copied["stderr"], once["stderr"], rtol=0.02)


def test_lists_of_a_user(rng):
    y = rng.integers(0, 2, size=(100, 3))
    ours = rng.uniform(0.2, 0.8, size=(100, 3))
    theirs = np.full((100, 3), 0.5)
    once = metrics.slate_policy_value(
        y, ours, propensity=theirs, cluster=np.arange(100)
    )
    twice = metrics.slate_policy_value(
        np.repeat(y, 2, 0),
        np.repeat(ours, 2, 0),
        propensity=np.repeat(theirs, 2, 0),
        cluster=np.repeat(np.arange(100), 2),
    )
    assert_allclose(twice.interval, once.interval)


def test_what_can_not_be_clustered_says_so(bandit):
    y, action, p, user = bandit
    for interval in ("bernstein", "sequence"):
        with pytest.raises(ValueError, match="independent rows"):
            value(y, action, p, cluster=user, interval=interval)
    both = np.column_stack([user, user // 2])
    with pytest.raises(ValueError, match="resamples by one"):
        metrics.bootstrap_interval(y, cluster=both)
    with pytest.raises(ValueError, match="half-samples are drawn by one"):
        metrics.rate(y, y, cluster=both)
    with pytest.raises(ValueError, match="4 are needed"):
        metrics.rate(y, y, cluster=user // 100)
    with pytest.raises(ValueError, match="199"):
        metrics.normal_interval(y, cluster=user[:199])
    with pytest.raises(ValueError, match="missing"):
        metrics.normal_interval(y, cluster=np.where(user == 0, np.nan, user))
