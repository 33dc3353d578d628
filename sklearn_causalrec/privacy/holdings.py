"""What a fitted object holds, part by part: the walk that finds ids and rows."""

import functools
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

_LEAVES = (
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType,
    str, bytes, int, float, bool, complex, np.generic,
)  # fmt: skip
_TABLES = (pd.Index, pd.Series, pd.DataFrame)


def walk(obj: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every part of an object once, with the way to it.

    Parameters
    ----------
    obj : object
        What to walk through: attributes, entries of dicts, lists and sets, what partial
        functions and methods are bound to, entries of arrays of objects.
    path : str, default=""
        What the way starts with.

    Yields
    ------
    path : str
        Such as ".log_encoder_.users.ids".
    value : object
        The part. Keys of dicts are parts as well.
    """
    seen: dict[int, Any] = {}
    stack = [(path, obj)]
    while stack:
        path, value = stack.pop()
        if not isinstance(value, _LEAVES):
            if id(value) in seen:
                continue
            seen[id(value)] = value  # kept, so that no other object gets its id
        yield path, value
        if not isinstance(value, _LEAVES):
            stack.extend(_parts(value, path))


def _parts(value, path):
    if isinstance(value, dict):
        for key, one in value.items():
            yield f"{path} key", key
            yield f"{path}[{str(key)[:40]!r}]", one
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"{path}[{j}]", one) for j, one in enumerate(value))
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from ((f"{path}[{j}]", one) for j, one in enumerate(value.flat))
        return
    elif isinstance(value, _TABLES):
        return
    elif isinstance(value, types.MethodType):
        yield f"{path}.__self__", value.__self__
        return
    if isinstance(value, functools.partial):
        for name in ("func", "args", "keywords"):
            yield f"{path}.{name}", getattr(value, name)
    attributes = getattr(value, "__dict__", {})
    if isinstance(attributes, dict):
        yield from ((f"{path}.{name}", one) for name, one in attributes.items())


def where_ids_are(obj: Any, ids: Any) -> list[str]:
    """Return the tables and arrays of a fitted transformer that hold some ids.

    Parameters
    ----------
    obj : object
        A transformer of a pipeline.
    ids : array-like of shape (n,)
        The ids.

    Returns
    -------
    list of str
        The ways to them. Whole numbers are looked for in indexes and categories alone,
        since elsewhere a number may be anything.
    """
    wanted = set(np.asarray(ids, object).tolist())
    text = all(isinstance(v, str) for v in wanted)
    found = []
    for path, value in walk(obj):
        last = path.rpartition(".")[2]
        if last.startswith("feature_names_in_") or isinstance(value, pd.RangeIndex):
            continue
        if isinstance(value, pd.Series | pd.DataFrame):
            tables = [value.index, value] if value.ndim == 1 else [value.index]
            if value.ndim == 2:
                tables += [value.iloc[:, j] for j in range(value.shape[1])]
        elif isinstance(value, pd.Index) or (
            isinstance(value, np.ndarray)
            and (value.dtype.kind in "OUT" or "categories_" in path)
        ):
            tables = [value]
        elif isinstance(value, dict):
            tables = [np.array([*value, None], object)[:-1]]
        else:
            continue
        for table in tables:
            flat = pd.Series(np.ravel(np.asarray(table)))
            if not text and flat.dtype.kind == "O":
                flat = flat[[isinstance(v, int | float) for v in flat]]
            if flat.isin(wanted).any():
                found.append(path)
                break
    return found
