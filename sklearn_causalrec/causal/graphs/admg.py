"""`ADMG`: the acyclic directed mixed graph as a data structure."""

from heapq import heapify, heappop, heappush

from sklearn_causalrec.causal.graphs.bitsets import (
    MoralGraph,
    as_names,
    closure,
    components,
    mask_of,
    members,
)


class ADMG:
    """Nodes, directed and bidirected edges, and what follows from them alone.

    The base of `CausalGraph`. Nodes are numbered in a topological order; `_pa`, `_ch`
    and `_sib` hold the parents, children and siblings of each; sets of nodes are
    integer bitsets inside, collections of names outside.
    """

    @classmethod
    def from_edges(cls, directed, bidirected=(), nodes=()):
        """Graph from pairs of names.

        Parameters
        ----------
        directed : iterable of (cause, effect)
        bidirected : iterable of (a, b)
            Pairs with a latent common cause.
        nodes : iterable of names
            Nodes to have whether or not an edge names them; they also fix the order.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph.from_edges([("x", "y")], [("y", "x")], nodes=["w"])
        CausalGraph('w; x -> y; x <-> y')
        """
        graph = cls.__new__(cls)
        graph._build(nodes, directed, bidirected)
        return graph

    def _build(self, nodes, directed, bidirected):
        directed = [tuple(edge) for edge in directed]
        bidirected = [tuple(edge) for edge in bidirected]
        number = {name: i for i, name in enumerate(dict.fromkeys(as_names(nodes)))}
        for edge in (*directed, *bidirected):
            if len(edge) != 2:
                raise ValueError(f"an edge is a pair of names, got {edge!r}.")
            for name in edge:
                number.setdefault(name, len(number))
            if edge[0] == edge[1]:
                raise ValueError(f"{edge[0]!r} has an edge to itself.")
        self.nodes = tuple(number)
        children = [[] for _ in number]
        awaited = [0] * len(number)
        for a, b in dict.fromkeys(directed):
            children[number[a]].append(number[b])
            awaited[number[b]] += 1
        # Nodes are numbered in a topological order, ties as the user gave them.
        ready = [i for i, k in enumerate(awaited) if not k]
        heapify(ready)
        order = []
        while ready:
            i = heappop(ready)
            order.append(i)
            for j in children[i]:
                awaited[j] -= 1
                if not awaited[j]:
                    heappush(ready, j)
        if len(order) < len(number):
            raise ValueError(
                f"the directed edges have a cycle: {self._cycle(directed)}"
            )
        rank = [0] * len(order)
        for r, i in enumerate(order):
            rank[i] = r
        self._names = tuple(self.nodes[i] for i in order)
        self._ch = [tuple(sorted(rank[j] for j in children[i])) for i in order]
        parents, siblings = [[] for _ in order], [set() for _ in order]
        for i, heads in enumerate(self._ch):
            for j in heads:
                parents[j].append(i)
        self._index = {name: r for r, name in enumerate(self._names)}
        for a, b in bidirected:
            siblings[self._index[a]].add(self._index[b])
            siblings[self._index[b]].add(self._index[a])
        self._pa = [tuple(p) for p in parents]
        self._sib = [tuple(sorted(s)) for s in siblings]
        self._n = len(order)
        self._all = (1 << self._n) - 1

    def _cycle(self, directed):
        """A directed cycle as text; there is one."""
        causes = {}
        for a, b in directed:
            causes.setdefault(b, []).append(a)
        # Whatever keeps having causes among the rest cannot be ordered: walking
        # up from it must come back.
        left = set(self.nodes)
        while doomed := {a for a in left if not left.intersection(causes.get(a, ()))}:
            left -= doomed
        path = [next(a for a in self.nodes if a in left)]
        while path.count(path[-1]) < 2:
            path.append(next(a for a in causes[path[-1]] if a in left))
        cycle = reversed(path[path.index(path[-1]) :])
        return " -> ".join(str(a) for a in cycle) + "."

    def __eq__(self, other):
        if not isinstance(other, ADMG):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self):
        return hash(self._key())

    def _key(self):
        return (
            frozenset(self.nodes),
            frozenset(self.directed_edges),
            frozenset(map(frozenset, self.bidirected_edges)),
        )

    def __len__(self):
        return self._n

    def __contains__(self, name):
        return name in self._index

    # -- names and bitsets -------------------------------------------------------

    def _mask(self, names):
        """The bitset of one name or of several."""
        names = as_names(names)
        unknown = [name for name in names if name not in self._index]
        if unknown:
            listed = ", ".join(repr(name) for name in unknown)
            known = ", ".join(repr(name) for name in self.nodes[:12])
            more = f" and {self._n - 12} more" if self._n > 12 else ""
            raise ValueError(f"{listed} not in the graph; its nodes are {known}{more}.")
        return mask_of(self._index[name] for name in names)

    def _sets(self, **roles):
        """Bitsets of several sets of names that must not overlap."""
        masks = {role: self._mask(names) for role, names in roles.items()}
        taken = {}
        for role, mask in masks.items():
            for other, earlier in taken.items():
                if both := self._listed(mask & earlier):
                    raise ValueError(
                        f"{', '.join(map(repr, both))} cannot be both {other} and "
                        f"{role}."
                    )
            taken[role] = mask
        return tuple(masks.values())

    def _listed(self, mask):
        """Names of a bitset, in topological order."""
        return tuple(self._names[i] for i in members(mask))

    def _named(self, mask):
        return frozenset(self._listed(mask))

    def _around(self, names, adjacent):
        """Names of the neighbours of a set, itself excluded."""
        mask = self._mask(names)
        near = mask_of(j for i in members(mask) for j in adjacent[i])
        return self._named(near & ~mask)

    def _surgery(self, no_in=0, no_out=0, edges=()):
        """A copy without the edges into ``no_in``, out of ``no_out``, and ``edges``."""
        graph = object.__new__(type(self))
        graph.__dict__ |= {k: v for k, v in self.__dict__.items() if k[0] == "_"}
        graph.nodes = self.nodes
        pa, ch, sib = list(self._pa), list(self._ch), list(self._sib)
        for i in members(no_in):
            for p in pa[i]:
                ch[p] = tuple(j for j in ch[p] if j != i)
            for s in sib[i]:
                sib[s] = tuple(j for j in sib[s] if j != i)
            pa[i] = sib[i] = ()
        for i in members(no_out):
            for c in ch[i]:
                pa[c] = tuple(j for j in pa[c] if j != i)
            ch[i] = ()
        for a, b in edges:
            ch[a] = tuple(j for j in ch[a] if j != b)
            pa[b] = tuple(j for j in pa[b] if j != a)
        graph._pa, graph._ch, graph._sib = pa, ch, sib
        return graph

    # -- structure ---------------------------------------------------------------

    @property
    def directed_edges(self):
        """Tuple of ``(cause, effect)``."""
        names = self._names
        return tuple(
            (names[i], names[j]) for i, heads in enumerate(self._ch) for j in heads
        )

    @property
    def bidirected_edges(self):
        """Tuple of ``(a, b)``, each pair once."""
        names = self._names
        return tuple(
            (names[i], names[j])
            for i, near in enumerate(self._sib)
            for j in near
            if i < j
        )

    @property
    def topological_order(self):
        """All nodes, causes before effects."""
        return self._names

    def parents(self, names):
        """Direct causes of a set, itself excluded."""
        return self._around(names, self._pa)

    def children(self, names):
        """Direct effects of a set, itself excluded."""
        return self._around(names, self._ch)

    def siblings(self, names):
        """Nodes that share a latent cause with a set, itself excluded."""
        return self._around(names, self._sib)

    def ancestors(self, names):
        """The set and everything that causes it."""
        return self._named(closure(self._pa, self._mask(names), self._all))

    def descendants(self, names):
        """The set and everything it causes."""
        return self._named(closure(self._ch, self._mask(names), self._all))

    def districts(self):
        """The parts that bidirected edges hold together, as a list of frozensets."""
        return [
            frozenset(self._names[i] for i in part)
            for part in components(self._sib, self._all)
        ]

    def district(self, names):
        """The districts of a set, as one frozenset."""
        return self._named(closure(self._sib, self._mask(names), self._all))

    def markov_blanket(self, name):
        """The smallest set that separates a node from all other nodes."""
        (node,) = members(self._mask(name))
        near = MoralGraph(self, self._all).neighbours(node)
        return self._named(mask_of(near))

    def moral_edges(self):
        """Pairs of nodes joined by a collider path: the augmented (moral) graph."""
        return tuple(
            (self._names[i], self._names[j])
            for i, j in MoralGraph(self, self._all).edges()
        )

    # -- graphs made from this one -----------------------------------------------

    def do(self, names):
        """The graph after an intervention: without the edges into ``names``."""
        return self._surgery(no_in=self._mask(names))

    def without_outgoing(self, names):
        """The graph without the directed edges out of ``names``."""
        return self._surgery(no_out=self._mask(names))

    def subgraph(self, names):
        """The graph on some of the nodes, with the edges among them."""
        keep = self._named(self._mask(names))
        return self.from_edges(
            [e for e in self.directed_edges if keep.issuperset(e)],
            [e for e in self.bidirected_edges if keep.issuperset(e)],
            [name for name in self.nodes if name in keep],
        )

    def project(self, latent):
        """The latent projection: the same knowledge without some of the nodes.

        Each hidden node hands its causes to its effects and joins its effects, and
        what shared a cause with it, by bidirected edges [1]_.

        References
        ----------
        .. [1] T. Verma, J. Pearl (1990). Equivalence and synthesis of causal models.
        """
        hidden = self._mask(latent)
        if not hidden:
            return self
        pa, ch, sib = (
            [set(near) for near in side] for side in (self._pa, self._ch, self._sib)
        )
        for u in members(hidden):
            for p in pa[u]:
                ch[p] |= ch[u]
                ch[p].discard(u)
            for c in ch[u]:
                pa[c] |= pa[u]
                pa[c].discard(u)
                near = (ch[u] | sib[u]) - {c}
                sib[c] |= near
                for s in near:
                    sib[s].add(c)
            for s in sib[u]:
                sib[s].discard(u)
        names, kept = self._names, members(self._all & ~hidden)
        return self.from_edges(
            [(names[i], names[j]) for i in kept for j in sorted(ch[i])],
            [(names[i], names[j]) for i in kept for j in sorted(sib[i]) if i < j],
            [name for name in self.nodes if not hidden >> self._index[name] & 1],
        )
