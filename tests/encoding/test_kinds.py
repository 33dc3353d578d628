"""One reader of columns: the same numbers in any container, and no guesses."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec.encoding.kinds import Feature, as_numbers

NUMBERS = [0.5, 2.0, -1.25]
NUMBER_FORMS = {
    "list": NUMBERS,
    "float64": np.array(NUMBERS),
    "float32": np.array(NUMBERS, np.float32),
    "big-endian": np.array(NUMBERS, ">f8"),
    "strided": np.array(NUMBERS[::-1])[::-1],
    "object": np.array(NUMBERS, object),
    "Decimal": [Decimal(str(v)) for v in NUMBERS],
    "Fraction": [Fraction(v) for v in NUMBERS],
    "mixed numbers": [0.5, 2, Fraction(-5, 4)],
    "numpy scalars": np.array([np.float64(v) for v in NUMBERS], object),
    "Series of object": pd.Series(NUMBERS, dtype=object),
    "nullable": pd.array(NUMBERS, dtype="Float64"),
    "arrow": pd.Series(NUMBERS, dtype="double[pyarrow]"),
    "arrow decimal": pd.Series([Decimal(str(v)) for v in NUMBERS]).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.Series(NUMBERS),
    "polars decimal": pl.Series([Decimal(str(v)) for v in NUMBERS]),
    "no mask": np.ma.masked_array(NUMBERS),
}

MOMENT = dt.datetime(2024, 1, 31, 12)
DAYS = (MOMENT - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)
TIME_FORMS = {
    "datetime": ([MOMENT], DAYS),
    "ns": (np.array([MOMENT], "datetime64[ns]"), DAYS),
    "seconds": (np.array([MOMENT], "datetime64[s]"), DAYS),
    "days": (np.array(["2024-01-31"], "datetime64[D]"), DAYS - 0.5),
    "months": (np.array(["2024-01"], "datetime64[M]"), DAYS - 30.5),
    "objects of numpy": (np.array([np.datetime64(MOMENT)], object), DAYS),
    "index": (pd.DatetimeIndex([MOMENT]), DAYS),
    "UTC": (pd.Series([MOMENT]).dt.tz_localize("UTC"), DAYS),
    "Berlin": (pd.Series([MOMENT]).dt.tz_localize("Europe/Berlin"), DAYS - 1 / 24),
    "objects with a zone": ([MOMENT.replace(tzinfo=dt.UTC), None], DAYS),
    "date": ([dt.date(2024, 1, 31)], DAYS - 0.5),
    "date32": (pd.Series([dt.date(2024, 1, 31)], dtype="date32[pyarrow]"), DAYS - 0.5),
    "arrow": (pd.Series([MOMENT]).astype("timestamp[us][pyarrow]"), DAYS),
    "period": (pd.period_range("2024-01", periods=1, freq="M"), DAYS - 30.5),
    "objects of periods": ([pd.Period("2024-01-31")], DAYS - 0.5),
    "polars datetime": (pl.Series([MOMENT]), DAYS),
    "polars date": (pl.Series([MOMENT.date()]), DAYS - 0.5),
    "timedelta": (pd.to_timedelta(["36h"]), 1.5),
    "objects of timedelta": ([dt.timedelta(hours=36)], 1.5),
    "arrow duration": (
        pd.Series(pd.to_timedelta(["36h"])).astype("duration[us][pyarrow]"),
        1.5,
    ),
    "polars duration": (pl.Series([dt.timedelta(hours=36)]), 1.5),
    "time of the day": ([dt.time(18)], 0.75),
}


@pytest.mark.parametrize("form", NUMBER_FORMS)
def test_numbers_are_numbers_in_any_container(form):
    feature = Feature.learn(NUMBER_FORMS[form], "x")
    assert feature.kind == "number"
    np.testing.assert_array_equal(feature.read(NUMBER_FORMS[form]), NUMBERS)
    np.testing.assert_array_equal(as_numbers(NUMBER_FORMS[form], "x"), NUMBERS)


@pytest.mark.parametrize("values", [[True, False], np.array([True, False], object)])
def test_truth_values_are_numbers(values):
    np.testing.assert_array_equal(Feature.learn(values).read(values), [1, 0])


@pytest.mark.parametrize("form", TIME_FORMS)
def test_times_are_days(form):
    values, days = TIME_FORMS[form]
    feature = Feature.learn(values, "when")
    assert feature.kind == "time"
    assert feature.read(values)[0] == days


def test_missing_numbers_stay_missing():
    for values in (
        [1.0, None],
        pd.array([1, None], dtype="Int64"),
        pl.Series([1, None]),
    ):
        np.testing.assert_array_equal(as_numbers(values), [1, np.nan])
    assert np.isnan(as_numbers(pd.to_datetime(["2024-01-01", None]))[1])


def test_few_levels_of_numeric_text_are_categories():
    feature = Feature.learn(["1", "3", "1", "2"], "grade")
    assert (feature.kind, feature.levels.tolist()) == ("category", ["1", "2", "3"])
    assert feature.read(["3", "4"]).tolist() == [2, -1]


@pytest.mark.parametrize("make", [lambda v: v.astype(str), pd.Categorical])
def test_many_levels_of_numbers_are_asked_about(make):
    values = make(np.arange(200) / 7)
    with pytest.raises(ValueError, match=r"'price' has 200 levels.*pd.to_numeric") as e:
        Feature.learn(values, "price")
    assert "TargetEncoder" in str(e.value)
    # many rows of each level do not tell what is meant either
    with pytest.raises(ValueError, match="If it is a quantity"):
        Feature.learn(make(np.repeat(np.arange(30), 50)), "zip")


def test_most_levels_spell_numbers():
    values = [*np.arange(30).astype(str), "unknown"] * 10
    with pytest.raises(ValueError, match="31 levels of text that spells numbers"):
        Feature.learn(values, "age")


def test_text_that_names_the_row_is_refused():
    values = [f"user {i}" for i in range(300)]
    with pytest.raises(ValueError, match="'name' has 300 different values in 300 rows"):
        Feature.learn(values, "name")
    towns = np.repeat([f"town {i}" for i in range(30)], 4)
    assert len(Feature.learn(towns).levels) == 30


@pytest.mark.parametrize(
    "values, message",
    [
        (["a", 1], r"'x' mixes kinds: 'a' is a text and 1 a number"),
        ([1.5, "2.5"], r"'x' mixes kinds: 1.5 is a number and '2.5' a text"),
        ([dt.date(2024, 1, 1), 3], "'x' mixes kinds"),
        (pd.Categorical(["a", 1]), "'x' mixes kinds"),
        ([1 + 2j], "Complex data not supported: Column 'x'"),
        (np.array([1 + 2j]), "Complex data not supported: Column 'x'"),
        ([b"a"], "'x' holds bytes"),
        (np.ma.masked_array([1, 2], [0, 1]), "'x' is a masked array"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        Feature.learn(values, "x")
    with pytest.raises(ValueError, match=message):
        as_numbers(values, "x")


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"'x' holds .*argument must be a string or a"):
        Feature.learn([{"a": 1}], "x")


def test_text_where_a_number_is_needed_names_both_ways_out():
    with pytest.raises(ValueError, match=r"pd.to_numeric\(X\['x'\]\).*OneHotEncoder"):
        as_numbers(["1", "2"], "x")
    with pytest.raises(ValueError, match="'x' holds 'Bonn', which is not a number"):
        as_numbers(["Ulm", "Bonn"], "x")


@pytest.mark.parametrize(
    "fit, new, message",
    [
        (["1", "2"], [1, 2], "'x' had levels such as '1' in fit and holds 1 here"),
        (pd.Categorical([1, 2]), ["1"], "levels such as 1 in fit and holds '1' here"),
        ([1.0, 2.0], ["1"], "'x' held numbers in fit and holds text here"),
        ([1.0, 2.0], pd.Categorical(["a"]), "held numbers in fit and holds categories"),
        (pd.to_datetime(["2024-01-01"]), [1.0], "held times in fit and holds numbers"),
    ],
)
def test_new_rows_are_of_the_kind_of_fit(fit, new, message):
    with pytest.raises(ValueError, match=message):
        Feature.learn(fit, "x").read(new)


def test_a_category_may_come_in_another_container():
    feature = Feature.learn(pd.Categorical(["b", "a"]), "x")
    for values in (["a", "b"], pl.Series(["a", "b"]), pd.Series(["a", "b"], dtype=str)):
        assert feature.read(values).tolist() == [0, 1]
    assert feature.read(["a", None]).tolist() == [0, -1]
    assert Feature.learn(pd.Categorical([1, 2]), "x").read([2.0, 1]).tolist() == [1, 0]
