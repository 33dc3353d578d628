"""The second stage of a log on disk: learned on a sample, averaged over all rows.

Networks are cross-fitted on all rows. Boosted models and the stack of effects are
learned on a sample of them, cross-fitted there as they are on a log in memory. The rows
outside of the sample were not seen by these models, so that their doubly robust scores
are honest. They are made block by block; each block is calibrated as a log of its own.
"""

from pathlib import Path

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.average import average_effect, least_and_most
from sklearn_causalrec.effects.clusters import FEW_CLUSTERS, cross_fitting_folds
from sklearn_causalrec.effects.cross_fitting import MANY_ROWS, stratified_folds
from sklearn_causalrec.effects.learners import chunked_predict
from sklearn_causalrec.effects.overlap import at_the_clip, least_of_arms
from sklearn_causalrec.effects.stacked import StackedEffect, inputs
from sklearn_causalrec.effects.targeted import targeted_step
from sklearn_causalrec.encoding.exposure import factual_exposure
from sklearn_causalrec.encoding.streamed_log import in_memory

SAMPLE_ROWS = 200_000  # that the models of the second stage are learned on
SCORED_ROWS = 2**17  # rows whose scores are made at once
MAX_SEED = np.iinfo(np.int32).max


def sample_of(rows, rng, most=None):
    """Rows to learn a second stage on, drawn evenly; of whole users or clusters.

    Parameters
    ----------
    rows : Rows
        The log.
    rng : RandomState
        Draws them.
    most : int or None, default=None
        The number of rows at most. None: 200,000.

    Returns
    -------
    ndarray of int
        Their positions, sorted. All rows, where they are not more.
    """
    n, most = len(rows), SAMPLE_ROWS if most is None else most
    if n <= most:
        return np.arange(n)
    codes = rows.user if rows.clusters is None else rows.clusters.codes[:, 0]
    if codes is not None:
        size = np.bincount(codes)
        order = rng.permutation(len(size))
        drawn = order[np.cumsum(size[order]) <= most]
        # Few clusters would be a sample that differs by chance from the others.
        if len(drawn) >= FEW_CLUSTERS:
            chosen = np.zeros(len(size), bool)
            chosen[drawn] = True
            return np.flatnonzero(chosen[codes])
    return np.sort(rng.choice(n, most, replace=False))


class _OpenStage(StackedEffect):
    """A stage that keeps its models of exposure."""

    def _forget(self):
        kept = getattr(self, "_exposure", None)
        super()._forget()
        self._exposure = kept

    def at_new(self, X, net, exposure, groups):
        """Nuisances and effect of rows that no model of the stage has seen.

        Returns outcomes of both arms, in standard units, exposure, and the effect.
        """
        net = (net - self._shift) / self._scale
        folds = range(self._n_folds)
        codes = self._bins(X)  # once for the models of all folds
        mu = [
            np.mean(
                [self._outcome(k, arm, X, net, codes=codes)[0] for k in folds], axis=0
            )
            for arm in (0, 1)
        ]
        e = None
        if not self._known:
            models, c = self._exposure
            parts = [
                np.mean(
                    [chunked_predict(m, inputs(m, X, codes=codes)) for m in kind],
                    axis=0,
                )
                for kind in zip(*models)
            ]
            e = np.column_stack([*parts, exposure]) @ c
        effect = self.effect(X, net * self._scale + self._shift, groups)
        return np.column_stack(mu), e, effect


class _OpenEffects(ArmEffects):
    stage_class = _OpenStage

    def closed(self):
        """These effects without what made them. (ArmEffects)"""
        found = ArmEffects(self.n_arms, self.clip, self.seed)
        vars(found).update(vars(self))
        for stage in found.stages[1:]:
            stage.__class__ = StackedEffect
            del stage._exposure
        return found


def streamed_effects(model, rows, objective, progress):
    """What the second stage of a log on disk sets on the estimator.

    Parameters
    ----------
    model : estimator
        With networks and the methods of `EffectMixin`.
    rows : Rows
        The log, with its facts.
    objective : type
        Class of the objective.
    progress : Progress
        Gets a stage for each fold.

    Returns
    -------
    dict
        Attributes by name.
    """
    rng = check_random_state(model.random_state)
    seeds = rng.randint(MAX_SEED, size=model.n_folds + 1).tolist()
    n_folds = model.n_folds if len(rows) < MANY_ROWS else min(3, model.n_folds)
    if len(model.arms_) == 1:
        knows_exposure = rows.catalogue is not None or rows.exposure is not None
        if objective.targets_average and knows_exposure and rows.randomized is None:
            fold = stratified_folds(rows.arm, n_folds, rng)
            _target_average(model, rows, fold, seeds[:n_folds], objective, progress)
        return {}
    sample = sample_of(rows, np.random.RandomState(seeds[-1]))
    part = in_memory(rows, sample)
    smallest = np.bincount(part.arm, minlength=len(model.arms_)).min()
    if model.effect_learner == "t" or smallest < 2 * n_folds:
        if model.effect_learner != "t":
            warn_user(
                f"An arm has {smallest} of the {len(sample)} rows that the second "
                f"stage learns of, too few for cross-fitting over {n_folds} folds: "
                "effects are differences of the outcome heads, without intervals."
            )
        p = np.empty((len(rows), len(model.arms_)), np.float32)
        for block, found in model._ensemble.blocks(rows):
            p[block] = found.exposure
        model._tell_overlap(part, p[sample])
        return {"propensity_": p}
    ids = rows.user is not None or rows.item is not None
    fold = cross_fitting_folds(
        rows.arm, n_folds, rng, rows.clusters, ids_are_read=ids
    ).astype(np.uint8)
    n_folds = int(fold.max()) + 1
    if len(np.unique(fold[sample])) < n_folds:
        sample = np.sort(rng.choice(len(rows), len(sample), replace=False))
        part = in_memory(rows, sample)
    outcome, exposure = model._ensemble.cross_fit_to(
        Path(rows.features.path).parent,
        rows,
        fold,
        seeds[:n_folds],
        progress=progress,
    )
    return _second_stage(
        model, rows, part, sample, fold, outcome, exposure, seeds[-1], progress
    )


def _second_stage(
    model, rows, part, sample, fold, outcome, exposure, seed, progress
):  # fmt: skip
    known = rows.propensity
    if known is not None and np.isnan(known).any():
        known = None
    own, n_folds = outcome[sample], int(fold.max()) + 1
    effects = _OpenEffects(len(model.arms_), model.clip, seed % 2**30)
    n_blocks = -(-len(rows) // SCORED_ROWS)
    progress.stage("effects", effects.n_steps(n_folds) + n_blocks)
    effects.fit(
        X=model._effect_features(part, own),
        y=part.y,
        arm=part.arm,
        weight=part.weight,
        fold=fold[sample].astype(int),
        outcome=own,
        exposure=exposure[sample],
        propensity=None if known is None else known[sample],
        groups=model._groups(part),
        features=model._features(part) if rows.history is None else None,
        clusters=part.clusters,
        progress=progress.step,
    )
    kept = model.log_encoder_.kept
    if effects.within:
        warn_user(
            "Rows are compared within ids, which takes whole ids in memory: average "
            f"effects are those of {len(sample)} rows, of ids drawn evenly, and not of "
            f"all {len(rows)}. Their intervals count that."
        )
        few = np.zeros(len(rows), bool)
        few[sample] = True
        kept[kept] = few
    elif len(sample) < len(rows):
        _score_all(
            effects, model, rows, sample, fold, outcome, exposure, known, progress
        )
    effects = effects.closed()
    p = effects.propensity
    model._tell_overlap(part, p if len(p) == len(part) else p[sample])
    clipped = float(at_the_clip(p, least_of_arms(p, model.clip)).mean())
    return dict(
        effects_=effects,
        propensity_=p,
        overlap_={**model.overlap_, "clipped": clipped},
    )


def _score_all(
    effects, model, rows, sample, fold, outcome, exposure, known, progress
):  # fmt: skip
    """Extend the effects of the sample to averages over all rows."""
    n, n_arms = len(rows), effects.n_arms
    arms = range(1, n_arms)
    wide = {name: np.zeros((n_arms, n), np.float32) for name in ("score", "fitted")}
    influence = np.zeros((n_arms, n), np.float32)
    p, mu = np.empty((n, n_arms), np.float32), np.empty((n, n_arms), np.float32)
    total = rows.weight.sum()
    p[sample], mu[sample] = effects.propensity, effects.outcomes
    for t in arms:
        wide["score"][t, sample] = effects.scores[t]
        wide["fitted"][t, sample] = effects.fitted[t]
        influence[t, sample] = _of_log(
            effects.influence[t], effects.scores[t], rows.weight[sample], total / n
        )
    outside = np.ones(n, bool)
    outside[sample] = False
    for start in range(0, n, SCORED_ROWS):
        here = start + np.flatnonzero(outside[start : start + SCORED_ROWS])
        progress.step()
        if not len(here):
            continue
        block, own, p_net = in_memory(rows, here), outcome[here], exposure[here]
        p[here], mu[here] = p_net, own
        given = model._effect_features(block, own), model._groups(block)
        for t in arms:
            pair = np.flatnonzero((block.arm == 0) | (block.arm == t))
            e = None if known is None or n_arms > 2 else known[here]
            found = _scores(
                effects.stages[t], block, pair, t, given, own, p_net, e, fold[here]
            )
            score, psi, fitted, told = found
            if n_arms == 2:
                mu[here], p[here] = told
            else:
                inside = np.maximum(p_net[pair][:, [0, t]].sum(1), effects.clip)
                whole = fitted.copy()
                whole[pair] += (score - fitted[pair]) / inside
                score = whole
                relative = block.weight / block.weight.mean()
                psi = relative * (score - np.average(score, weights=block.weight))
            wide["score"][t, here], wide["fitted"][t, here] = score, fitted
            influence[t, here] = _of_log(psi, score, block.weight, total / n)
    blocks = [slice(i, i + SCORED_ROWS) for i in range(0, n, SCORED_ROWS)]
    for t in arms:
        mean = sum(wide["score"][t, b] @ rows.weight[b] for b in blocks) / total
        for b in blocks:
            influence[t, b] -= rows.weight[b] * (mean / (total / n))
    effects.weight, effects.y, effects.arm = rows.weight, rows.y, rows.arm
    effects.n_rows = np.array([np.count_nonzero(rows.arm == a) for a in range(n_arms)])
    effects.clusters, effects.sample = rows.clusters, sample
    effects.scores, effects.fitted = list(wide["score"]), list(wide["fitted"])
    effects.influence, effects.outcomes, effects.propensity = list(influence), mu, p


def _of_log(influence, score, weight, mean_weight):
    """The influence on the average over a part, on that over the log, but for the
    part of a constant: the mean of the log, which is not known before the end."""
    share = weight.mean() / mean_weight
    mean = np.average(score, weights=weight)
    return share * influence + weight / mean_weight * mean


def _scores(stage, block, pair, t, given, outcome, exposure, known, fold):
    """Doubly robust scores of the rows of a pair of arms, and the effect of all.

    Returns
    -------
    score, influence : ndarray of shape (n_pair,)
        In units of y.
    fitted : ndarray of shape (n,)
        The effect that the stage predicts of every row.
    told : tuple of ndarray of shape (n, 2)
        Outcomes and probabilities of both arms.
    """
    X, groups = given
    both = exposure[:, [0, t]]
    mu, e, fitted = stage.at_new(
        X, outcome[:, [0, t]], both[:, 1] / both.sum(1), groups
    )
    treatment = (block.arm == t).astype(int)
    if known is not None:
        e = np.where(treatment == 1, known, 1 - known)
    y = (block.y[pair] - stage._shift) / stage._scale
    mine, w, fold = treatment[pair], block.weight[pair], fold[pair].astype(int)
    rows_of = np.zeros((2, int(fold.max(initial=0)) + 1), int)
    np.add.at(rows_of, (mine, fold), w > 0)
    if len(pair) and (rows_of.sum(1, keepdims=True) - rows_of).min() >= 20:
        score, influence = average_effect(
            X[pair], y, mine, mu[pair], e[pair], w, fold,
            known=known is not None, clip=stage.clip,
        )  # fmt: skip
    else:  # too few rows of an arm here to calibrate by
        share = (mine.sum() + 1) / (len(mine) + 2)  # neither none nor all
        m, g = mu[pair], np.clip(e[pair], *least_and_most(share, stage.clip))
        rest = y - m[np.arange(len(y)), mine]
        score = m[:, 1] - m[:, 0] + rest * np.where(mine == 1, 1 / g, -1 / (1 - g))
        relative = w / w.mean() if len(w) else w
        influence = relative * (score - (np.average(score, weights=w) if len(w) else 0))
    outcomes = mu * stage._scale + stage._shift
    told = outcomes, np.column_stack([1 - e, e])
    return score * stage._scale, influence * stage._scale, fitted, told


def _target_average(model, rows, fold, seeds, objective, progress):
    """Move the intercept towards the average over all pairs."""
    outcome, exposure = model._ensemble.cross_fit_to(
        Path(rows.features.path).parent, rows, fold, seeds, progress=progress
    )
    heads = None if exposure is None else exposure[:]
    step = targeted_step(
        rows.y,
        outcome[:, [0]][:, 0],
        factual_exposure(rows, heads, objective.is_ratio(1)),
        rows.weight,
        binary=model._ensemble.binary,
        clip=objective.least_exposure(1, model.clip),
    )
    model._ensemble.move_intercept(step)
