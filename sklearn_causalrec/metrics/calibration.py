"""Whether predicted effects are as large as the effects."""

import numpy as np
import pandas as pd

from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import normal_interval
from sklearn_causalrec.encoding.checks import column, whole_number
from sklearn_causalrec.encoding.cluster_columns import given_clusters


def effect_calibration(effect_pred, scores, *, n_bins=10, alpha=0.05, cluster=None):
    """Predicted effects beside estimated ones, in bins of the predicted.

    Parameters
    ----------
    effect_pred : array-like of shape (n,)
        The predicted effects.
    scores : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores` of rows that the model has not
        seen.
    n_bins : int, default=10
        The number of bins. They have equally many rows. There are fewer bins where
        predictions repeat.
    alpha : float, default=0.05
        One minus the level of the intervals.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids of what rows belong to, such as the user of each row, or its user and
        its item. Standard errors then count clusters, not rows. None says that rows are
        independent.

    Returns
    -------
    DataFrame
        One row for each bin, in the order of the predictions: the means `predicted` and
        `estimated`, the standard error `stderr` of the latter, the bounds `low` and
        `high` of its interval, and the number of `rows`.

    Raises
    ------
    ValueError
        If an array does not fit, or `n_bins` is below 1.

    See Also
    --------
    calibration_error : One number for the distance of the two.
    calibration_line : One number for the slope between the two.
    sklearn_causalrec.plot.CalibrationDisplay : The same as a plot.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import effect_calibration
    >>> table = effect_calibration([0, 0, 1, 1], [-1, 1, 0, 2], n_bins=2)
    >>> table[["predicted", "estimated"]].values.tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    effect = column(effect_pred, "effect_pred")
    scores = column(scores, "scores", len(effect))
    # More bins than rows are as many as rows.
    n_bins = min(whole_number(n_bins, "n_bins", high=np.inf), len(effect))
    edges = np.unique(np.quantile(effect, np.linspace(0, 1, n_bins + 1)[1:-1]))
    # A value at an edge belongs below it, so that repeated values share a bin.
    bins = pd.DataFrame({"predicted": effect, "estimated": scores}).groupby(
        np.searchsorted(edges, effect)
    )
    table = bins.mean().reset_index(drop=True)
    table["stderr"] = bins["estimated"].sem().to_numpy()
    low, high = normal_interval(table["estimated"], table["stderr"], alpha)
    clusters = given_clusters(cluster, len(effect))
    if clusters is not None:
        found = [
            estimate(scores[rows].mean(), scores[rows], clusters[rows])
            for rows in bins.indices.values()
        ]
        table["stderr"] = [f.error for f in found]
        low, high = np.transpose([f.interval(alpha) for f in found])
    table["low"], table["high"] = low, high
    table["rows"] = bins.size().to_numpy()
    return table


def calibration_error(effect_pred, scores, *, n_bins=10):
    """Root mean squared distance of predicted to estimated effects over bins.

    Parameters
    ----------
    effect_pred : array-like of shape (n,)
        The predicted effects.
    scores : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores` of rows that the model has not
        seen.
    n_bins : int, default=10
        The number of bins. They have equally many rows. There are fewer bins where
        predictions repeat.

    Returns
    -------
    float
        The error, in the units of the outcome. The noise of the bins' means is
        subtracted, so that a calibrated model is near 0 whatever the number of rows
        [1]_. The error is 0 where the noise is larger than the distance. Lower is
        better.

    Raises
    ------
    ValueError
        If an array does not fit, or `n_bins` is below 1.

    See Also
    --------
    effect_calibration : The bins.
    calibration_line : The slope between predicted and estimated effects.

    References
    ----------
    .. [1] Xu, Y. and Yadlowsky, S. (2022). "Calibration error for heterogeneous
       treatment effects." AISTATS.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import calibration_error
    >>> calibration_error([0, 0, 1, 1], [1, 1, 2, 2], n_bins=2)
    1.0
    """
    table = effect_calibration(effect_pred, scores, n_bins=n_bins)
    noise = table["stderr"].fillna(0) ** 2
    squared = (table["predicted"] - table["estimated"]) ** 2 - noise
    return float(np.sqrt(max(np.average(squared, weights=table["rows"]), 0)))


def calibration_line(effect_pred, scores):
    """Best linear predictor of the effect from the predicted effect.

    Parameters
    ----------
    effect_pred : array-like of shape (n,)
        The predicted effects.
    scores : array-like of shape (n,)
        The true effects, or :func:`doubly_robust_scores` of rows that the model has not
        seen.

    Returns
    -------
    DataFrame
        The row `mean` has the mean of the estimated effects, which the predicted ones
        should share. The row `slope` is 1 if predictions vary as much as effects do. It
        is below 1 if they vary too much, and 0 if they say nothing of who gains more.
        The columns are `estimate` and `stderr`, which is robust to unequal variances
        [1]_.

    Raises
    ------
    ValueError
        If an array does not fit, or all predicted effects are the same.

    See Also
    --------
    effect_calibration : Predicted and estimated effects in bins.
    calibration_error : The distance of predicted to estimated effects.

    References
    ----------
    .. [1] Chernozhukov, V., Demirer, M., Duflo, E. and Fernandez-Val, I. (2018).
       "Generic machine learning inference on heterogeneous treatment effects in
       randomized experiments." NBER working paper 24678.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import calibration_line
    >>> calibration_line([0, 1, 2, 3], [0, 2, 4, 6])["estimate"].round(9).to_dict()
    {'mean': 3.0, 'slope': 2.0}
    """
    effect = column(effect_pred, "effect_pred")
    scores = column(scores, "scores", len(effect))
    centered = effect - effect.mean()
    if not centered.any():
        raise ValueError(
            f"All predicted effects are {effect[0]}: they say nothing of differences, "
            "and there is no slope."
        )
    design = np.column_stack([np.ones(len(effect)), centered])
    inverse = np.linalg.inv(design.T @ design)
    estimate = inverse @ design.T @ scores
    moments = design * (scores - design @ estimate)[:, None]
    covariance = inverse @ moments.T @ moments @ inverse
    return pd.DataFrame(
        {"estimate": estimate, "stderr": np.sqrt(np.diag(covariance))},
        index=["mean", "slope"],
    )
