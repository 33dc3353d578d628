"""How good ranked lists are: from full feedback, or unbiased from a biased log."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.checks import (
    choice,
    column,
    labels,
    probability,
    whole_number,
)

_NO_POSITIVES = {"skip": np.nan, "zero": 0.0, "one": 1.0}


class _Lists:
    """Rows sorted into the lists of their users, best score first.

    Attributes
    ----------
    gain : ndarray of shape (n,)
        y / propensity, and 0 where y was not observed.
    rank : ndarray of shape (n,)
        From 1, within the user.
    """

    def __init__(
        self, y_true, y_score, users, propensity, *, binary=False, signed=False
    ):
        y = column(y_true, "y_true", allow_nan=True)
        n = len(y)
        score = column(y_score, "y_score", n)
        users = np.zeros(n, np.int8) if users is None else labels(users, "users", n)
        code, self.users = pd.factorize(users, sort=False)
        wrong = (y < 0) & (not signed)
        if binary:
            wrong |= ~np.isnan(y) & (y != 0) & (y != 1)
        if wrong.any():
            kind = "0 or 1" if binary else "0 or more"
            raise ValueError(f"y_true holds {y[wrong][0]}: relevance is {kind}.")
        weight = 1 / probability(propensity, "propensity", n, default=np.ones(n))

        # A fixed shuffle, blind to the labels, so that ties can't follow their order.
        shuffle = np.random.RandomState(0).permutation(n)
        order = shuffle[np.lexsort((-score[shuffle], code[shuffle]))]
        self.code, self.score = code[order], score[order]
        self.gain = np.nan_to_num(y * weight)[order]
        self.first = np.flatnonzero(np.diff(self.code, prepend=-1))
        self.size = np.diff(self.first, append=n)
        self.rank = np.arange(1, n + 1) - np.repeat(self.first, self.size)

    def sum(self, values):
        return np.add.reduceat(values, self.first)

    def before(self, values):
        """Sums over the rows above, within the list."""
        total = np.cumsum(values)
        above = total - values
        return above - np.repeat(above[self.first], self.size)

    def over_ties(self, values):
        """Means over rows of one score: the expectation over the order of ties."""
        start = (self.rank == 1) | (np.diff(self.score, prepend=np.nan) != 0)
        tie = np.cumsum(start) - 1
        return (np.bincount(tie, values) / np.bincount(tie))[tie]

    def ideal(self, discount):
        """Sum of the discounted gains if the largest came first."""
        best = self.gain[np.lexsort((-self.gain, self.code))]
        return self.sum(best * discount)


def _average(total, best, normalizer, no_positives, users):
    if normalizer is None:
        return float(total.mean())
    if choice(normalizer, "normalizer", {"user", "pooled"}) == "pooled":
        if best.sum() == 0:
            raise ValueError("No user has a positive: the metric is not defined.")
        return float(total.sum() / best.sum())
    choice(no_positives, "no_positives", {*_NO_POSITIVES, "raise"})
    none = best == 0
    if none.any() and no_positives == "raise":
        raise ValueError(
            f"User {users[none].tolist()[0]!r} has no positive. no_positives= says "
            'what such users count: "skip", "zero" or "one".'
        )
    value = np.divide(total, best, out=np.zeros_like(total), where=~none)
    value[none] = _NO_POSITIVES.get(no_positives, 0)
    kept = value[~np.isnan(value)]
    if len(kept) == 0:
        raise ValueError("No user has a positive: the metric is not defined.")
    return float(kept.mean())


def _cut(k):
    return np.inf if k is None else whole_number(k, "k", high=np.inf)


def ndcg_at_k(
    y_true,
    y_score,
    users=None,
    *,
    k=10,
    propensity=None,
    normalizer="user",
    no_positives="skip",
):
    r"""Normalized discounted cumulative gain of every user's first k rows.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The relevance of each row, 0 or more. NaN marks rows where it was not observed.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user, observed and unobserved ones. The
        discount of tied rows is averaged over their order.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int or None, default=10
        The length of the lists. None stands for whole lists.
    propensity : array-like of shape (n,), default=None
        The probability that the relevance of the row was observed, in (0, 1]. None
        stands for 1.
    normalizer : {"user", "pooled", None}, default="user"
        How sums become an average. "user" divides every user's sum by the best possible
        one, and averages over users. "pooled" divides the sum over all users by the sum
        of their best. None averages the sums themselves, which is the DCG.
    no_positives : {"skip", "zero", "one", "raise"}, default="skip"
        What a user counts who has no positive row, where the normalizer is "user".

    Returns
    -------
    float
        The NDCG. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, a relevance or a propensity is out of range, or no
        user has a positive.

    See Also
    --------
    recall_at_k : The positives among the first rows.
    mean_average_precision : The precision at the ranks of the positives.
    cdcg : The same of effects in place of outcomes.
    sklearn.metrics.ndcg_score : The same without propensities, for 2-d input.

    Notes
    -----
    Let :math:`o` be whether a relevance was observed, and :math:`p` the probability of
    it. Then :math:`\sum_i o_i y_i / p_i \cdot c(\text{rank}_i)` is unbiased for the sum
    over all rows [1]_. This holds exactly with ``normalizer=None``. The two others
    divide by sums with the same weights. They are self-normalized, and approach the
    truth as lists ("user") or users ("pooled") grow.

    References
    ----------
    .. [1] Yang, L., Cui, Y., Xuan, Y., Wang, C., Belongie, S. and Estrin, D. (2018).
       "Unbiased offline recommender evaluation for missing-not-at-random implicit
       feedback." RecSys.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import ndcg_at_k
    >>> clicked, score, user = [0, 1, 1, 0], [3, 2, 2, 1], ["ann", "ann", "bo", "bo"]
    >>> round(ndcg_at_k(clicked, score, user, k=2), 3)
    0.815
    """
    lists = _Lists(y_true, y_score, users, propensity)
    discount = np.where(lists.rank <= _cut(k), 1 / np.log2(1 + lists.rank), 0)
    total = lists.sum(lists.gain * lists.over_ties(discount))
    best = lists.ideal(discount)
    return _average(total, best, normalizer, no_positives, lists.users)


def recall_at_k(
    y_true,
    y_score,
    users=None,
    *,
    k=10,
    propensity=None,
    normalizer="user",
    no_positives="skip",
):
    """Share of a user's positives that are among the first k rows.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The relevance of each row, 0 or 1. NaN marks rows where it was not observed.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user, observed and unobserved ones. Ties are
        averaged over their order.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int or None, default=10
        The length of the lists. None stands for whole lists.
    propensity : array-like of shape (n,), default=None
        The probability that the relevance of the row was observed, in (0, 1]. None
        stands for 1.
    normalizer : {"user", "pooled", None}, default="user"
        How sums become an average. "user" divides every user's sum by the best possible
        one, and averages over users. "pooled" divides the sum over all users by the sum
        of their best. None averages the sums themselves, which are hits of a user.
    no_positives : {"skip", "zero", "one", "raise"}, default="skip"
        What a user counts who has no positive row, where the normalizer is "user".

    Returns
    -------
    float
        The recall. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, a relevance or a propensity is out of range, or no
        user has a positive.

    See Also
    --------
    ndcg_at_k : The positives discounted by rank.
    mean_reciprocal_rank : The rank of the first positive.
    causal_precision_at_k : The effects of the first rows.

    References
    ----------
    .. [1] Yang, L., Cui, Y., Xuan, Y., Wang, C., Belongie, S. and Estrin, D. (2018).
       "Unbiased offline recommender evaluation for missing-not-at-random implicit
       feedback." RecSys.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=2)
    0.5

    A positive seen with probability 0.25 stands for four [1]_:

    >>> recall_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=2, propensity=[1, 1, 0.25, 1])
    0.2
    """
    lists = _Lists(y_true, y_score, users, propensity, binary=True)
    hit = lists.over_ties((lists.rank <= _cut(k)).astype(float))
    total, best = lists.sum(lists.gain * hit), lists.sum(lists.gain)
    return _average(total, best, normalizer, no_positives, lists.users)


def mean_reciprocal_rank(
    y_true,
    y_score,
    users=None,
    *,
    k=None,
    propensity=None,
    no_positives="skip",
):
    r"""Mean over users of one over the rank of the first positive.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The relevance of each row, 0 or 1. NaN marks rows where it was not observed.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user, observed and unobserved ones. Ties are
        broken in a fixed order that is blind to `y_true`.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int or None, default=None
        The length of the lists. A first positive below rank k counts 0. None stands for
        whole lists.
    propensity : array-like of shape (n,), default=None
        The probability that the relevance of the row was observed, in (0, 1]. None
        stands for 1.
    no_positives : {"skip", "zero", "one", "raise"}, default="skip"
        What a user counts who has no positive row.

    Returns
    -------
    float
        The mean reciprocal rank. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, a relevance or a propensity is out of range, or no
        user has a positive.

    See Also
    --------
    mean_average_precision : All positives in place of the first.
    ndcg_at_k : The positives discounted by the logarithm of the rank.

    Notes
    -----
    The reciprocal rank is no sum over rows. With propensities it is estimated by
    :math:`\sum_i \frac{o_i y_i}{p_i \text{rank}_i} \prod_{j<i} (1 - o_j y_j / p_j)`.
    The estimate is unbiased where rows are observed independently, and of large
    variance where propensities are small.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import mean_reciprocal_rank
    >>> mean_reciprocal_rank([0, 1, 1, 0], [4, 3, 2, 1])
    0.5
    """
    lists = _Lists(y_true, y_score, users, propensity, binary=True)
    total, none_above = np.zeros((2, len(lists.users))) + [[0.0], [1.0]]
    # The first positive of every list, then the second: the product goes on where no
    # gain was 1, so that without propensities the first is the last to look at.
    positive = np.flatnonzero((lists.gain > 0) & (lists.rank <= _cut(k)))
    user = lists.code[positive]
    nth = np.arange(len(user)) - np.searchsorted(user, user)
    for n in range(nth.max(initial=-1) + 1):
        row, mine = positive[nth == n], user[nth == n]
        if not none_above[mine].any():
            break
        total[mine] += lists.gain[row] * none_above[mine] / lists.rank[row]
        none_above[mine] *= 1 - lists.gain[row]
    any_positive = (lists.sum(lists.gain) > 0).astype(float)
    return _average(total, any_positive, "user", no_positives, lists.users)


def mean_average_precision(
    y_true,
    y_score,
    users=None,
    *,
    k=None,
    propensity=None,
    normalizer="user",
    no_positives="skip",
):
    r"""Precision at the ranks of the positives, averaged over them and over users.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The relevance of each row, 0 or 1. NaN marks rows where it was not observed.
    y_score : array-like of shape (n,)
        The score that ranks the rows of a user, observed and unobserved ones. Ties are
        broken in a fixed order that is blind to `y_true`.
    users : array-like of shape (n,), default=None
        The user whose list each row belongs to. None stands for one list.
    k : int or None, default=None
        The length of the lists. Sums run to rank k and are divided by min(k, number of
        positives). None stands for whole lists.
    propensity : array-like of shape (n,), default=None
        The probability that the relevance of the row was observed, in (0, 1]. None
        stands for 1.
    normalizer : {"user", "pooled", None}, default="user"
        How sums become an average. "user" divides every user's sum by the best possible
        one, and averages over users. "pooled" divides the sum over all users by the sum
        of their best. None averages the sums themselves.
    no_positives : {"skip", "zero", "one", "raise"}, default="skip"
        What a user counts who has no positive row, where the normalizer is "user".

    Returns
    -------
    float
        The mean average precision. Higher is better.

    Raises
    ------
    ValueError
        If an array does not fit, a relevance or a propensity is out of range, or no
        user has a positive.

    See Also
    --------
    mean_reciprocal_rank : The first positive in place of all.
    ndcg_at_k : The positives discounted by the logarithm of the rank.

    Notes
    -----
    With :math:`g_i = o_i y_i / p_i` the sum :math:`\sum_i \frac{g_i}{\text{rank}_i}
    (1 + \sum_{j<i} g_j)` is unbiased where rows are observed independently.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import mean_average_precision
    >>> round(mean_average_precision([1, 0, 1, 0], [4, 3, 2, 1]), 3)
    0.833
    """
    lists = _Lists(y_true, y_score, users, propensity, binary=True)
    precision = lists.gain * (1 + lists.before(lists.gain)) / lists.rank
    total = lists.sum(np.where(lists.rank <= _cut(k), precision, 0))
    best = np.minimum(lists.sum(lists.gain), _cut(k))
    return _average(total, best, normalizer, no_positives, lists.users)
