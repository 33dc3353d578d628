"""A display of effects with their intervals: side by side, or along the doses."""

import numpy as np
import pandas as pd

from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    legend_above,
    literal,
)


class EffectDisplay:
    """Forest plot of estimates with intervals, or a dose-response curve.

    Make it by :meth:`from_frame`, :meth:`from_curve` or :meth:`from_estimator`.

    Parameters
    ----------
    frame : DataFrame
        The estimates, with the columns `estimate`, `low`, `high` and, where it is
        known, `truth`. The index contains the labels of the estimates, or the doses of
        a curve.
    curve : bool, default=False
        Whether the frame is a dose-response curve.
    label : str, default="effect"
        What is estimated. It is the label of the axis of the estimates.
    dose_label : str, default="dose"
        The label of the axis of the doses of a curve.
    null : float or None, default=0
        The value that means no effect. A thin line is drawn there. With None, there is
        no line.
    observed : array-like, default=None
        The doses in the data. They are drawn as ticks at the bottom of a curve. With
        None, there are no ticks.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the plot.
    ax_ : matplotlib Axes
        The axes that contain the plot.

    See Also
    --------
    UpliftCurveDisplay : What targeting by predicted effect gains.
    SensitivityDisplay : What an unmeasured confounder would do to an effect.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.plot import EffectDisplay
    >>> frame = pd.DataFrame(
    ...     {"estimate": [1.9, 2.1], "low": [1.3, 1.8], "high": [2.6, 2.4]},
    ...     index=["front-door", "adjustment"],
    ... )
    >>> display = EffectDisplay.from_frame(frame)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['front-door', 'adjustment']
    """

    def __init__(
        self,
        frame,
        *,
        curve=False,
        label="effect",
        dose_label="dose",
        null=0.0,
        observed=None,
    ):
        self.frame = frame
        self.curve = curve
        self.label = label
        self.dose_label = dose_label
        self.null = null
        self.observed = observed

    @classmethod
    def from_frame(cls, frame, *, label="effect", null=0.0, ax=None):
        """Draw estimates one below the other, with the first on top (a forest plot).

        Parameters
        ----------
        frame : DataFrame
            The estimates: one row each, with the columns `estimate`, `low`, `high` and
            optionally `truth`. The index labels them. An interval that is NaN is not
            drawn.
        label : str, default="effect"
            What is estimated. It is the label of the axis.
        null : float or None, default=0
            The value that means no effect. A thin line is drawn there. With None, there
            is no line.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : EffectDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If a column is missing or the frame has no rows.
        """
        return cls(_checked(frame), label=label, null=null).plot(ax=ax)

    @classmethod
    def from_curve(
        cls,
        dose,
        estimate,
        low,
        high,
        *,
        truth=None,
        observed=None,
        label="mean outcome",
        dose_label="dose",
        null=None,
        ax=None,
    ):
        """Draw a dose-response curve with its confidence band.

        Parameters
        ----------
        dose : array-like of shape (n_doses,)
            The doses, in any order.
        estimate : array-like of shape (n_doses,)
            The estimate at each dose.
        low : array-like of shape (n_doses,)
            The lower end of the interval at each dose.
        high : array-like of shape (n_doses,)
            The upper end of the interval at each dose.
        truth : array-like of shape (n_doses,), default=None
            The true value at each dose. With None, no true curve is drawn.
        observed : array-like, default=None
            The doses in the data, drawn as ticks. Where there are few, the curve is an
            extrapolation. With None, there are no ticks.
        label : str, default="mean outcome"
            What is estimated. It is the label of the vertical axis.
        dose_label : str, default="dose"
            The label of the horizontal axis.
        null : float or None, default=None
            The value at which a thin horizontal line is drawn. With None, there is no
            line.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : EffectDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If there are no doses.
        """
        columns = {"estimate": estimate, "low": low, "high": high}
        if truth is not None:
            columns["truth"] = truth
        columns = {name: np.asarray(values, float) for name, values in columns.items()}
        index = pd.Index(np.asarray(dose, float), name=dose_label)
        frame = pd.DataFrame(columns, index=index).sort_index()
        return cls(
            _checked(frame),
            curve=True,
            label=label,
            dose_label=dose_label,
            null=null,
            observed=observed,
        ).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, *, alpha=0.05, ax=None):
        """Draw the average effects of a fitted estimator.

        The effects of all arms against the control are drawn, or against the first arm
        if which one is the control can't be told; the labels state it. If the estimator
        has no arms, its dose-response curve is drawn.

        Parameters
        ----------
        estimator : object
            A fitted estimator with `ate`, `ate_interval` and `arms_`, or with
            `dose_response`. A pipeline or search that ends in one is allowed.
        alpha : float, default=0.05
            One minus the confidence level of the intervals.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : EffectDisplay
            The display that was drawn.
        """
        from sklearn_causalrec._utils.unwrap import unwrap

        _, estimator = unwrap(estimator)
        outcome = getattr(estimator, "outcome_name_", None)
        treatment = ", ".join(map(str, getattr(estimator, "treatment_names_", ())))
        arms = list(getattr(estimator, "arms_", ()))
        if not arms:
            curve = estimator.dose_response(alpha=alpha)
            return cls.from_curve(
                *(curve[name] for name in ("dose", "mean", "low", "high")),
                label=f"mean {outcome or 'outcome'}",
                dose_label=treatment or "dose",
                ax=ax,
            )
        rows, first = {}, getattr(estimator, "control_", None)
        first = arms[0] if first is None else first
        for arm in (arm for arm in arms if arm != first):
            low, high = estimator.ate_interval(alpha=alpha, T0=first, T1=arm)
            point = estimator.ate(T0=first, T1=arm)
            rows[f"{arm} against {first}"] = [
                float(np.squeeze(v)) for v in (point, low, high)
            ]
        frame = pd.DataFrame.from_dict(
            rows, orient="index", columns=["estimate", "low", "high"]
        )
        label = f"effect of {treatment}" if treatment else "effect"
        return cls.from_frame(
            frame, label=f"{label} on {outcome}" if outcome else label, ax=ax
        )

    def plot(self, *, ax=None):
        """Draw the estimates or the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : EffectDisplay
            The display itself.
        """
        plt = import_pyplot("EffectDisplay.plot")
        if ax is None:
            size = (6.4, 4.2) if self.curve else (6.4, 1.1 + 0.36 * len(self.frame))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.figure_, self.ax_ = ax.figure, ax
        if self.curve:
            self._draw_curve()
        else:
            self._draw_forest()
        if "truth" in self.frame:
            legend_above(ax, ncols=2)
        despine(ax)
        return self

    def _draw_forest(self):
        ax, frame = self.ax_, self.frame
        place = np.arange(len(frame))[::-1]
        if self.null is not None:
            ax.axvline(self.null, color="0.6", lw=0.8, zorder=0)
        ax.hlines(place, frame["low"], frame["high"], color=BLUE, lw=2)
        ax.plot(frame["estimate"], place, "o", color=BLUE, ms=6, label="estimate")
        if "truth" in frame:
            ax.plot(
                *(frame["truth"], place),
                "D",
                color=VERMILION,
                mfc="none",
                mew=1.5,
                ms=7,
                label="truth",
            )
        ax.set_yticks(place, [str(name) for name in frame.index], parse_math=False)
        ax.set(ylim=(-0.7, len(frame) - 0.3), xlabel=literal(self.label))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)

    def _draw_curve(self):
        ax, frame = self.ax_, self.frame
        doses = frame.index.to_numpy()
        if self.null is not None:
            ax.axhline(self.null, color="0.6", lw=0.8, zorder=0)
        ax.fill_between(doses, frame["low"], frame["high"], color=BLUE, alpha=0.2, lw=0)
        ax.plot(doses, frame["estimate"], color=BLUE, lw=2, label="estimate")
        if "truth" in frame:
            ax.plot(doses, frame["truth"], color=VERMILION, ls="--", label="truth")
        ax.margins(x=0.02)
        if self.observed is not None:
            observed = np.asarray(self.observed, float)
            inside = observed[(observed >= doses[0]) & (observed <= doses[-1])]
            # A few hundred ticks show where the data are as well as all ticks do.
            inside = np.quantile(inside, np.linspace(0, 1, min(len(inside), 300)))
            ax.plot(
                *(inside, np.zeros(len(inside))),
                "|",
                color="0.3",
                ms=7,
                mew=0.5,
                transform=ax.get_xaxis_transform(),
                clip_on=False,
            )
        ax.set(xlabel=literal(self.dose_label), ylabel=literal(self.label))


def _checked(frame):
    missing = [c for c in ("estimate", "low", "high") if c not in frame]
    if missing:
        raise ValueError(
            f"the frame needs columns estimate, low and high: it lacks {missing}."
        )
    if not len(frame):
        raise ValueError("there are no estimates to draw: the frame has no rows.")
    return frame
