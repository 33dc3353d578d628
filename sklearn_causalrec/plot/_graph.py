"""A display of a causal graph, and of what an effect in it is identified from."""

from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.graphs.drawing import HEIGHT, Layout
from sklearn_causalrec.plot._common import BLUE, VERMILION, import_pyplot

_INK, _EDGE = "#1b2a3a", "#8795a3"
# Fill and outline of a node, by its role in the query.
_NODES = {
    "treatment": ("#cfe3f3", BLUE),
    "outcome": ("#f6d9c4", VERMILION),
    "adjusted for": ("#cdebdf", "#009E73"),
    "on a causal path": ("#eaf3fa", BLUE),
    None: ("#ffffff", _EDGE),
}


class CausalGraphDisplay:
    """A causal graph drawn in layers, causes on the left and effects on the right.

    Dashed edges with two heads stand for a latent common cause. If a treatment and an
    outcome are named, the causal paths between them are blue, and the adjustment set is
    green. Make it by :meth:`from_graph` or :meth:`from_estimator`.

    Parameters
    ----------
    graph : CausalGraph
        The graph to draw.
    treatment : str or sequence of str, default=()
        The nodes that are marked as the treatment.
    outcome : str or sequence of str, default=()
        The nodes that are marked as the outcome.
    adjustment_set : str or sequence of str, default=()
        The nodes that are marked as adjusted for.

    Attributes
    ----------
    roles : dict of str to str or None
        The role of every node in the query: "treatment", "outcome", "adjusted for",
        "on a causal path" or None.
    figure_ : matplotlib Figure
        The figure that contains the graph.
    ax_ : matplotlib Axes
        The axes that contain the graph.
    boxes_ : dict of str to matplotlib FancyBboxPatch
        The box of every node.
    texts_ : dict of str to matplotlib Text
        The label of every node.
    arrows_ : dict of tuple to matplotlib FancyArrowPatch
        The arrow of every edge. The key is a tuple (name, name, "->" or "<->").

    See Also
    --------
    EffectDisplay : The estimated effects with their intervals.
    sklearn_causalrec.CausalGraph : The graph that is drawn.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> from sklearn_causalrec.plot import CausalGraphDisplay
    >>> graph = CausalGraph("z -> x -> m -> y; z -> y; x <-> y")
    >>> display = CausalGraphDisplay.from_graph(graph, treatment="x", outcome="y")
    >>> display.roles["m"]
    'on a causal path'
    """

    def __init__(self, graph, *, treatment=(), outcome=(), adjustment_set=()):
        self.graph = graph
        self.treatment = treatment
        self.outcome = outcome
        self.adjustment_set = adjustment_set

    @classmethod
    def from_graph(cls, graph, *, treatment=(), outcome=(), adjustment_set=(), ax=None):
        """Draw a graph.

        Parameters
        ----------
        graph : CausalGraph
            The graph to draw.
        treatment : str or sequence of str, default=()
            The nodes to mark as the treatment.
        outcome : str or sequence of str, default=()
            The nodes to mark as the outcome.
        adjustment_set : str or sequence of str, default=()
            The nodes to mark as adjusted for.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made that is as large as the
            graph needs.

        Returns
        -------
        display : CausalGraphDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If a name is not a node of the graph, or has two roles.
        """
        parts = treatment, outcome, adjustment_set
        graph.masks(**dict(zip(("treatment", "outcome", "adjustment_set"), parts)))
        display = cls(
            graph, treatment=treatment, outcome=outcome, adjustment_set=adjustment_set
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the graph of a fitted estimator, its query and its adjustment set.

        Parameters
        ----------
        estimator : object
            A fitted estimator with `graph_`, `treatment_names_`, `outcome_name_` and
            `adjustment_set_`, or a pipeline or search that ends in one.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made that is as large as the
            graph needs.

        Returns
        -------
        display : CausalGraphDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the estimator has no graph.
        """
        from sklearn_causalrec._utils.unwrap import unwrap

        _, estimator = unwrap(estimator)
        graph = getattr(estimator, "graph_", None)
        if graph is None:
            raise ValueError(
                f"{type(estimator).__name__} has no graph to draw: fit it, with graph=."
            )
        return cls.from_graph(
            graph,
            treatment=estimator.treatment_names_,
            outcome=estimator.outcome_name_,
            adjustment_set=estimator.adjustment_set_ or (),
            ax=ax,
        )

    @property
    def roles(self):
        """The role of every node in the query.

        It is "treatment", "outcome", "adjusted for", "on a causal path" or None.
        """
        named = {
            "treatment": as_names(self.treatment),
            "outcome": as_names(self.outcome),
            "adjusted for": as_names(self.adjustment_set),
        }
        roles = dict.fromkeys(self.graph.nodes)
        roles.update((name, role) for role, names in named.items() for name in names)
        for name in self._causal_nodes():
            roles[name] = roles[name] or "on a causal path"
        return roles

    def _causal_nodes(self):
        """Return the nodes on causal paths from treatment to outcome, both included."""
        if not as_names(self.treatment) or not as_names(self.outcome):
            return frozenset()
        proper = self.graph.do(self.treatment)
        return proper.descendants(self.treatment) & proper.ancestors(self.outcome)

    def plot(self, *, ax=None):
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made that is as large as the
            graph needs.

        Returns
        -------
        display : CausalGraphDisplay
            The display itself.
        """
        plt = import_pyplot("CausalGraphDisplay.plot")
        layout = Layout(self.graph)
        wide, high = layout.size
        roles = self.roles
        if ax is None:
            # At 80 units of the layout per inch, names have about ten points.
            room = 0.6 if any(roles.values()) or self.graph.bidirected_edges else 0
            size = max(wide / 80, 4.8), max(high / 80 + room, 1.2)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        ax.set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
        ax.set_axis_off()
        self._draw_edges(layout)
        self._draw_nodes(layout, roles)
        self._legend(roles)
        self._scale_names()
        return self

    def _draw_edges(self, layout):
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        names, causal = self.graph.topological_order, self._causal_nodes()
        treated = set(as_names(self.treatment))
        self.arrows_ = {}
        for i, j, hidden, points in layout.edges:
            a, b = names[i], names[j]
            on_path = not hidden and {a, b} <= causal and b not in treated
            color = VERMILION if hidden else BLUE if on_path else _EDGE
            arrow = FancyArrowPatch(
                path=Path(points, [Path.MOVETO, Path.CURVE3, Path.CURVE3]),
                arrowstyle="<|-|>" if hidden else "-|>",
                mutation_scale=11,
                shrinkA=0,
                shrinkB=0,
                color=color,
                lw=2.2 if on_path else 1.3,
                ls=(0, (4, 3)) if hidden else "-",
                zorder=2 if on_path else 1,
            )
            self.ax_.add_patch(arrow)
            self.arrows_[a, b, "<->" if hidden else "->"] = arrow

    def _draw_nodes(self, layout, roles):
        from matplotlib.patches import FancyBboxPatch

        self.boxes_, self.texts_ = {}, {}
        for name, (x, y), width in zip(
            self.graph.topological_order, layout.center, layout.width
        ):
            fill, line = _NODES[roles[name]]
            box = FancyBboxPatch(
                (x - width / 2, y - HEIGHT / 2),
                width,
                HEIGHT,
                boxstyle="round,pad=0,rounding_size=8",
                facecolor=fill,
                edgecolor=line,
                lw=1.2 if roles[name] is None else 1.8,
                zorder=3,
            )
            self.ax_.add_patch(box)
            self.boxes_[name] = box
            self.texts_[name] = self.ax_.text(
                *(x, y, str(name)),
                ha="center",
                va="center_baseline",
                color=_INK,
                zorder=4,
            )

    def _legend(self, roles):
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        present = [role for role in _NODES if role and role in roles.values()]
        handles = [
            Patch(facecolor=fill, edgecolor=line, lw=1.5, label=role)
            for role, (fill, line) in _NODES.items()
            if role in present
        ]
        if self.graph.bidirected_edges:
            label = "latent common cause"
            handles.append(Line2D([], [], color=VERMILION, ls=(0, (4, 3)), label=label))
        if handles:
            self.ax_.legend(
                handles=handles,
                loc="upper center",
                bbox_to_anchor=(0.5, 0.0),
                ncols=min(len(handles), 3),
                frameon=False,
                fontsize="small",
                handlelength=1.6,
                columnspacing=1.2,
            )

    def _scale_names(self):
        """Make the names as large as their boxes allow."""
        if not self.texts_:
            return
        self.figure_.draw_without_rendering()
        renderer = self.figure_.canvas.get_renderer()
        room = []
        for name, text in self.texts_.items():
            text.set_fontsize(10)
            box = self.boxes_[name].get_window_extent(renderer)
            own = text.get_window_extent(renderer)
            room += [0.86 * box.width / own.width, 0.66 * box.height / own.height]
        for text in self.texts_.values():
            text.set_fontsize(min(10 * min(room), 13))
