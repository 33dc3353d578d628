"""Whether those who gain most are ranked first: uplift and Qini curves."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.metrics import auc

from sklearn_causalrec.encoding.arms import second_arm_probability, two_arms
from sklearn_causalrec.encoding.checks import choice, column

_CONVENTIONS = ("row", "scikit-uplift", "causalml")


class Curve(NamedTuple):
    """A curve over the share of rows targeted, best first.

    Parameters
    ----------
    share : ndarray of shape (m,)
        The shares of rows, from 0 to 1.
    gain : ndarray of shape (m,)
        The gain at each share, in units of the outcome a row.

    See Also
    --------
    uplift_curve : The cumulative gain by effect.
    qini_curve : The Qini curve.
    toc_curve : The targeting operator characteristic.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import uplift_curve
    >>> share, gain = uplift_curve([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0])
    >>> share.tolist()
    [0.0, 0.5, 1.0]
    """

    share: np.ndarray
    gain: np.ndarray


class _Ranked:
    """Weighted sums over the first rows, by predicted effect, at the end of ties."""

    def __init__(self, y, effect_pred, treatment, propensity, control=None, ties=True):
        y = column(y, "y")
        n = len(y)
        effect = column(effect_pred, "effect_pred", n)
        treated = two_arms(treatment, n, control)
        weight = np.ones(n)
        if propensity is not None:
            chance = second_arm_probability(treated, propensity)
            weight = 1 / np.where(treated, chance, 1 - chance)
        order = np.argsort(effect, kind="stable")[::-1]
        y, treated, weight = y[order], treated[order], weight[order]
        last = np.append(np.diff(effect[order]) != 0, True) | (not ties)

        def sums(values):
            return np.append(0.0, np.cumsum(values)[last])

        self.rows = np.append(0, np.flatnonzero(last) + 1)
        self.n_treated = sums(weight * treated)  # weighted number of rows treated
        self.n_control = sums(weight * ~treated)
        self.y_treated = sums(weight * treated * y)
        self.y_control = sums(weight * ~treated * y)

    @property
    def share(self):
        return self.rows / self.rows[-1]

    def uplift(self, empty):
        """Difference of the arms' means, `empty` where an arm has no row yet."""
        both = (self.n_treated > 0) & (self.n_control > 0)
        filled = np.full(len(self.rows), float(empty))
        filled[both] = (self.y_treated[both] / self.n_treated[both]) - (
            self.y_control[both] / self.n_control[both]
        )
        return filled

    def uplift_gain(self):
        """Rows times the difference of means; an arm without rows counts 0."""
        zeros = np.zeros(len(self.rows))
        treated = np.divide(
            self.y_treated, self.n_treated, out=zeros, where=self.n_treated > 0
        )
        zeros = np.zeros(len(self.rows))
        control = np.divide(
            self.y_control, self.n_control, out=zeros, where=self.n_control > 0
        )
        return self.rows * (treated - control)

    def qini_gain(self):
        """Extra outcome among those treated: y_1 - y_0 n_1 / n_0."""
        ratio = np.zeros(len(self.rows))
        np.divide(self.n_treated, self.n_control, out=ratio, where=self.n_control > 0)
        return self.y_treated - self.y_control * ratio


def uplift_curve(y, effect_pred, treatment, *, propensity=None, control=None):
    """Uplift curve: the cumulative gain of treating the first share of rows.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects, or any score to rank rows by. Ties are targeted together.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken, by which rows are weighted inversely. None
        says that every row had the same chances, as in an experiment.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    Curve
        The gain at share q is q times the difference of the arms' means among the
        first rows. Over all rows it is the average effect.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    qini_curve : The extra outcome of the treated among the first rows.
    auuc_score : The area under the curve.
    sklearn_causalrec.plot.UpliftCurveDisplay : The same as a plot.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import uplift_curve
    >>> uplift_curve([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0]).gain.tolist()
    [0.0, 0.5, 0.5]
    """
    ranked = _Ranked(y, effect_pred, treatment, propensity, control)
    return Curve(ranked.share, ranked.uplift_gain() / ranked.rows[-1])


def qini_curve(y, effect_pred, treatment, *, propensity=None, control=None):
    """Qini curve: the extra outcome of the treated among the first rows.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects, or any score to rank rows by. Ties are targeted together.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken, by which rows are weighted inversely. None
        says that every row had the same chances, as in an experiment.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    Curve
        The gain is :math:`(Y_1 - Y_0 N_1 / N_0) / N` [1]_. Y and N are sums and numbers
        over the first rows of either arm, and the N that divides is the number of all
        treated rows.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    uplift_curve : The cumulative gain by differences of means.
    qini_score : The area under the curve.
    sklearn_causalrec.plot.UpliftCurveDisplay : The same as a plot.

    References
    ----------
    .. [1] Radcliffe, N. (2007). "Using control groups to target on predicted lift."
       Direct Marketing Analytics Journal 1(3).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import qini_curve
    >>> qini_curve([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0]).gain.tolist()
    [0.0, 0.5, 0.5]
    """
    ranked = _Ranked(y, effect_pred, treatment, propensity, control)
    return Curve(ranked.share, ranked.qini_gain() / ranked.n_treated[-1])


def _area(curve):
    """Area between a curve and the straight line to its end."""
    return float(auc(*curve) - curve.share[-1] * curve.gain[-1] / 2)


def _binary(y, treatment):
    y = column(y, "y")
    if not np.isin(y, [0, 1]).all():
        raise ValueError(
            f"y holds {y[~np.isin(y, [0, 1])][0]}: the perfect curve that "
            'scikit-uplift divides by needs a 0/1 outcome. convention="row" does not.'
        )
    return y, two_arms(treatment, len(y)).astype(float)


def _perfect_uplift(y, treatment):
    y, t = _binary(y, treatment)
    more_control_buyers = np.sum((y == 1) & (t == 0)) > np.sum((y == 0) & (t == 1))
    return 2 * (y == t) + (y if more_control_buyers else t)


def _perfect_qini(y, treatment):
    y, t = _binary(y, treatment)
    return y * t - y * (1 - t)


def _scikit_uplift(y, treatment, ranked, qini):
    """Area beyond random, divided by that of an order by the outcomes themselves."""
    gain = _Ranked.qini_gain if qini else _Ranked.uplift_gain
    best_order = (_perfect_qini if qini else _perfect_uplift)(y, treatment)
    best = _Ranked(y, best_order, treatment, None)
    actual, perfect = (_area(Curve(of.rows, gain(of))) for of in (ranked, best))
    if perfect == 0:
        raise ValueError("The perfect curve is the random one: nothing to divide by.")
    return actual / perfect


def _causalml(ranked, qini):
    """Mean over rows of a curve that is interpolated where an arm has no row yet."""
    known = (ranked.n_control > 0) & ((ranked.n_treated > 0) | qini)
    known[0] = True
    curve = ranked.qini_gain() if qini else ranked.uplift(0)
    gain = np.interp(ranked.rows, ranked.rows[known], curve[known])
    if not qini:  # the difference of means is what CausalML interpolates
        gain = gain * ranked.rows
    if gain[-1] == 0:
        raise ValueError("The curve ends at 0, by which CausalML would divide.")
    random = gain[-1] / 2 if qini else 0.0
    return float((gain.mean() - random) / abs(gain[-1]))


def _curve_score(y, effect_pred, treatment, propensity, convention, qini):
    choice(convention, "convention", _CONVENTIONS)
    if convention != "row" and propensity is not None:
        raise ValueError(
            f'{convention} knows no propensities: leave them out, or convention="row".'
        )
    if convention == "row":
        curve = qini_curve if qini else uplift_curve
        return _area(curve(y, effect_pred, treatment, propensity=propensity))
    if convention == "causalml":
        ranked = _Ranked(y, effect_pred, treatment, None, ties=False)
        return _causalml(ranked, qini)
    ranked = _Ranked(y, effect_pred, treatment, None)
    return _scikit_uplift(y, treatment, ranked, qini)


def auuc_score(
    y, effect_pred, treatment, *, propensity=None, convention="row", control=None
):
    r"""Area between the uplift curve and that of a random order.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects, or any score to rank rows by. Ties are targeted together.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken, by which rows are weighted inversely. None
        says that every row had the same chances, as in an experiment.
    convention : {"row", "scikit-uplift", "causalml"}, default="row"
        How the area is measured. The options are:

        - "row" takes the area over shares of rows between 0 and 1, in units of the
          outcome a row. It is 0 for a random order, and estimates :math:`\int_0^1 q
          (E[\tau | \text{top } q] - E[\tau])\,dq`, which is the RATE with Qini weights.
        - "scikit-uplift" divides this area by that of a perfect order. It needs a 0/1
          outcome.
        - "causalml" takes the mean of the curve divided by its last value. The random
          order is not subtracted, and scores about 0.5.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The area. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    qini_score : The area of the Qini curve.
    uplift_curve : The curve.
    rate : A score with an interval, and for estimated nuisances.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import auuc_score
    >>> auuc_score([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0])
    0.125
    """
    y = column(y, "y")
    treated = two_arms(treatment, len(y), control)
    return _curve_score(y, effect_pred, treated, propensity, convention, qini=False)


def qini_score(
    y, effect_pred, treatment, *, propensity=None, convention="row", control=None
):
    """Area between the Qini curve and that of a random order.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects, or any score to rank rows by. Ties are targeted together.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken, by which rows are weighted inversely. None
        says that every row had the same chances, as in an experiment.
    convention : {"row", "scikit-uplift", "causalml"}, default="row"
        How the area is measured. The options are:

        - "row" takes the area over shares of rows between 0 and 1, in units of the
          outcome a treated row. It is 0 for a random order.
        - "scikit-uplift" divides this area by that of a perfect order. It needs a 0/1
          outcome.
        - "causalml" divides the area by the number of rows and the last value of the
          curve.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The area, known as the Qini coefficient [1]_. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    auuc_score : The area of the uplift curve.
    qini_curve : The curve.
    rate : A score with an interval, and for estimated nuisances.

    References
    ----------
    .. [1] Radcliffe, N. (2007). "Using control groups to target on predicted lift."
       Direct Marketing Analytics Journal 1(3).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import qini_score
    >>> qini_score([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0])
    0.125
    """
    y = column(y, "y")
    treated = two_arms(treatment, len(y), control)
    return _curve_score(y, effect_pred, treated, propensity, convention, qini=True)


def uplift_at_k(y, effect_pred, treatment, *, k=0.3, propensity=None, control=None):
    """Difference of the arms' means among the first rows.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects, or any score to rank rows by. Ties are targeted together.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    k : int or float, default=0.3
        The number of first rows, or their share between 0 and 1. Rows tied at the
        border are all among them.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken, by which rows are weighted inversely. None
        says that every row had the same chances, as in an experiment.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The difference, in units of the outcome. Higher is better.

    Raises
    ------
    ValueError
        If one of the arms is missing among the first rows, `k` is no number or share of
        rows, or an array does not fit.

    See Also
    --------
    uplift_curve : The gain at every share.
    causal_precision_at_k : The mean effect of the first rows of every user.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import uplift_at_k
    >>> uplift_at_k([1, 0, 1, 1], [2, 2, 1, 1], [1, 0, 1, 0], k=0.5)
    1.0
    """
    ranked = _Ranked(y, effect_pred, treatment, propensity, control)
    n = ranked.rows[-1]
    first = k
    if isinstance(k, Real) and not isinstance(k, Integral) and 0 < k <= 1:
        first = int(k * n)
    if not isinstance(first, Integral) or isinstance(k, bool) or not 1 <= first <= n:
        raise ValueError(f"k is {k!r}: 1 to {n} rows, or a share of them in (0, 1].")
    value = ranked.uplift(np.nan)[np.searchsorted(ranked.rows, first)]
    if np.isnan(value):
        raise ValueError(f"The first {first} rows are of one arm: choose a larger k.")
    return float(value)
