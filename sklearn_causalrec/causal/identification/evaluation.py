"""The exact value of an expression on arrays of probabilities.

It stands apart from the expressions, so that whether an effect is identified can be
asked where there is no numpy: in a browser, for one.
"""

import numpy as np

from sklearn_causalrec.causal.identification.expression import P, Product, Ratio, Sum


def times(a, b):
    """Product of arrays in which zero times anything, undefined included, is zero.

    A product of kernels is a probability, and one that is zero is zero whatever cannot
    be known beyond it.
    """
    with np.errstate(invalid="ignore"):
        return np.where((a == 0) | (b == 0), 0.0, a * b)


def divide(a, b):
    """Quotient, undefined (NaN) where the denominator is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b == 0, np.nan, a / b)


class Evaluator:
    """Values of expressions, as arrays with one axis for each variable.

    Parameters
    ----------
    variables : sequence of names
        One axis each, in this order; an array has length 1 along the axes of variables
        it does not depend on.
    shape : sequence of int
        Number of values of each variable.
    lookup : callable
        From a `P` to its array.
    """

    def __init__(self, variables, shape, lookup):
        self.axis = {v: k for k, v in enumerate(variables)}
        self.shape = tuple(shape)
        self.lookup = lookup
        self._known = {}

    def axes(self, variables):
        """Axes of some variables."""
        return tuple(self.axis[v] for v in variables)

    def __call__(self, expr):
        # Kernels share subexpressions: by identity, each is computed once.
        if id(expr) not in self._known:
            self._known[id(expr)] = expr, self._compute(expr)
        return self._known[id(expr)][1]

    def _compute(self, expr):
        if isinstance(expr, P):
            return self.lookup(expr)
        if isinstance(expr, Product):
            value = np.ones((1,) * len(self.shape))
            for f in expr.factors:
                value = times(value, self(f))
            return value
        if isinstance(expr, Ratio):
            return divide(self(expr.numerator), self(expr.denominator))
        value = self(expr.body)
        if isinstance(expr, Sum):
            for k in self.axes(expr.over):
                count = self.shape[k] if value.shape[k] == 1 else 1
                value = value.sum(axis=k, keepdims=True) * count
            return value
        axes = tuple(k for k in self.axes(expr.of) if value.shape[k] > 1)
        if not axes:
            return value
        names = tuple(v for v in expr.of if self.axis[v] in axes)
        weight = np.where(np.isnan(value), 0.0, self.lookup(P(names)))
        mean = times(weight, value).sum(axis=axes, keepdims=True)
        return divide(mean, weight.sum(axis=axes, keepdims=True))

    def blame(self, expr, cell):
        """Why an expression is undefined at a cell.

        Returns
        -------
        (names, cell) : the variables of a probability that is zero where the program
            divides by it, and the cell, one index for each variable.
        """
        if isinstance(expr, P):
            return expr.given, cell
        if isinstance(expr, Ratio):
            if self._at(expr.denominator, cell) == 0:
                return self._zero(expr.denominator, cell)
            parts, bound = (expr.numerator, expr.denominator), ()
        elif isinstance(expr, Product):
            parts, bound = expr.factors, ()
        else:
            parts = (expr.body,)
            bound = expr.over if isinstance(expr, Sum) else expr.of
        bound = self.axes(bound)
        for inner in np.ndindex(*(self.shape[k] for k in bound)):
            there = list(cell)
            for k, i in zip(bound, inner):
                there[k] = i
            for part in parts:
                if np.isnan(self._at(part, there)):
                    return self.blame(part, tuple(there))
        raise AssertionError(f"{expr} is defined at {cell}")

    def _zero(self, expr, cell):
        return tuple(v for v in self.axis if v in expr.free()), cell

    def _at(self, expr, cell):
        value = self(expr)
        return value[tuple(i if n > 1 else 0 for i, n in zip(cell, value.shape))]
