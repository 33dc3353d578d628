"""Means and standard deviations of columns, read block by block."""

import numpy as np

from sklearn_causalrec.encoding.disk_arrays import BLOCK_ROWS


def weighted_moments(X, weight, precision=None):
    """Mean and standard deviation of the columns, in float64, block by block.

    Missing values are left out.

    Parameters
    ----------
    X : ndarray or DiskArray of shape (n, p)
        The columns.
    weight : ndarray of shape (n,)
        The weights of the rows.
    precision : dtype, default=None
        That of the values before they were put into a smaller type that holds them.
        None: that of X.

    Returns
    -------
    mean, scale : ndarray of shape (p,)
        A column whose spread is below the rounding error has a scale of 1.
    """
    total = weight.sum()
    first = np.zeros(X.shape[1])
    second = np.zeros(X.shape[1])
    absent = np.zeros(X.shape[1])
    shift = np.nan_to_num(X[0].astype(np.float64))
    for start in range(0, len(X), BLOCK_ROWS):
        block = np.subtract(X[start : start + BLOCK_ROWS], shift, dtype=np.float64)
        # products of weights that share one place in memory are added otherwise
        w = np.ascontiguousarray(weight[start : start + BLOCK_ROWS])
        gaps = np.isnan(block)
        if gaps.any():
            absent += w @ gaps
            block[gaps] = 0.0
        first += w @ block
        second += w @ np.square(block, out=block)
        del block, gaps  # before the next
    total = np.maximum(total - absent, np.finfo(float).tiny)
    mean = first / total
    variance = np.maximum(second / total - mean**2, 0.0)
    # A spread below rounding error is no spread: leave such a column unscaled.
    tiny = 10 * np.finfo(precision or X.dtype).eps * np.abs(shift + mean)
    scale = np.sqrt(variance)
    return shift + mean, np.where(scale > tiny, scale, 1.0)
