"""From X, y and treatment to the arrays that networks and effect learners read."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_causalrec.interactions.columns import IdIndex
from sklearn_causalrec.interactions.validation import (
    check_arms,
    check_outcome,
    check_propensity,
    check_weight,
)

BLOCK_ROWS = 65536


@dataclass
class Rows:
    """An encoded log of n rows; a role that is not there is None."""

    features: np.ndarray  # (n, p) float32, as they came
    user: np.ndarray | None = None  # (n,) codes
    item: np.ndarray | None = None  # (n,) codes
    time: np.ndarray | None = None  # (n,) sortable
    arm: np.ndarray | None = None  # (n,) codes
    propensity: np.ndarray | None = None  # (n,) of the arm taken, NaN where unknown
    exposure: np.ndarray | None = None  # (n,) density ratio of an exposure model
    weight: np.ndarray | None = None  # (n,) mean 1
    y: np.ndarray | None = None  # (n,) in the units of y; 0 and 1 where binary
    total: float = 0.0  # the weight of all rows, as it came

    def __len__(self):
        return len(self.features)

    def take(self, rows):
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        total = parts.pop("total")
        parts = {k: v if v is None else v[rows] for k, v in parts.items()}
        return Rows(**parts, total=total)


def weighted_moments(X, weight):
    """Mean and standard deviation of the columns, in float64, block by block."""
    total = weight.sum()
    first = np.zeros(X.shape[1])
    second = np.zeros(X.shape[1])
    shift = X[0].astype(np.float64)
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS].astype(np.float64) - shift
        w = weight[start : start + BLOCK_ROWS]
        first += w @ block
        second += w @ np.square(block, out=block)
    mean = first / total
    variance = np.maximum(second / total - mean**2, 0.0)
    # A spread below rounding error is no spread: leave such a column unscaled.
    tiny = 10 * np.finfo(np.float32).eps * np.abs(shift + mean)
    scale = np.sqrt(variance)
    return shift + mean, np.where(scale > tiny, scale, 1.0)


class LogEncoder:
    """Roles, ids, arms, classes and scales, learned in ``fit``.

    Parameters
    ----------
    roles : ColumnRoles
    binary : bool
        Whether the outcome is binary.
    classes, arms : array, optional
        All there will be, where the first rows may lack some.

    Attributes
    ----------
    users, items : IdIndex
    arms : ndarray of shape (n_arms,) or None
        Sorted treatment values; ``array([1])`` where none was given.
    classes : ndarray of shape (2,) or None
    mean, scale : ndarray of shape (p,)
        Of the features.
    y_mean, y_scale : float
        0 and 1 where the outcome is binary.
    """

    def __init__(self, roles, binary, classes=None, arms=None):
        self.roles = roles
        self.binary = binary
        self.classes = None if classes is None else np.unique(classes)
        self.arms = None if arms is None else np.unique(arms)
        self.users, self.items = IdIndex(), IdIndex()

    def fit_rows(
        self, estimator, X, y, treatment, propensity, sample_weight, *, first=True
    ):
        """Learn from a log and encode it.

        Parameters
        ----------
        first : bool
            False keeps arms, classes and scales, and adds ids not seen before.

        Returns
        -------
        Rows
            Those of positive weight.
        """
        log = self.roles.split(estimator, X, reset=first)
        y, self.classes = check_outcome(
            estimator, y, len(log), self.binary, self.classes
        )
        treatment = self._one_source("treatment", treatment, log.treatment)
        propensity = self._one_source("propensity", propensity, log.propensity)
        arm, self.arms = check_arms(treatment, len(log), self.arms)
        propensity = check_propensity(propensity, len(log))
        weight = check_weight(sample_weight, log.features)
        rows = Rows(
            log.features,
            log.user,
            log.item,
            log.time,
            arm,
            propensity,
            weight=weight,
            y=y,
        )
        if not (weight > 0).all():
            rows = rows.take(weight > 0)
            if self.binary and len(np.unique(rows.y)) < 2 and first:
                raise ValueError(
                    "y has one class only among the rows of positive sample_weight: a "
                    "classifier needs both."
                )
        if first:
            self.mean, self.scale = weighted_moments(rows.features, rows.weight)
            self.y_mean, self.y_scale = 0.0, 1.0
            if not self.binary:
                mean, scale = weighted_moments(rows.y[:, None], rows.weight)
                self.y_mean, self.y_scale = float(mean[0]), float(scale[0])
        rows.total = float(rows.weight.sum())
        rows.weight = rows.weight / rows.weight.mean()
        if rows.user is not None:
            rows.user = self.users.extend(rows.user).codes(rows.user)
        if rows.item is not None:
            rows.item = self.items.extend(rows.item).codes(rows.item)
        return rows

    def rows(self, estimator, X):
        """Encode X; the arm where treatment is a column of it. (Rows)"""
        log = self.roles.split(estimator, X, reset=False)
        rows = Rows(log.features, time=log.time)
        if log.user is not None:
            rows.user = self.users.codes(log.user)
        if log.item is not None:
            rows.item = self.items.codes(log.item)
        if log.treatment is not None:
            rows.arm = check_arms(log.treatment, len(log), self.arms)[0]
        return rows

    def _one_source(self, name, given, in_column):
        if given is not None and in_column is not None:
            raise ValueError(
                f"{name} came twice: as an argument and as the column "
                f"{self.roles.roles[name]!r} of X. Drop one."
            )
        return in_column if given is None else given

    @property
    def n_arms(self):
        return len(self.arms)

    def standardized(self, y):
        return (y - self.y_mean) / self.y_scale
