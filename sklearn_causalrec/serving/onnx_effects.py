"""The second stage as a graph of ONNX: one formula in place of a hundred models."""

import numpy as np

from sklearn_causalrec.effects.formula import Formula, NotAFormulaError, merged

BRANCH_LT = 1


class CannotExportError(TypeError):
    """A part that the graph cannot express; the message names it and the way out."""


class ArmFormula(Formula):
    """The effects of all arms against the first, gathered from their stages.

    All is in double precision.

    Parameters
    ----------
    stages : list
        ``StackedEffect`` of each arm; None of the first.
    moved : ndarray of shape (n_arms,)
        By how much the effects of each arm are moved.
    """

    def __init__(self, stages, moved):
        n_arms = len(stages)
        super().__init__(len(stages[1]._bins.edges), n_arms)
        self.constant += moved
        self.outcome = np.zeros((n_arms, n_arms))  # of the arm, in the effect of
        try:
            for arm, stage in enumerate(stages):
                if stage is not None:
                    net = self.add_stage(stage, arm)
                    self.outcome[[0, arm], arm] += net
                    self.constant[arm] -= net.sum() * stage._shift
        except NotAFormulaError as error:
            raise CannotExportError(
                f"The second stage has a {error}, which has no place in a graph of "
                "ONNX: export the outcomes alone, effect=False."
            ) from None
        for model, factor, arm in self.kernels:
            self.constant[arm] += factor * model.intercept_
            scale = model.scale_ * np.sqrt(len(model.scale_))
            self._line(model.mean_, scale, factor * model.coef_, arm)

    def _tables(self):
        """Offsets of each kind of ids, (n_ids + 1, n_arms)."""
        tables, n_arms = [], len(self.constant)
        for kind in range(2):
            mine = [[] for _ in range(n_arms)]
            for k, values, arm in self.offsets:
                if k == kind:
                    mine[arm].append(values)
            columns = [merged(values) if values else np.zeros(1) for values in mine]
            size = max(map(len, columns))  # the last is 0 in each
            padded = [np.pad(c, (0, size - len(c))) for c in columns]
            tables.append(np.column_stack(padded))
        return tables

    # -- as nodes --------------------------------------------------------------

    def write(self, nodes, features, outcome, groups):
        """Add the nodes of the formula; the name of the effects (n, n_arms).

        Parameters
        ----------
        nodes : Nodes
        features, outcome : str
            Values in double precision: what the stages read, and outcomes of all arms.
        groups : list of str
            Codes of each kind of ids.

        Returns
        -------
        str
        """
        total = nodes.add("MatMul", features, self.linear)
        total = nodes.add("Add", total, self.constant[None])
        if self.outcome.any():
            part = nodes.add("MatMul", outcome, self.outcome)
            total = nodes.add("Add", total, part)
        for codes, table in zip(groups, self._tables()):
            if table.any():
                last = np.array(len(table) - 1)
                place = nodes.add("Min", codes, last)
                part = nodes.add("Gather", table, place)
                total = nodes.add("Add", total, part)
        if self.knots:
            total = nodes.add("Add", total, self._hinges(nodes, features))
        if self.trees:
            total = nodes.add("Add", total, self._ensemble(nodes, features))
        for kernel in self.kernels:
            total = nodes.add("Add", total, self._bell(nodes, features, *kernel))
        return total

    def _bell(self, nodes, features, model, factor, arm):
        """The Gaussian part of a kernel ridge regression."""
        p = len(model.scale_)
        factors = np.zeros((len(model.dual_), len(self.constant)))
        factors[:, arm] = factor * model.dual_
        z = nodes.add("Sub", features, model.mean_[None])
        z = nodes.add("Div", z, (model.scale_ * np.sqrt(p))[None])
        distance = nodes.add("MatMul", z, -2 * model.rows_.T)
        squares = nodes.add("MatMul", nodes.add("Mul", z, z), np.ones((p, 1)))
        distance = nodes.add("Add", nodes.add("Add", distance, squares), model._squares)
        distance = nodes.add("Max", distance, np.array(0.0))
        bent = nodes.add("Mul", distance, np.array(-0.5 / model.width_**2))
        return nodes.add("MatMul", nodes.add("Exp", bent), factors)

    def _hinges(self, nodes, features):
        feature, mean, scale, knot, hinge, step, arm = map(np.array, zip(*self.knots))
        factors = np.zeros((2, len(arm), len(self.constant)))
        factors[:, np.arange(len(arm)), arm] = hinge, step
        # In the order of AdditiveLasso, so that a row at a knot is on the same side.
        x = nodes.add("Gather", features, feature.astype(np.int64), axis=1)
        x = nodes.add("Div", nodes.add("Sub", x, mean[None]), scale[None])
        x = nodes.add("Sub", x, knot[None])
        beyond = nodes.cast(nodes.add("Greater", x, np.array(0.0)), "DOUBLE")
        hinges = nodes.add("MatMul", nodes.add("Mul", x, beyond), factors[0])
        return nodes.add("Add", hinges, nodes.add("MatMul", beyond, factors[1]))

    def _ensemble(self, nodes, features):
        from onnx import numpy_helper

        split, feature, child, is_leaf, roots = [], [], [], [], []
        weights, targets = [], []
        for tree, edges, factor, arm in self.trees:
            inner = np.flatnonzero(tree["is_leaf"] == 0)
            leaves = np.flatnonzero(tree["is_leaf"])
            at = np.empty(len(tree), np.int64)
            at[inner] = len(split) + np.arange(len(inner))
            at[leaves] = len(weights) + np.arange(len(leaves))
            roots.append(len(split))
            for node in tree[inner]:
                mine = edges[node["feature_idx"]]
                k = int(np.floor(node["num_threshold"]))
                split.append(float(mine[k]) if k < len(mine) else np.inf)
                feature.append(int(node["feature_idx"]))
                both = int(node["left"]), int(node["right"])
                child.append([int(at[c]) for c in both])
                is_leaf.append([int(tree["is_leaf"][c]) for c in both])
            weights += (factor * tree["value"][leaves]).tolist()
            targets += [arm] * len(leaves)
        return nodes.add(
            "TreeEnsemble",
            features,
            domain="ai.onnx.ml",
            aggregate_function=1,
            post_transform=0,
            n_targets=len(self.constant),
            tree_roots=roots,
            nodes_splits=numpy_helper.from_array(np.array(split)),
            nodes_featureids=feature,
            nodes_modes=numpy_helper.from_array(
                np.full(len(split), BRANCH_LT, np.uint8)
            ),
            nodes_truenodeids=[c[0] for c in child],
            nodes_falsenodeids=[c[1] for c in child],
            nodes_trueleafs=[c[0] for c in is_leaf],
            nodes_falseleafs=[c[1] for c in is_leaf],
            leaf_weights=numpy_helper.from_array(np.array(weights)),
            leaf_targetids=targets,
        )
