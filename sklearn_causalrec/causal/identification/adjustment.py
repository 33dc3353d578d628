"""Covariate adjustment: which sets make P(y|do(x)) a mean of P(y|x,z) over P(z)."""

from sklearn_causalrec.causal.graphs.bitsets import (
    all_separators,
    closure,
    mask_of,
    members,
    minimal_separators,
    minimum_separator,
    separated,
)


def causal_nodes(graph, x, y):
    """Bitset of the nodes, ``x`` excluded, on proper causal paths from ``x`` to ``y``.

    A path is proper where only its first node is in ``x``.
    """
    inside = graph.everything & ~x
    first = mask_of(c for i in members(x) for c in graph.children_of[i])
    after = closure(graph.children_of, first & inside, inside)
    return after & closure(graph.parents_of, y, inside)


def proper_backdoor(graph, x, y):
    """The graph without the edges from ``x`` to the causal nodes."""
    causal = causal_nodes(graph, x, y)
    cut = [(i, c) for i in members(x) for c in graph.children_of[i] if causal >> c & 1]
    return graph.surgery(edges=cut)


def backdoor_problem(graph, x, y):
    """The proper back-door graph, and the nodes one may adjust for, as a bitset."""
    causal = causal_nodes(graph, x, y)
    cut = [(i, c) for i in members(x) for c in graph.children_of[i] if causal >> c & 1]
    allowed = graph.everything & ~(
        x | y | closure(graph.children_of, causal, graph.everything)
    )
    return graph.surgery(edges=cut), allowed


def is_adjustment_set(graph, x, y, z):
    """The adjustment criterion, complete for ADMGs, on bitsets."""
    pruned, allowed = backdoor_problem(graph, x, y)
    return not z & ~allowed and separated(pruned, x, y, z)


def _optimal(graph, x, y, pruned, allowed):
    """The set of smallest asymptotic variance, or None; see `adjustment_sets`."""
    causal = causal_nodes(graph, x, y)
    hidden = any(graph.siblings_of[i] for i in members(causal))
    if not hidden and not y & ~causal:
        parents = mask_of(p for i in members(causal) for p in graph.parents_of[i])
        best = parents & ~causal & ~x
        valid = not best & ~allowed and separated(pruned, x, y, best)
        return best if valid else None
    # Closest to the outcome: the walk starts there.
    return next(minimal_separators(pruned, y, x, allowed), None)


def _costs(graph, cost):
    if cost is None:
        return [1] * len(graph)
    graph.mask(cost)
    costs = [cost.get(name, 1) for name in graph.topological_order]
    for name, c in zip(graph.topological_order, costs):
        if c != int(c) or c <= 0:
            raise ValueError(f"costs are positive whole numbers, got {name!r}: {c!r}.")
    return [int(c) for c in costs]


def adjustment_sets(graph, outcome, treatment, kind="minimal", *, cost=None):
    """Lazily, the sets of nodes that suffice to adjust for.

    A set Z is valid where it contains no descendant of a node on a proper causal path
    and separates treatment and outcome once the first edges of those paths are removed
    [1]_; then ``P(y | do(x)) = sum_z P(y | x, z) P(z)``. The criterion is complete.

    Parameters
    ----------
    outcome, treatment : name or names
    kind : {"minimal", "minimum", "optimal", "all"}
        - "minimal": every set of which no proper subset is valid, with polynomial
          delay; the first one, closest to the treatment, takes linear time;
        - "minimum": one set of the smallest size, or total ``cost``;
        - "optimal": the set of the smallest asymptotic variance. Where no latent
          variable acts on the nodes between treatment and outcome it is best among
          all valid sets [2]_ [3]_; otherwise a best one need not exist, and the set
          given is best among the minimal ones [4]_;
        - "all": every valid set.
    cost : dict, optional
        Whole, positive cost of measuring a node, for "minimum"; 1 where not named.

    Yields
    ------
    frozenset of names
        At most one for "minimum" and "optimal"; none where adjustment is impossible.

    Raises
    ------
    ValueError
        For an unknown ``kind`` or name, or a treatment that is an outcome.

    References
    ----------
    .. [1] B. van der Zander, M. Liskiewicz, J. Textor (2019). Separators and
       adjustment sets in causal graphs. Artificial Intelligence 270, theorem 5.
    .. [2] L. Henckel, E. Perkovic, M. Maathuis (2022). Graphical criteria for
       efficient total effect estimation. JRSS B 84, theorem 3.10.
    .. [3] A. Rotnitzky, E. Smucler (2020). Efficient adjustment sets for population
       average causal treatment effect estimation. JMLR 21.
    .. [4] E. Smucler, F. Sapienza, A. Rotnitzky (2022). Efficient adjustment sets in
       causal graphical models with hidden variables. Biometrika 109.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> graph = CausalGraph("a -> x; a -> b -> y; x -> y")
    >>> [sorted(z) for z in graph.adjustment_sets("y", "x")]
    [['a'], ['b']]
    >>> [sorted(z) for z in graph.adjustment_sets("y", "x", kind="optimal")]
    [['b']]
    """
    y, x = check_query(graph, outcome, treatment, kind)
    costs = _costs(graph, cost)
    return sets_of(graph, x, y, *backdoor_problem(graph, x, y), kind, costs)


def check_query(graph, outcome, treatment, kind):
    """The bitsets of outcome and treatment of a question for adjustment sets."""
    kinds = ("minimal", "minimum", "optimal", "all")
    if kind not in kinds:
        raise ValueError(f"kind must be one of {kinds}, got {kind!r}.")
    y, x = graph.masks(outcome=outcome, treatment=treatment)
    if not x or not y:
        raise ValueError("adjustment needs at least one treatment and one outcome.")
    return y, x


def sets_of(graph, x, y, pruned, allowed, kind, costs=None):
    """Lazily, the separators of a back-door problem: see `adjustment_sets`."""
    if kind == "optimal":
        best = _optimal(graph, x, y, pruned, allowed)
        found = () if best is None else (best,)
    elif kind == "minimum":
        costs = costs or [1] * len(graph)
        best = minimum_separator(pruned, x, y, allowed, costs)
        found = () if best is None else (best,)
    elif kind == "minimal":
        found = minimal_separators(pruned, x, y, allowed)
    else:
        found = all_separators(pruned, x, y, allowed)
    for z in found:
        yield graph.named(z)
