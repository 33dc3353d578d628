"""Joins at a time against loops over all pairs of rows: slow, and plainly right."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec.encoding.past import Clock, PastIndex, in_order
from sklearn_causalrec.interactions import (
    HistorySequence,
    PastAggregates,
    build_examples,
)
from sklearn_causalrec.interactions.point_in_time import occur_twice

KEYS = dict(user="user", item="item", time="time")
# Ids of a column as users bring them: the numbers must not depend on it.
KINDS = {
    "text": lambda ids: np.char.mod("u%d", ids),
    "objects": lambda ids: np.char.mod("u%d", ids).astype(object),
    "categories": lambda ids: pd.Categorical(np.char.mod("u%d", ids)),
    "numbers": lambda ids: ids.astype(np.int32),
    "nullable": lambda ids: pd.array(ids, dtype="Int64"),
    "tuples": lambda ids: pd.Series([(i, "u") for i in ids]).to_numpy(),
}


def _log(seed, n, kind="text", *, ordered=False, dates=False):
    """Rows with many ties in time, of users and items that mostly come again."""
    rng = np.random.default_rng([11, seed])
    at = rng.integers(0, 25, n)
    if ordered:
        at = np.sort(at)
    frame = pd.DataFrame(
        {
            "user": KINDS[kind](rng.integers(0, 6, n)),
            "item": KINDS["numbers" if kind == "numbers" else "text"](
                rng.integers(0, 4, n)
            ),
            "time": at.astype(float),
            "event": rng.choice(["view", "buy"], n),
            "value": np.where(rng.random(n) < 0.2, np.nan, rng.integers(1, 6, n)),
        }
    )
    if dates:
        frame["time"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(at, unit="D")
    return frame


def _outcome(decision, events, window, aggregate):
    met = [
        e
        for e in events
        if e.user == decision.user
        and e.item == decision.item
        and decision.time <= e.time <= decision.time + window
        and e.event == "buy"
    ]
    if aggregate == "any":
        return float(bool(met))
    if aggregate == "count":
        return len(met)
    if aggregate == "sum":
        return sum(e.value for e in met if e.value == e.value)
    met.sort(key=lambda e: e.time)
    return met[0].value if met else np.nan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ordered", [True, False])
def test_outcomes(kind, ordered):
    for seed, aggregate in enumerate(("any", "count", "sum", "first")):
        events = _log(seed, 150, kind, ordered=ordered)
        decisions = _log(seed + 10, 60, kind, ordered=ordered)
        decisions = decisions.drop(columns=["event", "value"])
        decisions = decisions.drop_duplicates().assign(shown=1)
        made = build_examples(
            events, decisions, **KEYS, event="event", outcome="buy", window=5,
            value="value", aggregate=aggregate, treatment="shown", incomplete="keep",
        )  # fmt: skip
        end = max(events["time"].max(), decisions["time"].max())
        rows = list(events.itertuples())
        expected = [
            _outcome(d, rows, 5, aggregate) if d.time + 5 <= end else np.nan
            for d in decisions.sort_values("time", kind="stable").itertuples()
        ]
        assert np.nansum(expected) > 0
        np.testing.assert_array_equal(made["outcome"], np.array(expected, float))


def _aggregate(row, log, by, kind, start, smoothing, delay):
    def before(e):
        return e.time < row.time - delay

    known = [e for e in log if before(e)]
    given = [e.value for e in known if e.value == e.value]
    overall = sum(given) / len(given) if given else 0.0
    mine = [
        e
        for e in known
        if (by == "item" or e.user == row.user)
        and (by == "user" or e.item == row.item)
        and kind in (None, e.event)
    ]
    values = [e.value for e in mine if e.value == e.value]
    weight = len(values) + smoothing
    mean = (sum(values) + smoothing * overall) / weight if weight else overall
    last = max((e.time for e in mine), default=start)
    return [len(mine), mean, max(row.time - last, 0.0)]


@pytest.mark.parametrize("kind", ["text", "numbers", "categories"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("smoothing, delay", [(0.0, None), (1.0, 3)])
def test_aggregates(kind, ordered, smoothing, delay):
    log = _log(0, 120, kind, ordered=ordered)
    rows = _log(1, 40, kind, ordered=not ordered)
    rows.loc[0, "time"] = -1.0  # before the log
    if kind == "text":
        rows.loc[1, "user"] = "a stranger"
    past = PastAggregates(
        event="event", value="value", by=("user", "item", "pair"),
        smoothing=smoothing, delay=delay,
    )  # fmt: skip
    made = past.fit(log).transform(rows)
    events, start = list(log.itertuples()), log["time"].min()
    expected = [
        np.concatenate(
            [
                _aggregate(row, events, by, event, start, smoothing, delay or 0)
                for event in (None, "buy", "view")
                for by in ("user", "item", "pair")
            ]
        )
        for row in rows.itertuples()
    ]
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)
    if kind != "categories":
        again = past.fit(pl.from_pandas(log)).transform(pl.from_pandas(rows))
        np.testing.assert_array_equal(made, again)


def test_kinds_of_ids_and_times_are_read_alike():
    """The same log in other types of ids, and with days for numbers."""
    frames = {kind: _log(3, 200, kind) for kind in ("text", "objects", "categories")}
    made = {k: HistorySequence(length=3).fit_transform(f) for k, f in frames.items()}
    for other in ("objects", "categories"):
        pd.testing.assert_frame_equal(made["text"], made[other])
    past = PastAggregates(value="value")
    days = past.fit_transform(_log(3, 200, dates=True))
    np.testing.assert_array_equal(days, past.fit_transform(frames["text"]))


# -- the parts -----------------------------------------------------------------------


def test_index_is_a_stable_sort_by_group_and_time():
    rng = np.random.default_rng(0)
    for n, ordered in ((500, True), (500, False), (1, True), (0, True)):
        groups, times = rng.integers(0, 7, n), rng.integers(0, 30, n)
        if ordered:
            times = np.sort(times)
        past = PastIndex(groups, times)
        np.testing.assert_array_equal(past.order, np.lexsort((times, groups)))
        asked, at = rng.integers(-1, 9, 2000), rng.integers(-2, 33, 2000)
        for or_at in (False, True):
            start, end = past.before(asked, at, or_at=or_at)
            earlier = times[:, None] <= at if or_at else times[:, None] < at
            count = ((groups[:, None] == asked) & earlier).sum(axis=0)
            np.testing.assert_array_equal(end - start, count)


def test_sorted_search_is_searchsorted():
    rng = np.random.default_rng(0)
    known, asked = np.sort(rng.integers(0, 500, 3000)), rng.integers(-5, 505, 4000)
    for side in ("left", "right"):
        expected = np.searchsorted(known, asked, side=side)
        np.testing.assert_array_equal(in_order(known, asked, side), expected)
        found = in_order(known, np.sort(asked), side)
        np.testing.assert_array_equal(found, np.sort(expected))


def test_rank_of_times():
    times = np.random.default_rng(0).integers(0, 40, 300)
    distinct, rank = np.unique(times, return_inverse=True)
    for given in (times, np.sort(times)):
        clock = Clock(given)
        np.testing.assert_array_equal(clock.times, distinct)
    np.testing.assert_array_equal(Clock(times).rank, rank)


@pytest.mark.parametrize("n_pairs", [50, 2**62])
def test_rows_that_are_there_twice(n_pairs):
    """Also where pairs and times are too many to be one number."""
    pairs, times = np.array([1, 49, 1, 1]), np.array([3.0, 3, 4, 3])
    assert occur_twice(pairs, n_pairs, times)
    assert not occur_twice(pairs[:3], n_pairs, times[:3])
