"""The one reader of treatment: which arm each row had."""

import reprlib
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.checks import probability
from sklearn_causalrec.encoding.control import control_of
from sklearn_causalrec.encoding.disk_arrays import BLOCK_ROWS
from sklearn_causalrec.encoding.kinds import as_series, kind_of

MAX_ARMS = 50
_LISTED = 20  # arms that a message lists


def read_treatment(treatment, n=None):
    """The arm of every row, as it was called.

    Parameters
    ----------
    treatment : array-like of shape (n,) or (n, 1)
        Arms: numbers, truth values or text.
    n : int, optional
        Number of rows. None: any number.

    Returns
    -------
    ndarray of shape (n,)
        Numbers as they came, anything else as objects.

    Raises
    ------
    ValueError
        If there is not one arm a row, one is missing or infinite, or they are not of
        one kind.
    """
    treatment = as_series(treatment, "treatment")
    if n is not None and len(treatment) != n:
        raise ValueError(
            f"treatment has the shape {treatment.shape}, and there are {n} rows: pass "
            "one arm a row."
        )
    _refuse_missing(treatment)
    if kind_of(treatment, "treatment") == "time":
        raise ValueError(
            f"treatment holds times, such as {treatment.iloc[0]!r}: an arm is a "
            "number, a truth value or text. Make them text, treatment.astype(str)."
        )
    values = treatment.to_numpy()
    if values.dtype.kind == "O":
        values = pd.Series(values, dtype=object).infer_objects().to_numpy()
    if values.dtype.kind == "f":
        return values.astype(np.float32) if values.dtype.itemsize < 4 else values
    if values.dtype.kind in "iub":
        return values
    values = treatment.astype(object).to_numpy()
    if any(isinstance(arm, Decimal | Fraction) for arm in values):
        return values.astype(float)
    return values


def _refuse_missing(treatment):
    missing = treatment.isna().to_numpy()
    if pd.api.types.is_float_dtype(treatment.dtype):
        numbers = treatment.to_numpy(dtype=float, na_value=np.nan)
        missing = missing | ~np.isfinite(numbers)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"treatment is missing in row {row}, where it is "
            f"{treatment.tolist()[row]!r}: NaN or infinity is no arm. Drop such rows, "
            "or give them an arm of their own."
        )


def distinct_arms(treatment):
    """The different arms, sorted, and the position of each row's arm among them.

    Parameters
    ----------
    treatment : ndarray of shape (n,)
        As :func:`read_treatment` returns it.

    Returns
    -------
    arms : ndarray of shape (n_arms,)
    codes : ndarray of int64 of shape (n,)
    """
    blocks = range(0, len(treatment), BLOCK_ROWS)  # a hash table is as long as they are
    found = [pd.unique(treatment[start : start + BLOCK_ROWS]) for start in blocks]
    found = pd.unique(np.concatenate(found)) if found else treatment
    arms = found[np.argsort(found, kind="stable")]
    return arms, _positions(treatment, pd.Index(arms), np.arange(len(arms)))


def _positions(treatment, index, place):
    """The place of each row's value, block by block: factorizing takes twice as much
    memory again as its codes."""
    codes = np.empty(len(treatment), np.int64)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        codes[block] = place[index.get_indexer(treatment[block])]
    return codes


def check_arms(treatment, n, arms=None, *, any_number=False):
    """Position of each row's arm among the arms, and the sorted arms.

    Parameters
    ----------
    treatment : array-like of shape (n,) or None
        None: every row had the same arm.
    n : int
        Number of rows.
    arms : ndarray of shape (n_arms,), optional
        The arms, where they are known before. None: those of the treatment.
    any_number : bool, default=False
        Whether whole numbers, truth values and text are arms whatever their number.
        Fractions beyond 50 are not: they are doses.

    Returns
    -------
    codes : ndarray of int64 of shape (n,)
        Position of every row's arm.
    arms : ndarray of shape (n_arms,)
        The arms, sorted.
    """
    if treatment is None:
        return np.zeros(n, np.int64), np.array([1]) if arms is None else arms
    treatment = read_treatment(treatment, n)
    if arms is not None:
        return arm_codes(treatment, arms), arms
    arms, codes = distinct_arms(treatment)
    whole = arms.dtype.kind != "f" or (arms == np.round(arms)).all()
    if len(arms) > MAX_ARMS and not (any_number and whole):
        raise ValueError(
            f"treatment takes {len(arms)} different values: a continuous treatment "
            "has no arms. Bin it into at most "
            f"{MAX_ARMS} values, for instance with KBinsDiscretizer."
        )
    return codes, arms


def arm_codes(treatment, arms):
    """Position of each treatment among the arms.

    Whole numbers and text are compared as they are, however large. 1, 1.0 and True are
    the same arm. Between fractions the rounding of float32 is overlooked, as far as it
    is small beside the gaps between arms.

    Parameters
    ----------
    treatment : array-like of shape (n,)
    arms : ndarray or list of shape (n_arms,)

    Returns
    -------
    ndarray of int64 of shape (n,)

    Raises
    ------
    ValueError
        If a row has none of the arms.
    """
    arms = arms if isinstance(arms, list) else np.asarray(arms).tolist()
    treatment = read_treatment(treatment)
    found = pd.unique(treatment)
    places = np.array(_places(found.tolist(), arms), np.int64)
    if (places < 0).any():
        strange = found.tolist()[int((places < 0).argmax())]
        raise ValueError(
            f"treatment holds {strange!r}, an arm unseen in fit; the arms are "
            f"{listed(arms)}.{_spelling(strange, arms)}"
        )
    return _positions(treatment, pd.Index(found), places)


def arm_position(arm, arms, name):
    """Position of one arm among the arms.

    Parameters
    ----------
    arm : scalar
        A number, a truth value or text.
    arms : list
        The arms as Python objects; tuples where several treatments are set together.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is none of the arms, which are listed.
    """
    joint = isinstance(arms[0], tuple)
    scalar = not isinstance(arm, dict | set) and np.ndim(arm) == 0
    if joint:
        arm = (arm,) * len(arms[0]) if scalar else tuple(arm)
        arm = tuple(_plain(part) for part in arm)
        for place, known in enumerate(arms):
            pairs = list(zip(arm, known))
            same = all(_places([own], [other]) == [0] for own, other in pairs)
            if same and len(arm) == len(known):
                return place
    elif not scalar:
        raise ValueError(
            f"{name}={reprlib.repr(arm)} is not one arm: name one of {listed(arms)}, "
            "for all rows."
        )
    else:
        arm = _plain(arm)
        if (place := _places([arm], arms)[0]) >= 0:
            return place
    raise ValueError(
        f"{name}={arm!r} is not an arm; the arms are {listed(arms)}."
        f"{'' if joint else _spelling(arm, arms)}"
    )


def had_arm(treatment, arm):
    """Which rows had an arm.

    Parameters
    ----------
    treatment : array-like of shape (n,)
        Arm of every row.
    arm : scalar
        One arm, which no row need have.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    codes, found = pd.factorize(read_treatment(treatment))
    same = [_places([own], [_plain(arm)]) == [0] for own in found.tolist()]
    return np.array(same, bool)[codes]


def listed(arms):
    """The arms for a message, the first of them where they are many."""
    arms = [*arms]
    if len(arms) <= _LISTED:
        return str(arms)
    return f"{str(arms[:_LISTED])[:-1]}, and {len(arms) - _LISTED} more]"


def _plain(arm):
    return arm.item() if isinstance(arm, np.generic | np.ndarray) else arm


def _places(values, arms):
    """Position of each value among the arms, both Python objects; -1 for none."""
    known = {arm: place for place, arm in enumerate(arms)}
    found = [known.get(value, -1) for value in values]
    fractions = [
        (arm, place) for place, arm in enumerate(arms) if isinstance(arm, float)
    ]
    if -1 not in found or not fractions:
        return found
    numbers = np.sort([float(arm) for arm in arms if not isinstance(arm, str)])
    gap = np.diff(numbers).min() if len(numbers) > 1 else abs(numbers[0]) or 1.0
    for i, value in enumerate(values):
        if found[i] < 0 and isinstance(value, float):
            arm, place = min(fractions, key=lambda pair: abs(pair[0] - value))
            rounding = np.finfo(np.float32).eps * max(abs(arm), gap)
            if abs(arm - value) <= min(rounding, gap / 10):
                found[i] = place
    return found


def _spelling(arm, arms):
    """A question, where text stands for numbers or the other way round."""
    if isinstance(arm, str) == isinstance(arms[0], str):
        return ""
    kinds = ("a number", "text") if isinstance(arms[0], str) else ("text", "numbers")
    return f" {arm!r} is {kinds[0]}, and the arms are {kinds[1]}: are they spelt alike?"


def two_arms(treatment, n, control=None):
    """Which rows had the other of the two arms: not the control.

    Parameters
    ----------
    treatment : array-like of shape (n,)
        Arm of every row.
    n : int
        Number of rows.
    control : scalar, optional
        The arm that effects are against. None: as
        :func:`~sklearn_causalrec.encoding.control.control_of` reads it of the arms.

    Returns
    -------
    ndarray of bool of shape (n,)

    Raises
    ------
    ValueError
        If treatment is None, doesn't take exactly two values, or doesn't say which of
        them is the control.
    """
    if treatment is None:
        raise ValueError(
            "treatment is missing: without the arm of every row an effect can't be "
            "judged. Pass treatment=."
        )
    values = read_treatment(treatment, n)
    arms, codes = distinct_arms(values)
    if len(arms) != 2:
        raise ValueError(
            f"treatment takes the values {arms[:5].tolist()}: two arms are "
            "compared. Select the rows of two arms."
        )
    arms = arms.tolist()
    if control is None:
        control = control_of(ordered_arms(treatment, arms))
    return codes != arm_position(control, arms, "control")


def ordered_arms(treatment, arms):
    """The treatment where its categories have an order, else its arms."""
    treatment = as_series(treatment) if np.ndim(treatment) == 1 else pd.Series(arms)
    dtype = treatment.dtype
    ordered = isinstance(dtype, pd.CategoricalDtype) and dtype.ordered
    return treatment if ordered else arms


def second_arm_probability(treated, propensity):
    """Probability of the second arm, from that of the arm taken.

    Parameters
    ----------
    treated : ndarray of bool of shape (n,)
        Whether the row had the second arm.
    propensity : array-like of shape (n,) or None
        Probability of the arm taken. None: the arms' shares.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the arm taken was certain.
    """
    n = len(treated)
    if propensity is None:
        return np.full(n, treated.mean())
    taken = probability(propensity, "propensity", n)
    if (taken == 1).any():
        row = int((taken == 1).argmax())
        raise ValueError(
            f"propensity is 1 in row {row}: the other arm was impossible there, and "
            "its effect can't be judged. Leave such rows out."
        )
    return np.where(treated, taken, 1 - taken)
