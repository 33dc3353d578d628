"""The catalogue of a log whose features stand on disk, made block by block."""

import numpy as np

from sklearn_causalrec.encoding.disk_arrays import DiskArray
from sklearn_causalrec.encoding.streamed_log import in_memory
from sklearn_causalrec.ranking.catalogue import Catalogue

CATALOGUED_ROWS = 2**20  # rows that are added at once


def make_catalogue(rows, n_users, n_items, before=None, **options):
    """The catalogue of a log, in memory or on disk.

    Parameters
    ----------
    rows : Rows
        The encoded log.
    n_users, n_items : int
        The number of users and items.
    before : Catalogue, default=None
        That of the log so far.
    **options
        Further parameters of `Catalogue`.

    Returns
    -------
    Catalogue
        The one that a log in memory has; means over the rows are as near as float32
        tells them.
    """
    if not isinstance(rows.features, DiskArray):
        return Catalogue(rows, n_users, n_items, before, **options)
    found = before
    for block in rows.features.blocks(CATALOGUED_ROWS):
        found = Catalogue(in_memory(rows, block), n_users, n_items, found, **options)
    if rows.time is not None and len(rows) > CATALOGUED_ROWS:
        _keep_last_in_time(found, rows)
    return found


def _keep_last_in_time(catalogue, rows):
    """Blocks are added in the order of the log; what stays is the last row in time."""
    order = np.argsort(rows.time, kind="stable")
    for codes, side in ((rows.user, catalogue._users), (rows.item, catalogue._items)):
        last = np.full(len(side.known), -1)
        last[codes[order]] = order
        here = np.flatnonzero(last >= 0)
        side.table[:-1][here] = rows.features[last[here]]
        mean = side.table[:-1][side.known].mean(axis=0, dtype=np.float64)
        gaps = np.isnan(mean)
        mean[gaps] = side.table[-1][gaps]
        side.table[-1] = mean
        side.table[:-1][~side.known] = side.table[-1]
        if codes is rows.user:
            for name in ("history", "history_values"):
                table, values = getattr(catalogue, name), getattr(rows, name)
                if table is not None and values is not None:
                    table[:-1][here] = values[last[here]]
