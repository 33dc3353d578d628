"""Scikit-learn's scorers, of the outcome predicted under the arm that each row had."""

from inspect import signature

from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer
from sklearn.utils.metadata_routing import MetadataRequest
from sklearn.utils.metaestimators import available_if

from sklearn_causalrec._utils.judging import never_nan
from sklearn_causalrec._utils.unwrap import is_policy, unwrap
from sklearn_causalrec.metrics.facts import RowMetadata

# The scorers of scikit-learn that are ready-made as outcome_<name>_scorer.
READY_MADE = (
    "accuracy",
    "average_precision",
    "neg_brier_score",
    "neg_log_loss",
    "neg_mean_absolute_error",
    "neg_mean_squared_error",
    "neg_root_mean_squared_error",
    "r2",
    "roc_auc",
)
_METADATA = ("treatment", "sample_weight")


def _takes_arm(method):
    return "treatment" in signature(method).parameters


def _has(name):
    return lambda self: hasattr(self.estimator, name)


class _UnderArms(BaseEstimator):
    """A fitted estimator whose predictions are those under the arms given."""

    def __init__(self, estimator, treatment):
        self.estimator = estimator
        self.treatment = treatment

    def __sklearn_tags__(self):
        return self.estimator.__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True

    def __getattr__(self, name):
        if name == "classes_":
            return self.estimator.classes_
        raise AttributeError(name)

    def _call(self, name, X):
        method = getattr(self.estimator, name)
        if self.treatment is None or not _takes_arm(method):
            return method(X)
        return method(X, treatment=self.treatment)

    def predict(self, X):
        return self._call("predict", X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X):
        return self._call("predict_proba", X)

    @available_if(_has("decision_function"))
    def decision_function(self, X):
        return self._call("decision_function", X)


class OutcomeScorer:
    """A scorer of scikit-learn, of predictions under the arm that each row had.

    Make one by :func:`make_outcome_scorer`. It is called as
    ``scorer(fitted, X, y, treatment=..., sample_weight=...)`` and sees through
    pipelines and searches; where the estimator names a column of X as its treatment,
    that is taken.

    Raises
    ------
    ValueError
        If the estimator knows several arms and treatment is missing, also inside of
        ``cross_validate`` and ``GridSearchCV`` whatever their ``error_score``.
    """

    def __init__(self, scoring):
        self.scoring = scoring
        self._scorer = get_scorer(scoring)

    @never_nan
    def __call__(self, estimator, X, y, **metadata):
        if unknown := set(metadata) - set(_METADATA):
            raise TypeError(f"{self!r} takes {_METADATA}, got {sorted(unknown)}.")
        transform, learner = unwrap(estimator)
        if is_policy(learner):
            raise TypeError(
                f"{type(learner).__name__} predicts arms and no outcomes: judge it by "
                "policy_value_scorer."
            )
        weight = metadata.get("sample_weight")
        weighted = {} if weight is None else {"sample_weight": weight}
        X = transform(X)
        arms = None
        if self._depends_on_arm(learner, X, metadata):
            arms = RowMetadata(metadata, learner, X, len(y)).need("treatment")
        return self._scorer(_UnderArms(learner, arms), X, y, **weighted)

    def _depends_on_arm(self, learner, X, metadata):
        """Whether the estimator has to be told which arm a row had."""
        if not _takes_arm(learner.predict):
            return False
        if len(getattr(learner, "arms_", ())) == 1:
            return False
        named = getattr(learner, "treatment", None)
        if metadata.get("treatment") is not None or named is None:
            return True
        named = named if isinstance(named, list | tuple) else [named]
        # It reads columns that it names by itself.
        return hasattr(X, "columns") and not all(name in X.columns for name in named)

    def __repr__(self):
        return f"make_outcome_scorer({self.scoring!r})"

    def get_metadata_routing(self):
        request = MetadataRequest(owner=self)
        for name in _METADATA:
            request.score.add_request(param=name, alias=True)
        return request

    def _accept_sample_weight(self):
        return self._scorer._accept_sample_weight()  # asked by scikit-learn's scorers


def make_outcome_scorer(scoring):
    """Make a scorer of outcomes: scikit-learn's, under the arm that each row had.

    Scikit-learn's own scorers can't tell an estimator which arm a row had. They compare
    predictions under one arm, as if all rows were shown, with the outcomes of rows of
    all arms.

    Parameters
    ----------
    scoring : str or callable
        The name of one of scikit-learn's scorers, such as "roc_auc" or "r2", or a
        scorer made by :func:`sklearn.metrics.make_scorer`.

    Returns
    -------
    OutcomeScorer
        A scorer for ``cross_validate`` and ``GridSearchCV``, which takes `treatment`
        and, if the scorer of scikit-learn does, `sample_weight`. The usual ones are
        ready-made as ``outcome_<name>_scorer``, for instance
        ``metrics.outcome_roc_auc_scorer``.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of the name.
    TypeError
        If `scoring` is a function of labels and predictions and no scorer.

    See Also
    --------
    make_causal_scorer : A scorer of effects, lists and policies.
    sklearn.metrics.get_scorer_names : The names of scikit-learn's scorers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.metrics import make_outcome_scorer
    >>> rng = np.random.default_rng(0)
    >>> X, shown = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
    >>> y = X[:, 0] + 3 * shown
    >>> model = CausalDNNRecommender(effect_learner="t", random_state=0)
    >>> model = model.fit(X, y, treatment=shown)
    >>> bool(make_outcome_scorer("r2")(model, X, y, treatment=shown) > 0.9)
    True
    """
    if not isinstance(scoring, str) and not hasattr(scoring, "_score_func"):
        raise TypeError(
            f"scoring is {scoring!r}: the name of a scorer of scikit-learn, or what "
            "sklearn.metrics.make_scorer makes of a function."
        )
    return OutcomeScorer(scoring)
