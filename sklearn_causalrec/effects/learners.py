"""Learners of the second stage: additive, boosted, with offsets; and their weights."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls
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
TINY = 1e-100


def chunked_predict(model, X, rows=None):
    """Predictions for the ``rows`` of X, or all, in chunks: copies stay small."""
    call = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    n = len(X) if rows is None else len(rows)
    chunks = [slice(i, i + CHUNK) for i in range(0, n, CHUNK)]
    parts = [call(X[c] if rows is None else X[rows[c]]) for c in chunks]
    out = np.concatenate(parts) if parts else np.empty(0)
    return out[:, 1] if out.ndim == 2 else out


def convex_weights(P, target, weight):
    """Nonnegative weights that sum to one and minimize the weighted squared error.

    ``P`` is (n, candidates). Scaled by the spread of the target, the constraint
    is one heavily weighted extra row of a nonnegative least squares problem.
    """
    center = np.average(target, weights=weight)
    spread = np.sqrt(np.average((target - center) ** 2, weights=weight)) or 1.0
    gram, cross, total = 1e4, 1e4, weight.sum()
    for i in range(0, len(P), CHUNK):
        b = slice(i, i + CHUNK)
        A = (P[b].astype(float) - center) / spread
        weighted = A.T * (weight[b] / total)
        gram = gram + weighted @ A
        cross = cross + weighted @ ((target[b] - center) / spread)
    values, vectors = np.linalg.eigh(gram)
    keep = values > values[-1] * 1e-14
    R = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    c, _ = nnls(R, (vectors[:, keep].T @ cross) / np.sqrt(values[keep]))
    return c / c.sum() if c.sum() > 0 else np.full(P.shape[1], 1 / P.shape[1])


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

        def centered(M):
            return M[:-1, :-1] - np.outer(M[:-1, -1], M[-1, :-1]) / M[-1, -1]

        C = centered(G) / G[-1, -1]
        sd = np.sqrt(np.maximum(np.diag(centered(whole))[:-1] / whole[-1, -1], 1e-12))
        C, c = C[:-1, :-1] / np.outer(sd, sd), C[:-1, -1] / sd
        if alphas is None:
            alphas = max(np.abs(c).max(), 1e-12) * np.logspace(0, -2.7, 24)
        # Any R with R'R = C will do; the ridge carries terms that repeat another.
        C += RIDGE * np.eye(len(C))
        R = np.linalg.cholesky(C).T
        r = solve_triangular(R, c, trans="T")
        coefs = lasso_path(
            np.asfortranarray(R), r, alphas=alphas / len(r), precompute=C, Xy=c,
            max_iter=200, tol=1e-3, random_state=0,
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
        logit = LogisticRegression(C=0.1, max_iter=200, random_state=0)
        self.logit = logit.fit(Z, t, sample_weight)
        return self

    def predict(self, X):
        return self.terms._by_chunk(
            X, lambda B: self.logit.predict_proba(B[:, self.chosen])[:, 1]
        )


class Grouped:
    """Features (n, p) and codes (n, n_kinds) of the groups of the same rows."""

    def __init__(self, X, groups):
        self.X, self.groups = X, groups

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        return Grouped(self.X[rows], self.groups[rows])


class MixedRidge:
    r"""Linear regression with a random offset for each group, on :class:`Grouped`.

    .. math:: y_i = x_i^\top \beta + \sum_k u_{k, g_k(i)} + \varepsilon_i, \quad
              u_{k, g} \sim N(0, \sigma_k^2), \; \beta_j \sim N(0, \sigma_\beta^2),
              \; \varepsilon_i \sim N(0, \sigma^2 / w_i)

    with standardized x. As R-learner it is an effect of features that users and items
    differ from, each by as much as its rows can tell. Offsets and coefficients are
    posterior means given the variances, those empirical Bayes by an EM algorithm [1]_
    whose posterior takes the parts for independent, so that an iteration reads the
    rows once a part. Groups not seen have no offset.

    Attributes
    ----------
    coef_ : ndarray of shape (1 + p,)
        Mean, and coefficients of standardized features.
    offsets_ : list of ndarray
        Of each kind, those of its groups; last, that of groups not seen.
    spreads_ : list of ndarray
        Of each kind, posterior variances of these offsets.
    variances_ : ndarray of shape (n_kinds + 2,)
        Of the coefficients, of each kind of offset, and of the noise at weight 1.

    References
    ----------
    .. [1] Laird, N. and Ware, J. (1982). "Random-effects models for longitudinal
       data." Biometrics 38(4).
    """

    def __init__(self, max_iter=60, tol=0.01):
        self.max_iter = max_iter
        self.tol = tol

    def _design(self, X):
        return np.column_stack([np.ones(len(X)), (X - self.mean_) / self.scale_])

    def fit(self, grouped, y, sample_weight):
        X, w, codes = grouped.X, sample_weight, grouped.groups.T
        self.mean_, self.scale_ = X.mean(0, dtype=float), X.std(0, dtype=float)
        self.scale_[self.scale_ < 1e-9] = 1.0
        Z = self._design(X)
        gram = (Z.T * w) @ Z
        masses = [np.bincount(g, w) for g in codes]
        coef, offsets = np.zeros(Z.shape[1]), [np.zeros(len(m)) for m in masses]
        coef[0] = np.average(y, weights=w)
        rest = y - coef[0]
        noise = np.mean(w * rest**2) + TINY
        floor = 1e-9 * noise / w.mean()
        # Of the coefficients and of each kind of offset.
        variance = np.full(1 + len(codes), 0.05 * noise / w.mean())
        for _ in range(self.max_iter):
            before = np.append(variance, noise)
            rest += Z @ coef
            prior = np.full(len(coef), noise / variance[0])
            prior[0] = 0.0  # the mean is free
            inverse = np.linalg.pinv(gram + np.diag(prior), hermitian=True)
            coef = inverse @ (Z.T @ (w * rest))
            rest -= Z @ coef
            spread = coef**2 + noise * np.diag(inverse)
            variance[0] = spread[1:].mean() + floor if len(coef) > 1 else floor
            used = (gram * inverse).sum()
            for k, (g, mass) in enumerate(zip(codes, masses), 1):
                rest += offsets[k - 1][g]
                precision = mass + noise / variance[k]
                offsets[k - 1] = np.bincount(g, w * rest) / precision
                rest -= offsets[k - 1][g]
                seen = mass > 0
                spread = offsets[k - 1] ** 2 + noise / precision
                variance[k] = spread[seen].mean() + floor
                used += (mass / precision).sum()
            noise = (w * rest**2).sum() / max(len(y) - used, 1) + TINY
            self.variances_ = np.append(variance, noise)
            if np.abs(np.log(self.variances_ / before)).max() < self.tol:
                break
        self.coef_, self.offsets_ = coef, [np.append(o, 0.0) for o in offsets]
        left = [noise / (m + noise / v) for m, v in zip(masses, variance[1:])]
        self.spreads_ = [np.append(s, v) for s, v in zip(left, variance[1:])]
        return self

    def _of_groups(self, groups, values):
        return sum(v[np.minimum(g, len(v) - 1)] for g, v in zip(groups.T, values))

    def offset_variance(self, grouped):
        """Posterior variance of the sum of the offsets of each row, (n,)."""
        return self._of_groups(grouped.groups, self.spreads_)

    def without_groups(self, kind, keep):
        """Remove groups of a kind, in place: they have no offset, as groups not seen.

        The offsets that stay are centred, and the mean takes up what that moves: all
        offsets sum to about zero, so that those left would tell the one that is gone.

        Parameters
        ----------
        kind : int
            Position of the kind.
        keep : ndarray of bool of shape (n_groups,)
            Which groups stay; the codes of the others close up.
        """
        for values in (self.offsets_, self.spreads_):
            known = keep[: len(values[kind]) - 1]  # later groups had no rows
            values[kind] = np.append(values[kind][:-1][known], values[kind][-1])
        offsets = self.offsets_[kind]
        if len(offsets) > 1:
            moved = offsets[:-1].mean()
            self.coef_[0] += moved
            offsets[:-1] -= moved

    def predict(self, grouped):
        fixed = self._design(grouped.X) @ self.coef_
        return fixed + self._of_groups(grouped.groups, self.offsets_)
