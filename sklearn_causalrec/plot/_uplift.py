"""A display of what targeting the rows with the largest predicted effects gains."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.effects.intervals import check_alpha, normal_interval
from sklearn_causalrec.encoding.arms import two_arms
from sklearn_causalrec.encoding.contrasts import contrast_of, rows_of_two_arms
from sklearn_causalrec.metrics.uplift import (
    auuc_score,
    qini_curve,
    qini_score,
    uplift_curve,
)
from sklearn_causalrec.plot._common import (
    despine,
    import_pyplot,
    legend_above,
    literal,
    next_color,
    subplots,
)

KINDS = {"uplift": (uplift_curve, auuc_score), "qini": (qini_curve, qini_score)}


class UpliftCurveDisplay:
    """Cumulative gain of targeting rows by predicted effect, beside a random order.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`, on rows that the
    model was not trained on.

    Parameters
    ----------
    curve : Curve
        The curve: shares of rows targeted, and the gain per row at each share.
    area : float
        The area between the curve and the straight line of a random order.
    band : tuple of two ndarray, default=None
        The lower and the upper gain at the shares of the curve. With None, no band is
        drawn.
    kind : {"uplift", "qini"}, default="uplift"
        The kind of gain, as in :meth:`from_predictions`.
    name : str, default=None
        The label of the curve. With None, the label states the area only.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the curve.
    ax_ : matplotlib Axes
        The axes that contain the curve.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    CalibrationDisplay : Whether predicted effects are as large as the true ones.
    sklearn_causalrec.metrics.uplift_curve : Compute the curve of "uplift".
    sklearn_causalrec.metrics.qini_curve : Compute the curve of "qini".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.plot import UpliftCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect, treatment = rng.normal(size=500), rng.integers(0, 2, 500)
    >>> y = treatment * effect + rng.normal(size=500)
    >>> display = UpliftCurveDisplay.from_predictions(y, effect, treatment)
    >>> bool(display.area > 0)
    True
    """

    def __init__(self, curve, *, area, band=None, kind="uplift", name=None):
        self.curve = curve
        self.area = area
        self.band = band
        self.kind = kind
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
        T0=None,
        T1=None,
        control=None,
        kind="uplift",
        n_bootstrap=100,
        alpha=0.05,
        random_state=0,
        name=None,
        ax=None,
    ):
        """Draw the curve of the effects that a fitted estimator predicts.

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
            The probability of the arm taken. With None, every row had the same chance
            of either arm, as in an experiment.
        T0 : scalar, default=None
            The arm that `T1` is compared with. With None, it is the control.
        T1 : scalar, default=None
            The arm whose effect the rows are ordered by. With None, it is the other of
            two arms.
        control : scalar, default=None
            Another name for `T0`. With None, it is the control of the estimator.
        kind : {"uplift", "qini"}, default="uplift"
            The kind of gain, as in :meth:`from_predictions`.
        n_bootstrap : int, default=100
            The number of resamples of the rows that the band is computed from. With 0,
            no band is drawn.
        alpha : float, default=0.05
            One minus the confidence level of the band.
        random_state : int, RandomState instance or None, default=0
            The seed of the resamples.
        name : str, default=None
            The label of the curve. With None, it is the class of the estimator.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made. Pass the `ax_` of
            another display to draw on top of it.

        Returns
        -------
        display : UpliftCurveDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If an arm is unknown, has no row, or has to be named.
        """
        from sklearn_causalrec._utils.unwrap import unwrap
        from sklearn_causalrec.effects.effect import effect

        fitted = unwrap(estimator)[1]
        if name is None:
            name = type(fitted).__name__
        T0, T1 = contrast_of(fitted, T0, T1, control=control, treatment=treatment)
        rows, treated = rows_of_two_arms(treatment, T0, T1, n=len(y))
        return cls.from_predictions(
            np.asarray(y)[rows],
            effect(estimator, X, T0=T0, T1=T1)[rows],
            treated,
            propensity=None if propensity is None else np.asarray(propensity)[rows],
            kind=kind,
            n_bootstrap=n_bootstrap,
            alpha=alpha,
            random_state=random_state,
            name=name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y,
        effect_pred,
        treatment,
        *,
        propensity=None,
        control=None,
        kind="uplift",
        n_bootstrap=100,
        alpha=0.05,
        random_state=0,
        name=None,
        ax=None,
    ):
        """Draw the curve of given effects.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            The outcome.
        effect_pred : array-like of shape (n_samples,)
            The predicted effects, by which the rows are ordered.
        treatment : array-like of shape (n_samples,)
            The arm of every row. There are two arms.
        propensity : array-like of shape (n_samples,), default=None
            The probability of the arm taken. With None, every row had the same chance
            of either arm, as in an experiment.
        control : scalar, default=None
            The arm that effects are against. With None, it is told by the arms, as in
            :func:`~sklearn_causalrec.metrics.uplift_curve`.
        kind : {"uplift", "qini"}, default="uplift"
            The kind of gain: that of :func:`~sklearn_causalrec.metrics.uplift_curve` or
            that of :func:`~sklearn_causalrec.metrics.qini_curve`.
        n_bootstrap : int, default=100
            The number of resamples of the rows that the band is computed from. The band
            is pointwise: it holds at each share by itself. With 0, no band is drawn.
        alpha : float, default=0.05
            One minus the confidence level of the band.
        random_state : int, RandomState instance or None, default=0
            The seed of the resamples.
        name : str, default=None
            The label of the curve. With None, the label states the area only.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made. Pass the `ax_` of
            another display to draw on top of it.

        Returns
        -------
        display : UpliftCurveDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If `kind` is unknown, there are not two arms, or which of them is the
            control can't be told.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: choose one of {list(KINDS)}.")
        check_alpha(alpha)
        make, score = KINDS[kind]
        treated = two_arms(treatment, len(y), control)
        curve = make(y, effect_pred, treated, propensity=propensity)
        area = score(y, effect_pred, treated, propensity=propensity)
        band = None
        if n_bootstrap:
            arrays = [np.asarray(v) for v in (y, effect_pred, treated)]
            chance = None if propensity is None else np.asarray(propensity)
            rng = check_random_state(random_state)
            draws = []
            for _ in range(n_bootstrap):
                rows = rng.randint(len(arrays[0]), size=len(arrays[0]))
                given = [values[rows] for values in arrays]
                again = make(
                    *given, propensity=None if chance is None else chance[rows]
                )
                draws.append(np.interp(curve.share, *again))
            error = np.std(draws, axis=0, ddof=1)
            band = normal_interval(curve.gain, error, alpha)
        return cls(curve, area=area, band=band, kind=kind, name=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : UpliftCurveDisplay
            The display itself.
        """
        plt = import_pyplot("UpliftCurveDisplay.plot")
        self.figure_, (self.ax_,) = subplots(plt, ax, 1, figsize=(5.6, 4.2))
        color = next_color(self.ax_)
        share, gain = self.curve
        name = "" if self.name is None else f"{literal(self.name)}, "
        (self.line_,) = self.ax_.plot(
            share, gain, color=color, lw=2, label=f"{name}area {self.area:.3g}"
        )
        color = self.line_.get_color()
        if self.band is not None:
            self.ax_.fill_between(share, *self.band, color=color, alpha=0.18, lw=0)
        # All rankings of the same rows share the line of a random order.
        if not any(line.get_label() == "random order" for line in self.ax_.lines):
            self.ax_.plot(
                [0, 1], [0, gain[-1]], color="0.3", ls="--", lw=1, label="random order"
            )
        unit = "a row shown" if self.kind == "qini" else "a row"
        self.ax_.set(
            xlim=(0, 1),
            xlabel="share of rows targeted, best predicted effect first",
            ylabel=f"cumulative gain {unit}",
        )
        self.ax_.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        legend_above(self.ax_)
        despine(self.ax_)
        return self
