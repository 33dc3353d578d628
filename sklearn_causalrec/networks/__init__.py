"""Torch networks, their objectives, and the skorch net that trains them."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.networks.objectives import Objective as Objective
    from sklearn_causalrec.networks.policy_net import PolicyObjective as PolicyObjective

__getattr__, __dir__, __all__ = lazily(
    __name__, {"Objective": "objectives", "PolicyObjective": "policy_net"}
)
