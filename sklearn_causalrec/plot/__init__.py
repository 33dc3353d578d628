"""Displays that follow the conventions of scikit-learn.

A display is made by ``from_estimator`` or by another constructor ``from_...``. It draws
itself and keeps what it drew in its attributes. matplotlib is imported when something
is drawn.
"""

from sklearn_causalrec.plot._balance import BalanceDisplay
from sklearn_causalrec.plot._calibration import CalibrationDisplay
from sklearn_causalrec.plot._effects import EffectDisplay
from sklearn_causalrec.plot._graph import CausalGraphDisplay
from sklearn_causalrec.plot._network import NetworkDisplay
from sklearn_causalrec.plot._overlap import OverlapDisplay
from sklearn_causalrec.plot._policy import PolicyValueDisplay
from sklearn_causalrec.plot._sensitivity import SensitivityDisplay
from sklearn_causalrec.plot._training import TrainingCurveDisplay
from sklearn_causalrec.plot._uplift import UpliftCurveDisplay

__all__ = [
    "BalanceDisplay",
    "CalibrationDisplay",
    "CausalGraphDisplay",
    "EffectDisplay",
    "NetworkDisplay",
    "OverlapDisplay",
    "PolicyValueDisplay",
    "SensitivityDisplay",
    "TrainingCurveDisplay",
    "UpliftCurveDisplay",
]
