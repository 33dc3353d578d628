"""An outcome regression of doses, corrected by a regression of its residuals."""

import numpy as np
from sklearn.preprocessing import PolynomialFeatures

FAR = 4.0  # standard deviations that a column is kept inside


class Terms:
    """Columns, and where the rows are twenty times as many their squares and products.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        The dose and the covariates that it is to be known with.
    """

    def __init__(self, X):
        n, p = X.shape
        self.center, spread = X.mean(0), X.std(0)
        self.spread = np.where(spread > 1e-9, spread, 1.0)
        few = p * (p + 1) // 2 <= min(n / 20, 400)
        self.products = PolynomialFeatures(2 if few else 1).fit(X[:1])

    def __call__(self, X):
        """The terms of rows, (n, q)."""
        Z = np.clip((X - self.center) / self.spread, -FAR, FAR)
        return self.products.transform(Z)

    def over(self, dose, X):
        """Their means over rows at each dose, (m, q): a parabola in the dose."""
        at, moved = [], X.copy()
        for s in (-1.0, 0.0, 1.0):
            moved[:, 0] = self.center[0] + s * self.spread[0]
            at.append(self(moved).mean(0))
        s = np.clip((dose - self.center[0]) / self.spread[0], -FAR, FAR)[:, None]
        low, middle, high = at
        return middle + s * (high - low) / 2 + s**2 * ((high + low) / 2 - middle)


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
        Z, rest = self.terms(X), y - fit(X)
        q = Z.shape[1]
        # as much prior weight as each coefficient were worth one row
        self.gram = Z.T @ Z + q * np.eye(q)
        right = Z.T @ rest
        self.coefs = []
        for k in range(fold.max() + 1):
            mine = Z[fold == k]
            gram = self.gram - mine.T @ mine
            self.coefs.append(np.linalg.solve(gram, right - mine.T @ rest[fold == k]))

    def __call__(self, X):
        """Predictions at rows of ``fit``, each by the models without its fold."""
        found, Z = self.fit(X), self.terms(X)
        for k, coef in enumerate(self.coefs):
            found[self.fold == k] += Z[self.fold == k] @ coef
        return found

    def by(self, k, X):
        """Predictions of any rows by the models without fold ``k``."""
        return self.fit.by(k, X) + self.terms(X) @ self.coefs[k]

    def passed_on(self, X, moved):
        """What the correction adds to influences, a unit of residual a row, (n, b).

        Parameters
        ----------
        X : ndarray of shape (n, p)
            Rows of ``fit``.
        moved : ndarray of shape (b, q)
            By how much a unit of each term moves each estimate.
        """
        return len(X) * self.terms(X) @ np.linalg.solve(self.gram, moved.T)
