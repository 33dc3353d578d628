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
    """Value of the column for each code, or None where it varies within a code."""
    table = np.empty(n_codes, column.dtype)
    table[codes] = column
    return table if (table[codes] == column).all() else None


class Catalogue:
    """Users and items of a log, so that any pair can be scored.

    A feature that is constant within every user is a feature of the user, else one
    that is constant within every item is a feature of the item; any other one
    describes the context and counts at its mean.

    Parameters
    ----------
    features : ndarray of shape (n, p), float32
    user, item : ndarray of shape (n,), codes below n_users, n_items
    n_users, n_items : int

    Attributes
    ----------
    of_user, of_item : ndarray of shape (p,), bool
    user_table : ndarray of shape (n_users + 1, p)
        The last row, the mean, stands for users not seen. Likewise ``item_table``.
    context : ndarray of shape (p,)
    seen : csr_array of shape (n_users + 1, n_items + 1), bool
    share : float
        Of all pairs, those logged.
    """

    def __init__(self, features, user, item, n_users, n_items):
        p = features.shape[1]
        self.n_users, self.n_items = n_users, n_items
        self.of_user = np.zeros(p, bool)
        self.of_item = np.zeros(p, bool)
        self.user_table = np.zeros((n_users + 1, p), np.float32)
        self.item_table = np.zeros((n_items + 1, p), np.float32)
        self.context = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        for j in range(p):
            column = features[:, j]
            varies = (column != column[0]).any()
            for codes, table, mine in (
                (user, self.user_table, self.of_user),
                (item, self.item_table, self.of_item),
            ):
                n_codes = len(table) - 1
                values = _constant_within(codes, n_codes, column) if varies else None
                if values is not None:
                    table[:-1, j] = values
                    table[-1, j] = values.mean()
                    mine[j] = True
                    break
        shape = (n_users + 1, n_items + 1)
        ones = np.ones(len(user), bool)
        self.seen = csr_array((ones, (user, item)), shape=shape)
        self.share = self.seen.nnz / (n_users * n_items)

    def rows(self, user, item, context=None):
        """Features of the pairs (user[i], item[i]); (n, p) float32."""
        out = np.empty((len(user), len(self.context)), np.float32)
        out[:] = self.context if context is None else context
        out[:, self.of_user] = self.user_table[user][:, self.of_user]
        out[:, self.of_item] = self.item_table[item][:, self.of_item]
        return out
