"""CausalDNNRecommender: the estimator."""

import copy
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklearn_causalrec.causal.arm_effects import (
    ArmEffects,
    interval,
    stratified_folds,
)
from sklearn_causalrec.inspection import recommend
from sklearn_causalrec.interactions.columns import ROLES, ColumnRoles
from sklearn_causalrec.interactions.encoding import LogEncoder
from sklearn_causalrec.interactions.validation import arm_codes
from sklearn_causalrec.networks.ensemble import Ensemble
from sklearn_causalrec.networks.modules import ACTIVATIONS
from sklearn_causalrec.networks.objectives import OBJECTIVES
from sklearn_causalrec.networks.training import resolve_device
from sklearn_causalrec.ranking.catalogue import Catalogue

# From so many rows on, three folds leave enough to train on.
MANY_ROWS = 10_000
MAX_SEED = np.iinfo(np.int32).max


@contextmanager
def _unchanged_on_failure(estimator):
    """Give the estimator its attributes back if the block raises."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class PairScores(NamedTuple):
    """Scores of pairs: of encoded rows, and of whole blocks where that is faster."""

    rows: Callable
    matrix: Callable | None


def _is_classifier(estimator):
    return estimator.task == "classification"


class CausalDNNRecommender(BaseEstimator):
    """PLACEHOLDER"""

    _parameter_constraints = {
        "task": [StrOptions({"regression", "classification"})],
        "user": [str, Integral, None],
        "item": [str, Integral, None],
        "time": [str, Integral, None],
        "treatment": [str, Integral, None],
        "propensity": [str, Integral, None],
        "encoder": [StrOptions({"dnn", "mf"})],
        "hidden_layer_sizes": ["array-like"],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "objective": [StrOptions(set(OBJECTIVES))],
        "effect_learner": [StrOptions({"stacked", "t"})],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "clip": [Interval(Real, 0, 1, closed="neither")],
        "optimizer": [StrOptions({"adam", "sgd"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"constant", "cosine", "plateau"})],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
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
        encoder="dnn",
        hidden_layer_sizes=(128, 64),
        embedding_dim=16,
        dropout=0.0,
        activation="relu",
        input_noise=0.0,
        objective="targeted",
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
        verbose=0,
        random_state=None,
    ):
        self.task = task
        self.user = user
        self.item = item
        self.time = time
        self.treatment = treatment
        self.propensity = propensity
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.activation = activation
        self.input_noise = input_noise
        self.objective = objective
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
        with _unchanged_on_failure(self):
            again = self.warm_start and hasattr(self, "nets_")
            rows = self._read(X, y, treatment, propensity, sample_weight, again)
            self._train(rows, again, self.max_epochs)
            self._fit_effects(rows)
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
        with _unchanged_on_failure(self):
            again = hasattr(self, "nets_")
            given = (X, y, treatment, propensity, sample_weight)
            rows = self._read(*given, again, classes, arms)
            self._train(rows, again, 1)
            self.effects_ = None
        return self

    def _read(self, X, y, treatment, propensity, sample_weight, again, *known):
        self._validate_params()
        if self.encoder == "mf" and (self.user is None or self.item is None):
            raise ValueError(
                'encoder="mf" factorises users and items: name their columns, '
                'user="…" and item="…".'
            )
        self.device_ = resolve_device(self.device)
        if again:
            self.encoder_ = copy.deepcopy(self.encoder_)
        else:
            roles = {name: getattr(self, name) for name in ROLES}
            self.encoder_ = LogEncoder(
                ColumnRoles(**roles), _is_classifier(self), *known
            )
        given = (X, y, treatment, propensity, sample_weight)
        rows = self.encoder_.fit_rows(self, *given, first=not again)
        self.arms_ = self.encoder_.arms
        if _is_classifier(self):
            self.classes_ = self.encoder_.classes
        return rows

    def _train(self, rows, again, epochs):
        rng = check_random_state(self.random_state)
        seeds = rng.randint(MAX_SEED, size=self.n_estimators)
        self.catalogue_ = None
        if self.user is not None and self.item is not None:
            n_users, n_items = len(self.encoder_.users), len(self.encoder_.items)
            self.catalogue_ = Catalogue(
                rows.features, rows.user, rows.item, n_users, n_items
            )
        ensemble = Ensemble(self.get_params(), self.encoder_, self.device_)
        if again:
            ensemble.nets = self.nets_
        bar = tqdm(
            total=epochs * self.n_estimators,
            desc="fit",
            unit="epoch",
            disable=not self.verbose,
        )

        def progress(record):
            loss = record.get("valid_loss", record["train_loss"])
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        one_arm = len(self.arms_) == 1
        with bar:
            history = ensemble.train(
                rows,
                seeds,
                epochs=epochs,
                catalogue=self.catalogue_ if one_arm else None,
                progress=progress,
            )
        self.history_ = [*self.history_, *history] if again else history
        self.ensemble_, self.nets_ = ensemble, ensemble.nets
        self.n_iter_ = max(record["epoch"] for record in history)
        self.overlap_ = self._summarise_overlap(rows)

    def _fit_effects(self, rows):
        """The second stage; or, with one arm, the targeted step."""
        self.effects_ = None
        rng = check_random_state(self.random_state)
        seeds = rng.randint(MAX_SEED, size=self.n_folds + 1).tolist()
        n_folds = self.n_folds if len(rows) < MANY_ROWS else min(3, self.n_folds)
        settings = dict(epochs=self.max_epochs, catalogue=self.catalogue_)
        if len(self.arms_) == 1:
            if (
                self.objective == "targeted"
                and self.catalogue_ is not None
                and self.ensemble_.randomized(rows) is None
                and len(rows) >= 2 * n_folds
            ):
                fold = stratified_folds(rows.arm, n_folds, rng)
                self.ensemble_.target(rows, fold, seeds[:n_folds], **settings)
            return
        if self.effect_learner == "t":
            return
        smallest = np.bincount(rows.arm, minlength=len(self.arms_)).min()
        if smallest < 2 * n_folds:
            warnings.warn(
                f"An arm has {smallest} rows, too few for cross-fitting over "
                f"{n_folds} folds: effects are differences of the outcome heads, "
                "without intervals.",
                stacklevel=3,
            )
            return
        fold = stratified_folds(rows.arm, n_folds, rng)
        settings["catalogue"] = None
        outcome, exposure = self.ensemble_.cross_fit(
            rows, fold, seeds[:n_folds], **settings
        )
        propensity = rows.propensity
        if propensity is not None and np.isnan(propensity).any():
            propensity = None
        self.effects_ = ArmEffects(len(self.arms_), self.clip, seeds[-1] % 2**30).fit(
            self._effect_features(rows, outcome),
            rows.y,
            rows.arm,
            rows.weight,
            fold,
            outcome,
            exposure,
            propensity,
        )

    @staticmethod
    def _effect_features(rows, outcome):
        """Features of the second stage: ids enter by the outcomes predicted of them."""
        if rows.user is None and rows.item is None:
            return rows.features
        return np.column_stack([rows.features, outcome]).astype(np.float32)

    def _summarise_overlap(self, rows):
        """How well the arms overlap: share clipped and effective sample size."""
        propensity = self._taken_propensity(rows)
        if propensity is None:
            return None
        clipped = propensity < self.clip
        w = rows.weight / np.maximum(propensity, self.clip)
        ess = {}
        for code, arm in enumerate(self.arms_.tolist()):
            mine = w[rows.arm == code]
            ess[arm] = float(mine.sum() ** 2 / max((mine**2).sum(), 1e-300))
        return {"clipped": float(clipped.mean()), "effective_sample_size": ess}

    def _taken_propensity(self, rows):
        exposure = self.ensemble_.predict(rows)[1]
        if exposure is None:
            return rows.propensity
        taken = exposure[np.arange(len(rows)), rows.arm].astype(np.float64)
        if rows.propensity is None:
            return taken
        return np.where(np.isnan(rows.propensity), taken, rows.propensity)

    # -- what happens if it is shown -------------------------------------------

    def _outcomes(self, X):
        check_is_fitted(self, "nets_")
        rows = self.encoder_.rows(self, X)
        return rows, self.ensemble_.predict(rows)[0]

    def _shown(self, rows, treatment, factual=False):
        """Arm code of every row: given, of its column, or the one arm that is shown."""
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
        arm = self._shown(rows, treatment, factual)
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

    # -- what changes because it is shown --------------------------------------

    def _contrast(self, T0, T1):
        """Codes of two arms; 0 and 1 are positions where no arm is called so."""
        check_is_fitted(self, "nets_")
        if len(self.arms_) == 1:
            raise ValueError(
                "The effect is not identified: fit saw a single treatment value, so "
                "nothing says what happens otherwise. Fit with treatment=, including "
                "rows that were not shown; predict and recommend(by='outcome') work."
            )
        codes = []
        positions = not np.isin([0, 1], self.arms_).any() if _numeric(T0, T1) else False
        for name, arm in (("T0", T0), ("T1", T1)):
            if positions and arm in (0, 1):
                codes.append(int(arm))
                continue
            try:
                codes.append(int(arm_codes(np.array([arm]), self.arms_)[0]))
            except ValueError:
                raise ValueError(
                    f"{name}={arm!r} is not an arm; the arms are {self.arms_.tolist()}."
                ) from None
        return codes

    def propensity_scores(self, X):
        """Probability of every arm, (n, n_arms), as the exposure head estimates it."""
        check_is_fitted(self, "nets_")
        return self.ensemble_.predict(self.encoder_.rows(self, X))[1]

    def effect(self, X, T0=0, T1=1):
        """Effect of arm T1 against arm T0 on each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
        T0, T1 : scalar
            Arms; 0 and 1 are positions where no arm is called so.

        Returns
        -------
        ndarray of shape (n,)
            In the units of y; a difference of probabilities where it is binary.

        Raises
        ------
        ValueError
            If fit saw one arm alone, or T0 or T1 is not an arm.
        """
        t0, t1 = self._contrast(T0, T1)
        return self._effect_rows(self.encoder_.rows(self, X), t0, t1)

    def _effect_rows(self, rows, t0, t1):
        outcomes = self.ensemble_.predict(rows)[0]
        if self.effects_ is None:
            return outcomes[:, t1] - outcomes[:, t0]
        features = self._effect_features(rows, outcomes)
        return self.effects_.effect(features, outcomes, t0, t1)

    def _need_effects(self, what):
        if self.effects_ is None:
            raise ValueError(
                f"{what} comes from the cross-fitted effect learner, which was not "
                'fitted: it needs fit (not partial_fit), effect_learner="stacked", and '
                f"at least {2 * self.n_folds} rows an arm."
            )

    def effect_interval(self, X, alpha=0.05, T0=0, T1=1):
        """Bounds of the effect of each row, two arrays of shape (n,).

        They hold on average over rows, not for each; ``benchmarks/RESULTS.md`` has
        the coverage measured.
        """
        t0, t1 = self._contrast(T0, T1)
        self._need_effects("effect_interval")
        rows, outcomes = self._outcomes(X)
        features = self._effect_features(rows, outcomes)
        return self.effects_.effect_interval(features, outcomes, t0, t1, alpha)

    def ate(self, X=None, T0=0, T1=1):
        """Average effect over the rows of X, or of the log.

        The doubly robust estimate over the log; over other rows, the mean of
        ``effect`` plus the mean residual of the log's doubly robust scores.
        """
        return self._average(X, T0, T1, "ate")[0]

    def ate_interval(self, X=None, alpha=0.05, T0=0, T1=1):
        """Bounds of the average effect, from the cross-fitted influence function."""
        return interval(*self._average(X, T0, T1, "ate_interval"), alpha)

    def _average(self, X, T0, T1, what):
        t0, t1 = self._contrast(T0, T1)
        self._need_effects(what)
        effect = None if X is None else self.effect(X, T0, T1)
        return self.effects_.ate(t0, t1, effect)

    # -- lists -----------------------------------------------------------------

    def recommend(
        self,
        users=None,
        k=10,
        *,
        items=None,
        by="effect",
        exclude_seen=True,
        min_effect=None,
        T0=0,
        T1=1,
    ):
        """The k best items of every user; see :func:`sklearn_causalrec.recommend`."""
        return recommend(
            self,
            users,
            items,
            k,
            by,
            min_effect=min_effect,
            exclude_seen=exclude_seen,
            T0=T0,
            T1=T1,
        )

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
                scores = self.ensemble_.predict(rows)[0][:, t1]
            else:
                scores = self._effect_rows(rows, t0, t1)
            if min_effect is None:
                return scores
            effect = scores if by == "effect" else self._effect_rows(rows, t0, t1)
            return np.where(effect > min_effect, scores, -np.inf)

        ids_alone = self.encoder == "mf" and self.catalogue_.user_table.shape[1] == 0
        if by == "outcome" and min_effect is None and ids_alone:
            return PairScores(score, partial(self.ensemble_.matrix, arm=t1))
        return PairScores(score, None)


def _numeric(*values):
    return all(isinstance(value, Real) for value in values)
