"""The one reader of treatment: which arm each row had."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.checks import probability
from sklearn_causalrec.encoding.kinds import as_series, kind_of

MAX_ARMS = 50


def read_treatment(treatment, n):
    """The arm of every row, as it was called.

    Parameters
    ----------
    treatment : array-like of shape (n,) or (n, 1)
        Arms, of any type.
    n : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n,)
        Numbers as they came, anything else as objects.

    Raises
    ------
    ValueError
        If there is not one arm a row, or one is missing or infinite.
    """
    treatment = as_series(treatment, "treatment")
    if len(treatment) != n:
        raise ValueError(
            f"treatment has the shape {treatment.shape}, and there are {n} rows: pass "
            "one arm a row."
        )
    kind_of(treatment, "treatment")
    treatment = treatment.to_numpy()
    missing = pd.isna(treatment)
    if treatment.dtype.kind == "f":
        missing |= ~np.isfinite(treatment)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"treatment is missing in row {row}, where it is "
            f"{treatment.tolist()[row]!r}: NaN or infinity is no arm. Drop such rows, "
            "or give them an arm of their own."
        )
    if treatment.dtype.kind not in "fiub":
        treatment = treatment.astype(object)
    return treatment


def check_arms(treatment, n, arms=None):
    """Position of each row's arm among the arms, and the sorted arms.

    Parameters
    ----------
    treatment : array-like of shape (n,) or None
        None: every row had the same arm.
    n : int
        Number of rows.
    arms : ndarray of shape (n_arms,), optional
        The arms, where they are known before. None: those of the treatment.

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


def two_arms(treatment, n):
    """Which rows had the second of the two arms: the larger value.

    Parameters
    ----------
    treatment : array-like of shape (n,)
        Arm of every row.
    n : int
        Number of rows.

    Returns
    -------
    ndarray of bool of shape (n,)

    Raises
    ------
    ValueError
        If treatment is None, or doesn't take exactly two values.
    """
    if treatment is None:
        raise ValueError(
            "treatment is missing: without the arm of every row an effect can't be "
            "judged. Pass treatment=."
        )
    treatment = read_treatment(treatment, n)
    arms = pd.unique(treatment)
    if len(arms) != 2:
        raise ValueError(
            f"treatment takes the values {sorted(arms.tolist())[:5]}: two arms are "
            "compared. Select the rows of two arms."
        )
    return treatment == max(arms)


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
