"""The arrow notation: what is read, what is refused, and what is written."""

import pytest

from sklearn_causalrec import CausalGraph


@pytest.mark.parametrize(
    ("text", "directed", "bidirected", "nodes"),
    [
        ("a -> b <- c <-> d", {("a", "b"), ("c", "b")}, {("c", "d")}, 4),
        ("a → b ← c ↔ d", {("a", "b"), ("c", "b")}, {("c", "d")}, 4),
        ("a -> b;; b -> c;\n;", {("a", "b"), ("b", "c")}, set(), 3),
        ("a->b\r\nb->c\r\n", {("a", "b"), ("b", "c")}, set(), 3),
        ("# whole line\na -> b # rest; c -> d", {("a", "b")}, set(), 2),
        ("watch time -> age-group", {("watch time", "age-group")}, set(), 2),
        ('"a;b" -> "c, d"', {("a;b", "c, d")}, set(), 2),
        (r'"a \"b\" \\" -> c', {('a "b" \\', "c")}, set(), 2),
        ('"two\nlines" -> "" ', {("two\nlines", "")}, set(), 2),
        ("price ($) -> C++ & co.", {("price ($)", "C++ & co.")}, set(), 2),
        ("digraph -> node; graph", {("digraph", "node")}, set(), 3),
        ("\ufeffa -> b", {("a", "b")}, set(), 2),
        (" \n# nothing\n", set(), set(), 0),
    ],
)
def test_is_read(text, directed, bidirected, nodes):
    graph = CausalGraph(text)
    assert set(graph.directed_edges) == directed
    assert {frozenset(e) for e in graph.bidirected_edges} == set(
        map(frozenset, bidirected)
    )
    assert len(graph) == nodes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a -> b, b -> c", "',' separates nothing; write ';'"),
        ("digraph {age -> b", "a closing '}' is missing"),
        ("digraph my graph {age -> b}", "braces and brackets belong to DOT"),
        ("{a b} -> c", "braces and brackets belong to DOT"),
        ("a -> b [dir=both]", "braces and brackets belong to DOT"),
        ("[A][B|A]", "braces and brackets belong to DOT"),
        ("graph { a -- b }", "'graph' is undirected"),
        ("a -- b", "edges are '->'"),
        ("a - b", "edges are '->'"),
        ("A --> B", "edges are '->'"),
        ("A <-- B", "edges are '->'"),
        ("A <--> B", "a name is missing|edges are '->'"),
        ("A -.-> B", "edges are '->'"),
        ("a => b", "edges are '->'"),
        ("a ->> b", "edges are '->'"),
        ("a ⇒ b", "edges are '->'"),
        ("a —> b", "edges are '->'"),
        ("a – b", "edges are '->'"),
        ("y ~ x", "edges are '->'"),
        ("y <- x + z", "edges are '->'"),
        ("y = x", "edges are '->'"),
        ("a o-> b", "'o' is undecided"),
        ("a <-o b", "'o' is undecided"),
        ("a @-> b", "edges are '->'"),
        ("a#b -> c", "'#' begins a comment only after a space"),
        ("a -> b // c", "a comment begins with '#'"),
        ("a -> b /* c */", "a comment begins with '#'"),
        ('"a" b -> c', "a quoted name is quoted as a whole"),
        ('"a -> b', "a quoted name has no closing quote"),
        ("a -> -> b", "a name is missing"),
        ("-> a", "a name is missing"),
        ("a\u00a0b -> c", "a control character"),
        ("a\\ -> b", "a control character"),
        ("Graph Nodes:\nx;y\n", "does not end with ':'"),
        ("graph [\n directed 1\n node [ id 0 label \"a\" ] ]", "GML.*parse_gml"),
        ("Creator \"x\"\ngraph [ ]", "GML.*parse_gml"),
        ("<graphml>", "edges are '->'"),
    ],
)  # fmt: skip
def test_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        CausalGraph(text)


def test_dot_and_dagitty_text_is_read_as_such():
    bow = CausalGraph("x -> y; x <-> y")
    assert CausalGraph("digraph { U [observed=no] U -> {x y} x -> y }") == bow
    assert CausalGraph("// mine\nstrict digraph G\n{ x -> y; x -> y }") == (
        CausalGraph("x -> y")
    )
    assert CausalGraph("dag{ x <- U -> y x -> y U [latent] }") == bow
    assert CausalGraph('digraph "my graph" {age -> b}') == CausalGraph("age -> b")


def test_odd_names_are_written_in_quotes():
    graph = CausalGraph.from_edges([("a, b", 'say "x"')], nodes=["plain name"])
    assert str(graph) == r'plain name; "a, b" -> "say \"x\""'
    assert CausalGraph(str(graph)) == graph
    assert eval(repr(graph)) == graph


def test_a_repr_of_names_that_are_no_text_makes_the_same_graph():
    graph = CausalGraph.from_edges([(1, 2)], [(1, "a")], nodes=[3])
    assert repr(graph) == "CausalGraph.from_edges([(1, 2)], [(1, 'a')], [3, 1, 2, 'a'])"
    assert eval(repr(graph)) == graph


@pytest.mark.parametrize(
    ("edges", "error", "message"),
    [
        (["ab"], ValueError, "pair of names, got 'ab'"),
        ([{"a", "b"}], ValueError, "pair of names"),
        ([5], ValueError, "pair of names, got 5"),
        (5, TypeError, "edges are pairs such as"),
        ("a -> b", TypeError, r"CausalGraph\(text\)"),
        ([(None, "a")], ValueError, "cannot be named None"),
        ([(float("nan"), "a")], ValueError, "cannot be named nan"),
        ([(("a", 1), "b")], ValueError, "a collection is read as several names"),
        ([(["a"], "b")], TypeError, r"text or a number, got \['a'\]"),
        ([("a" * 500, "a" * 500)], ValueError, "….* has an edge to itself"),
    ],
)
def test_pairs_are_pairs_of_names(edges, error, message):
    with pytest.raises(error, match=message):
        CausalGraph.from_edges(edges)


def test_integers_are_names_throughout():
    graph = CausalGraph.from_edges([(0, 1), (0, 2), (1, 2), (2, 3)])
    assert list(graph.adjustment_sets(2, 1)) == [{0}]
    assert str(graph.identify(2, 1)) == "P(2 | do(1)) = Σ_{0} P(2 | 0, 1) P(0)"
    assert graph.is_separated(1, 3, given=2) and graph.rule(2, 2, (), 1, given=0)
    assert graph.parents([1, 2]) == {0} and 3 in graph and "3" not in graph
    with pytest.raises(ValueError, match="'1' not in the graph; its nodes are 0, 1"):
        graph.identify(2, "1")
