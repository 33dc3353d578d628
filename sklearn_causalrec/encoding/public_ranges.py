"""What is known of a log without looking at it: ranges of columns, and the items."""

from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.feature_columns import is_far
from sklearn_causalrec.encoding.time_formats import shown


@dataclass(frozen=True)
class PublicRanges:
    """Ranges of the columns, and the items there are, from elsewhere than the log.

    Scales and vocabularies that are learned from a log tell of its rows. Those that
    come from here tell nothing.

    Parameters
    ----------
    features : tuple of two float, dict of str or int to tuple, or None, default=None
        The least and the largest value of each feature, by its name or position; one
        tuple holds for all of them. Values beyond count as these. With None, none is
        known.
    outcome : tuple of two float, default=None
        The least and the largest outcome. With None, it is not known.
    items : array-like of ids, default=None
        The ids of all items. With None, they are not known.

    See Also
    --------
    sklearn_causalrec.privacy.PrivacyBudget : Private training, which needs them.

    Examples
    --------
    >>> from sklearn_causalrec.encoding.public_ranges import PublicRanges
    >>> low, high = PublicRanges({"age": (0, 100)}).of_features(["age"])
    >>> low.tolist(), high.tolist()
    ([0.0], [100.0])
    """

    features: tuple | dict | None = None
    outcome: tuple | None = None
    items: tuple | None = field(default=None, repr=False)

    def __post_init__(self):
        if isinstance(self.features, dict):
            for name, limits in self.features.items():
                _check(limits, f"ranges[{name!r}]")
        elif self.features is not None:
            _check(self.features, "ranges")
        if self.outcome is not None:
            _check(self.outcome, "outcome")
        if self.items is not None:
            items = pd.unique(pd.Series(list(self.items))).tolist()
            object.__setattr__(self, "items", tuple(items))
            if not items:
                raise ValueError("items holds no item.")

    def of_features(self, names):
        """Return the limits of some features.

        Parameters
        ----------
        names : sequence of str or int of length p
            The names or positions of the features.

        Returns
        -------
        low, high : ndarray of shape (p,)
            The least and the largest value of each.

        Raises
        ------
        ValueError
            If the range of a feature is not known, or that of no feature is.
        """
        names = list(names)
        ranges = self.features
        if not isinstance(ranges, dict):
            if ranges is None and names:
                ranges = {}
            else:
                ranges = dict.fromkeys(names, ranges)
        lacking = [name for name in names if name not in ranges]
        if lacking:
            some = ", ".join(f"{name!r}: (low, high)" for name in lacking[:3])
            raise ValueError(
                f"Means and scales of the features {lacking} would be read from the "
                "log, and tell of its rows. Say what range they can have, from what "
                f"you know without the log: ranges={{{some}}}. Values beyond count as "
                "the ends."
            )
        other = [name for name in ranges if name not in names]
        if other:
            raise ValueError(f"ranges names {other}; the features are {names}.")
        limits = np.array([ranges[name] for name in names], float).reshape(-1, 2)
        return limits[:, 0], limits[:, 1]

    def of_outcome(self, binary):
        """Return the limits of the outcome.

        Parameters
        ----------
        binary : bool
            Whether the outcome is 0 or 1.

        Returns
        -------
        tuple of two float
            The least and the largest outcome; of a binary one (-1, 1), whose middle is
            0 and whose scale is 1.

        Raises
        ------
        ValueError
            If the outcome is a number whose range is not known.
        """
        if binary:
            return -1.0, 1.0
        if self.outcome is None:
            raise ValueError(
                "The mean and the scale of y would be read from the log, and tell of "
                "its rows. Say what range an outcome can have, from what you know "
                "without the log: outcome=(low, high). Values beyond count as the ends."
            )
        return tuple(map(float, self.outcome))

    def check_items(self, index):
        """Refuse items that are not among those known.

        Parameters
        ----------
        index : IdIndex
            The items known, followed by those of the log that are not.

        Raises
        ------
        ValueError
            If there are more than those known, or none are known and there are some.
        """
        if self.items is None:
            if len(index):
                raise ValueError(
                    "Which items there are would be read from the log, and tell of its "
                    "rows: an item may have had one user. List those of the catalogue, "
                    "from elsewhere than the log: items=[...]."
                )
        elif len(index) > len(self.items):
            raise ValueError(
                f"The log has {len(index) - len(self.items)} items that are not among "
                f"items=[...], such as {shown(index.ids[len(self.items)])}: list them, "
                "or leave their rows out."
            )


def _check(limits, name):
    """Refuse what is no interval, or one that float32 cannot tell values in."""
    given = isinstance(limits, tuple | list) and len(limits) == 2
    if not (given and all(isinstance(v, Real) for v in limits)):
        raise ValueError(f"{name} is {limits!r}: give (low, high), two numbers.")
    low, high = map(float, limits)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"{name} is {limits!r}: low has to be below high.")
    if is_far(low, high):
        raise ValueError(
            f"{name} is {limits!r}, narrow beside its distance from 0: take off a "
            "constant first, or single precision loses what differs."
        )
