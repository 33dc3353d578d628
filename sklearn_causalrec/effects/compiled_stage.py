"""The second stage as it answers: effects and intervals of rows from compiled tables."""

import numpy as np

from sklearn_causalrec.effects.compiled import Tables
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
        n_features = len(stage._bins.edges)
        formula = Formula(n_features, 1)
        self.net = formula.add_stage(stage)
        formula.constant[0] -= self.net.sum() * stage._shift
        self.tables = Tables(formula)
        self._stage, self._models = stage, None

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
        rows = [*stage._effect_models, *sum(stage._outcome_models, [])]
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

    def by_fold(self, X, outcome=None, groups=None):
        """As :meth:`StackedEffect._by_fold`; 0 for candidates that count nowhere."""
        if self._models is None:
            self._models = _Models(self._stage)
        return self._models.by_fold(X, outcome, groups)


class _Models:
    """The models that count in a stage, an output of the tables each."""

    def __init__(self, stage):
        self.stage = stage
        names, folds = list(stage.weights_), range(stage._n_folds)
        counts = (np.array(list(stage.weights_.values())) > 0) | (
            stage._row_errors.weights > 0
        )
        self.counts = dict(zip(names, counts))
        models, self.arms, self.learners = [], [], {}

        def place(found):
            start = len(models)
            models.extend(found)
            return np.arange(start, len(models)).reshape(len(folds), -1)

        if self.counts[T]:
            for arm in (0, 1):
                of_arm = [m for k in folds for m in stage._outcome_models[k][arm]]
                self.arms.append((place(of_arm), outcome_weights(stage, arm)))
        for j, name in enumerate(names[2:-1] if NETWORK in names else names[2:]):
            if self.counts[name]:
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
        stage, n = self.stage, len(X)
        found = self.tables.sums(X, groups).T
        out = np.zeros((stage._n_folds, n, len(stage.weights_)))
        doubt, offsets = np.zeros(n), np.zeros(n)
        out[:, :, 0] = np.array(stage._constants)[:, None]
        net = None
        if NETWORK in stage.weights_:
            net = (np.asarray(outcome) - stage._shift) / stage._scale
            net = np.broadcast_to(net, (stage._n_folds, n, 2))
            out[:, :, -1] = net[:, :, 1] - net[:, :, 0]
        for arm, (places, c) in enumerate(self.arms):
            parts = found[places]  # (folds, models, rows)
            if len(c) > parts.shape[1]:
                own = net[:, None, :, arm]
                parts = np.concatenate([parts, own], axis=1)
            mean = c @ parts
            out[:, :, 1] += mean if arm else -mean
            even = (2 * c + 1 / len(c)) / 3
            doubt += (even @ (parts - mean[:, None]) ** 2).mean(0)
        for j, places in self.learners.items():
            out[:, :, j] = found[places]
        for codes, table in zip([] if groups is None else groups.T, self.offsets):
            offsets += table[np.minimum(codes, len(table) - 1)]
        return out, doubt, offsets
