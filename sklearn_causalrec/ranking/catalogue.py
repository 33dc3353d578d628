"""The catalogue of a log: its users and items, their features, and the pairs seen."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array


class PairScores(NamedTuple):
    """Scores of pairs: of encoded rows, and of whole blocks where that is faster."""

    rows: Callable
    matrix: Callable | None


def _constant_within(codes, n_codes, column):
    """Value of the column for each code, or None where it varies within a code.

    The mean for codes without rows.
    """
    table = np.full(n_codes, np.nanmean(column), column.dtype)
    table[codes] = column
    return table if np.array_equal(table[codes], column, equal_nan=True) else None


def _grown(table, n):
    """Room for n ids, which start as those not seen: as the last row."""
    return np.concatenate([table, np.repeat(table[-1:], n + 1 - len(table), axis=0)])


class Catalogue:
    """Users and items of a log, so that any pair can be scored.

    A feature that is constant within every user is a feature of the user, else one
    that is constant within every item is a feature of the item; any other one
    describes the context and counts at its mean.

    Parameters
    ----------
    rows : Rows
        With user and item.
    n_users, n_items : int
        Codes are below them.
    before : Catalogue, optional
        Of the log so far, to go on from.

    Attributes
    ----------
    of_user, of_item : ndarray of shape (p,), bool
    user_table : ndarray of shape (n_users + 1, p)
        The last row, the mean, stands for users not seen. Likewise ``item_table``.
    context : ndarray of shape (p,)
    history, history_values : ndarray of shape (n_users + 1, length[, q]), or None
        Of the last row of each user: in time where it is known, else of the log.
    items : ndarray of codes
        Those with rows: an item may be in histories alone.
    seen : csr_array of shape (n_users + 1, n_items + 1), bool
    share : float
        Of all pairs, those logged.
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
        """Features of the pairs (user[i], item[i]); (n, p) float32."""
        out = np.empty((len(user), len(self.context)), np.float32)
        out[:] = self.context if context is None else context
        out[:, self.of_user] = self.user_table[user][:, self.of_user]
        out[:, self.of_item] = self.item_table[item][:, self.of_item]
        return out
