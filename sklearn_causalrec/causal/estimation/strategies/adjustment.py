"""Adjustment: augmented inverse probability weighting."""

import numpy as np

from sklearn_causalrec.causal.estimation.nuisances import arm_probabilities, regress
from sklearn_causalrec.causal.estimation.positivity import check_positivity
from sklearn_causalrec.causal.estimation.problem import ArmMeans, Nuisances
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy
from sklearn_causalrec.effects.average import arm_mean, isotonic
from sklearn_causalrec.effects.clusters import parts_of_folds
from sklearn_causalrec.effects.overlap import told_by, warn_of_poor_overlap

# No probability counts less in a mean by adjustment: the regression of the residuals
# makes up for the bias, and one row in twenty weighs less than one in a hundred.
CLIP = 0.05


def aipw(problem, names):
    r"""Means under each arm by cross-fitted AIPW [1]_ [2]_, calibrated.

    .. math:: \phi_a = \mu_a(Z) + \frac{1[A = a]}{\pi_a(Z)} (Y - \mu_a(Z))

    Both nuisances are calibrated, and a regression of the residuals corrects the
    outcomes, see :func:`~sklearn_causalrec.effects.average.arm_mean`. Plain AIPW has
    intervals that are too short where overlap is poor, an arm is rare, or clusters are
    treated as a whole.

    Parameters
    ----------
    problem : Problem
    names : list of names
        The adjustment set Z.

    Returns
    -------
    ArmMeans

    References
    ----------
    .. [1] J. Robins, A. Rotnitzky, L. Zhao (1994). Estimation of regression
       coefficients when some regressors are not always observed. JASA 89.
    .. [2] V. Chernozhukov et al. (2018). Double/debiased machine learning for treatment
       and structural parameters. Econometrics Journal 21.
    """
    Z = problem.variables.matrix(names)
    y, arm, n_arms = problem.y, problem.arm, len(problem.arms)
    fits = [
        regress(problem, Z, y, rows=arm == a, weight=problem.weight, first=True, salt=a)
        for a in range(n_arms)
    ]
    outcomes = np.column_stack([fit(Z) for fit in fits])
    propensity, raw = arm_probabilities(problem, Z)
    if problem.gaps:  # a regression on Z needs numbers
        taken = arm[:, None] == np.arange(n_arms)
        scores = outcomes + taken / propensity * (y[:, None] - outcomes)
    else:
        scores = _calibrated_scores(problem, Z, outcomes, raw)
    return ArmMeans(
        scores,
        "doubly robust, root-n",
        "cross-fitted AIPW",
        Nuisances(
            names=tuple(names),
            propensity=propensity,
            raw_propensity=raw,
            outcomes=outcomes,
            fits=fits,
        ),
    )


def _calibrated_scores(problem, Z, outcomes, raw):
    """Scores of each arm, whose spread counts what estimated nuisances pass on."""
    y, n_arms = problem.y, len(problem.arms)
    parts = parts_of_folds(problem.fold, problem.clusters)
    weight = np.ones(len(y)) if problem.weight is None else problem.weight
    known = problem.propensity is not None and not np.isnan(problem.propensity).any()
    clip = 1e-6 if known else max(problem.clip, min(CLIP, 0.5 / n_arms))
    scores = np.empty((len(y), n_arms))
    for a in range(n_arms):
        mine, chance = problem.arm == a, raw[:, a]
        if not known:
            chance = isotonic(chance, mine.astype(float), weight, chance)
        score, correction = arm_mean(
            Z, y, mine, outcomes[:, a], chance, weight, parts, known=known, clip=clip
        )
        passed_on = np.average(correction, weights=weight)
        scores[:, a] = score - correction + passed_on
    return scores


class Adjustment(ArmStrategy):
    """Arms of a discrete treatment, by adjustment for a valid set."""

    reads = ("sample_weight", "propensity", "missing values")

    def covers(self, query, problem):
        """Whether the graph has a valid adjustment set."""
        return bool(problem.arms) and query.adjustment is not None

    def identified_by(self, query):
        """By adjustment, even where the formula shown is another."""
        return "adjustment"

    def means(self, query, problem):
        """Means under each arm, see `aipw`."""
        # what the effect is to be conditioned on must be in the nuisances too
        names = query.ordered({*query.adjustment, *query.modifiers()})
        check_positivity(problem, names, query.treatments)
        means = aipw(problem, names)
        raw, variables = means.nuisances.raw_propensity, problem.variables
        Z = variables.matrix(names)[told_by(len(raw))]
        labels = variables.labels(names)
        warn_of_poor_overlap(raw, problem.clip, Z, labels)
        return means
