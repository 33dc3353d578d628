"""The targeted step: the average over all pairs, from pairs that were logged."""

import numpy as np
from scipy.special import expit, logit

NEWTON_STEPS = 50


def targeted_step(y, mean, ratio, weight, *, binary, clip):
    r"""How far the intercept has to move for the average over all pairs to be right.

    One targeted step [1]_: eps solves :math:`\sum_i w_i (y_i - m_i(\epsilon)) = 0`,
    where :math:`m_i(\epsilon)` is the prediction with its link moved by eps, and
    :math:`w` is the inverse of the clipped density ratio. It is then moved towards 0
    by two of its standard errors, so that noise alone moves nothing. The ranking
    stays as it was.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Outcomes of the logged pairs; 0 and 1 where they are binary.
    mean : ndarray of shape (n,)
        Mean outcomes predicted without the fold of the row.
    ratio : ndarray of shape (n,)
        Density of each logged pair over that of all pairs, up to a factor.
    weight : ndarray of shape (n,)
        Weights of the rows.
    binary : bool
        Whether the link is logistic; otherwise it is the identity.
    clip : float
        A density ratio counts as at least this.

    Returns
    -------
    float
        The step, on the link scale.

    References
    ----------
    .. [1] van der Laan, M. and Rose, S. (2011). "Targeted learning." Springer.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y, ones = 1 + rng.normal(size=10000), np.ones(10000)
    >>> step = targeted_step(y, 0 * ones, ones, ones, binary=False, clip=0.5)
    >>> round(step, 2)
    0.99
    """
    relative = ratio * np.average(1 / ratio, weights=weight)
    w = weight / np.maximum(relative, clip)
    step = 0.0
    if binary:
        link = logit(np.clip(mean, 1e-6, 1 - 1e-6))
        for _ in range(NEWTON_STEPS):
            fitted = expit(link + step)
            slope = fitted * (1 - fitted)
            step += np.clip(w @ (y - fitted) / (w @ slope), -1, 1)
        fitted = expit(link + step)
        slope = w @ (fitted * (1 - fitted))
    else:
        step = w @ (y - mean) / w.sum()
        fitted, slope = mean + step, w.sum()
    error = np.sqrt(np.sum((w * (y - fitted)) ** 2)) / slope
    return float(np.sign(step) * max(abs(step) - 2 * error, 0.0))
