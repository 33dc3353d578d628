"""Answers by EconML and by curves: continuous treatments, and instruments."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from sklearn_causalrec.causal.estimation.strategies.continuous import DoseResponse
from sklearn_causalrec.causal.estimation.strategies.econml_effects import EconMLEffect
from sklearn_causalrec.causal.estimation.strategies.instrument import (
    METHODS,
    WEAK,
    InstrumentEffect,
)
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.effects.cross_fitting import CrossFit, default_regressors


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

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        return self.model.effect_interval(variables.matrix(self.names), alpha, t0, t1)


class DoseAnswer:
    """Dose-response by adjustment; effects of rows by an EconML estimator."""

    strategy, scores = "adjustment", None
    guarantee = "doubly robust; robust standard errors"

    def __init__(self, query, problem, estimator):
        if query.adjustment is None or estimator.strategy not in ("auto", "adjustment"):
            raise ValueError(
                f"a continuous treatment is estimated by adjustment; here the effect "
                f"is identified by {query.estimand.strategy!r} and strategy is "
                f"{estimator.strategy!r}. Bin the treatment, for instance with "
                "KBinsDiscretizer, or set strategy='instrument' where there is one."
            )
        self.modifiers = query.modifiers(estimator.effect_modifiers)
        self.names = query.ordered({*query.adjustment, *self.modifiers})
        self.adjustment_set = frozenset(self.names)
        self.variables = problem.variables
        (name,) = query.treatments
        t = problem.variables.matrix([name])[:, 0]
        Z = problem.variables.matrix(self.names)
        self._data = problem.y, t, Z, problem.fold
        self.curve_ = DoseResponse(
            problem.outcome_model, problem.treatment_model,
            seed=problem.seed, n_jobs=problem.n_jobs,
        ).fit(*self._data)  # fmt: skip
        self.method, self.rows_ = "doubly robust dose-response curve", None
        model = estimator.effect_model
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

    def ate(self, t0, t1):
        """Difference of the curve at two doses, and its standard error."""
        return self.curve_.contrast(t0, t1)

    def ate_over(self, variables, t0, t1):
        """Mean effect over other rows, by the model of the effects of rows."""
        self._need_rows()
        W = variables.matrix(self.modifiers)
        low, high = self.rows_.ate_interval(W, 0.05, t0, t1)
        error = (high - low) / 2 / norm.ppf(0.975)
        return self.rows_.ate(W, t0, t1), error

    def att(self, t0, t1):
        """Not defined."""
        raise ValueError("the effect on the treated is for a discrete treatment.")

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

    def predict(self, variables, dose):
        """Mean outcome of each row under a dose."""
        Z = variables.matrix(self.names)
        return self.curve_.outcome(dose, Z)

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
            v - CrossFit(default_regressors(), Z, v, fold)(Z) for v in (y, t)
        )
        rest_t = np.where(np.abs(rest_t) < 1e-9, 1e-9, rest_t)
        return (rest_y / rest_t)[:, None], rest_t**2

    def diagnostics(self):
        """How many rows, in effect, speak for a dose."""
        doses = np.quantile(self._data[1], [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
        rows = self.curve_.effective_rows(doses)
        support = pd.DataFrame({"dose": doses, "effective_rows": rows})
        return {"support": support}


class InstrumentAnswer:
    """Effect of one treatment by an instrument of the graph, given its controls."""

    strategy, scores, adjustment_set = "instrument", None, None
    guarantee = (
        "not P(y | do(t)): one effect for all rows, linear in the dose, or, for a "
        "binary treatment that the instrument moves one way, a local effect"
    )

    def __init__(self, query, problem, estimator):
        kind = "2sls" if estimator.effect_model in ("auto", None) else None
        kind = kind or estimator.effect_model
        if kind not in METHODS:
            raise ValueError(
                f"effect_model of strategy='instrument' is one of {METHODS}, "
                f'"auto" ("2sls"), got {kind!r}.'
            )
        if len(problem.arms) > 2:
            raise ValueError(
                f"an instrument is for a binary or a continuous treatment; this one "
                f"has the arms {problem.arms}."
            )
        chosen = as_names(estimator.effect_modifiers or ())
        if wrong := [v for v in chosen if v not in query.controls]:
            raise ValueError(
                f"effect_modifiers {wrong} are not among the controls of the "
                f"instrument, {list(query.controls)}."
            )
        self.modifiers = query.ordered(chosen)
        self.variables = problem.variables
        (name,) = query.treatments
        t = problem.variables.matrix([name])[:, 0]
        if problem.arms:
            t = problem.arm.astype(float)
        rest = [v for v in query.controls if v not in self.modifiers]
        self.model = InstrumentEffect(
            kind, outcome_model=problem.outcome_model,
            treatment_model=problem.treatment_model, cv=estimator.cv,
            random_state=problem.seed, n_bootstrap=100,
        ).fit(
            problem.y, t, problem.variables.matrix([query.instrument]),
            problem.variables.matrix(rest), problem.variables.matrix(self.modifiers),
        )  # fmt: skip
        self.mean_ = problem.y.mean(), t.mean()
        self.method = f"{kind}, instrument {query.instrument}"
        if query.controls:
            self.method += f" given {', '.join(map(str, query.controls))}"

    def _table(self, variables):
        return variables.matrix(self.modifiers) if self.modifiers else None

    def ate(self, t0, t1):
        """Average effect and its standard error."""
        return self._average(None, t0, t1)

    def ate_over(self, variables, t0, t1):
        """The same over other rows."""
        return self._average(self._table(variables), t0, t1)

    def _average(self, X, t0, t1):
        low, high = self.model.ate_interval(X, 0.05, t0, t1)
        return self.model.ate(X, t0, t1), (high - low) / 2 / norm.ppf(0.975)

    def att(self, t0, t1):
        """Not what an instrument tells."""
        raise ValueError("an instrument does not tell the effect on the treated.")

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        out = self.model.effect(self._table(variables), t0, t1)
        return np.broadcast_to(out[:1] if not self.modifiers else out, variables.n)

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        bounds = self.model.effect_interval(self._table(variables), alpha, t0, t1)
        if not self.modifiers:
            bounds = (b[:1] for b in bounds)
        return tuple(np.broadcast_to(b, variables.n) for b in bounds)

    def predict(self, variables, dose):
        """Mean of y moved by the effect of the dose against the mean dose."""
        mean, centre = self.mean_
        unit = self.effect(variables, 0.0, 1.0)
        return mean + unit * (np.asarray(dose, float) - centre)

    def pseudo_effects(self):
        """Nothing stands for them."""
        raise ValueError(
            "strategy='instrument' has no default score: pass scoring= of your own."
        )

    def diagnostics(self):
        """First-stage strength, and the interval that holds at any strength."""
        low, high = self.model.anderson_rubin_interval()
        row = {
            "effective_F": self.model.f_,
            "weak": self.model.f_ < WEAK,
            "anderson_rubin_low": low,
            "anderson_rubin_high": high,
        }
        return {"first_stage": pd.DataFrame([row], index=["first stage"])}
