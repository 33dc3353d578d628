"""What lies before a time."""

import numpy as np
from scipy.sparse import coo_array


def in_days(gaps):
    """Gaps of datetimes or durations in days; of numbers as they are. (float64)"""
    gaps = np.asarray(gaps)
    if gaps.dtype.kind == "m":
        return gaps / np.timedelta64(1, "D")
    return gaps.astype(float)


class Clock:
    """The distinct times of a history in order, and the place of each row among them.

    Parameters
    ----------
    times : ndarray of shape (n,), sortable

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        The distinct times, ascending.
    order : ndarray of shape (n,) or None
        The rows sorted by time, ties as they came. None: they are sorted.
    rank : ndarray of shape (n,)
        The position of the time of each row in `times`, by row.

    Examples
    --------
    >>> clock = Clock(np.array([5, 3, 5]))
    >>> clock.rank.tolist(), clock.before(np.array([4, 5])).tolist()
    ([1, 0, 1], [1, 1])
    """

    def __init__(self, times):
        times = np.asarray(times)
        self.order = None
        if len(times) and not (times[1:] >= times[:-1]).all():
            self.order = np.argsort(times, kind="stable")
            times = times[self.order]
        new = np.ones(len(times), bool)
        new[1:] = times[1:] != times[:-1]
        self.times, rank = times[new], np.cumsum(new) - 1
        self.rank = rank
        if self.order is not None:
            self.rank = np.empty_like(rank)
            self.rank[self.order] = rank

    def before(self, times, *, or_at=False):
        """How many of the distinct times lie strictly before (or at) others."""
        return in_order(self.times, times, "right" if or_at else "left")


def in_order(known, asked, side="left"):
    """``np.searchsorted``, several times as fast where both sides are many.

    Parameters
    ----------
    known : ndarray of shape (n,), sorted
    asked : ndarray of shape (m,)
    side : {"left", "right"}

    Returns
    -------
    ndarray of shape (m,)
    """
    if len(asked) < 1000 or (asked[1:] >= asked[:-1]).all():
        return np.searchsorted(known, asked, side=side)
    # A random search misses the caches at each of its steps; a sorted one does not.
    order = np.argsort(asked)
    places = np.empty(len(asked), np.intp)
    places[order] = np.searchsorted(known, asked[order], side=side)
    return places


class PastIndex:
    """Rows of a history by group and time, to ask for those before a time.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64 codes from 0 on
    times : ndarray of shape (n,), sortable
    clock : Clock, default=None
        That of the times, where other indices share it. None: a new one.

    Attributes
    ----------
    order : ndarray of shape (n,)
        Rows of the history sorted by group and time, ties as they came.

    Examples
    --------
    >>> past = PastIndex(np.array([0, 0, 1]), np.array([5, 3, 4]))
    >>> start, end = past.before(np.array([0, 1]), np.array([5, 4]))
    >>> (end - start).tolist()
    [1, 0]
    """

    def __init__(self, groups, times, clock=None):
        clock = Clock(times) if clock is None else clock
        self.times = clock.times
        n, n_groups = len(groups), int(groups.max()) + 1 if len(groups) else 0
        by_time = groups if clock.order is None else groups[clock.order]
        # Rows in order of time, counted into their groups: no sort of all rows by both.
        counted = coo_array(
            (np.ones(n, np.int8), (by_time, np.arange(n))), (max(n_groups, 1), n)
        ).tocsr()
        self.order = counted.indices.astype(np.intp, copy=False)
        if clock.order is not None:
            self.order = clock.order[self.order]
        self.starts = counted.indptr.astype(np.intp)[: n_groups + 1]
        self.keys = (groups * (len(self.times) + 1) + clock.rank)[self.order]

    def before(self, groups, times, *, or_at=False):
        """Positions [start, end) in `order` of what lies strictly before the times.

        Parameters
        ----------
        groups : ndarray of shape (m,)
            -1 for a group without history.
        times : ndarray of shape (m,)
        or_at : bool
            Count what lies at the time as well.
        """
        side = "right" if or_at else "left"
        return self.before_ranks(groups, in_order(self.times, times, side))

    def before_ranks(self, groups, ranks):
        """The same, by how many of the distinct times lie before the times."""
        # Groups from the largest known on share the last start, which is the end.
        last = len(self.starts) - 1
        start = np.where(groups < 0, 0, self.starts[np.clip(groups, 0, last)])
        keys = groups * (len(self.times) + 1) + ranks
        return start, np.where(groups < 0, 0, in_order(self.keys, keys))
