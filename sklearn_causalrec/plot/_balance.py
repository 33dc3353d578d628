"""A display of how alike the arms are, before and after weighting."""

import numpy as np

from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    legend_above,
)


class BalanceDisplay:
    """Love plot: standardised differences of the covariates between arms.

    Make it by :meth:`from_frame` or :meth:`from_estimator`.

    Parameters
    ----------
    frame : DataFrame
        The differences, with one row per covariate. The column `before` is the
        difference without weights. The column `after`, which may be missing, is the
        difference with weights. :func:`~sklearn_causalrec.causal.balance` makes such a
        frame.
    threshold : float, default=0.1
        The absolute difference up to which a covariate counts as balanced. This range
        is shaded.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the plot.
    ax_ : matplotlib Axes
        The axes that contain the plot.

    See Also
    --------
    OverlapDisplay : The propensities of the arms.
    sklearn_causalrec.causal.balance : Compute the differences.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.plot import BalanceDisplay
    >>> frame = pd.DataFrame(
    ...     {"before": [0.6, -0.2], "after": [0.02, 0.01]}, index=["age", "visits"]
    ... )
    >>> display = BalanceDisplay.from_frame(frame)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['age', 'visits']
    """

    def __init__(self, frame, *, threshold=0.1):
        self.frame = frame
        self.threshold = threshold

    @classmethod
    def from_frame(cls, frame, *, threshold=0.1, max_rows=40, ax=None):
        """Draw a frame of differences, with the largest on top.

        Parameters
        ----------
        frame : DataFrame
            The differences, with one row per covariate, the column `before` and
            optionally the column `after`.
        threshold : float, default=0.1
            The absolute difference up to which a covariate counts as balanced.
        max_rows : int, default=40
            The largest number of covariates that are drawn. Those with the largest
            differences are kept.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : BalanceDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the frame has no rows or no column `before`.
        """
        if "before" not in frame or not len(frame):
            raise ValueError(
                "the frame needs rows and a column before, and may have one named "
                f"after: got {list(frame)} with {len(frame)} rows."
            )
        size = frame["before"].abs()
        if "after" in frame:
            size = size.combine(frame["after"].abs(), max)
        kept = size.sort_values(ascending=False, kind="stable").index[:max_rows]
        # Sorted by the difference before weighting, so that the eye can follow it.
        order = frame.loc[kept, "before"].abs().sort_values(ascending=False)
        return cls(frame.loc[order.index], threshold=threshold).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, *, threshold=0.1, max_rows=40, ax=None):
        """Draw the balance that a fitted estimator has recorded.

        Parameters
        ----------
        estimator : object
            A fitted estimator whose `diagnostics_` contain a frame `balance`, or a
            pipeline or search that ends in one.
        threshold : float, default=0.1
            The absolute difference up to which a covariate counts as balanced.
        max_rows : int, default=40
            The largest number of covariates that are drawn. Those with the largest
            differences are kept.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : BalanceDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the estimator does not adjust by weights or is not fitted.
        """
        from sklearn_causalrec._utils.unwrap import unwrap

        _, estimator = unwrap(estimator)
        frame = getattr(estimator, "diagnostics_", {}).get("balance")
        if frame is None:
            raise ValueError(
                f"{type(estimator).__name__} has noted no balance of arms: it does not "
                "adjust by weights, or is not fitted."
            )
        return cls.from_frame(frame, threshold=threshold, max_rows=max_rows, ax=ax)

    def plot(self, *, ax=None):
        """Draw the differences.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : BalanceDisplay
            The display itself.
        """
        plt = import_pyplot("BalanceDisplay.plot")
        frame = self.frame
        if ax is None:
            size = (6.4, 1.2 + 0.3 * len(frame))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        place = np.arange(len(frame))[::-1]
        ax.axvspan(-self.threshold, self.threshold, color="0.93", lw=0, zorder=0)
        ax.axvline(0, color="0.6", lw=0.8, zorder=0)
        # The difference of a covariate without any overlap is infinite.
        seen = frame[[c for c in ("before", "after") if c in frame]]
        finite = seen.where(np.isfinite(seen)).abs().max().max()
        edge = 1.15 * max(finite if finite == finite else 0, 2 * self.threshold)
        shown = seen.clip(-edge, edge)
        if "after" in shown:
            ax.hlines(place, shown["before"], shown["after"], color="0.75", lw=1)
        for name, color, marker, fill in (
            ("before", VERMILION, "o", "white"),
            ("after", BLUE, "o", BLUE),
        ):
            if name in shown:
                ax.plot(
                    *(shown[name], place),
                    marker,
                    color=color,
                    mfc=fill,
                    mew=1.5,
                    ms=6.5,
                    label=f"{name} weighting" if "after" in shown else None,
                    clip_on=False,
                )
        ax.set_yticks(place, [str(name) for name in frame.index], parse_math=False)
        low = min(-1.5 * self.threshold, 1.15 * shown.min().min())
        ax.set(
            xlim=(max(low, -edge), edge),
            ylim=(-0.7, len(frame) - 0.3),
            xlabel="standardised difference between arms",
        )
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        if "after" in shown:
            right = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
            legend_above(ax, ncols=2, handletextpad=0.3, **right)
        despine(ax)
        return self
