"""Answers: what a fitted strategy says of averages, of rows, and of itself."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.checks.diagnostics import (
    balance,
    influential_rows,
    overlap,
)
from sklearn_causalrec.causal.checks.risk import risk_ratio
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
from sklearn_causalrec.causal.estimation.nuisances import regress
from sklearn_causalrec.causal.estimation.ranges import EffectRange
from sklearn_causalrec.effects.clusters import Estimate, estimate, ratio_of_means
from sklearn_causalrec.effects.elsewhere import Elsewhere
from sklearn_causalrec.effects.log_scores import LogScores
from sklearn_causalrec.effects.overlap import average_on_treated


class Answer:
    """What can be asked of a fitted strategy.

    Two treatments ``t0`` and ``t1`` are positions of arms, or doses of a continuous
    treatment; new rows come as `Variables`. A subclass answers what its theory covers;
    everything else raises a `ValueError` that says why there is no answer.

    Parameters
    ----------
    variables : Variables
        The columns of the rows of ``fit``.

    Attributes
    ----------
    strategy : str
        How the effect is identified.
    method, guarantee : str
        What was computed, and what the theory promises of it.
    adjustment_set : frozenset of names, or None
        What was adjusted for; None where it is not by adjustment.
    modifiers : tuple of names, or None
        What the effect of a row depends on; None where it is identified given nothing.
    scores : ndarray of shape (n, n_arms), or None
        Uncentred influence function of the mean outcome under each arm.
    propensity, outcomes : ndarray of shape (n, n_arms), or None
        Cross-fitted probability of, and mean outcome under, each arm.
    has_curve : bool
        Whether there is a dose-response curve.
    """

    strategy = method = guarantee = ""
    adjustment_set = scores = propensity = outcomes = None
    modifiers = ()
    has_curve = False

    def __init__(self, variables):
        self.variables = variables

    @property
    def varies(self):
        """Whether the effect of each arm differs between rows; None if not known."""
        return None

    def _refuse(self, what):
        raise ValueError(f"{what} is not known by {self.strategy!r}, {self.method}.")

    def average(self, t0, t1, variables=None, clustered=True):
        """Average effect with its standard error, for methods that have one.

        Parameters
        ----------
        t0, t1 : int or float
            Positions of arms, or doses.
        variables : Variables, optional
            The rows averaged over. None: those of fit.
        clustered : bool, default=True
            Whether the error counts that rows of a cluster go together.

        Returns
        -------
        Estimate
        """
        self._refuse("the average effect")

    def ate(self, t0, t1, variables=None):
        """Average effect over the rows of fit, or over other rows."""
        return self.average(t0, t1, variables)[0]

    def ate_interval(self, t0, t1, alpha, variables=None, clustered=True):
        """Bounds of the average effect over the rows of fit, or over other rows.

        Parameters
        ----------
        t0, t1 : int or float
            Positions of arms, or doses.
        alpha : float
            One minus the confidence.
        variables : Variables, optional
            Other rows. None: those of fit.
        clustered : bool, default=True
            Whether they count that rows of a cluster go together.

        Returns
        -------
        low, high : float
            The normal interval, unless the method has one of its own.
        """
        return self.average(t0, t1, variables, clustered).interval(alpha)

    def ate_range(self, t0, t1, alpha, clustered=True):
        """The average effect in each graph that is possible, an `EffectRange`."""
        interval = self.ate_interval(t0, t1, alpha, clustered=clustered)
        return EffectRange.of_one(self.ate(t0, t1), interval, self.adjustment_set)

    def average_on_treated(self, t0, t1, clustered=True):
        """Average effect among the rows that had arm t1, an `Estimate`."""
        self._refuse("the effect on the treated")

    def att(self, t0, t1):
        """Average effect among the rows that had arm t1."""
        return self.average_on_treated(t0, t1)[0]

    def att_interval(self, t0, t1, alpha, clustered=True):
        """Bounds of the average effect among the rows that had arm t1."""
        return self.average_on_treated(t0, t1, clustered).interval(alpha)

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        self._refuse("the effect of rows")

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row, two arrays of shape (n,)."""
        self._refuse("the interval of the effect of rows")

    def predict(self, variables, treatment):
        """Mean outcome of each row under the treatment of that row, (n,)."""
        self._refuse("the mean outcome of rows")

    def curve(self, grid, alpha):
        """Mean outcome under each dose with its uniform band, as a frame."""
        self._refuse("a dose-response curve")

    def average_derivative(self):
        """Mean effect of one unit more of a dose, and its standard error."""
        self._refuse("the average derivative")

    def pseudo_effects(self):
        """What stands for the effects that nobody observes, and weights of the rows.

        Returns
        -------
        effects : ndarray of shape (n, n_contrasts)
        weight : ndarray of shape (n,)
        """
        raise ValueError(
            f"strategy={self.strategy!r} has no default score: pass scoring= of your "
            "own."
        )

    def log_scores(self):
        """What is known of the effect in each row of fit, `LogScores`."""
        self._refuse("the effect in parts of the rows of fit")

    def sensitivity(self, t0, t1):
        """Bounds for an omitted confounder, see `Sensitivity`."""
        raise ValueError(
            "bounds for omitted confounders need arms and adjustment; this effect is "
            f"by {self.strategy!r}, {self.method}."
        )

    def risk_ratio(self, t0, t1, alpha):
        """Ratio of the risks under two arms and its limits; None without risks."""
        return None

    def diagnostics(self):
        """Frames by name: what was checked."""
        return {}


class OneArm(Answer):
    """A regression, where every row was treated: no effect is identified.

    Parameters
    ----------
    problem : Problem
        The data, of a single arm.
    """

    strategy, method = "one arm", "outcome regression"
    guarantee = "a regression; no effect"

    def __init__(self, problem):
        super().__init__(problem.variables)
        self._names = problem.variables.names
        X = problem.variables.matrix(self._names)
        weight = problem.weight
        self._fit = regress(problem, X, problem.y, weight=weight, first=True)

    def predict(self, variables, treatment=None):
        """Mean outcome of each row, (n,)."""
        return self._fit.at(variables.matrix(self._names))


class ArmsAnswer(Answer):
    """Mean outcomes under the arms of a discrete treatment, and their contrasts.

    Parameters
    ----------
    problem : Problem
        The data.
    means : ArmMeans
        The mean outcome under each arm.
    conditional : object with ``effect``, ``fitted``, ``effect_interval``; or None
        How the effect varies with the modifiers.
    strategy : str
        How the effect is identified.
    modifiers : tuple of names, or None
        What the effect depends on; None where it is identified given nothing.
    refusal : str, optional
        With ``modifiers=None``, the message for whoever asks for effects of rows.
    """

    def __init__(
        self, problem, means, conditional=None, *, strategy, modifiers=(), refusal=None
    ):
        super().__init__(problem.variables)
        self.strategy, self.modifiers = strategy, modifiers
        self.guarantee, self.method = means.guarantee, means.method
        self.scores = means.scores
        self.propensity = means.nuisances.propensity
        self.outcomes = means.nuisances.outcomes
        if self.outcomes is not None:
            self.adjustment_set = frozenset(means.nuisances.names)
        self._means, self._conditional, self._refusal = means, conditional, refusal
        self._y, self._arm, self._arms = problem.y, problem.arm, problem.arms
        self._clip, self._weight = problem.clip, problem.weight

    @property
    def varies(self):
        """Of each arm, whether its effect against the first differs between rows."""
        if self._conditional is None:
            return None
        arms = range(1, len(self._arms))
        return [False, *(self._conditional.varies(t) for t in arms)]

    def average(self, t0, t1, variables=None, clustered=True):
        """Average effect with its standard error.

        Over other rows it is the mean effect there, with what the residuals of the
        scores add, see `Elsewhere`.
        """
        if variables is None:
            return self._means.contrast(t0, t1, clustered=clustered)
        effect = self.effect(variables, t0, t1)
        score = self._means.pseudo[:, t1] - self._means.pseudo[:, t0]
        fitted = np.broadcast_to(self._conditional.fitted(t0, t1), len(score))
        weight = self.pseudo_effects()[1]
        mean = np.average(score - fitted, weights=weight)
        rest = weight * (score - fitted - mean)
        clusters = self._means.clusters
        found = estimate(effect.mean() + mean, rest, clusters if clustered else None)
        X = self.variables.matrix(self.modifiers)
        there = Elsewhere(X, fitted, rest, weight, clusters)
        more, times = there.at(variables.matrix(self.modifiers), effect, clustered)
        error = np.sqrt((found.error * times) ** 2 + effect.var() / len(effect))
        return found._replace(value=found.value + more, error=error)

    def average_on_treated(self, t0, t1, clustered=True):
        """Average effect among the rows that had arm t1, an `Estimate`.

        Where it is not by adjustment it follows from the mean under t0 of all rows,
        if there is no third arm: those that had t0 have the outcome that they had.
        """
        if t0 == t1:
            return Estimate(0.0, 0.0)
        clusters = self._means.clusters if clustered else None
        if self.adjustment_set is None:
            if len(self._arms) > 2 and self.strategy != "no-effect":
                raise ValueError(self._no_effect_on_treated())
            treated = (self._arm == t1).astype(float)
            gained = self._y - self._means.pseudo[:, t0]
            return ratio_of_means(gained, treated, self._weight, clusters)
        given = self._y, self._arm, t0, t1, self.outcomes, self.propensity
        return average_on_treated(*given, self._weight, clusters)

    def _no_effect_on_treated(self):
        """Why the means under three arms or more do not say it, and the way out."""
        why = (
            f"the effect on the treated does not follow from the means under the "
            f"{len(self._arms)} arms, which are by {self.strategy!r}: they don't say "
            "which of the rows that had another arm an effect is of."
        )
        if self.strategy == "adjustment":
            return f"{why} Set strategy='adjustment', which tells it for any arms."
        if isinstance(self._arms[0], tuple):
            return f"{why} Several treatments set together have it by adjustment only."
        if self.strategy in ("frontdoor", "primal-fixable"):
            return (
                f"{why} Fit to the rows of the two arms alone: in this graph the "
                "effect among them is identified as well."
            )
        return f"{why} There is no formula for it here."

    def _need_conditional(self):
        if self.modifiers is None:
            raise ValueError(self._refusal)
        if self._conditional is None:
            raise ValueError(
                "effect_model=None: averages only. Set effect_model='auto', or a "
                "regressor, and fit again."
            )

    def effect(self, variables, t0, t1):
        """Effect of each row, (n,)."""
        self._need_conditional()
        return self._conditional.effect(variables, t0, t1)

    def effect_interval(self, variables, t0, t1, alpha):
        """Bounds of the effect of each row."""
        self._need_conditional()
        return self._conditional.effect_interval(variables, t0, t1, alpha)

    def predict(self, variables, treatment):
        """Mean outcome of each row under the arm of that position, (n,)."""
        out = np.empty(len(treatment))
        outcomes = None
        if self.adjustment_set is not None:
            Z = variables.matrix(self._means.nuisances.names)
            outcomes = [fit.at(Z) for fit in self._means.nuisances.fits]
        for a in np.unique(treatment):
            mine = treatment == a
            if outcomes is not None:
                out[mine] = outcomes[a][mine]
            elif self._conditional is not None:
                value = self._conditional.baseline(variables)
                value = value + self._conditional.effect(variables, 0, a)
                out[mine] = value[mine]
            else:
                out[mine] = self._means.mean[a]
        return out

    def sensitivity(self, t0, t1):
        """Bounds for an omitted confounder, see `Sensitivity`."""
        if self.outcomes is None:
            return super().sensitivity(t0, t1)
        if self._weight is not None:
            raise ValueError(
                "bounds for omitted confounders do not read the sample_weight that fit "
                "was given: fit without it."
            )
        return Sensitivity.from_interactive(
            self._y, self._arm, self.outcomes, self.propensity, contrast=(t0, t1),
            scores=self.scores,
        )  # fmt: skip

    def risk_ratio(self, t0, t1, alpha):
        """Ratio of the risks under two arms and its limits; None without risks."""
        means = self._means.mean[[t0, t1]]
        if not np.isin(self._y, (0, 1)).all():
            return None
        if not (means > 0).all():
            return None
        return risk_ratio(self.scores[:, t0], self.scores[:, t1], alpha)

    def pseudo_effects(self):
        """Differences of the scores to the first arm, (n, n_arms - 1), and weights."""
        pseudo, weight = self._means.pseudo, self._weight
        weight = np.ones(len(pseudo)) if weight is None else weight
        return pseudo[:, 1:] - pseudo[:, :1], weight

    def log_scores(self):
        """The scores of the rows of fit, of each arm against the first."""
        pseudo, fitted = self._means.pseudo, None
        if self._conditional is not None and self.modifiers is not None:
            effects = [self._conditional.fitted(0, a) for a in range(pseudo.shape[1])]
            fitted = np.column_stack([np.broadcast_to(e, len(pseudo)) for e in effects])
        return LogScores(
            pseudo - pseudo[:, :1],
            fitted,
            self.pseudo_effects()[1],
            self._arm,
            self._means.clusters,
            np.zeros(pseudo.shape[1]),
        )

    def diagnostics(self):
        """Frames: overlap and balance under adjustment, rows that weigh most."""
        found, nuisances = {}, self._means.nuisances
        if nuisances.effective is not None:
            steps = [", ".join(s.block) for s in nuisances.steps]
            found["effective_sample_sizes"] = pd.DataFrame(
                {"effective_rows": nuisances.effective},
                index=pd.Index(steps, name="regression over"),
            )
        if len(self._y) > 20:
            effect = self.scores[:, 1] - self.scores[:, 0]
            found["influential_rows"] = influential_rows(effect)
        if self.adjustment_set is None:
            return found
        p = self.propensity
        arms = np.array([str(a) for a in self._arms], object)
        found["overlap"] = overlap(p, arms[self._arm], arms=arms, clip=self._clip)
        if nuisances.names:
            weights = 1 / p[np.arange(len(p)), self._arm]
            if self._weight is not None:
                weights = weights * self._weight
            covariates = pd.DataFrame(
                np.asarray(self.variables.matrix(nuisances.names)),
                columns=self.variables.labels(nuisances.names),
            )
            found["balance"] = balance(covariates, self._arm, weights)
        return found
