"""Graphs of networkx, and of packages that build on it, as this package reads them."""

from sklearn_causalrec.causal.graphs.marks import edge_marks, latent_mark
from sklearn_causalrec.causal.graphs.reading import Builder
from sklearn_causalrec.causal.graphs.words import shown


def read_networkx(G):
    """Read a directed networkx graph.

    Parameters
    ----------
    G : networkx.DiGraph or networkx.MultiDiGraph
        The graph, with the marks of `marks.latent_mark` on its nodes and those of
        `marks.edge_marks` on its edges. An attribute ``latents``, as pgmpy has it,
        names further latent nodes.

    Returns
    -------
    Reading
        What the graph says.

    Raises
    ------
    TypeError
        If ``G`` is no networkx graph.
    ValueError
        If ``G`` is undirected, or if a mark is not understood.
    """
    if not all(hasattr(G, name) for name in ("is_directed", "edges", "nodes", "graph")):
        raise TypeError(
            f"from_networkx reads a networkx.DiGraph, got {type(G).__name__}; for text "
            f"there is CausalGraph(text), for edge lists CausalGraph.from_edges."
        )
    if not G.is_directed():
        raise ValueError(
            f"the {type(G).__name__} is undirected and says nothing about what causes "
            f"what; make a networkx.DiGraph with an edge from each cause to its effect."
        )
    _refuse_defaults(G.graph)
    latents = {name: {"latent": True} for name in getattr(G, "latents", ())}
    graph = Builder()
    for node, attributes in G.nodes(data=True):
        graph.describe(node, {**attributes, **latents.get(node, {})})
    for a, b, attributes in G.edges(data=True):
        graph.connect([a], [b], attributes)
    return graph.reading()


def _refuse_defaults(settings):
    """networkx keeps the defaults of a DOT file, and not where in it they stood."""
    for kind, find in (("node", latent_mark), ("edge", edge_marks)):
        defaults = settings.get(kind)
        if isinstance(defaults, dict) and find(defaults, f"the default {kind}") not in (
            None,
            {},
        ):
            raise ValueError(
                f"the graph has defaults of {kind}s that were read from DOT, "
                f"{shown(defaults)}, and which {kind}s they hold for is lost; read the "
                f"text with CausalGraph.from_dot."
            )
