"""Objectives: what the networks minimise. One file each, or one a tight family.

Each file registers its classes in ``OBJECTIVES``; its import below is what makes
them known.
"""

from sklearn_causalrec.networks.objectives.base import (
    OBJECTIVES,
    Objective,
    check_objective,
)
from sklearn_causalrec.networks.objectives.doubly_robust import (
    MRDR,
    DoublyRobust,
    StableDR,
)
from sklearn_causalrec.networks.objectives.escm2 import ESCM2
from sklearn_causalrec.networks.objectives.naive import Naive
from sklearn_causalrec.networks.objectives.pda import PDA
from sklearn_causalrec.networks.objectives.relmf import RelMF
from sklearn_causalrec.networks.objectives.targeted import Targeted
from sklearn_causalrec.networks.objectives.uplift_rank import UpliftRank
from sklearn_causalrec.networks.objectives.weighted import IPS, SNIPS

__all__ = [
    "ESCM2",
    "IPS",
    "MRDR",
    "OBJECTIVES",
    "PDA",
    "SNIPS",
    "DoublyRobust",
    "Naive",
    "Objective",
    "RelMF",
    "StableDR",
    "Targeted",
    "UpliftRank",
    "check_objective",
]
