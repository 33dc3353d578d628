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

    Clipped, rows summing to one.

    Isotonic calibration spares the inverse weights the overconfidence of flexible
    classifiers (van der Laan et al. 2024, "Stabilized inverse probability weighting
    via isotonic calibration").
    """
    n_arms = len(problem.arms)
    raw = classify(problem, X, problem.arm, n_arms, salt=salt)(X)
    p = raw.copy()
    for a in range(n_arms):
        if np.ptp(p[:, a]) > 0:
            isotonic = IsotonicRegression(out_of_bounds="clip")
            p[:, a] = isotonic.fit_transform(p[:, a], problem.arm == a)
    return clipped(p, problem.clip), clipped(raw, problem.clip)


def clipped(p, clip):
    """Probabilities kept above ``clip``; rows sum to one."""
    p = np.maximum(p, clip)
    return p / p.sum(1, keepdims=True)
