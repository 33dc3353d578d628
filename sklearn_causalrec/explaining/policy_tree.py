"""A shallow tree of decisions that a person can audit, by exact search."""

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.tables import text_table
from sklearn_causalrec.encoding.frames import as_frame

_MOST_CUTS = 15  # thresholds tried for each column, at quantiles
_MOST_COLUMNS = 30  # that pairs of splits are searched in
_MOST_ROWS = 20_000


class PolicyTree:
    """Which arm where, by at most three conditions each.

    ``print`` shows it.

    Parameters
    ----------
    readable : Readable
        The columns that conditions are about.
    arms : list
        The arms as the estimator calls them.
    node : tuple
        The root: (column, threshold, left, right), or (arm,) for a leaf.

    Attributes
    ----------
    table : DataFrame
        A row for each leaf: the ``rule``, the ``arm``, the number of rows ``n`` and the
        mean ``gain`` a row against the control.

    See Also
    --------
    sklearn_causalrec.decide : Choose arms, and find such a tree beside them.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec.explaining.policy_tree import grow
    >>> from sklearn_causalrec.explaining.rules import Readable
    >>> X = pd.DataFrame({"age": np.arange(100.0)})
    >>> gain = np.column_stack([np.zeros(100), X["age"] - 30])
    >>> tree = grow(Readable(X, ["age"]), gain, ["none", "mail"], max_depth=1)
    >>> tree.table["arm"].tolist()
    ['none', 'mail']
    """

    def __init__(self, readable, arms, node):
        self._readable, self._node, self.arms = readable, node, arms

    def codes(self, frame):
        """Return the position of the arm of each row.

        Parameters
        ----------
        frame : DataFrame of shape (n, p)
            The rows, with the columns that the rules are about.

        Returns
        -------
        ndarray of int of shape (n,)
            Positions among ``arms``.
        """
        return self._walk(self._readable.read(frame))[0]

    def predict(self, X):
        """Return the arm of each row.

        Parameters
        ----------
        X : frame or array-like of shape (n, p)
            The rows, with the columns that the rules are about.

        Returns
        -------
        ndarray of shape (n,)
            The arms.
        """
        found = self.codes(as_frame(X, arrays=True))
        out = np.empty(len(found), object)
        out[:] = [self.arms[code] for code in found]
        return out

    def _walk(self, matrix):
        arm, leaf = np.zeros(len(matrix), int), np.zeros(len(matrix), int)
        for k, (path, (chosen,)) in enumerate(self._leaves()):
            mine = np.ones(len(matrix), bool)
            for j, threshold, above in path:
                below = matrix[:, j] <= threshold
                mine &= ~below if above else below
            arm[mine], leaf[mine] = chosen, k
        return arm, leaf

    def _leaves(self, node=None, path=()):
        node = self._node if node is None else node
        if len(node) == 1:
            return [(path, node)]
        j, threshold, left, right = node
        return [
            *self._leaves(left, (*path, (j, threshold, False))),
            *self._leaves(right, (*path, (j, threshold, True))),
        ]

    def describe(self, matrix, gain):
        """Make the table of the leaves.

        Parameters
        ----------
        matrix : ndarray of shape (n, width)
            The rows as the columns read them.
        gain : ndarray of shape (n, n_arms)
            What each row gains by each arm, against the control.

        Returns
        -------
        PolicyTree
            The tree itself.
        """
        arm, leaf = self._walk(matrix)
        mine = gain[np.arange(len(arm)), arm]
        rows = [
            (
                self._readable.rule(path),
                self.arms[chosen],
                int((leaf == k).sum()),
                float(mine[leaf == k].mean()) if (leaf == k).any() else np.nan,
            )
            for k, (path, (chosen,)) in enumerate(self._leaves())
        ]
        self.table = pd.DataFrame(rows, columns=["rule", "arm", "n", "gain"])
        return self

    def __str__(self):
        return text_table(self.table)

    __repr__ = __str__


def grow(
    readable, gain, arms, max_depth=2, min_share=0.01, price=0.0, cost=None, slack=0.05
):
    """Find the tree whose leaves gain most, or a simpler one that is nearly as good.

    Parameters
    ----------
    readable : Readable
        The columns, with the matrix of the rows.
    gain : ndarray of shape (n, n_arms)
        What each row gains by each arm, against the control.
    arms : list
        The arms as the estimator calls them.
    max_depth : int, default=2
        The depth. Up to 2 the tree is the best one whose thresholds are among 15
        quantiles of each column [1]_; with 3 its first split is that of the best tree
        of depth 2, and the rest is the best below it.
    min_share : float, default=0.01
        The least share of the rows in a leaf.
    price : float, default=0.0
        The price of the budget: a row counts as its gain less the price times the cost.
    cost : ndarray of shape (n, n_arms), default=None
        The costs, which go with the price.
    slack : float, default=0.05
        The share of what splits gain that is given up for a tree of less depth.

    Returns
    -------
    PolicyTree

    References
    ----------
    .. [1] Athey, S. and Wager, S. (2021). "Policy learning with observational data."
       Econometrica 89(1).
    """
    rewards = gain if cost is None else gain - price * cost
    n = len(rewards)
    take = np.arange(n)
    if n > _MOST_ROWS:
        take = np.linspace(0, n - 1, _MOST_ROWS).astype(int)
    search = _Search(readable, readable.matrix[take], rewards[take], min_share)
    rows = np.arange(len(take))
    nodes = [_merged(search.best(rows, depth)) for depth in range(max_depth + 1)]
    trees = [PolicyTree(readable, arms, node) for node in nodes]
    values = [rewards[np.arange(n), tree._walk(readable.matrix)[0]].sum()
              for tree in trees]  # fmt: skip
    enough = values[0] + (1 - slack) * (max(values) - values[0])
    tree = next(t for t, value in zip(trees, values) if value >= enough - 1e-12)
    return tree.describe(readable.matrix, gain)


def _merged(node):
    """Without splits both sides of which decide alike."""
    if len(node) == 1:
        return node
    j, threshold, left, right = node
    left, right = _merged(left), _merged(right)
    if len(left) == 1 and left == right:
        return left
    return j, threshold, left, right


class _Search:
    """Best splits, from sums of rewards in cells of binned columns."""

    def __init__(self, readable, matrix, rewards, min_share):
        # The last channel counts rows.
        self.rewards = np.column_stack([rewards, np.ones(len(rewards))])
        self.least = max(1.0, min_share * len(rewards))
        self.cuts, self.bins, self.columns = [], [], []
        for j in np.flatnonzero(readable.varied):
            cuts = _cuts(matrix[:, j])
            if len(cuts):
                self.columns.append(int(j))
                self.cuts.append(cuts)
                self.bins.append(np.searchsorted(cuts, matrix[:, j], side="left"))
        if len(self.columns) > _MOST_COLUMNS:
            rows = np.arange(len(matrix))
            alone = [self._one(rows, k)[0].max() for k in range(len(self.columns))]
            keep = np.sort(np.argsort(alone)[-_MOST_COLUMNS:])
            for name in ("columns", "cuts", "bins"):
                setattr(self, name, [getattr(self, name)[k] for k in keep])

    def best(self, rows, depth):
        """The best tree of a depth for some rows, as a node."""
        leaf = (int(self.rewards[rows, :-1].sum(axis=0).argmax()),)
        if depth == 0 or not self.columns or len(rows) < 2 * self.least:
            return leaf
        split = self._first(rows, min(depth, 2))
        if split is None:
            return leaf
        k, cut = split
        left = self.bins[k][rows] <= cut
        return (
            self.columns[k],
            float(self.cuts[k][cut]),
            self.best(rows[left], depth - 1),
            self.best(rows[~left], depth - 1),
        )

    def _first(self, rows, depth):
        """The first split of the best tree of depth 1 or 2; None: there is no gain."""
        total = self.rewards[rows, :-1].sum(axis=0).max()
        best, found = total + 1e-9 * max(abs(total), 1e-12), None
        for k in range(len(self.columns)):
            values = self._one(rows, k)[0] if depth == 1 else self._two(rows, k)
            cut = int(values.argmax())
            if values[cut] > best:
                best, found = values[cut], (k, cut)
        return found

    def _cells(self, code, rows, size):
        return np.stack(
            [np.bincount(code, channel, size) for channel in self.rewards[rows].T],
            axis=-1,
        )

    def _value(self, sums):
        """The best arm's sum of rewards; -inf in cells of too few rows."""
        enough = sums[..., -1] >= self.least
        return np.where(enough, sums[..., :-1].max(axis=-1), -np.inf)

    def _one(self, rows, k):
        """Values of splits by one column, and sums below each threshold."""
        size = len(self.cuts[k]) + 1
        below = self._cells(self.bins[k][rows], rows, size).cumsum(axis=0)
        whole = below[-1]
        below = below[:-1]
        return self._value(below) + self._value(whole - below), below

    def _two(self, rows, k):
        """Values of first splits by column k, both sides split once more at best."""
        one, below = self._one(rows, k)
        whole = self.rewards[rows].sum(axis=0)
        # A side may stay whole.
        sides = [self._value(below), self._value(whole - below)]
        first = self.bins[k][rows]
        for other in range(len(self.columns)):
            size = len(self.cuts[k]) + 1, len(self.cuts[other]) + 1
            code = first * size[1] + self.bins[other][rows]
            cells = self._cells(code, rows, size[0] * size[1]).reshape(*size, -1)
            cells = cells.cumsum(axis=0).cumsum(axis=1)
            low, total = cells[:-1], cells[-1]
            for s, part in enumerate((low, total[None] - low)):
                inside = part[:, :-1]
                values = self._value(inside) + self._value(part[:, -1:] - inside)
                sides[s] = np.maximum(sides[s], values.max(axis=1))
        return np.maximum(one, sides[0] + sides[1])


def _cuts(values):
    """Thresholds between values: all of few, or quantiles of many."""
    there = np.unique(values[~np.isnan(values)])
    if len(there) < 2:
        return np.zeros(0)
    if len(there) > _MOST_CUTS + 1:
        levels = np.linspace(0, 1, _MOST_CUTS + 2)[1:-1]
        known = values[~np.isnan(values)]
        cuts = np.unique(np.quantile(known, levels, method="inverted_cdf"))
        return cuts[cuts < there[-1]]  # nothing is above the largest value
    return (there[:-1] + there[1:]) / 2
