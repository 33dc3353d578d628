"""Additive learners: lasso and logistic regression over lines, hinges and steps."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, lasso_path

LOGIT_ROWS = 30_000
# A basis has ten times the columns of the features.
BASIS_CHUNK = 2_048
RIDGE = 1e-6
# Of what the terms explain: the gap at which penalties are compared, and that of the
# solution which is kept.
TOLERANCE, FINAL_TOLERANCE = 1e-3, 1e-6
# Between two of them the best is interpolated: the error is smooth in the penalty, and
# the best of so few alone made effects worse than a grid twice as fine.
N_ALPHAS = 12
# Penalties that are tried at once; where the best is in none of the last so many, those
# that are left only fit noise, and take most of the time.
BLOCK = 2
# Of so many terms a step of Newton's is cheaper than the many of a gradient that it
# saves, and ends nearer the solution.
NEWTON_TERMS = 200


def lowest(x, values):
    """Where a function is least: at the vertex of a parabola through three points.

    Parameters
    ----------
    x : ndarray of shape (k,)
        Evenly spaced points.
    values : ndarray of shape (k,)
        Values of the function at these points.

    Returns
    -------
    float
        The vertex of the parabola through the least value and its neighbours, no
        further from it than half a step; at an end, the end.
    """
    best = int(np.argmin(values))
    if not 0 < best < len(values) - 1:
        return x[best]
    before, least, after = values[best - 1 : best + 2]
    bend = before - 2 * least + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return x[best] + shift * (x[best + 1] - x[best])


class AdditiveBasis:
    """A line of each feature, and a hinge and a step at some of its quantiles.

    Found once, it serves all learners of a fit.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows that say where features change.
    n_knots : int, default=5
        Quantiles of a feature at which a hinge and a step are placed.
    max_features : int, default=100
        Features beyond this number enter as lines only.

    Attributes
    ----------
    mean, scale : ndarray of shape (p,)
        Features are standardised by them.
    knots : ndarray of shape (n_hinges,)
        In these units.
    knot_of : ndarray of int of shape (n_hinges,)
        Feature of each knot, rising.
    """

    def __init__(self, X, n_knots=5, max_features=100):
        p = X.shape[1]
        self.mean, self.scale = X.mean(0, dtype=float), X.std(0, dtype=float)
        self.scale[self.scale < 1e-9] = 1.0
        inner = [np.empty(0)] * p
        if n_knots and p <= max_features:
            knots = np.quantile(X, np.linspace(0, 1, n_knots + 2), axis=0)
            knots = (knots - self.mean) / self.scale
            inner = [np.unique(k[(k > k[0]) & (k < k[-1])]) for k in knots.T]
        self.knot_of = np.repeat(np.arange(p), [len(k) for k in inner])
        self.knots = np.concatenate(inner)

    def __len__(self):
        return len(self.mean) + 2 * len(self.knots)

    def fill(self, X, out):
        """Write the terms of some rows, one a row of ``out``.

        Parameters
        ----------
        X : ndarray of shape (n, p)
        out : ndarray of shape (n_terms, n)
            Lines, hinges, steps; in its precision they are computed.
        """
        p, n_knots = len(self.mean), len(self.knots)
        lines, hinges, steps = np.split(out, [p, p + n_knots])
        lines[:] = ((X - self.mean) / self.scale).T
        np.subtract(
            lines[self.knot_of], self.knots.astype(out.dtype)[:, None], out=hinges
        )
        np.greater(hinges, 0, out=steps)
        np.maximum(hinges, 0, out=hinges)

    def some(self, X, chosen):
        """Chosen terms of some rows, each computed alone.

        Parameters
        ----------
        X : ndarray of shape (n, p)
        chosen : ndarray of int of shape (m,)
            Numbers of the terms, rising.

        Returns
        -------
        ndarray of float64 of shape (m, n)
        """
        p, n_knots = len(self.mean), len(self.knots)
        kind = np.searchsorted([p, p + n_knots], chosen, side="right")
        knot = (chosen - p)[kind > 0] % max(n_knots, 1)
        feature = np.where(kind > 0, 0, chosen)
        feature[kind > 0] = self.knot_of[knot]
        used, place = np.unique(feature, return_inverse=True)
        Z = ((X[:, used] - self.mean[used]) / self.scale[used]).T
        out = np.ascontiguousarray(Z)[place]
        out[kind > 0] -= self.knots[knot][:, None]
        np.maximum(out, 0, out=out, where=(kind == 1)[:, None])
        np.greater(out, 0, out=out, where=(kind == 2)[:, None])
        return out


class _Penalised:
    """A lasso problem given by Gram matrices, in units of the terms' spreads."""

    def __init__(self, gram, whole):
        def centered(M):
            return M[:-1, :-1] - np.outer(M[:-1, -1], M[-1, :-1]) / M[-1, -1]

        C = centered(gram) / gram[-1, -1]
        self.variance = max(C[-1, -1], 1e-12)
        variance = np.diag(centered(whole))[:-1] / whole[-1, -1]
        self.sd = np.sqrt(np.maximum(variance, 1e-12))
        self.Xy = C[:-1, -1] / self.sd
        C = C[:-1, :-1] / np.outer(self.sd, self.sd)
        C[np.diag_indices(len(C))] += RIDGE  # for terms that repeat another
        self.C = (C + C.T) / 2
        means = gram[:-1, -1] / gram[-1, -1]
        self.means, self.mean = means[:-1], means[-1]

    def explained(self):
        """How much of the target's variance a regression on all terms explains."""
        return self.Xy @ np.linalg.solve(self.C, self.Xy)

    def path(self, alphas, start, explained, tol=TOLERANCE):
        """Coefficients under falling penalties, from those of one before; (p, k)."""
        # Of rows and target the solver reads no more, given the products, than how
        # many and how large they are. An effect explains little of its target: a gap
        # is small in units of that.
        rows = np.zeros((1, len(self.C)), order="F")
        tol = tol * min(max(explained, 1e-12) / self.variance, 1.0)
        return lasso_path(
            rows, np.sqrt([self.variance]), alphas=alphas, precompute=self.C,
            Xy=self.Xy, coef_init=start, check_input=False, max_iter=200, tol=tol,
            random_state=0,
        )[1]  # fmt: skip

    def in_units(self, coefs):
        """Of the terms, and below them the intercepts; (p + 1, k)."""
        coefs = coefs / self.sd[:, None]
        return np.vstack([coefs, self.mean - self.means @ coefs])


class AdditiveLasso(RegressorMixin, BaseEstimator):
    """Lasso over a line, hinges and steps of each feature.

    The penalty is chosen by cross-validation on Gram matrices: the data are
    read once, in chunks and in single precision, and the paths are found from the
    products alone. Penalties are tried from the largest on, until smaller ones no
    longer help; between those tried, the best is interpolated. Predictions compute the
    terms that it chose.

    Parameters
    ----------
    n_knots : int, default=5
        Quantiles of a feature at which a hinge and a step are placed.
    n_folds : int, default=3
        Folds of the choice of the penalty.
    max_features : int, default=100
        Features beyond this number enter as lines only.
    basis : AdditiveBasis, default=None
        The terms, where they were found before. None: found by ``fit``.

    Attributes
    ----------
    basis_ : AdditiveBasis
        The terms.
    coef_ : ndarray of shape (n_terms,)
        Of the terms.
    intercept_ : float
    alpha_ : float
        The penalty chosen, of terms whose spread is 1; as in scikit-learn's lasso.
    """

    def __init__(self, n_knots=5, n_folds=3, max_features=100, basis=None):
        self.n_knots = n_knots
        self.n_folds = n_folds
        self.max_features = max_features
        self.basis = basis

    def __setstate__(self, state):
        super().__setstate__(state)
        if "knots_" in state:  # of a file of before terms were shared
            vars(self).setdefault("basis", None)
            names = ("mean", "scale", "knots", "knot_of")
            self.basis_ = AdditiveBasis.__new__(AdditiveBasis)
            vars(self.basis_).update({n: vars(self).pop(n + "_") for n in names})

    def fit(self, X, y, sample_weight=None):
        n = len(X)
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        basis = self.basis or AdditiveBasis(X, self.n_knots, self.max_features)
        self.basis_ = basis
        center = np.average(y, weights=w)
        gram = self._grams(X, y - center, w / w.mean())
        total = gram.sum(0)
        whole = _Penalised(total, total)
        explained = whole.explained()
        problems = [_Penalised(total - held, total) for held in gram]
        most = max(np.abs(problems[0].Xy).max(), 1e-12)
        alphas = most * np.logspace(0, -2.7, N_ALPHAS)
        starts, errors = [None] * len(gram), np.empty(0)
        kept = []
        for first in range(0, N_ALPHAS, BLOCK):
            block = alphas[first : first + BLOCK]
            error = np.zeros(len(block))
            for f, (held, problem) in enumerate(zip(gram, problems)):
                path = problem.path(block, starts[f], explained)
                starts[f] = np.ascontiguousarray(path[:, -1])
                coefs = problem.in_units(path)
                D = np.vstack([-coefs[:-1], np.ones(coefs.shape[1]), -coefs[-1]])
                error += (D * (held @ D)).sum(0)
                kept.append(path)
            errors = np.append(errors, error)
            best = int(np.argmin(errors))
            if best < first:
                break
        folds = len(gram)
        near = kept[best // BLOCK * folds : (best // BLOCK + 1) * folds]
        start = np.mean([path[:, best % BLOCK] for path in near], axis=0)
        self.alpha_ = np.exp(lowest(np.log(alphas[: len(errors)]), errors))
        path = whole.path([self.alpha_], start, explained, FINAL_TOLERANCE)
        found = whole.in_units(path)[:, 0]
        self.coef_, self.intercept_ = found[:-1], found[-1] + center
        return self

    def _grams(self, X, y, w):
        """Of each fold: of the terms, the target and a constant."""
        size = len(self.basis_) + 2
        gram, root = np.zeros((self.n_folds, size, size)), np.sqrt(w)
        A = np.empty(size * BASIS_CHUNK, np.float32)
        for f in range(self.n_folds):
            for i in range(f, len(X), BASIS_CHUNK * self.n_folds):
                r = slice(i, i + BASIS_CHUNK * self.n_folds, self.n_folds)
                part = X[r]
                B = A[: size * len(part)].reshape(size, -1)
                self.basis_.fill(part, B[:-2])
                B[-2], B[-1] = y[r], 1
                B *= root[r].astype(np.float32)
                gram[f] += B @ B.T
        return gram

    def predict(self, X):
        chosen = np.flatnonzero(self.coef_)
        out = np.full(len(X), self.intercept_)
        if len(chosen):
            for i in range(0, len(X), BASIS_CHUNK):
                b = slice(i, i + BASIS_CHUNK)
                out[b] += self.coef_[chosen] @ self.basis_.some(X[b], chosen)
        return out


class AdditiveLogit:
    """Logistic regression on the terms that an :class:`AdditiveLasso` selects.

    Of more than 30,000 rows it takes an evenly spaced part: it holds the terms of all
    its rows at once.

    Parameters
    ----------
    basis : AdditiveBasis, default=None
        The terms, where they were found before. None: found by ``fit``.
    """

    def __init__(self, basis=None):
        self.basis = basis

    def fit(self, X, t, sample_weight=None):
        t = np.asarray(t, float)
        self.terms = AdditiveLasso(basis=self.basis).fit(X, t, sample_weight)
        self.chosen = np.flatnonzero(self.terms.coef_)
        if len(self.chosen) == 0:
            self.chosen = np.arange(X.shape[1])
        few = slice(None, None, -(-len(X) // LOGIT_ROWS))
        X, t = X[few], t[few]
        sample_weight = None if sample_weight is None else sample_weight[few]
        Z = np.concatenate([self._chosen(X, i) for i in range(0, len(X), BASIS_CHUNK)])
        few = Z.shape[1] <= NEWTON_TERMS
        solver = "newton-cholesky" if few else "lbfgs"
        logit = LogisticRegression(C=0.1, max_iter=200, solver=solver, random_state=0)
        self.logit = logit.fit(Z, t, sample_weight)
        return self

    def _chosen(self, X, i):
        found = self.terms.basis_.some(X[i : i + BASIS_CHUNK], self.chosen)
        return found.T.astype(np.float32)

    def predict(self, X):
        out = np.empty(len(X))
        for i in range(0, len(X), BASIS_CHUNK):
            part = self.logit.predict_proba(self._chosen(X, i))
            out[i : i + BASIS_CHUNK] = part[:, 1]
        return out
