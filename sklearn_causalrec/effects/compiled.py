"""Formulas compiled to tables: each feature of a row is looked at once.

A feature cuts its axis where a tree or a hinge does. Between two cuts, what all
additive models say together is a line, and the leaves that are left to the trees are a
row of bytes: both are looked up by one search.
"""

import numpy as np

from sklearn_causalrec.effects.formula import merged
from sklearn_causalrec.effects.trees import Leaves, Tree

BLOCK = 512  # rows whose bytes stay in the cache
FEW = 8  # rows that are searched for in all features at once
MANY = 128  # values from which on a grid is quicker than a bisection
GRIDS = (256, 1024, 4096)


def first_beyond(mean, scale, knot):
    """The least numbers x with ``(x - mean) / scale > knot``, as computed in doubles.

    Parameters
    ----------
    mean, scale, knot : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    Bisection over all doubles, which sort as their bits do: rounding is monotone, so
    that one number parts those that are beyond the knot from those that are not.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.compiled import first_beyond
    >>> first_beyond(np.array([0.0]), np.array([1.0]), np.array([1.0]))[0] > 1
    np.True_
    """
    low = np.full(len(knot), _ordered(np.array([-np.inf]))[0])
    high = np.full(len(knot), _ordered(np.array([np.inf]))[0])
    with np.errstate(over="ignore"):
        while (low + 1 < high).any():
            # without overflow of the sum
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            beyond = (_from_ordered(middle) - mean) / scale > knot
            high, low = np.where(beyond, middle, high), np.where(beyond, low, middle)
    return _from_ordered(high)


_MASK = np.int64(2**63 - 1)


def _ordered(values):
    bits = values.view(np.int64)
    return np.where(bits < 0, bits ^ _MASK, bits)


def _from_ordered(order):
    return np.where(order < 0, order ^ _MASK, order).view(np.float64)


class Segments:
    """Which segment between sorted numbers each value is in, as ``np.searchsorted``.

    A bisection takes a branch that no processor foresees at every step. Here the cell
    of an even grid says how many numbers are below for sure, and the few in the same
    cell are compared with. Cells are computed of numbers and values alike and rounding
    is monotone, so that the result is exact.

    Parameters
    ----------
    breaks : ndarray of shape (n,), float64
        Sorted and distinct.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.compiled import Segments
    >>> Segments(np.array([0.0, 1.0]))(np.array([-3.0, 0.0, 0.5, 1.0, 9.0]))
    array([0, 1, 1, 2, 2])
    """

    def __init__(self, breaks):
        self.breaks, self.n_cells = breaks, 0
        if len(breaks) < 2 or not np.isfinite(breaks[[0, -1]]).all():
            return
        self._padded = np.append(breaks, np.inf)
        self._low, width = breaks[0], breaks[-1] - breaks[0]
        for n_cells in GRIDS:
            with np.errstate(over="ignore"):
                self._rate = n_cells / width
            if not np.isfinite(self._rate * width):
                return
            cells = self._cells(breaks, n_cells)
            most = np.bincount(cells).max()
            if most <= 2 or (n_cells == GRIDS[-1] and most <= 4):
                self.n_cells, self._most = n_cells, most
                counts = np.bincount(cells, minlength=n_cells)
                self._below = np.cumsum(counts) - counts
                break

    def _cells(self, x, n_cells):
        cells = np.subtract(x, self._low, dtype=np.float64)
        with np.errstate(over="ignore"):
            cells *= self._rate
        return np.clip(cells, 0, n_cells - 1, out=cells).astype(np.intp)

    def __call__(self, x):
        """Number of breaks at or below each value, (n,)."""
        if not self.n_cells or len(x) < MANY:
            return self.breaks.searchsorted(x, side="right")
        found = self._below[self._cells(x, self.n_cells)]
        for _ in range(self._most):
            found += x >= self._padded[found]
        return found


class Tables:
    """A formula, compiled.

    Parameters
    ----------
    formula : Formula

    Attributes
    ----------
    constant : ndarray of shape (n_outputs,)
    features : list of int
        The features that count.
    breaks : dict of int to ndarray
        Of each of these, where its segments begin, but for the first.
    lines : dict of int to tuple of two ndarray of shape (n_segments, n_outputs)
        Of each segment, the value at 0 and the slope.
    leaves : Leaves or None
    masks : dict of int to ndarray of shape (n_segments, width)
        What each feature leaves of the leaves.
    trees : list of Tree or None
        None after a pickle, which holds the tables that are made of them alone.
    """

    def __init__(self, formula):
        p, self.n_outputs = formula.linear.shape
        self.constant = formula.constant.copy()
        self.kernels = formula.kernels
        trees, outputs = [], []
        for nodes, edges, factor, output in formula.trees:
            trees.append(Tree(nodes, edges, factor))
            outputs.append(output)
        self.trees = trees
        cuts = [[] for _ in range(p)]
        for tree in trees:
            for j, edge, _ in tree.splits:
                cuts[j].append(edge)
        bends = self._bends(formula.knots)
        self.features, self.breaks, self.lines = [], {}, {}
        for j in range(p):
            mine = bends[bends[:, 0] == j]
            breaks = np.unique(np.append(np.array(cuts[j], float), mine[:, 1]))
            slope = formula.linear[j]
            if not len(breaks) and not slope.any():
                continue
            self.features.append(j)
            self.breaks[j] = breaks
            steps = np.zeros((2, len(breaks) + 1, self.n_outputs))
            steps[1, 0] = slope
            at = np.searchsorted(breaks, mine[:, 1]) + 1, mine[:, 4].astype(int)
            np.add.at(steps[0], at, mine[:, 2])
            np.add.at(steps[1], at, mine[:, 3])
            self.lines[j] = tuple(np.cumsum(steps, axis=1))
        self.leaves, self.masks = None, {}
        if trees:
            self.leaves = Leaves(trees, outputs, self.n_outputs, self.breaks)
            self.masks = self.leaves.masks
        self.offsets = {}
        for kind, output in {(k, o) for k, _, o in formula.offsets}:
            mine = [v for k, v, o in formula.offsets if (k, o) == (kind, output)]
            self.offsets[kind, output] = merged(mine)
        self._flatten()

    def __getstate__(self):
        # What `_flatten` makes is made anew, and trees are in the tables.
        kept = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return {**kept, "trees": None}

    def __setstate__(self, state):
        vars(self).update(state)
        self._flatten()

    @staticmethod
    def _bends(knots):
        """Feature, place, jump, change of slope and output of each knot, (n, 5)."""
        if not knots:
            return np.empty((0, 5))
        feature, mean, scale, knot, hinge, step, output = np.array(knots, float).T
        place = first_beyond(mean, scale, knot)
        slope = hinge / scale
        # A hinge is max((x - mean) / scale - knot, 0).
        jump = step - hinge * (mean / scale + knot)
        return np.column_stack([feature, place, jump, slope, output])

    def _flatten(self):
        """The tables of all features in one piece, for few rows."""
        names = self.features
        breaks = [self.breaks[j] for j in names]
        sizes = np.array([len(b) + 1 for b in breaks], int)
        # -inf begins every segment list, so that none is empty.
        self._cuts = np.concatenate([[], *(np.append(-np.inf, b) for b in breaks)])
        self._of = np.repeat(np.array(names, int), sizes)
        self._starts = np.cumsum(sizes) - sizes
        self._first = self._starts - 1
        self._segments = {j: Segments(b) for j, b in self.breaks.items()}
        none = np.empty((0, self.n_outputs))
        parts = zip(*(self.lines[j] for j in names))
        self._lines = [np.concatenate(p) for p in parts] or [none, none]
        if self.leaves is not None:
            with_trees = [i for i, j in enumerate(names) if j in self.masks]
            self._split = np.array(with_trees, int)
            sizes = sizes[self._split]
            starts = np.cumsum(sizes) - sizes
            self._shift = starts - self._starts[self._split]
            self._masks = np.concatenate([self.masks[names[i]] for i in with_trees])

    def segments(self, x, j):
        """Position of the segment that each value of feature j is in, (n,)."""
        return self._segments[j](x)

    def additive(self, X, features, out):
        """Add the lines of some features to ``out``, (n, n_outputs); their segments."""
        found = {}
        for j in features:
            x = X[:, j, None]
            value, slope = self.lines[j]
            if len(value) == 1:
                if slope.any():
                    out += x * slope
            else:
                s = found[j] = self.segments(X[:, j], j)
                out += value[s]
                out += slope[s] * x
        return found

    def left_over(self, segments, rows):
        """The leaves that features leave to some rows, (n, width) uint8.

        Parameters
        ----------
        segments : dict of int to ndarray
            Segments of all rows, by feature.
        rows : slice
        """
        out = None
        for j, s in segments.items():
            if j in self.masks:
                part = self.masks[j].take(s[rows], axis=0)
                if out is None:
                    out = part
                else:
                    out &= part
        return out

    def sums(self, X, groups=None):
        """The sums of the formula.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Finite numbers.
        groups : ndarray of int of shape (n, n_kinds), default=None
            Codes of the ids; needed where there are offsets.

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        X = np.asarray(X)
        if 0 < len(X) <= FEW:
            out = self._sums_of_few(X)
        else:
            out = np.tile(self.constant, (len(X), 1))
            segments = self.additive(X, self.features, out)
            if self.leaves is not None:
                for start in range(0, len(X), BLOCK):
                    rows = slice(start, start + BLOCK)
                    found = self.leaves.sums(self.left_over(segments, rows))
                    out[rows] += found.reshape(-1, self.n_outputs)
        for (kind, output), values in self.offsets.items():
            out[:, output] += values[np.minimum(groups[:, kind], len(values) - 1)]
        for model, factor, output in self.kernels:
            out[:, output] += factor * model.predict(X)
        return out

    def _sums_of_few(self, X):
        out = np.tile(self.constant, (len(X), 1))
        if not self.features:
            return out
        passed = X[:, self._of] >= self._cuts
        segments = np.add.reduceat(passed, self._starts, axis=1, dtype=np.intp)
        segments += self._first
        value, slope = self._lines
        x = X[:, self.features]
        out += (value[segments] + slope[segments] * x[:, :, None]).sum(1)
        if self.leaves is not None:
            mine = segments[:, self._split]
            mine += self._shift
            left = np.bitwise_and.reduce(self._masks[mine], axis=1)
            out += self.leaves.sums(left).reshape(-1, self.n_outputs)
        return out
