"""A fitted stack as one formula: what its models have in common, added up.

A ``StackedEffect`` is a weighted sum of boosted trees on bins, of additive models, of
ridge regressions with offsets, kernels, and of the networks' outcomes. Sums go into one
another: what is left is one list of trees, one of hinges and steps, a linear part, an
offset for each user and item, and the kernels one by one. A tree asks for bins,
``code <= k``, and a bin begins at an edge, so the tree of the formula asks
``x < edge[k]``: the same rows go the same way.
"""

import numpy as np

from sklearn_causalrec.effects.additive import AdditiveLasso
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import Boost, MixedRidge

# Candidates of a stack that are no single model, or need more than features.
T, NETWORK, MIXED = "T", "T-network", "R-mixed"


class NotAFormulaError(TypeError):
    """A model that is none of the package's own; the message names it."""


class Formula:
    """Sums of models, one for each output.

    Parameters
    ----------
    n_features : int
        Columns that the models read.
    n_outputs : int
        Number of sums.

    Attributes
    ----------
    constant : ndarray of shape (n_outputs,)
    linear : ndarray of shape (n_features, n_outputs)
        Coefficients of the features as they come.
    knots : list of (feature, mean, scale, knot, hinge, step, output)
        Beyond a knot of the standardised feature its hinge and its step count.
    trees : list of (nodes, edges, factor, output)
    kernels : list of (KernelRidge, factor, output)
    offsets : list of (kind, values, output)
        Of each kind of ids; last, that of ids not seen.
    """

    def __init__(self, n_features, n_outputs):
        self.constant = np.zeros(n_outputs)
        self.linear = np.zeros((n_features, n_outputs))
        self.knots, self.trees, self.kernels, self.offsets = [], [], [], []

    def add_stage(self, stage, output=0):
        """Add the effects of a stack, in units of y.

        Parameters
        ----------
        stage : StackedEffect
            Fitted.
        output : int, default=0
            Where to.

        Returns
        -------
        ndarray of shape (2,)
            What the networks' outcomes under the two arms count in the sum, which is
            left to the caller, as is ``-net.sum() * stage._shift``.
        """
        weights, n_folds = dict(stage.weights_), stage._n_folds
        scale = stage._scale
        net = np.zeros(2)
        learners = list(weights)[2:]
        for k in range(n_folds):
            share = {name: w * scale / n_folds for name, w in weights.items()}
            self.constant[output] += share["constant"] * stage._constants[k]
            for side, sign in ((0, -1.0), (1, 1.0)):
                models = stage._outcome_models[k][side]
                c = outcome_weights(stage, side)
                for model, part in zip(models, c):
                    self.add(model, sign * part * share[T], output)
                if len(c) > len(models):
                    net[side] += sign * c[-1] * share[T]
            for name, model in zip(learners, stage._effect_models[k]):
                self.add(model, share[name], output)
        net += np.array([-1.0, 1.0]) * weights.get(NETWORK, 0.0) * scale
        return net / scale

    def add(self, model, factor, output=0):
        """Add a model times a factor.

        Parameters
        ----------
        model : Boost, AdditiveLasso, MixedRidge or KernelRidge
            Fitted.
        factor : float
            With 0, nothing is added.
        output : int, default=0
            Where to.

        Raises
        ------
        NotAFormulaError
            If it is of another type.
        """
        if not is_sum(model):
            raise NotAFormulaError(type(getattr(model, "trees", model)).__name__)
        if factor == 0:
            return
        if isinstance(model, Boost):
            if model.additive is not None:
                self.add(model.additive, factor, output)
            self._boost(model, factor, output)
        elif isinstance(model, AdditiveLasso):
            self._additive(model, factor, output)
        elif isinstance(model, MixedRidge):
            self.constant[output] += factor * model.coef_[0]
            coef = factor * model.coef_[1:]
            self._line(model.mean_, model.scale_, coef, output)
            for kind, offset in enumerate(model.offsets_):
                self.offsets.append((kind, factor * offset, output))
        else:
            self.kernels.append((model, factor, output))

    def _boost(self, model, factor, output):
        trees = model.trees
        self.constant[output] += factor * trees.baseline_
        for tree in trees.predictors_:
            if tree.nodes["is_leaf"][0]:
                self.constant[output] += factor * float(tree.nodes["value"][0])
            else:
                self.trees.append((tree.nodes, model.bins.edges, factor, output))

    def _line(self, mean, scale, coef, output):
        self.linear[:, output] += coef / scale
        self.constant[output] -= (coef * mean / scale).sum()

    def _additive(self, model, factor, output):
        basis = model.basis_
        p, n_knots = len(basis.mean), len(basis.knots)
        line, hinge, step = np.split(factor * model.coef_, [p, p + n_knots])
        self.constant[output] += factor * model.intercept_
        self._line(basis.mean, basis.scale, line, output)
        for j, knot, h, s in zip(basis.knot_of, basis.knots, hinge, step):
            if h or s:
                place = basis.mean[j], basis.scale[j], knot
                self.knots.append((j, *place, h, s, output))


def is_sum(model):
    """Whether a model is one of those that a formula adds up.

    Parameters
    ----------
    model : regressor

    Returns
    -------
    bool
    """
    if isinstance(model, Boost):  # probabilities are no sum of trees
        return not model.trees.classify
    return isinstance(model, AdditiveLasso | MixedRidge | KernelRidge)


def outcome_weights(stage, arm):
    """Weights of the models of an arm's outcome in their stack; last, the network's.

    Parameters
    ----------
    stage : StackedEffect
        Fitted.
    arm : {0, 1}

    Returns
    -------
    ndarray
    """
    n = len(stage._outcome_models[0][arm]) + (NETWORK in stage.weights_)
    c = stage._outcome_weights[arm][:n]
    return c / c.sum() if c.sum() > 0 else c + 1 / len(c)


def merged(tables):
    """The sum of tables of ids, whose last entry stands for all ids beyond.

    Parameters
    ----------
    tables : list of ndarray
        Of any lengths.

    Returns
    -------
    ndarray
        As long as the longest.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.formula import merged
    >>> merged([np.array([1.0, 2.0, 9.0]), np.array([3.0, 7.0])])
    array([ 4.,  9., 16.])
    """
    length = max(map(len, tables))
    more = (np.repeat(t[-1], length - len(t)) for t in tables)
    return sum(np.append(t, m) for t, m in zip(tables, more))
