"""The weighted sum of models, against its parts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_causalrec import evaluate_lists, explain, recommend
from sklearn_causalrec.baselines import (
    EASE,
    BlendRecommender,
    NeighborhoodRecommender,
    Popularity,
)
from sklearn_causalrec.baselines.blend import added_weights
from sklearn_causalrec.interactions import LastOutSplit

IDS = dict(user="user", item="item")


@pytest.fixture
def log(rng):
    user = np.repeat(np.arange(60), 10)
    item = 2 * rng.integers(0, 12, 600) + user % 2
    log = pd.DataFrame({"user": user, "item": item, "time": rng.permutation(600)})
    return log.drop_duplicates(["user", "item"]).reset_index(drop=True)


def test_scores_are_the_sum_of_standardised_ones(log):
    model = BlendRecommender(**IDS, time="time", random_state=0).fit(log)
    model.weights_ = {"ease": 1.0, "neighbors": 0.5, "als": 0.0, "popularity": 0.25}
    pairs = pd.DataFrame({"user": 3, "item": np.arange(24), "time": 0})
    expected = 0
    for name, member in model.members_.items():
        if name == "popularity":  # its lists, not its outcomes
            score = member.positives_[member.log_encoder_.items.codes(pairs["item"])]
        else:
            score = member.predict(pairs)
        expected = (
            expected + model.weights_[name] * (score - score.mean()) / score.std()
        )
    np.testing.assert_allclose(model.predict(pairs), expected, atol=1e-4)


def test_weights_are_found_on_the_last_rows(log):
    """A member that knows the future gets the weight, one that is noise none."""
    train, test = next(LastOutSplit("user", "time", n_last=0.2).split(log))
    members = [
        ("near", NeighborhoodRecommender(**IDS)),
        ("popular", Popularity(**IDS)),
    ]
    model = BlendRecommender(members, **IDS, time="time", random_state=0).fit(log)
    assert model.weights_["near"] == 1.0
    early = NeighborhoodRecommender(**IDS).fit(log.iloc[train])
    table = evaluate_lists(
        early, log, split=(train, test), k=20, metrics="ndcg", time="time"
    )
    found = table["ndcg@20"]["mean"]["NeighborhoodRecommender"]
    assert model.held_out_["near"] == pytest.approx(found, abs=0.01)
    assert model.held_out_["blend"] >= max(
        model.held_out_["near"], model.held_out_["popular"]
    )


def test_a_member_is_added_where_it_helps(rng):
    """Two members each know one half of the users."""
    first = np.arange(200) < 120

    def values(weights):
        a, b = weights[:2] > 0
        return 0.2 * (a & first) + 0.2 * (b & ~first) + 0.01 * np.sin(np.arange(200))

    np.testing.assert_array_equal(added_weights(values, 3) > 0, [True, True, False])
    noise = rng.normal(size=(4, 200))
    picked = added_weights(lambda w: 0.1 + 0.001 * (w > 0) @ noise, 4)
    assert (picked > 0).sum() <= 2


def test_the_networks_may_be_a_member(log, quick_recommender):
    net = quick_recommender(**IDS, encoder="mf", max_epochs=2)
    dnn = quick_recommender(**IDS, time="time", max_epochs=2)
    y = (log["item"] % 3 > 0) * 1.0
    members = [("net", net), ("dnn", dnn), ("ease", EASE(**IDS))]
    model = BlendRecommender(members, **IDS, time="time", random_state=0).fit(log, y)
    model.weights_ = dict(net=1.0, dnn=1.0, ease=0.5)
    top = recommend(model, [0, 1, 999], k=3, by="outcome")
    assert len(top) == 9 and np.isfinite(top["score"]).all()


def test_one_row_a_user_and_reproducible(log):
    one = log.drop_duplicates("user")
    model = BlendRecommender(**IDS, random_state=0).fit(one[["user", "item"]])
    assert set(model.weights_.values()) == {1.0} and model.held_out_ == {}
    model = BlendRecommender(**IDS, random_state=0)
    first, second = (clone(model).fit(log[["user", "item"]]) for _ in range(2))
    assert first.weights_ == second.weights_
    tops = [recommend(m, k=3, by="outcome") for m in (first, second)]
    pd.testing.assert_frame_equal(*tops)


def test_a_blend_of_what_reads_no_profiles_has_no_reasons(log):
    members = [("popular", Popularity(**IDS))]
    model = BlendRecommender(members, **IDS, random_state=0).fit(log[["user", "item"]])
    told = explain(model, users=[0, 1], k=3, by="outcome")
    assert len(told) == 6
    assert told["because"].map(len).sum() == 0


def test_a_blend_may_be_a_member(log):
    inner = BlendRecommender([("ease", EASE(**IDS))], **IDS, random_state=0)
    model = BlendRecommender([("inner", inner)], **IDS, random_state=0)
    model.fit(log[["user", "item"]])
    alone = EASE(**IDS).fit(log[["user", "item"]])
    given = dict(users=[0, 1, 2], k=4, by="outcome")
    ours, theirs = explain(model, **given), explain(alone, **given)
    assert ours["item"].tolist() == theirs["item"].tolist()
    assert ours["because"].tolist() == theirs["because"].tolist()


def test_unknown_users_get_what_is_popular_whatever_the_members_say(log):
    """By a member that has something else for them; with one positive, EASE's list."""

    class Reverse(Popularity):
        def _learn(self, rows):
            super()._learn(rows)
            self.positives_ = -self.positives_

    members = [("ease", EASE(**IDS)), ("odd", Reverse(**IDS))]
    one = pd.DataFrame({"user": [500], "item": [4]})
    X = pd.concat([log[["user", "item"]], one])
    model = BlendRecommender(members, **IDS, random_state=0).fit(X)
    model.weights_ = {"ease": 1.0, "odd": 1.0}
    counts = X["item"].value_counts()
    top = recommend(model, [999], k=8)
    assert (np.diff(counts[top["item"]]) <= 0).all()
    pairs = top[["user", "item"]]
    np.testing.assert_allclose(model.predict(pairs), top["score"], atol=1e-5)
    model.weights_["odd"] = 0.0
    mine = recommend(model, [500], k=5)
    alone = recommend(model.members_["ease"], [500], k=5)
    assert mine["item"].tolist() == alone["item"].tolist()
    assert (mine["item"] % 2 == 0).all()  # as that of the one that the user has


@pytest.mark.parametrize("last", ["a", "c"])
def test_rows_kept_out_that_tell_nothing(last):
    """What each user had last is an item that nobody had before, or had already."""
    log = pd.DataFrame({"user": [1, 1, 2, 2], "item": ["a", "b", "a", last]})
    model = BlendRecommender(**IDS, time="time", random_state=0)
    model.fit(log.assign(time=range(4)))
    assert set(model.weights_.values()) == {1.0} and model.held_out_ == {}
    assert "b" in recommend(model, [2], k=3)["item"].tolist()


def test_a_blend_of_nothing_is_refused(log):
    with pytest.raises(ValueError, match=r"members is \[\]: name at least one"):
        BlendRecommender([], **IDS).fit(log[["user", "item"]])
