"""Averages within users and items, against brute force and known truths."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.within_groups import (
    AverageWithinGroups,
    group_statistics,
    moved_by,
    ways_to_compare,
)
from sklearn_causalrec.encoding.cluster_columns import Clusters


def hidden_users(rng, n_users=150, size=20):
    """Nothing but the user confounds, and no feature tells of it. The truth is 1."""
    user = np.repeat(np.arange(n_users), size)
    taste = rng.normal(size=n_users)[user]
    x = rng.normal(size=(len(user), 3))
    t = (rng.random(len(user)) < 1 / (1 + np.exp(-taste - 0.5 * x[:, 0]))).astype(int)
    y = 2 * taste + x[:, 0] + t * (1 + 0.5 * x[:, 1]) + rng.normal(size=len(user))
    return x.astype(np.float32), y, t, user[:, None]


def test_statistics_are_those_of_a_loop(rng):
    codes = rng.permutation(np.repeat([0, 1, 2, 3, 4], [12, 30, 3, 4, 20]))
    x = rng.normal(size=(69, 2))
    constant = np.arange(5.0)[codes]  # in the group, so that it has no slope
    t = rng.integers(0, 2, 69)
    told = group_statistics(np.column_stack([x, constant]), t, codes)
    assert told.shape == (69, 3)
    z = (x - x.mean(0)) / x.std(0)
    for group in ([0], [1], [2, 3], [4]):
        mine = np.isin(codes, group)
        rest = t[mine] - t[mine].mean()
        expected = [t[mine].mean(), *(rest @ z[mine] / mine.sum())]
        assert_allclose(told[mine], np.tile(expected, (mine.sum(), 1)), atol=1e-12)


def test_at_most_32_features_have_slopes(rng):
    codes = np.repeat(np.arange(20), 30)
    x = rng.normal(size=(600, 50))
    t = (x[:, 17] > 0).astype(int)
    told = group_statistics(x, t, codes)
    assert told.shape == (600, 33)
    # that of the feature which the treatment goes by is among them
    z = (x[:, 17] - x[:, 17].mean()) / x[:, 17].std()
    slope = [((t - t[codes == g].mean()) * z)[codes == g].mean() for g in range(20)]
    assert any(np.allclose(c[::30], slope) for c in told.T)


def test_what_is_constant_in_users_does_not_confound():
    errors, naive, covered = [], [], []
    for seed in range(8):
        X, y, t, groups = hidden_users(np.random.default_rng(seed))
        clusters = Clusters(groups, ["user"])
        average = AverageWithinGroups(random_state=seed).fit(
            X, y, t, groups=groups, clusters=clusters
        )
        found = estimate(average.ate_, average.influence_, clusters)
        low, high = found.interval(0.05)
        errors.append(average.ate_ - 1)
        covered.append(low <= 1 <= high)
        naive.append(y[t == 1].mean() - y[t == 0].mean() - 1)
    assert np.mean(naive) > 1.5
    assert abs(np.mean(errors)) < 0.06
    assert sum(covered) >= 6


def test_groups_that_leave_nothing_to_compare(rng):
    by_row = rng.integers(0, 2, 600)
    users, tiny = np.repeat(np.arange(30), 20), np.repeat(np.arange(200), 3)
    by_user = rng.integers(0, 2, 30)[users]
    groups = np.column_stack([users, tiny])
    assert ways_to_compare(by_row, groups) == [0]
    assert ways_to_compare(by_user, groups) == []


@pytest.fixture(scope="module")
def log():
    return make_exposure_log(3000, n_users=100, n_items=60, random_state=3)


@pytest.fixture(scope="module")
def fitted(log):
    model = CausalDNNRecommender(user="user", item="item", random_state=0)
    return model.fit(log.X, log.y, treatment=log.treatment)


def test_effects_of_rows_have_the_average(log, fitted):
    assert fitted.effects_.offset[1] != 0
    effects = fitted.effects_
    assert_allclose(effects.fitted[1].mean(), fitted.ate(), atol=1e-6)
    row = fitted.effect(log.X[:5])
    low, high = fitted.effect_interval(log.X[:5])
    assert_allclose((low + high) / 2, row, atol=1e-6)
    assert_allclose(fitted.effect(log.X[:5], T0=1, T1=0), -row, atol=1e-12)
    assert fitted.averages_within_ == ["user", "item"]


def test_known_probabilities_need_no_groups(log):
    model = CausalDNNRecommender(user="user", item="item", random_state=0, max_epochs=2)
    model.fit(log.X, log.y, treatment=log.treatment, propensity=log.propensity)
    assert model.averages_within_ == []
    assert model.effects_.offset[1] == 0


def test_each_arm_is_compared_within_groups(rng):
    X, y, t, groups = hidden_users(rng, n_users=60)
    arm = np.where(t == 1, rng.integers(1, 3, len(t)), 0)
    fold = np.arange(len(t)) % 3
    zero = np.zeros((len(t), 3))
    effects = ArmEffects(3, 0.01, 0).fit(
        X, y, arm, np.ones(len(t)), fold, zero, zero + 1 / 3,
        groups=groups, features=X,
    )  # fmt: skip
    assert all(effects.offset[1:] != 0)
    for a in (1, 2):
        assert abs(effects.ate(0, a).value - 1) < 0.35
    between = effects.effect(X, zero, 1, 2, groups)
    against = effects.effect(X, zero, 0, 2, groups) - effects.effect(
        X, zero, 0, 1, groups
    )
    assert_allclose(between, against, atol=1e-9)


def test_what_pairs_may_confound_widens_the_interval(fitted):
    effects = fitted.effects_
    alone = estimate(0.0, effects.influence[1], effects.clusters).error
    found = effects.ate(0, 1)
    assert effects.doubt[1] > 0
    assert_allclose(found.error**2, alone**2 + effects.doubt[1] ** 2)
    assert effects.ate(0, 1, clustered=False).error > effects.doubt[1]


def test_the_doubt_is_a_third_of_what_ids_were_found_to_confound(rng):
    """Two hidden sides, each of which confounds by a known linear share."""
    user = np.repeat(np.arange(80), 60)
    item = np.tile(np.arange(60), 80)
    u, v = rng.normal(size=80)[user], rng.normal(size=60)[item]
    chance = np.clip(0.5 + 0.12 * u + 0.12 * v, 0.02, 0.98)
    t = (rng.random(len(u)) < chance).astype(int)
    y = u + v + t + rng.normal(size=len(u))
    X = rng.normal(size=(len(u), 2)).astype(np.float32)
    average = AverageWithinGroups(random_state=0).fit(
        X, y, t, groups=np.column_stack([user, item])
    )
    naive = y[t == 1].mean() - y[t == 0].mean() - 1
    assert_allclose(average.doubt_, naive / 3, rtol=0.1)
    assert abs(average.ate_ - 1) < 0.1
    one = AverageWithinGroups(random_state=0).fit(X, y, t, groups=user[:, None])
    assert one.doubt_ == 0


def test_an_arm_of_one_user_alone_is_no_reason_to_fail(rng):
    user, item = np.repeat(np.arange(40), 25), rng.integers(0, 30, 1000)
    X = pd.DataFrame({"user": user, "item": item, "x": rng.normal(size=1000)})
    t = np.where(user == 3, rng.integers(0, 2, 1000), 0)
    y = X["x"].to_numpy() + t + rng.normal(size=1000)
    model = CausalDNNRecommender(
        user="user", item="item", random_state=0, max_epochs=2, n_folds=3
    )
    model.fit(X, y, treatment=t)
    assert model.averages_within_ == []
    assert np.isfinite(model.ate_interval()).all()


def test_moves_are_those_of_two_regressions(rng):
    X = rng.normal(5, 3, size=(400, 3)).astype(np.float32)
    shares, y, t = rng.random((400, 2)), rng.normal(size=400), rng.integers(0, 2, 400)
    y, weight = y + 3 * shares[:, 0] + t, rng.integers(1, 4, 400)
    times = np.repeat(np.arange(400), weight)
    coefs = [
        LinearRegression().fit(np.column_stack(Z)[times], y[times]).coef_[0]
        for Z in ((t, X), (t, X, shares))
    ]
    assert_allclose(moved_by(shares, X, y, t, weight), coefs[0] - coefs[1], atol=1e-6)
    twice = np.column_stack([X, X])  # collinear, as features of texts may be
    assert_allclose(
        moved_by(shares, twice, y, t, weight), coefs[0] - coefs[1], atol=1e-6
    )
