"""A display of what an omitted confounder would do to an effect."""

import numpy as np

from sklearn_causalrec.plot._common import BLUE, VERMILION, despine, import_pyplot


class SensitivityDisplay:
    """Contours of the estimate over the strength of an omitted confounder [1]_.

    To the right, the confounder explains more of the treatment. Upwards, it explains
    more of the outcome. Beyond the thick line, it could account for the whole effect.
    Crosses are observed covariates: each shows a confounder as strong as that
    covariate. Make the display by :meth:`from_sensitivity` or :meth:`from_estimator`.

    Parameters
    ----------
    sensitivity : Sensitivity
        The sensitivity analysis to draw.
    rho : float, default=1.0
        The correlation between the confounder's role for the treatment and its role for
        the outcome. 1 is the worst case.
    alpha : float or None, default=None
        One minus the confidence level of the confidence limit whose contours are drawn.
        With None, the contours of the estimate are drawn.

    Attributes
    ----------
    values : DataFrame
        The values that are drawn, with one row per share of the outcome's variance and
        one column per share of the treatment's variance.
    figure_ : matplotlib Figure
        The figure that contains the contours.
    ax_ : matplotlib Axes
        The axes that contain the contours.
    contour_ : matplotlib QuadContourSet
        The contours.

    See Also
    --------
    EffectDisplay : The estimated effects with their intervals.
    sklearn_causalrec.causal.Sensitivity : The sensitivity analysis that is drawn.

    References
    ----------
    .. [1] Cinelli, C. and Hazlett, C. (2020). "Making sense of sensitivity: extending
       omitted variable bias." Journal of the Royal Statistical Society, Series B 82,
       figure 2.

    Examples
    --------
    >>> from sklearn_causalrec.causal import Sensitivity
    >>> from sklearn_causalrec.plot import SensitivityDisplay
    >>> darfur = Sensitivity.from_regression(0.0973, 0.0233, 783)
    >>> display = SensitivityDisplay.from_sensitivity(darfur)
    >>> round(float(display.values.iloc[0, 0]), 4)
    0.0973
    """

    def __init__(self, sensitivity, *, rho=1.0, alpha=None):
        self.sensitivity = sensitivity
        self.rho = rho
        self.alpha = alpha

    @classmethod
    def from_sensitivity(cls, sensitivity, *, rho=1.0, alpha=None, ax=None):
        """Draw the contours of a sensitivity analysis.

        Parameters
        ----------
        sensitivity : Sensitivity
            The analysis. Its `benchmarks`, if it has any, are drawn as crosses.
        rho : float, default=1.0
            The correlation between the confounder's role for the treatment and its role
            for the outcome. 1 is the worst case.
        alpha : float or None, default=None
            One minus the confidence level of the confidence limit whose contours are
            drawn. With None, the contours of the estimate are drawn.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : SensitivityDisplay
            The display that was drawn.
        """
        return cls(sensitivity, rho=rho, alpha=alpha).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        treatment=None,
        *,
        T0=None,
        T1=None,
        control=None,
        benchmarks=(),
        rho=1.0,
        alpha=None,
        ax=None,
    ):
        """Draw the contours of a fitted estimator that adjusts for covariates.

        Parameters
        ----------
        estimator : object
            A fitted estimator that adjusts for covariates and has arms, or a pipeline
            or search that ends in one.
        X : array-like or frame of shape (n, p)
            The rows that were given to ``fit``.
        y : array-like of shape (n,)
            The outcome that was given to ``fit``.
        treatment : array-like of shape (n,), default=None
            The treatment that was given to ``fit``. With None, it is a column of X.
        T0 : scalar, default=None
            The arm that `T1` is compared with. With None, it is the control.
        T1 : scalar, default=None
            The arm whose effect is examined. With None, it is the other of two arms.
        control : scalar, default=None
            Another name for `T0`. With None, it is the control of the estimator.
        benchmarks : sequence of str, or dict of str to sequence of str, default=()
            The covariates that a confounder is compared with. A dict gives groups of
            covariates by label. The estimator is fitted again without each of them.
        rho : float, default=1.0
            The correlation between the confounder's role for the treatment and its role
            for the outcome. 1 is the worst case.
        alpha : float or None, default=None
            One minus the confidence level of the confidence limit whose contours are
            drawn. With None, the contours of the estimate are drawn.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : SensitivityDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the estimator does not adjust for covariates, or an arm is unknown.
        """
        from sklearn_causalrec._utils.unwrap import unwrap
        from sklearn_causalrec.causal.checks.robustness import sensitivity
        from sklearn_causalrec.encoding.contrasts import contrast_of

        transform, estimator = unwrap(estimator)
        T0, T1 = contrast_of(estimator, T0, T1, control=control)
        found = sensitivity(
            *(estimator, transform(X), y, treatment),
            T0=T0,
            T1=T1,
            benchmarks=benchmarks,
        )
        return cls.from_sensitivity(found, rho=rho, alpha=alpha, ax=ax)

    def plot(self, *, ax=None):
        """Draw the contours.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : SensitivityDisplay
            The display itself.
        """
        plt = import_pyplot("SensitivityDisplay.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 4.8), layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        self.values = self.sensitivity.contour(rho=self.rho, alpha=self.alpha)
        x, y = self.values.columns.to_numpy(), self.values.index.to_numpy()
        start = float(self.values.iloc[0, 0])
        self._draw_levels(x, y, start)
        ax.plot(0, 0, "^", color=BLUE, ms=9, clip_on=False, zorder=4)
        what = "estimate" if self.alpha is None else "limit"
        self._note(0, 0, f"{what} as it is: {start:.3g}")
        benchmarks = self.sensitivity.benchmarks
        for name, row in () if benchmarks is None else benchmarks.iterrows():
            at = min(row["cf_d"], x[-1]), min(row["cf_y"], y[-1])
            ax.plot(*at, "X", color="0.15", mec="white", ms=9, clip_on=False, zorder=4)
            beyond = at != (row["cf_d"], row["cf_y"])
            self._note(*at, f"one like {name}{' (off the scale)' if beyond else ''}")
        ax.set(
            xlim=(0, x[-1]),
            ylim=(0, y[-1]),
            xlabel="share of the treatment's variance\nthat the confounder explains",
            ylabel="share of the outcome's variance",
        )
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        despine(ax)
        self._spread_notes()
        return self

    def _draw_levels(self, x, y, start):
        from matplotlib.ticker import MaxNLocator

        values = self.values.to_numpy()
        levels = MaxNLocator(9).tick_values(values.min(), values.max())
        levels = [v for v in levels if v and values.min() < v < values.max()]
        ax = self.ax_
        # The region in which the whole effect could be explained away is shaded.
        gone = [-np.inf, 0] if start > 0 else [0, np.inf]
        if values.min() < 0 < values.max():
            ax.contourf(x, y, values, gone, colors=[VERMILION], alpha=0.08)
            zero = ax.contour(x, y, values, [0], colors=[VERMILION], linewidths=2.2)
            ax.clabel(zero, fmt={0: "0"}, fontsize="small", inline_spacing=3)
        self.contour_ = ax.contour(
            x, y, values, levels, colors="0.55", linewidths=0.9, linestyles="solid"
        )
        ax.clabel(self.contour_, fontsize="small", inline_spacing=3)

    def _note(self, x, y, text):
        if not hasattr(self, "texts_") or (x, y) == (0, 0):
            self.texts_ = []
        note = self.ax_.annotate(
            text,
            (x, y),
            xytext=(9, 5),
            textcoords="offset points",
            fontsize="small",
            parse_math=False,
            bbox=dict(facecolor="white", alpha=0.8, lw=0, pad=1),
            zorder=5,
        )
        self.texts_.append(note)

    def _spread_notes(self):
        """Move notes that would overlap, or run off to the right."""
        self.figure_.draw_without_rendering()
        renderer = self.figure_.canvas.get_renderer()
        right = self.ax_.get_window_extent(renderer).x1
        placed = []
        for note in self.texts_:
            if note.get_window_extent(renderer).x1 > right:
                note.set(ha="right", position=(-9, 5))
            for _ in range(12):
                box = note.get_window_extent(renderer)
                if not any(box.overlaps(other) for other in placed):
                    break
                dx, dy = note.get_position()
                note.set_position((dx, dy + 6))
            placed.append(note.get_window_extent(renderer))
