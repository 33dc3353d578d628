"""Joins at a time: tables before decisions, outcomes after them, pairs not shown."""

from collections.abc import Hashable
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import check_columns, coded, plain_ids
from sklearn_causalrec.encoding.past import Clock
from sklearn_causalrec.encoding.time_formats import shown


def check_ids(frame, keys):
    """Refuse what is no id, lists and complex numbers, and "1" beside 1."""
    for key in keys:
        ids = frame[key]
        if ids.dtype.kind == "c":
            raise ValueError(f"{key!r} holds complex numbers, which are no ids.")
        if ids.dtype.kind != "O" or isinstance(ids.dtype, pd.CategoricalDtype):
            continue
        kind = pd.api.types.infer_dtype(ids, skipna=True)
        if kind == "string":
            continue
        text = number = None
        for row, value in enumerate(ids.tolist()):
            if isinstance(value, str):
                text = row
            elif isinstance(value, (Real, Decimal)):
                number = row if value == value else number  # NaN is missing
            elif isinstance(value, complex) or not isinstance(value, Hashable):
                raise ValueError(
                    f"{key!r} is {shown(value)} in row {row}, of type "
                    f"{type(value).__name__}, which is no id: use numbers or text."
                )
            if None not in (text, number):
                raise ValueError(
                    f"{key!r} mixes numbers and text: it is "
                    f"{shown(ids.iloc[number])} in row {number} and "
                    f"{shown(ids.iloc[text])} in row {text}. Make it one kind, for "
                    "instance with frame[column].astype(str)."
                )


def meet(ids, others):
    """Whether two columns of ids have one in common."""
    ids, others = (set(column.dropna().unique().tolist()) for column in (ids, others))
    return not ids.isdisjoint(others)


def refuse_strangers(key, ids, name, others, other_name):
    """Refuse two tables that have no id in common: "1" is not 1.

    Parameters
    ----------
    key : str
        Column of ids.
    ids, others : Series
    name, other_name : str
        The tables, in the error message.
    """
    ids, others = ids.dropna(), others.dropna()
    if len(ids) and len(others) and not meet(ids, others):
        raise ValueError(
            f"No {key!r} of the {name} is in the {other_name}: "
            f"{shown(ids.iloc[0])} there, {shown(others.iloc[0])} here. Are they spelt "
            "alike?"
        )


def join_table(decisions, table, key, time, name):
    """Add a table's columns to the decisions, as they were known strictly before each.

    Parameters
    ----------
    decisions : DataFrame
        The decisions, sorted by time.
    table : DataFrame
        One row per key. Where it has the column `time`, which is read already, its rows
        say what became known at that time.
    key : str
        The column of ids that the tables are joined by.
    time : str
        The column of times.
    name : str
        The name of the table in error messages.

    Returns
    -------
    DataFrame
        The decisions with the further columns. They are missing where nothing was
        known.
    """
    table = table.assign(**{key: table[key].astype(decisions[key].dtype)})
    known = set(decisions.columns) - {key, time}
    if clash := [c for c in table.columns if c in known]:
        raise ValueError(
            f"{name} has the column {clash[0]!r}, which the decisions have too: rename "
            "one."
        )
    by = [key, time] if time in table.columns else [key]
    twice = table.duplicated(by)
    if twice.any():
        row = table.loc[twice, by].iloc[0].to_dict()
        raise ValueError(
            f"{name} has {int(twice.sum())} rows too many: {row} is there twice. Keep "
            "one row for each."
        )
    if time not in table.columns:
        return decisions.merge(table, on=key, how="left", validate="many_to_one")
    return pd.merge_asof(
        decisions,
        table.sort_values(time),
        on=time,
        by=key,
        allow_exact_matches=False,
    )


class Pairs:
    """Pairs of user and item of two tables, each a whole number: ids are read once.

    Parameters
    ----------
    decisions, events : DataFrame of shape (n, p), DataFrame of shape (m, q)
        Without missing ids.
    keys : list of str
        The columns of user ids and item ids.

    Attributes
    ----------
    n : int
        The numbers are below it.
    decisions, events : ndarray of shape (n,), ndarray of shape (m,)
        The pair of each row.
    strangers : list of str
        The keys that have no id in both tables.
    """

    def __init__(self, decisions, events, keys):
        self.n, number, self.strangers = 1, np.int64(0), []
        for key in keys:
            both = pd.concat([decisions[key], events[key]], ignore_index=True)
            codes, distinct = coded(both)
            seen = np.zeros(len(distinct), bool)
            seen[codes[: len(decisions)]] = True
            if not seen[codes[len(decisions) :]].any():
                self.strangers.append(key)
            self.n, number = self.n * len(distinct), number * len(distinct) + codes
        self.decisions, self.events = np.split(number, [len(decisions)])


def occur_twice(pairs, n_pairs, times):
    """Whether two rows have the same pair and time.

    Parameters
    ----------
    pairs : ndarray of shape (n,)
        Below `n_pairs`.
    n_pairs : int
    times : ndarray of shape (n,)

    Returns
    -------
    bool
    """
    clock = Clock(times)
    if n_pairs * len(clock.times) >= 2**63:
        rows = pd.DataFrame({"pair": pairs, "time": clock.rank})
        return bool(rows.duplicated().any())
    both = np.sort(pairs * len(clock.times) + clock.rank)
    return bool((both[1:] == both[:-1]).any())


def outcomes_within(pairs, at, happened, window, aggregate, values):
    """Aggregate the events after each decision, up to the end of its window.

    Only events of the same user and item count. An event at the time of the decision
    counts, and so does an event at the end of the window.

    Parameters
    ----------
    pairs : Pairs
        Of the decisions, and of the events that count.
    at : ndarray of shape (n_decisions,)
        The times of the decisions.
    happened : ndarray of shape (n_events,)
        The times of the events.
    window : Timedelta or float
        The length of the window.
    aggregate : {"any", "count", "sum", "first"}
        What becomes of the events.
    values : ndarray of shape (n_events,) or None
        Of the events, for "sum" and "first".

    Returns
    -------
    ndarray of shape (n_decisions,)
        The outcome of each decision, as float64.
    """
    clock = Clock(happened)
    n_times, of_event, of_decision = len(clock.times) + 1, pairs.events, pairs.decisions
    if pairs.n * n_times >= 2**63:  # numbers without gaps; -1 for a pair of no event
        of_event, known = pd.factorize(of_event)
        of_decision = pd.Index(known).get_indexer(of_decision)
    keys = of_event * n_times + clock.rank
    if aggregate in ("any", "count"):
        keys.sort()
    else:
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
    # Asked pair by pair, since a search that jumps about misses the caches.
    asked = np.argsort(of_decision)
    pair = of_decision[asked] * n_times
    start = np.searchsorted(keys, pair + clock.before(at)[asked])
    close = pair + clock.before(at + window, or_at=True)[asked]
    met = np.flatnonzero(np.append(keys, 2**63 - 1)[start] < close)
    start, asked = start[met], asked[met]
    out = np.full(len(at), np.nan if aggregate == "first" else 0.0)
    if aggregate == "any":
        out[asked] = 1.0
        return out
    end = np.searchsorted(keys, close[met])
    if aggregate == "count":
        out[asked] = end - start
    elif aggregate == "sum":
        total = np.concatenate([[0.0], np.nancumsum(values)])
        out[asked] = total[end] - total[start]
    else:
        out[asked] = values[start]
    return out


def by_time(frame, time):
    """The frame sorted by time, and the order of its rows; None where it was sorted."""
    if frame[time].is_monotonic_increasing:
        return frame.reset_index(drop=True), None
    order = np.argsort(frame[time].to_numpy(), kind="stable")
    return frame.iloc[order].reset_index(drop=True), order


def sample_unexposed(decisions, shown, catalogue, n, user, item, time, window, rng):
    """Draw pairs that were not shown, at the moments of exposures, with known weights.

    A moment is a user and a time. At each moment, `n` items are drawn uniformly from
    the catalogue, with replacement. Items decided about at that moment are dropped. So
    are items shown to the user within one window before or after. Each draw that is
    left stands for ``n_items / n`` of its kind (the estimator of Hansen and Hurwitz),
    so that the items not shown need not be counted.

    Parameters
    ----------
    decisions : DataFrame
        The decisions, sorted by time.
    shown : ndarray of bool
        Which of the decisions are exposures.
    catalogue : DataFrame
        The items. A column `time`, if there is one, says since when they exist.
    n : int
        The number of draws per moment.
    user, item, time : str
        The columns of user ids, item ids and times.
    window : Timedelta or float
        The length of the window.
    rng : RandomState
        The generator of the draws.

    Returns
    -------
    DataFrame
        The columns user, item, time and ``sample_weight``. Equal draws are one row,
        whose weight is the sum of theirs.
    """
    items = catalogue[item].to_numpy()
    moments = decisions.loc[shown, [user, time]].drop_duplicates()
    out = moments.loc[moments.index.repeat(n)].reset_index(drop=True)
    out[item] = items[rng.randint(len(items), size=len(out))]
    out = out.groupby([time, user, item], sort=True).size().reset_index(name="draws")
    out["sample_weight"] = out.pop("draws") * len(items) / n
    keys = [user, item]
    exposed = decisions.loc[shown, [*keys, time]].assign(_near=True)
    near = pd.merge_asof(
        out, exposed, on=time, by=keys, direction="nearest", tolerance=window
    )["_near"]
    moment = [*keys, time]
    keep = near.isna() & ~pd.MultiIndex.from_frame(out[moment]).isin(
        pd.MultiIndex.from_frame(decisions[moment])
    )
    if time in catalogue.columns:
        since = catalogue.set_index(item)[time].reindex(out[item])
        keep &= since.to_numpy() < out[time].to_numpy()
    return out[keep]


def catalogue_of(items, item, time):
    """Return the items that exist, each with its first time where times are given."""
    if time not in items.columns:
        return items[[item]].drop_duplicates()
    return items.groupby(item)[time].min().reset_index()


def read_table(table, name, key, decisions):
    """A table of features of users or items, whose ids join the decisions'.

    Parameters
    ----------
    table : pandas or polars DataFrame
    name : str
        In error messages.
    key : str
        Column of ids.
    decisions : DataFrame
        With ids as from :func:`plain_ids`.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        If ids are missing or of another type, or none of them is in the decisions.
    """
    try:
        check_columns(table, **{name: key})
        check_ids(table, [key])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if len(table) == 0:
        raise ValueError(f"{name} is empty.")
    missing = table[key].isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"{name}: {key!r} is missing in row {int(missing.argmax())}: drop it."
        )
    table = plain_ids(table, [key])
    ids, known = table[key], decisions[key]
    if ids.dtype != known.dtype and not _both_whole(ids, known):
        raise ValueError(
            f"{key!r} is {ids.dtype} in {name} and {known.dtype} in the decisions: ids "
            "must be of one type. Are they spelt alike?"
        )
    refuse_strangers(key, known, "decisions", ids, name)
    return table


def _both_whole(*columns):
    return all(
        c.dtype.kind in "iuf" and bool((c == np.round(c)).all()) for c in columns
    )


def plain_numbers(values, name):
    """A column of numbers as float64, NaN where one is missing.

    Parameters
    ----------
    values : array-like of shape (n,)
    name : str
        In error messages.

    Raises
    ------
    ValueError
        For text, times and anything else that is no number: it says what to do.
    """
    values = pd.Series(values)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if values.dtype.kind in "fiub":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if isinstance(value, (Real, Decimal)):
            out[row] = float(value)
        elif not (np.ndim(value) == 0 and pd.isna(value)):
            how = "with pd.to_numeric" if isinstance(value, str) else "by its meaning"
            raise ValueError(
                f"{name} is {shown(value)} in row {row}, which is no number. Turn it "
                f"into one first, {how}."
            )
    return out
