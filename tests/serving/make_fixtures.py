"""Write the files of tests/data/files that every later version has to open.

Run ``python tests/serving/make_fixtures.py`` when the format gets a new version, and
keep the folders of the versions before as they are.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    save,
)
from sklearn_causalrec.baselines import Popularity, UserItemBias
from sklearn_causalrec.interactions import TextBag
from sklearn_causalrec.serving.container import VERSION

FOLDER = Path(__file__).parents[1] / "data" / "files"
KEY = b"the key of the fixtures, no secret"
SIGNED = "graph"


def make_log():
    rng = np.random.default_rng(0)
    n = 80
    X = pd.DataFrame(
        {"user": rng.integers(0, 6, n), "item": rng.choice(list("abcd"), n)}
    )
    X["age"], X["price"] = rng.normal(size=n), rng.normal(size=n)
    X["words"] = rng.choice(["good thing", "bad day"], n)
    X["past"] = [list(rng.choice(list("abcd"), rng.integers(0, 4))) for _ in X["age"]]
    t = rng.integers(0, 2, n)
    return X, (X["age"] + t * (1 + X["price"])).to_numpy(), t


def make_models():
    X, y, t = make_log()
    F = X[["age", "price"]]
    small = dict(
        hidden_layer_sizes=(4,), embedding_dim=2, max_epochs=1, n_folds=2,
        random_state=0,
    )  # fmt: skip
    columns = ColumnTransformer(
        [("num", StandardScaler(), ["age"]), ("text", TextBag(), ["words"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    lists = CausalDNNRecommender(
        **small, user="user", item="item", history="past", encoder="gru",
        effect_learner="t",
    )  # fmt: skip
    yield (
        "recommender",
        make_pipeline(columns, lists).fit(X, y, causaldnnrecommender__treatment=t),
    )
    yield "effects", CausalDNNRecommender(**small).fit(F, y, treatment=t)
    policy = CounterfactualPolicy(hidden_layer_sizes=(2,), max_epochs=1, random_state=0)
    yield "policy", policy.fit(F, y, treatment=t, propensity=np.full(80, 0.5))
    effect = DoCalculusEffect(
        CausalGraph("age -> t -> y; age -> y; price -> y"), treatment="t", outcome="y",
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=RandomForestRegressor(2, max_depth=2, random_state=0), cv=2,
        random_state=0,
    )  # fmt: skip
    yield "do_effect", effect.fit(F.assign(t=t), y)
    yield "bias", UserItemBias(user="user", item="item").fit(X[["user", "item"]], y)
    yield (
        "popularity",
        Popularity(user="user", item="item").fit(
            X[["user", "item"]], (y > 0).astype(float)
        ),
    )
    trees = HistGradientBoostingRegressor(max_iter=2, categorical_features=[1])
    yield "trees", trees.fit(np.c_[X["age"], np.arange(80) % 5], y)
    yield SIGNED, CausalGraph("x -> y; z -> x; x <-> y")


def answers(model):
    """What is compared: numbers of a model, for rows that the log has."""
    X, _, t = make_log()
    if isinstance(model, CausalGraph):
        return {"text": [ord(letter) for letter in str(model)]}
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        rows = np.c_[X["age"], np.arange(80) % 5]
    else:
        rows = X.assign(t=t)[list(names)]
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("predict_proba", "predict", "effect", "effect_interval"):
            try:
                found[name] = np.asarray(getattr(model, name)(rows)).tolist()
            except (AttributeError, ValueError):
                continue
    return found


if __name__ == "__main__":
    folder = FOLDER / str(VERSION)
    folder.mkdir(parents=True, exist_ok=True)
    said = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in make_models():
            save(model, folder / f"{name}.crec", key=KEY if name == SIGNED else None)
            said[name] = answers(model)
    (folder / "answers.json").write_text(json.dumps(said))
    size = sum(path.stat().st_size for path in folder.iterdir())
    sys.stdout.write(f"{len(said)} files, {size} bytes in {folder}\n")
