"""CausalDNNRecommender: the estimator."""

import copy
from contextlib import ExitStack
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_causalrec._utils.judging import (
    NotScorableError,
    never_nan,
    warn_if_judged,
)
from sklearn_causalrec._utils.memory import give_back
from sklearn_causalrec._utils.postponed import Postponed
from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.baselines.blend import BlendRecommender, default_members
from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.identification.inputs import check_inputs, name_roles
from sklearn_causalrec.effects.intervals import check_alpha, summarize_overlap
from sklearn_causalrec.effects.overlap import at_the_clip, least_of_arms
from sklearn_causalrec.effects.removal import keeps_rows, remove
from sklearn_causalrec.effects.second_stage import MAX_SEED, EffectMixin
from sklearn_causalrec.effects.streamed_scores import sample_of, streamed_effects
from sklearn_causalrec.encoding.arms import (
    arm_codes,
    arm_position,
    listed,
    read_treatment,
)
from sklearn_causalrec.encoding.checks import unchanged_on_failure
from sklearn_causalrec.encoding.cluster_columns import Clusters, cluster_names, is_auto
from sklearn_causalrec.encoding.contrasts import contrast
from sklearn_causalrec.encoding.exposure import (
    add_facts,
    arm_probabilities,
    factual_exposure,
    make_exposure,
)
from sklearn_causalrec.encoding.feature_groups import told_owners
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.positives import last_items
from sklearn_causalrec.encoding.roles import ROLES, ROW_ARGUMENTS, ColumnRoles
from sklearn_causalrec.encoding.streamed_log import in_memory, is_on_disk, read_stream
from sklearn_causalrec.encoding.streams import (
    by_batches,
    is_stream,
    opened,
    refuse_stream,
)
from sklearn_causalrec.metrics.lists import held_out_ndcg
from sklearn_causalrec.networks.budget import PrivacyBudget
from sklearn_causalrec.networks.devices import resolve_device
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.encoders.base import ACTIVATIONS, check_encoder
from sklearn_causalrec.networks.ensemble import Ensemble, IdProducts
from sklearn_causalrec.networks.id_tables import without_ids
from sklearn_causalrec.networks.objectives import OBJECTIVES, Implicit
from sklearn_causalrec.networks.objectives.base import (
    check_objective,
    objective_class,
)
from sklearn_causalrec.networks.private import (
    PrivateEnsemble,
    check_private,
    check_private_log,
)
from sklearn_causalrec.networks.retrieval_net import RetrievalEnsemble
from sklearn_causalrec.networks.settings import SHARED_CONSTRAINTS, RecommenderSettings
from sklearn_causalrec.networks.streamed import StreamedEnsemble
from sklearn_causalrec.networks.text_tower import PretrainedText, TextStore
from sklearn_causalrec.ranking.catalogue import (
    PairScores,
    catalogue_scores,
)
from sklearn_causalrec.ranking.recommend import recommend
from sklearn_causalrec.ranking.streamed_catalogue import make_catalogue
from sklearn_causalrec.serving.flat_networks import FlatNetworks
from sklearn_causalrec.serving.pair_scorer import PairScorer

BLENDED_ROWS = 200_000  # up to which networks are part of a blend: they take long


def _is_classifier(estimator):
    return estimator.task == "classification"


def _warn_of_positives_alone(rows, encoder):
    """Warn where a log says who chose what, and nothing else."""
    ids = rows.user is not None and rows.item is not None
    if ids and encoder.n_arms == 1 and np.ptp(rows.y) == 0:
        warn_user(
            f"y is {rows.y[0]:g} in every row, so outcomes cannot differ and lists "
            'would be in no order. A log of who chose what makes lists by objective="'
            'implicit", by sklearn_causalrec.baselines.BlendRecommender, or by '
            'objective="auto" where nothing but the columns of X and y is given.'
        )


class CausalDNNRecommender(EffectMixin, BaseEstimator):
    """Deep causal recommender: what happens if shown, what changes because shown.

    Each row of X is a decision that a system logged: a user, an item, a context.
    Networks with an outcome head for every treatment arm (TARNet [1]_, with an exposure
    head DragonNet [2]_) answer ``predict``. A cross-fitted, orthogonal second stage (an
    R-stack [3]_ of boosted trees, additive models and the networks) answers ``effect``.

    With one arm every row counts as shown: ``predict`` works and ``effect`` raises an
    error. If user and item are named, the comparison of logged pairs with all pairs
    then tells how selective the exposure was. Rows shown at random (of known
    propensity, beside rows of an unknown one) undo selection on the outcome itself.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. "classification" is a binary outcome: effects are then
        risk differences.
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
        The column of X with the arm of each row, by name or position. It can be an
        argument of ``fit`` instead.
    propensity : str or int, default=None
        The column of X with the probability of the arm of each row, by name or
        position. It can be an argument of ``fit`` instead.
    cluster : str, int, list of two of them, "auto" or None, default="auto"
        The columns of ids by which rows belong together. "auto" takes `user` and
        `item`, as far as they are named. Intervals of averages count that the rows of
        a cluster are not independent (CR3; two ways by Cameron, Gelbach and Miller),
        and folds of the cross-fitting keep clusters whole if the treatment goes by
        cluster, or no ids are inputs. A column without another role is no feature.
        None: all rows are independent.
    history : str, int or sequence of them, default=None
        The column of lists of past items, oldest first, as
        :class:`~sklearn_causalrec.interactions.HistorySequence` makes it. Further
        columns hold as many numbers, such as the time since. The items share the
        vectors of the item column. An item that no row is about has a vector, too.
    history_length : int, default=50
        The number of items of a history that count, the last ones.
    control : scalar, default=None
        The arm that effects are against. With None it is told by the arms: False, 0 or
        else the smallest number, the first category of an ordered Categorical, or the
        one arm that is called control, placebo, none, no or off. Where they do not
        tell, effects have to be asked for by `T0` and `T1`.
    user_features : sequence of str or int, default=None
        The feature columns that describe the user. Their last values count in lists,
        if they change with time. With None, or for columns that are not named, the log
        tells whose a feature is (``catalogue_.owner``, see
        :class:`~sklearn_causalrec.ranking.Catalogue`). It cannot tell if every user
        has one row. With both `user_features` and `item_features`, all other features
        describe the context. The prefixes "user", "item" and "context" of `towers`
        tell the same.
    item_features : sequence of str or int, default=None
        The feature columns that describe the item, told as `user_features` are.
    towers : {"prefix"} or dict of str to prefix or list of columns, default=None
        Groups of features (user, item, context, text, image) with a first layer each,
        whose outputs are joined. "prefix" groups by what stands before "__" in a
        column's name, as ColumnTransformer writes it. A row may lack a whole group
        (all NaN): a learned vector then stands for it.
    text : PretrainedText, default=None
        The column of X with texts, and the pretrained encoder that reads them, frozen
        or tuned: see :class:`~sklearn_causalrec.networks.PretrainedText`. With None, no
        column holds texts.
    encoder : {"dnn", "mf", "lstm", "gru", "transformer"}, default="dnn"
        What the networks make of a row. "dnn" is a perceptron over features and
        embeddings. "mf" is matrix factorisation, where features of the user and of the
        item (``catalogue_.owner``) are part of the factors, with a perceptron over all
        features. "lstm", "gru" and "transformer" are "dnn" that reads the
        history in its order; "dnn" itself reads the mean of its items. All have
        linear terms and a bias for each id. The names are those of
        ``sklearn_causalrec.networks.ENCODERS``:
        :class:`~sklearn_causalrec.networks.Encoder` says how to add one.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        The widths of the hidden layers. Each arm has a last layer of its own; the
        layers before are shared.
    embedding_dim : int or "auto", default="auto"
        The length of the embedding of a user or an item. "auto" is 16, and 64 with the
        objective "implicit".
    dropout : float, default=0.0
        The share of hidden units that are set to zero at each training step.
    activation : {"relu", "elu", "gelu", "tanh", "auto"}, default="auto"
        The activation function of the hidden layers. "auto" is "elu", which is smooth,
        below 2,000 rows, and "relu", which is faster, from there on.
    input_noise : float, default=0.0
        The standard deviation of the noise on standardised features while training.
    objective : str or Implicit, default="auto"
        What the networks minimise. "auto" is "targeted", but for a log of who chose
        what: one with columns of users and items, without treatments, whose y is None
        or one number above 0. Its lists are those of ``blend_``, and the networks, with
        "implicit", are one of the models in it. "naive" weighs rows equally. "ips",
        "snips", "dr", "mrdr", "stable_dr" and "tdr" weigh rows by the inverse of their
        exposure. This is right if the exposure depends on what is in X. It costs
        variance and, with one arm, quality of the ranking. "targeted" fits as "naive"
        with targeted regularisation [2]_; with one arm it then moves the average and
        not the ranking. "uplift_rank" ranks by effect and needs several arms. "escm2"
        is for a conversion after a click, "relmf" for implicit feedback, "pda" for
        popularity that drives exposure and outcome. "implicit" is for a log of
        positives alone, of who chose what: it learns lists, and no outcomes or effects;
        :class:`~sklearn_causalrec.networks.Implicit` has its options. The names are
        those of ``sklearn_causalrec.networks.OBJECTIVES``.
        :class:`~sklearn_causalrec.networks.Objective` says what they share and how to
        add one. The class of each says what it assumes and where it is wrong.
    exposure_model : {"auto", "head", "popularity", "naive_bayes"} or classifier, \
            default="auto"
        What tells, with one arm, how likely a pair is logged. "head" is a head of the
        networks. "popularity" is the popularity of the item. "naive_bayes" is the
        outcome, whose distribution is known from rows shown at random. A classifier
        tells logged pairs from all pairs: it sees the features, and how often user
        and item were logged. "auto" is "popularity" for the objective "relmf", and
        "head" for others. A known propensity is used in any case.
    clip : float, default=0.05
        The least exposure probability: smaller ones count as this. In average effects
        it is less for a rare arm, in proportion to twice the share of the arm.
    effect_learner : {"stacked", "t"}, default="stacked"
        What estimates the effect. "stacked" is the second stage. "t" is the
        difference of the outcome heads, without intervals.
    lazy_effects : bool, default=True
        Whether the second stage waits until an effect is first asked for, by
        ``effect``, ``ate``, ``recommend`` by effect, ``propensity_`` or ``save``. It
        takes the larger part of the time, and ``predict`` and ``score`` do not use it,
        so that a search by them does without. Until then the estimator keeps the
        encoded rows of ``fit``, in a pickle too. The effects are the same to the bit
        with False: then ``fit`` does all.
    n_folds : int, default=5
        The number of folds of the cross-fitting. From 10,000 rows on it is at most 3.
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
    l2 : float or "auto", default="auto"
        The strength of the penalty ``l2 / 2 sum w^2 / n`` on the weights w. This prior
        counts as much as `l2` rows. "auto" is 2; with the objective "implicit" it is 6,
        or 20 with an encoder that reads the order of items there.
    batch_size : int or "auto", default="auto"
        The number of rows per batch. "auto" is the power of 2 at or below a 64th of the
        rows, between 128 and 1024. On a GPU it is up to 8192, and the learning rate is
        larger by the root of that factor.
    max_epochs : int or "auto", default="auto"
        The largest number of epochs. "auto" is 100. Where that makes less than 1,500
        batches, and training may stop early, it is as many as make those: an epoch of
        a small log is a few batches. ``n_iter_`` states how many there were.
    early_stopping : bool or "auto", default="auto"
        Whether rows are held out, and training stops when the validation loss has not
        improved for `n_iter_no_change` epochs. The best state is then restored. "auto"
        stops early with 400 rows or more. With a user column, every user keeps rows to
        train on.
    validation_fraction : float, default=0.1
        The share of the rows that are held out for validation with early stopping.
    n_iter_no_change : int or "auto", default="auto"
        The number of epochs without improvement after which training stops. "auto" is
        5, or as many as make 150 batches if these are more.
    tol : float, default=1e-4
        The relative decrease of the validation loss that counts as an improvement.
    n_estimators : int, default=1
        The number of networks, from different seeds. Their mean predicts.
    device : str, default="auto"
        The device that the networks are trained on, such as "cpu" or "cuda". "auto" is
        a GPU if there is one and the log has 20,000 rows or more, else the CPU;
        networks that go on stay where they are. ``device_`` states which.
    warm_start : bool, default=False
        Whether ``fit`` continues from the networks that were fitted before.
    graph : CausalGraph, default=None
        A graph whose nodes are the columns of X, the treatment and y. ``fit`` then
        refuses, by name, inputs that the treatment causes, colliders, and inputs that
        do not suffice. If the graph says that the effect is not identified,
        ``predict`` works and ``effect`` raises an error. With None, every input counts
        as a confounder that was measured before the treatment.
    private : PrivacyBudget, default=None
        The budget of differential privacy under which the networks are trained. Users
        are then the unit and no input, scales come from the budget, and what would use
        the log otherwise is refused by name: see
        :class:`~sklearn_causalrec.privacy.PrivacyBudget`. With None, training is not
        private.
    verbose : int, default=0
        The verbosity. With 0, nothing is shown. With 1, there is a progress bar that
        names the stage: fit, fold, effects.
    random_state : int, RandomState instance or None, default=None
        The seed of the training. An int makes fits on a CPU bit-identical.

    Attributes
    ----------
    arms_ : ndarray of shape (n_arms,)
        The treatment values, sorted.
    control_ : scalar or None
        The arm that effects are against. None if it can't be told, or every row had
        the same arm.
    classes_ : ndarray of shape (2,)
        The values of y, sorted; with ``task="classification"`` only.
    blend_ : BlendRecommender or None
        What makes the lists of a log of who chose what, with the objective "auto". Its
        ``weights_`` say how much each model counts, ``held_out_`` how good its lists
        were. None for all other logs.
    nets_ : list of skorch.NeuralNet
        The fitted networks. It is empty where ``blend_`` has none, which is so above
        200,000 rows.
    log_encoder_ : LogEncoder
        What encodes a log: column roles, ids, arms and scales.
    catalogue_ : Catalogue or None
        The users and items of the log, their features and the pairs seen. Its ``owner``
        says whose each feature is. None if user or item is not named.
    exposure_model_ : object or None
        The fitted exposure model. None if a head of the networks stands for it.
    effects_ : ArmEffects or None
        The second stage, fitted when it is first asked for. None if effects are
        differences of outcome heads.
    history_ : list of dict
        One record per epoch with the keys member (the position in ``nets_``), epoch,
        train_loss, valid_loss, valid_score (R^2, or the area under the ROC curve) and
        seconds.
    overlap_ : dict or None
        How well the arms overlap: ``clipped``, the share of rows in which an arm, be it
        the one that the row did not have, is less likely than `clip`, or, of an arm
        that few rows have, than `clip` in proportion; and by arm the
        ``effective_sample_size`` and the ``calibration``. The latter is the mean of the
        inverse exposure before clipping, which is 1 if the exposure is right. With one
        arm the exposure is a density ratio.
    propensity_ : ndarray of shape (n, n_arms) or None
        The probability of every arm in the rows of ``fit`` with a positive weight;
        cross-fitted if there is a second stage. None with one arm.
    effect_varies_ : ndarray of bool of shape (n_arms,) or None
        Whether the effect of each arm, against the first, was found to differ between
        rows. False means that one number for all predicts effects best. None if there
        is no second stage.
    averages_within_ : list of str
        The ids, of "user" and "item", within which rows are compared for average
        effects.
    privacy_spent_ : PrivacySpent or None
        What the training spent of its budget. None if it was not private.
    device_ : str
        The device that the networks were trained on.
    n_iter_ : int
        The largest number of epochs that a network was trained for.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of str
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    DoCalculusEffect : Effects that a graph identifies, by any regressors.
    CounterfactualPolicy : Learn a policy instead of outcomes and effects.
    recommend : Lists through any Pipeline or search.
    sklearn_causalrec.baselines : Simple recommenders to compare with.

    Notes
    -----
    ``set_config(enable_metadata_routing=True)`` is all it takes for ``treatment`` and
    ``propensity`` to travel through Pipeline, ``cross_validate`` and GridSearchCV;
    :func:`sklearn_causalrec.effect` and :func:`sklearn_causalrec.recommend` see through
    them.

    Fits in threads are those of one after the other. A process that is forked after a
    fit or a prediction with several torch threads hangs in torch: start processes by
    "spawn", as joblib does, or call ``torch.set_num_threads(1)`` before the first fit.

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
        "activation": [StrOptions({*ACTIVATIONS, "auto"})],
        "embedding_dim": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "l2": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "max_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "task": [StrOptions({"regression", "classification"})],
        "history": [str, Integral, "array-like", None],
        "history_length": [Interval(Integral, 1, None, closed="left")],
        "control": [str, Real, "boolean", None],
        "cluster": [str, Integral, list, tuple, None],
        "user_features": ["array-like", None],
        "item_features": ["array-like", None],
        "towers": [StrOptions({"prefix"}), dict, None],
        "text": [PretrainedText, None],
        "encoder": [ENCODERS.constraint],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "objective": [OBJECTIVES.constraint, StrOptions({"auto"}), Implicit],
        "exposure_model": [
            StrOptions({"auto", "head", "popularity", "naive_bayes"}),
            HasMethods(["fit", "predict_proba"]),
        ],
        "effect_learner": [StrOptions({"stacked", "t"})],
        "lazy_effects": ["boolean"],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "clip": [Interval(Real, 0, 1, closed="neither")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "graph": [CausalGraph, None],
        "private": [PrivacyBudget, None],
        "warm_start": ["boolean"],
    }

    blend_ = None

    # Treatment and weights travel through Pipeline and cross-validation as soon as
    # metadata routing is on, without a set_fit_request on the user's side.
    __metadata_request__fit = dict.fromkeys((*ROW_ARGUMENTS, "cluster"), True)
    __metadata_request__partial_fit = dict.fromkeys(ROW_ARGUMENTS, True)
    __metadata_request__predict = {"treatment": True}
    __metadata_request__predict_proba = {"treatment": True}
    __metadata_request__score = {"treatment": True, "sample_weight": True}

    def __init__(
        self,
        *,
        task="regression",
        user=None,
        item=None,
        time=None,
        treatment=None,
        propensity=None,
        cluster="auto",
        history=None,
        history_length=50,
        control=None,
        user_features=None,
        item_features=None,
        towers=None,
        text=None,
        encoder="dnn",
        hidden_layer_sizes=(128, 64),
        embedding_dim="auto",
        dropout=0.0,
        activation="auto",
        input_noise=0.0,
        objective="auto",
        exposure_model="auto",
        clip=0.05,
        effect_learner="stacked",
        lazy_effects=True,
        n_folds=5,
        optimizer="adam",
        learning_rate=2e-3,
        learning_rate_schedule="constant",
        momentum=0.9,
        l1=0.0,
        l2="auto",
        batch_size="auto",
        max_epochs="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change="auto",
        tol=1e-4,
        n_estimators=1,
        device="auto",
        warm_start=False,
        graph=None,
        private=None,
        verbose=0,
        random_state=None,
    ):
        self.task = task
        self.user = user
        self.item = item
        self.time = time
        self.treatment = treatment
        self.propensity = propensity
        self.cluster = cluster
        self.history = history
        self.history_length = history_length
        self.control = control
        self.user_features = user_features
        self.item_features = item_features
        self.towers = towers
        self.text = text
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
        self.lazy_effects = lazy_effects
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
        self.private = private
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        lists = self._retrieves(known=True) or self._may_blend()
        tags.target_tags.required = not lists
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

    def fit(
        self,
        X,
        y=None,
        treatment=None,
        propensity=None,
        sample_weight=None,
        cluster=None,
    ):
        """Train the networks; with several arms, the effect learner follows when asked.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p), or a log on disk
            The log, with one logged decision per row. A log larger than memory is a
            path of a parquet file or a folder of such, a ``pyarrow.dataset.Dataset``,
            or an iterable of record batches that can be read again, such as a list or
            a callable that returns one. It is read block by block, and the other
            arguments are then names of its columns.
        y : array-like of shape (n,), default=None
            The outcome of each row. It is needed, but for a log of who chose what,
            where None stands for 1. With the objective "implicit", y is the weight of a
            row, and rows with y of 0 or less are no positives.
        treatment : array-like of shape (n,), default=None
            The arm of each row: what the system did. With None, and no column named
            either, every row was exposed.
        propensity : array-like of shape (n,), default=None
            The probability with which the arm of the row was chosen; NaN where it is
            unknown.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows count equally.
        cluster : array-like of shape (n,) or (n, 2), default=None
            The ids by which rows belong together, where they are no columns of X.

        Returns
        -------
        CausalDNNRecommender
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If a value cannot be used; the message names it. An estimator that was
            fitted before stays as it was.

        Warns
        -----
        UserWarning
            If the log has one arm, users and items, and one value of y: there is
            nothing to tell outcomes by. The message says what makes the lists.
        """
        with unchanged_on_failure(self), ExitStack() as stack:
            given = (X, y, treatment, propensity, sample_weight, cluster)
            X, y, treatment, propensity, sample_weight, cluster = stack.enter_context(
                opened(*given)
            )
            again = self.warm_start and hasattr(self, "nets_")
            blends = not again and self._may_blend(treatment, propensity, cluster)
            blends = blends and not is_stream(X)
            silent = blends and y is None
            y = np.ones(_num_samples(X)) if silent else y
            given = (X, y, treatment, propensity, sample_weight)
            rows = self._read(*given, again, cluster=cluster, lists=silent)
            if blends and rows.y.min() == rows.y.max() > 0:
                return self._fit_blend(rows, X, silent)
            self._tell_positives_alone(rows, again)
            with Progress(self.verbose) as progress:
                self._train(rows, again, None, progress)
                Postponed.drop(self)
                self.effects_ = None
                objective = objective_class(self.objective)
                if is_on_disk(rows):
                    found = streamed_effects(self, rows, objective, progress)
                    vars(self).update(found)
                    self._ensemble = self._ensemble.plain()
                elif self.private is None:
                    self._fit_effects(rows, objective, progress)
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
        """Train for one epoch on these rows, from where the networks stand.

        Scales come from the first call. So do the arms and classes, unless they are
        given. Users and items may be new at any call. ``effect`` is the difference of
        the outcome heads afterwards: the effect learner needs all rows at once.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows, with one logged decision each.
        y : array-like of shape (n,)
            The outcome of each row.
        treatment : array-like of shape (n,), default=None
            The arm of each row, as in ``fit``.
        propensity : array-like of shape (n,), default=None
            The probability of the arm of each row, as in ``fit``.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row, as in ``fit``.
        classes : array-like, default=None
            All classes of y that will ever come. It counts at the first call.
        arms : array-like, default=None
            All treatment values that will ever come. It counts at the first call.

        Returns
        -------
        CausalDNNRecommender
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If a value cannot be used; the message names it. An estimator that was
            fitted before stays as it was.
        """
        with unchanged_on_failure(self), ExitStack() as stack:
            again = hasattr(self, "nets_")
            if self.private is not None:
                raise ValueError(
                    "partial_fit does not go together with private=: what each call "
                    "spends on a user adds up. Fit once, with all rows."
                )
            given = (X, y, treatment, propensity, sample_weight)
            *given, _ = stack.enter_context(opened(*given))
            rows = self._read(*given, again, classes, arms)
            self._tell_positives_alone(rows, again)
            with Progress(self.verbose) as progress:
                self._train(rows, again, 1, progress)
            if is_on_disk(rows):
                self._ensemble = self._ensemble.plain()
            Postponed.drop(self)
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
        ids = [c for c in cluster_names(self.cluster) if c not in self.graph.nodes]
        inputs = [c for c in columns if c not in (named, self.time, *ids)]
        self._unidentified = check_inputs(self.graph, inputs, outcome, named)

    def _read(
        self, X, y, treatment, propensity, sample_weight, again, *known,
        cluster=None, lists=False,
    ):  # fmt: skip
        """Check the parameters against each other, and encode the log."""
        self._validate_params()
        if again and self.blend_ is not None:
            raise ValueError(
                "The model is a blend, since it was fitted to a log of who chose what, "
                "and only networks go on from where they stand. Fit it anew to the "
                'whole log, or choose objective="implicit".'
            )
        self.blend_ = None
        roles = {name: getattr(self, name) for name in ROLES}
        roles = ColumnRoles(self.towers, cluster_names(self.cluster), **roles)
        objective = objective_class(self.objective)
        check_encoder(self.encoder, roles.given, objective.retrieves or lists)
        streams = is_stream(X)
        if objective.retrieves:
            self._check_positives(roles)
            y = np.ones(_num_samples(X)) if y is None and not streams else y
        if streams and self.text is not None:
            refuse_stream(X, "text=")
        if self.private is not None:
            if streams:
                refuse_stream(X, "private=")
            check_private(self, roles, sample_weight)
        if streams:
            self._check_graph(X, X.header("y"), X.header("treatment"))
        else:
            self._check_graph(X, y, treatment)
        nets = self.nets_ if again else ()
        n_rows = 0 if streams else _num_samples(X)
        self.device_ = resolve_device(self.device, n_rows, nets)
        binary = _is_classifier(self)
        if again:
            encoder = copy.deepcopy(self.log_encoder_)
        else:
            length = self.history_length
            public = None if self.private is None else self.private.public
            options = dict(history_length=length, cluster=self.cluster, public=public)
            if self.text is not None:
                roles.texts = TextStore(self.text, self.device_)
            encoder = LogEncoder(roles, binary, *known, **options)
        options = dict(first=not again, control=self.control)
        if streams:
            rows = read_stream(encoder, self, X, silent=objective.retrieves, **options)
            rows = in_memory(rows) if objective.retrieves else rows
            self.device_ = resolve_device(self.device, len(rows), nets)
        else:
            given = (X, y, treatment, propensity, sample_weight)
            rows = encoder.fit_rows(self, *given, cluster=cluster, **options)
        first = encoder.control == encoder.arms[0]
        of_log = (encoder.n_arms, binary, encoder.roles.given, first)
        check_objective(self.objective, *of_log)
        if self.private is not None:
            check_private_log(self, encoder, rows)
        self.log_encoder_, self.arms_ = encoder, encoder.arms
        self.control_ = encoder.control
        if binary:
            self.classes_ = encoder.classes
        return rows

    def _check_positives(self, roles):
        """Refuse what lists from positives do not read."""
        refused = {
            "towers": (self.towers, "groups of features"),
            "graph": (self.graph, "a graph, which says how an effect is identified"),
            "history": (roles.histories[1:], "numbers beside the items of a history"),
        }
        for name, (given, what) in refused.items():
            if given:
                raise ValueError(
                    f'{name}={given!r}: {what}; the objective "implicit" reads no '
                    f"such thing. Leave it out."
                )
        if not isinstance(self.exposure_model, str) or self.exposure_model not in (
            "auto",
            "popularity",
        ):
            raise ValueError(
                f"exposure_model={self.exposure_model!r} says which rows were shown, "
                'and positives alone tell no such thing: leave it "auto", or weigh '
                'positives by the popularity of their items, "popularity".'
            )

    def _retrieves(self, known=False):
        """Whether lists are all there is to learn; an unknown objective may do."""
        if (
            known
            and isinstance(self.objective, str)
            and self.objective not in OBJECTIVES
        ):
            return False
        return objective_class(self.objective).retrieves

    def _may_blend(self, treatment=None, propensity=None, cluster=None):
        """Whether there is nothing but users, items, times, features and y."""
        auto = isinstance(self.objective, str) and self.objective == "auto"
        more = (self.treatment, self.propensity, self.history, self.towers, self.graph)
        more += (self.text,)
        more += (self.private, treatment, propensity, cluster)
        if not auto or _is_classifier(self) or any(one is not None for one in more):
            return False
        named = self.user is not None and self.item is not None
        return named and (self.cluster is None or is_auto(self.cluster))

    def _fit_blend(self, rows, X, silent):
        """Make the lists of a log of who chose what by a blend with the networks."""
        if not silent:
            warn_user(
                f"y is {rows.y[0]:g} in every row, so there are no outcomes to learn. "
                "This is read as a log of who chose what: lists are made by blend_, "
                "and there are no effects. Leave y out to say so, or choose "
                'objective="implicit" for networks alone.'
            )
        roles, rng = dict(user=self.user, item=self.item), self.random_state
        seed = check_random_state(rng).randint(MAX_SEED)
        networks = clone(self).set_params(objective="implicit", random_state=seed)
        members = default_members(roles, self.time, seed)
        if len(rows) <= BLENDED_ROWS:
            members["networks"] = networks
        options = dict(**roles, time=self.time, random_state=seed)
        kept = np.flatnonzero(self.log_encoder_.kept)
        self.blend_ = BlendRecommender(list(members.items()), **options)
        self.blend_.fit(_safe_indexing(X, kept), rows.y * rows.weight)
        # What follows is the blend's own, so that who is forgotten there is here, too.
        self.log_encoder_ = self.blend_.log_encoder_
        self.catalogue_ = self.blend_.catalogue_
        networks = self.blend_.members_.get("networks")
        for name, nothing in (("nets_", []), ("history_", []), ("n_iter_", 0)):
            setattr(self, name, getattr(networks, name, nothing))
        self.exposure_model_ = self.propensity_ = self.overlap_ = self.effects_ = None
        vars(self).pop("_ensemble", None)  # of a log before
        Postponed.drop(self)
        return self

    def _tell_positives_alone(self, rows, again):
        if not (again or self._retrieves()):
            _warn_of_positives_alone(rows, self.log_encoder_)

    def _train(self, rows, again, epochs, progress):
        rng = check_random_state(self.random_state)
        seeds = rng.randint(MAX_SEED, size=self.n_estimators)
        self._find_facts(rows, again, whole=epochs is None)
        settings = RecommenderSettings.of(self, self.device_)
        kind = RetrievalEnsemble if self._retrieves() else Ensemble
        kind = StreamedEnsemble if is_on_disk(rows) else kind
        if self.private is not None:
            secret = self.random_state is None
            kind = partial(PrivateEnsemble, budget=self.private, secret=secret)
        ensemble = kind(settings, self.log_encoder_)
        if again:
            ensemble.nets = self.nets_
        most = ensemble.most_epochs(len(rows)) if epochs is None else epochs
        progress.stage("fit", most * self.n_estimators)
        history = ensemble.train(rows, seeds, epochs=epochs, progress=progress.step)
        self.history_ = [*self.history_, *history] if again else history
        self._ensemble, self.nets_ = ensemble, ensemble.nets
        self.n_iter_ = max(record["epoch"] for record in history)
        self.propensity_ = self.overlap_ = None
        self.privacy_spent_ = getattr(ensemble, "spent", None)
        if self._retrieves() or self.private is not None:
            return
        is_ratio = ensemble.objective.is_ratio(len(self.arms_))
        if is_on_disk(rows):  # the rows that tell of it are drawn evenly
            rng = check_random_state(self.random_state)
            rows = in_memory(rows, sample_of(rows, rng))
            ensemble = ensemble.plain()
        heads = ensemble.predict(rows).exposure
        give_back(len(rows))  # the outcomes
        exposure = factual_exposure(rows, heads, is_ratio)
        clip, p, unlikely = self.nets_[0].criterion_.clip, None, None
        if len(self.arms_) > 1:
            p = arm_probabilities(rows, heads)
            unlikely = at_the_clip(p, least_of_arms(p, clip))
        del heads  # as long as the log
        self.propensity_ = p
        self.overlap_ = summarize_overlap(rows, exposure, self.arms_, clip, unlikely)

    def _find_facts(self, rows, again, whole):
        """Catalogue, exposure and what else the log says, once; they travel in rows.

        The rows are the whole log of their users, or follow on those of before.
        """
        before = self.catalogue_ if again else None
        self.catalogue_ = None
        if self.user is not None and self.item is not None:
            encoder, roles = self.log_encoder_, self.log_encoder_.roles
            names = roles.feature_columns_
            owners = self.user_features, self.item_features
            self.catalogue_ = make_catalogue(
                rows,
                len(encoder.users),
                len(encoder.items),
                before,
                names=names,
                told=told_owners(names, roles.towers_, *owners),
                control=self._not_shown(),
                texts=roles.texts is not None,
            )
            if self.private is not None:
                self.catalogue_.set_unknown(encoder.mean)
            if self._reads_order():
                past = None if before is None else before.history
                if whole and past is not None:
                    past = past.copy()
                    past[np.intersect1d(rows.user, np.arange(len(past) - 1))] = -1
                self._find_pasts(rows, past)
        objective, n_arms = objective_class(self.objective), len(self.arms_)
        self.exposure_model_ = self._make_exposure(objective)
        if self.exposure_model_ is not None:
            rng = check_random_state(self.random_state)
            self.exposure_model_.fit(rows, self.catalogue_, rng)
        facts = (self.catalogue_, self.exposure_model_)
        add_facts(rows, *facts, objective=objective, n_arms=n_arms)

    def _reads_order(self):
        """Whether the past of a user is the user's own positives in their order."""
        own = self._retrieves() and ENCODERS[self.encoder].causal is not None
        return own and self.history is None

    def _find_pasts(self, rows, past):
        """The last positives of every user, as the histories of the catalogue."""
        rows = rows.take(rows.y > 0)
        self.catalogue_.history = last_items(
            rows.user,
            rows.item,
            rows.time,
            self.catalogue_.n_users,
            self.history_length,
            past,
        )

    def _not_shown(self):
        """Code of the arm that means "not shown"; None: all do, or it can't be told."""
        if len(self.arms_) == 1 or self.control_ is None:
            return None
        return self.arms_.tolist().index(self.control_)

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
        if self.text is not None and not isinstance(self.exposure_model, str):
            raise ValueError(
                "A classifier as exposure_model reads numbers, and texts are none: "
                'leave it "auto", whose networks read them.'
            )
        return make_exposure(self.exposure_model, objective)

    # -- what happens if it is shown -------------------------------------------

    def _outcomes(self, X):
        check_is_fitted(self, "nets_")
        rows = self.log_encoder_.rows(self, X)
        return rows, self._predicted(rows)

    def _predicted(self, rows):
        """Mean outcome of rows under every arm, (n, n_arms)."""
        networks = FlatNetworks.of(self._ensemble)
        if networks is None:
            return self._ensemble.predict(rows).outcome
        return networks.outcome(rows.features, rows.user, rows.item)

    def _arms_of(self, rows, treatment, factual=False):
        """Code of each row's arm: as given, of its column, or of the one shown."""
        if treatment is not None:
            if np.ndim(treatment) == 0:
                arm = arm_position(treatment, self.arms_.tolist(), "treatment")
                return np.full(len(rows), arm)
            return arm_codes(read_treatment(treatment, len(rows)), self.arms_)
        if rows.arm is not None:
            return rows.arm
        if len(self.arms_) > 1 and factual:
            raise NotScorableError(
                f"Several arms {self.arms_.tolist()} were fitted, and an outcome can "
                "be scored only under the arm its row had: pass treatment= to score. "
                "With cross_validate and GridSearchCV, set_config("
                "enable_metadata_routing=True) and params={'treatment': t}, or name a "
                "column of X as treatment."
            )
        if len(self.arms_) == 1:
            return np.zeros(len(rows), np.int64)
        if len(self.arms_) > 2 or self.control_ is None:
            raise ValueError(
                f"Which of the arms {listed(self.arms_)}? Pass treatment= to predict, "
                "one arm or one a row."
            )
        arms = self.arms_.tolist()
        shown = contrast(arms, self.control_)[1]
        warn_if_judged(self.arms_, arms[shown])
        return np.full(len(rows), shown)

    def _mean_outcome(self, X, treatment, factual=False):
        if is_stream(X):
            check_is_fitted(self, "nets_")
            one = partial(self._mean_outcome, treatment=treatment, factual=factual)
            return by_batches(X, self, one)
        if self.blend_ is not None:
            return self.blend_.predict(X)
        rows, outcomes = self._outcomes(X)
        arm = self._arms_of(rows, treatment, factual)
        return outcomes[np.arange(len(rows)), arm]

    def predict(self, X, treatment=None):
        """Predict the outcome if shown, or under the given arm.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.
        treatment : scalar or array-like of shape (n,), default=None
            The arm. With None it is the arm of the treatment column if one is named,
            else that of two arms which is not the control: the item is shown.

        Returns
        -------
        ndarray of shape (n,)
            The mean outcome; with ``task="classification"``, the class. With the
            objective "implicit" it is the score that lists are ordered by. It has no
            unit, and says nothing across users: the difference between two items of a
            user is the logarithm of the odds that the user chooses the one and not the
            other. Encoders that read the order of a user's positives score what comes
            after the last one in the log.

        Raises
        ------
        ValueError
            If none is given and there are more than two arms, or which one is the
            control can't be told; or if it is not an arm of ``fit``.

        Warns
        -----
        UserWarning
            If scikit-learn compares the prediction "if shown" with outcomes
            of rows of either arm, as in ``cross_validate(..., scoring="roc_auc")``. See
            :func:`~sklearn_causalrec.metrics.make_outcome_scorer`.
        """
        mean = self._mean_outcome(X, treatment)
        if _is_classifier(self):
            return self.classes_[(mean > 0.5).astype(int)]
        return mean

    @available_if(_is_classifier)
    def predict_proba(self, X, treatment=None):
        """Predict the probability of both classes, if shown or under the given arm.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.
        treatment : scalar or array-like of shape (n,), default=None
            The arm, as in ``predict``.

        Returns
        -------
        ndarray of shape (n, 2)
            The probabilities, in the order of ``classes_``.
        """
        p = self._mean_outcome(X, treatment)
        return np.column_stack([1 - p, p])

    @never_nan
    def score(self, X, y=None, treatment=None, sample_weight=None):
        """Return R^2, or the accuracy of a classifier, under the arm that each row had.

        With the objective "implicit", and for a log of who chose what, it is NDCG@10 of
        lists of the items that the user has no row of in the log; the rows with y > 0
        are relevant.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.
        y : array-like of shape (n,), default=None
            The outcome of each row. It is needed, but with the objective "implicit":
            there, None stands for 1.
        treatment : array-like of shape (n,), default=None
            The arm of each row. It is needed with several arms, unless a column of X
            is named as treatment.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. With None, all rows count equally.

        Returns
        -------
        float
            The score; more is better.

        Raises
        ------
        ValueError
            If several arms were fitted and the arms of these rows are not given.
        """
        if self.blend_ is not None:
            return self.blend_.score(X, y)
        if self._retrieves():
            return self._score_lists(X, y)
        mean = self._mean_outcome(X, treatment, factual=True)
        if _is_classifier(self):
            predicted = self.classes_[(mean > 0.5).astype(int)]
            return accuracy_score(y, predicted, sample_weight=sample_weight)
        return r2_score(y, mean, sample_weight=sample_weight)

    def _score_lists(self, X, y):
        check_is_fitted(self, "nets_")
        rows, log = self.log_encoder_.rows(self, X), self.catalogue_
        relevant = np.ones(len(rows), bool) if y is None else np.asarray(y) > 0
        scorer, items = self.pair_scores("outcome"), log.items
        place = np.full(log.n_items + 1, len(items))
        place[items] = np.arange(len(items))
        return held_out_ndcg(
            lambda users: catalogue_scores(self, scorer, users, items),
            log.seen[:, items],
            rows.user[relevant],
            place[rows.item[relevant]],
        )

    def propensity_scores(self, X):
        """Return the exposure of every arm, as the exposure model estimates it.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_arms) or None
            The probability of every arm, in the order of ``arms_``. With one arm, the
            density of logged pairs over that of all pairs; None if it was not
            estimated, as with the objective "implicit".
        """
        check_is_fitted(self, "nets_")
        rows = self.log_encoder_.rows(self, X)
        if self.blend_ is not None:
            return None
        if self.exposure_model_ is not None:
            return self.exposure_model_.ratio(rows)[:, None]
        return self._ensemble.predict(rows).exposure

    # -- who asks to be forgotten ------------------------------------------------

    def _keeps_rows(self):
        """Whether the log's rows are here; then it has to be known whose they are."""
        if self.effects_ is not None and keeps_rows(self.effects_):
            return True
        return isinstance(self.propensity_, np.ndarray)

    def _user_of_rows(self):
        """The user code of each row of the last fit, or None if that was not kept."""
        clusters = getattr(self.effects_, "clusters", None)
        return clusters.user_of_rows() if isinstance(clusters, Clusters) else None

    def _without_users(self, keep, rows):
        """Remove users, in place; see :func:`sklearn_causalrec.forget`.

        ``keep`` says which user codes stay, and ``rows`` which rows of the last fit do,
        or is None if there are none.
        """
        encoder = self.log_encoder_
        encoder.users.without(keep)
        if self.catalogue_ is not None:
            if hasattr(self.exposure_model_, "without_users"):
                self.exposure_model_.without_users(keep, self.catalogue_)
            self.catalogue_.without_users(keep)
        without_ids(self.nets_, "user", keep)
        if encoder.roles.texts is not None:
            log = self.catalogue_  # what else was said is of rows, and may be theirs
            encoder.roles.texts.forget([] if log is None else log.text_codes())
        if self.effects_ is not None:
            remove(self.effects_, rows, 0, keep)  # the first kind of groups
        if rows is not None:
            if isinstance(self.propensity_, np.ndarray):
                self.propensity_ = self.propensity_[rows]
            if isinstance(encoder.kept, np.ndarray):
                kept = encoder.kept.copy()
                kept[kept] = rows
                encoder.kept = kept

    def summary(self, alpha=0.05):
        """Report what was found, the estimate, checks, and what would overturn it.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        Report
            The report. ``print`` writes it as text, a notebook shows it as HTML.

        See Also
        --------
        sklearn_causalrec.report : A page with pictures, segments and lists.
        """
        from sklearn_causalrec.explaining.summary import summarize_log

        check_is_fitted(self, "nets_")
        check_alpha(alpha)
        return summarize_log(self, alpha)

    # -- lists -----------------------------------------------------------------

    def recommend(self, users=None, k=10, **options):
        """Return the k best items of every user.

        Parameters
        ----------
        users : array-like of ids, frame, or None, default=None
            The users. None stands for all users of the log.
        k : int, default=10
            The number of items per user.
        **options
            All other options of :func:`sklearn_causalrec.recommend`, such as items,
            by, cold_start and explore.

        Returns
        -------
        DataFrame
            The lists, as :func:`sklearn_causalrec.recommend` returns them.

        See Also
        --------
        sklearn_causalrec.recommend : Lists through any Pipeline or search.
        """
        return recommend(self, users, k=k, **options)

    @property
    def _ranks_by(self):
        """What lists are ordered by if nothing is said: "effect" or "outcome"."""
        lists = self.blend_ is not None or self._retrieves()
        return "outcome" if lists else "effect"

    def pair_scores(self, by="effect", min_effect=None, T0=None, T1=None):
        """Return what ranks the pairs in ``recommend``.

        Parameters
        ----------
        by : {"effect", "outcome"}, default="effect"
            What to rank by.
        min_effect : float, default=None
            The effect that a pair has to exceed. With None there is no such limit.
        T0, T1 : scalar, default=None
            The arms of the effect, as in ``effect``. T1 is the arm of the outcome.

        Returns
        -------
        PairScores
            Functions that score encoded rows, and blocks of pairs if that is faster.

        Raises
        ------
        ValueError
            If the effect is asked for and not identified.
        """
        check_is_fitted(self, "nets_")
        if self.blend_ is not None:
            return self.blend_.pair_scores(by, min_effect, T0, T1)
        t0, t1 = (0, 0)
        if by == "effect" or min_effect is not None:
            t0, t1 = self._contrast(T0, T1)
        elif len(self.arms_) > 1:  # T1 alone matters
            t1 = self._contrast(T1 if T0 is None else T0, T1)[1]

        def score(rows):
            if by == "outcome":
                scores = self._predicted(rows)[:, t1]
            else:
                scores = self._effect_rows(rows, t0, t1)
            if min_effect is None:
                return scores
            effect = scores if by == "effect" else self._effect_rows(rows, t0, t1)
            return np.where(effect > min_effect, scores, -np.inf)

        if self._retrieves():
            ensemble = self._ensemble
            return PairScores(
                score, None, products=ensemble.products, of_item=ensemble.of_item
            )
        if by == "outcome" and min_effect is None and self._ranks_by_products():
            return PairScores(score, IdProducts(self._ensemble, t1))
        split = partial(
            PairScorer.of, self, by=by, min_effect=min_effect, arms=(t0, t1)
        )
        return PairScores(score, None, split)

    def _ranks_by_products(self):
        """Whether ids are all there is, and outcomes are products of their vectors."""
        log = self.catalogue_
        ids_alone = log is not None and log.history is None and log.context.size == 0
        return ids_alone and ENCODERS[self.encoder].of_users is not None
