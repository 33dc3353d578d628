"""Answers that people read: reports and summaries."""

from sklearn_causalrec.explaining.contributions import EffectExplanation
from sklearn_causalrec.explaining.decisions import Decision
from sklearn_causalrec.explaining.page import Page
from sklearn_causalrec.explaining.policy_tree import PolicyTree
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.segments import Segments

__all__ = [
    "Decision",
    "EffectExplanation",
    "Page",
    "PolicyTree",
    "Report",
    "Segments",
]
