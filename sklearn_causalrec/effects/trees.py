"""Small trees as tables: the leaves of a row by AND of bytes, not by walking."""

import numpy as np

LEAVES = 8
PACK = 3  # trees whose leaves are looked up together
# A bit of a byte times this has its place in the highest three bits, in this order.
_DE_BRUIJN = np.uint8(0b00010111)
_PLACE = np.array([(1 << i) * int(_DE_BRUIJN) % 256 >> 5 for i in range(LEAVES)])
_EIGHT, _SIXTY_FOUR = np.uint16(8), np.uint16(64)


class Tree:
    """A tree of at most eight leaves, as what each feature rules out.

    Parameters
    ----------
    nodes : structured ndarray
        As histogram boosting of scikit-learn has them, of bins.
    edges : list of ndarray
        Where the bins of each feature begin.
    factor : float
        What its values are multiplied by.

    Attributes
    ----------
    splits : list of (feature, edge, left)
        A row with ``x >= edge`` is in none of the leaves whose bits are in ``left``.
    values : ndarray of shape (8,)
        Of the leaves, from left to right.
    """

    def __init__(self, nodes, edges, factor):
        self.splits, values = [], []

        def leaves(i):
            node = nodes[i]
            if node["is_leaf"]:
                values.append(factor * float(node["value"]))
                return 1 << (len(values) - 1)
            left = leaves(int(node["left"]))
            right = leaves(int(node["right"]))
            feature, k = int(node["feature_idx"]), int(np.floor(node["num_threshold"]))
            self.splits.append((feature, float(edges[feature][k]), left))
            return left | right

        leaves(0)
        if len(values) > LEAVES:
            raise ValueError(f"a tree has {len(values)} leaves, more than {LEAVES}")
        self.values = np.pad(values, (0, LEAVES - len(values)))
        self.features = {feature for feature, _, _ in self.splits}


class Leaves:
    r"""The values of many trees from the leaves that each feature has left over.

    As in QuickScorer [1]_, a byte a tree says which of its leaves a row can be in, and
    every feature clears those that its value rules out, by a table of its segments: the
    lowest bit that is left is the leaf. Three trees are then looked up at once.

    Parameters
    ----------
    trees : list of Tree
    outputs : sequence of int
        The sum that each tree belongs to.
    n_outputs : int
    breaks : dict of int to ndarray
        Of each feature, where its segments begin but for the first: all edges of the
        trees, sorted.

    Attributes
    ----------
    width : int
        Bytes of a row.
    masks : dict of int to ndarray of shape (n_segments, width), uint8
        Of the features that a tree asks for, the leaves that each segment leaves.

    References
    ----------
    .. [1] Lucchese, C. et al. (2015). "QuickScorer: a fast algorithm to rank documents
       with additive ensembles of regression trees." SIGIR.
    """

    def __init__(self, trees, outputs, n_outputs, breaks):
        packs, self.outputs, self.starts = [], [], []
        self.n_outputs = n_outputs
        for output in range(n_outputs):
            mine = [tree for tree, o in zip(trees, outputs) if o == output]
            if mine:
                self.outputs.append(output)
                self.starts.append(len(packs))
                packs += [mine[i : i + PACK] for i in range(0, len(mine), PACK)]
        self.n_packs = len(packs)
        self.width = PACK * len(packs)
        self.masks = {}
        values = np.zeros((len(packs), LEAVES, LEAVES, LEAVES))
        for g, pack in enumerate(packs):
            for plane, tree in enumerate(pack):
                shape = [1, 1, 1]
                shape[2 - plane] = LEAVES  # the first plane changes fastest
                ordered = np.empty(LEAVES)
                ordered[_PLACE] = tree.values
                values[g] += ordered.reshape(shape)
                # Plane by plane: the first trees of all packs, the second, the third.
                self._add_masks(tree, plane * len(packs) + g, breaks)
        self.values = values.ravel()
        self.base = LEAVES**PACK * np.arange(len(packs))

    def _add_masks(self, tree, place, breaks):
        for j, edge, left in tree.splits:
            if j not in self.masks:
                shape = len(breaks[j]) + 1, self.width
                self.masks[j] = np.full(shape, 255, np.uint8)
            first = breaks[j].searchsorted(edge) + 1
            self.masks[j][first:, place] &= 255 - left

    def sums(self, masks):
        """Sums of the values of the trees, (n, n_outputs) or, of one output, (n,).

        Parameters
        ----------
        masks : ndarray of shape (n, width), uint8
            Leaves that are left; overwritten.
        """
        lowest = np.negative(masks)
        lowest &= masks
        lowest *= _DE_BRUIJN
        lowest >>= 5
        first, second, third = lowest.reshape(len(masks), PACK, -1).swapaxes(0, 1)
        packed = np.multiply(third, _EIGHT, dtype=np.uint16)
        packed += second
        packed *= _EIGHT
        packed += first
        found = self.values[self.base + packed]
        if self.n_outputs == 1:
            return found.sum(1)
        out = np.zeros((len(masks), self.n_outputs))
        out[:, self.outputs] = np.add.reduceat(found, self.starts, axis=1)
        return out
