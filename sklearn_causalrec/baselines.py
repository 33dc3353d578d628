"""Baselines with the same column roles, so that nobody compares with a straw man."""

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
    """Indicators, (n, n_codes); a code not below n_codes has none."""
    rows = np.flatnonzero(codes < n_codes)
    ones = np.ones(len(rows))
    return csr_array((ones, (rows, codes[rows])), shape=(len(codes), n_codes))


class _Baseline(BaseEstimator):
    """A linear model of the inputs that ``_inputs`` makes of the rows."""

    _parameter_constraints = {
        "task": [StrOptions({"regression", "classification"})],
        "user": [str, Integral, None],
        "item": [str, Integral, None],
    }
    verbose = 0  # recommend looks for it

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
            return LogisticRegression(C=1 / alpha, tol=1e-6, max_iter=1000)
        return Ridge(alpha, solver="auto")

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit to a log in which every row was shown.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self
        """
        with unchanged_on_failure(self):
            self._validate_params()
            roles = ColumnRoles(user=self.user, item=self.item)
            self.encoder_ = LogEncoder(roles, _is_classifier(self))
            rows = self.encoder_.fit_rows(self, X, y, None, None, sample_weight)
            if _is_classifier(self):
                self.classes_ = self.encoder_.classes
            self.catalogue_ = None
            if rows.user is not None and rows.item is not None:
                n_users, n_items = len(self.encoder_.users), len(self.encoder_.items)
                self.catalogue_ = Catalogue(rows, n_users, n_items)
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
        """What ``_inputs`` needs to know of the log."""

    def _finish(self, rows):
        """What follows the linear model."""

    def _inputs(self, rows):
        return np.empty((len(rows), 0))

    def _mean_rows(self, rows):
        inputs = self._inputs(rows)
        if hasattr(self.model_, "predict_proba"):
            return self.model_.predict_proba(inputs)[:, 1]
        return self.model_.predict(inputs)

    def _mean_outcome(self, X):
        check_is_fitted(self, "model_")
        return self._mean_rows(self.encoder_.rows(self, X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Mean outcome of each row; the class where the outcome is binary. (n,)"""
        mean = self._mean_outcome(X)
        if _is_classifier(self):
            return self.classes_[(mean > 0.5).astype(int)]
        return mean

    @available_if(_is_classifier)
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of both classes; (n, 2)."""
        p = self._mean_outcome(X)
        return np.column_stack([1 - p, p])

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """R^2, or the accuracy of a classifier."""
        score = accuracy_score if _is_classifier(self) else r2_score
        return score(y, self.predict(X), sample_weight=sample_weight)

    def pair_scores(
        self,
        by: str = "outcome",
        min_effect: float | None = None,
        T0: Arm = 0,
        T1: Arm = 1,
    ) -> PairScores:
        """What ranks the pairs in :func:`sklearn_causalrec.recommend`.

        Raises
        ------
        ValueError
            If effects are asked for: a baseline has none.
        """
        check_is_fitted(self, "model_")
        if by == "effect" or min_effect is not None:
            raise ValueError(
                f"{type(self).__name__} predicts outcomes and has no effects: "
                'recommend(..., by="outcome").'
            )
        return PairScores(self._mean_rows, None)


class GlobalMean(_Baseline):
    """The mean outcome, whatever the row.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
    user, item : str or int, default=None
        Columns of X, by name or position.

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
    """The outcome as a linear function of log(1 + rows of the item): more of the same.

    The link is logistic where the outcome is binary. Items not seen have no rows.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
    user, item : str or int, default=None
        Columns of X, by name or position. Without item, the mean outcome.

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
    """A bias for every user and item and a linear term in the features: ridge or
    logistic regression.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
    user, item : str or int, default=None
        Columns of X, by name or position; all others are features. Ids not seen have
        no bias.
    alpha : float, default=2.0
        Penalty on the squared biases and on the squared coefficients of the
        standardised features: counts as much as so many rows.

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
        encoder = self.encoder_
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

    Rows of zeros have none, and similarities below zero are left out.
    """
    vectors = csr_matrix(vectors)
    n = vectors.shape[0]
    search = NearestNeighbors(
        n_neighbors=min(n_neighbors + 1, n), metric="cosine", algorithm="brute"
    ).fit(vectors)
    distance, other = search.kneighbors(vectors)
    row = np.repeat(np.arange(n), other.shape[1])
    other, similarity = other.ravel(), 1 - distance.ravel()
    # A double may come before the row itself, which is then among the nearest or not.
    keep = (other != row) & (similarity > 1e-12)
    row, other, similarity = row[keep], other[keep], similarity[keep]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    rank = np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row)))
    nearest = rank < n_neighbors
    cells = (row[nearest], other[nearest])
    return csr_array((similarity[nearest], cells), shape=(n, n))


class NeighborhoodRecommender(UserItemBias):
    """Biases, corrected by what the user did with similar items, or similar users did.

    The outcome of user u with item i is that of :class:`UserItemBias`, b, plus

    .. math::
        \\frac{\\sum_j s_{ij}\\,(y_{uj} - b_{uj})}{\\lambda + \\sum_j s_{ij}}

    over the items j that u has rows of among the nearest neighbours of i, where
    :math:`s_{ij}` is the cosine of the two items' residuals over users, 0 where there
    is no row [1]_. With ``kind="user"`` over the users that have rows of i, likewise.

    Parameters
    ----------
    kind : {"item", "user"}, default="item"
    task : {"regression", "classification"}, default="regression"
        With "classification" b is a probability, and so is the sum: it is clipped.
    user, item : str or int, default=None
        Columns of X, by name or position; all others are features. Ids not seen have
        no neighbours. Without both there is no correction.
    n_neighbors : int, default=40
    shrinkage : float, default=1.0
        The :math:`\\lambda` above: the correction is small where neighbours are few
        and far.
    alpha : float, default=2.0
        Penalty of the biases.

    Attributes
    ----------
    similarity_ : csr_array of shape (n_items, n_items) or (n_users, n_users)
        Row i: the neighbours of i.

    References
    ----------
    .. [1] Y. Koren: Factorization Meets the Neighborhood: a Multifaceted Collaborative
           Filtering Model. KDD 2008, section 2.2.

    Examples
    --------
    Even users like even items, odd users odd ones; of user 5 two answers are known.

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
        shape = len(self.encoder_.users) + 1, len(self.encoder_.items) + 1
        cells = rows.user, rows.item
        weight = csr_array((rows.weight, cells), shape=shape)
        residual = rows.y - super()._mean_rows(rows)
        total = csr_array((rows.weight * residual, cells), shape=shape)
        total.sum_duplicates()
        weight.sum_duplicates()
        # Of several rows of a pair the mean counts. Both have the same cells.
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
