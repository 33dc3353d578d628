"""Complete identification of P(y|do(x)) and P(y|do(x),z), or a hedge against it."""

from sklearn_causalrec.causal.graphs.bitsets import as_names, members, separated
from sklearn_causalrec.causal.identification.districts import make_plan
from sklearn_causalrec.causal.identification.estimand import Estimand
from sklearn_causalrec.causal.identification.remedies import NotIdentifiableError


def exchange_conditions(graph, y, x, z):
    """Turn conditions into interventions while rule 2 allows it.

    Returns
    -------
    (x, z, moved) : the new bitsets and the nodes moved, in order
    """
    moved, again = [], True
    while again:
        again = False
        for i in members(z):
            bit = 1 << i
            if separated(graph.surgery(no_in=x, no_out=bit), y, bit, x | z & ~bit):
                x, z, again = x | bit, z & ~bit, True
                moved.append(i)
    return x, z, moved


def identify(graph, outcome, treatment, given=(), *, experiments=()):
    """Express P(outcome | do(treatment), given) by what can be observed.

    Sound and complete for sets of treatments, outcomes and conditions: what cannot be
    identified here cannot be identified at all without further assumptions. With Y*
    the causes of the outcomes that remain once the treatments are set,

        P(y | do(x)) = sum over Y* without Y of the product of Q[D],

    D running over the districts of the graph on Y*, and each Q[D] = P(D | do(its
    parents)) follows from the district of the whole graph around D by dividing and
    summing out [1]_ [2]_ [3]_. The distribution divided is always the current Q, not P
    (line 7 of ID): the napkin graph needs this. Conditions are first turned into
    interventions while rule 2 allows it (IDC [4]_).

    Parameters
    ----------
    graph : CausalGraph
    outcome, treatment, given : name or names
    experiments : iterable of name or names
        Sets of variables on which, beside the observational data, experiments were
        run; each district may then be read off any of them (gID [5]_).

    Returns
    -------
    Estimand

    Raises
    ------
    NotIdentifiableError
        With the hedge that proves it.
    ValueError
        For unknown names, or a name in two roles.

    References
    ----------
    .. [1] J. Tian, J. Pearl (2002). A general identification condition for causal
       effects. AAAI 18.
    .. [2] I. Shpitser, J. Pearl (2006). Identification of joint interventional
       distributions in recursive semi-Markovian causal models. AAAI 21.
    .. [3] T. Richardson, R. Evans, J. Robins, I. Shpitser (2017). Nested Markov
       properties for acyclic directed mixed graphs. Theorem 48.
    .. [4] I. Shpitser, J. Pearl (2006). Identification of conditional interventional
       distributions. UAI 22.
    .. [5] S. Lee, J. Correa, E. Bareinboim (2019). General identifiability with
       arbitrary surrogate experiments. UAI 35.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph, NotIdentifiableError
    >>> print(CausalGraph("x -> m -> y; x <-> y").identify("y", "x"))
    P(y | do(x)) = Σ_{m} P(m | x) Σ_{x'} P(y | x', m) P(x')
    >>> try:
    ...     CausalGraph("x -> y; x <-> y").identify("y", "x")
    ... except NotIdentifiableError as error:
    ...     print(sorted(error.hedge[0]), sorted(error.hedge[1]))
    ['x', 'y'] ['y']
    """
    y, x, z = graph.masks(outcome=outcome, treatment=treatment, given=given)
    if not y:
        raise ValueError("name at least one outcome.")
    if isinstance(experiments, str):
        experiments = [experiments]
    if not isinstance(experiments, list | tuple):
        from sklearn_causalrec.encoding.checks import several  # which needs numpy

        experiments = several(experiments, "experiments", '["x", ["x", "z"]]')
    experiments = [graph.listed(graph.mask(e)) for e in experiments]
    do, rest, moved = exchange_conditions(graph, y, x, z)
    plan, hedge = make_plan(graph, y | rest, do, ((), *experiments))
    if hedge is not None:
        raise NotIdentifiableError(graph, (y, x, z), (y | rest, do), hedge, experiments)
    query = tuple(tuple(as_names(names)) for names in (outcome, treatment, given))
    return Estimand(graph, query, plan, rest, moved)
