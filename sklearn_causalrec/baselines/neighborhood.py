"""Similar items, or similar users: cosine and BM25."""

from numbers import Integral
from typing import Literal

import numpy as np
from scipy.sparse import csr_array, diags_array, vstack
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_causalrec._utils.typing import Column
from sklearn_causalrec.baselines.positives import PositivesRecommender

ROWS_AT_ONCE = 512
SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25, at their usual values


def cosine_weights(signals):
    """Scale the rows of a matrix to a length of 1."""
    length = np.sqrt(signals.multiply(signals).sum(axis=1))
    scale = diags_array(1 / np.where(length > 0, length, 1))
    return csr_array(scale @ signals).astype(np.float32)


def bm25_weights(signals):
    """Weigh the cells of documents (rows) and terms by BM25, to a length of 1."""
    n, m = signals.shape
    with_term = np.bincount(signals.indices, minlength=m)
    rarity = np.log1p((n - with_term + 0.5) / (with_term + 0.5))
    length = signals.sum(axis=1)
    relative = length / max(length.mean(), np.finfo(float).tiny)
    norm = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * relative)
    row = np.repeat(np.arange(n), np.diff(signals.indptr))
    data = signals.data * (SATURATION + 1) / (signals.data + norm[row])
    parts = (data * rarity[signals.indices], signals.indices, signals.indptr)
    return cosine_weights(csr_array(parts, shape=signals.shape))


WEIGHTS = {"cosine": cosine_weights, "bm25": bm25_weights}


def largest_of_rows(matrix, n):
    """Keep the n largest cells above 0 of each row of a sparse matrix; csr_array."""
    cells = matrix.tocoo()
    row, column = cells.coords
    order = np.lexsort((-cells.data, row))
    first = np.append(0, np.cumsum(np.bincount(row, minlength=matrix.shape[0])))
    rank = np.arange(len(order)) - first[row[order]]
    kept = order[(rank < n) & (cells.data[order] > 0)]
    return csr_array((cells.data[kept], (row[kept], column[kept])), shape=matrix.shape)


class NeighborhoodRecommender(PositivesRecommender):
    r"""Score items by their similarity to the user's own, or by similar users.

    The score of user u and item i is :math:`\sum_j s_{ij} x_{uj}` over the nearest
    items j, where :math:`x_{uj}` is the weight of a positive. With ``kind="user"`` it
    is :math:`\sum_v s_{uv} x_{vi}` over the nearest users v. The similarity is the
    cosine of two items over users [1]_, of the weights as they are or after BM25 [2]_,
    in which users with few positives count more.

    Parameters
    ----------
    kind : {"item", "user"}, default="item"
        Whether the neighbours are items or users.
    user : str or int, default=None
        The column of X with the user ids, by name or position. Users that the log does
        not know, or that have no positives, get the most popular items.
    item : str or int, default=None
        The column of X with the item ids, by name or position. Items that the log does
        not know are scored as the known ones that are nearest by features, which are
        the columns without a role.
    similarity : {"cosine", "bm25"}, default="cosine"
        What the cosine is taken of: "cosine" of the weights, "bm25" of their BM25
        weights.
    n_neighbors : int, default=200
        The number of nearest neighbours of each item (or user).

    Attributes
    ----------
    similarity_ : csr_array of shape (n_items, n_items), or None
        The similarities of the nearest neighbours of each item. It is None with
        ``kind="user"``, where neighbours are found for each list.
    popularity_ : ndarray of shape (n_items,)
        The share of users who have each item among their positives.
    profiles_ : csr_array of shape (n_users + 1, n_items)
        The positives of each user. The last row, for unknown users, is empty.
    catalogue_ : Catalogue or None
        The users and items of the log, if both columns are named.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    EASE : A regression of each item on all others.
    sklearn_causalrec.similar_items : Find the items that are most similar to an item.

    References
    ----------
    .. [1] Sarwar, B., Karypis, G., Konstan, J. and Riedl, J. (2001). "Item-based
       collaborative filtering recommendation algorithms." WWW.
    .. [2] Robertson, S. and Zaragoza, H. (2009). "The probabilistic relevance
       framework: BM25 and beyond." Foundations and Trends in Information Retrieval.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import recommend
    >>> from sklearn_causalrec.baselines import NeighborhoodRecommender
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = NeighborhoodRecommender(user="user", item="item").fit(log)
    >>> recommend(model, ["w"], k=1, by="outcome")["item"].tolist()
    ['b']
    """

    _parameter_constraints = {
        "kind": [StrOptions({"item", "user"})],
        "user": PositivesRecommender._parameter_constraints["user"],
        "item": PositivesRecommender._parameter_constraints["item"],
        "similarity": [StrOptions(set(WEIGHTS))],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    }
    time = None  # a similarity does not depend on it

    def __init__(
        self,
        kind: Literal["user", "item"] = "item",
        *,
        user: Column | None = None,
        item: Column | None = None,
        similarity: Literal["cosine", "bm25"] = "cosine",
        n_neighbors: int = 200,
    ) -> None:
        self.kind = kind
        self.user = user
        self.item = item
        self.similarity = similarity
        self.n_neighbors = n_neighbors

    def _learn(self, signals):
        self.similarity_ = None
        by_item = csr_array(signals.T)
        by_item.sort_indices()
        weigh = WEIGHTS[self.similarity]
        self._weighted = weigh(signals if self.kind == "user" else by_item)
        if self.kind == "item":
            n = len(self.popularity_)
            near = [
                largest_of_rows(self._likeness(start), self.n_neighbors)
                for start in range(0, n, ROWS_AT_ONCE)
            ]
            self.similarity_ = vstack(near, format="csr")

    def _likeness(self, start):
        """Similarities of some items to all others."""
        some = self._weighted[start : start + ROWS_AT_ONCE]
        block = (some @ self._weighted.T).tocoo()
        row, column = block.coords
        other = column != row + start
        cells = row[other], column[other]
        return csr_array((block.data[other], cells), shape=block.shape)

    def _near_users(self, profiles):
        own = cosine_weights(profiles)
        return largest_of_rows(own @ self._weighted.T, self.n_neighbors)

    def _score(self, profiles):
        if self.kind == "item":
            return (profiles @ self.similarity_.T).toarray()
        return (self._near_users(profiles) @ self.profiles_[:-1]).toarray()

    def _contributions(self, profile, items):
        if self.kind == "item":
            weights = self.similarity_[items].toarray()[:, profile.indices].T
            return weights * profile.data[:, None]
        near = self._near_users(profile)
        theirs = self._weighted[near.indices]
        chosen = self.profiles_[near.indices][:, items].toarray()
        shared = theirs[:, profile.indices].multiply(profile.data[None]).toarray()
        return shared.T @ chosen

    def _item_similarity(self, items):
        by_item = self._weighted
        if self.kind == "user":
            by_item = csr_array(self.profiles_[:-1].T)
        unit = cosine_weights(csr_array(by_item))
        return (unit[items] @ unit.T).toarray()
