"""The districts of an effect: their kernels, and how the data give each of them."""

from dataclasses import dataclass
from functools import cached_property

from sklearn_causalrec.causal.graphs.bitsets import (
    closure,
    components,
    mask_of,
    members,
)
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


def chain_down(graph, district, around):
    """Districts from ``around`` down to ``district`` and the sets that held them.

    Tian and Pearl's recursion: alternate between the ancestors of the district and the
    district they fall into.

    Returns
    -------
    (chain, holders, stuck) : lists of node lists and of bitsets; ``stuck`` is true
        where the recursion makes no way, and (chain[-1], district) is then a hedge.
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
                chain, holders, stuck = chain_down(after, district, part)
            if not stuck:
                parts.append((district, chain, holders, (after, experiment)))
                break
            hedge = hedge or (mask_of(chain[-1]), mask_of(district))
        else:
            return None, hedge
    return Plan(graph, y, x, inner, tuple(parts)), None
