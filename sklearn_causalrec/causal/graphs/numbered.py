"""`NumberedGraph`: nodes by name for users, by number and bitset for algorithms."""

from heapq import heapify, heappop, heappush

from sklearn_causalrec.causal.graphs.bitsets import (
    as_names,
    mask_of,
    members,
)
from sklearn_causalrec.causal.graphs.words import several, shown


def _pairs(edges):
    """Edges as a list of tuples; text and sets are no pairs of names."""
    if isinstance(edges, (str, bytes)) or not hasattr(edges, "__iter__"):
        raise TypeError(
            f"edges are pairs such as [('a', 'b')], got {shown(edges)}; for text such "
            f"as 'a -> b' there is CausalGraph(text)."
        )
    found = []
    for edge in edges:
        ordered = hasattr(edge, "__iter__") and not isinstance(
            edge, (str, bytes, set, frozenset, dict)
        )
        if not ordered or len(pair := tuple(edge)) != 2:
            raise ValueError(f"an edge is a pair of names, got {shown(edge)}.")
        found.append(pair)
    return found


def _check_name(name):
    """Refuse what cannot be told from missing values or from collections of names."""
    try:
        equals_itself = bool(name == name)
    except (TypeError, ValueError):
        equals_itself = False
    if name is None or not equals_itself:
        raise ValueError(f"a node cannot be named {shown(name)}: it has no name.")
    if hasattr(name, "__iter__") and not isinstance(name, (str, bytes)):
        raise ValueError(
            f"a node cannot be named {shown(name)}: a collection is read as several "
            f"names. Join its parts to one text."
        )


def numbers(names):
    """Name -> place among the names, each name once."""
    number = {}
    for name in names:
        try:
            known = name in number
        except TypeError:
            raise TypeError(
                f"a node is named by text or a number, got {shown(name)}."
            ) from None
        if not known:
            _check_name(name)
            number[name] = len(number)
    return number


def _word(name):
    text = str(name)
    return text if len(text) <= 40 else text[:39] + "…"


class NumberedGraph:
    """An acyclic directed mixed graph between names and bitsets.

    The base of `ADMG`. Users name nodes; algorithms number them. Nodes are
    numbered in a topological order, and a set of nodes is then a Python integer, a
    *bitset*, whose bit ``i`` says whether node ``i`` belongs to the set. `mask` turns
    names into a bitset; `listed` and `named` turn a bitset into names.

    Attributes
    ----------
    nodes : tuple of names
        The nodes in the order in which the user gave them.
    number : dict of name to int
        The number of every node. ``topological_order`` is its inverse.
    parents_of, children_of, siblings_of : list of tuple of int
        For the number of every node, the numbers of its direct causes, of its direct
        effects, and of the nodes that share a latent cause with it, ascending.
    everything : int
        The bitset of all nodes.
    """

    @classmethod
    def from_edges(cls, directed, bidirected=(), nodes=()):
        """Make a graph from pairs of names.

        Parameters
        ----------
        directed : iterable of (cause, effect)
            The directed edges.
        bidirected : iterable of (a, b), default=()
            The pairs of nodes that have a latent common cause.
        nodes : iterable of names, default=()
            Nodes that the graph has whether or not an edge names them. They come first
            in the order of the nodes.

        Returns
        -------
        CausalGraph
            The graph.

        Raises
        ------
        TypeError
            If the edges are text or no collection, or if a name is not hashable.
        ValueError
            If the directed edges form a cycle, an edge joins a node to itself, an edge
            is no pair, or a node cannot be named so.

        See Also
        --------
        sklearn_causalrec.CausalGraph : The same from text, as in ``x -> y``.
        sklearn_causalrec.CausalGraph.from_networkx : The same from a networkx graph.

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
        directed, bidirected = _pairs(directed), _pairs(bidirected)
        ends = (name for edge in (*directed, *bidirected) for name in edge)
        number = numbers((*as_names(nodes), *ends))
        for a, b in (*directed, *bidirected):
            if a == b:
                raise ValueError(f"{shown(a)} has an edge to itself.")
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
        self.children_of = [tuple(sorted(rank[j] for j in children[i])) for i in order]
        parents, siblings = [[] for _ in order], [set() for _ in order]
        for i, heads in enumerate(self.children_of):
            for j in heads:
                parents[j].append(i)
        self.number = {name: r for r, name in enumerate(self._names)}
        for a, b in bidirected:
            siblings[self.number[a]].add(self.number[b])
            siblings[self.number[b]].add(self.number[a])
        self.parents_of = [tuple(p) for p in parents]
        self.siblings_of = [tuple(sorted(s)) for s in siblings]
        self.everything = (1 << len(order)) - 1

    def _cycle(self, directed):
        """A directed cycle as text; there is one."""
        causes = {}
        for a, b in dict.fromkeys(directed):
            causes.setdefault(b, []).append(a)
        # A node without causes among the rest is on no cycle. What is left when all
        # such nodes are gone keeps a cause: walking up from it must come back.
        awaited = {a: len(causes.get(a, ())) for a in self.nodes}
        effects = {}
        for a, b in dict.fromkeys(directed):
            effects.setdefault(a, []).append(b)
        free = [a for a, k in awaited.items() if not k]
        while free:
            for b in effects.get(free.pop(), ()):
                awaited[b] -= 1
                if not awaited[b]:
                    free.append(b)
        node = next(a for a, k in awaited.items() if k)
        place = {}
        while node not in place:
            place[node] = len(place)
            node = next(a for a in causes[node] if awaited[a])
        cycle = [node, *reversed(list(place)[place[node] :])]
        words = [_word(a) for a in cycle[:4]]
        if len(cycle) > 8:
            words += ["…", *(_word(a) for a in cycle[-3:])]
            return f"{' -> '.join(words)} ({len(cycle) - 1:,} nodes)."
        return " -> ".join([*words, *(_word(a) for a in cycle[4:])]) + "."

    def __eq__(self, other):
        if not isinstance(other, NumberedGraph):
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
        return len(self.nodes)

    def __contains__(self, name):
        return name in self.number

    # -- names and bitsets -------------------------------------------------------

    def mask(self, names):
        """Turn names into the bitset of some nodes.

        Parameters
        ----------
        names : name or collection of names
            The nodes of the set.

        Returns
        -------
        int
            Bit ``i`` is set where node ``i``, see ``number``, is among them.

        Raises
        ------
        ValueError
            If a name is no node; the message lists the unknown names.

        See Also
        --------
        named : From a bitset back to names.
        masks : Bitsets of several sets that must not overlap.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> graph = CausalGraph("a -> b -> c")
        >>> bin(graph.mask(["a", "c"]))
        '0b101'
        """
        names = as_names(names)
        unknown = [name for name in names if name not in self.number]
        if unknown:
            raise ValueError(
                f"{several(unknown, 12)} not in the graph; its nodes are "
                f"{several(self.nodes, 12)}."
            )
        return mask_of(self.number[name] for name in names)

    def masks(self, **roles):
        """Turn sets of names that must not overlap into bitsets.

        Parameters
        ----------
        **roles : name or collection of names
            The sets, by what they are called in the message of an error.

        Returns
        -------
        tuple of int
            One bitset for each set, in the order given.

        Raises
        ------
        ValueError
            If a name is no node, or if a node is in two of the sets.

        See Also
        --------
        mask : The bitset of a single set.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("a -> b -> c").masks(outcome="c", treatment="a")
        (4, 1)
        """
        masks = {role: self.mask(names) for role, names in roles.items()}
        taken = {}
        for role, mask in masks.items():
            for other, earlier in taken.items():
                if both := self.listed(mask & earlier):
                    raise ValueError(
                        f"{', '.join(map(repr, both))} cannot be both {other} and "
                        f"{role}."
                    )
            taken[role] = mask
        return tuple(masks.values())

    def listed(self, mask):
        """Turn a bitset into names, in topological order.

        Parameters
        ----------
        mask : int
            A bitset of nodes.

        Returns
        -------
        tuple of names
            The nodes of the set, causes before effects.

        See Also
        --------
        named : The same names as a set.
        mask : From names to a bitset.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("a -> b -> c").listed(0b101)
        ('a', 'c')
        """
        return tuple(self._names[i] for i in members(mask))

    def named(self, mask):
        """Turn a bitset into a set of names.

        Parameters
        ----------
        mask : int
            A bitset of nodes.

        Returns
        -------
        frozenset of names
            The nodes of the set.

        See Also
        --------
        listed : The same names in topological order.
        mask : From names to a bitset.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("a -> b -> c").named(0b100)
        frozenset({'c'})
        """
        return frozenset(self.listed(mask))

    def surgery(self, no_in=0, no_out=0, edges=()):
        """Copy the graph without some edges, on bitsets.

        Parameters
        ----------
        no_in : int
            Bitset of the nodes that lose all edges into them, bidirected ones too.
            The default is no node.
        no_out : int
            Bitset of the nodes that lose all directed edges out of them. The default
            is no node.
        edges : iterable of (int, int)
            Numbers of the causes and effects whose directed edge is removed. The
            default is none.

        Returns
        -------
        CausalGraph
            A new graph; nodes and numbers are the same.

        See Also
        --------
        do : The graph after an intervention, by names.
        without_outgoing : The graph without edges out of some nodes, by names.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> graph = CausalGraph("a -> b -> c")
        >>> graph.surgery(no_in=graph.mask("c"))
        CausalGraph('c; a -> b')
        """
        graph = object.__new__(type(self))
        graph.nodes, graph._names = self.nodes, self._names
        graph.number, graph.everything = self.number, self.everything
        pa, ch, sib = (
            list(self.parents_of),
            list(self.children_of),
            list(self.siblings_of),
        )
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
        graph.parents_of, graph.children_of, graph.siblings_of = pa, ch, sib
        return graph

    # -- edges -------------------------------------------------------------------

    @property
    def directed_edges(self):
        """The directed edges, a tuple of ``(cause, effect)``."""
        names = self._names
        return tuple(
            (names[i], names[j])
            for i, heads in enumerate(self.children_of)
            for j in heads
        )

    @property
    def bidirected_edges(self):
        """The bidirected edges, a tuple of ``(a, b)``, each pair once."""
        names = self._names
        return tuple(
            (names[i], names[j])
            for i, near in enumerate(self.siblings_of)
            for j in near
            if i < j
        )

    @property
    def topological_order(self):
        """All nodes as a tuple, causes before effects."""
        return self._names
