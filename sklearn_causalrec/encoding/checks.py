"""Checks of outcomes, probabilities and weights, before any work is done with them."""

from collections.abc import Iterable
from contextlib import contextmanager
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
)

from sklearn_causalrec._utils.process import filters_kept
from sklearn_causalrec.encoding.kinds import as_series, floats_of, kind_of, short

_LARGEST = 1e100  # what products and squares of can be added up in float64
_SMALLEST = 1e-30  # of a probability: a row must not weigh more than all others


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
    series = as_series(y, "y")
    if getattr(y, "ndim", 1) == 2:
        column_or_1d(y, warn=True)
    if len(series) != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} "
            f"rows and y has {len(series)}."
        )
    return series.rename("y")


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
    y = _numbers(_one_outcome_a_row(estimator, y, n), "y", _OUTCOME)
    assert_all_finite(y, input_name="y")
    return refuse_large(y, "y")


_OUTCOME = (
    "the outcome is a number, or 0 and 1. Encode a binary one, "
    "y = (label == 'yes').astype(int)"
)


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
    series = _one_outcome_a_row(estimator, y, n)
    if kind_of(series, "y") == "time":
        raise ValueError(f"y holds times, such as {series.iloc[0]!r}: {_OUTCOME}.")
    y = series.to_numpy()
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
            'Use task="regression", or rows of the other class. Lists from positives '
            'alone are made by CausalDNNRecommender(objective="implicit") and '
            "baselines.BlendRecommender."
        )
    return (y == classes[1]).astype(np.float64), classes


def check_weight(sample_weight, X_like):
    """Weights as float64, or ones."""
    one = sample_weight is None or np.isscalar(sample_weight)
    if not one and not hasattr(sample_weight, "tocsr"):
        sample_weight = column(sample_weight, "sample_weight")
        if 0 < np.abs(sample_weight).max() < _SMALLEST:
            raise ValueError(
                f"sample_weight is {np.abs(sample_weight).max()} at most, and float32 "
                "can't hold it: give it in smaller units, its mean is free."
            )
    return _check_sample_weight(
        sample_weight, X_like, dtype=np.float64, ensure_non_negative=True
    )


# -- what everybody asks of columns ----------------------------------------------------


def column(values, name, n=None, *, allow_nan=False, largest=_LARGEST):
    """One finite float a row, whatever holds them.

    Parameters
    ----------
    values : array-like of shape (n,) or (n, 1)
        Numbers: of any width, as objects, Decimal or Fraction, in any container that
        has an order.
    name : str
        What messages call them.
    n : int, default=None
        The number of rows. None stands for any.
    allow_nan : bool, default=False
        Whether a row may have none.
    largest : float, default=1e100
        The largest magnitude. Squares of larger ones can't be added up.

    Returns
    -------
    ndarray of shape (n,), float64

    Raises
    ------
    ValueError
        If there are not `n` of them, or one is no number, NaN, infinite, or too large.
    TypeError
        If `values` are no rows at all: a text, a set, a mapping.
    """
    values = _numbers(as_series(values, name), name)
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
    return refuse_large(values, name, largest)


def _numbers(series, name, rule="numbers are needed"):
    kind = kind_of(series, name)
    if kind == "number":
        return floats_of(series.rename(name))
    given = series.dropna()
    example = f", such as {short(given.iloc[0])}" if len(given) else ""
    way_out = "" if kind == "time" else ". Numbers as text: pd.to_numeric(values)"
    raise ValueError(f"{name} holds {_KINDS[kind]}{example}: {rule}{way_out}.")


def refuse_large(values, name, largest=_LARGEST):
    """The values, of which none is too large to be multiplied and added up.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, p)
        Numbers, or NaN.
    name : str
        What messages call them.
    largest : float, default=1e100
        The largest magnitude.

    Returns
    -------
    ndarray
        The same values.

    Raises
    ------
    ValueError
        If one is larger. The message names its row.
    """
    if not len(values) or not values.size:
        return values
    ends = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if max(-ends[0], ends[1]) > largest:
        large = np.abs(values) > largest
        row, *_ = where = np.unravel_index(large.argmax(), large.shape)
        raise ValueError(
            f"{name} is {values[where]} in row {row}: squares of numbers beyond "
            f"{largest:g} are infinite. Give it in larger units."
        )
    return values


_KINDS = {"time": "times", "text": "text", "category": "categories"}


def matrix(values, name, shape=None, layout="numbers in rows and columns"):
    """Finite float64 numbers in rows and columns.

    Parameters
    ----------
    values : array-like of shape (n, m)
        Numbers, as :func:`column` reads them.
    name : str
        What messages call them.
    shape : tuple of int, default=None
        The shape that is needed. None stands for any.
    layout : str, default="numbers in rows and columns"
        What rows and columns are, for messages.

    Returns
    -------
    ndarray of shape (n, m), float64

    Raises
    ------
    ValueError
        If the shape is another, or an entry is no finite number.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(f"{name} is masked: fill it, values.filled(...).")
        values = values.filled()
    try:
        values = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths.") from None
    if values.ndim != 2 or (shape is not None and values.shape != shape):
        wanted = "" if shape is None else f", {shape}"
        raise ValueError(
            f"{name} has the shape {values.shape}: {layout} are needed{wanted}."
        )
    columns = [column(values[:, j], f"{name}[:, {j}]") for j in range(values.shape[1])]
    return np.column_stack(columns) if columns else values.astype(float)


def labels(values, name, n=None):
    """One label a row, of users, items or actions, that can be told from others.

    Parameters
    ----------
    values : array-like of shape (n,) or (n, 1)
        Numbers, text, or anything else that can be a key.
    name : str
        What messages call them.
    n : int, default=None
        The number of rows. None stands for any.

    Returns
    -------
    ndarray of shape (n,)
        Truth values as 0 and 1, other numbers as they came, anything else as objects.

    Raises
    ------
    ValueError
        If there are not `n` of them, or one is missing, infinite or no key, or numbers
        stand beside text.
    TypeError
        If `values` are no rows at all: a text, a set, a mapping.
    """
    series = as_series(values, name)
    if n is not None and len(series) != n:
        raise ValueError(f"{name} has {len(series)} values, and there are {n} rows.")
    if not len(series):
        raise ValueError(f"{name} is empty: there is nothing to average over.")
    missing = series.isna().to_numpy()
    if missing.any():
        raise ValueError(f"{name} is missing in row {int(missing.argmax())}.")
    values = series.to_numpy()
    if values.dtype == object:
        values = _keys(values, name)
    if values.dtype.kind == "c":
        raise ValueError(f"{name} holds complex numbers, which name nothing.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise ValueError(f"{name} is {values[row]} in row {row}, which names nothing.")
    return values.astype(np.int8) if values.dtype.kind == "b" else values


def _keys(values, name):
    """Objects that can be told apart; numbers among objects as numbers."""
    numbers = 0
    for row, value in enumerate(values.tolist()):
        try:
            hash(value)
        except TypeError:
            raise ValueError(
                f"{name} is {short(value)} in row {row}: a number or text is needed."
            ) from None
        numbers += isinstance(value, Real | Decimal)
    if 0 < numbers < len(values) and any(isinstance(v, str) for v in values):
        raise ValueError(
            f"{name} holds numbers and text: 1 and '1' would be two of them. Make all "
            "of them text, or all of them numbers."
        )
    if 0 < numbers == len(values):
        values = np.array(pd.Series(values).infer_objects())
        huge = max(map(abs, values.tolist())) > _LARGEST
        return values.astype(float) if values.dtype == object and not huge else values
    return values


def same_spelling(values, name, known, known_name):
    """Refuse labels that can't be among others: numbers where the others are text.

    Parameters
    ----------
    values, known : ndarray
        Labels, as :func:`labels` returns them.
    name, known_name : str
        What messages call them.

    Raises
    ------
    ValueError
        If the ones are numbers and the others are not.
    """
    if len(values) and len(known) and (values.dtype == "O") != (known.dtype == "O"):
        raise ValueError(
            f"{name} holds {values.tolist()[0]!r} and {known_name} "
            f"{known.tolist()[0]!r}: none is the other, are they spelt alike?"
        )


def probability(values, name, n, *, default=None, allow_nan=False):
    """One probability in (0, 1] a row; `default` where none are given."""
    if values is None:
        return default
    values = column(values, name, n, allow_nan=allow_nan)
    wrong = (values < _SMALLEST) | (values > 1)
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


# -- what everybody asks of single values ----------------------------------------------


def choice(value, name, known):
    """One of the known values.

    Raises
    ------
    ValueError
        If it is none of them; they are listed.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {short(value)}: choose one of {sorted(known)}.")
    return value


def number(value, name, low=-np.inf, high=np.inf, *, open_low=False, infinite=False):
    """A number in a range, as a float.

    Parameters
    ----------
    value : float
        A number, not a truth value or text.
    name : str
        What messages call it.
    low, high : float
        The smallest and the largest value allowed.
    open_low : bool, default=False
        Whether `low` itself is out of range.
    infinite : bool, default=False
        Whether infinity is a number too.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is no number, or outside of the range.
    """
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    real = real and (abs(value) < 10**100 or (infinite and abs(value) == np.inf))
    value = float(value) if real else value
    if not real or not low <= value <= high or (open_low and value == low):
        between = (
            ""
            if low == -np.inf and high == np.inf
            else (
                f" in {'(' if open_low or low == -np.inf else '['}{low:g}, {high:g}"
                f"{')' if high == np.inf else ']'}"
            )
        )
        raise ValueError(f"{name} is {short(value)}: a number{between} is needed.")
    return value


def real(value, name):
    """A number of any size, as a float; NaN and infinity are for the caller to judge.

    Raises
    ------
    TypeError
        If it is something else, such as text or a truth value.
    """
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {short(value)}: a number is needed.")
    return float(value)


def whole_number(value, name, low=1, high=2**31 - 1):
    """A whole number in a range, as an int; 2.0 is one.

    Parameters
    ----------
    value : int
        A number, not a truth value or text.
    name : str
        What messages call it.
    low, high : int
        The smallest and the largest value allowed.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is no whole number, or outside of the range.
    """
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not real or not low <= value <= high or value % 1 != 0:
        raise ValueError(
            f"{name} is {short(value)}: a whole number, {low} or more, is needed."
        )
    return int(value)


def text(value, name):
    """Text for people to read, or None.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is {short(value)}: text is needed.")
    return value


def several(values, name, such_as):
    """What a list, tuple or array holds, as a list.

    Parameters
    ----------
    values : list, tuple, set, Index, Series or ndarray
        The values; one text is none of these.
    name : str
        What messages call it.
    such_as : str
        An example for messages.

    Returns
    -------
    list

    Raises
    ------
    TypeError
        If it is something else.
    """
    listed = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    if not listed or getattr(values, "ndim", 1) == 0:
        raise TypeError(f"{name} is {short(values)}: pass a list, such as {such_as}.")
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def pair(values, name):
    """Two values of a tuple, list or array.

    Parameters
    ----------
    values : tuple, list or ndarray of length 2
        The two.
    name : str
        What messages call them.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If they are not two.
    """
    if not isinstance(values, tuple | list | np.ndarray) or np.ndim(values) == 0:
        raise ValueError(f"{name} is {short(values)}: a tuple of two is needed.")
    if len(values) != 2:
        raise ValueError(f"{name} has {len(values)} entries: two are needed.")
    return list(values)


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
