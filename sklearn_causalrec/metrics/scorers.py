"""Ready-made scorers that treatment and propensity are routed to.

With ``set_config(enable_metadata_routing=True)`` they travel through Pipeline,
``cross_validate`` and ``GridSearchCV``, sliced by fold::

    cross_validate(pipe, X, y, scoring=qini_scorer, params={"treatment": t})
"""

import sys
from functools import partial

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.checks import column, probability
from sklearn_causalrec.metrics import effects, ranking, targeting, uplift
from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances
from sklearn_causalrec.metrics.off_policy.policy import policy_value
from sklearn_causalrec.metrics.policies import recommender_policy

METADATA = ("treatment", "propensity", "users", "true_effect")

# scikit-learn turns exceptions of a scorer into nan where these modules call it. A
# result that is no number is an error to it.
_SWALLOWING = {"sklearn.metrics._scorer", "sklearn.model_selection._validation"}


class _NoScore:
    """What a scorer returns where raising would become nan; it is raised, as text."""

    def __init__(self, reason):
        self.reason = reason

    def __repr__(self):
        return f"no score: {self.reason}"


class MissingMetadataError(ValueError):
    """What a scorer needs was not passed to it."""


class _Rows:
    """What a metric may read: the test rows, their metadata, and predictions."""

    def __init__(self, fitted, X, y, metadata, T0, T1):
        self.fitted, self.X, self.metadata = fitted, X, metadata
        self.estimator = unwrap(fitted)[1]
        self.T0, self.T1 = T0, T1
        if is_classifier(fitted) and hasattr(self.estimator, "classes_"):
            y = np.asarray(y) == self.estimator.classes_[-1]
        self.y = column(y, "y")

    def get(self, name, role=None):
        """Metadata by its name, or the column of X that has the role; or None."""
        value = self.metadata.get(name)
        if value is not None:
            return np.asarray(value)
        key = getattr(self.estimator, role or name, None)
        if key is None:
            return None
        if hasattr(self.X, "columns"):
            if key in self.X.columns:
                return np.asarray(self.X[key])
        elif isinstance(key, (int, np.integer)):
            return np.asarray(self.X)[:, key]
        return None

    def need(self, name, role=None):
        value = self.get(name, role)
        if value is None:
            raise MissingMetadataError(
                f"{name} is missing. Pass {name}= to the scorer; in cross_validate and "
                "GridSearchCV set_config(enable_metadata_routing=True) and pass "
                f"params={{'{name}': ...}} (to fit of a search: {name}=...), or name a "
                f"column of X as the estimator's {role or name}."
            )
        if len(value) != len(self.y):
            raise ValueError(
                f"{name} has {len(value)} values, and there are {len(self.y)} rows."
            )
        if pd.isna(value).any():
            row = int(pd.isna(value).argmax())
            raise MissingMetadataError(f"{name} is missing in row {row}: drop the row.")
        return value

    def arms(self):
        """The two arms that are compared, as the estimator calls them."""
        arms = np.asarray(getattr(self.estimator, "arms_", [self.T0, self.T1]))
        t0, t1 = self.T0, self.T1
        if not np.isin([0, 1], arms).any() and {t0, t1} <= set(range(len(arms))):
            t0, t1 = arms[t0], arms[t1]
        return t0, t1

    def two_arms(self):
        """Rows that had one of the two arms, and whether it was the second."""
        treatment = self.need("treatment")
        t0, t1 = self.arms()
        rows = np.flatnonzero((treatment == t0) | (treatment == t1))
        shown = treatment[rows] == t1
        if shown.all() or not shown.any():
            raise ValueError(
                f"The rows to be judged have no row of one of the arms {t0!r}, {t1!r}: "
                "the effect can't be judged on them. Stratify folds by treatment."
            )
        return rows, shown

    def propensity(self, rows):
        propensity = self.get("propensity")
        return None if propensity is None else np.asarray(propensity, float)[rows]

    def effect(self):
        return np.asarray(effect(self.fitted, self.X, T0=self.T0, T1=self.T1))

    def outcome(self, arm=None):
        """Predicted outcome of every row under an arm; None: if shown."""
        transform, estimator = unwrap(self.fitted)
        several = len(getattr(estimator, "arms_", ())) > 1
        if arm is None and several:
            arm = estimator.arms_[-1]
        arm = {} if arm is None else {"treatment": arm}
        X = transform(self.X)
        if is_classifier(estimator):
            return estimator.predict_proba(X, **arm)[:, 1]
        return estimator.predict(X, **arm)

    def nuisances(self, rows, shown, model, cv):
        """Cross-fitted outcomes and propensity, of all columns without a role in it."""
        X = self.X.to_pandas() if hasattr(self.X, "to_pandas") else self.X
        frame = pd.DataFrame(X).iloc[rows]
        of = {name: getattr(self.estimator, name, None) for name in _ROLES}
        hidden = [of[name] for name in ("treatment", "propensity") if of[name] in frame]
        return cross_fit_nuisances(
            frame.drop(columns=hidden),
            self.y[rows],
            shown,
            self.propensity(rows),
            ids=[of["user"], of["item"]],
            model=model,
            cv=cv,
        )


_ROLES = ("user", "item", "treatment", "propensity")


def _by_outcomes(rows, metric, **kwargs):
    """Metrics of outcomes, effects and arms."""
    kept, shown = rows.two_arms()
    return metric(
        rows.y[kept],
        rows.effect()[kept],
        shown,
        propensity=rows.propensity(kept),
        **kwargs,
    )


def _by_losses(rows, metric, *, model=None, cv=3):
    """Losses that need an outcome model, and an exposure one where it's not known."""
    kept, shown = rows.two_arms()
    outcomes, taken = rows.nuisances(kept, shown, model, cv)
    effect = rows.effect()[kept]
    if metric is effects.dr_loss:
        nuisance = {"outcomes": outcomes}
    else:
        chance = np.where(shown, taken, 1 - taken)
        mean = outcomes[:, 0] + chance * (outcomes[:, 1] - outcomes[:, 0])
        nuisance = {"outcome": mean}
    if metric is effects.joint_loss:
        own = [np.asarray(rows.outcome(arm))[kept] for arm in rows.arms()]
        nuisance["outcome_pred"] = np.column_stack(own)
    return metric(rows.y[kept], effect, shown, propensity=taken, **nuisance)


def _by_scores(rows, metric, *, lists=False, model=None, cv=3, **kwargs):
    """Metrics of doubly robust scores, ranked or binned by predicted effect."""
    users = rows.need("users", "user") if lists else None
    kept, shown = rows.two_arms()
    outcomes, taken = rows.nuisances(kept, shown, model, cv)
    scores = effects.doubly_robust_scores(
        rows.y[kept], shown, propensity=taken, outcomes=outcomes
    )
    effect = rows.effect()[kept]
    if lists:
        return metric(scores, effect, users[kept], **kwargs)
    return metric(effect, scores, **kwargs)


def _rate(priority, scores, **kwargs):
    return targeting.rate(priority, scores, n_bootstrap=2, **kwargs).estimate


def _by_truth(rows, metric):
    return metric(rows.need("true_effect"), rows.effect())


def _by_lists(rows, metric, **kwargs):
    """Metrics of lists by predicted outcome; what was not shown was not observed."""
    users = rows.need("users", "user")
    y, n = rows.y, len(rows.y)
    arms = getattr(rows.estimator, "arms_", ())
    shown = np.ones(n, bool)
    if len(arms) > 1:
        shown = rows.need("treatment") == arms[-1]
    taken = probability(rows.get("propensity"), "propensity", n, default=np.ones(n))
    return metric(
        np.where(shown, y, np.nan),
        rows.outcome(),
        users,
        propensity=np.where(shown, taken, 1.0),
        **kwargs,
    )


def _by_policy(rows, **kwargs):
    """Value of taking the best arm by predicted outcome."""
    treatment, propensity = rows.need("treatment"), rows.need("propensity")
    arms = getattr(rows.estimator, "arms_", np.unique(treatment))
    policy = recommender_policy(rows.fitted, rows.X, arms)
    name = kwargs.get("estimator", "dr")
    return policy_value(
        rows.y,
        treatment,
        policy,
        propensity=propensity,
        actions=arms,
        estimators=[name],
        **kwargs,
    ).value


class CausalScorer:
    """A scorer that asks for treatment, and refuses to score without.

    Make one by :func:`make_causal_scorer`. It is called as
    ``scorer(fitted, X, y, treatment=..., propensity=...)`` and sees through pipelines
    and searches; where the estimator names a column of X as its treatment (its
    propensity, its user), that is taken. Losses come with their sign changed, so that
    more is better.

    Raises
    ------
    ValueError
        If metadata that the metric needs is missing, also inside of ``cross_validate``
        and ``GridSearchCV`` whatever their ``error_score``: never nan.
    """

    def __init__(self, name, kwargs=None, *, T0=0, T1=1):
        self.name = name
        self.kwargs = kwargs or {}
        self.T0 = T0
        self.T1 = T1

    def __call__(self, estimator, X, y, **metadata):
        unknown = set(metadata) - set(METADATA)
        if unknown:
            raise TypeError(f"{self!r} takes {METADATA}, got {sorted(unknown)}.")
        evaluate, sign = METRICS[self.name]
        try:
            rows = _Rows(estimator, X, y, metadata, self.T0, self.T1)
            return sign * float(evaluate(rows, **self.kwargs))
        except MissingMetadataError as error:
            if sys._getframe(1).f_globals.get("__name__") in _SWALLOWING:
                return _NoScore(f"{self!r}: {error}")
            raise

    def __repr__(self):
        kwargs = "".join(f", {key}={value!r}" for key, value in self.kwargs.items())
        return f"make_causal_scorer({self.name!r}{kwargs})"

    def get_metadata_routing(self):
        request = MetadataRequest(owner=self)
        for name in METADATA:
            request.score.add_request(param=name, alias=True)
        return request

    def _accept_sample_weight(self):
        return False  # asked by scikit-learn's own scorers


def _metric(by, metric, sign=1, **kwargs):
    return partial(by, metric=metric, **kwargs), sign


METRICS = {
    "qini": _metric(_by_outcomes, uplift.qini_score),
    "auuc": _metric(_by_outcomes, uplift.auuc_score),
    "uplift_at_k": _metric(_by_outcomes, uplift.uplift_at_k),
    "rate": _metric(_by_scores, _rate),
    "calibration_error": _metric(_by_scores, effects.calibration_error, -1),
    "cdcg": _metric(_by_scores, targeting.cdcg, lists=True),
    "causal_precision": _metric(
        _by_scores, targeting.causal_precision_at_k, lists=True
    ),
    "r_loss": _metric(_by_losses, effects.r_loss, -1),
    "dr_loss": _metric(_by_losses, effects.dr_loss, -1),
    "joint_loss": _metric(_by_losses, effects.joint_loss, -1),
    "pehe": _metric(_by_truth, effects.pehe, -1),
    "ate_error": _metric(_by_truth, effects.ate_error, -1),
    "ndcg": _metric(_by_lists, ranking.ndcg_at_k),
    "recall": _metric(_by_lists, ranking.recall_at_k),
    "mrr": _metric(_by_lists, ranking.mean_reciprocal_rank),
    "map": _metric(_by_lists, ranking.mean_average_precision),
    "policy_value": (_by_policy, 1),
}


def make_causal_scorer(name, *, T0=0, T1=1, **kwargs):
    """A scorer with other parameters than the ready-made one.

    Parameters
    ----------
    name : str
        A ready-made scorer, without ``_scorer``: "qini", "auuc", "uplift_at_k",
        "rate", "calibration_error", "cdcg", "causal_precision", "r_loss", "dr_loss",
        "joint_loss", "pehe", "ate_error", "ndcg", "recall", "mrr", "map" or
        "policy_value".
    T0, T1 : scalar
        Arms that are compared, as in ``effect``; rows of others are left out.
    **kwargs
        Parameters of the metric, for instance ``k=50``. Those that need outcomes and
        propensities of the rows ("rate", "calibration_error", "cdcg",
        "causal_precision", "r_loss", "dr_loss", "joint_loss") fit them to the rows to
        be judged, out of fold, and take ``model``, a regressor, and ``cv``.

    Returns
    -------
    CausalScorer

    Examples
    --------
    >>> from sklearn_causalrec.metrics import make_causal_scorer
    >>> make_causal_scorer("uplift_at_k", k=0.1)
    make_causal_scorer('uplift_at_k', k=0.1)
    """
    if name not in METRICS:
        raise ValueError(f"There is no scorer {name!r}: choose one of {list(METRICS)}.")
    return CausalScorer(name, kwargs, T0=T0, T1=T1)


qini_scorer = make_causal_scorer("qini")
auuc_scorer = make_causal_scorer("auuc")
uplift_at_k_scorer = make_causal_scorer("uplift_at_k")
rate_scorer = make_causal_scorer("rate")
calibration_error_scorer = make_causal_scorer("calibration_error")
cdcg_scorer = make_causal_scorer("cdcg")
causal_precision_scorer = make_causal_scorer("causal_precision")
r_loss_scorer = make_causal_scorer("r_loss")
dr_loss_scorer = make_causal_scorer("dr_loss")
joint_loss_scorer = make_causal_scorer("joint_loss")
pehe_scorer = make_causal_scorer("pehe")
ate_error_scorer = make_causal_scorer("ate_error")
ndcg_scorer = make_causal_scorer("ndcg")
recall_scorer = make_causal_scorer("recall")
mrr_scorer = make_causal_scorer("mrr")
map_scorer = make_causal_scorer("map")
policy_value_scorer = make_causal_scorer("policy_value")
