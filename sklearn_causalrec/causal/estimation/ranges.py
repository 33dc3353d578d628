"""`EffectRange`: the effects that remain possible, where a graph has open ends."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, repr=False)
class EffectRange:
    """The effects that the graphs which data leave possible have.

    Attributes
    ----------
    low, high : float
        The smallest and the largest of the estimates.
    interval : tuple of two float
        From the lowest to the highest bound of their intervals. Where the graph is one
        of those that were possible, it covers the effect at least as often as the
        interval in the true case does.
    cases : DataFrame
        A row for each effect: ``adjustment_set``, ``effect``, ``low``, ``high``, and
        ``decided``, the edges that make the case, with what follows from them.

    See Also
    --------
    sklearn_causalrec.DoCalculusEffect.ate_range : Estimates it.
    """

    cases: pd.DataFrame

    @classmethod
    def of_one(cls, effect, interval, adjustment_set):
        """The range of an effect that is identified: a single case."""
        low, high = interval
        row = {
            "adjustment_set": adjustment_set,
            "effect": float(effect),
            "low": float(low),
            "high": float(high),
            "decided": "",
        }
        return cls(pd.DataFrame([row]))

    @property
    def low(self):
        """The smallest of the estimates."""
        return float(self.cases["effect"].min())

    @property
    def high(self):
        """The largest of the estimates."""
        return float(self.cases["effect"].max())

    @property
    def interval(self):
        """From the lowest to the highest bound of the intervals."""
        return float(self.cases["low"].min()), float(self.cases["high"].max())

    def __repr__(self):
        low, high = self.interval
        return (
            f"EffectRange({self.low:.4g} to {self.high:.4g}, interval {low:.4g} to "
            f"{high:.4g}, {len(self.cases)} cases)"
        )
