"""CausalDNNRecommender: the estimator."""

import copy
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.identification.inputs import check_inputs, name_roles
from sklearn_causalrec.effects.second_stage import MAX_SEED, EffectMixin
from sklearn_causalrec.encoding.checks import (
    arm_codes,
    unchanged_on_failure,
)
from sklearn_causalrec.encoding.exposure import (
    add_facts,
    factual_exposure,
    make_exposure,
    summarize_overlap,
)
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ROLES, ColumnRoles
from sklearn_causalrec.networks.encoders import ENCODERS, check_encoder
from sklearn_causalrec.networks.ensemble import Ensemble
from sklearn_causalrec.networks.net import resolve_device
from sklearn_causalrec.networks.objectives import OBJECTIVES, check_objective
from sklearn_causalrec.networks.settings import SHARED_CONSTRAINTS, RecommenderSettings
from sklearn_causalrec.ranking.catalogue import Catalogue, PairScores
from sklearn_causalrec.ranking.recommend import recommend


def _is_classifier(estimator):
    return estimator.task == "classification"


class CausalDNNRecommender(EffectMixin, BaseEstimator):
    """Deep causal recommender: what happens if shown, what changes because shown.

    Each row of X is a decision that a system logged: a user, an item, a context.
    Networks with an outcome head for every treatment arm (TARNet [1]_, with an exposure
    head DragonNet [2]_) answer ``predict``; a cross-fitted, orthogonal second stage (an
    R-stack [3]_ of boosted trees, additive models and the networks) answers ``effect``.

    With one arm every row counts as shown: ``predict`` works and ``effect`` raises.
    With user and item named, the logged pairs against all pairs then tell how selective
    the exposure was, and rows shown at random (of known propensity, beside rows of an
    unknown one) undo selection on the outcome itself.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        "classification": a binary outcome; effects are risk differences.
    user, item, time, treatment, propensity : str or int, default=None
        Columns of X, by name or position, with a role; all others are features.
        User and item are keys with embeddings; ids not seen share one. The last rows
        in time are held out for validation. Treatment and propensity can be arguments
        of ``fit`` instead.
    history : str, int or sequence of them, default=None
        Column of lists of past items, oldest first, as
        :class:`~sklearn_causalrec.interactions.HistorySequence` makes it; further
        columns hold as many numbers, such as the time since. Items share the vectors of
        the item column, and what no row was about still has one.
    history_length : int, default=50
        The last so many items of a history count.
    towers : {"prefix"} or dict of str to prefix or list of columns, default=None
        Groups of features (user, item, context, text, image) with a first layer each,
        joined after it. "prefix": what stands before "__" in a column's name, as
        ColumnTransformer writes it. In a row that lacks a whole group (all NaN) a
        learned vector stands for it.
    encoder : {"dnn", "mf", "lstm", "gru", "transformer"}, default="dnn"
        Perceptron over features and embeddings, or matrix factorisation with biases,
        plus a perceptron over the features if any. Both have linear terms. "lstm",
        "gru" and "transformer" are "dnn" that reads the history in its order; "dnn"
        reads the mean of its items.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        The last layer belongs to the arm, those before are shared.
    embedding_dim : int, default=16
    dropout : float, default=0.0
    activation : {"relu", "elu", "gelu", "tanh"}, default="relu"
    input_noise : float, default=0.0
        Standard deviation of noise on standardised features while training.
    objective : str, default="targeted"
        "naive" weighs rows equally. "ips", "snips", "dr", "mrdr" and "stable_dr" weigh
        by the inverse exposure probability: right where exposure depends on what is in
        X, at a price in variance, which with one arm costs ranking. "targeted" fits as
        "naive", with targeted regularisation [2]_; with one arm it then moves the
        average, not the ranking. "uplift_rank" (several arms) ranks by effect, "escm2"
        is for a conversion after a click, "relmf" for implicit feedback, "pda" for
        popularity that drives both. What each assumes, and where it is wrong:
        :class:`~sklearn_causalrec.networks.Objective`.
    exposure_model : {"auto", "head", "popularity", "naive_bayes"} or classifier, \
            default="auto"
        With one arm, how likely a pair is logged: a head of the networks, the item's
        popularity, the outcome's marginal among rows shown at random, or a classifier
        of logged against all pairs that sees the features and how often user and item
        were logged. "auto": the popularity for "relmf", else the head. A given
        propensity always wins.
    clip : float, default=0.05
        Exposure probabilities count as at least this.
    effect_learner : {"stacked", "t"}, default="stacked"
        "t": no second stage; effects are differences of the outcome heads. The second
        stage is the larger part of a fit and ``predict`` and ``score`` do not use it:
        search by them, as in GridSearchCV, with "t", and refit the best parameters with
        "stacked".
    n_folds : int, default=5
        Of the cross-fitting; at most 3 from 10,000 rows on.
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
        return to the best; "auto": from 400 rows on. With users named, every user keeps
        rows to train on.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=5
    tol : float, default=1e-4
        Relative improvement that counts.
    n_estimators : int, default=1
        Networks, from different seeds, whose mean predicts.
    device : str, default="auto"
        "auto": a GPU where there is one; ``device_`` says which.
    warm_start : bool, default=False
        ``fit`` goes on from the networks there are.
    graph : CausalGraph, default=None
        Whose nodes are the columns of X, the treatment and y. ``fit`` refuses inputs
        that the treatment causes, colliders, and inputs that do not suffice, by name;
        where the graph says that the effect is not identified, ``predict`` works and
        ``effect`` raises. None: every input is a confounder measured before.
    verbose : int, default=0
        1: a progress bar that names the stage: fit, fold, effects.
    random_state : int, RandomState or None, default=None
        An int makes fits on CPU bit-identical.

    Attributes
    ----------
    arms_ : ndarray of shape (n_arms,)
        Treatment values, sorted.
    classes_ : ndarray of shape (2,)
        With ``task="classification"``.
    nets_ : list of skorch.NeuralNet
    log_encoder_ : LogEncoder
        Column roles, ids, arms and scales of the log.
    catalogue_ : Catalogue or None
        The users and items of the log, their features and the pairs seen; where user
        and item are named.
    exposure_model_ : object or None
        The fitted exposure model; None where a head of the networks stands for it.
    effects_ : ArmEffects or None
        The fitted second stage; None where effects are differences of outcome heads.
    history_ : list of dict
        A record an epoch: member, epoch, train_loss, valid_loss, valid_score (R^2 or
        area under the ROC curve), seconds.
    overlap_ : dict or None
        ``clipped``, the share of rows clipped; by arm the ``effective_sample_size`` and
        the ``calibration``, the mean of the inverse probability before clipping, which
        is 1 where probabilities are right. With one arm, of density ratios.
    device_ : str
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    ``set_config(enable_metadata_routing=True)`` is all it takes for ``treatment`` and
    ``propensity`` to travel through Pipeline, ``cross_validate`` and GridSearchCV;
    :func:`sklearn_causalrec.effect` and :func:`sklearn_causalrec.recommend` see through
    them.

    References
    ----------
    .. [1] Shalit, U., Johansson, F. and Sontag, D. (2017). "Estimating individual
       treatment effect: generalization bounds and algorithms." ICML.
    .. [2] Shi, C., Blei, D. and Veitch, V. (2019). "Adapting neural networks for the
       estimation of treatment effects." NeurIPS.
    .. [3] Nie, X. and Wager, S. (2021). "Quasi-oracle estimation of heterogeneous
       treatment effects." Biometrika 108(2).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(800, 3))
    >>> shown = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    >>> y = X[:, 0] + 2 * shown + rng.normal(size=800)
    >>> model = CausalDNNRecommender(random_state=0).fit(X, y, treatment=shown)
    >>> low, high = model.ate_interval()
    >>> bool(low < 2 < high)
    True
    """

    _parameter_constraints = {
        **SHARED_CONSTRAINTS,
        "task": [StrOptions({"regression", "classification"})],
        "history": [str, Integral, "array-like", None],
        "history_length": [Interval(Integral, 1, None, closed="left")],
        "towers": [StrOptions({"prefix"}), dict, None],
        "encoder": [ENCODERS.constraint],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "objective": [OBJECTIVES.constraint],
        "exposure_model": [
            StrOptions({"auto", "head", "popularity", "naive_bayes"}),
            HasMethods(["fit", "predict_proba"]),
        ],
        "effect_learner": [StrOptions({"stacked", "t"})],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "clip": [Interval(Real, 0, 1, closed="neither")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "graph": [CausalGraph, None],
        "warm_start": ["boolean"],
    }

    # Treatment travels through Pipeline and cross-validation as soon as metadata
    # routing is on, without a set_fit_request on the user's side.
    __metadata_request__fit = {"treatment": True, "propensity": True}
    __metadata_request__partial_fit = {"treatment": True, "propensity": True}
    __metadata_request__predict = {"treatment": True}
    __metadata_request__predict_proba = {"treatment": True}
    __metadata_request__score = {"treatment": True}

    def __init__(
        self,
        *,
        task="regression",
        user=None,
        item=None,
        time=None,
        treatment=None,
        propensity=None,
        history=None,
        history_length=50,
        towers=None,
        encoder="dnn",
        hidden_layer_sizes=(128, 64),
        embedding_dim=16,
        dropout=0.0,
        activation="relu",
        input_noise=0.0,
        objective="targeted",
        exposure_model="auto",
        clip=0.05,
        effect_learner="stacked",
        n_folds=5,
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
        n_estimators=1,
        device="auto",
        warm_start=False,
        graph=None,
        verbose=0,
        random_state=None,
    ):
        self.task = task
        self.user = user
        self.item = item
        self.time = time
        self.treatment = treatment
        self.propensity = propensity
        self.history = history
        self.history_length = history_length
        self.towers = towers
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.activation = activation
        self.input_noise = input_noise
        self.objective = objective
        self.exposure_model = exposure_model
        self.clip = clip
        self.effect_learner = effect_learner
        self.n_folds = n_folds
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
        self.n_estimators = n_estimators
        self.device = device
        self.warm_start = warm_start
        self.graph = graph
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if _is_classifier(self):
            from sklearn.utils import ClassifierTags

            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_class=False)
        else:
            from sklearn.utils import RegressorTags

            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        return tags

    # -- fitting ---------------------------------------------------------------

    def fit(self, X, y, treatment=None, propensity=None, sample_weight=None):
        """Train the networks and, with several arms, the effect learner.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            One logged decision a row.
        y : array-like of shape (n,)
            Outcome.
        treatment : array-like of shape (n,), optional
            What the system did. None, with no column named either: every row was
            exposed.
        propensity : array-like of shape (n,), optional
            Probability with which the arm taken was chosen, NaN where unknown.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a value cannot be used; the message names it. An estimator that was
            fitted before stays as it was.
        """
        with unchanged_on_failure(self):
            again = self.warm_start and hasattr(self, "nets_")
            rows = self._read(X, y, treatment, propensity, sample_weight, again)
            with Progress(self.verbose) as progress:
                self._train(rows, again, self.max_epochs, progress)
                self._fit_effects(rows, OBJECTIVES[self.objective], progress)
        return self

    def partial_fit(
        self,
        X,
        y,
        treatment=None,
        propensity=None,
        sample_weight=None,
        *,
        classes=None,
        arms=None,
    ):
        """One epoch on these rows, going on from where the networks stand.

        Scales come from the first call, and so do the arms and classes unless they
        are given; users and items may be new at any call. ``effect`` is then the
        difference of the outcome heads: the effect learner needs all rows at once.

        Parameters
        ----------
        X, y, treatment, propensity, sample_weight
            As in ``fit``.
        classes, arms : array-like, optional
            All classes of y, and all treatment values, that will ever come; for the
            first call.

        Returns
        -------
        self
        """
        with unchanged_on_failure(self):
            again = hasattr(self, "nets_")
            given = (X, y, treatment, propensity, sample_weight)
            rows = self._read(*given, again, classes, arms)
            with Progress(self.verbose) as progress:
                self._train(rows, again, 1, progress)
            self.effects_ = None
        return self

    def _check_graph(self, X, y, treatment):
        self._unidentified = None
        if self.graph is None:
            return
        if not hasattr(X, "columns"):
            raise ValueError("with a graph, X is a DataFrame: its columns are nodes.")
        if treatment is None and self.treatment is None:
            raise ValueError(
                "a graph is given and no treatment: name its column, treatment=..., or "
                "pass treatment= to fit."
            )
        columns = [c for c in X.columns if c != self.propensity]
        named = self.treatment
        if named is None:
            named = getattr(treatment, "name", None)
        outcome, named = name_roles(
            self.graph, columns, getattr(y, "name", None), named
        )
        inputs = [c for c in columns if c not in (named, self.time)]
        self._unidentified = check_inputs(self.graph, inputs, outcome, named)

    def _read(self, X, y, treatment, propensity, sample_weight, again, *known):
        """Check the parameters against each other, and encode the log."""
        self._validate_params()
        roles = {name: getattr(self, name) for name in ROLES}
        roles = ColumnRoles(self.towers, **roles)
        check_encoder(self.encoder, roles.given)
        self._check_graph(X, y, treatment)
        self.device_ = resolve_device(self.device)
        binary = _is_classifier(self)
        if again:
            encoder = copy.deepcopy(self.log_encoder_)
        else:
            length = self.history_length
            encoder = LogEncoder(roles, binary, *known, history_length=length)
        given = (X, y, treatment, propensity, sample_weight)
        rows = encoder.fit_rows(self, *given, first=not again)
        check_objective(self.objective, encoder.n_arms, binary, encoder.roles.given)
        self.log_encoder_, self.arms_ = encoder, encoder.arms
        if binary:
            self.classes_ = encoder.classes
        return rows

    def _train(self, rows, again, epochs, progress):
        rng = check_random_state(self.random_state)
        seeds = rng.randint(MAX_SEED, size=self.n_estimators)
        self._find_facts(rows, again)
        settings = RecommenderSettings.of(self, self.device_)
        ensemble = Ensemble(settings, self.log_encoder_)
        if again:
            ensemble.nets = self.nets_
        progress.stage("fit", epochs * self.n_estimators)
        history = ensemble.train(rows, seeds, epochs=epochs, progress=progress.step)
        self.history_ = [*self.history_, *history] if again else history
        self._ensemble, self.nets_ = ensemble, ensemble.nets
        self.n_iter_ = max(record["epoch"] for record in history)
        is_ratio = ensemble.objective.is_ratio(len(self.arms_))
        exposure = factual_exposure(rows, ensemble.predict(rows).exposure, is_ratio)
        clip = self.nets_[0].criterion_.clip
        self.overlap_ = summarize_overlap(rows, exposure, self.arms_, clip)

    def _find_facts(self, rows, again):
        """Catalogue, exposure and what else the log says, once; they travel in rows."""
        before = self.catalogue_ if again else None
        self.catalogue_ = None
        if self.user is not None and self.item is not None:
            encoder = self.log_encoder_
            size = len(encoder.users), len(encoder.items)
            self.catalogue_ = Catalogue(rows, *size, before)
        objective, n_arms = OBJECTIVES[self.objective], len(self.arms_)
        self.exposure_model_ = self._make_exposure(objective)
        if self.exposure_model_ is not None:
            rng = check_random_state(self.random_state)
            self.exposure_model_.fit(rows, self.catalogue_, rng)
        facts = (self.catalogue_, self.exposure_model_)
        add_facts(rows, *facts, objective=objective, n_arms=n_arms)

    def _make_exposure(self, objective):
        """The exposure model, where it is not a head of the networks."""
        several = len(self.arms_) > 1
        if several and not (
            isinstance(self.exposure_model, str)
            and self.exposure_model in ("auto", "head")
        ):
            raise ValueError(
                f"exposure_model={self.exposure_model!r} says which pairs were logged, "
                f"where every row was shown. Here are the arms {self.arms_.tolist()}: "
                'leave it "auto", or pass propensity= to fit.'
            )
        return make_exposure(self.exposure_model, objective)

    # -- what happens if it is shown -------------------------------------------

    def _outcomes(self, X):
        check_is_fitted(self, "nets_")
        rows = self.log_encoder_.rows(self, X)
        return rows, self._ensemble.predict(rows).outcome

    def _arms_of(self, rows, treatment, factual=False):
        """Code of each row's arm: as given, of its column, or of the one shown."""
        if treatment is not None:
            treatment = np.asarray(treatment)
            if treatment.ndim == 0:
                treatment = np.repeat(treatment[None], len(rows))
            if len(treatment) != len(rows):
                raise ValueError(
                    f"treatment has {len(treatment)} values and X {len(rows)} rows."
                )
            return arm_codes(treatment, self.arms_)
        if rows.arm is not None:
            return rows.arm
        if len(self.arms_) > 1 and factual:
            raise ValueError(
                f"Several arms {self.arms_.tolist()} were fitted, and an outcome can "
                "be scored only under the arm its row had: pass treatment= to score. "
                "With cross_validate and GridSearchCV, set_config("
                "enable_metadata_routing=True) and params={'treatment': t}, or name a "
                "column of X as treatment."
            )
        if len(self.arms_) > 2:
            raise ValueError(
                f"Which of the arms {self.arms_.tolist()}? Pass treatment= to predict, "
                "one arm or one a row."
            )
        return np.full(len(rows), len(self.arms_) - 1)

    def _mean_outcome(self, X, treatment, factual=False):
        rows, outcomes = self._outcomes(X)
        arm = self._arms_of(rows, treatment, factual)
        return outcomes[np.arange(len(rows)), arm]

    def predict(self, X, treatment=None):
        """Outcome if shown, or under the given arm.

        Parameters
        ----------
        X : array-like of shape (n, p)
        treatment : scalar or array-like of shape (n,), optional
            Arm. By default the arm of the treatment column where one is named, else
            the second of two arms: the item is shown.

        Returns
        -------
        ndarray of shape (n,)
            Mean outcome; the class where the outcome is binary.
        """
        mean = self._mean_outcome(X, treatment)
        if _is_classifier(self):
            return self.classes_[(mean > 0.5).astype(int)]
        return mean

    @available_if(_is_classifier)
    def predict_proba(self, X, treatment=None):
        """Probability of both classes if shown, or under the given arm; (n, 2)."""
        p = self._mean_outcome(X, treatment)
        return np.column_stack([1 - p, p])

    def score(self, X, y, treatment=None, sample_weight=None):
        """R^2, or the accuracy of a classifier, under the arm every row had.

        Raises
        ------
        ValueError
            If several arms were fitted and the arms of these rows are not given.
        """
        mean = self._mean_outcome(X, treatment, factual=True)
        if _is_classifier(self):
            predicted = self.classes_[(mean > 0.5).astype(int)]
            return accuracy_score(y, predicted, sample_weight=sample_weight)
        return r2_score(y, mean, sample_weight=sample_weight)

    def propensity_scores(self, X):
        """Probability of every arm, (n, n_arms), as the exposure model estimates it.

        With one arm, the density of logged over that of all pairs.
        """
        check_is_fitted(self, "nets_")
        rows = self.log_encoder_.rows(self, X)
        if self.exposure_model_ is not None:
            return self.exposure_model_.ratio(rows)[:, None]
        return self._ensemble.predict(rows).exposure

    # -- lists -----------------------------------------------------------------

    def recommend(self, users=None, k=10, **options):
        """The k best items of every user; see :func:`sklearn_causalrec.recommend`.

        Parameters
        ----------
        users : array-like of ids, frame, or None
        k : int
        **options
            items, by, cold_start, explore and all others of the function.
        """
        return recommend(self, users, k=k, **options)

    def pair_scores(self, by="effect", min_effect=None, T0=0, T1=1):
        """What ranks the pairs in ``recommend``.

        Returns
        -------
        PairScores
        """
        check_is_fitted(self, "nets_")
        t0, t1 = (0, 0)
        if by == "effect" or min_effect is not None:
            t0, t1 = self._contrast(T0, T1)
        elif len(self.arms_) > 1:
            t1 = self._contrast(T0, T1)[1]

        def score(rows):
            if by == "outcome":
                scores = self._ensemble.predict(rows).outcome[:, t1]
            else:
                scores = self._effect_rows(rows, t0, t1)
            if min_effect is None:
                return scores
            effect = scores if by == "effect" else self._effect_rows(rows, t0, t1)
            return np.where(effect > min_effect, scores, -np.inf)

        ids_alone = self.catalogue_.user_table.shape[1] == 0
        products = ids_alone and ENCODERS[self.encoder].matrix is not None
        if by == "outcome" and min_effect is None and products:
            return PairScores(score, partial(self._ensemble.matrix, arm=t1))
        return PairScores(score, None)
