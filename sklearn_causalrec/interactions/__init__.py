"""From a raw log to what the estimators read: cleaning, examples, features, roles."""

from sklearn_causalrec.interactions.cleaning import CleaningReport, clean_log
from sklearn_causalrec.interactions.columns import ColumnRoles, IdIndex, Log
from sklearn_causalrec.interactions.examples import build_examples
from sklearn_causalrec.interactions.histories import HistorySequence, PastAggregates

__all__ = [
    "CleaningReport",
    "ColumnRoles",
    "HistorySequence",
    "IdIndex",
    "Log",
    "PastAggregates",
    "build_examples",
    "clean_log",
]
