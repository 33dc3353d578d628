"""Baselines with the same column roles as the recommender.

They predict outcomes and no effects. They are simple models that a deep model has to
beat.
"""

from numbers import Integral, Real
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, csr_matrix, hstack
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.typing import Arm, Column, Task
from sklearn_causalrec.encoding.checks import unchanged_on_failure
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.ranking.catalogue import Catalogue, PairScores

__all__ = ["GlobalMean", "NeighborhoodRecommender", "Popularity", "UserItemBias"]


def _is_classifier(estimator):
    return estimator.task == "classification"


def _one_hot(codes, n_codes):
    """Return indicators, (n, n_codes). A code of at least n_codes has none."""
    rows = np.flatnonzero(codes < n_codes)
    ones = np.ones(len(rows))
    return csr_array((ones, (rows, codes[rows])), shape=(len(codes), n_codes))


class _Baseline(BaseEstimator):
    """A linear model of the inputs that ``_inputs`` makes from the rows."""

    _parameter_constraints = {
        "task": [StrOptions({"regression", "classification"})],
        "user": [str, Integral, None],
        "item": [str, Integral, None],
    }
    verbose = 0  # recommend looks for it

    __metadata_request__fit = {"sample_weight": True}
    __metadata_request__score = {"sample_weight": True}

    def __init__(
        self,
        *,
        task: Task = "regression",
        user: Column | None = None,
        item: Column | None = None,
    ) -> None:
        self.task = task
        self.user = user
        self.item = item

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if _is_classifier(self):
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_class=False)
        else:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        return tags

    def _model(self):
        alpha = getattr(self, "alpha", 1e-6)
        if _is_classifier(self):
            options = dict(tol=1e-6, max_iter=1000, random_state=0)
            return LogisticRegression(C=1 / alpha, **options)
        return Ridge(alpha, solver="auto")

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit to a log in which every row was shown.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The log, with one row per decision.
        y : array-like of shape (n,)
            The outcome of each row.
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
        with unchanged_on_failure(self):
            self._validate_params()
            roles = ColumnRoles(user=self.user, item=self.item)
            self.log_encoder_ = LogEncoder(roles, _is_classifier(self))
            rows = self.log_encoder_.fit_rows(self, X, y, None, None, sample_weight)
            if _is_classifier(self):
                self.classes_ = self.log_encoder_.classes
            self.catalogue_ = None
            if rows.user is not None and rows.item is not None:
                n_users, n_items = (
                    len(self.log_encoder_.users),
                    len(self.log_encoder_.items),
                )
                self.catalogue_ = Catalogue(
                    rows, n_users, n_items, names=roles.feature_columns_
                )
            self._learn(rows)
            weight = rows.weight * rows.total / rows.weight.sum()
            inputs = self._inputs(rows)
            if inputs.shape[1] == 0:
                mean = np.average(rows.y, weights=weight)
                self.model_ = DummyRegressor(strategy="constant", constant=mean)
            else:
                self.model_ = self._model()
            self.model_.fit(inputs, rows.y, sample_weight=weight)
            self._finish(rows)
        return self

    def _learn(self, rows):
        """Learn from the log what ``_inputs`` needs."""

    def _finish(self, rows):
        """Fit what follows the linear model."""

    def _inputs(self, rows):
        return np.empty((len(rows), 0))

    def _mean_rows(self, rows):
        inputs = self._inputs(rows)
        if hasattr(self.model_, "predict_proba"):
            return self.model_.predict_proba(inputs)[:, 1]
        return self.model_.predict(inputs)

    def _mean_outcome(self, X):
        check_is_fitted(self, "model_")
        return self._mean_rows(self.log_encoder_.rows(self, X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the mean outcome, or the class with ``task="classification"``.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows.

        Returns
        -------
        ndarray of shape (n,)
            The prediction for each row, in units of y.
        """
        mean = self._mean_outcome(X)
        if _is_classifier(self):
            return self.classes_[(mean > 0.5).astype(int)]
        return mean

    @available_if(_is_classifier)
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict the probability of both classes.

        It exists with ``task="classification"`` only.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows.

        Returns
        -------
        ndarray of shape (n, 2)
            The probability of each class, in the order of ``classes_``.
        """
        p = self._mean_outcome(X)
        return np.column_stack([1 - p, p])

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return R² of the predictions, or the accuracy of a classifier.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows.
        y : array-like of shape (n,)
            The outcome of each row.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows have the weight 1.

        Returns
        -------
        float
            The score. Higher is better.
        """
        score = accuracy_score if _is_classifier(self) else r2_score
        return score(y, self.predict(X), sample_weight=sample_weight)

    def pair_scores(
        self,
        by: str = "outcome",
        min_effect: float | None = None,
        T0: Arm | None = None,
        T1: Arm | None = None,
    ) -> PairScores:
        """Return how pairs are scored for :func:`~sklearn_causalrec.recommend`.

        Parameters
        ----------
        by : {"outcome", "effect"}, default="outcome"
            What pairs are ranked by. Only "outcome" is possible.
        min_effect : float, default=None
            The effect above which a pair is a candidate. Only None is possible.
        T0 : scalar, default=None
            Ignored, because there are no effects.
        T1 : scalar, default=None
            Ignored, because there are no effects.

        Returns
        -------
        PairScores
            The predictions of the model as scores.

        Raises
        ------
        ValueError
            If effects are asked for. A baseline has none.
        """
        check_is_fitted(self, "model_")
        if by == "effect" or min_effect is not None:
            raise ValueError(
                f"{type(self).__name__} predicts outcomes and has no effects: "
                'recommend(..., by="outcome").'
            )
        return PairScores(self._mean_rows, None)


class GlobalMean(_Baseline):
    """Predict the mean outcome for every row.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. "classification" means a binary outcome.
    user : str or int, default=None
        The column of X with the user ids, by name or position. It is needed for
        :func:`~sklearn_causalrec.recommend` only.
    item : str or int, default=None
        The column of X with the item ids, by name or position. It is needed for
        :func:`~sklearn_causalrec.recommend` only.

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
    Popularity : Predict from the number of rows of the item.
    UserItemBias : Predict from a bias of every user and item.
    NeighborhoodRecommender : Predict from similar items or users.

    Examples
    --------
    >>> from sklearn_causalrec.baselines import GlobalMean
    >>> GlobalMean().fit([[1.0], [2.0]], [1.0, 3.0]).predict([[9.0]]).tolist()
    [2.0]
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if _is_classifier(self):
            tags.classifier_tags.poor_score = True
        else:
            tags.regressor_tags.poor_score = True
        return tags


class Popularity(GlobalMean):
    """Predict the outcome from the popularity of the item.

    The outcome is a linear function of log(1 + number of rows of the item). With
    ``task="classification"`` the link is logistic. Unknown items have no rows.

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
    NeighborhoodRecommender : Predict from similar items or users.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import Popularity
    >>> log = pd.DataFrame({"item": ["a", "a", "a", "b"]})
    >>> Popularity(item="item").fit(log, [1, 1, 1, 0]).predict(log).round(2).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    def _learn(self, rows):
        counts = []
        if rows.item is not None:
            counts = np.bincount(rows.item, rows.weight * rows.total / len(rows))
        self.log_counts_ = np.log1p(np.append(counts, 0.0))

    def _inputs(self, rows):
        if rows.item is None:
            return super()._inputs(rows)
        return self.log_counts_[rows.item][:, None]


class UserItemBias(_Baseline):
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
    NeighborhoodRecommender : Correct the biases by similar items or users.
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
        **_Baseline._parameter_constraints,
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


def _cosine_neighbors(vectors, n_neighbors):
    """Cosine similarities of each row with its nearest others; csr (n, n).

    Rows of zeros have no neighbours. Similarities below zero are left out.
    """
    vectors = csr_matrix(vectors)
    n = vectors.shape[0]
    search = NearestNeighbors(
        n_neighbors=min(n_neighbors + 1, n), metric="cosine", algorithm="brute"
    ).fit(vectors)
    distance, other = search.kneighbors(vectors)
    row = np.repeat(np.arange(n), other.shape[1])
    other, similarity = other.ravel(), 1 - distance.ravel()
    # An equal row may come before the row itself, which may then not be among these.
    keep = (other != row) & (similarity > 1e-12)
    row, other, similarity = row[keep], other[keep], similarity[keep]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    rank = np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row)))
    nearest = rank < n_neighbors
    cells = (row[nearest], other[nearest])
    return csr_array((similarity[nearest], cells), shape=(n, n))


class NeighborhoodRecommender(UserItemBias):
    r"""Correct the biases of users and items by similar items, or by similar users.

    The predicted outcome of user u with item i is the prediction :math:`b_{ui}` of
    :class:`~sklearn_causalrec.baselines.UserItemBias`, plus

    .. math::
        \frac{\sum_j s_{ij}\,(y_{uj} - b_{uj})}{\lambda + \sum_j s_{ij}}

    The sums are over those of the nearest neighbours j of item i that user u has rows
    of. The similarity :math:`s_{ij}` is the cosine of the residuals of the two items
    over users, where a residual without a row is 0 [1]_. With ``kind="user"`` the roles
    are swapped: the sums are over the similar users that have rows of item i.

    Parameters
    ----------
    kind : {"item", "user"}, default="item"
        Whether the neighbours are items or users.
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. With "classification", b is a probability, and the sum is
        clipped to the range from 0 to 1.
    user : str or int, default=None
        The column of X with the user ids, by name or position. Unknown users have no
        neighbours. All columns without a role are features. Without `user` and `item`
        there is no correction.
    item : str or int, default=None
        The column of X with the item ids, by name or position. Unknown items have no
        neighbours.
    n_neighbors : int, default=40
        The number of nearest neighbours of each item (or user).
    shrinkage : float, default=1.0
        The :math:`\lambda` in the formula. It keeps the correction small if neighbours
        are few and not similar.
    alpha : float, default=2.0
        The penalty on the squared biases and coefficients, as in
        :class:`~sklearn_causalrec.baselines.UserItemBias`.

    Attributes
    ----------
    similarity_ : csr_array of shape (n_items + 1, n_items + 1), or None
        The similarities of the nearest neighbours: row i contains the neighbours of
        item i. The last row and column stand for unknown items. With ``kind="user"``
        there are users in place of items. It is None if `user` or `item` is not named.
    residual_ : csr_array of shape (n_users + 1, n_items + 1)
        The mean residual of the logged rows of each pair.
    logged_ : csr_array of shape (n_users + 1, n_items + 1)
        1 for each pair that was logged.
    model_ : estimator
        The fitted model of the biases.
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
    UserItemBias : The model of the biases that are corrected.
    Popularity : Predict from the number of rows of the item.

    References
    ----------
    .. [1] Koren, Y. (2008). "Factorization meets the neighborhood: a multifaceted
       collaborative filtering model." KDD, section 2.2.

    Examples
    --------
    Even users like even items, and odd users like odd items. Two outcomes of user 5 are
    known.

    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import NeighborhoodRecommender
    >>> log = pd.DataFrame([(u, i) for u in range(6) for i in range(6)][:-4])
    >>> log.columns = ["user", "item"]
    >>> liked = (log["user"] % 2 == log["item"] % 2).astype(float)
    >>> model = NeighborhoodRecommender(user="user", item="item").fit(log, liked)
    >>> new = pd.DataFrame({"user": [5, 5], "item": [2, 3]})
    >>> model.predict(new).round(1).tolist()
    [0.3, 0.7]
    """

    _parameter_constraints = {
        **UserItemBias._parameter_constraints,
        "kind": [StrOptions({"item", "user"})],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        kind: Literal["user", "item"] = "item",
        *,
        task: Task = "regression",
        user: Column | None = None,
        item: Column | None = None,
        n_neighbors: int = 40,
        shrinkage: float = 1.0,
        alpha: float = 2.0,
    ) -> None:
        super().__init__(task=task, user=user, item=item, alpha=alpha)
        self.kind = kind
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    def _finish(self, rows):
        self.similarity_ = None
        if rows.user is None or rows.item is None:
            return
        shape = len(self.log_encoder_.users) + 1, len(self.log_encoder_.items) + 1
        cells = rows.user, rows.item
        weight = csr_array((rows.weight, cells), shape=shape)
        residual = rows.y - super()._mean_rows(rows)
        total = csr_array((rows.weight * residual, cells), shape=shape)
        total.sum_duplicates()
        weight.sum_duplicates()
        # The mean of a pair's rows counts. Both matrices have the same cells.
        self.residual_ = csr_array(
            (total.data / weight.data, total.indices, total.indptr), shape=shape
        )
        self.logged_ = csr_array(
            (np.ones_like(total.data), total.indices, total.indptr), shape=shape
        )
        by_side = self.residual_.T if self.kind == "item" else self.residual_
        self.similarity_ = _cosine_neighbors(by_side, self.n_neighbors)

    def _correction(self, total, weight):
        lacks = weight == 0
        return np.where(lacks, 0.0, total / (weight + self.shrinkage + lacks))

    def _mean_rows(self, rows):
        mean = super()._mean_rows(rows)
        if self.similarity_ is None:
            return mean
        residual, logged, own, pair = self.residual_, self.logged_, rows.item, rows.user
        if self.kind == "user":
            residual, logged, own, pair = residual.T, logged.T, rows.user, rows.item
        residual, logged = csr_array(residual), csr_array(logged)
        near = self.similarity_[own]
        total = near.multiply(residual[pair]).sum(axis=1)
        weight = near.multiply(logged[pair]).sum(axis=1)
        mean = mean + self._correction(total, weight)
        return np.clip(mean, 0, 1) if _is_classifier(self) else mean
