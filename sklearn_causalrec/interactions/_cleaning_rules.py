"""What the rules of ``clean_log`` compute: spellings, outliers and bursts."""

import unicodedata

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.kinds import as_series
from sklearn_causalrec.encoding.past import PastIndex
from sklearn_causalrec.encoding.time_formats import is_number, shown
from sklearn_causalrec.encoding.times import as_times

# The least scale of log counts. Where nearly all users are alike, 6 scales of 0.3 still
# allow a factor of 6, exp(1.8), so that eager but ordinary users stay.
_MIN_SCALE = 0.3
BOT_FROM = 30  # events of a user, below which nobody is a bot
BURST_FROM = 10  # events in a window, below which there is no burst


def spelling_key(values):
    """A key that ids share if they differ only by case, width or spaces.

    The key is None where the id is missing or empty.
    """

    def key(value):
        text = unicodedata.normalize("NFKC", str(value))
        return " ".join(text.split()).casefold() or None

    unique = pd.unique(pd.Series(values).dropna())
    keys = {value: key(value) for value in unique}
    return pd.Series(values).map(keys)


def unify_spelling(values, reference=None):
    """Give ids that have the same :func:`spelling_key` one spelling.

    Parameters
    ----------
    values : Series
        The ids. Numbers and times are returned as they are. Empty text becomes missing.
    reference : array-like, default=None
        Ids in their right spelling. The most frequent spelling is right for all others.

    Returns
    -------
    Series
        The ids in one spelling.
    """
    if not _has_text(values):
        return values
    keys = spelling_key(values)
    # value_counts puts the most frequent first, ties in order of appearance.
    spellings = values.value_counts(sort=True).index.to_series()
    right = spellings.groupby(spelling_key(spellings)).first()
    if reference is not None:
        reference = as_series(reference, "known ids").dropna()
    if reference is not None and _has_text(reference):
        given = pd.Series(reference.unique())
        given = given.groupby(spelling_key(given)).first()
        right = given.combine_first(right)
    return keys.map(right)


def _has_text(values):
    return values.dtype.kind == "O" and any(
        isinstance(value, str) for value in values.dropna().unique()
    )


def robust_limit(counts, n_mads, at_least):
    """Limit above which a count is an outlier: exp(median + n_mads * scale).

    Median and scale are those of the logarithms of the counts. The scale is 1.4826
    times the median absolute deviation, and at least 0.3. The limit is never below
    `at_least`.
    """
    if len(counts) == 0:
        return at_least
    logs = np.log(np.asarray(counts, dtype=float))
    middle = np.median(logs)
    scale = max(1.4826 * np.median(np.abs(logs - middle)), _MIN_SCALE)
    return max(float(np.exp(middle + n_mads * scale)), at_least)


def busy_windows(users, times, window):
    """Count the events of the same user in the window that ends with each event.

    Returns
    -------
    found : callable
        ``found(limit)`` tells which rows lie in any window of more than `limit` events.
    counts : ndarray of shape (n,)
        The number of events in each window.
    """
    groups, times = pd.factorize(users)[0], times.to_numpy()
    past = PastIndex(groups, times)
    order = past.order
    start = past.before(groups[order], times[order] - window)[1]
    end = past.before(groups[order], times[order], or_at=True)[1]

    def found(limit):
        busy = end - start > limit
        edges = np.bincount(start[busy], minlength=len(order) + 1)
        edges -= np.bincount(end[busy], minlength=len(order) + 1)
        inside = np.empty(len(order), dtype=bool)
        inside[order] = edges.cumsum()[:-1] > 0
        return inside

    return found, end - start


def comparable(values):
    """Replace cells that cannot be hashed (vectors) by their repr."""
    if values.dtype != object:
        return values
    return values.map(lambda v: v if isinstance(v, str) or v is None else repr(v))


def outside(values, low, high):
    """Tell which values lie below `low` or above `high`; None is no bound."""
    found = np.zeros(len(values), dtype=bool)
    if low is not None:
        found |= (values < low).to_numpy()
    if high is not None:
        found |= (values > high).to_numpy()
    return found


def check_ranges(ranges):
    """Ranges as a dict of (lowest, highest), refused by name if they are none."""
    if ranges is None:
        return {}
    if not isinstance(ranges, dict):
        raise ValueError(
            f"ranges={shown(ranges)} is no dict of a column to its (lowest, highest)."
        )
    for name, bounds in ranges.items():
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise ValueError(
                f"ranges[{name!r}]={shown(bounds)} is not (lowest, highest), None for "
                "no bound."
            )
    return dict(ranges)


def in_range_of(values, bounds):
    """Values that compare with their bounds, and the bounds.

    Numbers, numbers as text for one, compare with numbers, and times with times. What
    is neither is missing.

    Parameters
    ----------
    values : Series
    bounds : (lowest, highest)

    Returns
    -------
    values : Series
    bounds : list
    """
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in _TIME_KINDS:
        values = as_times(values, str(values.name), errors="coerce")
        read = [
            None if b is None else as_times([b], f"ranges[{values.name!r}]").iloc[0]
            for b in bounds
        ]
        if any(b is not None and np.ndim(b) == 0 and is_number(b) for b in read):
            raise ValueError(
                f"ranges[{values.name!r}]={shown(bounds)} holds a number, and the "
                "column holds times."
            )
        return values, read
    for bound in bounds:
        if bound is not None and not (is_number(bound) and bound == bound):
            raise ValueError(
                f"ranges[{values.name!r}]={shown(bounds)} holds {shown(bound)}, which "
                "is no number."
            )
    return pd.to_numeric(values.astype(object), errors="coerce"), bounds


_TIME_KINDS = frozenset(("datetime", "datetime64", "date", "period"))
