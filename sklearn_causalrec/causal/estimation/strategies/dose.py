"""A continuous treatment: the dose-response curve by adjustment."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.estimation.answers import Answer
from sklearn_causalrec.causal.estimation.dose_response import DoseResponse
from sklearn_causalrec.causal.estimation.econml_effects import EconMLEffect
from sklearn_causalrec.causal.estimation.half_samples import half_samples
from sklearn_causalrec.causal.estimation.strategies.base import Strategy
from sklearn_causalrec.effects.cross_fitting import CrossFit
from sklearn_causalrec.effects.default_learners import nuisance_regressors


class Dose(Strategy):
    """Every dose of a continuous treatment, by adjustment for a valid set."""

    family = "adjustment"

    def covers(self, query, problem):
        """Whether the treatment is continuous and has a valid adjustment set."""
        return not problem.arms and query.adjustment is not None

    def estimate(self, query, problem):
        """The curve, and the effects of rows where a model of them is wanted."""
        return DoseAnswer(query, problem)


class DoseAnswer(Answer):
    """The dose-response curve; effects of rows by an EconML estimator.

    Parameters
    ----------
    query : Query
        With an adjustment set.
    problem : Problem
        The data, of one continuous treatment.

    Attributes
    ----------
    curve_ : DoseResponse
        The curve.
    rows_ : EconMLEffect or None
        The effects of rows.
    """

    strategy = "adjustment"
    guarantee = "doubly robust; robust standard errors"
    has_curve = True

    def __init__(self, query, problem):
        super().__init__(problem.variables)
        self.modifiers = query.modifiers()
        self.names = query.ordered({*query.adjustment, *self.modifiers})
        self.adjustment_set = frozenset(self.names)
        (name,) = query.treatments
        t = problem.variables.matrix([name])[:, 0]
        Z = problem.variables.matrix(self.names)
        self._data = problem.y, t, Z, problem.fold
        self.curve_ = DoseResponse(
            problem.outcome_model, problem.treatment_model,
            seed=problem.seed, n_jobs=problem.n_jobs,
        ).fit(*self._data, problem.clusters)  # fmt: skip
        if problem.n_half_samples is not None:
            halves = [rows for rows, _ in half_samples(problem)]
            self.curve_.count_halves(problem.y, halves)
        self.method, self.rows_ = "doubly robust dose-response curve", None
        model = query.options.effect_model
        if model is None or not self.names:
            return
        if model == "auto":
            model = None
        elif not hasattr(model, "effect"):
            raise ValueError(
                "effect_model of a continuous treatment is an EconML estimator, "
                f'"auto" (LinearDML) or None, got {type(model).__name__}.'
            )
        rest = [v for v in self.names if v not in self.modifiers]
        self.rows_ = EconMLEffect(
            model, outcome_model=problem.outcome_model,
            treatment_model=problem.treatment_model, random_state=problem.seed,
        ).fit(
            problem.y, t, problem.variables.matrix(self.modifiers),
            problem.variables.matrix(rest), fold=problem.fold,
        )  # fmt: skip
        kind = type(self.rows_.estimator_).__name__
        self.method += f"; effects of rows by {kind}"

    def average(self, t0, t1, variables=None, clustered=True):
        """Difference of the curve at two doses, an `Estimate`."""
        if variables is not None:
            return super().average(t0, t1, variables)
        return self.curve_.contrast(t0, t1)

    def ate(self, t0, t1, variables=None):
        """Average effect: of the curve, or of the effects of other rows."""
        if variables is None:
            return super().ate(t0, t1)
        self._need_rows()
        return self.rows_.ate(variables.matrix(self.modifiers), t0, t1)

    def ate_interval(self, t0, t1, alpha, variables=None, clustered=True):
        """Bounds of the average effect: of the curve, or EconML's over other rows."""
        if variables is None:
            return super().ate_interval(t0, t1, alpha, clustered=clustered)
        self._need_rows()
        W = variables.matrix(self.modifiers)
        return self.rows_.ate_interval(W, alpha, t0, t1)

    def average_on_treated(self, t0, t1, clustered=True):
        """Not defined for doses."""
        raise ValueError(
            "the effect on the treated is for a discrete treatment: no two rows have "
            "the same dose. average_derivative() is the mean over the doses that rows "
            "had."
        )

    def _need_rows(self):
        if self.rows_ is None:
            raise ValueError(
                "effects of rows were not fitted: effect_model is None, or there is "
                "nothing to adjust for; ate(), dose_response() and "
                "average_derivative() work."
            )

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        self._need_rows()
        return self.rows_.effect(variables.matrix(self.modifiers), t0, t1)

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        self._need_rows()
        W = variables.matrix(self.modifiers)
        return self.rows_.effect_interval(W, alpha, t0, t1)

    def predict(self, variables, treatment):
        """Mean outcome of each row under a dose."""
        Z = variables.matrix(self.names)
        return self.curve_.outcome(treatment, Z)

    def curve(self, grid, alpha):
        """The curve with its uniform band, as a frame."""
        grid = self.curve_.default_grid() if grid is None else np.asarray(grid, float)
        mean, _ = self.curve_.curve(grid)
        low, high = self.curve_.band(grid, alpha=alpha)
        return pd.DataFrame({"dose": grid, "mean": mean, "low": low, "high": high})

    def average_derivative(self):
        """Mean slope and its standard error."""
        return self.curve_.average_derivative()

    def pseudo_effects(self):
        """Residual over residual, weighted by the treatment's: the R-loss."""
        y, t, Z, fold = self._data
        rest_y, rest_t = (
            v - CrossFit(nuisance_regressors(), Z, v, fold)(Z) for v in (y, t)
        )
        rest_t = np.where(np.abs(rest_t) < 1e-9, 1e-9, rest_t)
        return (rest_y / rest_t)[:, None], rest_t**2

    def diagnostics(self):
        """How many rows, in effect, speak for a dose."""
        doses = np.quantile(self._data[1], [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
        rows = self.curve_.effective_rows(doses)
        support = pd.DataFrame({"dose": doses, "effective_rows": rows})
        return {"support": support}
