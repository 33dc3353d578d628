"""Tables over pairs of users and items: what one side says alone is looked up once.

Of the features, some come with the user, some with the item, and the outcomes that the
networks predict come with the pair. Lines and trees of one side are added up once a
user and once an item. Of the other trees, the leaves that are left by each side are
kept, and a pair takes their common ones. Trees that ask for the two outcomes alone are
a table of their segments.
"""

import numpy as np

from sklearn_causalrec.effects.compiled import BLOCK
from sklearn_causalrec.effects.trees import Leaves

USER, ITEM = 0, 1


class SideSums:
    """What one side says: a value each, and the leaves that it leaves to other trees.

    Parameters
    ----------
    value : ndarray of shape (n,)
    left : ndarray of shape (n, width), uint8, or None
    """

    def __init__(self, value, left):
        self.value, self.left = value, left

    def at(self, rows):
        """Those of some positions.

        Parameters
        ----------
        rows : slice or ndarray of int

        Returns
        -------
        SideSums
        """
        left = None if self.left is None else self.left[rows]
        return SideSums(self.value[rows], left)


class PairTables:
    """Tables of one sum, cut by which side its features come with.

    Parameters
    ----------
    tables : Tables
        Of one output, without kernels.
    mine : sequence of two ndarray of bool of shape (n_features,)
        The features that users, and that items bring; the rest come with the pair.
    """

    def __init__(self, tables, mine):
        self.tables, self.n_features = tables, len(mine[USER])
        self.side_features = [
            [j for j in tables.features if mine[kind][j]] for kind in (USER, ITEM)
        ]
        of_pair = [j for j in tables.features if not (mine[USER][j] or mine[ITEM][j])]
        self.pair_features = of_pair
        groups = {USER: [], ITEM: [], "pair": [], "all": []}
        for tree in tables.trees:
            groups[self._group(tree, mine, of_pair)].append(tree)
        self.of_side = [self._leaves(groups[kind]) for kind in (USER, ITEM)]
        self.of_all = self._leaves(groups["all"])
        self._add_lines_of_pairs(self._leaves(groups["pair"]))

    @staticmethod
    def _group(tree, mine, of_pair):
        for kind in (USER, ITEM):
            if all(mine[kind][j] for j in tree.features):
                return kind
        alone = len(of_pair) <= 2 and tree.features <= set(of_pair)
        return "pair" if alone else "all"

    def _leaves(self, trees):
        if not trees:
            return None
        return Leaves(trees, [0] * len(trees), 1, self.tables.breaks)

    def _add_lines_of_pairs(self, trees):
        """Slopes of the pair's features, and a table of the values beside them."""
        lines = [self.tables.lines[j] for j in self.pair_features]
        self.slopes = [slope[:, 0] for _, slope in lines]
        values = [value[:, 0] for value, _ in lines]
        self.table, self.values = None, values
        if len(lines) <= 2 and any(len(v) > 1 for v in values):
            shape = [len(v) for v in values]
            grid = np.indices(shape).reshape(len(shape), -1)
            table = sum(v[s] for v, s in zip(values, grid))
            if trees is not None:
                masks = trees.masks
                for start in range(0, len(table), BLOCK):
                    b = slice(start, start + BLOCK)
                    left = _common(
                        masks[j][s[b]]
                        for j, s in zip(self.pair_features, grid)
                        if j in masks
                    )
                    table[b] += trees.sums(left)
            self.table, self.values = table, []
            self.stride = shape[-1] if len(shape) > 1 else 0

    def side(self, X, kind, codes):
        """What one side says.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Values of the features that this side brings; others are not read.
        kind : {0, 1}
            User or item.
        codes : ndarray of int of shape (n,)
            Codes of the ids.

        Returns
        -------
        SideSums
        """
        tables, features = self.tables, self.side_features[kind]
        out = np.full((len(X), 1), tables.constant[0] if kind == USER else 0.0)
        segments = tables.additive(X, features, out)
        value = out[:, 0]
        offsets = tables.offsets.get((kind, 0))
        if offsets is not None:
            value += offsets[np.minimum(codes, len(offsets) - 1)]
        own = self.of_side[kind]
        if own is not None:
            masks = own.masks
            for start in range(0, len(X), BLOCK):
                b = slice(start, start + BLOCK)
                left = _common(
                    masks[j][s[b]] for j, s in segments.items() if j in masks
                )
                value[b] += own.sums(left)
        left = None
        if self.of_all is not None:
            masks = self.of_all.masks
            left = np.full((len(X), self.of_all.width), 255, np.uint8)
            for j, s in segments.items():
                if j in masks:
                    left &= masks[j].take(s, axis=0)
        return SideSums(value, left)

    def pairs(self, user, position, items, outcome):
        """The sums of one user with some items.

        Parameters
        ----------
        user, items : SideSums
        position : int
            Which of the users.
        outcome : ndarray of shape (n, n_arms)
            The last features, which come with the pair.

        Returns
        -------
        ndarray of shape (n,)
        """
        out = items.value + user.value[position]
        found, first = {}, self.n_features - outcome.shape[1]
        for k, j in enumerate(self.pair_features):
            x, slope = outcome[:, j - first], self.slopes[k]
            bent = len(self.tables.breaks[j]) > 0
            if bent:
                found[j] = s = self.tables.segments(x, j)
            if len(slope) == 1 or (slope == slope[0]).all():
                if slope[0]:
                    out += slope[0] * x
            else:
                out += slope[s] * x
            if self.values and bent:
                out += self.values[k][s]
        if self.table is not None:
            out += self.table[self._cells(found)]
        if self.of_all is not None:
            masks = self.of_all.masks
            found = [(masks[j], s) for j, s in found.items() if j in masks]
            for start in range(0, len(out), BLOCK):
                b = slice(start, start + BLOCK)
                left = items.left[b] & user.left[position]
                for mask, s in found:
                    left &= mask.take(s[b], axis=0)
                out[b] += self.of_all.sums(left)
        return out

    def _cells(self, found):
        first, *second = (found.get(j, 0) for j in self.pair_features)
        return first * self.stride + second[0] if second else first


def _common(masks):
    """The leaves that all masks leave."""
    out = None
    for mask in masks:
        out = mask.copy() if out is None else np.bitwise_and(out, mask, out=out)
    return out
