"""A display of what a policy would earn, by every off-policy estimator."""

import numpy as np

from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    legend_above,
    subplots,
)


class PolicyValueDisplay:
    """Estimates of a policy's value side by side, with their intervals.

    If they agree, the value does not rest on one assumption alone. If they disagree,
    the outcome model, the propensities or the clipping of the weights is wrong. The
    dashed line is the value of the logging policy.

    Parameters
    ----------
    result : PolicyValue
        The estimates, as :func:`~sklearn_causalrec.metrics.policy_value` or
        :func:`~sklearn_causalrec.metrics.slate_policy_value` returns them.
    reference : float, default=None
        A known value, for instance from an experiment with the policy itself. It is
        drawn as a line. With None, there is no such line.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the estimates.
    ax_ : matplotlib Axes
        The axes that contain the estimates.

    See Also
    --------
    sklearn_causalrec.metrics.policy_value : Estimate the value of a policy.
    sklearn_causalrec.CounterfactualPolicy : Learn a policy from a log.

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
        y : array-like of shape (n,)
            The reward of the action taken.
        action : array-like of shape (n,)
            The action taken.
        policy : array-like of shape (n_actions,) or (n, n_actions), or fitted estimator
            The probabilities of all actions under the policy, or a fitted recommender
            or policy. See :func:`~sklearn_causalrec.metrics.policy_value`.
        propensity : array-like of shape (n,)
            The probability with which the action taken was chosen.
        reference : float, default=None
            A known value that is drawn as a line. With None, there is no such line.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.
        **kwargs
            Further parameters of :func:`~sklearn_causalrec.metrics.policy_value`.

        Returns
        -------
        display : PolicyValueDisplay
            The display that was drawn.
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
            A fitted recommender or policy, or a pipeline or search that ends in one.
            See :func:`~sklearn_causalrec.metrics.recommender_policy`.
        X : array-like of shape (n, n_features)
            The rows, as the estimator or the pipeline takes them.
        y : array-like of shape (n,)
            The reward of the action taken.
        action : array-like of shape (n,)
            The action taken.
        propensity : array-like of shape (n,)
            The probability with which the action taken was chosen.
        reference : float, default=None
            A known value that is drawn as a line. With None, there is no such line.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.
        **kwargs
            Further parameters of :func:`~sklearn_causalrec.metrics.policy_value`.

        Returns
        -------
        display : PolicyValueDisplay
            The display that was drawn.
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
            The axes to draw on. With None, a new figure is made.

        Returns
        -------
        display : PolicyValueDisplay
            The display itself.
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
        legend_above(
            self.ax_,
            ncols=2,
            title=f"effective sample size {self.result.effective_sample_size:,.0f}",
            alignment="left",
        )
        despine(self.ax_)
        return self
