"""Colours and axes that all displays use."""

import numpy as np

# Colours of Okabe and Ito, which colour-blind people can tell apart.
BLUE, VERMILION = "#0072B2", "#D55E00"
PALETTE = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def import_pyplot(caller):
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib: pip install 'sklearn-causalrec[plot]'."
        ) from error
    return plt


def literal(text):
    r"""A text that matplotlib draws as it stands.

    Two dollar signs would make it a formula, and a legend leaves out what begins with
    an underscore.

    Parameters
    ----------
    text : object
        The text, or a name.

    Returns
    -------
    str
        The text, its dollar signs escaped.

    Examples
    --------
    >>> print(literal("price in $"))
    price in \$
    """
    text = str(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def subplots(plt, ax, n_panels, *, figsize):
    """Return axes side by side: new axes, the given axes, or parts of the one given."""
    if ax is None:
        figure, axes = plt.subplots(
            1, n_panels, figsize=figsize, layout="constrained", squeeze=False
        )
        return figure, axes[0]
    axes = np.ravel(ax)
    if len(axes) == 1 and n_panels > 1:
        spec = axes[0].get_subplotspec()
        if spec is None:
            raise ValueError(
                f"ax is no part of a grid and can't be divided: pass {n_panels} axes."
            )
        axes[0].set_axis_off()
        # A layout engine makes room for labels by itself.
        wspace = None if axes[0].figure.get_layout_engine() else 0.4
        axes = np.ravel(spec.subgridspec(1, n_panels, wspace=wspace).subplots())
    if len(axes) != n_panels:
        raise ValueError(f"ax must be 1 or {n_panels} axes, got {len(axes)}.")
    return axes[0].figure, axes


def next_color(ax):
    """Return the first color of the palette that no line of the axes has."""
    taken = {line.get_color() for line in ax.lines}
    return next((color for color in PALETTE if color not in taken), "0.3")


def legend_above(ax, **options):
    """Put the legend above the axes, where it hides no data, and titles above it.

    Parameters
    ----------
    ax : matplotlib Axes
        The axes, with labelled artists.
    **options : dict
        Further options of the legend.
    """
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0}
    legend = ax.legend(**{**place, "frameon": False, **options})
    # Matplotlib lifts titles, also those that are set later, above child axes, and not
    # above legends: an empty child, as high above the axes as the legend, does it.
    from matplotlib.transforms import ScaledTranslation

    n_lines = -(-len(legend.get_texts()) // options.get("ncols", 1))
    n_lines += bool(legend.get_title().get_text())
    inches = 0.02 + n_lines * 0.02 * ax.xaxis.label.get_size()
    lift = ScaledTranslation(0, inches, ax.figure.dpi_scale_trans)
    ax.inset_axes([0, 1, 1, 1e-6], transform=ax.transAxes + lift).set_axis_off()


def despine(ax):
    ax.spines[["top", "right"]].set_visible(False)
