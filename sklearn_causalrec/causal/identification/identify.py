"""Complete identification of P(y|do(x)) and P(y|do(x),z), or a hedge against it."""

from dataclasses import dataclass
from functools import cached_property

from sklearn_causalrec.causal.graphs.bitsets import (
    as_names,
    closure,
    components,
    mask_of,
    members,
    separated,
)
from sklearn_causalrec.causal.identification.estimand import Estimand
from sklearn_causalrec.causal.identification.expression import (
    AnyValue,
    P,
    Ratio,
    product,
    total,
)


@dataclass(frozen=True)
class Kernel:
    """Q[D] = P(district | do(parents)), and how the data give it.

    Attributes
    ----------
    district : tuple of names
        The variables D it is a distribution of, in topological order.
    parents : tuple of names
        The parents of D outside D: all that Q[D] depends on.
    chain : tuple of tuples of names
        Districts T_0, ..., T_k around D. Q[T_0] is a product of conditional
        probabilities of the data (see `blankets`); each Q[T_j] is the product of the
        conditionals of Q[T_j-1] listed in ``blankets[j]``; Q[D] is Q[T_k] summed over
        T_k without D. ``chain == (district,)`` is the common case.
    blankets : tuple of tuples of (name, names)
        For each member of the chain: each of its variables with those it is
        conditioned on.
    outside : tuple of tuples of names
        The parents of each member of the chain outside it.
    ancestral : tuple of tuples of names
        For each member of the chain, the causes of D in it, D included: the set in
        which the next member is a district.
    experiment : tuple of names
        The variables set by experiment in the data used; empty for observational data.
    """

    district: tuple
    parents: tuple
    chain: tuple
    blankets: tuple
    outside: tuple
    ancestral: tuple
    experiment: tuple = ()

    @cached_property
    def expression(self):
        """Q[D] as an `Expression` of the data."""
        do = self.experiment
        q = product(
            P((v,), tuple(b for b in blanket if b not in do), do)
            for v, blanket in self.blankets[0]
        )
        for j in range(1, len(self.chain)):
            around, factors = self.chain[j - 1], []
            for v, blanket in self.blankets[j]:
                rest = [w for w in around if w not in blanket and w != v]
                joint = total(rest, q)
                marginal = total([w for w in around if w not in blanket], q)
                factors.append(Ratio(joint, marginal))
            inside = {*self.chain[j], *self.outside[j]}
            loose = tuple(w for w in self.outside[j - 1] if w not in inside)
            q = product(factors)
            q = AnyValue(loose, q) if loose else q
        inside = {*self.district, *self.parents}
        loose = tuple(w for w in self.outside[-1] if w not in inside)
        q = total([w for w in self.chain[-1] if w not in self.district], q)
        return AnyValue(loose, q) if loose else q

    @property
    def fixing_sequence(self):
        """The same program in the words of fixing operators, for each chain link.

        A tuple of pairs ``(divided, summed)``, one for each member of the chain: of
        its variables outside the next one, those fixed by dividing by their conditional
        probability, and those summed out.
        """
        links = []
        for j, around in enumerate(self.chain):
            after = {*(*self.chain[1:], self.district)[j]}
            held = {*self.ancestral[j]}
            links.append(
                (
                    tuple(w for w in around if w in held - after),
                    tuple(w for w in around if w not in held),
                )
            )
        return tuple(links)


def blankets_of(graph, district):
    """For each node of a district: all that its probability rests on.

    That is its Markov blanket among the nodes before it: the part of the district that
    bidirected edges still connect to it there, and the parents of that part.

    Returns
    -------
    list of (index, sorted list of indices)
    """
    found = []
    before = set()
    for i in district:
        before.add(i)
        part, stack = {i}, [i]
        while stack and len(district) > 1:
            fresh = before.intersection(graph.siblings_of[stack.pop()]) - part
            part |= fresh
            stack.extend(fresh)
        around = part.union(*(graph.parents_of[j] for j in part))
        found.append((i, sorted(around - {i})))
    return found


def _outside(graph, nodes):
    nodes = set(nodes)
    return sorted({p for i in nodes for p in graph.parents_of[i]} - nodes)


def _chain(graph, district, around):
    """Districts from ``around`` down to ``district`` and the sets that held them.

    Tian and Pearl's recursion: alternate between the ancestors of the district and the
    district they fall into.

    Returns
    -------
    (chain, helds, stuck) : lists of node lists and of bitsets; ``stuck`` is true where
        the recursion makes no way, and (chain[-1], district) is then a hedge.
    """
    target = mask_of(district)
    held = mask_of(around)
    chain, holders = [around], [None]
    while True:
        up = closure(graph.parents_of, target, held)
        if up == target:
            return chain, holders, False
        if up == held:
            return chain, holders, True
        inner = closure(graph.siblings_of, target, up)
        chain.append(members(inner))
        holders.append(up)
        held = inner


def _kernel(graph, district, chain, holders, experiment):
    named = graph.topological_order.__getitem__
    blankets = []
    for link in chain:
        pairs = blankets_of(graph, link)
        blankets.append(tuple((named(i), tuple(map(named, b))) for i, b in pairs))
    return Kernel(
        district=tuple(map(named, district)),
        parents=tuple(map(named, _outside(graph, district))),
        chain=tuple(tuple(map(named, t)) for t in chain),
        blankets=tuple(blankets),
        outside=tuple(tuple(map(named, _outside(graph, t))) for t in chain),
        ancestral=tuple(tuple(map(named, members(held))) for held in holders[1:])
        + (tuple(map(named, district)),),
        experiment=experiment,
    )


@dataclass(frozen=True)
class Plan:
    """How a joint interventional distribution falls into districts, on bitsets.

    Attributes
    ----------
    graph : CausalGraph
    y, x : int
        Outcomes, and the treatments that matter.
    inner : int
        The causes of y that remain once x is set, y included: Y* of the literature.
    parts : tuple of (district, chain, holders, data)
        ``data`` is the graph the data come from and the variables set there.
    """

    graph: object
    y: int
    x: int
    inner: int
    parts: tuple

    def kernels(self):
        """A `Kernel` for each district."""
        return tuple(
            _kernel(graph, district, chain, holders, experiment)
            for district, chain, holders, (graph, experiment) in self.parts
        )


def make_plan(graph, y, x, experiments=((),)):
    """Plan P(y|do(x)), or the hedge that forbids it.

    Returns
    -------
    (plan, hedge) : one of the two is None; a hedge is a pair of bitsets.
    """
    inner = closure(graph.parents_of, y, graph.everything & ~x)
    x &= mask_of(p for i in members(inner) for p in graph.parents_of[i])
    if not x:
        return Plan(graph, y, 0, inner, ()), None
    sources = []
    for experiment in experiments:
        set_ = graph.mask(experiment)
        after = graph.surgery(no_in=set_) if set_ else graph
        within = closure(after.parents_of, y, graph.everything) & ~set_
        around = {}
        for part in components(after.siblings_of, within):
            for i in part:
                around[i] = part
        sources.append((after, graph.listed(set_), around))
    parts = []
    for district in components(graph.siblings_of, inner):
        hedge = None
        for after, experiment, around in sources:
            if district[0] not in around or any(i not in around for i in district):
                continue
            part = around[district[0]]
            if len(part) == len(district):
                chain, holders, stuck = [part], [None], False
            else:
                chain, holders, stuck = _chain(after, district, part)
            if not stuck:
                parts.append((district, chain, holders, (after, experiment)))
                break
            hedge = hedge or (mask_of(chain[-1]), mask_of(district))
        else:
            return None, hedge
    return Plan(graph, y, x, inner, tuple(parts)), None


def exchange_conditions(graph, y, x, z):
    """Turn conditions into interventions while rule 2 allows it.

    Returns
    -------
    (x, z, moved) : the new bitsets and the nodes moved, in order
    """
    moved, again = [], True
    while again:
        again = False
        for i in members(z):
            bit = 1 << i
            if separated(graph.surgery(no_in=x, no_out=bit), y, bit, x | z & ~bit):
                x, z, again = x | bit, z & ~bit, True
                moved.append(i)
    return x, z, moved


def identify(graph, outcome, treatment, given=(), *, experiments=()):
    """Express P(outcome | do(treatment), given) by what can be observed.

    Sound and complete for sets of treatments, outcomes and conditions: what cannot be
    identified here cannot be identified at all without further assumptions. With Y*
    the causes of the outcomes that remain once the treatments are set,

        P(y | do(x)) = sum over Y* without Y of the product of Q[D],

    D running over the districts of the graph on Y*, and each Q[D] = P(D | do(its
    parents)) follows from the district of the whole graph around D by dividing and
    summing out [1]_ [2]_ [3]_. The distribution divided is always the current Q, not P
    (line 7 of ID): the napkin graph needs this. Conditions are first turned into
    interventions while rule 2 allows it (IDC [4]_).

    Parameters
    ----------
    graph : CausalGraph
    outcome, treatment, given : name or names
    experiments : iterable of name or names
        Sets of variables on which, beside the observational data, experiments were
        run; each district may then be read off any of them (gID [5]_).

    Returns
    -------
    Estimand

    Raises
    ------
    NotIdentifiableError
        With the hedge that proves it.
    ValueError
        For unknown names, or a name in two roles.

    References
    ----------
    .. [1] J. Tian, J. Pearl (2002). A general identification condition for causal
       effects. AAAI 18.
    .. [2] I. Shpitser, J. Pearl (2006). Identification of joint interventional
       distributions in recursive semi-Markovian causal models. AAAI 21.
    .. [3] T. Richardson, R. Evans, J. Robins, I. Shpitser (2017). Nested Markov
       properties for acyclic directed mixed graphs. Theorem 48.
    .. [4] I. Shpitser, J. Pearl (2006). Identification of conditional interventional
       distributions. UAI 22.
    .. [5] S. Lee, J. Correa, E. Bareinboim (2019). General identifiability with
       arbitrary surrogate experiments. UAI 35.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph, NotIdentifiableError
    >>> print(CausalGraph("x -> m -> y; x <-> y").identify("y", "x"))
    P(y | do(x)) = Σ_{m} P(m | x) Σ_{x'} P(y | x', m) P(x')
    >>> try:
    ...     CausalGraph("x -> y; x <-> y").identify("y", "x")
    ... except NotIdentifiableError as error:
    ...     print(sorted(error.hedge[0]), sorted(error.hedge[1]))
    ['x', 'y'] ['y']
    """
    y, x, z = graph.masks(outcome=outcome, treatment=treatment, given=given)
    if not y:
        raise ValueError("name at least one outcome.")
    if isinstance(experiments, str):
        experiments = [experiments]
    experiments = [graph.listed(graph.mask(e)) for e in experiments]
    do, rest, moved = exchange_conditions(graph, y, x, z)
    plan, hedge = make_plan(graph, y | rest, do, ((), *experiments))
    if hedge is not None:
        raise NotIdentifiableError(graph, (y, x, z), (y | rest, do), hedge, experiments)
    query = tuple(tuple(as_names(names)) for names in (outcome, treatment, given))
    return Estimand(graph, query, plan, rest, moved)


class NotIdentifiableError(ValueError):
    """P(y | do(x), z) does not follow from the graph and the data named.

    Attributes
    ----------
    hedge : pair of frozensets of names
        F and F', with F' inside F. Both are held together by latent common causes, all
        of F causes F' within F, F' causes the outcome while the treatment is set, and
        only F contains a treatment. Two models exist that agree on all data and
        disagree on the effect (Shpitser and Pearl 2006, theorem 4).
    graph : CausalGraph
    outcome, treatment, given : tuple of names
        The query.
    effective : pair of tuples of names
        Outcomes and treatments the hedge is about. They differ from the query's where
        it has conditions: those are then outcomes, or, where rule 2 allows it,
        treatments.
    """

    def __init__(self, graph, query, effective, hedge, experiments=()):
        self._masks = query, effective, hedge
        self.graph = graph
        self.experiments = experiments
        self.outcome, self.treatment, self.given = map(graph.listed, query)
        self.effective = tuple(map(graph.listed, effective))
        self.hedge = tuple(map(graph.named, hedge))
        super().__init__(graph, query, effective, hedge, experiments)

    def __str__(self):
        from sklearn_causalrec.causal.identification.remedies import explain

        return explain(self)

    def __reduce__(self):
        return type(self), (self.graph, *self._masks, self.experiments)

    @cached_property
    def remedies(self):
        """What would make the effect identifiable, in sentences."""
        from sklearn_causalrec.causal.identification.remedies import remedies

        return remedies(self)
