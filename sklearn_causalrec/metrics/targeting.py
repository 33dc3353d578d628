"""Rules of whom to target, and of what to list, judged by effects."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.effects.intervals import normal_interval
from sklearn_causalrec.encoding.checks import choice, column
from sklearn_causalrec.metrics.ranking import _cut, _Lists
from sklearn_causalrec.metrics.uplift import Curve


class Rate(NamedTuple):
    """A rank-weighted average effect: estimate, standard error, interval."""

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
        Rows are targeted by it, largest first; ties by the mean over their order.
    scores : array-like of shape (n,)
        True effects, or :func:`doubly_robust_scores` of rows that the priority was not
        learned from.

    Returns
    -------
    Curve
        :math:`\mathrm{TOC}(q) = E[\tau | \text{first share } q] - E[\tau]` [1]_.

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
):
    r"""Rank-weighted average effect: one number for a rule of whom to target.

    Parameters
    ----------
    priority, scores
        As in :func:`toc_curve`.
    weighting : {"autoc", "qini"}, default="autoc"
        :math:`\int_0^1 \mathrm{TOC}(q)\,dq`, strongest where few gain; or
        :math:`\int_0^1 q\,\mathrm{TOC}(q)\,dq`, strongest where many do.
    alpha : float, default=0.05
        1 - level of the interval.
    n_bootstrap : int, default=200
        Half-samples, whose standard deviation is the standard error.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    Rate
        `estimate`, `stderr`, and `low` and `high` of the normal interval. An interval
        above 0 says that the rule finds those who gain more.

    References
    ----------
    .. [1] Yadlowsky et al. (2021), arXiv:2111.07966, sections 2 and 3.

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
    if n_bootstrap < 2 or n < 4:
        raise ValueError(
            f"n_bootstrap is {n_bootstrap!r} over {n} rows: at least 2 half-samples of "
            "at least 4 rows are needed."
        )

    def estimate(priority, scores):
        ranked = _tie_means(priority, scores)
        m = len(ranked)
        rows = np.arange(1, m + 1)
        toc = np.cumsum(ranked) / rows - ranked.mean()
        return np.mean(toc if weighting == "autoc" else toc * rows / m)

    rng = check_random_state(random_state)
    order = np.argsort(-priority, kind="stable")
    priority, scores = priority[order], scores[order]
    halves = []
    for _ in range(n_bootstrap):
        half = np.sort(rng.permutation(n)[: n // 2])
        halves.append(estimate(priority[half], scores[half]))
    value, stderr = float(estimate(priority, scores)), float(np.std(halves, ddof=1))
    return Rate(value, stderr, *normal_interval(value, stderr, alpha))


def cdcg(effect, y_score, users=None, *, k=None):
    r"""Effects of a list, discounted by rank: causal DCG.

    Parameters
    ----------
    effect : array-like of shape (n,)
        True effects, or :func:`doubly_robust_scores`, which keep the mean unbiased.
    y_score, users, k
        As in :func:`~sklearn_causalrec.metrics.ndcg_at_k`.

    Returns
    -------
    float
        :math:`\sum_i \tau_i / \log_2(1 + \text{rank}_i)`, averaged over users [1]_.

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
    """Mean effect of a user's first k rows, averaged over users (Sato et al. 2020).

    Parameters
    ----------
    effect, y_score, users
        As in :func:`cdcg`.
    k : int, default=10
        Lists shorter than k are filled up with effects of 0.

    Returns
    -------
    float

    Examples
    --------
    >>> from sklearn_causalrec.metrics import causal_precision_at_k
    >>> causal_precision_at_k([1.0, 0.0, -1.0], [3, 2, 1], k=2)
    0.5
    """
    return _causal_list(
        effect, y_score, users, _cut(k), lambda r: np.full(len(r), 1 / k)
    )


def _causal_list(effect, y_score, users, k, discount):
    lists = _Lists(column(effect, "effect"), y_score, users, None, signed=True)
    weight = np.where(lists.rank <= k, discount(lists.rank), 0)
    return float(lists.sum(lists.gain * lists.over_ties(weight)).mean())
