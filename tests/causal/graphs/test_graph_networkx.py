"""Graphs of networkx, with the marks of those who write them."""

import networkx as nx
import numpy as np
import pytest

from sklearn_causalrec import CausalGraph

BOW = CausalGraph("x -> y; x <-> y")


def hidden_cause(**marks):
    G = nx.DiGraph([("U", "x"), ("U", "y"), ("x", "y")])
    G.nodes["U"].update(marks)
    return G


@pytest.mark.parametrize(
    "marks",
    [
        {"observed": "no"}, {"observed": '"no"'}, {"observed": False},
        {"observed": np.False_}, {"latent": True}, {"latent": "true"}, {"hidden": 1},
        {"type": "latent"}, {"label": "hidden"}, {"label": "Unobserved Confounders"},
    ],
)  # fmt: skip
def test_latent_nodes_are_projected_out(marks):
    assert CausalGraph.from_networkx(hidden_cause(**marks)) == BOW
    assert CausalGraph.from_networkx(hidden_cause(**marks), latent="U") == BOW


def test_the_latents_of_pgmpy():
    G = hidden_cause()
    G.latents = {"U"}
    assert CausalGraph.from_networkx(G) == BOW


@pytest.mark.parametrize("marks", [{"observed": "yes"}, {"latent": False}, {"a": 1}])
def test_observed_nodes_stay(marks):
    assert CausalGraph.from_networkx(hidden_cause(**marks)).nodes == ("U", "x", "y")


@pytest.mark.parametrize(
    ("marks", "meant"),
    [
        ({"dir": "both"}, "x <-> y"),
        ({"dir": '"both"'}, "x <-> y"),
        ({"dir": "back"}, "y -> x"),
        ({"bidirected": True}, "x <-> y"),
        ({"bidirected": "False"}, "x -> y"),
        ({"type": "bidirected"}, "x <-> y"),
        ({"weight": 0.5}, "x -> y"),
    ],
)
def test_marks_of_edges(marks, meant):
    G = nx.DiGraph()
    G.add_edge("x", "y", **marks)
    assert CausalGraph.from_networkx(G) == CausalGraph(meant)


def test_parallel_edges():
    G = nx.MultiDiGraph([("x", "y"), ("x", "y")])
    assert CausalGraph.from_networkx(G) == CausalGraph("x -> y")
    G.add_edge("y", "x", bidirected=True)
    assert CausalGraph.from_networkx(G) == BOW


def test_names_stay_what_they_are():
    graph = CausalGraph.from_networkx(nx.DiGraph([(1, 2), (2, 3)]))
    assert graph.nodes == (1, 2, 3)
    assert CausalGraph.from_networkx(graph.to_networkx()) == graph


@pytest.mark.parametrize(
    ("G", "error", "message"),
    [
        (nx.Graph([("a", "b")]), ValueError, "the Graph is undirected"),
        (nx.MultiGraph([("a", "b")]), ValueError, "the MultiGraph is undirected"),
        (nx.DiGraph([("a", "a")]), ValueError, "'a' has an edge to itself"),
        (nx.DiGraph([("a", "b"), ("b", "a")]), ValueError, "a cycle"),
        (nx.DiGraph([((1, 2), "b")]), ValueError, r"cannot be named \(1, 2\)"),
        (hidden_cause(observed="maybe"), ValueError, "'U' has observed='maybe'"),
        (hidden_cause(note="latent?"), ValueError, "'U' has the attribute note="),
        ("a -> b", TypeError, r"got str; for text there is CausalGraph\(text\)"),
        ({"a": ["b"]}, TypeError, "got dict"),
        (None, TypeError, "got NoneType"),
    ],
)
def test_is_refused_by_name(G, error, message):
    with pytest.raises(error, match=message):
        CausalGraph.from_networkx(G)


def test_defaults_that_networkx_read_from_dot_are_refused():
    pydot = pytest.importorskip("pydot")
    text = "digraph { edge [dir=both]; a -> b }"
    G = nx.nx_pydot.from_pydot(pydot.graph_from_dot_data(text)[0])
    with pytest.raises(ValueError, match=r"read the text with CausalGraph\.from_dot"):
        CausalGraph.from_networkx(G)
    assert CausalGraph.from_dot(text) == CausalGraph("a <-> b")


def test_gml_of_dowhy():
    lines = 'graph[directed 1 node[id "U" label "U" observed "no"] node[id "x" '
    lines += 'label "x"] node[id "y" label "y"] edge[source "U" target "x"] '
    lines += 'edge[source "U" target "y"] edge[source "x" target "y"]]'
    assert CausalGraph.from_networkx(nx.parse_gml(lines)) == BOW
