"""Classes of graphs that data cannot tell apart, by listing all graphs of few nodes.

Nothing here uses the package's algorithms: a class is what has the same separations.
"""

from collections import defaultdict
from itertools import combinations, permutations, product

from sklearn_causalrec._testing.discrete_scm import d_separated


def dags(names):
    """Every directed acyclic graph, as a frozenset of edges."""
    pairs = list(combinations(names, 2))
    for kinds in product("->.", repeat=len(pairs)):
        edges = [
            (a, b) if kind == "-" else (b, a)
            for (a, b), kind in zip(pairs, kinds)
            if kind != "."
        ]
        if is_acyclic(names, edges):
            yield frozenset(edges)


def is_acyclic(names, edges):
    """Whether the directed edges have no cycle."""
    left, edges = set(names), list(edges)
    while left:
        free = left - {b for _, b in edges}
        if not free:
            return False
        left -= free
        edges = [e for e in edges if e[0] not in free]
    return True


def skeleton_and_colliders(edges):
    """What makes DAGs equivalent (Verma and Pearl, 1990)."""
    joined = {frozenset(e) for e in edges}
    found = {
        (frozenset((a, b)), c)
        for a, c in edges
        for b, c_ in edges
        if c == c_ and a != b and frozenset((a, b)) not in joined
    }
    return frozenset(joined), frozenset(found)


def dag_classes(names):
    """The Markov equivalence classes of DAGs, as lists of frozensets of edges."""
    classes = defaultdict(list)
    for edges in dags(names):
        classes[skeleton_and_colliders(edges)].append(edges)
    return list(classes.values())


def marks_of_dags(members):
    """The edges of the graph with open ends that stands for some DAGs.

    A pair is directed where all members direct it alike.
    """
    found = []
    for a, b in sorted({tuple(sorted(e)) for e in members[0]}):
        ways = {(a, b) in edges for edges in members}
        mark = "---" if len(ways) == 2 else "-->" if ways == {True} else "<--"
        found.append((a, mark, b))
    return found


def separations(graph):
    """All m-separations of single nodes, as a frozenset."""
    return frozenset(
        (a, b, z)
        for a, b in combinations(sorted(graph.nodes), 2)
        for k in range(len(graph.nodes) - 1)
        for z in combinations([v for v in sorted(graph.nodes) if v not in (a, b)], k)
        if d_separated(graph, [a], [b], z)
    )


def admg_classes(names, separations=separations):
    """Classes of ADMGs with the same separations, as lists of (directed, bidirected).

    Separations are found for the graphs in one order of the names, and renamed.
    """
    from sklearn_causalrec import CausalGraph

    names = sorted(names)
    pairs, orders = list(combinations(names, 2)), []
    every = [
        (a, b, z)
        for a, b in pairs
        for k in range(len(names) - 1)
        for z in combinations([v for v in names if v not in (a, b)], k)
    ]
    place = {triple: k for k, triple in enumerate(every)}
    for order in permutations(names):
        new = dict(zip(names, order))
        edge = {(a, b): (new[a], new[b]) for a, b in pairs}
        pair = {(a, b): tuple(sorted(ends)) for (a, b), ends in edge.items()}
        renamed = [
            place[*pair[a, b], tuple(sorted(new[v] for v in z))] for a, b, z in every
        ]
        orders.append((edge, pair, renamed))
    classes = defaultdict(dict)
    for kinds in product(range(4), repeat=len(pairs)):
        directed = [p for p, k in zip(pairs, kinds) if k & 1]
        bidirected = [p for p, k in zip(pairs, kinds) if k & 2]
        graph = CausalGraph.from_edges(directed, bidirected, names)
        told = [place[triple] for triple in separations(graph)]
        for edge, pair, renamed in orders:
            member = (
                frozenset(edge[p] for p in directed),
                frozenset(pair[p] for p in bidirected),
            )
            classes[frozenset(renamed[k] for k in told)][member] = None
    return {
        frozenset(every[k] for k in signature): list(members)
        for signature, members in classes.items()
    }


def _causes(names, directed):
    causes = {v: {v} for v in names}
    for _ in names:
        for a, b in directed:
            causes[b] |= causes[a]
    return causes


def marks_of_admgs(names, signature, members):
    """The edges of the PAG of a class of ADMGs, by its definition (Zhang, 2008).

    Two nodes are joined where nothing separates them. An end at ``a`` is a tail where
    ``a`` causes the other node in all members, a head where it does in none.
    """
    causes = [_causes(names, directed) for directed, _ in members]
    separable = {(a, b) for a, b, _ in signature}
    ends = {(True,): "-", (False,): ">", (False, True): "o"}
    found = []
    for a, b in combinations(sorted(names), 2):
        if (a, b) in separable:
            continue
        left = ends[tuple(sorted({a in c[b] for c in causes}))]
        right = ends[tuple(sorted({b in c[a] for c in causes}))]
        left = {">": "<"}.get(left, left)
        found.append((a, f"{left}-{right}", b))
    return found
