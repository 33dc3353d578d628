"""Average effects over rows that are unlike those of the log."""

import numpy as np
from scipy.sparse import csr_array

from sklearn_causalrec.effects.clusters import combined

# With the squares of features, there are so many rows for each term; without, half.
ROWS_A_TERM = 20
MOST_TERMS = 300
FAR = 4.0  # standard deviations, where squares end
BLOCK = 2**15  # rows whose terms are made at once


class Elsewhere:
    r"""What the residuals of the scores say of rows with other features.

    Over other rows, the average effect is the mean of the effects predicted of them,
    plus what the scores of the log say that these predictions leave out. The latter is
    a regression of the residuals :math:`r_i`, score less predicted effect, on terms
    :math:`z_i` of the features, at the mean :math:`\bar z` of the other rows:

    .. math:: \bar z' \Big(\sum_i w_i z_i z_i' + \Lambda\Big)^{-1} \sum_i w_i z_i r_i
        = \frac1n \sum_i \alpha_i w_i r_i,

    where :math:`\alpha` is the least-squares estimate of how much more frequent rows of
    these features are there than in the log (its Riesz representer [1]_). Where
    :math:`\bar z` is that of the log all :math:`\alpha_i` are 1; the further away, the
    larger is the standard error of this weighted mean.

    What is added beyond the mean residual of the log is shrunk by its error, as James
    and Stein do [2]_: by all of it where it is no larger than that. The interval keeps
    the error of the regression that is not shrunk.

    The terms are a constant, the effects predicted, the features, and their squares
    where rows are many. Where features are too many for the rows, the first two are all
    there is.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Features of the rows of the log; what is not finite counts as the mean.
    fitted : ndarray of shape (n,)
        The effects predicted of them, by models that have not seen the row.
    rest : ndarray of shape (n,)
        The influence function of the mean residual, with the weights of the rows.
    weight : ndarray of shape (n,)
        Weights of the rows, whose mean is 1.
    clusters : Clusters, default=None
        Which rows go together.

    References
    ----------
    .. [1] Chernozhukov, V., Newey, W. and Singh, R. (2022). "Automatic debiased machine
       learning of causal and structural effects." Econometrica 90(3).
    .. [2] James, W. and Stein, C. (1961). "Estimation with quadratic loss." Proc.
       Fourth Berkeley Symp. Math. Statist. Prob.
    """

    def __init__(self, X, fitted, rest, weight, clusters=None):
        n, p = X.shape
        terms = 2 + p
        self._features = terms <= min(2 * n / ROWS_A_TERM, MOST_TERMS)
        self._squares = terms + p <= min(n / ROWS_A_TERM, MOST_TERMS)
        rest = rest - rest.mean()
        blocks = [slice(i, i + BLOCK) for i in range(0, n, BLOCK)]
        self._standardize(X, fitted, weight, blocks)
        gram, pulled = 0.0, 0.0
        for b in blocks:
            Z = self._terms(X[b], fitted[b])
            gram = gram + Z.T @ (Z * weight[b, None])
            pulled = pulled + Z.T @ rest[b]
        # as much prior weight as each slope were worth one row; none of the constant
        size = len(gram)
        gram[np.diag_indices(size)] += np.r_[0.0, np.full(size - 1, size)]
        self._slopes = np.linalg.solve(gram, pulled)
        # Of two ways of grouping, rows stand for what both have together, which hardly
        # ever is more: the share of the error that it takes is the same elsewhere.
        ways = [] if clusters is None else list(clusters.codes.T)
        sums = [np.zeros((codes.max() + 1, size)) for codes in ways]
        alone = np.zeros((size, size))
        for b in blocks:
            Z = self._terms(X[b], fitted[b])
            Z *= (rest[b] - weight[b] * (Z @ self._slopes))[:, None]
            alone += Z.T @ Z
            for codes, total in zip(ways, sums):
                places = (codes[b], np.arange(len(Z)))
                shape = (len(total), len(Z))
                total += csr_array((np.ones(len(Z)), places), shape) @ Z
        meats = [alone, *(total.T @ total for total in sums)]
        inverse = np.linalg.inv(gram)
        # of rows alone, and by each way of grouping
        self._covariances = [inverse @ meat @ inverse for meat in meats]

    def _columns(self, X, fitted):
        return np.column_stack([fitted, X if self._features else X[:, :0]]).astype(
            float
        )

    def _standardize(self, X, fitted, weight, blocks):
        """Means and standard deviations of the columns, then the means of squares."""
        moments = 0.0
        shift = self._columns(X[:1], fitted[:1])[0]  # so that squares keep their digits
        shift[~np.isfinite(shift)] = 0.0
        for b in blocks:
            columns = self._columns(X[b], fitted[b]) - shift
            known = np.isfinite(columns)
            columns[~known] = 0.0
            powers = np.stack([known, columns, columns**2])
            moments = moments + weight[b] @ powers
        mass = np.maximum(moments[0], 1e-300)
        mean = moments[1] / mass
        variance = moments[2] / mass - mean**2
        self._center = shift + mean
        least = 1e-8 * (1 + np.abs(self._center))
        told = variance > least**2
        self._spread = np.where(told, np.sqrt(np.where(told, variance, 1)), np.inf)
        self._square = np.zeros(len(mean))
        if self._squares:
            n = weight.sum()
            total = sum(weight[b] @ self._terms(X[b], fitted[b]) for b in blocks)
            self._square = total[-len(mean) :] / n

    def _terms(self, X, fitted):
        """A constant, and how many standard deviations from the mean, (n, q)."""
        away = (self._columns(X, fitted) - self._center) / self._spread
        away[~np.isfinite(away)] = 0.0
        parts = [np.ones((len(away), 1)), away]
        if self._squares:
            parts.append(np.clip(away, -FAR, FAR) ** 2 - self._square)
        return np.hstack(parts)

    def at(self, X, effect, clustered=True):
        """What is to be added to the mean effect of other rows, and its error.

        Parameters
        ----------
        X : ndarray of shape (m, p)
            Features of the other rows.
        effect : ndarray of shape (m,)
            The effects predicted of them.
        clustered : bool, default=True
            Whether the error counts that rows of a cluster go together.

        Returns
        -------
        value : float
            The mean residual there less that of the log, shrunk.
        times : float
            The standard error of the mean residual there, over that of the log.
        """
        z = self._terms(X, effect).mean(0)
        alone, *grouped = self._covariances
        parts = grouped if clustered and grouped else [alone]
        if len(parts) > 1:
            parts = [*parts, alone]
        there = combined([z @ part @ z for part in parts])
        here = combined([part[0, 0] for part in parts])
        z[0] = 0.0  # the mean residual of the log is the caller's
        value = float(z @ self._slopes)
        if value:  # what noise alone would make is left out
            noise = combined([z @ part @ z for part in parts])
            value *= max(0.0, 1 - noise / value**2)
        return value, float(np.sqrt(there / here)) if here else 1.0
