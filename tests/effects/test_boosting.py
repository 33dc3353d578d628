"""Boosting on shared bins against scikit-learn's, which finds its own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from sklearn_causalrec.effects import boosting
from sklearn_causalrec.effects.boosting import BinnedTrees
from sklearn_causalrec.effects.learners import Binned, Bins, Boost
from sklearn_causalrec.serving.memory import CHECKS

SAME = dict(max_iter=15, max_leaf_nodes=8, learning_rate=0.2)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 64, (1500, 5)).astype(np.uint8)
    y = (codes[:, 0] > 30) * (codes[:, 1] > 20) + rng.normal(size=1500)
    return codes, y, rng.uniform(0.1, 3, 1500)


@pytest.mark.parametrize("weighted", [False, True])
def test_trees_are_scikit_learns(log, weighted):
    codes, y, w = log
    w = w / w.mean() if weighted else None
    theirs = HistGradientBoostingRegressor(early_stopping=False, **SAME)
    expected = theirs.fit(codes, y, w).predict(codes)
    found = BinnedTrees(**SAME).fit(codes, y, w).predict(codes)
    assert_allclose(found, expected, atol=1e-5)
    theirs = HistGradientBoostingClassifier(early_stopping=False, **SAME)
    expected = theirs.fit(codes, y > 0, w).predict_proba(codes)[:, 1]
    found = BinnedTrees(classify=True, **SAME).fit(codes, y > 0, w).predict(codes)
    assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("classify", [False, True])
def test_versions_without_the_grower(log, classify, monkeypatch):
    codes, y, w = log
    y = (y > 0).astype(float) if classify else y
    trees = [BinnedTrees(classify=classify, **SAME).fit(codes, y, w)]
    monkeypatch.setattr(boosting, "TreeGrower", None)
    trees.append(BinnedTrees(classify=classify, **SAME).fit(codes, y, w))
    assert_allclose(*(t.predict(codes) for t in trees), atol=1e-5)


def test_trees_of_estimators_that_files_hold(log):
    codes, y, w = log
    gaps = (codes // 9 * 9).astype(np.uint8)  # scikit-learn's bins are not the codes
    theirs = HistGradientBoostingRegressor(early_stopping=False, **SAME)
    theirs.fit(gaps, y, w)
    expected = theirs.predict(gaps)
    assert_allclose(BinnedTrees.of_histogram_boosting(theirs).predict(gaps), expected)
    bins = Bins(codes.astype(float))
    old = Boost(bins, 0)
    state = vars(old) | {"trees": theirs}
    old.__setstate__(state)
    assert isinstance(old.trees, BinnedTrees)


def test_rows_with_their_bins_are_the_rows():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(500, 3))
    y = X[:, 0] * (X[:, 1] > 0)
    bins = Bins(X)
    model = Boost(bins, 0, True, max_iter=10).fit(X, y)
    both = Binned(X, bins(X))
    again = Boost(bins, 0, True, max_iter=10).fit(both, y)
    assert_allclose(again.predict(both[100:200]), model.predict(X[100:200]), rtol=0)
    assert len(both[[1, 2, 3]]) == 3


@pytest.mark.parametrize("field, value", [("left", 200), ("feature_idx", 5)])
def test_nodes_that_lead_elsewhere_are_refused(log, field, value):
    codes, y, _ = log
    model = BinnedTrees(max_iter=2).fit(codes, y)
    check = CHECKS["sklearn_causalrec.effects.boosting.BinnedTrees"]
    check(model)
    model.predictors_[1].nodes[field][0] = value
    with pytest.raises(ValueError, match="of a tree"):
        check(model)


def test_other_columns_are_refused(log):
    codes, y, _ = log
    model = BinnedTrees(max_iter=2).fit(codes, y)
    with pytest.raises(ValueError, match=r"codes have 4 columns.* grown on 5"):
        model.predict(codes[:, :4])


def test_a_class_that_is_rare_stays_possible():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 9, (300, 2)).astype(np.uint8)
    rare = np.arange(300) == 7
    for seed in range(3):
        model = BinnedTrees(classify=True, random_state=seed)
        p = model.fit(codes, rare).predict(codes)
        assert np.isfinite(p).all() and p.mean() < 0.1
