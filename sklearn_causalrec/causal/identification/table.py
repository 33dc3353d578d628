"""Joint probability tables: checked once, then asked for conditional probabilities."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.identification.evaluation import divide
from sklearn_causalrec.causal.identification.expression import P

_CELLS = 50_000_000


class JointTable:
    """A table of joint probabilities as an array with one axis for each variable.

    Parameters
    ----------
    table : pandas.Series
        Probabilities, indexed by the values of named variables; combinations that are
        missing have probability zero, further variables are summed out.
    variables : sequence of names
        The variables that must be there, in the order of the axes.
    what : str
        What the table is, for messages.

    Raises
    ------
    TypeError, ValueError
        Where the table is not a distribution over these variables.
    """

    def __init__(self, table, variables, what="the table"):
        if not isinstance(table, pd.Series):
            raise TypeError(
                f"{what} must be a pandas Series of joint probabilities whose index "
                f"levels are the variables, got {type(table).__name__}."
            )
        missing = [v for v in variables if v not in table.index.names]
        if missing:
            raise ValueError(
                f"{what} misses the variables {missing}; its index levels are "
                f"{list(table.index.names)}."
            )
        p = pd.to_numeric(table, errors="coerce").to_numpy(dtype=float)
        if not np.isfinite(p).all() or (p < 0).any():
            bad = table[~(np.isfinite(p) & (p >= 0))]
            raise ValueError(
                f"{what} has {bad.iloc[0]!r} at {bad.index[0]!r}, which is not a "
                f"probability."
            )
        if abs(p.sum() - 1) > 1e-6:
            raise ValueError(
                f"{what} sums to {p.sum():.6g}, not to one; divide counts by their sum."
            )
        if table.index.has_duplicates:
            cell = table.index[table.index.duplicated()][0]
            raise ValueError(f"{what} lists the cell {cell!r} more than once.")
        self.variables = tuple(variables)
        self.levels, codes = [], []
        for v in variables:
            values = table.index.get_level_values(v)
            if values.hasnans:
                raise ValueError(f"{what} has missing values of {v!r} in its index.")
            code, level = pd.factorize(values, sort=True)
            codes.append(code)
            self.levels.append(pd.Index(level, name=v))
        self.shape = tuple(map(len, self.levels))
        cells = np.prod(self.shape, dtype=float)
        if cells > _CELLS:
            raise ValueError(f"{what} would have {cells:.3g} cells as a dense array.")
        self.p = np.zeros(self.shape)
        if variables:
            np.add.at(self.p, tuple(codes), p)
        else:
            self.p[()] = 1.0
        self._marginals = {}

    def position(self, variable, value):
        """Index of a value of a variable."""
        level = self.levels[self.variables.index(variable)]
        try:
            return int(level.get_loc(value))
        except (KeyError, TypeError):
            raise ValueError(
                f"{variable!r} has no value {value!r} in the table; its values are "
                f"{level.tolist()}."
            ) from None

    def align(self, levels):
        """Spread the table over the values that another table has."""
        if all(a.equals(b) for a, b in zip(self.levels, levels)):
            return self
        places = []
        for mine, theirs in zip(self.levels, levels):
            place = theirs.get_indexer(mine)
            if (place < 0).any():
                raise ValueError(
                    f"an experiment has {mine.name!r} = {mine[place < 0][0]!r}, which "
                    f"the table does not have."
                )
            places.append(place)
        p, self.p = self.p, np.zeros(tuple(map(len, levels)))
        self.p[np.ix_(*places)] = p
        self.levels, self.shape, self._marginals = list(levels), self.p.shape, {}
        return self

    def _marginal(self, names):
        names = frozenset(names)
        if names not in self._marginals:
            out = tuple(k for k, v in enumerate(self.variables) if v not in names)
            self._marginals[names] = self.p.sum(axis=out, keepdims=True)
        return self._marginals[names]

    def __call__(self, term):
        """P(outcome | given) as an array; NaN where the condition has probability 0."""
        given = (*term.given, *term.do)
        joint = self._marginal((*term.outcome, *given))
        return divide(joint, self._marginal(given)) if given else joint


def lookup_in(observed, experimental):
    """Lookup of terms in the observational table and in those of experiments."""

    def lookup(term):
        table = experimental[frozenset(term.do)] if term.do else observed
        return table(P(term.outcome, term.given, term.do))

    return lookup
