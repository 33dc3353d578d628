"""Which arm is the control: read from the arms where they say so, else asked for."""

from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

CONTROL_LABELS = frozenset({"control", "placebo", "none", "no", "off"})
_LISTED = 10  # arms a message lists


def control_of(arms, control=None):
    """The arm that effects are against.

    Parameters
    ----------
    arms : array-like of shape (n,)
        The treatment of each row, or the different arms. Nothing may be missing.
    control : scalar, default=None
        The control arm, where the user names one; it must be one of the arms. None:
        ``False`` of truth values; of numbers 0, or else the smallest; the first
        category of an ordered Categorical; of text the one arm that is called
        control, placebo, none, no or off, however it is capitalised.

    Returns
    -------
    scalar
        As a Python object, equal to one of the arms.

    Raises
    ------
    ValueError
        If the arms don't say which of them is the control, or `control` is none of
        them. The message lists the arms.

    Examples
    --------
    >>> control_of(["yes", "No", "yes"])
    'No'
    >>> control_of([2, 1, 3])
    1
    >>> control_of(["Mens E-Mail", "No E-Mail"], control="No E-Mail")
    'No E-Mail'
    """
    values = _as_series(arms)
    missing = values.isna().to_numpy()
    if missing.any():
        raise ValueError(f"The treatment is missing in row {int(missing.argmax())}.")
    ordered = isinstance(values.dtype, pd.CategoricalDtype) and values.dtype.ordered
    found = _distinct(values)
    if not found:
        raise ValueError("There are no arms: no row has a treatment.")
    if control is not None:
        return _given(found, control)
    if ordered:
        first = _plain(values.dtype.categories[0])
        if first in found:
            return first
        raise _unclear(
            found, f"{first!r}, the first category of the treatment, has no row"
        )
    if all(isinstance(arm, bool) for arm in found):
        return False if False in found else True
    if all(_is_number(arm) for arm in found):
        return next((arm for arm in found if arm == 0), min(found))
    if not all(isinstance(arm, str) for arm in found):
        kinds = sorted({type(arm).__name__ for arm in found})
        raise _unclear(found, f"arms of type {', '.join(kinds)} don't say it")
    named = [arm for arm in found if arm.strip().casefold() in CONTROL_LABELS]
    if len(named) == 1:
        return named[0]
    if named:
        raise _unclear(found, f"{named[0]!r} and {named[1]!r} may both be it")
    raise _unclear(found, "text has no order")


def _as_series(arms):
    """Arms as a Series, each as it came: [1, "a"] stays a number and a text."""
    if not isinstance(arms, (pd.Series, pd.Index)) and hasattr(arms, "to_pandas"):
        arms = arms.to_pandas()  # polars and pyarrow
    if isinstance(arms, pd.api.extensions.ExtensionArray | pd.Index | pd.Series):
        return pd.Series(arms)
    if not isinstance(arms, np.ndarray):
        arms = list(arms)
        arms = pd.Series(arms, dtype=None if arms else object)
        return arms
    if arms.ndim > 1 and arms.size != len(arms):
        raise ValueError(
            f"The treatment has {arms.ndim} dimensions: one arm a row is asked for."
        )
    if not arms.dtype.isnative:
        arms = arms.astype(arms.dtype.newbyteorder("="))
    return pd.Series(arms.reshape(-1))


def _distinct(values):
    """Different arms as Python objects, in order of their appearance."""
    try:
        return [_plain(arm) for arm in values.unique()]
    except TypeError:
        strange = next(v for v in values if getattr(v, "__hash__", None) is None)
        raise ValueError(
            f"The treatment holds {strange!r}, which is no arm: an arm is a number, a "
            "truth value or text."
        ) from None


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _is_number(arm):
    if isinstance(arm, bool) or not isinstance(arm, Real | Decimal):
        return False
    return arm - arm == 0  # not infinite


def _given(found, control):
    control = _plain(control)
    if np.ndim(control) == 0 and not pd.isna(control):
        for arm in found:
            same_kind = isinstance(arm, str) == isinstance(control, str)
            if same_kind and arm == control:
                return arm
    raise ValueError(f"control={control!r} is none of the arms. {_listed(found)}")


def _unclear(found, why):
    return ValueError(
        f"Which arm is the control can't be told: {why}. {_listed(found)} Name it, "
        f"for instance control={found[0]!r}."
    )


def _listed(found):
    more = len(found) - _LISTED
    names = ", ".join(map(repr, sorted(found[:_LISTED], key=str)))
    return f"The arms are {names}{f' and {more} more' if more > 0 else ''}."
