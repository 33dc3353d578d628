"""Effects from cross-fitted predictions: R-stacking of orthogonal learners."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.process import one_thread, quiet
from sklearn_causalrec._utils.small import permuted
from sklearn_causalrec.effects.additive import AdditiveLasso
from sklearn_causalrec.effects.average import average_effect, isotonic
from sklearn_causalrec.effects.clusters import estimate, parts_of_folds
from sklearn_causalrec.effects.compiled_stage import StageAnswers
from sklearn_causalrec.effects.cross_fitting import (
    MANY_ROWS,
    each_fold,
    stratified_folds,
)
from sklearn_causalrec.effects.default_learners import (
    imputed_effect_learner,
    stacked_exposure_learners,
    stacked_outcome_learners,
)
from sklearn_causalrec.effects.intervals import normal_interval
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import (
    Binned,
    Bins,
    Boost,
    Grouped,
    MixedRidge,
    chunked_predict,
    convex_weights,
)
from sklearn_causalrec.effects.row_intervals import (
    REFERENCE_ROWS,
    RowErrors,
    disagreement,
)

# Bytes up to which the bins of all rows are kept; those of more are found by chunks.
SHARED_CODES = 2**26
_HALF = dict(learning_rate=0.1, max_features=0.5)


def inputs(model, X, groups=None, codes=None):
    """What a model reads of the rows: bins and groups are for those that ask."""
    if codes is not None and isinstance(model, Boost):
        return Binned(X, codes)
    return Grouped(X, groups) if isinstance(model, MixedRidge) else X


class StackedEffect(StageAnswers, BaseEstimator):
    r"""Effect of a binary treatment by R-stacking of cross-fitted learners.

    Outcomes under each arm and the propensity are stacks of boosted trees,
    additive models and, where given, a network, all cross-fitted. Effect
    learners trained on them (R-learner [1]_, X-learner [2]_, difference of
    outcomes, a constant, and, given ``groups``, an R-learner with an offset for
    each of them) are combined by the nonnegative weights, summing to
    one, that minimize the cross-fitted R-loss (Section 4.2 of [1]_)

    .. math:: \sum_i w_i (t_i - e_i)^2
              \Bigl(\frac{y_i - m_i}{t_i - e_i} - \tau(x_i)\Bigr)^2 .

    From 10,000 rows on an R-learner of lines alone takes the place of the additive
    X-learner. The models of all folds are averaged for new rows.

    Parameters
    ----------
    n_folds : int, default=5
        Folds of the cross-fitting where ``fit`` is given none; three suffice
        from 10,000 rows on and are used there.
    clip : float, default=0.01
        Propensities are kept inside ``[clip, 1 - clip]``; in the average those of a
        rare arm may be less, see
        :func:`~sklearn_causalrec.effects.average.least_and_most`.
    max_rows : int, default=100_000
        Rows that one learner is trained on at most, drawn at random. Predictions,
        scores and weights use every row.
    outcome_learners, exposure_learners : sequence of callables, default=None
        Each called as ``make(bins, seed)`` returns a regressor with
        ``fit(X, target, sample_weight)`` and ``predict``. None: two kinds of
        boosting, from 10,000 rows on one; boosting and an additive logistic
        regression.
    n_jobs : int, default=2
        Folds fitted at once, in threads. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    weights_ : dict
        Weight of each candidate in the stack.
    effect_oof_ : ndarray of shape (n_samples,)
        Cross-fitted effects of the rows of ``fit``, in units of ``y``.
    outcome_oof_ : ndarray of shape (n_samples, 2)
        Cross-fitted stacked outcomes under each arm, in units of ``y``.
    propensity_ : ndarray of shape (n_samples,)
        Cross-fitted (or given) propensities, not clipped.
    calibrated_ : ndarray of shape (n_samples,)
        The same, calibrated by isotonic regression unless given.
    scores_ : ndarray of shape (n_samples,)
        Doubly robust (AIPW) scores of the effect; their mean is ``ate_``.
    influence_ : ndarray of shape (n_samples,)
        Influence function of ``ate_``, corrected for one wrong nuisance.
    ate_, ate_stderr_ : float
        Average effect and its standard error, see
        :func:`~sklearn_causalrec.effects.average.average_effect`.

    References
    ----------
    .. [1] Nie, X. and Wager, S. (2021). "Quasi-oracle estimation of
       heterogeneous treatment effects." Biometrika 108(2).
    .. [2] Künzel, S. et al. (2019). "Metalearners for estimating heterogeneous
       treatment effects using machine learning." PNAS 116(10).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1500, 3))
    >>> t = rng.binomial(1, 1 / (1 + np.exp(-X[:, 0])))
    >>> y = X[:, 0] + t * (1 + X[:, 1]) + rng.normal(size=1500)
    >>> stage = StackedEffect(random_state=0).fit(X, y, t)
    >>> bool(np.corrcoef(stage.effect(X), 1 + X[:, 1])[0, 1] > 0.9)
    True
    """

    # Outcomes of two arms and exposure; candidates of two kinds. At most, a fold.
    TASKS = 5

    def __init__(
        self,
        *,
        n_folds=5,
        clip=0.01,
        max_rows=100_000,
        outcome_learners=None,
        exposure_learners=None,
        n_jobs=2,
        random_state=None,
    ):
        self.n_folds = n_folds
        self.clip = clip
        self.max_rows = max_rows
        self.outcome_learners = outcome_learners
        self.exposure_learners = exposure_learners
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X,
        y,
        treatment,
        *,
        outcome_oof=None,
        exposure_oof=None,
        outcome_by_fold=None,
        propensity=None,
        sample_weight=None,
        fold=None,
        groups=None,
        clusters=None,
        progress=None,
    ):
        """Fit nuisances, candidates and their weights.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Finite numbers; ids encoded beforehand.
        y : ndarray of shape (n_samples,)
            Outcome; for 0 and 1 the effect is a difference of risks.
        treatment : ndarray of shape (n_samples,)
            Treatment, 0 or 1.
        outcome_oof : ndarray of shape (n_samples, 2), default=None
            Outcomes under each arm predicted by a network that did not see the
            row's fold. Then ``effect`` needs the network's outcomes as well.
        exposure_oof : ndarray of shape (n_samples,), default=None
            The network's cross-fitted propensities: one more learner.
        outcome_by_fold : callable, default=None
            Called with positions of rows, returns what the network of every fold says
            of them, (n_folds, n_rows, 2), for the intervals of rows. Of use where
            ``effect`` is given the same. None: ``outcome_oof`` stands for all folds.
        propensity : ndarray of shape (n_samples,), default=None
            Known probabilities of ``treatment = 1``; nothing is estimated then.
        sample_weight : ndarray of shape (n_samples,), default=None
        fold : ndarray of shape (n_samples,), default=None
            Fold label of each row, the same as for the network's predictions.
        groups : ndarray of int of shape (n_samples, n_kinds), default=None
            Codes from 0 of what the row belongs to (its user, its item): one more
            candidate, see :class:`~sklearn_causalrec.effects.learners.MixedRidge`.
            Then ``effect`` needs the codes as well.
        clusters : Clusters, default=None
            Which rows go together, for standard errors.
        progress : callable, default=None
            Called after each of the ``TASKS`` of a fold.

        Raises
        ------
        ValueError
            If ``treatment`` is not 0 and 1, or a fold leaves out all rows of an arm.
        """
        X, y, treatment = np.asarray(X), np.asarray(y, float), np.asarray(treatment)
        if not np.isin(treatment, (0, 1)).all() or len(np.unique(treatment)) < 2:
            raise ValueError(
                "treatment must hold both 0 and 1 and nothing else, got "
                f"{np.unique(treatment)[:5]}"
            )
        treatment = treatment.astype(int)
        y = self._start(X, y, treatment, sample_weight, fold, clusters)
        net = outcome_by_fold
        if outcome_oof is not None:
            net = net or np.asarray(outcome_oof).__getitem__
            outcome_oof = (np.asarray(outcome_oof) - self._shift) / self._scale
        self._done = progress or (lambda: None)
        self._fit_nuisances(X, y, treatment, outcome_oof, exposure_oof, propensity)
        self._fit_candidates(X, y, treatment, outcome_oof, groups)
        self._fit_average(X, y, treatment)
        self._fit_row_errors(X, net, groups)
        self.outcome_oof_ = self._mu * self._scale + self._shift
        self._forget()
        return self

    def _count_folds(self, n):
        return self.n_folds if n < MANY_ROWS else min(3, self.n_folds)

    def _start(self, X, y, treatment, sample_weight, fold, clusters):
        """What all steps share: folds, seeds, bins, weights; y in standard units."""
        n = len(y)
        vars(self).pop("_compiled", None)  # of an earlier fit
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        rng = check_random_state(self.random_state)
        if fold is None:
            fold = stratified_folds(treatment, self._count_folds(n), rng)
        names, fold = np.unique(fold, return_inverse=True)
        for k, name in enumerate(names):
            left = (
                w[fold != k] * (treatment[fold != k] == 1),
                w[fold != k] * (treatment[fold != k] == 0),
            )
            if min((a > 0).sum() for a in left) < 2:
                raise ValueError(
                    f"without fold {name} an arm has fewer than two rows of "
                    "positive weight; use fewer folds or stratify them by treatment"
                )
        self._n_folds, self._fold, self._w = len(names), fold, w
        self._clusters = clusters
        self._seeds = rng.randint(2**31 - 1, size=len(names))
        self._shift = np.average(y, weights=w)
        self._scale = np.sqrt(np.average((y - self._shift) ** 2, weights=w)) or 1.0
        few = np.sort(permuted(n, rng)[: self.max_rows])
        self._bins = Bins(X[few])
        self._codes = self._bins(X) if X.size <= SHARED_CODES else None
        self._done = lambda: None
        return (y - self._shift) / self._scale

    def _forget(self):
        del self._fold, self._mu, self._done, self._clusters, self._codes
        vars(self).pop("_exposure", None)

    def _each_fold(self, job, parts):
        """Results of ``job(part, k, rows, held, train)``, a list a fold."""

        def run(i, k, rows, held):
            rng = np.random.RandomState([self._seeds[k], i])

            def train(model, rows, X, target, weight, groups=None):
                rows = rows[weight[rows] > 0]
                if len(rows) > self.max_rows:
                    rows = np.sort(rng.choice(rows, self.max_rows, replace=False))
                read = inputs(model, X, groups, self._codes)[rows]
                fitted = model.fit(read, target[rows], weight[rows])
                if isinstance(model, KernelRidge):
                    model.positions_ = rows  # of the rows that it keeps
                return fitted

            with one_thread():
                done = job(parts[i], k, rows, held, train)
            self._done()
            return done

        # The path is searched coarsely: its penalty is chosen by validation.
        with one_thread(), quiet(category=ConvergenceWarning):
            return each_fold(
                self._fold, run, range(len(parts)), n_jobs=self.n_jobs, prefer="threads"
            )

    def _at(self, models, X, rows, groups=None):
        """Predictions of some rows of fit, a column a model."""
        read = [inputs(m, X, groups, self._codes) for m in models]
        return np.transpose([chunked_predict(*m, rows) for m in zip(models, read)])

    def _fit_nuisances(self, X, y, treatment, net, net_exposure, known):
        w, fold = self._w, self._fold
        outcome = self.outcome_learners or stacked_outcome_learners(len(y))
        exposure = self.exposure_learners or stacked_exposure_learners(len(y))

        def job(part, k, rows, held, train):
            makers = exposure if part == "exposure" else outcome
            target = treatment if part == "exposure" else y
            mine = rows if part == "exposure" else rows[treatment[rows] == part]
            models = [make(self._bins, self._seeds[k]) for make in makers]
            models = [train(m, mine, X, target, w) for m in models]
            return models, self._at(models, X, held)

        self._known = known is not None
        parts = (0, 1) if self._known else (0, 1, "exposure")
        done = self._each_fold(job, parts)
        self._outcome_models = [[models for models, _ in row[:2]] for row in done]

        def stack(part, makers, extra):
            P = np.empty((len(y), len(makers)), np.float32)
            for k, row in enumerate(done):
                P[fold == k] = row[part][1]
            if extra is None:
                return P
            return np.column_stack([P, extra.astype(np.float32)])

        self._outcome_weights, self._mu = [], np.empty((len(y), 2))
        for arm in (0, 1):
            P, mine = (
                stack(arm, outcome, None if net is None else net[:, arm]),
                treatment == arm,
            )
            c = convex_weights(P[mine], y[mine], w[mine])
            self._outcome_weights.append(c)
            self._mu[:, arm] = P @ c
        if not self._known:
            P = stack(2, exposure, net_exposure)
            c = convex_weights(P, treatment.astype(float), w)
            self._exposure, known = ([row[2][0] for row in done], c), P @ c
        self.propensity_ = known

    def _outcome(self, k, arm, X, net=None, rows=None, codes=None):
        """Outcome of ``arm`` by the models of fold ``k`` and the network's, if any.

        And by how much these models disagree. ``codes`` are the bins of X, if known.
        """
        c, models = self._outcome_weights[arm], self._outcome_models[k][arm]
        codes = codes if rows is None else self._codes
        read = [inputs(m, X, codes=codes) for m in models]
        parts = [chunked_predict(*m, rows) for m in zip(models, read)]
        if net is not None and len(c) > len(models):
            parts.append(net[:, arm])
        # without the network's, the weights of the others (outcome_weights) are scaled
        parts, c = np.transpose(parts), c[: len(parts)]
        c = c / c.sum() if c.sum() > 0 else c + 1 / len(c)
        return parts @ c, disagreement(parts, c)

    def _fit_candidates(self, X, y, treatment, net, groups):
        w, e, mu = self._w, self.propensity_, self._mu
        e = np.clip(e, self.clip, 1 - self.clip)
        rt = treatment - e
        target = (y - mu[:, 0] * (1 - e) - mu[:, 1] * e) / rt
        weight, even = w * rt**2, w * np.abs(rt)
        many = len(y) >= MANY_ROWS

        def job(part, k, rows, held, train):
            seed = self._seeds[k]
            # All trees: by how much these models disagree is what intervals of rows
            # rest on, and boosting that ends early is too near the additive models.
            if part == "R":
                r = Boost(self._bins, seed, True, max_iter=30, **_HALF)
                train(r, rows, X, target, weight)
                models = [r.additive, r]
                if many:
                    # a hinge or a step too many is most of the error of an effect that
                    # is a line, and lines are a tenth of the terms
                    lines = AdditiveLasso(n_knots=0)
                    models.append(train(lines, rows, X, target, weight))
                if groups is not None:
                    mixed = train(MixedRidge(), rows, X, target, weight, groups)
                    models.append(mixed)
            else:
                # The opposite arm's model saw neither the row nor fold k: imputing
                # with cross-fitted outcomes would leak fold k into its prediction.
                imputed = np.empty(len(y))
                for arm in (0, 1):
                    mine = rows[treatment[rows] == arm]
                    other, _ = self._outcome(k, 1 - arm, X, rows=mine)
                    imputed[mine] = (y[mine] - other) * (2 * arm - 1)
                x = imputed_effect_learner(len(y))(self._bins, seed)
                models = [] if many else [AdditiveLasso(basis=self._bins.basis)]
                models = [train(m, rows, X, imputed, even) for m in [*models, x]]
            return models, self._at(models, X, held, groups)

        done = self._each_fold(job, ("X", "R"))
        self._effect_models = [row[0][0] + row[1][0] for row in done]
        names = ["constant", "T", "X-additive", "X-boost", "R-additive", "R-boost"]
        if many:
            names.remove("X-additive")
            names.append("R-linear")
        names += ["R-mixed"] if groups is not None else []
        P = np.empty((len(y), len(names)), np.float32)
        P[:, 1] = mu[:, 1] - mu[:, 0]
        self._constants = []
        for k, row in enumerate(done):
            held = self._fold == k
            self._constants.append(np.average(target[~held], weights=weight[~held]))
            P[held, 0] = self._constants[k]
            P[held, 2:] = np.hstack([row[0][1], row[1][1]])
        if net is not None:
            names.append("T-network")
            P = np.column_stack([P, (net[:, 1] - net[:, 0]).astype(np.float32)])
        c = convex_weights(P, target, weight)
        self.weights_ = dict(zip(names, c.tolist()))
        self.effect_oof_ = P @ c * self._scale
        rng = np.random.RandomState(self._seeds)
        given = P, target, weight, c, self._fold, groups, self._clusters
        self._row_errors = RowErrors(*given, rng)

    def _fit_row_errors(self, X, net, groups):
        rng = np.random.RandomState(self._seeds[::-1])
        rows = np.sort(permuted(len(X), rng)[:REFERENCE_ROWS])
        net = None if net is None else net(rows)
        groups = None if groups is None else groups[rows]
        floor = (self.ate_stderr_ / self._scale) ** 2
        self._row_errors.refer(*self._by_fold(X[rows], net, groups), floor)

    def _by_fold(self, X, outcome, groups=None):
        """Candidates at ``X`` by the models of each fold, standardized.

        And what the folds do not show: the disagreement of the outcome models, and the
        variance that the offsets of the row's groups add.
        """
        X, net = np.asarray(X), None
        if "T-network" in self.weights_:
            net = (np.asarray(outcome) - self._shift) / self._scale
            net = np.broadcast_to(net, (self._n_folds, len(X), 2))
        out = np.empty((self._n_folds, len(X), len(self.weights_)))
        doubt, offsets = np.zeros(len(X)), np.zeros(len(X))
        share = self.weights_.get("R-mixed", 0.0) ** 2 / self._n_folds
        for k, models in enumerate(self._effect_models):
            out[k, :, 0] = self._constants[k]
            own = None if net is None else net[k]
            (low, apart), (high, more) = (self._outcome(k, a, X, own) for a in (0, 1))
            out[k, :, 1], doubt = high - low, doubt + (apart + more) / self._n_folds
            for j, m in enumerate(models, 2):
                read = inputs(m, X, groups)
                out[k, :, j] = chunked_predict(m, read)
                if isinstance(m, MixedRidge):
                    offsets += share * m.offset_variance(read)
            if net is not None:
                out[k, :, -1] = own[:, 1] - own[:, 0]
        return out, doubt, offsets

    # ------------------------------------------------------ the average effect
    def _fit_average(self, X, y, treatment, groups=None):
        e = self.propensity_
        if not self._known:
            e = isotonic(e, treatment, self._w, e)
        self.calibrated_ = e
        score, influence = average_effect(
            X,
            y,
            treatment,
            self._mu,
            self.propensity_,
            self._w,
            parts_of_folds(self._fold, self._clusters, groups),
            known=self._known,
            clip=self.clip,
        )
        self.scores_ = score * self._scale
        self.influence_ = influence * self._scale
        self.ate_ = np.average(self.scores_, weights=self._w)
        self.ate_stderr_ = estimate(self.ate_, self.influence_, self._clusters).error

    def ate_interval(self, alpha=0.05):
        """Interval for the average effect over the rows of ``fit``."""
        check_is_fitted(self, "ate_")
        return normal_interval(self.ate_, self.ate_stderr_, alpha)
