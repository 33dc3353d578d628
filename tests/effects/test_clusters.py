"""Rows that belong together, against brute force and known truths."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_causalrec.effects.clusters import (
    cross_fitting_folds,
    degrees,
    error,
    estimate,
    folds_by,
    outer,
    parts_of_folds,
    share_between,
)
from sklearn_causalrec.encoding.cluster_columns import Clusters


def jackknife(psi, codes):
    """Variance of the mean by leaving out each cluster in turn."""
    groups = np.unique(codes)
    means = np.array([psi[codes != g].mean() for g in groups])
    return (len(groups) - 1) / len(groups) * ((means - psi.mean()) ** 2).sum()


def one_way(codes):
    return Clusters(np.asarray(codes)[:, None], ["user"])


def test_the_error_is_the_jackknife_over_clusters(rng):
    codes = np.sort(rng.integers(0, 12, 200))
    psi = rng.normal(size=200) + codes
    assert_allclose(error(psi, one_way(codes)) ** 2, jackknife(psi, codes))


def test_two_ways_add_up_without_their_pairs(rng):
    user, item = rng.integers(0, 15, (2, 400))
    psi = rng.normal(size=15)[user] + rng.normal(size=15)[item] + rng.normal(size=400)
    pairs = user * 15 + item
    both = Clusters(np.column_stack([user, item]), ["user", "item"])
    first, second, cells = (jackknife(psi, c) for c in (user, item, pairs))
    assert first + second > cells
    assert_allclose(error(psi, both) ** 2, max(first + second - cells, first, second))


def test_the_error_is_right_on_average():
    """Users of unequal size with effects of their own: the variance is known."""
    size = np.array([2, 5, 10, 20, 40] * 8)
    codes = np.repeat(np.arange(len(size)), size)
    n = size.sum()
    truth = (size**2).sum() / n**2 + 0.25 / n
    squares = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        psi = rng.normal(size=len(size))[codes] + 0.5 * rng.normal(size=n)
        squares.append(error(psi, one_way(codes)) ** 2)
    # The jackknife is a little too large, never too small.
    assert truth < np.mean(squares) < 1.2 * truth


def test_rows_that_are_alone_have_the_usual_error(rng):
    psi = rng.normal(size=500)
    usual = estimate(1.0, psi)
    alone = estimate(1.0, psi, one_way(np.arange(500)))
    assert usual.degrees == np.inf
    assert usual.value == alone.value == 1.0
    assert_allclose(usual.error, psi.std() / np.sqrt(500))
    assert_allclose(alone.error, usual.error, rtol=2e-3)
    assert_allclose(alone.interval(0.05), usual.interval(0.05), atol=1e-3)


def test_few_clusters_have_few_degrees_of_freedom(rng):
    many = one_way(np.repeat(np.arange(400), 5))
    few = one_way(np.repeat(np.arange(8), 250))
    psi = rng.normal(size=2000)
    assert degrees(psi, few) <= 7
    assert degrees(psi, many) > 100
    # Five of a hundred clusters make the error: it is known as well as from five.
    one_sided = np.where(np.arange(100) < 5, rng.normal(size=100) * 30, 0.1)
    assert degrees(one_sided, one_way(np.arange(100))) < 15
    low, high = estimate(0.0, psi, few).interval(0.05)
    assert high - low > 2 * 2.3 * error(psi, few)


def test_the_middle_of_a_sandwich_counts_clusters(rng):
    scores = rng.normal(size=(300, 3))
    codes = rng.integers(0, 20, 300)
    sums = np.array([scores[codes == g].sum(0) for g in range(20)])
    assert_allclose(outer(scores), scores.T @ scores)
    assert_allclose(outer(scores, one_way(codes)), sums.T @ sums * 20 / 19)
    item = rng.integers(0, 20, 300)
    both = outer(scores, Clusters(np.column_stack([codes, item]), ["user", "item"]))
    assert np.linalg.eigvalsh(both).min() > -1e-9


def test_folds_keep_clusters_whole_and_arms_even(rng):
    size = rng.integers(1, 60, 50)
    codes = np.repeat(np.arange(50), size)
    arm = (np.arange(50) % 3 == 0).astype(int)[codes]
    fold = folds_by(arm, codes, 5, np.random.RandomState(0))
    for g in range(50):
        assert len(np.unique(fold[codes == g])) == 1
    first = np.unique(codes, return_index=True)[1]
    assert np.bincount(fold[first]).tolist() == [10] * 5
    treated = np.bincount(fold[first], arm[first])
    assert treated.max() - treated.min() <= 1
    rows = np.bincount(fold)
    assert rows.max() < 1.35 * rows.min()


def test_how_much_of_a_treatment_goes_by_cluster(rng):
    codes = np.repeat(np.arange(100), 20)
    by_cluster = rng.integers(0, 2, 100)[codes]
    by_row = rng.integers(0, 2, 2000)
    assert share_between(by_cluster, codes) == pytest.approx(1)
    assert abs(share_between(by_row, codes)) < 0.05
    # Many clusters of few rows explain nothing by chance.
    assert abs(share_between(by_row, np.arange(2000) // 2)) < 0.1


def test_whole_clusters_or_rows(rng):
    codes = np.repeat(np.arange(60), 10)
    users = one_way(codes)
    by_user, by_row = rng.integers(0, 2, 60)[codes], rng.integers(0, 2, 600)

    def whole(arm, clusters, ids_are_read=False):
        draws = np.random.RandomState(0)
        fold = cross_fitting_folds(arm, 5, draws, clusters, ids_are_read=ids_are_read)
        return all(len(np.unique(fold[codes == g])) == 1 for g in range(60))

    assert whole(by_user, users) and whole(by_row, users)
    assert whole(by_user, users, ids_are_read=True)
    assert not whole(by_row, users, ids_are_read=True)
    assert not whole(by_row, None)
    item = rng.integers(0, 40, 600)
    two = Clusters(np.column_stack([item, codes]), ["item", "user"])
    assert whole(by_user, two)


def test_few_clusters_are_said(rng):
    arm, shop = rng.integers(0, 2, 600), np.arange(600) % 3
    with pytest.warns(UserWarning, match="3 clusters 'shop', fewer than 30"):
        fold = cross_fitting_folds(
            arm, 5, np.random.RandomState(0), Clusters(shop[:, None], ["shop"])
        )
    assert fold.max() == 2
    with pytest.raises(ValueError, match="all rows belong to one cluster 'shop'"):
        one = Clusters(np.zeros((600, 1), int), ["shop"])
        cross_fitting_folds(arm, 5, np.random.RandomState(0), one)


def test_parts_are_of_one_fold_and_keep_clusters_whole(rng):
    codes = rng.integers(0, 60, 900)
    clusters = one_way(codes)
    fold = (rng.permutation(60) % 3)[codes]
    by_groups = parts_of_folds(fold, None, codes)
    np.testing.assert_array_equal(by_groups, parts_of_folds(fold, clusters))
    for found, units in (
        (parts_of_folds(fold, clusters), 60),
        (parts_of_folds(rng.permutation(900) % 3, clusters), 900),  # folds of rows
        (parts_of_folds(fold), 900),
    ):
        sizes = np.bincount(found)
        assert len(sizes) == 21
        assert sizes.min() > 0
        if units == 60:
            assert len(np.unique(np.column_stack([codes, found]), axis=0)) == 60
            assert len(np.unique(np.column_stack([fold, found]), axis=0)) == 21


def test_few_clusters_and_many_rows_have_the_parts_they_can_have(rng):
    codes = np.repeat(np.arange(6), 10)
    parts = parts_of_folds(codes % 3, one_way(codes))
    assert len(np.unique(np.column_stack([codes, parts]), axis=0)) == 6
    assert parts.max() == 5
    many = rng.integers(0, 3, 10_000)
    assert parts_of_folds(many) is many
