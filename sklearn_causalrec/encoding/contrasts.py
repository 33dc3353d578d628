"""Which two arms an effect compares: those named, or the control and the other one."""

import numpy as np

from sklearn_causalrec.encoding.arms import (
    arm_position,
    distinct_arms,
    had_arm,
    listed,
    ordered_arms,
    read_treatment,
)
from sklearn_causalrec.encoding.control import control_of


def find_control(treatment, arms, control=None):
    """The arm that effects are against, where it can be told.

    Parameters
    ----------
    treatment : array-like of shape (n,)
        Arm of every row, as it came: the order of a Categorical counts.
    arms : list
        The arms as Python objects.
    control : scalar, optional
        The control, where the user names it.

    Returns
    -------
    scalar or None
        One of the arms; None where the arms don't say it, or there is one arm only.

    Raises
    ------
    ValueError
        If `control` is none of the arms.
    """
    if control is not None:
        return arms[arm_position(control, arms, "control")]
    if len(arms) < 2:
        return None
    try:
        found = control_of(ordered_arms(treatment, arms))
    except ValueError:
        return None
    return arms[arm_position(found, arms, "control")]


def contrast(arms, control, T0=None, T1=None):
    """Positions of the two arms that are compared.

    Parameters
    ----------
    arms : list
        The arms as Python objects; tuples where several treatments are set together.
    control : object or None
        The one that is the control; None where it can't be told.
    T0 : scalar, optional
        The arm that `T1` is compared with. None: the control.
    T1 : scalar, optional
        None: the other of two arms; 1 against the control 0 among more.

    Returns
    -------
    t0, t1 : int

    Raises
    ------
    ValueError
        If an arm is named that is none, or has to be named.
    """
    if T0 is None and control is None:
        raise ValueError(
            f"Effects are against a control, and which of the arms {listed(arms)} it "
            f"is can't be told. Name it, for instance control={arms[0]!r} of the "
            "estimator; or name both arms, T0= and T1=."
        )
    t0 = arm_position(control if T0 is None else T0, arms, "T0")
    if T1 is not None:
        return t0, arm_position(T1, arms, "T1")
    if len(arms) == 2:
        return t0, 1 - t0
    width = len(arms[0]) if isinstance(arms[0], tuple) else None
    zero, one = (0, 1) if width is None else ((0,) * width, (1,) * width)
    if arms[t0] == zero == control and one in arms:
        return t0, arms.index(one)
    raise ValueError(
        f"Which of the arms {listed(arms)} is compared with {arms[t0]!r}? Name it, T1=."
    )


def contrast_of(estimator, T0=None, T1=None, *, control=None, treatment=None):
    """The two arms that a fitted estimator compares.

    Parameters
    ----------
    estimator : estimator, fitted
        With ``arms_``, and ``control_`` where it can tell.
    T0, T1 : scalar, optional
        The arms, where they are named.
    control : scalar, optional
        Another name for `T0`, which goes before what the estimator holds for it.
    treatment : array-like of shape (n,), optional
        Of an estimator that doesn't say its arms: the arm of every row.

    Returns
    -------
    T0, T1 : scalar
        Arms as the estimator calls them. They are as they came where it has doses.
    """
    T0 = either_name(T0, control)
    arms = getattr(estimator, "arms_", ())
    arms = arms.tolist() if isinstance(arms, np.ndarray) else list(arms)
    if arms and hasattr(estimator, "control_"):
        known = estimator.control_
    elif arms or treatment is not None:
        arms = arms or distinct_arms(read_treatment(treatment))[0].tolist()
        known = find_control(arms if treatment is None else treatment, arms)
    else:
        return T0, T1
    t0, t1 = contrast(arms, known, T0, T1)
    return arms[t0], arms[t1]


def either_name(T0, control):
    """The arm that effects are against, by whichever argument names it; or None."""
    if control is None or T0 is None:
        return control if T0 is None else T0
    if np.ndim(T0) or np.ndim(control) or T0 != control:
        raise ValueError(
            f"control={control!r} and T0={T0!r} both name the arm that effects are "
            "against: pass one of them."
        )
    return T0


def rows_of_two_arms(treatment, T0, T1, *, n=None):
    """The rows that had one of two arms, and which of them had the second.

    Parameters
    ----------
    treatment : array-like of shape (n,)
        Arm of every row, of any number of arms.
    T0, T1 : scalar
        The arms that are compared.
    n : int, optional
        Number of rows, which the treatment has to have.

    Returns
    -------
    rows : ndarray of int of shape (m,)
        Positions of the rows kept.
    treated : ndarray of bool of shape (m,)
        Whether they had `T1`.

    Raises
    ------
    ValueError
        If there is no row of one of the arms.
    """
    treatment = read_treatment(treatment, n)
    second = had_arm(treatment, T1)
    rows = np.flatnonzero(second | had_arm(treatment, T0))
    treated = second[rows]
    if treated.all() or not treated.any():
        raise ValueError(
            f"The rows to be judged have no row of one of the arms {T0!r}, {T1!r}: "
            "the effect can't be judged on them. Stratify folds by treatment."
        )
    return rows, treated


def named_arms(T0=None, T1=None):
    """The arms that were named, as keyword arguments."""
    return {name: arm for name, arm in (("T0", T0), ("T1", T1)) if arm is not None}
