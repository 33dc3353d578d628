"""Batches of queries with their positives, from the rows of a log."""

import numpy as np
import torch
from torch.utils.data import Subset

CELLS = 2**24  # scores of queries and items at once


def ranges(first, size):
    """The numbers first, first + 1, …, as many as size says, range after range."""
    offset = np.cumsum(size) - size
    return np.repeat(first - offset, size) + np.arange(size.sum())


def cut(sizes, most, most_parts):
    """Where to cut parts of these sizes so that a piece has so much, and so many.

    Parameters
    ----------
    sizes : ndarray of int of shape (n,)
        The sizes.
    most : int
        The sum of the sizes of a piece, about.
    most_parts : int
        The largest number of parts in a piece.

    Returns
    -------
    list of slice
        The pieces.
    """
    piece = (np.cumsum(sizes) - 1) // most
    starts = np.flatnonzero(np.diff(piece, prepend=-1))
    ends = np.append(starts[1:], len(sizes))
    return [
        slice(s, min(s + most_parts, end))
        for start, end in zip(starts, ends)
        for s in range(start, end, most_parts)
    ]


class _Loader:
    """What loaders of positives share; the parameters are those of a SliceLoader."""

    def __init__(
        self, dataset, batch_size, shuffle=False, generator=None, draw_pairs=None,
        most_queries=CELLS,
    ):  # fmt: skip
        whole = dataset
        self.rows = np.arange(len(dataset))
        if isinstance(dataset, Subset):
            self.rows, whole = np.asarray(dataset.indices), dataset.dataset
        self.X, self.weight = whole.X, whole.y
        self.plain = bool((self.weight == 1).all())
        self.batch_size, self.most_queries = batch_size, most_queries
        self.shuffle, self.generator = shuffle, generator

    def _order(self, n):
        if not self.shuffle:
            return np.arange(n)
        return torch.randperm(n, generator=self.generator).numpy()

    def _positives(self, rows, query):
        """What the objective reads of positives."""
        rows = torch.from_numpy(rows)
        batch = {"query": torch.from_numpy(query), "item": self.X["place"][rows]}
        if not self.plain:
            batch["weight"] = self.weight[rows]
        return batch


class QueryLoader(_Loader):
    """Batches of queries, each with all its positives.

    Rows of one query (those of a user, where nothing else is asked by) are one query:
    its vector and its scores are computed once.
    """

    def __init__(self, dataset, batch_size, **options):
        super().__init__(dataset, batch_size, **options)
        query = self.X["query"].numpy()[self.rows]
        self.rows = self.rows[np.argsort(query, kind="stable")]
        _, self.first, self.size = np.unique(
            np.sort(query), return_index=True, return_counts=True
        )

    def __iter__(self):
        order = self._order(len(self.first))
        for piece in cut(self.size[order], self.batch_size, self.most_queries):
            first, size = self.first[order[piece]], self.size[order[piece]]
            rows = self.rows[ranges(first, size)]
            batch = self._positives(rows, np.repeat(np.arange(len(size)), size))
            one = torch.from_numpy(self.rows[first])
            names = ("features", "user", "history")
            asked = {name: self.X[name][one] for name in names if name in self.X}
            yield {**batch, "asked": asked}, self.weight[torch.from_numpy(rows)]


class WindowLoader(_Loader):
    """Batches of windows of a user's positives in their order.

    Each item of a window is to be told from those before it. The rows are sorted by
    user and time. The windows of an epoch follow each other in each user, from a start
    that is drawn anew; those for validation end at the user's last row.
    """

    def __init__(self, dataset, batch_size, length=50, **options):
        super().__init__(dataset, batch_size, **options)
        self.batch_size = min(batch_size, max(self.most_queries - length, 1))
        user = self.X["user"].numpy()
        _, self.first, self.size = np.unique(
            user, return_index=True, return_counts=True
        )
        self.length = length
        self.chosen = np.zeros(len(user), bool)
        self.chosen[self.rows] = True
        self.code = self.X["item"].numpy()

    def _windows(self):
        """First row and number of items of each window that has a chosen target."""
        length, steps = self.length, self.size - 1
        start = -steps % length
        if self.shuffle:
            start = torch.randint(length, start.shape, generator=self.generator).numpy()
        n_windows = -(-(steps + start) // length) * (steps > 0)
        user = np.repeat(np.arange(len(steps)), n_windows)
        low = ranges(np.zeros_like(n_windows), n_windows) * length - start[user]
        high = np.minimum(low + length, steps[user])
        low = np.maximum(low, 0)
        first, size = self.first[user] + low, high - low
        targets = np.append(0, np.cumsum(self.chosen))
        there = targets[first + size + 1] > targets[first + 1]
        return first[there], size[there]

    def __iter__(self):
        first, size = self._windows()
        order = self._order(len(first))
        for piece in cut(size[order], self.batch_size, self.most_queries):
            start, n = first[order[piece]], size[order[piece]]
            windows = np.full((len(n), n.max()), -1)
            filled = np.arange(n.max()) < n[:, None]
            rows = ranges(start, n)
            windows[filled] = self.code[rows]
            window, place = np.nonzero(filled)
            kept = self.chosen[rows + 1]
            rows = rows[kept] + 1
            batch = self._positives(rows, np.arange(len(rows)))
            targets = torch.from_numpy(rows)
            asked = {
                "windows": torch.from_numpy(windows),
                "window": torch.from_numpy(window[kept]),
                "place": torch.from_numpy(place[kept]),
                "features": self.X["features"][targets],
            }
            yield {**batch, "asked": asked}, self.weight[targets]


def log_popularity(chosen, lately, item):
    """The logarithm of 1 + the number of users who chose each item, of late more.

    Parameters
    ----------
    chosen : sparse array of shape (n_users + 1, n_items + 1)
        Which pairs are positives.
    lately : ndarray of shape (n_items,) or None
        By what the numbers are multiplied; None: by 1.
    item : ndarray of int
        The items that are asked for.

    Returns
    -------
    ndarray
        Of items beyond the table, 0.
    """
    count = np.asarray(chosen.sum(0), float).ravel()
    if lately is not None:
        count[: len(lately)] *= lately
    return np.log1p(np.append(count, 0))[np.minimum(item, len(count))]


def nothing_known(rows, chosen):
    """Which rows are of users without a history, and without positives.

    Parameters
    ----------
    rows : Rows
        Who asks.
    chosen : sparse array of shape (n_users + 1, n_items + 1) or None
        Which pairs are positives; the last user is an unknown one. None: positives of
        users are not read.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    new = np.ones(len(rows), bool)
    if rows.history is not None:
        new = (rows.history < 0).all(1)
    if chosen is not None:
        number = np.diff(chosen.indptr)
        new &= np.append(number == 0, False)[np.minimum(rows.user, len(number))]
    return new
