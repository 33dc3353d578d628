"""Rows and groups leave a fitted second stage: what it keeps of them, and no more."""

import numpy as np

from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import MixedRidge

# Attributes with an entry for each row: of a stack, and of the effects of arms.
_OF_STAGE = (
    "_w", "calibrated_", "effect_oof_", "influence_", "outcome_oof_", "propensity_",
    "scores_",
)  # fmt: skip
_OF_ARMS = ("weight", "y", "arm", "outcomes", "propensity")


def keeps_rows(effects):
    """Whether rows of the log are in a second stage: their scores, or in kernels.

    Parameters
    ----------
    effects : ArmEffects
        The second stage; of a file without the log, it has no scores.

    Returns
    -------
    bool
    """
    kernels = any(True for stage in effects.stages[1:] for _ in _kernels(stage))
    return kernels or isinstance(effects.y, np.ndarray)


def remove(effects, rows, kind, groups):
    """Remove rows of the log, and groups, in place.

    What was learned stays, but for offsets of the groups and for kernels, which are
    solved for the rows that are left. Averages are those of these rows.

    Parameters
    ----------
    effects : ArmEffects
        The second stage.
    rows : ndarray of bool of shape (n,) or None
        Which rows stay; None where they are not there.
    kind : int
        The kind of groups of which some are removed.
    groups : ndarray of bool of shape (n_groups,)
        Which of them stay; the codes of the others close up.
    """
    for stage in effects.stages[1:]:
        for model in (model for fold in stage._effect_models for model in fold):
            if isinstance(model, MixedRidge):
                model.without_groups(kind, groups)
    if rows is None or not isinstance(effects.y, np.ndarray):
        return
    kernels = [model for stage in effects.stages[1:] for model in _kernels(stage)]
    if not all(hasattr(model, "positions_") for model in kernels):
        raise ValueError(
            "The model was fitted by an earlier version, and its kernels do not know "
            "whose rows they keep: fit it again without the rows of these users."
        )
    left = None if effects.clusters is None else effects.clusters[rows]
    if left is not None and left.users is not None:
        left.users = (np.cumsum(groups) - 1)[left.users]
    sample = effects.sample
    sampled = slice(None) if sample is None else sample
    of_stages, stay = effects.clusters, rows[sampled]
    of_stages = None if of_stages is None else of_stages[sampled]
    for t, stage in enumerate(effects.stages[1:], 1):
        mine = np.isin(effects.arm[sampled], (0, t))
        of_pair = None if of_stages is None else of_stages[mine & stay]
        _remove_from_stage(stage, stay[mine], of_pair)
    if sample is not None:
        effects.sample = (np.cumsum(rows) - 1)[sample[stay]]
    for name in _OF_ARMS:
        setattr(effects, name, getattr(effects, name)[rows])
    for name in ("scores", "influence", "fitted"):
        setattr(effects, name, [values[rows] for values in getattr(effects, name)])
    effects.clusters = left
    effects.n_rows = np.bincount(effects.arm, minlength=effects.n_arms)


def _kernels(stage):
    for fold in stage._outcome_models:
        for models in fold:
            yield from (model for model in models if isinstance(model, KernelRidge))


def _remove_from_stage(stage, rows, clusters):
    position = np.cumsum(rows) - 1
    for model in _kernels(stage):
        stays = rows[model.positions_]
        if not stays.all():
            model.without_rows(stays, stage._w[model.positions_])
            model.positions_ = model.positions_[stays]
        model.positions_ = position[model.positions_]
    for name in _OF_STAGE:
        setattr(stage, name, getattr(stage, name)[rows])
    stage.ate_ = np.average(stage.scores_, weights=stage._w)
    stage.ate_stderr_ = estimate(stage.ate_, stage.influence_, clusters).error
