"""Indexes, Series and frames of pandas as arrays and texts, and back."""

import re
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from sklearn_causalrec.serving.arrays import dtype_of

OFFSET = re.compile(r"UTC([+-]\d\d:\d\d(:\d\d)?)?")


def _write_values(values, refuse):
    """A column or the values of an index: a word for the kind, and its parts."""
    dtype = values.dtype
    if isinstance(values, pd.arrays.NumpyExtensionArray):
        return ["numpy", values.to_numpy()]
    if isinstance(dtype, np.dtype):
        return ["numpy", np.asarray(values)]
    if isinstance(dtype, pd.StringDtype):
        texts = values.astype(object)
        gaps = np.asarray(pd.isna(values))
        texts = np.where(gaps, None, np.asarray(texts, dtype=object))
        return ["text", texts, dtype.storage, dtype.na_value is pd.NA]
    if isinstance(dtype, pd.CategoricalDtype):
        values = pd.Categorical(values)
        return ["category", values.codes, values.categories, bool(values.ordered)]
    if isinstance(dtype, pd.DatetimeTZDtype):
        stamps = np.asarray(pd.DatetimeIndex(values).asi8)
        return ["zone", stamps, dtype.unit, str(dtype.tz)]
    if hasattr(values, "_mask"):
        return ["gaps", values._data, values._mask, str(dtype)]
    return refuse(f"is a column of {dtype}")


def _read_values(kind, *parts):
    if kind == "numpy":
        (array,) = parts
        return array
    if kind == "text":
        texts, storage, is_na = parts
        dtype = pd.StringDtype(storage, na_value=pd.NA if is_na else np.nan)
        return pd.array(texts, dtype=dtype)
    if kind == "category":
        codes, categories, ordered = parts
        return pd.Categorical.from_codes(codes, categories, ordered=ordered)
    if kind == "zone":
        stamps, unit, zone = parts
        found = pd.DatetimeIndex(stamps.view(dtype_of(f"<M8[{unit}]")))
        return found.tz_localize("UTC").tz_convert(_zone(zone)).array
    if kind == "gaps":
        data, mask, name = parts
        whole = pd.array(data, dtype=name)
        whole[mask] = pd.NA
        return whole
    raise ValueError(f"{kind!r:.40} is no kind of column")


def _write_index(index, refuse):
    if isinstance(index, pd.MultiIndex):
        codes = [np.asarray(c) for c in index.codes]
        return ["levels", list(index.levels), codes, list(index.names)]
    if isinstance(index, pd.RangeIndex):
        return ["range", index.start, index.stop, index.step, index.name]
    return ["values", index.name, *_write_values(index.array, refuse)]


def _read_index(kind, *parts):
    if kind == "levels":
        levels, codes, names = parts
        return pd.MultiIndex(levels, codes, names=names)
    if kind == "range":
        start, stop, step, name = parts
        return pd.RangeIndex(start, stop, step, name=name)
    name, *values = parts
    values = _read_values(*values)
    return pd.Index(values, dtype=values.dtype, name=name)


def _write_series(series, refuse):
    return [series.index, series.name, *_write_values(series.array, refuse)]


def _read_series(index, name, *values):
    values = _read_values(*values)
    return pd.Series(values, index, dtype=values.dtype, name=name)


def _write_frame(frame, refuse):
    columns = [
        _write_values(frame.iloc[:, j].array, refuse) for j in range(frame.shape[1])
    ]
    return [frame.index, frame.columns, columns]


def _read_frame(index, names, columns):
    parts = dict(enumerate(_read_values(*column) for column in columns))
    frame = pd.DataFrame(parts, index=index)
    frame.columns = names
    return frame


def _read_column(*values):
    values = _read_values(*values)
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind in "mM":
        return pd.array(values)
    return pd.arrays.NumpyExtensionArray(values)


def _write_stamp(stamp, refuse):
    zone = None if stamp.tz is None else str(stamp.tz)
    return [int(stamp.asm8.view("i8")), stamp.unit, zone]


def _read_stamp(value, unit, zone):
    stamp = pd.Timestamp(np.int64(value).view(dtype_of(f"<M8[{unit}]")))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(_zone(zone))


def _zone(name):
    """A zone by its name; pandas itself would also read a file of a name."""
    return name if OFFSET.fullmatch(name) else ZoneInfo(name)


def _write_delta(delta, refuse):
    return [int(delta.asm8.view("i8")), delta.unit]


def _read_delta(value, unit):
    return pd.Timedelta(np.int64(value).view(dtype_of(f"<m8[{unit}]")))


# A number in front is a count, which numpy reads as Python; periods have such.
_NAMED = re.compile(r"[A-Za-z]\w*(\[[A-Za-z][^\[\]]*\])?|period\[\d*[A-Za-z-]+\]")


def _write_dtype(dtype, refuse):
    if isinstance(dtype, pd.StringDtype):
        return ["text", dtype.storage, dtype.na_value is pd.NA]
    if isinstance(dtype, pd.CategoricalDtype):
        return ["category", dtype.categories, dtype.ordered]
    return ["name", str(dtype)]


def _read_dtype(kind, *parts):
    if kind == "text":
        storage, is_na = parts
        return pd.StringDtype(storage, na_value=pd.NA if is_na else np.nan)
    if kind == "category":
        return pd.CategoricalDtype(*parts)
    name = str(parts[0])
    if not _NAMED.fullmatch(name):
        raise ValueError(f"{name!r:.80} is no dtype")
    return pd.api.types.pandas_dtype(name)


def _read_none(name):
    return {"NA": pd.NA, "NaT": pd.NaT}[name]


# Of each form: the types, how to write and how to read.
FORMS = {
    "pandas.index": ([pd.Index], _write_index, _read_index),
    "pandas.series": ([pd.Series], _write_series, _read_series),
    "pandas.frame": ([pd.DataFrame], _write_frame, _read_frame),
    "pandas.column": (
        [pd.api.extensions.ExtensionArray],
        _write_values,
        _read_column,
    ),
    "pandas.dtype": (
        [pd.api.extensions.ExtensionDtype],
        _write_dtype,
        _read_dtype,
    ),
    "pandas.time": ([pd.Timestamp], _write_stamp, _read_stamp),
    "pandas.delta": ([pd.Timedelta], _write_delta, _read_delta),
    "pandas.none": (
        [type(pd.NA), type(pd.NaT)],
        lambda value, refuse: ["NA" if value is pd.NA else "NaT"],
        _read_none,
    ),
}
