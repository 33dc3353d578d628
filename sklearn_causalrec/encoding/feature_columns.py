"""Features as the float32 matrix that networks read, without loss on the way."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_array

from sklearn_causalrec.encoding.kinds import as_numbers

# float32 has 24 binary digits. A column whose values lie this many times their spread
# away from 0, such as seconds since 1970 in one hour, has to be centered before.
FAR = 1e3


def is_far(low, high):
    """Whether float32 would lose what differs between values in an interval.

    Parameters
    ----------
    low, high : float or ndarray of shape (p,)
        The ends of the interval.

    Returns
    -------
    bool or ndarray of shape (p,)
        True where the interval is narrow beside its distance from 0.
    """
    return np.maximum(np.abs(low), np.abs(high)) > FAR * (high - low)


def as_matrix(X, names):
    """Columns of numbers and times as one matrix; everything else is refused by name.

    Parameters
    ----------
    X : ndarray or frame of shape (n, p)
        The columns.
    names : sequence of length p
        Their names, or positions of an array, for messages.

    Returns
    -------
    ndarray of shape (n, p), or X itself where it is a matrix of numbers already
    """
    if isinstance(X, np.ndarray):
        if X.dtype.kind in "fiub":
            return X
        return np.column_stack([as_numbers(x, name) for x, name in zip(X.T, names)])
    if isinstance(X, pd.DataFrame) and all(_is_plain(kind) for kind in X.dtypes):
        return X
    return np.column_stack([as_numbers(X[name], name) for name in names])


def _is_plain(dtype):
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


class FeatureColumns:
    """Read features as float32: times as days, far columns centered in float64.

    Attributes
    ----------
    offset_ : ndarray of shape (p,)
        What is taken off each column before the cast: the middle of its range in
        ``fit`` where the range is narrow beside its distance from 0, else 0.
    limits : tuple of two ndarray of shape (p,), or None
        The least and the largest value of each column, where they are known without
        the data: nothing is learned of the columns then, and values beyond are set to
        these.
    """

    limits = None

    def __init__(self):
        self.offset_ = np.zeros(0)  # of a log that has ids alone

    def read(self, X, names, estimator, *, reset, gaps=False):
        """Read the features of X.

        Parameters
        ----------
        X : ndarray or frame of shape (n, p)
            The feature columns.
        names : sequence of length p
            Their names, or positions of an array.
        estimator : estimator
            Named in messages of scikit-learn's checks.
        reset : bool
            Whether the offsets are learned from X.
        gaps : bool, default=False
            Whether NaN is allowed.

        Returns
        -------
        ndarray of shape (n, p), float32

        Raises
        ------
        ValueError
            If a column holds no numbers, or a value is missing, infinite, or too large.
        """
        X = check_array(
            as_matrix(X, names),
            dtype=[np.float32, np.float64],
            force_writeable=True,
            estimator=estimator,
            input_name="X",
            ensure_all_finite="allow-nan" if gaps else True,
        )
        if reset:
            known = self.limits is not None
            self.offset_ = np.zeros(X.shape[1]) if known else _offsets(X)
        return self._cast(X)

    def read_column(self, j, values, name):
        """Read one more column of the features, as float32.

        Parameters
        ----------
        j : int
            The position of the column among the features.
        values : array-like of shape (n,)
            The values.
        name : hashable
            The column's name, for messages.

        Returns
        -------
        ndarray of shape (n,), float32
        """
        values = as_numbers(values, name) - self.offset_[j]
        if self.limits is not None:
            values = np.clip(values, self.limits[0][j], self.limits[1][j])
        return values.astype(np.float32)

    def _cast(self, X):
        if self.offset_.any():
            X = X - self.offset_
        if self.limits is not None:
            X = np.clip(X, *self.limits).astype(X.dtype)
        if X.dtype == np.float32:
            return X
        with np.errstate(over="ignore"):
            X32 = X.astype(np.float32)
        if np.isinf(X32).any():
            row, column = np.argwhere(np.isinf(X32))[0]
            raise ValueError(
                "X contains a value too large for float32: "
                f"{float(X[row, column])!r} in row {row}, feature {column}. Scale it "
                "first."
            )
        return X32


def _offsets(X):
    if X.dtype == np.float32 or not len(X):  # what the cast would lose is lost already
        return np.zeros(X.shape[1])
    with np.errstate(all="ignore"):
        return offsets_between(X.min(axis=0), X.max(axis=0))


def offsets_between(low, high):
    """What is taken off columns before the cast, from their least and largest values.

    Parameters
    ----------
    low, high : ndarray of shape (p,), float64
        The ends of the range of each column.

    Returns
    -------
    ndarray of shape (p,)
        The middle of the range, where it is narrow beside its distance from 0, else 0.
    """
    with np.errstate(all="ignore"):
        far = is_far(low, high) & (low < high) & np.isfinite(high - low)
        return np.where(far, low / 2 + high / 2, 0.0)
