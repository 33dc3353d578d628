"""Metrics of top-k lists, one value a user, from the items that are relevant.

All users are counted at once: a list is a row of item codes, and what the metrics need
is which places of the lists hold a relevant item.
"""

import numpy as np


class ListHits:
    """Which places of lists hold relevant items, and how many such items there are.

    Parameters
    ----------
    lists : ndarray of int of shape (n_users, length)
        The item codes of each list, the first place first. Places that are left empty
        hold -1.
    user : ndarray of int of shape (m,)
        The row of the list that each relevant item belongs to.
    item : ndarray of int of shape (m,)
        The code of each relevant item, 0 or more. Pairs that come twice count once.

    Attributes
    ----------
    hits : ndarray of bool of shape (n_users, length)
        Whether the item is relevant.
    n_relevant : ndarray of int of shape (n_users,)
        The number of relevant items of each user.

    See Also
    --------
    recall : The share of the relevant items that are listed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics.lists import ListHits, recall
    >>> lists = np.array([[3, 1, 2], [0, 1, 2]])
    >>> hits = ListHits(lists, np.array([0, 0, 1]), np.array([1, 9, 5]))
    >>> hits.hits.any(axis=1).tolist(), recall(hits, 2).tolist()
    ([True, False], [0.5, 0.0])
    """

    def __init__(self, lists, user, item):
        n_items = 1 + max(lists.max(initial=-1), item.max(initial=-1))
        relevant = np.unique(user.astype(np.int64) * n_items + item)
        cells = np.arange(len(lists), dtype=np.int64)[:, None] * n_items + lists
        place = np.searchsorted(relevant, cells)
        place = np.minimum(place, max(len(relevant) - 1, 0))
        found = relevant[place] == cells if len(relevant) else cells < 0
        self.lists, self.hits = lists, found & (lists >= 0)
        self.n_relevant = np.bincount(relevant // n_items, minlength=len(lists))

    def upto(self, k):
        """Hits among the first k places."""
        return self.hits[:, :k]


def _share(total, best):
    return np.divide(total, best, out=np.full(len(total), np.nan), where=best > 0)


def recall(hits, k):
    """Hits over the number that k places could hold: min(k, relevant items)."""
    return _share(hits.upto(k).sum(axis=1), np.minimum(hits.n_relevant, k))


def precision(hits, k):
    """Hits over k."""
    return _share(hits.upto(k).sum(axis=1), np.where(hits.n_relevant > 0, k, 0))


def hit_rate(hits, k):
    """Whether there is a hit at all."""
    return _share(hits.upto(k).any(axis=1), hits.n_relevant > 0)


def _discounts(k):
    return 1 / np.log2(np.arange(2, k + 2))


def ndcg(hits, k):
    """Hits discounted by the logarithm of their place, over the largest such sum."""
    found = hits.upto(k)
    best = np.append(0, np.cumsum(_discounts(k)))
    total = found @ _discounts(found.shape[1])
    return _share(total, best[np.minimum(hits.n_relevant, k)])


def mrr(hits, k):
    """One over the place of the first hit; 0 without a hit."""
    found = hits.upto(k)
    first = np.where(found.any(axis=1), 1 / (1 + found.argmax(axis=1)), 0.0)
    return _share(first, hits.n_relevant > 0)


def mean_ap(hits, k):
    """Precision at the places of the hits, over min(k, relevant items)."""
    found = hits.upto(k)
    places = np.arange(1, found.shape[1] + 1)
    total = (found * np.cumsum(found, axis=1) / places).sum(axis=1)
    return _share(total, np.minimum(hits.n_relevant, k))
