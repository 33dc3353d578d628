"""Ready-made scorers that treatment and propensity are routed to.

With ``set_config(enable_metadata_routing=True)`` they travel through Pipeline,
``cross_validate`` and ``GridSearchCV``, sliced by fold::

    cross_validate(pipe, X, y, scoring=qini_scorer, params={"treatment": t})
"""

from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_causalrec._utils.judging import never_nan
from sklearn_causalrec.encoding.contrasts import either_name
from sklearn_causalrec.metrics.facts import METADATA
from sklearn_causalrec.metrics.registry import METRICS


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
        If metadata that the metric needs is missing, or the rows can't be judged by it,
        also inside of ``cross_validate`` and ``GridSearchCV`` whatever their
        ``error_score``: never nan.
    """

    def __init__(self, name, kwargs=None, *, T0=None, T1=None):
        self.name = name
        self.metric = METRICS[name]
        self.kwargs = kwargs or {}
        self.T0 = T0
        self.T1 = T1

    @never_nan
    def __call__(self, estimator, X, y, **metadata):
        unknown = set(metadata) - set(METADATA)
        if unknown:
            raise TypeError(f"{self!r} takes {METADATA}, got {sorted(unknown)}.")
        return self.metric.evaluate(
            estimator, X, y, metadata, self.T0, self.T1, **self.kwargs
        )

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


def make_causal_scorer(name, *, T0=None, T1=None, control=None, **kwargs):
    """Make a scorer of a metric, with parameters of its own.

    Parameters
    ----------
    name : str
        The name of the metric, which is that of its ready-made scorer without
        ``_scorer``: "qini", "auuc", "uplift_at_k", "rate", "calibration_error", "cdcg",
        "causal_precision", "r_loss", "dr_loss", "joint_loss", "pehe", "ate_error",
        "ndcg", "recall", "mrr", "map", "policy_value", or one that
        :func:`register_metric` added.
    T0 : scalar, default=None
        The arm that effects are against, as in ``effect``. None stands for the
        ``control_`` of the estimator.
    T1 : scalar, default=None
        The arm whose effects are judged. None stands for the other of two arms. Rows of
        other arms than `T0` and `T1` are left out.
    control : scalar, default=None
        Another name for `T0`.
    **kwargs
        Parameters of the metric, for instance ``k=50``. The metrics that need outcomes
        and propensities of the rows ("rate", "calibration_error", "cdcg",
        "causal_precision", "r_loss", "dr_loss", "joint_loss") fit them to the rows to
        be judged, out of fold. They also take ``model``, a regressor, and ``cv``, the
        number of folds. "policy_value" takes ``by``, "effect" or "outcome", by which
        the judged estimator chooses.

    Returns
    -------
    CausalScorer
        A scorer for ``cross_validate`` and ``GridSearchCV``. More is better: the sign
        of losses is changed.

    Raises
    ------
    ValueError
        If no metric has the name, or `T0` and `control` are different arms.

    See Also
    --------
    register_metric : Add a metric and its scorer.
    sklearn.metrics.make_scorer : Make a scorer that needs no treatment.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import make_causal_scorer
    >>> make_causal_scorer("uplift_at_k", k=0.1)
    make_causal_scorer('uplift_at_k', k=0.1)
    """
    if name not in METRICS:
        raise ValueError(f"There is no scorer {name!r}: choose one of {list(METRICS)}.")
    return CausalScorer(name, kwargs, T0=either_name(T0, control), T1=T1)
