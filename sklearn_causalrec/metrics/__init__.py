"""Metrics of effects, rankings and policies, and scorers that route treatment.

Plain functions of arrays; the instances named ``<metric>_scorer`` go into
``cross_validate`` and ``GridSearchCV``.
"""

from sklearn_causalrec.metrics.effects import (
    ate_error,
    calibration_error,
    calibration_line,
    doubly_robust_scores,
    dr_loss,
    effect_calibration,
    pehe,
    r_loss,
)
from sklearn_causalrec.metrics.intervals import (
    bernstein_interval,
    bootstrap_interval,
    confidence_sequence,
    ips_confidence_sequence,
    normal_interval,
)
from sklearn_causalrec.metrics.off_policy import (
    PolicyValue,
    effective_sample_size,
    slope,
)
from sklearn_causalrec.metrics.policy import cross_fit_outcomes, policy_value
from sklearn_causalrec.metrics.ranking import (
    coverage,
    mean_average_precision,
    mean_reciprocal_rank,
    miscalibration,
    ndcg_at_k,
    novelty,
    recall_at_k,
)
from sklearn_causalrec.metrics.recommender import recommender_policy
from sklearn_causalrec.metrics.scorers import (
    ate_error_scorer,
    auuc_scorer,
    calibration_error_scorer,
    causal_precision_scorer,
    cdcg_scorer,
    dr_loss_scorer,
    make_causal_scorer,
    map_scorer,
    mrr_scorer,
    ndcg_scorer,
    pehe_scorer,
    policy_value_scorer,
    qini_scorer,
    r_loss_scorer,
    rate_scorer,
    recall_scorer,
    uplift_at_k_scorer,
)
from sklearn_causalrec.metrics.slates import slate_policy_value
from sklearn_causalrec.metrics.targeting import (
    Rate,
    causal_precision_at_k,
    cdcg,
    rate,
    toc_curve,
)
from sklearn_causalrec.metrics.uplift import (
    Curve,
    auuc_score,
    qini_curve,
    qini_score,
    uplift_at_k,
    uplift_curve,
)

__all__ = [
    "Curve",
    "PolicyValue",
    "Rate",
    "ate_error",
    "ate_error_scorer",
    "auuc_score",
    "auuc_scorer",
    "bernstein_interval",
    "bootstrap_interval",
    "calibration_error",
    "calibration_error_scorer",
    "calibration_line",
    "causal_precision_at_k",
    "causal_precision_scorer",
    "cdcg",
    "cdcg_scorer",
    "confidence_sequence",
    "coverage",
    "cross_fit_outcomes",
    "doubly_robust_scores",
    "dr_loss",
    "dr_loss_scorer",
    "effect_calibration",
    "effective_sample_size",
    "ips_confidence_sequence",
    "make_causal_scorer",
    "map_scorer",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "miscalibration",
    "mrr_scorer",
    "ndcg_at_k",
    "ndcg_scorer",
    "normal_interval",
    "novelty",
    "pehe",
    "pehe_scorer",
    "policy_value",
    "policy_value_scorer",
    "qini_curve",
    "qini_score",
    "qini_scorer",
    "r_loss",
    "r_loss_scorer",
    "rate",
    "rate_scorer",
    "recall_at_k",
    "recall_scorer",
    "recommender_policy",
    "slate_policy_value",
    "slope",
    "toc_curve",
    "uplift_at_k",
    "uplift_at_k_scorer",
    "uplift_curve",
]
