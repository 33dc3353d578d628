"""Lists whose items differ: maximal marginal relevance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.checks import number
from sklearn_causalrec.ranking.similar import item_codes, similarities


def marginal_relevance(relevance, similarity, trade_off):
    """Relevance less the likeness to what is listed before, item by item.

    Parameters
    ----------
    relevance : ndarray of shape (n,)
        The relevance of the items of one user.
    similarity : ndarray of shape (n, n)
        How similar they are.
    trade_off : float
        The weight of the relevance, between 0 and 1.

    Returns
    -------
    ndarray of shape (n,)
        The value that each item had as it was listed. The larger ones come first.
    """
    own = trade_off * relevance
    nearest = np.zeros(len(own))
    left, value = np.ones(len(own), bool), np.empty(len(own))
    for _ in range(len(own)):
        marginal = np.where(left, own - (1 - trade_off) * nearest, -np.inf)
        best = int(marginal.argmax())
        left[best], value[best] = False, marginal[best]
        nearest = np.maximum(nearest, similarity[best])
    return value


@dataclass(frozen=True)
class MMR:
    r"""Diversity: list an item for its score, less for what is like those before it.

    Items are listed one after another. Each is the one with the largest
    :math:`\lambda s_i - (1 - \lambda) \max_j \text{sim}(i, j)` over the items j that
    are listed before [1]_, where scores are scaled to the range from 0 to 1 for each
    user, and similarities below 0 count as 0. Other constraints then choose among the
    candidates by these values.

    Parameters
    ----------
    similarity : str, mapping, frame or fitted model
        What makes items similar. A column of the candidates or of ``items``, or a
        mapping of items to categories: items of one category have the similarity 1,
        others 0. A frame of numbers with the items as its index: the cosine of its
        rows. A fitted model: as :func:`~sklearn_causalrec.similar_items` has it.
    trade_off : float, default=0.7
        The weight :math:`\lambda` of the scores. With 1, lists are those by score.

    See Also
    --------
    rerank : Choose lists that satisfy constraints.
    CategoryQuota : Limit the items of a category in each list.
    sklearn_causalrec.similar_items : Find the items that are most similar to an item.

    References
    ----------
    .. [1] Carbonell, J. and Goldstein, J. (1998). "The use of MMR, diversity-based
       reranking for reordering documents and producing summaries." SIGIR.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.ranking import MMR, rerank
    >>> top = pd.DataFrame({"user": [1, 1, 1], "item": list("abc")})
    >>> top["score"] = [5.0, 4.8, 4.0]
    >>> genre = {"a": "drama", "b": "drama", "c": "news"}
    >>> rerank(top, k=2, constraints=[MMR(genre, 0.4)])["item"].tolist()
    ['a', 'c']
    """

    similarity: Any
    trade_off: float = 0.7

    def rescored(self, candidates, score):
        """Compute what the candidates are worth as they are listed.

        Parameters
        ----------
        candidates : object
            The pairs to choose from, as :func:`~sklearn_causalrec.ranking.rerank` hands
            them over.
        score : ndarray of shape (n,)
            The scores of the pairs.

        Returns
        -------
        ndarray of shape (n,)
            The values, in the order of the candidates.

        Raises
        ------
        ValueError
            If the trade-off is no share, or the similarity of an item is unknown.
        """
        share = number(self.trade_off, "trade_off", 0, 1)
        item, similarity = self._similarity(candidates)
        out = np.empty(len(score))
        by_user = np.argsort(candidates.user, kind="stable")
        ends = np.flatnonzero(np.diff(candidates.user[by_user])) + 1
        for rows in np.split(by_user, ends):
            spread = np.ptp(score[rows])
            relevance = (score[rows] - score[rows].min()) / (spread or 1.0)
            likeness = similarity[np.ix_(item[rows], item[rows])]
            out[rows] = marginal_relevance(relevance, likeness, share)
        return out

    def _similarity(self, candidates):
        """Positions of the items of the pairs, and their similarities."""
        given = self.similarity
        position, ids = pd.factorize(candidates.item_ids)
        if isinstance(given, pd.DataFrame):
            lacking = ~pd.Index(ids).isin(given.index)
            if lacking.any():
                raise ValueError(
                    f"similarity has no row of the item {ids[lacking].tolist()[0]!r}, "
                    f"which is among the candidates; {int(lacking.sum())} have none."
                )
            vectors = given.loc[ids].to_numpy(float)
            if len(vectors) != len(ids) or not np.isfinite(vectors).all():
                raise ValueError(
                    "similarity is a frame: it needs one row of numbers for each item."
                )
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            unit = vectors / np.where(length > 0, length, 1)
            return position, unit @ unit.T
        if isinstance(given, str | Mapping | pd.Series):
            category = pd.factorize(candidates.of_items(given, "similarity"))[0]
            first = np.unique(position, return_index=True)[1]
            code = category[first]
            return position, (code[:, None] == code) & (code[:, None] >= 0)
        estimator, _, codes = item_codes(given, np.asarray(ids))
        return position, similarities(estimator, codes)[:, codes]
