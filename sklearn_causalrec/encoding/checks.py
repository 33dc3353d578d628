"""Checks of outcomes, probabilities and weights, before any work is done with them."""

from contextlib import contextmanager

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
)

from sklearn_causalrec._utils.process import filters_kept


@contextmanager
def unchanged_on_failure(estimator):
    """Give the estimator its attributes back if the block raises.

    It is around every fit, and so the place to see that fits in threads leave the
    process as it was, too.
    """
    before = dict(vars(estimator))
    try:
        with filters_kept():
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


# -- what estimators ask of y and of weights -------------------------------------------


def _one_outcome_a_row(estimator, y, n):
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but "
            "the target y is None."
        )
    y = column_or_1d(y, warn=True)
    if len(y) != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} "
            f"rows and y has {len(y)}."
        )
    return y


def as_outcome(estimator, y, n):
    """Outcome as finite float64.

    Parameters
    ----------
    estimator : estimator
        Named in the message where y is missing.
    y : array-like of shape (n,)
        The outcome.
    n : int
        Number of rows of X.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    y = _one_outcome_a_row(estimator, y, n)
    if y.dtype.kind not in "fiub":
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"y holds {y[0]!r}: the outcome is a number, or 0 and 1. Encode a "
                "binary one, y = (label == 'yes').astype(int)."
            ) from None
    assert_all_finite(y, input_name="y")
    return y.astype(np.float64)


def check_outcome(estimator, y, n, binary, classes=None):
    """Outcome as float64, and its classes where it is binary.

    Parameters
    ----------
    estimator, y, n
        As in :func:`as_outcome`.
    binary : bool
        Whether y has two classes, numbers or not.
    classes : array-like, optional
        The classes, where they are known before. None: those of y.

    Returns
    -------
    y : ndarray of shape (n,), float64
        Where binary 0 and 1, the latter in rows of the second class.
    classes : ndarray of shape (2,) or None
        The sorted classes.
    """
    if not binary:
        return as_outcome(estimator, y, n), None
    y = _one_outcome_a_row(estimator, y, n)
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


# -- what everybody asks of columns ----------------------------------------------------


def column(values, name, n=None, *, allow_nan=False):
    """One finite float a row.

    Raises
    ------
    ValueError
        If there are not `n` of them, or one is NaN or infinite.
    """
    values = column_or_1d(np.asarray(values, dtype=np.float64))
    if n is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} values, and there are {n} rows.")
    if len(values) == 0:
        raise ValueError(f"{name} is empty: there is nothing to average over.")
    wrong = ~np.isfinite(values)
    if allow_nan:
        wrong &= ~np.isnan(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name} is {values[row]} in row {row}: numbers are needed.")
    return values


def probability(values, name, n, *, default=None, allow_nan=False):
    """One probability in (0, 1] a row; `default` where none are given."""
    if values is None:
        return default
    values = column(values, name, n, allow_nan=allow_nan)
    wrong = (values <= 0) | (values > 1)
    if wrong.any():
        row = int(wrong.argmax())
        unknown = ", or NaN where it is unknown" if allow_nan else ""
        raise ValueError(
            f"{name} is {values[row]} in row {row}: a probability in (0, 1] is "
            f"needed, that of what happened in the row{unknown}."
        )
    return values


def check_propensity(propensity, n):
    """Known probabilities of the arm taken, NaN where unknown; None where none is.

    Returns
    -------
    ndarray of shape (n,), float64, or None
    """
    known = probability(propensity, "propensity", n, allow_nan=True)
    return None if known is None or np.isnan(known).all() else known


def choice(value, name, known):
    """One of the known values.

    Raises
    ------
    ValueError
        If it is none of them; they are listed.
    """
    if value not in known:
        raise ValueError(f"{name} is {value!r}: choose one of {sorted(known)}.")
    return value


def refuse_copies(columns, outcome, treatment, outcome_name=None):
    """Refuse a feature that is the outcome or the treatment itself.

    Every feature counts as a confounder. An effect that is adjusted for its own outcome
    is zero, whatever it is in truth.

    Parameters
    ----------
    columns : dict of name to ndarray of shape (n,)
        The features.
    outcome : ndarray of shape (n,)
        The outcome.
    treatment : ndarray of shape (n,) or None
        The treatment where it is a number.
    outcome_name : hashable, default=None
        The name that y came with.

    Raises
    ------
    ValueError
        If a feature bears the name of the outcome, or equals the outcome or the
        treatment in every row.
    """
    if outcome_name is not None and outcome_name in columns:
        raise ValueError(
            f"the outcome {outcome_name!r} is also a column of X, and every feature "
            "counts as a confounder: an effect adjusted for its own outcome is zero. "
            f"Drop it, X.drop(columns={outcome_name!r}); or, if y is another variable, "
            'give it another name, y.rename("y").'
        )
    for what, values in (("outcome", outcome), ("treatment", treatment)):
        for name, column in columns.items():
            if values is not None and is_copy(column, values):
                raise ValueError(
                    f"column {name!r} of X equals the {what} in every row, and every "
                    "feature counts as a confounder. Leave it out."
                )


def is_copy(column, other):
    """Whether two columns are equal, value for value, and vary."""
    try:
        same = np.asarray(column) == np.asarray(other)
    except (TypeError, ValueError):
        return False
    return bool(np.all(same)) and bool(np.any(column != column[0]))
