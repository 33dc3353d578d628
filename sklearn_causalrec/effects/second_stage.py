"""Effects of an estimator whose networks predict the outcome under every arm."""

import copy
import warnings
from functools import partial

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.postponed import Postponed, WhenAsked
from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec.effects.arms import ArmEffects, ate_table
from sklearn_causalrec.effects.clusters import cross_fitting_folds
from sklearn_causalrec.effects.cross_fitting import MANY_ROWS, stratified_folds
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.effects.overlap import (
    at_the_clip,
    common_support,
    least_of_arms,
    told_by,
    warn_of_poor_overlap,
)
from sklearn_causalrec.effects.targeted import targeted_step
from sklearn_causalrec.encoding.contrasts import contrast
from sklearn_causalrec.encoding.exposure import factual_exposure
from sklearn_causalrec.encoding.streams import by_batches, is_stream

MAX_SEED = np.iinfo(np.int32).max


def read_outcomes(encoder, outcome):
    """Outcomes that the networks predict, as the second stage reads them.

    Parameters
    ----------
    encoder : LogEncoder
        Knows the scale of the outcome.
    outcome : ndarray
        In the units of y.

    Returns
    -------
    ndarray, float32
    """
    if encoder.y_dtype == np.float64:  # which the cast would not tell apart
        outcome = encoder.standardized(outcome)
    return outcome.astype(np.float32)


class EffectMixin:
    """``effect``, ``ate`` and their intervals, from a cross-fitted second stage.

    Networks trained without a fold predict it; the effect is learned from these
    predictions by :class:`~sklearn_causalrec.effects.stacked.StackedEffect`, of
    each arm against the first. That takes most of the time of a fit, and waits until
    an effect is asked for.
    """

    effects_ = WhenAsked()
    propensity_ = WhenAsked()
    overlap_ = WhenAsked()

    def _fit_effects(self, rows, objective, progress):
        """The second stage, at once or when asked; with one arm, the targeted step.

        Parameters
        ----------
        rows : Rows
            The log, with its facts.
        objective : type
            Class of the objective, which says whether it targets the average.
        progress : Progress
            Gets a stage for each fold.
        """
        rng = check_random_state(self.random_state)
        seeds = rng.randint(MAX_SEED, size=self.n_folds + 1).tolist()
        n_folds = self.n_folds if len(rows) < MANY_ROWS else min(3, self.n_folds)
        if len(self.arms_) == 1:
            knows_exposure = rows.catalogue is not None or rows.exposure is not None
            if (
                objective.targets_average
                and knows_exposure
                and rows.randomized is None
                and len(rows) >= 2 * n_folds
            ):
                fold = stratified_folds(rows.arm, n_folds, rng)
                self._target_average(rows, fold, seeds[:n_folds], objective, progress)
            return
        if self.effect_learner == "t":
            self._tell_overlap(rows, self.propensity_)
            return
        smallest = np.bincount(rows.arm, minlength=len(self.arms_)).min()
        if smallest < 2 * n_folds:
            warnings.warn(
                f"An arm has {smallest} rows, too few for cross-fitting over "
                f"{n_folds} folds: effects are differences of the outcome heads, "
                "without intervals.",
                stacklevel=3,
            )
            self._tell_overlap(rows, self.propensity_)
            return
        fold = cross_fitting_folds(
            rows.arm, n_folds, rng, rows.clusters,
            ids_are_read=rows.user is not None or rows.item is not None,
        )  # fmt: skip
        # as it is now: what the user sets later is for the next fit
        work = partial(copy.copy(self)._second_stage, rows, fold, seeds)
        if self.lazy_effects:
            Postponed(work).put_off(self)
        else:
            vars(self).update(work(progress))

    def _second_stage(self, rows, fold, seeds, progress=None):
        """Its attributes, by networks that have not seen a row's fold, a dict."""
        if progress is None:
            with Progress(self.verbose) as progress:
                return self._second_stage(rows, fold, seeds, progress)
        n_folds = fold.max() + 1
        found = self._ensemble.cross_fit(rows, fold, seeds[:n_folds], progress=progress)
        propensity = rows.propensity
        if propensity is not None and np.isnan(propensity).any():
            propensity = None
        effects = ArmEffects(len(self.arms_), self.clip, seeds[-1] % 2**30)
        progress.stage("effects", effects.n_steps(n_folds))
        effects = effects.fit(
            X=self._effect_features(rows, found.outcome),
            y=rows.y,
            arm=rows.arm,
            weight=rows.weight,
            fold=fold,
            outcome=found.outcome,
            exposure=found.exposure,
            propensity=propensity,
            groups=self._groups(rows),
            # A history tells of other rows of the user, as its vector does.
            features=self._features(rows) if rows.history is None else None,
            clusters=rows.clusters,
            progress=progress.step,
        )
        p = effects.propensity
        self._tell_overlap(rows, p)
        clipped = float(at_the_clip(p, least_of_arms(p, self.clip)).mean())
        return dict(
            effects_=effects,
            propensity_=p,
            overlap_={**self.overlap_, "clipped": clipped},
        )

    @property
    def effect_varies_(self):
        """Whether the effect of each arm was found to differ between rows.

        False means that one number for all rows predicts effects best: the log tells
        no heterogeneity, and ``effect`` returns that number.

        Returns
        -------
        ndarray of bool of shape (n_arms,) or None
            In the order of ``arms_``, against the first, whose own value is False. None
            if there is no second stage.
        """
        check_is_fitted(self, "nets_")
        return None if self.effects_ is None else np.array(self.effects_.varies)

    @property
    def averages_within_(self):
        """The ids within which rows are compared for average effects.

        Returns
        -------
        list of str
            "user", "item", both or none. It is empty where no ids are read,
            the propensities of two arms are known, the ids have too few rows (fewer
            than 10 each), the treatment hardly varies within them or an arm is with a
            few of them alone, and where there is a history.
        """
        check_is_fitted(self, "nets_")
        if self.effects_ is None:
            return []
        named = [r for r in ("user", "item") if getattr(self, r) is not None]
        return [role for j, role in enumerate(named) if j in self.effects_.within]

    def _tell_overlap(self, rows, propensity):
        """Warn where arms hardly overlap."""
        few = rows.features[told_by(len(rows))]
        columns = self.log_encoder_.roles.in_units(few)
        labels = [c if isinstance(c, str) else f"column {c}" for c in columns]
        X = np.column_stack([*columns.values(), np.zeros((len(few), 0))])
        least = least_of_arms(propensity, self.clip)
        warn_of_poor_overlap(propensity, least, X, labels)

    def _target_average(self, rows, fold, seeds, objective, progress):
        """Move the intercept towards the average over all pairs."""
        found = self._ensemble.cross_fit(rows, fold, seeds, progress=progress)
        step = targeted_step(
            rows.y,
            found.outcome[:, 0],
            factual_exposure(rows, found.exposure, objective.is_ratio(1)),
            rows.weight,
            binary=self._ensemble.binary,
            clip=objective.least_exposure(1, self.clip),
        )
        self._ensemble.move_intercept(step)

    def _features(self, rows):
        """The features, a missing tower by its mean and by an indicator; of texts the
        components of their vectors."""
        features, encoder = rows.features, self.log_encoder_
        if encoder.roles.towers_ is None:
            return encoder.as_numbers(features)
        gaps = np.isnan(features)
        features = np.where(gaps, encoder.mean.astype(np.float32), features)
        return np.column_stack([encoder.as_numbers(features), gaps[:, encoder.gaps]])

    def _effect_features(self, rows, outcome):
        """Features of the second stage: ids, histories and what the networks learned
        of texts enter by the outcomes predicted of them."""
        features = self._features(rows)
        unread = (rows.user, rows.item, rows.history, self.log_encoder_.roles.texts)
        if all(part is None for part in unread):
            return features
        outcome = read_outcomes(self.log_encoder_, outcome)
        return np.column_stack([features, outcome])

    @staticmethod
    def _groups(rows):
        """Codes of user and item, of what there is; or None."""
        codes = [ids for ids in (rows.user, rows.item) if ids is not None]
        return np.column_stack(codes) if codes else None

    def _contrast(self, T0, T1):
        """Codes of two arms."""
        check_is_fitted(self, "nets_")
        if len(self.arms_) == 1:
            raise ValueError(
                "The effect is not identified: fit saw a single treatment value, so "
                "nothing says what happens otherwise. Fit with treatment=, including "
                "rows that were not shown; predict and recommend(by='outcome') work."
            )
        if self._unidentified is not None:
            raise self._unidentified
        return contrast(self.arms_.tolist(), self.control_, T0, T1)

    def effect(self, X, T0=None, T1=None):
        """Estimate the effect of arm T1 against arm T0 on each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.
        T0 : scalar, default=None
            The arm that the effect is against. None stands for ``control_``.
        T1 : scalar, default=None
            The arm of interest. None stands for the other of two arms. Of more arms it
            has to be named, but for 1 against a control of 0.

        Returns
        -------
        ndarray of shape (n,)
            The effects in units of y; differences of probabilities if y is binary.

        Raises
        ------
        ValueError
            If fit saw one arm alone, T0 or T1 is not an arm, or an arm has to be named:
            which one is the control can't be told, or there are more than two.
        """
        t0, t1 = self._contrast(T0, T1)
        if is_stream(X):
            return by_batches(X, self, partial(self.effect, T0=T0, T1=T1))
        return self._effect_rows(self.log_encoder_.rows(self, X), t0, t1)

    def _effect_rows(self, rows, t0, t1):
        outcomes = self._predicted(rows)
        if self.effects_ is None:
            return outcomes[:, t1] - outcomes[:, t0]
        features = self._effect_features(rows, outcomes)
        return self.effects_.effect(features, outcomes, t0, t1, self._groups(rows))

    def _need_effects(self, what):
        if self.effects_ is None:
            raise ValueError(
                f"{what} comes from the cross-fitted effect learner, which was not "
                'fitted: it needs fit (not partial_fit), effect_learner="stacked", and '
                f"at least {2 * self.n_folds} rows an arm."
            )

    def effect_interval(self, X, alpha=0.05, T0=None, T1=None):
        """Return bounds of the effect of each row.

        They cover the true effects of fresh rows on average over rows: not of each row,
        and less of the largest and the smallest effects, which are predicted too near
        the mean. Counted are the jackknife over
        folds, the disagreement of learners that are about as good, and by how much
        users and items, or clusters, differ in the effect beyond what is predicted of
        them; hence the bounds of unknown users and items are wider. Where no column
        names users, items or clusters, what the features cannot tell of the effect is
        not counted: the bounds are then those of the mean effect given the features.
        They are bounds of an expected difference, not of the difference of two
        outcomes, which varies more. The coverage that was measured is in
        ``benchmarks/RESULTS.md``.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows, with the columns of ``fit``.
        alpha : float, default=0.05
            One minus the coverage.
        T0, T1 : scalar, default=None
            The arms, as in ``effect``.

        Returns
        -------
        low, high : ndarray of shape (n,)
            The bounds.

        Raises
        ------
        ValueError
            If the effect is not identified, or there is no second stage.
        """
        check_alpha(alpha)
        t0, t1 = self._contrast(T0, T1)
        self._need_effects("effect_interval")
        if is_stream(X):
            one = partial(self.effect_interval, alpha=alpha, T0=T0, T1=T1)
            return by_batches(X, self, one)
        rows = self.log_encoder_.rows(self, X)
        return self._effect_interval_rows(rows, t0, t1, alpha)

    def _effect_interval_rows(self, rows, t0, t1, alpha):
        outcomes = self._ensemble.predict(rows).outcome
        features = self._effect_features(rows, outcomes)
        return self.effects_.effect_interval(
            features, outcomes, t0, t1, alpha, self._groups(rows)
        )

    def _log_scores(self):
        """What is kept of the effect in each row of ``fit``, `LogScores`."""
        self._contrast(self.arms_[0], self.arms_[-1])  # refuses where none is known
        self._need_effects("the effect in parts of the log")
        return self.effects_.log_scores(self.log_encoder_.kept)

    def ate(self, X=None, T0=None, T1=None):
        """Estimate the average effect over the rows of X, or of the log.

        Over the log it is the doubly robust estimate. Over other rows it is the mean
        of ``effect`` plus what the residuals of the log's doubly robust scores say of
        such rows: their mean, and by a regression on the features what differs there.

        Parameters
        ----------
        X : array-like of shape (n, p), default=None
            The rows to average over. None stands for the log.
        T0, T1 : scalar, default=None
            The arms, as in ``effect``.

        Returns
        -------
        float
            The average effect, in units of y.

        Raises
        ------
        ValueError
            If the effect is not identified, or there is no second stage.

        References
        ----------
        .. [1] Arkhangelsky, D. and Imbens, G. (2024). "Fixed effects and the
           generalized Mundlak estimator." Review of Economic Studies 91(5).
        """
        return self._average(X, T0, T1, "ate")[0]

    def ate_interval(self, X=None, alpha=0.05, T0=None, T1=None, *, cluster=True):
        """Return bounds of the average effect, by its influence function.

        Over rows that are unlike those of the log they are wider, the more so the
        further away the means and squares of their features are. Rows far from all of
        the log are known by extrapolation alone, which no interval tells.

        Parameters
        ----------
        X : array-like of shape (n, p), default=None
            The rows to average over. None stands for the log.
        alpha : float, default=0.05
            One minus the coverage.
        T0, T1 : scalar, default=None
            The arms, as in ``effect``.
        cluster : bool, default=True
            Whether the interval counts that rows of a cluster belong together. With
            False, all rows count as independent.

        Returns
        -------
        low, high : float
            The bounds.

        Raises
        ------
        ValueError
            If the effect is not identified, or there is no second stage.
        """
        check_alpha(alpha)
        found = self._average(X, T0, T1, "ate_interval", cluster)
        return found.interval(alpha)

    def att(self, T0=None, T1=None):
        """Estimate the average effect on the treated: the rows that had arm T1.

        It asks for rows of arm T0 that are like those of T1, and not for the opposite:
        where many rows could not have had T1, this effect can still be told.

        Parameters
        ----------
        T0, T1 : scalar, default=None
            The arms, as in ``effect``.

        Returns
        -------
        float
            The average effect over these rows of the log, in units of y.

        Raises
        ------
        ValueError
            If the effect is not identified, or there is no second stage.
        """
        return self._on_treated(T0, T1, "att")[0]

    def att_interval(self, alpha=0.05, T0=None, T1=None, *, cluster=True):
        """Return bounds of the average effect on the treated.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the coverage.
        T0, T1 : scalar, default=None
            The arms, as in ``effect``.
        cluster : bool, default=True
            Whether the interval counts that rows of a cluster belong together.

        Returns
        -------
        low, high : float
            The bounds.

        Raises
        ------
        ValueError
            If the effect is not identified, or there is no second stage.
        """
        check_alpha(alpha)
        found = self._on_treated(T0, T1, "att_interval", cluster)
        return found.interval(alpha)

    def _on_treated(self, T0, T1, what, clustered=True):
        t0, t1 = self._contrast(T0, T1)
        self._need_effects(what)
        return self.effects_.att(t0, t1, clustered=clustered)

    def common_support(self, least=None):
        """Return the rows of ``fit`` in which every arm is a possibility.

        Fitted to these rows alone, the estimator answers for them: ``keep =
        model.common_support(0.1)``, then ``model.fit(X[keep], y[keep],
        treatment=t[keep])``.

        Parameters
        ----------
        least : float, default=None
            The least probability of every arm; 0.1 is a common choice [1]_. None stands
            for more than `clip`, or, of an arm that few rows have, for more than `clip`
            in proportion.

        Returns
        -------
        ndarray of bool of shape (n,)
            True in the rows to keep, in the order of ``fit``.

        Raises
        ------
        ValueError
            If fit saw one arm alone, or `least` is no probability that all arms can
            have.

        References
        ----------
        .. [1] Crump, R., Hotz, V., Imbens, G. and Mitnik, O. (2009). "Dealing with
           limited overlap in estimation of average treatment effects." Biometrika
           96(1).
        """
        check_is_fitted(self, "nets_")
        p = self.propensity_
        clip = None if p is None else least_of_arms(p, self.clip)
        inside = common_support(p, clip, least)
        kept = self.log_encoder_.kept.copy()
        kept[kept] = inside
        return kept

    def ate_table(self, alpha=0.05):
        """Compare every other arm with the control, on average over the log.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the coverage.

        Returns
        -------
        DataFrame
            A row for each arm but the control, with the columns ``arm``, ``effect``,
            ``low``, ``high``, ``n``, the number of rows of the log that had the arm,
            and ``varies``, whether the effect was found to differ between rows.

        Raises
        ------
        ValueError
            If the effect is not identified, there is no second stage, or which arm is
            the control can't be told.
        """
        check_alpha(alpha)
        self._contrast(None, self.arms_[-1])
        self._need_effects("ate_table")
        return ate_table(self, self.effects_.n_rows, alpha)

    def _average(self, X, T0, T1, what, clustered=True):
        t0, t1 = self._contrast(T0, T1)
        self._need_effects(what)
        if X is None:
            return self.effects_.ate(t0, t1, clustered=clustered)
        rows = self.log_encoder_.rows(self, X)
        outcomes = self._predicted(rows)
        given = self._effect_features(rows, outcomes), outcomes, self._groups(rows)
        return self.effects_.ate(t0, t1, *given, clustered=clustered)
