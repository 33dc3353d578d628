"""What a fit keeps of the effect in each row of its log, for averages over parts."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import Estimate


class LogScores(NamedTuple):
    """Doubly robust scores of the rows of a log, of each arm against the first.

    The mean of a score over rows estimates their average effect, whatever rows they
    are, as long as what a row had as arm and as outcome did not choose them.

    Attributes
    ----------
    scores : ndarray of shape (n, n_arms)
        The scores; those of the first arm are 0.
    fitted : ndarray of shape (n, n_arms), or None
        The effects that models predict which have not seen the row.
    weight : ndarray of shape (n,)
        The weight of each row, with a mean of 1.
    arm : ndarray of int of shape (n,)
        The position of the arm that each row had.
    clusters : Clusters or None
        Which rows belong together.
    doubt : ndarray of shape (n_arms,)
        What pairs of ids may confound, as a standard error of each arm's effect.
    kept : ndarray of bool of shape (n_given,), or None
        Which rows of the given log these are. None: all of them.
    """

    scores: np.ndarray
    fitted: np.ndarray | None
    weight: np.ndarray
    arm: np.ndarray
    clusters: Any = None
    doubt: Any = None
    kept: Any = None

    def between(self, t0, t1):
        """Score and cross-fitted effect of arm t1 against t0, each (n,)."""
        fitted = self.fitted
        if fitted is not None:
            fitted = fitted[:, t1] - fitted[:, t0]
        return self.scores[:, t1] - self.scores[:, t0], fitted

    def mean(self, values, inside=None):
        """The weighted mean of values over some rows, an `Estimate`.

        Parameters
        ----------
        values : ndarray of shape (n,)
            Values of all rows, such as the difference of two scores.
        inside : ndarray of bool of shape (n,), default=None
            The rows that are averaged over. None: all.

        Returns
        -------
        Estimate
        """
        part = np.ones(len(values), bool) if inside is None else inside
        share = self.weight * part
        if not share.any():
            return Estimate(np.nan, np.nan)
        mean = np.average(values[part], weights=self.weight[part])
        influence = share / share.mean() * (np.where(part, values, mean) - mean)
        if self.clusters is not None:
            return estimate(mean, influence, self.clusters)
        n = int(part.sum())
        found = estimate(mean, influence)
        if n < 2:
            return found._replace(error=np.inf)
        # Few rows know their own spread badly: Student's t, and n - 1.
        error = found.error * np.sqrt(n / (n - 1))
        return found._replace(error=error, degrees=float(n - 1))

    def take(self, rows):
        """The scores of some rows, by mask."""
        clusters = None if self.clusters is None else self.clusters[rows]
        fitted = None if self.fitted is None else self.fitted[rows]
        return self._replace(
            scores=self.scores[rows],
            fitted=fitted,
            weight=self.weight[rows] / self.weight[rows].mean(),
            arm=self.arm[rows],
            clusters=clusters,
        )
