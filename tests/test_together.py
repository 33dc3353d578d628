"""What was fitted goes through every part of the package, or is refused by name."""

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import (
    CausalDNNRecommender,
    EffectIndex,
    explain_effect,
    forget,
    load,
    reasons,
    recommend,
    report,
    save,
    segments,
    to_onnx,
)
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.serving import compile_scorer


@pytest.fixture(scope="module")
def positives():
    log = make_exposure_log(900, n_users=40, n_items=30, random_state=0)
    return log.X[log.y > 0.5]


@pytest.fixture(scope="module")
def implicit(positives):
    model = CausalDNNRecommender(
        user="user", item="item", objective="implicit", max_epochs=3, random_state=0
    )
    return model.fit(positives)


def test_lists_of_positives_are_the_same_everywhere(implicit, tmp_path):
    expected = recommend(implicit, users=[3, 4], k=3)
    index = EffectIndex(implicit, by="outcome")
    pd.testing.assert_frame_equal(index.recommend([3, 4], k=3), expected)
    save(implicit, tmp_path / "model")
    found = recommend(load(tmp_path / "model"), users=[3, 4], k=3)
    pd.testing.assert_frame_equal(found, expected)


def test_one_who_is_forgotten_gets_the_list_of_a_stranger(implicit, tmp_path):
    gone = forget(implicit, [3])
    lists = recommend(gone, users=[3, 4], k=3, exclude_seen=False)
    new = recommend(gone, users=[10**6], k=3, exclude_seen=False)
    np.testing.assert_array_equal(lists["item"][lists["user"] == 3], new["item"])
    old = recommend(implicit, users=[4], k=3, exclude_seen=False)
    np.testing.assert_array_equal(lists["item"][lists["user"] == 4], old["item"])


def test_scores_of_positives_are_explained(implicit, positives):
    lists = recommend(implicit, users=[3], k=2)
    assert (reasons(implicit, lists)["reason"].str.len() > 10).all()
    page = report(implicit, positives).to_dict()
    assert "not identified" in str(page)
    found = explain_effect(implicit, positives.head(5))
    assert "not identified" in found.refusal
    total = found.baseline["outcome"] + found.outcome[["user", "item"]].sum(axis=1)
    np.testing.assert_allclose(total, implicit.predict(positives.head(5)), atol=1e-3)


def test_what_positives_cannot_tell_is_refused_by_name(implicit, positives, tmp_path):
    with pytest.raises(ValueError, match="effect is not identified"):
        segments(implicit, positives)
    with pytest.raises(TypeError, match='objective="implicit"'):
        compile_scorer(implicit)
    with pytest.raises(TypeError, match='objective="implicit"'):
        to_onnx(implicit, tmp_path / "model.onnx")


def test_tables_of_effects_do_not_outlive_who_is_forgotten():
    log = make_exposure_log(900, n_users=40, n_items=30, random_state=0)
    model = CausalDNNRecommender(
        user="user", item="item", max_epochs=3, n_folds=2, random_state=0
    ).fit(log.X, log.y, treatment=log.treatment)
    whole = dict(k=30, exclude_seen=False)
    before = recommend(model, users=[3, 4], **whole)  # the tables are made
    gone = forget(model, [3])
    after = recommend(gone, users=[3, 4], **whole)
    new = recommend(gone, users=[10**6], **whole)

    def scores(lists, user):
        return lists[lists["user"] == user].sort_values("item")["score"].to_numpy()

    np.testing.assert_allclose(scores(after, 3), scores(new, 10**6), atol=1e-6)
    assert np.abs(scores(after, 3) - scores(before, 3)).max() > 0.01
    # Kernels keep rows of fit: others move by what those of user 3 had said of them,
    # and lists say what the model without them says of each pair.
    items = after[after["user"] == 4].sort_values("item")["item"].to_numpy()
    pairs = log.world.features(np.full(len(items), 4), items)[log.X.columns]
    np.testing.assert_allclose(scores(after, 4), gone.effect(pairs), atol=1e-6)
    moved = np.abs(scores(after, 4) - scores(before, 4)).max()
    assert moved < np.abs(scores(after, 3) - scores(before, 3)).max() / 10
    pd.testing.assert_frame_equal(recommend(model, users=[3, 4], **whole), before)
