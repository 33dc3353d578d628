"""Cross-fitted regressions and probabilities from any scikit-learn models."""

from functools import cache

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import ThreadpoolController

from sklearn_causalrec.effects.learners import convex_weights


@cache
def _pools():
    # finding the thread pools takes longer than a small fit
    return ThreadpoolController()


def _smooth():
    """Additive cubic splines, linear beyond the data."""
    return make_pipeline(
        StandardScaler(),
        SplineTransformer(n_knots=5, knots="quantile", extrapolation="linear"),
        StandardScaler(),
    )


def default_regressors():
    """Ridge regression on additive splines, and boosted trees."""
    return [
        make_pipeline(_smooth(), RidgeCV(np.logspace(-2, 4, 13))),
        HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15),
    ]


def default_classifiers():
    """Logistic regression on additive splines, and boosted trees."""
    return [
        make_pipeline(_smooth(), LogisticRegression(C=0.1, max_iter=1000)),
        HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=6),
    ]


def as_models(models, default):
    """List of candidates: the default, the one given, or those of a list."""
    if models is None:
        return default()
    return list(models) if isinstance(models, (list, tuple)) else [models]


def _is_skorch(model):
    return any(c.__module__.startswith("skorch.") for c in type(model).__mro__)


class _Constant:
    """The mean, for a target without variation or a regression on nothing."""

    def fit(self, X, y, sample_weight=None):
        self.value = np.average(y, axis=0, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full((len(X), *np.shape(self.value)), self.value)


class Fitted:
    """One model fitted on some rows: numbers in, means or probabilities out.

    ``n_classes`` 0 is a regression, whose target a classifier takes as 0 and 1.
    """

    def __init__(self, model, X, target, weight=None, n_classes=0, seed=0):
        self.n_classes, self.classes = n_classes, None
        self.net = _is_skorch(model)
        if not X.shape[1] or (target == target[0]).all():
            model = _Constant()
            if n_classes:
                target = np.eye(n_classes)[target]
        else:
            model = clone(model)
            if "random_state" in model.get_params(deep=False):
                if model.get_params(deep=False)["random_state"] is None:
                    model.set_params(random_state=seed)
            if n_classes or is_classifier(model):
                target = target.astype(np.int64)
            elif self.net:
                target = target.astype(np.float32)[:, None]
        kwargs = {}
        if weight is not None:
            last = model.steps[-1][0] + "__" if hasattr(model, "steps") else ""
            kwargs = {last + "sample_weight": weight}
        self.model = model.fit(self._cast(X), target, **kwargs)
        self.classes = getattr(self.model, "classes_", None)

    def _cast(self, X):
        return X.astype(np.float32) if self.net else X

    def __call__(self, X):
        X = self._cast(X)
        if self.classes is None or isinstance(self.model, _Constant):
            out = self.model.predict(X)
            return out if self.n_classes else np.ravel(out)
        found = self.model.predict_proba(X)
        if not self.n_classes:
            return found[:, 1]
        out = np.zeros((len(X), self.n_classes))
        out[:, np.asarray(self.classes, int)] = found
        return out


class CrossFit:
    """Candidates fitted without each fold and stacked by convex weights.

    Every row is predicted by models that did not see its fold; the weights of the
    candidates, nonnegative and summing to one, minimise the squared error of these
    predictions ("short-stacking", Ahrens et al. 2024, "Model averaging and double
    machine learning").

    Parameters
    ----------
    models : list of estimators
    X : ndarray of shape (n, p)
    target : ndarray of shape (n,)
        Numbers; class codes where ``n_classes`` is positive. Of the rows outside
        ``rows`` nothing is read. Of shape (n, n_folds), each fold has a target of its
        own, which did not see it.
    fold : ndarray of int of shape (n,)
    rows : ndarray of bool of shape (n,), optional
        Rows to learn from.
    weight : ndarray of shape (n,), optional
    n_classes : int
        0 for a regression.
    """

    def __init__(
        self, models, X, target, fold, *, rows=None, weight=None, n_classes=0,
        seed=0, n_jobs=None,
    ):  # fmt: skip
        n = len(X)
        rows = np.ones(n, bool) if rows is None else rows
        own = np.ndim(target) == 2
        self.fold, self.n_classes = fold, n_classes
        folds = range(fold.max() + 1)

        def job(k, j):
            learn = rows & (fold != k)
            y = target[learn, k] if own else target[learn]
            w = None if weight is None else weight[learn]
            with _pools().limit(limits=1):
                return Fitted(models[j], X[learn], y, w, n_classes, seed + k)

        tasks = [(k, j) for k in folds for j in range(len(models))]
        fitted = iter(Parallel(n_jobs)(delayed(job)(*task) for task in tasks))
        self.fitted = [[next(fitted) for _ in models] for _ in folds]
        self.weights = np.ones(1)
        if len(models) > 1:
            P = np.stack([self._candidate(j, X) for j in range(len(models))], -1)
            y = target[np.arange(n), fold] if own else target
            y = np.eye(n_classes)[y[rows]] if n_classes else y[rows]
            w = np.ones(rows.sum()) if weight is None else weight[rows]
            w = np.repeat(w, n_classes or 1)
            self.weights = convex_weights(
                P[rows].reshape(-1, len(models)), y.ravel(), w
            )

    def _candidate(self, j, X):
        out = np.empty((len(X), self.n_classes) if self.n_classes else len(X))
        for k, models in enumerate(self.fitted):
            held = self.fold == k
            out[held] = models[j](X[held])
        return out

    def __call__(self, X):
        """Predictions at the rows of fit, each by the models without its fold."""
        used = [(j, c) for j, c in enumerate(self.weights) if c > 0]
        return sum(c * self._candidate(j, X) for j, c in used)

    def by(self, k, X):
        """Predictions of any rows by the models without fold ``k``."""
        used = [(j, c) for j, c in enumerate(self.weights) if c > 0]
        return sum(c * self.fitted[k][j](X) for j, c in used)

    def at(self, X):
        """Predictions of new rows: the mean over the folds' models."""
        folds = range(len(self.fitted))
        return sum(self.by(k, X) for k in folds) / len(self.fitted)
