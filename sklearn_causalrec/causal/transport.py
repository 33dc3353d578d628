"""`Transport`: an effect in a population, by data of another and some of its own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.identification.estimand import Estimand
from sklearn_causalrec.causal.identification.evaluation import Evaluator
from sklearn_causalrec.causal.identification.identify import identify
from sklearn_causalrec.causal.identification.remedies import NotIdentifiableError
from sklearn_causalrec.causal.identification.table import JointTable


class NotTransportableError(NotIdentifiableError):
    """The effect in the target does not follow from the data of both populations.

    Parameters
    ----------
    error : NotIdentifiableError
        Why the district is not identified in the data that could give it.
    district : tuple of names
        The variables whose joint mechanism is not known in the target.
    differs : tuple of names
        Those of them whose mechanism differs between the populations.

    Attributes
    ----------
    district, differs : tuple of names
        As the parameters.
    hedge : pair of frozensets of names
        It proves that the district is not identified, see `NotIdentifiableError`.

    See Also
    --------
    CausalGraph.transport : Raises it.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph, NotIdentifiableError
    >>> try:
    ...     CausalGraph("x -> y").transport("y", "x", differs="y")
    ... except NotIdentifiableError as error:
    ...     print(error.district)
    ('y',)
    """

    def __init__(self, error, district, differs):
        self.district, self.differs = district, differs
        self._error = error
        super().__init__(error.graph, *error._masks, error.experiments)

    def __reduce__(self):
        return type(self), (self._error, self.district, self.differs)

    def __str__(self):
        names = ", ".join(map(str, self.district))
        if self.differs:
            why = (
                f"{', '.join(map(str, self.differs))} comes about otherwise there than "
                f"in the source, and the target's own data do not tell it"
            )
            way = f"Measure {names} and what acts on it in the target, target=[...]"
        else:
            why = "neither population's data identify it"
            way = "Add an experiment in the source, experiments=[...]"
        return f"the effect does not carry over: of {names}, {why}. {way}."


@dataclass(frozen=True)
class Part:
    """P(district | do(parents)), and the data that give it.

    Attributes
    ----------
    estimand : Estimand
        The formula.
    population : {"source", "target"}
        Whose data it reads.
    """

    estimand: Estimand
    population: str

    def __str__(self):
        return f"{self.estimand}, in the {self.population}"


class Transport:
    """P(outcome | do(treatment)) in a target population, from data of two.

    `CausalGraph.transport` makes it. The effect is a sum of products of parts, one for
    each district, and each part comes from one of the populations.

    Parameters
    ----------
    graph : CausalGraph
        The graph, which holds in both populations.
    outcome, treatment : tuple of names
        The query.
    parts : tuple of Part
        The factors of the formula.
    summed : tuple of names
        What the product is summed over.

    Attributes
    ----------
    graph : CausalGraph
        The graph.
    outcome, treatment : tuple of names
        The query.
    parts : tuple of Part
        The factors: each has an ``estimand`` and a ``population``.
    summed : tuple of names
        What the product is summed over.
    weighted : tuple of names or None
        Where the parts of the source are the effect given some variables, and those of
        the target no more than their distribution: these variables. Then the effect of
        each row, averaged over rows of the target, is the answer.

    See Also
    --------
    CausalGraph.transport : Makes it.
    CausalGraph.identify : Effects in the population that the data are of.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> graph = CausalGraph("age -> x -> y; age -> y")
    >>> print(graph.transport("y", "x", differs="age"))
    P*(y | do(x)) = Σ_{age} of the product of
      P(age) = P(age), in the target
      P(y | do(age, x)) = P(y | age, x), in the source
    """

    def __init__(self, graph, outcome, treatment, parts, summed):
        self.graph, self.outcome, self.treatment = graph, outcome, treatment
        self.parts, self.summed = parts, summed

    @cached_property
    def weighted(self):
        """The variables whose distribution alone is the target's, or None."""
        own = {
            v
            for part in self.parts
            if part.population == "target"
            for v in part.estimand.outcome
        }
        later = self.graph.descendants(self.treatment)
        read = {
            v
            for part in self.parts
            if part.population == "target"
            for v in part.estimand.variables
        }
        if own & {*self.outcome} or read & later:
            return None
        return tuple(v for v in self.graph.topological_order if v in own)

    def __str__(self):
        query = f"P*({_listed(self.outcome)} | do({_listed(self.treatment)}))"
        over = f"Σ_{{{_listed(self.summed)}}} of the" if self.summed else "the"
        return "\n  ".join([f"{query} = {over} product of", *map(str, self.parts)])

    def __repr__(self):
        kinds = ", ".join(dict.fromkeys(part.population for part in self.parts))
        return (
            f"<Transport of P({_listed(self.outcome)} | do({_listed(self.treatment)})) "
            f"from {kinds}>"
        )

    def evaluate(self, source, target, do, *, experiments=None):
        """Compute the exact value on tables of joint probabilities.

        Parameters
        ----------
        source : pandas.Series
            The joint probabilities in the source, with variables as index levels.
        target : pandas.Series
            Those in the target, of the variables that are measured there.
        do : dict
            A value for each treatment.
        experiments : dict, default=None
            The table of each experiment in the source that is used. Its keys are the
            variables that were set, one name or a tuple.

        Returns
        -------
        pandas.Series
            The probabilities of the values of the outcome in the target.

        Raises
        ------
        ValueError
            If a table is no distribution over what is read of it, if a value is
            unknown, or a combination that the effect asks for has probability zero.

        See Also
        --------
        Estimand.evaluate : The same in one population.
        """
        tables = {"source": source, "target": target}
        used = {population: [] for population in tables}
        for part in self.parts:
            for v in part.estimand.variables:
                if v not in used[part.population]:
                    used[part.population].append(v)
        joints = {
            population: JointTable(
                tables[population], read, f"the {population}'s table"
            )
            for population, read in used.items()
            if read
        }
        names, levels = [], []
        for joint in joints.values():
            for v, level in zip(joint.variables, joint.levels):
                if v in names:
                    k = names.index(v)
                    levels[k] = levels[k].union(level)
                else:
                    names.append(v)
                    levels.append(level)
        shape = [len(level) for level in levels]
        value = np.ones([1] * len(names))
        for part in self.parts:
            where = f"the table of the {part.population}"
            read = [v for v in names if v in part.estimand.variables]
            joint = JointTable(tables[part.population], read, where)
            joint.align([levels[names.index(v)] for v in joint.variables])
            given = part.estimand._lookup(joint, experiments)
            evaluator = Evaluator(
                names, shape, lambda term, g=given, j=joint: _spread(g(term), j, names)
            )
            value = value * evaluator(part.estimand.expression)
        # What the formula neither keeps nor sums over does not matter: take its first.
        kept = {*self.outcome, *self.summed}
        at = [slice(None) if v in kept else slice(0, 1) for v in names]
        for v in self.treatment:
            if v not in do:
                raise ValueError(f"do misses a value for the treatment {v!r}.")
            if v in names:
                place = levels[names.index(v)].get_indexer([do[v]])[0]
                if place < 0:
                    raise ValueError(f"{v!r} has no value {do[v]!r} in the tables.")
                at[names.index(v)] = slice(place, place + 1)
        value = np.broadcast_to(value, shape)[tuple(at)]
        out = tuple(k for k, v in enumerate(names) if v not in self.outcome)
        value = value.sum(axis=out)
        if np.isnan(value).any():
            raise ValueError(
                "the effect asks for a combination of values that has probability zero "
                "in one of the populations (positivity)."
            )
        left = [v for v in names if v in self.outcome]
        value = value.transpose([left.index(v) for v in self.outcome])
        levels = [levels[names.index(v)] for v in self.outcome]
        index = levels[0] if len(levels) == 1 else pd.MultiIndex.from_product(levels)
        query = f"P*({_listed(self.outcome)} | do({_listed(self.treatment)}))"
        return pd.Series(value.ravel(), index=index, name=query)


def _spread(array, joint, names):
    """An array with an axis for each variable of a table, with one for all names."""
    index = [slice(None) if v in joint.variables else np.newaxis for v in names]
    return array[tuple(index)]


def _listed(names):
    return ", ".join(map(str, names))


def transport(graph, outcome, treatment, differs, target=None, experiments=()):
    """How an effect carries over; see `CausalGraph.transport`."""
    y, x = graph.masks(outcome=outcome, treatment=treatment)
    graph.mask(differs)
    if not y or not x:
        raise ValueError("name at least one outcome and one treatment.")
    if target is None:
        later = graph.descendants(treatment)
        target = [v for v in graph.nodes if v not in later]
    graph.mask(target)
    measured, differs = {*as_names(target)}, {*as_names(differs)}
    hidden = [v for v in graph.nodes if v not in measured]
    own = graph.project(hidden) if measured else None
    if isinstance(experiments, str):
        experiments = [experiments]
    inner = graph.subgraph(set(graph.nodes) - set(graph.listed(x)))
    inner = inner.subgraph(inner.ancestors(graph.listed(y)))
    parts = []
    for district in inner.districts():
        district = tuple(v for v in graph.topological_order if v in district)
        parents = tuple(
            v for v in graph.topological_order if v in graph.parents(district)
        )
        found = error = None
        if not differs & {*district}:
            try:
                found = identify(graph, district, parents, experiments=experiments)
                found = Part(found, "source")
            except NotIdentifiableError as problem:
                error = problem
        if found is None and measured.issuperset((*district, *parents)):
            try:
                found = Part(identify(own, district, parents), "target")
            except NotIdentifiableError as problem:
                error = problem
        if found is None:
            odd = tuple(v for v in district if v in differs)
            raise NotTransportableError(
                error or _unknown(graph, district, parents), district, odd
            )
        parts.append(found)
    names = tuple(v for v in graph.topological_order if v in inner)
    asked = tuple(as_names(outcome)), tuple(as_names(treatment))
    summed = tuple(v for v in names if v not in asked[0])
    return Transport(graph, *asked, tuple(parts), summed)


def _unknown(graph, district, parents):
    """The error of a district that no data are of: F is all of it, F' nothing."""
    y, x = graph.mask(district), graph.mask(parents)
    return NotIdentifiableError(graph, (y, x, 0), (y, x), (y, 0))
