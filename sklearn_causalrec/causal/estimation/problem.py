"""The data of an identified query, and the means under its arms."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.effects.clusters import Estimate, estimate, outer
from sklearn_causalrec.encoding.kinds import MAX_LEVELS, Feature


def is_discrete(values):
    """Whether numbers take two values, or at most 20, each of them many times."""
    n_levels = len(np.unique(values))
    return n_levels <= 2 or (n_levels <= MAX_LEVELS and 10 * n_levels <= len(values))


class Variables:
    """Columns of a frame as numbers: text and categories one column a level.

    What a column holds is read as :mod:`~sklearn_causalrec.encoding.kinds` says: times
    are days, and a column that can be meant in two ways is refused.

    Parameters
    ----------
    frame : pandas.DataFrame
        Without missing values.

    Attributes
    ----------
    levels : dict of name to ndarray
        Sorted levels of the columns that are not numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> variables = Variables(pd.DataFrame({"age": [31, 54], "town": ["Bonn", "Ulm"]}))
    >>> variables.matrix(["town", "age"])
    array([[ 1.,  0., 31.],
           [ 0.,  1., 54.]])
    """

    def __init__(self, frame):
        self._features = {name: Feature.learn(frame[name], name) for name in frame}
        self.levels = {
            name: feature.levels
            for name, feature in self._features.items()
            if feature.kind == "category"
        }
        self._blocks, _ = self._encode(frame)
        self.n = len(frame)

    def _encode(self, frame):
        """Columns as blocks, and of each category the levels that fit did not see."""
        blocks, unseen = {}, {}
        for name in frame:
            values = self._features[name].read(frame[name])
            if name in self.levels:
                if (values < 0).any():
                    unseen[name] = pd.unique(frame[name].astype(object)[values < 0])
                codes = np.arange(len(self.levels[name]))
                values = (values[:, None] == codes).astype(float)
            blocks[name] = values.reshape(len(frame), -1)
        return blocks, unseen

    @property
    def names(self):
        """The columns, a list of names."""
        return list(self._blocks)

    def at(self, frame, *, quiet=()):
        """The same encoding of other rows.

        Parameters
        ----------
        frame : DataFrame
            Rows with the columns of ``fit``, or some of them.
        quiet : collection of names, default=()
            Columns whose unknown levels are judged elsewhere.

        Returns
        -------
        Variables

        Warns
        -----
        UserWarning
            Where a category has a level that ``fit`` did not see: it is none of the
            levels known, zero in all columns.
        """
        other = object.__new__(Variables)
        other._features, other.levels, other.n = self._features, self.levels, len(frame)
        other._blocks, unseen = other._encode(frame)
        for name, levels in unseen.items():
            if name not in quiet:
                warn_user(
                    f"column {name!r} has levels that fit did not see: "
                    f"{', '.join(map(repr, levels[:5]))}. These rows count as none of "
                    f"the {len(self.levels[name])} levels known, such as "
                    f"{self.levels[name][0]!r}."
                )
        return other

    def take(self, rows):
        """The same columns of some rows, by position."""
        other = object.__new__(Variables)
        other._features, other.levels, other.n = self._features, self.levels, len(rows)
        other._blocks = {name: block[rows] for name, block in self._blocks.items()}
        return other

    def matrix(self, names):
        """Encoded columns side by side, (n, width) float64."""
        blocks = [self._blocks[name] for name in names]
        return np.hstack(blocks) if blocks else np.zeros((self.n, 0))

    def labels(self, names):
        """Names of the columns of `matrix`."""
        found = []
        for name in names:
            levels = self.levels.get(name)
            found += [name] if levels is None else [f"{name} = {v}" for v in levels]
        return found

    def is_discrete(self, name):
        """Whether a column is text, a category, or takes few values many times."""
        if name in self.levels:
            return True
        return is_discrete(self._blocks[name])

    def codes(self, name):
        """Levels of a discrete column and the position of every row among them."""
        block = self._blocks[name]
        if name in self.levels:
            return self.levels[name], block.argmax(1)
        return np.unique(block[:, 0], return_inverse=True)


@dataclass
class Problem:
    """The data that a strategy estimates from.

    Attributes
    ----------
    estimand : Estimand, or None for an instrument
        P(outcome | do(treatment)), without conditions.
    variables : Variables
        The observed nodes except the outcome; treatments included.
    y : ndarray of shape (n,)
    arms : list
        Levels of a discrete treatment; tuples where several are set together. Empty
        for a continuous treatment.
    arm : ndarray of int of shape (n,)
        Position in ``arms`` of every row.
    fold : ndarray of int of shape (n,)
        Fold of every row for cross-fitting, arms spread evenly.
    outcome_model, treatment_model : estimator, list of estimators, or None
        Nuisance models; several are stacked, None takes the defaults.
    binary : bool
        Whether y is 0 and 1.
    clip : float
        Probabilities of arms are kept above it.
    seed : int
    n_jobs : int or None
    clusters : Clusters or None
        Which rows belong together. None: every row is alone.
    weight : ndarray of shape (n,), or None
        Weights of the rows, of mean 1.
    propensity : ndarray of shape (n,), or None
        Known probability of the arm taken, NaN where it is not known.
    gaps : bool
        Whether values are missing, for nuisance models that take them.
    n_half_samples : int or None
        How many halves of the rows the errors are taken from. None: from the influence
        function.
    """

    estimand: Any
    variables: Variables
    y: np.ndarray
    arms: list
    arm: np.ndarray
    fold: np.ndarray
    outcome_model: Any = None
    treatment_model: Any = None
    binary: bool = False
    clip: float = 0.01
    seed: int = 0
    n_jobs: Any = None
    clusters: Any = None
    weight: Any = None
    propensity: Any = None
    gaps: bool = False
    n_half_samples: Any = None

    def take(self, rows):
        """The problem of some rows, by position."""
        return replace(
            self,
            variables=self.variables.take(rows),
            y=self.y[rows],
            arm=self.arm[rows],
            fold=self.fold[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            weight=None if self.weight is None else self.weight[rows],
            propensity=None if self.propensity is None else self.propensity[rows],
        )

    @property
    def asks(self):
        """What a strategy has to read beside columns, outcome and arms, by name."""
        given = {
            "sample_weight": self.weight is not None,
            "propensity": self.propensity is not None,
            "missing values": self.gaps,
        }
        return [name for name, there in given.items() if there]


@dataclass(frozen=True)
class Nuisances:
    """What was fitted on the way to the means under the arms.

    A strategy sets what it has; the rest is None.

    Attributes
    ----------
    names : tuple of names
        The adjustment set, in the order of the columns that the models were given.
    fits : list of CrossFit
        The outcome regression of each arm on the adjustment set.
    propensity, raw_propensity : ndarray of shape (n, n_arms)
        Cross-fitted probabilities of the arms, calibrated and as they were.
    outcomes : ndarray of shape (n, n_arms)
        Cross-fitted mean outcome under each arm.
    steps : list of Step
        The regressions of a general functional, the first one first.
    weights : list of ndarray of shape (n,)
        The weights of each step.
    effective : list of float
        The effective sample size of each step.
    plain : ndarray of shape (n_arms,)
        The means without the one-step correction.
    """

    names: Any = None
    fits: Any = None
    propensity: Any = None
    raw_propensity: Any = None
    outcomes: Any = None
    steps: Any = None
    weights: Any = None
    effective: Any = None
    plain: Any = None


@dataclass(frozen=True)
class ArmMeans:
    """Mean outcome under each arm, with what is known of its error.

    Attributes
    ----------
    pseudo : ndarray of shape (n, n_arms)
        Uncentred influence function of each row: its weighted means are the estimates.
    guarantee : str
        What the theory promises, in a few words.
    method : str
        What was computed, for reports.
    nuisances : Nuisances
        What was fitted on the way.
    weight : ndarray of shape (n,), or None
        Weights of the rows, of mean 1; those of the problem.
    clusters : Clusters or None
        Which rows belong together; those of the problem.
    halves : ndarray of shape (n_half_samples, n_arms), or None
        The means of halves of the rows.
    """

    pseudo: np.ndarray
    guarantee: str
    method: str
    nuisances: Nuisances = Nuisances()
    weight: Any = None
    clusters: Any = None
    halves: Any = None

    @property
    def mean(self):
        """The estimates, (n_arms,)."""
        return np.average(self.pseudo, axis=0, weights=self.weight)

    @property
    def scores(self):
        """Uncentred influence function of the means, (n, n_arms).

        Weighted, a row counts by its weight around the weighted mean: again columns
        whose means are the estimates and whose spread is their error.
        """
        if self.weight is None:
            return self.pseudo
        return self.mean + self.weight[:, None] * (self.pseudo - self.mean)

    @property
    def covariance(self):
        """Of the means, (n_arms, n_arms)."""
        spread = self.scores - self.scores.mean(0)
        return outer(spread, self.clusters) / len(spread) ** 2

    def contrast(self, t0, t1, *, clustered=True):
        """Difference of two arms, an `Estimate`.

        Its error is the larger one, by the influence function and of the halves, where
        there are such and clusters count.
        """
        score = self.scores[:, t1] - self.scores[:, t0]
        found = estimate(score.mean(), score, self.clusters if clustered else None)
        if self.halves is None or not (clustered or self.clusters is None):
            return found
        gaps = self.halves[:, t1] - self.halves[:, t0]
        halves = Estimate(found.value, gaps.std(ddof=1), len(gaps) - 1)
        return max(found, halves, key=lambda one: np.ptp(one.interval(0.05)))
