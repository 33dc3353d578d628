"""The catalogue of a log: its users and items, their features, and the pairs seen."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sklearn_causalrec.encoding.log_encoder import Rows


class PairScores(NamedTuple):
    """How pairs are scored: by encoded rows, and by whole blocks where that is faster.

    Parameters
    ----------
    rows : callable
        ``rows(rows)`` returns the scores of encoded rows.
    matrix : callable or None
        ``matrix(users, items)`` returns the scores of all pairs of the given codes.
        None means that blocks are scored row by row.
    split : callable or None, default=None
        ``split(pairs)`` returns what scores blocks of these pairs by their two sides,
        ``block(start, stop)``, or None where that cannot be.
    products : callable or None, default=None
        ``products(users, items)`` returns the scores of all pairs of some encoded rows,
        one for each user, and others, one for each item.
    of_item : ndarray of bool of shape (p,) or None, default=None
        Which features ``products`` reads from the rows of items; the others it reads
        from those of users.
    """

    rows: Callable
    matrix: Callable | None
    split: Callable | None = None
    products: Callable | None = None
    of_item: np.ndarray | None = None


def catalogue_scores(estimator, scorer, users, items):
    """Scores of all pairs of users and items of a log.

    Parameters
    ----------
    estimator : estimator
        Fitted, with a ``catalogue_``.
    scorer : PairScores
        How it scores pairs.
    users, items : ndarray of int
        The codes.

    Returns
    -------
    ndarray of shape (n_users, n_items), float32
        The scores.
    """
    if scorer.matrix is not None:
        return np.asarray(scorer.matrix(users, items), np.float32)
    catalogue = estimator.catalogue_

    def rows(user, item):
        found = Rows(catalogue.rows(user, item), user, item)
        if catalogue.history is not None:
            found.history = catalogue.history[user]
        if catalogue.history_values is not None:
            found.history_values = catalogue.history_values[user]
        return found

    if scorer.products is not None and len(users) and len(items):
        asked = rows(users, np.full(len(users), items[0]))
        of_items = rows(np.full(len(items), users[0]), items)
        return np.asarray(scorer.products(asked, of_items), np.float32)
    out = [scorer.rows(rows(np.full(len(items), user), items)) for user in users]
    return np.asarray(out, np.float32).reshape(len(users), len(items))


class _Side:
    """The features of the users, or of the items, as far as the log has come.

    Attributes
    ----------
    table : ndarray of shape (n_ids + 1, p)
        The last value of every feature for each id. The last row is the mean of the
        ids that have rows. It stands for all others.
    known : ndarray of bool of shape (n_ids,)
        Whether each id has rows.
    constant : ndarray of bool of shape (p,)
        Whether each feature has never changed for any id.
    repeats : bool
        Whether an id has several rows. Without one, constancy says nothing.
    texts : bool
        Whether the last feature is codes of texts, which have no mean: 0 is none.
    """

    texts = False

    def __init__(self, n_ids, n_features, before=None, texts=False):
        self.texts = texts
        self.table = np.zeros((n_ids + 1, n_features), np.float32)
        self.known = np.zeros(n_ids, bool)
        self.constant = np.ones(n_features, bool)
        self.repeats = False
        if before is not None:
            n = len(before.known)
            self.table[:n], self.known[:n] = before.table[:-1], before.known
            self.constant, self.repeats = before.constant.copy(), before.repeats

    def add(self, features, codes, order):
        """Add the rows of a log; of an id's several rows, the last in order stays."""
        met = self.known[codes]
        self.repeats |= bool(met.any()) or len(np.unique(codes)) < len(codes)
        last = np.full(len(self.known), -1)
        last[codes[order]] = order
        here = np.flatnonzero(last >= 0)
        for j in range(features.shape[1]):
            column, values = features[:, j], self.table[:-1, j]
            if self.constant[j]:
                self.constant[j] = _same(column[met], values[codes[met]])
            values[here] = column[last[here]]
            if self.constant[j]:
                self.constant[j] = _same(column, values[codes])
        self.known[here] = True
        mean = self.mean()
        self.table[:-1][~self.known] = mean
        self.table[-1] = mean

    def mean(self):
        """What stands for an id without rows; (p,)."""
        return _mean(self.table[:-1][self.known], self.texts)


def _same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def _mean(features, texts=False):
    """The mean of each column over the values there are; NaN where there are none, and
    0 of a last column of codes of texts."""
    mean = features.mean(axis=0, dtype=np.float64)
    if texts:
        mean[-1] = 0
    gaps = np.isnan(mean)
    if gaps.any():
        part = features[:, gaps].astype(np.float64)
        there = ~np.isnan(part)
        total = np.where(there, part, 0.0).sum(axis=0)
        count = there.sum(axis=0)
        mean[gaps] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


class Catalogue:
    """The users and items of a log, so that any pair of them can be scored.

    Each feature belongs to the user, to the item or to the context. Who owns it can be
    told (`told`). Otherwise the log says it. A feature that never changes for any item,
    and changes for some user, is a feature of the item. With the roles swapped it is a
    feature of the user. A feature that changes for both describes the context, and so
    does one that has the same value in all rows. A feature that changes for neither is
    a feature of the item; but if no item has several rows and some user has, it is a
    feature of the user.

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
    names : sequence of length p, default=None
        The names of the features. With None, their positions.
    told : sequence of {"user", "item", "context", None}, default=None
        The owner of each feature where it is told, else None. With None, no owner is
        told.
    control : int, default=None
        The code of the arm that means "not shown". With None, every row counts as
        shown.
    texts : bool, default=False
        Whether the last feature is codes of texts.

    Attributes
    ----------
    owner : Series
        Whose each feature is: "user", "item" or "context". The index is the names of
        the features. Features of the context count at ``context`` where nobody gives a
        value.
    certain : ndarray of bool of shape (p,)
        Whether the owner of each feature was told, or follows from a change of its
        value. Otherwise more rows could tell otherwise.
    of_user : ndarray of bool of shape (p,)
        Whether each feature is a feature of the user.
    of_item : ndarray of bool of shape (p,)
        Whether each feature is a feature of the item.
    user_table : ndarray of shape (n_users + 1, p)
        The last value of each feature for each user. The last row, the mean over users,
        stands for unknown users.
    item_table : ndarray of shape (n_items + 1, p)
        The last value of each feature for each item. The last row, the mean over items,
        stands for unknown items.
    context : ndarray of shape (p,)
        The mean of each feature.
    history : ndarray of shape (n_users + 1, length), or None
        The item codes of the history of each user, from the user's last row in time, or
        from the last row of the log if times are unknown.
    history_values : ndarray of shape (n_users + 1, length, q), or None
        The values that go with the history.
    items : ndarray of int
        The codes of the items that have rows. An item may occur in histories alone.
    logged : csr_array of shape (n_users + 1, n_items + 1)
        Whether each pair of user and item has rows.
    seen : csr_array of shape (n_users + 1, n_items + 1)
        Whether each pair was shown: whether it has a row of another arm than
        `control`.
    control : int or None
        The code of the arm that means "not shown".
    rated : csr_array of shape (n_users + 1, n_items + 1)
        Whether the user acted on the item: whether the pair has a row with y > 0.
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
    >>> catalogue.owner.to_dict(), catalogue.share
    ({'age': 'user'}, 0.75)
    """

    def __init__(
        self,
        rows,
        n_users,
        n_items,
        before=None,
        *,
        names=None,
        told=None,
        control=None,
        texts=False,
    ):
        features, user, item = rows.features, rows.user, rows.item
        n, p = features.shape
        self.n_users, self.n_items, self.n_rows = n_users, n_items, n
        order = np.arange(n)
        if rows.time is not None:
            order = np.argsort(rows.time, kind="stable")
        context = _mean(features, texts)
        if before is None:
            self._first, self._varies = features[0].copy(), np.zeros(p, bool)
        else:
            self.n_rows += before.n_rows
            context = before.context + n / self.n_rows * (context - before.context)
            self._first, self._varies = before._first, before._varies.copy()
        for j in np.flatnonzero(~self._varies):
            first = np.full(n, self._first[j])
            self._varies[j] = not _same(features[:, j], first)
        self.context = context.astype(np.float32)
        ours, theirs = (
            (None, None) if before is None else (before._users, before._items)
        )
        self._users = _Side(n_users, p, ours, texts)
        self._items = _Side(n_items, p, theirs, texts)
        self._users.add(features, user, order)
        self._items.add(features, item, order)
        self.user_table, self.item_table = self._users.table, self._items.table
        self._find_owners(range(p) if names is None else names, told)
        self.history = self._last_of_users(rows, "history", before, -1, order)
        self.history_values = self._last_of_users(
            rows, "history_values", before, 0, order
        )
        everything = np.ones(n, bool)
        shown = everything if control is None else rows.arm != control
        rated = ~everything if rows.y is None else rows.y > 0
        self.control = control
        self.logged = self._pairs(rows, everything, before, "logged")
        self.seen = self._pairs(rows, shown, before, "seen")
        self.rated = self._pairs(rows, rated, before, "rated")
        self.items = np.unique(self.logged.indices).astype(np.int64)
        self.share = self.logged.nnz / (n_users * len(self.items))

    def set_unknown(self, features):
        """Say what stands for ids without rows, and for the context, instead of means.

        Parameters
        ----------
        features : ndarray of shape (p,)
            A value of each feature that is no mean over the users of the log.
        """
        self.context = features.astype(np.float32)
        for side in (self._users, self._items):
            side.table[-1] = self.context
            side.table[:-1][~side.known] = self.context

    def _find_owners(self, names, told):
        user, item = self._users, self._items
        owner = np.full(len(self._varies), "context", object)
        owner[user.constant] = "user"
        owner[item.constant] = "item"
        if user.repeats and not item.repeats:
            owner[user.constant] = "user"
        owner[~self._varies] = "context"
        self.certain = ~(user.constant & item.constant)
        if told is not None:
            told = np.asarray(told, object)
            given = np.array([one is not None for one in told], bool)
            owner[given] = told[given]
            self.certain |= given
        self.owner = pd.Series(owner, list(names), name="owner", dtype=object)
        self.of_user, self.of_item = owner == "user", owner == "item"

    def _pairs(self, rows, chosen, before, name):
        """Whether each pair has a chosen row, here or before."""
        shape = (self.n_users + 1, self.n_items + 1)
        cells = rows.user[chosen], rows.item[chosen]
        pairs = csr_array((np.ones(len(cells[0]), bool), cells), shape=shape)
        if before is not None:
            earlier = getattr(before, name).tocoo()
            earlier = csr_array((earlier.data, earlier.coords), shape=shape)
            pairs = csr_array(pairs + earlier)
        return pairs

    def _last_of_users(self, rows, name, before, empty, order):
        values = getattr(rows, name)
        if values is None:
            return None
        table = np.full((self.n_users + 1, *values.shape[1:]), empty, values.dtype)
        if before is not None:
            table[: before.n_users] = getattr(before, name)[:-1]
        last = np.full(self.n_users, -1)
        last[rows.user[order]] = order  # of a user's several rows, the last one stays
        table[:-1][last >= 0] = values[last[last >= 0]]
        return table

    def share_of(self, keep, pairs="logged"):
        """Share of each item's users who are among some of them.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_users,)
            Some users.
        pairs : {"logged", "seen", "rated"}, default="logged"
            Which pairs make a user one of the item.

        Returns
        -------
        ndarray of shape (n_items,)
            The shares; 1 for an item that nobody has.
        """
        user, item = getattr(self, pairs)[:-1, :-1].tocoo().coords
        count = np.bincount(item, minlength=self.n_items)
        there = np.bincount(item, keep[user], minlength=self.n_items)
        return np.where(count > 0, there / np.maximum(count, 1), 1.0)

    def without_users(self, keep):
        """Remove users, in place, with their pairs, and items that were theirs alone.

        Means over the log (``context``) were made with their rows, and stay.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_users,)
            Which users stay.

        Returns
        -------
        Catalogue
            The catalogue itself.
        """
        rows = np.append(np.flatnonzero(keep), self.n_users)
        users, items = self._users, self._items
        users.table, users.known = users.table[rows], users.known[keep]
        users.table[-1] = users.mean()
        # Of an item, the last row is kept, with what it said of its user.
        of_rows = ~self.of_item & ~items.constant
        items.table[:, of_rows] = users.table[-1, of_rows]
        self._first[self._varies] = 0  # the first row, which nothing reads any more
        self.user_table, self.n_users = users.table, int(keep.sum())
        for name in ("history", "history_values", "logged", "seen", "rated"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name)[rows])
        self.items = np.unique(self.logged.indices).astype(np.int64)
        self.share = self.logged.nnz / (self.n_users * max(len(self.items), 1))
        return self

    def text_codes(self):
        """Return the texts that pairs may have, where the last feature is texts.

        Returns
        -------
        ndarray of float
            Their codes.
        """
        table = self.item_table if self.of_item[-1] else self.user_table
        kept = self.of_item[-1] or self.of_user[-1]
        return np.unique(table[:, -1]) if kept else np.zeros(1)

    def rows(self, user, item, context=None):
        """Compute the features of pairs of user and item.

        Parameters
        ----------
        user : ndarray of int of shape (n,)
            The user code of each pair.
        item : ndarray of int of shape (n,)
            The item code of each pair.
        context : ndarray of shape (p,) or (n, p), default=None
            The values of the context features, and of features that change with time
            for their owner. With None, the former are at their means and the latter at
            their last values.

        Returns
        -------
        ndarray of shape (n, p)
            The features as float32.
        """
        out = np.empty((len(user), len(self.context)), np.float32)
        of_user, of_item = self.of_user, self.of_item
        if context is not None:
            of_user = of_user & self._users.constant
            of_item = of_item & self._items.constant
        out[:] = self.context if context is None else context
        out[:, of_user] = self.user_table[user][:, of_user]
        out[:, of_item] = self.item_table[item][:, of_item]
        return out
