"""Transformers that read columns of numbers and of categories as they are meant."""

import warnings

import numpy as np
import pandas as pd
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
    """Columns of numbers of any type as float64.

    Objects that are numbers (``Decimal``, ``Fraction``) and nullable types are read;
    durations are days, and datetimes days since 1970. Text and infinite numbers are
    refused by name. Missing values stay missing (NaN).

    Examples
    --------
    >>> from decimal import Decimal
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import NumberColumns
    >>> X = pd.DataFrame({"price": [Decimal("1.5"), 2, None]})
    >>> NumberColumns().fit_transform(X).ravel()
    array([1.5, 2. , nan])
    """

    def fit(self, X, y=None):
        """Learn the columns' names.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series
        y : None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a column holds something other than numbers and times.
        """
        columns = self._columns(X, reset=True)
        self.kinds_ = {}
        for name, values in columns:
            _read_numbers(name, values)
            kind = kind_of_values(values) if values.notna().any() else None
            self.kinds_[name] = kind if kind in ("time", "duration") else "number"
        self._names_out = [name for name, _ in columns]
        return self

    def transform(self, X):
        """The columns as numbers.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series

        Returns
        -------
        ndarray of shape (n, p), float64

        Raises
        ------
        ValueError
            If a column holds something other than in ``fit``.
        """
        check_is_fitted(self, "kinds_")
        read = []
        for name, values in self._columns(X, reset=False):
            if values.notna().any():
                kind, before = kind_of_values(values), self.kinds_[name]
                if (kind if kind in ("time", "duration") else "number") != before:
                    raise ValueError(
                        f"The column {name!r} held {before}s in fit and holds "
                        f"{shown(values.dropna().iloc[0])} here: convert it as in fit."
                    )
            read.append(_read_numbers(name, values))
        return np.column_stack(read)


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
    """Columns of categories as objects of one kind, ready for an encoder.

    A level that ``fit`` did not see is passed on with a warning that names it. One of
    another kind, 1 where ``fit`` had "1", is refused. What is missing becomes NaN.

    Attributes
    ----------
    levels_ : dict of str to list
        The levels of each column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import CategoryColumns
    >>> X = pd.DataFrame({"country": pd.Categorical(["BR", "DE", None])})
    >>> CategoryColumns().fit(X).levels_
    {'country': ['BR', 'DE']}
    """

    def fit(self, X, y=None):
        """Learn the levels.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series
        y : None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a column mixes kinds, or holds what can't be a category.
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

    def transform(self, X):
        """The categories.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series

        Returns
        -------
        ndarray of shape (n, p), object

        Raises
        ------
        ValueError
            If a column holds something other than in ``fit``.
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
