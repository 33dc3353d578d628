"""An outcome regression of doses, corrected by a regression of its residuals."""

import numpy as np
from sklearn.preprocessing import PolynomialFeatures

from sklearn_causalrec.effects.average import FAR, with_products

BLOCK = 2**14  # rows whose terms are held at once


class Terms:
    """Columns, and where the rows are twenty times as many their squares and products.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        The dose and the covariates that it is to be known with.
    """

    def __init__(self, X):
        self.center, spread = X.mean(0), X.std(0)
        self.spread = np.where(spread > 1e-9, spread, 1.0)
        degree = 2 if with_products(*X.shape) else 1
        self.products = PolynomialFeatures(degree).fit(X[:1])
        self.size = self.products.n_output_features_

    def __call__(self, X):
        """The terms of rows, (n, q)."""
        Z = np.clip((X - self.center) / self.spread, -FAR, FAR)
        return self.products.transform(Z)

    def blocks(self, X):
        """Slices of the rows, with their terms."""
        for start in range(0, len(X), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, self(X[rows])

    def times(self, X, coef):
        """The terms of rows times coefficients, of shape (q,) or (q, b)."""
        return np.concatenate([Z @ coef for _, Z in self.blocks(X)])

    def sums(self, weight, X):
        """Weighted sums of the terms, (b, q), of weights of shape (n, b)."""
        return sum(weight[rows].T @ Z for rows, Z in self.blocks(X))

    def parabola(self, X, of):
        """c in c[0] + c[1] s + c[2] s^2: something linear in the terms at any dose.

        ``of(X)`` is that of rows, and s the dose as `standard` makes it.
        """
        moved, values = X.copy(), []
        for s in (-1.0, 0.0, 1.0):
            moved[:, 0] = self.center[0] + s * self.spread[0]
            values.append(of(moved))
        low, middle, high = values
        return np.array([middle, (high - low) / 2, (high + low) / 2 - middle])

    def means(self, dose, X):
        """Their means over rows at each dose, as two factors: (m, 3) and (3, q)."""
        one = np.full((len(X), 1), 1 / len(X))
        bent = self.parabola(X, lambda moved: self.sums(one, moved)[0])
        return np.vander(self.standard(dose), 3, True), bent

    def standard(self, dose):
        """Doses as the terms read them."""
        return np.clip((dose - self.center[0]) / self.spread[0], -FAR, FAR)


class Corrected:
    """A cross-fitted regression with what a ridge regression of its residuals adds.

    Where a named model is too simple, residuals that are regressed on the columns and
    their products are small, and few rows of large weight no longer decide; and the
    error of that regression is known, whatever the model is [1]_.

    Parameters
    ----------
    fit : CrossFit
        Of the outcome.
    X : ndarray of shape (n, p)
        The rows, the dose first.
    y : ndarray of shape (n,)
        Outcomes.
    fold : ndarray of int of shape (n,)
        The folds of ``fit``. Residuals of a fold are corrected by the others.

    References
    ----------
    .. [1] Chernozhukov, V., Newey, W. and Singh, R. (2022). "Automatic debiased
       machine learning of causal and structural effects." Econometrica 90(3).
    """

    def __init__(self, fit, X, y, fold):
        self.fit, self.fold, self.terms = fit, fold, Terms(X)
        q, rest = self.terms.size, y - fit(X)
        grams = np.zeros((fold.max() + 1, q, q + 1))
        for rows, Z in self.terms.blocks(X):
            both = np.column_stack([Z, rest[rows]])
            for k, gram in enumerate(grams):
                mine = fold[rows] == k
                gram += Z[mine].T @ both[mine]
        # as much prior weight as each coefficient were worth one row
        total = grams.sum(0) + q * np.eye(q, q + 1)
        others = [total - gram for gram in grams]
        self.gram = total[:, :q]
        self.coefs = [np.linalg.solve(g[:, :q], g[:, q]) for g in others]

    def __call__(self, X):
        """Predictions at rows of ``fit``, each by the models without its fold."""
        every = self.terms.times(X, np.transpose(self.coefs))
        return self.fit(X) + every[np.arange(len(X)), self.fold]

    def by(self, k, X):
        """Predictions of any rows by the models without fold ``k``."""
        return self.fit.by(k, X) + self.terms.times(X, self.coefs[k])

    def at_doses(self, k, dose, X):
        """The same of each row at every dose, (n_doses, n)."""
        found, step = np.empty((len(dose), len(X))), max(1, 200_000 // max(len(X), 1))
        for i in range(0, len(dose), step):
            some, here = dose[i : i + step], np.tile(X, (len(dose[i : i + step]), 1))
            here[:, 0] = np.repeat(some, len(X))
            found[i : i + step] = self.fit.by(k, here).reshape(len(some), len(X))
        terms, coef = self.terms, self.coefs[k]
        bent = terms.parabola(X, lambda moved: terms.times(moved, coef))
        return found + np.vander(terms.standard(dose), 3, True) @ bent

    def passed_on(self, X, moved):
        """What the correction adds to influences, a unit of residual a row, (n, b).

        Parameters
        ----------
        X : ndarray of shape (n, p)
            Rows of ``fit``.
        moved : ndarray of shape (b, q)
            By how much a unit of each term moves each estimate.
        """
        return len(X) * self.terms.times(X, np.linalg.solve(self.gram, moved.T))
