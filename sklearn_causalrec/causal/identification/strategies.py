"""Named ways to identify: the front door, the primal fixing, and instruments."""

from sklearn_causalrec.causal.graphs.bitsets import (
    closure,
    members,
    minimal_separators,
    separated,
)
from sklearn_causalrec.causal.identification.adjustment import (
    causal_nodes,
    proper_backdoor,
)

_MANY = 64  # mediators beyond which a front-door set is shown as it was found


def largest_frontdoor(graph, x, y, required, allowed):
    """The largest front-door set ``required <= z <= allowed``, or None.

    The three conditions of Pearl: ``z`` meets every directed path from ``x`` to ``y``;
    no back-door path leads from ``x`` to ``z``; ``x`` blocks every back-door path from
    ``z`` to ``y``. The last one only gets easier as ``z`` grows, so that striking out
    offenders until none is left gives the largest set [1]_.

    References
    ----------
    .. [1] M. Wienobst, B. van der Zander, M. Liskiewicz (2024). Linear-time algorithms
       for front-door adjustment in causal graphs. AAAI 38.
    """
    backdoor = graph.surgery(no_out=x)
    z = allowed & ~(x | y) & ~_connected(backdoor, x, 0)
    while True:
        offending = z & _connected(graph.surgery(no_out=z), y, x)
        if not offending:
            break
        z &= ~offending
    if required & ~z:
        return None
    after = closure(graph.children_of, x, graph.everything & ~z)
    return None if after & y else z


def _connected(graph, start, given):
    """Bitset of the nodes m-connected to ``start`` given ``given``: a Bayes ball.

    A state is (node, whether the walk arrived by an edge into it).
    """
    conditioned = closure(graph.parents_of, given, graph.everything)
    seen = set()
    # A walk may leave the start by any edge, as if it had arrived from below.
    stack = [(i, False) for i in members(start)]
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        i, headed = state
        free = not given >> i & 1
        if free:
            stack.extend((c, True) for c in graph.children_of[i])
        if (free and not headed) or (headed and conditioned >> i & 1):
            stack.extend((p, False) for p in graph.parents_of[i])
            stack.extend((s, True) for s in graph.siblings_of[i])
    reached = 0
    for i, _ in seen:
        reached |= 1 << i
    return reached & ~given


def smallest_frontdoor(graph, x, y):
    """A front-door set from which no node can be left out, or None."""
    z = largest_frontdoor(graph, x, y, 0, graph.everything)
    if z is None:
        return None
    # Only what lies between treatment and outcome can matter.
    small = z & causal_nodes(graph, x, y)
    if small and is_frontdoor(graph, x, y, small):
        z = small
    if z.bit_count() > _MANY:
        return z
    for i in members(z):
        if is_frontdoor(graph, x, y, z & ~(1 << i)):
            z &= ~(1 << i)
    return z


def is_frontdoor(graph, x, y, z):
    """Whether ``z`` satisfies the front-door criterion, on bitsets."""
    return largest_frontdoor(graph, x, y, z, z) == z


def frontdoor_sets(graph, outcome, treatment):
    """Lazily, every set that satisfies the front-door criterion.

    Parameters
    ----------
    outcome, treatment : name or names

    Yields
    ------
    frozenset of names
        Small sets tend to come first.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> graph = CausalGraph("x -> m -> y; x <-> y")
    >>> list(graph.frontdoor_sets("y", "x"))
    [frozenset({'m'})]
    """
    y, x = graph.masks(outcome=outcome, treatment=treatment)
    return _frontdoor_sets(graph, x, y)


def _frontdoor_sets(graph, x, y):
    stack = [(0, graph.everything & ~(x | y))]
    while stack:
        required, possible = stack.pop()
        possible = largest_frontdoor(graph, x, y, required, possible)
        if possible is None:
            continue
        undecided = possible & ~required
        if not undecided:
            yield graph.named(required)
            continue
        v = undecided & -undecided
        stack.append((required | v, possible))
        stack.append((required, possible & ~v))


def is_primal_fixable(graph, x, y):
    """Whether no child of the single treatment shares its district, among causes of y.

    References
    ----------
    .. [1] R. Bhattacharya, R. Nabi, I. Shpitser (2022). Semiparametric inference for
       causal effects in graphical models with hidden variables. JMLR 23, section 4.
    .. [2] J. Tian, J. Pearl (2002). A general identification condition for causal
       effects. AAAI 18, theorem 3.
    """
    if x & (x - 1):
        return False
    within = closure(graph.parents_of, y, graph.everything)
    district = closure(graph.siblings_of, x, within)
    return not any(district >> c & 1 for i in members(x) for c in graph.children_of[i])


def instruments(graph, outcome, treatment):
    """Lazily, instruments with what to condition on.

    Z is an instrument given W where W contains no effect of the treatment, Z and the
    treatment are connected given W, and Z and the outcome are separated given W once
    the causal paths are cut [1]_ [2]_. **An instrument does not identify P(y|do(x))**:
    it bounds it, and gives an effect under linearity, or a local one under
    monotonicity.

    Parameters
    ----------
    outcome, treatment : name
        One of each.

    Yields
    ------
    (instrument, given) : (name, frozenset of names)

    References
    ----------
    .. [1] C. Brito, J. Pearl (2002). Generalized instrumental variables. UAI 18.
    .. [2] B. van der Zander, J. Textor, M. Liskiewicz (2015). Efficiently finding
       conditional instruments for causal inference. IJCAI 24: the separator nearest
       to the outcome is tried, which is complete for ancestral instruments.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> graph = CausalGraph("coupon -> click -> buy; click <-> buy")
    >>> list(graph.instruments("buy", "click"))
    [('coupon', frozenset())]
    """
    y, x = graph.masks(outcome=outcome, treatment=treatment)
    if x.bit_count() != 1 or y.bit_count() != 1:
        raise ValueError("an instrument is for one treatment and one outcome.")
    return _instruments(graph, x, y)


def _instruments(graph, x, y):
    pruned = proper_backdoor(graph, x, y)
    if not closure(graph.children_of, x, graph.everything) & y:
        return
    allowed = graph.everything & ~closure(graph.children_of, x | y, graph.everything)
    for i in members(allowed):
        z = 1 << i
        given = next(minimal_separators(pruned, y, z, allowed & ~z), None)
        if given is not None and not separated(graph, z, x, given):
            yield graph.topological_order[i], graph.named(given)
