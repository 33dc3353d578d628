"""What holds for every graph and every text that hypothesis makes.

``GRAPH_EXAMPLES=20000 pytest tests/causal/graphs/test_graph_properties.py`` tries more.
"""

import os
import re
import time
import xml.etree.ElementTree as ElementTree

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.graph_strategies import ODD_NAMES, named_graphs, soups

EXAMPLES = int(os.environ.get("GRAPH_EXAMPLES", 300))
many = settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@many
@given(named_graphs())
def test_every_graph_comes_back_from_its_text(graph):
    assert CausalGraph.from_dot(graph.to_dot()) == graph
    assert CausalGraph(graph.to_dot()) == graph
    assert CausalGraph.from_dagitty(graph.to_dagitty()) == graph
    assert CausalGraph(str(graph)) == graph
    assert CausalGraph.from_networkx(graph.to_networkx()) == graph
    if not repr(graph).startswith("<"):
        assert eval(repr(graph)) == graph


@settings(many, max_examples=EXAMPLES // 3)
@given(named_graphs())
def test_pydot_reads_the_same_nodes_and_edges(graph):
    pydot = pytest.importorskip("pydot")
    # pydot takes a doubled backslash before a line break for a continued line.
    if any("\\\n" in name or "\\\r\n" in name for name in graph.nodes):
        return

    def name(written):
        return re.sub(r'\\(["\\])', r"\1", written[1:-1])

    (parsed,) = pydot.graph_from_dot_data(graph.to_dot())
    assert [name(node.get_name()) for node in parsed.get_nodes()] == list(graph.nodes)
    assert sorted(
        (name(edge.get_source()), name(edge.get_destination()), edge.get("dir"))
        for edge in parsed.get_edges()
        if edge.get("dir") is None
    ) == sorted((a, b, None) for a, b in graph.directed_edges)
    both = [edge for edge in parsed.get_edges() if edge.get("dir") == "both"]
    assert len(both) == len(graph.bidirected_edges)


def ends():
    names = st.sampled_from(["a", "b", "c", '"d e"', "f:port", '"g":n:sw', "h_1", "é"])
    groups = st.lists(names, min_size=1, max_size=3).map(lambda g: f"{{{' '.join(g)}}}")
    return names | groups | groups.map(lambda g: f"subgraph {g}")


@st.composite
def dot_texts(draw):
    """DOT texts that both readers know."""
    space = st.sampled_from([" ", "\n", " /* a -> z */ ", " // z\n", "\t# z -> a\n"])
    statements = []
    for _ in range(draw(st.integers(0, 5))):
        chain = draw(st.lists(ends(), min_size=2, max_size=3))
        direction = draw(st.sampled_from(["", "forward", "back", "both"]))
        marks = f'[label="x -> y; //"][dir={direction}]' if direction else ""
        statements.append(draw(space) + "->".join(chain) + marks + draw(space))
    kind = draw(st.sampled_from(["digraph", "DiGraph G", "strict digraph"]))
    return f"{kind} {{{';'.join(statements)}}}"


def read_by_pydot(pydot, text):
    """Nodes and edges as sets, from pydot's parse of a text."""
    found, directed, bidirected = set(), set(), set()

    def plain(name):
        return re.match(r'"([^"]*)"|[^:]*', name)[0].strip('"')

    def members(end):
        if isinstance(end, str):
            return [plain(end)]
        return [plain(name) for name in end["nodes"]]

    def visit(graph):
        found.update(plain(node.get_name()) for node in graph.get_nodes())
        for edge in graph.get_edges():
            tails, heads = members(edge.get_source()), members(edge.get_destination())
            found.update((*tails, *heads))
            for a in tails:
                for b in heads:
                    direction = edge.get("dir")
                    if direction == "both":
                        bidirected.add(frozenset((a, b)))
                    else:
                        directed.add((b, a) if direction == "back" else (a, b))
        for inner in graph.get_subgraphs():
            visit(inner)

    visit(pydot.graph_from_dot_data(text)[0])
    return found, directed, bidirected


@settings(many, max_examples=EXAMPLES // 4)
@given(dot_texts())
def test_reads_what_pydot_reads(text):
    pydot = pytest.importorskip("pydot")
    nodes, directed, bidirected = read_by_pydot(pydot, text)
    try:
        graph = CausalGraph.from_dot(text)
    except ValueError as error:
        loops = {a for a, b in directed if a == b} | {
            e for e in bidirected if len(e) < 2
        }
        known = {
            "itself": loops,
            "cycle": not nx.is_directed_acyclic_graph(nx.DiGraph(directed)),
            "stands twice": text.startswith("strict"),
        }
        assert any(word in str(error) and why for word, why in known.items())
        return
    assert set(graph.nodes) == nodes
    assert set(graph.directed_edges) == directed
    assert {frozenset(e) for e in graph.bidirected_edges} == bidirected


@settings(many, max_examples=2 * EXAMPLES)
@given(
    soups()
    | soups("digraph {", "}")
    | soups("dag {", "}")
    | soups("digraph { a [", "]; a -> b }")
    | soups('digraph { a -> b [dir="', '"] }')
    | st.text(max_size=30)
)
def test_any_text_is_read_or_refused_in_one_line(text):
    for read in (CausalGraph, CausalGraph.from_dot, CausalGraph.from_dagitty):
        try:
            graph = read(text)
        except ValueError as error:
            message = str(error)
            assert len(message) < 400 and len(message.splitlines()) == 1
        else:
            assert CausalGraph(str(graph)) == graph
            assert CausalGraph.from_dot(graph.to_dot()) == graph


@many
@given(named_graphs())
def test_every_graph_is_drawn(graph):
    html = graph._repr_html_()
    page = ElementTree.fromstring(html)
    if page.tag.endswith("svg"):
        drawn = [text for text in page.iter() if text.tag.endswith("text")]
        assert len(drawn) == len(graph)
    assert "<b>" not in html


LARGE = {
    "brackets": lambda n: CausalGraph.from_dot("digraph {" + "[" * n + "}"),
    "spaces": lambda n: CausalGraph.from_dot("digraph {" + " " * n + "}"),
    "quotes": lambda n: CausalGraph.from_dot("digraph {" + '"' * n + "}"),
    "escaped quotes": lambda n: CausalGraph('"' + '\\"' * n),
    "escaped quotes in DOT": lambda n: CausalGraph.from_dot('digraph {"' + '\\"' * n),
    "braces": lambda n: CausalGraph.from_dot("digraph {" + "{" * n),
    "angles": lambda n: CausalGraph.from_dot("digraph {a [b=" + "<" * n + "}"),
    "comments": lambda n: CausalGraph.from_dot("digraph {" + "/*" * n + "}"),
    "arrows": lambda n: CausalGraph("a ->" * n),
    "dashes": lambda n: CausalGraph("-" * n),
    "space in a name": lambda n: CausalGraph("a" + " " * n + "b -> c"),
    "a name of spaces": lambda n: str(CausalGraph('"' + " " * n + '" -> c')),
    "a chain": lambda n: CausalGraph.from_dot(
        "digraph {" + "->".join(f"a{k}" for k in range(n // 10)) + "}"
    ),
    "nodes of one name": lambda n: CausalGraph.from_dot("digraph {" + "a;" * n + "}"),
    "a cycle after a chain": lambda n: CausalGraph.from_edges(
        [*((k, k + 1) for k in range(n // 10)), (n // 10, n // 10 - 2)]
    ),
    "a long cycle": lambda n: CausalGraph.from_edges(
        [(k, (k + 1) % (n // 10)) for k in range(n // 10)]
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_grows_with_the_text(kind):
    def seconds(n):
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            try:
                LARGE[kind](n)
            except ValueError as error:
                assert len(str(error)) < 400
            best = min(best, time.process_time() - start)
        return best

    # Sixteen times the text: 256 times the work if it were quadratic.
    assert seconds(64_000) < 80 * max(seconds(4_000), 0.001)


def test_drawing_grows_with_the_edges():
    from sklearn_causalrec.causal.graphs.drawing import Layout

    def work(n):
        graph = CausalGraph.from_edges([(i, j) for j in range(n) for i in range(j)])
        looked = 0

        class Counting(Layout):
            def _box_at(self, x, y):
                nonlocal looked
                looked += 1
                return super()._box_at(x, y)

        Counting(graph)
        return looked / len(graph.directed_edges)

    assert work(30) < 300 and work(60) < 300
    complete = CausalGraph.from_edges([(i, j) for j in range(80) for i in range(j)])
    assert "80 nodes, 3160 directed" in complete._repr_html_()


def test_long_cycles_are_named_in_short():
    with pytest.raises(ValueError, match=r"cycle: 0 -> .* -> … -> .* \(1,000 nodes\)"):
        CausalGraph.from_edges([(k, (k + 1) % 1000) for k in range(1000)])
    name = "x" * 500
    with pytest.raises(ValueError, match=r"cycle: x+… -> a -> x+…") as caught:
        CausalGraph.from_edges([(name, "a"), ("a", name)])
    assert len(str(caught.value)) < 200


def test_odd_names_are_in_the_strategy_once():
    assert len(set(ODD_NAMES)) == len(ODD_NAMES)
