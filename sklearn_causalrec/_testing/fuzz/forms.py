"""The same numbers in many containers, and inputs that cannot be meant."""

from array import array
from collections import deque
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import scipy.sparse as sp


def _every_other(values):
    wide = np.full(2 * len(values), -7.0)
    wide[::2] = values
    return wide[::2]


def _locked(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def _text(values):
    return [repr(value) for value in values.tolist()]


# Each takes a float64 array whose values float16 can hold.
SAME = {
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "deque": lambda v: deque(v.tolist()),
    "dict values": lambda v: dict(enumerate(v.tolist())).values(),
    "array": lambda v: array("d", v.tolist()),
    "memoryview": lambda v: np.ascontiguousarray(v).data,
    "float16": lambda v: v.astype(np.float16),
    "float32": lambda v: v.astype(np.float32),
    "long double": lambda v: v.astype(np.longdouble),
    "big-endian": lambda v: v.astype(">f8"),
    "objects": lambda v: v.astype(object),
    "Decimal": lambda v: [Decimal(x) for x in v.tolist()],
    "Fraction": lambda v: [Fraction(x) for x in v.tolist()],
    "every other": _every_other,
    "backwards": lambda v: v[::-1].copy()[::-1],
    "Fortran column": lambda v: np.asfortranarray(v[:, None]),
    "read-only": _locked,
    "matrix": lambda v: np.asmatrix(v).T,
    "masked nowhere": lambda v: np.ma.array(v, mask=False),
    "Series": pd.Series,
    "Series, index of zeros": lambda v: pd.Series(v, index=np.zeros(len(v), int)),
    "Series, index backwards": lambda v: pd.Series(v, index=range(len(v), 0, -1)),
    "Series of objects": lambda v: pd.Series(v, dtype=object),
    "Float64": lambda v: pd.Series(v, dtype="Float64"),
    "sparse Series": lambda v: pd.Series(pd.arrays.SparseArray(v)),
    "Index": pd.Index,
    "frame": lambda v: pd.DataFrame({"v": v}),
    # Where these are not refused they are the same numbers too.
    "text": _text,
    "array of text": lambda v: np.array(_text(v)),
    "bytes": lambda v: np.array(_text(v), dtype="S"),
    "category": lambda v: pd.Series(v).astype("category"),
    "complex": lambda v: v.astype(complex),
    "row": lambda v: v[None, :],
    "generator": lambda v: iter(v.tolist()),
    "sparse matrix": lambda v: sp.csr_matrix(v[:, None]),
    "sparse array": lambda v: sp.coo_array(v[:, None]),
}
try:
    import polars as pl
except ImportError:
    pass
else:
    SAME["polars"] = lambda v: pl.Series("v", v)

# Labels of these are others than the numbers that they spell.
OTHER_LABELS = {"text", "array of text", "bytes"}


def _with(value):
    def put(values):
        values = values.astype(object if not isinstance(value, float) else float)
        values[len(values) // 2] = value
        return values

    return put


def _masked(values):
    mask = np.zeros(len(values), bool)
    mask[: max(1, len(values) // 3)] = True
    return np.ma.array(np.where(mask, 999.0, values), mask=mask)


MISSING = {
    "NaN": _with(np.nan),
    "None": _with(None),
    "NA": _with(pd.NA),
    "NaT": _with(pd.NaT),
    "Float64 with NA": lambda v: pd.Series([pd.NA, *v[1:].tolist()], dtype="Float64"),
    "Decimal NaN": lambda v: [Decimal("NaN")] * len(v),
}
NEVER = {
    "infinity": _with(np.inf),
    "minus infinity": _with(-np.inf),
    "masked": _masked,
    "imaginary": lambda v: v + 1j,
    "structured": lambda v: np.zeros(len(v), dtype=[("a", "f8"), ("b", "i4")]),
    "a list in it": _with([1, 2]),
    "a dict in it": _with({}),
    "ragged": lambda v: [[1], [1, 2]] + [[1]] * (len(v) - 2),
    "cube": lambda v: v[:, None, None],
    "two columns": lambda v: np.column_stack([v, v]),
    "scalar": lambda v: 1.0,
    "no dimension": lambda v: np.array(1.0),
    "one text": lambda v: "abc",
    "object": lambda v: object(),
    "function": lambda v: len,
    "set": lambda v: set(v.tolist()),
    "dict": lambda v: dict(enumerate(v.tolist())),
    "empty": lambda v: v[:0],
    "one short": lambda v: v[:-1],
    "one long": lambda v: np.append(v, 1.0),
}
TIMES = {
    "times": lambda v: pd.date_range("2024", periods=len(v)),
    "zoned times": lambda v: pd.date_range("2024", periods=len(v), tz="UTC"),
    "datetime64": lambda v: np.arange(len(v)).astype("datetime64[D]"),
    "timedelta64": lambda v: np.arange(len(v)).astype("timedelta64[s]"),
    "timedelta": lambda v: [timedelta(days=k) for k in range(len(v))],
    "periods": lambda v: pd.period_range("2024", periods=len(v), freq="D"),
}
# Odd, and meant: never NaN, a crash, or a word that does not name it.
ODD = {
    "beyond squares": _with(1e308),
    "all beyond squares": lambda v: np.full(len(v), 1e308),
    "below normal": lambda v: np.full(len(v), 5e-324),
    "minus zero": _with(-0.0),
    "constant": lambda v: np.ones(len(v)),
    "zeros": lambda v: np.zeros(len(v)),
    "huge int": _with(10**400),
    "beyond 2**53": _with(2**53 + 1),
    "uint64": lambda v: np.full(len(v), 2**64 - 1, np.uint64),
    "int8": lambda v: np.clip(v * 50, -127, 127).astype(np.int8),
    "truth values": lambda v: v > 0,
    "one": lambda v: v[:1],
    "text in it": _with("abc"),
    "NUL": _with("a\0b"),
    "emoji": _with("🦄\u202e"),
    "long text": lambda v: ["x" * 10_000] * len(v),
    "None itself": lambda v: None,
}

SCALARS = [
    0, -1, 1, 2, 0.05, 0.5, 1.0, 1.5, 2.5, -0.5, np.nan, np.inf, -np.inf, None, "a", "",
    True, False, 2**70, 1e-320, np.float32(0.05), np.int8(3), np.array(0.05),
    np.array([0.05]), [0.05], {}, 1j, b"x", object(), pd.NA, pd.NaT, (1, 2, 3),
]  # fmt: skip


def a_form(rng, forms):
    """One of the forms: its name and the function that makes it."""
    name = sorted(forms)[rng.integers(len(forms))]
    return name, forms[name]


def a_scalar(rng):
    """One of the scalars, which few arguments can mean."""
    return SCALARS[rng.integers(len(SCALARS))]
