"""From a raw log to the table that the estimators read.

The functions of this room clean a log
(:func:`~sklearn_causalrec.interactions.clean_log`), turn it into one row per decision
(:func:`build_examples`) and propose a preprocessor (:func:`make_preprocessor`). The
transformers compute features. The splitters cut a log into training and test rows.
"""

from sklearn_causalrec.encoding.roles import ColumnRoles, IdIndex, Log
from sklearn_causalrec.interactions.cleaner import CleaningReport
from sklearn_causalrec.interactions.cleaning import clean_log
from sklearn_causalrec.interactions.columns import CategoryColumns, NumberColumns
from sklearn_causalrec.interactions.databases import (
    DatabaseError,
    SQLQuery,
    write_lists,
)
from sklearn_causalrec.interactions.examples import build_examples
from sklearn_causalrec.interactions.features import (
    CalendarFeatures,
    DenseVectors,
    TextBag,
    TextEmbedding,
)
from sklearn_causalrec.interactions.histories import HistorySequence, PastAggregates
from sklearn_causalrec.interactions.on_disk import clean_dataset, partition_log
from sklearn_causalrec.interactions.preprocessing import Preprocessor, make_preprocessor
from sklearn_causalrec.interactions.splitters import (
    ColdItemSplit,
    ColdUserSplit,
    LastOutSplit,
    TimeSplit,
)

__all__ = [
    "CalendarFeatures",
    "CategoryColumns",
    "CleaningReport",
    "ColdItemSplit",
    "ColdUserSplit",
    "ColumnRoles",
    "DatabaseError",
    "DenseVectors",
    "HistorySequence",
    "IdIndex",
    "LastOutSplit",
    "Log",
    "NumberColumns",
    "PastAggregates",
    "Preprocessor",
    "SQLQuery",
    "TextBag",
    "TextEmbedding",
    "TimeSplit",
    "build_examples",
    "clean_dataset",
    "clean_log",
    "make_preprocessor",
    "partition_log",
    "write_lists",
]
