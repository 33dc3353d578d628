from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.interactions import (
    HistorySequence,
    PastAggregates,
    build_examples,
)

KEYS = dict(user="user", item="item", time="time")
WINDOW = 4
pairs = st.tuples(
    st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]), st.integers(0, 25)
)


def frame_of(rows, **columns):
    return pd.DataFrame(rows, columns=["user", "item", "time"]).assign(**columns)


@pytest.fixture
def shown():
    rows = [("a", "x", 1), ("a", "y", 5), ("b", "x", 6), ("b", "y", 9)]
    return frame_of(rows, shown=[1, 0, 1, 0], propensity=[0.5, 0.5, 0.2, 0.8])


@pytest.fixture
def events():
    rows = [("a", "x", 2), ("a", "x", 3), ("b", "x", 20), ("b", "y", 9)]
    return frame_of(rows, event="buy", value=[1.0, 2.0, 5.0, 7.0])


def build(events, shown, **options):
    options = {"window": WINDOW, "treatment": "shown", **options}
    return build_examples(events, shown, **KEYS, **options)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(pairs, min_size=1, max_size=15, unique=True),
    st.lists(st.tuples(pairs, st.integers(-3, 3)), min_size=1, max_size=15),
    st.sampled_from(["any", "count", "sum", "first"]),
)
def test_outcomes_match_brute_force(decisions, happened, aggregate):
    both = [("a", "x", 0), ("b", "y", 0)]  # so that ids overlap
    events = frame_of(both + [row for row, _ in happened])
    events["value"] = [0.0, 0.0, *(float(v) for _, v in happened)]
    decisions = [row for row in decisions if row not in both] + both
    examples = build(
        events, frame_of(decisions, shown=1), value="value", aggregate=aggregate,
        incomplete="keep",
    )  # fmt: skip
    end = max(events["time"].max(), max(t for _, _, t in decisions))
    assert sorted(zip(examples.user, examples.item, examples.time)) == sorted(decisions)
    for row in examples.itertuples():
        inside = events[
            (events.user == row.user)
            & (events.item == row.item)
            & (events.time >= row.time)
            & (events.time <= row.time + WINDOW)
        ].sort_values("time", kind="stable")["value"]
        expected = {
            "any": float(len(inside) > 0),
            "count": float(len(inside)),
            "sum": inside.sum(),
            "first": inside.iloc[0] if len(inside) else np.nan,
        }[aggregate]
        if row.time + WINDOW > end:
            expected = np.nan
        np.testing.assert_allclose(row.outcome, expected)


def test_one_row_a_decision(events, shown):
    examples = build(events, shown, propensity="propensity", incomplete="keep")
    assert examples["treatment"].tolist() == [1, 0, 1, 0]
    assert examples["propensity"].tolist() == [0.5, 0.5, 0.2, 0.8]
    assert examples["outcome"].tolist() == [1, 0, 0, 1]
    assert (examples["sample_weight"] == 1).all()
    assert "shown" not in examples
    unsorted = build(events[::-1], shown.sample(frac=1, random_state=0),
                     propensity="propensity", incomplete="keep")  # fmt: skip
    pd.testing.assert_frame_equal(unsorted, examples)
    polars = build(pl.from_pandas(events), pl.from_pandas(shown),
                   propensity="propensity", incomplete="keep")  # fmt: skip
    pd.testing.assert_frame_equal(polars, examples, check_dtype=False)


def test_windows_not_over_are_dropped_and_counted(events, shown):
    examples = build(events, shown, until=10)
    assert examples["time"].tolist() == [1, 5, 6]
    assert examples.attrs["rows"] == {
        "decisions": 4, "incomplete": 1, "examples": 3,
    }  # fmt: skip


def test_showings_among_the_events():
    events = frame_of(
        [("a", "x", 1), ("a", "x", 3), ("b", "y", 4), ("a", "y", 20)],
        event=["view", "buy", "view", "buy"],
    )
    examples = build_examples(
        events, **KEYS, event="event", exposure="view", outcome="buy", window=5
    )
    assert examples["time"].tolist() == [1, 4]
    assert examples["outcome"].tolist() == [1, 0]
    assert (examples["treatment"] == 1).all()
    valued = build_examples(
        events.assign(seconds=1.0), **KEYS, event="event", exposure="view",
        outcome="buy", window=5, value="seconds", aggregate="sum",
    )  # fmt: skip
    assert "seconds" not in valued
    for options, message in (
        (dict(exposure="view"), "outcome= names the events"),
        (dict(outcome="buy"), "exposure= the value"),
        (dict(outcome="buy", exposure="seen"), "No event is an exposure='seen'"),
    ):
        with pytest.raises(ValueError, match=message):
            build_examples(events, **KEYS, event="event", window=5, **options)


def test_weights_of_unexposed_rows_make_them_stand_for_all():
    log = make_event_log(3000, n_users=60, n_items=50, dirt=0, days=30, random_state=0)
    seen = log.impressions[log.impressions["shown"] == 1][["user", "item", "time"]]
    events = log.tidy_events
    options = dict(event="event", outcome="purchase", window="2D")
    sampled = [
        build_examples(
            events, seen, **KEYS, **options, n_unexposed=3,
            items=log.item_table[["item"]],
            random_state=seed,
        )
        for seed in range(4)
    ]  # fmt: skip
    # Brute force: all the items not shown within two days, at every showing.
    end = max(events["time"].max(), seen["time"].max())
    moments = seen[seen["time"] + pd.Timedelta("2D") <= end]
    total = outcomes = 0
    bought = events[events["event"] == "purchase"]
    by_user = dict(iter(seen.groupby("user")))
    buys = dict(iter(bought.groupby("user")))
    for row in moments.itertuples():
        near = by_user[row.user]
        near = near[(near["time"] - row.time).abs() <= pd.Timedelta("2D")]
        unexposed = set(log.item_table["item"]) - set(near["item"])
        total += len(unexposed)
        mine = buys.get(row.user, bought.iloc[:0])
        mine = mine[
            (mine["time"] >= row.time) & (mine["time"] <= row.time + pd.Timedelta("2D"))
        ]
        outcomes += len(unexposed & set(mine["item"]))
    rows = [s[s["treatment"] == 0] for s in sampled]
    weight = np.array([r["sample_weight"].sum() for r in rows])
    bought = np.array([(r["sample_weight"] * r["outcome"]).sum() for r in rows])
    np.testing.assert_allclose(weight.mean(), total, rtol=0.01)
    assert outcomes > 20
    np.testing.assert_allclose(bought.mean(), outcomes, rtol=0.5)


def test_unexposed_items_are_known_items(shown, events):
    items = pd.DataFrame({"item": ["x", "y", "new"], "time": [-9, -9, 6]})
    examples = build(
        events, shown, n_unexposed=40, items=items, incomplete="keep", random_state=0
    )
    sampled = examples[examples["sample_weight"] != 1]
    assert set(sampled["item"]) == {"y"}  # x is shown; "new" isn't there before 6
    np.testing.assert_allclose(sampled["sample_weight"].sum(), 3 * 2 / 3, rtol=0.5)
    assert not examples.duplicated(["user", "item", "time"]).any()


def test_negatives_are_thinned_with_known_weights(rng):
    n = 4000
    shown = frame_of([(i, i % 7, float(i)) for i in range(n)], shown=1)
    bought = shown[rng.uniform(size=n) < 0.1].drop(columns="shown")
    whole = build(bought, shown, incomplete="keep", until=2.0 * n)
    thinned = build(
        bought, shown, until=2.0 * n, negative_fraction=0.25, random_state=0
    )
    assert thinned["outcome"].sum() == whole["outcome"].sum()
    assert set(thinned["sample_weight"]) == {1.0, 4.0}
    np.testing.assert_allclose(thinned["sample_weight"].sum(), n, rtol=0.05)
    rows = thinned.attrs["rows"]
    assert rows["negatives_left_out"] + rows["examples"] == n


class TestFeatures:
    def test_point_in_time_features_pass(self):
        log = make_event_log(
            2000, n_users=80, n_items=40, dirt=0, random_state=1
        )  # fmt: skip

        def last_click(decisions, events):
            clicks = events.loc[events["event"] == "click", ["user", "time"]]
            clicks = clicks.assign(clicked=clicks["time"])
            return pd.merge_asof(
                decisions, clicks, on="time", by="user", allow_exact_matches=False
            )["clicked"]

        examples = build_examples(
            log.tidy_events, log.impressions, **KEYS, event="event",
            outcome="purchase", window="7D", treatment="shown",
            propensity="propensity", users=log.user_table, items=log.item_table,
            features={
                "last_click": last_click,
                "past": PastAggregates(event="event"),
                "seq": HistorySequence(length=3),
                "padded": HistorySequence(length=2, padded=True),
            },
        )  # fmt: skip
        assert {"past_user_past_count_click", "seq_history", "padded_gap_2", "title",
                "last_click", "age"} <= set(examples)  # fmt: skip
        assert len(examples) > 1500
        done = log.impressions["time"] + pd.Timedelta("7D")
        end = max(log.tidy_events["time"].max(), log.impressions["time"].max())
        np.testing.assert_array_equal(examples["outcome"], log.outcome[done <= end])

    @pytest.mark.parametrize("leak", ["total", "next", "same_time", "outcome"])
    def test_a_planted_leak_is_refused(self, leak):
        log = make_event_log(1500, n_users=60, n_items=40, dirt=0, random_state=2)

        def feature(decisions, events):
            if leak == "total":
                return decisions["user"].map(events["user"].value_counts()).fillna(0)
            if leak == "next":
                other = events[["user", "time"]].assign(found=1)
                return pd.merge_asof(
                    decisions, other, on="time", by="user", direction="forward",
                    tolerance=pd.Timedelta("10min"),
                )["found"].fillna(0)  # fmt: skip
            if leak == "same_time":
                other = events[["user", "time"]].assign(found=events["time"])
                return pd.merge_asof(decisions, other, on="time", by="user")["found"]
            bought = events.loc[events["event"] == "purchase", ["user", "item"]]
            bought = bought.drop_duplicates().assign(bought=1)
            return decisions.merge(bought, how="left")["bought"].fillna(0)

        events = log.tidy_events
        if leak == "same_time":
            events = pd.concat(
                [events, log.impressions.iloc[::50][["user", "item", "time"]]]
            )
        with pytest.raises(ValueError, match="'bad' looks past the decision: for user"):
            build_examples(
                events, log.impressions, **KEYS, event="event", outcome="purchase",
                window="7D", treatment="shown", features={"bad": feature},
                random_state=0,
            )  # fmt: skip

    def test_a_transformer_that_scales_by_the_future_is_refused(self):
        class Leaky(PastAggregates):
            def transform(self, X):
                return super().transform(X) / len(self._everyone.times)

        log = make_event_log(800, n_users=40, n_items=40, dirt=0, random_state=2)
        with pytest.raises(ValueError, match="looks past the decision"):
            build(
                log.tidy_events, log.impressions, window="7D",
                features={"bad": Leaky()},
            )  # fmt: skip

    def test_tables_with_times_count_strictly_before(self, shown, events):
        prices = pd.DataFrame(
            {"item": ["x", "x", "y"], "time": [1, 4, 7], "price": [10.0, 20.0, 30.0]}
        )
        examples = build(events, shown, items=prices, incomplete="keep")
        np.testing.assert_array_equal(examples["price"], [np.nan, np.nan, 20, 30])

    def test_wrong_lengths_and_types_are_named(self, shown, events):
        with pytest.raises(ValueError, match=r"features\['f'\] returned 2 rows for 3"):
            build(events, shown, until=10, features={"f": lambda d, e: [1, 2]})
        with pytest.raises(TypeError, match=r"features\['f'\] must be a function"):
            build(events, shown, features={"f": 3})
        with pytest.raises(ValueError, match="would be called 'shown_before'"):
            build(
                events, shown.assign(shown_before=1),
                features={"shown_before": lambda d, e: np.zeros(len(d))},
            )  # fmt: skip


ARMS = {
    "text": (lambda t: np.where(t == 1, "yes", "No"), {}),
    "one label": (lambda t: np.where(t == 1, "drug", "placebo"), {}),
    "named": (lambda t: np.where(t == 1, "A", "B"), dict(control="B")),
    "bool": (lambda t: t == 1, {}),
    "float": (lambda t: t.astype(float), {}),
    "nullable": (lambda t: t.astype("Int64"), {}),
    "Decimal": (lambda t: t.map(Decimal), {}),
    "categories": (lambda t: pd.Categorical(np.where(t == 1, "on", "off")), {}),
    "categories of numbers": (lambda t: t.astype("category"), {}),
    "ordered": (
        lambda t: pd.Categorical(np.where(t == 1, "x", "y"), ["y", "x"], ordered=True),
        {},
    ),
    "named number": (lambda t: t + 1, dict(control=1)),
}


class TestWhatIsNotShown:
    def build(self, treatment, **options):
        times = list(range(1, 41))
        shown = pd.DataFrame(
            {
                "user": ["a", "b"] * 20,
                "item": [f"i{k % 7}" for k in times],
                "time": times,
                "shown": treatment(pd.Series([1, 0, 0, 1] * 10)),
            }
        )
        events = shown[["user", "item", "time"]].assign(event="purchase")
        return build(
            events, shown, n_unexposed=3, random_state=0, incomplete="keep", **options
        )

    @pytest.mark.parametrize("arms", ARMS)
    def test_arms_say_it(self, arms):
        treatment, options = ARMS[arms]
        plain = self.build(lambda t: t)
        found = self.build(treatment, **options)
        columns = ["user", "item", "time", "outcome", "sample_weight"]
        pd.testing.assert_frame_equal(found[columns], plain[columns])
        expected = pd.Series(treatment(plain["treatment"]), name="treatment")
        assert found["treatment"].tolist() == expected.tolist()
        assert found["treatment"].dtype == expected.dtype

    def test_where_all_is_shown(self):
        plain = self.build(lambda t: 1)
        for treatment, options, off in (
            (lambda t: True, {}, False),
            (lambda t: t * 0 + 2, {}, 0),
            (lambda t: t + 1, dict(control=0), 0),
            (lambda t: pd.Categorical(["x"] * 40, ["y", "x"], ordered=True), {}, "y"),
            (lambda t: pd.Categorical([1] * 40), {}, 0),
        ):
            found = self.build(treatment, **options)
            assert len(found) == len(plain)
            assert ((found["treatment"] == off) == (plain["treatment"] == 0)).all()

    @pytest.mark.parametrize(
        ("treatment", "options", "message"),
        [
            (lambda t: np.where(t == 1, "A", "B"), {}, "be told: .* are 'A', 'B'"),
            (lambda t: np.where(t == 1, "No", "no"), {}, "may both be it"),
            (lambda t: t.map({1: "yes", 0: 0}), {}, "be told: arms of type int, str"),
            (lambda t: t + 1, {}, r"The treatment holds \[1, 2\]: which of them"),
            (lambda t: t, dict(control=7), "control=7 is none of the arms"),
            (
                lambda t: np.where(t == 1, "A", "B"),
                dict(control="b"),
                "none of the arms",
            ),
            (lambda t: t.where(t == 1), {}, "'shown' is missing in row 1"),
        ],
    )
    def test_else_it_is_asked_for(self, treatment, options, message):
        with pytest.raises(ValueError, match=message):
            self.build(treatment, **options)

    def test_only_where_it_matters(self, shown, events):
        arms = ["A", "B", "A", "B"]
        examples = build(events, shown.assign(shown=arms), incomplete="keep")
        assert examples["treatment"].tolist() == arms


START = pd.Timestamp("2024-01-01")


def on_days(t):
    return START + pd.to_timedelta(t, unit="D")


FORMS = {
    "seconds": lambda t: t * 86400 + 1_700_000_000,
    "fractions": lambda t: t * 86400 + 1_700_000_000.25,
    "milliseconds": lambda t: t * 86_400_000 + 1_700_000_000_000,
    "microseconds": lambda t: t * 86_400_000_000 + 1_700_000_000_000_000,
    "nanoseconds": lambda t: t * 86_400_000_000_000 + 1_700_000_000_000_000_001,
    "stamps": lambda t: on_days(t).dt.strftime("%Y%m%d").astype(int),
    "month first": lambda t: on_days(15 + t).dt.strftime("%m/%d/%Y"),
    "periods": lambda t: on_days(t).dt.to_period("D"),
    "dates": lambda t: on_days(t).dt.date,
    "durations": lambda t: pd.to_timedelta(t, unit="D"),
    "zoned": lambda t: on_days(t).dt.tz_localize("UTC"),
}


class TestTimesInOtherForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_windows_in_words(self, shown, events, form):
        write = FORMS[form]
        prices = pd.DataFrame(
            {"item": ["x", "y", "x"], "time": [0, 0, 2], "price": [1.0, 2.0, 3.0]}
        )
        options = dict(n_unexposed=2, random_state=0, incomplete="keep")
        expected = build(events, shown, items=prices, **options, window=3)
        found = build(
            *(table.assign(time=write(table["time"])) for table in (events, shown)),
            items=prices.assign(time=write(prices["time"])),
            **options,
            window="3D",
        )
        columns = ["user", "item", "treatment", "outcome", "price", "sample_weight"]
        pd.testing.assert_frame_equal(found[columns], expected[columns])

    def test_a_unit_makes_dates(self, shown, events):
        found = build(events, shown, window="3D", unit="D", incomplete="keep")
        assert found["time"].dt.year.eq(1970).all()

    def test_clocks_that_differ_are_refused(self, shown, events):
        with pytest.raises(ValueError, match="counted in several units since 1970"):
            build(
                events.assign(time=FORMS["seconds"](events["time"])),
                shown.assign(time=FORMS["milliseconds"](shown["time"])),
            )
        tables = (
            events.assign(time=FORMS["zoned"](events["time"])),
            shown.assign(time=FORMS["stamps"](shown["time"])),
        )
        with pytest.raises(ValueError, match="with a time zone in one"):
            build(*tables, window="3D")
        assert len(build(*tables, window="3D", timezone="UTC", incomplete="keep")) == 4
        with pytest.raises(ValueError, match="events' time is '01/02/2024' in row 0"):
            build(events.assign(time="01/02/2024"), shown)

    def test_until_is_on_the_same_clock(self, shown, events):
        tables = [t.assign(time=FORMS["stamps"](t["time"])) for t in (events, shown)]
        for until in (20240107, "2024-01-07", pd.Timestamp("2024-01-07")):
            examples = build(*tables, window="1D", until=until)
            assert examples["time"].max() <= pd.Timestamp("2024-01-06")
        whole, fraction = (build(events, shown, until=end) for end in (7, 7.0))
        pd.testing.assert_frame_equal(whole, fraction)
        for until, message in (
            ("2024-01-07", "numbers in one and dates in another"),
            ("soon", "until is 'soon' in row 0"),
        ):
            with pytest.raises(ValueError, match=message):
                build(events, shown, until=until)
        dated = [t.assign(time=on_days(t["time"])) for t in (events, shown)]
        with pytest.raises(ValueError, match="datetimes and numbers don't compare"):
            build(*dated, window="1D", until=20240107)


class TestBadInput:
    def test_values_are_numbers(self, shown, events):
        options = dict(aggregate="sum", value="paid", incomplete="keep")
        objects = events.assign(paid=[Decimal("1.5"), 2, None, 4])
        numbers = events.assign(paid=[1.5, 2, np.nan, 4])
        pd.testing.assert_series_equal(
            *(build(e, shown, **options)["outcome"] for e in (objects, numbers))
        )
        for wrong, message in (
            (["1", "2", "3", "4"], "events' paid is '1' in row 0, which is no number"),
            (pd.to_datetime(["2024-01-01"] * 4), "events' paid is Timestamp"),
        ):
            with pytest.raises(ValueError, match=message):
                build(events.assign(paid=wrong), shown, **options)

    def test_options(self, shown, events):
        for options, message in (
            (dict(aggregate="mean"), "aggregate must be one of"),
            (dict(aggregate="sum"), "needs value="),
            (dict(incomplete="maybe"), "incomplete must be"),
            (dict(outcome="buy"), "name its column"),
            (dict(event="event", outcome="bought"), "No event is an outcome='bought'"),
            (dict(window=0), "window must be above 0"),
            (dict(window="7D"), "window='7D' is no length of time"),
            (dict(treatment="what"), "treatment='what' is not a column"),
            (dict(negative_fraction=0), "negative_fraction"),
            (dict(n_unexposed=-1), "n_unexposed"),
            (dict(event="kind"), "event='kind' is not a column"),
        ):
            with pytest.raises(ValueError, match=message):
                build(events, shown, **options)

    def test_duplicate_keys(self, shown, events):
        with pytest.raises(ValueError, match="1 decisions are there twice, the first"):
            build(events, pd.concat([shown, shown.iloc[:1]]))
        users = pd.DataFrame({"user": ["a", "a"], "age": [1, 2]})
        with pytest.raises(ValueError, match=r"users has 1 rows too many.*'a'"):
            build(events, shown, users=users)

    def test_missing_ids_and_times(self, shown, events):
        with pytest.raises(ValueError, match="events: 'item' is missing in row 1"):
            build(events.assign(item=["x", None, "x", "y"]), shown)
        with pytest.raises(ValueError, match="events' time is nan in row 0"):
            build(events.assign(time=[np.nan, 1, 2, 3]), shown)
        with pytest.raises(ValueError, match="events is empty"):
            build(events.iloc[:0], shown)
        with pytest.raises(ValueError, match="events: user='user' is not a column"):
            build(events.drop(columns="user"), shown)

    def test_clocks_that_do_not_compare(self, shown, events):
        dated = shown.assign(time=pd.to_datetime(shown["time"], unit="D"))
        with pytest.raises(ValueError, match="numbers in one and dates in another"):
            build(events, dated)
        zoned = events.assign(time=pd.to_datetime(events["time"], unit="D", utc=True))
        with pytest.raises(ValueError, match="with a time zone in one"):
            build(zoned, dated, window="4D")
        examples = build(
            zoned, dated, window="4D", timezone="UTC", incomplete="keep"
        )  # fmt: skip
        assert examples["outcome"].tolist() == [1, 0, 0, 1]

    def test_ids_of_other_types(self, shown, events):
        objects = shown.assign(
            user=shown["user"].astype("category"), item=shown["item"].astype(object)
        )
        prices = pd.DataFrame(
            {"item": pd.Categorical(["x", "y"]), "time": [0, 0], "price": [1.0, 2.0]}
        )
        examples = build(
            events, objects, items=prices, n_unexposed=3, incomplete="keep"
        )
        plain = examples[examples["sample_weight"] == 1]
        assert plain["outcome"].tolist() == [1, 0, 0, 1]
        assert plain["price"].tolist() == [1, 2, 1, 2]
        with pytest.raises(ValueError, match="'item' is int64 in items"):
            build(events, shown, items=prices.assign(item=[1, 2]))

    def test_whole_numbers_of_any_width_meet(self, shown, events):
        code = {"a": 1, "b": 2}
        codes = events["user"].map(code), shown["user"].map(code)
        for kind in ("int8", "uint64", "Int64", "int32[pyarrow]", "float64"):
            users = pd.DataFrame(
                {"user": pd.Series([1, 2], dtype=kind), "age": [30, 40]}
            )
            examples = build(
                events.assign(user=codes[0]),
                shown.assign(user=codes[1].astype("int16")),
                users=users,
                incomplete="keep",
            )
            assert (examples["age"] == 20 + 10 * examples["user"]).all()
        # Beyond int64, and apart by less than float64 can tell.
        start = np.uint64(2**63)
        users = pd.DataFrame(
            {"user": start + np.array([1, 2], np.uint64), "age": [1, 2]}
        )
        examples = build(
            events.assign(user=start + codes[0].to_numpy(np.uint64)),
            shown.assign(user=start + codes[1].to_numpy(np.uint64)),
            users=users,
            incomplete="keep",
        )
        assert examples["age"].tolist() == (examples["user"] - start).tolist()

    def test_tables_spelt_otherwise(self, shown, events):
        for name, key in (("users", "user"), ("items", "item")):
            table = pd.DataFrame({key: ["A ", "B "], "age": [1, 2]})
            with pytest.raises(ValueError, match=f"No '{key}' of the decisions is in"):
                build(events, shown, **{name: table})
            with pytest.raises(
                ValueError, match=f"{name}: '{key}' is missing in row 1"
            ):
                build(events, shown, **{name: table.assign(**{key: ["a", None]})})
            lists = table.assign(**{key: [["a"], ["b"]]})
            with pytest.raises(ValueError, match=r"in row 0.*no id"):
                build(events, shown, **{name: lists})

    def test_ids_that_never_meet(self, shown, events):
        with pytest.raises(ValueError, match="No 'user' of the decisions"):
            build(events.assign(user=[1, 1, 2, 2]), shown)
        with pytest.raises(ValueError, match="No 'item' of the decisions"):
            build(events.assign(item="X"), shown)
