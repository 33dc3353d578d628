"""From a raw log to what the estimators read: column roles, id encoding, splitters."""

from sklearn_causalrec.interactions.columns import ColumnRoles, IdIndex, Log
from sklearn_causalrec.interactions.splitters import (
    ColdItemSplit,
    ColdUserSplit,
    LastOutSplit,
    TimeSplit,
)

__all__ = [
    "ColdItemSplit",
    "ColdUserSplit",
    "ColumnRoles",
    "IdIndex",
    "LastOutSplit",
    "Log",
    "TimeSplit",
]
