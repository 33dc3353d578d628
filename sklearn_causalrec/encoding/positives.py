"""Positives of users: one row a pair, and the order in which a user chose."""

import numpy as np
import pandas as pd

HALF_OF_LOG = (
    0.1  # what is popular changes: the share of a log after which half is left
)
NO_POSITIVES = (
    "No row has y > 0, and positives are what lists are learned from: pass 1 for each "
    "pair that the user chose, or leave y out."
)


def first_of_pairs(user, item, weight, n_items):
    """The row of largest weight of each pair, in the order of (user, item)."""
    order = np.lexsort((-weight, item, user))
    cell = user[order].astype(np.int64) * n_items + item[order]
    return order[np.flatnonzero(np.diff(cell, prepend=-1))]


def steps_back(user, time):
    """How many rows of the user are later; rows of one time stand in their order."""
    order = np.lexsort((np.arange(len(user)), time, user))
    grouped = pd.Series(user[order])
    back = np.empty(len(user))
    back[order] = grouped.groupby(grouped).cumcount(ascending=False)
    return back


def freshness(time, half=HALF_OF_LOG):
    """Weights of positives that halve with each share of the log that came later.

    Parameters
    ----------
    time : ndarray of shape (n,)
        The times of the positives.
    half : float, default=0.1
        The share of the positives.

    Returns
    -------
    ndarray of shape (n,)
        The weights, with a mean of 1.
    """
    later = len(time) - np.searchsorted(np.sort(time), time, side="right")
    weight = 0.5 ** (later / (half * len(time)))
    return weight / weight.mean()


def lateness(rows):
    """The mean weight by :func:`freshness` of each item's positives.

    Parameters
    ----------
    rows : Rows
        The log.

    Returns
    -------
    ndarray of shape (n_items,) or None
        In the order of the codes of items. None where there are no times.
    """
    if rows.time is None:
        return None
    rows = rows.take(rows.y > 0)
    total = np.bincount(rows.item, freshness(rows.time))
    return total / np.maximum(np.bincount(rows.item), 1)


def last_items(user, item, time, n_users, length, before=None):
    """The last items of each user, as the columns of histories are encoded.

    Parameters
    ----------
    user, item : ndarray of int of shape (n,)
        Codes of the positives.
    time : ndarray of shape (n,)
        Their times. Rows of one time stand in their order.
    n_users : int
        The number of users.
    length : int
        The number of items that are kept, the last ones.
    before : ndarray of shape (n_users_before + 1, length), default=None
        The last items before these rows. None: there are none.

    Returns
    -------
    ndarray of int32 of shape (n_users + 1, length)
        Codes of the items, oldest first, filled up with -1. The last row, for unknown
        users, is empty.
    """
    order = np.argsort(time, kind="stable")
    user, item = user[order], item[order]
    if before is not None:
        there = before[:-1] >= 0
        user = np.concatenate([np.nonzero(there)[0], user])
        item = np.concatenate([before[:-1][there], item])
    table = np.full((n_users + 1, length), -1, np.int32)
    back = steps_back(user, np.arange(len(user))).astype(np.int64)
    size = np.minimum(np.bincount(user, minlength=n_users), length)
    kept = back < length
    user, back = user[kept], back[kept]
    table[user, size[user] - 1 - back] = item[kept]
    return table
