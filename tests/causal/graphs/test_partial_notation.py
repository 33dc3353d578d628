import pickle

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_causalrec import PartialGraph
from sklearn_causalrec._testing.graph_strategies import ODD_NAMES


@pytest.mark.parametrize(
    ("text", "edges", "kind"),
    [
        ("a --- b; b -> c; a -> c", "a---b a-->c b-->c", "cpdag"),
        ("a -- b", "a---b", "cpdag"),
        ("a o-> b; b <-> c; c o-o d; e", "ao->b b<->c co-od", "pag"),
        ("a <-o b", "bo->a", "pag"),
        ("a o->b o-o c", "ao->b bo-oc", "pag"),
        ("a <-- b; c --- d  # said twice\nd -- c", "b-->a c---d", "cpdag"),
        ("o o-> o2; b ↔ o", "o<->b oo->o2", "pag"),
        ("page view o-> 2nd_buy", "page viewo->2nd_buy", "pag"),
    ],
)
def test_text(text, edges, kind):
    graph = PartialGraph(text)
    assert " ".join(sorted("".join(e) for e in graph.edges)) == edges
    assert graph.kind == kind
    assert PartialGraph(str(graph), kind=kind) == graph
    assert eval(repr(graph)) == graph and hash(eval(repr(graph))) == hash(graph)
    assert PartialGraph.from_networkx(graph.to_networkx(), kind) == graph
    assert pickle.loads(pickle.dumps(graph)) == graph


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("a -> b", "auto", "not told: kind='cpdag'"),
        ("a --- b; b o-> c", "auto", "no CPDAG has them"),
        ("a o-> b", "cpdag", "no CPDAG has them"),
        ("a --- b", "pag", "selection bias"),
        ("a o-> b", "mag", "a MAG has no circles"),
        ("a --o b", "auto", "unknown mark"),
        ("a o- b", "auto", "an end 'o' stands in"),
        ("a - b", "auto", "edges are"),
        ("a --- a", "auto", "edge to itself"),
        ("a --- b; a --> b", "auto", "between two nodes there is one edge"),
        ("a --> b --> c --> a", "cpdag", "no directed acyclic graph"),
        ("a --- b --- c --- d --- a", "auto", "no directed acyclic graph"),
        ("a -> b -- c; d -> c", "auto", "no directed acyclic graph"),
        ("a o-o b o-o c o-o d o-o a", "auto", "cycle without a chord"),
        ("a --> b --> c; a <-> c", "auto", "their edge is <->"),
        ("a --> b --> c --> a; d o-> a", "auto", "cycle"),
        ("a o-> b o-o c <-o d", "auto", "leave ends open that others decide"),
        (
            "c o-> x; x --> y; c o-> y; d o-> x",
            "auto",
            "end at 'c' of its edge with 'y'",
        ),
        ("a o-> b", "dag", "kind must be one of"),
    ],
)
def test_what_is_no_graph_is_refused(text, kind, message):
    with pytest.raises(ValueError, match=message):
        PartialGraph(text, kind)


def test_other_input_is_refused():
    with pytest.raises(TypeError, match="from_edges"):
        PartialGraph([("a", "---", "b")])
    with pytest.raises(TypeError, match="DiGraph"):
        PartialGraph.from_networkx(nx.Graph([("a", "b")]))
    for edge in ("a--b", ("a", "b"), 3):
        with pytest.raises(ValueError, match="an edge is a triple"):
            PartialGraph.from_edges([edge])
    with pytest.raises(ValueError, match="unknown mark"):
        PartialGraph.from_edges([("a", 1, "b")])


def test_numbers_name_nodes_and_long_graphs_are_summed_up():
    graph = PartialGraph.from_edges([(1, "o->", 2)])
    assert repr(graph) == "PartialGraph.from_edges([(1, 'o->', 2)], [1, 2])"
    assert 1 in graph and len(graph) == 2
    long = PartialGraph.from_edges([(k, "---", k + 1) for k in range(20)])
    assert repr(long).startswith("<PartialGraph (cpdag): 21 nodes, 20 edges, 20 of")


@given(st.data())
def test_names_come_back_from_text(data):
    some = st.text(max_size=6) | st.sampled_from([*ODD_NAMES, "o-", "a o-> b", "-o"])
    names = data.draw(st.lists(some, min_size=2, max_size=4, unique=True))
    graph = PartialGraph.from_edges([(names[0], "o->", names[1])], names)
    again = PartialGraph(str(graph))
    assert again == graph and again.nodes[-2:] == tuple(names[:2])


def test_knowledge_directs_what_follows():
    chain = PartialGraph("a --- b; b --- c; d")
    assert chain.orient([("b", "c")]).edges == (("a", "---", "b"), ("b", "-->", "c"))
    assert chain.orient([("a", "b")]).undecided == ()
    assert chain.orient([("a", "b")]).kind == "cpdag"
    with pytest.raises(ValueError, match="it leads back"):
        chain.orient([("a", "b"), ("c", "b")])
    with pytest.raises(ValueError, match="not joined"):
        chain.orient([("a", "c")])
    with pytest.raises(ValueError, match="'q' is not in the graph"):
        chain.orient([("a", "q")])
    with pytest.raises(ValueError, match="this graph is a pag"):
        PartialGraph("a o-o b").orient([("a", "b")])
    assert chain.undecided == (("a", "---", "b"), ("b", "---", "c"))


def test_an_edge_that_is_none_is_told_which_there_are():
    with pytest.raises(ValueError, match="edges are '-->', '---', 'o->', 'o-o', '<->'"):
        PartialGraph("a - b; b --> y")
