"""Causal recommendation with deep models as scikit-learn estimators.

``predict`` answers "what happens if it is shown", ``effect`` answers "what changes
because it is shown", ``recommend`` ranks by either.

torch, skorch and econml load on first use: every public name below is imported from
its module when it is first asked for.
"""

from sklearn_causalrec._utils.lazy import lazily

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "CausalDNNRecommender": "recommender",
        "CausalGraph": "causal",
        "CounterfactualPolicy": "policy",
        "DoCalculusEffect": "do_effect",
        "Estimand": "causal",
        "NotIdentifiableError": "causal",
        "effect": "effects.effect",
        "explain": "ranking.recommend",
        "recommend": "ranking.recommend",
        "baselines": "",
        "causal": "",
        "datasets": "",
        "explaining": "",
        "interactions": "",
        "metrics": "",
        "networks": "",
        "plot": "",
        "ranking": "",
    },
)
__all__ += ["__version__"]
