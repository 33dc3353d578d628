"""`Strategy`: what every way to estimate an effect offers."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from sklearn_causalrec.causal.estimation.answers import ArmsAnswer
from sklearn_causalrec.causal.estimation.conditional import conditional_effect
from sklearn_causalrec.causal.estimation.half_samples import half_samples
from sklearn_causalrec.causal.estimation.positivity import check_arms


class Strategy(ABC):
    """A way to estimate the effects that a graph identifies in some form.

    A strategy is registered by name in ``registry.STRATEGIES``; it is then a value of
    ``DoCalculusEffect(strategy=)``, and "auto" tries it in the order of registration.

    Attributes
    ----------
    name : str
        The name under which it is registered; the registry sets it.
    family : str or None
        A second name to ask for it by, which several strategies may share: the first
        of them that covers the query is taken.
    reads : sequence of str
        What it reads of "sample_weight", "propensity" and "missing values".
    """

    name: str | None = None
    family: str | None = None
    reads: tuple[str, ...] = ()

    @abstractmethod
    def covers(self, query, problem):
        """Whether the strategy applies.

        Parameters
        ----------
        query : Query
            What is asked of the graph, and what the graph says of it.
        problem : Problem
            The data.

        Returns
        -------
        bool
        """

    @abstractmethod
    def estimate(self, query, problem):
        """Estimate the effects.

        Parameters
        ----------
        query : Query
            A query that the strategy covers.
        problem : Problem
            The data.

        Returns
        -------
        Answer
        """

    def reason(self, query, problem):
        """Why the strategy does not apply: the message for a user who insists on it.

        Parameters
        ----------
        query : Query
            A query that the strategy does not cover.
        problem : Problem
            The data.

        Returns
        -------
        str
        """
        if not problem.arms:
            return (
                f"a continuous treatment is estimated by adjustment; here the effect "
                f"is identified by {query.estimand.strategy!r} and strategy is "
                f"{query.options.strategy!r}. Bin the treatment, for instance with "
                "KBinsDiscretizer, or set strategy='instrument' where there is one."
            )
        return (
            f"strategy={query.options.strategy!r} does not apply: in the graph the "
            f"effect is identified by {query.estimand.strategy!r}. Leave "
            "strategy='auto'."
        )


class ArmStrategy(Strategy):
    """A strategy that is known by the mean outcomes under the arms that it gives.

    What it answers of single rows is learned from the influence functions of the
    means. A subclass has `covers` and `means`.

    Attributes
    ----------
    cross_fits : bool
        Whether models are fitted by folds, for which each arm needs some rows.
    """

    cross_fits = True

    @abstractmethod
    def means(self, query, problem):
        """Mean outcome under each arm.

        Parameters
        ----------
        query : Query
            A query that the strategy covers.
        problem : Problem
            The data.

        Returns
        -------
        ArmMeans
        """

    def identified_by(self, query):
        """How the effect is identified, for the user: ``strategy_``."""
        return query.estimand.strategy

    def estimate(self, query, problem):
        """The means, and how the effect varies with the modifiers."""
        modifiers = query.modifiers()
        if self.cross_fits:
            check_arms(problem)
        means = replace(
            self.means(query, problem),
            weight=problem.weight,
            clusters=problem.clusters,
        )
        if problem.n_half_samples is not None:
            halves = [self.means(query, half).mean for _, half in half_samples(problem)]
            means = replace(means, halves=np.array(halves))
        conditional = conditional_effect(query, problem, means, modifiers)
        return ArmsAnswer(
            problem,
            means,
            conditional,
            strategy=self.identified_by(query),
            modifiers=modifiers,
            refusal=query.unidentified(query.before_treatment())
            if modifiers is None
            else None,
        )
