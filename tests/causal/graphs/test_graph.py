import pickle
import subprocess
import sys
from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import d_separated, random_admg
from sklearn_causalrec._testing.graph_strategies import admgs, split


def test_reads_text():
    graph = CausalGraph(
        "browse -> purchase -> rating; browse <-> rating\nprice # alone"
    )
    assert graph.nodes == ("browse", "purchase", "rating", "price")
    assert set(graph.directed_edges) == {("browse", "purchase"), ("purchase", "rating")}
    assert [set(e) for e in graph.bidirected_edges] == [{"browse", "rating"}]
    assert CausalGraph("b <- a") == CausalGraph("a -> b")
    assert CausalGraph("movie genre -> watch time").nodes == (
        "movie genre",
        "watch time",
    )
    assert CausalGraph("").nodes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a -> b -> c -> a", "cycle: .*->.*->"),
        ("a -> b; b -> a", "cycle"),
        ("a -> a", "'a' has an edge to itself"),
        ("a <-> a", "'a' has an edge to itself"),
        ("a -> ", "cannot read"),
        ("a -- b", "cannot read"),
        ("a > b", "cannot read"),
    ],
)
def test_refuses_bad_text(text, message):
    with pytest.raises(ValueError, match=message):
        CausalGraph(text)


def test_cycle_named_is_one():
    with pytest.raises(ValueError) as caught:
        CausalGraph("r -> a -> b -> c -> a; c -> d")
    path = str(caught.value).split("cycle: ")[1].rstrip(".").split(" -> ")
    assert path[0] == path[-1] and set(path) == {"a", "b", "c"}
    assert set(pairwise(path)) <= {("a", "b"), ("b", "c"), ("c", "a")}


def test_refuses_what_is_not_text_or_pairs():
    with pytest.raises(TypeError, match="from_networkx"):
        CausalGraph(nx.DiGraph())
    with pytest.raises(ValueError, match="pair of names"):
        CausalGraph.from_edges([("a", "b", "c")])


def test_unknown_names_are_listed():
    graph = CausalGraph("a -> b")
    with pytest.raises(
        ValueError, match="'c', 'd' not in the graph; its nodes are 'a'"
    ):
        graph.ancestors(["a", "c", "d"])
    with pytest.raises(ValueError, match="'a' cannot be both x and y"):
        graph.is_separated("a", ["a", "b"])


@settings(deadline=None)
@given(admgs(high=6))
def test_text_forms_round_trip(graph):
    assert CausalGraph(str(graph)) == graph
    assert CausalGraph.from_dot(graph.to_dot()) == graph
    assert CausalGraph.from_dagitty(graph.to_dagitty()) == graph
    assert CausalGraph.from_networkx(graph.to_networkx()) == graph
    assert pickle.loads(pickle.dumps(graph)) == graph
    same = CausalGraph.from_edges(
        graph.directed_edges[::-1],
        [(b, a) for a, b in graph.bidirected_edges],
        graph.nodes[::-1],
    )
    assert same == graph and hash(same) == hash(graph)


def test_reads_dagitty_and_dot_as_written_elsewhere():
    source = """dag {
    bb="0,0,1,1"
    "watch time" [outcome,pos="0.5,0.1"]
    U [latent,pos="0,0"]
    X [exposure] ; X -> M -> "watch time"
    U -> {X "watch time"}
    Z <-> X [pos="0.1,0.2"]
    }"""
    graph = CausalGraph.from_dagitty(source)
    assert graph == CausalGraph("X -> M -> watch time; X <-> watch time; Z <-> X")
    source = """digraph G { // a comment
      rankdir=LR; node [shape=box];
      a -> b -> c [color=red]; a -> c [dir="both", style=dashed];
    }"""
    assert CausalGraph.from_dot(source) == CausalGraph("a -> b -> c; a <-> c")
    with pytest.raises(ValueError, match="digraph"):
        CausalGraph.from_dot("graph { a -- b }")
    with pytest.raises(ValueError, match="cannot read"):
        CausalGraph.from_dagitty("dag { a -- b }")


def test_repr_is_small_and_html_draws():
    big = CausalGraph.from_edges([(k, k + 1) for k in range(200)])
    assert repr(big) == "<CausalGraph: 201 nodes, 200 directed and 0 bidirected edges>"
    assert "201 nodes" in big._repr_html_()
    graph = CausalGraph("a -> b & co; a <-> b & co")
    html = graph._repr_html_()
    assert html.count("<path d=") == 3 and "b &amp; co" in html and "b & co" not in html
    import xml.etree.ElementTree as ElementTree

    ElementTree.fromstring(html)


def test_drawing_puts_causes_left_of_effects():
    import re

    graph = CausalGraph("a -> b -> d; a -> c -> d; a -> d; b <-> c")
    found = re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(\w)', graph._repr_html_()
    )
    place = {name: (float(x), float(y)) for x, y, name in found}
    assert all(place[a][0] < place[b][0] for a, b in graph.directed_edges)
    assert len(set(place.values())) == 4


def test_is_immutable_under_surgery():
    graph = CausalGraph("z -> x -> y; z -> y; x <-> y")
    before = hash(graph)
    assert graph.do("x") == CausalGraph("z; x -> y; z -> y")
    assert graph.without_outgoing("z") == CausalGraph("z; x -> y; x <-> y")
    assert graph.proper_backdoor("y", "x") == CausalGraph("z -> x; z -> y; x <-> y")
    assert graph.subgraph(["x", "z"]) == CausalGraph("z -> x")
    assert hash(graph) == before and len(graph.directed_edges) == 3


def test_structure():
    graph = CausalGraph("a -> b -> c -> d; e -> c; b <-> d; d <-> f")
    assert graph.parents("c") == {"b", "e"} and graph.children("b") == {"c"}
    assert graph.siblings(["b", "d"]) == {"f"}
    assert graph.ancestors("c") == {"a", "b", "c", "e"}
    assert graph.descendants(["b"]) == {"b", "c", "d"}
    assert graph.district("b") == {"b", "d", "f"}
    assert set(graph.districts()) == {
        frozenset("a"), frozenset("bdf"), frozenset("c"), frozenset("e"),
    }  # fmt: skip
    order = graph.topological_order
    assert all(order.index(a) < order.index(b) for a, b in graph.directed_edges)


@settings(deadline=None)
@given(admgs())
def test_markov_blanket_is_the_smallest_that_separates(graph):
    name = graph.nodes[0]
    blanket = graph.markov_blanket(name)
    others = [v for v in graph.nodes if v != name]
    rest = set(others) - blanket
    assert not rest or graph.is_separated(name, rest, given=blanket)
    for v in blanket:
        left = blanket - {v}
        assert not d_separated(graph, [name], [v, *rest], left)
    neighbours = {v for e in graph.moral_edges() if name in e for v in e} - {name}
    assert neighbours == blanket


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_separation_is_d_separation_with_explicit_latents(data):
    graph = data.draw(admgs())
    x, y, z = split(data.draw, graph.nodes, (1, 1, len(graph.nodes) - 2))
    assert graph.is_separated(x, y, z) == d_separated(graph, x, y, z)


@settings(deadline=None)
@given(st.data())
def test_rules_are_separations_in_mutilated_graphs(data):
    graph = data.draw(admgs(low=4))
    y, z, x, w = split(data.draw, graph.nodes, (1, 2, 1, 1))
    cut = graph.do(x)
    assert graph.rule(1, y, x, z, w) == d_separated(cut, y, z, [*x, *w])
    below = cut.without_outgoing(z)
    assert graph.rule(2, y, x, z, w) == d_separated(below, y, z, [*x, *w])
    late = [v for v in z if not (w and v in cut.ancestors(w))]
    assert graph.rule(3, y, x, z, w) == d_separated(
        graph.do([*x, *late]), y, z, [*x, *w]
    )


def test_rule_refuses_other_numbers():
    with pytest.raises(ValueError, match="got 4"):
        CausalGraph("x -> y").rule(4, "y", (), "x")


@settings(deadline=None)
@given(st.data())
def test_projection_keeps_every_separation(data):
    graph = data.draw(admgs(low=3, high=6))
    hidden = data.draw(st.lists(st.sampled_from(graph.nodes), max_size=2, unique=True))
    small = graph.project(hidden)
    kept = [v for v in graph.nodes if v not in hidden]
    assert small.nodes == tuple(kept)
    for x, y in combinations(kept, 2):
        rest = [v for v in kept if v not in (x, y)]
        for k in range(len(rest) + 1):
            for z in combinations(rest, k):
                assert small.is_separated(x, y, z) == d_separated(graph, [x], [y], z)


def test_from_networkx_projects_latents_out():
    G = nx.DiGraph([("u", "x"), ("u", "y"), ("x", "m"), ("m", "y"), ("x", "h"),
                    ("h", "y")])  # fmt: skip
    assert CausalGraph.from_networkx(G, latent="u") == CausalGraph(
        "x -> m -> y; x -> h -> y; x <-> y"
    )
    assert CausalGraph.from_networkx(G, latent=["u", "h"]) == CausalGraph(
        "x -> m -> y; x -> y; x <-> y"
    )


def test_large_graphs_agree_with_networkx():
    rng = np.random.default_rng(0)
    graph = random_admg(rng, 60, directed=0.04, bidirected=0.02)
    for _ in range(200):
        x, y, *z = rng.choice(graph.nodes, size=8, replace=False)
        assert graph.is_separated(x, y, z) == d_separated(graph, [x], [y], z)


def test_import_needs_numpy_and_pandas_at_most():
    code = (
        "import sys; from sklearn_causalrec import CausalGraph;"
        "str(CausalGraph('x -> m -> y; x <-> y').identify('y', 'x'));"
        "heavy = {'torch', 'networkx', 'scipy', 'sklearn', 'matplotlib', 'econml',"
        "'skorch', 'causallearn'} & set(sys.modules); sys.exit(','.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
