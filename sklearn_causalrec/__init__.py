"""Causal recommendation with deep models as scikit-learn estimators.

``predict`` answers "what happens if it is shown", ``effect`` answers "what changes
because it is shown", ``recommend`` ranks by either.

torch, skorch and econml load on first use: every public name below is imported from
its module when it is first asked for.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "CausalDNNRecommender": "sklearn_causalrec.recommender",
    "CausalGraph": "sklearn_causalrec.causal",
    "CounterfactualPolicy": "sklearn_causalrec.policy_learner",
    "DoCalculusEffect": "sklearn_causalrec.do_effect",
    "Estimand": "sklearn_causalrec.causal",
    "NotIdentifiableError": "sklearn_causalrec.causal",
    "effect": "sklearn_causalrec.inspection",
    "explain": "sklearn_causalrec.inspection",
    "recommend": "sklearn_causalrec.inspection",
}
_MODULES = ("baselines", "datasets", "interactions", "metrics", "plot")

__all__ = [*_PUBLIC, *_MODULES, "__version__"]


def __getattr__(name):
    if name in _PUBLIC:
        value = getattr(import_module(_PUBLIC[name]), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
