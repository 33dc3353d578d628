"""What a policy would earn, by every estimator."""

import numpy as np

from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    subplots,
)


class PolicyValueDisplay:
    """Estimates of a policy's value side by side, with their intervals.

    Where they agree, the value rests on more than one assumption; where they don't,
    the model, the propensities or the bending of weights is at fault. A dashed line is
    what the log itself earned.

    Parameters
    ----------
    result : PolicyValue
        Of :func:`~sklearn_causalrec.metrics.policy_value` or
        :func:`~sklearn_causalrec.metrics.slate_policy_value`.
    reference : float, default=None
        A known value, for instance from an experiment with the policy itself.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure with the estimates.
    ax_ : matplotlib Axes
        Axes with the estimates.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import policy_value
    >>> from sklearn_causalrec.plot import PolicyValueDisplay
    >>> y, action = [1, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 1]
    >>> result = policy_value(y, action, [0.3, 0.7], propensity=[0.5] * 6)
    >>> display = PolicyValueDisplay(result).plot()
    >>> len(display.ax_.get_yticks())
    9
    """

    def __init__(self, result, *, reference=None):
        self.result = result
        self.reference = reference

    @classmethod
    def from_predictions(
        cls, y, action, policy, *, propensity, reference=None, ax=None, **kwargs
    ):
        """Estimate the value of a policy and draw it.

        Parameters
        ----------
        y, action, policy, propensity
            As in :func:`~sklearn_causalrec.metrics.policy_value`.
        reference : float, default=None
            A known value.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs
            Passed to :func:`~sklearn_causalrec.metrics.policy_value`.

        Returns
        -------
        display : PolicyValueDisplay
            What was drawn.
        """
        from sklearn_causalrec.metrics.off_policy.policy import policy_value

        result = policy_value(y, action, policy, propensity=propensity, **kwargs)
        return cls(result, reference=reference).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, action, *, propensity, reference=None, ax=None, **kwargs
    ):
        """Estimate the value of a recommender's best actions and draw it.

        Parameters
        ----------
        estimator : object
            Fitted recommender, or a pipeline or search that ends in one, as in
            :func:`~sklearn_causalrec.metrics.recommender_policy`.
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator (the pipeline) takes them.
        y, action, propensity
            As in :func:`~sklearn_causalrec.metrics.policy_value`.
        reference, ax, **kwargs
            See :meth:`from_predictions`.

        Returns
        -------
        display : PolicyValueDisplay
            What was drawn.
        """
        return cls.from_predictions(
            y,
            action,
            estimator,
            X=X,
            propensity=propensity,
            reference=reference,
            ax=ax,
            **kwargs,
        )

    def plot(self, *, ax=None):
        """Draw the estimates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : PolicyValueDisplay
            Itself.
        """
        plt = import_pyplot("PolicyValueDisplay.plot")
        table = self.result.table
        height = 1.6 + 0.32 * len(table)
        self.figure_, (self.ax_,) = subplots(plt, ax, 1, figsize=(6.0, height))
        rows = np.arange(len(table))
        for row, (name, estimate) in zip(rows, table.iterrows()):
            color = VERMILION if name == self.result.estimator else BLUE
            self.ax_.plot(
                estimate[["low", "high"]].to_numpy(float), [row, row], color=color, lw=2
            )
            self.ax_.plot(estimate["value"], row, "o", color=color, ms=6)
        self.ax_.axvline(
            self.result.logged_value, color="0.3", ls="--", lw=1, label="the log itself"
        )
        if self.reference is not None:
            self.ax_.axvline(self.reference, color="#009E73", lw=1.5, label="reference")
        self.ax_.set(
            yticks=rows,
            yticklabels=table.index,
            ylim=(len(table) - 0.5, -0.5),
            xlabel="mean outcome under the policy",
        )
        self.ax_.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            frameon=False,
            borderpad=0,
            title=f"effective sample size {self.result.effective_sample_size:,.0f}",
            alignment="left",
        )
        despine(self.ax_)
        return self
