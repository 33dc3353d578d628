"""Sets of nodes as integer bitsets, walks over a graph, m-separation and separators.

Nodes are numbered in a topological order, a *set* of nodes is a Python integer whose
bit ``i`` says whether node ``i`` belongs to it, and an *adjacency* is a list with the
tuple of neighbors of each node. Every function here is linear in the edges it meets.
"""

from sklearn_causalrec.causal.graphs.words import shown


def as_names(names):
    """A name, or a collection of names, as a list without repetitions."""
    if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
        return [names]
    try:
        return list(dict.fromkeys(names))
    except TypeError:
        raise TypeError(
            f"names are text or numbers, or a flat list of them; got {shown(names)}."
        ) from None


def members(mask):
    """Indices of the set bits of ``mask``, ascending.

    >>> members(0b1101)
    [0, 2, 3]
    """
    digits = format(mask, "b")[::-1]
    out = []
    i = digits.find("1")
    while i >= 0:
        out.append(i)
        i = digits.find("1", i + 1)
    return out


def mask_of(indices):
    """The bitset of some indices.

    >>> bin(mask_of([0, 2, 3]))
    '0b1101'
    """
    indices = list(indices)
    if len(indices) < 8:
        mask = 0
        for i in indices:
            mask |= 1 << i
        return mask
    digits = bytearray(b"0") * (max(indices) + 1)
    for i in indices:
        digits[i] = 49
    return int(digits[::-1], 2)


def _unvisited(mask, n):
    """One byte a node, b"1" where the node is in ``mask``: marks that can be erased."""
    return bytearray(format(mask, f"0{n}b").encode())[::-1]


def closure(adjacent, start, within):
    """All nodes of ``within`` reachable from ``start`` inside ``within``."""
    n = len(adjacent)
    todo = _unvisited(within, n)
    stack = [i for i in members(start & within)]
    for i in stack:
        todo[i] = 48
    while stack:
        for j in adjacent[stack.pop()]:
            if todo[j] == 49:
                todo[j] = 48
                stack.append(j)
    return within & ~int(todo[::-1], 2) if n else 0


def components(adjacent, within):
    """Connected components of ``within``, each a sorted list of indices."""
    todo = _unvisited(within, len(adjacent))
    found = []
    for i in members(within):
        if todo[i] == 48:
            continue
        todo[i] = 48
        if not adjacent[i]:
            found.append([i])
            continue
        component, stack = [i], [i]
        while stack:
            for j in adjacent[stack.pop()]:
                if todo[j] == 49:
                    todo[j] = 48
                    component.append(j)
                    stack.append(j)
        component.sort()
        found.append(component)
    return found


class MoralGraph:
    """The augmented ("moral") graph of an ADMG on an ancestral set of nodes.

    Two nodes are adjacent where a collider path joins them, that is where both lie in
    one *block*: a district together with its parents [1]_. Keeping the blocks rather
    than their cliques keeps everything linear.

    Parameters
    ----------
    graph : CausalGraph
    within : int
        Bitset of the nodes kept; ancestral in ``graph``.

    References
    ----------
    .. [1] T. Richardson (2003). Markov properties for acyclic directed mixed graphs.
       Scandinavian Journal of Statistics 30, section 2.
    """

    def __init__(self, graph, within):
        self.graph = graph
        self.within = within
        self.districts = components(graph.siblings_of, within)
        self._number = [-1] * len(graph)
        for number, district in enumerate(self.districts):
            for i in district:
                self._number[i] = number

    @property
    def blocks(self):
        """Each district with its parents, as a set of indices."""
        return [
            {*district, *(p for i in district for p in self.graph.parents_of[i])}
            for district in self.districts
        ]

    def neighbors(self, i):
        """Indices of the nodes adjacent to a node."""
        heads = {self._number[j] for j in (i, *self.graph.children_of[i])} - {-1}
        near = set()
        for number in heads:
            for k in self.districts[number]:
                near.add(k)
                near.update(self.graph.parents_of[k])
        return near - {i}

    def walk(self, start, stop):
        """Walk from ``start`` without leaving through a node of ``stop``.

        Returns
        -------
        (inside, touched) : pair of int
            The nodes reached, and those of ``stop`` that are adjacent to them.
        """
        n, number = len(self.graph), self._number
        parents, children = self.graph.parents_of, self.graph.children_of
        todo, halt = _unvisited(self.within, n), _unvisited(stop, n)
        fresh = bytearray(b"1") * len(self.districts)
        stack = members(start & self.within)
        for i in stack:
            todo[i] = 48
        while stack:
            i = stack.pop()
            # A node lies in the block of its own district and in its children's.
            for head in (i, *children[i]):
                block = number[head]
                if block < 0 or fresh[block] == 48:
                    continue
                fresh[block] = 48
                for k in self.districts[block]:
                    for j in (k, *parents[k]):
                        if todo[j] == 49:
                            todo[j] = 48
                            if halt[j] == 48:
                                stack.append(j)
        reached = self.within & ~int(todo[::-1], 2)
        return reached & ~stop | start & self.within, reached & stop & ~start

    def edges(self):
        """Pairs of adjacent nodes, each once, as ``(low, high)``."""
        return sorted(
            {(i, j) for block in self.blocks for i in block for j in block if i < j}
        )


def separated(graph, x, y, z):
    """Whether the bitsets ``x`` and ``y`` are m-separated by ``z`` in ``graph``."""
    if not x or not y:
        return True
    within = closure(graph.parents_of, x | y | z, graph.everything)
    # Districts are found on the way: a query about a corner of a large graph
    # reads that corner only.
    todo = _unvisited(within, len(graph))
    inside = _unvisited(within, len(graph))
    halt = _unvisited(z, len(graph))
    goal = _unvisited(y, len(graph))
    grouped = bytearray(b"1") * len(graph)
    parents, children, siblings = graph.parents_of, graph.children_of, graph.siblings_of
    stack = members(x)
    for i in stack:
        todo[i] = 48
    while stack:
        i = stack.pop()
        for head in (i, *children[i]):
            if grouped[head] == 48 or inside[head] == 48:
                continue
            grouped[head] = 48
            district = [head]
            for k in district:
                for s in siblings[k]:
                    if inside[s] == 49 and grouped[s] == 49:
                        grouped[s] = 48
                        district.append(s)
            for k in district:
                for j in (k, *parents[k]):
                    if todo[j] == 49:
                        if goal[j] == 49:
                            return False
                        todo[j] = 48
                        if halt[j] == 48:
                            stack.append(j)
    return True


def minimal_separators(graph, x, y, allowed):
    """Lazily, every inclusion-minimal m-separator of ``x`` and ``y`` in ``allowed``.

    The first is the one closest to ``x``. Minimal separators consist of ancestors of
    ``x | y`` and are the minimal vertex cuts of their moral graph [1]_, listed with
    polynomial delay by Takata's backtracking [2]_: ``side`` holds the nodes that must
    stay on the side of ``x``, ``out`` those that must not.

    References
    ----------
    .. [1] B. van der Zander, M. Liskiewicz, J. Textor (2019). Separators and
       adjustment sets in causal graphs. Artificial Intelligence 270.
    .. [2] K. Takata (2010). Space-optimal, backtracking algorithms to list the minimal
       vertex separators of a graph. Discrete Applied Mathematics 158.
    """
    moral = MoralGraph(graph, closure(graph.parents_of, x | y, graph.everything))
    allowed &= moral.within & ~(x | y)
    stack = [(x, 0)]
    while stack:
        side, out = stack.pop()
        side, boundary = moral.walk(side, allowed)
        if side & (y | out):
            continue
        _, separator = moral.walk(y, boundary)
        if separator != boundary:  # nodes behind the boundary cannot be in a cut
            side, _ = moral.walk(x, separator)
            if side & out:
                continue
        yield separator
        for v in members(separator & ~out):
            stack.append((side | 1 << v, out))
            out |= 1 << v


def separator_between(graph, x, y, required, allowed):
    """A separator ``required <= z <= allowed``, or None where there is none."""
    z = (
        closure(graph.parents_of, x | y | required, graph.everything) & allowed
        | required
    )
    return z if separated(graph, x, y, z) else None


def all_separators(graph, x, y, allowed):
    """Lazily, every m-separator of ``x`` and ``y`` inside ``allowed``."""
    stack = [(0, allowed)]
    while stack:
        required, possible = stack.pop()
        if separator_between(graph, x, y, required, possible) is None:
            continue
        undecided = possible & ~required
        if not undecided:
            yield required
            continue
        v = undecided & -undecided
        stack.append((required | v, possible))
        stack.append((required, possible & ~v))


def minimum_separator(graph, x, y, allowed, cost):
    """A separator of the smallest total cost, by a minimum cut; None if there is none.

    Each allowed node becomes an edge whose capacity is its cost; everything else is
    uncuttable.

    Parameters
    ----------
    cost : sequence of int
        Positive cost of each node.
    """
    import numpy as np
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    moral = MoralGraph(graph, closure(graph.parents_of, x | y, graph.everything))
    allowed &= moral.within & ~(x | y)
    nodes = members(moral.within)
    enter = {v: 2 * k for k, v in enumerate(nodes)}  # v is left through enter[v] + 1
    first_block = 2 * len(nodes)
    blocks = moral.blocks
    source = first_block + len(blocks)
    total = sum(cost[v] for v in members(allowed)) + 1
    if total > np.iinfo(np.int32).max:
        raise ValueError(f"the costs add up to {total - 1}, above the limit of 2**31.")
    arcs = [
        (enter[v], enter[v] + 1, cost[v] if allowed >> v & 1 else total) for v in nodes
    ]
    for number, block in enumerate(blocks):
        for v in block:
            arcs.append((enter[v] + 1, first_block + number, total))
            arcs.append((first_block + number, enter[v], total))
    arcs += [(source, enter[v], total) for v in members(x)]
    arcs += [(enter[v] + 1, source + 1, total) for v in members(y)]
    tail, head, capacity = np.array(arcs, dtype=np.int64).T
    network = csr_matrix(
        (capacity.astype(np.int32), (tail, head)), shape=(source + 2, source + 2)
    )
    flow = maximum_flow(network, source, source + 1)
    if flow.flow_value >= total:
        return None
    residual = network - flow.flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = set(
        breadth_first_order(residual, source, return_predecessors=False).tolist()
    )
    return mask_of(
        v
        for v in members(allowed)
        if enter[v] in reached and enter[v] + 1 not in reached
    )
