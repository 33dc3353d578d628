"""What a foreign graph says, gathered node by node and edge by edge."""

from itertools import product
from typing import NamedTuple

from sklearn_causalrec.causal.graphs.marks import edge_marks, heads, latent_mark
from sklearn_causalrec.causal.graphs.words import shown

_MOST = 1_000_000  # edges: {...} -> {...} multiplies


class Reading(NamedTuple):
    """What a text or a foreign graph says.

    Attributes
    ----------
    nodes : list of names
        All nodes, latent ones included, in the order of the text.
    directed : list of (cause, effect)
        The directed edges.
    bidirected : list of (a, b)
        The edges that stand for a latent common cause.
    latent : list of names
        The nodes that are marked as latent.
    """

    nodes: list
    directed: list
    bidirected: list
    latent: list


class _Edge(NamedTuple):
    ends: tuple  # a head at its tail, a head at its head
    latent: bool
    attributes: dict  # its own, without defaults


class Builder:
    """Nodes and edges with attributes, and the causal graph that they stand for.

    Attributes
    ----------
    strict : bool
        Whether two edges between the same nodes are one, as in a strict DOT graph.
    """

    def __init__(self):
        self.strict = False
        self._latent = {}  # node -> True, False or None
        self._said = {}  # node -> what its own attributes say, defaults aside
        self._drawn = {}  # node -> (label, shape)
        self._edges = {}  # (tail, head, identity) -> _Edge

    def add(self, name, default=None):
        """Add a node, unless it is there; ``default`` says whether it is latent."""
        self._latent.setdefault(name, default)

    def describe(self, name, attributes, default=None):
        """Add a node and read its attributes.

        Parameters
        ----------
        name : object
            The node.
        attributes : dict
            Its attributes, see `marks.latent_mark`.
        default : bool or None, default=None
            Whether nodes are latent that say nothing about it.
        """
        self.add(name, default)
        node = f"the node {shown(name, 60)}"
        mark = latent_mark(attributes, node)
        if mark is not None:
            if self._said.setdefault(name, mark) != mark:
                raise ValueError(f"{node} is marked both as latent and as observed.")
            self._latent[name] = mark
        if default not in (None, self._latent[name]) and name not in self._said:
            raise ValueError(
                f"{node} stands before the default of nodes that says whether it is "
                f"latent; mark the node itself."
            )
        label, shape = self._drawn.get(name, (None, None))
        label = attributes.get("label", label)
        self._drawn[name] = label, attributes.get("shape", shape)

    def connect(self, tails, heads_, attributes, defaults=None, bidirected=False):
        """Add an edge from each of some nodes to each of others.

        Parameters
        ----------
        tails : list
            The nodes that the edges start from.
        heads_ : list
            The nodes that they lead to.
        attributes : dict
            Their attributes, see `marks.edge_marks`.
        defaults : dict, optional
            The marks of edges that say nothing else.
        bidirected : bool, default=False
            Whether the edges are written as bidirected.
        """
        if not tails or not heads_:
            return
        edge = f"the edge {shown(tails[0], 40)} -> {shown(heads_[0], 40)}"
        if len(tails) * len(heads_) + len(self._edges) > _MOST:
            raise ValueError(f"with {edge} the graph has more than {_MOST:,} edges.")
        marks = edge_marks(attributes, edge)
        if bidirected:
            if marks.get("dir", "both") != "both":
                raise ValueError(f"{edge} is '<->' and has another dir.")
            marks = {"bidirected": True}
        marks = {**(defaults or {}), **marks}
        new = _Edge(heads(marks, edge), marks.get("latent", False), attributes)
        for a, b in product(tails, heads_):
            identity = attributes.get("key", "" if self.strict else len(self._edges))
            if self._edges.setdefault((a, b, identity), new)[:2] != new[:2]:
                raise ValueError(
                    f"the edge {shown(a, 40)} -> {shown(b, 40)} stands twice with "
                    f"different marks, and the graph is strict or the two have one key."
                )

    def reading(self):
        """Give what was gathered.

        Returns
        -------
        Reading
            Two directed edges in both directions that are marked as latent are one
            bidirected edge.
        """
        latent = [name for name, mark in self._latent.items() if mark]
        directed, bidirected, marked = [], [], []
        for (a, b, _), edge in self._edges.items():
            if edge.ends == (True, True):
                bidirected.append((a, b))
            else:
                pair = (a, b) if edge.ends[1] else (b, a)
                (marked if edge.latent else directed).append(pair)
        bidirected += _pairs_of_marked(marked)
        name_of = {}
        if self._is_of_causal_learn():
            name_of = {name: label for name, (label, _) in self._drawn.items()}
            latent += [
                name for name, (_, shape) in self._drawn.items() if shape == "square"
            ]
            bidirected += self._perhaps_confounded()
        return Reading(
            [name_of.get(a, a) for a in self._latent],
            [(name_of.get(a, a), name_of.get(b, b)) for a, b in directed],
            [(name_of.get(a, a), name_of.get(b, b)) for a, b in bidirected],
            [name_of.get(a, a) for a in dict.fromkeys(latent)],
        )

    # -- graphs that causal-learn draws -----------------------------------------------

    def _is_of_causal_learn(self):
        """Whether nodes are numbered and labeled, and all edges say both ends.

        causal-learn numbers its nodes, the name is the label, and latent nodes are
        squares. Its edges all have ``dir=both``, and say by ``arrowtail`` and
        ``arrowhead`` what they are.
        """
        labels = [self._drawn.get(name, (None,))[0] for name in self._latent]
        return (
            bool(self._edges)
            and list(self._latent) == [str(k) for k in range(len(labels))]
            and None not in labels
            and len(set(labels)) == len(labels)
            and all(
                {"dir", "arrowhead", "arrowtail"} <= set(edge.attributes)
                for edge in self._edges.values()
            )
        )

    def _perhaps_confounded(self):
        """Directed edges of a PAG that may be confounded, as `discover` reads them.

        causal-learn draws those that cannot be with a thick line.
        """
        if not any(
            edge.ends == (True, True) or {"penwidth", "color"} & set(edge.attributes)
            for edge in self._edges.values()
        ):
            return []
        return [
            (a, b)
            for (a, b, _), edge in self._edges.items()
            if edge.ends != (True, True) and "penwidth" not in edge.attributes
        ]


def _pairs_of_marked(marked):
    """Bidirected edges that are written as two directed edges, both marked latent."""
    marked, kept = dict.fromkeys(marked), {}
    for a, b in marked:
        if (b, a) not in marked:
            raise ValueError(
                f"the edge {shown(a, 40)} -> {shown(b, 40)} is marked as latent, and "
                f"the edge back is not. Write a latent common cause as dir=both."
            )
        kept.setdefault(frozenset((a, b)), (a, b))
    return list(kept.values())
