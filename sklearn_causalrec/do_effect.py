"""`DoCalculusEffect`: identify an effect in a graph, then estimate it."""

import math
import reprlib
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.judging import (
    NotScorableError,
    never_nan,
    refusing,
    warn_if_judged,
)
from sklearn_causalrec.causal.estimation.answers import OneArm
from sklearn_causalrec.causal.estimation.cases import answer_of, cases_of
from sklearn_causalrec.causal.estimation.half_samples import check_half_samples
from sklearn_causalrec.causal.estimation.problem import Problem, Variables
from sklearn_causalrec.causal.estimation.program import path_effects
from sklearn_causalrec.causal.estimation.query import Options
from sklearn_causalrec.causal.estimation.reader import Reader, joint_arms
from sklearn_causalrec.causal.estimation.registry import check_strategy
from sklearn_causalrec.effects.arms import ate_table
from sklearn_causalrec.effects.clusters import cross_fitting_folds
from sklearn_causalrec.effects.cross_fitting import as_models, takes_missing
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.effects.overlap import common_support
from sklearn_causalrec.encoding.arms import arm_position
from sklearn_causalrec.encoding.checks import (
    check_propensity,
    check_weight,
    unchanged_on_failure,
)
from sklearn_causalrec.encoding.contrasts import contrast, find_control
from sklearn_causalrec.encoding.roles import ROW_ARGUMENTS
from sklearn_causalrec.encoding.streams import refuse_stream

MAX_SEED = 2**30


def _dose(name, dose):
    if np.ndim(dose) == 0 and isinstance(dose, np.ndarray):
        dose = dose.item()
    if not isinstance(dose, Real) or not math.isfinite(dose):
        raise ValueError(f"{name}={reprlib.repr(dose)} is no dose: pass a number.")
    return float(dose)


class DoCalculusEffect(RegressorMixin, BaseEstimator):
    """Effect of a treatment: identified in a causal graph, then estimated.

    ``fit`` asks the graph whether and how the effect follows from the data. It takes a
    strategy whose theory covers the functional found, and cross-fits the nuisance
    models. Where the graph does not identify the effect, ``fit`` refuses before any
    model is trained. The strategies, in the order in which they are tried:

    - all variables discrete and few: plug-in, the formula on smoothed counts;
    - adjustment: augmented inverse probability weighting; for a continuous treatment
      a doubly robust dose-response curve;
    - front door, primal fixing, treatments one after the other: one-step estimators
      with sequential regressions;
    - every other identified functional: weighted regressions;
    - instruments: only by request, since they need more than the graph.

    Parameters
    ----------
    graph : CausalGraph, PartialGraph or None, default=None
        The causal graph. Its nodes are the columns of X, the treatment and the outcome.
        Bidirected edges stand for latent common causes. With None, every other column
        counts as a confounder that was measured before the treatment. A `PartialGraph`
        stands for all graphs that data leave possible: where they agree on the effect
        it is estimated; where they do not, `ate_range` has the effect in each case,
        unless latent causes are possible, and `ate` refuses.
    treatment : name or list of names, default=None
        The column of X that is the treatment, or several columns that are set together;
        or the name of the node that ``fit(..., treatment=)`` gives. With ``graph=None``
        and no treatment at all, every row counts as treated: ``predict`` works, and
        effects are not identified.
    control : scalar, dict or tuple, default=None
        The arm that effects are against; of several treatments, a value for each. With
        None it is told by the arms: False, 0 or else the smallest number, the first
        category of an ordered Categorical, or the one arm that is called control,
        placebo, none, no or off. Where they do not tell, effects have to be asked for
        by `T0` and `T1`. Of a continuous treatment it is a dose, with None 0.
    cluster : name, list of two names, "auto" or None, default="auto"
        The column of ids by which rows belong together, such as those of a user or a
        shop, or two such columns. Folds of the cross-fitting keep clusters whole, and
        intervals count them (CR3; two ways by Cameron, Gelbach and Miller). The column
        is no covariate, unless the graph has it as a node. None: all rows are
        independent. "auto" is the same, and warns of columns that look like ids.
    outcome : name, default=None
        The node that y is. None takes the name of y, or the one node that X lacks.
    strategy : {"auto", "plug-in", "adjustment", "dose-response", "sequential", \
            "frontdoor", "primal-fixable", "general", "instrument"}, default="auto"
        The way to estimate. "auto" takes the first strategy that covers the estimand. A
        name insists on one, and ``fit`` raises where it does not apply. Strategies that
        other packages register go by their names, too.
    adjustment_set : collection of names, default=None
        The variables to adjust for. The set must be valid in the graph. None takes the
        set with the smallest asymptotic variance.
    effect_modifiers : collection of names, default=None
        The variables that ``effect(X)`` depends on. None takes the adjustment set, or
        else the causes of the outcome that were measured before the treatment.
    mediators : collection of names, default=None
        Nodes between treatment and outcome. ``path_effects_`` then splits the effect
        into the part that goes through them and the part that does not.
    instrument : name, default=None
        The instrument of ``strategy="instrument"``. None takes the first that the graph
        offers.
    outcome_model, treatment_model : estimator or list of estimators, default=None
        The nuisance models, from scikit-learn, skorch or this package. The first is a
        regressor, or a classifier for a binary outcome. The second is a classifier, or
        a regressor for a continuous treatment. Of a list, the convex combination with
        the smallest cross-fitted error is taken. None stands for additive splines and
        boosted trees.
    effect_model : "auto", None or estimator, default="auto"
        The model of how effects vary with the modifiers. With adjustment, "auto" is an
        R-stack of orthogonal learners; else it regresses the influence function on the
        modifiers by the default models. A regressor does the latter. An estimator of
        EconML is fitted as it is. With None there are averages only.
    lazy_effects : bool, default=True
        Whether the model of effects, if `effect_model` is "auto", is fitted when an
        effect of rows is first asked for, by ``effect``, ``effect_varies_``,
        ``summary`` or ``save``. It takes most of the time of a fit, and averages over
        the rows of ``fit`` do not need it. With False, ``fit`` does all; the effects
        are the same to the bit.
    discrete_treatment : "auto" or bool, default="auto"
        Whether the treatment has arms rather than doses. With "auto" it has arms where
        it takes two values, or at most 20 values, each many times.
    clip : float, default=0.01
        The bound that smaller probabilities of arms are raised to. Averages by
        adjustment are corrected for it, and take 0.05 if that is more, less for
        rare arms: in proportion to twice the share of the arm.
    cv : int, default=5
        The number of folds of the cross-fitting, at least 2.
    n_half_samples : int, default=None
        The number of halves of the rows, 20 to 40, that are fitted as well. The errors
        of `ate_interval`, `ate_table`, `dose_response` and `average_derivative` are
        then the larger ones of the influence function, which counts some of what a
        model passes on where the other one is wrong, and of the spread of the halves,
        which counts all of it. It costs half a fit each. None takes the influence
        function alone, as do `att`, averages over other rows, and paths.
    n_jobs : int, default=None
        The number of nuisance models fitted at once, through joblib.
    random_state : int, RandomState instance or None, default=None
        The seed of the folds and of models without a seed of their own. An int makes
        the results reproducible.

    Attributes
    ----------
    graph_ : CausalGraph or PartialGraph
        The graph that was used.
    estimand_ : Estimand or None
        The effect in terms of what can be observed; None for an instrument, and where a
        `PartialGraph` leaves several effects possible.
    strategy_ : str
        How the effect is identified: "adjustment", "frontdoor", "primal-fixable",
        "general", "no-effect" or "instrument"; "possible effects" where it is not one.
    method_ : str
        The estimator that was used.
    guarantee_ : str
        What the theory promises of it.
    treatment_names_ : tuple of names
        The nodes that are set; it is empty where ``fit`` saw no treatment.
    outcome_name_ : name
        The node that y is.
    discrete_treatment_ : bool
        Whether the treatment has arms, rather than doses.
    derivation_ : Derivation
        The steps of do-calculus from the query to the formula.
    arms_ : list
        The levels of a discrete treatment; tuples where several are set.
    control_ : scalar, tuple or None
        The arm, or the dose, that effects are against. None if it can't be told, or
        every row counts as treated.
    arm_ : ndarray of int of shape (n,)
        For every row of ``fit``, the position of its arm in ``arms_``.
    adjustment_set_ : frozenset of names, or None
        The variables adjusted for; None where the effect is not by adjustment.
    effect_modifiers_ : tuple of names, or None
        The variables that ``effect(X)`` depends on; None where no effect of rows is
        identified.
    scores_ : ndarray of shape (n, n_arms), or None
        The uncentred influence function of the mean outcome under each arm.
    propensity_, outcomes_ : ndarray of shape (n, n_arms), or None
        By adjustment, the cross-fitted probability of each arm and the cross-fitted
        mean outcome under it.
    effect_varies_ : ndarray of bool of shape (n_arms,), or None
        Whether the effect of each arm, against the first, was found to differ between
        rows. False means that one number for all predicts effects best. None where no
        effect of rows was estimated.
    given_ : tuple of str
        What fit was given of "sample_weight", "propensity", "cluster" and "missing
        values".
    diagnostics_ : dict of str to DataFrame
        Overlap, balance, effective sample sizes and influential rows.
    path_effects_ : DataFrame or None
        With ``mediators``, the total, direct and indirect effect of each arm against
        the control, with intervals. The index has the arm, or the value of each of
        several treatments, and the name of the effect.

    See Also
    --------
    CausalDNNRecommender : Deep networks for a log of recommendations.
    CausalGraph : Graphs and identification.

    Examples
    --------
    Browsing and rating share a latent taste; what browsing does goes through purchase:

    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec import CausalGraph, DoCalculusEffect
    >>> rng = np.random.default_rng(0)
    >>> taste = rng.normal(size=4000)
    >>> browse = rng.binomial(1, 1 / (1 + np.exp(-taste)))
    >>> purchase = rng.binomial(1, 0.2 + 0.5 * browse)
    >>> rating = 1.0 * purchase + taste + rng.normal(size=4000)
    >>> X = pd.DataFrame({"browse": browse, "purchase": purchase})
    >>> graph = CausalGraph("browse -> purchase -> rating; browse <-> rating")
    >>> model = DoCalculusEffect(graph, treatment="browse", random_state=0)
    >>> model = model.fit(X, pd.Series(rating, name="rating"))
    >>> model.strategy_
    'frontdoor'
    >>> low, high = model.ate_interval()
    >>> bool(low < 0.5 < high), bool(high - low < 0.25)
    (True, True)
    """

    __metadata_request__fit = dict.fromkeys((*ROW_ARGUMENTS, "cluster"), True)
    __metadata_request__predict = {"treatment": True}
    __metadata_request__score = {"treatment": True, "sample_weight": True}

    def __init__(
        self,
        graph=None,
        *,
        treatment=None,
        control=None,
        cluster="auto",
        outcome=None,
        strategy="auto",
        adjustment_set=None,
        effect_modifiers=None,
        mediators=None,
        instrument=None,
        outcome_model=None,
        treatment_model=None,
        effect_model="auto",
        lazy_effects=True,
        discrete_treatment="auto",
        clip=0.01,
        cv=5,
        n_half_samples=None,
        n_jobs=None,
        random_state=None,
    ):
        self.graph = graph
        self.treatment = treatment
        self.control = control
        self.cluster = cluster
        self.outcome = outcome
        self.strategy = strategy
        self.adjustment_set = adjustment_set
        self.effect_modifiers = effect_modifiers
        self.mediators = mediators
        self.instrument = instrument
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.effect_model = effect_model
        self.lazy_effects = lazy_effects
        self.discrete_treatment = discrete_treatment
        self.clip = clip
        self.cv = cv
        self.n_half_samples = n_half_samples
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    # -- fitting -----------------------------------------------------------------

    def fit(
        self,
        X,
        y,
        treatment=None,
        sample_weight=None,
        propensity=None,
        cluster=None,
    ):
        """Identify, then estimate.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows. Their columns are nodes of the graph; the columns of an array are
            called x0, x1 and so on. Numbers and times are numbers. Text and categories
            are categories. A column that can be meant in two ways is refused. Numbers
            and times may be missing (NaN) where all models that are given take that:
            `outcome_model`, `treatment_model` and, unless it is None, `effect_model`.
        y : array-like of shape (n,)
            The outcome of each row: a number, or 0 and 1.
        treatment : array-like of shape (n,) or (n, n_treatments), default=None
            The treatment of each row, where it is no column of X.
        sample_weight : array-like of shape (n,), default=None
            The weight of each row. Averages are over the rows so weighted. With None,
            all rows count equally.
        propensity : array-like of shape (n,), default=None
            The probability with which the arm of the row was chosen; NaN where it is
            unknown, and estimated. Weights and probabilities can be read where the
            effect is by adjustment.
        cluster : array-like of shape (n,) or (n, 2), default=None
            The ids by which rows belong together, where they are no columns of X.

        Returns
        -------
        DoCalculusEffect
            The fitted estimator itself.

        Raises
        ------
        NotIdentifiableError
            If the effect does not follow from graph and data; it holds the hedge. Where
            a `PartialGraph` leaves several effects possible, it is `ate` and its like
            that raise it.
        ValueError
            If columns and nodes do not match, the treatment does not vary, an arm
            never occurs in some stratum, or the strategy does not read what was given;
            an earlier fit stays as it was.
        """
        refuse_stream(X, "DoCalculusEffect.fit")
        with unchanged_on_failure(self):
            self._check_parameters()
            gaps = self._takes_gaps()
            reader = Reader(
                self.graph, self.treatment, self.outcome, self.cluster, gaps
            )
            frame, y = reader.fit(self, X, y, treatment, cluster)
            self._read_rows(frame, sample_weight, propensity)
            self._reader = reader
            self.graph_, self.outcome_name_ = reader.graph, reader.outcome
            self.treatment_names_ = reader.treatments
            rng = check_random_state(self.random_state)
            self.path_effects_ = self.estimand_ = self.derivation_ = None
            self.control_ = None
            if not reader.treatments:
                if self.control is not None:
                    raise ValueError(
                        f"control={self.control!r} is an arm, and fit was given no "
                        "treatment: name its column, treatment=..., or pass treatment= "
                        "to fit."
                    )
                self._fit_one_arm(frame, y, rng)
            else:
                self._fit_effect(frame, y, rng)
            if cluster is not None:
                self.given_ += ("cluster",)
        return self

    def _check_parameters(self):
        """Parameters that can be judged without data."""
        check_strategy(self.strategy)
        cv = self.cv
        if not isinstance(cv, (int, np.integer)) or isinstance(cv, bool) or cv < 2:
            raise ValueError(f"cv is {cv!r}: a whole number of folds, at least 2.")
        check_half_samples(self.n_half_samples)
        if not 0 < self.clip < 0.5:
            raise ValueError(f"clip is {self.clip!r}: a number between 0 and 0.5.")
        if self.discrete_treatment not in (True, False, "auto"):
            raise ValueError(
                f"discrete_treatment is {self.discrete_treatment!r}: True, False or "
                '"auto".'
            )

    def _takes_gaps(self):
        """Whether every model is given and takes missing values."""
        given = [self.outcome_model, self.treatment_model]
        given += [] if self.effect_model is None else [self.effect_model]
        models = [m for some in given for m in as_models(some, lambda: [None])]
        return all(takes_missing(model) for model in models)

    def _read_rows(self, frame, sample_weight, propensity):
        """What each row was given beside its columns."""
        self._weight = None
        if sample_weight is not None:
            weight = check_weight(sample_weight, frame)
            self._weight = weight / weight.mean()
        self._propensity = check_propensity(propensity, len(frame))
        self._gaps = bool(frame.isna().to_numpy().any())

    def _problem(self, variables, y, rng):
        clusters = self._reader.clusters
        return Problem(
            estimand=self.estimand_,
            variables=variables,
            y=y,
            arms=self.arms_,
            arm=self.arm_,
            fold=cross_fitting_folds(self.arm_, min(self.cv, len(y)), rng, clusters),
            outcome_model=self.outcome_model,
            treatment_model=self.treatment_model,
            binary=bool(np.isin(y, (0, 1)).all()),
            clip=self.clip,
            seed=int(rng.randint(MAX_SEED)),
            n_jobs=self.n_jobs,
            clusters=clusters,
            weight=self._weight,
            propensity=self._propensity,
            gaps=self._gaps,
            n_half_samples=self.n_half_samples,
        )

    def _fit_one_arm(self, frame, y, rng):
        if self._propensity is not None:
            raise ValueError(
                "propensity is the probability of the arm that a row had, and fit was "
                "given no treatment: name its column, treatment=..., or pass "
                "treatment= to fit."
            )
        self.discrete_treatment_ = True
        self.arms_, self.arm_ = [1], np.zeros(len(y), int)
        problem = self._problem(Variables(frame), y, rng)
        self._keep(OneArm(problem), problem.asks)

    def _fit_effect(self, frame, y, rng):
        names = self.treatment_names_
        variables = Variables(frame)
        for name in names:
            if frame[name].nunique() < 2:
                raise ValueError(
                    f"the treatment {name!r} is {frame[name].iloc[0]} in every row: "
                    "without variation there is nothing to compare."
                )
        self.discrete_treatment_ = self._is_discrete(variables)
        options = Options(
            strategy=self.strategy,
            adjustment_set=self.adjustment_set,
            effect_modifiers=self.effect_modifiers,
            mediators=self.mediators,
            instrument=self.instrument,
            effect_model=self.effect_model,
            lazy_effects=self.lazy_effects,
            cv=self.cv,
        )
        columns = self._reader.columns
        cases = cases_of(self.graph_, self.outcome_name_, names, columns, options)
        query = cases[0].query
        if len(cases) == 1 and query.estimand is not None:
            self.estimand_ = query.estimand
            self.derivation_ = query.estimand.derivation
        self.arms_, self.arm_ = [], np.zeros(len(y), int)
        if self.discrete_treatment_:
            self.arms_, self.arm_ = joint_arms(frame[list(names)])
        self.control_ = self._find_control(frame)
        if self.mediators is not None:
            if not self.arms_:
                raise ValueError(
                    "mediators split the effect of arms, and this treatment is "
                    "continuous: bin it, or leave mediators None."
                )
            against = contrast(self.arms_, self.control_, T1=self.arms_[0])[0]
        problem = self._problem(variables, y, rng)
        self._keep(answer_of(cases, problem, self.graph_), problem.asks)
        if self.mediators is not None:
            if problem.asks:
                raise ValueError(
                    f"effects along paths do not read {' and '.join(problem.asks)}: "
                    "leave out, or set mediators=None."
                )
            self.path_effects_ = path_effects(query, problem, against)

    def _keep(self, answer, asks):
        """The answer, and what it says of itself under public names."""
        self._answer, self.given_ = answer, tuple(asks)
        self.strategy_, self.method_ = answer.strategy, answer.method
        self.guarantee_ = answer.guarantee
        self.adjustment_set_ = answer.adjustment_set
        self.effect_modifiers_ = answer.modifiers
        self.scores_ = answer.scores
        self.propensity_, self.outcomes_ = answer.propensity, answer.outcomes
        self.diagnostics_ = answer.diagnostics()

    @property
    def effect_varies_(self):
        """Whether the effect of each arm was found to differ between rows.

        Returns
        -------
        ndarray of bool of shape (n_arms,), or None
            Of each arm, against the first. False means that one number for all
            predicts effects best. None where no effect of rows is estimated.
        """
        check_is_fitted(self, "strategy_")
        told = self._answer.varies
        return None if told is None else np.array(told)

    def _find_control(self, frame):
        """The arm or dose that effects are against; None where it can't be told."""
        names, control = self.treatment_names_, self._joint(self.control)
        if not self.discrete_treatment_:
            return 0.0 if control is None else _dose("control", control)
        if len(names) > 1 and control is None:
            found = [frame[name] for name in names]
            found = [find_control(t, joint_arms(t.to_frame())[0]) for t in found]
            return tuple(found) if tuple(found) in self.arms_ else None
        return find_control(frame[names[0]], self.arms_, control)

    def _joint(self, arm):
        """An arm of several treatments as a tuple, where it came as a dict."""
        if isinstance(arm, dict) and len(self.treatment_names_) > 1:
            return tuple(arm.get(name) for name in self.treatment_names_)
        return arm

    def _is_discrete(self, variables):
        kinds = [variables.is_discrete(name) for name in self.treatment_names_]
        if self.discrete_treatment == "auto":
            if len(set(kinds)) > 1 or (len(kinds) > 1 and not kinds[0]):
                loose = [n for n, k in zip(self.treatment_names_, kinds) if not k]
                raise ValueError(
                    f"several treatments are set together and {loose} is continuous: "
                    "bin it, for instance with KBinsDiscretizer."
                )
            return kinds[0]
        return bool(self.discrete_treatment)

    # -- answers -----------------------------------------------------------------

    def _contrast_known(self):
        check_is_fitted(self, "strategy_")
        if not self.treatment_names_:
            raise ValueError(
                "The effect is not identified: fit saw no treatment, so nothing says "
                "what happens otherwise. Name the column, treatment=..., or pass "
                "treatment= to fit; predict works."
            )

    def _contrast(self, T0, T1):
        """Positions of two arms, or two doses."""
        self._contrast_known()
        if self.discrete_treatment_:
            return contrast(self.arms_, self.control_, self._joint(T0), self._joint(T1))
        if T1 is None and self.control is not None:
            raise ValueError(
                f"Which dose is compared with control={self.control!r}? Name it, T1=."
            )
        t0 = self.control_ if T0 is None else _dose("T0", T0)
        return t0, 1.0 if T1 is None else _dose("T1", T1)

    def _log_scores(self):
        """What is kept of the effect in each row of ``fit``, `LogScores`."""
        self._contrast_known()
        return self._answer.log_scores()

    def _new(self, X, treatment=None):
        frame = self._reader.rows(self, X, treatment)
        known = self._answer.variables
        return known.at(frame, quiet=self.treatment_names_), frame

    def effect(self, X, T0=None, T1=None):
        """Estimate the effect of arm T1 against arm T0 on each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows. Of their columns, ``effect_modifiers_`` matter.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.

        Returns
        -------
        ndarray of shape (n,)
            The effect of each row, in the units of y.

        Raises
        ------
        ValueError
            If the effect given these columns is not identified. The message says given
            which columns it is. Also if an arm is unknown, or has to be named.
        """
        pair = self._contrast(T0, T1)
        variables, _ = self._new(X)
        return self._answer.effect(variables, *pair)

    def effect_interval(self, X, alpha=0.05, T0=None, T1=None):
        """Compute an interval for the effect of each row.

        By adjustment it covers the true effects of fresh rows on average over rows: not
        of each row, and less of the largest and the smallest effects, which are
        predicted too near the mean. Counted are the jackknife over folds, the
        disagreement of models that are about as good, and, where clusters are named, by
        how much these differ in the effect beyond what is predicted of them. Without
        clusters it is an interval of the mean effect given ``effect_modifiers_``. By
        other strategies it counts the folds and the models only. It is an interval of
        an expected difference, not of the difference of two outcomes.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows. Of their columns, ``effect_modifiers_`` matter.
        alpha : float, default=0.05
            One minus the level of confidence.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.

        Returns
        -------
        low, high : ndarray of shape (n,)
            The lower and the upper bound, in the units of y.
        """
        check_alpha(alpha)
        pair = self._contrast(T0, T1)
        variables, _ = self._new(X)
        return self._answer.effect_interval(variables, *pair, alpha)

    def ate(self, X=None, T0=None, T1=None):
        """Estimate the average effect.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p), default=None
            The rows to average over. None takes the rows of ``fit``.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.

        Returns
        -------
        float
            The average effect, in the units of y.
        """
        pair = self._contrast(T0, T1)
        return self._answer.ate(*pair, self._rows(X))

    def ate_interval(self, X=None, alpha=0.05, T0=None, T1=None, *, cluster=True):
        """Compute an interval for the average effect.

        The interval is the method's own, and as symmetric as that. For a weak
        instrument it is that of the Anderson-Rubin test. Over rows that are unlike
        those of ``fit`` it is wider, the more so the further away their features are;
        what is far from all of them is known by extrapolation alone, which no interval
        tells.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p), default=None
            The rows to average over. None takes the rows of ``fit``.
        alpha : float, default=0.05
            One minus the level of confidence.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.
        cluster : bool, default=True
            Whether the interval counts that rows of a cluster belong together. With
            False, all rows count as independent.

        Returns
        -------
        low, high : float
            The lower and the upper bound, in the units of y.
        """
        check_alpha(alpha)
        pair = self._contrast(T0, T1)
        return self._answer.ate_interval(*pair, alpha, self._rows(X), cluster)

    def ate_range(self, alpha=0.05, T0=None, T1=None, *, cluster=True):
        """Estimate the average effect in each graph that is left possible.

        A `PartialGraph` may leave several effects possible. The range counts what data
        say of each of them; it takes the graph itself as known.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.
        cluster : bool, default=True
            Whether intervals count that rows of a cluster belong together.

        Returns
        -------
        EffectRange
            Its ``low`` and ``high`` are the smallest and the largest estimate, and
            ``interval`` covers the effect in the true case at the level asked for.
            ``cases`` has a row for each effect. Where the effect is identified, there
            is one.
        """
        check_alpha(alpha)
        pair = self._contrast(T0, T1)
        return self._answer.ate_range(*pair, alpha, cluster)

    def _rows(self, X):
        return None if X is None else self._new(X)[0]

    def att(self, T0=None, T1=None):
        """Estimate the average effect on the treated: the rows that had arm T1.

        By adjustment it is known for any arms. By other strategies it is known where
        there are two arms, from the mean outcome of all rows under T0: rows that had
        T0 have the outcome that they had.

        Parameters
        ----------
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.

        Returns
        -------
        float
            The average effect over these rows of ``fit``, in the units of y.

        Raises
        ------
        ValueError
            If the treatment is continuous, the effect is by an instrument, or there are
            more than two arms and it is not by adjustment. Treatment effects of an
            instrument are those of the rows that it moves, or the same for all. The
            message has the way out, where there is one.

        References
        ----------
        .. [1] Shpitser, I. and Pearl, J. (2009). "Effects of treatment on the treated:
           identification and generalization." UAI.
        """
        pair = self._contrast(T0, T1)
        return self._answer.att(*pair)

    def att_interval(self, alpha=0.05, T0=None, T1=None, *, cluster=True):
        """Compute an interval for the average effect on the treated.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.
        cluster : bool, default=True
            Whether the interval counts that rows of a cluster belong together.

        Returns
        -------
        low, high : float
            The lower and the upper bound, in the units of y.
        """
        check_alpha(alpha)
        pair = self._contrast(T0, T1)
        return self._answer.att_interval(*pair, alpha, cluster)

    def ate_table(self, alpha=0.05):
        """Compare every other arm with the control, on average over the rows of fit.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        DataFrame
            A row for each arm but the control, with the columns ``arm``, ``effect``,
            ``low``, ``high``, ``n``, the number of rows that had the arm, and
            ``varies``, whether the effect was found to differ between rows.

        Raises
        ------
        ValueError
            If the treatment is continuous, or which arm is the control can't be told.
        """
        check_alpha(alpha)
        self._contrast_known()
        if not self.discrete_treatment_:
            raise ValueError(
                "ate_table compares arms, and this treatment is continuous: "
                "dose_response() is the curve over doses."
            )
        self._contrast(None, self.arms_[-1])
        n_rows = np.bincount(self.arm_, minlength=len(self.arms_))
        return ate_table(self, n_rows, alpha)

    def common_support(self, least=None):
        """Return the rows of ``fit`` in which every arm is a possibility.

        Fitted to these rows alone, the estimator answers for them: ``keep =
        model.common_support(0.1)``, then ``model.fit(X[keep], y[keep])``.

        Parameters
        ----------
        least : float, default=None
            The least probability of every arm; 0.1 is a common choice [1]_. None stands
            for more than `clip`.

        Returns
        -------
        ndarray of bool of shape (n,)
            True in the rows to keep, in the order of ``fit``.

        Raises
        ------
        ValueError
            If the effect is not by adjustment between arms, or `least` is no
            probability that all arms can have.

        References
        ----------
        .. [1] Crump, R., Hotz, V., Imbens, G. and Mitnik, O. (2009). "Dealing with
           limited overlap in estimation of average treatment effects." Biometrika
           96(1).
        """
        check_is_fitted(self, "strategy_")
        return common_support(self.propensity_, self.clip, least)

    def dose_response(self, grid=None, alpha=0.05):
        """Estimate the mean outcome under each dose of a continuous treatment.

        Parameters
        ----------
        grid : array-like of shape (n_doses,), default=None
            The doses. None takes 50 doses between the 5th and the 95th percentile.
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        DataFrame
            A row for each dose, with the columns dose, mean, low and high. The bounds
            hold for all doses at once.
        """
        check_alpha(alpha)
        return self._continuous("dose_response").curve(grid, alpha)

    def average_derivative(self, alpha=0.05):
        """Estimate the mean effect of one unit more of a continuous treatment.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        estimate, low, high : float
            The estimate and its bounds, in the units of y per unit of the treatment.
        """
        check_alpha(alpha)
        found = self._continuous("average_derivative").average_derivative()
        return (found.value, *found.interval(alpha))

    def _continuous(self, what):
        check_is_fitted(self, "strategy_")
        if not self.treatment_names_ or self.discrete_treatment_:
            raise ValueError(
                f"{what} is for a continuous treatment; this one has the arms "
                f"{self.arms_}."
            )
        return self._answer

    def predict(self, X, treatment=None):
        """Predict the mean outcome if the treatment were set, E[Y | do(t), x].

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows. Of their columns, ``effect_modifiers_`` matter.
        treatment : scalar or array-like of shape (n,), default=None
            The arm or dose to set, one for all rows or one a row. None takes the
            treatment columns of X, or else that of two arms which is not the control.

        Returns
        -------
        ndarray of shape (n,)
            The mean outcome of each row, in the units of y.
        """
        check_is_fitted(self, "strategy_")
        variables, frame = self._new(X, treatment)
        names = self.treatment_names_
        if not names:
            return self._answer.predict(variables)
        if all(name in frame for name in names):
            if not self.discrete_treatment_:
                return self._answer.predict(variables, frame[names[0]].to_numpy(float))
            rows = frame[list(names)].itertuples(index=False, name=None)
            keys = [row if len(names) > 1 else row[0] for row in rows]
            place = {
                key: arm_position(key, self.arms_, "treatment") for key in set(keys)
            }
            arm = np.array([place[key] for key in keys], int)
        elif (
            self.discrete_treatment_
            and len(self.arms_) == 2
            and self.control_ is not None
        ):
            shown = contrast(self.arms_, self.control_)[1]
            warn_if_judged(self.arms_, self.arms_[shown])
            arm = np.full(len(frame), shown)
        else:
            raise ValueError(
                f"predict(X, treatment=...): under which value of {list(names)}?"
            )
        return self._answer.predict(variables, arm)

    @never_nan
    def score(self, X, y, treatment=None, sample_weight=None):
        """Judge the effects on other rows; higher is better.

        Nobody observes effects. The scores of an influence function stand for them.
        They are cross-fitted on these rows by the default nuisance models, whatever the
        estimator's own, so that models are comparable [1]_. The score is minus the mean
        squared distance of ``effect(X)`` to them, in units of y squared. For an
        estimator without a treatment it is R^2.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows to judge on.
        y : array-like of shape (n,)
            Their outcomes.
        treatment : array-like of shape (n,) or (n, n_treatments), default=None
            The treatment of each row, where it is no column of X.
        sample_weight : array-like of shape (n,), default=None
            The weights of the rows.

        Returns
        -------
        float
            The score.

        References
        ----------
        .. [1] Mahajan, D. et al. (2024). "Empirical analysis of model selection for
           heterogeneous causal effect estimation." ICLR.
        """
        check_is_fitted(self, "strategy_")
        if not self.treatment_names_:
            predicted = self.predict(X)
            return r2_score(y, predicted, sample_weight=sample_weight)
        judge = DoCalculusEffect(
            self.graph, treatment=self.treatment, outcome=self.outcome,
            strategy=self.strategy, adjustment_set=self.adjustment_set,
            instrument=self.instrument, discrete_treatment=self.discrete_treatment_,
            effect_model=None, cv=2, random_state=0,
        )  # fmt: skip
        if treatment is None and self._reader.separate:
            raise NotScorableError(
                f"treatment is missing: fit was given {list(self.treatment_names_)} "
                "beside X, and an effect can't be judged without the arm of every row. "
                "Pass treatment= to score. With cross_validate and GridSearchCV, "
                "set_config(enable_metadata_routing=True) and params={'treatment': t}."
            )
        with refusing():
            judge.fit(X, y, treatment)
        truth, weight = judge._answer.pseudo_effects()
        pairs = [(0.0, 1.0)]
        if self.discrete_treatment_:
            pairs = [(judge.arms_[0], arm) for arm in judge.arms_[1:]]
        columns = [self.effect(X, *pair) for pair in pairs]
        gaps = np.column_stack(columns) - truth
        if sample_weight is not None:
            weight = weight * np.asarray(sample_weight)
        return -float(np.average((gaps**2).mean(1), weights=weight))

    # -- what was done, and what would overturn it ---------------------------------

    def refute(self, X, y, treatment=None, **options):
        """Try to break the estimate; see :func:`sklearn_causalrec.causal.refute`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows given to ``fit``.
        y : array-like of shape (n,)
            The outcomes given to ``fit``.
        treatment : array-like of shape (n,) or (n, n_treatments), default=None
            The treatments, where they were given to ``fit`` beside X.
        **options
            The other parameters of that function, such as ``methods``.

        Returns
        -------
        Refutation
            The verdict of each method, and the refits.
        """
        from sklearn_causalrec.causal.checks.refutation import refute

        check_is_fitted(self, "strategy_")
        options.setdefault("random_state", self.random_state)
        return refute(self, X, y, treatment, **options)

    def sensitivity(
        self, X=None, y=None, treatment=None, *, T0=None, T1=None, benchmarks=()
    ):
        """Bound the effect under a latent confounder that the graph rules out.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p), default=None
            The rows given to ``fit``. They are needed where there are benchmarks.
        y : array-like of shape (n,), default=None
            The outcomes given to ``fit``; needed likewise.
        treatment : array-like of shape (n,) or (n, n_treatments), default=None
            The treatments, where they were given to ``fit`` beside X.
        T0, T1 : scalar, dict or tuple, default=None
            The arm that the effect is against and the arm of interest, or two doses.
            With None, T0 is ``control_``, and T1 the other of two arms; 1 where there
            are more arms, or doses, and the control is 0. Of several treatments, a
            dict or tuple has a value for each, and a scalar is for all.
        benchmarks : sequence of names, default=()
            Covariates to compare the confounder with. The estimator is fitted again
            without each of them.

        Returns
        -------
        Sensitivity
            Robustness values, bounds and contours [1]_.

        References
        ----------
        .. [1] Chernozhukov, V. et al. (2022). "Long story short: omitted variable bias
           in causal machine learning." NBER 30302.
        """
        from sklearn_causalrec.causal.checks.robustness import sensitivity

        t0, t1 = self._contrast(T0, T1)
        if self.outcomes_ is None or not len(benchmarks):
            return self._answer.sensitivity(t0, t1)
        if X is None or y is None:
            raise ValueError("benchmarks are refits: pass X and y, as given to fit.")
        arms = self.arms_[t0], self.arms_[t1]
        options = dict(T0=arms[0], T1=arms[1], benchmarks=benchmarks)
        return sensitivity(self, X, y, treatment, **options)

    def negative_control(self, X, outcomes, treatment=None, **options):
        """Estimate effects on outcomes that the treatment cannot have changed.

        See :func:`sklearn_causalrec.causal.negative_control`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The rows given to ``fit``.
        outcomes : str, sequence of str, or dict of str to array-like of shape (n,)
            Columns of X that were not adjusted for, or the values themselves by label.
        treatment : array-like of shape (n,) or (n, n_treatments), default=None
            The treatments, where they were given to ``fit`` beside X.
        **options
            The other parameters of that function, such as ``alpha``.

        Returns
        -------
        Refutation
            The effect on each outcome, with its verdict.
        """
        from sklearn_causalrec.causal.checks.refutation import negative_control

        check_is_fitted(self, "strategy_")
        return negative_control(self, X, outcomes, treatment, **options)

    def summary(self, alpha=0.05):
        """Report what was found, the estimate, checks, and why it is identified.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        Report
            The report. ``print`` writes it as text, a notebook shows it as HTML.
        """
        from sklearn_causalrec.explaining.summary import summarize

        check_alpha(alpha)
        self._contrast_known()
        return summarize(self, self._answer, alpha)
