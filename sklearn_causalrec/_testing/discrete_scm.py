"""Exact ground truth for identification: small models with every latent explicit.

Nothing here uses the package's algorithms; it reads the edges of a graph and sums.
"""

from itertools import combinations

import numpy as np
import pandas as pd


class DiscreteSCM:
    """A random discrete model of an ADMG, one binary latent a bidirected edge.

    Parameters
    ----------
    graph : CausalGraph
        Only its nodes and edges are read.
    rng : numpy Generator
    states : dict, optional
        Number of values of a node, 2 where not named.
    floor : float
        Weight of the uniform distribution in every table: keeps probabilities off 0.
    """

    def __init__(self, graph, rng, states=None, floor=0.2):
        self.names = list(graph.nodes)
        size = {v: (states or {}).get(v, 2) for v in self.names}
        self.shape = tuple(size[v] for v in self.names)
        latents = [f"U{k}" for k in range(len(graph.bidirected_edges))]
        size |= dict.fromkeys(latents, 2)
        number = {v: k for k, v in enumerate([*self.names, *latents])}
        self.priors, self.tables = [], {}
        for u in latents:
            self.priors.append((rng.dirichlet([2.0, 2.0]), [number[u]]))
        for v in self.names:
            causes = [a for a, b in graph.directed_edges if b == v]
            causes += [u for u, e in zip(latents, graph.bidirected_edges) if v in e]
            shape = [size[c] for c in causes]
            table = rng.dirichlet([0.6] * size[v], size=shape)
            table = (1 - floor) * table + floor / size[v]
            self.tables[v] = table, [number[c] for c in [*causes, v]]
        self.number = number
        self._joint = {}

    def joint(self, do=()):
        """P(all others | do(values)) for all values: one axis a node of `names`."""
        do = frozenset(do)
        if do not in self._joint:
            operands = []
            for table, axes in self.priors:
                operands += [table, axes]
            for v, (table, axes) in self.tables.items():
                if v not in do:
                    operands += [table, axes]
            for v in do:
                k = self.number[v]
                operands += [np.ones(self.shape[k]), [k]]
            out = list(range(len(self.names)))
            self._joint[do] = np.einsum(*operands, out, optimize="greedy")
        return self._joint[do]

    def counterfactual(self, outcome, reads, keep=()):
        """P(keep, outcome) where some nodes read other values of their causes.

        The causes themselves keep the values that they have: it is the joint law of
        what is and of what would have been.

        Parameters
        ----------
        outcome : name
        reads : dict of name to dict of name to int
            Of a node, the values that it reads of some causes; it reads others as they
            are.
        keep : sequence of names
            The nodes that get an axis, before the outcome.

        Returns
        -------
        ndarray
        """
        operands = []
        for table, axes in self.priors:
            operands += [table, axes]
        for v, (table, axes) in self.tables.items():
            read = {self.number[x]: value for x, value in reads.get(v, {}).items()}
            at = tuple(read.get(k, slice(None)) for k in axes)
            operands += [table[at], [k for k in axes if k not in read]]
        out = [self.number[v] for v in (*keep, outcome)]
        return np.einsum(*operands, out, optimize="greedy")

    def term(self, p):
        """P(outcome | do(do), given), an axis a node, length 1 where it is absent."""
        joint = self.joint(p.do)
        given = {*p.given, *p.do}

        def marginal(keep):
            out = tuple(k for k, v in enumerate(self.names) if v not in keep)
            return joint.sum(axis=out, keepdims=True)

        return marginal({*p.outcome, *given}) / marginal(given)

    def table(self):
        """The observational joint as a Series."""
        levels = [range(n) for n in self.shape]
        index = pd.MultiIndex.from_product(levels, names=self.names)
        return pd.Series(self.joint().ravel(), index=index)

    def effect(self, outcome, treatment, given=()):
        """P(outcome | do(treatment), given), axes in the order do, given, outcome."""
        joint = self.joint(treatment)
        keep = [*treatment, *given, *outcome]
        out = tuple(k for k, v in enumerate(self.names) if v not in keep)
        left = [v for v in self.names if v in keep]
        value = joint.sum(axis=out).transpose([left.index(v) for v in keep])
        norm = value.sum(axis=tuple(range(-len(outcome), 0)), keepdims=True)
        return value / norm


def _connected(nodes, pairs):
    nodes = set(nodes)
    reached, stack = set(), [next(iter(nodes))]
    while stack:
        v = stack.pop()
        if v not in reached:
            reached.add(v)
            stack += [b for b in nodes if (v, b) in pairs or (b, v) in pairs]
    return reached == nodes


def _ancestors(nodes, directed, within):
    found, stack = set(), [v for v in nodes if v in within]
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            stack += [a for a, b in directed if b == v and a in within]
    return found


def is_hedge(graph, outcome, treatment, big, small):
    """Whether (big, small) is a hedge for P(outcome | do(treatment)), by definition.

    With the members of ``small`` as roots, which loses nothing: a C-forest inside
    ``small`` hangs on roots that cause the outcome, and so do its other nodes then.
    """
    x, nodes = set(treatment), set(graph.nodes)
    directed, pairs = set(graph.directed_edges), set(graph.bidirected_edges)
    after = {(a, b) for a, b in directed if b not in x}
    return (
        set(small) < set(big)
        and bool(set(big) & x)
        and not set(small) & x
        and set(small) <= _ancestors(outcome, after, nodes)
        and _connected(small, pairs)
        and _connected(big, pairs)
        and _ancestors(small, directed, set(big)) == set(big)
    )


def has_hedge(graph, outcome, treatment):
    """Whether any hedge exists, by trying all pairs of sets: 2**n times 2**n."""
    x = set(treatment)
    directed, pairs = set(graph.directed_edges), set(graph.bidirected_edges)
    after = {(a, b) for a, b in directed if b not in x}
    inner = sorted(_ancestors(outcome, after, set(graph.nodes)) - x)
    connected = [
        frozenset(s)
        for k in range(1, len(graph.nodes) + 1)
        for s in combinations(graph.nodes, k)
        if _connected(s, pairs)
    ]
    big = [f for f in connected if f & x]
    for small in connected:
        if small <= set(inner):
            for f in big:
                if small < f and _ancestors(small, directed, f) == f:
                    return True
    return False


def d_separated(graph, x, y, given):
    """m-separation by networkx, each bidirected edge a latent node."""
    import networkx as nx

    G = nx.DiGraph()
    G.add_nodes_from(graph.nodes)
    G.add_edges_from(graph.directed_edges)
    for k, (a, b) in enumerate(graph.bidirected_edges):
        G.add_edges_from([(("latent", k), a), (("latent", k), b)])
    return nx.is_d_separator(G, set(x), set(y), set(given))


def random_admg(rng, n, directed=0.4, bidirected=0.25):
    """Edges of a random ADMG on n nodes, in a random order of the names."""
    from sklearn_causalrec import CausalGraph

    names = [f"v{k}" for k in rng.permutation(n)]
    pairs = list(combinations(names, 2))
    chosen = rng.random(len(pairs)) < directed
    joined = rng.random(len(pairs)) < bidirected
    return CausalGraph.from_edges(
        [e for e, c in zip(pairs, chosen) if c],
        [e for e, c in zip(pairs, joined) if c],
        nodes=[f"v{k}" for k in range(n)],
    )
