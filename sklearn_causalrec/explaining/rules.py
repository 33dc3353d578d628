"""Columns as people read them, and the conditions that a shallow tree makes of them."""

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec.encoding.kinds import (
    MAX_LEVELS,
    as_days,
    as_series,
    floats_of,
    kind_of,
)

_EPOCH = pd.Timestamp(0)


def _is_list(column):
    if column.dtype != object:
        return False
    mixed = pd.api.types.infer_dtype(column, skipna=True) == "mixed"
    return mixed and column.map(np.ndim).gt(0).any()


class Readable:
    """Numbers, times and short categories of rows; other columns are left out.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    columns : list
        The columns that may be read.

    Attributes
    ----------
    matrix : ndarray of shape (n, width)
        Numbers, times in days, and a column of 0 and 1 for each level of a category.
    names : list of tuple (column, kind, level)
        What each column of the matrix is. The level is None but for categories.
    left_out : list
        Columns that cannot be read in a sentence: lists, and categories of more than 20
        levels.
    """

    def __init__(self, frame, columns):
        self.names, self.left_out, self._other = [], [], {}
        for name in columns:
            column = as_series(frame[name], name)
            kind = "list" if _is_list(column) else kind_of(column, name)
            levels = [None]
            if kind in ("text", "category"):
                kind = "category"
                levels = sorted(column.dropna().astype(object).unique(), key=str)
                if len(levels) == 2:  # of two levels one says it all
                    self._other[name], *levels = levels
            if kind == "list" or len(levels) > MAX_LEVELS:
                self.left_out.append(name)
                continue
            self.names += [(name, kind, level) for level in levels]
        self.matrix = self.read(frame)
        there = [np.unique(part[~np.isnan(part)]) for part in self.matrix.T]
        self._two = [tuple(v) if len(v) == 2 else None for v in there]
        self.varied = np.array([len(v) > 1 for v in there], bool)

    def read(self, frame):
        """The matrix of other rows.

        Parameters
        ----------
        frame : DataFrame
            Rows with the same columns.

        Returns
        -------
        ndarray of shape (n, width)
        """
        parts = []
        for name, kind, level in self.names:
            if name not in frame:
                raise ValueError(
                    f"X lacks the column {name!r}; its columns are "
                    f"{list(frame.columns)[:12]}."
                )
            column = as_series(frame[name], name)
            if kind == "category":
                parts.append((column == level).to_numpy(float))
            elif kind == "time":
                parts.append(as_days(column))
            else:
                parts.append(floats_of(column))
        return np.column_stack(parts) if parts else np.zeros((len(frame), 0))

    @property
    def labels(self):
        """What each column of the matrix is called."""
        return [
            str(name) if level is None else f"{name} = {level}"
            for name, _, level in self.names
        ]

    def condition(self, j, threshold, above):
        """One side of a split as a condition: "age > 30", "town = Bonn"."""
        name, kind, level = self.names[j]
        if kind == "category":
            if not above and name in self._other:
                return f"{name} = {self._other[name]}"
            return f"{name} {'=' if above else '≠'} {level}"
        if self._two[j] is not None and kind == "number":
            return f"{name} = {number(float(self._two[j][int(above)]))}"
        shown = number(float(threshold))
        if kind == "time":
            shown = f"{_EPOCH + pd.Timedelta(days=float(threshold)):%Y-%m-%d %H:%M}"
        return f"{name} {'>' if above else '≤'} {shown}"

    def rule(self, path):
        """Conditions joined: those of one column that follow from others are dropped.

        Parameters
        ----------
        path : list of tuple (column, threshold, above)
            The splits on the way to a leaf.

        Returns
        -------
        str
            It is "all" for an empty path.
        """
        last = {}
        for j, threshold, above in path:  # deeper ones are narrower
            last[j, above] = threshold
        found = [self.condition(j, t, above) for (j, above), t in last.items()]
        return " and ".join(found) if found else "all"


def leaves_of(tree):
    """The leaves of a tree of scikit-learn, with the way to each.

    Parameters
    ----------
    tree : sklearn.tree._tree.Tree
        ``tree_`` of a fitted tree.

    Returns
    -------
    dict of int to list of tuple (column, threshold, above)
        From left to right.
    """
    found, stack = {}, [(0, [])]
    while stack:
        node, path = stack.pop()
        left, right = tree.children_left[node], tree.children_right[node]
        if left < 0:
            found[node] = path
            continue
        j, threshold = int(tree.feature[node]), float(tree.threshold[node])
        stack.append((right, [*path, (j, threshold, True)]))
        stack.append((left, [*path, (j, threshold, False)]))
    return found
