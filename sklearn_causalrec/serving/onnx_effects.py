"""The second stage as a graph of ONNX: one formula in place of a hundred models.

A ``StackedEffect`` is a weighted sum of boosted trees on bins, of additive models, of
ridge regressions with offsets, kernels, and of the networks' outcomes. Sums go into one
another: what is left is a single ensemble of trees, one list of hinges and steps, a
linear part, an offset for each user and item, and the kernels one by one. All is in
double precision. A tree asks for bins, ``code <= k``, and a bin begins at an edge, so
the tree of the graph asks ``x < edge[k]``: the same rows go the same way.
"""

import numpy as np

from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import AdditiveLasso, Boost, MixedRidge

BRANCH_LT = 1


class CannotExportError(TypeError):
    """A part that the graph cannot express; the message names it and the way out."""


class Formula:
    """The sum, gathered from the stages of all arms.

    Parameters
    ----------
    stages : list
        ``StackedEffect`` of each arm; None of the first.
    moved : ndarray of shape (n_arms,)
        By how much the effects of each arm are moved.
    """

    def __init__(self, stages, moved):
        n_arms, n_features = len(stages), len(stages[1]._bins.edges)
        self.constant = np.array(moved, float)
        self.linear = np.zeros((n_features, n_arms))
        self.outcome = np.zeros((n_arms, n_arms))  # of the arm, in the effect of
        self.offsets = [np.zeros((1, n_arms)) for _ in range(2)]  # at most
        self.knots = []  # (feature, mean, scale, knot, hinge, step, arm)
        self.trees = []  # (nodes, edges, factor, arm)
        self.kernels = []  # (model, factor, arm)
        for arm, stage in enumerate(stages):
            if stage is not None:
                self._stage(stage, arm)

    def _stage(self, stage, arm):
        weights = dict(stage.weights_)
        scale, n_folds = stage._scale, stage._n_folds
        net = np.zeros(2)
        learners = list(weights)[2:]
        for k in range(n_folds):
            share = {name: w * scale / n_folds for name, w in weights.items()}
            self.constant[arm] += share["constant"] * stage._constants[k]
            for side, sign in ((0, -1.0), (1, 1.0)):
                models = stage._outcome_models[k][side]
                c = stage._outcome_weights[side]
                c = c[: len(models) + ("T-network" in weights)]
                c = c / c.sum() if c.sum() > 0 else c + 1 / len(c)
                for model, part in zip(models, c):
                    self._add(model, sign * part * share["T"], arm)
                if len(c) > len(models):
                    net[side] += sign * c[-1] * share["T"]
            for name, model in zip(learners, stage._effect_models[k]):
                self._add(model, share[name], arm)
        net += np.array([-1.0, 1.0]) * weights.get("T-network", 0.0) * scale
        self.outcome[[0, arm], arm] += net / scale
        self.constant[arm] -= net.sum() * stage._shift / scale

    def _add(self, model, factor, arm):
        if factor == 0:
            return
        if isinstance(model, Boost):
            if model.additive is not None:
                self._add(model.additive, factor, arm)
            self._boost(model, factor, arm)
        elif isinstance(model, AdditiveLasso):
            self._additive(model, factor, arm)
        elif isinstance(model, MixedRidge):
            self._mixed(model, factor, arm)
        elif isinstance(model, KernelRidge):
            self._kernel(model, factor, arm)
        else:
            raise CannotExportError(
                f"The second stage has a {type(model).__name__}, which has no place in "
                "a graph of ONNX: export the outcomes alone, effect=False."
            )

    def _boost(self, model, factor, arm):
        trees = model.trees
        if hasattr(trees, "predict_proba"):
            raise CannotExportError(
                f"The second stage has a {type(trees).__name__}, and its probabilities "
                "are no sum of trees: export the outcomes alone, effect=False."
            )
        self.constant[arm] += factor * float(np.ravel(trees._baseline_prediction)[0])
        for (tree,) in trees._predictors:
            if tree.nodes["is_leaf"][0]:
                self.constant[arm] += factor * float(tree.nodes["value"][0])
            else:
                self.trees.append((tree.nodes, model.bins.edges, factor, arm))

    def _line(self, mean, scale, coef, arm):
        self.linear[:, arm] += coef / scale
        self.constant[arm] -= (coef * mean / scale).sum()

    def _additive(self, model, factor, arm):
        p, n_knots = len(model.mean_), len(model.knots_)
        line, hinge, step = np.split(factor * model.coef_, [p, p + n_knots])
        self.constant[arm] += factor * model.intercept_
        self._line(model.mean_, model.scale_, line, arm)
        for j, knot, h, s in zip(model.knot_of_, model.knots_, hinge, step):
            if h or s:
                place = model.mean_[j], model.scale_[j], knot
                self.knots.append((j, *place, h, s, arm))

    def _mixed(self, model, factor, arm):
        self.constant[arm] += factor * model.coef_[0]
        self._line(model.mean_, model.scale_, factor * model.coef_[1:], arm)
        for kind, offset in enumerate(model.offsets_):
            known = self.offsets[kind]
            if len(offset) > len(known):
                more = np.zeros((len(offset) - len(known), known.shape[1]))
                known = np.concatenate([known, more])
            known[: len(offset), arm] += factor * offset  # the last is 0
            self.offsets[kind] = known

    def _kernel(self, model, factor, arm):
        self.constant[arm] += factor * model.intercept_
        scale = model.scale_ * np.sqrt(len(model.scale_))
        self._line(model.mean_, scale, factor * model.coef_, arm)
        self.kernels.append((model, factor, arm))

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
        for codes, table in zip(groups, self.offsets):
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
