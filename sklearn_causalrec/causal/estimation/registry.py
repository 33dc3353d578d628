"""The strategies by name, in the order in which they are tried, and the choice."""

from sklearn_causalrec._utils.registry import Registry
from sklearn_causalrec.causal.estimation.strategies.adjustment import Adjustment
from sklearn_causalrec.causal.estimation.strategies.dose import Dose
from sklearn_causalrec.causal.estimation.strategies.general import General
from sklearn_causalrec.causal.estimation.strategies.instrument import Instrument
from sklearn_causalrec.causal.estimation.strategies.no_effect import NoEffect
from sklearn_causalrec.causal.estimation.strategies.plug_in import PlugIn
from sklearn_causalrec.causal.estimation.strategies.sequential import (
    Frontdoor,
    PrimalFixable,
    Sequential,
)


class StrategyRegistry(Registry):
    """Strategies by name; their order is that in which "auto" tries them.

    Examples
    --------
    >>> from sklearn_causalrec.causal.estimation.registry import STRATEGIES
    >>> list(STRATEGIES)[:2]
    ['plug-in', 'adjustment']
    """

    def register(self, name, before=None):
        """A decorator that registers a strategy under a name.

        Parameters
        ----------
        name : str
            Must be new; the strategy gets it as its attribute ``name``.
        before : str, default=None
            The strategy that it is tried before. None: it is tried last.

        Raises
        ------
        ValueError
            If the name is taken, or if ``before`` is not known.
        """
        add = super().register(name)

        def add_at(strategy):
            if before is not None:
                self[before]  # raises where it is not known
            add(strategy)
            if before is not None:
                known = {k: v for k, v in self.items() if k != name}
                self.clear()
                for other, its in known.items():
                    if other == before:
                        self[name] = strategy
                    self[other] = its
            return strategy

        return add_at


STRATEGIES = StrategyRegistry("strategy")
# The first strategy that covers a query is taken: counts where they suffice, then the
# estimator that asks for the fewest models, the one for any functional last.
STRATEGIES.register("plug-in")(PlugIn)
STRATEGIES.register("adjustment")(Adjustment)
STRATEGIES.register("dose-response")(Dose)
STRATEGIES.register("sequential")(Sequential)
STRATEGIES.register("frontdoor")(Frontdoor)
STRATEGIES.register("primal-fixable")(PrimalFixable)
STRATEGIES.register("general")(General)
STRATEGIES.register("instrument")(Instrument)


def check_strategy(name):
    """Raise where a name is neither "auto" nor that of a strategy.

    Parameters
    ----------
    name : str
        The name that the user asks for.

    Raises
    ------
    ValueError
        Listing the names.
    """
    if name not in ("auto", *STRATEGIES):
        raise ValueError(
            f"strategy is {name!r}: choose one of {('auto', *STRATEGIES)}."
        )


def choose(query, problem):
    """The strategy that estimates a query.

    Parameters
    ----------
    query : Query
        Its option ``strategy`` is "auto", or the name or family that the user insists
        on.
    problem : Problem
        The data.

    Returns
    -------
    Strategy
        Of those asked for, the first that covers the query.

    Raises
    ------
    ValueError
        If none of them covers it; the message says why.
    """
    if NoEffect().covers(query, problem):
        return NoEffect()
    asked = query.options.strategy
    candidates = [
        strategy()
        for strategy in STRATEGIES.values()
        if asked in ("auto", strategy.name, strategy.family)
    ]
    unread = None
    for strategy in candidates:
        if strategy.covers(query, problem):
            more = [name for name in problem.asks if name not in strategy.reads]
            if not more:
                return strategy
            unread = unread or (strategy, more)
    if unread is not None:
        strategy, more = unread
        raise ValueError(
            f"{' and '.join(more)} can be read where the effect is by adjustment for "
            f"covariates, and not by the strategy {strategy.name!r}, which estimates "
            "it here: leave them out, or weight the rows by sampling them."
        )
    raise ValueError(candidates[0].reason(query, problem))
