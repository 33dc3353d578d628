"""Objectives: what the networks minimise. One file each, or one a tight family.

The import of a file is what registers its classes in ``OBJECTIVES``.
"""

from sklearn_causalrec.networks.objectives import doubly_robust as doubly_robust
from sklearn_causalrec.networks.objectives import escm2 as escm2
from sklearn_causalrec.networks.objectives import implicit as implicit
from sklearn_causalrec.networks.objectives import naive as naive
from sklearn_causalrec.networks.objectives import pda as pda
from sklearn_causalrec.networks.objectives import relmf as relmf
from sklearn_causalrec.networks.objectives import targeted as targeted
from sklearn_causalrec.networks.objectives import uplift_rank as uplift_rank
from sklearn_causalrec.networks.objectives import weighted as weighted
from sklearn_causalrec.networks.objectives.base import OBJECTIVES, Objective
from sklearn_causalrec.networks.objectives.implicit import Implicit

__all__ = ["OBJECTIVES", "Implicit", "Objective"]
