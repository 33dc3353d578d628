"""`NotIdentifiableError`: what it says, and what would make the effect identifiable."""

from functools import cached_property

from sklearn_causalrec.causal.identification.districts import make_plan
from sklearn_causalrec.causal.identification.expression import P
from sklearn_causalrec.causal.identification.strategies import instruments

_MANY = 40  # latent causes or variables beyond which remedies are not searched


class NotIdentifiableError(ValueError):
    """P(y | do(x), z) does not follow from the graph and the data named.

    The message names the latent causes that stand in the way, and what would remove
    them.

    Parameters
    ----------
    graph : CausalGraph
        The graph in which the query is not identified.
    query : tuple of three int
        The bitsets of the outcomes, the treatments and the conditions.
    effective : tuple of two int
        The bitsets of the outcomes and the treatments that the hedge is about.
    hedge : tuple of two int
        The bitsets of F and F'.
    experiments : sequence of tuples of names, default=()
        The sets of variables of the experiments whose data were named.

    Attributes
    ----------
    hedge : pair of frozensets of names
        The sets F and F', with F' inside F. Latent common causes hold both together.
        All of F causes F' within F. F' causes the outcome while the treatment is set.
        Only F contains a treatment. Two models exist that agree on all data and
        disagree on the effect ([1]_, theorem 4).
    graph : CausalGraph
        The graph in which the query is not identified.
    experiments : sequence of tuples of names
        The sets of variables of the experiments whose data were named.
    outcome, treatment, given : tuple of names
        The outcomes, the treatments and the conditions that were asked for.
    effective : pair of tuples of names
        The outcomes and treatments that the hedge is about. They differ from those of
        the query where it has conditions: a condition is then an outcome or, where
        rule 2 allows it, a treatment.

    See Also
    --------
    CausalGraph.identify : Raises it.
    Estimand : What is returned where the query is identified.

    References
    ----------
    .. [1] Shpitser, I. and Pearl, J. (2006). "Identification of joint interventional
       distributions in recursive semi-Markovian causal models." AAAI.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph, NotIdentifiableError
    >>> try:
    ...     CausalGraph("x -> y; x <-> y").identify("y", "x")
    ... except NotIdentifiableError as error:
    ...     hedge = error.hedge
    ...     remedies = error.remedies
    >>> [sorted(part) for part in hedge]
    [['x', 'y'], ['y']]
    >>> remedies
    {'measure': [(('x', 'y'),)], 'experiment': []}
    """

    def __init__(self, graph, query, effective, hedge, experiments=()):
        self._masks = query, effective, hedge
        self.graph = graph
        self.experiments = experiments
        self.outcome, self.treatment, self.given = map(graph.listed, query)
        self.effective = tuple(map(graph.listed, effective))
        self.hedge = tuple(map(graph.named, hedge))
        super().__init__(graph, query, effective, hedge, experiments)

    def __str__(self):
        return explain(self)

    def __reduce__(self):
        return type(self), (self.graph, *self._masks, self.experiments)

    @cached_property
    def remedies(self):
        """What would make the effect identifiable, a dict with two lists.

        ``"measure"`` lists tuples of bidirected edges, each written as a pair of names.
        It is enough to measure the latent causes behind all edges of one tuple. The
        list has the tuples of a single edge where there are any, and otherwise one
        larger tuple, from which no edge can be left out.

        ``"experiment"`` lists variables, neither treatment nor outcome. An experiment
        on one of them is enough.

        A list is empty where there is no such remedy, or where the graph is too large
        to search for one.
        """
        return remedies(self)


def latent_causes(error):
    """The bidirected edges that hold the hedge together, as pairs of names."""
    inside = error.hedge[0]
    return [e for e in error.graph.bidirected_edges if inside.issuperset(e)]


def _identified(graph, error, experiments=()):
    y, x = (graph.mask(names) for names in error.effective)
    return make_plan(graph, y, x, ((), *experiments))[1] is None


def _measured(graph, edges):
    """The graph once the latent causes behind some bidirected edges are observed."""
    taken = {frozenset(e) for e in edges}
    kept = [e for e in graph.bidirected_edges if frozenset(e) not in taken]
    causes = [(f"U({a}, {b})", v) for a, b in edges for v in (a, b)]
    return graph.from_edges((*graph.directed_edges, *causes), kept, graph.nodes)


def remedies(error):
    """What, measured or experimented on, would identify the query.

    Returns
    -------
    dict with
        measure : list of tuples of pairs
            Each tuple is a smallest set of latent common causes, written as the pair
            of variables they act on, that would suffice once measured: single ones
            where there are any, else one larger set.
        experiment : list of names
            Variables that are neither treatment nor outcome, an experiment on which
            would suffice.
    """
    graph, edges = error.graph, latent_causes(error)
    found = {"measure": [], "experiment": []}
    if len(edges) > _MANY or len(error.hedge[0]) > _MANY:
        return found
    found["measure"] = [
        (e,) for e in edges if _identified(_measured(graph, [e]), error)
    ]
    if not found["measure"]:
        needed = list(graph.bidirected_edges) if len(graph) <= _MANY else edges
        if _identified(_measured(graph, needed), error):
            for e in list(needed):
                fewer = [other for other in needed if other != e]
                if _identified(_measured(graph, fewer), error):
                    needed = fewer
            found["measure"] = [tuple(needed)]
    asked = {v for names in error.effective for v in names}
    found["experiment"] = (
        [
            v
            for v in graph.topological_order
            if v in graph.ancestors(error.outcome) - asked
            and _identified(graph, error, [*error.experiments, (v,)])
        ]
        if len(graph) <= 5 * _MANY
        else []
    )
    return found


def _pairs(edges):
    return " and ".join(f"{a} and {b}" for a, b in edges)


def explain(error):
    """The sentence of a `NotIdentifiableError`."""
    query = P(error.outcome, error.given, error.treatment)
    causes = latent_causes(error)
    shown = "; ".join(f"{a} and {b}" for a, b in causes[:6])
    more = f"; and {len(causes) - 6} more pairs" if len(causes) > 6 else ""
    lines = [
        f"{query} is not identified: the latent common causes of {shown}{more} cannot "
        f"be told from the effect of {', '.join(map(str, error.treatment))}.",
        f"Hedge: F = {_set(error.hedge[0])}, F' = {_set(error.hedge[1])}.",
    ]
    ways = error.remedies
    if ways["measure"]:
        options = " or of ".join(_pairs(e) for e in ways["measure"][:4])
        lines.append(f"Measuring the common cause of {options} would identify it.")
    if ways["experiment"]:
        options = " or ".join(str(v) for v in ways["experiment"][:4])
        lines.append(f"So would an experiment on {options}.")
    lines.append(
        f"An experiment on {', '.join(map(str, error.treatment))} always does."
    )
    if (
        len(error.outcome) == len(error.treatment) == 1
        and len(error.graph) <= 5 * _MANY
    ):
        pair = next(instruments(error.graph, error.outcome, error.treatment), None)
        if pair:
            given = f" given {', '.join(sorted(map(str, pair[1])))}" if pair[1] else ""
            lines.append(
                f"With extra assumptions (linearity, or monotonicity for a local "
                f"effect), {pair[0]}{given} is an instrument."
            )
    return " ".join(lines)


def _set(names):
    return "{" + ", ".join(sorted(map(str, names))) + "}"


class UndecidedError(NotIdentifiableError):
    """The graphs that data leave possible do not agree on P(y | do(x), z).

    Parameters
    ----------
    graph : PartialGraph
        The graph with open ends.
    query : tuple of three tuples of names
        The outcomes, the treatments and the conditions that were asked for.
    edges : tuple of (a, mark, b)
        The edges that stand in the way. It is empty where all graphs may agree, and no
        set of variables is valid to adjust for in each of them.

    Attributes
    ----------
    graph : PartialGraph
        The graph with open ends.
    outcome, treatment, given : tuple of names
        What was asked for.
    edges : tuple of (a, mark, b)
        The edges that stand in the way.
    hedge : None
        The graph is not known, so that nothing in it can prove the refusal.
    remedies : dict
        Its item "decide" lists the edges.

    See Also
    --------
    PartialGraph.identify : Raises it.
    PartialGraph.resolutions : The cases that the graphs fall into.

    Examples
    --------
    >>> from sklearn_causalrec import NotIdentifiableError, PartialGraph
    >>> try:
    ...     PartialGraph("x --- y").identify("y", "x")
    ... except NotIdentifiableError as error:
    ...     print(error.remedies["decide"])
    [('x', '---', 'y')]
    """

    def __init__(self, graph, query, edges):
        ValueError.__init__(self, graph, query, edges)
        self.graph, self.edges, self.hedge = graph, edges, None
        self.outcome, self.treatment, self.given = query
        self.experiments = ()
        self.effective = self.outcome, self.treatment
        self.remedies = {"measure": [], "experiment": [], "decide": list(edges)}

    def __reduce__(self):
        query = self.outcome, self.treatment, self.given
        return type(self), (self.graph, query, self.edges)

    def __str__(self):
        query = P(self.outcome, self.given, self.treatment)
        shown = "; ".join(" ".join(map(str, edge)) for edge in self.edges[:6])
        if len(self.edges) > 6:
            shown += f"; and {len(self.edges) - 6} more"
        if not self.edges:
            what = "is not the same in all graphs that the data leave possible"
            if self.given:
                what = (
                    "is not identified by adjustment: no set of variables is valid in "
                    "all graphs that the data leave possible"
                )
            return (
                f"{query} {what}. Decide open ends from knowledge, or give the graph "
                "that you believe in: CausalGraph."
            )
        if self.graph.kind != "cpdag":
            return (
                f"{query} is not the same in all graphs that the data leave possible: "
                f"the ends of these edges are open, or they may have a latent common "
                f"cause as well: {shown}. Decide them from knowledge and give the "
                "graph, CausalGraph; for discrete variables its bounds() say what is "
                "left. An experiment on "
                f"{', '.join(map(str, self.treatment))} always decides."
            )
        return (
            f"{query} is not the same in all graphs that the data leave possible: the "
            f"direction of these edges is open: {shown}. Decide them, orient([...]); "
            "or take the range of the effect over all of these graphs: ate_range() of "
            "DoCalculusEffect estimates it, resolutions() lists the cases."
        )
