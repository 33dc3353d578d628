"""From a raw log to what the estimators read: cleaning, examples, features, folds."""

from sklearn_causalrec.encoding.roles import ColumnRoles, IdIndex, Log
from sklearn_causalrec.interactions.cleaning import CleaningReport, clean_log
from sklearn_causalrec.interactions.columns import CategoryColumns, NumberColumns
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
    "DenseVectors",
    "HistorySequence",
    "IdIndex",
    "LastOutSplit",
    "Log",
    "NumberColumns",
    "PastAggregates",
    "Preprocessor",
    "TextBag",
    "TextEmbedding",
    "TimeSplit",
    "build_examples",
    "clean_dataset",
    "clean_log",
    "make_preprocessor",
    "partition_log",
]
