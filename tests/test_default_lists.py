"""What ``CausalDNNRecommender(user=, item=)`` makes of a log of who chose what."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import (
    CausalDNNRecommender,
    effect,
    evaluate_lists,
    explain,
    forget,
    recommend,
    similar_items,
)
from sklearn_causalrec import recommender as home
from sklearn_causalrec.baselines import EASE
from sklearn_causalrec.interactions import LastOutSplit
from sklearn_causalrec.serving import load, save

IDS = dict(user="user", item="item")
QUICK = dict(max_epochs=2, hidden_layer_sizes=(4,), embedding_dim=4, random_state=0)


def make(**params):
    return CausalDNNRecommender(**IDS, **QUICK, **params)


@pytest.fixture(scope="module")
def log():
    """Baskets: a user has items of one of four shelves, a few of them popular."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(80), 8)
    item = 4 * rng.zipf(1.6, len(user)).clip(max=12) + user % 4
    item = np.where(rng.random(len(user)) < 0.15, 0, item)
    log = pd.DataFrame({"user": user, "item": item}).drop_duplicates()
    return log.assign(time=rng.permutation(len(log))).reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(log):
    return make(time="time").fit(log)


def test_the_lists_are_the_blends(log, fitted):
    assert list(fitted.blend_.members_)[-1] == "networks"
    assert fitted.blend_.held_out_["blend"] >= max(fitted.blend_.held_out_.values())
    ours, theirs = recommend(fitted, k=4), recommend(fitted.blend_, k=4)
    pd.testing.assert_frame_equal(ours, theirs)
    pd.testing.assert_frame_equal(fitted.recommend(k=4), ours)
    scored = fitted.predict(ours[["user", "item"]].assign(time=0))
    np.testing.assert_allclose(scored, ours["score"], atol=1e-5)
    shelf = ours["user"] % 4 == ours["item"] % 4
    assert (shelf | (ours["item"] == 0)).mean() > 0.8


def test_lists_are_no_worse_than_those_of_the_best_model(log):
    """EASE finds the shelves, these networks learn nothing: the default is EASE."""
    models = {"default": make(time="time"), "ease": EASE(**IDS, time="time")}
    split = LastOutSplit("user", "time", n_last=0.2)
    table = evaluate_lists(models, log, split=split, k=5, metrics="ndcg", time="time")
    found = table["ndcg@5"]["mean"]
    assert found["default"] >= found["ease"] - 1e-9
    assert found["ease"] > found["Popularity"] + 0.05  # there is something to find


def test_the_networks_are_those_of_implicit(log, fitted):
    network = fitted.blend_.members_["networks"]
    assert network.objective == "implicit" and network.embedding_dim == 4
    assert fitted.nets_ is network.nets_ and fitted.n_iter_ == network.n_iter_ <= 2
    alone = clone(network).fit(log)
    top = recommend(alone, k=3)
    pd.testing.assert_frame_equal(top, recommend(network, k=3))


def test_parameters_are_left_as_they_were(fitted):
    assert fitted.get_params()["objective"] == "auto"
    again = clone(fitted)
    assert "blend_" not in vars(again) and again.get_params() == fitted.get_params()


@pytest.mark.parametrize("weight", [None, "ones", "some"])
def test_y_without_variation_is_told(log, fitted, weight):
    """The same lists as without y; rows of no weight are no rows."""
    y, X = np.full(len(log), 3.0), log
    given = {}
    if weight is not None:
        given["sample_weight"] = np.ones(len(log))
    if weight == "some":
        more = log.tail(30).assign(item=0)
        X, y = pd.concat([log, more]), np.full(len(log) + 30, 3.0)
        given["sample_weight"] = np.arange(len(X)) < len(log)
    with pytest.warns(UserWarning, match=r'no outcomes to learn.*objective="implicit"'):
        model = make(time="time").fit(X, y, **given)
    top, expected = recommend(model, k=3), recommend(fitted, k=3)
    pd.testing.assert_frame_equal(top, expected, rtol=1e-3)


def test_weights_of_rows_weigh_positives(log):
    weight = np.where(log["item"] % 3 == 0, 5.0, 1.0)
    with pytest.warns(UserWarning, match="no outcomes"):
        model = make().fit(log[["user", "item"]], np.ones(len(log)), None, None, weight)
    alone = EASE(**IDS).fit(log[["user", "item"]], weight)
    ours = model.blend_.members_["ease"].profiles_
    np.testing.assert_allclose(ours.toarray(), alone.profiles_.toarray(), rtol=1e-5)


def test_no_y_is_said_in_silence(log):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(log[["user", "item"]])


def test_encoders_that_read_an_order_are_part_of_it(log):
    model = make(time="time", encoder="gru", history_length=5).fit(log)
    assert type(model.nets_[0].module_.encoder).__name__ == "SequenceQuery"
    with pytest.raises(ValueError, match="time="):
        make(encoder="gru").fit(log[["user", "item"]])


# -- logs that are odd -----------------------------------------------------------------


ODD = pd.DataFrame({"user": [1, 1, 1, 2, 3], "item": ["a", "b", "a", "b", "c"]})


@pytest.mark.parametrize(
    "X",
    [ODD, ODD.iloc[:1], ODD.drop_duplicates("user"), pd.concat([ODD] * 3)],
    ids=["repeats", "one row", "one positive a user", "rows three times"],
)
def test_odd_logs_are_fitted(X):
    model = make().fit(X)
    top = recommend(model, [1, 2, 99], k=5)
    assert np.isfinite(top["score"]).all()
    pairs = set(zip(X["user"], X["item"]))
    n_items = X["item"].nunique()
    expected = sum(n_items - len({p for p in pairs if p[0] == u}) for u in (1, 2, 99))
    assert len(top) == expected and not pairs & set(zip(top["user"], top["item"]))


def test_an_item_that_nobody_has_is_last(log, fitted):
    items = [*log["item"].unique(), 777]
    top = recommend(fitted, [3], items, k=100, exclude_seen=False)
    lowest = top["score"].min()
    assert top.loc[top["item"] == 777, "score"].iloc[0] == lowest


@pytest.mark.parametrize("encoder", ["dnn", "transformer"])
def test_a_missing_time_is_refused_by_its_row(log, encoder):
    gap = log.assign(time=log["time"].where(log.index != 7))
    for missing in (gap, gap.assign(time=pd.to_datetime(gap["time"], unit="D"))):
        with pytest.raises(ValueError, match=r"time is .* in row 7, which is no time"):
            make(time="time", encoder=encoder).fit(missing)


def test_effects_are_refused_by_name(fitted, log):
    X = log.head(3)
    with pytest.raises(ValueError, match="effect is not identified"):
        fitted.effect(X)
    with pytest.raises(ValueError, match="has no effects"):
        effect(fitted, X)
    for ask in (fitted.recommend, lambda **by: recommend(fitted, **by)):
        with pytest.raises(ValueError, match="has no effects"):
            ask(by="effect")
    assert fitted.propensity_scores(X) is None
    assert "objective 'auto'" in str(fitted.summary())


def test_other_logs_have_outcomes(log):
    """Outcomes that differ, arms and propensities: "auto" is "targeted" there."""
    X, n = log[["user", "item"]], len(log)
    y = (log["item"] % 3 > 0) * 1.0
    auto = make(effect_learner="t").fit(X, y)
    told = make(effect_learner="t", objective="targeted").fit(X, y)
    assert auto.blend_ is None
    np.testing.assert_array_equal(auto.predict(X), told.predict(X))
    arms = np.arange(n) % 2
    both = make(effect_learner="t").fit(X, np.ones(n), treatment=arms)
    assert both.blend_ is None and np.isfinite(both.effect(X)).all()
    with pytest.warns(UserWarning, match="lists would be in no order"):
        known = make().fit(X, np.ones(n), propensity=np.full(n, 0.5))
    assert known.blend_ is None
    with pytest.warns(UserWarning, match="y is 0 in every row"):
        assert make().fit(X, np.zeros(n)).blend_ is None
    with pytest.raises(ValueError, match="y to be passed"):
        CausalDNNRecommender(item="item").fit(X)


def test_a_log_of_another_kind_after_it(log):
    X = log[["user", "item"]]
    model = make().fit(X)
    y = (X["item"] % 3 > 0) * 1.0
    again = model.fit(X, y).predict(X)
    np.testing.assert_array_equal(again, make().fit(X, y).predict(X))
    model.fit(X)
    assert not hasattr(model, "_ensemble")  # which would know the users of before
    pd.testing.assert_frame_equal(recommend(model, k=2), recommend(make().fit(X), k=2))


def test_networks_go_on_where_further_rows_have_one_outcome(log):
    X = log[["user", "item"]]
    model = make(warm_start=True).fit(X, (X["item"] % 3 > 0) * 1.0)
    model.fit(X.head(40), np.ones(40))
    assert model.blend_ is None and len(model.history_) == 4  # two epochs, and two


def test_going_on_is_refused(log, fitted):
    X = log[["user", "item"]]
    model = make(warm_start=True).fit(X)
    top = recommend(model, k=2)
    for go_on in (lambda: model.fit(X), lambda: model.partial_fit(X, np.ones(len(X)))):
        with pytest.raises(ValueError, match=r'Fit it anew.*objective="implicit"'):
            go_on()
    pd.testing.assert_frame_equal(top, recommend(model, k=2))  # it is as it was


def test_reasons_similar_items_new_users(log, fitted):
    why = explain(fitted, [3, 999], k=2)
    assert set(why["because"].iloc[0]) <= set(log.loc[log["user"] == 3, "item"])
    popular = log["item"].value_counts().index[0]
    assert why.loc[why["user"] == 999, "item"].iloc[0] == popular
    alike = similar_items(fitted, items=[8], k=2)
    pd.testing.assert_frame_equal(alike, similar_items(fitted.blend_, [8], k=2))
    assert len(alike) == 2


def test_in_a_pipeline_a_search_and_a_file(log, tmp_path):
    X = log[["user", "item"]]
    pipe = make_pipeline(FunctionTransformer(), make()).fit(X)
    top = recommend(pipe, k=3)
    pd.testing.assert_frame_equal(top, recommend(make().fit(X), k=3))
    pd.testing.assert_frame_equal(top, recommend(pickle.loads(pickle.dumps(pipe)), k=3))
    save(pipe, tmp_path / "model.crec")
    pd.testing.assert_frame_equal(top, recommend(load(tmp_path / "model.crec"), k=3))
    splits = list(LastOutSplit("user", "time", n_last=2).split(log))
    search = GridSearchCV(make(), {"embedding_dim": [2, 4]}, cv=splits).fit(X)
    assert (search.cv_results_["mean_test_score"] > 0).all()
    assert len(recommend(search, [1, 2], k=2)) == 4


def test_polars_gives_the_same(log, fitted):
    import polars as pl

    model = make(time="time").fit(pl.from_pandas(log))
    pd.testing.assert_frame_equal(recommend(model, k=2), recommend(fitted, k=2))


def test_who_is_forgotten_is_gone(fitted, log):
    without = forget(fitted, [3])
    for part in (without, *without.blend_.members_.values()):
        assert 3 not in part.log_encoder_.users.ids.tolist()
        assert part.catalogue_.n_users == 79
    assert len(without.nets_[0].module_.vectors.user.weight) < len(
        fitted.nets_[0].module_.vectors.user.weight
    )
    top, before = (recommend(m, [3], k=1) for m in (without, fitted))
    assert top["item"].iloc[0] == log["item"].value_counts().index[0]
    assert 3 in fitted.log_encoder_.users.ids.tolist() and len(before) == 1


def test_large_logs_do_without_networks(log, monkeypatch):
    monkeypatch.setattr(home, "BLENDED_ROWS", 100)
    model = make().fit(log[["user", "item"]])
    assert "networks" not in model.blend_.members_ and model.nets_ == []
    assert model.n_iter_ == 0 and len(recommend(model, [1], k=3)) == 3
    with pytest.raises(ValueError, match="effect is not identified"):
        model.ate()
    assert str(model.summary())
