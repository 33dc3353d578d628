"""What targeting the first rows gains."""

import numpy as np
from scipy.stats import norm
from sklearn.utils import check_random_state

from sklearn_causalrec.metrics.uplift import (
    auuc_score,
    qini_curve,
    qini_score,
    uplift_curve,
)
from sklearn_causalrec.plot._common import (
    despine,
    import_pyplot,
    literal,
    next_color,
    subplots,
)

KINDS = {"uplift": (uplift_curve, auuc_score), "qini": (qini_curve, qini_score)}


class UpliftCurveDisplay:
    """Cumulative gain of targeting rows by predicted effect, beside a random order.

    Make one by :meth:`from_estimator` or :meth:`from_predictions`, on rows that the
    effects were not learned from.

    Parameters
    ----------
    curve : Curve
        Shares of rows and gains a row.
    area : float
        Area between the curve and the straight line of a random order.
    band : tuple of two ndarray or None, default=None
        Lower and upper gain at the shares of the curve.
    kind : {"uplift", "qini"}, default="uplift"
        What the gain is.
    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure with the curve.
    ax_ : matplotlib Axes
        Axes with the curve.
    line_ : matplotlib Line2D
        The curve.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.plot import UpliftCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect, shown = rng.normal(size=500), rng.integers(0, 2, 500)
    >>> y = shown * effect + rng.normal(size=500)
    >>> display = UpliftCurveDisplay.from_predictions(y, effect, shown)
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
        T0=0,
        T1=1,
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
            Fitted estimator with `effect`, or a pipeline or search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator (the pipeline) takes them.
        y : array-like of shape (n_samples,)
            Outcome.
        treatment : array-like of shape (n_samples,)
            Arm of every row, T0 or T1.
        propensity : array-like of shape (n_samples,), default=None
            Probability of the arm taken. None: the same chances for every row.
        T0, T1 : scalar
            Arms.
        kind, n_bootstrap, alpha, random_state, name, ax
            See :meth:`from_predictions`. The name is by default the estimator's class.

        Returns
        -------
        display : UpliftCurveDisplay
            What was drawn.
        """
        from sklearn_causalrec._utils.unwrap import unwrap
        from sklearn_causalrec.effects.effect import effect

        if name is None:
            name = type(unwrap(estimator)[1]).__name__
        return cls.from_predictions(
            y,
            effect(estimator, X, T0=T0, T1=T1),
            np.asarray(treatment) == T1,
            propensity=propensity,
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
            Outcome.
        effect_pred : array-like of shape (n_samples,)
            Predicted effects, by which rows are targeted.
        treatment : array-like of shape (n_samples,)
            Arm of every row, of two.
        propensity : array-like of shape (n_samples,), default=None
            Probability of the arm taken. None: the same chances for every row.
        kind : {"uplift", "qini"}, default="uplift"
            See :func:`~sklearn_causalrec.metrics.uplift_curve` and
            :func:`~sklearn_causalrec.metrics.qini_curve`.
        n_bootstrap : int, default=100
            Resamples of the rows for the band, which holds at each share by itself; 0
            draws none.
        alpha : float, default=0.05
            1 - level of the band.
        random_state : int, RandomState or None, default=0
            Seed of the resamples.
        name : str, default=None
            Label of the curve.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure; the `ax_` of another display draws
            on top of it.

        Returns
        -------
        display : UpliftCurveDisplay
            What was drawn.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: choose one of {list(KINDS)}.")
        make, score = KINDS[kind]
        curve = make(y, effect_pred, treatment, propensity=propensity)
        area = score(y, effect_pred, treatment, propensity=propensity)
        band = None
        if n_bootstrap:
            arrays = [np.asarray(v) for v in (y, effect_pred, treatment)]
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
            half = norm.isf(alpha / 2) * np.std(draws, axis=0, ddof=1)
            band = curve.gain - half, curve.gain + half
        return cls(curve, area=area, band=band, kind=kind, name=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : UpliftCurveDisplay
            Itself.
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
        self.ax_.legend(frameon=False)
        despine(self.ax_)
        return self
