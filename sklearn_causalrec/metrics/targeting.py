"""Rules of whom to target, and of what to list, judged by effects."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.effects.intervals import check_alpha, normal_interval
from sklearn_causalrec.encoding.checks import choice, column, whole_number
from sklearn_causalrec.encoding.cluster_columns import given_clusters
from sklearn_causalrec.metrics.ranking import _cut, _Lists
from sklearn_causalrec.metrics.uplift import Curve


class Rate(NamedTuple):
    """A rank-weighted average effect with its interval.

    Parameters
    ----------
    estimate : float
        The rank-weighted average effect.
    stderr : float
        The standard error of the estimate.
    low, high : float
        The bounds of its normal interval.

    See Also
    --------
    rate : The function that returns it.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import rate
    >>> effects = [3.0, 2.0, 1.0, 0.0]
    >>> found = rate(effects, effects)
    >>> found.low < found.estimate < found.high
    True
    """

    estimate: float
    stderr: float
    low: float
    high: float


def _tie_means(priority, scores):
    """Scores by falling priority, those of equal priority replaced by their mean."""
    order = np.argsort(-priority, kind="stable")
    tie = np.cumsum(np.append(0, np.diff(priority[order]) != 0))
    return (np.bincount(tie, scores[order]) / np.bincount(tie))[tie]


def toc_curve(priority, scores):
    r"""Targeting operator characteristic: how much more the first rows gain.

    Parameters
    ----------
    priority : array-like of shape (n,)
        The rule to judge: rows of larger values are targeted first. Ties are averaged
        over their order.
    scores : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores` of rows that the priority was
        not learned from.

    Returns
    -------
    Curve
        The gain at share q is :math:`\mathrm{TOC}(q) = E[\tau | \text{first share } q]
        - E[\tau]` [1]_.

    Raises
    ------
    ValueError
        If an array does not fit.

    See Also
    --------
    rate : One number for the curve, with an interval.
    uplift_curve : A curve for experiments, without scores.

    References
    ----------
    .. [1] Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E. and Wager, S. (2021).
       "Evaluating treatment prioritization rules via rank-weighted average treatment
       effects." arXiv:2111.07966.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import toc_curve
    >>> toc_curve([3, 2, 1], [2.0, 1.0, 0.0]).gain.tolist()
    [1.0, 0.5, 0.0]
    """
    priority = column(priority, "priority")
    ranked = _tie_means(priority, column(scores, "scores", len(priority)))
    rows = np.arange(1, len(ranked) + 1)
    return Curve(rows / len(ranked), np.cumsum(ranked) / rows - ranked.mean())


def rate(
    priority,
    scores,
    *,
    weighting="autoc",
    alpha=0.05,
    n_bootstrap=200,
    random_state=0,
    cluster=None,
):
    r"""Rank-weighted average effect (RATE) of a rule of whom to target.

    Parameters
    ----------
    priority : array-like of shape (n,)
        The rule to judge: rows of larger values are targeted first. Ties are averaged
        over their order.
    scores : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores` of rows that the priority was
        not learned from.
    weighting : {"autoc", "qini"}, default="autoc"
        The weights of the shares. "autoc" is :math:`\int_0^1 \mathrm{TOC}(q)\,dq`,
        which is strongest where few gain. "qini" is :math:`\int_0^1
        q\,\mathrm{TOC}(q)\,dq`, which is strongest where many gain.
    alpha : float, default=0.05
        One minus the level of the interval.
    n_bootstrap : int, default=200
        The number of half-samples, whose standard deviation is the standard error.
    random_state : int, RandomState or None, default=0
        The seed of the half-samples. None draws others in every call.
    cluster : array-like of shape (n,), default=None
        The ids of what rows belong to, such as the user of each. Half of the clusters
        is then drawn, not of the rows. None says that rows are independent.

    Returns
    -------
    Rate
        The `estimate`, its `stderr`, and the bounds `low` and `high` of its normal
        interval [1]_. An interval above 0 says that the rule finds those who gain more.

    Raises
    ------
    ValueError
        If an array does not fit, there are fewer than 4 rows, or `n_bootstrap` is below
        2.

    See Also
    --------
    toc_curve : The curve that is averaged.
    auuc_score : The area of the uplift curve, for experiments.

    References
    ----------
    .. [1] Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E. and Wager, S. (2021).
       "Evaluating treatment prioritization rules via rank-weighted average treatment
       effects." arXiv:2111.07966.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import rate
    >>> effects = [3.0, 2.0, 1.0, 0.0]
    >>> rate(effects, effects).estimate  # mean of 1.5, 1, 0.5, 0
    0.75
    """
    choice(weighting, "weighting", {"autoc", "qini"})
    priority = column(priority, "priority")
    n = len(priority)
    scores = column(scores, "scores", n)
    n_bootstrap = whole_number(n_bootstrap, "n_bootstrap", low=2)
    check_alpha(alpha)
    clusters = given_clusters(cluster, n)
    codes = np.arange(n) if clusters is None else clusters.codes[:, 0]
    if clusters is not None and len(clusters.names) > 1:
        raise ValueError(
            f"cluster names {len(clusters.names)} ways to group the rows, "
            f"{clusters.names}, and half-samples are drawn by one: name one."
        )
    n_units = codes.max() + 1
    if n_units < 4:
        units = "rows" if clusters is None else "clusters"
        raise ValueError(
            f"There are {n_units} {units}: half-samples of at least 4 are needed."
        )

    def estimate(priority, scores):
        ranked = _tie_means(priority, scores)
        m = len(ranked)
        rows = np.arange(1, m + 1)
        toc = np.cumsum(ranked) / rows - ranked.mean()
        return np.mean(toc if weighting == "autoc" else toc * rows / m)

    rng = check_random_state(random_state)
    order = np.argsort(-priority, kind="stable")
    priority, scores, codes = priority[order], scores[order], codes[order]
    halves = []
    for _ in range(n_bootstrap):
        drawn = np.zeros(n_units, bool)
        drawn[rng.permutation(n_units)[: n_units // 2]] = True
        half = np.flatnonzero(drawn[codes])
        halves.append(estimate(priority[half], scores[half]))
    value, stderr = float(estimate(priority, scores)), float(np.std(halves, ddof=1))
    return Rate(value, stderr, *normal_interval(value, stderr, alpha))


def cdcg(effect, y_score, users=None, *, k=None):
    r"""Causal DCG: the effects of a list, discounted by rank.

    Parameters
    ----------
    effect : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores`, which keep the mean unbiased.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user. Ties are averaged over their order.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int, default=None
        The length of the lists. None stands for whole lists.

    Returns
    -------
    float
        The sum :math:`\sum_i \tau_i / \log_2(1 + \text{rank}_i)`, averaged over users
        [1]_. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, or `k` is below 1.

    See Also
    --------
    causal_precision_at_k : The mean effect of the first rows, without a discount.
    ndcg_at_k : The same of outcomes in place of effects.

    References
    ----------
    .. [1] Sato, M., Takemori, S., Singh, J. and Ohkuma, T. (2020). "Unbiased learning
       for the causal effect of recommendation." RecSys.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import cdcg
    >>> cdcg([1.0, 0.0, -1.0], [3, 2, 1])
    0.5
    """
    return _causal_list(effect, y_score, users, _cut(k), lambda r: 1 / np.log2(1 + r))


def causal_precision_at_k(effect, y_score, users=None, *, k=10):
    """Mean effect of the first k rows of every user, averaged over users.

    Parameters
    ----------
    effect : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores`, which keep the mean unbiased.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user. Ties are averaged over their order.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int, default=10
        The length of the lists. Shorter lists are filled up with effects of 0.

    Returns
    -------
    float
        The mean effect, in units of the outcome [1]_. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, or `k` is below 1.

    See Also
    --------
    cdcg : The effects of a list, discounted by rank.
    recall_at_k : The positives among the first rows.

    References
    ----------
    .. [1] Sato, M., Takemori, S., Singh, J. and Ohkuma, T. (2020). "Unbiased learning
       for the causal effect of recommendation." RecSys.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import causal_precision_at_k
    >>> causal_precision_at_k([1.0, 0.0, -1.0], [3, 2, 1], k=2)
    0.5
    """
    k = whole_number(k, "k", high=np.inf)
    return _causal_list(effect, y_score, users, k, lambda r: np.full(len(r), 1 / k))


def _causal_list(effect, y_score, users, k, discount):
    lists = _Lists(column(effect, "effect"), y_score, users, None, signed=True)
    weight = np.where(lists.rank <= k, discount(lists.rank), 0)
    return float(lists.sum(lists.gain * lists.over_ties(weight)).mean())
