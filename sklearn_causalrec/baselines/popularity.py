"""Popular items, for everybody."""

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _num_samples

from sklearn_causalrec.baselines.base import is_classifier
from sklearn_causalrec.baselines.global_mean import GlobalMean
from sklearn_causalrec.ranking.catalogue import PairScores


class Popularity(GlobalMean):
    """Predict the outcome from the popularity of the item.

    The outcome is a linear function of log(1 + number of rows of the item). With
    ``task="classification"`` the link is logistic. Unknown items have no rows.

    Lists hold the items with the most positive rows, which are those with y > 0. They
    are the same for all users, but for the pairs that are left out.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. "classification" means a binary outcome.
    user : str or int, default=None
        The column of X with the user ids, by name or position. It is needed for
        :func:`~sklearn_causalrec.recommend` only.
    item : str or int, default=None
        The column of X with the item ids, by name or position. With None, the mean
        outcome is predicted.

    Attributes
    ----------
    log_counts_ : ndarray of shape (n_items + 1,)
        The logarithm of 1 + the rows of each item. The last one, 0, stands for unknown
        items.
    positives_ : ndarray of shape (n_items + 1,)
        The number of positive rows of each item, by which lists are ranked.
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
    GlobalMean : Predict the mean outcome for every row.
    UserItemBias : Predict from a bias of every user and item.
    NeighborhoodRecommender : Score items by similar items or users.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import Popularity
    >>> log = pd.DataFrame({"item": ["a", "a", "a", "b"]})
    >>> Popularity(item="item").fit(log, [1, 1, 1, 0]).predict(log).round(2).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit to a log in which every row was shown.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The log, with one row per decision.
        y : array-like of shape (n,), default=None
            The outcome of each row. With None, every row is a positive: y is 1. A
            classifier needs it.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows have the weight 1.

        Returns
        -------
        estimator
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If a value cannot be used. The message names it. An estimator that was
            fitted before stays as it was.
        """
        if y is None and not is_classifier(self):
            y = np.ones(_num_samples(X))
        return super().fit(X, y, sample_weight)  # type: ignore[arg-type]

    def _learn(self, rows):
        counts, positives = [], []
        if rows.item is not None:
            n = len(self.log_encoder_.items)
            weight = rows.weight * rows.total / len(rows)
            counts = np.bincount(rows.item, weight, minlength=n)
            positives = np.bincount(rows.item, weight * (rows.y > 0), minlength=n)
        self.log_counts_ = np.log1p(np.append(counts, 0.0))
        self.positives_ = np.append(positives, 0.0)

    def _inputs(self, rows):
        if rows.item is None:
            return super()._inputs(rows)
        return self.log_counts_[rows.item][:, None]

    def _without_users(self, keep, rows):
        """Remove users, in place, and from the counts of their items.

        Rows are not kept by user: of an item's rows, each of its users counts for as
        many. That is exact where each pair has one row.
        """
        if self.catalogue_ is not None:
            logged, rated = (
                np.append(self.catalogue_.share_of(keep, pairs), 1.0)
                for pairs in ("logged", "rated")
            )
            self.log_counts_ = np.log1p(np.expm1(self.log_counts_) * logged)
            self.positives_ = self.positives_ * rated
        super()._without_users(keep, rows)

    def _pair_scores(self):
        return PairScores(
            partial(_of_rows, self.positives_), partial(_of_pairs, self.positives_)
        )


def _of_rows(positives, rows):
    return positives[rows.item]


def _of_pairs(positives, users, items):
    return np.tile(positives[items], (len(users), 1))
