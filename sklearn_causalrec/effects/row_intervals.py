"""How far off the effect of a single row may be: the variance behind its interval."""

import numpy as np

from sklearn_causalrec.effects.intervals import normal_interval
from sklearn_causalrec.effects.learners import Grouped, MixedRidge, convex_weights

# Half-samples over which the weights of the candidates are averaged.
N_DRAWS = 40
# Rows of fit whose mean variance is the typical one.
REFERENCE_ROWS = 1_000


def averaged_weights(P, target, weight, rng, clusters=None):
    """Weights of the candidates, averaged over half-samples of the rows.

    A stack that gives one candidate all the weight does not disagree with itself. Over
    half-samples the candidates that are about as good take their turns.

    Parameters
    ----------
    P : ndarray of shape (n, n_candidates)
        Cross-fitted predictions of each candidate.
    target, weight : ndarray of shape (n,)
        What the weights predict, and the weight of its squared error.
    rng : RandomState
        Draws the half-samples.
    clusters : Clusters, default=None
        Rows that go together: of the first way, half of the clusters are drawn.

    Returns
    -------
    ndarray of shape (n_candidates,)
    """
    codes = np.arange(len(P)) if clusters is None else clusters.codes[:, 0]
    n_codes, total = codes.max() + 1, 0.0
    for _ in range(N_DRAWS):
        half = np.zeros(n_codes, bool)
        half[rng.permutation(n_codes)[: (n_codes + 1) // 2]] = True
        rows = half[codes]
        if not weight[rows].any():
            rows = ~rows
        total = total + convex_weights(P[rows], target[rows], weight[rows])
    return total / N_DRAWS


def stacked_variance(parts, weights, extra=0.0):
    r"""Variance of a weighted mean of candidates of which none need be right.

    .. math:: \Bigl(\sum_j w_j \sqrt{v_j + (\hat\tau_j - \hat\tau)^2}\Bigr)^2

    with :math:`v_j` the delete-a-fold jackknife variance of candidate j [1]_. Its
    distance from the mean stands for its bias.

    Parameters
    ----------
    parts : ndarray of shape (n_folds, n, n_candidates)
        Predictions of the candidates that were fitted without each fold.
    weights : ndarray of shape (n_candidates,)
        Nonnegative, with sum one.
    extra : ndarray of shape (n, n_candidates), default=0.0
        Variance of each candidate that the folds do not show.

    Returns
    -------
    ndarray of shape (n,)

    References
    ----------
    .. [1] Buckland, S., Burnham, K. and Augustin, N. (1997). "Model selection: an
       integral part of inference." Biometrics 53(2).
    """
    mean = parts.mean(0)
    away = mean - (mean @ weights)[:, None]
    return (np.sqrt((len(parts) - 1) * parts.var(0) + away**2 + extra) @ weights) ** 2


def disagreement(parts, weights):
    """Mean squared distance of models from their stack.

    Parameters
    ----------
    parts : ndarray of shape (n, n_models)
        Their predictions.
    weights : ndarray of shape (n_models,)
        Those of the stack. A third of the weight is spread evenly: next to nothing
        tells apart models that no row contradicts.

    Returns
    -------
    ndarray of shape (n,)
    """
    even = (2 * weights + 1 / len(weights)) / 3
    return (parts - (parts @ weights)[:, None]) ** 2 @ even


def left_over(residual, weight, fold, groups):
    """By how much groups differ in the effect beyond what was predicted of them.

    Rows of one user in one fold have the same model, which did not see their outcomes.
    What their residuals share is the error of that model about the user.

    Parameters
    ----------
    residual, weight : ndarray of shape (n,)
        Cross-fitted residuals of the R-loss, and their weights there.
    fold : ndarray of int of shape (n,)
        Fold of each row, 0 to k - 1.
    groups : ndarray of int of shape (n, n_kinds)
        Codes of the groups of each row.

    Returns
    -------
    ndarray of shape (n_kinds,)
        The variance between the groups of each kind.
    """
    n_folds = fold.max() + 1
    parts = [np.unique(g * n_folds + fold, return_inverse=True)[1] for g in groups.T]
    nothing = np.empty((len(residual), 0))
    model = MixedRidge(max_iter=300, tol=0.001)
    model.fit(Grouped(nothing, np.column_stack(parts)), residual, weight)
    return model.variances_[1:-1]


class RowErrors:
    """The variance of the effect of a row, learned where a stack was fitted.

    It is the sum of two parts. One is what the stack knows of itself: half the
    `stacked_variance` of the row, half that of an average row, since a jackknife of few
    folds is noisy. The other is what its features cannot tell: by how much users and
    items, or clusters, differ in the effect beyond what was predicted (`left_over`). A
    pair of them is seen once, so nothing tells how much pairs differ beyond their two
    sides; they count as much as both sides together.

    Parameters
    ----------
    P, target, weight : ndarray
        As for `averaged_weights`.
    mix : ndarray of shape (n_candidates,)
        The weights of the stack.
    fold : ndarray of int of shape (n,)
        Fold of each row.
    groups : ndarray of int of shape (n, n_kinds) or None
        Codes of users and items; None where the rows have none.
    clusters : Clusters or None
        Rows that go together. Its ways are the groups where there are no others.
    rng : RandomState
        Draws the half-samples.
    """

    def __init__(self, P, target, weight, mix, fold, groups, clusters, rng):
        self.weights = averaged_weights(P, target, weight, rng, clusters)
        if groups is None and clusters is not None:
            groups = clusters.codes
        self.left_over = 0.0
        if groups is not None:
            kinds = left_over(target - P @ mix, weight, fold, groups)
            self.left_over = kinds.sum() * len(kinds)  # of two, that of pairs too

    def refer(self, parts, doubt, offsets, floor):
        """Take some rows of ``fit`` for the average row.

        Parameters
        ----------
        parts : ndarray of shape (n_folds, n, n_candidates)
            As for `stacked_variance`.
        doubt : ndarray of shape (n,)
            Variance of the difference of outcomes, candidate 1, that the folds do not
            show.
        offsets : ndarray of shape (n,) or float
            Variance of what is predicted of the row's own groups.
        floor : float
            Variance of the average effect: no row is known better.
        """
        self.typical = self._stacked(parts, doubt).mean()
        self.usual, self.floor = np.mean(offsets), floor

    def _stacked(self, parts, doubt):
        extra = np.zeros(parts.shape[1:])
        extra[:, 1] = doubt
        return stacked_variance(parts, self.weights, extra)

    def interval(self, center, parts, doubt, offsets, alpha):
        """Bounds of the effect of each row, by parts as for `refer`."""
        own = np.maximum(self.left_over + offsets - self.usual, 0.0)
        variance = (self._stacked(parts, doubt) + self.typical) / 2 + own
        return normal_interval(center, np.sqrt(np.maximum(variance, self.floor)), alpha)
