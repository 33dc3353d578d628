"""What lies before a time."""

import numpy as np


def in_days(gaps):
    """Gaps of datetimes or durations in days; of numbers as they are. (float64)"""
    gaps = np.asarray(gaps)
    if gaps.dtype.kind == "m":
        return gaps / np.timedelta64(1, "D")
    return gaps.astype(float)


class PastIndex:
    """Rows of a history by group and time, to ask for those before a time.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64 codes from 0 on
    times : ndarray of shape (n,), sortable

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

    def __init__(self, groups, times):
        self.times, rank = np.unique(times, return_inverse=True)
        keys = groups * (len(self.times) + 1) + rank
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]
        n_groups = int(groups.max()) + 1 if len(groups) else 0
        self.starts = np.searchsorted(
            self.keys, np.arange(n_groups + 1) * (len(self.times) + 1)
        )

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
        # Groups from the largest known on share the last start, which is the end.
        last = len(self.starts) - 1
        start = np.where(groups < 0, 0, self.starts[np.clip(groups, 0, last)])
        rank = np.searchsorted(self.times, times, side="right" if or_at else "left")
        keys = groups * (len(self.times) + 1) + rank
        return start, np.where(groups < 0, 0, np.searchsorted(self.keys, keys))
