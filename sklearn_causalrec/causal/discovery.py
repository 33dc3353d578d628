"""Graphs from data, by causal-learn, with what the data leave open left open."""

from contextlib import redirect_stdout
from html import escape
from io import StringIO
from threading import Lock

import numpy as np
import pandas as pd
from joblib import delayed

from sklearn_causalrec._utils.process import parallel
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.causal._causal_learn import (
    DISCRETE_TESTS,
    as_matrix,
    needs_causal_learn,
)
from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.partial import PartialGraph
from sklearn_causalrec.effects.intervals import check_alpha

METHODS = ("pc", "fci", "ges", "lingam")
_PRINTING = Lock()


class DiscoveredGraph(CausalGraph):
    """A graph learnt from data: a `CausalGraph` that knows what was left open.

    While ``undirected`` is not empty, questions that depend on it (separation, rules,
    identification), and writing the graph for others, raise a `ValueError`. `orient`
    decides the edges from knowledge. `discover` makes such graphs.

    Parameters
    ----------
    text : str
        The graph, see `CausalGraph`.

    Attributes
    ----------
    undirected : tuple of (a, mark, b)
        The edges with an end that the data do not decide, as in ``("a", "o->", "b")``.
        They are not among the directed and bidirected edges.
    support : pandas.DataFrame
        A row for each edge that was found, with columns ``a``, ``mark``, ``b``,
        ``support`` and ``adjacent``: the share of bootstrap samples with the same edge
        and mark, and the share with any edge there. Both are NaN without bootstrap.

    See Also
    --------
    discover : Learn such a graph.
    sklearn_causalrec.CausalGraph : A graph without open ends.
    sklearn_causalrec.PartialGraph : A graph that keeps them.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalGraph
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=500)
    >>> X = np.column_stack([a, a + rng.normal(size=500)])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     graph = CausalGraph.discover(X, n_bootstrap=0)
    >>> graph.undirected
    (('x0', '---', 'x1'),)
    >>> graph.orient([("x0", "x1")])
    CausalGraph('x0 -> x1')
    """

    undirected = ()
    support = None
    _found = None

    def to_partial(self):
        """Make the graph that keeps what is open: a CPDAG, or after "fci" a PAG.

        Returns
        -------
        PartialGraph
            All graphs that the data leave possible. It says which effects are the same
            in all of them.

        Raises
        ------
        ValueError
            If the edges found contradict each other, so that no graph has them.

        See Also
        --------
        orient : Decide what is open instead.
        """
        kind, edges = self._found
        if kind == "cpdag" and (odd := [e for e in edges if e[1] == "<->"]):
            raise ValueError(
                f"the data contradict themselves at {odd}: two heads, and no latent "
                "causes in the model. Decide these edges by knowledge, or learn with "
                "method='fci'."
            )
        return PartialGraph.from_edges(edges, self.nodes, kind)

    def orient(self, directed=(), bidirected=()):
        """Decide every undirected edge.

        Parameters
        ----------
        directed : iterable of (cause, effect), default=()
            The pairs of ``undirected`` that have a direction.
        bidirected : iterable of (a, b), default=()
            The pairs that have a latent common cause; a pair may be in both.

        Returns
        -------
        CausalGraph
            The graph with these edges.

        Raises
        ------
        ValueError
            If a pair is left undecided, or if one was not undirected.
        """
        directed, bidirected = list(map(tuple, directed)), list(map(tuple, bidirected))
        answered = {frozenset(e) for e in (*directed, *bidirected)}
        asked = {frozenset((a, b)) for a, _, b in self.undirected}
        if asked != answered:
            short, odd = _listed(asked - answered), _listed(answered - asked)
            raise ValueError(
                f"orient decides exactly the undirected edges: undecided {short}, not "
                f"undirected {odd}."
            )
        return CausalGraph.from_edges(
            (*self.directed_edges, *directed),
            (*self.bidirected_edges, *bidirected),
            self.nodes,
        )

    def __str__(self):
        undecided = [f"{a} {mark} {b}" for a, mark, b in self.undirected]
        return "; ".join([*filter(None, [super().__str__()]), *undecided])

    def _repr_html_(self):
        html = super()._repr_html_()
        undecided = "; ".join(f"{a} {mark} {b}" for a, mark, b in self.undirected)
        return f"{html}<p>undecided: {escape(undecided)}</p>" if undecided else html

    def _key(self):
        key = super()._key()
        return (*key, frozenset(self.undirected)) if self.undirected else key

    def __repr__(self):
        if not self.undirected:
            return super().__repr__()
        return (
            f"<DiscoveredGraph: {len(self)} nodes, {len(self.directed_edges)} directed "
            f"and {len(self.bidirected_edges)} bidirected edges, "
            f"{len(self.undirected)} undecided>"
        )

    def to_networkx(self):
        """Write a networkx ``MultiDiGraph`` once no edge is undecided."""
        self.mask(())
        return super().to_networkx()

    def to_dot(self):
        """Write DOT text once no edge is undecided."""
        self.mask(())
        return super().to_dot()

    def to_dagitty(self):
        """Write the text of dagitty once no edge is undecided."""
        self.mask(())
        return super().to_dagitty()

    def mask(self, names):
        """Bitset of some nodes, once no edge is undecided."""
        if self.undirected:
            open_ = ", ".join(f"{a} {mark} {b}" for a, mark, b in self.undirected)
            raise ValueError(
                f"the data leave these edges open: {open_}. Decide them with "
                f"orient(directed=[...], bidirected=[...]) first; or ask to_partial(), "
                f"the graph that stands for all that is possible."
            )
        return super().mask(names)


def _listed(pairs):
    """Pairs in a stable order, for a message."""
    return sorted((sorted(pair, key=str) for pair in pairs), key=str)


def discover(
    X,
    method="pc",
    *,
    tiers=None,
    required=(),
    forbidden=(),
    test="auto",
    alpha=0.05,
    n_bootstrap=20,
    random_state=None,
):
    """Learn a causal graph from data with causal-learn.

    Parameters
    ----------
    X : DataFrame or array of shape (n_rows, n_columns)
        The data, one column for each variable. The nodes are called as the columns
        are, numbers included; columns of an array are called x0, x1, and so on.
    method : {"pc", "fci", "ges", "lingam"}, default="pc"
        The algorithm. "pc" and "ges" assume that no common cause is hidden; "fci" does
        not. "lingam" also assumes linear effects and non-Gaussian noise, and directs
        every edge.
    tiers : list of lists of names, optional
        Groups of columns in the order of time: nothing causes anything in an earlier
        group. For all methods but "ges".
    required : iterable of (cause, effect), default=()
        Edges that must be there. For "pc" and "fci".
    forbidden : iterable of (cause, effect), default=()
        Edges that must not be there. For "pc" and "fci".
    test : {"auto", "fisherz", "kci", "chisq", "gsq"}, default="auto"
        The independence test of "pc" and "fci"; see `CausalGraph.falsify`.
    alpha : float, default=0.05
        The level of the test.
    n_bootstrap : int, default=20
        The number of bootstrap samples for the support of each edge.
    random_state : int, RandomState instance or None, default=None
        The seed of the bootstrap.

    Returns
    -------
    DiscoveredGraph
        The graph, with the edges left open and the support of each edge.

    Raises
    ------
    ImportError
        If causal-learn is not installed.
    ValueError
        If an option is unknown or does not suit the method, or if ``X`` has missing
        values, text, or columns that do not vary.

    Warns
    -----
    UserWarning
        If edges have ends that the data leave open.

    See Also
    --------
    sklearn_causalrec.CausalGraph.falsify : Test a graph against data.
    DiscoveredGraph.orient : Decide what is left open.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalGraph
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=500)
    >>> X = pd.DataFrame({"a": a, "b": a + rng.normal(size=500)})
    >>> CausalGraph.discover(X, tiers=[["a"], ["b"]], n_bootstrap=0)
    CausalGraph('a -> b')
    """
    from sklearn.utils import check_random_state

    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    knowledge = {"tiers": tiers or [], "required": list(required)}
    knowledge["forbidden"] = list(forbidden)
    edges = knowledge["required"] or knowledge["forbidden"]
    if (method == "ges" and (edges or tiers)) or (method == "lingam" and edges):
        raise ValueError(
            f"causal-learn's {method} takes no such background knowledge: "
            f"{'tiers work with pc, fci and lingam; ' if method == 'ges' else ''}"
            f"required and forbidden edges work with pc and fci."
        )
    check_alpha(alpha)
    data, names, test = as_matrix(X, test)
    named = [v for group in knowledge["tiers"] for v in group]
    named += [v for e in (*required, *forbidden) for v in e]
    if unknown := [v for v in dict.fromkeys(named) if v not in names]:
        raise ValueError(f"background knowledge names {unknown}, no columns of X.")
    # causal-learn takes text for names; the columns keep theirs.
    name_of = {str(v): v for v in names}
    if len(name_of) < len(names):
        raise ValueError("two columns of X have names that are the same as text.")
    words = list(name_of)
    knowledge = {
        kind: [[str(v) for v in group] for group in groups]
        for kind, groups in knowledge.items()
    }

    def learn(rows):
        marks = _learn(method, rows, words, knowledge, test, alpha)
        return {(name_of[a], name_of[b]): mark for (a, b), mark in marks.items()}

    marks = learn(data)
    rng = check_random_state(random_state)
    samples = (rng.randint(len(data), size=len(data)) for _ in range(n_bootstrap))
    draws = parallel()(delayed(learn)(data[rows]) for rows in samples)
    return _assemble(method, names, marks, draws)


def _learn(method, data, names, knowledge, test, alpha):
    """Edges as a dict from (a, b), in the order of the columns, to the mark."""
    with needs_causal_learn():
        import causallearn  # noqa: F401
    if method == "lingam":
        return _lingam(data, names, knowledge["tiers"])
    if method == "ges":
        from causallearn.search.ScoreBased.GES import ges

        score = "local_score_BDeu" if test in DISCRETE_TESTS else "local_score_BIC"
        learnt = ges(data, score_func=score, node_names=names)["G"]
    elif method == "pc":
        from causallearn.search.ConstraintBased.PC import pc

        learnt = pc(
            data, alpha, test, node_names=names, show_progress=False,
            background_knowledge=_background(names, knowledge),
        ).G  # fmt: skip
    else:
        from causallearn.search.ConstraintBased.FCI import fci

        # It prints what it orients; standard output is the process's, not a thread's.
        with _PRINTING, redirect_stdout(StringIO()):
            learnt, _ = fci(
                data, test, alpha, node_names=names, show_progress=False,
                background_knowledge=_background(names, knowledge),
            )  # fmt: skip
    return _marks(learnt)


def _background(names, knowledge):
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    if not any(knowledge.values()):
        return None
    node = {v: GraphNode(v) for v in names}
    background = BackgroundKnowledge()
    for k, group in enumerate(knowledge["tiers"]):
        for v in group:
            background.add_node_to_tier(node[v], k)
    for a, b in knowledge["required"]:
        background.add_required_by_node(node[a], node[b])
    for a, b in knowledge["forbidden"]:
        background.add_forbidden_by_node(node[a], node[b])
    return background


_ENDS = {"TAIL": ("-", "-"), "ARROW": ("<", ">"), "CIRCLE": ("o", "o")}


def _marks(learnt):
    found = {}
    for edge in learnt.get_graph_edges():
        left = _ENDS[edge.get_endpoint1().name][0]
        right = _ENDS[edge.get_endpoint2().name][1]
        a, b = edge.get_node1().get_name(), edge.get_node2().get_name()
        visible = any(p.name == "nl" for p in edge.properties)
        found[a, b] = f"{left}-{right}" + ("!" if visible else "")
    return found


def _lingam(data, names, tiers):
    from causallearn.search.FCMBased.lingam import DirectLiNGAM

    prior = None
    if tiers:
        tier = {v: k for k, group in enumerate(tiers) for v in group}
        prior = np.full((len(names),) * 2, -1)  # row is the effect, 0: no such path
        for i, effect in enumerate(names):
            for j, cause in enumerate(names):
                if tier.get(cause, -1) > tier.get(effect, len(tiers)):
                    prior[i, j] = 0
    model = DirectLiNGAM(prior_knowledge=prior)
    model.fit(data)
    weights = np.asarray(model.adjacency_matrix_)
    return {(names[j], names[i]): "-->" for i, j in np.argwhere(weights != 0)}


def _reversed(mark):
    flip = {"<": ">", ">": "<"}
    return "".join(flip.get(c, c) for c in reversed(mark))


def _in_draw(draw, a, b):
    if (a, b) in draw:
        return draw[a, b].rstrip("!")
    return _reversed(draw[b, a].rstrip("!")) if (b, a) in draw else None


def _assemble(method, names, marks, draws):
    directed, bidirected, undirected, rows = [], [], [], []
    for (a, b), mark in marks.items():
        visible, mark = mark.endswith("!"), mark.rstrip("!")
        if mark.startswith("<") and mark != "<->":
            a, b, mark = b, a, _reversed(mark)
        drawn = [_in_draw(draw, a, b) for draw in draws]
        same = np.mean([m == mark for m in drawn]) if draws else np.nan
        near = np.mean([m is not None for m in drawn]) if draws else np.nan
        rows.append((a, mark, b, same, near))
        if mark == "-->":
            directed.append((a, b))
            # In a PAG a cause may be confounded as well unless its edge is visible.
            if method == "fci" and not visible:
                bidirected.append((a, b))
        elif mark == "<->" and method == "fci":
            bidirected.append((a, b))
        else:  # elsewhere two heads are contradictory orientations
            undirected.append((a, mark, b))
    contradictory = _on_cycles(names, directed)
    undirected += [(a, "-->", b) for a, b in contradictory]
    directed = [e for e in directed if e not in contradictory]
    bidirected = [e for e in bidirected if e not in contradictory]
    graph = DiscoveredGraph.from_edges(directed, bidirected, names)
    graph.undirected = tuple(undirected)
    kind = "pag" if method == "fci" else "cpdag"
    graph._found = kind, [tuple(row[:3]) for row in rows]
    graph.support = pd.DataFrame(
        rows, columns=["a", "mark", "b", "support", "adjacent"]
    )
    if undirected:
        listed = ", ".join(f"{a} {mark} {b}" for a, mark, b in undirected)
        warn_user(
            f"the data leave the direction of {len(undirected)} edges open: {listed}. "
            f"Decide them with orient(), or go on with to_partial()."
        )
    return graph


def _on_cycles(names, directed):
    """Edges inside a strongly connected component: together they contradict."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    if not directed:
        return []
    number = {v: k for k, v in enumerate(names)}
    tail, head = zip(*((number[a], number[b]) for a, b in directed))
    shape = (len(names),) * 2
    matrix = csr_matrix((np.ones(len(tail)), (tail, head)), shape=shape)
    _, label = connected_components(matrix, connection="strong")
    return [(a, b) for a, b in directed if label[number[a]] == label[number[b]]]
