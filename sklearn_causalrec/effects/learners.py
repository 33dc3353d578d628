"""Learners of the second stage: boosted, with offsets; and the weights of a stack."""

import numpy as np
from scipy.optimize import nnls

from sklearn_causalrec.effects.additive import AdditiveBasis, AdditiveLasso
from sklearn_causalrec.effects.boosting import BinnedTrees

CHUNK = 65_536
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


class Bins:
    """Quantile bins of every feature, and terms at its quantiles.

    Found once for all the trees and additive learners of a fit.

    Attributes
    ----------
    edges : list of ndarray
        Where the bins of each feature begin but for the first.
    basis : AdditiveBasis
        Of the same rows, for the additive learners of the fit.
    """

    def __init__(self, X, n_bins=64):
        self.basis = AdditiveBasis(X)
        self.edges = []
        for x in np.asarray(X).T:
            x = np.sort(x)  # quantiles of sorted values are found at once
            values = x[np.append(True, x[1:] != x[:-1])]
            if len(values) > n_bins:
                inner = np.linspace(0, 1, n_bins + 1)[1:-1]
                self.edges.append(np.unique(np.quantile(x, inner).astype(x.dtype)))
            else:
                self.edges.append((values[1:] + values[:-1]) / 2)

    def __call__(self, X):
        out = np.empty(X.shape, np.uint8, order="F")
        for j, edges in enumerate(self.edges):
            out[:, j] = np.searchsorted(edges, X[:, j], side="right")
        return out


class Binned:
    """Features (n, p) and, not to look for them anew, their bins (n, p) of bytes."""

    def __init__(self, X, codes):
        self.X, self.codes = X, codes

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        return Binned(self.X[rows], self.codes[rows])


class Boost:
    """Boosted trees of eight leaves on binned features, and on what an
    :class:`AdditiveLasso` leaves over where ``additive`` is true.

    Rows are features, or :class:`Binned`.
    """

    def __init__(self, bins, seed, additive=False, **options):
        self.bins = bins
        self.additive = AdditiveLasso(basis=bins.basis) if additive else None
        self.trees = BinnedTrees(random_state=seed, **options)

    def __setstate__(self, state):
        vars(self).update(state)
        if not isinstance(self.trees, BinnedTrees):  # of a file of before
            self.trees = BinnedTrees.of_histogram_boosting(self.trees)

    def _parts(self, X):
        return (X.X, X.codes) if isinstance(X, Binned) else (X, self.bins(X))

    def fit(self, X, y, sample_weight=None):
        X, codes = self._parts(X)
        if self.additive is not None:
            self.additive.fit(X, y, sample_weight)
            y = y - self.additive.predict(X)
        self.trees.fit(codes, y, sample_weight)
        return self

    def predict(self, X):
        X, codes = self._parts(X)
        rest = self.trees.predict(codes)
        return rest if self.additive is None else rest + self.additive.predict(X)


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
