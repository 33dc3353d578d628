"""Items that a fitted model holds for alike."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.checks import whole_number
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.ranking.asked import column_of_role, read_side

ITEMS_AT_ONCE = 512


def item_codes(fitted, items):
    """The codes of known items.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    items : array-like of ids, frame, or None
        The items. None stands for those of the log.

    Returns
    -------
    estimator : estimator
        The estimator at the end of `fitted`.
    key : str or int
        The column of items, as the caller calls it.
    codes : ndarray of int
        The codes of the items, each once.

    Raises
    ------
    ValueError
        If the model has no column of items, or does not know an item.
    """
    estimator = unwrap(fitted)[1]
    catalogue = getattr(estimator, "catalogue_", None)
    if catalogue is None:
        raise ValueError(
            "Similar items need a model that knows users and items: name their "
            'columns, user="…" and item="…", before fit.'
        )
    encoder = estimator.log_encoder_
    key = column_of_role(fitted, estimator, "item")
    offered = encoder.items.ids[catalogue.items].to_numpy()
    position = encoder.roles.columns_["item"]
    side = read_side(items, "item", key, encoder.items, offered, position)
    unknown = ~np.isin(side.codes, catalogue.items)
    if unknown.any():
        raise ValueError(
            f"The item {shown(side.ids[unknown][0])} has no rows in the log, so the "
            f"model has learned nothing of it; {int(unknown.sum())} of the items have "
            "none. Leave them out."
        )
    return estimator, key, side.codes


def similarities(estimator, codes):
    """How similar items of the log are to some of them, by what the model learned.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    codes : ndarray of int of shape (m,)
        The codes of the items.

    Returns
    -------
    ndarray of shape (m, n_items)
        The similarities: those of the model itself if it has any, else the cosines of
        the embeddings, which are averaged over the networks of an ensemble.

    Raises
    ------
    TypeError
        If the model has neither.
    """
    if hasattr(estimator, "item_similarity"):
        return estimator.item_similarity(codes)
    if not hasattr(estimator, "_ensemble"):
        raise TypeError(
            f"{type(estimator).__name__} has learned no vectors of items: pass a "
            "CausalDNNRecommender, or EASE and its like from baselines."
        )
    from sklearn_causalrec.networks.id_tables import embeddings

    tables = embeddings(estimator._ensemble, "item")
    total = np.zeros((len(codes), len(tables[0]) - 1))
    for table in tables:
        length = np.linalg.norm(table[:-1], axis=1, keepdims=True)
        unit = table[:-1] / np.where(length > 0, length, 1)
        total += unit[codes] @ unit.T
    return total / len(tables)


def similar_items(
    fitted: Any, items: ArrayLike | None = None, k: int = 10
) -> pd.DataFrame:
    """Find the items that are most similar to each of some items.

    Networks learn an embedding of each item, and similar items have embeddings of a
    large cosine. EASE has partial correlations, neighbourhood models the similarities
    that they score by, and ALS the cosines of its factors.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model. Its ``user`` and ``item`` columns must be named.
    items : array-like of ids, frame, or None, default=None
        The items, which have rows in the log. With None, all of them.
    k : int, default=10
        The number of similar items of each.

    Returns
    -------
    DataFrame
        One row per pair: the item, under the name that its column has in the log, the
        ``similar`` item, the ``rank`` from 1 and the ``similarity``. An item is not
        similar to itself.

    Raises
    ------
    ValueError
        If the model has no column of items, or an item has no rows in the log.
    TypeError
        If the model has learned nothing that makes items similar.

    See Also
    --------
    recommend : Recommend items to users.
    sklearn_causalrec.ranking.MMR : Keep similar items apart in lists.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import similar_items
    >>> from sklearn_causalrec.baselines import EASE
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = EASE(user="user", item="item", l2=1.0).fit(log)
    >>> similar_items(model, ["a", "d"], k=1)[["item", "similar"]].values.tolist()
    [['a', 'b'], ['d', 'c']]
    """
    k = whole_number(k, "k")
    estimator, key, codes = item_codes(fitted, items)
    others = estimator.catalogue_.items
    ids = estimator.log_encoder_.items.ids.to_numpy()
    if len(codes) == 0:
        raise ValueError("items is empty: name at least one item.")
    k = min(k, len(others) - 1)
    found = []
    for start in range(0, len(codes), ITEMS_AT_ONCE):
        some = codes[start : start + ITEMS_AT_ONCE]
        block = np.array(similarities(estimator, some)[:, others], float)
        block[some[:, None] == others] = -np.inf
        best = np.argsort(-block, axis=1, kind="stable")[:, :k]
        found.append((others[best], np.take_along_axis(block, best, axis=1)))
    similar, value = (np.concatenate(part).ravel() for part in zip(*found))
    name = "item" if key in ("similar", "rank", "similarity") else key
    return pd.DataFrame(
        {
            name: np.repeat(ids[codes], k),
            "similar": ids[similar],
            "rank": np.tile(np.arange(1, k + 1), len(codes)),
            "similarity": value,
        }
    )
