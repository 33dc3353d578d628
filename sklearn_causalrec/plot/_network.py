"""A display of a fitted network: its layers, their shapes and parameters."""

import pandas as pd

from sklearn_causalrec.causal.graphs.drawing import HEIGHT, Layout
from sklearn_causalrec.plot._common import BLUE, VERMILION, import_pyplot

_INK, _EDGE = "#1b2a3a", "#8795a3"
_LOOK = {
    "input": ("#ffffff", _EDGE),
    "layer": ("#eaf3fa", BLUE),
    "output": ("#f6d9c4", VERMILION),
}


class _Arranged:
    """Blocks as the layout reads a graph: numbered, with who feeds whom."""

    def __init__(self, blocks):
        self.parents_of = [block.sources for block in blocks]
        self.children_of = [
            tuple(j for j, b in enumerate(blocks) if i in b.sources)
            for i in range(len(blocks))
        ]
        self.siblings_of = [()] * len(blocks)
        # As wide as the longer of the two lines in a box.
        self.topological_order = [max(_lines(b), key=len)[:40] for b in blocks]

    def __len__(self):
        return len(self.parents_of)


def _lines(block):
    n = block.n_parameters
    told = f"{n:,} parameter{'s' * (n != 1)}" if block.kind == "layer" else ""
    return [block.name, ", ".join(filter(None, (block.what, told)))]


class NetworkDisplay:
    """A network as it is: its layers, what flows where, shapes and parameter counts.

    Inputs are on the left and outputs on the right. An arrow says that a layer reads
    what another one makes. Layers are named as ``print(model.nets_[0].module_)`` names
    them. Make the display by :meth:`from_estimator`.

    Parameters
    ----------
    blocks : list of Block
        The inputs, layers and outputs, each after those that feed it.

    Attributes
    ----------
    table : DataFrame
        One row per input, layer and output, with the columns `kind`, `what` and
        `n_parameters`. The parameters add up to those of the network.
    figure_ : matplotlib Figure
        The figure that contains the network.
    ax_ : matplotlib Axes
        The axes that contain the network.
    texts_ : dict of str to matplotlib Text
        The text in every box, by the name of the input, layer or output.
    arrows_ : dict of tuple to matplotlib FancyArrowPatch
        The arrow of every connection. The key is a tuple (from, to) of names.

    See Also
    --------
    TrainingCurveDisplay : How the network learned.
    CausalGraphDisplay : The causal graph of an estimator.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> from sklearn_causalrec.plot import NetworkDisplay
    >>> log = make_exposure_log(200, n_users=20, n_items=10, random_state=0)
    >>> model = CausalDNNRecommender(
    ...     user="user", item="item", effect_learner="t", max_epochs=1, random_state=0
    ... )
    >>> model = model.fit(log.X, log.y, treatment=log.treatment)
    >>> display = NetworkDisplay.from_estimator(model, log.X)
    >>> display.table.loc["vectors.user", "what"]
    'Embedding 21 × 16'
    """

    def __init__(self, blocks):
        self.blocks = blocks

    @classmethod
    def from_estimator(cls, estimator, X, *, member=0, ax=None):
        """Draw a network of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted `CausalDNNRecommender` or `CounterfactualPolicy`, or a pipeline or
            search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Some rows, as the estimator or the pipeline takes them. Two of them pass
            through the network, so that its shapes can be seen.
        member : int, default=0
            The position of the network in ``nets_``.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made that is as large as the
            network needs.

        Returns
        -------
        display : NetworkDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the estimator holds no network.
        """
        from sklearn_causalrec._utils.unwrap import unwrap

        transform, estimator = unwrap(estimator)
        nets = getattr(estimator, "nets_", None)
        if nets is None and hasattr(estimator, "net_"):
            nets = [estimator.net_]
        if nets is None:
            raise ValueError(
                f"{type(estimator).__name__} holds no network to draw: it is not "
                "fitted, or made of other models."
            )
        from sklearn_causalrec.networks.anatomy import anatomy
        from sklearn_causalrec.networks.batches import network_inputs

        rows = estimator.log_encoder_.rows(estimator, transform(X))
        net = nets[member]
        inputs = {k: v[:2].to(net.device) for k, v in network_inputs(rows).items()}
        return cls(anatomy(net.module_, inputs)).plot(ax=ax)

    @property
    def table(self):
        """One row per input, layer and output."""
        return pd.DataFrame(
            [(b.kind, b.what, b.n_parameters) for b in self.blocks],
            columns=["kind", "what", "n_parameters"],
            index=[b.name for b in self.blocks],
        )

    def plot(self, *, ax=None):
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made that is as large as the
            network needs.

        Returns
        -------
        display : NetworkDisplay
            The display itself.
        """
        plt = import_pyplot("NetworkDisplay.plot")
        layout = Layout(_Arranged(self.blocks))
        wide, high = layout.size
        if ax is None:
            size = max(wide / 80, 4.8), max(high / 80 + 0.4, 1.2)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        ax.set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
        ax.set_axis_off()
        ax.set_title(f"{self.table['n_parameters'].sum():,} parameters", fontsize=10)
        self._draw(layout)
        self._scale()
        return self

    def _draw(self, layout):
        from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
        from matplotlib.path import Path

        self.arrows_, self.texts_, self._boxes = {}, {}, []
        for i, j, _, points in layout.edges:
            arrow = FancyArrowPatch(
                path=Path(points, [Path.MOVETO, Path.CURVE3, Path.CURVE3]),
                arrowstyle="-|>", mutation_scale=9, shrinkA=0, shrinkB=0,
                color=_EDGE, lw=1.1, zorder=1,
            )  # fmt: skip
            self.ax_.add_patch(arrow)
            self.arrows_[self.blocks[i].name, self.blocks[j].name] = arrow
        for block, (x, y), width in zip(self.blocks, layout.center, layout.width):
            fill, line = _LOOK[block.kind]
            box = FancyBboxPatch(
                (x - width / 2, y - HEIGHT / 2), width, HEIGHT,
                boxstyle="round,pad=0,rounding_size=4",
                facecolor=fill, edgecolor=line, lw=1.2, zorder=3,
            )  # fmt: skip
            self.ax_.add_patch(box)
            self._boxes.append(box)
            self.texts_[block.name] = self.ax_.text(
                *(x, y, "\n".join(_lines(block))),
                parse_math=False, ha="center", va="center_baseline", color=_INK,
                linespacing=1.1, zorder=4,
            )  # fmt: skip

    def _scale(self):
        """Make the words as large as their boxes allow."""
        self.figure_.draw_without_rendering()
        renderer = self.figure_.canvas.get_renderer()
        room = []
        for box, text in zip(self._boxes, self.texts_.values()):
            text.set_fontsize(10)
            own, around = (part.get_window_extent(renderer) for part in (text, box))
            room += [0.92 * around.width / own.width, 0.86 * around.height / own.height]
        for text in self.texts_.values():
            text.set_fontsize(min(10 * min(room), 11))
