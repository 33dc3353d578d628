"""Kernel ridge regression for small logs, tuned without a further fit."""

import numpy as np
from scipy.linalg import eigh, solve
from sklearn.base import BaseEstimator, RegressorMixin

CHUNK = 1_024
# Of more rows, so many say which kernel it is to be.
TUNING_ROWS = 500
PENALTIES = np.logspace(-3, 2, 16)
TINY = 1e-12


class KernelRidge(RegressorMixin, BaseEstimator):
    r"""Ridge regression with a linear and a Gaussian kernel.

    .. math:: k(x, x') = a \, x^\top x' / p
              + \exp\bigl(-\lVert x - x'\rVert^2 / (2 s^2 p)\bigr)

    of standardized features. The share :math:`a`, the width :math:`s` and the penalty
    are those of the least leave-one-out error, which an eigendecomposition of the
    kernel gives without refitting [1]_. Smooth functions of all features, which trees
    take many rows to find, are found in hundreds. Time grows with the cube of the
    number of rows.

    Parameters
    ----------
    widths : sequence of float, default=(0.7, 2.0)
        Candidates of :math:`s`.
    linear : sequence of float, default=(0.1, 3.0)
        Candidates of :math:`a`.

    Attributes
    ----------
    width_, linear_, penalty_ : float
        What was chosen.

    References
    ----------
    .. [1] Golub, G., Heath, M. and Wahba, G. (1979). "Generalized cross-validation as
       a method for choosing a good ridge parameter." Technometrics 21(2).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> model = KernelRidge().fit(X, np.sin(X[:, 0]) * X[:, 1])
    >>> bool(abs(model.predict([[1.0, 1.0]])[0] - np.sin(1)) < 0.05)
    True
    """

    def __init__(self, widths=(0.7, 2.0), linear=(0.1, 3.0)):
        self.widths = widths
        self.linear = linear

    def fit(self, X, y, sample_weight=None):
        """Choose the kernel and the penalty, and fit.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Finite numbers.
        y : array-like of shape (n,)
            The target.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. A row of weight 2 counts as two.
        """
        X, y = np.asarray(X, float), np.asarray(y, float)
        w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        X, y, w = X[w > 0], y[w > 0], w[w > 0]
        self.mean_, self.scale_ = X.mean(0), X.std(0)
        self.scale_[self.scale_ < 1e-9] = 1.0
        self.rows_ = (X - self.mean_) / (self.scale_ * np.sqrt(X.shape[1]))
        self.intercept_ = np.average(y, weights=w)
        # Rows times the root of their weight are a problem of equal weights.
        root = np.sqrt(w)
        target = root * (y - self.intercept_)
        kernels = [(width, a) for width in self.widths for a in self.linear]
        few = np.arange(0, len(y), -(-len(y) // TUNING_ROWS))
        if len(kernels) > 1:
            found = [self._fit_dual(few, root, target, *k) for k in kernels]
            kernels = [kernels[np.argmin([error for error, _, _ in found])]]
        self.width_, self.linear_ = kernels[0]
        everything = np.arange(len(y))
        _, self.penalty_, dual = self._fit_dual(everything, root, target, *kernels[0])
        self.dual_ = root * dual
        self.coef_ = self.linear_ * self.dual_ @ self.rows_
        self._squares = np.square(self.rows_).sum(1)
        return self

    def _fit_dual(self, rows, root, target, width, share):
        """Least leave-one-out error, its penalty and the dual coefficients."""
        Z, root, target = self.rows_[rows], root[rows], target[rows]
        products = Z @ Z.T
        squares = np.diag(products)
        distance = np.maximum(squares[:, None] + squares - 2 * products, 0)
        kernel = np.exp(-distance / (2 * width**2)) + share * products
        kernel *= root[:, None] * root
        values, vectors = eigh(kernel, overwrite_a=True, check_finite=False)
        rotated = (vectors.T @ target)[:, None]
        inverses = 1 / (np.maximum(values, 0)[:, None] + PENALTIES)
        dual = vectors @ (rotated * inverses)
        errors = np.square(dual / (vectors**2 @ inverses)).sum(0)
        best = np.argmin(errors)
        return errors[best], PENALTIES[best], dual[:, best]

    def without_rows(self, keep, weight):
        r"""Remove rows of ``fit``, in place, and solve for the others.

        Of :math:`(K + \lambda W^{-1}) a = z` the targets z follow from what was fitted,
        so that no y is needed. Kernel, penalty, scales and intercept stay as chosen.

        Parameters
        ----------
        keep : ndarray of bool of shape (n,)
            Which rows stay.
        weight : ndarray of shape (n,)
            The weights of ``fit``.
        """
        products = self.rows_ @ self.rows_.T
        squares = np.diag(products)
        distance = np.maximum(squares[:, None] + squares - 2 * products, 0)
        kernel = np.exp(-distance / (2 * self.width_**2)) + self.linear_ * products
        kernel[np.diag_indices_from(kernel)] += self.penalty_ / weight
        target = (kernel @ self.dual_)[keep]
        self.dual_ = solve(kernel[np.ix_(keep, keep)], target, assume_a="pos")
        self.rows_, self._squares = self.rows_[keep], self._squares[keep]
        self.coef_ = self.linear_ * self.dual_ @ self.rows_

    def predict(self, X):
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Finite numbers.

        Returns
        -------
        ndarray of shape (n,)
            The predictions.
        """
        X = np.asarray(X, float)
        out = np.empty(len(X))
        for i in range(0, len(X), CHUNK):
            Z = X[i : i + CHUNK] - self.mean_
            Z /= self.scale_ * np.sqrt(X.shape[1])
            distance = Z @ self.rows_.T
            distance *= -2
            distance += np.einsum("ij,ij->i", Z, Z)[:, None]
            distance += self._squares
            np.maximum(distance, 0, out=distance)
            distance *= -0.5 / self.width_**2
            bent = np.exp(distance, out=distance)
            out[i : i + CHUNK] = bent @ self.dual_ + Z @ self.coef_
        return out + self.intercept_
