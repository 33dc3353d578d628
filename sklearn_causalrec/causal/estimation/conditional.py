"""How an effect varies with the modifiers: models of it, and which one is taken."""

from functools import partial

import numpy as np

from sklearn_causalrec._utils.postponed import Postponed, WhenAsked
from sklearn_causalrec.causal.estimation.econml_effects import EconMLEffect
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.cross_fitting import CrossFit, as_models, varies
from sklearn_causalrec.effects.default_learners import nuisance_regressors
from sklearn_causalrec.effects.intervals import normal_interval


class ScoreRegression:
    """Differences of the scores of two arms, regressed on the modifiers.

    Given modifiers W that precede the treatment and whose distribution the target
    keeps, the uncentred influence function has the conditional effect as its mean given
    W: a DR-learner for any identified functional [1]_.

    References
    ----------
    .. [1] E. Kennedy (2023). Towards optimal doubly robust estimation of heterogeneous
       causal effects. Electronic Journal of Statistics 17.
    """

    fits, _fitted = WhenAsked(), WhenAsked()

    def __init__(self, problem, names, scores, model=None):
        self.names, self._fold = names, problem.fold
        Postponed(partial(_regressed, problem, names, scores, model)).put_off(self)

    def _by_fold(self, variables, t0, t1):
        """(n_folds, n, candidates) and the weights of the candidates."""
        W = variables.matrix(self.names)
        total, weights = 0.0, []
        for sign, a in ((1.0, t1), (-1.0, t0)):
            if a:
                fit = self.fits[a]
                parts = [np.column_stack([m(W) for m in row]) for row in fit.fitted]
                weights.append(fit.weights)
                total = total + sign * np.stack(parts)
        return total, weights

    def effect(self, variables, t0, t1):
        """Effect of arm t1 against arm t0, (n,)."""
        W = variables.matrix(self.names)
        out = np.zeros(len(W))
        for sign, a in ((1.0, t1), (-1.0, t0)):
            if a:
                out += sign * self.fits[a].at(W)
        return out

    def fitted(self, t0, t1):
        """Cross-fitted effects of the rows of fit."""
        return self._fitted[:, t1] - self._fitted[:, t0]

    def varies(self, t):
        """Whether the effect of arm t against the first differs between rows."""
        return varies(self._fitted[:, t], self._fold)

    def baseline(self, variables):
        """Mean outcome under the first arm given the modifiers."""
        return self.fits[0].at(variables.matrix(self.names))

    def effect_interval(self, variables, t0, t1, alpha):
        """The jackknife over folds plus the disagreement of the candidates."""
        center = self.effect(variables, t0, t1)
        if t0 == t1:
            return center, center
        parts, weights = self._by_fold(variables, t0, t1)
        c = np.mean(weights, axis=0)
        folds = parts @ c
        variance = (len(folds) - 1) * folds.var(0)
        variance += (parts.mean(0) - folds.mean(0)[:, None]) ** 2 @ c
        error = np.sqrt(0.25 * variance + 0.75 * variance.mean())
        return normal_interval(center, error, alpha)


def _regressed(problem, names, scores, model):
    """What `ScoreRegression` fits, as its attributes."""
    W = problem.variables.matrix(names)
    models, fits = as_models(model, nuisance_regressors), []
    for a in range(scores.shape[1]):
        target = scores[:, a] if a == 0 else scores[:, a] - scores[:, 0]
        fit = CrossFit(
            models, W, target, problem.fold,
            weight=problem.weight, seed=problem.seed + 7000 + a, n_jobs=problem.n_jobs,
        )  # fmt: skip
        fits.append(fit)
    fitted = np.column_stack([np.zeros(len(W)), *(fit(W) for fit in fits[1:])])
    return dict(fits=fits, _fitted=fitted)


class StackedConditional:
    """R-stacking given the adjustment set, see `StackedEffect`."""

    model = WhenAsked()

    def __init__(self, problem, names, means):
        self.names, self.fits = names, means.nuisances.fits
        Postponed(partial(_stacked, problem, names, means)).put_off(self)

    def _inputs(self, variables):
        Z = variables.matrix(self.names)
        return Z, _outcomes_by_fold(self.fits, Z)

    def effect(self, variables, t0, t1):
        """Effect of arm t1 against arm t0, (n,)."""
        return self.model.effect(*self._inputs(variables), t0, t1)

    def fitted(self, t0, t1):
        """Cross-fitted effects of the rows of fit."""
        return self.model.fitted[t1] - self.model.fitted[t0]

    def varies(self, t):
        """Whether the effect of arm t against the first differs between rows."""
        return self.model.varies[t]

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        return self.model.effect_interval(*self._inputs(variables), t0, t1, alpha)


def _stacked(problem, names, means):
    """What `StackedConditional` fits, as its attributes."""
    X, fits = problem.variables.matrix(names), means.nuisances.fits
    weight, known = problem.weight, problem.propensity
    weight = np.ones(len(X)) if weight is None else weight
    if known is not None and np.isnan(known).any():
        known = None
    model = ArmEffects(len(problem.arms), problem.clip, problem.seed).fit(
        X, problem.y, problem.arm, weight, problem.fold,
        means.nuisances.outcomes, means.nuisances.propensity, known,
        clusters=problem.clusters,
        outcome_by_fold=lambda rows: _outcomes_by_fold(fits, X[rows]),
    )  # fmt: skip
    return dict(model=model)


def _outcomes_by_fold(fits, Z):
    folds = range(len(fits[0].fitted))
    return np.array([np.column_stack([f.by(k, Z) for f in fits]) for k in folds])


class ConstantEffect:
    """The average, where nothing modifies it."""

    def __init__(self, means):
        self.means = means

    def effect(self, variables, t0, t1):
        """The average effect for every row, (n,)."""
        return np.full(variables.n, self.means.contrast(t0, t1)[0])

    def fitted(self, t0, t1):
        """The average effect."""
        return self.means.contrast(t0, t1)[0]

    def varies(self, t):
        """The effect is one number."""
        return False

    def baseline(self, variables):
        """Mean outcome under the first arm."""
        return np.full(variables.n, self.means.mean[0])

    def effect_interval(self, variables, t0, t1, alpha):
        """The interval of the average for every row."""
        low, high = self.means.contrast(t0, t1).interval(alpha)
        return np.full(variables.n, low), np.full(variables.n, high)


class EconMLConditional:
    """An EconML estimator of how an effect varies, between positions of arms."""

    def __init__(self, problem, model, modifiers, adjusted):
        self.names = modifiers
        rest = [v for v in adjusted if v not in modifiers]
        self.model = EconMLEffect(
            model, outcome_model=problem.outcome_model,
            treatment_model=problem.treatment_model, random_state=problem.seed,
        ).fit(
            problem.y, problem.arm, problem.variables.matrix(modifiers),
            problem.variables.matrix(rest), fold=problem.fold,
        )  # fmt: skip
        self._W = problem.variables.matrix(modifiers)

    def effect(self, variables, t0, t1):
        """Effect of arm t1 against arm t0, (n,)."""
        return self.model.effect(variables.matrix(self.names), t0, t1)

    def fitted(self, t0, t1):
        """Effects of the rows of fit."""
        return self.model.effect(self._W, t0, t1)

    def varies(self, t):
        """Whether the effect of arm t against the first differs between rows."""
        return varies(self.fitted(0, t), np.zeros(len(self._W), int))

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        return self.model.effect_interval(variables.matrix(self.names), alpha, t0, t1)


def conditional_effect(query, problem, means, modifiers):
    """How the effect varies with the modifiers, or None where that is not known.

    Parameters
    ----------
    query : Query
        Its option ``effect_model`` says which model is wanted.
    problem : Problem
        The data.
    means : ArmMeans
        The means under the arms.
    modifiers : tuple of names, or None
        What the effect may vary with; None where it is identified given nothing.

    Returns
    -------
    object with ``effect``, ``fitted`` and ``effect_interval``, or None

    Raises
    ------
    ValueError
        If the model wanted cannot be fitted to this effect.
    """
    model = query.options.effect_model
    if modifiers is None or model is None:
        return None
    found = _chosen(query, problem, means, modifiers, model)
    # a model of the user's own may fail, which is for fit to tell
    if not (query.options.lazy_effects and isinstance(model, str)):
        Postponed.finish(found)
    return found


def _chosen(query, problem, means, modifiers, model):
    if not modifiers:
        return ConstantEffect(means)
    adjusted = means.nuisances.names
    if isinstance(model, str):
        if model != "auto":
            raise ValueError(f'effect_model is {model!r}: "auto", None or a model.')
        if adjusted is not None and tuple(adjusted) == tuple(modifiers):
            return StackedConditional(problem, modifiers, means)
        return ScoreRegression(problem, modifiers, means.pseudo)
    if hasattr(model, "predict"):
        return ScoreRegression(problem, modifiers, means.pseudo, model)
    if problem.asks:
        raise ValueError(
            f"effect_model={type(model).__name__} does not read "
            f"{' and '.join(problem.asks)}: pass a regressor, or None."
        )
    if adjusted is None:
        raise ValueError(
            f"effect_model={type(model).__name__} adjusts for covariates, and the "
            f"effect is identified by {query.estimand.strategy!r}: pass a regressor."
        )
    return EconMLConditional(problem, model, modifiers, adjusted)
