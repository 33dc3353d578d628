"""`CausalGraph`: a causal graph, and the questions one asks of it."""

from sklearn_causalrec.causal.graphs import dot, drawing, foreign, notation
from sklearn_causalrec.causal.graphs.admg import ADMG
from sklearn_causalrec.causal.graphs.bitsets import as_names, closure, separated
from sklearn_causalrec.causal.identification import adjustment, strategies
from sklearn_causalrec.causal.identification.identify import identify


class CausalGraph(ADMG):
    """An acyclic directed mixed graph (ADMG): who causes whom, and what is hidden.

    A directed edge ``a -> b`` says that ``a`` may cause ``b`` directly. A bidirected
    edge ``a <-> b`` says that a latent variable may cause both. Graphs are immutable
    and hashable, and equal if they have the same nodes and edges.

    Parameters
    ----------
    text : str
        The edges ``->``, ``<-`` and ``<->`` (or ``→``, ``←`` and ``↔``), in chains if
        one likes, separated by semicolons or line breaks. A name alone is a node
        without edges; ``#`` starts a comment. A name may contain spaces; a name with
        other signs, such as a comma or a brace, stands in double quotes, in which
        ``\\"`` is a quote and ``\\\\`` a backslash. Text that begins as DOT or
        dagitty text does, as in ``digraph {...}``, is read as `from_dot` reads it.

    Attributes
    ----------
    nodes : tuple of names
        The nodes in the order in which they were given.
    directed_edges : tuple of (cause, effect)
        The directed edges.
    bidirected_edges : tuple of (a, b)
        The bidirected edges, each pair once.
    topological_order : tuple of names
        All nodes, causes before effects.

    Raises
    ------
    TypeError
        If ``text`` is no text.
    ValueError
        If the text cannot be read, if an edge leads from a node to itself, or if the
        directed edges have a cycle.

    See Also
    --------
    DoCalculusEffect : Estimate an effect that a graph identifies.
    CausalDNNRecommender : A recommender that takes a graph, too.
    NotIdentifiableError : Raised if a graph does not determine an effect.
    plot.CausalGraphDisplay : Draw a graph with matplotlib.

    Notes
    -----
    A method that takes nodes takes one name or a collection of names, and raises a
    `ValueError` that lists the unknown ones. Names are text, numbers or other values
    that can be keys of a dict, save collections. Ancestors, descendants and districts
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
        nodes, directed, bidirected, latent = notation.read_arrows(text)
        if latent:
            seen = self.from_edges(directed, bidirected, nodes).project(latent)
            nodes, directed = seen.nodes, seen.directed_edges
            bidirected = seen.bidirected_edges
        self._build(nodes, directed, bidirected)

    # -- constructors and writers ------------------------------------------------

    @classmethod
    def from_networkx(cls, G, latent=()):
        """Make a graph from a networkx ``DiGraph``; latent nodes are projected out.

        Nodes whose attributes say so are latent, as ``observed="no"`` (DoWhy) or
        ``latent=True``, and so are those in the set ``G.latents`` (pgmpy).

        Parameters
        ----------
        G : networkx.DiGraph or networkx.MultiDiGraph
            The graph to read. An edge whose attribute ``bidirected`` is true, or whose
            attribute ``dir`` is "both", is a bidirected edge.
        latent : name or collection of names, default=()
            Further latent nodes of ``G``.

        Returns
        -------
        CausalGraph
            The graph on the observed nodes; see `project`.

        Raises
        ------
        TypeError
            If ``G`` is no networkx graph.
        ValueError
            If ``G`` is undirected, or if an attribute speaks of latent variables or
            directions in a way that is not understood.

        See Also
        --------
        to_networkx : Write such a graph.

        Examples
        --------
        >>> import networkx as nx
        >>> G = nx.DiGraph([("taste", "view"), ("taste", "buy"), ("view", "buy")])
        >>> G.nodes["taste"]["observed"] = "no"
        >>> CausalGraph.from_networkx(G)
        CausalGraph('view -> buy; view <-> buy')
        """
        read = foreign.read_networkx(G)
        graph = cls._from_reading(read)
        if not read.latent:
            return graph.project(latent)
        hidden = set(read.latent)
        return graph.project([name for name in as_names(latent) if name not in hidden])

    def to_networkx(self):
        """Write a networkx ``MultiDiGraph``.

        Returns
        -------
        networkx.MultiDiGraph
            Bidirected edges have the attribute ``bidirected=True``.

        See Also
        --------
        from_networkx : Read such a graph.

        Examples
        --------
        >>> G = CausalGraph("x -> y; x <-> y").to_networkx()
        >>> list(G.edges(data=True))
        [('x', 'y', {}), ('x', 'y', {'bidirected': True})]
        """
        import networkx as nx

        G = nx.MultiDiGraph()
        G.add_nodes_from(self.nodes)
        G.add_edges_from(self.directed_edges)
        G.add_edges_from(self.bidirected_edges, bidirected=True)
        return G

    @classmethod
    def from_dot(cls, source):
        """Make a graph from DOT text; latent nodes are projected out.

        Parameters
        ----------
        source : str
            The text, ``digraph {...}``. An edge with ``dir=both`` (its own or by
            default), and a pair of edges in both directions that are marked latent,
            are bidirected. A node is latent if its attributes say so, as
            ``observed="no"`` (DoWhy), ``latent`` (dagitty) or the label "Unobserved
            Confounders"; in graphs that causal-learn draws, if it is a square.

        Returns
        -------
        CausalGraph
            The graph on the observed nodes; see `project`.

        Raises
        ------
        TypeError
            If ``source`` is no text.
        ValueError
            If the text cannot be read, if a graph or an edge is undirected, or if an
            attribute speaks of latent variables or directions in a way that is not
            understood. The message says where and why.

        See Also
        --------
        to_dot : Write such text.
        from_dagitty : The same for the text of dagitty.

        Examples
        --------
        >>> CausalGraph.from_dot('digraph { U [observed="no"]; U -> {x y}; x -> y }')
        CausalGraph('x -> y; x <-> y')
        """
        return cls._from_reading(dot.read_braces(source))

    @classmethod
    def from_dagitty(cls, source):
        """Make a graph from the text of dagitty; latent nodes are projected out.

        Parameters
        ----------
        source : str
            The text, ``dag {...}``, of dagitty.net or the R package dagitty.

        Returns
        -------
        CausalGraph
            The graph on the observed nodes; see `project`.

        Raises
        ------
        TypeError
            If ``source`` is no text.
        ValueError
            If the text cannot be read, or if it is no directed acyclic graph; see
            `from_dot`.

        See Also
        --------
        to_dagitty : Write such text.
        from_dot : The same for DOT text.

        Examples
        --------
        >>> CausalGraph.from_dagitty("dag { U [latent] ; x <- U -> y ; x -> y }")
        CausalGraph('x -> y; x <-> y')
        """
        return cls._from_reading(dot.read_braces(source))

    @classmethod
    def _from_reading(cls, read):
        return cls.from_edges(read.directed, read.bidirected, read.nodes).project(
            read.latent
        )

    def to_dot(self):
        """Write DOT text for Graphviz.

        Returns
        -------
        str
            Names stand in double quotes, with their quotes and backslashes escaped.
            Bidirected edges are dashed and have two heads.

        Raises
        ------
        ValueError
            If two names are the same as text, as 1 and "1".

        See Also
        --------
        from_dot : Read such text. Names come back as text.

        Examples
        --------
        >>> print(CausalGraph("x -> y; x <-> y").to_dot())
        digraph {
          "x";
          "y";
          "x" -> "y";
          "x" -> "y" [dir=both, style=dashed];
        }
        """
        return dot.to_dot(self)

    def to_dagitty(self):
        """Write text that dagitty.net and the R package dagitty read.

        Returns
        -------
        str
            The names, then the edges, one a line.

        Raises
        ------
        ValueError
            If two names are the same as text, as 1 and "1".

        See Also
        --------
        from_dagitty : Read such text. Names come back as text.

        Examples
        --------
        >>> print(CausalGraph("x -> y; x <-> y").to_dagitty())
        dag {
        "x"
        "y"
        "x" -> "y"
        "x" <-> "y"
        }
        """
        return dot.to_dagitty(self)

    @classmethod
    def discover(cls, X, method="pc", **options):
        """Learn a graph from data with causal-learn.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_columns)
            The data, one column for each variable.
        method : {"pc", "fci", "ges", "lingam"}, default="pc"
            The algorithm.
        **options : dict
            The other parameters of `discovery.discover`, such as ``tiers``.

        Returns
        -------
        DiscoveredGraph
            A graph that knows which ends the data leave open (``undirected``) and how
            well each edge is supported (``support``).

        Raises
        ------
        ImportError
            If causal-learn is not installed.
        ValueError
            If an option is unknown or does not suit the method, or if ``X`` has missing
            values, text, or columns that do not vary.

        See Also
        --------
        sklearn_causalrec.causal.discovery.discover : The same as a function.
        falsify : Test a graph against data.
        """
        from sklearn_causalrec.causal.discovery import discover

        return discover(X, method=method, **options)

    def __str__(self):
        return notation.to_arrows(self)

    def __repr__(self):
        n = len(self.directed_edges) + len(self.bidirected_edges)
        if n > 12 or len(self) > 24:
            return (
                f"<CausalGraph: {len(self)} nodes, {len(self.directed_edges)} directed "
                f"and {len(self.bidirected_edges)} bidirected edges>"
            )
        if all(isinstance(name, str) for name in self.nodes):
            return f"CausalGraph({str(self)!r})"
        return (
            f"CausalGraph.from_edges({list(self.directed_edges)}, "
            f"{list(self.bidirected_edges)}, {list(self.nodes)})"
        )

    def _repr_html_(self):
        return drawing.svg(self)

    # -- independence and the rules of do-calculus -------------------------------

    def is_separated(self, x, y, given=()):
        """Test whether ``x`` and ``y`` are m-separated by ``given``.

        Parameters
        ----------
        x : name or collection of names
            One set of nodes.
        y : name or collection of names
            The other set of nodes.
        given : name or collection of names, default=()
            The nodes that are conditioned on.

        Returns
        -------
        bool
            True if every path between the two sets is blocked.

        Raises
        ------
        ValueError
            If a name is no node, or if two of the sets overlap.

        See Also
        --------
        rule : Separation in the graphs of do-calculus.

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
        """Test whether a rule of do-calculus applies [1]_.

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
            The number of the rule.
        outcome : name or collection of names
            The set Y.
        treatment : name or collection of names
            The set X; it may be empty.
        z : name or collection of names
            The set Z, whose observation or intervention the rule is about.
        given : name or collection of names, default=()
            The set W.

        Returns
        -------
        bool
            True if the rule applies.

        Raises
        ------
        ValueError
            If there is no such rule, if a name is no node, or if two sets overlap.

        See Also
        --------
        identify : Derive an effect by such rules.

        References
        ----------
        .. [1] Pearl, J. (1995). "Causal diagrams for empirical research." Biometrika
           82, theorem 3.

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
        """Make the graph without the first edge of each proper causal path.

        Such a path leads from the treatment to the outcome, and only its first node is
        a treatment. Take a set without treatments and outcomes, and without descendants
        of the nodes that come after the treatment on such a path. The set is valid for
        adjustment exactly if it separates treatment and outcome in this graph.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.

        Returns
        -------
        CausalGraph
            The proper back-door graph.

        Raises
        ------
        ValueError
            If a name is no node, or if the outcome and the treatment overlap.

        See Also
        --------
        adjustment_sets : The valid sets themselves.

        Examples
        --------
        >>> CausalGraph("z -> x -> y; z -> y").proper_backdoor("y", "x")
        CausalGraph('z -> x; z -> y')
        """
        y, x = self.masks(outcome=outcome, treatment=treatment)
        return adjustment.proper_backdoor(self, x, y)

    # -- identification and what it rests on -------------------------------------

    def identify(self, outcome, treatment, given=(), *, experiments=()):
        """Express P(outcome | do(treatment), given) by what can be observed.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        given : name or collection of names, default=()
            The variables that the effect is conditional on.
        experiments : collection of collections of names, default=()
            The sets of variables that were randomized in further data at hand.

        Returns
        -------
        Estimand
            The formula, its derivation, and the program that evaluates it.

        Raises
        ------
        NotIdentifiableError
            If the graph does not determine the effect; its ``hedge`` proves it.
        ValueError
            If there is no outcome, if a name is no node, or if two of the sets overlap.

        See Also
        --------
        adjustment_sets : What to adjust for.
        DoCalculusEffect : Estimate the effect from data.

        Examples
        --------
        >>> print(CausalGraph("z -> x -> y; z -> y").identify("y", "x"))
        P(y | do(x)) = Σ_{z} P(y | z, x) P(z)
        """
        return identify(self, outcome, treatment, given, experiments=experiments)

    def adjustment_sets(self, outcome, treatment, kind="minimal", **options):
        """List, lazily, the sets to adjust for.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        kind : {"minimal", "minimum", "optimal", "all"}, default="minimal"
            The sets to list: those without a superfluous member, one of least cost,
            the one of least asymptotic variance, or all valid sets.
        **options : dict
            The other parameters of `identification.adjustment.adjustment_sets`.

        Returns
        -------
        iterator of frozenset of names
            The sets; at most one for "minimum" and for "optimal".

        Raises
        ------
        ValueError
            If ``kind`` is unknown, if a name is no node, if the outcome or the
            treatment is empty, if the two overlap, or if a cost is no positive whole
            number.

        See Also
        --------
        frontdoor_sets : Sets for another strategy.

        Examples
        --------
        >>> [sorted(s) for s in CausalGraph("z -> x -> y; z -> y").adjustment_sets(
        ...     "y", "x")]
        [['z']]
        """
        return adjustment.adjustment_sets(self, outcome, treatment, kind, **options)

    def frontdoor_sets(self, outcome, treatment):
        """List, lazily, the sets of mediators that satisfy the front-door criterion.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.

        Returns
        -------
        iterator of frozenset of names
            The sets.

        Raises
        ------
        ValueError
            If a name is no node, or if the outcome and the treatment overlap.

        See Also
        --------
        adjustment_sets : Sets for the back door.

        Examples
        --------
        >>> list(CausalGraph("x -> m -> y; x <-> y").frontdoor_sets("y", "x"))
        [frozenset({'m'})]
        """
        return strategies.frontdoor_sets(self, outcome, treatment)

    def instruments(self, outcome, treatment):
        """List, lazily, instruments with the set that each is conditional on.

        An effect by an instrument needs assumptions beyond the graph.

        Parameters
        ----------
        outcome : name
            The outcome.
        treatment : name
            The treatment.

        Returns
        -------
        iterator of (name, frozenset of names)
            Pairs of an instrument and its conditioning set.

        Raises
        ------
        ValueError
            If a name is no node, if there is not exactly one outcome and one treatment,
            or if the two are the same.

        See Also
        --------
        identify : Effects that the graph alone determines.

        Examples
        --------
        >>> list(CausalGraph("z -> x -> y; x <-> y").instruments("y", "x"))
        [('z', frozenset())]
        """
        return strategies.instruments(self, outcome, treatment)

    def bounds(self, outcome, treatment, table, *, n_rows=None):
        """Bound the effect of a treatment, identified or not, on discrete data.

        What latent causes can do to discrete variables is a distribution over finitely
        many types. The bounds are those of a linear program over them: with an
        instrument those of Balke and Pearl [1]_, without anything those of Manski [2]_,
        and what lies between for other graphs.

        Parameters
        ----------
        outcome : name
            The outcome.
        treatment : name
            The treatment.
        table : pandas.Series or DataFrame
            Joint probabilities, with the observed causes of the outcome as index
            levels; or the rows that they are to be counted in.
        n_rows : int, default=None
            The number of rows that the probabilities were counted in, for intervals.
            With None they are taken to be exact.

        Returns
        -------
        EffectBounds
            Its ``effect()`` are the bounds of the average effect, its
            ``effect_interval()`` counts sampling, and its ``probabilities`` are the
            bounds of P(outcome | do(treatment)).

        Raises
        ------
        TypeError
            If the table is neither Series nor DataFrame.
        ValueError
            If a name is no node, if there is not one outcome and one treatment, if the
            table is no distribution over the nodes that are needed, if the graph cannot
            have it, or if the types are too many.

        See Also
        --------
        identify : Where the effect is identified, its formula.
        instruments : Nodes that make bounds narrower.

        References
        ----------
        .. [1] Balke, A. and Pearl, J. (1997). "Bounds on treatment effects from studies
           with imperfect compliance." JASA 92.
        .. [2] Manski, C. (1990). "Nonparametric bounds on treatment effects." American
           Economic Review 80.

        Examples
        --------
        >>> import pandas as pd
        >>> index = pd.MultiIndex.from_product([[0, 1]] * 3, names=["z", "x", "y"])
        >>> table = pd.Series([.32, .08, .02, .08, .04, .06, .08, .32], index=index)
        >>> graph = CausalGraph("z -> x -> y; x <-> y")
        >>> graph.bounds("y", "x", table).effect()
        (0.28, 0.68)
        """
        from sklearn_causalrec.causal.bounds import bounds

        return bounds(self, outcome, treatment, table, n_rows)

    def transport(self, outcome, treatment, differs, *, target=None, experiments=()):
        """Express an effect in another population than the one the data are of [1]_.

        The graph holds in both populations. Some variables come about otherwise in the
        target than in the source: in selection diagrams, a selection node points to
        each of them. Every district of the effect is read off data that have the same
        mechanism and identify it. With all variables measured in both populations this
        finds a formula wherever there is one [2]_.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        differs : name or collection of names
            The variables whose mechanism, or whose latent causes, differ.
        target : collection of names, default=None
            The variables that are measured in the target, without experiments. With
            None they are those that the treatment does not cause.
        experiments : collection of collections of names, default=()
            The sets of variables that were randomized in further data of the source.

        Returns
        -------
        Transport
            The formula, the population that each part of it is read off, and
            ``evaluate``.

        Raises
        ------
        NotIdentifiableError
            If the effect does not carry over; the message names the variables.
        ValueError
            If a name is no node, or outcome and treatment overlap.

        See Also
        --------
        identify : Effects in the population of the data.

        References
        ----------
        .. [1] Pearl, J. and Bareinboim, E. (2014). "External validity: from
           do-calculus to transportability across populations." Statistical Science 29.
        .. [2] Lee, S., Correa, J. and Bareinboim, E. (2020). "General transportability:
           synthesizing observations and experiments from heterogeneous domains." AAAI.

        Examples
        --------
        >>> graph = CausalGraph("age -> x -> y; age -> y; x <-> y")
        >>> print(graph.transport("y", "x", differs="age", experiments=["x"]))
        P*(y | do(x)) = Σ_{age} of the product of
          P(age) = P(age), in the target
          P(y | do(age, x)) = P(y | do(x), age), in the source
        """
        from sklearn_causalrec.causal.transport import transport

        return transport(self, outcome, treatment, differs, target, experiments)

    def testable_implications(self):
        """List, lazily, independences that the graph implies in the data.

        Returns
        -------
        iterator of (name, name, frozenset of names)
            Pairs of nodes with a set that separates them.

        See Also
        --------
        falsify : Test them.

        Examples
        --------
        >>> list(CausalGraph("a -> b -> c").testable_implications())
        [('a', 'c', frozenset({'b'}))]
        """
        from sklearn_causalrec.causal import falsification

        return falsification.testable_implications(self)

    def falsify(self, X, **options):
        """Test the independences that the graph implies against data.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            The data, with a column for each node.
        **options : dict
            The other parameters of `falsification.falsify`.

        Returns
        -------
        pandas.DataFrame
            One row for each test, the smallest p-value first.

        Raises
        ------
        ImportError
            If causal-learn is not installed.
        TypeError
            If ``X`` has no column names.
        ValueError
            If a node has no column, if an option is unknown, or if the data have
            missing values, text for a numeric test, or columns that do not vary.

        See Also
        --------
        testable_implications : What is tested.
        discover : Learn a graph instead.
        """
        from sklearn_causalrec.causal import falsification

        return falsification.falsify(self, X, **options)
