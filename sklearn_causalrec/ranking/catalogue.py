"""The catalogue of a log: its users and items, their features, and the pairs seen."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array


class PairScores(NamedTuple):
    """How pairs are scored: by encoded rows, and by whole blocks where that is faster.

    Parameters
    ----------
    rows : callable
        ``rows(rows)`` returns the scores of encoded rows.
    matrix : callable or None
        ``matrix(users, items)`` returns the scores of all pairs of the given codes.
        None means that blocks are scored row by row.
    """

    rows: Callable
    matrix: Callable | None


def _constant_within(codes, n_codes, column):
    """Return the value of the column for each code, or None if it varies within a code.

    Codes without rows have the mean of the column.
    """
    table = np.full(n_codes, np.nanmean(column), column.dtype)
    table[codes] = column
    return table if np.array_equal(table[codes], column, equal_nan=True) else None


def _grown(table, n):
    """Make room for n ids. New ids start with the last row, as unknown ids do."""
    return np.concatenate([table, np.repeat(table[-1:], n + 1 - len(table), axis=0)])


class Catalogue:
    """The users and items of a log, so that any pair of them can be scored.

    A feature that is constant within every user is a feature of the user. Otherwise, a
    feature that is constant within every item is a feature of the item. All other
    features describe the context, and count at their mean.

    Parameters
    ----------
    rows : Rows
        The encoded log, with user and item codes.
    n_users : int
        The number of users. User codes are below it.
    n_items : int
        The number of items. Item codes are below it.
    before : Catalogue, default=None
        The catalogue of the log so far, which the rows are added to. With None, a new
        catalogue is made.

    Attributes
    ----------
    of_user : ndarray of shape (p,)
        Whether each feature is a feature of the user.
    of_item : ndarray of shape (p,)
        Whether each feature is a feature of the item.
    user_table : ndarray of shape (n_users + 1, p)
        The user features of each user. The last row, the mean, stands for unknown
        users.
    item_table : ndarray of shape (n_items + 1, p)
        The item features of each item. The last row, the mean, stands for unknown
        items.
    context : ndarray of shape (p,)
        The mean of each feature.
    history : ndarray of shape (n_users + 1, length), or None
        The item codes of the history of each user, from the user's last row in time, or
        from the last row of the log if times are unknown.
    history_values : ndarray of shape (n_users + 1, length, q), or None
        The values that go with the history.
    items : ndarray of int
        The codes of the items that have rows. An item may occur in histories alone.
    seen : csr_array of shape (n_users + 1, n_items + 1)
        Whether each pair of user and item was logged.
    share : float
        The share of all pairs that were logged.

    See Also
    --------
    sklearn_causalrec.recommend : Rank the items of a catalogue for each user.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import GlobalMean
    >>> log = pd.DataFrame({"user": [1, 1, 2], "item": [7, 8, 7], "age": [30, 30, 40]})
    >>> model = GlobalMean(user="user", item="item").fit(log, [0.0, 1.0, 1.0])
    >>> catalogue = model.catalogue_
    >>> catalogue.of_user.tolist(), catalogue.share
    ([True], 0.75)
    """

    def __init__(self, rows, n_users, n_items, before=None):
        features, user, item = rows.features, rows.user, rows.item
        n, p = features.shape
        self.n_users, self.n_items, self.n_rows = n_users, n_items, n
        context = features.mean(axis=0, dtype=np.float64)
        if np.isnan(context).any():
            context = np.nanmean(features, axis=0, dtype=np.float64)
        if before is None:
            self.of_user = np.zeros(p, bool)
            self.of_item = np.zeros(p, bool)
            self.user_table = np.zeros((n_users + 1, p), np.float32)
            self.item_table = np.zeros((n_items + 1, p), np.float32)
            self._place_features(features, user, item)
        else:
            self.n_rows += before.n_rows
            context = before.context + n / self.n_rows * (context - before.context)
            self.user_table = _grown(before.user_table, n_users)
            self.item_table = _grown(before.item_table, n_items)
            self.of_user, self.of_item = before.of_user.copy(), before.of_item.copy()
            self._update_features(features, user, item)
        self.context = context.astype(np.float32)
        self.history = self._last_of_users(rows, "history", before, -1)
        self.history_values = self._last_of_users(rows, "history_values", before, 0)
        shape = (n_users + 1, n_items + 1)
        self.seen = csr_array((np.ones(n, bool), (user, item)), shape=shape)
        if before is not None:
            earlier = before.seen.tocoo()
            earlier = csr_array((earlier.data, earlier.coords), shape=shape)
            self.seen = csr_array(self.seen + earlier)
        self.items = np.unique(self.seen.indices).astype(np.int64)
        self.share = self.seen.nnz / (n_users * len(self.items))

    def _place_features(self, features, user, item):
        for j in range(features.shape[1]):
            column = features[:, j]
            if np.array_equal(column, np.full_like(column, column[0]), equal_nan=True):
                continue
            for codes, table, mine in (
                (user, self.user_table, self.of_user),
                (item, self.item_table, self.of_item),
            ):
                values = _constant_within(codes, len(table) - 1, column)
                if values is not None:
                    table[:-1, j] = values
                    table[-1, j] = np.nanmean(values)
                    mine[j] = True
                    break

    def _update_features(self, features, user, item):
        for codes, table, mine in (
            (user, self.user_table, self.of_user),
            (item, self.item_table, self.of_item),
        ):
            for j in np.flatnonzero(mine):
                column = features[:, j]
                table[codes, j] = column
                mine[j] = np.array_equal(table[codes, j], column, equal_nan=True)

    def _last_of_users(self, rows, name, before, empty):
        values = getattr(rows, name)
        if values is None:
            return None
        table = np.full((self.n_users + 1, *values.shape[1:]), empty, values.dtype)
        if before is not None:
            table[: before.n_users] = getattr(before, name)[:-1]
        order = np.arange(len(values))
        if rows.time is not None:
            order = np.argsort(rows.time, kind="stable")
        last = np.full(self.n_users, -1)
        last[rows.user[order]] = order  # of a user's several rows, the last one stays
        table[:-1][last >= 0] = values[last[last >= 0]]
        return table

    def rows(self, user, item, context=None):
        """Compute the features of pairs of user and item.

        Parameters
        ----------
        user : ndarray of int of shape (n,)
            The user code of each pair.
        item : ndarray of int of shape (n,)
            The item code of each pair.
        context : ndarray of shape (p,), default=None
            The values of the context features. With None, they are at their means.

        Returns
        -------
        ndarray of shape (n, p)
            The features as float32.
        """
        out = np.empty((len(user), len(self.context)), np.float32)
        out[:] = self.context if context is None else context
        out[:, self.of_user] = self.user_table[user][:, self.of_user]
        out[:, self.of_item] = self.item_table[item][:, self.of_item]
        return out
