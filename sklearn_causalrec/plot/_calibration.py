"""Whether predicted effects are as large as the effects."""

import numpy as np

from sklearn_causalrec.metrics.effects import (
    calibration_error,
    doubly_robust_scores,
    effect_calibration,
)
from sklearn_causalrec.plot._common import (
    despine,
    import_pyplot,
    literal,
    next_color,
    subplots,
)

_IDS = ("user", "item")


class CalibrationDisplay:
    """Estimated beside predicted effects, in bins of the predicted, with intervals.

    On the diagonal predictions are right on average. A flat row of points says that
    they tell nothing of who gains more; one steeper or flatter than the diagonal, that
    they vary too little or too much. Make one by :meth:`from_estimator` or
    :meth:`from_predictions`, on rows that the effects were not learned from.

    Parameters
    ----------
    table : DataFrame
        As of :func:`~sklearn_causalrec.metrics.effect_calibration`.
    error : float
        :func:`~sklearn_causalrec.metrics.calibration_error`.
    name : str, default=None
        Label of the points.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure with the points.
    ax_ : matplotlib Axes
        Axes with the points.
    container_ : matplotlib ErrorbarContainer
        The points and their intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.plot import CalibrationDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=2000)
    >>> display = CalibrationDisplay.from_predictions(
    ...     effect, effect + rng.normal(size=2000), n_bins=5
    ... )
    >>> len(display.table)
    5
    """

    def __init__(self, table, *, error, name=None):
        self.table = table
        self.error = error
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        treatment,
        propensity=None,
        outcomes=None,
        T0=0,
        T1=1,
        n_bins=10,
        alpha=0.05,
        name=None,
        ax=None,
    ):
        """Draw the effects that a fitted estimator predicts.

        Parameters
        ----------
        estimator : object
            Fitted estimator with `effect`, or a pipeline or search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator (the pipeline) takes them.
        y : array-like of shape (n_samples,)
            Outcome.
        treatment : array-like of shape (n_samples,)
            Arm of every row, T0 or T1.
        propensity : array-like of shape (n_samples,), default=None
            Probability of the arm taken. None: it is estimated on these rows, out of
            fold, unless `outcomes` are given.
        outcomes : array-like of shape (n_samples, 2), default=None
            Expected outcomes under both arms, from a model that hasn't seen the rows.
            None: they are estimated on these rows, out of fold.
        T0, T1 : scalar
            Arms.
        n_bins, alpha, name, ax
            See :meth:`from_predictions`. The name is by default the estimator's class.

        Returns
        -------
        display : CalibrationDisplay
            What was drawn.
        """
        from sklearn_causalrec._utils.unwrap import unwrap
        from sklearn_causalrec.effects.effect import effect
        from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances

        if name is None:
            name = type(unwrap(estimator)[1]).__name__
        shown = np.asarray(treatment) == T1
        if outcomes is None:
            outcomes, propensity = cross_fit_nuisances(
                X,
                np.asarray(y, float),
                shown,
                None if propensity is None else np.asarray(propensity, float),
                ids=[getattr(unwrap(estimator)[1], role, None) for role in _IDS],
            )
        scores = doubly_robust_scores(
            y, shown, propensity=propensity, outcomes=outcomes
        )
        return cls.from_predictions(
            effect(estimator, X, T0=T0, T1=T1),
            scores,
            n_bins=n_bins,
            alpha=alpha,
            name=name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, effect_pred, scores, *, n_bins=10, alpha=0.05, name=None, ax=None
    ):
        """Draw given effects.

        Parameters
        ----------
        effect_pred : array-like of shape (n_samples,)
            Predicted effects.
        scores : array-like of shape (n_samples,)
            True effects, or :func:`~sklearn_causalrec.metrics.doubly_robust_scores`.
        n_bins : int, default=10
            Bins with equally many rows.
        alpha : float, default=0.05
            1 - level of the intervals.
        name : str, default=None
            Label of the points.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure; the `ax_` of another display draws
            on top of it.

        Returns
        -------
        display : CalibrationDisplay
            What was drawn.
        """
        table = effect_calibration(effect_pred, scores, n_bins=n_bins, alpha=alpha)
        error = calibration_error(effect_pred, scores, n_bins=n_bins)
        return cls(table, error=error, name=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : CalibrationDisplay
            Itself.
        """
        plt = import_pyplot("CalibrationDisplay.plot")
        self.figure_, (self.ax_,) = subplots(plt, ax, 1, figsize=(5.2, 4.6))
        color, table = next_color(self.ax_), self.table
        name = "" if self.name is None else f"{literal(self.name)}, "
        predicted, estimated, low, high = (
            table[["predicted", "estimated", "low", "high"]].to_numpy(float).T
        )
        self.container_ = self.ax_.errorbar(
            predicted,
            estimated,
            yerr=[estimated - low, high - estimated],
            fmt="o",
            ms=5,
            lw=1.3,
            color=color,
            label=f"{name}calibration error {self.error:.3g}",
        )
        labels = [line.get_label() for line in self.ax_.lines]
        if "as predicted" not in labels:
            self.ax_.axline(
                (predicted.mean(),) * 2,
                slope=1,
                color="0.3",
                ls="--",
                lw=1,
                label="as predicted",
            )
            self.ax_.axhline(0, color="0.75", lw=0.8, zorder=0)
        self.ax_.set(
            xlabel="predicted effect (mean of bin)",
            ylabel="estimated effect (mean of bin)",
        )
        self.ax_.legend(frameon=False)
        despine(self.ax_)
        return self
