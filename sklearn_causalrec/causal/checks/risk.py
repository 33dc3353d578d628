"""Risk ratios, and how strong a confounder would explain them."""

from typing import NamedTuple

import numpy as np

from sklearn_causalrec.effects.intervals import check_alpha, normal_quantile
from sklearn_causalrec.encoding.checks import column, real


class EValue(NamedTuple):
    """E-value of an estimate, and of the confidence limit nearer to no effect."""

    estimate: float
    limit: float | None


def _e_value(ratio):
    ratio = max(ratio, 1 / ratio)
    return float(ratio + np.sqrt(ratio * (ratio - 1)))


def e_value(risk_ratio, lower=None, upper=None):
    """How strongly a confounder must be tied to both sides to explain a risk ratio.

    Parameters
    ----------
    risk_ratio : float
        The risk ratio. A rate ratio or hazard ratio of a rare outcome serves as well.
    lower, upper : float, default=None
        The confidence limits of the ratio.

    Returns
    -------
    EValue
        ``estimate``: the smallest risk ratio that the confounder must have with the
        treatment and with the outcome, beyond the covariates [1]_. ``limit``: the
        same for the limit nearer to 1; 1 where the interval contains 1; None without
        limits.

    Raises
    ------
    ValueError
        If a ratio is not positive and finite, or lies outside its limits.

    See Also
    --------
    risk_ratio : The ratio of two risks with its interval.
    Sensitivity : The same question for differences.

    References
    ----------
    .. [1] VanderWeele, T. and Ding, P. (2017). "Sensitivity analysis in observational
       research: introducing the E-value." Annals of Internal Medicine 167(4).

    Examples
    --------
    >>> from sklearn_causalrec.causal import e_value
    >>> found = e_value(3.9, 1.8, 8.7)
    >>> round(found.estimate, 2), round(found.limit, 2)
    (7.26, 3.0)
    """
    given = {"risk_ratio": risk_ratio, "lower": lower, "upper": upper}
    for name, value in given.items():
        if value is not None and not 0 < real(value, name) < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}.")
    real(risk_ratio, "risk_ratio")
    low = -np.inf if lower is None else lower
    high = np.inf if upper is None else upper
    if not low <= risk_ratio <= high:
        raise ValueError(
            f"risk_ratio {risk_ratio!r} lies outside its limits, {lower!r} and "
            f"{upper!r}."
        )
    near = lower if risk_ratio >= 1 else upper
    limit = None
    if near is not None:
        crosses = (near - 1) * (risk_ratio - 1) <= 0
        limit = 1.0 if crosses else _e_value(near)
    return EValue(_e_value(risk_ratio), limit)


def risk_ratio(control, treated, alpha=0.05):
    """Ratio of two risks with a delta-method interval on the log scale.

    Parameters
    ----------
    control, treated : float or array-like of shape (n,)
        The two risks; or their uncentred influence function values for the same rows,
        whose means are the risks.
    alpha : float, default=0.05
        One minus the level of confidence.

    Returns
    -------
    ratio : float
        The risk of the treated over that of the controls.
    lower, upper : float or None
        The limits of its interval, which are None for single risks. :func:`e_value`
        takes the three in this order.

    Raises
    ------
    ValueError
        If a risk is not above 0 and up to 1.

    See Also
    --------
    e_value : How strong a confounder would explain the ratio.

    Examples
    --------
    >>> from sklearn_causalrec.causal import e_value, risk_ratio
    >>> round(e_value(*risk_ratio(0.1, 0.2)).estimate, 3)
    3.414
    """
    check_alpha(alpha)
    if np.ndim(control) == 0:
        p0, p1 = real(control, "control"), real(treated, "treated")
    else:
        control = column(control, "control")
        treated = column(treated, "treated", len(control))
        p0, p1 = float(control.mean()), float(treated.mean())
    for risk in (p0, p1):
        if not 0 < risk <= 1:
            raise ValueError(
                f"a ratio of risks needs risks above 0 and up to 1, got {risk:g}: is "
                "the outcome 0 and 1?"
            )
    if np.ndim(control) == 0:
        return p1 / p0, None, None
    influence = treated / p1 - control / p0
    half = normal_quantile(alpha) * influence.std() / np.sqrt(len(influence))
    return p1 / p0, p1 / p0 * np.exp(-half), p1 / p0 * np.exp(half)
