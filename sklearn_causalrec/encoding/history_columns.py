"""Columns of lists: the items of a history, and numbers beside them."""

from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.roles import IdIndex, as_ids

BLOCK_ROWS = 65536


class Histories(NamedTuple):
    """The last items before n rows, oldest first, filled up with -1."""

    codes: np.ndarray  # (n, length) int32, positions in ids
    values: np.ndarray | None  # (n, length, q) float32, 0 where filled up
    ids: pd.Index

    def coded(self, table):
        """The codes as entries of a table, where -1 is its last one."""
        if isinstance(self.codes, np.ndarray):
            return table[self.codes]
        return self.codes.coded(table)


def _is_missing(cell):
    return cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell))


def _cells(column, name, start, stop):
    """Each cell as a list or an array; none is an empty one."""
    cells = []
    for row, cell in enumerate(column[start:stop], start):
        if _is_missing(cell):
            cell = ()
        elif isinstance(cell, (str, bytes)) or not hasattr(cell, "__len__"):
            raise ValueError(
                f"Column {name!r} is a history, so each cell is a list or an array of "
                f"items; in row {row} it is {cell!r}. HistorySequence makes such a "
                "column from a log."
            )
        elif not isinstance(cell, (list, tuple, np.ndarray)):
            cell = cell.to_numpy() if hasattr(cell, "to_numpy") else list(cell)
        cells.append(cell)
    return cells


def _flat(cells, lengths):
    """The last entries of all cells, one after the other."""
    parts = [c[len(c) - n :] for c, n in zip(cells, lengths) if n]
    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    flat = list(chain.from_iterable(parts))
    kinds = {type(value) for value in flat}
    return np.array(flat, dtype=object if str in kinds else None)


def read_histories(columns, names, length):
    """Histories from columns of lists.

    Parameters
    ----------
    columns : list of ndarray of shape (n,)
        The first holds ids of items, oldest first. The others hold as many numbers
        in each row.
    names : list
        The names of the columns, for error messages.
    length : int
        The number of items that are kept, the most recent ones.

    Returns
    -------
    Histories
        Codes of the items, the numbers, and the ids behind the codes.

    Raises
    ------
    ValueError
        If a cell is no sequence, an id is missing, or a column differs in length.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.array([["a", "b", "a"], None, ["c"]], dtype=object)
    >>> read_histories([cells], ["history"], 2).codes
    array([[ 1,  0],
           [-1, -1],
           [ 2, -1]], dtype=int32)
    """
    n = len(columns[0])
    codes = np.full((n, length), -1, np.int32)
    values = np.zeros((n, length, len(columns) - 1), np.float32)
    role = f"{names[0]} (history)"
    index = IdIndex(role)
    for start in range(0, n, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, n)
        cells = _cells(columns[0], names[0], start, stop)
        whole = np.array([len(cell) for cell in cells])
        lengths = np.minimum(whole, length)
        filled = np.arange(length) < lengths[:, None]
        if filled.any():
            ids = _flat(cells, lengths)
            if pd.isna(ids).any():
                row = start + np.repeat(np.arange(len(cells)), lengths)[pd.isna(ids)][0]
                raise ValueError(
                    f"Column {names[0]!r} has a missing item in row {row}: "
                    f"{columns[0][row]!r}. Leave it out of the history."
                )
            local, unique = pd.factorize(as_ids(ids, role))
            index.extend(unique)
            codes[start:stop][filled] = index.codes(unique)[local]
        for j, (column, name) in enumerate(zip(columns[1:], names[1:])):
            beside = _cells(column, name, start, stop)
            differ = np.array([len(cell) for cell in beside]) != whole
            if differ.any():
                row = int(differ.argmax())
                raise ValueError(
                    f"{name!r} has {len(beside[row])} values in row {start + row} and "
                    f"{names[0]!r} has {whole[row]}: one a past item."
                )
            numbers = _flat(beside, lengths).astype(np.float32)
            if not np.isfinite(numbers).all():
                bad = float(numbers[~np.isfinite(numbers)][0])
                raise ValueError(f"{name!r} holds {bad}: a finite number a past item.")
            values[start:stop, :, j][filled] = numbers
    return Histories(codes, values if len(columns) > 1 else None, index.ids)
