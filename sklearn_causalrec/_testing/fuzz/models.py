"""Questions to fitted models: plain ones, and with one argument that is odd.

Reasons, segments, decisions, reports, lists, indexes, compiled scorers, files, accounts
of people's data, and baselines.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import (
    CausalDNNRecommender,
    DoCalculusEffect,
    EffectIndex,
    baselines,
    decide,
    evaluate_lists,
    explain,
    explain_effect,
    forget,
    privacy,
    reasons,
    recommend,
    report,
    save,
    segments,
    serving,
    similar_items,
)
from sklearn_causalrec._testing.fuzz.questions import ROWS, Question, ask_oddly, told


@cache
def _log():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"user": rng.integers(0, 8, ROWS), "item": rng.integers(0, 6, ROWS)}
    )
    X["x"], X["z"] = (rng.normal(size=(2, ROWS)) * 4).round() / 4
    X["kind"] = X["item"] % 2
    t = np.append([0, 1], rng.integers(0, 2, ROWS - 2))
    y = X["x"].to_numpy() + t * (1 + X["z"].to_numpy()) + rng.normal(size=ROWS).round(2)
    return X, y, t


@cache
def _recommender():
    X, y, t = _log()
    model = CausalDNNRecommender(
        user="user", item="item", item_features=["kind"], hidden_layer_sizes=(4,),
        embedding_dim=2, max_epochs=2, n_folds=2, random_state=0,
    )  # fmt: skip
    return model.fit(X, y, treatment=t)


@cache
def _no_ids():
    X, y, t = _log()
    model = CausalDNNRecommender(
        hidden_layer_sizes=(4,), max_epochs=2, n_folds=2, random_state=0
    )
    return model.fit(X[["x", "z"]], y, treatment=t)


@cache
def _do_effect():
    X, y, t = _log()
    model = DoCalculusEffect(
        treatment="t", outcome_model=LinearRegression(), cv=2, random_state=0,
        treatment_model=LogisticRegression(), effect_model=LinearRegression(),
    )  # fmt: skip
    return model.fit(X[["x", "z"]].assign(t=t), y)


@cache
def _positives():
    X, _, _ = _log()
    rng = np.random.default_rng(1)
    log = X[["user", "item"]].drop_duplicates().sample(frac=1, random_state=0)
    return log.assign(time=rng.integers(0, 50, len(log)).astype(float))


@cache
def _blend():
    members = [baselines.EASE(), baselines.Popularity(task="implicit")]
    try:
        return baselines.BlendRecommender(
            members, user="user", item="item", random_state=0
        ).fit(_positives())
    except (TypeError, ValueError):
        return baselines.BlendRecommender(user="user", item="item", random_state=0).fit(
            _positives()
        )


@cache
def _scorer():
    return serving.compile_scorer(_recommender())


@cache
def _index():
    return EffectIndex(_recommender(), k=3, random_state=0)


@cache
def _file():
    path = Path(tempfile.mkdtemp(prefix="fuzz-"), "m.crec")
    save(_recommender(), path)
    return path


def _questions():
    X, _, t = _log()
    rec, no_ids, graph, blend = _recommender(), _no_ids(), _do_effect(), _blend()
    x, xt = X[["x", "z"]], X[["x", "z"]].assign(t=t)
    lists = rec.recommend(k=2, exclude_seen=False)
    groups = {user: "ab"[user % 2] for user in range(8)}
    positives, rows = _positives(), X.to_numpy(float)
    ease = baselines.EASE(user="user", item="item")
    few = dict(n_background=3, random_state=0)
    arms = ("T0", "T1", "alpha", "random_state")

    def fitted(model):
        return lambda X: recommend(model.fit(X), k=2, by="outcome", users=[0])

    base = [
        Question(f"{type(m).__name__}.fit", fitted(m), {"X": positives}, ("X",),
                 nan_ok=True, keep=("user", "item"))
        for m in (
            baselines.EASE(user="user", item="item"),
            baselines.ImplicitALS(user="user", item="item", n_factors=2, n_iter=2,
                                  random_state=0),
            baselines.NeighborhoodRecommender(user="user", item="item"),
            baselines.BlendRecommender(user="user", item="item", random_state=0),
        )
    ]  # fmt: skip
    base += [
        Question("EASE", lambda **o: fitted(baselines.EASE(user="user", item="item",
                                                          **o))(positives),
                 {"l2": 10.0}, scalars=("l2", "recency", "half_life", "user", "item",
                                        "time", "feature_weight"), nan_ok=True),
        Question("ImplicitALS", lambda **o: fitted(baselines.ImplicitALS(
            **{"user": "user", "item": "item", "random_state": 0, **o}))(positives),
                 {"n_factors": 2, "n_iter": 2}, nan_ok=True,
                 scalars=("n_factors", "l2", "unobserved", "n_iter", "user")),
        Question("NeighborhoodRecommender", lambda **o: fitted(
            baselines.NeighborhoodRecommender(
                **{"user": "user", "item": "item", **o}))(positives),
                 {"n_neighbors": 5}, nan_ok=True,
                 scalars=("kind", "similarity", "n_neighbors")),
        Question("BlendRecommender", lambda **o: fitted(baselines.BlendRecommender(
            **{"user": "user", "item": "item", "random_state": 0, **o}))(positives),
                 {"holdout": 0.3}, nan_ok=True, scalars=("members", "holdout", "time")),
        Question("Blend.predict", blend.predict, {"X": positives}, ("X",),
                 keep=("user", "item")),
        Question("Blend.because", blend.because,
                 {"users": np.array([0, 1]), "items": np.array([2, 3]), "n": 2},
                 scalars=("n",), nan_ok=True, same=False),
        Question("Blend.recommend", lambda **o: recommend(blend, **o),
                 {"users": [0, 1], "k": 2, "by": "outcome"}, same=False,
                 labels=("users", "items", "exclude"), nan_ok=True,
                 scalars=("k", "by", "min_effect", "exclude_seen", "cold_start")),
    ]  # fmt: skip
    return base + [
        Question("decide", lambda **o: told(decide(no_ids, **o)),
                 {"X": x, "cost": 0.5, "margin": 1.0}, ("X",),
                 columns=("cost", "margin"), keep=("x", "z"),
                 scalars=("cost", "margin", "budget", "tree_depth", "columns", "alpha",
                          "control")),
        Question("decide of a graph", lambda **o: told(decide(graph, **o)),
                 {"X": xt}, ("X",), scalars=("cost", "budget", "alpha"),
                 keep=("x", "z")),
        Question("segments", lambda **o: told(segments(no_ids, **o)),
                 {"X": x, "random_state": 0}, ("X",), keep=("x", "z"),
                 scalars=("max_depth", "min_share", "columns", *arms)),
        Question("segments of a graph", lambda **o: told(segments(graph, **o)),
                 {"X": xt, "random_state": 0}, ("X",), keep=("x", "z"),
                 scalars=("max_depth", "min_share", "columns", *arms)),
        Question("report", lambda **o: told(report(no_ids, **o)),
                 {"X": x, "random_state": 0}, ("X",), keep=("x", "z"), same=False,
                 scalars=("title", "path", "lists", "y", *arms)),
        Question("explain_effect",
                 lambda **o: told(explain_effect(no_ids, n_repeats=1, **o)),
                 {"X": x[:3], "background": x, **few}, ("X", "background"),
                 scalars=("groups", "n_background", *arms), keep=("x", "z")),
        Question("reasons", lambda **o: reasons(rec, **o),
                 {"lists": lists[:4], **few}, ("lists",), nan_ok=True, same=False,
                 keep=("user", "item"), scalars=("language", "by", "users", "items",
                                                 "context", "names", "cold_start",
                                                 "n_background", *arms)),
        Question("explain", lambda **o: explain(rec, **o),
                 {"users": [0, 1], "k": 2}, labels=("users", "items"), nan_ok=True,
                 scalars=("k", "by", "context", "cold_start", "n_neighbors"),
                 same=False),
        Question("similar_items", lambda **o: similar_items(rec, **o),
                 {"items": [0, 1], "k": 2}, labels=("items",), scalars=("k",),
                 same=False),
        Question("evaluate_lists",
                 lambda **o: evaluate_lists(
                     **{"models": {"p": ease}, "user": "user",
                        "item": "item", "time": "time", "split": "last", **o}),
                 {"log": positives, "k": (2,)}, ("log",), nan_ok=True,
                 keep=("user", "item", "time"), same=False,
                 scalars=("models", "y", "relevant", "user", "item", "time", "split",
                          "k", "metrics", "by", "against", "alpha")),
        Question("forget", lambda **o: told(forget(rec, **o)),
                 {"users": [0]}, labels=("users",), scalars=("X",), same=False),
        Question("scorer.predict", lambda **o: _scorer().predict(**o), {"X": rows},
                 matrices=("X",), scalars=("treatment",)),
        Question("scorer.effect", lambda **o: _scorer().effect(**o), {"X": rows},
                 matrices=("X",), scalars=("T0", "T1")),
        Question("scorer.effect_interval",
                 lambda **o: np.array(_scorer().effect_interval(**o)),
                 {"X": rows, "alpha": 0.1}, matrices=("X",),
                 scalars=("alpha", "T0", "T1")),
        Question("compile_scorer", serving.compile_scorer, {"fitted": rec},
                 scalars=("fitted",)),
        Question("EffectIndex", lambda **o: told(
            EffectIndex(rec, random_state=0, **o)), {"k": 2},
                 labels=("users", "items"), same=False,
                 scalars=("recall", "by", "k", "cold_start", "T0", "T1")),
        Question("index.recommend", lambda **o: _index().recommend(**o),
                 {"users": [0, 1], "k": 2}, labels=("users", "exclude"), same=False,
                 scalars=("k", "min_effect", "exclude", "filter", "context",
                          "exclude_seen")),
        Question("load", serving.load, {"path": _file()}, scalars=("path", "key")),
        Question("read_manifest", lambda **o: sorted(serving.read_manifest(**o)),
                 {"path": _file()}, scalars=("path", "key")),
        Question("save", lambda **o: save(**{"path": _file(), **o}),
                 {"fitted": rec}, scalars=("fitted", "key", "slim")),
        Question("data_inventory", lambda **o: told(privacy.data_inventory(**o)),
                 {"fitted": rec}, scalars=("fitted",)),
        Question("model_card", lambda **o: str(privacy.model_card(rec, **o)), {},
                 scalars=("name", "description", "developers", "license", "contact",
                          "intended_use", "metrics", "groups", "training_data")),
        Question("effects_by_group",
                 lambda **o: privacy.effects_by_group(rec, **o),
                 {"groups": X["kind"].to_numpy()}, labels=("groups",), nan_ok=True,
                 scalars=("groups", "T0", "T1", "alpha"), same=False),
        Question("exposure_by_group",
                 lambda **o: privacy.exposure_by_group(**o),
                 {"lists": lists, "groups": {k: "ab"[k % 2] for k in range(6)}},
                 ("lists",), nan_ok=True, keep=("user", "item", "rank"), same=False,
                 scalars=("groups", "item", "user", "rank", "alpha")),
        Question("exposure_by_group of users",
                 lambda **o: privacy.exposure_by_group(**o),
                 {"lists": lists, "groups": pd.Series(groups)}, nan_ok=True,
                 scalars=("groups",), same=False),
    ]  # fmt: skip


@cache
def _asked():
    """The questions with their plain answers, which have to be there."""
    return [[question, None] for question in _questions()]


def models(fuzzer):
    """One step over the questions to fitted models.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    asked = _asked()
    ask_oddly(fuzzer, asked[fuzzer.rng.integers(len(asked))])
