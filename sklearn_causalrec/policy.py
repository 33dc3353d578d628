"""CounterfactualPolicy: which arm to choose, learned from logged bandit feedback."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec.effects.second_stage import MAX_SEED
from sklearn_causalrec.encoding.arms import arm_codes, check_arms
from sklearn_causalrec.encoding.checks import (
    check_weight,
    column,
    probability,
    unchanged_on_failure,
)
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ROLES, ColumnRoles
from sklearn_causalrec.metrics.off_policy.estimators import round_values
from sklearn_causalrec.networks.net import resolve_device
from sklearn_causalrec.networks.policy_net import PolicySettings, PolicyTraining
from sklearn_causalrec.networks.policy_objectives import POLICY_OBJECTIVES
from sklearn_causalrec.networks.settings import SHARED_CONSTRAINTS


class CounterfactualPolicy(BaseEstimator):
    r"""A policy learned from logged bandit feedback, without an outcome model.

    Each row of X is a decision that a system logged: a context, the arm taken, the
    probability with which it was taken, and its reward. The network *is* a policy
    :math:`\pi(a|x)`: it is trained to earn the most by what the log tells of it,
    where :class:`CausalDNNRecommender` learns outcomes, from which a policy follows.
    No model of outcomes can be wrong, as there is none; the price is variance. Where a
    regressor can fit the outcomes, the arm that it predicts to be best is the better
    choice (``benchmarks/RESULTS_policies.md``): compare both by
    :func:`~sklearn_causalrec.metrics.policy_value` on rows held out.

    Parameters
    ----------
    objective : {"banditnet", "offset_ips", "ips", "poem"}, default="banditnet"
        "ips": clipped inverse propensity scoring, a baseline: what it learns depends
        on where the rewards have their zero. "offset_ips": of rewards less their
        mean. "banditnet": the self-normalised value by Lagrange multipliers [2]_.
        "poem": penalises the variance, near a good logging policy [1]_. What each
        assumes, and where it is wrong:
        :class:`~sklearn_causalrec.networks.PolicyObjective`.
    multipliers : sequence of float, default=(-1, -0.5, 0, 0.5, 1)
        Of "banditnet": what is taken from the reward, in its standard deviations from
        its mean. That with the best self-normalised value on the validation rows
        stays (on all rows where none are held out). 0 is "offset_ips".
    variance_penalty : float, default=1.0
        Of "poem": weight of the standard error of the value.
    clip : float or None, default=None
        Largest importance weight of a row with a reward above 0.
    user, item, time, treatment, propensity : str or int, default=None
        Columns of X, by name or position, with a role; all others are features.
        User and item are keys with embeddings; ids not seen share one. The last rows
        in time are held out for validation. Treatment and propensity can be arguments
        of ``fit`` instead.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        The last layer belongs to the arm, those before are shared. (): a linear
        policy.
    embedding_dim : int, default=16
    dropout : float, default=0.0
    activation : {"relu", "elu", "gelu", "tanh"}, default="relu"
    optimizer : {"adam", "sgd"}, default="adam"
    learning_rate : float, default=2e-3
        Id tables learn ten times as fast.
    learning_rate_schedule : {"constant", "cosine", "plateau"}, default="constant"
    momentum : float, default=0.9
        Of "sgd".
    l1, l2 : float, default=0.0 and 2.0
        Penalties ``(l1 sum |w| + l2 / 2 sum w^2) / n`` on the weights: a prior that
        counts as much as so many rows.
    batch_size : int or "auto", default="auto"
        "auto": a 64th of the rows, between 128 and 1024.
    max_epochs : int, default=100
    early_stopping : bool or "auto", default="auto"
        Stop when the validation loss is not better for ``n_iter_no_change`` epochs, and
        return to the best; "auto": from 400 rows on.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=5
    tol : float, default=1e-4
        Improvement that counts, in standard deviations of the reward ("poem": in its
        range).
    device : str, default="auto"
        "auto": a GPU where there is one; ``device_`` says which.
    verbose : int, default=0
        1: a progress bar.
    random_state : int, RandomState or None, default=None
        An int makes fits on CPU bit-identical.

    Attributes
    ----------
    arms_ : ndarray of shape (n_arms,)
        Treatment values, sorted.
    net_ : skorch.NeuralNet
    log_encoder_ : LogEncoder
        Column roles, ids, arms and scales of the log.
    offset_ : float
        What was taken from y.
    history_ : list of dict
        A record an epoch: member (position in ``multipliers``), epoch, train_loss,
        valid_loss, valid_score (self-normalised value, in units of y), seconds.
    device_ : str
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    ``fit`` needs treatment and propensity, and raises without: a log that does not say
    which arm it took, and how likely, says nothing of another policy.
    ``set_config(enable_metadata_routing=True)`` is all it takes for both to travel
    through Pipeline, ``cross_validate`` and GridSearchCV; named as columns they need
    no routing. Scikit-learn's ``check_estimator``, which fits X and y alone, applies
    once they come from X.

    References
    ----------
    .. [1] Swaminathan, A. and Joachims, T. (2015). "Batch learning from logged bandit
       feedback through counterfactual risk minimization." JMLR 16.
    .. [2] Joachims, T., Swaminathan, A. and de Rijke, M. (2018). "Deep learning with
       logged bandit feedback." ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CounterfactualPolicy
    >>> from sklearn_causalrec.metrics import policy_value
    >>> rng = np.random.default_rng(0)
    >>> X, arm = rng.normal(size=(2000, 2)), rng.integers(0, 3, 2000)
    >>> y = rng.binomial(1, np.where(arm == (X[:, 0] > 0), 0.6, 0.2))
    >>> known = np.full(2000, 1 / 3)
    >>> policy = CounterfactualPolicy(random_state=0)
    >>> policy = policy.fit(X[:1000], y[:1000], arm[:1000], known[:1000])
    >>> policy.predict([[-2.0, 0.0], [2.0, 0.0]])
    array([0, 1])

    What it would earn on rows that it has not seen, beside the log's 0.33:

    >>> rest = slice(1000, None)
    >>> value = policy_value(
    ...     y[rest], arm[rest], policy, propensity=known[rest], X=X[rest])
    >>> bool(value.interval[0] > 0.45)
    True
    """

    _parameter_constraints = {
        **SHARED_CONSTRAINTS,
        "objective": [POLICY_OBJECTIVES.constraint],
        "multipliers": ["array-like"],
        "variance_penalty": [Interval(Real, 0, None, closed="left")],
        "clip": [Interval(Real, 0, None, closed="neither"), None],
    }

    # Both travel through Pipeline and cross-validation as soon as metadata routing is
    # on, without a set_fit_request on the user's side.
    __metadata_request__fit = {"treatment": True, "propensity": True}
    __metadata_request__score = {"treatment": True, "propensity": True}

    def __init__(
        self,
        *,
        objective="banditnet",
        multipliers=(-1.0, -0.5, 0.0, 0.5, 1.0),
        variance_penalty=1.0,
        clip=None,
        user=None,
        item=None,
        time=None,
        treatment=None,
        propensity=None,
        hidden_layer_sizes=(128, 64),
        embedding_dim=16,
        dropout=0.0,
        activation="relu",
        optimizer="adam",
        learning_rate=2e-3,
        learning_rate_schedule="constant",
        momentum=0.9,
        l1=0.0,
        l2=2.0,
        batch_size="auto",
        max_epochs=100,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=5,
        tol=1e-4,
        device="auto",
        verbose=0,
        random_state=None,
    ):
        self.objective = objective
        self.multipliers = multipliers
        self.variance_penalty = variance_penalty
        self.clip = clip
        self.user = user
        self.item = item
        self.time = time
        self.treatment = treatment
        self.propensity = propensity
        self.hidden_layer_sizes = hidden_layer_sizes
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.momentum = momentum
        self.l1 = l1
        self.l2 = l2
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Neither classifier nor regressor: y is the reward of an arm, not a label.
        tags.estimator_type = "policy"
        tags.target_tags.required = True
        return tags

    # -- fitting ---------------------------------------------------------------

    def fit(self, X, y, treatment=None, propensity=None, sample_weight=None):
        """Learn the policy that earns most.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            One logged decision a row.
        y : array-like of shape (n,)
            Reward of the arm taken; more is better.
        treatment : array-like of shape (n,), optional
            Arm taken. Needed, unless a column of X is named as treatment.
        propensity : array-like of shape (n,), optional
            Probability with which that arm was chosen. Needed, unless a column of X is
            named as propensity.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If treatment or propensity is missing, or a value cannot be used; the
            message names it. An estimator that was fitted before stays as it was.
        """
        with unchanged_on_failure(self):
            rows = self._read(X, y, treatment, propensity, sample_weight)
            with Progress(self.verbose) as progress:
                self._train(rows, progress)
        return self

    def _read(self, X, y, treatment, propensity, sample_weight):
        self._validate_params()
        multipliers = np.asarray(self.multipliers, dtype=np.float64)
        if multipliers.size == 0 or not np.isfinite(multipliers).all():
            raise ValueError(
                f"multipliers is {self.multipliers!r}: one finite number or more."
            )
        self.device_ = resolve_device(self.device)
        roles = {name: getattr(self, name, None) for name in ROLES}
        self.log_encoder_ = LogEncoder(ColumnRoles(**roles), binary=False)
        rows = self.log_encoder_.fit_rows(
            self, X, y, treatment, propensity, sample_weight
        )
        self.arms_ = self.log_encoder_.arms
        if treatment is None and self.treatment is None:
            raise ValueError(
                "treatment is missing: the arm of every row is what a policy chooses. "
                "Pass treatment= to fit, or name a column of X as treatment."
            )
        if len(self.arms_) < 2:
            raise ValueError(
                f"Every row has the arm {self.arms_.tolist()[0]!r} (n_samples = "
                f"{len(rows)}): there is nothing to choose. Rows of two arms or more "
                "are needed."
            )
        known = rows.propensity
        if known is None or np.isnan(known).any():
            which = "" if known is None else f" in {np.isnan(known).sum()} rows"
            raise ValueError(
                f"propensity is missing{which}: the reward of a row counts by the "
                "probability with which its arm was chosen. Pass propensity= to fit, "
                "or name a column of X. If it was not logged, estimate it: "
                "CausalDNNRecommender().fit(X, y, treatment).propensity_scores(X), or "
                "predict_proba of a classifier of the treatment, has the probability "
                "of every arm; pass that of the arm taken."
            )
        return rows

    def _train(self, rows, progress):
        seed = check_random_state(self.random_state).randint(MAX_SEED)
        settings = PolicySettings.of(self, self.device_)
        training = PolicyTraining(settings, self.log_encoder_)
        steps = self.max_epochs * len(training.translations(rows))
        progress.stage("fit", steps)
        self.net_, self.offset_, self.history_ = training.run(rows, seed, progress.step)
        self.n_iter_ = len(self.net_.history)

    # -- the policy ------------------------------------------------------------

    def predict_proba(self, X):
        """The policy: probability of every arm, in the order of ``arms_``.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        ndarray of shape (n, n_arms)
        """
        check_is_fitted(self, "net_")
        return self.net_.policy(self.log_encoder_.rows(self, X))

    def predict(self, X):
        """The most probable arm.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        ndarray of shape (n,)
            Values of ``arms_``.
        """
        policy = self.predict_proba(X)
        return self.arms_[policy.argmax(axis=1)]

    def score(self, X, y, treatment=None, propensity=None, sample_weight=None):
        """What the policy ``predict_proba`` would earn a row.

        The self-normalised value, the "snips" of
        :func:`~sklearn_causalrec.metrics.policy_value`, which has other estimators,
        and intervals, too.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
            Reward of the arm taken.
        treatment, propensity : array-like of shape (n,), optional
            Arm taken and its probability. Needed, unless columns of X are named. An
            arm that ``fit`` has not seen is one that the policy never takes.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
            In units of y.

        Raises
        ------
        ValueError
            If treatment or propensity is missing.
        """
        policy = self.predict_proba(X)
        y = column(y, "y", len(policy))
        log = self.log_encoder_.roles.split(self, X, reset=False)
        given = dict(treatment=treatment, propensity=propensity)
        for name, value in given.items():
            value = self.log_encoder_.one_source(name, value, getattr(log, name))
            if value is None:
                raise ValueError(
                    f"{name} is missing: a reward says something of a policy through "
                    f"the arm taken and its probability alone. Pass {name}= to score. "
                    "With cross_validate and GridSearchCV, set_config("
                    "enable_metadata_routing=True) and params={'treatment': t, "
                    "'propensity': p}, or name columns of X."
                )
            given[name] = value
        propensity = probability(given["propensity"], "propensity", len(policy))
        codes, arms = check_arms(given["treatment"], len(policy))
        weight = check_weight(sample_weight, log.features) / propensity
        weight *= self._columns(policy, arms)[np.arange(len(policy)), codes]
        return round_values("snips", y, weight, None, None, np.inf).estimate()

    def _columns(self, policy, arms):
        """The policy's columns for these arms, 0 where fit has not seen the arm."""
        columns = np.zeros((len(policy), len(arms)))
        for position, arm in enumerate(arms):
            try:
                code = arm_codes(arm, self.arms_)[0]
            except ValueError:
                continue
            columns[:, position] = policy[:, code]
        return columns
