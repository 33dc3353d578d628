"""Derivations: how an estimand follows from its query, one checkable step at a time.

Every step is one of the three rules of do-calculus, which `CausalGraph.rule` confirms,
or an identity of probability theory (the chain rule, marginalisation, the definition of
conditional probability).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn_causalrec.causal.identification.expression import (
    AnyValue,
    Expression,
    P,
    Product,
    Ratio,
    Sum,
    product,
    total,
)


@dataclass(frozen=True)
class Step:
    """``before = after``, and why.

    Attributes
    ----------
    before, after : Expression
    rule : {1, 2, 3} or None
        The rule of do-calculus; None for an identity of probability theory.
    reason : str
        The rule with the graph it is read off, or the name of the identity.
    arguments : dict or None
        ``outcome``, ``treatment``, ``z`` and ``given`` of `CausalGraph.rule`.
    """

    before: Expression
    after: Expression
    rule: int | None
    reason: str
    arguments: dict | None = None

    def check(self, graph):
        """Whether the graph allows the step; identities of probability always hold."""
        return self.rule is None or graph.rule(self.rule, **self.arguments)

    def __str__(self):
        return f"{self.reason}: {self.before} = {self.after}"


class Derivation(Sequence):
    """The steps from a query to a formula.

    A step rewrites one term, wherever it occurs, in what the steps before it have made
    of ``start``; `replay` does so.

    Attributes
    ----------
    start : Expression
        The query.
    steps : tuple of Step
    """

    def __init__(self, start, steps):
        self.start = start
        self.steps = tuple(steps)

    def __len__(self):
        return len(self.steps)

    def __getitem__(self, k):
        return self.steps[k]

    def replay(self):
        """The expression that the steps make of the query."""
        expr = self.start
        for step in self.steps:
            expr = rewrite(expr, step.before, step.after)
        return expr

    def __str__(self):
        lines = [f"{k}. {step}" for k, step in enumerate(self.steps, 1)]
        return "\n".join([str(self.start), *lines])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        rows = "".join(
            f"<li><i>{escape(s.reason)}</i><br>{escape(f'{s.before} = {s.after}')}</li>"
            for s in self.steps
        )
        return f"<p>{escape(str(self.start))}</p><ol>{rows}</ol>"


def rewrite(expr, before, after):
    """``expr`` with every occurrence of ``before`` replaced."""
    if expr == before:
        return after
    if isinstance(expr, Product):
        factors = [rewrite(f, before, after) for f in expr.factors]
        if isinstance(before, Product) and all(f in factors for f in before.factors):
            for f in before.factors:
                factors.remove(f)
            factors.append(after)
        return product(factors)
    if isinstance(expr, Ratio):
        return Ratio(
            rewrite(expr.numerator, before, after),
            rewrite(expr.denominator, before, after),
        )
    if isinstance(expr, Sum):
        return Sum(expr.over, rewrite(expr.body, before, after))
    if isinstance(expr, AnyValue):
        return AnyValue(expr.of, rewrite(expr.body, before, after))
    return expr


class _Builder:
    """Collects steps; each method takes a term and returns what it has become."""

    def __init__(self, graph):
        self.graph = graph
        self.steps = []

    def term(self, outcome, given=(), do=()):
        """A `P` with its names in topological order, so that equal terms are equal."""
        key = self.graph.number.__getitem__
        return P(*(tuple(sorted(names, key=key)) for names in (outcome, given, do)))

    def identity(self, before, after, reason):
        if before != after:
            self.steps.append(Step(before, after, None, reason))

    def _rule(self, number, before, after, z, *, x, w):
        if number == 1:
            cut = [f"into {_listed(x)}"] if x else []
        elif number == 2:
            cut = [f"into {_listed(x)}"] if x else []
            cut.append(f"out of {_listed(z)}")
        else:
            cut = [f"into {_listed((*x, *z))}"]
            if w:
                cut[0] += " (unless a cause of what is given)"
        graph = f" with the edges {' and '.join(cut)} removed" if cut else ""
        arguments = {"outcome": before.outcome, "treatment": x, "z": z, "given": w}
        self.steps.append(
            Step(before, after, number, f"rule {number} in G{graph}", arguments)
        )

    def forget(self, t, z):
        """Rule 1: drop observations."""
        z = tuple(v for v in t.given if v in z)
        if not z:
            return t
        after = self.term(t.outcome, set(t.given) - set(z), t.do)
        self._rule(1, t, after, z, x=t.do, w=after.given)
        return after

    def intervene(self, t, z):
        """Rule 2: observations become interventions."""
        z = tuple(v for v in t.given if v in z)
        if not z:
            return t
        after = self.term(t.outcome, set(t.given) - set(z), (*t.do, *z))
        self._rule(2, t, after, z, x=t.do, w=after.given)
        return after

    def observe(self, t, z):
        """Rule 2: interventions become observations."""
        z = tuple(v for v in t.do if v in z)
        if not z:
            return t
        after = self.term(t.outcome, (*t.given, *z), set(t.do) - set(z))
        self._rule(2, t, after, z, x=after.do, w=t.given)
        return after

    def release(self, t, z):
        """Rule 3: drop interventions."""
        z = tuple(v for v in t.do if v in z)
        if not z:
            return t
        after = self.term(t.outcome, t.given, set(t.do) - set(z))
        self._rule(3, t, after, z, x=after.do, w=t.given)
        return after

    def add(self, t, z):
        """Rule 3: add interventions, at any value."""
        z = tuple(v for v in self.graph.topological_order if v in set(z) - set(t.do))
        if not z:
            return t
        after = self.term(t.outcome, t.given, (*t.do, *z))
        self._rule(3, t, after, z, x=t.do, w=t.given)
        return after

    def expand(self, t):
        """The chain rule; returns the factors."""
        factors = [
            self.term((v,), t.outcome[:i], t.do) for i, v in enumerate(t.outcome)
        ]
        self.identity(t, product(factors), "chain rule")
        return dict(zip(t.outcome, factors))

    def condition(self, t, names):
        """P(y | w, do(x)) as a ratio of sums of P(names | do(x)), the term returned."""
        joint = self.term(names, (), t.do)
        inner = set(t.given)
        after = Ratio(
            total([v for v in names if v not in inner and v not in t.outcome], joint),
            total([v for v in names if v not in inner], joint),
        )
        self.identity(t, after, "definition of conditional probability")
        return joint


def _listed(names):
    return ", ".join(map(str, names))


def _open(estimand):
    """From the query to P(outcome, conditions | do(treatments that matter))."""
    b = _Builder(estimand.graph)
    t = start = b.term(estimand.outcome, estimand.given, estimand.treatment)
    for i in estimand._moved:
        t = b.intervene(t, (estimand.graph.topological_order[i],))
    if not estimand.do:
        return b, start, b.release(t, t.do)
    if t.given:
        t = b.condition(t, b.term((*t.outcome, *t.given)).outcome)
    return b, start, b.release(t, set(t.do) - set(estimand.do))


def derive(estimand):
    """Derivation of the form shown; of the canonical program where that is shown."""
    graph, x = estimand.graph, estimand.do
    b, start, t = _open(estimand)
    if estimand.strategy == "adjustment":
        z = b.term(estimand.adjustment_set).outcome
        # Sets that contain effects of another treatment are valid, but by a longer way.
        if not (
            (not z or graph.rule(3, z, (), x)) and graph.rule(2, t.outcome, (), x, z)
        ):
            return estimand.canonical_derivation
        if z:
            inner, outer = b.term(t.outcome, z, x), b.term(z, (), x)
            b.identity(t, total(z, product([inner, outer])), "total probability")
            b.release(outer, x)
            t = inner
        joint = b.observe(t, x)
        if not z and estimand.conditions:
            ratio = Ratio(joint, total(b.term(estimand.outcome).outcome, joint))
            reason = "definition of conditional probability"
            b.identity(ratio, estimand.formula, reason)
    elif estimand.strategy == "frontdoor":
        m = b.term(estimand.mediators).outcome
        inner, outer = b.term(t.outcome, m, x), b.term(m, (), x)
        b.identity(t, total(m, product([inner, outer])), "total probability")
        b.observe(outer, x)
        t = b.release(b.intervene(inner, m), x)
        inner, outer = b.term(t.outcome, x, m), b.term(x, (), m)
        b.identity(t, total(x, product([inner, outer])), "total probability")
        b.release(outer, m)
        b.observe(inner, m)
    elif estimand.strategy != "no-effect":
        return estimand.canonical_derivation
    return Derivation(start, b.steps)


def derive_canonical(estimand):
    """Derivation of the canonical program.

    The factorisation into districts and the recursion inside each are carried through
    factor by factor: given the variables before it, a variable is separated from
    everything but its Markov blanket there, which is what rules 1, 2 and 3 ask for.
    """
    b, start, t = _open(estimand)
    if not estimand.do:
        return Derivation(start, b.steps)
    inner = b.term((*t.outcome, *estimand.summed), (), t.do)
    b.identity(t, total(estimand.summed, inner), "marginalisation")
    factors = b.expand(inner)
    bases = {}  # several districts may rest on one district of the data
    for kernel in estimand.kernels:
        if kernel.chain == (kernel.district,) and not kernel.experiment:
            for v, blanket in kernel.blankets[0]:
                _to_data(b, factors[v], blanket, ())
        else:
            _to_district(b, kernel, [factors[v] for v in kernel.district])
            bases[_down_the_chain(b, kernel)] = kernel
    for base, kernel in bases.items():
        factors = b.expand(base)
        for v, blanket in kernel.blankets[0]:
            _to_data(b, factors[v], blanket, kernel.experiment)
    return Derivation(start, b.steps)


def _to_data(b, t, blanket, experiment):
    """P(v | before, do(x)) = P(v | blanket)."""
    t = b.add(t, experiment)
    t = b.forget(t, set(t.given) - set(blanket))
    t = b.release(t, set(t.do) - set(blanket) - set(experiment))
    return b.observe(t, set(t.do) - set(experiment))


def _to_district(b, kernel, factors):
    """The factors of a district, together, are P(district | do(its parents))."""
    whole = []
    for t in factors:
        t = b.intervene(t, set(t.given) - set(kernel.district))
        t = b.release(t, set(t.do) - set(kernel.parents))
        whole.append(b.add(t, kernel.parents))
    q = b.term(kernel.district, (), kernel.parents)
    b.identity(product(whole), q, "chain rule, backwards")


def _down_the_chain(b, kernel):
    """P(district | do(its parents)) by the districts around it.

    Returns
    -------
    P
        The distribution of the outermost district, which the data give.
    """
    t = b.term(kernel.district, (), kernel.parents)
    t = b.add(t, kernel.outside[-1])
    around = b.term(kernel.chain[-1], (), kernel.outside[-1])
    rest = [v for v in around.outcome if v not in kernel.district]
    b.identity(t, total(rest, around), "marginalisation")
    for j in range(len(kernel.chain) - 1, 0, -1):
        beyond = set(kernel.outside[j - 1])
        factors = b.expand(around)
        for v, blanket in kernel.blankets[j]:
            t = b.add(factors[v], beyond)
            t = b.forget(t, set(t.given) - set(blanket))
            t = b.release(t, set(t.do) - beyond - set(blanket))
            t = b.observe(t, set(t.do) - beyond)
            around = b.condition(t, kernel.chain[j - 1])
    return around
