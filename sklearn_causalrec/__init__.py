"""Causal recommendation with deep models as scikit-learn estimators.

``predict`` answers "what happens if it is shown", ``effect`` answers "what changes
because it is shown", ``recommend`` ranks by either.

torch, skorch and econml load on first use: every public name below is imported from
its module when it is first asked for.
"""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec import baselines as baselines
    from sklearn_causalrec import causal as causal
    from sklearn_causalrec import datasets as datasets
    from sklearn_causalrec import explaining as explaining
    from sklearn_causalrec import interactions as interactions
    from sklearn_causalrec import metrics as metrics
    from sklearn_causalrec import networks as networks
    from sklearn_causalrec import plot as plot
    from sklearn_causalrec import privacy as privacy
    from sklearn_causalrec import ranking as ranking
    from sklearn_causalrec import serving as serving
    from sklearn_causalrec.baselines.comparison import evaluate_lists as evaluate_lists
    from sklearn_causalrec.causal import CausalGraph as CausalGraph
    from sklearn_causalrec.causal import Estimand as Estimand
    from sklearn_causalrec.causal import NotIdentifiableError as NotIdentifiableError
    from sklearn_causalrec.causal import PartialGraph as PartialGraph
    from sklearn_causalrec.do_effect import DoCalculusEffect as DoCalculusEffect
    from sklearn_causalrec.effects.effect import effect as effect
    from sklearn_causalrec.effects.outcome_difference import (
        outcome_difference_interval as outcome_difference_interval,
    )
    from sklearn_causalrec.effects.regressor import EffectRegressor as EffectRegressor
    from sklearn_causalrec.explaining.contributions import (
        explain_effect as explain_effect,
    )
    from sklearn_causalrec.explaining.decisions import decide as decide
    from sklearn_causalrec.explaining.full_report import report as report
    from sklearn_causalrec.explaining.reasons import reasons as reasons
    from sklearn_causalrec.explaining.segments import segments as segments
    from sklearn_causalrec.policy import CounterfactualPolicy as CounterfactualPolicy
    from sklearn_causalrec.privacy.forgetting import forget as forget
    from sklearn_causalrec.ranking.recommend import explain as explain
    from sklearn_causalrec.ranking.recommend import recommend as recommend
    from sklearn_causalrec.ranking.similar import similar_items as similar_items
    from sklearn_causalrec.recommender import (
        CausalDNNRecommender as CausalDNNRecommender,
    )
    from sklearn_causalrec.serving.export import to_onnx as to_onnx
    from sklearn_causalrec.serving.files import load as load
    from sklearn_causalrec.serving.files import save as save
    from sklearn_causalrec.serving.index import EffectIndex as EffectIndex

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "CausalDNNRecommender": "recommender",
        "CausalGraph": "causal",
        "CounterfactualPolicy": "policy",
        "DoCalculusEffect": "do_effect",
        "EffectIndex": "serving.index",
        "EffectRegressor": "effects.regressor",
        "Estimand": "causal",
        "NotIdentifiableError": "causal",
        "PartialGraph": "causal",
        "decide": "explaining.decisions",
        "effect": "effects.effect",
        "evaluate_lists": "baselines.comparison",
        "explain": "ranking.recommend",
        "explain_effect": "explaining.contributions",
        "forget": "privacy.forgetting",
        "load": "serving.files",
        "outcome_difference_interval": "effects.outcome_difference",
        "reasons": "explaining.reasons",
        "recommend": "ranking.recommend",
        "report": "explaining.full_report",
        "save": "serving.files",
        "segments": "explaining.segments",
        "similar_items": "ranking.similar",
        "to_onnx": "serving.export",
        "baselines": "",
        "causal": "",
        "datasets": "",
        "explaining": "",
        "interactions": "",
        "metrics": "",
        "networks": "",
        "plot": "",
        "privacy": "",
        "ranking": "",
        "serving": "",
    },
)
__all__ += ["__version__"]
