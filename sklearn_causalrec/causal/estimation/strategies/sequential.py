"""Sequential regressions: front door, primal fixing, treatments one after another."""

import numpy as np

from sklearn_causalrec.causal.estimation.positivity import check_positivity
from sklearn_causalrec.causal.estimation.problem import ArmMeans
from sklearn_causalrec.causal.estimation.program import (
    Program,
    SequentialMean,
    arm_codes,
    treatment_codes,
)
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy


def sequential(problem, program=None):
    """Means under each arm by the cross-fitted one-step estimator.

    Parameters
    ----------
    problem : Problem
    program : Program, optional
        That of the estimand.

    Returns
    -------
    ArmMeans

    Notes
    -----
    Double robustness: the bias is a sum of products of an error of a regression with
    an error of a treatment probability, so that the estimate is consistent where, for
    each block, one of the two is, and root-n where each is estimated faster than the
    fourth root of n.

    References
    ----------
    .. [1] J. Tian, J. Pearl (2002). A general identification condition for causal
       effects. AAAI 18.
    .. [2] R. Bhattacharya, R. Nabi, I. Shpitser (2022). Semiparametric inference for
       causal effects in graphical models with hidden variables. JMLR 23.
    .. [3] A. Guo, R. Nabi (2024). Average causal effect estimation in DAGs with hidden
       variables: beyond back-door and front-door criteria. arXiv:2409.03962.
    """
    program = program or Program.of(problem.estimand)
    codes = treatment_codes(problem, program.treatments)
    mean = SequentialMean(problem, program, codes)
    columns = []
    for arm in arm_codes(problem, program.treatments):
        columns.append(mean(lambda node, arm=arm: arm))
    return ArmMeans(
        np.column_stack(columns),
        "doubly robust, root-n",
        "cross-fitted one-step estimator, sequential regressions",
    )


class Sequential(ArmStrategy):
    """One-step estimates of any product of conditionals."""

    def covers(self, query, problem):
        """Whether the estimand is a product of conditionals."""
        return bool(problem.arms) and query.program is not None

    def reason(self, query, problem):
        """Why it does not apply: by the graph, or since it is no product."""
        if not problem.arms or query.program is not None:
            return super().reason(query, problem)
        return (
            f"strategy={query.options.strategy!r} does not apply: in the graph the "
            f"effect is identified by {query.estimand.strategy!r}, and its formula "
            "is no product of conditionals. Leave strategy='auto'."
        )

    def program(self, query):
        """The product of conditionals that is estimated."""
        return query.program

    def means(self, query, problem):
        """Means under each arm, see `sequential`."""
        program = self.program(query)
        _, before = program.before(program.treatments[0])
        check_positivity(problem, before, query.treatments)
        return sequential(problem, program)


class Frontdoor(Sequential):
    """The same for the front door, through its mediators alone."""

    def covers(self, query, problem):
        """Whether the effect is identified by the front door."""
        return super().covers(query, problem) and (
            query.estimand.strategy == "frontdoor"
        )

    def program(self, query):
        """The product of the front-door formula."""
        return Program.frontdoor(query.estimand)


class PrimalFixable(Sequential):
    """The same for a single treatment."""

    def covers(self, query, problem):
        """Whether a single treatment's effect is a product of conditionals."""
        return super().covers(query, problem) and len(query.treatments) == 1
