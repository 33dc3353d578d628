"""Nuisance models of a problem: its outcome regressions and its arm probabilities."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.isotonic import IsotonicRegression

from sklearn_causalrec.effects.cross_fitting import CrossFit, as_models
from sklearn_causalrec.effects.default_learners import (
    nuisance_classifiers,
    nuisance_regressors,
)
from sklearn_causalrec.effects.learners import convex_weights


def regress(problem, X, target, *, rows=None, weight=None, first=False, salt=0):
    """Cross-fitted regression by the problem's outcome models.

    ``first`` says that the target is the outcome itself: where it is binary,
    classifiers are the default.
    """
    models = problem.outcome_model
    default = nuisance_regressors
    if first and problem.binary and models is None:
        default = nuisance_classifiers
    models = as_models(models, default)
    if not first:
        # what is regressed is a mean, not a class
        if any(is_classifier(m) for m in models):
            models = nuisance_regressors()
    return CrossFit(
        models, X, target, problem.fold, rows=rows, weight=weight,
        seed=problem.seed + 1000 * salt, n_jobs=problem.n_jobs,
    )  # fmt: skip


class ArmRegression:
    """Regression among the rows of some arms, beside one that all rows share.

    Where the mean is wanted for nodes that these arms rarely see, as in the front door,
    a model of the arms' own rows reaches beyond its data. One of all rows, with the
    treatments as features, has seen such nodes. The two are stacked by their squared
    error in the rows of the arms.

    Parameters
    ----------
    problem : Problem
        A model that it names is fitted to the rows of the arms alone.
    X : ndarray of shape (n, p)
        The nodes.
    treatments : ndarray of int of shape (n, q)
        Codes of the treatments.
    arms : sequence of int
        The code of each treatment in these arms.
    target : ndarray of shape (n,) or (n, n_folds)
        What is regressed, known in all rows.
    first, salt
        As for `regress`.
    """

    def __init__(self, problem, X, treatments, arms, target, *, first, salt):
        self.arms = arms
        rows = (treatments == arms).all(1)
        given = dict(first=first, salt=salt)
        self.own = regress(problem, X, target, rows=rows, **given)
        self.shared, self.share = None, 0.0
        if problem.outcome_model is not None or rows.all() or not X.shape[1]:
            return
        self.shared = regress(problem, self._all(X, treatments), target, **given)
        here = np.flatnonzero(rows)
        P = np.column_stack([self.own(X), self.shared(self._all(X))])[here]
        y = target[here] if np.ndim(target) == 1 else target[here, problem.fold[here]]
        self.share = convex_weights(P, y, np.ones(len(here)))[1]

    def _all(self, X, treatments=None):
        if treatments is None:
            treatments = np.tile(self.arms, (len(X), 1))
        return np.hstack([X, treatments])

    def by(self, k, X):
        """Means in these arms, by the models without fold k."""
        mean = (1 - self.share) * self.own.by(k, X)
        if self.share:
            mean = mean + self.share * self.shared.by(k, self._all(X))
        return mean


def classify(problem, X, codes, n_classes, *, rows=None, weight=None, salt=0):
    """Cross-fitted probabilities by the problem's treatment models."""
    models = as_models(problem.treatment_model, nuisance_classifiers)
    return CrossFit(
        models, X, codes, problem.fold, rows=rows, weight=weight, n_classes=n_classes,
        seed=problem.seed + 1000 * salt + 500, n_jobs=problem.n_jobs,
    )  # fmt: skip


def arm_probabilities(problem, X, *, salt=0):
    """Cross-fitted probabilities of the arms, calibrated and as they were.

    Clipped, rows summing to one; those that are known as they are.

    Isotonic calibration spares the inverse weights the overconfidence of flexible
    classifiers (van der Laan et al. 2024, "Stabilized inverse probability weighting
    via isotonic calibration").
    """
    n_arms, known, weight = len(problem.arms), problem.propensity, problem.weight
    if known is not None and n_arms == 2 and not np.isnan(known).any():
        p = _with_known(np.full((len(X), 2), 0.5), problem)
        return p, p
    raw = classify(problem, X, problem.arm, n_arms, weight=weight, salt=salt)(X)
    p = raw.copy()
    for a in range(n_arms):
        if np.ptp(p[:, a]) > 0:
            isotonic = IsotonicRegression(out_of_bounds="clip")
            mine = (problem.arm == a).astype(float)
            p[:, a] = isotonic.fit(p[:, a], mine, weight).predict(p[:, a])
    p, raw = clipped(p, problem.clip), clipped(raw, problem.clip)
    if known is None:
        return p, raw
    return _with_known(p, problem), _with_known(raw, problem)


def _with_known(p, problem):
    """What is known of the arm taken leaves the shares of the others."""
    here = np.flatnonzero(~np.isnan(problem.propensity))
    taken = here, problem.arm[here]
    known, p = problem.propensity[here], p.copy()
    p[here] *= ((1 - known) / (1 - p[taken]))[:, None]
    p[taken] = known
    return np.maximum(p, np.finfo(float).tiny)  # of an arm that is ruled out


def clipped(p, clip):
    """Probabilities kept above ``clip``; rows sum to one."""
    p = np.maximum(p, clip)
    return p / p.sum(1, keepdims=True)
