"""Joins at a time: tables before decisions, outcomes after them, pairs not shown."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import as_frame, check_columns, plain_ids
from sklearn_causalrec.encoding.times import PastIndex, as_times


def join_table(decisions, table, key, time, name, timezone=None):
    """Add a table's columns to the decisions, as they were known strictly before each.

    Parameters
    ----------
    decisions : DataFrame
        The decisions, sorted by time.
    table : DataFrame
        One row per key. Where it has the column `time`, its rows say what became known
        at that time.
    key : str
        The column of ids that the tables are joined by.
    time : str
        The column of times.
    name : str
        The name of the table in error messages.
    timezone : str, default=None
        The time zone of times that come without one.

    Returns
    -------
    DataFrame
        The decisions with the further columns. They are missing where nothing was
        known.
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
    """Aggregate the events after each decision, up to the end of its window.

    Only events of the same user and item count. An event at the time of the decision
    counts, and so does an event at the end of the window.

    Returns
    -------
    ndarray of shape (n_decisions,)
        The outcome of each decision, as float64.
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
    items = as_frame(items, "items")
    check_columns(items, items=item)
    if time not in items.columns:
        return items[[item]].drop_duplicates()
    items = plain_ids(items, [item])
    times = as_times(items[time], f"items' {time}")
    return times.groupby(items[item]).min().rename(time).reset_index()
