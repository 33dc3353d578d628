"""Checks of outcome, treatment, propensity and weights, before any training."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
)

MAX_ARMS = 50


@contextmanager
def unchanged_on_failure(estimator):
    """Give the estimator its attributes back if the block raises."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_outcome(estimator, y, n, binary, classes=None):
    """Outcome as float64, and its classes where it is binary.

    Returns
    -------
    y : ndarray of shape (n,), float64; 0 and 1 where binary
    classes : ndarray of shape (2,) or None
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but "
            "the target y is None."
        )
    y = column_or_1d(y, warn=True)
    if len(y) != n:
        raise ValueError(f"X has {n} rows and y has {len(y)}: one outcome a row.")
    if not binary:
        if y.dtype.kind not in "fiub":
            y = y.astype(np.float64)
        assert_all_finite(y, input_name="y")
        return y.astype(np.float64), None
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    found = np.unique(y)
    if kind != "binary":
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{kind}, with classes {found[:5].tolist()}."
        )
    classes = found if classes is None else np.unique(classes)
    if not np.isin(found, classes).all() or len(classes) > 2:
        raise ValueError(
            f"y holds the classes {found.tolist()}, the estimator knows "
            f"{np.asarray(classes).tolist()} (two at most)."
        )
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {found.tolist()[0]!r}: a classifier needs both. "
            'Use task="regression", or rows of the other class.'
        )
    return (y == classes[1]).astype(np.float64), classes


def check_weight(sample_weight, X_like):
    """Weights as float64, or ones."""
    return _check_sample_weight(
        sample_weight, X_like, dtype=np.float64, ensure_non_negative=True
    )


def check_arms(treatment, n, arms=None):
    """Arm of every row as a code, and the arms, sorted.

    Parameters
    ----------
    treatment : array-like of shape (n,) or None
        None: every row was exposed, a single arm.
    arms : array, optional
        The arms known already; others raise.

    Returns
    -------
    codes : ndarray of shape (n,), int64
    arms : ndarray of shape (n_arms,)
    """
    if treatment is None:
        return np.zeros(n, np.int64), np.array([1]) if arms is None else arms
    treatment = np.asarray(treatment)
    if treatment.ndim == 2 and treatment.shape[1] == 1:
        treatment = treatment[:, 0]
    if treatment.ndim != 1 or len(treatment) != n:
        raise ValueError(
            f"treatment has shape {treatment.shape} and X has {n} rows: pass one arm "
            "a row."
        )
    missing = pd.isna(treatment)
    if treatment.dtype.kind == "f":
        missing |= ~np.isfinite(treatment)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"treatment is {treatment.tolist()[row]!r} in row {row}: NaN or infinity "
            "is no arm. Drop those rows, or give them an arm of their own."
        )
    if treatment.dtype.kind not in "fiub":
        treatment = treatment.astype(object)
    if arms is None:
        arms = np.array(sorted(pd.unique(treatment)), dtype=treatment.dtype)
        if len(arms) > MAX_ARMS:
            raise ValueError(
                f"treatment takes {len(arms)} different values: a continuous treatment "
                "has no arms. Bin it into at most "
                f"{MAX_ARMS} values, for instance with KBinsDiscretizer."
            )
    return arm_codes(treatment, arms), arms


def arm_codes(treatment, arms):
    """Position of each treatment among the arms; numbers match up to rounding."""
    treatment = np.atleast_1d(np.asarray(treatment))
    if arms.dtype.kind in "fiub" and treatment.dtype.kind in "fiub":
        nearest = np.abs(
            treatment.astype(float)[:, None] - arms.astype(float)[None, :]
        ).argmin(1)
        known = np.isclose(treatment.astype(float), arms[nearest].astype(float))
    else:
        index = pd.Index(arms.astype(object))
        nearest = index.get_indexer(pd.Index(treatment.astype(object)))
        known = nearest >= 0
    if not known.all():
        raise ValueError(
            f"treatment holds {treatment[~known].tolist()[0]!r}, an arm unseen in fit; "
            f"the arms are {arms.tolist()}."
        )
    return nearest.astype(np.int64)


def check_propensity(propensity, n):
    """Known probabilities of the arm taken, NaN where unknown; None where none is.

    Returns
    -------
    ndarray of shape (n,), float64, or None
    """
    if propensity is None:
        return None
    propensity = np.asarray(propensity, dtype=np.float64)
    if propensity.ndim == 2 and propensity.shape[1] == 1:
        propensity = propensity[:, 0]
    if propensity.ndim != 1 or len(propensity) != n:
        raise ValueError(
            f"propensity has shape {propensity.shape} and X has {n} rows: pass the "
            "probability of the arm taken, one a row."
        )
    wrong = ~np.isnan(propensity) & ~((propensity > 0) & (propensity <= 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"propensity is {propensity.tolist()[row]!r} in row {row}: it is the "
            "probability with which the arm taken was chosen, in (0, 1], or NaN where "
            "unknown."
        )
    return None if np.isnan(propensity).all() else propensity


__all__ = [
    "arm_codes",
    "check_arms",
    "check_outcome",
    "check_propensity",
    "check_weight",
    "unchanged_on_failure",
]
