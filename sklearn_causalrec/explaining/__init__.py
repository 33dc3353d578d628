"""Answers that people read: reports and summaries."""

from sklearn_causalrec.explaining.report import Report

__all__ = ["Report"]
