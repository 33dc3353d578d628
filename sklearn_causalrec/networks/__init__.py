"""Torch networks, their objectives, and the skorch net that trains them.

What a network minimises is an :class:`Objective`, and what it makes of a row is an
:class:`Encoder`. Each one is a class that declares what it requires. It is registered
by name in ``OBJECTIVES`` or ``ENCODERS``, and estimators take the name.
"""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.networks.encoders import ENCODERS as ENCODERS
    from sklearn_causalrec.networks.encoders import Encoder as Encoder
    from sklearn_causalrec.networks.objectives import OBJECTIVES as OBJECTIVES
    from sklearn_causalrec.networks.objectives import Implicit as Implicit
    from sklearn_causalrec.networks.objectives import Objective as Objective
    from sklearn_causalrec.networks.optimizers import DivergenceError as DivergenceError
    from sklearn_causalrec.networks.policy_objectives import (
        POLICY_OBJECTIVES as POLICY_OBJECTIVES,
    )
    from sklearn_causalrec.networks.policy_objectives import (
        PolicyObjective as PolicyObjective,
    )
    from sklearn_causalrec.networks.ranks import WorkerError as WorkerError
    from sklearn_causalrec.networks.ranks import distributed as distributed
    from sklearn_causalrec.networks.requires import Requires as Requires
    from sklearn_causalrec.networks.resumption import checkpoints as checkpoints
    from sklearn_causalrec.networks.text_tower import PretrainedText as PretrainedText

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "DivergenceError": "optimizers",
        "ENCODERS": "encoders",
        "Encoder": "encoders",
        "Implicit": "objectives",
        "OBJECTIVES": "objectives",
        "Objective": "objectives",
        "POLICY_OBJECTIVES": "policy_objectives",
        "PolicyObjective": "policy_objectives",
        "PretrainedText": "text_tower",
        "Requires": "requires",
        "WorkerError": "ranks",
        "checkpoints": "resumption",
        "distributed": "ranks",
    },
)
