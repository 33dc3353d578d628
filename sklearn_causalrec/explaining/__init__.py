"""Answers that people read: reports and summaries."""

from sklearn_causalrec.explaining.contributions import EffectExplanation
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.segments import Segments

__all__ = ["EffectExplanation", "Report", "Segments"]
