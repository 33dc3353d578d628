"""Items of an index: how they are read, and conditions on them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import as_frame
from sklearn_causalrec.encoding.kinds import as_series
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.ranking.asked import Side, one_row_each


def allowed_items(condition, items):
    """The items that a condition allows.

    Parameters
    ----------
    condition : dict, callable or array of bool
        Conditions on columns, all of which have to hold; what makes a mask of `items`;
        or a mask, (n_items,) or (n_users, n_items).
    items : DataFrame
        The items.

    Returns
    -------
    ndarray of bool of shape (n_items,) or (n_users, n_items)

    Raises
    ------
    ValueError
        If a column is not there, or a mask is none of the items.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.serving.items import allowed_items
    >>> items = pd.DataFrame({"price": [5, 20, 9], "kind": ["a", "a", "b"]})
    >>> allowed_items({"price": (None, 10), "kind": ["a", "c"]}, items)
    array([ True, False, False])
    """
    n_items = len(items)
    if not isinstance(condition, Mapping):
        given = condition(items) if callable(condition) else condition
        return _mask(given, n_items, "filter", two=not callable(condition))
    out = np.ones(n_items, bool)
    for name, wanted in condition.items():
        if name not in items.columns:
            raise ValueError(
                f"filter names {name!r}, and the items have the columns "
                f"{list(items.columns)}: pass items= as a frame that holds it."
            )
        out &= _column_mask(items[name], wanted, f"filter[{name!r}]")
    return out


def _column_mask(column, wanted, name):
    if callable(wanted):
        return _mask(wanted(column), len(column), name)
    if isinstance(wanted, tuple):
        if len(wanted) != 2:
            raise ValueError(
                f"{name} is {wanted!r}: a pair (low, high) of bounds, or a list of "
                "values."
            )
        low, high = wanted
        mask = column.notna()
        try:
            if low is not None:
                mask &= column >= low
            if high is not None:
                mask &= column <= high
        except TypeError:
            raise ValueError(
                f"{name} is {wanted!r}, and the column holds "
                f"{column.iloc[0]!r}, which does not compare with it."
            ) from None
        return mask.to_numpy(bool)
    if isinstance(wanted, list | set | frozenset | np.ndarray):
        return column.isin(list(wanted)).to_numpy(bool)
    return (column == wanted).fillna(False).to_numpy(bool)


def _mask(given, n_items, name, two=False):
    mask = np.asarray(given)
    if mask.dtype != bool or mask.ndim not in ((1, 2) if two else (1,)):
        raise ValueError(
            f"{name} has the dtype {mask.dtype} and the shape {mask.shape}: a bool for "
            f"each of the {n_items} items."
        )
    if mask.shape[-1] != n_items:
        raise ValueError(
            f"{name} has {mask.shape[-1]} values for {n_items} items, in the order of "
            "items_."
        )
    return mask


def read_items(items):
    """Items as they came: a frame, or an array of ids."""
    if hasattr(items, "columns") or hasattr(items, "collect"):
        return as_frame(items, "items")
    try:
        if isinstance(items, str) or np.ndim(items) == 0:
            return np.array([items])
    except ValueError:  # of lists of several lengths
        raise TypeError("items are ids, or a frame of items: lists came.") from None
    try:
        return pd.unique(as_series(items, "items").to_numpy())
    except TypeError as error:
        raise TypeError(f"items are ids, or a frame of items: {error}.") from None


def once_each(frame, key):
    """The items as they came, each once; several rows that differ are refused.

    Parameters
    ----------
    frame : DataFrame
    key : str or int
        The column of ids.

    Returns
    -------
    DataFrame
    """
    ids = as_ids(frame[key].to_numpy(), "item")
    given = Side("item", key, ids, np.zeros(len(ids), int), frame)
    one_row_each(given, list(frame.columns))
    return frame[~pd.Series(ids).duplicated().to_numpy()].reset_index(drop=True)
