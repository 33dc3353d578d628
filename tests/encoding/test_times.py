import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.encoding.time_formats import read_stamps, unit_of
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import as_times, as_window, in_order, same_clock

NOON = pd.Timestamp("2024-03-04 12:00")
DAY = pd.Timestamp("2024-03-04")


def arrow(values, kind):
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


DATES = {
    "datetime": pd.Series([NOON]),
    "datetime64[s]": np.array([NOON], "datetime64[s]"),
    "datetime64[h]": np.array(["2024-03-04T12"], "datetime64[h]"),
    "big-endian": np.array([NOON], ">M8[ns]"),
    "objects": np.array([NOON], dtype=object),
    "numpy objects": np.array([np.datetime64("2024-03-04T12:00")], dtype=object),
    "datetime.datetime": [dt.datetime(2024, 3, 4, 12)],
    "categories": pd.Series([NOON]).astype("category"),
    "categories of text": pd.Series(["2024-03-04T12:00"]).astype("category"),
    "hours": pd.Series(pd.period_range(NOON, periods=1, freq="h")),
    "period objects": np.array([pd.Period("2024-03-04 12:00", freq="min")], object),
    "arrow timestamp": arrow([NOON], pa.timestamp("ms")),
    "arrow timestamp, zoned": arrow([NOON], pa.timestamp("ns", "UTC")),
    "arrow text": arrow(["2024-03-04 12:00"], pa.string()),
    "arrow dictionary": arrow(
        ["2024-03-04 12:00"], pa.dictionary(pa.int8(), pa.string())
    ),
    "pyarrow": pa.array([NOON]),
    "polars": pl.Series([NOON.to_pydatetime()]),
    "Index": pd.DatetimeIndex([NOON]),
    "zoned": pd.Series([NOON]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    "text": ["2024-03-04T12:00"],
    "string": pd.Series(["2024-03-04 12:00:00"], dtype="string"),
    "UTC": ["2024-03-04 12:00:00 UTC"],
    "lower z": ["2024-03-04t12:00:00z".replace("t", "T")],
    "offset of hours": ["2024-03-04 14:00:00+02"],
    "offset without colon": ["2024-03-04T08:30-0330"],
    "basic": ["20240304T1200"],
    "slashes, year first": ["2024/03/04 12:00"],
    "half day": ["2024-03-04 12:00 PM"],
    "month by name": ["4 Mar 2024 12:00"],
    "month first by name": ["March 4, 2024 12:00 PM"],
    "RFC 2822": ["Mon, 04 Mar 2024 12:00:00 GMT"],
    "web server": ["04/Mar/2024:12:00:00 +0000"],
    "stamp": np.array([20240304120000]),
    "short stamp": np.array([202403041200]),
    "long stamp": np.array([20240304120000000]),
    "float stamp": np.array([20240304120000.0]),
    "text stamp": ["20240304120000"],
    "Decimal stamp": [Decimal(20240304120000)],
}
DATES_ONLY = {
    "datetime64[D]": np.array(["2024-03-04"], "datetime64[D]"),
    "dates": [dt.date(2024, 3, 4)],
    "date32": arrow([dt.date(2024, 3, 4)], pa.date32()),
    "polars dates": pl.Series([dt.date(2024, 3, 4)]),
    "days": pd.PeriodIndex([DAY], freq="D"),
    "stamp": [20240304],
    "stamp of int32": np.array([20240304], dtype=np.int32),
    "nullable stamp": pd.Series([20240304], dtype="Int64"),
    "text stamp": ["20240304"],
    "day twelve of twelve": ["04/04/2024"],
}


@pytest.mark.parametrize("form", DATES)
def test_one_moment_in_many_forms(form):
    times = as_times(DATES[form])
    assert times.dtype == "datetime64[us]" and times.tolist() == [NOON]
    assert TimeReader().look(DATES[form]).read(DATES[form]).tolist() == [NOON]


@pytest.mark.parametrize("form", DATES_ONLY)
def test_one_day_in_many_forms(form):
    expected = pd.Timestamp("2024-04-04") if form.startswith("day twelve") else DAY
    assert as_times(DATES_ONLY[form]).tolist() == [expected]


NUMBERS = {
    "int": [1, 2],
    "float": [1.5, 2.0],
    "uint8": np.array([1, 2], np.uint8),
    "big-endian": np.array([1.5, 2], ">f8"),
    "nullable": pd.Series([1, 2], dtype="Int64"),
    "arrow": arrow([1.5, 2], pa.float64()),
    "Decimal": [Decimal("1.5"), Decimal(2)],
    "arrow decimal": arrow([Decimal("1.5"), Decimal(2)], pa.decimal128(4, 1)),
    "Fraction": [Fraction(3, 2), 2],
    "text": ["1.5", "2"],
    "categories": pd.Series([1, 2]).astype("category"),
    "sparse": pd.Series(pd.arrays.SparseArray([1.5, 2.0])),
    "unix seconds": [1_700_000_000, 1_700_000_001],
    "before 1970": [-5, 0],
}


@pytest.mark.parametrize("form", NUMBERS)
def test_numbers_stay_numbers(form):
    times = as_times(NUMBERS[form])
    assert times.dtype == "float64"
    assert times.tolist() == [float(v) for v in pd.Series(NUMBERS[form])]


def test_whole_numbers_beyond_float64_stay_whole():
    values = [2**62, 2**62 + 1]
    assert as_times(values).tolist() == values
    assert as_times(pd.Series(values, dtype="Int64")).tolist() == values
    assert as_times(np.array(values, np.uint64)).tolist() == values
    with pytest.raises(ValueError, match=r"beyond 2\*\*63.*can't tell apart"):
        as_times([2**70, 2**70 + 1])
    gaps = as_window(2.5, as_times(values))
    assert gaps == 2 and isinstance(gaps, int)


def test_durations():
    for values in (
        pd.to_timedelta([1, 2], unit="h"),
        [dt.timedelta(hours=1), dt.timedelta(hours=2)],
        arrow([pd.Timedelta("1h"), pd.Timedelta("2h")], pa.duration("us")),
        pl.Series([dt.timedelta(hours=1), dt.timedelta(hours=2)]),
    ):
        times = as_times(values)
        assert times.dtype == "timedelta64[us]"
        assert times.tolist() == [pd.Timedelta("1h"), pd.Timedelta("2h")]
    assert as_window("3h", times) == pd.Timedelta("3h")


class TestOrderOfDayAndMonth:
    def test_one_day_above_twelve_tells(self):
        american = as_times(["03/04/2024", "03/15/2024 1:05 PM"])
        assert american.tolist()[0] == pd.Timestamp("2024-03-04")
        assert american.tolist()[1] == pd.Timestamp("2024-03-15 13:05")
        for sep in "/.-":
            european = as_times([f"03{sep}04{sep}2024", f"15{sep}03{sep}2024"])
            assert european.tolist() == [
                pd.Timestamp("2024-04-03"), pd.Timestamp("2024-03-15")
            ]  # fmt: skip

    def test_else_it_is_asked_for(self):
        with pytest.raises(ValueError, match=r"when is '03/04/2024' in row 1.*day or"):
            as_times(["04/04/2024", "03/04/2024", "05/04/2024"], "when")
        with pytest.raises(ValueError, match=r"pd\.to_datetime\(column, format="):
            as_times(["03.04.2024 10:00"])
        with pytest.raises(ValueError, match=r"with the day .*13.*row 1.*row 2"):
            as_times(["01/02/2024", "13/02/2024", "02/14/2024"])
        with pytest.raises(ValueError, match="which part of it is the year"):
            as_times(["13/04/24"])

    def test_what_is_learned_holds_for_later_rows(self):
        reader = TimeReader().look(["01/02/2024"]).look(["13/02/2024"])
        assert reader.read(["03/04/2024"]).tolist() == [pd.Timestamp("2024-04-03")]
        with pytest.raises(ValueError, match="no time in the order day first"):
            reader.read(["04/25/2024"])

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)), min_size=1
        ),
        st.sampled_from(["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"]),
    )
    def test_never_read_otherwise_than_written(self, moments, form):
        moments = [m.replace(microsecond=0) for m in moments]
        try:
            times = as_times([m.strftime(form) for m in moments])
        except ValueError:
            assert all(m.day <= 12 for m in moments)
            assert any(m.day != m.month for m in moments)
        else:
            assert times.tolist() == moments


class TestNumbersOnTheCalendar:
    def test_units_are_told_only_where_clear(self):
        second = 1_700_000_000
        assert unit_of([second, second + 0.5]) == "s"
        assert unit_of(np.array([second * 1000])) == "ms"
        assert unit_of([second * 10**6, np.nan]) == "us"
        assert unit_of(np.array([second * 10**9])) == "ns"
        for unclear in ([0, second], [1.0, 2.0], [], [np.nan], [second, second * 1000]):
            assert unit_of(unclear) is None

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_a_unit_makes_datetimes(self, unit):
        count = (NOON - pd.Timestamp(0)) // pd.Timedelta(1, unit)
        for values in ([count], np.array([count]), [str(count)], [float(count)]):
            assert as_times(values, unit=unit).tolist() == [NOON]
            window = as_window("1D", as_times(values))
            assert window == pd.Timedelta("1D") / pd.Timedelta(1, unit)
        assert as_times([0.5], unit="D").tolist() == [pd.Timestamp("1970-01-01 12:00")]

    def test_windows_in_words_need_a_unit(self):
        with pytest.raises(ValueError, match=r"is no length of time.*a number, in"):
            as_window("1D", as_times([1.0, 2.0]))
        assert as_window("1D", as_times([0.0]), unit="s") == 86400
        for wrong in (7, "7", "7.0 ", np.int64(7), True, 7.0, Decimal(7)):
            with pytest.raises(ValueError, match="is no length of time"):
                as_window(wrong, as_times(["2024-01-01"]))
        with pytest.raises(ValueError, match="is no length of time"):
            as_window(True, as_times([1.0]))

    def test_units_that_differ_are_refused(self):
        second = 1_700_000_000
        with pytest.raises(ValueError, match=r"mixes units since 1970: 1700000000 in"):
            as_times([second, second * 1000])
        reader = TimeReader().look([second])
        with pytest.raises(ValueError, match="counts ms since 1970 here and s before"):
            reader.read([second * 1000])
        with pytest.raises(ValueError, match="counted in several units since 1970"):
            same_clock({"a": reader, "b": TimeReader().look([second * 1000])})

    def test_stamps_are_dates_and_their_neighbours_counts(self):
        with pytest.raises(ValueError, match="20240230 in row 1, which is no time"):
            as_times([20240131, 20240230, 20240201])
        read = as_times([20240131, 20240230, 20240201], errors="coerce")
        assert read.isna().tolist() == [False, True, False]
        counts = np.arange(20_240_131, 20_340_131, 997)
        assert as_times(counts).dtype == "float64"
        for unclear, form in ((202401, "%Y%m"), (2024013112, "%Y%m%d%H")):
            with pytest.raises(ValueError, match=f"may be dates .{form}. or a count"):
                as_times([unclear])
        # Sorted they are in order, whatever they are.
        assert in_order([202402, 202401]).tolist() == [202402, 202401]

    def test_rows_after_fit_are_read_as_those_of_fit(self):
        counts = TimeReader().look([0, 30_000_000])
        assert counts.read([20240131]).tolist() == [20240131]
        stamps = TimeReader().look([20240131])
        assert stamps.read([20240201]).tolist() == [pd.Timestamp("2024-02-01")]
        with pytest.raises(ValueError, match="datetimes and numbers don't compare"):
            TimeReader().look(["2024-01-01"]).read([20240131])

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 12, 31)), min_size=1
        ),
        st.sampled_from([(8, "%Y%m%d"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")]),
    )
    def test_stamps_match_strptime(self, moments, form):
        digits, form = form
        texts = [m.strftime(form) for m in moments]
        expected = [dt.datetime.strptime(text, form) for text in texts]
        read = read_stamps(np.array([int(text) for text in texts]), digits)
        assert read.astype("datetime64[us]").tolist() == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "2024-01-01"], "written in several ways: 1 in row 0 and '2024-01-01'"),
        (["2024-01-01", "13/01/2024"], "written in several ways"),
        (["2024-01-01", "4 Mar 2024"], "written in several ways"),
        (["2024-01-01", "1700000000"], "written in several ways"),
        ([NOON, pd.Timedelta("1h")], "written in several ways"),
        ([NOON, NOON.tz_localize("UTC")], "row 0 has none"),
        ([1.0, np.inf], "time is inf in row 1"),
        ([1.0, None], "time is None in row 1"),
        ([None], "time is None in row 0"),
        (pd.Series([1, pd.NA], dtype="Int64"), "time is <NA> in row 1"),
        ([NOON, pd.NaT], "time is NaT in row 1"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "in row 1"),
        (["now"], "time is 'now' in row 0"),
        (["today"], "time is 'today' in row 0"),
        (["12:30"], "time is '12:30' in row 0"),
        (["45/45/2024"], "in row 0"),
        (["2024-01-01 13:00 PM"], "in row 0"),
        (["99999-01-01"], "in row 0"),
        ([dt.time(12)], "in row 0"),
        ([True, None], "time is True in row 0"),
        ([True, False], "time holds bool, which is no time"),
        ([1j], "time holds complex128, which is no time"),
        ([b"2024-01-01"], "in row 0"),
        ([{}], "in row 0"),
        (np.ones((2, 2)), "time has 2 dimensions"),
    ],
)
def test_what_is_no_time_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        as_times(values)


@pytest.mark.parametrize("text", ["2" * 3000, "2024-01-01T00:00" + " " * 3000 + "Z"])
def test_messages_quote_a_line(text):
    with pytest.raises(ValueError, match="in row 0, which is no time") as error:
        as_times([text])
    assert len(str(error.value)) < 250


def test_clocks_that_change_are_asked_about():
    for hour in ("2024-10-27 02:30", "2024-03-31 02:30"):
        with pytest.raises(ValueError, match=r"in row 0.*the clocks change"):
            as_times([hour], timezone="Europe/Berlin")
        read = as_times([hour, "2024-07-01"], timezone="Europe/Berlin", errors="coerce")
        assert read.isna().tolist() == [True, False]
    with pytest.raises(ValueError, match="'Mars/X' is no time zone"):
        as_times(["2024-01-01"], timezone="Mars/X")
    with pytest.raises(ValueError, match="unit must be one of"):
        as_times([1], unit="fortnight")


def test_zones_of_later_rows():
    zoned, naive = ["2024-01-01T00:00Z"], ["2024-01-01T00:00"]
    with pytest.raises(ValueError, match="has a time zone in fit or here, not in both"):
        TimeReader().look(zoned).read(naive)
    assert TimeReader(timezone="UTC").look(zoned).read(naive).tolist() == [
        pd.Timestamp("2024-01-01")
    ]


def test_order():
    weeks = pd.Categorical(["w2", "w10"], categories=["w2", "w10"], ordered=True)
    assert in_order(weeks).tolist() == [0, 1]
    assert in_order(["9", "10"]).tolist() == [9, 10]
    with pytest.raises(ValueError, match="missing in row 1"):
        in_order(pd.Categorical(["a", None], categories=["a"], ordered=True))
    with pytest.raises(ValueError, match="'w2' in row 0, which is no time"):
        in_order(["w2", "w10"])


def test_bounds_of_time():
    ends = pd.Series([pd.Timestamp.min, pd.Timestamp.max])
    assert as_times(ends).dt.year.tolist() == [1677, 2262]
    assert as_times(np.array(["1300"], "datetime64[Y]")).dt.year.tolist() == [1300]
    assert as_times([1e300], unit="s", errors="coerce").isna().all()
    empty = as_times([])
    assert len(empty) == 0


class TestTimesOfEstimators:
    def rows(self, times):
        X = pd.DataFrame({"time": times, "x": range(len(times))})
        encoder = LogEncoder(ColumnRoles(time="time"), binary=False)
        estimator = CausalDNNRecommender(time="time")
        return encoder.fit_rows(estimator, X, X["x"] + 0.5, None, None, None)

    def test_text_is_in_the_order_of_time(self):
        times = ["12/31/2023", "01/15/2024", "10/02/2024", "09/30/2024"]
        assert np.argsort(self.rows(times).time).tolist() == [0, 1, 3, 2]
        stamps = [202312, 202401, 202410, 202409]
        assert np.argsort(self.rows(stamps).time).tolist() == [0, 1, 3, 2]

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            ([NOON, pd.NaT], "time is (NaT|None) in row 1"),
            (["2024-01-01", None], "time is .* in row 1"),
            (["01/02/2024", "03/04/2024"], "day or the month comes first"),
            ([NOON, NOON.tz_localize("UTC")], "mixes times with and without"),
        ],
    )
    def test_what_is_no_time_is_refused_by_row(self, times, message):
        with pytest.raises(ValueError, match=message):
            self.rows(times)
