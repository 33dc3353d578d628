"""Ids without a past: against hand-made id tables, doubles of known ids, and truth."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, explain, recommend
from sklearn_causalrec.baselines import Popularity, UserItemBias
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.metrics import ndcg_at_k
from sklearn_causalrec.ranking import ColdStart

N_USERS, N_ITEMS = 80, 60
IDS = dict(user="user", item="item")


@pytest.fixture(scope="module")
def log():
    return make_exposure_log(
        2400, n_users=N_USERS, n_items=N_ITEMS, revealed=0.8, random_state=0
    )


def fit(log, two_arms=True, **params):
    settings = dict(effect_learner="t", max_epochs=12, random_state=0) | params
    model = CausalDNNRecommender(**IDS, **settings)
    if two_arms:
        return model.fit(log.X, log.y, treatment=log.treatment)
    shown = log.treatment == 1
    return model.fit(log.X[shown], log.y[shown])


@pytest.fixture(scope="module", params=["dnn", "mf"])
def model(request, log):
    return fit(log, encoder=request.param, n_estimators=2)


def scores(fitted, users, items, **options):
    """Scores of all pairs, a row a user and a column an item, in the order of ids."""
    top = recommend(fitted, users, items, k=1000, exclude_seen=False, **options)
    return top.pivot(index="user", columns="item", values="score")


def newcomers(table, key, first, rows=slice(None)):
    """The same features under ids that the log does not know."""
    table = table.iloc[rows].copy()
    table[key] = first + np.arange(len(table))
    return table


@pytest.mark.parametrize("by", ["effect", "outcome"])
def test_a_double_of_a_known_user_gets_the_scores_of_that_user(log, model, by):
    how = ColdStart("neighbors", n_neighbors=1)
    options = dict(items=np.arange(N_ITEMS), by=by, cold_start=how)
    double = newcomers(log.world.users, "user", 1000)
    ours = scores(model, double, **options)
    known = scores(model, np.arange(N_USERS), **options)
    np.testing.assert_allclose(ours.to_numpy(), known.to_numpy(), atol=1e-5)


def test_a_double_of_a_known_item_gets_the_scores_of_that_item(log, model):
    how = ColdStart("neighbors", n_neighbors=1)
    double = newcomers(log.world.items, "item", 1000)
    ours = scores(model, np.arange(10), items=double, cold_start=how)
    known = scores(model, np.arange(10), items=np.arange(N_ITEMS), cold_start=how)
    np.testing.assert_allclose(ours.to_numpy(), known.to_numpy(), atol=1e-5)


def test_content_is_ridge_regression_of_the_id_tables(log, model):
    """By hand: the row of ids not seen is overwritten, and predict asked."""
    features = log.world.users.iloc[:, 1:]
    scaler = StandardScaler().fit(features)
    new = newcomers(log.world.users, "user", 1000, slice(3))
    new.iloc[:, 1:] += 0.3
    by_hand = copy.deepcopy(model)
    tables = [t for net in by_hand.nets_ for t in net.module_._id_tables("user")]
    learned = np.hstack([t.weight.detach().numpy()[:-1] for t in tables])
    ridge = RidgeCV(ColdStart().alphas).fit(scaler.transform(features), learned)
    for n in range(3):
        made = ridge.predict(scaler.transform(new.iloc[[n], 1:]))[0]
        with torch.no_grad():
            for table, part in zip(
                tables, np.split(made, np.cumsum([t.embedding_dim for t in tables]))
            ):
                table.weight[-1] = torch.as_tensor(part)
        X = new.iloc[[n]].merge(log.world.items, how="cross")[list(log.X)]
        for source in ("content", "blend"):
            top = recommend(
                model, new.iloc[[n]], log.world.items, k=N_ITEMS, by="outcome",
                cold_start=ColdStart(source, warm_rows=0),
            ).sort_values("item")  # fmt: skip
            np.testing.assert_allclose(top["score"], by_hand.predict(X), atol=1e-4)


def test_blend_leans_on_behaviour_as_it_accumulates(log):
    few = np.flatnonzero((log.user != 0) | (np.cumsum(log.user == 0) <= 3))
    part = copy.copy(log)
    part.X, part.y, part.treatment = log.X.iloc[few], log.y[few], log.treatment[few]
    model = fit(part, encoder="mf")
    own = scores(model, [0], items=np.arange(N_ITEMS), cold_start="average")
    X = log.world.features(np.zeros(N_ITEMS, int), np.arange(N_ITEMS))
    np.testing.assert_allclose(own.to_numpy()[0], model.effect(X), atol=1e-5)
    far = [
        np.abs(
            scores(
                model, [0], items=np.arange(N_ITEMS),
                cold_start=ColdStart("blend", prior_rows=prior, warm_rows=4),
            ).to_numpy() - own.to_numpy()
        ).mean()
        for prior in (0, 0.5, 2, 100)
    ]  # fmt: skip
    assert far[0] == 0 and (np.diff(far) > 0).all()
    why = explain(model, [0, 1], [5, 6], k=2, exclude_seen=False)
    assert why["user_source"].tolist() == ["blend"] * 2 + ["behaviour"] * 2
    np.testing.assert_allclose(why["user_feature_weight"], [0.4, 0.4, 0, 0])
    assert why["user_rows"].tolist()[:2] == [3, 3]


def test_with_enough_rows_the_scores_are_those_of_predict(log, model):
    top = model.recommend(k=N_ITEMS, by="outcome", exclude_seen=False)
    X = log.world.features(top["user"], top["item"])
    np.testing.assert_allclose(top["score"], model.predict(X), atol=1e-5)


@pytest.mark.parametrize("source", ["blend", "content", "neighbors", "average"])
@pytest.mark.parametrize("by", ["effect", "outcome"])
def test_lists_of_new_users_differ_by_features(log, model, source, by):
    new = newcomers(log.world.users, "user", 1000, slice(12))
    new.iloc[:, 1:] *= 2
    top = recommend(model, new, k=5, by=by, cold_start=source)
    lists = {tuple(rows["item"]) for _, rows in top.groupby("user")}
    assert len(lists) > 6 and len(top) == 60


def test_without_features_the_list_of_the_average_user(log, model):
    items = log.world.items
    top = scores(model, [5000, 5001, *range(20)], items)
    np.testing.assert_array_equal(top.loc[5000], top.loc[5001])
    mean = log.world.users.iloc[:, 1:].mean().to_frame().T.assign(user=5002)
    average = scores(model, mean, items, cold_start="average").loc[5002]
    np.testing.assert_allclose(top.loc[5000], average, atol=1e-5)
    why = explain(model, [5000, 3], k=2)
    assert why["user_source"].tolist() == ["average"] * 2 + ["behaviour"] * 2
    assert why["user_rows"].iloc[0] == 0
    assert why["user_neighbors"].iloc[0] == []
    assert (why["user_feature_weight"] == 0).all()


def test_explain_names_the_nearest(log, model):
    new = newcomers(log.world.users, "user", 1000, slice(4))
    items = newcomers(log.world.items, "item", 1000, slice(5))
    why = explain(model, new, items, k=2, cold_start="neighbors", n_neighbors=3)
    assert list(why.columns[:4]) == ["user", "item", "rank", "score"]
    assert (why["user_source"] == "neighbors").all()
    assert (why["item_source"] == "neighbors").all()
    features = log.world.users.iloc[:, 1:]
    z = ((features - features.mean()) / features.std(ddof=0)).to_numpy()
    for row in why.itertuples():
        distance = ((z - z[row.user - 1000]) ** 2).sum(1)
        assert row.user_neighbors == np.argsort(distance)[:3].tolist()
        assert row.item_neighbors[0] == row.item - 1000
    top = recommend(model, new, items, k=2, cold_start="neighbors")
    pd.testing.assert_frame_equal(why[list(top.columns)], top)


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_the_second_stage_reads_the_stand_ins(log, encoder):
    model = fit(log, encoder=encoder, effect_learner="stacked", n_folds=2, max_epochs=3)
    how = ColdStart("neighbors", n_neighbors=1)
    double = newcomers(log.world.users, "user", 1000, slice(15))
    options = dict(items=np.arange(N_ITEMS), cold_start=how)
    known = scores(model, np.arange(15), **options).to_numpy()
    np.testing.assert_allclose(scores(model, double, **options), known, atol=1e-4)


def test_one_arm_and_a_binary_outcome(log):
    binary = copy.copy(log)
    binary.y = (log.y > 0).astype(int)
    model = fit(binary, two_arms=False, task="classification", encoder="mf")
    new = newcomers(log.world.users, "user", 1000)
    top = recommend(model, new, k=8, by="outcome")
    assert top["score"].between(0, 1).all()
    assert top.groupby("user")["item"].agg(tuple).nunique() > 10


def test_through_a_pipeline(log, quick_recommender, scale_columns):
    numeric = [c for c in log.X if c not in ("user", "item")]
    scale = scale_columns(numeric)
    rec = quick_recommender(**IDS, treatment="t", max_epochs=8)
    X = log.X.assign(t=log.treatment)
    pipe = Pipeline([("scale", scale), ("rec", rec)]).fit(X, log.y)
    double = newcomers(log.world.users, "user", 1000, slice(6))
    how = ColdStart("neighbors", n_neighbors=1)
    ours = scores(pipe, double, items=log.world.items, cold_start=how)
    known = scores(pipe, np.arange(6), items=np.arange(N_ITEMS), cold_start=how)
    np.testing.assert_allclose(ours.to_numpy(), known.to_numpy(), atol=1e-4)
    why = explain(pipe, double, log.world.items, k=1)
    assert (why["user_source"] == "content").all()
    assert why["user_neighbors"].str[0].tolist() == list(range(6))


def test_polars_frames_and_pickles(log, model):
    new = newcomers(log.world.users, "user", 1000, slice(3))
    top = recommend(model, new, k=3)
    again = recommend(pickle.loads(pickle.dumps(model)), pl.from_pandas(new), k=3)
    pd.testing.assert_frame_equal(top, again)


def test_asking_leaves_the_model_as_it_was(log, model):
    before = model.predict(log.X)
    recommend(model, newcomers(log.world.users, "user", 1000), k=3)
    np.testing.assert_array_equal(model.predict(log.X), before)
    assert recommend(model, users=[], k=3).empty
    assert explain(model, users=[], k=3).empty


def test_missing_features_count_as_average(log, model):
    new = newcomers(log.world.users, "user", 1000, slice(2))
    part = recommend(model, new[["user", "user_x0"]], k=3)
    assert len(part) == 6
    assert (
        explain(model, new[["user", "user_x0"]], k=1).user_source == "content"
    ).all()
    other = explain(model, new[["user"]].assign(shoe_size=44), k=1)
    assert (other["user_source"] == "average").all()


def test_features_of_new_users_count_where_only_users_have_features(quick_recommender):
    log = make_exposure_log(
        8000, n_users=300, n_items=60, revealed=0.9, outcome="binary", noise=0.5,
        random_state=1,
    )  # fmt: skip
    cold = np.arange(80)
    known = ~np.isin(log.user, cold)
    X = log.X.loc[:, ~log.X.columns.str.startswith("item_")]
    model = quick_recommender(**IDS, task="classification", encoder="mf").fit(
        X[known], log.y[known], treatment=log.treatment[known]
    )
    truth = log.counterfactual(np.repeat(cold, 60), np.tile(np.arange(60), 80)).mu[:, 1]
    quality = {}
    for source in ("blend", "content", "average"):
        new = log.world.users.iloc[cold]
        table = scores(model, new, np.arange(60), by="outcome", cold_start=source)
        quality[source] = ndcg_at_k(
            truth, table.to_numpy().ravel(), np.repeat(cold, 60)
        )
    # Features are in the factors: the vector of the average id leaves them in place,
    # and what content adds to it is little. Without them it is at 0.867 and 0.894.
    assert quality["average"] > 0.91
    assert quality["content"] > quality["average"] - 0.003
    assert quality["blend"] == pytest.approx(quality["content"], abs=0.005)


def test_baselines_answer_for_new_users(log):
    new = newcomers(log.world.users, "user", 1000, slice(5))
    for baseline in (Popularity(**IDS), UserItemBias(**IDS)):
        why = explain(baseline.fit(log.X, log.y), new, k=4, by="outcome")
        assert len(why) == 20 and (why["user_source"] == "average").all()


def test_new_ids_after_partial_fit_count_their_rows(log):
    model = fit(log, encoder="mf", max_epochs=3)
    X = log.X.iloc[:4].assign(user=777)
    X.loc[:, log.world.users.columns[1:]] = log.world.users.iloc[0, 1:].to_numpy()
    model.partial_fit(X, log.y[:4], treatment=log.treatment[:4])
    why = explain(model, [777], k=1)
    assert why["user_rows"].tolist() == [4]
    assert why["user_source"].tolist() == ["blend"]


def test_bad_calls(log, model):
    with pytest.raises(ValueError, match="cold_start is 'magic': choose one of"):
        recommend(model, cold_start="magic")
    with pytest.raises(ValueError, match="n_neighbors is 0"):
        recommend(model, cold_start=ColdStart("neighbors", n_neighbors=0))
    with pytest.raises(ValueError, match="prior_rows is -1"):
        recommend(model, cold_start=ColdStart(prior_rows=-1))
