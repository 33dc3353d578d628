"""The second stage as it answers: effects and intervals of rows, by tables."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec.effects.compiled import Tables
from sklearn_causalrec.effects.compiled_pairs import PairTables
from sklearn_causalrec.effects.formula import (
    MIXED,
    NETWORK,
    Formula,
    T,
    is_sum,
    merged,
    outcome_weights,
)
from sklearn_causalrec.effects.learners import MixedRidge


class CompiledStage:
    """A fitted ``StackedEffect``, compiled; models without weight are left out.

    Parameters
    ----------
    stage : StackedEffect
        Fitted.

    Attributes
    ----------
    tables : Tables
        The effect in units of y, but for what the networks' outcomes count.
    net : ndarray of shape (2,)
        What these count.
    """

    def __init__(self, stage):
        formula = Formula(len(stage._bins.edges), 1)
        self.net = formula.add_stage(stage)
        formula.constant[0] -= self.net.sum() * stage._shift
        self.tables = Tables(formula)
        self._stage, self._models, self._pairs = stage, None, {}

    def __getstate__(self):
        more = {"_models": self.models, "_stage": None, "_pairs": {}}
        return {**vars(self), **more}  # the stage itself stays behind

    @classmethod
    def of(cls, stage):
        """Compile a stage, if all its models can be.

        Parameters
        ----------
        stage : StackedEffect
            Fitted.

        Returns
        -------
        CompiledStage or None
            None where a learner is not one of the package's own.
        """
        of_arms = [row for fold in stage._outcome_models for row in fold]
        rows = [*stage._effect_models, *of_arms]
        if not all(is_sum(model) for row in rows for model in row):
            return None
        return cls(stage)

    def effect(self, X, outcome=None, groups=None):
        """Effect of each row, as :meth:`StackedEffect.effect`."""
        out = self.tables.sums(X, groups)[:, 0]
        if self.net.any():
            outcome = np.asarray(outcome)
            out += (outcome if outcome.ndim == 2 else outcome.mean(0)) @ self.net
        return out

    def effect_interval(self, X, alpha=0.05, outcome=None, groups=None):
        """Bounds, as :meth:`StackedEffect.effect_interval`."""
        return self.models.interval(X, alpha, outcome, groups)

    @property
    def models(self):
        """The tables behind the intervals, made at first use."""
        if self._models is None:
            self._models = _Models(self._stage)
        return self._models

    def pair_tables(self, mine):
        """The tables cut by which side the features come with.

        Parameters
        ----------
        mine : sequence of two ndarray of bool of shape (n_features,)
            The features that users, and that items bring.

        Returns
        -------
        PairTables or None
            None where there are kernels, which read all features at once, and after a
            pickle.
        """
        if self.tables.kernels or self.tables.trees is None:
            return None
        key = tuple(side.tobytes() for side in mine)
        if key not in self._pairs:
            self._pairs = {key: PairTables(self.tables, mine)}
        return self._pairs[key]


class StageAnswers:
    """How a fitted stack answers: by tables, or model by model where it has none."""

    def effect(self, X, outcome=None, groups=None):
        """Effect of each row, (n,), in units of ``y``.

        ``outcome`` holds the network's outcomes under each arm, (n, 2), or those of
        every fold's network, (n_folds, n, 2), where ``fit`` was given
        ``outcome_oof``.
        """
        self._check_given(outcome, groups)
        if self.compiled is not None:
            return self.compiled.effect(np.asarray(X), outcome, groups)
        return self._stack(self._by_fold(X, outcome, groups)[0]) * self._scale

    def _check_given(self, outcome, groups):
        check_is_fitted(self, "weights_")
        if "R-mixed" in self.weights_ and groups is None:
            raise ValueError(
                "fit was given groups: pass those of these rows too, "
                "effect(X, groups=...), an array of shape (n, n_kinds)"
            )
        if "T-network" in self.weights_ and outcome is None:
            raise ValueError(
                "fit was given outcome_oof: pass the network's outcomes of these "
                "rows too, effect(X, outcome=...), an array of shape (n, 2)"
            )

    @property
    def compiled(self):
        """The stage as tables, made at first use; None where a learner has none.

        Returns
        -------
        CompiledStage or None
        """
        if not hasattr(self, "_compiled"):
            self._compiled = CompiledStage.of(self)
        return self._compiled

    def __getstate__(self):
        # Tables are made of the rest, and quicker than they are read.
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k != "_compiled"}

    def _stack(self, parts):
        return parts.mean(0) @ np.array(list(self.weights_.values()))

    def effect_interval(self, X, alpha=0.05, outcome=None, groups=None):
        """Interval for the effect of each row, two arrays of shape (n,).

        Its variance counts the jackknife over folds, the disagreement of candidates and
        outcome models, and by how much groups or clusters differ beyond what is
        predicted of them (``effects/row_intervals.py``). It covers effects of fresh
        rows on average over rows: not of every row, and less of the largest and the
        smallest effects than of others.
        """
        self._check_given(outcome, groups)
        if self.compiled is not None:
            return self.compiled.effect_interval(np.asarray(X), alpha, outcome, groups)
        parts, *more = self._by_fold(X, outcome, groups)
        center = self._stack(parts)
        low, high = self._row_errors.interval(center, parts, *more, alpha)
        return low * self._scale, high * self._scale


class ArmAnswers:
    """Effects between any two arms, from a stage of each arm against the first.

    Parameters
    ----------
    stages : list
        Of each arm, what has ``effect`` and ``effect_interval``; None of the first.
    offset : ndarray of shape (n_arms,)
        By how much the effects of each arm are moved.
    """

    def __init__(self, stages, offset):
        self.stages, self.offset = stages, offset

    def compiled(self):
        """The same from tables alone.

        Returns
        -------
        ArmAnswers or None
            None where a learner has no tables.
        """
        stages = [s and s.compiled for s in self.stages]
        if None in stages[1:]:
            return None
        return ArmAnswers(stages, np.array(self.offset))

    def effect(self, X, outcome, t0, t1, groups=None):
        """Effect of arm t1 against arm t0, (n,); outcome (..., n, n_arms) at X."""
        out = np.full(len(X), self.offset[t1] - self.offset[t0])
        for sign, t in ((1, t1), (-1, t0)):
            if t:
                out += sign * self.stages[t].effect(X, outcome[..., [0, t]], groups)
        return out

    def effect_interval(self, X, outcome, t0, t1, alpha, groups=None):
        """Bounds of the effect of each row, two arrays of shape (n,)."""
        center = np.full(len(X), self.offset[t1] - self.offset[t0])
        variance = np.zeros(len(X))
        for sign, t in ((1, t1), (-1, t0)):
            if t:
                low, high = self.stages[t].effect_interval(
                    X, alpha, outcome[..., [0, t]], groups
                )
                center += sign * (low + high) / 2
                variance += ((high - low) / 2) ** 2
        return center - np.sqrt(variance), center + np.sqrt(variance)


class _Models:
    """The models that count in a stage, an output of the tables each."""

    def __init__(self, stage):
        self.weights = np.array(list(stage.weights_.values()))
        self.shift, self.scale = stage._shift, stage._scale
        self.constants = np.array(stage._constants)
        self.has_network = NETWORK in stage.weights_
        self.row_errors = stage._row_errors
        names, folds = list(stage.weights_), range(stage._n_folds)
        counts = (self.weights > 0) | (self.row_errors.weights > 0)
        counts = dict(zip(names, counts))
        models, self.arms, self.learners = [], [], {}

        def place(found):
            start = len(models)
            models.extend(found)
            return np.arange(start, len(models)).reshape(len(folds), -1)

        if counts[T]:
            for arm in (0, 1):
                of_arm = [m for k in folds for m in stage._outcome_models[k][arm]]
                self.arms.append((place(of_arm), outcome_weights(stage, arm)))
        for j, name in enumerate(names[2:-1] if self.has_network else names[2:]):
            if counts[name]:
                row = [stage._effect_models[k][j] for k in folds]
                self.learners[2 + j] = place(row)[:, 0]
        formula = Formula(len(stage._bins.edges), len(models))
        for output, model in enumerate(models):
            formula.add(model, 1.0, output)
        self.tables = Tables(formula)
        self.offsets = self._offset_variances(stage)

    @staticmethod
    def _offset_variances(stage):
        """A table of each kind of ids; their sum is the variance of a row's offsets."""
        share = stage.weights_.get(MIXED, 0.0) ** 2 / stage._n_folds
        models = [m for row in stage._effect_models for m in row]
        spreads = [m.spreads_ for m in models if isinstance(m, MixedRidge)]
        return [share * merged(list(kind)) for kind in zip(*spreads)]

    def by_fold(self, X, outcome, groups):
        """As :meth:`StackedEffect._by_fold`; 0 for candidates that count nowhere."""
        n, n_folds = len(X), len(self.constants)
        found = self.tables.sums(X, groups).T
        out = np.zeros((n_folds, n, len(self.weights)))
        doubt, offsets = np.zeros(n), np.zeros(n)
        out[:, :, 0] = self.constants[:, None]
        net = None
        if self.has_network:
            net = (np.asarray(outcome) - self.shift) / self.scale
            net = np.broadcast_to(net, (n_folds, n, 2))
            out[:, :, -1] = net[:, :, 1] - net[:, :, 0]
        for arm, (places, c) in enumerate(self.arms):
            parts = found[places]  # (folds, models, rows)
            if len(c) > parts.shape[1]:
                parts = np.concatenate([parts, net[:, None, :, arm]], axis=1)
            mean = c @ parts
            out[:, :, 1] += mean if arm else -mean
            even = (2 * c + 1 / len(c)) / 3
            doubt += (even @ (parts - mean[:, None]) ** 2).mean(0)
        for j, places in self.learners.items():
            out[:, :, j] = found[places]
        for codes, table in zip([] if groups is None else groups.T, self.offsets):
            offsets += table[np.minimum(codes, len(table) - 1)]
        return out, doubt, offsets

    def interval(self, X, alpha, outcome, groups):
        """Bounds of the effect of each row in units of y, two arrays of shape (n,)."""
        parts, *more = self.by_fold(X, outcome, groups)
        center = parts.mean(0) @ self.weights
        low, high = self.row_errors.interval(center, parts, *more, alpha)
        return low * self.scale, high * self.scale
