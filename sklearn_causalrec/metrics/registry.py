"""The table of metrics: their scorers, the public names and the docs are made of it."""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from sklearn_causalrec._utils.judging import refusing
from sklearn_causalrec._utils.registry import Registry
from sklearn_causalrec.effects.intervals import effective_sample_size
from sklearn_causalrec.metrics import (
    beyond_accuracy,
    calibration,
    effects,
    policies,
    ranking,
    targeting,
    uplift,
)
from sklearn_causalrec.metrics.facts import FACTS, Facts
from sklearn_causalrec.metrics.off_policy import estimators, intervals, policy, slates

METRICS = Registry("metric")


class Metric:
    """A row of the table: a metric, and what its scorer needs to know of it.

    Parameters
    ----------
    fn : callable
        The metric: arrays in, a number out.
    name : str
        Its scorer is called ``<name>_scorer``.
    needs : sequence of str, or mapping of str to str
        Facts about the rows to be judged that the scorer gives to ``fn``: by the
        parameters of the same names, or, in a mapping, parameters and their facts.
        The facts are the public methods of :class:`Facts`.
    greater_is_better : bool, default=True
        False for losses, whose sign the scorer changes.
    score : callable, optional
        Called by the scorer in place of ``fn`` where that returns more than a number.

    Raises
    ------
    ValueError
        If a need is no fact.
    """

    def __init__(self, fn, name, *, needs, greater_is_better=True, score=None):
        if not isinstance(needs, Mapping):
            needs = {fact: fact for fact in needs}
        if unknown := [fact for fact in needs.values() if fact not in FACTS]:
            raise ValueError(
                f"The metric {name!r} needs {unknown[0]!r}, which scorers don't know: "
                f"choose among {list(FACTS)}."
            )
        self.fn, self.name, self.needs = fn, name, needs
        self.greater_is_better = greater_is_better
        self.score = fn if score is None else score
        self.__qualname__ = getattr(fn, "__qualname__", repr(fn))

    def evaluate(self, fitted, X, y, metadata, T0, T1, **kwargs):
        """The score of a fitted estimator: more is better.

        A refusal of the rows to be judged is a
        :class:`~sklearn_causalrec._utils.judging.NotScorableError`. What goes wrong in
        the judged model, such as effects that are NaN, is an error as it came: searches
        may give this candidate their ``error_score``.
        """
        facts = set(self.needs.values())
        how = {
            key: kwargs.pop(key)
            for key, concerned in Facts.PARAMETERS.items()
            if key in kwargs and facts & concerned
        }
        with refusing():
            found = Facts(facts, fitted, X, y, metadata, T0, T1, **how)
            given = self._facts(found, facts - Facts.PREDICTED)
        predicted = self._facts(found, facts & Facts.PREDICTED)
        if all(np.isfinite(value).all() for value in predicted.values()):
            with refusing():
                value = self.score(**given, **predicted, **kwargs)
        else:
            value = self.score(**given, **predicted, **kwargs)
        return float(value) if self.greater_is_better else -float(value)

    def _facts(self, found, facts):
        """Arguments of the metric that are among these facts."""
        return {
            key: getattr(found, fact)()
            for key, fact in self.needs.items()
            if fact in facts
        }


def register_metric(name, *, needs, greater_is_better=True):
    """Register a metric, which gives it a scorer.

    Parameters
    ----------
    name : str
        Name of the scorer without ``_scorer``.
    needs : sequence of str, or mapping of str to str
        What the scorer gives to the metric: facts about the rows to be judged, by the
        metric's parameters of the same names. A mapping names the parameters of other
        names and their facts. The facts are:

        - "y": the outcome; "users": whose list the row belongs to;
        - "effect_pred", "effect_true": the effect predicted, and the true one;
        - "treatment": whether the row had the second arm; "propensity": the
          probability of the arm taken, None where it is not known. Where a metric
          needs one of these or of the next four, rows of other arms are left out;
        - "outcomes": outcomes under both arms, of shape (n, 2), from models that are
          fitted to the rows to be judged, out of fold; "outcome": their mean over the
          arms; "scores": doubly robust scores of the effect. The propensity is
          estimated too then;
        - "outcome_pred": outcomes under both arms by what is judged, of shape (n, 2);
        - "y_true", "y_score", "observed_propensity": outcome of the rows that had the
          second of the arms compared, NaN in others, the outcome predicted under it,
          and the probability of having it;
        - "action", "actions", "policy", "logged_propensity": arm taken, all arms,
          their probabilities where the best predicted one is taken, and the
          probability of the arm taken, which has to be known.
    greater_is_better : bool, default=True
        Whether more is better. The scorer changes the sign of a loss.

    Returns
    -------
    callable
        A decorator, which returns the metric as it is.

    Raises
    ------
    ValueError
        If a fact is not known, or the name is that of another metric.

    See Also
    --------
    make_causal_scorer : A scorer with other parameters of its metric.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import metrics
    >>> @metrics.register_metric("best_half", needs=("y", "effect_pred", "treatment"))
    ... def best_half(y, effect_pred, treatment):
    ...     best = effect_pred >= np.median(effect_pred)
    ...     return y[best & treatment].mean() - y[best & ~treatment].mean()
    >>> metrics.best_half_scorer
    make_causal_scorer('best_half')
    """

    def add(fn):
        row = Metric(fn, name, needs=needs, greater_is_better=greater_is_better)
        METRICS.register(name)(row)
        return fn

    return add


def _rate(**given):
    return targeting.rate(**given, n_bootstrap=2).estimate


def _policy_value(estimator="dr", **given):
    return policy.policy_value(
        **given, estimator=estimator, estimators=[estimator]
    ).value


_TRUTH = ("effect_true", "effect_pred")
_OUTCOMES = ("y", "effect_pred", "treatment", "propensity")
_PRIORITY = {"priority": "effect_pred", "scores": "scores"}
_EFFECTS_OF_LISTS = {"users": "users", "effect": "scores", "y_score": "effect_pred"}
_LISTS = {
    "users": "users",
    "y_true": "y_true",
    "y_score": "y_score",
    "propensity": "observed_propensity",
}
_POLICY = {
    "y": "y",
    "action": "action",
    "propensity": "logged_propensity",
    "actions": "actions",
    "policy": "policy",
}

# The public names by the sections of docs/api.rst, in its order: metrics with a scorer
# as a `Metric`, and what has none as it is.
SECTIONS = {
    "Effects": [
        Metric(effects.pehe, "pehe", needs=_TRUTH, greater_is_better=False),
        Metric(effects.ate_error, "ate_error", needs=_TRUTH, greater_is_better=False),
        Metric(
            effects.r_loss,
            "r_loss",
            needs=(*_OUTCOMES, "outcome"),
            greater_is_better=False,
        ),
        Metric(
            effects.dr_loss,
            "dr_loss",
            needs=(*_OUTCOMES, "outcomes"),
            greater_is_better=False,
        ),
        Metric(
            effects.joint_loss,
            "joint_loss",
            needs=(*_OUTCOMES, "outcome", "outcome_pred"),
            greater_is_better=False,
        ),
        effects.doubly_robust_scores,
        calibration.effect_calibration,
        Metric(
            calibration.calibration_error,
            "calibration_error",
            needs=("effect_pred", "scores"),
            greater_is_better=False,
        ),
        calibration.calibration_line,
        uplift.Curve,
        uplift.uplift_curve,
        uplift.qini_curve,
        Metric(uplift.auuc_score, "auuc", needs=_OUTCOMES),
        Metric(uplift.qini_score, "qini", needs=_OUTCOMES),
        Metric(uplift.uplift_at_k, "uplift_at_k", needs=_OUTCOMES),
        targeting.toc_curve,
        targeting.Rate,
        Metric(targeting.rate, "rate", needs=_PRIORITY, score=_rate),
        Metric(targeting.cdcg, "cdcg", needs=_EFFECTS_OF_LISTS),
        Metric(
            targeting.causal_precision_at_k, "causal_precision", needs=_EFFECTS_OF_LISTS
        ),
    ],
    "Rankings": [
        Metric(ranking.ndcg_at_k, "ndcg", needs=_LISTS),
        Metric(ranking.recall_at_k, "recall", needs=_LISTS),
        Metric(ranking.mean_reciprocal_rank, "mrr", needs=_LISTS),
        Metric(ranking.mean_average_precision, "map", needs=_LISTS),
        beyond_accuracy.coverage,
        beyond_accuracy.novelty,
        beyond_accuracy.miscalibration,
    ],
    "Policies": [
        Metric(policy.policy_value, "policy_value", needs=_POLICY, score=_policy_value),
        slates.slate_policy_value,
        policies.recommender_policy,
        estimators.PolicyValue,
        effective_sample_size,
        estimators.slope,
        policy.cross_fit_outcomes,
        intervals.normal_interval,
        intervals.bootstrap_interval,
        intervals.bernstein_interval,
        intervals.confidence_sequence,
        intervals.ips_confidence_sequence,
    ],
}

for _row in chain.from_iterable(SECTIONS.values()):
    if isinstance(_row, Metric):
        METRICS.register(_row.name)(_row)


def public_objects():
    """The functions and classes of the table by their names."""
    rows = chain.from_iterable(SECTIONS.values())
    found = [row.fn if isinstance(row, Metric) else row for row in rows]
    return {each.__name__: each for each in found}
