"""How much rows can say: normal intervals, effective sample sizes, overlap."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import t

from sklearn_causalrec.encoding.checks import column


def check_alpha(alpha):
    """Refuse an alpha that is not between 0 and 1."""
    real = isinstance(alpha, Real) and not isinstance(alpha, bool | np.bool_)
    # 1 / alpha is infinite below.
    if not real or not 1e-300 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}.")


def normal_quantile(alpha):
    """How many standard errors a two-sided normal interval reaches.

    Parameters
    ----------
    alpha : float
        One minus the level of the interval, between 0 and 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from sklearn_causalrec.effects.intervals import normal_quantile
    >>> round(normal_quantile(0.05), 2)
    1.96
    """
    check_alpha(alpha)
    return float(-ndtri(alpha / 2))


def normal_interval(mean, error, alpha, degrees=np.inf):
    """Bounds of a normal interval, or of Student's.

    Parameters
    ----------
    mean, error : float or ndarray
        Estimate and its standard error.
    alpha : float
        One minus the level of the interval, between 0 and 1.
    degrees : float, default=inf
        Degrees of freedom of the standard error. Infinitely many give the normal one.

    Returns
    -------
    low, high : float or ndarray
    """
    check_alpha(alpha)
    quantile = normal_quantile(alpha)
    if np.isfinite(degrees):
        quantile = float(t.ppf(1 - alpha / 2, degrees))
    half = quantile * error
    return mean - half, mean + half


class Estimate(NamedTuple):
    """A number that was estimated, and how well.

    Attributes
    ----------
    value : float
        The estimate.
    error : float
        Its standard error.
    degrees : float
        Degrees of freedom of the standard error; inf where it counts as known.
    """

    value: float
    error: float
    degrees: float = np.inf

    def interval(self, alpha):
        """Bounds, one minus whose level is alpha."""
        return normal_interval(self.value, self.error, alpha, self.degrees)


def standard_error(width, alpha=0.05):
    """The standard error that a normal interval was made with.

    Parameters
    ----------
    width : float or ndarray
        Upper bound less lower bound.
    alpha : float, default=0.05
        One minus the level of the interval, between 0 and 1.

    Returns
    -------
    float or ndarray
    """
    return width / 2 / normal_quantile(alpha)


def effective_sample_size(weight):
    r"""Kish's effective sample size of a weighted sample.

    Parameters
    ----------
    weight : array-like of shape (n,)
        The weights of the rows.

    Returns
    -------
    float
        The size :math:`(\sum w)^2 / \sum w^2` [1]_: so many rows of equal weight have a
        mean of the same variance. It is 0 where all weights are 0.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite, or there is none.

    See Also
    --------
    sklearn_causalrec.metrics.policy_value : It tells the effective size of a log.

    References
    ----------
    .. [1] Kish, L. (1965). "Survey sampling." Wiley.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import effective_sample_size
    >>> effective_sample_size([1, 1, 0, 0])
    2.0
    """
    return _kish(column(weight, "weight", largest=np.inf))


def _kish(weight):
    if not weight.any():
        return 0.0
    # By a power of two, which is exact, so that squares can't overflow.
    most = max(weight.max(), -weight.min())
    weight = np.ldexp(weight, -np.frexp(most)[1])
    total = weight.sum()
    return float(total**2 / np.square(weight, out=weight).sum())


def summarize_overlap(rows, exposure, arms, clip, unlikely=None):
    """How well the arms overlap, and how well the probabilities are calibrated.

    Parameters
    ----------
    rows : Rows
        The log.
    exposure : ndarray of shape (n,) or None
        Probability of the arm that each row had; with one arm, density ratio.
    arms : ndarray of shape (n_arms,)
        Values of the arms.
    clip : float
        The least exposure that weights are made of.
    unlikely : ndarray of bool of shape (n,), default=None
        The rows in which some arm is below the clip, whose share is ``clipped``. None:
        those whose own exposure is.

    Returns
    -------
    dict or None
        The keys ``clipped``, ``effective_sample_size`` and ``calibration``, the latter
        two by arm. None where the exposure is None.
    """
    if exposure is None:
        return None
    ess, calibration = {}, {}
    for code, arm in enumerate(arms.tolist()):  # one arm at once is in memory again
        mine = rows.arm == code
        weight, seen = rows.weight[mine], exposure[mine]
        calibration[arm] = float((weight / seen).sum() / rows.weight.sum())
        np.maximum(seen, clip, out=seen)
        np.divide(weight, seen, out=weight)
        del seen
        ess[arm] = _kish(weight)
    unlikely = exposure < clip if unlikely is None else unlikely
    return {
        "clipped": float(unlikely.mean()),
        "effective_sample_size": ess,
        "calibration": calibration,
    }
