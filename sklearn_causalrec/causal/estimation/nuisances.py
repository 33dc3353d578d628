"""Nuisance models of a problem: its outcome regressions and its arm probabilities."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.isotonic import IsotonicRegression

from sklearn_causalrec.effects.cross_fitting import CrossFit, as_models
from sklearn_causalrec.effects.default_learners import (
    nuisance_classifiers,
    nuisance_regressors,
)


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
