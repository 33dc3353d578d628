"""Torch networks, their objectives, and the skorch net that trains them.

What a network minimises is an :class:`Objective`, what it makes of a row an
:class:`Encoder`. Each kind is a class that declares what it requires, registered by
name in ``OBJECTIVES`` or ``ENCODERS``; estimators take the name.
"""

from sklearn_causalrec._utils.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "ENCODERS": "encoders",
        "Encoded": "encoders",
        "Encoder": "encoders",
        "Inputs": "encoders",
        "OBJECTIVES": "objectives",
        "Objective": "objectives",
        "POLICY_OBJECTIVES": "policy_objectives",
        "PolicyObjective": "policy_objectives",
        "Requires": "requires",
    },
)
