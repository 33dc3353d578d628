"""Adjustment in a graph with open ends: valid in every graph that it stands for.

Functions take a `MixedGraph` and sets of the numbers of its nodes.
"""

from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.identification.adjustment import proper_backdoor


def obstacles(graph, x, y):
    """Edges whose open ends keep the effect from being one and the same [1]_ [2]_.

    A path may lead from ``x`` to ``y`` through such an edge, and it may not be causal,
    or be confounded by a latent cause. The graph is *amenable* where there is none.

    Parameters
    ----------
    graph : MixedGraph
        The graph.
    x, y : set of int
        Treatments and outcomes.

    Returns
    -------
    list of (int, int)
        Pairs of a treatment and a neighbor, those with the shortest paths first.

    References
    ----------
    .. [1] Perković, E., Textor, J., Kalisch, M. and Maathuis, M. (2018). "Complete
       graphical characterization and construction of adjustment sets in Markov
       equivalence classes of ancestral graphs." JMLR 18(220), definition 6.
    .. [2] Perković, E. (2020). "Identifying causal effects in maximally oriented
       partially directed acyclic graphs." UAI.
    """
    found = []
    for i in sorted(x):
        # Nothing that causes x lies behind it on a causal path.
        avoid = x | graph.parents(i)
        causes = graph.reached(y, avoid, backward=True)
        found += [
            (causes[j], i, j)
            for j in graph.may_cause(i)
            if j in causes and not graph.is_visible(i, j)
        ]
    return [(i, j) for _, i, j in sorted(found)]


def causal_nodes(graph, x, y):
    """Nodes, those of ``x`` excluded, that may lie on causal paths from x to y."""
    found = set()
    for i in x:
        avoid = x | graph.parents(i)
        after = graph.reached(graph.may_cause(i), avoid)
        found |= after.keys() & graph.reached(y, avoid, backward=True).keys()
    return found


def forbidden(graph, x, y):
    """Nodes that may lie on causal paths from x to y, and what they may cause."""
    return {w for v in causal_nodes(graph, x, y) for w in graph.reached([v], set())}


def adjustment_problem(graph, x, y):
    """A graph in which the valid adjustment sets are separators.

    In an amenable graph a set without forbidden nodes is valid in all graphs of the
    class, or in none: one of them will do (JMLR 18(220), theorem 7 and lemma 8).

    Parameters
    ----------
    graph : MixedGraph
        The graph.
    x, y : set of int
        Treatments and outcomes.

    Returns
    -------
    member, pruned : CausalGraph
        One graph of the class, and its proper back-door graph.
    allowed : int
        The bitset of the nodes that a set may have; 0 where the graph is not amenable.
    is_amenable : bool
        Whether there are valid sets at all.
    """
    names = graph.nodes
    member = CausalGraph.from_edges(*graph.member_edges(), names)
    pruned = proper_backdoor(
        member, member.mask([names[i] for i in x]), member.mask([names[i] for i in y])
    )
    if obstacles(graph, x, y):
        return member, pruned, 0, False
    inside = set(range(len(names))) - x - y - forbidden(graph, x, y)
    return member, pruned, member.mask([names[i] for i in inside]), True


def resolved(graph, x, y):
    """The fewest refinements of the class in each of which the effect is one.

    Parameters
    ----------
    graph : MixedGraph
        A graph without latent causes.
    x, y : set of int
        Treatments and outcomes.

    Yields
    ------
    MixedGraph
        The graph with some of the edges of `obstacles` directed, in every way that the
        class allows [1]_.

    References
    ----------
    .. [1] Guo, F. and Perković, E. (2021). "Minimal enumeration of all possible total
       effects in a Markov equivalence class." AISTATS.
    """
    stack = [graph]
    while stack:
        graph = stack.pop()
        if not (open_ := obstacles(graph, x, y)):
            yield graph
            continue
        i, j = open_[0]
        stack += [graph.directed(j, i), graph.directed(i, j)]
