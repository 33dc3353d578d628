"""No directed path from the treatment to the outcome: nothing is left to estimate."""

import numpy as np

from sklearn_causalrec.causal.estimation.problem import ArmMeans
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy


class NoEffect(ArmStrategy):
    """Every arm has the mean of y."""

    cross_fits = False
    reads = ("sample_weight", "propensity", "missing values")

    def covers(self, query, problem):
        """Whether the graph has no path from the treatments to the outcome."""
        return bool(problem.arms) and query.has_no_effect

    def means(self, query, problem):
        """The mean of y under each arm."""
        scores = np.repeat(problem.y[:, None], len(problem.arms), 1)
        return ArmMeans(
            scores,
            "exact: the graph has no path from the treatment to the outcome",
            "mean of y",
        )
