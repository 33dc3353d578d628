"""`EffectBounds`: how large an effect can be that a graph does not identify."""

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm, t
from sklearn.utils import check_random_state

from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.identification.identify import identify
from sklearn_causalrec.causal.identification.remedies import NotIdentifiableError
from sklearn_causalrec.causal.identification.response_types import (
    ExactProgram,
    TypeProgram,
)
from sklearn_causalrec.causal.identification.table import JointTable
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.checks import whole_number
from sklearn_causalrec.encoding.contrasts import contrast, find_control


def bounds(graph, outcome, treatment, table, n_rows=None):
    """Bounds of an effect; see `CausalGraph.bounds`."""
    y, x = graph.masks(outcome=outcome, treatment=treatment)
    if y.bit_count() != 1 or x.bit_count() != 1:
        raise ValueError("bounds are for one treatment and one outcome.")
    if isinstance(table, pd.DataFrame):
        if n_rows is not None:
            raise ValueError(
                "n_rows is told by the rows themselves: pass it with a Series."
            )
        n_rows = len(table)
        needed = [v for v in graph.nodes if v in graph.ancestors([outcome, treatment])]
        if lacking := [v for v in needed if v not in table]:
            raise ValueError(f"the table misses the columns {lacking}.")
        table = table[needed].value_counts(normalize=True, dropna=False)
    elif n_rows is not None:
        n_rows = whole_number(n_rows, "n_rows", high=np.inf)
    return EffectBounds(graph, outcome, treatment, table, n_rows)


class EffectBounds:
    """All effects that a graph and a distribution leave possible.

    `CausalGraph.bounds` makes it. An effect that is identified has two bounds that are
    the same.

    Parameters
    ----------
    graph : CausalGraph
        The graph.
    outcome : name
        The outcome.
    treatment : name
        The treatment.
    table : pandas.Series
        The joint probabilities.
    n_rows : int or None
        The number of rows that they were counted in.

    Attributes
    ----------
    identified : bool
        Whether the graph identifies the effect.
    sharp : bool
        Whether no bounds can be narrower without further assumptions. They are where
        latent causes join every two nodes of the district of the treatment.
    probabilities : DataFrame
        ``low`` and ``high`` of P(y | do(x)), a row for each value of the treatment and
        of the outcome.

    See Also
    --------
    CausalGraph.bounds : Makes it.
    sklearn_causalrec.causal.lee_bounds : Bounds where some outcomes are missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalGraph
    >>> index = pd.MultiIndex.from_product([[0, 1]] * 2, names=["x", "y"])
    >>> table = pd.Series([.3, .2, .1, .4], index=index)
    >>> bounds = CausalGraph("x -> y; x <-> y").bounds("y", "x", table)
    >>> bounds.effect()
    (-0.3, 0.7)
    """

    def __init__(self, graph, outcome, treatment, table, n_rows=None):
        (self.outcome,), (self.treatment,) = as_names(outcome), as_names(treatment)
        self.n_rows = n_rows
        causes = graph.subgraph(graph.ancestors([outcome, treatment]))
        joint = JointTable(table, causes.topological_order)
        self._p = joint.p
        self._levels = {
            name: level.tolist() for name, level in zip(joint.variables, joint.levels)
        }
        try:
            estimand = identify(causes, outcome, treatment)
            self._program, self.identified = ExactProgram(estimand, joint), True
        except NotIdentifiableError:
            number = causes.number
            self._program = TypeProgram(
                causes, number[self.outcome], number[self.treatment], joint.shape
            )
            self.identified = False
        self.sharp = self._program.sharp
        self._known = {}

    def __repr__(self):
        kind = "identified" if self.identified else "sharp" if self.sharp else "valid"
        return (
            f"<EffectBounds ({kind}) of {self.treatment} on {self.outcome}>\n"
            f"{self.probabilities}"
        )

    # -- functionals ---------------------------------------------------------------

    def _limits(self, coefficients):
        key = coefficients.tobytes()
        if key not in self._known:
            found = self._program.limits([self._p], coefficients, self.n_rows)
            self._known[key] = tuple(found[0].tolist())
        return self._known[key]

    def _one(self, x, y):
        shape = len(self._levels[self.treatment]), len(self._levels[self.outcome])
        found = np.zeros(shape)
        found[x, y] = 1
        return found

    def _position(self, name, value, role):
        try:
            return self._levels[name].index(value)
        except ValueError:
            raise ValueError(
                f"{role}={value!r} is no value of {name!r}; they are "
                f"{self._levels[name]}."
            ) from None

    def _contrast(self, T0, T1):
        arms = self._levels[self.treatment]
        t0, t1 = contrast(arms, find_control(arms, arms), T0, T1)
        values = pd.to_numeric(pd.Series(self._levels[self.outcome]), errors="coerce")
        if values.isna().any():
            raise ValueError(
                f"the outcome {self.outcome!r} has the values "
                f"{self._levels[self.outcome][:5]}, which are no numbers: an average "
                "effect is one of numbers; `probabilities` has each value."
            )
        found = np.zeros((len(arms), len(values)))
        found[t1] += values
        found[t0] -= values
        return found

    @property
    def probabilities(self):
        """Bounds of P(y | do(x)), a row for each value of treatment and outcome."""
        arms, values = self._levels[self.treatment], self._levels[self.outcome]
        rows = [
            self._limits(self._one(x, y))
            for x in range(len(arms))
            for y in range(len(values))
        ]
        index = pd.MultiIndex.from_product(
            [arms, values], names=[f"do({self.treatment})", self.outcome]
        )
        return pd.DataFrame(rows, index=index, columns=["low", "high"])

    def effect(self, T0=None, T1=None):
        """Bound the average effect.

        Parameters
        ----------
        T0, T1 : scalar, default=None
            The value of the treatment that the effect is against, and the one of
            interest. With None they are told as `DoCalculusEffect` tells them.

        Returns
        -------
        low, high : float
            The bounds of E[Y | do(T1)] - E[Y | do(T0)].

        Raises
        ------
        ValueError
            If the outcome has values that are no numbers, or an arm is unknown.
        """
        low, high = self._limits(self._contrast(T0, T1))
        return round(low, 12), round(high, 12)

    # -- sampling --------------------------------------------------------------------

    def effect_interval(
        self, T0=None, T1=None, alpha=0.05, *, n_bootstrap=200, random_state=0
    ):
        """Compute an interval that covers the average effect, wherever in its bounds.

        The error of both bounds is that of smaller samples drawn from the table (m out
        of n bootstrap), which is right also where several bounds are equally narrow,
        and the interval is that of Imbens and Manski [1]_.

        Parameters
        ----------
        T0, T1 : scalar, default=None
            The value of the treatment that the effect is against, and the one of
            interest. With None they are told as `DoCalculusEffect` tells them.
        alpha : float, default=0.05
            One minus the level of confidence.
        n_bootstrap : int, default=200
            The number of samples drawn.
        random_state : int, RandomState instance or None, default=0
            The seed of the samples.

        Returns
        -------
        low, high : float
            The lower bound less, and the upper bound plus, what sampling may be off.

        Raises
        ------
        ValueError
            If the number of rows is not known.

        References
        ----------
        .. [1] Imbens, G. and Manski, C. (2004). "Confidence intervals for partially
           identified parameters." Econometrica 72(6).
        """
        coefficients = self._contrast(T0, T1)
        return self._interval(coefficients, alpha, n_bootstrap, random_state)

    def probability_interval(
        self, outcome, treatment, alpha=0.05, *, n_bootstrap=200, random_state=0
    ):
        """Compute an interval that covers P(outcome | do(treatment)).

        Parameters
        ----------
        outcome : scalar
            A value of the outcome.
        treatment : scalar
            A value of the treatment.
        alpha : float, default=0.05
            One minus the level of confidence.
        n_bootstrap : int, default=200
            The number of samples drawn.
        random_state : int, RandomState instance or None, default=0
            The seed of the samples.

        Returns
        -------
        low, high : float
            The lower bound less, and the upper bound plus, what sampling may be off.

        Raises
        ------
        ValueError
            If a value is unknown, or the number of rows is.
        """
        x = self._position(self.treatment, treatment, "treatment")
        y = self._position(self.outcome, outcome, "outcome")
        return self._interval(self._one(x, y), alpha, n_bootstrap, random_state)

    def _interval(self, coefficients, alpha, n_bootstrap, random_state):
        check_alpha(alpha)
        n_bootstrap = whole_number(n_bootstrap, "n_bootstrap")
        if self.n_rows is None:
            raise ValueError(
                "the number of rows behind the table is not known: pass n_rows= to "
                "bounds, or the rows themselves as a DataFrame."
            )
        rng = check_random_state(random_state)
        low, high = self._limits(coefficients)
        m = max(int(self.n_rows**_POWER), 1)
        tables = [_drawn(self._p, m, rng) for _ in range(n_bootstrap)]
        draws = self._program.limits(tables, coefficients, 0)
        off = np.sqrt(m / self.n_rows) * (draws - [low, high]) * [1, -1]
        return interval_of_bounds(low, high, off, alpha)


# m is n to this power. Where bounds tie, larger samples seem less off than they are.
_POWER = 0.6


def _drawn(p, m, rng):
    """The shares in m rows drawn from a table; no cell that it has is quite empty."""
    counts = rng.multinomial(m, p.ravel() / p.sum()).reshape(p.shape)
    return (counts + p) / (m + 1)


def interval_of_bounds(low, high, off, alpha):
    """An interval from draws of how much too narrow bounds are.

    Parameters
    ----------
    low, high : float
        The bounds.
    off : ndarray of shape (n_draws, 2)
        How much too narrow the bounds were in each draw.
    alpha : float
        One minus the level of confidence.

    Returns
    -------
    low, high : float
    """
    reach = _quantile(high - low, off.std(0).max(), alpha)
    # Few draws tell a quantile badly; a normal one is a floor under it.
    floor = reach * off.std(0)
    below, above = np.maximum(np.quantile(off, norm.cdf(reach), axis=0), floor)
    return float(low - below), float(high + above)


def imbens_manski(low, high, alpha):
    """The interval of Imbens and Manski, of bounds whose errors are normal.

    Parameters
    ----------
    low, high : Estimate
        The bounds.
    alpha : float
        One minus the level of confidence.

    Returns
    -------
    low, high : float
    """
    errors = max(low.error, high.error)
    reach = _quantile(high.value - low.value, errors, alpha)
    few = t(min(low.degrees, high.degrees))
    reach = float(few.isf(norm.sf(reach)))
    return float(low.value - reach * low.error), float(high.value + reach * high.error)


def _quantile(width, error, alpha):
    """How many errors to go: one-sided where bounds lie far apart, else two-sided."""
    if not error > 0:
        return float(norm.isf(alpha))
    gap = width / error
    return brentq(lambda c: norm.cdf(c + gap) - norm.cdf(-c) - 1 + alpha, 0, 40)
