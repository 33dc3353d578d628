"""Bounds of an effect where the treatment decides whose outcome is observed."""

from typing import NamedTuple

import numpy as np

from sklearn_causalrec.causal.bounds import imbens_manski
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.arms import two_arms
from sklearn_causalrec.encoding.checks import column
from sklearn_causalrec.encoding.cluster_columns import given_clusters


class LeeBounds(NamedTuple):
    """Bounds of the effect among those whose outcome is observed in either arm.

    Attributes
    ----------
    low, high : float
        The bounds.
    interval : tuple of two float
        It covers the effect, wherever between the bounds it lies.
    trimmed : float
        The share that is left out of the arm with the larger share of outcomes.
    """

    low: float
    high: float
    interval: tuple
    trimmed: float


def lee_bounds(y, treatment, *, control=None, alpha=0.05, cluster=None):
    """Bound the effect where outcomes are observed for some rows only [1]_.

    The treatment is randomised, and some have an outcome under one arm alone: a rating
    is there where an item was bought, and the treatment makes people buy. Those with an
    outcome in either arm are not known by name. If the treatment acts on having an
    outcome in one direction only, the effect on them lies within bounds: of the arm
    with more outcomes, the excess share is left out at the top, or at the bottom.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome of each row, NaN where there is none.
    treatment : array-like of shape (n,)
        The arm of each row, one of two.
    control : scalar, default=None
        The arm that the effect is against; None where the arms tell, as 0 of 0 and 1.
    alpha : float, default=0.05
        One minus the level of confidence.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids by which rows belong together; with None all are independent.

    Returns
    -------
    LeeBounds
        The bounds, with an interval that counts the error of the trimmed share, too.

    Raises
    ------
    ValueError
        If an arm has no outcome at all, if there are not two arms, or the outcome is
        infinite.

    See Also
    --------
    CausalGraph.bounds : Bounds where a graph does not identify an effect.

    References
    ----------
    .. [1] Lee, D. (2009). "Training, wages, and sample selection: estimating sharp
       bounds on treatment effects." Review of Economic Studies 76(3).

    Examples
    --------
    >>> from sklearn_causalrec.causal import lee_bounds
    >>> rated = [5, 3, 4, 4, None, 2, 4, 3, None, None]
    >>> shown = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    >>> found = lee_bounds(rated, shown)
    >>> round(found.low, 2), round(found.high, 2), round(found.trimmed, 2)
    (0.67, 1.33, 0.25)
    """
    check_alpha(alpha)
    y = column(y, "y", allow_nan=True)
    treated = two_arms(treatment, len(y), control)
    clusters = None if cluster is None else given_clusters(cluster, len(y))
    seen = ~np.isnan(y)
    share = [seen[treated == arm].mean() for arm in (False, True)]
    for arm, its in zip(("control", "treated"), share):
        if not its:
            raise ValueError(f"no {arm} row has an outcome: nothing can be compared.")
    # The arm with more outcomes is trimmed to the share of the other.
    larger = bool(share[1] >= share[0])
    keep = share[not larger] / share[larger]
    influence_of_share = [
        (treated == arm) / (treated == arm).mean() * (seen - its) / its
        for arm, its in zip((False, True), share)
    ]
    of_keep = keep * (influence_of_share[not larger] - influence_of_share[larger])
    plain = _mean(y, seen & (treated != larger))
    sign, ends = (1 if larger else -1), []
    for top in (False, True):
        mean, influence = _trimmed(y, seen & (treated == larger), keep, of_keep, top)
        ends.append(
            estimate(sign * (mean - plain[0]), sign * (influence - plain[1]), clusters)
        )
    low, high = sorted(ends)
    interval = imbens_manski(low, high, alpha)
    return LeeBounds(float(low.value), float(high.value), interval, float(1 - keep))


def _mean(y, rows):
    """The mean over some rows, and its influence function at all rows."""
    mean = y[rows].mean()
    return mean, np.where(rows, y - mean, 0) / rows.mean()


def _trimmed(y, rows, keep, of_keep, top):
    """The mean of the lowest or highest share of some rows, with its influence.

    The lower mean is ``q - E[(q - y)+] / keep`` with ``q`` the quantile of the share.
    """
    sign = -1 if top else 1
    values = sign * y
    ordered = np.sort(values[rows])
    place = min(int(np.ceil(keep * len(ordered) - 1e-9)), len(ordered)) - 1
    quantile = ordered[place]
    short = np.where(rows, np.maximum(quantile - values, 0), 0)
    mean_short = short[rows].mean()
    mean = quantile - mean_short / keep
    influence = -np.where(rows, short - mean_short, 0) / rows.mean() / keep
    influence = influence + (quantile - mean) / keep * of_keep
    return sign * mean, sign * influence
