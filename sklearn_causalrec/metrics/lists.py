"""Metrics of top-k lists, one value a user, from the items that are relevant.

All users are counted at once: a list is a row of item codes, and what the metrics need
is which places of the lists hold a relevant item.
"""

import numpy as np
from scipy.sparse import csr_array

LISTS_COMPARED = 10_000  # lists whose items are compared with each other
PAIRS_AT_ONCE = 2**16


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
    history : csr_array of shape (n_users_of_log, n_items), default=None
        The pairs of the log that lists are made from, each 1. Metrics beyond accuracy
        need it.
    owner : ndarray of int of shape (n_users,), default=None
        The row of the history that each list belongs to.
    popular : ndarray of int of shape (n_users, length), default=None
        The lists of the most popular items, which "serendipity" compares with.

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

    def __init__(self, lists, user, item, *, history=None, owner=None, popular=None):
        self.history, self.owner, self.popular = history, owner, popular
        n_items = 1 + max(lists.max(initial=-1), item.max(initial=-1))
        relevant = np.unique(user.astype(np.int64) * n_items + item)
        cells = np.arange(len(lists), dtype=np.int64)[:, None] * n_items + lists
        place = np.searchsorted(relevant, cells)
        place = np.minimum(place, len(relevant) - 1)
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


def held_out_ndcg(scores, seen, user, item, k=10, at_once=256):
    """NDCG of the best lists of pairs that a log does not have.

    Parameters
    ----------
    scores : callable
        ``scores(users)`` returns the scores of all items for codes of users.
    seen : csr_array of shape (n_users, n_items)
        The pairs that are left out of lists.
    user, item : ndarray of int of shape (m,)
        Codes of the relevant pairs.
    k : int, default=10
        The length of the lists.
    at_once : int, default=256
        The number of users whose scores are held at once.

    Returns
    -------
    float
        The mean over the users who have a relevant item; 0 if there is none.
    """
    users, position = np.unique(user, return_inverse=True)
    if len(users) == 0:
        return 0.0
    lists = []
    for start in range(0, len(users), at_once):
        some = users[start : start + at_once]
        found = np.array(scores(some), copy=True)
        n = min(k, found.shape[1])
        found[seen[some].nonzero()] = -np.inf
        top = np.argpartition(-found, n - 1, axis=1)[:, :n]
        values = np.take_along_axis(found, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        there = np.take_along_axis(values, order, axis=1) > -np.inf
        lists.append(np.where(there, top, -1))
    return float(ndcg(ListHits(np.vstack(lists), position, item), k).mean())


# -- beyond accuracy -------------------------------------------------------------


def _mean_of_places(hits, k, values):
    """Mean over the places that hold an item; NaN where none does."""
    items = hits.lists[:, :k]
    there = items >= 0
    return _share((values[items] * there).sum(axis=1), there.sum(axis=1))


def _n_positives(hits):
    return np.bincount(hits.history.indices, minlength=hits.history.shape[1])


def novelty(hits, k):
    """Self-information of the items in bits; one that nobody has counts as had once."""
    counts = _n_positives(hits)
    share = np.maximum(counts, 1) / max(counts.sum(), 1)
    return _mean_of_places(hits, k, -np.log2(share))


def popularity_lift(hits, k):
    """How much more popular the list is than the user's past: 0 is as popular, 1 twice.

    The popularity of an item is the number of users who have it [1]_.

    References
    ----------
    .. [1] Abdollahpouri, H., Mansoury, M., Burke, R. and Mobasher, B. (2020). "The
       connection between popularity bias, calibration, and fairness in recommendation."
       RecSys.
    """
    counts = _n_positives(hits).astype(float)
    size = np.diff(hits.history.indptr)
    mean = _share(hits.history @ counts, size)
    return _mean_of_places(hits, k, counts) / mean[hits.owner] - 1


def serendipity(hits, k):
    """Hits that the list of popular items has not, over min(k, relevant items)."""
    own, popular = hits.lists[:, :k], hits.popular[:, :k]
    expected = (own[:, :, None] == popular[:, None, :]).any(axis=2)
    found = (hits.upto(k) & ~expected).sum(axis=1)
    return _share(found, np.minimum(hits.n_relevant, k))


def diversity(hits, k):
    """One less the mean cosine of the pairs of items of a list, over the users' past.

    Of more than 10,000 lists, so many are drawn, always the same; others are NaN.
    """
    n = len(hits.lists)
    chosen = np.arange(n)
    if n > LISTS_COMPARED:
        drawn = np.random.default_rng(0).choice(n, LISTS_COMPARED, replace=False)
        chosen = np.sort(drawn)
    items = hits.lists[chosen, :k]
    left, right = np.triu_indices(items.shape[1], 1)
    pairs = np.sort(np.stack([items[:, left], items[:, right]]), axis=0)
    there = pairs[0] >= 0
    n_items = hits.history.shape[1]
    cells, position = np.unique(
        pairs[0][there].astype(np.int64) * n_items + pairs[1][there],
        return_inverse=True,
    )
    users_of = csr_array(hits.history.T)
    length = np.sqrt(np.maximum(np.diff(users_of.indptr), 1))
    cosine = np.empty(len(cells))
    for start in range(0, len(cells), PAIRS_AT_ONCE):
        a, b = np.divmod(cells[start : start + PAIRS_AT_ONCE], n_items)
        both = users_of[a].multiply(users_of[b]).sum(axis=1)
        cosine[start : start + PAIRS_AT_ONCE] = both / (length[a] * length[b])
    total = np.zeros(there.shape)
    total[there] = cosine[position]
    out = np.full(n, np.nan)
    out[chosen] = 1 - _share(total.sum(axis=1), there.sum(axis=1))
    return out


def coverage(hits, k):
    """Share of the catalogue that is in some list; a single number."""
    items = hits.lists[:, :k]
    found = np.unique(items[items >= 0])
    return len(found) / np.count_nonzero(_n_positives(hits))


ACCURACY = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": mean_ap,
}
BEYOND = {
    "coverage": coverage,
    "novelty": novelty,
    "diversity": diversity,
    "serendipity": serendipity,
    "popularity_lift": popularity_lift,
}
