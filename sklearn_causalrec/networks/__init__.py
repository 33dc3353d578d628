"""Torch networks, their objectives, and the skorch net that trains them."""

from sklearn_causalrec._utils.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__, {"Objective": "objectives", "PolicyObjective": "policy_net"}
)
