"""save and load: what comes back, and what is refused on the way out."""

import io
import json
import pickletools
import subprocess
import sys
import warnings
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LassoCV, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    NotIdentifiableError,
    baselines,
    effect,
    load,
    recommend,
    save,
)
from sklearn_causalrec.interactions import (
    CalendarFeatures,
    TextBag,
    TextEmbedding,
    make_preprocessor,
)
from sklearn_causalrec.networks import ENCODERS, OBJECTIVES
from sklearn_causalrec.serving import read_manifest
from sklearn_causalrec.serving.arrays import dtype_of
from sklearn_causalrec.serving.frames import _read_dtype
from sklearn_causalrec.serving.slim import without_the_log
from sklearn_causalrec.serving.state import Reader, Writer

SMALL = dict(
    hidden_layer_sizes=(8,), embedding_dim=4, max_epochs=2, n_folds=2, random_state=0
)
IDS = dict(user="user", item="item", time="time")
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    n = 240
    X = pd.DataFrame(
        {
            "user": rng.integers(0, 20, n),
            "item": rng.choice(list("abcdefgh"), n),
            "time": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(np.arange(n), unit="h"),
            "age": rng.normal(size=n),
            "price": rng.normal(size=n),
        }
    )
    t = rng.integers(0, 2, n)
    y = X["age"] + t * (1 + X["price"]) + rng.normal(size=n)
    X["past"] = [list(rng.choice(list("abcdefgh"), rng.integers(0, 4))) for _ in X.age]
    X["words"] = rng.choice(["good thing", "bad day", "nice good"], n)
    return X, y.to_numpy(), t


def there_and_back(obj):
    """An object that went through the two parts of a file."""
    parts = Writer().write(obj, "obj")
    again = Reader(parts["state"], parts["arrays"]).read()
    assert Writer().write(again, "obj") == parts
    return again


class Failed(str):
    """The error of a call that a model does not answer."""


def answers(model, X):
    """All that a model says of rows; the errors of what it does not."""
    calls = {
        "predict": lambda: model.predict(X),
        "predict_proba": lambda: model.predict_proba(X),
        "transform": lambda: model.transform(X),
        "effect": lambda: effect(model, X),
        "effect_interval": lambda: model.effect_interval(X),
        "ate": lambda: [model.ate(), *model.ate_interval()],
        "ate of rows": lambda: model.ate_interval(X),
        "att": lambda: [model.att(), *model.att_interval()],
        "by outcome": lambda: recommend(model, k=3, by="outcome"),
        "by effect": lambda: recommend(model, k=3),
        "propensity": lambda: model.propensity_scores(X),
        "support": lambda: model.common_support(),
        "summary": lambda: str(model.summary()),
    }
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, call in calls.items():
            try:
                found[name] = call()
            except (AttributeError, ValueError, TypeError) as error:
                found[name] = Failed(f"{type(error).__name__}: {error}")
    return found


def check_same(model, X, tmp_path, *, at_least=("predict",)):
    path = tmp_path / "model.crec"
    save(model, path)
    again = load(path)
    assert type(again) is type(model)
    want, got = answers(model, X), answers(again, X)
    for name, value in want.items():
        if isinstance(value, pd.DataFrame):
            assert_frame_equal(got[name], value, check_exact=True)
        elif sp.issparse(value):
            assert (got[name] != value).nnz == 0
        else:
            np.testing.assert_array_equal(got[name], value, name)
    failed = {name for name, value in want.items() if isinstance(value, Failed)}
    assert not failed & set(at_least), [want[name] for name in failed]
    return again


# -- estimators ----------------------------------------------------------------


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_every_encoder(encoder, log, tmp_path):
    X, y, t = log
    past = {} if encoder == "mf" else {"history": "past"}
    X = X.drop(columns=["words", *([] if past else ["past"])])
    model = CausalDNNRecommender(
        **SMALL, **IDS, **past, encoder=encoder, effect_learner="t"
    ).fit(X, y, treatment=t)
    asked = "predict", "effect", "by effect", "by outcome", "propensity"
    again = check_same(model, X, tmp_path, at_least=asked)
    assert_frame_equal(pd.DataFrame(again.history_), pd.DataFrame(model.history_))
    # Training goes on as it would have.
    for one in (model, again):
        one.partial_fit(X[:100], y[:100], treatment=t[:100])
    np.testing.assert_array_equal(again.predict(X, t), model.predict(X, t))


@pytest.mark.parametrize(
    "objective, arms",
    [
        (name, arms)
        for name, objective in OBJECTIVES.items()
        for arms in (1, 2)
        if objective.requires.met(n_arms=arms, roles=IDS)
    ],
)
def test_every_objective(objective, arms, log, tmp_path):
    X, y, t = log
    X = X.drop(columns=["words", "past"])
    model = CausalDNNRecommender(
        **SMALL, **IDS, objective=objective, task="classification", effect_learner="t"
    )
    model.fit(X, (y > 0).astype(int), treatment=None if arms == 1 else t)
    check_same(model, X, tmp_path, at_least=["predict", "predict_proba", "by outcome"])


def test_the_second_stage_with_ids(log, tmp_path):
    X, y, t = log
    X = X.drop(columns=["words", "past"])
    model = CausalDNNRecommender(
        **SMALL, **IDS, n_estimators=2, learning_rate_schedule="plateau",
        early_stopping=True,
    ).fit(X, y, treatment=t)  # fmt: skip
    asked = "effect", "effect_interval", "ate", "ate of rows", "att", "support"
    check_same(model, X, tmp_path, at_least=[*asked, "by effect"])
    np.testing.assert_array_equal(load(tmp_path / "model.crec").effect(X[:1]).shape, 1)


@pytest.mark.parametrize(
    "options",
    [
        dict(towers={"a": ["age"], "b": ["price"]}),
        dict(optimizer="sgd", learning_rate_schedule="cosine"),
        dict(user="user", item="item", exposure_model=LogisticRegression()),
        dict(user="user", item="item", task="classification", objective="relmf"),
    ],
    ids=["towers", "sgd", "exposure model", "popularity"],
)
def test_other_options(options, log, tmp_path):
    X, y, t = log
    X = X[["age", "price"] + [c for c in ("user", "item") if c in options]]
    one_arm = "user" in options
    y = (y > 0).astype(int) if options.get("task") else y
    model = CausalDNNRecommender(**{**SMALL, "effect_learner": "t", **options})
    model.fit(X, y, treatment=None if one_arm else t)
    check_same(model, X, tmp_path)


def test_an_effect_that_is_not_identified_stays_so(log, tmp_path):
    X, y, t = log
    graph = CausalGraph("t -> y; t <-> y; age -> y; price -> y")
    frame = X[["age", "price"]].assign(t=t)
    model = CausalDNNRecommender(
        **SMALL, treatment="t", graph=graph, effect_learner="t"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame, pd.Series(y, name="y"))
    again = check_same(model, frame, tmp_path)
    with pytest.raises(NotIdentifiableError) as found:
        again.effect(frame)
    with pytest.raises(NotIdentifiableError) as wanted:
        model.effect(frame)
    assert str(found.value) == str(wanted.value)
    assert found.value.hedge == wanted.value.hedge
    assert found.value.remedies == wanted.value.remedies


def test_arms_of_text_and_numpy_rows(log, tmp_path):
    X, y, t = log
    arms = np.array(["none", "mail", "call"])[np.arange(len(t)) % 3]
    X = X[["age", "price"]].to_numpy()
    model = CausalDNNRecommender(**SMALL, control="none").fit(X, y, treatment=arms)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert_frame_equal(again.ate_table(), model.ate_table(), check_exact=True)
    for got, want in zip(
        again.effect_interval(X, T1="mail"), model.effect_interval(X, T1="mail")
    ):
        np.testing.assert_array_equal(got, want)


def _front_door(rng, n):
    taste = rng.normal(size=n)
    browse = rng.binomial(1, 1 / (1 + np.exp(-taste)))
    purchase = rng.binomial(1, 0.2 + 0.5 * browse)
    X = pd.DataFrame({"browse": browse, "purchase": purchase})
    return X, purchase + taste + rng.normal(size=n)


def _by_front_door(rng, **options):
    X, y = _front_door(rng, 400)
    graph = CausalGraph("browse -> purchase -> y; browse <-> y")
    model = DoCalculusEffect(graph, treatment="browse", outcome="y", cv=2, **options)
    return model.set_params(random_state=0).fit(X, y), X


def _by_adjustment(rng, dose=False, **options):
    n = 300
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    X["t"] = X["a"] + rng.normal(size=n)
    X["t"] = X["t"] if dose else (X["t"] > 0).astype(int)
    y = X["t"] * (1 + X["b"]) + X["a"] + rng.normal(size=n)
    graph = CausalGraph("a -> t; a -> y; b -> y; t -> y")
    model = DoCalculusEffect(
        graph, treatment="t", outcome="y", cv=2, random_state=0, **options
    )
    return model.fit(X, y), X


def _by_instrument(rng):
    z, u = rng.integers(0, 2, 400), rng.normal(size=400)
    t = (z + u + rng.normal(size=400) > 0.5).astype(int)
    X = pd.DataFrame({"z": z, "t": t})
    model = DoCalculusEffect(
        CausalGraph("z -> t -> y; t <-> y"), treatment="t", outcome="y", cv=2,
        strategy="instrument", random_state=0,
    )  # fmt: skip
    return model.fit(X, t + u), X


def _one_arm(rng):
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    return DoCalculusEffect(random_state=0, cv=2).fit(X, X["a"] > 0), X


LINEAR = dict(outcome_model=LinearRegression(), treatment_model=LogisticRegression())
FOREST = dict(
    outcome_model=RandomForestRegressor(3, random_state=0),
    treatment_model=RandomForestClassifier(3, random_state=0),
)


@pytest.mark.parametrize(
    "make",
    [
        partial(_by_adjustment, **LINEAR),
        partial(_by_adjustment, **FOREST, effect_model=Ridge()),
        partial(_by_adjustment, effect_model=None),
        partial(_by_adjustment, dose=True, effect_model=None),
        _by_front_door,
        partial(_by_front_door, strategy="primal-fixable"),
        partial(_by_front_door, strategy="general"),
        _by_instrument,
        _one_arm,
    ],
    ids="stack forest averages dose front-door primal general instrument "
    "one-arm".split(),
)
def test_every_strategy(make, rng, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, X = make(rng)
    asked = ["ate", "summary"] if model.treatment_names_ else ["predict"]
    again = check_same(model, X, tmp_path, at_least=asked)
    if model.estimand_ is not None:
        assert str(again.estimand_) == str(model.estimand_)
        assert str(again.derivation_) == str(model.derivation_)
        assert again.graph_ == model.graph_


def test_effects_by_econml(rng, tmp_path):
    from econml.dml import LinearDML

    final = LinearDML(
        model_y=LinearRegression(),
        model_t=LogisticRegression(),
        discrete_treatment=True,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, X = _by_adjustment(rng, **LINEAR, effect_model=final)
    check_same(model, X, tmp_path, at_least=["effect", "effect_interval"])
    assert "econml" in read_manifest(tmp_path / "model.crec")["needs"]


def test_policies_and_graphs(log, tmp_path):
    X, y, t = log
    F = X[["age", "price"]]
    policy = CounterfactualPolicy(hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
    policy.fit(F, y, treatment=t, propensity=np.full(len(y), 0.5))
    check_same(policy, F, tmp_path, at_least=["predict_proba"])
    graph = CausalGraph("x -> y; z -> x; z -> y; x <-> y")
    assert there_and_back(graph) == graph


BASELINES = [
    name
    for name, kind in vars(baselines).items()
    if isinstance(kind, type) and hasattr(kind, "fit") and not name.startswith("_")
    and kind.__module__.startswith(baselines.__name__)
]  # fmt: skip


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline(name, log, tmp_path):
    X, y, _ = log
    X = X[["user", "item"]]
    model = getattr(baselines, name)(user="user", item="item")
    try:
        model.fit(X, y)
    except ValueError:
        model.fit(X, (y > 0).astype(float))
    check_same(model, X, tmp_path, at_least=["by outcome"])


# -- Pipelines, searches, transformers -----------------------------------------


def test_pipelines(log, tmp_path):
    X, y, t = log
    X = X.drop(columns="past")
    columns = ColumnTransformer(
        [
            ("num", StandardScaler(), ["age", "price"]),
            ("text", TextBag(max_features=8), ["words"]),
        ],
        remainder="passthrough",
    ).set_output(transform="pandas")
    ids = {role: f"remainder__{name}" for role, name in IDS.items()}
    model = make_pipeline(
        columns,
        CausalDNNRecommender(**SMALL, **ids, towers="prefix", effect_learner="t"),
    )
    model.fit(X, y, causaldnnrecommender__treatment=t)
    again = check_same(model, X, tmp_path, at_least=["predict", "effect"])
    with config_context(display="text"):
        assert repr(again) == repr(model)


def test_searches(log, tmp_path, enable_routing):
    X, y, t = log
    X = X[["age", "price"]]
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), CausalDNNRecommender(**SMALL, effect_learner="t")
        ),
        {"causaldnnrecommender__l2": [1.0, 2.0]},
        cv=2,
    ).fit(X, y, treatment=t)
    again = check_same(search, X, tmp_path, at_least=["predict", "effect"])
    assert again.best_params_ == search.best_params_
    for name, values in search.cv_results_.items():
        np.testing.assert_array_equal(again.cv_results_[name], values)


def test_transformers(log, tmp_path):
    X = log[0][["age", "price", "words", "time"]]
    pre = make_preprocessor(X)
    check_same(pre.fit(X), X, tmp_path, at_least=["transform"])
    calendar = CalendarFeatures().fit(X[["time"]])
    check_same(calendar, X[["time"]], tmp_path, at_least=["transform"])


@pytest.mark.parametrize(
    "step",
    [
        RandomForestClassifier(3, random_state=0),
        GradientBoostingRegressor(n_estimators=3, random_state=0),
        HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]),
        IsotonicRegression(),
        LassoCV(cv=2),
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
        make_pipeline(SimpleImputer(add_indicator=True), OneHotEncoder()),
        KNNImputer(),
        KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
        QuantileTransformer(n_quantiles=10),
        SplineTransformer(),
        SelectKBest(f_regression, k=1),
        FunctionTransformer(np.log1p),
    ],
    ids=lambda step: type(step).__name__,
)
def test_steps_of_scikit_learn(step, rng, tmp_path):
    X = rng.integers(0, 5, (60, 2)).astype(float)
    X = X[:, 0] if isinstance(step, IsotonicRegression) else X
    y = rng.integers(0, 3, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step.fit(X, y)
    check_same(step, X, tmp_path, at_least=())


# -- values --------------------------------------------------------------------

VALUES = [
    None, True, 1, 10**30, -0.0, 1e-300, "", "é\ud800", (1, ("a",)), {1, 2}, 2 + 1j,
    frozenset({"a", "b"}), {(1, "a"): [None], 2.5: {}}, slice(1, None), range(2, 9, 3),
    b"\x00\xff", date(2024, 2, 29), datetime(2024, 2, 29, 1, tzinfo=UTC),
    timedelta(days=-1, microseconds=3), Decimal("1.10"), Fraction(1, 3), UUID(int=7),
    ZoneInfo("Europe/Berlin"), UTC, np.float32(1.1), np.int8(-3), np.bool_(1),
    np.str_("x"), np.datetime64("2024-01-01", "s"), np.timedelta64(3, "h"),
    np.dtype("M8[ns]"), np.dtype(object), np.float64, np.log1p, torch.nn.ReLU,
    OrderedDict(a=1), pd.NA, pd.NaT, pd.Timestamp("2024-01-01", tz="Asia/Tokyo"),
    pd.Timestamp("2024-01-01").as_unit("s"), pd.Timedelta("3h"), pd.StringDtype(),
    pd.CategoricalDtype(["a"], ordered=True), pd.Int64Dtype(), torch.float32,
    torch.device("cpu"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values(value):
    again = there_and_back([value])[0]
    assert type(again) is type(value)
    assert again is value or again == value
    assert str(again) == str(value)


def test_numbers_that_are_none():
    nan, up, down = there_and_back([float("nan"), float("inf"), -float("inf")])
    assert nan != nan and up == np.inf and down == -np.inf
    assert there_and_back([np.float64("nan")])[0] != 0


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4).T[::2],
        np.array(3.0),
        np.zeros((0, 3), np.float32),
        np.array([1, 2], ">i4"),
        np.array(["a", "bcé"]),
        np.array([b"a", b"bc"]),
        np.array(["2024-01-01", "NaT"], "M8[h]"),
        np.array([1 + 2j]),
        np.array([1.5], np.longdouble),
        np.array([True, False]),
        np.array([1.5], np.float16),
        np.array([(1, 2.5)], dtype=np.dtype("u1,f8", align=True)),
        np.array([None, "a", 1, [2]], dtype=object),
        np.ma.array([1.0, 2.0], mask=[False, True]),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays(array):
    again = there_and_back([array])[0]
    assert type(again) is type(array) and again.dtype == array.dtype
    assert again.shape == array.shape and again.flags.writeable
    assert again.flags.f_contiguous == array.flags.f_contiguous or array.ndim == 3
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2], name="a"),
        pd.Series(["a", None]),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series(pd.Categorical([3, 1], categories=[3, 2, 1], ordered=True)),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([True, None], dtype="boolean"),
        pd.Series(pd.to_datetime(["2024-01-01", None])),
        pd.Series(pd.to_datetime(["2024-01-01"])).dt.tz_localize("Europe/Berlin"),
        pd.Series(pd.to_timedelta([3], unit="h")),
        pd.Series([[1, 2], None], dtype=object),
        pd.Series(
            [1.5], index=pd.MultiIndex.from_tuples([("a", 1)], names=["x", None])
        ),
        pd.Series([1.5], index=pd.to_datetime(["2024-01-01"]), name=("a", 1)),
    ],
    ids=lambda s: f"{s.dtype}-{type(s.index).__name__}",
)
def test_pandas(column):
    assert_series_equal(there_and_back([column])[0], column)
    assert_index_equal(there_and_back([pd.Index(column)])[0], pd.Index(column))
    frame = pd.concat([column.rename("a"), column.rename("a")], axis=1)
    assert_frame_equal(there_and_back([frame])[0], frame)
    values = column.array
    if not isinstance(values, pd.arrays.NumpyExtensionArray):
        assert type(there_and_back([values])[0]) is type(values)


def test_random_generators_go_on():
    for rng in (np.random.default_rng(3), np.random.RandomState(3)):
        rng.normal(size=5)
        again = there_and_back([rng])[0]
        np.testing.assert_array_equal(again.normal(size=5), rng.normal(size=5))


def test_what_is_shared_stays_shared_and_circles_are_circles():
    array, words = np.arange(3), ["a"]
    circle = {"array": array, "words": words}
    circle["self"] = circle
    again = there_and_back([array, circle, words, defaultdict(list, a=words)])
    assert again[1]["array"] is again[0] and again[1]["self"] is again[1]
    assert again[1]["words"] is again[2] is again[3]["a"]
    assert again[3].default_factory is list


def test_equal_models_make_equal_files(log, tmp_path):
    graph = CausalGraph("x -> y; z -> x; z -> y")
    for name in "ab":
        save(graph, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- what does not travel ------------------------------------------------------


class Mine(StandardScaler):
    """A step that no list knows."""


def outside(X):
    return X


@pytest.mark.parametrize(
    "part, message",
    [
        (FunctionTransformer(lambda X: X), r"\[0\]\[1\].func is of the func.*<lambda"),
        (FunctionTransformer(outside), r"func is of the function .*outside"),
        (FunctionTransformer(print), r"func is of the function builtins.print"),
        (FunctionTransformer(eval), r"func is of the function builtins.eval"),
        (FunctionTransformer(np.save), "func is of the type numpy._ArrayFunction"),
        (FunctionTransformer(partial(eval, "1")), r"func\[0\] is of the function"),
        (Mine(), r"Pipeline.steps\[0\]\[1\] is of the type .*Mine"),
        (TextEmbedding(Mine()), r"model is of the type .*Mine"),
        (StandardScaler(copy=io.StringIO()), r"copy is of the type _io.StringIO"),
        (StandardScaler(copy=np.longdouble(1)), "copy is a number of"),
        (StandardScaler(copy=slice("a", "b")), "copy is a slice of labels"),
        (StandardScaler(copy=subprocess.run), "function subprocess.run"),
        (StandardScaler(copy=Path("x")), "PosixPath"),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_cannot_travel_is_named_and_nothing_written(part, message, tmp_path):
    path = tmp_path / "model.crec"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=message) as error:
        save(make_pipeline(part, StandardScaler()), path)
    assert "does not travel" in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["model.crec"]
    assert path.read_bytes() == b"old"


def test_language_models_have_a_way_out(tmp_path):
    class SentenceTransformer:
        __module__ = "sentence_transformers.base"

        def encode(self, texts):
            return np.zeros((len(texts), 2))

    step = TextEmbedding(SentenceTransformer()).fit(pd.DataFrame({"a": ["b"]}))
    with pytest.raises(TypeError, match="DenseVectors"):
        save(step, tmp_path / "m")


def test_too_deep(tmp_path):
    deep = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(TypeError, match="levels deep"):
        save(StandardScaler(copy=deep), tmp_path / "m")


# -- without the log -----------------------------------------------------------


def test_slim_files_answer_and_hold_nothing_of_the_log(log, tmp_path):
    X, y, t = log
    X = X.drop(columns=["words", "past"])
    model = CausalDNNRecommender(**SMALL, **IDS).fit(X, y, treatment=t)
    full, slim = tmp_path / "full", tmp_path / "slim"
    save(model, full)
    save(model, slim, slim=True)
    again = load(slim)
    want, got = answers(model, X), answers(again, X)
    for name in ("predict", "effect", "effect_interval", "by effect", "by outcome"):
        np.testing.assert_array_equal(np.asarray(got[name]), np.asarray(want[name]))
    for name in ("ate", "ate of rows", "att", "support"):
        assert "saved without slim=True" in got[name], name
    for call in (again.ate_table, again.ate_interval):
        with pytest.raises(ValueError, match="not in the file"):
            call()
    assert read_manifest(slim)["slim"] and not read_manifest(full)["slim"]
    writer = Writer(without_the_log)
    writer.write(model, "model")
    shapes = [node[2] for node in writer.nodes if node[0] == "array"]
    assert not [shape for shape in shapes if len(y) in shape]
    # It can be fitted, trained on, copied and saved again.
    again.partial_fit(X, y, treatment=t)
    save(again, slim)
    again.fit(X, y, treatment=t)
    assert again.ate() == model.ate()


# -- manifest, packages --------------------------------------------------------


def test_what_a_file_says_of_itself(log, tmp_path):
    X, y, t = log
    X = X.drop(columns=["words", "past"])
    model = CausalDNNRecommender(**SMALL, **IDS, effect_learner="t")
    save(model.fit(X, y, treatment=t), tmp_path / "m", key=KEY)
    found = read_manifest(tmp_path / "m", key=KEY)
    assert found["model"] == "CausalDNNRecommender"
    assert found["roles"] == IDS
    assert torch.__version__.startswith(found["packages"]["torch"].split("+")[0])
    assert found["training"][0]["epoch"] == model.history_[-1]["epoch"]
    assert set(found["parts"]) == {"state", "arrays"}
    assert {"torch", "skorch", "pandas"} <= set(found["needs"])
    assert json.dumps(found)


def test_loading_needs_what_the_model_has(log, tmp_path):
    X, y, _ = log
    scorer = make_pipeline(StandardScaler(), Ridge()).fit(X[["age", "price"]], y)
    bias = baselines.UserItemBias(user="user", item="item").fit(X[["user", "item"]], y)
    model, _ = _by_adjustment(np.random.default_rng(0), **LINEAR, effect_model=Ridge())
    for name, one in {"ridge": scorer, "bias": bias, "do": model}.items():
        save(one, tmp_path / name)
        assert not {"torch", "econml"} & set(read_manifest(tmp_path / name)["needs"])
    code = (
        "import sys, pandas as pd\n"
        "from sklearn_causalrec import load, effect\n"
        f"folder = {str(tmp_path)!r}\n"
        "load(folder + '/ridge')\n"
        "bias = load(folder + '/bias')\n"
        "bias.predict(pd.DataFrame({'user': [1], 'item': ['a']}))\n"
        "X = pd.DataFrame({'a': [0.1], 'b': [1.0], 't': [1]})\n"
        "print(effect(load(folder + '/do'), X))\n"
        "heavy = {'torch', 'skorch', 'econml', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.fromstring(done.stdout.strip(" []\n"), sep=" ") == pytest.approx(
        model.effect(pd.DataFrame({"a": [0.1], "b": [1.0], "t": [1]}))
    )


def test_a_file_holds_no_pickle(log, tmp_path):
    X, y, t = log
    model = CausalDNNRecommender(**SMALL).fit(X[["age", "price"]], y, treatment=t)
    parts = Writer().write(model, "model")
    for data in parts.values():
        with pytest.raises(ValueError):
            list(pickletools.genops(data))
    json.loads(parts["state"])


@pytest.mark.parametrize("spelt", ["<1f4", "|2u1", "<(1)f4", "<f4,<f4", "<M8[ns],1f4"])
def test_dtypes_that_numpy_reads_as_python_are_refused(spelt):
    with pytest.raises(ValueError, match="is no dtype"):
        dtype_of(spelt)


def test_names_of_dtypes():
    for name in (
        "Int64", "float32", "int64[pyarrow]", "interval[int64, right]", "period[3D]",
        "datetime64[ns, UTC+01:00]", "Sparse[float64, nan]",
    ):  # fmt: skip
        assert _read_dtype("name", name) == pd.api.types.pandas_dtype(name)
    for name in ("1f4", "f4,1f4", "interval[1f4]", "(1)f4", "Sparse[2f8]", "f4 or 1"):
        with pytest.raises(ValueError, match="is no dtype"):
            _read_dtype("name", name)
