"""A display of whether predicted effects are as large as the true ones."""

import numpy as np
from sklearn.utils import _safe_indexing

from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.contrasts import contrast_of, rows_of_two_arms
from sklearn_causalrec.metrics.calibration import calibration_error, effect_calibration
from sklearn_causalrec.metrics.effects import doubly_robust_scores
from sklearn_causalrec.plot._common import (
    despine,
    import_pyplot,
    legend_above,
    literal,
    next_color,
    subplots,
)

_IDS = ("user", "item")


class CalibrationDisplay:
    """Estimated against predicted effects, in bins of the predicted effects.

    The bars are confidence intervals. Points on the diagonal mean that predictions are
    right on average. A flat row of points means that the predictions do not tell who
    gains more. Points steeper than the diagonal mean that the predictions vary too
    little; flatter points mean that they vary too much. Make the display by
    :meth:`from_estimator` or :meth:`from_predictions`, on rows that the model was not
    trained on.

    Parameters
    ----------
    table : DataFrame
        The bins, as :func:`~sklearn_causalrec.metrics.effect_calibration` returns them.
    error : float
        The calibration error, as :func:`~sklearn_causalrec.metrics.calibration_error`
        returns it.
    name : str, default=None
        The label of the points. With None, the label states the error only.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the points.
    ax_ : matplotlib Axes
        The axes that contain the points.
    container_ : matplotlib ErrorbarContainer
        The points and their intervals.

    See Also
    --------
    UpliftCurveDisplay : What targeting by predicted effect gains.
    sklearn_causalrec.metrics.effect_calibration : Compute the bins.

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
        T0=None,
        T1=None,
        control=None,
        n_bins=10,
        alpha=0.05,
        name=None,
        ax=None,
    ):
        """Draw the effects that a fitted estimator predicts.

        Parameters
        ----------
        estimator : object
            A fitted estimator with a method `effect`, or a pipeline or search that ends
            in one.
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator or the pipeline takes them.
        y : array-like of shape (n_samples,)
            The outcome.
        treatment : array-like of shape (n_samples,)
            The arm of every row. Rows of other arms than `T0` and `T1` are left out.
        propensity : array-like of shape (n_samples,), default=None
            The probability of the arm taken. With None, it is estimated on these rows
            by cross-fitting, unless `outcomes` are given.
        outcomes : array-like of shape (n_samples, 2), default=None
            The expected outcomes under both arms, from a model that was not trained on
            these rows. With None, they are estimated on these rows by cross-fitting.
        T0 : scalar, default=None
            The arm that `T1` is compared with. With None, it is the control.
        T1 : scalar, default=None
            The arm whose effect is drawn. With None, it is the other of two arms.
        control : scalar, default=None
            Another name for `T0`. With None, it is the control of the estimator.
        n_bins : int, default=10
            The number of bins. They have equally many rows.
        alpha : float, default=0.05
            One minus the confidence level of the intervals.
        name : str, default=None
            The label of the points. With None, it is the class of the estimator.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made. Pass the `ax_` of
            another display to draw on top of it.

        Returns
        -------
        display : CalibrationDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If an arm is unknown, has no row, or has to be named.
        """
        from sklearn_causalrec._utils.unwrap import unwrap
        from sklearn_causalrec.effects.effect import effect
        from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances

        check_alpha(alpha)
        fitted = unwrap(estimator)[1]
        if name is None:
            name = type(fitted).__name__
        T0, T1 = contrast_of(fitted, T0, T1, control=control, treatment=treatment)
        rows, treated = rows_of_two_arms(treatment, T0, T1, n=len(y))
        y = np.asarray(y, float)[rows]
        if propensity is not None:
            propensity = np.asarray(propensity, float)[rows]
        if outcomes is None:
            outcomes, propensity = cross_fit_nuisances(
                _safe_indexing(X, rows),
                y,
                treated,
                propensity,
                ids=[getattr(fitted, role, None) for role in _IDS],
            )
        else:
            outcomes = np.asarray(outcomes, float)[rows]
        scores = doubly_robust_scores(
            y, treated, propensity=propensity, outcomes=outcomes
        )
        return cls.from_predictions(
            effect(estimator, X, T0=T0, T1=T1)[rows],
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
            The predicted effects.
        scores : array-like of shape (n_samples,)
            The true effects, or their unbiased estimates by
            :func:`~sklearn_causalrec.metrics.doubly_robust_scores`.
        n_bins : int, default=10
            The number of bins. They have equally many rows.
        alpha : float, default=0.05
            One minus the confidence level of the intervals.
        name : str, default=None
            The label of the points. With None, the label states the error only.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made. Pass the `ax_` of
            another display to draw on top of it.

        Returns
        -------
        display : CalibrationDisplay
            The display that was drawn.
        """
        table = effect_calibration(effect_pred, scores, n_bins=n_bins, alpha=alpha)
        error = calibration_error(effect_pred, scores, n_bins=n_bins)
        return cls(table, error=error, name=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : CalibrationDisplay
            The display itself.
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
        legend_above(self.ax_)
        despine(self.ax_)
        return self
