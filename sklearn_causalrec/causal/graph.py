"""`CausalGraph`: a causal graph, and the questions one asks of it."""

from sklearn_causalrec.causal import falsification
from sklearn_causalrec.causal.graphs import drawing, notation
from sklearn_causalrec.causal.graphs.admg import ADMG
from sklearn_causalrec.causal.graphs.bitsets import closure, separated
from sklearn_causalrec.causal.identification import adjustment, strategies
from sklearn_causalrec.causal.identification.identify import identify


class CausalGraph(ADMG):
    """An acyclic directed mixed graph (ADMG): who causes whom, and what is hidden.

    A directed edge ``a -> b`` says that ``a`` may cause ``b`` directly; a bidirected
    edge ``a <-> b`` says that a latent variable may cause both. Graphs are immutable
    and hashable, and equal where they have the same nodes and edges.

    Parameters
    ----------
    text : str
        Edges ``->``, ``<-`` and ``<->``, in chains if one likes, separated by
        semicolons or line breaks; a name alone is a node without edges; ``#`` starts a
        comment. Names may contain spaces.

    Raises
    ------
    ValueError
        For a cycle, an edge from a node to itself, or text that cannot be read.

    Notes
    -----
    Wherever a method takes nodes it takes one name or a collection of names, and raises
    a `ValueError` that lists the unknown ones. Ancestors, descendants and districts
    contain the nodes asked about, as in the literature.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> graph = CausalGraph("browse -> purchase -> rating; browse <-> rating")
    >>> graph
    CausalGraph('browse -> purchase; purchase -> rating; browse <-> rating')
    >>> graph.is_separated("browse", "rating", given="purchase")
    False
    >>> print(graph.identify("rating", "purchase"))
    P(rating | do(purchase)) = Σ_{browse} P(rating | browse, purchase) P(browse)
    """

    def __init__(self, text):
        nodes, directed, bidirected = notation.parse_arrows(text)
        self._build(nodes, directed, bidirected)

    # -- constructors and writers ------------------------------------------------

    @classmethod
    def from_networkx(cls, G, latent=()):
        """Graph from a networkx ``DiGraph``; latent nodes are projected out.

        Parameters
        ----------
        G : networkx.DiGraph or networkx.MultiDiGraph
            An edge whose attribute ``bidirected`` is true is a bidirected edge (what
            `to_networkx` writes).
        latent : names
            Hidden nodes of ``G`` (see `project`).
        """
        directed, bidirected = [], []
        for a, b, marked in G.edges(data="bidirected"):
            (bidirected if marked else directed).append((a, b))
        return cls.from_edges(directed, bidirected, nodes=G.nodes).project(latent)

    def to_networkx(self):
        """A networkx ``MultiDiGraph``; bidirected edges have ``bidirected=True``."""
        import networkx as nx

        G = nx.MultiDiGraph()
        G.add_nodes_from(self.nodes)
        G.add_edges_from(self.directed_edges)
        G.add_edges_from(self.bidirected_edges, bidirected=True)
        return G

    @classmethod
    def from_dot(cls, source):
        """Graph from DOT text: ``dir=both`` and ``<->`` are bidirected edges."""
        nodes, directed, bidirected, _ = notation.parse_braces(source)
        return cls.from_edges(directed, bidirected, nodes)

    @classmethod
    def from_dagitty(cls, source):
        """Graph from the text of dagitty.net; nodes marked latent are projected out."""
        nodes, directed, bidirected, latent = notation.parse_braces(source)
        return cls.from_edges(directed, bidirected, nodes).project(latent)

    def to_dot(self):
        """DOT text for Graphviz, bidirected edges dashed with two heads."""
        return notation.to_dot(self)

    def to_dagitty(self):
        """Text that dagitty.net and the R package dagitty read."""
        return notation.to_dagitty(self)

    @classmethod
    def discover(cls, X, method="pc", **options):
        """Learn a graph from data; see `sklearn_causalrec.causal.discovery.discover`.

        Returns
        -------
        Discovery
            With ``graph`` (or an error that lists the ends left open), ``edges`` with
            their bootstrap support, and ``undirected``.
        """
        from sklearn_causalrec.causal.discovery import discover

        return discover(X, method=method, **options)

    def __str__(self):
        return notation.to_arrows(self)

    def __repr__(self):
        n = len(self.directed_edges) + len(self.bidirected_edges)
        if n <= 12 and len(self) <= 24:
            return f"CausalGraph({str(self)!r})"
        return (
            f"<CausalGraph: {len(self)} nodes, {len(self.directed_edges)} directed and "
            f"{len(self.bidirected_edges)} bidirected edges>"
        )

    def _repr_html_(self):
        return drawing.svg(self)

    # -- independence and the rules of do-calculus -------------------------------

    def is_separated(self, x, y, given=()):
        """Whether ``x`` and ``y`` are m-separated by ``given``.

        Examples
        --------
        >>> graph = CausalGraph("a -> b -> c; a <-> c")
        >>> graph.is_separated("a", "c", given="b")
        False
        >>> CausalGraph("a -> b -> c").is_separated("a", "c", given="b")
        True
        """
        return separated(self, *self.masks(x=x, y=y, given=given))

    def rule(self, number, outcome, treatment, z, given=()):
        """Whether a rule of do-calculus applies [1]_.

        With X the treatment, W the given set and Y the outcome,

        1. P(y | do(x), z, w) = P(y | do(x), w)
        2. P(y | do(x), do(z), w) = P(y | do(x), z, w)
        3. P(y | do(x), do(z), w) = P(y | do(x), w)

        Each holds if X and W separate Y from Z in the graph without the edges into X
        and (rule 2) those out of Z, or (rule 3) those into the members of Z that do not
        cause W once X is set.

        Parameters
        ----------
        number : {1, 2, 3}
        outcome, treatment, z, given : name or names
            ``treatment`` and ``given`` may be empty.

        Returns
        -------
        bool

        References
        ----------
        .. [1] J. Pearl (1995). Causal diagrams for empirical research. Biometrika 82,
           theorem 3.

        Examples
        --------
        >>> graph = CausalGraph("z -> x -> y; z -> y")
        >>> graph.rule(2, "y", (), "x", given="z")
        True
        >>> graph.rule(2, "y", (), "x")
        False
        """
        if number not in (1, 2, 3):
            raise ValueError(f"the rules are numbered 1, 2 and 3, got {number!r}.")
        y, x, z_, w = self.masks(outcome=outcome, treatment=treatment, z=z, given=given)
        no_in, no_out = x, 0
        if number == 2:
            no_out = z_
        elif number == 3:
            no_in |= z_ & ~closure(self.surgery(no_in=x).parents_of, w, self.everything)
        return separated(self.surgery(no_in, no_out), y, z_, x | w)

    def proper_backdoor(self, outcome, treatment):
        """The graph without the first edge of each proper causal path."""
        y, x = self.masks(outcome=outcome, treatment=treatment)
        return adjustment.proper_backdoor(self, x, y)

    # -- identification and what it rests on -------------------------------------

    def identify(self, outcome, treatment, given=(), *, experiments=()):
        """Express P(outcome | do(treatment), given) by what can be observed.

        See `sklearn_causalrec.causal.identification.identify.identify`.
        """
        return identify(self, outcome, treatment, given, experiments=experiments)

    def adjustment_sets(self, outcome, treatment, kind="minimal", **options):
        """Lazily, the sets to adjust for.

        See `sklearn_causalrec.causal.identification.adjustment.adjustment_sets`.
        """
        return adjustment.adjustment_sets(self, outcome, treatment, kind, **options)

    def frontdoor_sets(self, outcome, treatment):
        """Lazily, the sets of mediators that satisfy the front-door criterion.

        See `sklearn_causalrec.causal.identification.strategies.frontdoor_sets`.
        """
        return strategies.frontdoor_sets(self, outcome, treatment)

    def instruments(self, outcome, treatment):
        """Lazily, pairs (instrument, conditioning set); they need more than the graph.

        See `sklearn_causalrec.causal.identification.strategies.instruments`.
        """
        return strategies.instruments(self, outcome, treatment)

    def testable_implications(self):
        """Lazily, independences ``(a, b, given)`` the graph implies in the data.

        See `sklearn_causalrec.causal.falsification.testable_implications`.
        """
        return falsification.testable_implications(self)

    def falsify(self, X, **options):
        """Test those independences against data.

        See `sklearn_causalrec.causal.falsification.falsify`.
        """
        return falsification.falsify(self, X, **options)
