from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.encoding.past import PastIndex
from sklearn_causalrec.encoding.times import as_times, as_window
from sklearn_causalrec.interactions import (
    build_examples,
    clean_dataset,
    clean_log,
    on_disk,
    partition_log,
)
from sklearn_causalrec.interactions._cleaning_rules import (
    busy_windows,
    robust_limit,
    unify_spelling,
)

KEYS = dict(user="user", item="item", time="time")
OFF = dict(
    id_spelling="off",
    impossible_times="off",
    impossible_values="off",
    exact_duplicates="off",
    near_duplicates="off",
    bots="off",
    bursts="off",
)


def frame_of(rows, columns=("user", "item", "time")):
    frame = pd.DataFrame(rows, columns=list(columns))
    frame["time"] = pd.to_datetime(frame["time"])
    return frame


def tree(folder):
    """What is in a folder: the text of small files by their path."""
    return {
        str(path.relative_to(folder)): path.read_text()
        if path.is_file() and path.stat().st_size < 9
        else None
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def log():
    return make_event_log(4000, n_users=200, n_items=60, random_state=3)


def clean(log, **options):
    shown = log.impressions[log.impressions["shown"] == 1]
    options = {"before_exposure": "drop", **options}
    return clean_log(
        log.events,
        **KEYS,
        event="event",
        ranges={"value": (0, 5)},
        exposures=shown,
        conversions="purchase",
        users=log.user_table["user"],
        items=log.item_table["item"],
        **options,
    )


def test_dirt_goes_and_tidy_rows_stay(log):
    frame, report = clean(log)
    tidy = log.tidy_events.assign(time=log.tidy_events["time"].dt.tz_localize(None))
    order = ["time", "user", "item", "event"]
    tidy = tidy.sort_values(order, ignore_index=True)
    frame = frame.sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(frame, tidy, check_dtype=False)
    rules = report.to_frame()
    truth = log.reason.value_counts()
    for rule in ("bots", "bursts", "before_exposure", "impossible_values"):
        assert rules.loc[rule, "removed"] == truth[rule]
    missing = rules.loc[["missing user", "missing item"], "removed"].sum()
    assert missing == truth["missing"]
    spelling = rules.loc[["id_spelling of user", "id_spelling of item"], "found"]
    assert spelling.sum() == truth["id_spelling"]
    duplicates = rules.loc[["exact_duplicates", "near_duplicates"], "removed"].sum()
    assert duplicates == truth[["exact_duplicates", "near_duplicates"]].sum()


def test_the_report_adds_up_and_shows_itself(log):
    frame, report = clean(log)
    rules = report.to_frame()
    assert rules["removed"].sum() == len(log.events) - len(frame)
    assert (report.n_before, report.n_after) == (len(log.events), len(frame))
    assert "near_duplicates" in repr(report) and f"{len(frame)} rows out" in repr(
        report
    )
    assert "<table" in report._repr_html_()


def test_flags_mark_and_keep(log):
    rules = ["missing", *(rule for rule in OFF), "before_exposure"]
    frame, report = clean(log, **dict.fromkeys(rules, "flag"))
    assert len(frame) == len(log.events)
    assert report.to_frame()["removed"].sum() == 0
    assert {f"flag_{rule}" for rule in rules} <= set(frame.columns)
    assert (
        frame["flag_before_exposure"].sum() >= (log.reason == "before_exposure").sum()
    )
    assert frame["flag_missing"].sum() >= (log.reason == "missing").sum()


def test_off_means_untouched(log):
    frame, report = clean(log, **OFF, before_exposure="off", missing="flag")
    assert len(frame) == len(log.events)
    assert " u" in "".join(frame["user"].dropna())  # spellings as they came
    assert (report.to_frame().loc[list(OFF), "found"].dropna() == 0).all()


def test_input_is_not_changed_and_polars_agrees(log):
    before = log.events.copy(deep=True)
    frame, report = clean(log)
    pd.testing.assert_frame_equal(log.events, before)
    polars, other = clean_log(
        pl.from_pandas(log.events),
        **KEYS,
        event="event",
        ranges={"value": (0, 5)},
        exposures=pl.from_pandas(log.impressions).filter(pl.col("shown") == 1),
        conversions=["purchase"],
        users=log.user_table["user"],
        items=log.item_table["item"],
        before_exposure="drop",
    )
    assert isinstance(polars, pd.DataFrame)
    pd.testing.assert_frame_equal(polars, frame, check_dtype=False)
    pd.testing.assert_frame_equal(other.to_frame(), report.to_frame())


events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]), st.integers(0, 40)
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(events, st.integers(1, 9))
def test_duplicates_match_brute_force(rows, window):
    frame = pd.DataFrame(rows, columns=["user", "item", "time"])
    cleaned, report = clean_log(frame, **KEYS, near_window=window, bots="off",
                                bursts="off")  # fmt: skip
    unique = sorted(set(rows), key=lambda row: row[2])
    kept = []
    for user, item, time in unique:
        earlier = [t for u, i, t in unique if (u, i) == (user, item) and t < time]
        if not earlier or time - max(earlier) > window:
            kept.append((user, item, time))
    assert sorted(map(tuple, cleaned.to_numpy())) == sorted(kept)
    removed = report.to_frame()["removed"]
    assert removed["exact_duplicates"] == len(rows) - len(unique)
    assert removed.sum() == len(rows) - len(cleaned)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=25),
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 10)), max_size=10),
    st.booleans(),
)
def test_past_index_matches_brute_force(history, queries, or_at):
    groups, times = np.array(history, dtype=np.int64).reshape(-1, 2).T
    past = PastIndex(groups, times)
    asked = np.array(queries, dtype=np.int64).reshape(-1, 2).T
    start, end = past.before(asked[0], asked[1], or_at=or_at)
    for (group, time), a, b in zip(queries, start, end):
        rows = sorted(past.order[a:b])
        assert rows == [
            i
            for i, (g, t) in enumerate(history)
            if g == group and (t < time or (or_at and t == time))
        ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 20)), min_size=1, max_size=25
    ),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_busy_windows_match_brute_force(rows, window, limit):
    users, times = map(pd.Series, zip(*rows))
    found, _ = busy_windows(users, times, window)
    expected = np.zeros(len(rows), dtype=bool)
    for end in range(21):
        for user in "ab":
            inside = ((users == user) & (times <= end) & (times >= end - window)).values
            if inside.sum() > limit:
                expected |= inside
    np.testing.assert_array_equal(found(limit), expected)


def test_spelling_follows_the_reference_then_the_majority():
    ids = pd.Series(["Ann", "ann ", "ann ", "BO", None, " ", "Ｃy"])
    assert unify_spelling(ids).tolist()[:4] == ["ann ", "ann ", "ann ", "BO"]
    unified = unify_spelling(ids, reference=["ann", "Cy"])
    assert unified.tolist()[:4] == ["ann", "ann", "ann", "BO"]
    assert unified.isna().tolist() == [False] * 4 + [True, True, False]
    assert unified.iloc[-1] == "Cy"
    numbers = pd.Series([3, 4])
    assert unify_spelling(numbers) is numbers


def test_eager_users_are_no_bots():
    counts = np.array([10] * 50 + [35, 400])
    limit = robust_limit(counts, 6.0, 30)
    assert 35 < limit < 400


def test_before_exposure_leaves_the_unexposed_alone():
    frame = frame_of(
        [("a", "x", "2024-01-01"), ("a", "y", "2024-01-01"), ("a", "x", "2024-01-03")]
    )
    shown = frame_of([("a", "x", "2024-01-02"), ("a", "x", "2024-01-05")])
    cleaned, report = clean_log(frame, **KEYS, exposures=shown, before_exposure="drop")
    assert cleaned["item"].tolist() == ["y", "x"]
    assert report.to_frame().loc["before_exposure", "removed"] == 1


def test_categories_and_numbers_as_ids():
    frame = frame_of([("a", 1, "2024-01-01"), ("A ", 1, "2024-01-02"),
                      ("a", 2, "2024-01-02")])  # fmt: skip
    category = frame.assign(user=frame["user"].astype("category"))
    for df in (frame, category):
        cleaned, report = clean_log(df, **KEYS)
        assert cleaned["user"].tolist() == ["a"] * 3
        assert cleaned["item"].tolist() == [1, 1, 2]
        assert report.to_frame().loc["id_spelling of user", "found"] == 1


def test_vectors_in_a_column_can_be_duplicates():
    frame = frame_of([("a", "x", "2024-01-01")] * 2)
    frame["image"] = [np.ones(3), np.ones(3)]
    assert len(clean_log(frame, **KEYS)[0]) == 1


class TestTimes:
    def test_zones_come_to_utc(self):
        times = as_times(
            ["2024-01-01T12:00+02:00", "2024-01-01 12:00Z", "2024-01-01T07:00-05:00"]
        )
        assert times.dt.hour.tolist() == [10, 12, 12]
        assert times.dt.tz is None

    def test_mixed_with_and_without_zone_is_refused_by_name(self):
        mixed = ["2024-01-01T12:00", "2024-01-01T12:00Z"]
        with pytest.raises(ValueError, match=r"when mixes times.*row 0 has none"):
            as_times(mixed, "when")
        times = as_times(mixed, timezone="Europe/Berlin")
        assert times.dt.hour.tolist() == [11, 12]
        frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "time": mixed})
        with pytest.raises(ValueError, match="mixes times with and without"):
            clean_log(frame, **KEYS)

    def test_datetime_objects_of_several_zones(self):
        values = pd.Series(
            [pd.Timestamp("2024-01-01", tz=z) for z in ("UTC", "Asia/Tokyo")],
            dtype=object,
        )
        assert as_times(values).dt.hour.tolist() == [0, 15]

    @pytest.mark.parametrize("bad", ["not a time", None, "2024-13-45"])
    def test_no_time_is_named(self, bad):
        with pytest.raises(ValueError, match=r"time is .* in row 1"):
            as_times(["2024-01-01", bad])

    def test_text_that_is_no_time_is_counted(self):
        frame = pd.DataFrame(
            {"user": [1, 2, 3], "item": 1, "time": ["2024-01-01", "soon", None]}
        )
        cleaned, report = clean_log(frame, **KEYS)
        removed = report.to_frame()["removed"]
        assert len(cleaned) == 1
        assert removed["impossible_times"] == 1 and removed["missing time"] == 1

    def test_the_future_is_impossible_unless_allowed(self):
        times = ["2150-01-01", "1970-01-01", "2024-01-01"]
        frame = frame_of(zip("aab", "xyx", times))
        assert clean_log(frame, **KEYS)[0]["user"].tolist() == ["b"]
        kept, _ = clean_log(frame, **KEYS, time_range=(None, None))
        assert len(kept) == 3

    def test_windows(self):
        dates, numbers = as_times(["2024-01-01"]), as_times([1.5])
        assert as_window("2D", dates) == pd.Timedelta(days=2)
        assert as_window(3, numbers) == 3.0
        for window, times in ((3, dates), ("2D", numbers), ("soon", dates)):
            with pytest.raises(ValueError, match="is no length of time"):
                as_window(window, times)
        for window, times in (("-1D", dates), (0, numbers)):
            with pytest.raises(ValueError, match="must be above 0"):
                as_window(window, times)


@pytest.mark.parametrize(
    ("rows", "ranges", "message"),
    [
        ([(None, "x", 1), (None, "y", 2)], {}, "'missing user' would drop all 2 rows"),
        ([("a", "x", "2150-01-01")], {}, "'impossible_times' .* what is possible"),
        ([("a", "x", "soon"), ("a", "y", None)], {}, "'impossible_times' .*'soon'"),
        ([("a", "x", "2024-01-01")], {"item": (0, 1)}, "'impossible_values' would"),
        (
            [("a", "x", "2024-01-01"), (None, "x", "2024-01-01")],
            {"item": (0, 1)},
            "'impossible_values' would drop all 1 rows that the rules before it left",
        ),
    ],
)
def test_a_rule_that_would_leave_nothing_is_an_error(rows, ranges, message):
    frame = pd.DataFrame(rows, columns=["user", "item", "time"])
    with pytest.raises(ValueError, match=message):
        clean_log(frame, **KEYS, ranges=ranges)


CLOCK = pd.to_datetime(
    ["2024-01-05T10:00", "2024-01-05T10:00:03", "2024-01-20", "2024-01-30"],
    format="ISO8601",
)
FORMS = {
    "seconds": (CLOCK.astype("datetime64[s]").astype(int), 1.0),
    "seconds with fractions": (CLOCK.astype("datetime64[s]").astype(int) + 0.25, 1.0),
    "milliseconds": (CLOCK.astype("datetime64[ms]").astype(int), 1e3),
    "microseconds": (CLOCK.astype("datetime64[us]").astype(int), 1e6),
    "nanoseconds": (CLOCK.astype("datetime64[ns]").astype(int), 1e9),
}


class TestHowTimesAreWritten:
    def frame(self, times):
        return pd.DataFrame({"user": ["a", "a", "b", "b"], "item": 1, "time": times})

    @pytest.mark.parametrize("form", FORMS)
    def test_numbers_since_1970_stay_numbers_and_rules_hold(self, form):
        values, a_second = FORMS[form]
        early = values.min() - 40 * 366 * 86400 * a_second
        frame, report = clean_log(self.frame(values), **KEYS)
        assert frame["time"].tolist() == [values[0], values[2], values[3]]
        assert report.rules.loc["near_duplicates", "removed"] == 1  # within 5 seconds
        late = self.frame(values).assign(time=[*values[:3], values[3] + 2e9 * a_second])
        assert len(clean_log(late, **KEYS)[0]) == 2  # beyond "now"
        kept, _ = clean_log(late, **KEYS, time_range=(None, None), near_window="1s")
        assert len(kept) == 4
        # With a time before 1990 among them, what they count is asked for.
        with pytest.raises(ValueError, match="near_window='5s' is no length of time"):
            clean_log(self.frame([*values[:3], early]), **KEYS)
        unit = {1.0: "s", 1e3: "ms", 1e6: "us", 1e9: "ns"}[a_second]
        dated, _ = clean_log(self.frame([*values[:3], early]), **KEYS, unit=unit)
        assert dated["time"].dt.year.tolist() == [2024, 2024]

    def test_nanoseconds_keep_their_last_digits(self):
        values = [1_700_000_000_000_000_001, 1_700_000_009_000_000_002, None, None]
        frame = self.frame(pd.Series(values, dtype="Int64"))
        cleaned, _ = clean_log(frame, **KEYS)
        assert cleaned["time"].tolist() == values[:2]

    @pytest.mark.parametrize(
        "times",
        [
            CLOCK.strftime("%m/%d/%Y %H:%M:%S"),
            CLOCK.strftime("%d.%m.%Y %H:%M:%S"),
            CLOCK.strftime("%Y%m%d%H%M%S").astype(int),
            CLOCK.strftime("%d %b %Y %H:%M:%S"),
            CLOCK.to_period("s"),
            pd.Series(CLOCK, dtype="timestamp[us][pyarrow]"),
            CLOCK.tz_localize("UTC").tz_convert("America/New_York"),
        ],
        ids=["month first", "day first", "stamp", "named", "period", "arrow", "zone"],
    )
    def test_other_forms_are_read(self, times):
        frame, _ = clean_log(self.frame(times), **KEYS)
        assert frame["time"].tolist() == [CLOCK[0], CLOCK[2], CLOCK[3]]
        assert frame["time"].dtype == "datetime64[us]"

    def test_the_report_says_how_they_were_read(self):
        times = CLOCK.strftime("%m/%d/%Y %H:%M:%S")
        report = clean_log(self.frame(times), **KEYS)[1].rules
        assert report.loc["time format", "note"] == "the month comes first"

    def test_durations_are_read(self):
        frame, _ = clean_log(self.frame(CLOCK - CLOCK[0]), **KEYS)
        assert frame["time"].tolist() == [CLOCK[k] - CLOCK[0] for k in (0, 2, 3)]

    def test_ambiguous_ones_are_refused(self):
        for times in (
            ["03/04/2024", "05/06/2024", "07/08/2024", "09/10/2024"],
            ["2024-01-01", "2024-01-02", "03/04/2024", "31/12/2024"],
            [1_700_000_000, 1_700_000_000_000, 1_700_000_001, 1_700_000_002],
            [202401, 202402, 202403, 202404],
        ):
            with pytest.raises(ValueError, match=r"^time "):
                clean_log(self.frame(times), **KEYS)

    def test_exposures_are_on_the_same_clock(self):
        values = FORMS["seconds"][0]
        log = self.frame(values)
        shown = log.assign(time=values - 10)
        options = dict(**KEYS, before_exposure="drop")
        assert len(clean_log(log, **options, exposures=shown)[0]) == 3
        for other in (values * 1000, CLOCK):
            with pytest.raises(ValueError, match="Times are"):
                clean_log(log, **options, exposures=shown.assign(time=other))

    def test_time_range_is_of_the_kind_of_the_times(self):
        counts = self.frame([1.0, 20.0, 300.0, 4000.0])
        options = dict(**KEYS, near_window=1, burst_window=1)
        assert len(clean_log(counts, **options, time_range=(2, 400))[0]) == 2
        with pytest.raises(ValueError, match="time_range holds '2020-01-01'"):
            clean_log(counts, **options, time_range=("2020-01-01", None))
        spans = self.frame(CLOCK - CLOCK[0])
        assert len(clean_log(spans, **KEYS, time_range=(None, "10D"))[0]) == 1
        with pytest.raises(
            ValueError, match="time_range holds '2020', which is no dur"
        ):
            clean_log(spans, **KEYS, time_range=("2020", "now"))
        with pytest.raises(ValueError, match="which is no date"):
            clean_log(self.frame(CLOCK), **KEYS, time_range=(0, None))
        for wrong in ("2020", ("2020",), 5, None):
            with pytest.raises(ValueError, match=r"is not \(lowest, highest\)"):
                clean_log(self.frame(CLOCK), **KEYS, time_range=wrong)


def test_exposures_are_spelt_as_the_log():
    log = frame_of([("Ann", "x", "2024-01-05"), ("Ann", "x", "2024-01-01")])
    shown = frame_of([("ann ", "X", "2024-01-03")])
    options = dict(**KEYS, before_exposure="drop")
    assert len(clean_log(log, **options, exposures=shown)[0]) == 1
    for strange in (shown.assign(user="bo"), shown.assign(item=7)):
        with pytest.raises(ValueError, match=r"exposures is in the df.*spelt alike"):
            clean_log(log, **options, exposures=strange)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([["x"], ["y"]], r"'item' is \['x'\] in row 0.*no id"),
        ([{"a": 1}, {"b": 1}], "'item' is .* in row 0.*no id"),
        ([1j, 2j], "'item' holds complex numbers"),
        (np.array([1j, 2], dtype=object), "'item' is 1j in row 0"),
        ([1, "1"], "'item' mixes numbers and text: it is 1 in row 0 and '1' in row 1"),
    ],
)
def test_what_is_no_id_is_refused(ids, message):
    frame = frame_of([("a", "x", "2024-01-01"), ("b", "x", "2024-01-01")])
    with pytest.raises(ValueError, match=message):
        clean_log(frame.assign(item=ids), **KEYS)
    with pytest.raises(ValueError, match="exposures: " + message):
        clean_log(frame, **KEYS, exposures=frame.assign(item=ids))


@pytest.mark.parametrize(
    "ids",
    [
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        pd.period_range("2024", periods=2, freq="D"),
        [2**70, 2**70 + 1],
        [Decimal(1), Decimal(2)],
        [(1, 2), (1, 3)],
        pd.Series([True, False], dtype="boolean"),
        [b"a", b"b"],
    ],
    ids=["datetimes", "periods", "huge", "Decimal", "tuples", "boolean", "bytes"],
)
def test_ids_of_other_types_stay_what_they_are(ids):
    frame = frame_of([("a", "x", "2024-01-05"), ("b", "x", "2024-01-01")])
    frame["item"] = ids
    shown = frame.assign(time=pd.Timestamp("2024-01-03"))
    kept, _ = clean_log(frame, **KEYS, exposures=shown, before_exposure="drop")
    assert kept["item"].tolist() == list(ids)[:1]
    with pytest.raises(ValueError, match="'item' of the exposures is in the df"):
        clean_log(frame, **KEYS, exposures=shown.assign(item="x"))
    events = shown.assign(time=pd.Timestamp("2024-01-07"), event="buy")
    examples = build_examples(
        events, frame, **KEYS, window="9D", items=frame[["item"]].assign(price=[1, 2]),
        n_unexposed=2, incomplete="keep", random_state=0,
    )  # fmt: skip
    assert set(examples["item"]) <= set(ids)
    assert examples.loc[examples["item"] == list(ids)[1], "price"].eq(2).all()


def test_ranges_of_other_values():
    frame = frame_of([("a", "x", "2024-01-01"), ("b", "y", "2024-02-01")])
    frame["paid"] = pd.to_datetime(["2024-01-01", "2023-01-01"])
    frame["price"] = ["1.5", "a"]
    kept, _ = clean_log(frame, **KEYS, ranges={"paid": ("2024-01-01", None)})
    assert kept["user"].tolist() == ["a"]
    kept, _ = clean_log(frame, **KEYS, ranges={"price": (0, 2)})
    assert kept["user"].tolist() == ["a"]
    for wrong in ({"price": ("a", "b")}, {"price": (1,)}, {"paid": (0, 1)}, ["price"]):
        with pytest.raises(ValueError, match="ranges"):
            clean_log(frame, **KEYS, ranges=wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(user="who"), "user='who' is not a column"),
        (dict(user="item"), "Two roles name the same column"),
        (dict(time=None), "time=None: name one column"),
        (dict(user=["user"]), r"user=\['user'\]: name one column"),
        (dict(user=(None, None)), r"user=\(None, None\) is not a column"),
        (dict(event={}), "event={} is not a column"),
        (dict(event=(None, None)), r"event=\(None, None\) is not a column"),
        (dict(bots=pd.NA), "bots must be one of"),
        (dict(ranges=pd.NA), "ranges=<NA> is no dict"),
        (dict(timezone="Mars/X"), "'Mars/X' is no time zone"),
        (dict(unit="weeks"), "unit must be one of"),
        (dict(bots="remove"), "bots must be one of"),
        (dict(missing="off"), "missing must be one of"),
        (dict(ranges={"price": (0, 1)}), "ranges='price' is not a column"),
        (dict(n_mads=0), "n_mads"),
        (dict(conversions="purchase"), "name its column"),
        (dict(near_window=5), "near_window=5 is no length"),
    ],
)
def test_bad_options_are_named(options, message):
    frame = frame_of([("a", "x", "2024-01-01")])
    with pytest.raises(ValueError, match=message):
        clean_log(frame, **{**KEYS, **options})


def test_bad_frames_are_refused():
    with pytest.raises(TypeError, match="pandas or polars DataFrame"):
        clean_log([("a", "x", 1)], **KEYS)
    frame = frame_of([("a", "x", "2024-01-01")])
    with pytest.raises(ValueError, match="empty"):
        clean_log(frame.iloc[:0], **KEYS)
    with pytest.raises(ValueError, match="two columns 'user'"):
        clean_log(pd.concat([frame, frame[["user"]]], axis=1), **KEYS)


class TestOnDisk:
    def test_parts_are_what_clean_log_gives(self, log, tmp_path):
        # Two files whose batches cut through users and duplicates.
        half = len(log.events) // 2
        for name, part in ("a", log.events[:half]), ("b", log.events[half:]):
            part.to_parquet(tmp_path / f"{name}.parquet", index=False)
        shown = log.impressions[log.impressions["shown"] == 1]
        options = dict(
            event="event", ranges={"value": (0, 5)}, exposures=shown,
            conversions="purchase", before_exposure="drop",
        )  # fmt: skip
        paths, report = clean_dataset(
            [tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "clean",
            **KEYS, **options, n_parts=5, batch_rows=700,
        )  # fmt: skip
        parts = [pd.read_parquet(path) for path in paths]
        assert len(parts) == 5
        options["users"] = log.user_table["user"]
        paths, _ = clean_dataset(
            tmp_path / "a.parquet", tmp_path / "known", **KEYS, **options, n_parts=3
        )
        known = pd.concat(pd.read_parquet(path) for path in paths)
        expected, _ = clean_log(log.events[:half], **KEYS, **options)
        assert sorted(known["user"]) == sorted(expected["user"])
        del options["users"]
        users = [set(part["user"]) for part in parts]
        assert sum(map(len, users)) == len(set.union(*users))
        assert all(part["time"].is_monotonic_increasing for part in parts)
        frame, expected = clean_log(log.events, **KEYS, **options)
        order = ["time", "user", "item", "event"]
        pd.testing.assert_frame_equal(
            pd.concat(parts).sort_values(order, ignore_index=True),
            frame.sort_values(order, ignore_index=True),
            check_dtype=False,
        )
        columns = ["action", "found", "removed"]
        pd.testing.assert_frame_equal(
            report.to_frame()[columns], expected.to_frame()[columns]
        )
        assert (report.n_before, report.n_after) == (len(log.events), len(frame))
        assert not (tmp_path / "clean" / "raw").exists()

    def test_events_and_impressions_share_parts(self, log, tmp_path):
        paths = {}
        for name in ("tidy_events", "impressions"):
            log[name].to_parquet(tmp_path / f"{name}.parquet")
            paths[name], _ = partition_log(
                tmp_path / f"{name}.parquet", tmp_path / name, user="user", n_parts=3
            )
        whole = build_examples(
            log.tidy_events, log.impressions, **KEYS, window="7D", treatment="shown",
            until="2024-03-01T00:00Z",
        )  # fmt: skip
        parts = [
            build_examples(
                pd.read_parquet(a), pd.read_parquet(b), **KEYS, window="7D",
                treatment="shown", until="2024-03-01T00:00Z",
            )
            for a, b in zip(paths["tidy_events"], paths["impressions"])
        ]  # fmt: skip
        order = ["time", "user", "item"]
        pd.testing.assert_frame_equal(
            pd.concat(parts).sort_values(order, ignore_index=True),
            whole.sort_values(order, ignore_index=True),
        )

    @pytest.mark.parametrize(
        "form",
        [
            lambda t: t.dt.strftime("%m/%d/%Y %H:%M:%S"),
            lambda t: t.dt.tz_localize(None).astype("datetime64[s]").astype(int),
            lambda t: t.dt.tz_localize(None).astype("datetime64[ns]").astype(int),
            lambda t: t.dt.strftime("%Y%m%d").astype(int),
            lambda t: t.dt.date,
        ],
        ids=["month first", "seconds", "nanoseconds", "stamps", "dates"],
    )
    def test_times_are_read_as_one_column(self, log, tmp_path, form):
        # In a part alone nothing may tell the month from the day.
        events = log.tidy_events.assign(time=form(log.tidy_events["time"]))
        events.to_parquet(tmp_path / "log.parquet")
        paths, _ = clean_dataset(
            tmp_path / "log.parquet", tmp_path / "clean", **KEYS, event="event",
            n_parts=40, batch_rows=300,
        )  # fmt: skip
        parts = pd.concat(pd.read_parquet(path) for path in paths)
        whole, _ = clean_log(events, **KEYS, event="event")
        assert sorted(parts["time"].tolist()) == whole["time"].tolist()

    def test_zones_are_applied_once(self, log, tmp_path):
        local = log.tidy_events["time"].dt.tz_localize(None)
        events = log.tidy_events.assign(time=local)
        events.to_parquet(tmp_path / "log.parquet")
        options = dict(**KEYS, event="event", timezone="Asia/Tokyo")
        paths, _ = clean_dataset(
            tmp_path / "log.parquet", tmp_path / "clean", **options, n_parts=2
        )
        parts = pd.concat(pd.read_parquet(path) for path in paths)
        whole, _ = clean_log(events, **options)
        assert sorted(parts["time"].tolist()) == whole["time"].tolist()

    def test_large_ids_beside_gaps_stay_apart(self, tmp_path):
        ids = [2**53, 2**53 + 1, None]
        log = pd.DataFrame(
            {"user": pd.Series(ids, dtype="Int64"), "item": 1, "time": "2024-01-01"}
        )
        log.to_parquet(tmp_path / "log.parquet")
        paths, _ = clean_dataset(
            tmp_path / "log.parquet", tmp_path / "clean", **KEYS, n_parts=1
        )
        assert pd.read_parquet(paths[0])["user"].tolist() == ids[:2]

    def test_nothing_of_the_users_is_touched(self, log, tmp_path):
        # The log lies where a working directory might be looked for.
        home, mine = tmp_path / "data", {}
        (home / "raw").mkdir(parents=True)
        log.events.to_csv(home / "raw" / "events.csv", index=False)
        (home / "notes.txt").write_text("mine")
        (home / ".parts").mkdir()
        mine = tree(home)
        events = pyarrow.dataset.dataset(home / "raw" / "events.csv", format="csv")
        paths, _ = clean_dataset(events, home, **KEYS, event="event", n_parts=2)
        assert tree(home) == mine | {f"part-0000{k}.parquet": None for k in (0, 1)}
        assert [path.parent for path in paths] == [home, home]
        whole, _ = clean_log(
            pd.read_csv(home / "raw" / "events.csv"), **KEYS, event="event"
        )
        assert sum(len(pd.read_parquet(path)) for path in paths) == len(whole)

    @pytest.mark.parametrize(
        "options",
        [
            dict(near_window="x"),
            dict(time_range=("2150-01-01", None)),
            dict(exposures=pd.DataFrame({"user": [1], "item": [1], "time": [1]})),
            dict(
                exposures=pd.DataFrame(
                    {"user": ["?"], "item": ["?"], "time": ["2024-01-01T00:00Z"]}
                )
            ),
            dict(ranges={"value": (5, 1)}, missing="drop", required=["value"]),
        ],
        ids=["option", "nothing left", "clock", "strangers", "late"],
    )
    def test_after_an_error_all_is_as_before(self, log, tmp_path, options):
        log.tidy_events.to_parquet(tmp_path / "log.parquet")
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / "mine.txt").write_text("mine")
        before = tree(tmp_path)
        for folder in ("there", "new/deep"):
            with pytest.raises(ValueError):
                clean_dataset(
                    tmp_path / "log.parquet", tmp_path / folder, **KEYS, **options
                )
            assert tree(tmp_path) == before

    @pytest.mark.parametrize("call", ["partition_log", "clean_dataset"])
    def test_a_failure_while_writing_leaves_nothing(
        self, log, tmp_path, call, monkeypatch
    ):
        log.tidy_events.to_parquet(tmp_path / "log.parquet")
        before = tree(tmp_path)

        def full(*args, **kwargs):
            raise OSError("No space left on device")

        if call == "partition_log":
            monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
        else:
            monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(OSError, match="No space left"):
            if call == "partition_log":
                partition_log(tmp_path / "log.parquet", tmp_path / "parts", user="user")
            else:
                clean_dataset(tmp_path / "log.parquet", tmp_path / "parts", **KEYS)
        monkeypatch.undo()
        assert tree(tmp_path) == before

    def test_a_file_that_appears_meanwhile_stays(self, log, tmp_path, monkeypatch):
        log.tidy_events.to_parquet(tmp_path / "log.parquet")
        target, split = tmp_path / "parts", on_disk._split

        def meanwhile(*args, **kwargs):
            (target / "part-00001.parquet").write_text("mine")
            return split(*args, **kwargs)

        monkeypatch.setattr(on_disk, "_split", meanwhile)
        with pytest.raises(FileExistsError):
            partition_log(tmp_path / "log.parquet", target, user="user", n_parts=3)
        assert tree(target) == {"part-00001.parquet": "mine"}

    def test_where_the_log_is_nothing_is_written(self, log, tmp_path):
        (tmp_path / "log").mkdir()
        log.tidy_events.to_parquet(tmp_path / "log" / "a.parquet")
        log.tidy_events.to_csv(tmp_path / "events.csv", index=False)
        text = pyarrow.dataset.dataset(tmp_path / "events.csv", format="csv")
        before = tree(tmp_path)
        for source, folder, message in (
            (tmp_path / "log", tmp_path / "log", "has parquet files.*, a.parquet for"),
            (tmp_path / "log" / "a.parquet", tmp_path / "log", "has parquet files"),
            (tmp_path / "log", tmp_path / "log" / "clean", "where the log is"),
            (tmp_path / "log", tmp_path / "log" / "x" / "y", "where the log is"),
            (pyarrow.dataset.dataset([text, text]), tmp_path, "The log itself"),
            (text, tmp_path, "The log itself, .*events.csv, is in"),
            (text, tmp_path / "events.csv", "is a file"),
        ):
            for call in (clean_dataset, partition_log):
                keys = KEYS if call is clean_dataset else {"user": "user"}
                with pytest.raises(FileExistsError, match=message):
                    call(source, folder, **keys)
        assert tree(tmp_path) == before

    def test_a_log_without_rows(self, log, tmp_path):
        log.tidy_events.iloc[:0].to_parquet(tmp_path / "log.parquet")
        with pytest.raises(ValueError, match="The log holds no row"):
            clean_dataset(tmp_path / "log.parquet", tmp_path / "clean", **KEYS)
        assert not (tmp_path / "clean").exists()

    def test_bad_input(self, log, tmp_path):
        log.events.to_parquet(tmp_path / "a.parquet")
        with pytest.raises(FileExistsError, match="has parquet files already"):
            partition_log(tmp_path / "a.parquet", tmp_path, user="user")
        with pytest.raises(ValueError, match="user='who' is not a column"):
            partition_log(tmp_path / "a.parquet", tmp_path / "b", user="who")
        with pytest.raises(TypeError, match="no option 'bot'"):
            clean_dataset(tmp_path / "a.parquet", tmp_path / "c", **KEYS, bot="off")
        for options, message in (
            (dict(bots="no"), "bots must be one of"),
            (dict(bursts="no"), "bursts must be one of"),
            (dict(required="price"), "required='price' is not a column"),
            (dict(ranges={"price": (0, 1)}), "ranges='price' is not a column"),
            (dict(conversions="purchase"), "name its column"),
            (dict(event="kind"), "event='kind' is not a column"),
            (dict(unit="weeks"), "unit must be one of"),
            (dict(n_parts=0), "n_parts"),
        ):
            with pytest.raises(ValueError, match=message):
                clean_dataset(
                    tmp_path / "a.parquet", tmp_path / "c", **{**KEYS, **options}
                )
        lists = pd.DataFrame({"user": [[1]], "item": [1], "time": [1]})
        lists.to_parquet(tmp_path / "lists.parquet")
        with pytest.raises(ValueError, match=r"user='user' holds list.*no id"):
            partition_log(tmp_path / "lists.parquet", tmp_path / "c", user="user")
        assert not (tmp_path / "b").exists() and not (tmp_path / "c").exists()


class TestEventLog:
    def test_the_effect_is_the_truth(self):
        log = make_event_log(60_000, n_users=600, overlap=2.0, random_state=0)
        shown, y = log.impressions["shown"] == 1, log.outcome
        weight = 1 / log.impressions["propensity"]
        one, none = (np.average(y[arm], weights=weight[arm]) for arm in (shown, ~shown))
        np.testing.assert_allclose(one - none, log.effect.mean(), atol=0.012)
        np.testing.assert_allclose(one, log.mu1.mean(), atol=0.01)
        naive = y[shown].mean() - y[~shown].mean()
        assert naive > log.effect.mean() + 0.03

    def test_text_and_image_tell_of_the_item(self):
        log = make_event_log(500, n_users=50, random_state=0)
        quality = log.world.items["item_x0"].to_numpy()
        title = log.item_table["title"].fillna("")
        loud = title.str.contains("loud")
        assert quality[loud].mean() > quality[title.str.contains("quiet")].mean() + 1
        assert np.stack(log.item_table["image"]).shape == (200, 6)

    def test_same_seed_same_log_and_none_without_dirt(self):
        one, other = (make_event_log(500, n_users=50, random_state=1) for _ in "ab")
        pd.testing.assert_frame_equal(one.events, other.events)
        tidy = make_event_log(500, n_users=50, dirt=0, random_state=1)
        assert (tidy.reason == "").all()
        assert len(tidy.events) == len(tidy.tidy_events)
        few = make_event_log(500, n_users=50, dirt={"bots": 0}, random_state=1)
        assert not (few.reason == "bots").any() and (few.reason == "bursts").any()
        with pytest.raises(ValueError, match="dirt knows"):
            make_event_log(500, dirt={"mud": 1})
