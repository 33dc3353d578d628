"""Policies that choose an arm, learned from logged bandit feedback."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_causalrec._utils.judging import NotScorableError, never_nan
from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec.effects.second_stage import MAX_SEED
from sklearn_causalrec.encoding.arms import arm_position, check_arms
from sklearn_causalrec.encoding.checks import (
    check_weight,
    column,
    probability,
    unchanged_on_failure,
)
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ROLES, ROW_ARGUMENTS, ColumnRoles
from sklearn_causalrec.metrics.off_policy.estimators import round_values
from sklearn_causalrec.networks.devices import resolve_device
from sklearn_causalrec.networks.id_tables import without_ids
from sklearn_causalrec.networks.policy_net import PolicySettings, PolicyTraining
from sklearn_causalrec.networks.policy_objectives import POLICY_OBJECTIVES
from sklearn_causalrec.networks.settings import SHARED_CONSTRAINTS


class CounterfactualPolicy(BaseEstimator):
    r"""A policy learned from logged bandit feedback, without an outcome model.

    Each row of X is a decision that a system logged: a context, the arm taken, the
    probability with which it was taken, and its reward. The network *is* a policy
    :math:`\pi(a|x)`. It is trained to earn the largest reward, as estimated from the
    log. :class:`~sklearn_causalrec.CausalDNNRecommender`, in contrast, learns outcomes,
    and a policy follows from them. No outcome model can be wrong here, because there is
    none. The price is variance. If a regressor can fit the outcomes, the arm with the
    best predicted outcome is the better choice (``benchmarks/RESULTS_policies.md``).
    Compare both by :func:`~sklearn_causalrec.metrics.policy_value` on held-out rows.

    Parameters
    ----------
    objective : {"banditnet", "offset_ips", "ips", "poem"}, default="banditnet"
        What is estimated from the log and maximised. "ips" is clipped inverse
        propensity scoring. It is a baseline: what it learns depends on where the
        rewards have their zero. "offset_ips" is the same for rewards minus their mean.
        "banditnet" maximises the self-normalised value by Lagrange multipliers [2]_.
        "poem" penalises the variance and stays near the logging policy [1]_, so it
        needs a good logging policy.
        :class:`~sklearn_causalrec.networks.PolicyObjective` states what each one
        assumes and where it is wrong.
    multipliers : sequence of float, default=(-1.0, -0.5, 0.0, 0.5, 1.0)
        The multipliers that "banditnet" tries. For each one, the mean of the reward
        plus so many of its standard deviations is subtracted from the reward, and a
        policy is trained. The policy with the best self-normalised value on the
        validation rows is kept; if no rows are held out, all rows decide. 0 is the same
        as "offset_ips".
    variance_penalty : float, default=1.0
        The weight of the standard error of the value in the objective "poem".
    clip : float or None, default=None
        The largest importance weight of a row with a reward above 0. With None, weights
        are not clipped.
    user : str or int, default=None
        The column of X with the user ids, by name or position. Users have embeddings,
        and all unknown users share one. All columns without a role are features.
    item : str or int, default=None
        The column of X with the item ids, by name or position. Items have embeddings,
        and all unknown items share one.
    time : str or int, default=None
        The column of X with the times, by name or position. The last rows in time are
        held out for validation.
    treatment : str or int, default=None
        The column of X with the arm taken, by name or position. It can be an argument
        of ``fit`` instead.
    propensity : str or int, default=None
        The column of X with the probability of the arm taken, by name or position. It
        can be an argument of ``fit`` instead.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        The widths of the hidden layers. Each arm has a last layer of its own; the
        layers before are shared. An empty sequence makes a linear policy.
    embedding_dim : int, default=16
        The length of the embedding of a user or an item.
    dropout : float, default=0.0
        The share of hidden units that are set to zero at each training step.
    activation : {"relu", "elu", "gelu", "tanh"}, default="relu"
        The activation function of the hidden layers.
    optimizer : {"adam", "sgd"}, default="adam"
        The optimiser.
    learning_rate : float, default=2e-3
        The learning rate at the start. The embeddings learn at ten times this rate.
    learning_rate_schedule : {"constant", "cosine", "plateau"}, default="constant"
        How the learning rate changes. "cosine" lowers it over the epochs along a
        cosine. "plateau" lowers it when the validation loss does not improve, or the
        training loss if no rows are held out.
    momentum : float, default=0.9
        The momentum of the optimiser "sgd".
    l1 : float, default=0.0
        The strength of the penalty ``l1 sum |w| / n`` on the weights w, where n is the
        number of rows.
    l2 : float, default=2.0
        The strength of the penalty ``l2 / 2 sum w^2 / n`` on the weights w. This prior
        counts as much as `l2` rows.
    batch_size : int or "auto", default="auto"
        The number of rows per batch. "auto" is the power of 2 at or below a 64th of the
        rows, between 128 and 1024.
    max_epochs : int, default=100
        The largest number of epochs.
    early_stopping : bool or "auto", default="auto"
        Whether rows are held out, and training stops when the validation loss has not
        improved for `n_iter_no_change` epochs. The best state is then restored. "auto"
        stops early with 400 rows or more.
    validation_fraction : float, default=0.1
        The share of the rows that are held out for validation with early stopping.
    n_iter_no_change : int, default=5
        The number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The decrease of the validation loss that counts as an improvement. Its unit is
        the standard deviation of the reward, or the range of the reward with "poem".
    device : str, default="auto"
        The device that the network is trained on, such as "cpu" or "cuda". "auto" is a
        GPU if there is one and the log has 20,000 rows or more, else the CPU.
        ``device_`` states which.
    verbose : int, default=0
        The verbosity. With 0, nothing is shown. With 1, there is a progress bar.
    random_state : int, RandomState instance or None, default=None
        The seed of the training. An int makes fits on a CPU bit-identical.

    Attributes
    ----------
    arms_ : ndarray of shape (n_arms,)
        The treatment values, sorted.
    net_ : skorch.NeuralNet
        The fitted network.
    log_encoder_ : LogEncoder
        Column roles, ids, arms and scales of the log.
    offset_ : float
        The number that was subtracted from the reward.
    history_ : list of dict
        One record per epoch with the keys member (the position in ``multipliers``),
        epoch, train_loss, valid_loss, valid_score (the self-normalised value in units
        of y) and seconds.
    device_ : str
        The device that the network was trained on.
    n_iter_ : int
        The number of epochs that the network was trained for.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    CausalDNNRecommender : Learn outcomes and effects instead of a policy.
    sklearn_causalrec.metrics.policy_value : Estimate what a policy would earn.
    sklearn_causalrec.plot.PolicyValueDisplay : Draw the value by every estimator.

    Notes
    -----
    ``fit`` needs treatment and propensity, and raises an error without them. A log that
    does not state which arm was taken, and with which probability, says nothing about
    another policy. After ``set_config(enable_metadata_routing=True)`` both are routed
    through Pipeline, ``cross_validate`` and GridSearchCV. As columns of X they need no
    routing. The function ``check_estimator`` of scikit-learn fits X and y alone. So it
    applies only if both are columns of X.

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

    On rows that it has not seen, it would earn more than the 0.33 of the log:

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

    # Both are routed through Pipeline and cross-validation once metadata routing is on.
    # The user needs no set_fit_request.
    __metadata_request__fit = dict.fromkeys(ROW_ARGUMENTS, True)
    __metadata_request__score = dict.fromkeys(ROW_ARGUMENTS, True)

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
            The log, with one decision per row.
        y : array-like of shape (n,)
            The reward of the arm taken. More is better.
        treatment : array-like of shape (n,), default=None
            The arm taken. It is needed, unless a column of X is named as treatment.
        propensity : array-like of shape (n,), default=None
            The probability with which that arm was chosen. It is needed, unless a
            column of X is named as propensity.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows have the weight 1.

        Returns
        -------
        CounterfactualPolicy
            The fitted policy itself.

        Raises
        ------
        ValueError
            If treatment or propensity is missing, or a value cannot be used. The
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
        self.device_ = resolve_device(self.device, _num_samples(X))
        roles = {name: getattr(self, name, None) for name in ROLES}
        self.log_encoder_ = LogEncoder(
            ColumnRoles(**roles), binary=False, many_arms=True
        )
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

    def _without_users(self, keep, rows):
        """Remove users, in place; see :func:`sklearn_causalrec.forget`."""
        self.log_encoder_.users.without(keep)
        without_ids([self.net_], "user", keep)

    # -- the policy ------------------------------------------------------------

    def predict_proba(self, X):
        """Return the policy: the probability of every arm.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The contexts.

        Returns
        -------
        ndarray of shape (n, n_arms)
            The probability of every arm, in the order of ``arms_``.
        """
        check_is_fitted(self, "net_")
        return self.net_.policy(self.log_encoder_.rows(self, X))

    def predict(self, X):
        """Return the most probable arm.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The contexts.

        Returns
        -------
        ndarray of shape (n,)
            The arm for each row, a value of ``arms_``.
        """
        policy = self.predict_proba(X)
        return self.arms_[policy.argmax(axis=1)]

    @never_nan
    def score(self, X, y, treatment=None, propensity=None, sample_weight=None):
        """Estimate what the policy of ``predict_proba`` would earn per row.

        This is the self-normalised value, "snips" in
        :func:`~sklearn_causalrec.metrics.policy_value`. That function also has other
        estimators, and intervals.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The logged decisions.
        y : array-like of shape (n,)
            The reward of the arm taken.
        treatment : array-like of shape (n,), default=None
            The arm taken. It is needed, unless a column of X is named as treatment. The
            policy never takes an arm that ``fit`` has not seen.
        propensity : array-like of shape (n,), default=None
            The probability with which that arm was chosen. It is needed, unless a
            column of X is named as propensity.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows have the weight 1.

        Returns
        -------
        float
            The value of the policy, in units of y.

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
                raise NotScorableError(
                    f"{name} is missing: a reward says something of a policy through "
                    f"the arm taken and its probability alone. Pass {name}= to score. "
                    "With cross_validate and GridSearchCV, set_config("
                    "enable_metadata_routing=True) and params={'treatment': t, "
                    "'propensity': p}, or name columns of X."
                )
            given[name] = value
        propensity = probability(given["propensity"], "propensity", len(policy))
        codes, arms = check_arms(given["treatment"], len(policy), any_number=True)
        weight = check_weight(sample_weight, log.features) / propensity
        weight *= self._columns(policy, arms)[np.arange(len(policy)), codes]
        return round_values("snips", y, weight, None, None, np.inf).estimate()

    def _columns(self, policy, arms):
        """Return the policy's columns for these arms, 0 for an arm unknown to fit."""
        columns = np.zeros((len(policy), len(arms)))
        known = self.arms_.tolist()
        for position, arm in enumerate(arms.tolist()):
            try:
                code = arm_position(arm, known, "treatment")
            except ValueError:
                continue
            columns[:, position] = policy[:, code]
        return columns
