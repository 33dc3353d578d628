"""Graphs: texts of any kind, names of any kind, and networkx as the oracle."""

from itertools import islice

import networkx as nx
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.graph_strategies import ODD_NAMES, PIECES

THINGS = [
    0, 1, -1, 2**70, 1.5, np.nan, None, True, (1, 2), frozenset([1]), b"x", "a", "0",
    "", np.int64(1), np.str_("a"), pd.Timestamp("2024"), object(), {}, [[]], ["a", "a"],
]  # fmt: skip
_READERS = {
    "CausalGraph": CausalGraph,
    "from_dot": CausalGraph.from_dot,
    "from_dagitty": CausalGraph.from_dagitty,
}


def _edges(rng, names):
    order = rng.permutation(len(names))
    pairs = [(names[a], names[b]) for i, a in enumerate(order) for b in order[i + 1 :]]
    directed = [pair for pair in pairs if rng.random() < 0.35]
    return directed, [pair for pair in pairs if rng.random() < 0.12]


def _graph(rng):
    names = [f"v{k}" for k in range(rng.integers(2, 8))]
    if rng.random() < 0.3:  # names that are numbers
        names = list(range(len(names)))
    return CausalGraph.from_edges(*_edges(rng, names), names)


def expanded(graph):
    """The graph with a latent node for every bidirected edge, for networkx."""
    full = nx.DiGraph()
    full.add_nodes_from(graph.nodes)
    full.add_edges_from(graph.directed_edges)
    for k, (a, b) in enumerate(graph.bidirected_edges):
        full.add_edges_from([(("latent", k), a), (("latent", k), b)])
    return full


def _texts(fuzzer):
    rng = fuzzer.rng
    pieces = [*PIECES, *ODD_NAMES]
    drawn = rng.integers(0, len(pieces), rng.integers(1, 25))
    text = "".join(pieces[k] for k in drawn)
    if rng.random() < 0.5:
        text = f"{rng.choice(['digraph', 'dag', 'graph'])} {{ {text} }}"

    def stays(graph):
        if CausalGraph(str(graph)) != graph:
            return "str() of a graph that was read is another graph"

    for name, read in _READERS.items():
        fuzzer.call(f"{name}({text!r})", lambda read=read: read(text), stays)


def _names(fuzzer):
    rng = fuzzer.rng
    names = [
        ODD_NAMES[k] for k in rng.permutation(len(ODD_NAMES))[: rng.integers(2, 6)]
    ]
    directed, both = _edges(rng, names)
    graph = fuzzer.call(
        f"from_edges({directed}, {both}, {names})",
        lambda: CausalGraph.from_edges(directed, both, names),
    )
    if graph is None:
        return
    trips = {
        "from_dot(to_dot())": lambda: CausalGraph.from_dot(graph.to_dot()),
        "from_dagitty(to_dagitty())": lambda: CausalGraph.from_dagitty(
            graph.to_dagitty()
        ),
        "CausalGraph(str())": lambda: CausalGraph(str(graph)),
        "from_networkx(to_networkx())": lambda: CausalGraph.from_networkx(
            graph.to_networkx()
        ),
    }
    for trip, call in trips.items():
        fuzzer.call(
            f"{trip} of {names}",
            call,
            lambda got, trip=trip: None if got == graph else f"{trip}: another graph",
        )

    def raw(html):
        if any("<" in name and name in html for name in names if len(name) > 3):
            return "a name is not escaped in HTML"

    fuzzer.call(f"_repr_html_ of {names}", graph._repr_html_, raw)


def _arguments(fuzzer):
    rng, graph = fuzzer.rng, _graph(fuzzer.rng)

    def thing():
        one = THINGS[rng.integers(len(THINGS))]
        return [one, graph.nodes[0]] if rng.random() < 0.3 else one

    a, b, c = thing(), thing(), graph.nodes[0] if rng.random() < 0.4 else thing()
    calls = {
        "is_separated": lambda: graph.is_separated(a, b, c),
        "rule": lambda: graph.rule(a, b, c, graph.nodes[0]),
        "identify": lambda: str(graph.identify(a, b, c)),
        "adjustment_sets": lambda: list(islice(graph.adjustment_sets(a, c), 20)),
        "frontdoor_sets": lambda: list(islice(graph.frontdoor_sets(a, c), 20)),
        "instruments": lambda: list(islice(graph.instruments(a, c), 20)),
        "from_edges": lambda: CausalGraph.from_edges(a, b, c),
        "from_edges of two": lambda: CausalGraph.from_edges([(a, b)], [(b, c)]),
        "from_networkx": lambda: CausalGraph.from_networkx(a),
        "CausalGraph": lambda: CausalGraph(a),
        "from_dot": lambda: CausalGraph.from_dot(a),
        **{
            name: lambda name=name: getattr(graph, name)(a)
            for name in ("parents", "ancestors", "markov_blanket", "subgraph",
                         "project", "do", "district")
        },
    }  # fmt: skip
    name = str(rng.choice(sorted(calls)))
    fuzzer.call(f"{name}({a!r}, {b!r}, {c!r}) of {graph}", calls[name])


def _separation(fuzzer):
    rng, graph = fuzzer.rng, _graph(fuzzer.rng)
    full, nodes = expanded(graph), [graph.nodes[k] for k in rng.permutation(len(graph))]
    x, y, z = nodes[0], nodes[1], nodes[2 : 2 + rng.integers(0, len(nodes) - 1)]
    want = nx.is_d_separator(full, {x}, {y}, set(z))
    fuzzer.call(
        f"is_separated({x!r}, {y!r}, {z!r}) of {graph}",
        lambda: graph.is_separated(x, y, z),
        lambda got: None if got == want else "separation differs from networkx",
    )

    def blocks(sets):
        after = nx.descendants(full, x)
        on_path = {v for v in after if v == y or y in nx.descendants(full, v)}
        forbidden = on_path.union(*(nx.descendants(full, v) for v in on_path), {x})
        cut = full.copy()
        cut.remove_edges_from([(x, v) for v in full.successors(x) if v in on_path])
        for found in map(set, sets):
            if found & forbidden:
                return "an adjustment set holds a forbidden node"
            if not nx.is_d_separator(cut, {x}, {y}, found):
                return "an adjustment set does not block"

    fuzzer.call(
        f"adjustment_sets({y!r}, {x!r}) of {graph}",
        lambda: list(islice(graph.adjustment_sets(y, x), 40)),
        blocks,
    )
    fuzzer.call(
        f"identify({y!r}, {x!r}) of {graph}",
        lambda: graph.identify(y, x)._repr_html_(),
    )
    if len(nodes) > 2:
        hidden = nodes[2]
        rest = [node for node in z if node != hidden]
        fuzzer.call(
            f"project({hidden!r}) of {graph}",
            lambda: graph.project(hidden).is_separated(x, y, rest),
            lambda got: (
                None
                if got == nx.is_d_separator(full, {x}, {y}, set(rest))
                else "a projection changed a separation"
            ),
        )

    def true(implications):
        for a, b, given in implications:
            if not nx.is_d_separator(full, {a}, {b}, set(given)):
                return "an implication is false"

    fuzzer.call(
        f"testable_implications of {graph}",
        lambda: list(islice(graph.testable_implications(), 50)),
        true,
    )


def _cycles(fuzzer):
    rng = fuzzer.rng
    nodes = rng.integers(2, 6)
    edges = [tuple(edge) for edge in rng.integers(0, nodes, (2 * nodes, 2)).tolist()]
    fuzzer.call(
        f"from_edges({edges})",
        lambda: CausalGraph.from_edges(edges),
        lambda _: (
            None
            if nx.is_directed_acyclic_graph(nx.DiGraph(edges))
            else "a cycle was accepted"
        ),
    )


_STEPS = [_texts, _names, _arguments, _separation, _cycles]


def graphs(fuzzer):
    """One step over :class:`~sklearn_causalrec.CausalGraph`.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    step = fuzzer.rng.choice(len(_STEPS), p=[0.2, 0.15, 0.2, 0.35, 0.1])
    _STEPS[step](fuzzer)
