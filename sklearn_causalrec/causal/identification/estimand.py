"""`Estimand`: an identified query, what it reads from the data, and its exact value."""

from functools import cached_property

from sklearn_causalrec.causal.graphs.bitsets import as_names, minimal_separators
from sklearn_causalrec.causal.identification import derivation, strategies
from sklearn_causalrec.causal.identification.adjustment import backdoor_problem
from sklearn_causalrec.causal.identification.expression import (
    P,
    Ratio,
    product,
    render,
    total,
)


class Estimand:
    """P(outcome | do(treatment), given) in terms of what can be observed.

    :meth:`CausalGraph.identify` makes it. What is evaluated is the canonical program,
    the same for every query: ``sum over summed of the product of kernels``. Where the
    query has conditions, it is divided by its sum over the outcome. What is shown,
    ``formula``, is the simplest valid form.

    Parameters
    ----------
    graph : CausalGraph
        The graph in which the query was identified.
    query : tuple of three tuples of names
        The outcomes, the treatments and the conditions that were asked for.
    plan : Plan
        The districts of the program and how the data give each of them.
    conditions : int
        The bitset of the conditions that remain in the program.
    moved : list of int
        The numbers of the conditions that rule 2 turned into treatments, in the order
        in which it did so.

    Attributes
    ----------
    graph : CausalGraph
        The graph in which the query was identified.
    outcome, treatment, given : tuple of names
        The outcomes, the treatments and the conditions that were asked for.

    See Also
    --------
    CausalGraph.identify : Identify a query.
    DoCalculusEffect : Estimate it from data.
    NotIdentifiableError : What is raised where there is no such expression.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalGraph
    >>> estimand = CausalGraph("z -> x -> y; z -> y").identify("y", "x")
    >>> estimand.strategy, estimand.adjustment_set
    ('adjustment', frozenset({'z'}))
    >>> index = pd.MultiIndex.from_product([[0, 1]] * 3, names=["z", "x", "y"])
    >>> table = pd.Series([.3, .1, .05, .05, .1, .1, .1, .2], index=index)
    >>> estimand.evaluate(table, do={"x": 1})
    y
    0    0.416667
    1    0.583333
    Name: P(y | do(x)), dtype: float64
    """

    def __init__(self, graph, query, plan, conditions, moved):
        self.graph = graph
        self.outcome, self.treatment, self.given = query
        self._plan = plan
        self._rest = conditions
        self._moved = moved

    # -- the canonical program ---------------------------------------------------

    @cached_property
    def kernels(self):
        """The canonical program as plain data, a tuple of `Kernel`.

        There is one kernel for each district of the graph on the causes of the outcome
        that remain once the treatment is set. The tuple is empty where the treatment
        has no effect.

        See Also
        --------
        expression : The same program as an `Expression`.
        """
        return self._plan.kernels()

    @property
    def do(self):
        """The tuple of the treatments that matter and the conditions that became ones.

        Rule 2 of do-calculus turns a condition into a treatment.

        See Also
        --------
        conditions : The conditions that remain.
        """
        return self.graph.listed(self._plan.x)

    @property
    def conditions(self):
        """The tuple of the conditions that remain, joint with the outcome.

        See Also
        --------
        do : The treatments, and the conditions that became ones.
        """
        return self.graph.listed(self._rest)

    @property
    def summed(self):
        """The tuple of the variables that the program sums over."""
        return self.graph.listed(self._plan.inner & ~self._plan.y)

    @cached_property
    def expression(self):
        """The canonical program as an `Expression`.

        See Also
        --------
        formula : The simplest valid form.
        canonical_derivation : How it follows from the query.
        """
        if self._plan.x:
            q = total(self.summed, product(k.expression for k in self.kernels))
        else:
            q = P(self.graph.listed(self._plan.y))
        return self._given_conditions(q)

    @cached_property
    def variables(self):
        """The tuple of the variables that the program reads, in topological order."""
        names = {*self.outcome, *self.given}
        for k in self.kernels:
            names.update(*k.chain, *k.outside, *(b for v, b in k.blankets[0]))
        return tuple(v for v in self.graph.topological_order if v in names)

    def _given_conditions(self, q):
        """P(y | z) from P(y, z)."""
        if not self._rest:
            return q
        y = tuple(v for v in self.graph.listed(self._plan.y & ~self._rest))
        if isinstance(q, P):
            return P(y, self._ordered(*self.conditions, *q.given))
        return Ratio(q, total(y, q))

    # -- what it is called and how it is shown -----------------------------------

    @cached_property
    def _named_strategy(self):
        graph, y, x = self.graph, self._plan.y, self._plan.x
        if not x:
            return "no-effect", None
        if any(data[1] for *_, data in self._plan.parts):
            return "experiment", None
        pruned, allowed = backdoor_problem(graph, x, y)
        z = next(minimal_separators(pruned, x, y, allowed), None)
        if z is not None:
            return "adjustment", z
        z = strategies.smallest_frontdoor(graph, x, y)
        if z is not None:
            return "frontdoor", z
        if strategies.is_primal_fixable(graph, x, y):
            return "primal-fixable", None
        return "general", None

    @property
    def strategy(self):
        """How the effect is identified, a str.

        It is the first of these that is valid: "no-effect", "experiment" (a kernel is
        read off an experiment), "adjustment", "frontdoor", "primal-fixable", "general".

        See Also
        --------
        adjustment_set : The set, where the strategy is "adjustment".
        mediators : The set, where the strategy is "frontdoor".
        """
        return self._named_strategy[0]

    @property
    def adjustment_set(self):
        """The minimal adjustment set closest to the treatment, or None.

        It is None where the strategy is another one.

        See Also
        --------
        mediators : The set of the strategy "frontdoor".
        CausalGraph.adjustment_sets : All valid sets.
        """
        name, z = self._named_strategy
        return self.graph.named(z) if name == "adjustment" else None

    @property
    def mediators(self):
        """A front-door set, or None where the strategy is another one.

        Mediators that turn out not to be needed are left out of it, one at a time. This
        step is skipped where there are more than 64.

        See Also
        --------
        adjustment_set : The set of the strategy "adjustment".
        CausalGraph.frontdoor_sets : All front-door sets.
        """
        name, z = self._named_strategy
        return self.graph.named(z) if name == "frontdoor" else None

    @cached_property
    def formula(self):
        """The simplest valid form as an `Expression`; it is the form that is shown.

        See Also
        --------
        expression : The canonical program.
        derivation : How the formula follows from the query.
        """
        strategy, z = self._named_strategy
        x, y = self.do, self.graph.listed(self._plan.y)
        if strategy == "adjustment":
            z = self.graph.listed(z)
            given = self._ordered(*x, *z)
            if not z:
                return self._given_conditions(P(y, given))
            return self._given_conditions(total(z, product([P(y, given), P(z)])))
        if strategy == "frontdoor":
            m = self.graph.listed(z)
            back = total(x, product([P(y, self._ordered(*x, *m)), P(x)]))
            return self._given_conditions(total(m, product([P(m, x), back])))
        return self.expression

    def _ordered(self, *names):
        return tuple(sorted(names, key=self.graph.number.__getitem__))

    @property
    def query(self):
        """The query as an `Expression`, a `P`."""
        return P(self.outcome, self.given, self.treatment)

    def __str__(self):
        return f"{self.query} = {self._text()}"

    def to_latex(self):
        """Write the equation as LaTeX.

        Returns
        -------
        str
            The equation of the query and `formula`, without dollar signs around it.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> print(CausalGraph("x -> y").identify("y", "x").to_latex())
        P(y \\mid do(x)) = P(y \\mid x)
        """
        return f"{self.query.to_latex()} = {self._text(latex=True)}"

    def _text(self, latex=False):
        free = (*self.outcome, *self.treatment, *self.given)
        return render(self.formula, free, latex)

    def __repr__(self):
        return f"<Estimand of {self.query} by {self.strategy}>"

    def _repr_html_(self):
        from html import escape

        return (
            f"<p>{escape(str(self))}</p><p>by <b>{self.strategy}</b></p>"
            + self.derivation._repr_html_()
        )

    @cached_property
    def derivation(self):
        """How `formula` follows from the query, as a `Derivation`.

        See Also
        --------
        canonical_derivation : How the canonical program follows from it.
        """
        return derivation.derive(self)

    @cached_property
    def canonical_derivation(self):
        """How `expression` follows from the query, whatever the strategy.

        See Also
        --------
        derivation : How the formula that is shown follows from the query.
        """
        return derivation.derive_canonical(self)

    # -- its value ---------------------------------------------------------------

    def evaluate(self, table, do, given=None, *, experiments=None):
        """Compute the exact value on a table of joint probabilities.

        Parameters
        ----------
        table : pandas.Series
            Joint probabilities of the observed variables, which name its index levels.
            Combinations left out have probability zero; variables that the program
            does not read may be absent.
        do : dict
            A value for each treatment. Values of conditions may stand here, too.
        given : dict, optional
            Values of conditions. Each condition without a value stays as a further
            index level. By default all of them stay.
        experiments : dict, optional
            The table of joint probabilities of the data of each experiment used. The
            keys are the variables of the experiments, one name or a tuple of names. By
            default there is none.

        Returns
        -------
        pandas.Series
            The probabilities over the values of the outcome.

        Raises
        ------
        TypeError
            If a table is no Series.
        ValueError
            If a table is no distribution over the variables that are needed, if a value
            is not in it, if ``do`` lacks a treatment, if ``do`` or ``given`` names a
            variable without that role in the query, or if the table of an experiment is
            lacking. It is also raised if the program divides by a probability of zero
            (positivity); the message then names the cell.

        See Also
        --------
        DoCalculusEffect : Estimate the effect from rows of data.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_causalrec import CausalGraph
        >>> estimand = CausalGraph("z -> x -> y; z -> y").identify("y", "x", given="z")
        >>> index = pd.MultiIndex.from_product([[0, 1]] * 3, names=["z", "x", "y"])
        >>> table = pd.Series([.3, .1, .05, .05, .1, .1, .1, .2], index=index)
        >>> estimand.evaluate(table, do={"x": 1}, given={"z": 0})
        y
        0    0.5
        1    0.5
        Name: P(y | do(x), z), dtype: float64
        """
        # Here, because identification needs neither numpy nor pandas.
        import numpy as np
        import pandas as pd

        from sklearn_causalrec.causal.identification.evaluation import Evaluator
        from sklearn_causalrec.causal.identification.table import JointTable

        do, fixed = dict(do), dict(given or {})
        for name in [v for v in do if v in self.given]:
            fixed.setdefault(name, do.pop(name))
        for label, values, names in (
            ("do", do, self.treatment),
            ("given", fixed, self.given),
        ):
            if unknown := [v for v in values if v not in names]:
                raise ValueError(
                    f"{label} names {unknown}, but the query is {self.query}."
                )
        if missing := [v for v in self.treatment if v not in do]:
            raise ValueError(f"do misses a value for the treatments {missing}.")
        needed = (*self.variables, *self._not_read(table))
        joint = JointTable(table, needed)
        at = [slice(None)] * len(needed)
        for name, value in (do | fixed).items():
            if name in needed:
                at[needed.index(name)] = joint.position(name, value)
        evaluator = Evaluator(needed, joint.shape, self._lookup(joint, experiments))
        result = np.broadcast_to(evaluator(self.expression), joint.shape)
        keep = [v for v in (*self.outcome, *self.given) if v not in fixed]
        # Whatever is neither kept nor set does not matter any more: take its first.
        at = [
            0 if a == slice(None) and v not in keep else a for a, v in zip(at, needed)
        ]
        values = result[tuple(at)]
        if np.isnan(values).any():
            self._raise_positivity(evaluator, joint, at, values)
        left = [v for v in needed if v in keep]
        values = values.transpose([left.index(v) for v in keep])
        levels = [joint.levels[needed.index(v)] for v in keep]
        index = levels[0] if len(keep) == 1 else pd.MultiIndex.from_product(levels)
        return pd.Series(values.ravel(), index=index, name=str(self.query))

    def _not_read(self, table):
        """Treatments without effect that the table has: their values are checked."""
        names = getattr(getattr(table, "index", None), "names", ())
        return [v for v in self.treatment if v not in self.variables and v in names]

    def _lookup(self, joint, experiments):
        from sklearn_causalrec.causal.identification.table import JointTable, lookup_in

        used = {k.experiment for k in self.kernels if k.experiment}
        given = {
            frozenset(as_names(key)): value
            for key, value in dict(experiments or {}).items()
        }
        tables = {}
        for names in used:
            if frozenset(names) not in given:
                raise ValueError(
                    f"the estimand reads an experiment on {list(names)}: pass its "
                    f"table in experiments={{{names!r}: ...}}."
                )
            what = f"the table of the experiment on {list(names)}"
            own = JointTable(given[frozenset(names)], joint.variables, what)
            tables[frozenset(names)] = own.align(joint.levels)
        return lookup_in(joint, tables)

    def _raise_positivity(self, evaluator, joint, at, values):
        import numpy as np

        first = iter(np.argwhere(np.isnan(values))[0]) if values.ndim else iter(())
        cell = tuple(int(next(first)) if isinstance(a, slice) else a for a in at)
        names, cell = evaluator.blame(self.expression, cell)
        text = ", ".join(
            f"{v} = {joint.levels[k].tolist()[cell[k]]!r}"
            for k, v in enumerate(joint.variables)
            if v in names
        )
        raise ValueError(
            f"positivity fails: the program divides by the probability of ({text}), "
            f"which is zero in the table."
        )
