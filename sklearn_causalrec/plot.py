"""Displays in the manner of scikit-learn: how training went, and whether arms overlap.

A display is made by ``from_estimator`` or ``from_predictions``, draws itself, and keeps
what it drew in attributes. matplotlib is imported when something is drawn.
"""

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

# Blue and vermilion of the palette of Okabe and Ito: apart for the colour-blind too.
_BLUE, _VERMILION = "#0072B2", "#D55E00"


def _import_pyplot(caller):
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib: pip install 'sklearn-causalrec[plot]'."
        ) from error
    return plt


def _subplots(plt, ax, n_panels, *, figsize):
    """Give axes side by side: new ones, or the given, or parts of the one given."""
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
        # A layout engine makes the room for labels itself.
        wspace = None if axes[0].figure.get_layout_engine() else 0.4
        axes = np.ravel(spec.subgridspec(1, n_panels, wspace=wspace).subplots())
    if len(axes) != n_panels:
        raise ValueError(f"ax must be 1 or {n_panels} axes, got {len(axes)}.")
    return axes[0].figure, axes


def _despine(ax):
    ax.spines[["top", "right"]].set_visible(False)


class TrainingCurveDisplay:
    """Loss and validation score by epoch.

    Make one by :meth:`from_estimator`. Every member of an ensemble is a thin line,
    their mean, as far as all of them were trained, a thick one; a dot marks the epoch
    with the lowest validation loss of each member.

    Parameters
    ----------
    history : list of dict
        One record an epoch and member, with the keys `member`, `epoch`, `train_loss`,
        `valid_loss` and `valid_score`; the last two may be missing, None or NaN.
    score_name : str, default="validation score"
        What `valid_score` is, for the label of its axis.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure with the curves.
    axes_ : ndarray of matplotlib Axes
        The panel of the losses and, if there are scores, the panel of the scores.
    lines_ : dict of str to matplotlib Line2D
        The thick line of each of `train_loss`, `valid_loss`, `valid_score` that was
        drawn.

    Examples
    --------
    >>> from sklearn_causalrec.plot import TrainingCurveDisplay
    >>> history = [
    ...     {"member": 0, "epoch": e, "train_loss": 1 / e, "valid_loss": 0.5 + 1 / e}
    ...     for e in range(1, 20)
    ... ]
    >>> display = TrainingCurveDisplay(history).plot()
    >>> display.axes_[0].get_ylabel()
    'loss'
    """

    def __init__(self, history, *, score_name="validation score"):
        self.history = history
        self.score_name = score_name

    @classmethod
    def from_estimator(cls, estimator, *, score_name=None, ax=None):
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted estimator with `history_`, or a pipeline or search that ends in one.
        score_name : str, default=None
            What the validation score is, for the label of its axis. None: the area
            under the ROC curve of a classifier, the R² of a regressor.
        ax : matplotlib Axes or sequence of Axes, default=None
            Where to draw: one that is divided as needed, or one a panel. None makes a
            new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If the estimator has kept no history.
        """
        from .inspection import unwrap

        _, estimator = unwrap(estimator)
        history = getattr(estimator, "history_", None)
        if not history:
            raise ValueError(
                f"{type(estimator).__name__} has no training history: fit it first."
            )
        if score_name is None:
            score_name = "ROC AUC" if is_classifier(estimator) else "R²"
        return cls(history, score_name=score_name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            See :meth:`from_estimator`.

        Returns
        -------
        display : TrainingCurveDisplay
            Itself.
        """
        plt = _import_pyplot("TrainingCurveDisplay.plot")
        columns = ["member", "epoch", "train_loss", "valid_loss", "valid_score"]
        records = pd.DataFrame(self.history, columns=columns).astype(float)
        curves = {
            name: records.pivot(index="epoch", columns="member", values=name)
            for name in columns[2:]
            if records[name].notna().any()
        }
        n_panels = 2 if "valid_score" in curves else 1
        figsize = (4.8 * n_panels, 3.6)
        self.figure_, self.axes_ = _subplots(plt, ax, n_panels, figsize=figsize)

        self.lines_ = {}
        for name, label, color, panel in (
            ("train_loss", "training", _BLUE, 0),
            ("valid_loss", "validation", _VERMILION, 0),
            ("valid_score", "validation", _VERMILION, 1),
        ):
            if name in curves:
                self.lines_[name] = self._draw(
                    self.axes_[panel], curves[name], label, color
                )
        if "valid_loss" in curves:
            best = curves["valid_loss"].idxmin().dropna()
            losses = [curves["valid_loss"].at[e, member] for member, e in best.items()]
            self.axes_[0].plot(
                best,
                losses,
                "o",
                color=_VERMILION,
                ms=5,
                label="lowest validation loss",
            )
        for axis, label in zip(self.axes_, ("loss", self.score_name)):
            axis.set(xlabel="epoch", ylabel=label)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend(frameon=False)
            _despine(axis)
        return self

    @staticmethod
    def _draw(axis, curves, label, color):
        n_members = curves.shape[1]
        # One record is a point, which a line without markers would not show.
        marker = "." if len(curves) == 1 else None
        if n_members > 1:
            axis.plot(curves.index, curves, color=color, lw=0.8, alpha=0.35)
            label = f"{label}, mean of {n_members}"
        mean = curves.mean(axis=1, skipna=False)
        return axis.plot(
            mean.index, mean, color=color, lw=2, label=label, marker=marker
        )[0]


class OverlapDisplay:
    """Histograms of the propensities, one arm above and the other below the axis.

    Where one of the two is empty, nothing was observed to compare with, and an effect
    is an extrapolation. Make one by :meth:`from_estimator` or :meth:`from_predictions`.
    With two arms there is one panel, the probability of the second arm; with more, one
    panel an arm, its own rows above and all others below.

    Parameters
    ----------
    propensity : ndarray of shape (n_samples, n_arms)
        Probability of every arm.
    treatment : ndarray of shape (n_samples,)
        Arm of every row.
    arms : ndarray of shape (n_arms,)
        The arms, in the order of the columns of `propensity`.
    clip : float or None, default=None
        Lower bound that propensities are raised to before they divide.

    Attributes
    ----------
    summary : DataFrame
        By arm: `rows`; `clipped`, the share of them whose propensity is at or below
        `clip`; and `effective_sample_size`, Kish's
        :math:`(\\sum w)^2 / \\sum w^2` with the inverse of the clipped propensities as
        weights.
    figure_ : matplotlib Figure
        Figure with the histograms.
    axes_ : ndarray of matplotlib Axes
        The panels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.plot import OverlapDisplay
    >>> rng = np.random.default_rng(0)
    >>> propensity = rng.beta(2, 2, size=1000)
    >>> treatment = (rng.uniform(size=1000) < propensity).astype(int)
    >>> display = OverlapDisplay.from_predictions(propensity, treatment, clip=0.05)
    >>> list(display.summary.columns)
    ['rows', 'clipped', 'effective_sample_size']
    """

    def __init__(self, propensity, treatment, *, arms, clip=None):
        self.propensity = propensity
        self.treatment = treatment
        self.arms = arms
        self.clip = clip

    @classmethod
    def from_estimator(cls, estimator, X, treatment=None, *, bins=40, ax=None):
        """Draw the propensities that a fitted estimator predicts.

        Parameters
        ----------
        estimator : object
            Fitted estimator with `propensity_scores`, `arms_` and `clip`, or a pipeline
            or search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator (the pipeline) takes them.
        treatment : array-like of shape (n_samples,), default=None
            Arm of every row; not needed where the estimator's `treatment` names a
            column of X.
        bins : int, default=40
            Number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            Where to draw: one that is divided as needed, or one a panel. None makes a
            new figure.

        Returns
        -------
        display : OverlapDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If no treatment is known.
        """
        from .inspection import unwrap

        transform, estimator = unwrap(estimator)
        X = transform(X)
        if treatment is None:
            column = getattr(estimator, "treatment", None)
            if column is None or column not in getattr(X, "columns", ()):
                raise ValueError(
                    "The arm of every row is needed: pass treatment=..., as to fit, or "
                    "name a column of X as the estimator's treatment, which is "
                    f"{column!r}."
                )
            treatment = X[column]
        return cls.from_predictions(
            estimator.propensity_scores(X),
            treatment,
            arms=estimator.arms_,
            clip=estimator.clip,
            bins=bins,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, propensity, treatment, *, arms=None, clip=None, bins=40, ax=None
    ):
        """Draw given propensities.

        Parameters
        ----------
        propensity : array-like of shape (n_samples,) or (n_samples, n_arms)
            Probability of the second arm, or of every arm.
        treatment : array-like of shape (n_samples,)
            Arm of every row.
        arms : array-like of shape (n_arms,), default=None
            The arms, in the order of the columns of `propensity`. None: the sorted
            distinct values of `treatment`.
        clip : float, default=None
            Lower bound that propensities are raised to before they divide.
        bins : int, default=40
            Number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            See :meth:`from_estimator`.

        Returns
        -------
        display : OverlapDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If a propensity is no probability, or shapes and arms don't fit together.
        """
        propensity, treatment = np.asarray(propensity, float), np.asarray(treatment)
        arms = np.unique(treatment) if arms is None else np.asarray(arms)
        wrong = propensity[~((propensity >= 0) & (propensity <= 1))]
        if len(wrong):
            raise ValueError(f"Propensities lie between 0 and 1, got {wrong[0]}.")
        if propensity.ndim == 1:
            propensity = np.column_stack([1 - propensity, propensity])
        if propensity.shape != (len(treatment), len(arms)):
            raise ValueError(
                f"propensity must have {len(treatment)} rows, as treatment has, and a "
                f"column for each of the arms {arms.tolist()}, got the shape "
                f"{propensity.shape}."
            )
        unknown = treatment[~np.isin(treatment, arms)]
        if len(unknown):
            raise ValueError(
                f"treatment holds {unknown[0]!r}, which is not one of the arms "
                f"{arms.tolist()}."
            )
        return cls(propensity, treatment, arms=arms, clip=clip).plot(bins=bins, ax=ax)

    @property
    def summary(self):
        rows = []
        for arm, of_arm in zip(self.arms, self.propensity.T):
            own = of_arm[self.treatment == arm]
            raised = np.clip(own, self.clip or np.finfo(float).tiny, None)
            # Relative to the largest weight, so that squares can't overflow.
            weights = raised.min(initial=1) / raised
            rows.append(
                {
                    "rows": len(own),
                    "clipped": np.mean(own <= (self.clip or 0)) if len(own) else np.nan,
                    "effective_sample_size": weights.sum() ** 2
                    / max((weights**2).sum(), 1),
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.arms, name="arm"))

    def plot(self, *, bins=40, ax=None):
        """Draw the histograms.

        Parameters
        ----------
        bins : int, default=40
            Number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            See :meth:`from_estimator`.

        Returns
        -------
        display : OverlapDisplay
            Itself.
        """
        plt = _import_pyplot("OverlapDisplay.plot")
        binary = len(self.arms) == 2
        panels = [1] if binary else range(len(self.arms))
        figsize = (6.4, 4.2) if binary else (4.4 * len(panels), 4.2)
        self.figure_, self.axes_ = _subplots(plt, ax, len(panels), figsize=figsize)

        edges = np.linspace(0, 1, bins + 1)
        summary = self.summary
        for axis, arm in zip(self.axes_, panels):
            of_arm, own = self.propensity[:, arm], self.treatment == self.arms[arm]
            below = (
                self._label(summary, 0)
                if binary
                else f"other arms: {(~own).sum():,} rows"
            )
            for mask, sign, color, label in (
                (own, 1, _VERMILION, self._label(summary, arm)),
                (~own, -1, _BLUE, below),
            ):
                shares = np.histogram(of_arm[mask], edges)[0] / max(mask.sum(), 1)
                axis.stairs(
                    sign * shares,
                    edges,
                    fill=True,
                    color=color,
                    alpha=0.75,
                    label=label,
                )
            self._decorate(axis, arm, binary)
        return self

    def _label(self, summary, arm):
        rows, clipped, size = summary.iloc[arm]
        clipped = "" if self.clip is None else f", {100 * clipped:.1f} % clipped"
        return f"arm {self.arms[arm]}: {rows:,.0f} rows{clipped}, ESS {size:,.0f}"

    def _decorate(self, axis, arm, binary):
        if self.clip is not None:
            bounds = (self.clip, 1 - self.clip) if binary else (self.clip,)
            for bound in bounds:
                label = f"clipped at {self.clip:g}" if bound == bounds[0] else None
                axis.axvline(bound, color="0.3", ls="--", lw=1, label=label)
        axis.axhline(0, color="0.3", lw=0.8)
        height = max(map(abs, axis.get_ylim()))
        axis.set(
            xlim=(0, 1),
            ylim=(-height, height),
            xlabel=f"probability of arm {self.arms[arm]}",
            ylabel="share of the group's rows",
        )
        axis.yaxis.set_major_formatter(lambda share, _: f"{abs(100 * share):g} %")
        axis.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            frameon=False,
            fontsize="medium" if binary else "small",
            handlelength=1.5,
            borderpad=0,
        )
        _despine(axis)
