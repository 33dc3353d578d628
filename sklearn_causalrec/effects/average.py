"""The average effect and its influence function, from cross-fitted nuisances."""

import numpy as np
from sklearn.isotonic import IsotonicRegression

from sklearn_causalrec.effects.cross_fitting import out_of_fold
from sklearn_causalrec.effects.learners import CHUNK

FAR = 4.0  # standard deviations that a term of a residual regression is kept inside


def isotonic(x, y, w, at):
    """Weighted isotonic regression of ``y`` on ``x``, evaluated ``at`` points."""
    model = IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=w)
    return model.predict(at)


def binned(x, y, w, at, n_bins=20):
    """Weighted mean of ``y`` in quantile bins of ``x``, evaluated ``at`` points."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)[1:-1]))
    inside = np.searchsorted(edges, x)
    mass = np.bincount(inside, w, len(edges) + 1)
    total = np.bincount(inside, w * y, len(edges) + 1)
    return (total / np.where(mass > 0, mass, 1))[np.searchsorted(edges, at)]


def least_and_most(share, clip):
    """Bounds of the propensity of an arm that a share of the rows have.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    clip : float
        The bounds are ``clip`` and ``1 - clip``. For an arm of a share p below a half
        the lower one is ``2 * p * clip``, and where its complement is below a half the
        upper one likewise. With 0.05, no row weighs more than ten average rows of its
        arm, however rare that is.

    Returns
    -------
    least, most : float
    """
    least, others = (clip * min(1, 2 * part) for part in (share, 1 - share))
    return least, 1 - others


def with_products(n, p):
    """Whether a regression of n residuals has the products of its p columns, too."""
    return p * (p + 1) // 2 <= min(n / 20, 400)


def residual_regression(X, rest, pooled, weight, pull, fold):
    """Ridge regression of residuals, cross-fitted and of all rows, and what moves it.

    On ``X`` and, where the rows are twenty times as many, its products and squares.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    rest, pooled : ndarray of shape (n,)
        Residuals that are regressed in the other folds, and in all rows.
    weight : ndarray of shape (n,)
        Weights of the residuals in the regressions.
    pull : ndarray of shape (n,)
        Weight of each fitted value in the linear functional of interest.
    fold : ndarray of int of shape (n,)

    Returns
    -------
    fitted : ndarray of shape (n,)
        ``rest`` by the coefficients of the other folds.
    whole : ndarray of shape (n,)
        ``pooled`` by the coefficients of all rows.
    representer : ndarray of shape (n,)
        The function alpha of the terms z with sum weight alpha f = sum pull f for
        every f in their span: z' (sum weight z z')^-1 (sum pull z). A unit of
        residual moves the functional by ``weight * alpha``.
    """
    n, p = X.shape
    if not weight.any():  # every row was certain to have the arm
        return np.zeros((3, n))
    blocks = [slice(i, i + CHUNK // 8) for i in range(0, n, CHUNK // 8)]
    center = X.mean(0, dtype=float)  # np.std would copy X
    spread = np.sqrt(sum(((X[b] - center) ** 2).sum(0) for b in blocks) / n)
    spread[spread < 1e-9] = 1.0
    products = with_products(n, p)
    size = 1 + p + p * (p + 1) // 2 * products

    def terms(b):
        """Of the rows ``b``, one a column: contiguous products, in single precision."""
        Z = np.empty((size, len(X[b])), np.float32)
        Z[0] = 1
        Z[1 : p + 1] = np.clip((X[b].T - center[:, None]) / spread[:, None], -FAR, FAR)
        if products:
            first = p + 1
            for j in range(1, p + 1):
                last = first + p + 1 - j
                np.multiply(Z[j], Z[j : p + 1], out=Z[first:last])
                first = last
        return Z

    gram, pulled = np.zeros((fold.max() + 1, size, size + 2)), np.zeros(size)
    for b in blocks:
        Z = terms(b)
        pulled += Z @ pull[b].astype(np.float32)
        for k, g in enumerate(gram):
            rows = np.flatnonzero((fold[b] == k) & (weight[b] > 0))
            root = np.sqrt(weight[b][rows])
            mine = Z[:, rows]
            mine *= root.astype(np.float32)
            both = np.stack([rest[b][rows], pooled[b][rows]], axis=1)
            g[:, :size] += mine @ mine.T
            g[:, size:] += mine @ (root[:, None] * both).astype(np.float32)
    # as much prior weight as each coefficient were worth one average row
    penalty = np.eye(size) * size * weight.sum() / (weight > 0).sum()
    total = gram.sum(0) + np.column_stack([penalty, np.zeros((size, 2))])
    others = [total - g for g in gram]
    coefs = np.array([np.linalg.solve(g[:, :size], g[:, size]) for g in others])
    right = np.column_stack([total[:, -1], pulled])
    both = np.linalg.solve(total[:, :size], right).T
    coefs = np.vstack([coefs, both]).astype(np.float32)
    found = np.empty((3, n))
    for b in blocks:
        values = coefs @ terms(b)
        found[0, b] = np.take_along_axis(values, fold[b][None], 0)[0]
        found[1:, b] = values[-2:]
    return found


def arm_mean(X, y, mine, outcome, propensity, weight, fold, *, known, clip):
    r"""Mean outcome under one arm by AIPW, from calibrated nuisances [1]_.

    The outcome is calibrated and then corrected by a regression of the residuals. The
    mean rests on one calibration and one regression of all rows: where few rows have
    the arm, those of a part of them would add a quarter to its spread. Its error rests
    on both out of fold, so that no residual is one of a fit to its own row, and so do
    the scores, moved to the mean. The regression makes the residuals uncorrelated with
    ``X`` under the weights :math:`(1 - g) / g`, the direction in which estimating a
    propensity linear in its logit moves the mean.

    If one nuisance is inconsistent the other's estimation error no longer drops out
    of the mean. With a wrong propensity :math:`g`, an error :math:`\delta` of the
    outcome moves it by the mean of :math:`-\delta (1\{T = t\} - g) / g`. What the
    regression passes on of that is linear in its residuals, with the Riesz
    representer of this functional on the span of its terms [2]_; what is left
    comes from the calibration, a function of the outcome predicted, and is found by
    averages in bins, as is the error passed on by the propensity [3]_. Bins of the
    predicted outcome alone miss most of it: with a constant propensity they leave
    the standard error an eighth too small.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    y, weight : ndarray of shape (n,)
    mine : ndarray of bool of shape (n,)
        Whether the row had the arm.
    outcome : ndarray of shape (n,)
        Cross-fitted outcomes under the arm.
    propensity : ndarray of shape (n,)
        Cross-fitted, or known, probabilities of the arm.
    fold : ndarray of int of shape (n,)
        Parts 0 to k - 1 that calibrations are left out by: the folds, or parts of them
        (:func:`~sklearn_causalrec.effects.clusters.parts_of_folds`).
    known : bool
        Whether ``propensity`` is known, and has no error to pass on.
    clip : float
        Propensities are kept inside the bounds of `least_and_most`.

    Returns
    -------
    score : ndarray of shape (n,)
        Its weighted mean is the mean outcome under the arm.
    correction : ndarray of shape (n,)
        What the influence function of the mean is less than the score.

    References
    ----------
    .. [1] van der Laan, L., Luedtke, A. and Carone, M. (2024). "Doubly robust
       inference via calibration." arXiv:2411.02771.
    .. [2] Chernozhukov, V., Newey, W. and Singh, R. (2022). "Automatic debiased
       machine learning of causal and structural effects." Econometrica 90(3).
    .. [3] Benkeser, D. et al. (2017). "Doubly robust nonparametric inference on
       the average treatment effect." Biometrika 104(4).
    """
    least, most = least_and_most(np.average(mine, weights=weight), clip)
    g = np.clip(propensity, least, most)

    def calibrated(rows, at):
        rows = rows[mine[rows]]
        return isotonic(outcome[rows], y[rows], weight[rows], outcome[at])

    q = out_of_fold(fold, lambda k, train, held: calibrated(train, held))
    pooled = calibrated(np.arange(len(y)), slice(None))
    odds, wrong = np.where(mine, (1 - g) / g, 0), (mine - g) / g
    fitted, extra, alpha = residual_regression(
        X, y - q, y - pooled, weight * odds, weight * wrong, fold
    )
    rest = np.where(mine, y - q - fitted, 0.0)
    score = q + fitted + rest / g
    pooled += extra
    pooled += np.where(mine, y - pooled, 0.0) / g
    score += np.average(pooled - score, weights=weight)
    passed_on = alpha * odds
    share = binned(q, mine.astype(float), weight, q)
    passed_on += binned(q, wrong - passed_on, weight, q) / np.maximum(share, least)
    correction = passed_on * rest
    if not known:
        correction += wrong * binned(g[mine], rest[mine], weight[mine], g)
    return score, correction


def average_effect(X, y, treatment, outcome, propensity, weight, fold, *, known, clip):
    """Difference of the means of two arms, see `arm_mean`.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    y, weight : ndarray of shape (n,)
    treatment, fold : ndarray of int of shape (n,)
        Treatment, 0 or 1; folds 0 to k - 1.
    outcome : ndarray of shape (n, 2)
        Cross-fitted outcomes under each arm.
    propensity : ndarray of shape (n,)
        Cross-fitted, or known.
    known : bool
        Whether ``propensity`` is known: it is then used as it is.
    clip : float
        The least propensity, see `arm_mean`.

    Returns
    -------
    score, influence : ndarray of shape (n,)
        The weighted mean of the scores is the average effect.
    """
    e = propensity
    if not known:
        e = isotonic(e, treatment, weight, e)
    score, correction = 0.0, 0.0
    for arm, sign, g in ((0, -1, 1 - e), (1, 1, e)):
        found = arm_mean(
            X, y, treatment == arm, outcome[:, arm], g, weight, fold,
            known=known, clip=clip,
        )  # fmt: skip
        score, correction = score + sign * found[0], correction + sign * found[1]
    relative = weight / weight.mean()
    influence = relative * (score - correction)
    return score, influence - relative * np.mean(influence)
