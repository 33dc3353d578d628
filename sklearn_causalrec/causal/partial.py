"""`PartialGraph`: what data can tell of a causal graph, and which effects it fixes."""

from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.graphs.ends_notation import read_ends, write_ends
from sklearn_causalrec.causal.graphs.mixed import MixedGraph, forward
from sklearn_causalrec.causal.graphs.words import several, shown
from sklearn_causalrec.causal.identification.adjustment import check_query, sets_of
from sklearn_causalrec.causal.identification.generalized import (
    adjustment_problem,
    causal_nodes,
    obstacles,
    resolved,
)
from sklearn_causalrec.causal.identification.markov_class import is_identified
from sklearn_causalrec.causal.identification.remedies import UndecidedError

_OPEN = {"---", "o->", "o-o"}
KINDS = ("auto", "cpdag", "mag", "pag")


class PartialGraph:
    """A graph with open ends: all causal graphs that data cannot tell apart.

    Independences in data determine some ends of edges and leave others open. Such a
    graph stands for a class of causal graphs. An effect is identified where it is the
    same in all of them; where it is not, `resolutions` has the cases.

    Parameters
    ----------
    text : str
        The edges, in chains if one likes, separated by semicolons or line breaks, as in
        ``a --- b; b --> c``. The ends of an edge are a tail ``-``, an arrowhead ``>``
        or a circle ``o``, which stands for either: ``-->`` (or ``->``), ``---`` (or
        ``--``), ``o->``, ``o-o``, ``<->`` and their mirror images. A name alone is a
        node without edges. Names are written as for `CausalGraph`.
    kind : {"auto", "cpdag", "mag", "pag"}, default="auto"
        What the graph stands for. "cpdag": directed acyclic graphs without latent
        causes; ``a --- b`` is directed one way or the other. "mag" and "pag": graphs in
        which latent causes may act on several nodes; a "mag" has no circles. "auto"
        takes "cpdag" where there are edges ``---``, and "pag" where there are circles
        or ``<->``.

    Attributes
    ----------
    nodes : tuple of names
        The nodes in the order in which they were given.
    edges : tuple of (a, mark, b)
        The edges, as in ``("a", "o->", "b")``.
    undecided : tuple of (a, mark, b)
        Those with an open end.
    kind : str
        "cpdag", "mag" or "pag".

    Raises
    ------
    TypeError
        If ``text`` is no text.
    ValueError
        If the text cannot be read, if two nodes are joined by two edges, if no graph
        has these edges, or if the kind is not told by the edges.

    See Also
    --------
    CausalGraph : A graph without open ends.
    CausalGraph.discover : Learn a graph; its ``to_partial`` is such a graph.
    DoCalculusEffect : It takes such a graph, and has a range where it has no number.

    Notes
    -----
    Of a "cpdag", edges that follow from the others are directed [1]_, so that further
    knowledge can be written as directed edges, too. A "pag" must have all ends that
    follow from its others, as FCI gives them. Selection bias is not covered.

    References
    ----------
    .. [1] Meek, C. (1995). "Causal inference and causal explanation with background
       knowledge." UAI.

    Examples
    --------
    >>> from sklearn_causalrec import PartialGraph
    >>> graph = PartialGraph("a --> x; b --> x; x --- y")
    >>> graph
    PartialGraph('a --> x; x --> y; b --> x', kind='cpdag')
    >>> print(graph.identify("y", "x"))
    P(y | do(x)) = P(y | x)
    >>> graph = PartialGraph("z --- x; z --- y; x --- y")
    >>> [str(case) for case in graph.resolutions("y", "x")][0]
    'z --- y; x --> z; x --> y'
    """

    def __init__(self, text, kind="auto"):
        nodes, edges = read_ends(text)
        self._mixed = MixedGraph(edges, nodes, _kind_of(edges, kind))

    @classmethod
    def from_edges(cls, edges, nodes=(), kind="auto"):
        """Make a graph from triples.

        Parameters
        ----------
        edges : iterable of (a, mark, b)
            The edges, as in ``("a", "o->", "b")``.
        nodes : iterable of names, default=()
            Nodes that the graph has whether or not an edge names them. They come first.
        kind : {"auto", "cpdag", "mag", "pag"}, default="auto"
            What the graph stands for.

        Returns
        -------
        PartialGraph
            The graph.

        Raises
        ------
        ValueError
            If an edge is no such triple, or the edges are none of a graph.

        See Also
        --------
        from_networkx : The same from a networkx graph.

        Examples
        --------
        >>> PartialGraph.from_edges([("a", "---", "b")], nodes=["c"])
        PartialGraph('c; a --- b')
        """
        edges = [forward(edge) for edge in edges]
        return cls._of(MixedGraph(edges, as_names(nodes), _kind_of(edges, kind)))

    @classmethod
    def _of(cls, mixed):
        graph = cls.__new__(cls)
        graph._mixed = mixed
        return graph

    @classmethod
    def from_networkx(cls, G, kind="auto"):
        """Make a graph from a networkx ``DiGraph``.

        Parameters
        ----------
        G : networkx.DiGraph or networkx.MultiDiGraph
            The graph. An edge is of the kind that its attribute ``mark`` says, such as
            ``"o->"``, and directed without one. Two edges in both directions without
            marks are one edge ``---``, as several packages write a CPDAG.
        kind : {"auto", "cpdag", "mag", "pag"}, default="auto"
            What the graph stands for.

        Returns
        -------
        PartialGraph
            The graph.

        Raises
        ------
        TypeError
            If ``G`` is no directed networkx graph.
        ValueError
            If a mark is unknown.

        See Also
        --------
        to_networkx : Write such a graph.

        Examples
        --------
        >>> import networkx as nx
        >>> G = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])
        >>> PartialGraph.from_networkx(G).undecided
        (('a', '---', 'b'),)
        """
        if not getattr(G, "is_directed", bool)():
            raise TypeError(
                f"from_networkx reads a networkx.DiGraph, got {type(G).__name__}."
            )
        marked = [(a, d["mark"], b) for a, b, d in G.edges(data=True) if "mark" in d]
        plain = {(a, b) for a, b, d in G.edges(data=True) if "mark" not in d}
        for a, b in plain:
            if (b, a) not in plain:
                marked.append((a, "-->", b))
            elif (b, "---", a) not in marked:
                marked.append((a, "---", b))
        return cls.from_edges(marked, list(G.nodes), kind)

    def to_networkx(self):
        """Write a networkx ``DiGraph``.

        Returns
        -------
        networkx.DiGraph
            One edge for each, from its first node to its second, with the attribute
            ``mark``, as in ``mark="o->"``.

        See Also
        --------
        from_networkx : Read such a graph.

        Examples
        --------
        >>> list(PartialGraph("a --- b").to_networkx().edges(data=True))
        [('a', 'b', {'mark': '---'})]
        """
        import networkx as nx

        G = nx.DiGraph()
        G.add_nodes_from(self.nodes)
        G.add_edges_from((a, b, {"mark": mark}) for a, mark, b in self.edges)
        return G

    @property
    def nodes(self):
        """The nodes as a tuple, in the order in which they were given."""
        return self._mixed.nodes

    @property
    def edges(self):
        """The edges, a tuple of ``(a, mark, b)``, as in ``("a", "o->", "b")``."""
        return self._mixed.edges

    @property
    def kind(self):
        """What the graph stands for: "cpdag", "mag" or "pag"."""
        return self._mixed.kind

    @property
    def undecided(self):
        """The edges with an open end, a tuple of ``(a, mark, b)``."""
        return tuple(e for e in self.edges if e[1] in _OPEN)

    def __str__(self):
        return write_ends(self)

    def __repr__(self):
        if len(self.edges) > 12 or len(self.nodes) > 24:
            return (
                f"<PartialGraph ({self.kind}): {len(self.nodes)} nodes, "
                f"{len(self.edges)} edges, {len(self.undecided)} of them undecided>"
            )
        told = "" if _told(e[1] for e in self.edges) else f", kind={self.kind!r}"
        if all(isinstance(name, str) for name in self.nodes):
            return f"PartialGraph({str(self)!r}{told})"
        edges, nodes = list(self.edges), list(self.nodes)
        return f"PartialGraph.from_edges({edges}, {nodes}{told})"

    def _key(self):
        marks = {(a, mark, b) for a, mark, b in self.edges}
        marks |= {(b, m, a) for a, m, b in self.edges if m in ("---", "o-o", "<->")}
        return frozenset(self.nodes), frozenset(marks), self._mixed.latent

    def __eq__(self, other):
        if not isinstance(other, PartialGraph):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self):
        return hash(self._key())

    def __len__(self):
        return len(self.nodes)

    def __contains__(self, name):
        try:
            return name in self._mixed.number
        except TypeError:  # a list is no node
            return False

    # -- knowledge -----------------------------------------------------------------

    def orient(self, directed):
        """Decide some of the edges ``---`` from knowledge.

        Parameters
        ----------
        directed : iterable of (cause, effect)
            The pairs whose edge has a direction; those that follow are directed, too.

        Returns
        -------
        PartialGraph
            The graph with these edges.

        Raises
        ------
        ValueError
            If a pair is not joined, if its edge leads the other way, or if the graph is
            no "cpdag".

        See Also
        --------
        resolutions : All that could be decided about an effect.

        Examples
        --------
        >>> PartialGraph("a --- b; b --- c").orient([("a", "b")])
        PartialGraph('a --> b; b --> c', kind='cpdag')
        """
        if self._mixed.latent:
            raise ValueError(
                f"orient decides edges ---, and this graph is a {self.kind}: its ends "
                "need rules of their own. Learn it again with the knowledge, "
                "discover(method='fci', required=..., forbidden=..., tiers=...)."
            )
        mixed = self._mixed
        for a, b in directed:
            i, j = self._number(a), self._number(b)
            if j not in mixed.ends[i] or mixed.is_directed(j, i):
                what = "are not joined" if j not in mixed.ends[i] else "it leads back"
                raise ValueError(
                    f"{shown(a, 40)} -> {shown(b, 40)} is not possible: {what}, in "
                    f"{self._of(mixed)!r}."
                )
            mixed = mixed.directed(i, j)
        return self._of(mixed)

    def resolutions(self, outcome, treatment):
        """List, lazily, the cases that the class falls into, with one effect in each.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.

        Returns
        -------
        iterator of PartialGraph
            The graph with some edges at the treatment directed. In each of these the
            effect is identified, and there are as few of them as possible [1]_. There
            is one, the graph itself, where the effect is identified in it.

        Raises
        ------
        ValueError
            If a name is no node, or if the graph has latent causes and does not
            identify the effect: in some graph of the class it then has no value that
            follows from data, and the others are no range of it.

        See Also
        --------
        DoCalculusEffect.ate_range : The effects in these cases, estimated.

        References
        ----------
        .. [1] Guo, F. and Perković, E. (2021). "Minimal enumeration of all possible
           total effects in a Markov equivalence class." AISTATS.

        Examples
        --------
        >>> for case in PartialGraph("x --- y; y --- w").resolutions("y", "x"):
        ...     print(case.identify("y", "x"))
        P(y | do(x)) = P(y | x)
        P(y | do(x)) = P(y)
        """
        y, x = self._sets(outcome, treatment)
        if self._mixed.latent:
            if not is_identified(self._mixed, x, y):
                raise self.undecided_error(outcome, treatment)
            return iter((self,))
        return (
            self if case is self._mixed else self._of(case)
            for case in resolved(self._mixed, x, y)
        )

    def possible_descendants(self, names):
        """Find everything that a set of nodes causes in some graph of the class.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            The nodes that the set causes in at least one graph, and the set itself.

        Raises
        ------
        ValueError
            If a name is no node.

        Examples
        --------
        >>> sorted(PartialGraph("a --- b; b --> c; d --> c").possible_descendants("a"))
        ['a', 'b', 'c']
        """
        starts = [self._number(name) for name in as_names(names)]
        return frozenset(self.nodes[i] for i in self._mixed.reached(starts, set()))

    # -- identification ------------------------------------------------------------

    def identify(self, outcome, treatment, given=()):
        """Express P(outcome | do(treatment), given) if all graphs agree on it.

        Every effect is found on which all graphs agree, where nothing is given: of a
        "cpdag" by [1]_, of a "mag" or "pag" by [2]_. Given something, it is in a "mag"
        or "pag" those effects that adjustment identifies [3]_.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        given : name or collection of names, default=()
            The variables that the effect is conditional on.

        Returns
        -------
        Estimand
            The formula, derived in one graph of the class, or, with latent causes where
            it is by adjustment, in a graph of nothing but that.

        Raises
        ------
        NotIdentifiableError
            If the graphs differ, or no set of variables is valid in all of them. The
            message names the open edges and the way out.
        ValueError
            If there is no outcome, if a name is no node, or if two of the sets overlap.

        See Also
        --------
        adjustment_sets : What to adjust for.
        resolutions : The cases, where the graphs differ.

        References
        ----------
        .. [1] Perković, E. (2020). "Identifying causal effects in maximally oriented
           partially directed acyclic graphs." UAI.
        .. [2] Jaber, A., Zhang, J. and Bareinboim, E. (2019). "Causal identification
           under Markov equivalence: completeness results." ICML.
        .. [3] Perković, E., Textor, J., Kalisch, M. and Maathuis, M. (2018). "Complete
           graphical characterization and construction of adjustment sets in Markov
           equivalence classes of ancestral graphs." JMLR 18(220).

        Examples
        --------
        >>> graph = PartialGraph("c o-> x; x --> y; c --> y; d o-> x", kind="pag")
        >>> print(graph.identify("y", "x"))
        P(y | do(x)) = Σ_{c} P(y | c, x) P(c)
        """
        y, x = self._sets(outcome, treatment, given)
        member, pruned, allowed, amenable = adjustment_problem(self._mixed, x, y)
        masks = member.masks(outcome=outcome, treatment=treatment, given=given)
        if not self._mixed.latent:
            together = y | {self._number(name) for name in as_names(given)}
            if not amenable or obstacles(self._mixed, x, together):
                raise self.undecided_error(outcome, treatment, given)
            return member.identify(outcome, treatment, given)
        if not causal_nodes(self._mixed, x, y) and not masks[2]:
            pairs = [(a, b) for a in as_names(treatment) for b in as_names(outcome)]
            return CausalGraph.from_edges((), pairs).identify(outcome, treatment)
        chosen = None
        if amenable and not masks[2] & ~allowed:
            chosen = next(
                (
                    z
                    for z in sets_of(member, masks[1], masks[0], pruned, allowed, "all")
                    if z >= member.named(masks[2])
                ),
                None,
            )
        if chosen is not None:
            return adjusting(
                self._ordered(chosen), as_names(treatment), as_names(outcome)
            ).identify(outcome, treatment, given)
        if masks[2] or not is_identified(self._mixed, x, y):
            raise self.undecided_error(outcome, treatment, given)
        return member.identify(outcome, treatment)

    def adjustment_sets(self, outcome, treatment, kind="minimal"):
        """List, lazily, the sets that are valid to adjust for in every graph [1]_.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        kind : {"minimal", "minimum", "optimal", "all"}, default="minimal"
            The sets to list: those without a superfluous member, a smallest one, the
            one of least asymptotic variance, or all valid sets.

        Returns
        -------
        iterator of frozenset of names
            The sets; at most one for "minimum" and for "optimal"; none where no set is
            valid in all graphs.

        Raises
        ------
        ValueError
            If ``kind`` is unknown, if a name is no node, or if the outcome and the
            treatment overlap, or one of them is empty.

        See Also
        --------
        is_adjustment_set : Whether a set is among them.

        References
        ----------
        .. [1] Perković, E., Textor, J., Kalisch, M. and Maathuis, M. (2018). "Complete
           graphical characterization and construction of adjustment sets in Markov
           equivalence classes of ancestral graphs." JMLR 18(220).

        Examples
        --------
        >>> graph = PartialGraph("c --- d; c --> x; d --> y; x --> y; e --> x")
        >>> [sorted(z) for z in graph.adjustment_sets("y", "x")]
        [['c'], ['d']]
        """
        y, x = self._sets(outcome, treatment)
        member, pruned, allowed, amenable = adjustment_problem(self._mixed, x, y)
        y, x = check_query(member, outcome, treatment, kind)
        if not amenable:
            return iter(())
        return sets_of(member, x, y, pruned, allowed, kind)

    def is_adjustment_set(self, outcome, treatment, names):
        """Test whether a set is valid to adjust for in every graph of the class.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        names : name or collection of names
            The set.

        Returns
        -------
        bool
            True if adjusting for the set gives the effect, in each of the graphs.

        Raises
        ------
        ValueError
            If a name is no node, or if two of the sets overlap.

        See Also
        --------
        adjustment_sets : The valid sets themselves.

        Examples
        --------
        >>> graph = PartialGraph("c --- d; c --> x; d --> y; x --> y; e --> x")
        >>> graph.is_adjustment_set("y", "x", ["c", "e"])
        True
        >>> graph.is_adjustment_set("y", "x", "e")
        False
        """
        y, x = self._sets(outcome, treatment, names)
        member, pruned, allowed, amenable = adjustment_problem(self._mixed, x, y)
        z = member.mask(names)
        return (
            amenable
            and not z & ~allowed
            and pruned.is_separated(treatment, outcome, names)
        )

    def undecided_error(self, outcome, treatment, given=()):
        """Make the error that says what keeps an effect open; `identify` raises it.

        Parameters
        ----------
        outcome : name or collection of names
            The outcome.
        treatment : name or collection of names
            The treatment.
        given : name or collection of names, default=()
            The variables that the effect is conditional on.

        Returns
        -------
        UndecidedError
            The error, which is not raised here.

        See Also
        --------
        identify : It raises the error where it has to.
        """
        y, x = self._sets(outcome, treatment, given)
        far = y | {self._number(name) for name in as_names(given)}
        edges = [
            edge
            for i, j in obstacles(self._mixed, x, far)
            for edge in self.edges
            if {edge[0], edge[2]} == {self.nodes[i], self.nodes[j]}
        ]
        asked = tuple(tuple(as_names(n)) for n in (outcome, treatment, given))
        return UndecidedError(self, asked, tuple(edges))

    # -- names -----------------------------------------------------------------------

    def _number(self, name):
        if name not in self:
            raise ValueError(
                f"{shown(name, 40)} is not in the graph; its nodes are "
                f"{several(self.nodes, 12)}."
            )
        return self._mixed.number[name]

    def _sets(self, outcome, treatment, given=()):
        """Outcome and treatment as sets of numbers; no name has two roles."""
        roles = {"outcome": outcome, "treatment": treatment, "given": given}
        found = {
            role: {self._number(name) for name in as_names(names)}
            for role, names in roles.items()
        }
        if not found["outcome"]:
            raise ValueError("name at least one outcome.")
        known = {}
        for role, some in found.items():
            for i in some:
                if i in known:
                    raise ValueError(
                        f"{self.nodes[i]!r} cannot be both {known[i]} and {role}."
                    )
                known[i] = role
        return found["outcome"], found["treatment"]

    def _ordered(self, names):
        return [name for name in self.nodes if name in names]


def adjusting(z, treatments, outcomes):
    """The graph that says no more than: adjust for ``z``.

    Every two nodes are joined, causes before effects.
    """
    nodes = [*z, *treatments, *outcomes]
    pairs = [(a, b) for k, b in enumerate(nodes) for a in nodes[:k]]
    return CausalGraph.from_edges(pairs, nodes=nodes)


def _told(marks):
    """Whether the marks of the edges tell the kind of the graph."""
    return not set(marks) <= {"-->"}


def _kind_of(edges, kind):
    """What a graph stands for, by its marks and by what the user says."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
    marks = {mark for _, mark, _ in edges}
    latent, open_ = marks & {"o->", "o-o", "<->"}, "---" in marks
    if (latent and open_) or (latent and kind == "cpdag"):
        raise ValueError(
            f"edges {', '.join(sorted(latent))} are those of a graph with latent "
            "causes, and no CPDAG has them; edges --- are those of a CPDAG."
        )
    if open_ and kind in ("mag", "pag"):
        raise ValueError(
            f"in a {kind.upper()} an edge --- would stand for selection bias, which is "
            "not covered; write o-o, or kind='cpdag'."
        )
    if kind == "auto" and edges and not _told(marks):
        raise ValueError(
            "all edges are directed, and whether they may have latent common causes as "
            "well is not told: kind='cpdag' says that there are none, kind='pag' that "
            "there may be."
        )
    if kind == "mag" and marks & _OPEN:
        odd = [" ".join(map(str, edge)) for edge in edges if edge[1] in _OPEN]
        raise ValueError(
            f"a MAG has no circles, and these ends are open: {several(odd)}. It is a "
            "PAG, kind='pag'."
        )
    if kind == "auto":
        return "pag" if latent else "cpdag"
    return kind
