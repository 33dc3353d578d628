"""From a raw log to what the estimators read: cleaning, examples, features, roles."""

from sklearn_causalrec.interactions.cleaning import CleaningReport, clean_log
from sklearn_causalrec.interactions.columns import ColumnRoles, IdIndex, Log

__all__ = ["CleaningReport", "ColumnRoles", "IdIndex", "Log", "clean_log"]
