"""`MixedGraph`: edges whose two ends are known, or open; and what follows from them.

An end is a tail ``-``, an arrowhead ``>`` or a circle ``o``, which stands for either.
A graph without circles and without ``a <-> b`` stands for directed acyclic graphs, and
its edges ``a --- b`` are directed in one way or the other (a CPDAG, or one that further
knowledge has directed in part). Other graphs are ancestral: their nodes may have latent
common causes (a MAG, or a PAG).
"""

from sklearn_causalrec.causal.graphs.admg import ADMG
from sklearn_causalrec.causal.graphs.numbered import numbers
from sklearn_causalrec.causal.graphs.orientation import close, extension
from sklearn_causalrec.causal.graphs.words import several, shown

MARKS = {"-->": "->", "---": "--", "o->": "o>", "o-o": "oo", "<->": ">>"}
_REVERSED = {"<--": "-->", "<-o": "o->"}
_SHORT = {"->": "-->", "<-": "<--", "--": "---", "-": "---"}
_WRITTEN = {(ends[0], ends[1]): mark for mark, ends in MARKS.items()}


def forward(edge):
    """An edge ``(a, mark, b)`` with its mark among `MARKS`.

    Raises
    ------
    ValueError
        If it is no such triple, or the mark is unknown.
    """
    text = isinstance(edge, (str, bytes)) or not hasattr(edge, "__iter__")
    if text or len(edge := tuple(edge)) != 3:
        raise ValueError(
            f"an edge is a triple such as ('a', 'o->', 'b'), got {shown(edge)}."
        )
    a, mark, b = edge
    mark = _SHORT.get(mark, mark) if isinstance(mark, str) else mark
    if mark in _REVERSED:
        a, mark, b = b, _REVERSED[mark], a
    if mark not in MARKS:
        raise ValueError(
            f"the edge {shown(a, 40)} {mark} {shown(b, 40)} has an unknown mark; known "
            f"are {', '.join(MARKS)}, and their mirror images. Selection bias, o-- and "
            "its like, is not covered."
        )
    return a, mark, b


class MixedGraph:
    """Nodes and edges with ends, numbered in the order in which they were given.

    Parameters
    ----------
    edges : iterable of (a, mark, b)
        The edges, see `MARKS`.
    nodes : iterable of names
        Nodes that the graph has whether or not an edge names them.
    kind : {"cpdag", "mag", "pag"}
        What the graph stands for.

    Attributes
    ----------
    nodes : tuple of names
        The nodes.
    number : dict of name to int
        The place of each node among them.
    ends : list of dict
        ``ends[i][j]`` is the end at ``j`` of the edge between ``i`` and ``j``.
    """

    def __init__(self, edges, nodes, kind):
        edges = [forward(edge) for edge in edges]
        self.number = numbers((*nodes, *(v for a, _, b in edges for v in (a, b))))
        self.nodes, self.kind = tuple(self.number), kind
        self.ends = [{} for _ in self.nodes]
        for a, mark, b in edges:
            i, j = self.number[a], self.number[b]
            if i == j:
                raise ValueError(f"{shown(a)} has an edge to itself.")
            left, right = MARKS[mark][0], MARKS[mark][1]
            if self.ends[i].get(j, right) != right or self.ends[j].get(i, left) != left:
                raise ValueError(
                    f"{shown(a, 40)} and {shown(b, 40)} are joined by two edges with "
                    "different ends: between two nodes there is one edge."
                )
            self.ends[i][j], self.ends[j][i] = right, left
        self._check()

    @property
    def latent(self):
        """Whether nodes may have latent common causes."""
        return self.kind != "cpdag"

    # -- what is joined, and how -----------------------------------------------------

    def may_cause(self, i):
        """Nodes to which the edge of node ``i`` does not point back: a list."""
        return [j for j in self.ends[i] if self.ends[j][i] != ">"]

    def may_be_caused_by(self, i):
        """Nodes that the edge of node ``i`` does not point to: a list."""
        return [j for j, end in self.ends[i].items() if end != ">"]

    def is_directed(self, i, j):
        """Whether the edge is ``i --> j``."""
        return self.ends[j].get(i) == "-" and self.ends[i].get(j) == ">"

    def parents(self, i):
        """Nodes with a directed edge into node ``i``: a set."""
        return {j for j in self.ends[i] if self.is_directed(j, i)}

    def is_visible(self, i, j):
        """Whether ``i --> j`` cannot have a latent common cause as well [1]_.

        References
        ----------
        .. [1] Zhang, J. (2008). "Causal reasoning with ancestral graphs." JMLR 9,
           definition 8.
        """
        if not self.is_directed(i, j) or not self.latent:
            return self.is_directed(i, j)
        return self._collider_path(i, j)

    def _collider_path(self, i, j):
        """Whether a path into i, of colliders that cause j, begins apart from j."""
        parents, seen, stack = self.parents(j), {i}, [i]
        while stack:
            u = stack.pop()
            for v in self.ends[u]:
                if self.ends[v][u] != ">" or v == j:
                    continue
                if v not in self.ends[j]:
                    return True
                if self.ends[u][v] == ">" and v in parents and v not in seen:
                    seen.add(v)
                    stack.append(v)
        return False

    def reached(self, starts, avoid, backward=False):
        """Nodes that directed paths from ``starts`` reach in some graph of the class.

        Parameters
        ----------
        starts : iterable of int
            The nodes to start from; they are reached.
        avoid : set of int
            The nodes that no path enters.
        backward : bool, default=False
            Whether paths are walked against their direction.

        Returns
        -------
        dict of int to int
            The nodes reached, with the number of edges of the shortest such path. Where
            edges are ``---``, paths are followed whose neighbors but one are not
            joined: every such path can be directed as a whole [1]_.

        References
        ----------
        .. [1] Perković, E., Kalisch, M. and Maathuis, M. (2017). "Interpreting and
           using CPDAGs with background knowledge." UAI, lemma 3.6.
        """
        nearby = self.may_be_caused_by if backward else self.may_cause
        steps = {i: 0 for i in starts if i not in avoid}
        queue = [(None, i, 0) for i in steps]
        seen = {(None, i) for i in steps}
        for last, i, length in queue:
            for j in nearby(i):
                if j in avoid or (last is not None and j in self.ends[last]):
                    continue
                # The way that led here matters only where it can close a triangle.
                state = (None if self.latent else i, j)
                if j != last and state not in seen:
                    seen.add(state)
                    queue.append((*state, length + 1))
                    steps.setdefault(j, length + 1)
        return steps

    # -- the class of graphs -----------------------------------------------------------

    def _check(self):
        """Refuse what stands for no graph; draw the conclusions of directed edges."""
        if not self.latent:
            if extension(self.ends) is None:
                raise ValueError(
                    "no directed acyclic graph has these edges: each way to direct "
                    "those that are open makes a cycle, or a collider a -> c <- b of "
                    "two nodes that are not joined, and the graph does not have it."
                )
            self.ends = close(self.ends)
            return
        try:
            self._refuse_discriminated()
            ADMG.from_edges(*self.member_edges())
        except ValueError as error:
            raise ValueError(f"{error} {_NO_PAG}") from None

    def member_edges(self):
        """The directed and the bidirected edges of one graph of the class.

        Returns
        -------
        directed, bidirected : list of pairs of names
            Those of a directed acyclic graph; with latent causes, of a MAG.
        """
        ends = self._ancestral() if self.latent else extension(self.ends)
        names, directed, bidirected = self.nodes, [], []
        for i, near in enumerate(ends):
            for j, end in near.items():
                if end == ">" and ends[j][i] == "-":
                    directed.append((names[i], names[j]))
                elif end == ">" and i < j:
                    bidirected.append((names[i], names[j]))
        return directed, bidirected

    def _ancestral(self):
        """The ends of a MAG of the class: o-> directed, o-o without new colliders [1]_.

        References
        ----------
        .. [1] Zhang, J. (2008). "On the completeness of orientation rules for causal
           discovery in the presence of latent confounders and selection bias."
           Artificial Intelligence 172, theorem 2.
        """
        circles = [{} for _ in self.nodes]
        for i, near in enumerate(self.ends):
            for j, end in near.items():
                if end == "o" and self.ends[j][i] == "o":
                    circles[i][j] = "-"
        directed = extension(circles)
        if directed is None:
            raise ValueError("the edges o-o have a cycle without a chord.")
        ends = [
            {j: directed[i].get(j, "-" if end == "o" else end) for j, end in n.items()}
            for i, n in enumerate(self.ends)
        ]
        before, after = colliders(self.ends), colliders(ends)
        if new := after - before:
            a, c, b = (self.nodes[i] for i in min(new))
            raise ValueError(
                f"the edges of {several([a, c, b])} leave ends open that others decide."
            )
        self._refuse_almost_cycles(ends)
        return ends

    def _refuse_discriminated(self):
        """Refuse open ends that a discriminating path decides (rule 4 of FCI)."""
        for j, near in enumerate(self.ends):
            for c in near:
                if near[c] != "o":
                    continue
                for i in self.parents(j) & self.ends[c].keys():
                    if self.ends[c][i] == ">" and self._collider_path(i, j):
                        a, b = (shown(self.nodes[k], 40) for k in (c, j))
                        raise ValueError(
                            f"the end at {a} of its edge with {b} is no circle: the "
                            f"other edges decide it, {a} --> {b} or {a} <-> {b}."
                        )

    def _refuse_almost_cycles(self, ends):
        tails = [[j for j in n if ends[j][i] == "-"] for i, n in enumerate(ends)]
        for i, near in enumerate(ends):
            later, stack = set(), [i]
            while stack:
                fresh = set(tails[stack.pop()]) - later
                later |= fresh
                stack.extend(fresh)
            for j, end in near.items():
                if end == ">" and ends[j][i] == ">" and j in later:
                    raise ValueError(
                        f"{shown(self.nodes[i], 40)} causes "
                        f"{shown(self.nodes[j], 40)}, and their edge is <->."
                    )

    def directed(self, i, j):
        """The graph once ``i --- j`` is ``i --> j``, with what follows from it."""
        graph = object.__new__(type(self))
        graph.nodes, graph.number, graph.kind = self.nodes, self.number, self.kind
        ends = [dict(near) for near in self.ends]
        ends[i][j] = ">"
        graph.ends = close(ends)
        return graph

    @property
    def edges(self):
        """The edges, a tuple of ``(a, mark, b)``, as in ``("a", "o->", "b")``."""
        found = []
        for i, near in enumerate(self.ends):
            for j, right in near.items():
                left = self.ends[j][i]
                if (left, right) in _WRITTEN and (left != right or i < j):
                    mark = _WRITTEN[left, right]
                    found.append((self.nodes[i], mark, self.nodes[j]))
        return tuple(found)


def colliders(ends):
    """Triples ``(a, c, b)`` with heads at c and a < b, a and b not joined."""
    return {
        (min(a, b), c, max(a, b))
        for c, near in enumerate(ends)
        for a in near
        for b in near
        if a < b and ends[a][c] == ends[b][c] == ">" and b not in ends[a]
    }


_NO_PAG = "So this is no MAG or PAG: see to the ends of its edges."
