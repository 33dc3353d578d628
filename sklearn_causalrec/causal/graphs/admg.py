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
        """Direct causes of a set, itself excluded."""
        return self._around(names, self.parents_of)

    def children(self, names):
        """Direct effects of a set, itself excluded."""
        return self._around(names, self.children_of)

    def siblings(self, names):
        """Nodes that share a latent cause with a set, itself excluded."""
        return self._around(names, self.siblings_of)

    def ancestors(self, names):
        """The set and everything that causes it."""
        return self.named(closure(self.parents_of, self.mask(names), self.everything))

    def descendants(self, names):
        """The set and everything it causes."""
        return self.named(closure(self.children_of, self.mask(names), self.everything))

    def districts(self):
        """The parts that bidirected edges hold together, as a list of frozensets."""
        return [
            frozenset(self._names[i] for i in part)
            for part in components(self.siblings_of, self.everything)
        ]

    def district(self, names):
        """The districts of a set, as one frozenset."""
        return self.named(closure(self.siblings_of, self.mask(names), self.everything))

    def markov_blanket(self, name):
        """The smallest set that separates a node from all other nodes."""
        (node,) = members(self.mask(name))
        near = MoralGraph(self, self.everything).neighbors(node)
        return self.named(mask_of(near))

    def moral_edges(self):
        """Pairs of nodes joined by a collider path: the augmented (moral) graph."""
        return tuple(
            (self._names[i], self._names[j])
            for i, j in MoralGraph(self, self.everything).edges()
        )

    # -- graphs made from this one -----------------------------------------------

    def do(self, names):
        """The graph after an intervention: without the edges into ``names``."""
        return self.surgery(no_in=self.mask(names))

    def without_outgoing(self, names):
        """The graph without the directed edges out of ``names``."""
        return self.surgery(no_out=self.mask(names))

    def subgraph(self, names):
        """The graph on some of the nodes, with the edges among them."""
        keep = self.named(self.mask(names))
        return self.from_edges(
            [e for e in self.directed_edges if keep.issuperset(e)],
            [e for e in self.bidirected_edges if keep.issuperset(e)],
            [name for name in self.nodes if name in keep],
        )

    def project(self, latent):
        """The latent projection: the same knowledge without some of the nodes.

        Each hidden node hands its causes to its effects and joins its effects, and
        what shared a cause with it, by bidirected edges [1]_.

        References
        ----------
        .. [1] T. Verma, J. Pearl (1990). Equivalence and synthesis of causal models.
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
