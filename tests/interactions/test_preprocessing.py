import datetime as dt
import pickle
import warnings
from decimal import Decimal
from fractions import Fraction

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
from sklearn_causalrec.interactions import (
    CategoryColumns,
    build_examples,
    make_preprocessor,
)
from sklearn_causalrec.interactions.column_kinds import column_kind
from sklearn_causalrec.interactions.preprocessing import Preprocessor

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
        (pd.Categorical([f"k{i}" for i in range(100)]), None),
        ([Decimal("1.5"), 2, Fraction(1, 3), None, np.float32(4)], "numbers"),
        (pd.Series([1, 2, None], dtype=object), "numbers"),
        (pd.Series([1, 2, None], dtype="Int64"), "numbers"),
        (pd.Series([1.5, 2.5, None], dtype="double[pyarrow]"), "numbers"),
        (pd.to_timedelta([1, 2, None], unit="h"), "numbers"),
        (["1.5", "2.5", "2.5"], "categories"),
        ([str(i / 4) for i in range(100)], None),
        (pd.Categorical([1, 2, 1]), "categories"),
        (pd.Categorical(np.arange(100) / 4), None),
        (["03/04/2024", "13/04/2024"], "dates"),
        (["03/04/2024", "05/04/2024"], None),
        (["20240131", "20240201"], "dates"),
        ([20240131, 20240201], "dates"),
        ([202401, 202402], "numbers"),
        ([dt.date(2024, 1, 1), dt.date(2024, 1, 2)], "dates"),
        (pd.period_range("2024-01", periods=3, freq="M"), "dates"),
        (
            pd.Series(
                [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)],
                dtype="date32[pyarrow]",
            ),
            "dates",
        ),
        ([np.datetime64("2024-01-01"), np.datetime64("2024-01-02")], "dates"),
        ([True, False, None], "categories"),
        ([1, "1", 2], None),
        ([True, 1, 0], "numbers"),
        ([1j, 2j], None),
        ([b"a", b"b"], None),
        ([{"a": 1}, {"b": 2}], None),
        ([[1, 2], "a"], None),
        ([[1, [2, 3]], [1, 2]], None),
        ([["1", "2"], ["3", "4"]], None),
    ],
)
def test_kinds(values, kind):
    found, why = column_kind(pd.Series(values), 30)
    assert found == kind and bool(why) == (kind is None)


KINDS = {
    "whole": [1, 2, 3, 4],
    "nullable": pd.Series([1, 2, 3, None], dtype="Int64"),
    "objects": pd.Series([Decimal("1.5"), 2, Fraction(1, 3), None], dtype=object),
    "arrow": pd.Series([1.5, 2.5, None, 4], dtype="double[pyarrow]"),
    "lengths": pd.to_timedelta([1, 2, None, 3], unit="h"),
    "truth": pd.Series([True, False, None, True], dtype="boolean"),
    "truth objects": [True, False, None, True],
    "text": ["a", "b", None, "a"],
    "string": pd.Series(["a", "b", pd.NA, "a"], dtype="string"),
    "objects with NA": pd.Series(["a", "b", pd.NA, "a"], dtype=object),
    "categories": pd.Categorical(["a", "b", None, "a"]),
    "levels of numbers": pd.Categorical([1, 2, None, 1]),
    "dates": pd.to_datetime(["2024-01-01", None, "2024-02-01", "2024-03-01"]),
    "date objects": [dt.date(2024, 1, 1), None, dt.date(2024, 2, 1), None],
    "periods": pd.PeriodIndex(["2024-01", "2024-02", None, "2024-03"], freq="M"),
    "arrow dates": pd.Series(
        [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2), None], dtype="date32[pyarrow]"
    ),
    "stamps": [20240101, 20240201, 20240301, 20240401],
    "vectors": [[1, 2], None, np.array([3.0, 4.0]), (5, 6)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_proposed_fits(kind):
    frame = pd.DataFrame({"x": KINDS[kind]})
    proposed = make_preprocessor(frame)
    out = proposed.fit_transform(frame)
    assert np.isfinite(out.to_numpy(float)).all() and out.shape[1] >= 1
    for rows in (frame.iloc[:1], frame.iloc[[0, 3]]):
        again = proposed.transform(rows)
        pd.testing.assert_frame_equal(again, out.loc[again.index], check_dtype=False)


def test_numbers_of_any_type_are_the_same_numbers():
    plain = pd.DataFrame({"x": [1.5, 2.0, np.nan, 4.25]})
    expected = make_preprocessor(plain).fit_transform(plain)
    for values in (
        plain["x"].astype(object),
        [Decimal("1.5"), 2, None, Fraction(17, 4)],
        plain["x"].astype("Float64"),
        plain["x"].astype("double[pyarrow]"),
        pd.to_timedelta(plain["x"], unit="D"),
    ):
        frame = pd.DataFrame({"x": values})
        found = make_preprocessor(frame).fit_transform(frame)
        pd.testing.assert_frame_equal(found, expected)
    fitted = make_preprocessor(plain).fit(plain)
    for wrong, message in (
        (["1.5"], "'x' is '1.5' in row 0, which is no number"),
        ([np.inf], "'x' is infinite in row 0"),
        (pd.to_datetime(["2024-01-01"]), "'x' held numbers in fit"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.transform(pd.DataFrame({"x": wrong}))


def test_levels_that_fit_did_not_see():
    frame = pd.DataFrame({"x": ["1", "2", "1", None]})
    fitted = make_preprocessor(frame).fit(frame)
    with pytest.warns(UserWarning, match="'x' holds '3' and 1 more, which fit did not"):
        assert (fitted.transform(pd.DataFrame({"x": ["3", "4"]})) == 0).all(axis=None)
    for other in ([1, 2], [1.0], [True], ["1", 1]):
        with pytest.raises(ValueError, match="'x' had levels such as '1' in fit and"):
            fitted.transform(pd.DataFrame({"x": other}))
    with pytest.raises(ValueError, match="'x' mixes kinds"):
        CategoryColumns().fit(pd.DataFrame({"x": [1, "1"]}))
    numbers = pd.DataFrame({"x": pd.Categorical([1, 2, 1])})
    fitted = make_preprocessor(numbers).fit(numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted.transform(pd.DataFrame({"x": [1.0, 2.0]})).to_numpy().sum() == 2


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


def test_the_inputs_come_first(examples):
    more = examples.assign(constant=1, session_id="s", spare=np.arange(len(examples)))
    proposed = make_preprocessor(more.drop(columns="spare"), **ROLES)
    proposed.fit(more)
    inputs = set(proposed.feature_names_in_)
    assert not inputs & {"outcome", "sample_weight", "constant", "session_id", "spare"}
    expected = proposed.transform(more)
    pd.testing.assert_frame_equal(proposed.transform(more[sorted(inputs)]), expected)
    with pytest.raises(ValueError, match=r"columns are missing: {'price'}"):
        proposed.transform(more.drop(columns="price"))
    # Where the columns are not named all of them are kept.
    rest = Preprocessor([("a", "passthrough", ["age"])], remainder="passthrough")
    assert rest.fit(examples).n_features_in_ == examples.shape[1]
    by_place = Preprocessor([("a", "passthrough", [0])])
    assert by_place.fit(examples).n_features_in_ == examples.shape[1]


def test_cold_start_through_the_pipeline():
    log = make_event_log(1200, n_users=50, n_items=30, dirt=0, random_state=0)
    examples = build_examples(
        log.tidy_events, log.impressions, user="user", item="item", time="time",
        event="event", outcome="purchase", window="7D", treatment="shown",
        propensity="propensity", users=log.user_table, items=log.item_table,
        n_unexposed=1, random_state=0,
    )  # fmt: skip
    roles = {k: v for k, v in ROLES.items() if k != "outcome"}
    model = CausalDNNRecommender(**roles, max_epochs=3, n_folds=2, random_state=0)
    pipeline = make_pipeline(make_preprocessor(examples, **ROLES), model)
    pipeline.fit(examples, examples["outcome"])
    now = pd.Timestamp("2024-02-01")
    users = log.user_table.head(3).assign(user=["new", "newer", "u00001"], time=now)
    items = log.item_table.head(4).assign(item=["fresh", "i00001", "i00002", "other"])
    lists = recommend(pipeline, users=users, items=items, k=3, exclude_seen=False)
    assert lists.groupby("user").size().tolist() == [3, 3, 3]
    # A new item is scored by its own features.
    assert lists.groupby("user")["score"].nunique().eq(3).all()
    twins = items.iloc[[0, 0]].assign(item=["fresh", "other"])
    same = recommend(pipeline, users=users.head(1), items=twins, k=2)
    assert same["score"].nunique() == 1


def test_gaps_that_tell_the_treatment_are_left_out(rng):
    n = 400
    treatment = rng.integers(0, 2, n)
    noise = rng.normal(size=n)
    some = rng.random(n) < 0.3
    frame = pd.DataFrame(
        {
            "treatment": treatment,
            "device": np.where(treatment == 1, rng.choice(["app", "web"], n), None),
            "speed": np.where(treatment == 1, noise, np.nan),
            "refused": np.where(treatment == 1, np.nan, noise),
            # Some decisions that were not shown have one, as after n_unexposed.
            "place": np.where((treatment == 1) | some, noise, np.nan),
            "age": np.where(some, np.nan, noise),
            "rare": noise,
        }
    )
    frame.loc[np.flatnonzero(treatment == 0)[:3], "rare"] = np.nan  # chance does that
    proposed = str(make_preprocessor(frame, treatment="treatment"))
    for name, arm in (("device", 0), ("speed", 0), ("place", 0), ("refused", 1)):
        assert (
            f"# left out: '{name}' (missing only where treatment is {arm}" in proposed
        )
    assert "['age', 'rare']" in proposed
    texts = frame.assign(treatment=np.where(treatment == 1, "yes", "no"))
    proposed = str(make_preprocessor(texts, treatment="treatment"))
    assert "'speed' (missing only where treatment is 'no'" in proposed


def test_after_sampling_the_decisions_own_columns_are_left_out():
    log = make_event_log(400, n_users=30, n_items=20, dirt=0, random_state=0)
    options = dict(
        user="user", item="item", time="time", event="event", outcome="purchase",
        window="7D", treatment="shown", propensity="propensity",
    )  # fmt: skip
    logged = build_examples(log.tidy_events, log.impressions, **options)
    sampled = build_examples(
        log.tidy_events, log.impressions, **options, n_unexposed=2, random_state=0
    )
    assert "'device'" in repr(make_preprocessor(logged, **ROLES))
    assert "'device'" not in repr(make_preprocessor(sampled, **ROLES))


def test_what_build_examples_made_is_no_feature(examples):
    proposed = make_preprocessor(examples, user="user", item="item")
    for name in ("treatment", "outcome", "propensity", "sample_weight"):
        assert f"left out: {name!r} (made by build_examples" in str(proposed)


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
