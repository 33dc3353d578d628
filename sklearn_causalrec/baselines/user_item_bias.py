"""A bias of every user and item."""

from numbers import Real

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.utils._param_validation import Interval

from sklearn_causalrec._utils.typing import Column, Task
from sklearn_causalrec.baselines.base import Baseline


def _one_hot(codes, n_codes):
    """Return indicators, (n, n_codes). A code of at least n_codes has none."""
    rows = np.flatnonzero(codes < n_codes)
    ones = np.ones(len(rows))
    return csr_array((ones, (rows, codes[rows])), shape=(len(codes), n_codes))


class UserItemBias(Baseline):
    """Predict from a bias of every user and item, and a linear term in the features.

    The model is a ridge regression, or a logistic regression with
    ``task="classification"``.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. "classification" means a binary outcome.
    user : str or int, default=None
        The column of X with the user ids, by name or position. Unknown users have no
        bias. All columns without a role are features.
    item : str or int, default=None
        The column of X with the item ids, by name or position. Unknown items have no
        bias.
    alpha : float, default=2.0
        The penalty on the squared biases and on the squared coefficients of the
        standardised features. It counts as much as `alpha` rows of data.

    Attributes
    ----------
    model_ : estimator
        The fitted model of the outcome.
    classes_ : ndarray of shape (2,)
        The classes with ``task="classification"``.
    catalogue_ : Catalogue or None
        The users and items of the log, if both columns are named.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    NeighborhoodRecommender : Score items by similar items or users.
    Popularity : Predict from the number of rows of the item.
    GlobalMean : Predict the mean outcome for every row.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import UserItemBias
    >>> log = pd.DataFrame({"user": [1, 1, 2, 2], "item": ["a", "b", "a", "b"]})
    >>> model = UserItemBias(user="user", item="item", alpha=1e-6)
    >>> model.fit(log, [1.0, 2.0, 3.0, 4.0]).predict(log).round(2).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    _parameter_constraints = {
        **Baseline._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        task: Task = "regression",
        user: Column | None = None,
        item: Column | None = None,
        alpha: float = 2.0,
    ) -> None:
        super().__init__(task=task, user=user, item=item)
        self.alpha = alpha

    def _inputs(self, rows):
        encoder = self.log_encoder_
        features = (rows.features - encoder.mean) / encoder.scale
        if rows.user is None and rows.item is None:
            return features
        parts = [csr_array(features)]
        for codes, index in ((rows.user, encoder.users), (rows.item, encoder.items)):
            if codes is not None:
                parts.append(_one_hot(codes, len(index)))
        return csr_array(hstack(parts))

    def _without_users(self, keep, rows):
        """Remove users, in place, with their biases.

        The biases that stay are centred: those of a ridge regression sum to zero, so
        that they would tell the one that is gone.
        """
        p = len(self.log_encoder_.mean)
        n_items = self.model_.coef_.shape[-1] - p - len(keep)
        stays = np.r_[np.ones(p, bool), keep, np.ones(n_items, bool)]
        self.model_.coef_ = self.model_.coef_[..., stays].copy()
        biases = self.model_.coef_[..., p : p + int(keep.sum())]
        moved = biases.mean(-1)
        biases -= moved[..., None]
        self.model_.intercept_ = self.model_.intercept_ + moved
        self.model_.n_features_in_ = int(stays.sum())
        super()._without_users(keep, rows)
