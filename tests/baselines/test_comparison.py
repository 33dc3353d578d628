"""evaluate_lists, against lists and metrics that are put together by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import evaluate_lists, recommend
from sklearn_causalrec.baselines import (
    EASE,
    ImplicitALS,
    NeighborhoodRecommender,
)
from sklearn_causalrec.interactions import LastOutSplit, TimeSplit

IDS = dict(user="user", item="item")


@pytest.fixture
def log(rng):
    user = np.repeat(np.arange(40), 12)
    item = 2 * rng.integers(0, 15, 480) + user % 2
    log = pd.DataFrame({"user": user, "item": item, "time": rng.permutation(480)})
    log = log.drop_duplicates(["user", "item"])
    return log.assign(rating=rng.integers(1, 6, len(log)))


def by_hand(model, train, test, k):
    """Mean recall and NDCG of a fitted model, user by user."""
    seen = train.groupby("user")["item"].agg(set)
    recall, ndcg = {}, {}
    for user, rows in test[test["y"] > 0].groupby("user"):
        relevant = set(rows["item"]) - seen.get(user, set())
        if not relevant:
            continue
        top = recommend(model, [user], k=30, by="outcome", exclude_seen=False)
        own = [i for i in top["item"] if i not in seen.get(user, set())][:k]
        hit = [i in relevant for i in own]
        n = min(k, len(relevant))
        recall[user] = sum(hit) / n
        ideal = sum(1 / np.log2(j + 2) for j in range(n))
        ndcg[user] = sum(h / np.log2(j + 2) for j, h in enumerate(hit)) / ideal
    return pd.Series(recall), pd.Series(ndcg)


@pytest.mark.parametrize(
    ("split", "splitter"),
    [
        ("user_time", LastOutSplit("user", "time", n_last=0.2)),
        ("time", TimeSplit("time", test_size=0.2)),
        ("last", LastOutSplit("user", "time")),
        (ShuffleSplit(1, random_state=0), ShuffleSplit(1, random_state=0)),
    ],
)
def test_the_table_by_hand(log, split, splitter):
    log = log.assign(y=(log["rating"] >= 3) * 1.0).drop(columns="rating")
    model = ImplicitALS(**IDS, n_factors=4, random_state=0)
    own = {"als": make_pipeline(FunctionTransformer(), model)}
    table = evaluate_lists(own, log, "y", split=split, k=(3, 5))
    assert table.index.tolist() == ["Popularity", "EASE", "als"]
    train, test = (log.iloc[rows] for rows in next(splitter.split(log)))
    # Popularity has ties, which may fall either way.
    for name, one in {"als": model, "EASE": EASE(**IDS, time="time")}.items():
        fitted = one.fit(train[["user", "item", "time"]], train["y"])
        for k in (3, 5):
            for metric, values in zip(
                ("recall", "ndcg"), by_hand(fitted, train, test, k)
            ):
                row = table.loc[name, f"{metric}@{k}"]
                assert row["mean"] == pytest.approx(values.mean())
                half = 1.959964 * values.std() / np.sqrt(len(values))
                assert row["high"] - row["mean"] == pytest.approx(half)
    assert table.attrs["n_users"] == len(values)
    assert (table["seconds"] >= 0).all(axis=None)


def test_differences_are_paired(log):
    models = [NeighborhoodRecommender(**IDS), NeighborhoodRecommender("user", **IDS)]
    plain = evaluate_lists(models, log, k=5)
    paired = evaluate_lists(models, log, k=5, against="EASE")
    assert plain.index[2:].tolist() == [
        "NeighborhoodRecommender",
        "NeighborhoodRecommender 2",
    ]
    means = plain.xs("mean", axis=1, level=1)
    expected = means - means.loc["EASE"]
    found = paired.xs("mean", axis=1, level=1)
    for name in ("NeighborhoodRecommender", "Popularity"):
        pd.testing.assert_series_equal(found.loc[name], expected.loc[name])
    pd.testing.assert_series_equal(found.loc["EASE"], means.loc["EASE"])
    widths = [t["recall@5"]["high"] - t["recall@5"]["low"] for t in (plain, paired)]
    name = "NeighborhoodRecommender"
    assert widths[1][name] < 0.8 * np.hypot(widths[0][name], widths[0]["EASE"])


def test_what_counts_may_be_less_than_what_is_learned_from(log):
    learned, best = (log["rating"] >= 2) * 1.0, log["rating"] >= 4
    options = dict(k=5, metrics="recall")
    table = evaluate_lists(
        [], log.assign(best=best), learned, relevant="best", **options
    )
    rows = next(LastOutSplit("user", "time", n_last=0.2).split(log))
    changed = learned.to_numpy().copy()
    changed[rows[1]] = best.to_numpy()[rows[1]]
    again = evaluate_lists([], log, changed, split=rows, **options)
    columns = ["mean", "low", "high"]
    pd.testing.assert_frame_equal(
        table["recall@5"][columns], again["recall@5"][columns], atol=0.02
    )
    assert table.attrs == again.attrs


def test_several_folds_average_a_user(log):
    folds = KFold(3, shuffle=True, random_state=0)
    table = evaluate_lists([], log, split=folds, k=5, metrics="recall")
    each = [
        evaluate_lists([], log, split=rows, k=5, metrics="recall")
        for rows in folds.split(log)
    ]
    mean = np.mean([one["recall@5"]["mean"]["EASE"] for one in each])
    assert table["recall@5"]["mean"]["EASE"] == pytest.approx(mean, abs=0.02)
    assert table.attrs["n_users"] == max(40, *(one.attrs["n_users"] for one in each))


def test_searches_networks_and_own_metrics(log, quick_recommender):
    splits = [next(LastOutSplit("user", "time").split(log.iloc[:250]))]
    search = GridSearchCV(EASE(**IDS), {"l2": [1.0, 10.0]}, cv=splits)
    y = (log["rating"] >= 3) * 1.0
    net = quick_recommender(**IDS, time="time", encoder="mf", max_epochs=2)
    models = {"search": search, "mf": net, "EASE": EASE(**IDS, l2=1.0)}
    own = {"longest": lambda hits, k: (hits.lists[:, :k] >= 0).sum(axis=1)}
    table = evaluate_lists(
        models, log.drop(columns="rating"), y, split="last", k=4, metrics=own
    )
    assert set(table.index) == {"Popularity", "search", "mf", "EASE"}
    assert (table["longest@4"]["mean"] == 4).all()


def test_other_names_text_ids_and_polars(log):
    import polars as pl

    other = log.rename(columns={"user": "who", "item": "what", "time": "when"})
    other["who"], other["what"] = (
        "u" + other["who"].astype(str),
        "i" + other["what"].astype(str),
    )
    model = ImplicitALS(user="who", item="what", n_factors=4, random_state=0)
    names = dict(k=5, metrics=("recall", "coverage"))
    plain = evaluate_lists([], log.drop(columns="rating"), **names)
    found = evaluate_lists(
        model, pl.from_pandas(other).drop("rating"), time="when", **names
    )
    assert found["recall@5"]["mean"]["EASE"] == pytest.approx(
        plain["recall@5"]["mean"]["EASE"]
    )
    assert np.isnan(found["coverage@5"]["low"]).all()


def test_refusals(log):
    with pytest.raises(ValueError, match="Which column of log holds the users"):
        evaluate_lists([], log.rename(columns={"user": "who"}))
    with pytest.raises(ValueError, match="item='thing' is not a column of log"):
        evaluate_lists([], log, item="thing")
    with pytest.raises(ValueError, match="y='clicks' is not a column of log"):
        evaluate_lists([], log, "clicks")
    with pytest.raises(ValueError, match="needs the column of times"):
        evaluate_lists([], log.drop(columns="time"))
    with pytest.raises(ValueError, match="split is 'random'"):
        evaluate_lists([], log, split="random")
    with pytest.raises(TypeError, match="split is 3"):
        evaluate_lists([], log, split=3)
    with pytest.raises(ValueError, match="metrics is 'auc'"):
        evaluate_lists([], log, metrics="auc")
    with pytest.raises(ValueError, match="k is 0"):
        evaluate_lists([], log, k=0)
    with pytest.raises(ValueError, match="against is 'als'"):
        evaluate_lists([], log, against="als")
    with pytest.raises(ValueError, match="No user has a positive among the test rows"):
        late = log["time"] > log.groupby("user")["time"].transform("median")
        evaluate_lists([], log, np.where(late, 0.0, 1.0))
