"""From a raw log to what the estimators read: column roles and id encoding."""

from sklearn_causalrec.interactions.columns import ColumnRoles, IdIndex, Log

__all__ = ["ColumnRoles", "IdIndex", "Log"]
