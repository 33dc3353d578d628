"""Directing edges that are open: Meek's rules, and an extension to a full graph.

Graphs come as their ends: ``ends[i][j]`` is the end at ``j`` of the edge between ``i``
and ``j``, a tail ``-`` or an arrowhead ``>``; see `mixed.MixedGraph`.
"""


def close(ends):
    """Direct the edges that Meek's rules direct [1]_.

    Parameters
    ----------
    ends : list of dict
        The graph. It is not changed.

    Returns
    -------
    list of dict
        The graph in which every edge that is still open can be directed both ways.

    References
    ----------
    .. [1] Meek, C. (1995). "Causal inference and causal explanation with background
       knowledge." UAI.
    """
    ends = [dict(near) for near in ends]
    open_ = {
        (i, j)
        for i, near in enumerate(ends)
        for j, end in near.items()
        if end == ends[j][i] == "-"
    }
    changed = True
    while changed:
        changed = False
        for i, j in sorted(open_):
            if (i, j) in open_ and _follows(ends, i, j):
                ends[i][j] = ">"
                open_ -= {(i, j), (j, i)}
                changed = True
    return ends


def _follows(ends, a, b):
    """Whether a -> b follows for an open edge a -- b."""

    def directed(i, j):
        return ends[i].get(j) == ">" and ends[j].get(i) == "-"

    near = ends[a]
    # 1: c -> a, and c is not joined to b
    if any(directed(c, a) and c not in ends[b] for c in near):
        return True
    into = [c for c in near if c != b and directed(c, b)]
    # 2: a -> c -> b
    if any(directed(a, c) for c in into):
        return True
    # 3: a -- c -> b and a -- d -> b, and c is not joined to d
    loose = [c for c in into if ends[a][c] == ends[c][a] == "-"]
    if any(d not in ends[c] for k, c in enumerate(loose) for d in loose[:k]):
        return True
    # 4: a -- d -> c -> b, with a joined to c, and d not joined to b
    return any(
        directed(d, c) and d not in ends[b]
        for c in into
        for d in near
        if near[d] == ends[d][a] == "-"
    )


def extension(ends):
    """Direct all open edges, without a cycle and without a new unshielded collider.

    Parameters
    ----------
    ends : list of dict
        The graph. It is not changed.

    Returns
    -------
    list of dict, or None
        The ends of a directed acyclic graph; None where there is none [1]_.

    References
    ----------
    .. [1] Dor, D. and Tarsi, M. (1992). "A simple algorithm to construct a consistent
       extension of a partially oriented graph." Technical report R-185, UCLA.
    """
    found = [dict(near) for near in ends]
    rest = [set(near) for near in ends]
    waiting = list(range(len(ends)))
    while waiting:
        sink = next((i for i in reversed(waiting) if _is_sink(ends, rest, i)), None)
        if sink is None:
            return None
        for j in rest[sink]:
            found[j][sink], found[sink][j] = ">", "-"
            rest[j].discard(sink)
        waiting.remove(sink)
    return found


def _is_sink(ends, rest, i):
    """Whether node i can come last among the rest of the nodes."""
    if any(ends[i][j] == ">" for j in rest[i]):
        return False
    return all(
        rest[i] - {j} <= rest[j] for j in rest[i] if ends[j][i] == "-" == ends[i][j]
    )
