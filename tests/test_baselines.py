"""Baselines: against scikit-learn on the same one-hot matrix, and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_causalrec import recommend
from sklearn_causalrec.baselines import GlobalMean, Popularity, UserItemBias

TASKS = ("regression", "classification")
ROLES = dict(user="user", item="item")


@pytest.fixture
def log(rng):
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 20, 400),
            "item": rng.choice(list("abcdefgh"), 400, p=np.arange(1, 9) / 36),
            "price": rng.normal(5, 3, 400),
        }
    )
    frame["y"] = (
        frame["user"] / 10
        + (frame["item"] > "d")
        + 0.2 * frame["price"]
        + rng.normal(size=400)
    )
    return frame


def test_user_item_bias_is_ridge_on_one_hot(log):
    X, y = log[["user", "item", "price"]], log["y"]
    weight = np.arange(len(y)) % 3 + 0.5
    ours = UserItemBias(**ROLES, alpha=3.0).fit(X, y, sample_weight=weight)
    onehot = (OneHotEncoder(), ["user", "item"])
    scaled = make_column_transformer(onehot, (StandardScaler(), ["price"]))
    scaled.fit(X, y)
    scaler = scaled.named_transformers_["standardscaler"]
    scaler.fit(X[["price"]], sample_weight=weight)
    theirs = Ridge(3.0).fit(scaled.transform(X), y, sample_weight=weight)
    np.testing.assert_allclose(
        ours.predict(X), theirs.predict(scaled.transform(X)), atol=1e-4
    )


def test_classifier_is_logistic_regression(log):
    X, y = log[["user", "item"]], np.where(log["y"] > 2, "yes", "no")
    ours = UserItemBias(task="classification", **ROLES, alpha=2.0).fit(X, y)
    theirs = make_pipeline(OneHotEncoder(), LogisticRegression(C=0.5)).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3
    )
    assert set(ours.predict(X)) == {"yes", "no"}
    assert ours.score(X, y) == (ours.predict(X) == y).mean()


def test_ids_not_seen_lean_on_the_rest(log):
    X = log[["user", "item"]]
    model = UserItemBias(**ROLES).fit(X, log["y"])
    new = pd.DataFrame({"user": [3, 99], "item": ["zz", "zz"]})
    known, unknown = model.predict(new)
    assert unknown == pytest.approx(model.model_.intercept_)
    assert known != unknown


def test_popularity_follows_the_counts(log):
    X = log[["user", "item"]]
    y = log["item"].map(np.log1p(log["item"].value_counts())) * 2 + 1
    model = Popularity(**ROLES).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-4)
    never = pd.DataFrame({"user": [0], "item": ["zz"]})
    assert model.predict(never) == pytest.approx(1.0, abs=1e-3)
    top = recommend(model, users=[0], k=8, by="outcome", exclude_seen=False)
    order = log["item"].value_counts()
    assert (np.diff(order[top["item"]]) <= 0).all()


def test_global_mean_of_a_classifier(log):
    y = (log["y"] > 2).astype(int)
    model = GlobalMean(task="classification", **ROLES).fit(log.drop(columns="y"), y)
    p = model.predict_proba(log.drop(columns="y"))[:, 1]
    np.testing.assert_allclose(p, y.mean())


def test_recommend_by_outcome_and_not_by_effect(log):
    X = log[["user", "item"]]
    model = UserItemBias(**ROLES).fit(X, log["y"])
    top = recommend(model, users=[1, 2], k=3, by="outcome", exclude_seen=False)
    everything = pd.DataFrame({"user": 1, "item": list("abcdefgh")})
    best = everything["item"][np.argsort(-model.predict(everything))[:3]]
    assert top["item"][:3].tolist() == best.tolist()
    with pytest.raises(ValueError, match="UserItemBias predicts outcomes and has no"):
        recommend(model, by="effect")


def test_in_a_search(log):
    search = GridSearchCV(UserItemBias(**ROLES), {"alpha": [1.0, 1e4]}, cv=3)
    search.fit(log[["user", "item"]], log["y"])
    assert search.best_params_ == {"alpha": 1.0}


def test_bad_parameters(log):
    with pytest.raises(ValueError, match="'alpha' parameter of UserItemBias"):
        UserItemBias(alpha=-1).fit([[1.0], [2.0]], [1, 2])
    with pytest.raises(ValueError, match="item='clip' is not a column of X"):
        Popularity(item="clip").fit(log, log["y"])
