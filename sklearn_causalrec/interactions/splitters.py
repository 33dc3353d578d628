"""Splits of a log whose test rows are later, or of unknown users or items.

A random split lets the future predict the past, and it makes every user and every item
known. A recommender does not have it so easy. The classes here are scikit-learn
splitters: ``cross_validate(model, X, y, cv=TimeSplit("time"))``.
"""

import itertools
from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, GroupKFold

from sklearn_causalrec._utils.typing import Column, Seed
from sklearn_causalrec.encoding.checks import labels, number, whole_number
from sklearn_causalrec.encoding.roles import column
from sklearn_causalrec.encoding.times import in_order


def _column(X, key, role):
    names = list(getattr(X, "columns", []))
    if isinstance(key, Integral) and key not in names:
        n_columns = len(names) or np.shape(X)[1]
        if not -n_columns <= key < n_columns:
            raise ValueError(
                f"{role}={key} is no position of {n_columns} columns of X."
            )
        key = names[key] if names else key
    if not isinstance(key, str | Integral):
        raise TypeError(f"{role} is {key!r}: the name of a column, or its position.")
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
    """Return times as ranks, 0 for the earliest and equal ones for equal times."""
    values = _column(X, key, "time")
    dtype = getattr(X, "dtypes", {}).get(key) if isinstance(X, pd.DataFrame) else None
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        values = X[key]
    times = in_order(values, f"The time column {key!r}")
    return np.unique(times, return_inverse=True)[1].reshape(-1)


class TimeSplit(BaseCrossValidator):
    """Train on the rows before a moment, and test on the rows from it on.

    The moment is the same for all users.

    Parameters
    ----------
    time : str or int
        The column of X with the times, by name or position. They can be numbers,
        datetimes, dates, periods, text in ISO 8601, text such as 31/01/2024 where the
        column tells the day from the month, or a Categorical whose categories are
        ordered.
    test_size : int or float, default=0.2
        The size of one test set: a number of rows if it is an int, or a share of all
        rows if it is a float. Rows of equal time stay together, so a set may be larger
        or smaller.
    n_splits : int, default=1
        The number of test sets. They follow one another up to the end of the log. The
        training rows of each are all the rows before it.

    See Also
    --------
    LastOutSplit : Test on the last rows of every user.
    ColdUserSplit : Test on users that the training rows do not contain.
    ColdItemSplit : Test on items that the training rows do not contain.
    sklearn.model_selection.TimeSeriesSplit : Split sorted rows without a time column.

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

    def __init__(
        self, time: Column, *, test_size: float = 0.2, n_splits: int = 1
    ) -> None:
        self.time = time
        self.test_size = test_size
        self.n_splits = n_splits

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the positions of training and test rows.

        Parameters
        ----------
        X : array-like or frame of shape (n, p)
            The log. It contains the column `time`.
        y : array-like of shape (n,), default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Ignored.

        Yields
        ------
        train : ndarray of int
            The positions of the training rows.
        test : ndarray of int
            The positions of the test rows.

        Raises
        ------
        ValueError
            If a training set or a test set would be empty, or a time is missing, is no
            time or can be read in two ways.
        """
        time = _moments(X, self.time)
        n, size = len(time), self.test_size
        n_splits = whole_number(self.n_splits, "n_splits")
        if not isinstance(size, Integral):
            size = round(number(size, "test_size", 0, 1, open_low=True) * n)
        start = n - size * n_splits
        if isinstance(size, bool) or size < 1 or start < 1:
            raise ValueError(
                f"{self.n_splits} test sets of {self.test_size} can't be cut from {n} "
                "rows and leave some to train on: change n_splits or test_size."
            )
        in_order = np.sort(time)
        cuts = [*in_order[start::size][:n_splits], time.max() + 1]
        for low, high in itertools.pairwise(cuts):
            train = np.flatnonzero(time < low)
            test = np.flatnonzero((low <= time) & (time < high))
            if len(train) == 0 or len(test) == 0:
                raise ValueError(
                    "So many rows have equal times that a set is empty: use larger "
                    f"test sets than {self.test_size}, or fewer than {self.n_splits}."
                )
            yield train, test

    def get_n_splits(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X : array-like or frame of shape (n, p), default=None
            Ignored.
        y : array-like of shape (n,), default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Ignored.

        Returns
        -------
        int
            The parameter `n_splits`.
        """
        return self.n_splits


class LastOutSplit(BaseCrossValidator):
    """Train on the earlier rows of every user, and test on the last ones.

    Training rows of one user may be later than test rows of another. Use
    :class:`~sklearn_causalrec.interactions.TimeSplit` where the log has a trend.

    Parameters
    ----------
    user : str or int
        The column of X with the user ids, by name or position.
    time : str or int
        The column of X with the times, by name or position. They are read as in
        :class:`TimeSplit`. Rows of equal time keep their order in X.
    n_last : int or float, default=1
        The number of test rows per user if it is an int, or a share of the rows of each
        user, rounded up, if it is a float. Users with no more rows than that are only
        trained on.

    See Also
    --------
    TimeSplit : Test on the rows after a moment that is the same for all users.
    ColdUserSplit : Test on users that the training rows do not contain.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import LastOutSplit
    >>> X = pd.DataFrame({"user": ["a", "a", "b"], "time": [2, 1, 1]})
    >>> for train, test in LastOutSplit("user", "time").split(X):
    ...     print(train, test)
    [1 2] [0]
    """

    def __init__(self, user: Column, time: Column, *, n_last: float = 1) -> None:
        self.user = user
        self.time = time
        self.n_last = n_last

    def _iter_test_indices(self, X=None, y=None, groups=None):
        n_last = self.n_last
        if not isinstance(n_last, Real) or n_last % 1 == 0:
            n_last = whole_number(n_last, "n_last")
        else:
            n_last = number(n_last, "n_last", 0, 1, open_low=True)
        user = labels(_column(X, self.user, "user"), "the user column")
        user = pd.factorize(user)[0]
        order = np.lexsort((_moments(X, self.time), user))
        rows = pd.Series(user[order])
        from_end = rows.groupby(rows).cumcount(ascending=False).to_numpy()
        size = np.bincount(user)[user[order]]
        n_test = n_last if n_last >= 1 else np.ceil(n_last * size - 1e-9)
        test = order[(from_end < n_test) & (size > n_test)]
        if len(test) == 0:
            raise ValueError(
                f"No user has more than n_last={n_last} rows: nothing to test on."
            )
        yield np.sort(test)

    def get_n_splits(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X : array-like or frame of shape (n, p), default=None
            Ignored.
        y : array-like of shape (n,), default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Ignored.

        Returns
        -------
        int
            The number 1.
        """
        return 1


class _ColdSplit(BaseCrossValidator):
    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the positions of training and test rows.

        Parameters
        ----------
        X : array-like or frame of shape (n, p)
            The log. It contains the column of ids.
        y : array-like of shape (n,), default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Ignored.

        Yields
        ------
        train : ndarray of int
            The positions of the training rows.
        test : ndarray of int
            The positions of the test rows.

        Raises
        ------
        ValueError
            If an id is missing, or there are fewer ids than folds.
        """
        (role,) = (name for name in ("user", "item") if hasattr(self, name))
        ids = _column(X, getattr(self, role), role)
        codes = pd.factorize(labels(ids, f"the {role} column"))[0]
        folds = GroupKFold(
            self.n_splits, shuffle=self.shuffle, random_state=self.random_state
        )
        yield from folds.split(codes, groups=codes)

    def get_n_splits(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X : array-like or frame of shape (n, p), default=None
            Ignored.
        y : array-like of shape (n,), default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Ignored.

        Returns
        -------
        int
            The parameter `n_splits`.
        """
        return self.n_splits


class ColdUserSplit(_ColdSplit):
    """Folds of users: the users of the test rows are unknown to the training rows.

    Parameters
    ----------
    user : str or int
        The column of X with the user ids, by name or position.
    n_splits : int, default=5
        The number of folds. It must be at least 2.
    shuffle : bool, default=False
        Whether users are assigned to folds at random. With False, they are assigned so
        that the folds have about equally many rows.
    random_state : int, RandomState instance or None, default=None
        The seed of the assignment with ``shuffle=True``. Pass an int for reproducible
        folds.

    See Also
    --------
    ColdItemSplit : Test on items that the training rows do not contain.
    TimeSplit : Test on later rows.
    sklearn.model_selection.GroupKFold : The splitter that cuts the folds.

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

    def __init__(
        self,
        user: Column,
        *,
        n_splits: int = 5,
        shuffle: bool = False,
        random_state: Seed = None,
    ) -> None:
        self.user = user
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state


class ColdItemSplit(_ColdSplit):
    """Folds of items: the items of the test rows are unknown to the training rows.

    Parameters
    ----------
    item : str or int
        The column of X with the item ids, by name or position.
    n_splits : int, default=5
        The number of folds. It must be at least 2.
    shuffle : bool, default=False
        Whether items are assigned to folds at random. With False, they are assigned so
        that the folds have about equally many rows.
    random_state : int, RandomState instance or None, default=None
        The seed of the assignment with ``shuffle=True``. Pass an int for reproducible
        folds.

    See Also
    --------
    ColdUserSplit : Test on users that the training rows do not contain.
    TimeSplit : Test on later rows.
    sklearn.model_selection.GroupKFold : The splitter that cuts the folds.

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

    def __init__(
        self,
        item: Column,
        *,
        n_splits: int = 5,
        shuffle: bool = False,
        random_state: Seed = None,
    ) -> None:
        self.item = item
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
