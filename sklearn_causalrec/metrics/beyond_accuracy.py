"""What lists hold beside what is liked: coverage, novelty, calibration."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.checks import (
    column,
    labels,
    number,
    probability,
    same_spelling,
)


def coverage(items, catalogue, *, weight=None):
    """Share of the catalogue that appears in lists.

    Parameters
    ----------
    items : array-like of shape (n,)
        The items of all lists, as in the column `item` of ``recommend``.
    catalogue : array-like of shape (n_items,)
        All items, each once.
    weight : array-like of shape (n_items,), default=None
        What each item counts, for instance its popularity, with log rows weighted by 1
        / propensity. None stands for 1.

    Returns
    -------
    float
        The share, between 0 and 1.

    Raises
    ------
    ValueError
        If the catalogue holds an item twice, or the weights do not fit.

    See Also
    --------
    novelty : How rare the items of the lists are.
    miscalibration : How far the lists are from the tastes of their users.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import coverage
    >>> coverage([3, 3, 7], catalogue=[3, 5, 7, 9])
    0.5
    """
    catalogue, items = labels(catalogue, "catalogue"), labels(items, "items")
    same_spelling(items, "items", catalogue, "catalogue")
    catalogue = pd.Index(catalogue)
    if not catalogue.is_unique:
        again = catalogue[catalogue.duplicated()].tolist()[0]
        raise ValueError(f"catalogue holds {again!r} twice.")
    n = len(catalogue)
    weight = np.ones(n) if weight is None else column(weight, "weight", n)
    return float(np.average(catalogue.isin(items), weights=weight))


def novelty(items, users, log_items, *, propensity=None):
    """Mean self-information of the items in lists: rare items are novel.

    Parameters
    ----------
    items : array-like of shape (n,)
        The items of all lists.
    users : array-like of shape (n,)
        The user whose list each item belongs to. Users are averaged.
    log_items : array-like of shape (m,)
        The items of the log's interactions. Their shares are the popularity.
    propensity : array-like of shape (m,), default=None
        The probability that the interaction could happen at all, which is the exposure.
        Each row of the log then counts 1 / propensity, and popularity is what it would
        have been had all items been exposed alike. None stands for 1.

    Returns
    -------
    float
        The self-information, in bits. Items without an interaction count as if they had
        one.

    Raises
    ------
    ValueError
        If a propensity is no probability.

    See Also
    --------
    coverage : The share of the catalogue in the lists.
    miscalibration : How far the lists are from the tastes of their users.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import novelty
    >>> novelty(["b"], ["ann"], log_items=["a", "a", "a", "b"])
    2.0
    """
    items, log_items = labels(items, "items"), labels(log_items, "log_items")
    users = labels(users, "users", len(items))
    same_spelling(items, "items", log_items, "log_items")
    weight = 1 / probability(
        propensity, "propensity", len(log_items), default=np.ones(len(log_items))
    )
    popularity = pd.Series(weight).groupby(log_items).sum()
    share = popularity.reindex(items).fillna(1).to_numpy() / weight.sum()
    bits = pd.Series(-np.log2(np.minimum(share, 1)))
    return float(bits.groupby(users).mean().mean())


def miscalibration(
    items, users, log_items, log_users, categories, *, propensity=None, smoothing=0.01
):
    r"""Distance of the categories in users' lists to those in their histories.

    Parameters
    ----------
    items : array-like of shape (n,)
        The items of all lists.
    users : array-like of shape (n,)
        The user whose list each item belongs to.
    log_items : array-like of shape (m,)
        The items of the history.
    log_users : array-like of shape (m,)
        The users of the history. Users without a list are left out, and so are users
        without a history.
    categories : mapping or Series
        The category of every item.
    propensity : array-like of shape (m,), default=None
        The exposure probability of the history's rows, which then count 1 / propensity:
        the history tells tastes, and not what was exposed. None stands for 1.
    smoothing : float, default=0.01
        The share of the history mixed into the list. It keeps the logarithm finite.

    Returns
    -------
    float
        The Kullback-Leibler divergence :math:`\sum_c p_c \log(p_c / \tilde q_c)` [1]_,
        in nats, averaged over users. It is 0 for perfectly calibrated lists.

    Raises
    ------
    ValueError
        If an item has no category, no user has both a list and a history, or a
        propensity is no probability.

    See Also
    --------
    coverage : The share of the catalogue in the lists.
    novelty : How rare the items of the lists are.

    References
    ----------
    .. [1] Steck, H. (2018). "Calibrated recommendations." RecSys.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import miscalibration
    >>> genre = {1: "drama", 2: "comedy", 3: "drama"}
    >>> history = dict(log_items=[1, 2], log_users=["ann", "ann"], categories=genre)
    >>> miscalibration([1, 2], ["ann", "ann"], **history)
    0.0
    >>> miscalibration([1, 3], ["ann", "ann"], **history) > 1
    True
    """
    if not isinstance(categories, Mapping | pd.Series):
        raise TypeError(
            f"categories is of type {type(categories).__name__}: a dict of items to "
            "categories is needed, or a Series with the items as its index."
        )
    categories = pd.Series(categories)
    smoothing = number(smoothing, "smoothing", 0, 1)
    items, log_items = labels(items, "items"), labels(log_items, "log_items")
    users = labels(users, "users", len(items))
    log_users = labels(log_users, "log_users", len(log_items))
    same_spelling(users, "users", log_users, "log_users")

    def shares(items, users, weight):
        category = categories.reindex(items)
        if category.isna().any():
            unknown = category.index[category.isna()][0]
            raise ValueError(f"Item {unknown!r} has no category.")
        table = pd.crosstab(users, category.to_numpy(), values=weight, aggfunc="sum")
        table = table.reindex(columns=categories.unique()).fillna(0.0)
        return table.div(table.sum(axis=1), axis=0)

    m = len(log_items)
    weight = 1 / probability(propensity, "propensity", m, default=np.ones(m))
    history = shares(log_items, log_users, weight)
    lists = shares(items, users, np.ones(len(items)))
    both = history.index.intersection(lists.index)
    if len(both) == 0:
        raise ValueError("No user has both a list and a history.")
    p = history.loc[both].to_numpy()
    q = (1 - smoothing) * lists.loc[both].to_numpy() + smoothing * p
    absent = (p > 0) & (q == 0)
    if absent.any():
        user, category = (int(k[0]) for k in np.nonzero(absent))
        raise ValueError(
            f"The list of {both[user]!r} has no item of the category "
            f"{history.columns[category]!r}, and the divergence is infinite: smoothing "
            "above 0 keeps it finite."
        )
    terms = np.log(p, out=np.zeros_like(p), where=p > 0)
    terms -= np.log(q, out=np.zeros_like(q), where=p > 0)
    return float(abs((p * terms).sum(axis=1).mean()))
