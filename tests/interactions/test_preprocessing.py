import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_causalrec import CausalDNNRecommender, effect, recommend
from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.interactions import build_examples, make_preprocessor
from sklearn_causalrec.interactions.preprocessing import Preprocessor, column_kind

ROLES = dict(
    user="user", item="item", time="time", treatment="treatment",
    propensity="propensity", outcome=["outcome", "sample_weight"],
)  # fmt: skip


@pytest.fixture(scope="module")
def examples():
    log = make_event_log(1200, n_users=50, n_items=30, dirt=0, random_state=0)
    return build_examples(
        log.tidy_events, log.impressions, user="user", item="item", time="time",
        event="event", outcome="purchase", window="7D", treatment="shown",
        propensity="propensity", users=log.user_table, items=log.item_table,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "numbers"),
        ([1.0, None, 3.0], "numbers"),
        ([True, False, True], "categories"),
        (["a", "b", None], "categories"),
        (pd.Categorical(["a", "b", "a"]), "categories"),
        ([1, "a", 2], None),
        (["2024-01-01", "2024-01-02", None], "dates"),
        (["2024-01-01", "2024-01-02T10:00Z", None], None),
        (pd.to_datetime(["2024-01-01", "2024-01-02", None]), "dates"),
        ([[1, 2], None, np.array([3.0, 4.0])], "vectors"),
        ([["a"], ["b"], ["c"]], None),
        ([[1], [1, 2], []], None),
        ([None, None, None], None),
        ([7, 7, 7], None),
        (["one two three four " + chr(65 + i) for i in range(26)], "texts"),
        ([f"k{i}" for i in range(100)], None),
    ],
)
def test_kinds(values, kind):
    found, why = column_kind(pd.Series(values), 30)
    assert found == kind and bool(why) == (kind is None)


def test_every_column_finds_its_place(examples):
    out = make_preprocessor(examples, **ROLES).fit_transform(examples)
    for role in ("user", "item", "time", "treatment", "propensity"):
        assert out[role].equals(examples[role])
    assert {
        "age", "missingindicator_age", "country_DE", "category_books", "price",
        "title_golden", "time_hour_sin", "image_5", "device_app",
    } <= set(out)  # fmt: skip
    assert not {"outcome", "sample_weight"} & set(out)
    features = out.drop(columns=["user", "item", "time"])
    assert np.isfinite(features.to_numpy(float)).all()
    assert abs(out["price"].mean()) < 1e-9


def test_the_print_is_code_that_makes_it(examples):
    proposed = make_preprocessor(examples, **ROLES)
    scope = {}
    exec(str(proposed), scope)
    rebuilt = scope["preprocessor"]
    assert type(rebuilt) is Preprocessor
    expected = proposed.fit_transform(examples)
    pd.testing.assert_frame_equal(rebuilt.fit_transform(examples), expected)
    again = eval(repr(proposed), scope)
    pd.testing.assert_frame_equal(again.fit_transform(examples), expected)


def test_code_follows_the_edits():
    edited = Preprocessor(
        [
            ("a", StandardScaler(with_mean=False), ["x"]),
            ("b", make_pipeline(StandardScaler(), "passthrough"), ["y"]),
            ("c", Pipeline([("mine", StandardScaler())]), ["z"]),
            ("d", FunctionTransformer(validate=True), ["w"]),
            ("e", TfidfVectorizer(), "text"),
            ("f", "drop", slice(0, 2)),
        ],
        remainder="passthrough",
    )
    scope = {}
    exec(str(edited), scope)
    assert scope["preprocessor"].remainder == "passthrough"
    parts = {name: part for name, part, _ in scope["preprocessor"].transformers}
    columns = [given for *_, given in scope["preprocessor"].transformers]
    assert columns[-2:] == ["text", slice(0, 2)]
    assert parts["a"].with_mean is False and list(parts["c"].named_steps) == ["mine"]
    assert "set_output" not in str(edited)
    assert "LogisticRegression" in repr(make_pipeline(edited, LogisticRegression()))


def test_what_is_left_out_is_said(examples):
    frame = examples.assign(session_id=range(len(examples)), constant=1, nothing=None)
    code = str(make_preprocessor(frame, **ROLES))
    for line in (
        "# left out: 'session_id' (called an id",
        "# left out: 'constant' (it is 1 in every row)",
        "# left out: 'nothing' (all of it is missing)",
        "# left out: 'outcome' (an outcome)",
    ):
        assert line in code


def test_unseen_and_missing_values_at_transform(examples):
    fitted = make_preprocessor(examples, **ROLES).fit(examples)
    new = examples.head(4).assign(
        country="ZZ", category=None, age=np.nan, title=None, image=None
    )
    out = fitted.transform(new)
    assert (out[[c for c in out if c.startswith("country_")]] == 0).all(axis=None)
    assert (out["image_missing"] == 1).all() and out["age"].notna().all()


def test_clones_pickles_and_polars(examples):
    proposed = make_preprocessor(examples, **ROLES)
    expected = proposed.fit_transform(examples)
    for copy in (clone(proposed), pickle.loads(pickle.dumps(proposed))):
        pd.testing.assert_frame_equal(copy.fit_transform(examples), expected)
        assert repr(copy) == repr(proposed)
    frame = pl.from_pandas(examples.drop(columns="image"))
    from_polars = make_preprocessor(frame, **ROLES)
    plain = make_preprocessor(examples.drop(columns="image"), **ROLES)
    assert repr(from_polars) == repr(plain)
    pd.testing.assert_frame_equal(
        from_polars.fit_transform(frame.to_pandas()),
        plain.fit_transform(examples.drop(columns="image")),
        check_dtype=False,
    )


def test_a_pipeline_fits_shows_effects_and_recommends(examples):
    roles = {k: v for k, v in ROLES.items() if k != "outcome"}
    model = CausalDNNRecommender(**roles, max_epochs=3, n_folds=2, random_state=0)
    pipeline = make_pipeline(make_preprocessor(examples, **ROLES), model)
    pipeline.fit(examples, examples["outcome"])
    assert effect(pipeline, examples).shape == (len(examples),)
    lists = recommend(pipeline, examples["user"].unique()[:3], k=4)
    assert len(lists) == 12


def test_bad_input_is_named(examples):
    for options, message in (
        (dict(user="who"), "user='who' is not a column"),
        (dict(outcome="what"), "outcome='what' is not a column"),
        (dict(user="item", item="item"), "Two roles name the same column"),
        (dict(outcome="user", user="user"), "'user' is named as an outcome and"),
        (dict(max_categories=1), "max_categories"),
    ):
        with pytest.raises(ValueError, match=message):
            make_preprocessor(examples, **options)
    with pytest.raises(ValueError, match="df is empty"):
        make_preprocessor(examples.iloc[:0])
    with pytest.raises(TypeError, match="DataFrame"):
        make_preprocessor(np.ones((2, 2)))
