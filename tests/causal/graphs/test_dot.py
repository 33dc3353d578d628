"""DOT and dagitty text: each mark is read rightly, or refused by name."""

import networkx as nx
import pytest

from sklearn_causalrec import CausalGraph

BOW = CausalGraph("x -> y; x <-> y")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # Comments, and what looks like one.
        ("digraph { a -> b // -> c\n /* x -> y */ b -> c # c -> d\n}", "a -> b -> c"),
        ("/* a graph */ // of mine\n# and yours\ndigraph { a -> b }", "a -> b"),
        ('digraph { a -> b [URL="http://x.y//->z;#1"] ; b -> c }', "a -> b -> c"),
        ('digraph { "a//b" -> "c /* d" -> "# e" }', '"a//b" -> "c /* d" -> "# e"'),
        ("digraph { a [label=<<b>x</b> &gt; y>]; a -> b }", "a -> b"),
        # Keywords in any case, names of keywords, names of graphs.
        ("DiGraph G { Edge [DIR=both] a -> b }", "a <-> b"),
        ('STRICT DIGRAPH "a -> b" { a -> b; a -> b }', "a -> b"),
        ('digraph { "edge" -> "node" -> "digraph" }', "edge -> node -> digraph"),
        ("\ufeffdigraph{a->b}", "a -> b"),
        # Names.
        (r'digraph { "a \"b\"" -> "c -> d" }', r'"a \"b\"" -> "c -> d"'),
        ('digraph { "watch " + "time" -> b }', "watch time -> b"),
        ('digraph { "watch \\\ntime" -> b }', "watch time -> b"),
        ("digraph { é1 -> 日本; 1.5 -> -2 }", 'é1 -> 日本; 1.5 -> "-2"'),
        ("digraph { x.1 -> x_2 }", "x.1 -> x_2"),
        # Attributes and defaults.
        ("digraph { a -> b [color=red] [dir=both] }", "a <-> b"),
        ("digraph { a -> b [color=red; dir=both, x=1] }", "a <-> b"),
        ('digraph { a -> b [dir="both" arrowhead="vee"] }', "a <-> b"),
        ("digraph { edge [dir=both]; a -> b }", "a <-> b"),
        ("digraph { a -> b; edge [dir=both]; b -> c }", "a -> b; b <-> c"),
        ("digraph { edge [dir=both]; a -> b [dir=forward] }", "a -> b"),
        ("digraph { subgraph { edge [dir=both] a -> b } b -> c }", "a <-> b; b -> c"),
        ("digraph { edge [dir=both] subgraph s { a -> b } }", "a <-> b"),
        ("digraph { a -> b [dir=back] }", "b -> a"),
        ("digraph { a -> b [dir=both, arrowtail=none] }", "a -> b"),
        ("digraph { a -> b [dir=both, arrowhead=none] }", "b -> a"),
        ("digraph { a -> b; a -> b [dir=both, style=dashed] }", "a -> b; a <-> b"),
        ("digraph { rankdir=LR; size=\"4,4\"; graph [bb=\"0,0\"]; a }", "a"),
        ("digraph { node [shape=box] a -> b [label=\"c -> d\"] }", "a -> b"),
        # Subgraphs, clusters and ports.
        ("digraph { {a b} -> c }", "a -> c; b -> c"),
        ("digraph { {a, b} -> {c; d} }", "a -> c; a -> d; b -> c; b -> d"),
        ("digraph { a -> {b -> c} }", "a -> b; a -> c; b -> c"),
        ("digraph { subgraph cluster_1 { label=g; a -> b } c }", "a -> b; c"),
        ("digraph { subgraph s {a b} subgraph s -> c }", "a -> c; b -> c"),
        ("digraph { {{a} {b}} -> c [dir=both] }", "a <-> c; b <-> c"),
        ('digraph { a:n -> b:"f:0":sw; "c:d" -> a }', "a -> b; c:d -> a"),
        # Arrows of dagitty and of typography.
        ("digraph { a <- b <-> c }", "b -> a; b <-> c"),
        ("dag { a → b ← c ↔ b }", "a -> b; c -> b; c <-> b"),
        ("dag{a->b b->c}", "a -> b -> c"),
        ('dag { bb="0,0,1,1" a [exposure,pos="1,2"] b [outcome] a -> b [beta=.5] }',
         "a -> b"),
        ("digraph { a, b; c }", "a; b; c"),
        ("digraph {}", ""),
        ("digraph { o->b }", "o -> b"),
    ],
)  # fmt: skip
def test_is_read_as_meant(text, meant):
    assert CausalGraph.from_dot(text) == CausalGraph(meant)
    assert CausalGraph.from_dagitty(text) == CausalGraph(meant)
    assert CausalGraph(text) == CausalGraph(meant)


@pytest.mark.parametrize(
    "text",
    [
        'digraph { U [observed="no"]; U -> x; U -> y; x -> y }',  # DoWhy
        'digraph { x -> y; U[label="Unobserved Confounders"]; U -> {x y} }',
        "digraph { U [observed=false] U -> {x y} x -> y }",
        "digraph { U [latent=true] U -> {x y} x -> y }",
        "digraph { U -> {x y} x -> y; U [type=latent] }",
        'dag { U [latent,pos="0,0"] x <- U -> y ; x -> y }',  # dagitty
        "dag { U [unobserved] x <- U -> y ; x -> y }",
        "dag { U [U] x <- U -> y ; x -> y }",
        "digraph { node [latent]; U; node [latent=no]; U -> {x y} x -> y }",
        "digraph { {node [observed=no] U} U -> {x y} x -> y }",
        "digraph { x -> y [latent=true]; y -> x [latent=true]; x -> y }",
        "digraph { x -> y; x -> y [description=U]; y -> x [description=U] }",
        "digraph { x -> y; x -> y [bidirected=True, key=1] }",  # networkx
        "digraph { x -> y; x -> y [type=bidirected] }",
        "digraph { x -> y; y -> x [latent, dir=both] }",
    ],
)
def test_latent_causes_are_seen(text):
    assert CausalGraph.from_dot(text) == BOW
    assert CausalGraph(text) == BOW


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # Undirected, undecided.
        ("graph { a -- b }", "'graph' is undirected.*write 'digraph'"),
        ("Graph { a }", "'graph' is undirected"),
        ("digraph { a -- b }", "'--' leaves open"),
        ("dag { a @-> b }", "'@->' leaves open"),
        ("digraph { a -> b [dir=none] }", "'a' -> 'b' has dir=none"),
        ("digraph { a -> b [dir=sideways] }", "dir='sideways'; known are"),
        ("digraph { a -> b [arrowhead=none] }", "has no arrowhead"),
        ("digraph { a -> b [dir=both, arrowtail=odot] }", "arrowtail='odot'"),
        ("digraph { a o-> b }", "'o' marks an end that is undecided"),
        ("digraph { a <-o b }", "'o' marks an end that is undecided"),
        ("pag { a -> b }", "an edge of a pag may hide a latent cause"),
        ("mag { a -> b }", "an edge of a mag may hide a latent cause"),
        # Latent or not: not clear.
        ("digraph { U [label=\"hidden taste\"] U -> x }", "'U' has the attribute"),
        ("digraph { U [observed=perhaps] U -> x }", "observed='perhaps'; .* yes or no"),
        ("digraph { U [observed=no, latent=no] }", "both as latent and as observed"),
        ("digraph { U [latent] U [observed=yes] }", "both as latent and as observed"),
        ("digraph { U -> x; node [observed=no]; U }", "'U' stands before the default"),
        ("digraph { a -> b [latent=true] }", "the edge back is not"),
        ("digraph { a -> b [label=\"unobserved confounding\"] }", "dir=both"),
        ("strict digraph { a -> b; a -> b [dir=both] }", "stands twice"),
        ("digraph { a -> b [key=k]; a -> b [key=k, dir=both] }", "stands twice"),
        ("dag { a [selected] a -> b }", "'a' is marked as selected"),
        ("digraph { dir=both; a -> b }", "'dir' is no attribute of a graph"),
        ("digraph { graph [observed=no]; a -> b }", "is no attribute of a graph"),
        ("dag { a <-> b [dir=forward] }", "is '<->' and has another dir"),
        ("digraph { subgraph s {a} -> subgraph s {b} }", "name was used before"),
        # Separators and names.
        ("digraph { a -> b, c -> d }", "edges are separated by ';'"),
        ("digraph { a, b -> c }", r"in braces: \{a b\} -> c"),
        ("digraph { a-b -> c }", "'-' stands in names only in double quotes"),
        ("digraph { a ⇒ b }", "'⇒' stands in names only in double quotes"),
        ("digraph { <b> -> c }", "HTML-like string names no node"),
        ("digraph { edge -> b }", "'edge' is a keyword"),
        ("digraph { a#b -> c }", "'#' begins a comment only after a space"),
        ('digraph { "a\\b" -> "a\\\\b" }', "one backslash here and with two"),
        # Not whole.
        ("digraph { a -> }", "the edge '->' has no end"),
        ("digraph { -> a }", "'->' is not expected here"),
        ("digraph { a -> b", "a closing '}' is missing"),
        ("digraph { a -> b } }", "goes on after the closing brace"),
        ("digraph { a } digraph { b }", "goes on after the closing brace"),
        ('digraph { "a -> b }', "a quoted name has no closing quote"),
        ("digraph { /* a -> b }", r"a comment has no closing '\*/'"),
        ("digraph { a [label=<b }", "no closing '>'"),
        ("digraph { a [x= }", "a value is missing after '='"),
        ("digraph { a [ }", r"the '\[' is not closed"),
        ("digraph { a -> b: }", "a port is missing"),
        ("digraph {" + "{" * 60 + "}" * 61, "braces stand in more than 50"),
        ("a -> b", "expected 'digraph"),
        ("", "expected 'digraph"),
    ],
)  # fmt: skip
def test_is_refused_by_name(text, message):
    for read in (CausalGraph.from_dot, CausalGraph.from_dagitty):
        with pytest.raises(ValueError, match=message):
            read(text)


def test_says_where_it_stopped():
    text = "digraph {\n a -> b;\n b => c\n}"
    with pytest.raises(ValueError, match=r"line 3: '>' .* near 'b => c'"):
        CausalGraph.from_dot(text)


def test_only_text_is_dot():
    with pytest.raises(TypeError, match=r"got bytes; read a file with Path"):
        CausalGraph.from_dot(b"digraph { a -> b }")


def test_graphs_of_causal_learn():
    pytest.importorskip("causallearn")
    from causallearn.graph.Edge import Edge
    from causallearn.graph.Endpoint import Endpoint
    from causallearn.graph.GeneralGraph import GeneralGraph
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.graph.NodeType import NodeType
    from causallearn.utils.GraphUtils import GraphUtils

    def text(ends, latent=(), properties=()):
        nodes = {name: GraphNode(name) for name in ("buy it", "view", "taste")}
        for name in latent:
            nodes[name].set_node_type(NodeType.LATENT)
        learnt = GeneralGraph(list(nodes.values()))
        for a, b, left, right in ends:
            edge = Edge(nodes[a], nodes[b], Endpoint[left], Endpoint[right])
            edge.properties = list(properties)
            learnt.add_edge(edge)
        return GraphUtils.to_pydot(learnt).to_string()

    taste = [("taste", "view", "TAIL", "ARROW"), ("taste", "buy it", "TAIL", "ARROW")]
    view = [("view", "buy it", "TAIL", "ARROW")]
    assert CausalGraph.from_dot(text(taste + view)) == CausalGraph(
        "taste -> view -> buy it; taste -> buy it"
    )
    hidden = text(taste + view, latent=["taste"])
    assert CausalGraph.from_dot(hidden) == CausalGraph(
        "view -> buy it; view <-> buy it"
    )
    # In a PAG, an edge that is not marked as visible may be confounded.
    two_heads = view + [("taste", "view", "ARROW", "ARROW")]
    assert CausalGraph.from_dot(text(two_heads)) == CausalGraph(
        "view -> buy it; view <-> buy it; taste <-> view"
    )
    visible = text(view, properties=[Edge.Property.nl])
    assert CausalGraph.from_dot(visible) == CausalGraph("view -> buy it; taste")
    for undecided in ("CIRCLE", "TAIL"):
        with pytest.raises(ValueError, match=r"the edge '\d' -> '\d' has"):
            CausalGraph.from_dot(text([("view", "buy it", undecided, "CIRCLE")]))


def test_what_networkx_writes():
    pytest.importorskip("pydot")
    graph = CausalGraph("a -> b -> c; a <-> c; a -> c; d")
    text = nx.nx_pydot.to_pydot(graph.to_networkx()).to_string()
    assert CausalGraph.from_dot(text) == graph


def test_names_that_are_one_as_text_are_not_written():
    graph = CausalGraph.from_edges([(1, "1")])
    for write in (graph.to_dot, graph.to_dagitty):
        with pytest.raises(ValueError, match="1 and '1' are the same as text"):
            write()


def test_a_name_injects_nothing():
    pydot = pytest.importorskip("pydot")
    for name in ('a\\" -> "b', 'a" [URL="http://x"]; "b', "a\\", "x]; y -> z", "<b>"):
        graph = CausalGraph.from_edges([(name, "y")])
        (parsed,) = pydot.graph_from_dot_data(graph.to_dot())
        assert len(parsed.get_nodes()) == 2 and len(parsed.get_edges()) == 1
        assert not any(node.get_attributes() for node in parsed.get_nodes())
        assert CausalGraph.from_dot(graph.to_dot()) == graph
