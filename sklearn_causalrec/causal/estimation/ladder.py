"""The ladder: which estimator answers a query, and its answer."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.checks.diagnostics import (
    balance,
    influential_rows,
    overlap,
)
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
from sklearn_causalrec.causal.estimation.conditional import (
    ConstantEffect,
    ScoreRegression,
    StackedConditional,
)
from sklearn_causalrec.causal.estimation.nuisances import regress
from sklearn_causalrec.causal.estimation.problem import ArmMeans, normal_interval
from sklearn_causalrec.causal.estimation.query import (
    STRATEGIES,
    Query,
    check_positivity,
    warn_of_poor_overlap,
)
from sklearn_causalrec.causal.estimation.strategies.aipw import aipw
from sklearn_causalrec.causal.estimation.strategies.sequential import (
    Program,
    SequentialMean,
    arm_codes,
    sequential,
    treatment_codes,
)

__all__ = ["Query", "check_parameters", "climb", "path_effects"]


def check_parameters(estimator):
    """Parameters that can be judged without data."""
    if estimator.strategy not in STRATEGIES:
        raise ValueError(
            f"strategy is {estimator.strategy!r}: choose one of {STRATEGIES}."
        )
    cv = estimator.cv
    if not isinstance(cv, (int, np.integer)) or isinstance(cv, bool) or cv < 2:
        raise ValueError(f"cv is {cv!r}: a whole number of folds, at least 2.")
    if not 0 < estimator.clip < 0.5:
        raise ValueError(f"clip is {estimator.clip!r}: a number between 0 and 0.5.")
    if estimator.discrete_treatment not in (True, False, "auto"):
        raise ValueError(
            f"discrete_treatment is {estimator.discrete_treatment!r}: True, False or "
            '"auto".'
        )


class OneArm:
    """A regression, where every row was treated."""

    def __init__(self, problem):
        self.variables = problem.variables
        self.names = list(problem.variables._blocks)
        X = problem.variables.matrix(self.names)
        self.fit = regress(problem, X, problem.y, first=True)

    def predict(self, variables):
        return self.fit.at(variables.matrix(self.names))


class ArmsAnswer:
    """Mean outcomes under the arms of a discrete treatment, and their contrasts."""

    def __init__(self, query, problem, means, strategy, modifiers, conditional):
        self.query, self.means, self.strategy = query, means, strategy
        self.variables = problem.variables
        self.guarantee, self.method = means.guarantee, means.method
        self.scores = means.scores
        self.arms, self.arm, self.y = problem.arms, problem.arm, problem.y
        self.clip = problem.clip
        self.modifiers, self.conditional = modifiers, conditional
        self.adjustment_set = None
        if "outcomes" in means.nuisances:
            self.adjustment_set = frozenset(means.nuisances["names"])

    def ate(self, t0, t1):
        """Average effect over the rows of fit, and its standard error."""
        return self.means.contrast(t0, t1)

    def ate_over(self, variables, t0, t1):
        """The same over other rows: the mean effect plus the mean residual."""
        effect = self.effect(variables, t0, t1)
        if self.scores is None:
            return self.ate(t0, t1)
        rest = self.scores[:, t1] - self.scores[:, t0]
        rest = rest - self.conditional.fitted(t0, t1)
        variance = rest.var() / len(rest) + effect.var() / len(effect)
        return effect.mean() + rest.mean(), np.sqrt(variance)

    def att(self, t0, t1):
        """Average effect among the rows that had arm t1, and its standard error."""
        if self.adjustment_set is None:
            raise ValueError(
                "the effect on the treated is estimated by adjustment; this one is "
                f"{self.strategy!r}."
            )
        p, mu = (self.means.nuisances[k] for k in ("propensity", "outcomes"))
        treated = (self.arm == t1).astype(float)
        odds = (self.arm == t0) * p[:, t1] / p[:, t0]
        score = (treated - odds) * (self.y - mu[:, t0]) / treated.mean()
        mean = score.mean()
        influence = score - mean * treated / treated.mean()
        return mean, influence.std() / np.sqrt(len(score))

    def _need_conditional(self):
        if self.modifiers is None:
            raise ValueError(self.query.unidentified(self.query.before_treatment()))
        if self.conditional is None:
            raise ValueError(
                "effect_model=None: averages only. Set effect_model='auto', or a "
                "regressor, and fit again."
            )

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        self._need_conditional()
        return self.conditional.effect(variables, t0, t1)

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        self._need_conditional()
        return self.conditional.effect_interval(variables, t0, t1, alpha)

    def predict(self, variables, arm):
        """Mean outcome of each row under the arm of that position, (n,)."""
        out = np.empty(len(arm))
        outcomes = None
        if self.adjustment_set is not None:
            Z = variables.matrix(self.means.nuisances["names"])
            outcomes = [fit.at(Z) for fit in self.means.nuisances["fits"]]
        for a in np.unique(arm):
            mine = arm == a
            if outcomes is not None:
                out[mine] = outcomes[a][mine]
            elif hasattr(self.conditional, "baseline"):
                value = self.conditional.baseline(variables)
                value = value + self.conditional.effect(variables, 0, a)
                out[mine] = value[mine]
            else:
                out[mine] = self.means.mean[a]
        return out

    def sensitivity(self, t0, t1):
        """Bounds for an omitted confounder, see `Sensitivity`."""
        return Sensitivity.from_interactive(
            self.y, self.arm, self.means.nuisances["outcomes"],
            self.means.nuisances["propensity"], contrast=(t0, t1), scores=self.scores,
        )  # fmt: skip

    def pseudo_effects(self):
        """What stands for the effects against the first arm, (n, n_arms - 1)."""
        if self.scores is None:
            raise ValueError(
                f"{self.method} has no influence function to score effects by; pass "
                "scoring= of your own."
            )
        return self.scores[:, 1:] - self.scores[:, :1], np.ones(len(self.scores))

    def diagnostics(self):
        """Frames: overlap and balance under adjustment, rows that weigh most."""
        found = {}
        if "effective" in self.means.nuisances:
            steps = [", ".join(s.block) for s in self.means.nuisances["steps"]]
            found["effective_sample_sizes"] = pd.DataFrame(
                {"effective_rows": self.means.nuisances["effective"]},
                index=pd.Index(steps, name="regression over"),
            )
        if self.scores is not None and len(self.y) > 20:
            effect = self.scores[:, 1] - self.scores[:, 0]
            found["influential_rows"] = influential_rows(effect)
        if self.adjustment_set is None:
            return found
        p = self.means.nuisances["propensity"]
        arms = np.array([str(a) for a in self.arms], object)
        found["overlap"] = overlap(p, arms[self.arm], arms=arms, clip=self.clip)
        names = self.means.nuisances["names"]
        if names:
            weights = 1 / p[np.arange(len(p)), self.arm]
            covariates = pd.DataFrame(
                np.asarray(self.variables.matrix(names)),
                columns=self.variables.labels(names),
            )
            found["balance"] = balance(covariates, self.arm, weights)
        return found


def climb(query, problem, estimator):
    """The answer of the first rung that covers the query.

    Raises
    ------
    ValueError
        Where the strategy asked for does not apply.
    """
    if estimator.strategy == "instrument":
        from sklearn_causalrec.causal.estimation.strategies.dose import InstrumentAnswer

        return InstrumentAnswer(query, problem, estimator)
    if not estimator.discrete_treatment_:
        from sklearn_causalrec.causal.estimation.strategies.dose import DoseAnswer

        return DoseAnswer(query, problem, estimator)
    modifiers = query.modifiers(estimator.effect_modifiers)
    strategy = query.estimand.strategy
    rung = _rung(query, problem, estimator.strategy)
    _check_arms(problem, rung)
    if rung == "adjustment":
        # what the effect is to be conditioned on must be in the nuisances too
        names = query.ordered({*query.adjustment, *modifiers})
        _check_strata(query, problem, names)
        means = aipw(problem, names)
        warn_of_poor_overlap(problem, names, means.nuisances["raw_propensity"])
        strategy = "adjustment"
    elif rung == "plug-in":
        from sklearn_causalrec.causal.estimation.strategies.plugin import plugin

        means = plugin(problem)
    elif rung == "no-effect":
        means = _no_effect(problem)
    elif rung == "general":
        from sklearn_causalrec.causal.estimation.strategies.weighted import weighted

        means = weighted(problem)
    else:
        program = query.program
        if rung == "frontdoor":
            program = Program.frontdoor(query.estimand)
        _check_strata(query, problem, program.before(program.treatments[0])[1])
        means = sequential(problem, program)
    conditional = _conditional(query, problem, means, modifiers, estimator)
    return ArmsAnswer(query, problem, means, strategy, modifiers, conditional)


def _rung(query, problem, asked):
    from sklearn_causalrec.causal.estimation.strategies.plugin import fits_plugin

    found = query.estimand.strategy
    if found == "no-effect":
        return "no-effect"
    possible = {
        "plug-in": True,
        "adjustment": query.adjustment is not None,
        "frontdoor": found == "frontdoor",
        "primal-fixable": query.program is not None and len(query.treatments) == 1,
        "sequential": query.program is not None,
        "general": True,
    }
    if asked != "auto":
        if not possible[asked]:
            raise ValueError(
                f"strategy={asked!r} does not apply: in the graph the effect is "
                f"identified by {found!r}. Leave strategy='auto'."
            )
        return asked
    if fits_plugin(problem):
        return "plug-in"
    return next(r for r in ("adjustment", "sequential", "general") if possible[r])


def _check_arms(problem, rung):
    counts = np.bincount(problem.arm, minlength=len(problem.arms))
    n_folds = problem.fold.max() + 1
    if rung not in ("plug-in", "no-effect") and counts.min() < 2 * n_folds:
        a = int(counts.argmin())
        raise ValueError(
            f"the arm {problem.arms[a]!r} has {counts[a]} rows, too few for "
            f"cross-fitting over {n_folds} folds: leave it out, or lower cv."
        )


def _check_strata(query, problem, names):
    what = ", ".join(map(str, query.treatments))
    check_positivity(problem, names, what)


def _no_effect(problem):
    """No directed path: every arm has the mean of y."""
    scores = np.repeat(problem.y[:, None], len(problem.arms), 1)
    return ArmMeans.from_scores(
        scores,
        "exact: the graph has no path from the treatment to the outcome",
        "mean of y",
    )


def _conditional(query, problem, means, modifiers, estimator):
    model = estimator.effect_model
    if modifiers is None or model is None:
        return None
    if not modifiers or means.scores is None:
        return ConstantEffect(means) if not modifiers else None
    adjusted = means.nuisances.get("names")
    if isinstance(model, str):
        if model != "auto":
            raise ValueError(f'effect_model is {model!r}: "auto", None or a model.')
        if adjusted is not None and tuple(adjusted) == tuple(modifiers):
            return StackedConditional(problem, modifiers, means)
        return ScoreRegression(problem, modifiers, means.scores)
    if hasattr(model, "predict"):
        return ScoreRegression(problem, modifiers, means.scores, model)
    if adjusted is None:
        raise ValueError(
            f"effect_model={type(model).__name__} adjusts for covariates, and the "
            f"effect is identified by {query.estimand.strategy!r}: pass a regressor."
        )
    from sklearn_causalrec.causal.estimation.strategies.dose import EconMLConditional

    return EconMLConditional(problem, model, modifiers, adjusted)


def path_effects(query, problem, estimator, alpha=0.05):
    """Total, direct and indirect effect of each arm against the first.

    With M the nodes through which the indirect effect goes, and all on the way there,

    - direct: E[Y(t1, M(t0))] - E[Y(t0)], the natural direct effect;
    - indirect: E[Y(t1)] - E[Y(t1, M(t0))], the natural indirect effect [1]_ [2]_.

    Returns
    -------
    DataFrame
        A row an arm and effect: estimate, low, high, share of the total.

    References
    ----------
    .. [1] J. Pearl (2001). Direct and indirect effects. UAI 17.
    .. [2] E. Tchetgen Tchetgen, I. Shpitser (2012). Semiparametric theory for causal
       mediation analysis. Annals of Statistics 40.
    """
    whole = query.program
    program = Program(whole.order, whole.treatments, whole.natural, query.through)
    codes = treatment_codes(problem, program.treatments)
    mean = SequentialMean(problem, program, codes)
    arms = arm_codes(problem, program.treatments)
    base = mean(lambda node: arms[0])
    rows = []
    for a in range(1, len(arms)):
        full = mean(lambda node, a=a: arms[a])
        crossed = mean(lambda node, a=a: arms[0] if node in query.through else arms[a])
        total = (full - base).mean()
        for name, score in (
            ("total", full - base),
            ("direct", crossed - base),
            ("indirect", full - crossed),
        ):
            estimate, error = score.mean(), score.std() / np.sqrt(len(score))
            low, high = normal_interval(estimate, error, alpha)
            rows.append((problem.arms[a], name, estimate, low, high, estimate / total))
    frame = pd.DataFrame(
        rows, columns=["arm", "effect", "estimate", "low", "high", "share"]
    )
    return frame.set_index(["arm", "effect"])
