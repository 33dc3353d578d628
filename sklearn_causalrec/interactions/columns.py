"""Transformers that read columns of numbers and of categories as they are meant."""

import warnings
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.times import as_times
from sklearn_causalrec.interactions.features import ByColumn
from sklearn_causalrec.interactions.point_in_time import plain_numbers

TIMES = frozenset(("datetime", "datetime64", "date", "period"))
DURATIONS = frozenset(("timedelta", "timedelta64"))
NUMBERS = frozenset(("integer", "floating", "mixed-integer-float", "decimal"))
DAY = pd.Timedelta("1D")


def kind_of_values(values):
    """What a column holds, whatever its type.

    Parameters
    ----------
    values : Series
        Missing values are passed over.

    Returns
    -------
    {"number", "truth", "time", "duration", "text", None}
        None for a mix, and for anything else.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.dtype.categories)
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in NUMBERS:
        return "number"
    if inferred in TIMES:
        return "time"
    if inferred in DURATIONS:
        return "duration"
    if inferred in ("boolean", "string"):
        return "truth" if inferred == "boolean" else "text"
    if inferred in ("mixed", "mixed-integer"):
        try:
            return None if len(plain_numbers(values, "")) == 0 else "number"
        except ValueError:
            return None
    return None


class NumberColumns(ByColumn):
    """Read columns of numbers of any type as float64.

    Objects that are numbers, such as ``Decimal`` and ``Fraction``, are read, and
    nullable types as well. Durations become days, and datetimes become days since 1970.
    Text and infinite numbers are refused by name. Missing values become NaN.

    Attributes
    ----------
    kinds_ : dict of str to {"number", "time", "duration"}
        What each column contains.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (p,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    CategoryColumns : Read columns of categories.
    make_preprocessor : Propose a preprocessor with a transformer for every column.

    Examples
    --------
    >>> from decimal import Decimal
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import NumberColumns
    >>> X = pd.DataFrame({"price": [Decimal("1.5"), 2, None]})
    >>> NumberColumns().fit_transform(X).ravel()
    array([1.5, 2. , nan])
    """

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn what the columns contain.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of numbers.
        y : None
            Ignored.

        Returns
        -------
        NumberColumns
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If a column contains something else than numbers and times.
        """
        columns = self._columns(X, reset=True)
        self.kinds_ = {}
        for name, values in columns:
            _read_numbers(name, values)
            self.kinds_[name] = _number_or_time(values)
        self._names_out = [name for name, _ in columns]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the columns as numbers.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of numbers, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, p)
            The numbers as float64, NaN where a value is missing. It is a frame if
            ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or one contains something else than
            in ``fit``.
        """
        check_is_fitted(self, "kinds_")
        read = []
        for name, values in self._columns(X, reset=False):
            before = self.kinds_[name]
            if values.notna().any() and _number_or_time(values) != before:
                raise ValueError(
                    f"The column {name!r} held {before}s in fit and holds "
                    f"{shown(values.dropna().iloc[0])} here: convert it as in fit."
                )
            read.append(_read_numbers(name, values))
        return np.column_stack(read)


def _number_or_time(values):
    kind = kind_of_values(values) if values.notna().any() else None
    return kind if kind in ("time", "duration") else "number"


def _read_numbers(name, values):
    if kind_of_values(values) in ("time", "duration"):
        times = as_times(values, f"The column {name!r}", errors="coerce")
        start = pd.Timestamp(0) if times.dtype.kind == "M" else pd.Timedelta(0)
        return ((times - start) / DAY).to_numpy()
    numbers = plain_numbers(values, f"The column {name!r}")
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise ValueError(
            f"The column {name!r} is infinite in row {row}: leave such rows out, or "
            "set them to a number or to missing."
        )
    return numbers


class CategoryColumns(ByColumn):
    """Read columns of categories as objects of one kind, ready for an encoder.

    A level that ``fit`` did not see is passed on, with a warning that names it. A level
    of another kind is refused: 1 where ``fit`` saw "1". Missing values become NaN.

    Attributes
    ----------
    levels_ : dict of str to list
        The levels of each column, sorted.
    kinds_ : dict of str to {"number", "truth", "time", "duration", "text"}
        The kind of the levels of each column.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (p,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    NumberColumns : Read columns of numbers.
    make_preprocessor : Propose a preprocessor with a transformer for every column.
    sklearn.preprocessing.OneHotEncoder : Encode categories as numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import CategoryColumns
    >>> X = pd.DataFrame({"country": pd.Categorical(["BR", "DE", None])})
    >>> CategoryColumns().fit(X).levels_
    {'country': ['BR', 'DE']}
    """

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the levels of each column.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of categories.
        y : None
            Ignored.

        Returns
        -------
        CategoryColumns
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If a column mixes kinds, or contains what cannot be a category.
        """
        self.levels_, self.kinds_ = {}, {}
        columns = self._columns(X, reset=True)
        for name, values in columns:
            given = values.dropna()
            self.kinds_[name] = kind = kind_of_values(given)
            if kind is None and len(given):
                raise ValueError(
                    f"The column {name!r} mixes kinds, or holds what is no category, "
                    f"{shown(given.iloc[0])} for one. Make it one kind, for instance "
                    "with X[column].astype(str)."
                )
            self.levels_[name] = sorted(given.astype(object).unique().tolist())
        self._names_out = [name for name, _ in columns]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the categories as objects.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of categories, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, p)
            The categories as objects, NaN where one is missing. It is a frame if
            ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or one contains levels of another
            kind than in ``fit``.

        Warns
        -----
        UserWarning
            If a column contains levels that ``fit`` did not see.
        """
        check_is_fitted(self, "levels_")
        read = []
        for name, values in self._columns(X, reset=False):
            missing = values.isna().to_numpy()
            cells = values.astype(object).to_numpy(copy=True)
            cells[missing] = np.nan
            self._refuse_others(name, values[~missing], cells[~missing])
            read.append(cells)
        return np.column_stack(read)

    def _refuse_others(self, name, values, given):
        levels, kind = self.levels_[name], self.kinds_[name]
        new = [v for v in pd.unique(given) if v not in set(levels)]
        if not new or kind is None:
            return
        if kind_of_values(values) != kind:
            raise ValueError(
                f"The column {name!r} had levels such as {shown(levels[0])} in fit and "
                f"holds {shown(new[0])} here: are they spelt alike? Convert it as in "
                "fit."
            )
        more = f" and {len(new) - 1} more" if len(new) > 1 else ""
        warnings.warn(
            f"The column {name!r} holds {shown(new[0])}{more}, which fit did not see: "
            "it is encoded as a rare level, or as none.",
            stacklevel=3,
        )
