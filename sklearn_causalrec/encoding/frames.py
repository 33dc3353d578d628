"""Tables of any library as pandas frames, and what is asked of their columns."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

_TEXT = pd.Series(["a"]).dtype


def as_frame(X, name="X", *, arrays=False):
    """A pandas frame from a pandas or polars one.

    Parameters
    ----------
    X : DataFrame, LazyFrame or array-like of shape (n, p)
        The table.
    name : str, default="X"
        What error messages call it.
    arrays : bool, default=False
        Whether an array may come in place of a frame. Its columns are called x0, x1
        and so on.

    Returns
    -------
    DataFrame of shape (n, p)
        A pandas frame comes back as it is, not copied, unless a column has another
        byte order than this machine.

    Raises
    ------
    TypeError
        If X has no named columns, and ``arrays`` is False.
    ValueError
        If an array does not have rows and columns.
    """
    if isinstance(X, pd.DataFrame):
        return native(X)
    if hasattr(X, "collect") and not hasattr(X, "to_pandas"):  # polars LazyFrame
        X = X.collect()
    if hasattr(X, "to_pandas"):
        return X.to_pandas()
    if not arrays:
        raise TypeError(
            f"{name} must be a pandas or polars DataFrame, with named columns; got "
            f"{type(X).__name__}."
        )
    X = as_array(X, name)
    if X.ndim != 2:
        raise ValueError(f"{name} must have rows and columns, got the shape {X.shape}.")
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])


def as_array(X, name="X"):
    """An array of what has no columns of its own.

    Raises
    ------
    ValueError
        If its rows differ in length.
    """
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(f"{name} has no array of rows and columns: {error}") from None


def native(frame):
    """The frame with its numbers in this machine's byte order, which pandas needs.

    Parameters
    ----------
    frame : DataFrame
        The table.

    Returns
    -------
    DataFrame
        The frame itself where nothing is to be done.
    """
    swapped = {
        name: dtype.newbyteorder("=")
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, np.dtype) and not dtype.isnative
    }
    return frame.astype(swapped) if swapped else frame


def refuse_unclear(X, name="X"):
    """Refuse a table whose entries are masked, or two of whose columns share a name.

    Parameters
    ----------
    X : frame or array-like of shape (n, p)
        The table.
    name : str, default="X"
        What error messages call it.

    Raises
    ------
    ValueError
        If it is masked, as a mask is lost on the way, or a name is there twice.
    """
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        place = np.argwhere(np.ma.getmaskarray(X))[0].tolist()
        where = ", ".join(f"{a} {i}" for a, i in zip(("row", "column"), place))
        raise ValueError(
            f"{name} is masked, for instance in {where}: fill it, {name}.filled(...), "
            "or leave these rows out."
        )
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].tolist()[0]
        raise ValueError(
            f"{name} has two columns {twice!r}, and a name stands for one: rename them."
        )


def check_columns(frame, **columns):
    """Refuse names that are no columns of the frame."""
    for role, names in columns.items():
        for key in names if isinstance(names, (list, tuple)) else [names]:
            if key is None:
                continue
            if not isinstance(key, Hashable) or key not in frame.columns:
                raise ValueError(
                    f"{role}={key!r} is not a column. The columns are "
                    f"{list(frame.columns)}."
                )


def plain_ids(frame, keys):
    """The frame with its ids in the one dtype pandas infers, so that tables join.

    Whole numbers of any width become int64, where they fit and none is missing.
    """
    return frame.assign(**{key: _plain_id(frame[key]) for key in keys})


def _plain_id(ids):
    if ids.dtype == _TEXT:  # is what pandas infers
        return ids
    if ids.dtype.kind == "O":  # categories too
        return ids.astype(object).infer_objects()
    if ids.dtype.kind == "b" and ids.dtype != bool and not ids.isna().any():
        return ids.astype(bool)
    if ids.dtype.kind in "iu" and ids.dtype != np.int64 and not ids.isna().any():
        if len(ids) == 0 or ids.max() <= np.iinfo(np.int64).max:
            return ids.astype("int64")
    return ids


def coded(ids):
    """The distinct ids of a column as they come, and the position of each row's.

    Parameters
    ----------
    ids : Series of shape (n,)
        None is missing.

    Returns
    -------
    codes : ndarray of shape (n,), int64
    distinct : Index
    """
    # Categories and others by their values, as they are in any table.
    if ids.dtype != _TEXT and not isinstance(ids.dtype, np.dtype):
        ids = ids.to_numpy()
    codes, distinct = pd.factorize(ids)
    return codes.astype(np.int64, copy=False), pd.Index(distinct)
