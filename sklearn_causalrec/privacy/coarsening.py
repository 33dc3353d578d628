"""Ladders from the values of a column to one group of all, and the way down them."""

from typing import Any

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.kinds import as_days, as_series, floats_of, kind_of

FINEST = 64  # bins of a column with more distinct numbers
OTHER = "other"


class Ladder:
    """The values of one column, and coarser and coarser groups of them.

    Numbers and times, and categories that have an order, are cut at quantiles: 64 bins,
    32, and so on to 1; whatever is above the last cut is one group ("top-coding").
    Of other categories, the most frequent ones stay, half as many each time, and the
    others are merged. Each step is a union of groups of the one before. A missing value
    is a value of its own, until all are one.

    Parameters
    ----------
    column : array-like of shape (n,)
        The column.
    name : hashable
        Its name.

    Attributes
    ----------
    codes : ndarray of int of shape (n,)
        The distinct value of each row.
    steps : list of ndarray of shape (n_values,)
        The group of each distinct value, the finest first.
    ordered : bool
        Whether the values have an order.
    """

    def __init__(self, column, name):
        column = as_series(column, name)
        self.name, self.kind = name, kind_of(column, name)
        self.dtype: Any = column.dtype
        self.ordered = self.kind in ("number", "time") or bool(
            getattr(self.dtype, "ordered", False)
        )
        self.spans = pd.api.types.infer_dtype(column, skipna=True).startswith("timed")
        values = plain(column, self.kind, name)
        known = values[~pd.isna(values)]
        if self.kind == "category" and self.ordered:
            present = set(known.tolist())
            levels = [v for v in self.dtype.categories.tolist() if v in present]
            self.values = np.empty(len(levels), object)
            self.values[:] = levels
        else:
            self.values = np.unique(known)
        self.codes = self.find(values)
        if (self.codes == len(self.values)).any():
            self.n_values = len(self.values) + 1
        else:
            self.n_values = len(self.values)
        count = np.bincount(self.codes, minlength=self.n_values)
        self.steps = [np.arange(self.n_values)]
        make = self._bins if self.ordered else self._frequent
        for group in make(count):
            group = np.unique(group, return_inverse=True)[1]
            if group.max() < self.steps[-1].max():
                self.steps.append(group)
        if self.n_values > 1 and self.steps[-1].max() > 0:
            self.steps.append(np.zeros(self.n_values, int))

    def find(self, values):
        """Position of plain values among those known; len(values) for missing ones.

        Values that are not known get -1.
        """
        missing = pd.isna(values)
        codes = pd.Index(self.values).get_indexer(pd.Index(values))
        return np.where(missing, len(self.values), codes)

    def _missing(self, group):
        """Groups of the values there are, and one of its own for missing ones."""
        if self.n_values > len(self.values):
            group = np.append(group, group.max(initial=-1) + 1)
        return group

    def _bins(self, count):
        count = count[: len(self.values)]
        middle = (np.cumsum(count) - count / 2) / max(count.sum(), 1)
        n_bins = FINEST
        while n_bins > 1:
            yield self._missing((middle * n_bins).astype(int))
            n_bins //= 2

    def _frequent(self, count):
        # ties by the order of the levels
        order = np.argsort(-count, kind="stable")
        rank = np.empty(len(count), int)
        rank[order] = np.arange(len(count))
        kept = 1
        while 2 * kept < len(count):
            kept *= 2
        while kept >= 1:
            if len(count) - kept >= 2:
                yield np.minimum(rank, kept)
            kept //= 2

    def n_groups(self, step):
        """Number of groups at a step."""
        return int(self.steps[step].max()) + 1 if self.n_values else 0

    def edges(self, step):
        """Cuts between the groups of ordered values, ascending."""
        group = self.steps[step][: len(self.values)]
        at = np.flatnonzero(np.diff(group))
        values = self.values if self.kind != "category" else np.arange(len(group))
        values = values.astype(float)
        return (values[at] + values[at + 1]) / 2

    def what(self, step):
        """What a step does, in words."""
        n = self.n_groups(step)
        if step == 0:
            return "stays"
        if n == 1:
            return "is one value, or left out"
        return f"{n} bins" if self.ordered else f"the {n - 1} most frequent levels"


class Rule:
    """The group of any value of a column, without the values that the groups merge.

    Parameters
    ----------
    ladder : Ladder
        The column.
    step : int
        How coarse it is.
    shared : set of int
        The groups that k persons share: values of no other group are kept.
    """

    def __init__(self, ladder, step, shared):
        groups, values = ladder.steps[step], ladder.values
        self.name, self.kind = ladder.name, ladder.kind
        self.stays = step == 0
        self.is_one = step > 0 and ladder.n_groups(step) == 1
        self.missing = int(groups[-1]) if ladder.n_values > len(values) else -1
        self.edges, self.other = None, -1
        groups = groups[: len(values)]
        if step and ladder.ordered and ladder.kind != "category":
            self.edges, self.bins = ladder.edges(step), pd.unique(groups)
            return
        kept = np.isin(groups, list(shared))
        if step and not ladder.ordered:
            size = np.bincount(ladder.steps[step])
            if size.max() > 1:  # what is not among those kept is among the others
                self.other = int(np.argmax(size))
                kept &= groups != self.other
        self.values, self.groups = pd.Index(values[kept]), groups[kept]

    def group_of(self, column):
        """Group of each value, also of new ones; -1 where nothing tells it."""
        values = plain(column, self.kind, self.name)
        if self.is_one:
            return np.zeros(len(values), int)
        if self.edges is not None:
            found = self.bins[np.searchsorted(self.edges, values, "left")
                              .clip(max=len(self.bins) - 1)]  # fmt: skip
        else:
            at = self.values.get_indexer(pd.Index(values))
            groups = np.append(self.groups, self.other)
            found = groups[np.where(at < 0, len(self.groups), at)]
        return np.where(pd.isna(values), self.missing, found)


def plain(column, kind, name):
    """Values that can be compared: numbers, days, or levels; missing ones stay.

    Parameters
    ----------
    column : array-like of shape (n,)
        The column.
    kind : {"number", "time", "text", "category"}
        What it holds.
    name : hashable
        Its name.

    Returns
    -------
    ndarray of shape (n,)
    """
    column = as_series(column, name)
    if kind == "number":
        return floats_of(column)
    if kind == "time":
        return as_days(column)
    return column.astype(object).to_numpy()


class Classes:
    """Rows that share all values of some columns, and how many persons they are.

    Parameters
    ----------
    ladders : list of Ladder
        The columns.
    person : ndarray of int of shape (n,), default=None
        Whose each row is. None: every row is a person.
    """

    def __init__(self, ladders, person=None):
        self.ladders = ladders
        finest = np.column_stack([ladder.codes for ladder in ladders])
        if person is not None:
            finest = np.column_stack([finest, person])
        # Rows that are alike are counted once, which makes the search quick.
        self.rows, self.row_of, self.count = np.unique(
            finest, axis=0, return_inverse=True, return_counts=True
        )
        self.row_of = self.row_of.ravel()
        self.person = None if person is None else self.rows[:, -1]
        self.total = len(finest) if person is None else len(np.unique(person))

    def codes(self, steps):
        """Class of each distinct row, when the columns are at these steps."""
        codes = np.zeros(len(self.rows), np.int64)
        for ladder, step, values in zip(self.ladders, steps, self.rows.T):
            group = ladder.steps[step][values]
            codes = codes * (group.max(initial=0) + 1) + group
            codes = np.unique(codes, return_inverse=True)[1]
        return codes

    def sizes(self, codes):
        """Number of persons of each class."""
        if self.person is None:
            return np.bincount(codes, self.count).astype(int)
        pairs = np.unique(np.column_stack([codes, self.person]), axis=0)
        return np.bincount(pairs[:, 0])

    def exposed(self, steps, k):
        """Number of persons in classes of fewer than k."""
        codes = self.codes(steps)
        size = self.sizes(codes)
        if self.person is None:
            return int(size[size < k].sum())
        return len(np.unique(self.person[size[codes] < k]))


def enough(classes, steps, k, max_exposed=0):
    """Whether few enough persons are in classes of fewer than k.

    If any are, they have to be k or more, since suppressed rows are a class as well.
    """
    exposed = classes.exposed(steps, k)
    return exposed == 0 or k <= exposed <= max_exposed


def coarsen(classes, k, max_exposed=0):
    """Find steps by which every class has k persons; greedy.

    Down: the column whose next step brings most persons into classes of k or more; of
    several, the one that has the most groups left. Then up again: columns go back as
    far as that leaves the classes large enough. So no column can be one step finer,
    though another combination may lose less: the best one is NP-hard to find [1]_.

    Parameters
    ----------
    classes : Classes
        The rows.
    k : int
        The number of persons in a class.
    max_exposed : int, default=0
        The number of persons who may be in smaller ones.

    Returns
    -------
    list of int
        The step of each column.

    References
    ----------
    .. [1] Meyerson, A. and Williams, R. (2004). "On the complexity of optimal
       k-anonymity." PODS.
    """
    ladders = classes.ladders
    steps = [0] * len(ladders)
    while not enough(classes, steps, k, max_exposed):
        found = []
        for j, ladder in enumerate(ladders):
            if steps[j] + 1 < len(ladder.steps):
                tried = [*steps[:j], steps[j] + 1, *steps[j + 1 :]]
                left = classes.exposed(tried, k)
                found.append((left, -ladder.n_groups(steps[j]), j))
        steps[min(found)[2]] += 1
    finer = True
    while finer:
        finer = False
        for j in sorted(range(len(steps)), key=lambda j: ladders[j].n_groups(steps[j])):
            if steps[j]:
                tried = [*steps[:j], steps[j] - 1, *steps[j + 1 :]]
                if enough(classes, tried, k, max_exposed):
                    steps, finer = tried, True
    return steps
