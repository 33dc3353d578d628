"""Intervals of single rows: their parts by hand, and coverage of known effects."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression, Ridge

from sklearn_causalrec.effects.learners import Grouped, MixedRidge
from sklearn_causalrec.effects.row_intervals import (
    RowErrors,
    averaged_weights,
    disagreement,
    left_over,
    stacked_variance,
)
from sklearn_causalrec.effects.stacked import StackedEffect
from sklearn_causalrec.encoding.cluster_columns import Clusters

pytestmark = pytest.mark.filterwarnings("ignore")


def linear(bins, seed):
    return LinearRegression()


def ridge(bins, seed):
    return Ridge(100.0)


def quick(**options):
    """A stage whose nuisances are linear, as those of the logs below about are."""
    nuisances = dict(outcome_learners=(linear, ridge), exposure_learners=(linear,))
    return StackedEffect(n_folds=3, random_state=0, **nuisances, **options)


def test_variance_of_a_stack_by_hand():
    parts = np.array([[[1.0, 4.0]], [[3.0, 4.0]]])  # two folds, one row, two candidates
    # Means 2 and 4, stacked to 2.5; jackknife variances (2 - 1) * 1 and 0.
    expected = (0.75 * np.sqrt(1 + 0.5**2) + 0.25 * np.sqrt(1.5**2)) ** 2
    found = stacked_variance(parts, np.array([0.75, 0.25]))
    assert_allclose(found, [expected])
    alone = stacked_variance(parts, np.array([1.0, 0.0]), np.array([[3.0, 9.0]]))
    assert_allclose(alone, [1 + 3])


def test_disagreement_by_hand():
    found = disagreement(np.array([[1.0, 3.0]]), np.array([1.0, 0.0]))
    assert_allclose(found, [4 / 6])
    assert_allclose(disagreement(np.ones((3, 1)), np.ones(1)), 0)


def residuals(seed, spread_user, spread_item, n=8000):
    """Of models by fold, each off by its own offset of each user and each item."""
    rng = np.random.default_rng(seed)
    fold, user, item = (rng.integers(k, size=n) for k in (5, 300, 100))
    off = spread_user * rng.normal(size=(300, 5))[user, fold]
    off += spread_item * rng.normal(size=(100, 5))[item, fold]
    weight = rng.uniform(0.05, 0.3, size=n)
    rest = off + rng.normal(size=n) / np.sqrt(weight)
    return rest, weight, fold, np.column_stack([user, item])


def by_pairs(rest, weight, codes):
    """Mean weighted product of the residuals of two rows of one group."""
    own = (weight * rest) ** 2
    sums, squares = np.bincount(codes, weight * rest), np.bincount(codes, own)
    mass, masses = np.bincount(codes, weight), np.bincount(codes, weight**2)
    return (sums**2 - squares).sum() / (mass**2 - masses).sum()


def test_what_groups_leave_over():
    found = [left_over(*residuals(seed, 0.8, 0.5)) for seed in range(6)]
    assert_allclose(np.mean(found, 0), [0.64, 0.25], rtol=0.2)
    pairs = []
    for seed in range(6):
        rest, weight, fold, groups = residuals(seed, 0.8, 0.5)
        pairs.append([by_pairs(rest, weight, g * 5 + fold) for g in groups.T])
    assert_allclose(np.mean(found, 0), np.mean(pairs, 0), rtol=0.25)
    nothing = [left_over(*residuals(seed, 0.0, 0.0)) for seed in range(6)]
    assert np.mean(nothing) < 0.03


def test_pairs_that_differ_as_much_as_their_sides_are_counted():
    """Offsets of users, of items, and of pairs, of which each is seen once."""
    counted, alone = [], []
    for seed in range(6):
        rest, weight, fold, groups = residuals(seed, 0.8, 0.5)
        rng = np.random.default_rng([1, seed])
        rest += np.sqrt(0.64 + 0.25) * rng.normal(size=len(rest))
        given = np.zeros((len(rest), 1)), rest, weight, np.ones(1), fold
        rng = np.random.RandomState(0)
        counted.append(RowErrors(*given, groups, None, rng).left_over)
        users = Clusters(groups[:, :1], ["user"])
        alone.append(RowErrors(*given, None, users, rng).left_over)
    # All that a row is off by: 0.64 of its user, 0.25 of its item, as much of the pair.
    assert_allclose(np.mean(counted), 2 * (0.64 + 0.25), rtol=0.2)
    assert_allclose(np.mean(alone), 0.64, rtol=0.3)  # one side has no pairs


def test_weights_are_averaged_over_candidates_that_are_as_good():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=600)
    noise = rng.normal(size=(600, 3))
    P = signal[:, None] + 0.3 * noise * [1, 1, 4]
    y, w = signal + 3 * rng.normal(size=600), np.ones(600)
    found = averaged_weights(P, y, w, np.random.RandomState(0))
    assert_allclose(found.sum(), 1)
    assert found[0] > 0.15 and found[1] > 0.15 and found[2] < 0.15
    # One that is right takes it all, in every half.
    sure = averaged_weights(np.c_[signal, noise], signal, w, np.random.RandomState(0))
    assert_allclose(sure, [1, 0, 0, 0], atol=1e-3)


def test_half_samples_keep_clusters_whole():
    """Copies of rows in one cluster say no more than the rows."""
    rng = np.random.default_rng(1)
    P, y, w = rng.normal(size=(50, 3)), rng.normal(size=50), np.ones(50)
    copies = np.repeat(np.arange(50), 4)
    clusters = Clusters(copies[:, None], ["user"])
    alone = averaged_weights(P, y, w, np.random.RandomState(3))
    many = averaged_weights(
        P[copies], y[copies], w[copies], np.random.RandomState(3), clusters
    )
    assert_allclose(many, alone, atol=1e-4)


def test_offsets_are_known_the_better_the_more_rows_a_group_has():
    rng = np.random.default_rng(2)
    codes = np.r_[np.zeros(200, int), np.ones(5, int), rng.integers(2, 60, 600)]
    y = rng.normal(size=60)[codes] + rng.normal(size=len(codes))
    X, w = np.zeros((len(codes), 1)), np.ones(len(codes))
    model = MixedRidge().fit(Grouped(X, codes[:, None]), y, w)
    new = np.array([[0], [1], [1000]])
    found = model.offset_variance(Grouped(np.zeros((3, 1)), new))
    _, between, noise = model.variances_
    expected = [noise / (200 + noise / between), noise / (5 + noise / between), between]
    assert_allclose(found, expected)


def log(seed, n=2000, n_new=2000, users=40, items=20):
    """Users and items differ in the effect, and in nothing that X says."""
    rng = np.random.default_rng([5, seed])
    m = n + n_new
    groups = np.column_stack([rng.integers(users, size=m), rng.integers(items, size=m)])
    a, b = rng.normal(size=users), rng.normal(size=items)
    X = rng.normal(size=(m, 4))
    effect = 1 + 0.4 * X[:, 1] + 0.7 * a[groups[:, 0]] + 0.4 * b[groups[:, 1]]
    t = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    y = X[:, 0] + t * effect + rng.normal(size=m)
    return X, y, t, groups, effect, slice(n), slice(n, None)


def covered(low, high, truth):
    """Share of rows covered, and in each fifth of the effect."""
    inside = (low <= truth) & (truth <= high)
    fifth = np.searchsorted(np.quantile(truth, [0.2, 0.4, 0.6, 0.8]), truth)
    return np.array([inside.mean(), *(inside[fifth == k].mean() for k in range(5))])


@pytest.fixture(scope="module")
def grouped():
    X, y, t, groups, effect, old, new = log(0)
    stage = quick()
    stage.fit(X[old], y[old], t[old], groups=groups[old])
    return stage, X[new], groups[new], effect[new]


def test_rows_of_users_and_items_are_covered(grouped):
    shares = []
    for seed in (1,):
        X, y, t, groups, effect, old, new = log(seed)
        stage = quick()
        stage.fit(X[old], y[old], t[old], groups=groups[old])
        shares.append(
            covered(*stage.effect_interval(X[new], groups=groups[new]), effect[new])
        )
    stage, X, groups, effect = grouped
    low, high = stage.effect_interval(X, groups=groups)
    shares = np.mean([*shares, covered(low, high, effect)], 0)
    assert shares[0] > 0.9 and shares.min() > 0.8
    assert np.mean(high - low) < 6 * effect.std()


def test_new_users_are_known_less(grouped):
    stage, X, groups, _ = grouped
    low, high = stage.effect_interval(X, groups=groups)
    low_new, high_new = stage.effect_interval(X, groups=groups + [1000, 0])
    assert (high_new - low_new > 1.05 * (high - low)).all()


def test_a_row_has_its_interval_whatever_else_is_asked(grouped):
    stage, X, groups, _ = grouped
    whole = stage.effect_interval(X, groups=groups)
    for rows in (slice(1), slice(7, 300)):
        part = stage.effect_interval(X[rows], groups=groups[rows])
        assert_allclose(part, [bound[rows] for bound in whole], rtol=1e-5)
    copy = pickle.loads(pickle.dumps(stage))
    np.testing.assert_array_equal(copy.effect_interval(X, groups=groups), whole)


def test_refits_in_threads_and_units():
    X, y, t, groups, _, old, new = log(3, n=800)
    given = X[old], y[old], t[old]
    ask = dict(groups=groups[new])
    fits = [quick(n_jobs=k).fit(*given, groups=groups[old]) for k in (1, 2)]
    one, two = (fit.effect_interval(X[new], **ask) for fit in fits)
    np.testing.assert_array_equal(one, two)
    other = quick()
    other.fit(X[old], 1000 * y[old] + 5e4, t[old], groups=groups[old])
    scaled = other.effect_interval(X[new], **ask)
    assert_allclose(scaled, 1000 * np.array(one), rtol=0.01, atol=20)


def test_clusters_that_the_features_do_not_tell_widen():
    X, y, t, groups, effect, old, new = log(4)
    named = Clusters(groups[old], ["user", "item"])
    alone = quick().fit(X[old], y[old], t[old])
    low, high = alone.effect_interval(X[new])
    assert covered(low, high, effect[new])[0] < 0.6
    stage = quick().fit(X[old], y[old], t[old], clusters=named)
    wide = stage.effect_interval(X[new])
    shares = covered(*wide, effect[new])
    assert shares[0] > 0.9 and shares.min() > 0.8
    # Of clusters that do not differ little is made, what chance makes of them.
    same = 1 + 0.4 * X[old, 1]
    y = X[old, 0] + t[old] * same + np.random.default_rng(0).normal(size=len(same))
    stage = quick().fit(X[old], y, t[old], clusters=named)
    narrow = stage.effect_interval(X[new])
    assert np.mean(np.diff(narrow, axis=0)) < 0.4 * np.mean(np.diff(wide, axis=0))


def test_networks_that_differ_between_folds_widen():
    X, y, t, _, effect, old, new = log(5, n=1200)
    net = np.column_stack([X[:, 0], X[:, 0] + effect])
    off = np.random.default_rng(1).normal(size=(3, len(X), 2))

    def by_fold(rows):
        return net[rows] + off[:, rows]

    given = dict(outcome_oof=net[old])
    firm = quick().fit(X[old], y[old], t[old], **given)
    given["outcome_by_fold"] = by_fold
    loose = quick().fit(X[old], y[old], t[old], **given)
    ask = net[new] + off[:, new]
    assert firm.weights_ == loose.weights_
    narrow, wide = (
        np.mean(np.diff(stage.effect_interval(X[new], outcome=ask), axis=0))
        for stage in (firm, loose)
    )
    assert wide > 1.1 * narrow
