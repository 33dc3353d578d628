"""Which effects are one and the same in all graphs with latent causes of a class.

Functions take a `MixedGraph` that is a MAG or a PAG, and sets of the numbers of its
nodes.
"""


def is_identified(graph, x, y):
    """Whether all graphs of the class have the same P(y | do(x)) [1]_.

    Nodes are taken together in *buckets*, which edges ``o-o`` join: data cannot order
    them. Two nodes are in a *possible district* if they may share a latent cause: if a
    path of colliders joins them that has no visible edge. A bucket can be summed out,
    or set, where no other member of its possible districts may follow from it.

    Parameters
    ----------
    graph : MixedGraph
        The graph.
    x, y : set of int
        Treatments and outcomes.

    Returns
    -------
    bool
        The answer is complete: where it is False, two graphs of the class have
        different effects, or one of them has none that follows from data.

    See Also
    --------
    sklearn_causalrec.causal.identification.generalized.adjustment_problem :
        Whether the effect is by adjustment, with the sets.

    References
    ----------
    .. [1] Jaber, A., Zhang, J. and Bareinboim, E. (2019). "Causal identification under
       Markov equivalence: completeness results." ICML, algorithm 1.
    """
    everything = set(range(len(graph.nodes)))
    wanted = set(graph.reached(y, x, backward=True))
    visible = {
        (i, j) for i in everything for j in graph.ends[i] if graph.is_visible(i, j)
    }
    return _found(graph, visible, frozenset(wanted), frozenset(everything))


def _found(graph, visible, wanted, held):
    """Whether the law of ``wanted``, all else set, follows from that of ``held``."""
    if not wanted or wanted == held:
        return True
    for bucket in _buckets(graph, held):
        if bucket & wanted:
            continue
        later = {j for i in bucket for j in graph.may_cause(i) if j in held} - bucket
        if not later & _possible_district(graph, visible, bucket, held):
            return _found(graph, visible, wanted, held - bucket)
    for bucket in _buckets(graph, wanted):
        first = _region(graph, visible, bucket, wanted)
        if first == wanted:
            continue
        rest = _region(graph, visible, wanted - first, wanted)
        parts = (first, rest, first & rest)
        return all(_found(graph, visible, part, held) for part in parts)
    return False


def _buckets(graph, nodes):
    """The sets of nodes that edges o-o join, in the graph of these nodes."""
    left, found = set(nodes), []
    while left:
        bucket, stack = set(), [min(left)]
        while stack:
            i = stack.pop()
            if i in bucket:
                continue
            bucket.add(i)
            stack += [
                j
                for j, end in graph.ends[i].items()
                if j in left and end == graph.ends[j][i] == "o"
            ]
        left -= bucket
        found.append(frozenset(bucket))
    return found


def _possible_district(graph, visible, starts, nodes):
    """Nodes that may share latent causes with some nodes, in the graph of ``nodes``."""
    stack = [(i, None) for i in starts]  # a node, and the end by which it was reached
    seen = set(stack)
    while stack:
        i, reached = stack.pop()
        for j, end in graph.ends[i].items():
            if j not in nodes or (i, j) in visible or (j, i) in visible:
                continue
            if reached is not None and (reached, graph.ends[j][i]) != (">", ">"):
                continue  # i would be no collider
            if (j, end) not in seen:
                seen.add((j, end))
                stack.append((j, end))
    return {i for i, _ in seen}


def _region(graph, visible, starts, nodes):
    """The buckets, in the graph of ``nodes``, of the possible districts of some."""
    near = _possible_district(graph, visible, starts, nodes)
    return frozenset().union(*(b for b in _buckets(graph, nodes) if b & near))
