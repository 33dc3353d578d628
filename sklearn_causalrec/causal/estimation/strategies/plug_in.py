"""Plug-in: the program of the estimand on the joint table of discrete data."""

import numpy as np

from sklearn_causalrec.causal.estimation.problem import MAX_LEVELS, ArmMeans
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy
from sklearn_causalrec.causal.identification.evaluation import Evaluator, divide
from sklearn_causalrec.causal.identification.expression import (
    AnyValue,
    P,
    Product,
    Ratio,
    Sum,
)

ROWS_A_STRATUM = 20  # on average, below which regressions serve better than counts
MAX_CELLS = 1_000_000
GUARANTEE = "root-n, saturated model, delta method"


def fits_plugin(problem):
    """Whether counts alone can carry the estimate.

    All variables that the program reads are discrete, the outcome has at most
    `MAX_LEVELS` values, and the joint has on average at least `ROWS_A_STRATUM` rows for
    each combination of the variables other than the outcome.
    """
    estimand, n = problem.estimand, len(problem.y)
    values = len(np.unique(problem.y))
    if values > MAX_LEVELS:
        return False
    strata = 1
    for name in estimand.variables:
        if name not in estimand.outcome:
            if not problem.variables.is_discrete(name):
                return False
            strata *= len(problem.variables.codes(name)[0])
    return strata * ROWS_A_STRATUM <= n and strata * values <= MAX_CELLS


def _spread(array, shape):
    """Cotangent of an array of this shape: summed where it was broadcast, and back."""
    axes = tuple(k for k, n in enumerate(shape) if n == 1 and array.shape[k] > 1)
    return np.broadcast_to(array.sum(axis=axes, keepdims=True), shape)


class JointCells:
    """Rows counted in the cells of the joint of what the program reads.

    Attributes
    ----------
    names : tuple of names
        One axis each.
    levels : list of ndarray
        Values along each axis.
    codes : list of ndarray of int of shape (n,)
    cell : ndarray of int of shape (n,)
        Flat cell of every row.
    count : ndarray
    """

    def __init__(self, problem):
        self.names = problem.estimand.variables
        (outcome,) = problem.estimand.outcome
        found = [
            np.unique(problem.y, return_inverse=True)
            if name == outcome
            else problem.variables.codes(name)
            for name in self.names
        ]
        self.levels = [levels for levels, _ in found]
        self.codes = [codes for _, codes in found]
        self.shape = tuple(map(len, self.levels))
        cells = np.prod(self.shape, dtype=float)
        if cells > MAX_CELLS:
            size = ", ".join(f"{v}: {k}" for v, k in zip(self.names, self.shape))
            raise ValueError(
                f"the joint table would have {cells:.3g} cells (values of {size}); the "
                f"plug-in takes at most {MAX_CELLS}. Merge levels or use another "
                f"strategy."
            )
        self.cell = np.ravel_multi_index(self.codes, self.shape)
        size = int(np.prod(self.shape))
        self.count = np.bincount(self.cell, minlength=size).reshape(self.shape)

    def smoothed(self, smoothing):
        """Cell probabilities with ``smoothing`` rows of independence added."""
        n = self.count.sum()
        prior = np.ones((1,) * len(self.shape))
        for k in range(len(self.shape)):
            others = tuple(j for j in range(len(self.shape)) if j != k)
            prior = prior * self.count.sum(axis=others, keepdims=True) / n
        return (self.count + smoothing * prior) / (n + smoothing)

    def rows(self, where):
        """Rows at some values: a dict of name to position."""
        at = tuple(where.get(v, slice(None)) for v in self.names)
        return int(self.count[at].sum())

    def text(self, where):
        """These values in words."""
        return ", ".join(
            f"{v} = {_plain(levels[where[v]])!r}"
            for v, levels in zip(self.names, self.levels)
            if v in where
        )


def _plain(value):
    value = value.item() if hasattr(value, "item") else value
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


class Table(Evaluator):
    """Values of expressions on an array of cell probabilities."""

    def __init__(self, names, p):
        super().__init__(names, p.shape, self._conditional)
        self.p, self._marginals = p, {}

    def marginal(self, names):
        names = frozenset(names)
        if names not in self._marginals:
            out = tuple(k for v, k in self.axis.items() if v not in names)
            self._marginals[names] = self.p.sum(axis=out, keepdims=True)
        return self._marginals[names]

    def _conditional(self, term):
        joint = self.marginal((*term.outcome, *term.given))
        return divide(joint, self.marginal(term.given)) if term.given else joint


class SmoothTable(Table):
    """The same on a positive table, and derivatives with respect to its cells.

    Reverse mode: expressions are visited after all that uses them.

    Parameters
    ----------
    names : tuple of names
    p : ndarray
        Positive.
    raw : Table
        Frequencies without smoothing: what is undefined there is left out of the mean
        of `AnyValue`, else strata without rows would enter it as pure smoothing.
    """

    def __init__(self, names, p, raw):
        super().__init__(names, p)
        self.raw = raw

    def _weights(self, expr, value):
        """Names and axes averaged over by an `AnyValue`, and the weights there."""
        names = tuple(v for v in expr.of if value.shape[self.axis[v]] > 1)
        axes = self.axes(names)
        known = ~np.isnan(self.raw(expr.body))
        known = np.broadcast_to(known, value.shape)
        known = known | ~known.any(axis=axes, keepdims=True)
        return names, axes, known * self.marginal(names)

    def _compute(self, expr):
        if not isinstance(expr, AnyValue):
            return super()._compute(expr)
        value = self(expr.body)
        _, axes, weight = self._weights(expr, value)
        total = weight.sum(axis=axes, keepdims=True)
        return (weight * value).sum(axis=axes, keepdims=True) / total

    def gradient(self, expr, seed):
        """Derivative of ``(seed * value of expr).sum()`` in every cell.

        Parameters
        ----------
        expr : Expression
            Evaluated before.
        seed : ndarray of the shape of its value

        Returns
        -------
        ndarray of the shape of ``p``
        """
        bars, marginals = {id(expr): seed}, {}

        def add(into, key, bar, shape):
            bar = _spread(bar, shape)
            into[key] = into[key] + bar if key in into else bar

        def add_marginal(names, bar):
            add(marginals, frozenset(names), bar, self.marginal(names).shape)

        # Expressions become known after their parts.
        for node, value in reversed(list(self._known.values())):
            bar = bars.pop(id(node), None)
            if bar is None:
                continue
            if isinstance(node, P):
                below = self.marginal(node.given) if node.given else 1.0
                add_marginal((*node.outcome, *node.given), bar / below)
                if node.given:
                    add_marginal(node.given, -bar * value / below)
            elif isinstance(node, Product):
                for f in node.factors:
                    add(bars, id(f), bar * value / self(f), self(f).shape)
            elif isinstance(node, Ratio):
                top, below = self(node.numerator), self(node.denominator)
                add(bars, id(node.numerator), bar / below, top.shape)
                add(bars, id(node.denominator), -bar * value / below, below.shape)
            elif isinstance(node, Sum):
                inner = self(node.body)
                for k in self.axes(node.over):
                    bar = bar * (self.shape[k] if inner.shape[k] == 1 else 1)
                add(bars, id(node.body), bar, inner.shape)
            else:
                inner = self(node.body)
                names, axes, weight = self._weights(node, inner)
                bar = bar / weight.sum(axis=axes, keepdims=True)
                add(bars, id(node.body), bar * weight, inner.shape)
                if names:
                    known = weight > 0
                    add_marginal(names, bar * known * (inner - value))
        return sum(np.broadcast_to(b, self.shape) for b in marginals.values())


class _JointProgram:
    """The program on the data of a problem, ready to be read at any values."""

    def __init__(self, problem, smoothing):
        if not smoothing > 0:
            raise ValueError(f"smoothing must be positive, got {smoothing!r}.")
        self.problem, self.estimand = problem, problem.estimand
        self.expression = self.estimand.expression
        self.cells = cells = JointCells(problem)
        self.raw = Table(cells.names, cells.count / cells.count.sum())
        p = cells.smoothed(smoothing)
        self.smooth = SmoothTable(cells.names, p, self.raw)
        self.defined = ~np.isnan(self.raw(self.expression))
        self.value = self.smooth(self.expression)

    def position(self, arm):
        """Dict of treatment to the position of its value in an arm."""
        row = int(np.argmax(self.problem.arm == arm))
        names = [v for v in self.estimand.treatment if v in self.cells.names]
        return {v: self.cells.codes[self.cells.names.index(v)][row] for v in names}

    def mean(self, where):
        """Mean outcome at a dict of positions, and its derivative in every cell."""
        (outcome,) = self.estimand.outcome
        axis = self.cells.names.index(outcome)
        shape = self.value.shape
        at = [where.get(v, 0) if n > 1 else 0 for v, n in zip(self.cells.names, shape)]
        at[axis] = slice(None)
        at = tuple(at)
        defined = np.broadcast_to(self.defined, shape)[at]
        if not defined.all():
            at = [where.get(v, 0) for v in self.cells.names]
            at[axis] = int(np.argmin(defined))
            self._raise_positivity(tuple(at))
        levels = self.cells.levels[axis]
        seed = np.zeros(shape)
        seed[at] = levels
        gradient = self.smooth.gradient(self.expression, seed)
        return float(self.value[at] @ levels), gradient

    def _raise_positivity(self, at):
        cells = self.cells
        names, at = self.raw.blame(self.expression, at)
        where = {v: i for v, i in zip(cells.names, at) if v in names}
        stratum = {v: i for v, i in where.items() if v not in self.estimand.do}
        have = ""
        if stratum and len(stratum) < len(where):
            have = f" among the {cells.rows(stratum)} rows with {cells.text(stratum)}"
        raise ValueError(
            f"positivity fails: {self.estimand.query} rests on rows with "
            f"({cells.text(where)}), and none is there{have}, of {cells.count.sum()} "
            f"rows in all. Merge levels, leave that stratum out, or ask for another "
            f"effect."
        )

    def arm_means(self):
        """`ArmMeans` of the program."""
        count, n = self.cells.count.ravel(), self.cells.count.sum()
        arms = range(len(self.problem.arms))
        found = [self.mean(self.position(a)) for a in arms]
        mean = np.array([m for m, _ in found])
        influence = np.column_stack([g.ravel() for _, g in found])
        influence -= count @ influence / n
        rows = mean + influence[self.cells.cell]
        return ArmMeans(rows, GUARANTEE, "plug-in of the joint table")


def plugin(problem, *, smoothing=1.0):
    r"""Means under each arm by the estimand's program on the joint table [1]_.

    The joint of all variables that the program reads is estimated by frequencies; the
    program turns it into the law of the outcome under each arm, whatever its form: the
    nonparametric maximum likelihood estimate. Its influence function is the derivative
    of the program in the cell probabilities,

    .. math:: \phi(c) = \partial\theta / \partial p_c
              - \sum_{c'} p_{c'} \, \partial\theta / \partial p_{c'}

    exact, by differentiating each operation in reverse.

    Parameters
    ----------
    problem : Problem
        All variables discrete, see `fits_plugin`.
    smoothing : float
        Rows added in all, spread over the cells as if the variables were independent:
        every conditional probability is drawn to its marginal by a share
        ``smoothing / n``, which vanishes faster than the error. It does not make up
        for cells without rows: the program must be defined without it.

    Returns
    -------
    ArmMeans
        Column means of ``scores`` are the estimate.

    Raises
    ------
    ValueError
        Where the program divides by the frequency of a cell without rows; the stratum
        and its number of rows are named.

    References
    ----------
    .. [1] R. Bhattacharya, R. Nabi, I. Shpitser (2022). Semiparametric inference for
       causal effects in graphical models with hidden variables. JMLR 23.
    """
    return _JointProgram(problem, smoothing).arm_means()


class PlugIn(ArmStrategy):
    """Counts instead of models, where few discrete variables are read."""

    cross_fits = False

    def covers(self, query, problem):
        """Whether counts can carry the estimate; a user may insist on thin ones."""
        if not problem.arms:
            return False
        return query.options.strategy == self.name or fits_plugin(problem)

    def means(self, query, problem):
        """Means under each arm, see `plugin`."""
        return plugin(problem)
