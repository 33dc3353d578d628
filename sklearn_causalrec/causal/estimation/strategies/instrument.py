"""An instrument: by request, since it needs more than the graph."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.estimation.answers import Answer
from sklearn_causalrec.causal.estimation.instruments import (
    METHODS,
    WEAK,
    InstrumentEffect,
)
from sklearn_causalrec.causal.estimation.strategies.base import Strategy
from sklearn_causalrec.causal.graphs.bitsets import as_names


class Instrument(Strategy):
    """One treatment by an instrument of the graph, given its controls."""

    def covers(self, query, problem):
        """Whether an instrument was asked for; the graph then has one."""
        return query.instrument is not None

    def estimate(self, query, problem):
        """The effect by the method that ``effect_model`` names."""
        return InstrumentAnswer(query, problem)


class InstrumentAnswer(Answer):
    """Effect of one treatment by an instrument of the graph, given its controls.

    Parameters
    ----------
    query : Query
        With an instrument.
    problem : Problem
        The data, of one binary or continuous treatment.

    Attributes
    ----------
    model : InstrumentEffect
        The fitted method.
    """

    strategy = "instrument"
    guarantee = (
        "not P(y | do(t)): one effect for all rows, linear in the dose, or, for a "
        "binary treatment that the instrument moves one way, a local effect"
    )

    def __init__(self, query, problem):
        super().__init__(problem.variables)
        options = query.options
        kind = "2sls" if options.effect_model in ("auto", None) else None
        kind = kind or options.effect_model
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
        if problem.n_half_samples is not None:
            raise ValueError(
                "n_half_samples is for effects by adjustment and by the formulas of a "
                "graph; the intervals of an instrument are its own. Leave it None."
            )
        chosen = as_names(options.effect_modifiers or ())
        if wrong := [v for v in chosen if v not in query.controls]:
            raise ValueError(
                f"effect_modifiers {wrong} are not among the controls of the "
                f"instrument, {list(query.controls)}."
            )
        self.modifiers = query.ordered(chosen)
        (name,) = query.treatments
        t = problem.variables.matrix([name])[:, 0]
        if problem.arms:
            t = problem.arm.astype(float)
        rest = [v for v in query.controls if v not in self.modifiers]
        model = InstrumentEffect(
            kind, outcome_model=problem.outcome_model,
            treatment_model=problem.treatment_model, cv=options.cv,
            random_state=problem.seed, n_bootstrap=100,
        )  # fmt: skip
        self.model = model.fit(
            problem.y, t, problem.variables.matrix([query.instrument]),
            problem.variables.matrix(rest), problem.variables.matrix(self.modifiers),
            problem.clusters,
        )  # fmt: skip
        self._weak = kind == "2sls" and self.model.f_ < WEAK
        self._mean = problem.y.mean(), t.mean()
        self.method = f"{kind}, instrument {query.instrument}"
        if query.controls:
            self.method += f" given {', '.join(map(str, query.controls))}"

    def _table(self, variables):
        return variables.matrix(self.modifiers) if self.modifiers else None

    def ate(self, t0, t1, variables=None):
        """Average effect over the rows of fit, or over other rows."""
        return self.model.ate(self._rows(variables), t0, t1)

    def ate_interval(self, t0, t1, alpha, variables=None, clustered=True):
        """Bounds of the average effect, which need not be symmetric.

        Those of the method: of two-stage least squares, normal; of "dmliv", by the
        bootstrap. Where the first stage of two-stage least squares is weak, its
        interval is too short, and there is one effect for all rows, they are those of
        the Anderson-Rubin test, which hold at any strength.
        """
        if self._weak and not self.modifiers:
            return self.model.anderson_rubin_interval(alpha, t0, t1)
        return self.model.ate_interval(self._rows(variables), alpha, t0, t1)

    def _rows(self, variables):
        return None if variables is None else self._table(variables)

    def average_on_treated(self, t0, t1, clustered=True):
        """Not what an instrument tells."""
        raise ValueError(
            "an instrument does not tell the effect on the treated: it moves "
            "some rows, and says nothing of those that are treated whatever its value."
        )

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        out = self.model.effect(self._table(variables), t0, t1)
        return np.broadcast_to(out[:1] if not self.modifiers else out, variables.n)

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row; where it is one for all, of the average."""
        if self._weak and not self.modifiers:
            bounds = self.ate_interval(t0, t1, alpha)
            return tuple(np.full(variables.n, b) for b in bounds)
        bounds = self.model.effect_interval(self._table(variables), alpha, t0, t1)
        if not self.modifiers:
            bounds = (b[:1] for b in bounds)
        return tuple(np.broadcast_to(b, variables.n) for b in bounds)

    def predict(self, variables, treatment):
        """Mean of y moved by the effect of the dose against the mean dose."""
        mean, center = self._mean
        unit = self.effect(variables, 0.0, 1.0)
        return mean + unit * (np.asarray(treatment, float) - center)

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
