"""What the models of outcomes share: column roles, fit, predict, lists."""

from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.typing import Arm, Column, Task
from sklearn_causalrec.encoding.checks import unchanged_on_failure
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.ranking.catalogue import Catalogue, PairScores


def is_classifier(estimator):
    """Whether the outcome is binary."""
    return estimator.task == "classification"


class OutcomeLists:
    """Mixin: lists by outcome, since the models of this room have no effects.

    A subclass says in ``_pair_scores`` how it scores pairs.
    """

    _ranks_by = "outcome"  # if nothing is said

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
            The scores of encoded rows and, where that is quicker, of blocks of pairs.

        Raises
        ------
        ValueError
            If effects are asked for. A baseline has none.
        """
        check_is_fitted(self, "log_encoder_")
        if by == "effect" or min_effect is not None:
            raise ValueError(
                f"{type(self).__name__} predicts outcomes and has no effects: "
                'recommend(..., by="outcome").'
            )
        return self._pair_scores()  # type: ignore[attr-defined]


class Baseline(OutcomeLists, BaseEstimator):
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
        if is_classifier(self):
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_class=False)
        else:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        return tags

    def _model(self):
        alpha = getattr(self, "alpha", 1e-6)
        if is_classifier(self):
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
            self.log_encoder_ = LogEncoder(roles, is_classifier(self))
            rows = self.log_encoder_.fit_rows(self, X, y, None, None, sample_weight)
            if is_classifier(self):
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
        if is_classifier(self):
            return self.classes_[(mean > 0.5).astype(int)]
        return mean

    @available_if(is_classifier)
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
        score = accuracy_score if is_classifier(self) else r2_score
        return score(y, self.predict(X), sample_weight=sample_weight)

    def _without_users(self, keep, rows):
        """Remove users, in place; see :func:`sklearn_causalrec.forget`."""
        self.log_encoder_.users.without(keep)
        if self.catalogue_ is not None:
            self.catalogue_.without_users(keep)

    def _pair_scores(self):
        return PairScores(self._mean_rows, None)
