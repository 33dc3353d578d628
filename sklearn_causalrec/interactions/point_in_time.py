"""Joins at a time: tables before decisions, outcomes after them, pairs not shown."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import as_frame, check_columns, plain_ids
from sklearn_causalrec.encoding.times import PastIndex, as_times


def join_table(decisions, table, key, time, name, timezone=None):
    """Add a table's columns to the decisions, as known strictly before each.

    Parameters
    ----------
    decisions : DataFrame, sorted by time
    table : DataFrame
        One row a key; or, where it has the column `time`, what became known when.
    key, time : str
    name : str
        Named in error messages.

    Returns
    -------
    DataFrame
        The decisions with further columns, missing where nothing was known.
    """
    table = as_frame(table, name)
    check_columns(table, **{name: key})
    table = plain_ids(table, [key])
    if table[key].dtype != decisions[key].dtype:
        raise ValueError(
            f"{key!r} is {table[key].dtype} in {name} and {decisions[key].dtype} in "
            "the decisions: ids must be of one type."
        )
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
    times = as_times(table[time], f"{name}' {time}", timezone=timezone)
    table = table.assign(**{time: times})
    return pd.merge_asof(
        decisions,
        table.sort_values(time),
        on=time,
        by=key,
        allow_exact_matches=False,
    )


def outcomes_within(decisions, events, keys, time, window, aggregate, value):
    """What followed each decision for the same user and item, from it to the window.

    An event at the very time of the decision counts, one at the window's end does too.

    Returns
    -------
    ndarray of shape (n_decisions,), float64
    """
    both = pd.concat([decisions[keys], events[keys]], ignore_index=True)
    codes = both.groupby(keys, sort=False).ngroup().to_numpy()
    of_decision, of_event = np.split(codes, [len(decisions)])
    past = PastIndex(of_event, events[time].to_numpy())
    at = decisions[time].to_numpy()
    start = past.before(of_decision, at)[1]
    end = past.before(of_decision, at + window, or_at=True)[1]
    if aggregate in ("any", "count"):
        count = (end - start).astype(float)
        return count if aggregate == "count" else (count > 0).astype(float)
    values = pd.to_numeric(events[value]).to_numpy(np.float64)[past.order]
    if aggregate == "sum":
        total = np.concatenate([[0.0], np.nancumsum(values)])
        return total[end] - total[start]
    first = np.full(len(decisions), np.nan)
    some = end > start
    first[some] = values[start[some]]
    return first


def sample_unexposed(decisions, shown, catalogue, n, user, item, time, window, rng):
    """Pairs that were not shown, at the moments of showings, with known weights.

    For each moment (a user, a time) `n` items are drawn uniformly from the catalogue,
    with replacement; those decided about at that moment, or shown to the user less than
    a window before or after, are dropped. Each draw left stands for ``n_items / n`` of
    its kind (Hansen and Hurwitz), so that nobody has to count them.

    Parameters
    ----------
    decisions : DataFrame
        Sorted by time.
    shown : ndarray of bool
        Which of the decisions are showings.
    catalogue : DataFrame
        Items; a column `time`, if any, says since when.
    n : int

    Returns
    -------
    DataFrame
        user, item, time and ``sample_weight``, which sums over equal draws.
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
    """The items there are, each with its first time where times are given."""
    items = as_frame(items, "items")
    check_columns(items, items=item)
    if time not in items.columns:
        return items[[item]].drop_duplicates()
    items = plain_ids(items, [item])
    times = as_times(items[time], f"items' {time}")
    return times.groupby(items[item]).min().rename(time).reset_index()
