"""What a column of features holds: numbers, times or categories; never a guess.

One reader for all estimators and transformers. A column that can be meant in two ways
is refused by name, with the calls that say which is meant.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterator, Mapping, Set, ValuesView
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

# Categories with more levels than this must say that they are none of something else:
# text that spells numbers, or that names the row.
MAX_LEVELS = 20
DAY = pd.Timedelta(days=1)


def as_series(values, name=None):
    """Values of any container as a pandas Series with the index 0 to n - 1.

    Parameters
    ----------
    values : array-like, pandas or polars Series of shape (n,)
        The column.
    name : hashable, default=None
        The column's name, for messages.

    Returns
    -------
    Series

    Raises
    ------
    ValueError
        If values are masked, as a mask is lost on the way, or are not one a row.
    TypeError
        If values are a text, a set, a mapping, an iterator or sparse.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{_what(name)} is a masked array with masked values: fill them, "
            "values.filled(...), or leave these rows out."
        )
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    if isinstance(values, pd.Series):
        dtype = values.dtype
        if isinstance(dtype, np.dtype) and not dtype.isnative:
            values = values.astype(dtype.newbyteorder("="))
        return values.reset_index(drop=True)
    if isinstance(values, pd.Index | pd.api.extensions.ExtensionArray):
        return pd.Series(values, copy=False).reset_index(drop=True)
    if hasattr(values, "to_arrow") and hasattr(values, "dtype"):  # polars
        return values.to_pandas().reset_index(drop=True)
    if isinstance(values, ValuesView | deque):
        values = list(values)
    if isinstance(values, list | tuple) and np.ndim(values[:1]) == 1:
        # numpy would turn [1, "a"] into text.
        return pd.Series(values, dtype=None if len(values) else float)
    return pd.Series(_vector(values, name))


def _vector(values, name):
    """One native dimension of an array; anything that has no rows is refused."""
    strange = isinstance(values, str | bytes | Set | Mapping | Iterator)
    has_rows = hasattr(values, "__len__") or hasattr(values, "__array__")
    if strange or hasattr(values, "tocsr") or not has_rows:
        way_out = "values.toarray().ravel()" if hasattr(values, "tocsr") else "a list"
        raise TypeError(
            f"{_what(name)} is {short(values)}, of type {type(values).__name__}: one "
            f"value a row is needed, in an array, a Series or a list. Pass {way_out}."
        )
    try:
        values = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{_what(name)} has rows of different lengths, such as "
            f"{short(values[0])}: one value a row is needed."
        ) from None
    if values.dtype.names:
        raise ValueError(
            f"{_what(name)} is a structured array with the fields "
            f"{list(values.dtype.names)}: pass one of them, values[field]."
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"{_what(name)} has the shape {values.shape}: one value a row is needed, "
            "in one dimension."
        )
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.longdouble:
        return values.astype(float)
    if values.dtype == np.float16:  # pandas has no index of it
        return values.astype(np.float32)
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in "YMWD":
        return values.astype("datetime64[s]")
    return values


def _what(name):
    return "The column" if name is None else f"Column {name!r}"


_TIMES = dt.date | dt.timedelta | dt.time | np.datetime64 | np.timedelta64 | pd.Period
# What pandas infers of objects at once; anything else is looked at value by value.
_KINDS = {
    **dict.fromkeys(("integer", "floating", "decimal", "boolean"), "number"),
    **dict.fromkeys(("datetime", "datetime64", "date", "time"), "time"),
    **dict.fromkeys(("timedelta", "timedelta64", "period"), "time"),
    "mixed-integer-float": "number",
    "string": "text",
}


def _kind_of_value(value):
    """ "number", "time", "text", or None for anything else."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, Real | Decimal | np.bool_):
        return "number"
    return "time" if isinstance(value, _TIMES) else None


def kind_of(column, name=None):
    """Whether a column holds numbers, times, text or categories.

    Objects are looked at one by one: ``Decimal("1.5")`` and ``Fraction(3, 2)`` are
    numbers, ``datetime.date(2024, 1, 31)`` is a time.

    Parameters
    ----------
    column : Series of shape (n,)
        The column; missing values are passed over.
    name : hashable, default=None
        The column's name, for messages.

    Returns
    -------
    {"number", "time", "text", "category"}
        "category" is a pandas Categorical. A column without a value is a "number".

    Raises
    ------
    ValueError
        If the column mixes kinds, or holds complex numbers or bytes.
    TypeError
        If it holds anything else.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind_of(pd.Series(dtype.categories), name)  # refuses levels of several kinds
        return "category"
    if pd.api.types.is_complex_dtype(dtype):
        raise ValueError(
            f"Complex data not supported: {_what(name)} holds complex numbers. Pass "
            "their real and imaginary parts as two columns."
        )
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if (
        pd.api.types.is_datetime64_any_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
        or isinstance(dtype, pd.PeriodDtype)
    ):
        return "time"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in _KINDS:
        return _KINDS[inferred]
    found = {}
    for value in column.dropna().astype(object):
        kind = _kind_of_value(value)
        if kind is None:
            raise _strange(value, name)
        found.setdefault(kind, value)
        if len(found) > 1:
            (a, first), (b, second) = found.items()
            raise ValueError(
                f"{_what(name)} mixes kinds: {short(first)} is a {a} and "
                f"{short(second)} a {b}. Make it one kind, for instance with "
                "pd.to_numeric, or X[column].astype(str) for categories."
            )
    return next(iter(found), "number")


def _strange(value, name):
    if isinstance(value, complex):
        return ValueError(
            f"Complex data not supported: {_what(name)} holds {value!r}. Pass real and "
            "imaginary part as two columns."
        )
    if isinstance(value, bytes):
        return ValueError(
            f"{_what(name)} holds bytes, {value!r}: decode them, "
            'X[column].str.decode("utf-8").'
        )
    if isinstance(value, list | tuple | set | np.ndarray):
        return ValueError(
            f"{_what(name)} holds {short(value)}, which is not a number but a "
            "collection. If it is a history of items, name its role, history=; else "
            "give each of its entries a column."
        )
    return TypeError(
        f"{_what(name)} holds {short(value)}: argument must be a string or a real "
        f"number, not {type(value).__name__!r}. Turn it into numbers first."
    )


def short(value):
    """A value as a message quotes it: on one line, of 60 characters at most.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
    """
    value = value.item() if isinstance(value, np.generic) else value
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def as_days(column):
    """Times as days since 1970-01-01 UTC, spans of time as days; float64.

    A time without a zone counts as UTC, a period by its start, a time of the day by
    the part of the day that has passed.

    Parameters
    ----------
    column : Series of shape (n,)
        Of the kind "time".

    Returns
    -------
    ndarray of shape (n,)
        NaN where the time is missing.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.PeriodDtype):
        column = column.dt.start_time
    elif not (
        pd.api.types.is_datetime64_any_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
    ):
        return np.array([_days(value) for value in column], dtype=float)
    if isinstance(dtype, pd.ArrowDtype):
        column = pd.Series(column.to_numpy())
        if column.dtype == object:  # dates without a time of the day
            return as_days(column)
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return (column / DAY).to_numpy(dtype=float)
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return ((column - pd.Timestamp(0)) / DAY).to_numpy(dtype=float)


def _days(value):
    if pd.isna(value):
        return np.nan
    if isinstance(value, dt.timedelta | np.timedelta64):
        return pd.Timedelta(value) / DAY
    if isinstance(value, dt.time):
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return (seconds + value.microsecond / 1e6) / 86400
    if isinstance(value, pd.Period):
        value = value.start_time
    value = pd.Timestamp(value)
    if value.tz is not None:
        value = value.tz_convert("UTC").tz_localize(None)
    return (value - pd.Timestamp(0)) / DAY


def as_numbers(values, name=None):
    """A column of numbers or times as float64; everything else is refused by name.

    Parameters
    ----------
    values : array-like of shape (n,)
        The column.
    name : hashable, default=None
        The column's name, for messages.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where a value is missing; times in days, see :func:`as_days`.

    Raises
    ------
    ValueError
        If the column holds text or categories: it says what to do about it.

    Examples
    --------
    >>> from decimal import Decimal
    >>> import pandas as pd
    >>> as_numbers([Decimal("1.5"), 2, None])
    array([1.5, 2. , nan])
    >>> as_numbers(pd.to_datetime(["1970-01-02 12:00"]))
    array([1.5])
    >>> as_numbers(["1.5", "2"], "price")
    Traceback (most recent call last):
        ...
    ValueError: Column 'price' holds numbers as text, '1.5': if it is a quantity, \
convert it, X['price'] = pd.to_numeric(X['price']); if it is a category, encode it, \
for instance with OneHotEncoder.
    """
    column = as_series(values, name)
    kind = kind_of(column, name)
    if kind == "time":
        return as_days(column)
    if kind == "number":
        return floats_of(column)
    levels = _levels(column)
    if _spells_numbers(levels):
        as_text = "numbers as text" if kind == "text" else "categories that are numbers"
        raise ValueError(
            f"{_what(name)} holds {as_text}, {_plain(levels[0])!r}: if it is a "
            f"quantity, convert it, {_to_numeric(kind, name)}; if it is a category, "
            "encode it, for instance with OneHotEncoder."
        )
    raise ValueError(
        f"{_what(name)} holds {_plain(levels[0])!r}, which is not a number. Encode it "
        "first, for instance with OneHotEncoder, or name its role if it has one "
        "(user=, item=, time=, treatment=, propensity=, history=)."
    )


def floats_of(column):
    """Numbers of any type as float64.

    Parameters
    ----------
    column : Series of shape (n,)
        Of the kind "number".

    Returns
    -------
    ndarray of shape (n,)
        NaN where a value is missing.

    Raises
    ------
    ValueError
        If a number is too large for float64.
    """
    if column.dtype == object:
        return np.array([_as_float(value, column.name) for value in column], float)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return np.array(column.to_numpy(), float)  # gaps are NaN already
    return column.to_numpy(dtype=float, na_value=np.nan)


def _as_float(value, name):
    try:
        return np.nan if pd.isna(value) else float(value)
    except OverflowError:
        raise ValueError(
            f"{_what(name)} holds {short(value)}, which is too large for a number in "
            "float64: give it in larger units."
        ) from None


def _levels(column):
    """Levels there are, sorted."""
    return np.sort(column.dropna().astype(object).unique())


def _spells_numbers(levels):
    """Whether at least half of the levels are numbers, as text or as such."""
    if not len(levels):
        return False
    found = [
        _kind_of_value(v) == "number"
        or pd.notna(pd.to_numeric(str(v), errors="coerce"))
        for v in levels
    ]
    return np.mean(found) >= 0.5


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _to_numeric(kind, name):
    text = "" if kind == "text" else ".astype(float)"
    column = "X[column]" if name is None else f"X[{name!r}]"
    return f"{column} = pd.to_numeric({column}{text})"


@dataclass(frozen=True)
class Feature:
    """How one column is read, as learned in ``fit``.

    Parameters
    ----------
    name : hashable
        The column's name.
    kind : {"number", "time", "category"}
        How its values are read.
    levels : ndarray of shape (n_levels,), default=None
        The levels of a category, sorted.
    """

    name: object
    kind: str
    levels: np.ndarray | None = None

    @classmethod
    def learn(cls, values, name=None):
        """Find out how a column is to be read.

        Numbers and times are numbers. Text and categories are categories, but not
        where they can be meant otherwise: more than 20 levels that spell numbers
        ("7.5", "12"), or more than 20 levels that are more than half as many as the
        rows.

        Parameters
        ----------
        values : array-like of shape (n,)
            The column, without missing values.
        name : hashable, default=None
            The column's name.

        Returns
        -------
        Feature

        Raises
        ------
        ValueError
            If the column can be meant in two ways, or mixes kinds.

        Examples
        --------
        >>> Feature.learn(["Bonn", "Ulm", "Bonn"], "town").levels
        array(['Bonn', 'Ulm'], dtype=object)
        """
        column = as_series(values, name)
        kind = kind_of(column, name)
        if kind in ("number", "time"):
            return cls(name, kind)
        levels, n = _levels(column), len(column)
        if len(levels) > MAX_LEVELS and _spells_numbers(levels):
            noun = "text that spells numbers" if kind == "text" else "numbers"
            raise ValueError(
                f"{_what(name)} has {len(levels)} levels of {noun}, such as "
                f"{_plain(levels[0])!r}. If it is a quantity, convert it, "
                f"{_to_numeric(kind, name)}. If it is an id or a category, {_REPLACE}."
            )
        if len(levels) > max(MAX_LEVELS, n / 2):
            raise ValueError(
                f"{_what(name)} has {len(levels)} different values in {n} rows, such "
                f"as {short(_plain(levels[0]))}: a category of that many levels says "
                f"nothing about new rows. If it is an id, {_REPLACE}."
            )
        return cls(name, "category", levels)

    def read(self, values):
        """The column in the form that was learned.

        Parameters
        ----------
        values : array-like of shape (n,)
            The column, of the rows of ``fit`` or of new ones.

        Returns
        -------
        ndarray of shape (n,)
            float64 numbers, times in days; of a category int64 codes, positions among
            ``levels``, and -1 for a level that ``fit`` did not see.

        Raises
        ------
        ValueError
            If the values are of another kind than in ``fit``.
        """
        column = as_series(values, self.name)
        kind = kind_of(column, self.name)
        if self.kind == "category":
            return self._codes(column)
        if kind != self.kind and column.notna().any():
            raise ValueError(
                f"{_what(self.name)} held {_PLURAL[self.kind]} in fit and holds "
                f"{_PLURAL[kind]} here, such as {_first(column)!r}: convert it as in "
                "fit."
            )
        return as_days(column) if self.kind == "time" else floats_of(column)

    def _codes(self, column):
        objects = column.astype(object)
        codes = pd.Index(self.levels, dtype=object).get_indexer(pd.Index(objects))
        known = {_kind_of_value(v) for v in self.levels}
        for value in objects[(codes < 0) & column.notna().to_numpy()].unique():
            if _kind_of_value(value) not in known:
                raise ValueError(
                    f"{_what(self.name)} had levels such as "
                    f"{_plain(self.levels[0])!r} in fit and holds {_plain(value)!r} "
                    f"here, of type {type(value).__name__}: are they spelt alike? "
                    "Convert it as in fit."
                )
        return codes.astype(np.int64)


def _first(column):
    return _plain(column.dropna().astype(object).iloc[0])


_PLURAL = {
    "number": "numbers",
    "time": "times",
    "text": "text",
    "category": "categories",
}
_REPLACE = (
    "replace it: name it as an id (user=, item= of CausalDNNRecommender), encode it by "
    "the outcome (sklearn.preprocessing.TargetEncoder), group rare levels "
    "(OneHotEncoder(max_categories=...)), or leave it out"
)
