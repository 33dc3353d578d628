"""Expressions over probabilities, and how they are printed.

A variable is written by its name. `Sum` binds its variables; where a sum binds a
variable that has another value outside, the printed one is primed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Expression(ABC):
    """Base of `P`, `Product`, `Sum`, `Ratio` and `AnyValue`."""

    def __str__(self):
        return _render(self, {}, _PLAIN)

    def to_latex(self):
        """The expression as LaTeX, without dollar signs."""
        return _render(self, {}, _LATEX)

    @abstractmethod
    def free(self):
        """Frozenset of the variables whose value the expression depends on."""


@dataclass(frozen=True)
class P(Expression):
    """P(outcome | do(do), given), each a tuple of names."""

    outcome: tuple
    given: tuple = ()
    do: tuple = ()

    def free(self):
        return frozenset((*self.outcome, *self.given, *self.do))


@dataclass(frozen=True)
class Product(Expression):
    """Product of a tuple of expressions; 1 where it is empty."""

    factors: tuple

    def free(self):
        return frozenset().union(*(f.free() for f in self.factors))


@dataclass(frozen=True)
class Sum(Expression):
    """Sum of ``body`` over all values of the variables ``over``."""

    over: tuple
    body: Expression

    def free(self):
        return self.body.free() - set(self.over)


@dataclass(frozen=True)
class Ratio(Expression):
    """``numerator / denominator``."""

    numerator: Expression
    denominator: Expression

    def free(self):
        return self.numerator.free() | self.denominator.free()


@dataclass(frozen=True)
class AnyValue(Expression):
    """``body``, which is the same for every value of the variables ``of``.

    In the model that is; on data its value is the mean over their distribution, taken
    where ``body`` is defined.
    """

    of: tuple
    body: Expression

    def free(self):
        return self.body.free() - set(self.of)


def product(factors):
    """Product without nested products or a needless wrapper."""
    flat = []
    for f in factors:
        flat.extend(f.factors if isinstance(f, Product) else (f,))
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def total(over, body):
    """Sum, or ``body`` itself where there is nothing to sum over."""
    return Sum(tuple(over), body) if over else body


# -- printing ----------------------------------------------------------------------


def _latex_name(name):
    escaped = str(name).replace("_", r"\_").replace("&", r"\&").replace("%", r"\%")
    return escaped if len(escaped) == 1 else rf"\mathit{{{escaped}}}"


_PLAIN = {
    "name": str, "bar": " | ", "sum": "Σ_{{{}}} ", "ratio": "{} / {}", "times": " ",
    "do": "do({})", "open": "[", "close": "]",
}  # fmt: skip
_LATEX = {
    "name": _latex_name, "bar": r" \mid ", "sum": r"\sum_{{{}}} ",
    "ratio": r"\frac{{{}}}{{{}}}", "times": r" \, ", "do": r"do({})",
    "open": r"\left[", "close": r"\right]",
}  # fmt: skip


def _render(expr, primes, style):
    def names(variables):
        return ", ".join(style["name"](v) + "'" * primes.get(v, 0) for v in variables)

    if isinstance(expr, P):
        behind = [style["do"].format(names(expr.do))] if expr.do else []
        behind += [names(expr.given)] if expr.given else []
        bar = style["bar"] if behind else ""
        return f"P({names(expr.outcome)}{bar}{', '.join(behind)})"
    if isinstance(expr, AnyValue):
        return _render(expr.body, primes, style)
    if isinstance(expr, Product):
        if not expr.factors:
            return "1"
        parts = [_render(f, primes, style) for f in expr.factors]
        for k, f in enumerate(expr.factors):
            inner = f.body if isinstance(f, AnyValue) else f
            last = k == len(parts) - 1
            if (isinstance(inner, Sum) and not last) or (
                isinstance(inner, Ratio) and style is _PLAIN
            ):
                parts[k] = style["open"] + parts[k] + style["close"]
        return style["times"].join(parts)
    if isinstance(expr, Sum):
        # Outer sums and the free variables of the query are registered in `primes`.
        primes = dict(primes)
        for v in expr.over:
            primes[v] = primes.get(v, -1) + 1
        inner = _render(expr.body, primes, style)
        over = ", ".join(style["name"](v) + "'" * primes[v] for v in expr.over)
        return style["sum"].format(over) + inner
    top = _render(expr.numerator, primes, style)
    bottom = _render(expr.denominator, primes, style)
    if style is _PLAIN:
        top = f"[{top}]" if not isinstance(expr.numerator, P) else top
        bottom = f"[{bottom}]" if not isinstance(expr.denominator, P) else bottom
    return style["ratio"].format(top, bottom)


def render(expr, free=(), latex=False):
    """Text of an expression in which the variables ``free`` have a value already."""
    return _render(expr, dict.fromkeys(free, 0), _LATEX if latex else _PLAIN)
