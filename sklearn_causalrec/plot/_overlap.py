"""A display of whether the arms overlap."""

import numpy as np

from sklearn_causalrec.causal.checks.diagnostics import overlap
from sklearn_causalrec.encoding.arms import (
    arm_codes,
    distinct_arms,
    read_treatment,
    two_arms,
)
from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    legend_above,
    literal,
    subplots,
)


class OverlapDisplay:
    r"""Histograms of the propensities, one arm above and the other below the axis.

    Where one of the two is empty, no row was observed to compare with, and an effect is
    an extrapolation. With two arms there is one panel, which shows the probability of
    the second arm. With more arms there is one panel per arm: the rows of that arm are
    above the axis, all others below. Make the display by :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    propensity : ndarray of shape (n_samples, n_arms)
        The probability of every arm.
    treatment : ndarray of shape (n_samples,)
        The arm of every row.
    arms : ndarray of shape (n_arms,)
        The arms, in the order of the columns of `propensity`.
    clip : float or None, default=None
        The lower bound that propensities are raised to before they divide. With None,
        they are not clipped.

    Attributes
    ----------
    summary : DataFrame
        One row per arm. `rows` is the number of its rows. `clipped` is the share of
        them whose propensity is at or below `clip`. `effective_sample_size` is Kish's
        :math:`(\sum w)^2 / \sum w^2`, where the weights :math:`w` are the inverse of
        the clipped propensities.
    figure_ : matplotlib Figure
        The figure that contains the histograms.
    axes_ : ndarray of matplotlib Axes
        The panels.

    See Also
    --------
    BalanceDisplay : How alike the covariates of the arms are.
    sklearn_causalrec.causal.overlap : Compute the summary.

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
    def from_estimator(cls, estimator, X=None, treatment=None, *, bins=40, ax=None):
        """Draw the propensities that a fitted estimator predicts, or has noted.

        An estimator that predicts no propensities, `DoCalculusEffect`, has noted those
        of the rows of ``fit``, each from models that did not see the row. These are
        drawn, and `X` and `treatment` can be left out.

        Parameters
        ----------
        estimator : object
            A fitted estimator with `propensity_scores`, or with `propensity_` and
            `arm_`; a pipeline or search that ends in one is allowed.
        X : array-like of shape (n_samples, n_features), default=None
            The rows, as the estimator or the pipeline takes them.
        treatment : array-like of shape (n_samples,), default=None
            The arm of every row. It can be left out if the estimator's `treatment`
            names a column of X.
        bins : int, default=40
            The number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            The axes to draw on: one, which is divided into panels, or one per panel.
            With None, a new figure is made.

        Returns
        -------
        display : OverlapDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If no treatment is known, the estimator has noted no propensities, or has
            noted them for other rows.
        """
        from sklearn_causalrec._utils.unwrap import unwrap

        transform, estimator = unwrap(estimator)
        if not hasattr(estimator, "propensity_scores"):
            return cls._from_noted(estimator, X, treatment, bins, ax)
        if X is None:
            raise ValueError(
                f"{type(estimator).__name__} predicts propensities: pass X, the rows."
            )
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
    def _from_noted(cls, estimator, X, treatment, bins, ax):
        """Draw the propensities of the rows of ``fit``."""
        name = type(estimator).__name__
        noted = getattr(estimator, "propensity_", None)
        if noted is None:
            raise ValueError(
                f"{name} has noted no propensities: it is not fitted, or its effect is "
                "not by adjustment between arms, so that overlap has no such picture."
            )
        given = [len(rows) for rows in (X, treatment) if rows is not None]
        if any(n != len(noted) for n in given):
            raise ValueError(
                f"{name} has noted the propensities of the {len(noted)} rows of fit, "
                f"and cannot predict those of {given[0]} others: leave X out."
            )
        arms = np.empty(len(estimator.arms_), object)  # tuples stay whole
        arms[:] = list(estimator.arms_)
        if all(not isinstance(arm, tuple) for arm in arms):
            arms = np.asarray(list(arms))
        return cls(noted, arms[estimator.arm_], arms=arms, clip=estimator.clip).plot(
            bins=bins, ax=ax
        )

    @classmethod
    def from_predictions(
        cls, propensity, treatment, *, arms=None, clip=None, bins=40, ax=None
    ):
        """Draw given propensities.

        Parameters
        ----------
        propensity : array-like of shape (n_samples,) or (n_samples, n_arms)
            The probability of every arm; or, of two arms, that of the one which is not
            the control, or of the second of `arms`.
        treatment : array-like of shape (n_samples,)
            The arm of every row.
        arms : array-like of shape (n_arms,), default=None
            The arms, in the order of the columns of `propensity`. With None, they are
            the sorted distinct values of `treatment`.
        clip : float, default=None
            The lower bound that propensities are raised to before they divide. With
            None, they are not clipped.
        bins : int, default=40
            The number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            The axes to draw on: one, which is divided into panels, or one per panel.
            With None, a new figure is made.

        Returns
        -------
        display : OverlapDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If a propensity is not a probability, or the shapes and the arms do not
            match; or if there is one probability a row, and which arm is the control
            can't be told.
        """
        propensity = np.asarray(propensity, float)
        values = read_treatment(treatment)
        if arms is None:
            arms = distinct_arms(values)[0]
            if propensity.ndim == 1 and len(arms) == 2:
                treated = two_arms(treatment, len(values))
                arms = values[[treated.argmin(), treated.argmax()]]  # control first
        arms = np.asarray(arms)
        codes = arm_codes(values, arms)
        wrong = propensity[~((propensity >= 0) & (propensity <= 1))]
        if len(wrong):
            raise ValueError(f"Propensities lie between 0 and 1, got {wrong[0]}.")
        if propensity.ndim == 1:
            propensity = np.column_stack([1 - propensity, propensity])
        if propensity.shape != (len(codes), len(arms)):
            raise ValueError(
                f"propensity must have {len(codes)} rows, as treatment has, and a "
                f"column for each of the arms {arms.tolist()}, got the shape "
                f"{propensity.shape}."
            )
        return cls(propensity, arms[codes], arms=arms, clip=clip).plot(bins=bins, ax=ax)

    @property
    def summary(self):
        """Rows, clipped share and effective sample size of each arm."""
        found = overlap(self.propensity, self.treatment, arms=self.arms, clip=self.clip)
        return found[["rows", "clipped", "effective_sample_size"]]

    def plot(self, *, bins=40, ax=None):
        """Draw the histograms.

        Parameters
        ----------
        bins : int, default=40
            The number of bins between 0 and 1.
        ax : matplotlib Axes or sequence of Axes, default=None
            The axes to draw on: one, which is divided into panels, or one per panel.
            With None, a new figure is made.

        Returns
        -------
        display : OverlapDisplay
            The display itself.
        """
        plt = import_pyplot("OverlapDisplay.plot")
        binary = len(self.arms) == 2
        panels = [1] if binary else range(len(self.arms))
        figsize = (6.4, 4.2) if binary else (4.4 * len(panels), 4.2)
        self.figure_, self.axes_ = subplots(plt, ax, len(panels), figsize=figsize)

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
                (own, 1, VERMILION, self._label(summary, arm)),
                (~own, -1, BLUE, below),
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
        return (
            f"arm {literal(self.arms[arm])}: {rows:,.0f} rows{clipped}, ESS {size:,.0f}"
        )

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
            xlabel=f"probability of arm {literal(self.arms[arm])}",
            ylabel="share of the group's rows",
        )
        axis.yaxis.set_major_formatter(lambda share, _: f"{abs(100 * share):g} %")
        size = "medium" if binary else "small"
        legend_above(axis, fontsize=size, handlelength=1.5)
        despine(axis)
