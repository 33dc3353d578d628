"""A column of times taken apart: numbers, datetimes, durations and text."""

import datetime as dt
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.time_formats import (
    is_number,
    match_text,
    parse_iso,
    shown,
    tidy_text,
)


class Parts(NamedTuple):
    """The values of a column by what they are; rows are positions."""

    n: int
    missing: np.ndarray  # (n,) bool
    numbers: tuple  # rows, values
    times: tuple  # rows, datetime64[us] as if in UTC, whether each has a zone
    durations: tuple  # rows, timedelta64[us]
    texts: list  # of (row, form, match)
    first_iso: list  # the first row of ISO 8601, if any


def _plain_series(values, name):
    """Values of any container as a Series of plain numbers, times or objects."""
    if isinstance(values, np.ndarray) and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if not isinstance(values, (pd.Series, pd.Index)) and hasattr(values, "to_pandas"):
        values = values.to_pandas()
    if np.ndim(values) > 1:
        raise ValueError(f"{name} has {np.ndim(values)} dimensions: give one column.")
    values = pd.Series(values)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _plain_series(values.astype(dtype.categories.dtype), name)
    if isinstance(dtype, pd.SparseDtype):
        return values.sparse.to_dense()
    if isinstance(dtype, pd.PeriodDtype):
        return values.dt.to_timestamp()
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind not in "fiub":
        import pyarrow

        array = pyarrow.array(values.array)
        if pyarrow.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        plain = array.to_pandas(date_as_object=False)
        return pd.Series(plain.array, index=values.index, name=values.name)
    return values


def _empty(dtype):
    return np.zeros(0, np.int64), np.zeros(0, dtype)


def as_wall(values):
    """Datetimes as if they were in UTC, and whether they have a zone. (Series)"""
    zoned = values.dt.tz is not None
    if zoned:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    wall = values.astype("datetime64[us]").to_numpy()
    return wall, np.full(len(values), zoned)


def _of_objects(objects):
    """Each value's kind: "number", "time", "duration", "text", or "" for others."""
    inferred = pd.api.types.infer_dtype(objects, skipna=True)
    if inferred in _INFERRED:
        return np.full(len(objects), _INFERRED[inferred], dtype=object)
    return np.array([_kind_of(value) for value in objects], dtype=object)


_INFERRED = {
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), "number"),
    **dict.fromkeys(("datetime", "datetime64", "date"), "time"),
    "string": "text",
}


def _kind_of(value):
    if isinstance(value, str):
        return "text"
    if is_number(value) or isinstance(value, Decimal):
        return "number"
    if isinstance(value, (dt.date, np.datetime64, pd.Period)):
        return "time"
    return "duration" if isinstance(value, (dt.timedelta, np.timedelta64)) else ""


def _objects_as_wall(values):
    """Datetime objects of any kind as if in UTC, and whether each has a zone."""
    wall = np.full(len(values), np.datetime64("NaT"), "datetime64[us]")
    zoned = np.zeros(len(values), bool)
    for row, value in enumerate(values):
        try:
            if isinstance(value, pd.Period):
                value = value.to_timestamp()
            elif not isinstance(value, np.datetime64):
                zoned[row] = getattr(value, "tzinfo", None) is not None
            if zoned[row]:
                value = pd.Timestamp(value).tz_convert("UTC").tz_localize(None)
            wall[row] = np.datetime64(value, "us")
        except (ValueError, OverflowError):
            continue  # out of all bounds: no time
    return wall, zoned


def _as_numbers(objects, name):
    """Numbers of any type as int64 where all are whole and fit, else as float64."""
    whole = all(isinstance(v, (int, np.integer)) for v in objects)
    if whole:
        try:
            return np.array(objects, dtype=np.int64)
        except OverflowError:
            pass
    numbers = np.array([_float(v) for v in objects], dtype=np.float64)
    if whole and len(np.unique(numbers)) < len(set(objects)):
        raise ValueError(
            f"{name} holds whole numbers beyond 2**63, such as "
            f"{shown(max(objects))}, that float64 can't tell apart: subtract the first."
        )
    return numbers


def _float(value):
    try:
        return float(value)
    except OverflowError:
        return np.inf


def all_plain(values):
    """Whether a column holds datetimes without a zone and nothing else."""
    if not isinstance(values, pd.Series) or len(values) == 0:
        return False
    dtype = values.dtype
    return isinstance(dtype, np.dtype) and dtype.kind == "M" and not values.hasnans


def nth(values, row):
    """The value of a row of a Series or an array."""
    return values.iloc[row] if isinstance(values, pd.Series) else values[row]


def is_numeric(values):
    """Whether a column is of numbers by its dtype."""
    return getattr(getattr(values, "dtype", None), "kind", "O") in "fiu"


def split_column(values, name):
    """The values of a column, by what they are.

    Parameters
    ----------
    values : array-like of shape (n,)
    name : str
        Named in error messages.

    Returns
    -------
    Parts

    Raises
    ------
    ValueError
        If the column is of a type that holds no times.
    """
    values = _plain_series(values, name)
    n, dtype = len(values), values.dtype
    missing = values.isna().to_numpy()
    given = np.flatnonzero(~missing)
    numbers, durations = _empty(np.float64), _empty("timedelta64[us]")
    times = (*_empty("datetime64[us]"), np.zeros(0, bool))
    texts, first_iso = [], []
    some = values.iloc[given]
    if dtype.kind in "fiu":
        kind = np.int64 if dtype.kind in "iu" else np.float64
        if dtype.kind == "u" and len(some) and some.max() > np.iinfo(np.int64).max:
            numbers = given, _as_numbers(some.tolist(), name)
        else:
            numbers = given, some.to_numpy(dtype=kind)
    elif dtype.kind == "M" or isinstance(dtype, pd.DatetimeTZDtype):
        times = (given, *as_wall(some))
    elif dtype.kind == "m":
        durations = given, some.to_numpy().astype("timedelta64[us]")
    elif dtype.kind in "bc":
        raise ValueError(f"{name} holds {dtype}, which is no time.")
    elif len(given):
        objects = some.to_numpy(dtype=object)
        kinds = _of_objects(objects)
        rows = {k: np.flatnonzero(kinds == k) for k in ("number", "time", "duration")}
        found = [(given[r], objects[r]) for r in rows.values()]
        numbers = found[0][0], _as_numbers(found[0][1], name)
        times = (found[1][0], *_objects_as_wall(found[1][1]))
        spans = [pd.Timedelta(v).to_numpy() for v in found[2][1]]
        durations = found[2][0], np.array(spans, dtype="timedelta64[us]")
        written = np.flatnonzero(kinds == "text")
        if len(written):
            rows = given[written]
            read = [tidy_text(text) for text in objects[written]]
            read = np.array([*read, None], dtype=object)[:-1]
            as_number = pd.to_numeric(pd.Series(read, dtype=object), errors="coerce")
            digits = as_number.notna().to_numpy()
            if digits.any():
                more = pd.to_numeric(pd.Series(read[digits])).to_numpy()
                numbers = (
                    np.concatenate([numbers[0], rows[digits]]),
                    np.concatenate([numbers[1], more]) if len(numbers[1]) else more,
                )
            rows, read = rows[~digits], read[~digits]
            iso, zoned = parse_iso(read)
            there = ~np.isnat(iso)
            first_iso = rows[there][:1].tolist()
            times = tuple(
                np.concatenate(pair)
                for pair in zip(times, (rows[there], iso[there], zoned[there]))
            )
            for row, text in zip(rows[~there].tolist(), read[~there]):
                form, match = match_text(text)
                if form is not None:
                    texts.append((row, form, match))
    return Parts(n, missing, numbers, times, durations, texts, first_iso)
