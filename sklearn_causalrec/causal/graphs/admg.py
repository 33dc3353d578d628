"""`ADMG`: what follows from the edges of an acyclic directed mixed graph alone."""

from sklearn_causalrec.causal.graphs.bitsets import (
    MoralGraph,
    closure,
    components,
    mask_of,
    members,
)
from sklearn_causalrec.causal.graphs.numbered import NumberedGraph


class ADMG(NumberedGraph):
    """Relatives, districts and blankets of nodes, and graphs made from a graph.

    The base of `CausalGraph`.
    """

    # -- structure ---------------------------------------------------------------

    def _around(self, names, adjacent):
        """Names of the neighbors of a set, itself excluded."""
        mask = self.mask(names)
        near = mask_of(j for i in members(mask) for j in adjacent[i])
        return self.named(near & ~mask)

    def parents(self, names):
        """Find the direct causes of a set of nodes.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            The nodes with an edge into the set, without the set itself.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        children : The direct effects.
        ancestors : The indirect causes, too.
        """
        return self._around(names, self.parents_of)

    def children(self, names):
        """Find the direct effects of a set of nodes.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            The nodes that an edge out of the set leads to, without the set itself.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        parents : The direct causes.
        descendants : The indirect effects, too.
        """
        return self._around(names, self.children_of)

    def siblings(self, names):
        """Find the nodes that share a latent cause with a set of nodes.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            The nodes joined to the set by bidirected edges, without the set itself.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        district : All nodes that paths of bidirected edges reach.
        parents : The direct causes.
        """
        return self._around(names, self.siblings_of)

    def ancestors(self, names):
        """Find everything that causes a set of nodes, and the set itself.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            All nodes from which a directed path leads into the set; the set belongs to
            them.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        parents : The direct causes only.
        descendants : The effects instead.
        """
        return self.named(closure(self.parents_of, self.mask(names), self.everything))

    def descendants(self, names):
        """Find everything that a set of nodes causes, and the set itself.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            All nodes that a directed path from the set leads to; the set belongs to
            them.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        children : The direct effects only.
        ancestors : The causes instead.
        """
        return self.named(closure(self.children_of, self.mask(names), self.everything))

    def districts(self):
        """Split the nodes into districts.

        Returns
        -------
        list of frozenset of names
            Each district is a set of nodes that paths of bidirected edges join.

        See Also
        --------
        district : The districts of some nodes only.
        """
        return [
            frozenset(self._names[i] for i in part)
            for part in components(self.siblings_of, self.everything)
        ]

    def district(self, names):
        """Find the districts that a set of nodes lies in, as one set.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        frozenset of names
            All nodes that paths of bidirected edges join to the set; the set belongs
            to them.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        districts : All districts, one by one.
        siblings : The nodes that one bidirected edge reaches.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> graph = CausalGraph("a -> b -> c; b <-> d; d -> c")
        >>> sorted(graph.district("b"))
        ['b', 'd']
        """
        return self.named(closure(self.siblings_of, self.mask(names), self.everything))

    def markov_blanket(self, name):
        """Find the smallest set that separates a node from all other nodes.

        Parameters
        ----------
        name : name
            The node.

        Returns
        -------
        frozenset of names
            The Markov blanket of the node.

        Raises
        ------
        ValueError
            If the name is no node, or if there are several names.

        See Also
        --------
        moral_edges : The graph in which the blanket is the set of neighbors.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> graph = CausalGraph("a -> b -> c; b <-> d; d -> c")
        >>> sorted(graph.markov_blanket("b"))
        ['a', 'c', 'd']
        """
        nodes = members(self.mask(name))
        if len(nodes) != 1:
            raise ValueError(f"name is {name!r}: a blanket is that of one node.")
        (node,) = nodes
        near = MoralGraph(self, self.everything).neighbors(node)
        return self.named(mask_of(near))

    def moral_edges(self):
        """List the edges of the augmented (moral) graph.

        Returns
        -------
        tuple of pairs of names
            The pairs of nodes that an edge joins, or a path on which every inner node
            is a collider.

        See Also
        --------
        markov_blanket : The neighbors of one node in this graph.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("a -> b <-> c").moral_edges()
        (('a', 'b'), ('a', 'c'), ('b', 'c'))
        """
        return tuple(
            (self._names[i], self._names[j])
            for i, j in MoralGraph(self, self.everything).edges()
        )

    # -- graphs made from this one -----------------------------------------------

    def do(self, names):
        """Make the graph after an intervention.

        Parameters
        ----------
        names : name or collection of names
            The nodes that are set from outside.

        Returns
        -------
        CausalGraph
            The graph without the edges into these nodes, bidirected edges included.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        without_outgoing : The graph without edges out of some nodes.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("z -> x -> y; z -> y; x <-> y").do("x")
        CausalGraph('z -> y; x -> y')
        """
        return self.surgery(no_in=self.mask(names))

    def without_outgoing(self, names):
        """Make the graph without the directed edges out of some nodes.

        Parameters
        ----------
        names : name or collection of names
            The set of nodes.

        Returns
        -------
        CausalGraph
            The graph without these edges. Bidirected edges stay.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        do : The graph without the edges into some nodes.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("z -> x -> y; z -> y; x <-> y").without_outgoing("x")
        CausalGraph('z -> x; z -> y; x <-> y')
        """
        return self.surgery(no_out=self.mask(names))

    def subgraph(self, names):
        """Make the graph on some of the nodes.

        Parameters
        ----------
        names : name or collection of names
            The nodes to keep.

        Returns
        -------
        CausalGraph
            The graph with these nodes and the edges among them.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        project : Hide nodes, and keep what follows for the others.
        """
        keep = self.named(self.mask(names))
        return self.from_edges(
            [e for e in self.directed_edges if keep.issuperset(e)],
            [e for e in self.bidirected_edges if keep.issuperset(e)],
            [name for name in self.nodes if name in keep],
        )

    def project(self, latent):
        """Make the latent projection: the same knowledge without some of the nodes.

        A hidden node leaves edges behind. Directed edges lead from its causes to its
        effects. Bidirected edges join its effects with one another, and with the nodes
        that shared a latent cause with it [1]_.

        Parameters
        ----------
        latent : name or collection of names
            The nodes to hide.

        Returns
        -------
        CausalGraph
            The graph of the nodes that are left.

        Raises
        ------
        ValueError
            If a name is no node.

        See Also
        --------
        subgraph : Drop nodes together with all that runs through them.

        References
        ----------
        .. [1] Verma, T. and Pearl, J. (1990). "Equivalence and synthesis of causal
           models." UAI.

        Examples
        --------
        >>> from sklearn_causalrec import CausalGraph
        >>> CausalGraph("u -> x -> m -> y; u -> y").project(["u", "m"])
        CausalGraph('x -> y; x <-> y')
        """
        hidden = self.mask(latent)
        if not hidden:
            return self
        pa, ch, sib = (
            [set(near) for near in side]
            for side in (self.parents_of, self.children_of, self.siblings_of)
        )
        for u in members(hidden):
            for p in pa[u]:
                ch[p] |= ch[u]
                ch[p].discard(u)
            for c in ch[u]:
                pa[c] |= pa[u]
                pa[c].discard(u)
                near = (ch[u] | sib[u]) - {c}
                sib[c] |= near
                for s in near:
                    sib[s].add(c)
            for s in sib[u]:
                sib[s].discard(u)
        names, kept = self._names, members(self.everything & ~hidden)
        return self.from_edges(
            [(names[i], names[j]) for i in kept for j in sorted(ch[i])],
            [(names[i], names[j]) for i in kept for j in sorted(sib[i]) if i < j],
            [name for name in self.nodes if not hidden >> self.number[name] & 1],
        )
