"""Top-k lists, against brute force and through a Pipeline."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.pipeline import Pipeline

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.ranking import top_k
from sklearn_causalrec.ranking.pairs import Pairs


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 30, 1200), rng.integers(0, 20, 1200)
    taste, quality = rng.normal(size=30), rng.normal(size=20)
    frame = pd.DataFrame({"user": user, "item": item})
    frame["taste"], frame["quality"] = taste[user], quality[item]
    t = rng.integers(0, 2, 1200)
    y = taste[user] + t * quality[item] * taste[user] + 0.1 * rng.normal(size=1200)
    return frame, y, t, taste, quality


@pytest.fixture(scope="module")
def model(log, quick_recommender):
    frame, y, t, _, _ = log
    return quick_recommender(user="user", item="item").fit(frame, y, treatment=t)


def all_pairs(taste, quality):
    user, item = np.divmod(np.arange(600), 20)
    pairs = pd.DataFrame({"user": user, "item": item})
    return pairs.assign(taste=taste[user], quality=quality[item])


@pytest.mark.parametrize("by", ["effect", "outcome"])
def test_lists_equal_brute_force(log, model, by):
    frame, _, t, taste, quality = log
    pairs = all_pairs(taste, quality)
    scores = model.effect(pairs) if by == "effect" else model.predict(pairs)
    pairs["score"] = scores
    shown = frame[t == 1]
    seen = set(zip(shown["user"], shown["item"]))
    unseen = [(u, i) not in seen for u, i in zip(pairs["user"], pairs["item"])]
    expected = (
        pairs[unseen].sort_values("score", ascending=False).groupby("user").head(5)
    )
    top = model.recommend(k=5, by=by)
    assert list(top.columns) == ["user", "item", "rank", "score"]
    merged = top.merge(expected, on=["user", "item"])
    assert len(merged) == len(top) == len(expected)
    np.testing.assert_allclose(merged["score_x"], merged["score_y"], atol=1e-5)
    for _, rows in top.groupby("user"):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert (np.diff(rows["score"]) <= 0).all()


def test_mf_lists_by_matrix_products_equal_predictions(log):
    frame, y, _, _, _ = log
    rec = CausalDNNRecommender(
        user="user", item="item", encoder="mf", max_epochs=5, random_state=0
    ).fit(frame[["user", "item"]], y)
    top = recommend(rec, by="outcome", k=20, exclude_seen=False)
    assert len(top) == 600
    np.testing.assert_allclose(
        top["score"], rec.predict(top[["user", "item"]]), atol=1e-5
    )


def test_abstains_where_the_effect_is_not_above(model):
    top = model.recommend(k=20, exclude_seen=False, min_effect=0.2)
    assert (top["score"] > 0.2).all()
    assert top.groupby("user").size().min() < 20
    by_outcome = model.recommend(k=20, by="outcome", exclude_seen=False, min_effect=0.2)
    assert set(zip(top.user, top.item)) == set(zip(by_outcome.user, by_outcome.item))


def test_new_users_lean_on_their_features(model):
    new = pd.DataFrame({"user": [901, 902], "taste": [2.0, -2.0]})
    top = model.recommend(new, k=3)
    assert top["user"].tolist() == [901] * 3 + [902] * 3
    a, b = (set(rows["item"]) for _, rows in top.groupby("user"))
    assert not a & b


def test_a_catalogue_of_ones_own(model):
    top = model.recommend([1, 2], k=10, items=[3, 5, 777], exclude_seen=False)
    assert len(top) == 6 and set(top["item"]) == {3, 5, 777}
    pairs = [(1, 3), (2, 777), (9, 9)]
    left = recommend(model, [1, 2], [3, 5, 777], exclude=pairs, exclude_seen=False)
    assert {(1, 3), (2, 777)}.isdisjoint(zip(left["user"], left["item"]))
    assert len(left) == 4


def test_through_a_pipeline(log, quick_recommender, scale_columns):
    frame, y, t, taste, quality = log
    scale = scale_columns(["taste", "quality"])
    rec = quick_recommender(user="user", item="item")
    pipe = Pipeline([("scale", scale), ("rec", rec)]).fit(frame, y, rec__treatment=t)
    top = recommend(pipe, [0, 1], k=4, exclude_seen=False)
    users = pd.DataFrame({"user": [0, 1], "taste": taste[:2]})
    items = pd.DataFrame({"item": np.arange(20), "quality": quality})
    raw = recommend(pipe, users, items, k=4, exclude_seen=False)
    pd.testing.assert_frame_equal(top, raw, check_exact=False, atol=1e-4)
    with pytest.raises(ValueError, match=r"came without \['quality'\]"):
        recommend(pipe, users)


def test_bad_calls(log, model):
    frame, y, _, _, _ = log
    with pytest.raises(ValueError, match="catalogue is empty"):
        model.recommend([1], items=[])
    with pytest.raises(ValueError, match="k is 0"):
        model.recommend([1], k=0)
    with pytest.raises(ValueError, match="by is 'luck'"):
        model.recommend([1], by="luck")
    assert len(model.recommend([1], k=1000, exclude_seen=False)) == 20
    no_ids = CausalDNNRecommender(max_epochs=1).fit(frame, y)
    with pytest.raises(ValueError, match="name their columns"):
        no_ids.recommend([1], by="outcome")
    one_arm = CausalDNNRecommender(
        user="user", item="item", objective="naive", max_epochs=1
    )
    with pytest.raises(ValueError, match="not identified"):
        one_arm.fit(frame, y).recommend([1])


def test_top_k_in_blocks(monkeypatch):
    from sklearn_causalrec.ranking import topk

    scores = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    out = csr_array((np.ones(2, bool), ([0, 6], [3, 1])), shape=(7, 9))
    monkeypatch.setattr(topk, "BLOCK_BYTES", 2 * 9 * 4)
    user, item, rank, best = top_k(
        lambda a, b: scores[a:b].copy(), 7, 9, 3, excluded=out, floor=-1.0
    )
    masked = scores.copy()
    masked[0, 3] = masked[6, 1] = -np.inf
    expected = np.sort(masked, 1)[:, ::-1][:, :3]
    np.testing.assert_array_equal(best.reshape(7, 3), expected)
    np.testing.assert_array_equal(masked[user, item], best)
    assert rank.reshape(7, 3).tolist() == [[1, 2, 3]] * 7


@pytest.mark.parametrize("explore", [None, "epsilon"])
def test_a_score_that_is_no_number_is_refused_by_name(model, monkeypatch, explore):
    def broken(self, pairs, start, stop, check=True):
        out = scores(self, pairs, start, stop, check=False)
        if start <= 7 < stop:
            out[7 - start, 3] = np.nan
        if check and np.isnan(out).any():
            raise self.not_a_number(7, 3)
        return out

    scores = Pairs.scores
    monkeypatch.setattr(Pairs, "scores", broken)
    with pytest.raises(ValueError, match="user 7 with the item 3 is not a number"):
        recommend(model, k=2, exclude_seen=False, explore=explore, random_state=0)


def test_top_k_says_where_there_is_no_number():
    scores = np.zeros((4, 5), np.float32)
    scores[2, 4] = np.nan
    with pytest.raises(ValueError, match="row 2 and column 4 is not a number"):
        top_k(lambda i, j: scores[i:j].copy(), 4, 5, k=1)
    left_out = csr_array(np.isnan(scores))
    user, item, _, _ = top_k(
        lambda i, j: scores[i:j].copy(), 4, 5, 5, excluded=left_out
    )
    assert len(user) == 19 and 4 not in item[user == 2]


def test_pairs_refuse_scores_that_are_no_numbers(model):
    pairs = Pairs(model, None, model, None, None)
    scorer = model.pair_scores("effect")

    def rows(asked):
        return np.full(len(asked), np.nan)

    with pytest.raises(ValueError, match="user 0 with the item 0 is not a number"):
        pairs.scores(scorer._replace(rows=rows, matrix=None, split=None), 0, 2)
