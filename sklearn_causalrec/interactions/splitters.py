"""Splits of a log that ask what a recommender will be asked: later, or of the unknown.

A random split lets the future predict the past, and every user and item be known. These
are scikit-learn splitters: ``cross_validate(model, X, y, cv=TimeSplit("time"))``.
"""

import itertools
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator, GroupKFold

from sklearn_causalrec.encoding.roles import column
from sklearn_causalrec.encoding.times import in_order


def _column(X, key, role):
    names = list(getattr(X, "columns", []))
    if names and isinstance(key, Integral) and key not in names:
        key = names[key]
    if isinstance(key, str) and key not in names:
        raise ValueError(
            f"{role}={key!r} is not a column of X"
            + (
                f". Its columns are {names}."
                if names
                else ", an array: give a position."
            )
        )
    values = column(X, key)
    if pd.isna(values).any():
        row = int(pd.isna(values).argmax())
        raise ValueError(f"The {role} column {key!r} is missing in row {row}.")
    return values


def _moments(X, key):
    """Times as ranks: 0 for the earliest, the same number for the same time."""
    values = _column(X, key, "time")
    dtype = getattr(X, "dtypes", {}).get(key) if isinstance(X, pd.DataFrame) else None
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        values = X[key]
    times = in_order(values, f"The time column {key!r}")
    return np.unique(times, return_inverse=True)[1].reshape(-1)


class TimeSplit(BaseCrossValidator):
    """Train before a moment, test from it on, for all users alike.

    Parameters
    ----------
    time : str or int
        Column of X: numbers; datetimes, dates or periods; text in ISO 8601, or with the
        day or the month first where the column tells which; or a Categorical whose
        categories are ordered.
    test_size : int or float, default=0.2
        Rows of one test set, or their share of all rows. Rows of equal time stay
        together, so that sets may be larger or smaller.
    n_splits : int, default=1
        Test sets, one after the other up to the end, each after all of its training
        rows.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : For rows in order, without a time column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import TimeSplit
    >>> X = pd.DataFrame({"time": [3, 1, 2, 4]})
    >>> for train, test in TimeSplit("time", test_size=1, n_splits=2).split(X):
    ...     print(train, test)
    [1 2] [0]
    [0 1 2] [3]
    """

    def __init__(self, time, *, test_size=0.2, n_splits=1):
        self.time = time
        self.test_size = test_size
        self.n_splits = n_splits

    def split(self, X, y=None, groups=None):
        """Positions of training and test rows.

        Parameters
        ----------
        X : array-like or frame of shape (n, p)
        y, groups : ignored

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If nothing is left to train on, or to test on, or a time is none or can be
            read in two ways.
        """
        time = _moments(X, self.time)
        n, size = len(time), self.test_size
        if not isinstance(size, Integral):
            size = round(size * n)
        start = n - size * self.n_splits
        if size < 1 or self.n_splits < 1 or start < 1:
            raise ValueError(
                f"{self.n_splits} test sets of {self.test_size} can't be cut from {n} "
                "rows and leave some to train on: change n_splits or test_size."
            )
        in_order = np.sort(time)
        cuts = [*in_order[start::size][: self.n_splits], time.max() + 1]
        for low, high in itertools.pairwise(cuts):
            train = np.flatnonzero(time < low)
            test = np.flatnonzero((low <= time) & (time < high))
            if len(train) == 0 or len(test) == 0:
                raise ValueError(
                    "So many rows have equal times that a set is empty: use larger "
                    f"test sets than {self.test_size}, or fewer than {self.n_splits}."
                )
            yield train, test

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.n_splits


class LastOutSplit(BaseCrossValidator):
    """Test on the last rows of every user, train on those before.

    Training rows of one user may be later than test rows of another: where trends
    matter, :class:`TimeSplit` is the honest one.

    Parameters
    ----------
    user, time : str or int
        Columns of X; times as in :class:`TimeSplit`. Rows of equal time follow their
        order in X.
    n_last : int, default=1
        Test rows a user; users with no more rows than that are trained on.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import LastOutSplit
    >>> X = pd.DataFrame({"user": ["a", "a", "b"], "time": [2, 1, 1]})
    >>> for train, test in LastOutSplit("user", "time").split(X):
    ...     print(train, test)
    [1 2] [0]
    """

    def __init__(self, user, time, *, n_last=1):
        self.user = user
        self.time = time
        self.n_last = n_last

    def _iter_test_indices(self, X=None, y=None, groups=None):
        if self.n_last < 1:
            raise ValueError(f"n_last is {self.n_last!r}: at least 1 row a user.")
        user = pd.factorize(_column(X, self.user, "user"))[0]
        order = np.lexsort((_moments(X, self.time), user))
        rows = pd.Series(user[order])
        from_end = rows.groupby(rows).cumcount(ascending=False).to_numpy()
        several = np.bincount(user)[user[order]] > self.n_last
        test = order[(from_end < self.n_last) & several]
        if len(test) == 0:
            raise ValueError(
                f"No user has more than n_last={self.n_last} rows: nothing to test on."
            )
        yield np.sort(test)

    def get_n_splits(self, X=None, y=None, groups=None):
        return 1


class _ColdSplit(BaseCrossValidator):
    def split(self, X, y=None, groups=None):
        """Positions of training and test rows; `y` and `groups` are ignored."""
        (role,) = (name for name in ("user", "item") if hasattr(self, name))
        ids = _column(X, getattr(self, role), role)
        codes = pd.factorize(ids)[0]
        folds = GroupKFold(
            self.n_splits, shuffle=self.shuffle, random_state=self.random_state
        )
        yield from folds.split(codes, groups=codes)

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.n_splits


class ColdUserSplit(_ColdSplit):
    """Folds of users: those of the test rows are unknown to the training rows.

    Parameters
    ----------
    user : str or int
        Column of X.
    n_splits : int, default=5
    shuffle : bool, default=False
        Draw the folds; otherwise they are balanced by rows.
    random_state : int, RandomState or None, default=None

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import ColdUserSplit
    >>> X = pd.DataFrame({"user": ["a", "b", "a", "b"]})
    >>> for train, test in ColdUserSplit("user", n_splits=2).split(X):
    ...     print(train, test)
    [0 2] [1 3]
    [1 3] [0 2]
    """

    def __init__(self, user, *, n_splits=5, shuffle=False, random_state=None):
        self.user = user
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state


class ColdItemSplit(_ColdSplit):
    """Folds of items: those of the test rows are unknown to the training rows.

    Parameters
    ----------
    item : str or int
        Column of X.
    n_splits : int, default=5
    shuffle : bool, default=False
        Draw the folds; otherwise they are balanced by rows.
    random_state : int, RandomState or None, default=None

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import ColdItemSplit
    >>> X = pd.DataFrame({"item": [7, 8, 7, 8]})
    >>> for train, test in ColdItemSplit("item", n_splits=2).split(X):
    ...     print(train, test)
    [0 2] [1 3]
    [1 3] [0 2]
    """

    def __init__(self, item, *, n_splits=5, shuffle=False, random_state=None):
        self.item = item
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
