"""Tables of any library as pandas frames, and what is asked of their columns."""

import numpy as np
import pandas as pd


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
        A pandas frame comes back as it is, not copied.

    Raises
    ------
    TypeError
        If X has no named columns, and ``arrays`` is False.
    ValueError
        If an array does not have rows and columns.
    """
    if isinstance(X, pd.DataFrame):
        return X
    if hasattr(X, "collect") and not hasattr(X, "to_pandas"):  # polars LazyFrame
        X = X.collect()
    if hasattr(X, "to_pandas"):
        return X.to_pandas()
    if not arrays:
        raise TypeError(
            f"{name} must be a pandas or polars DataFrame, with named columns; got "
            f"{type(X).__name__}."
        )
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"{name} must have rows and columns, got the shape {X.shape}.")
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])


def check_columns(frame, **columns):
    """Refuse names that are no columns of the frame."""
    for role, names in columns.items():
        for key in names if isinstance(names, (list, tuple)) else [names]:
            if key is not None and key not in frame.columns:
                raise ValueError(
                    f"{role}={key!r} is not a column. The columns are "
                    f"{list(frame.columns)}."
                )


def plain_ids(frame, keys):
    """The frame with its ids in the one dtype pandas infers, so that tables join."""
    fuzzy = [k for k in keys if frame[k].dtype.kind == "O"]  # categories too
    return frame.assign(**{k: frame[k].astype(object).infer_objects() for k in fuzzy})
