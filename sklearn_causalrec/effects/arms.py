"""Effects between any two arms, from a stacked effect of each arm against the first."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.compiled_stage import ArmAnswers
from sklearn_causalrec.effects.cross_fitting import varies
from sklearn_causalrec.effects.elsewhere import Elsewhere
from sklearn_causalrec.effects.log_scores import LogScores
from sklearn_causalrec.effects.overlap import average_on_treated
from sklearn_causalrec.effects.stacked import StackedEffect
from sklearn_causalrec.effects.within_groups import AverageWithinGroups


def _two_arms(by_fold, pair, t, rows):
    """Outcomes of every fold under the first arm and arm t, of rows of the pair."""
    return by_fold(pair[rows])[..., [0, t]]


class ArmEffects(ArmAnswers):
    """One :class:`StackedEffect` for each arm but the first, against the first.

    Parameters
    ----------
    n_arms : int
    clip : float
        Probabilities are kept above it.
    seed : int
    """

    elsewhere: Any = None  # of files of before, which lack it
    stage_class = StackedEffect
    sample = None  # positions of the rows that the stages were fitted to; None: all

    def __init__(self, n_arms, clip, seed):
        self.n_arms = n_arms
        self.clip = clip
        self.seed = seed

    def n_steps(self, n_folds):
        """How often ``fit`` calls ``progress``."""
        return (self.n_arms - 1) * n_folds * StackedEffect.TASKS

    def fit(
        self,
        X,
        y,
        arm,
        weight,
        fold,
        outcome,
        exposure,
        propensity=None,
        groups=None,
        features=None,
        clusters=None,
        outcome_by_fold=None,
        progress=None,
    ):
        """Fit every pair of arms.

        Parameters
        ----------
        X : ndarray of shape (n, p)
        y, weight : ndarray of shape (n,)
        arm, fold : ndarray of int of shape (n,)
        outcome, exposure : ndarray of shape (n, n_arms)
            Cross-fitted over the folds.
        propensity : ndarray of shape (n,), optional
            Known probability of the arm taken; of use with two arms.
        groups : ndarray of int of shape (n, n_kinds), optional
            Codes of what each row belongs to.
        features : ndarray of shape (n, q), optional
            The part of X that no model of ids made. With it and ``groups``, averages
            are by comparisons within groups where that can be, and the effects of rows
            are moved to have these averages.
        clusters : Clusters, optional
            Which rows go together, for standard errors.
        outcome_by_fold : callable, optional
            Called with positions of rows, returns the outcomes that the models of every
            fold predict of them, (n_folds, n_rows, n_arms). Of use where ``effect`` is
            given the like.
        progress : callable, optional
            Called after each task.
        """
        self.weight, self.clusters = weight, clusters
        self.n_rows = np.bincount(arm, minlength=self.n_arms)
        zero = np.zeros(len(y))
        self.y, self.arm = y, arm
        self.outcomes, self.propensity = outcome, exposure
        self.stages, self.scores = [None], [zero]
        self.influence, self.fitted, self.elsewhere = [zero], [zero], [None]
        self.varies, self.offset = [False], np.zeros(self.n_arms)
        self.doubt = np.zeros(self.n_arms)
        self.within = set() if groups is None else set(range(groups.shape[1]))
        for t in range(1, self.n_arms):
            pair = np.flatnonzero((arm == 0) | (arm == t))
            both = exposure[pair][:, [0, t]]
            treatment = (arm[pair] == t).astype(int)
            known = None
            if propensity is not None and self.n_arms == 2:
                known = np.where(treatment == 1, propensity, 1 - propensity)
            by_fold = None
            if outcome_by_fold is not None:
                by_fold = partial(_two_arms, outcome_by_fold, pair, t)
            stage = self.stage_class(clip=self.clip, random_state=self.seed + t).fit(
                X[pair] if len(pair) < len(X) else X,
                y[pair],
                treatment,
                outcome_oof=outcome[pair][:, [0, t]],
                exposure_oof=both[:, 1] / both.sum(1),
                outcome_by_fold=by_fold,
                propensity=known,
                sample_weight=weight[pair],
                fold=fold[pair],
                groups=None if groups is None else groups[pair],
                clusters=None if clusters is None else clusters[pair],
                progress=progress,
            )
            best, within = stage, None
            if known is None and features is not None and groups is not None:
                within = AverageWithinGroups(
                    clip=self.clip, random_state=self.seed + t
                ).fit(
                    features[pair],
                    y[pair],
                    treatment,
                    groups=groups[pair],
                    sample_weight=weight[pair],
                    clusters=None if clusters is None else clusters[pair],
                )
            if within is None:
                self.within = set()
            else:
                best, self.doubt[t] = within, within.doubt_
                self.within &= set(within.ways_)
                moved = within.scores_ - stage.effect_oof_
                self.offset[t] = np.average(moved, weights=weight[pair])
            if self.n_arms == 2:
                score, influence = best.scores_, best.influence_
                fitted = stage.effect_oof_ + self.offset[t]
                self.outcomes, e = best.outcome_oof_, best.calibrated_
                self.propensity = np.column_stack([1 - e, e])
            else:
                # The scores of the pair speak for all rows once they are weighted by
                # the inverse probability of being in the pair.
                fitted = np.empty(len(y))
                rest = np.setdiff1d(np.arange(len(y)), pair, assume_unique=True)
                fitted[rest] = stage.effect(
                    X[rest],
                    outcome[rest][:, [0, t]],
                    None if groups is None else groups[rest],
                )
                fitted[pair] = stage.effect_oof_
                fitted += self.offset[t]
                score = fitted.copy()
                inside = np.maximum(both.sum(1), self.clip)
                score[pair] += (best.scores_ - fitted[pair]) / inside
                relative = weight / weight.mean()
                influence = relative * (score - np.average(score, weights=weight))
            self.stages.append(stage)
            self.varies.append(varies(stage.effect_oof_, fold[pair]))
            self.scores.append(score)
            self.influence.append(influence)
            self.fitted.append(fitted)
            rest = self._residual(t)
            relative = weight / weight.mean()
            self.elsewhere.append(Elsewhere(X, fitted, rest, relative, clusters))
        return self

    def _residual(self, t):
        """Influence function of the mean residual of the scores of arm t."""
        fitted, relative = self.fitted[t], self.weight / self.weight.mean()
        mean = np.average(fitted, weights=self.weight)
        return self.influence[t] - relative * (fitted - mean)

    def ate(self, t0, t1, X=None, outcome=None, groups=None, *, clustered=True):
        """Average effect, an `Estimate`.

        Over the rows of ``fit``; or over other rows, whose ``X``, ``outcome`` and
        ``groups`` are as in ``effect``: the mean of the effects predicted of them, with
        what the residuals of the doubly robust scores add there, see `Elsewhere`. Its
        error counts, if ``clustered``, that rows of a cluster go together.
        """
        clusters = self.clusters if clustered else None
        score = self.scores[t1] - self.scores[t0]
        influence = self.influence[t1] - self.influence[t0]
        if X is None:
            mean = np.average(score, weights=self.weight)
            found = estimate(mean, influence, clusters)
            return self._doubted(found, found.error**2, t0, t1)
        own = {t: self.effect(X, outcome, 0, t, groups) for t in {t0, t1} if t}
        none = np.zeros(len(X))
        effect = own.get(t1, none) - own.get(t0, none)
        fitted = self.fitted[t1] - self.fitted[t0]
        mean = effect.mean() + np.average(score - fitted, weights=self.weight)
        found = estimate(mean, self._residual(t1) - self._residual(t0), clusters)
        times = 1.0
        for sign, t in ((1.0, t1), (-1.0, t0)):
            if t and self.elsewhere is not None:
                more, further = self.elsewhere[t].at(X, own[t], clustered)
                mean, times = mean + sign * more, max(times, further)
        variance = (found.error * times) ** 2 + np.var(effect) / len(effect)
        return self._doubted(found._replace(value=mean), variance, t0, t1)

    def _doubted(self, found, variance, t0, t1):
        """The estimate, with what pairs of ids may confound in its error."""
        doubt = self.doubt[t0] ** 2 + self.doubt[t1] ** 2
        return found._replace(error=float(np.sqrt(variance + doubt)))

    def log_scores(self, kept=None):
        """The doubly robust scores of the rows of ``fit``, `LogScores`."""
        return LogScores(
            np.column_stack(list(self.scores)),
            np.column_stack(list(self.fitted)),
            self.weight / self.weight.mean(),
            self.arm,
            self.clusters,
            self.doubt,
            kept,
        )

    def att(self, t0, t1, *, clustered=True):
        """Average effect among the rows that had arm t1, an `Estimate`."""
        p = self.propensity.copy()  # of t1 it is in no denominator
        p[:, t0] = np.maximum(p[:, t0], self.clip)
        given = self.y, self.arm, t0, t1, self.outcomes, p, self.weight
        found = average_on_treated(*given, self.clusters if clustered else None)
        return self._doubted(found, found.error**2, t0, t1)


def ate_table(fitted, n_rows, alpha):
    """Average effect of every other arm against the control, with its interval.

    Parameters
    ----------
    fitted : estimator
        With ``ate``, ``ate_interval``, ``arms_`` and ``control_``.
    n_rows : sequence of int
        Number of rows of each arm.
    alpha : float
        One minus the coverage.

    Returns
    -------
    DataFrame
        The columns arm, effect, low, high, n and varies.
    """
    rows, arms = [], fitted.arms_
    arms = arms.tolist() if isinstance(arms, np.ndarray) else arms
    told = fitted.effect_varies_
    first = arms.index(fitted.control_)
    for a, (arm, n) in enumerate(zip(arms, n_rows)):
        if a != first:
            pair = {"T0": fitted.control_, "T1": arm}
            low, high = fitted.ate_interval(alpha=alpha, **pair)
            found = float(fitted.ate(**pair)), float(low), float(high)
            differs = None if told is None else bool(told[first] or told[a])
            rows.append((arm, *found, int(n), differs))
    return pd.DataFrame(rows, columns=["arm", "effect", "low", "high", "n", "varies"])
