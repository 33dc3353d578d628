"""What a recommendation is asked for: users, items, their context, pairs left out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, issparse

from sklearn_causalrec.encoding.checks import several
from sklearn_causalrec.encoding.frames import as_frame
from sklearn_causalrec.encoding.roles import as_ids


class Side(NamedTuple):
    """The users, or the items, that are asked for.

    Parameters
    ----------
    role : {"user", "item"}
        Which of them.
    key : str or int
        The column of ids, as the caller calls it.
    ids : ndarray of shape (n,)
        The ids. Each of them is there once.
    codes : ndarray of int of shape (n,)
        The codes of the ids in the log; those of unknown ids are one more than the
        largest.
    frame : DataFrame or None, default=None
        The columns that came with the ids.
    """

    role: str
    key: str | int
    ids: np.ndarray
    codes: np.ndarray
    frame: pd.DataFrame | None = None

    @property
    def comes_alone(self):
        """Whether no other column came with the ids."""
        return self.frame is None or self.frame.shape[1] <= 1


def column_of_role(fitted, estimator, role):
    """The name of the column of a role, as the caller calls it.

    A ColumnTransformer may have put a prefix before the name: the estimator's
    "remainder__user" is the caller's "user".

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    estimator : estimator
        The estimator at the end of `fitted`.
    role : str
        The role of the column.

    Returns
    -------
    str, int or None
        The name. It is the role itself if the columns have no names, and None if the
        role has no column.
    """
    roles = estimator.log_encoder_.roles
    if role not in roles.columns_:
        return None
    if not roles.has_names_:
        return role
    key = roles.columns_[role]
    raw = list(getattr(fitted, "feature_names_in_", [key]))
    if key in raw:
        return key
    found = [name for name in raw if str(key).endswith(f"__{name}")]
    return found[0] if len(found) == 1 else key


def read_side(given, role, key, index, known, position=None):
    """Read the users or the items that are asked for.

    Parameters
    ----------
    given : array-like of ids, frame, or None
        As the caller gave them.
    role : {"user", "item"}
        Which of them.
    key : str or int
        The column of ids.
    index : IdIndex
        The ids of the log.
    known : ndarray of ids
        What None stands for.
    position : int, default=None
        What the column may be called, too, where the log came without names.

    Returns
    -------
    Side
        The ids, each once, and the frame with a row each.

    Raises
    ------
    ValueError
        If an id is missing or of another kind than those of the log, or there are two
        different rows for one id.
    """
    if given is None:
        return Side(role, key, known, index.codes(known))
    if isinstance(given, Mapping):
        raise TypeError(
            f"{role}s came as a {type(given).__name__}: pass ids, or a DataFrame."
        )
    if not hasattr(given, "columns"):
        if isinstance(given, str) or (
            not pd.api.types.is_list_like(given) and not _is_many(given)
        ):
            given = [given]
        elif not hasattr(given, "dtype"):
            given = list(given)
        ids = pd.unique(as_ids(given, role))
        return Side(role, key, ids, index.codes(ids, role))
    frame = as_frame(given, f"{role}s")
    if key not in frame.columns and position in frame.columns:
        frame = frame.rename(columns={position: key})
    if key not in frame.columns:
        raise ValueError(
            f"{role}s came as a frame without the column {key!r} of ids; its columns "
            f"are {list(frame.columns)}."
        )
    frame = frame.reset_index(drop=True)
    ids = as_ids(frame[key].to_numpy(), role)
    codes = index.codes(ids, role, words=frame.shape[1] > 1)
    return Side(role, key, ids, codes, frame)


def _is_many(given):
    return isinstance(given, set | frozenset) or hasattr(given, "__next__")


def one_row_each(side, columns):
    """Keep one row of each id, and the columns that count.

    Parameters
    ----------
    side : Side
        The users or items, as read.
    columns : list
        The columns that count, whether they are there or not. That of ids does not.

    Returns
    -------
    Side
        Without repetitions.

    Raises
    ------
    ValueError
        If an id has several rows that differ.
    """
    if side.frame is None:
        return side
    mine = [name for name in side.frame if name in columns and name != side.key]
    frame = side.frame[mine]
    again = pd.Series(side.ids).duplicated(keep=False).to_numpy()
    if not again.any():
        return side._replace(frame=frame)
    cells = frame[again].astype(object).map(_comparable)
    cells.insert(0, "id of the row", side.ids[again], allow_duplicates=True)
    differ = cells[~cells.duplicated()]
    twice = differ["id of the row"].duplicated()
    if twice.any():
        which = differ.loc[twice, "id of the row"].tolist()[0]
        rows = np.flatnonzero(side.ids == which)[:5].tolist()
        raise ValueError(
            f"The {side.role} {which!r} has several rows in {side.role}s, {rows}, and "
            "they differ: pass one row each, and what all lists share as context=."
        )
    keep = ~pd.Series(side.ids).duplicated().to_numpy()
    frame = frame[keep].reset_index(drop=True)
    return side._replace(ids=side.ids[keep], codes=side.codes[keep], frame=frame)


def _comparable(cell):
    if isinstance(cell, list | tuple | np.ndarray):
        return repr(list(cell))
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return "a missing value"
    return cell


def read_context(context, known, keys, why_not):
    """Read the context that all lists share.

    Parameters
    ----------
    context : dict, one row of a frame, or None
        A value for each column.
    known : list
        The columns that it may hold.
    keys : tuple of two
        The columns of ids. A row that holds one of them is a row of the log: what it
        tells of its user and item, and what came with users and items, does not count.
    why_not : dict of column to str
        The known columns that cannot be set, and why.

    Returns
    -------
    dict
        The values of the known columns. Other columns of a row do not count, as in
        frames of users.

    Raises
    ------
    ValueError
        If a dict names another column, a column cannot be set, or a frame has not one
        row.
    TypeError
        If it is neither a dict nor a row.
    """
    if context is None:
        return {}
    if hasattr(context, "columns") or hasattr(context, "collect"):
        frame = as_frame(context, "context")
        if len(frame) != 1:
            raise ValueError(
                f"context has {len(frame)} rows, and it is one for all lists: pass one "
                "row or a dict. Columns that differ between users go with users=."
            )
        given = {name: frame[name].iloc[0] for name in frame}
    elif isinstance(context, pd.Series | Mapping):
        given = dict(context)
    else:
        raise TypeError(
            f"context is a {type(context).__name__}: pass a dict of column to value, "
            "or a frame of one row."
        )
    if not isinstance(context, Mapping):
        given = {name: value for name, value in given.items() if name in known + keys}
        if given.keys() & set(keys):
            without = {*keys, *why_not}
            return {name: v for name, v in given.items() if name not in without}
    for name in given:
        if name not in known:
            raise ValueError(
                f"context names {name!r}, which is not a column that it can set. It "
                f"can set {[name for name in known if name not in why_not]}."
            )
        if name in why_not:
            raise ValueError(f"context names {name!r}, {why_not[name]}.")
    return given


def excluded_pairs(exclude, users, items, indexes):
    """Read pairs that are left out.

    Parameters
    ----------
    exclude : frame, or array-like of shape (m, 2)
        The pairs: by the names of their columns, or in the order (user, item).
    users, items : Side
        What is asked for.
    indexes : tuple of two IdIndex
        The users and items of the log.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        True where a pair is left out.

    Raises
    ------
    ValueError
        If it is not told which column is which, or ids are spelt otherwise than in the
        log.
    """
    sides = users, items
    if isinstance(exclude, pd.MultiIndex):
        exclude = exclude.to_frame(index=False)
    if hasattr(exclude, "columns") or hasattr(exclude, "collect"):
        frame = as_frame(exclude, "exclude")
        lacking = [side.key for side in sides if side.key not in frame.columns]
        if lacking:
            raise ValueError(
                f"exclude lacks the columns {lacking} of ids; its columns are "
                f"{list(frame.columns)}."
            )
        pairs = [frame[side.key].to_numpy() for side in sides]
        found = _positions(pairs, sides, indexes)
    else:
        rows = several(exclude, "exclude", "[(user, item)]")
        for number, row in enumerate(rows):
            listed = not isinstance(row, str) and not issparse(row)
            if not listed or np.ndim(row) != 1 or len(row) != 2:
                raise ValueError(
                    f"exclude holds {row!r} in row {number}: pairs (user, item) are "
                    f"needed, or a frame with the columns {users.key!r} and "
                    f"{items.key!r}."
                )
        pairs = [[row[0] for row in rows], [row[1] for row in rows]]
        found = _in_order(pairs, sides, indexes)
    a, b = found
    keep = (a >= 0) & (b >= 0)
    shape = len(users.ids), len(items.ids)
    cells = (a[keep], b[keep])
    return csr_array((np.ones(int(keep.sum()), bool), cells), shape=shape)


def _positions(pairs, sides, indexes):
    """Positions of ids among those asked for; -1 for others."""
    out = []
    for values, side, index in zip(pairs, sides, indexes):
        role = f"{side.role} (exclude)"
        ids = as_ids(values, role)
        index.codes(ids, role, words=True)  # refuses ids of another kind
        out.append(pd.Index(side.ids).get_indexer(pd.Index(ids)))
    return out


def _n_known(pairs, sides, indexes):
    """How many pairs are of known ids; None where ids are of another kind."""
    known = True
    try:
        for values, side, index in zip(pairs, sides, indexes):
            ids = as_ids(values, side.role)
            found = index.codes(ids) < len(index)
            known &= found | pd.Index(ids).isin(side.ids)
    except ValueError:
        return None
    return int(np.sum(known))


def _in_order(pairs, sides, indexes):
    """As `_positions`, of pairs without names: refused where they look swapped."""
    known = _n_known(pairs, sides, indexes) or 0
    swapped = _n_known(pairs[::-1], sides, indexes) or 0
    looks_swapped = swapped > known
    if swapped and swapped == known:  # the same numbers are ids of users and of items
        asked = _n_asked(_positions(pairs, sides, indexes))
        others = _n_asked(_positions(pairs[::-1], sides, indexes))
        looks_swapped = asked == 0 and others == len(pairs[0])
    if looks_swapped:
        raise ValueError(
            "exclude looks like pairs (item, user): read as (user, item), fewer of "
            "them are known or asked for. Swap the columns, or pass a frame with the "
            f"columns {sides[0].key!r} and {sides[1].key!r}."
        )
    return _positions(pairs, sides, indexes)


def _n_asked(positions):
    user, item = positions
    return int(np.sum((user >= 0) & (item >= 0)))


def in_both(where):
    """Say why a column is refused that came in two places."""
    return f"which is in {where} as well: drop it from one of them"
