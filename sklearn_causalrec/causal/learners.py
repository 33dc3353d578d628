"""Learners of the second stage: additive models, and boosted trees on shared bins."""

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, lasso_path

LOGIT_ROWS = 30_000
CHUNK = 65_536
# An additive basis has ten times the columns of the features.
BASIS_CHUNK = 4_096
RIDGE = 1e-6


def chunked_predict(model, X, rows=None):
    """Predictions for the ``rows`` of X, or all, in chunks: copies stay small."""
    call = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    n = len(X) if rows is None else len(rows)
    chunks = [slice(i, i + CHUNK) for i in range(0, n, CHUNK)]
    parts = [call(X[c] if rows is None else X[rows[c]]) for c in chunks]
    out = np.concatenate(parts) if parts else np.empty(0)
    return out[:, 1] if out.ndim == 2 else out


class AdditiveLasso(RegressorMixin, BaseEstimator):
    """Lasso over a line, hinges and steps of each feature.

    The penalty is chosen by cross-validation on Gram matrices: the data are
    read once, in chunks, and the path is that of an equivalent problem with as
    many rows as basis functions.

    Parameters
    ----------
    n_knots : int, default=5
        Quantiles of a feature at which a hinge and a step are placed.
    n_folds : int, default=3
        Folds of the choice of the penalty.
    max_features : int, default=100
        Features beyond this number enter as lines only.
    """

    def __init__(self, n_knots=5, n_folds=3, max_features=100):
        self.n_knots = n_knots
        self.n_folds = n_folds
        self.max_features = max_features

    def _basis(self, X):
        p, n_knots = X.shape[1], len(self.knots_)
        B = np.empty((len(X), p + 2 * n_knots))
        Z, hinge, step = np.split(B, [p, p + n_knots], axis=1)
        np.divide(X - self.mean_, self.scale_, out=Z)
        np.subtract(Z[:, self.knot_of_], self.knots_, out=hinge)
        np.greater(hinge, 0, out=step)
        np.maximum(hinge, 0, out=hinge)
        return B

    def _by_chunk(self, X, function):
        """``function`` of the basis of every chunk, concatenated."""
        chunks = range(0, len(X), BASIS_CHUNK)
        return np.concatenate(
            [function(self._basis(X[i : i + BASIS_CHUNK])) for i in chunks]
        )

    def fit(self, X, y, sample_weight=None):
        n, p = X.shape
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        self.mean_, self.scale_ = X.mean(0, dtype=float), X.std(0, dtype=float)
        self.scale_[self.scale_ < 1e-9] = 1.0
        knots = np.quantile(X, np.linspace(0, 1, self.n_knots + 2), axis=0)
        knots = (knots - self.mean_) / self.scale_
        inner = [np.unique(k[(k > k[0]) & (k < k[-1])]) for k in knots.T]
        if p > self.max_features:
            inner = [k[:0] for k in inner]
        self.knot_of_ = np.repeat(np.arange(p), [len(k) for k in inner])
        self.knots_ = np.concatenate(inner)
        size = p + 2 * len(self.knots_) + 2
        gram = np.zeros((self.n_folds, size, size))
        for f in range(self.n_folds):
            rows = np.arange(f, n, self.n_folds)
            for i in range(0, len(rows), BASIS_CHUNK):
                r = rows[i : i + BASIS_CHUNK]
                B = np.column_stack([self._basis(X[r]), y[r], np.ones(len(r))])
                gram[f] += (B * w[r, None]).T @ B
        total = gram.sum(0)
        path = None
        errors = 0.0
        for held in gram:
            coefs, path = self._path(total - held, total, path)
            D = np.vstack([-coefs[:-1], np.ones(coefs.shape[1]), -coefs[-1]])
            errors = errors + np.einsum("ij,ij->j", D, held @ D)
        coefs, _ = self._path(total, total, path)
        best = coefs[:, np.argmin(errors)]
        self.coef_, self.intercept_ = best[:-1], best[-1]
        return self

    @staticmethod
    def _path(G, whole, alphas):
        """Coefficients and intercepts along the path from a Gram matrix."""

        def centred(M):
            return M[:-1, :-1] - np.outer(M[:-1, -1], M[-1, :-1]) / M[-1, -1]

        C = centred(G) / G[-1, -1]
        sd = np.sqrt(np.maximum(np.diag(centred(whole))[:-1] / whole[-1, -1], 1e-12))
        C, c = C[:-1, :-1] / np.outer(sd, sd), C[:-1, -1] / sd
        if alphas is None:
            alphas = max(np.abs(c).max(), 1e-12) * np.logspace(0, -2.7, 24)
        # Any R with R'R = C will do; the ridge carries terms that repeat another.
        C += RIDGE * np.eye(len(C))
        R = np.linalg.cholesky(C).T
        r = solve_triangular(R, c, trans="T")
        coefs = lasso_path(
            np.asfortranarray(R), r, alphas=alphas / len(r), precompute=C, Xy=c,
            max_iter=200, tol=1e-3,
        )[1] / sd[:, None]  # fmt: skip
        means = G[:-2, -1] / G[-1, -1]
        return np.vstack([coefs, G[-2, -1] / G[-1, -1] - means @ coefs]), alphas

    def predict(self, X):
        return self._by_chunk(X, lambda B: B @ self.coef_) + self.intercept_


class Bins:
    """Quantile bins of every feature, found once for all the trees of a fit.

    With ``sample_weight``, histogram boosting looks for weighted percentiles of
    every feature, which takes ten times as long as the boosting; it skips the
    search where a feature has few distinct values.
    """

    def __init__(self, X, n_bins=64):
        self.edges = []
        for x in np.asarray(X).T:
            values = np.unique(x)
            if len(values) > n_bins:
                inner = np.linspace(0, 1, n_bins + 1)[1:-1]
                self.edges.append(np.unique(np.quantile(x, inner).astype(x.dtype)))
            else:
                self.edges.append((values[1:] + values[:-1]) / 2)

    def __call__(self, X):
        out = np.empty(X.shape, np.uint8)
        for j, edges in enumerate(self.edges):
            out[:, j] = np.searchsorted(edges, X[:, j], side="right")
        return out


class Boost:
    """Boosted trees of eight leaves on binned features, and on what an
    :class:`AdditiveLasso` leaves over where ``additive`` is true."""

    def __init__(self, bins, seed, additive=False, classify=False, **options):
        self.bins, self.additive = bins, AdditiveLasso() if additive else None
        kind = (
            HistGradientBoostingClassifier
            if classify
            else HistGradientBoostingRegressor
        )
        self.trees = kind(
            max_leaf_nodes=8, early_stopping=False, random_state=seed, **options
        )

    def fit(self, X, y, sample_weight=None):
        if self.additive is not None:
            self.additive.fit(X, y, sample_weight)
            y = y - chunked_predict(self.additive, X)
        self.trees.fit(self.bins(X), y, sample_weight)
        return self

    def predict(self, X):
        rest = chunked_predict(self.trees, self.bins(X))
        return rest if self.additive is None else rest + self.additive.predict(X)


class AdditiveLogit:
    """Logistic regression on the terms that an :class:`AdditiveLasso` selects.

    Of more than 30,000 rows it takes an evenly spaced part: it holds the terms of all
    its rows at once.
    """

    def fit(self, X, t, sample_weight=None):
        self.terms = AdditiveLasso().fit(X, np.asarray(t, float), sample_weight)
        self.chosen = np.flatnonzero(self.terms.coef_)
        if len(self.chosen) == 0:
            self.chosen = np.arange(X.shape[1])
        few = slice(None, None, -(-len(X) // LOGIT_ROWS))
        X, t = X[few], t[few]
        sample_weight = None if sample_weight is None else sample_weight[few]
        Z = self.terms._by_chunk(X, lambda B: B[:, self.chosen])
        self.logit = LogisticRegression(C=0.1, max_iter=200).fit(Z, t, sample_weight)
        return self

    def predict(self, X):
        return self.terms._by_chunk(
            X, lambda B: self.logit.predict_proba(B[:, self.chosen])[:, 1]
        )
