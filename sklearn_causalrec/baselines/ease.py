"""EASE: an item-item ridge regression without a diagonal, in closed form."""

from numbers import Real

import numpy as np
from scipy.sparse import csr_array, vstack
from sklearn.utils._param_validation import Interval

from sklearn_causalrec._utils.typing import Column
from sklearn_causalrec.baselines.positives import PositivesRecommender
from sklearn_causalrec.baselines.precision import precision


def unit_features(catalogue):
    """Features of the items, standardised, one row of length 1 an item."""
    table = catalogue.item_table[:-1][:, catalogue.of_item].astype(np.float64)
    table = np.nan_to_num(table - np.nanmean(table, axis=0))
    scale = table.std(axis=0)
    table = table[:, scale > 0] / scale[scale > 0]
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(length > 0, length, 1)


class EASE(PositivesRecommender):
    r"""Score items by a ridge regression of each item on all others, in closed form.

    With the matrix X of users and items and :math:`P = (X^T X + \lambda I)^{-1}`, the
    scores are X B, where :math:`B_{ji} = -P_{ji} / P_{ii}` and the diagonal of B is 0
    [1]_. Features of the items are further rows of X, which all users share [2]_. A
    user's recent positives weigh more in the row that is scored, if `time` is named.

    Parameters
    ----------
    user : str or int, default=None
        The column of X with the user ids, by name or position. Users that the log does
        not know, or that have no positives, get the most popular items.
    item : str or int, default=None
        The column of X with the item ids, by name or position. All columns without a
        role are features; those of items are used. Items that the log does not know are
        scored as the known ones that are nearest by features.
    time : str or int, default=None
        The column of X with the times, by name or position. With None, all positives of
        a user weigh alike.
    l2 : float, default=100.0
        The penalty :math:`\lambda`, in units of positives: their weights are scaled to
        a mean of 1.
    recency : float, default=0.5
        The share of the weight that a positive loses as the user goes on. It applies to
        the row that is scored, and needs `time`.
    half_life : float, default=10.0
        The number of later positives of the user that halves this share.
    feature_weight : float, default=2.0
        The weight of the features of items, whose rows are scaled to a length of 1 for
        each item. With 0, features serve unknown items alone.

    Attributes
    ----------
    precision_ : object
        The matrix P, held in the smallest form: through the users if they are fewer
        than half of the items, in full, or as a triangle.
    popularity_ : ndarray of shape (n_items,)
        The share of users who have each item among their positives. Where `time` is
        named, a positive counts half for each tenth of the log that came later.
    profiles_ : csr_array of shape (n_users + 1, n_items)
        The row of each user that is scored. The last one, for unknown users, is empty.
    catalogue_ : Catalogue or None
        The users and items of the log, if both columns are named.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    ImplicitALS : Factors of users and items in place of item-item weights.
    NeighborhoodRecommender : Similarities in place of a regression.
    BlendRecommender : A weighted sum of several models.

    References
    ----------
    .. [1] Steck, H. (2019). "Embarrassingly shallow autoencoders for sparse data." WWW.
    .. [2] Jeunen, O., Van Balen, J. and Goethals, B. (2020). "Closed-form models for
       collaborative filtering with side-information." RecSys.

    Examples
    --------
    Who bought a also bought b, and who bought c also bought d:

    >>> import pandas as pd
    >>> from sklearn_causalrec import explain
    >>> from sklearn_causalrec.baselines import EASE
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = EASE(user="user", item="item", l2=1.0).fit(log)
    >>> top = explain(model, ["w"], k=1, by="outcome")
    >>> top[["item", "because"]].values.tolist()
    [['b', ['a']]]
    """

    _parameter_constraints = {
        **PositivesRecommender._parameter_constraints,
        "l2": [Interval(Real, 0, None, closed="neither")],
        "recency": [Interval(Real, 0, 1, closed="both")],
        "half_life": [Interval(Real, 0, None, closed="neither")],
        "feature_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        user: Column | None = None,
        item: Column | None = None,
        time: Column | None = None,
        l2: float = 100.0,
        recency: float = 0.5,
        half_life: float = 10.0,
        feature_weight: float = 2.0,
    ) -> None:
        super().__init__(user=user, item=item, time=time)
        self.l2 = l2
        self.recency = recency
        self.half_life = half_life
        self.feature_weight = feature_weight

    def _recency(self, later):
        if later is None:
            return np.float32(1)
        return 1 - self.recency + self.recency * 0.5 ** (later / self.half_life)

    def _learn(self, signals):
        rows = [signals]
        if self.feature_weight and self.catalogue_.of_item.any():
            features = self.feature_weight * unit_features(self.catalogue_)
            rows.append(csr_array(features.T.astype(np.float32)))
        self.precision_ = precision(vstack(rows, format="csr"), self.l2)

    def _score(self, profiles):
        out = self.precision_.left(profiles)
        out /= -self.precision_.diagonal
        cells = profiles.tocoo()
        out[cells.coords] += cells.data  # what the diagonal had
        return out

    def _contributions(self, profile, items):
        weights = -self.precision_.take(items)[:, profile.indices].T
        weights /= self.precision_.diagonal[items]
        weights[profile.indices[:, None] == items] = 0
        return weights * profile.data[:, None]

    def _item_similarity(self, items):
        diagonal = np.sqrt(self.precision_.diagonal)
        out = -self.precision_.take(items) / diagonal / diagonal[items][:, None]
        out[np.arange(len(items)), items] = 1
        return out
