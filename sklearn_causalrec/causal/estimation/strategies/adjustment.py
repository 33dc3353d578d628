"""Adjustment: augmented inverse probability weighting."""

import numpy as np

from sklearn_causalrec.causal.estimation.nuisances import arm_probabilities, regress
from sklearn_causalrec.causal.estimation.positivity import check_positivity
from sklearn_causalrec.causal.estimation.problem import ArmMeans, Nuisances
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy
from sklearn_causalrec.effects.overlap import warn_of_poor_overlap


def aipw(problem, names):
    r"""Means under each arm by cross-fitted AIPW [1]_ [2]_.

    .. math:: \phi_a = \mu_a(Z) + \frac{1[A = a]}{\pi_a(Z)} (Y - \mu_a(Z))

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
    taken = arm[:, None] == np.arange(n_arms)
    scores = outcomes + taken / propensity * (y[:, None] - outcomes)
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
        Z, labels = variables.matrix(names), variables.labels(names)
        warn_of_poor_overlap(raw, problem.clip, Z, labels)
        return means
