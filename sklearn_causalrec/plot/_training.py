"""A display of the loss and the validation score by epoch."""

import pandas as pd
from sklearn.base import is_classifier

from sklearn_causalrec.plot._common import (
    BLUE,
    VERMILION,
    despine,
    import_pyplot,
    legend_above,
    literal,
    subplots,
)


class TrainingCurveDisplay:
    """Loss and validation score by epoch.

    Every member of an ensemble is a thin line. Their mean is a thick line, up to the
    epoch that all of them reached. A dot marks the epoch with the lowest validation
    loss of each member. Make the display by :meth:`from_estimator`.

    Parameters
    ----------
    history : list of dict
        The training history: one record per epoch and member, with the keys `member`,
        `epoch`, `train_loss`, `valid_loss` and `valid_score`. The last two may be
        missing, None or NaN.
    score_name : str, default="validation score"
        The name of the validation score. It is the label of its axis.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure that contains the curves.
    axes_ : ndarray of matplotlib Axes
        The panel of the losses and, if there are scores, the panel of the scores.
    lines_ : dict of str to matplotlib Line2D
        The thick lines that were drawn. The keys are among `train_loss`, `valid_loss`
        and `valid_score`.

    See Also
    --------
    CalibrationDisplay : Whether predicted effects are as large as the true ones.
    sklearn_causalrec.CausalDNNRecommender : An estimator that keeps such a history.

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
            A fitted estimator with `history_`, or a pipeline or search that ends in
            one.
        score_name : str, default=None
            The name of the validation score. With None, it is the area under the ROC
            curve for a classifier, R² for a regressor, and the value for a policy.
        ax : matplotlib Axes or sequence of Axes, default=None
            The axes to draw on: one, which is divided into panels, or one per panel.
            With None, a new figure is made.

        Returns
        -------
        display : TrainingCurveDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the estimator has no history.
        """
        from sklearn_causalrec._utils.unwrap import is_policy, unwrap

        _, estimator = unwrap(estimator)
        history = getattr(estimator, "history_", None)
        if not history:
            raise ValueError(
                f"{type(estimator).__name__} has no training history: fit it first, if "
                "it trains networks."
            )
        if score_name is None:
            score_name = "ROC AUC" if is_classifier(estimator) else "R²"
            score_name = "value" if is_policy(estimator) else score_name
        return cls(history, score_name=score_name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            The axes to draw on: one, which is divided into panels, or one per panel.
            With None, a new figure is made.

        Returns
        -------
        display : TrainingCurveDisplay
            The display itself.
        """
        plt = import_pyplot("TrainingCurveDisplay.plot")
        columns = ["member", "epoch", "train_loss", "valid_loss", "valid_score"]
        records = pd.DataFrame(self.history, columns=columns).astype(float)
        curves = {
            name: records.pivot(index="epoch", columns="member", values=name)
            for name in columns[2:]
            if records[name].notna().any()
        }
        n_panels = 2 if "valid_score" in curves else 1
        figsize = (4.8 * n_panels, 3.6)
        self.figure_, self.axes_ = subplots(plt, ax, n_panels, figsize=figsize)

        self.lines_ = {}
        for name, label, color, panel in (
            ("train_loss", "training", BLUE, 0),
            ("valid_loss", "validation", VERMILION, 0),
            ("valid_score", "validation", VERMILION, 1),
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
                color=VERMILION,
                ms=5,
                label="lowest validation loss",
            )
        for axis, label in zip(self.axes_, ("loss", self.score_name)):
            axis.set(xlabel="epoch", ylabel=literal(label))
            axis.xaxis.get_major_locator().set_params(integer=True)
            legend_above(axis)
            despine(axis)
        return self

    @staticmethod
    def _draw(axis, curves, label, color):
        n_members = curves.shape[1]
        # A single record is a point, which a line without markers does not show.
        marker = "." if len(curves) == 1 else None
        if n_members > 1:
            axis.plot(curves.index, curves, color=color, lw=0.8, alpha=0.35)
            label = f"{label}, mean of {n_members}"
        mean = curves.mean(axis=1, skipna=False)
        return axis.plot(
            mean.index, mean, color=color, lw=2, label=label, marker=marker
        )[0]
