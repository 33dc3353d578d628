"""From X, y and treatment to the arrays that networks and effect learners read."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_causalrec._utils.small import smallest, smallest_codes
from sklearn_causalrec.encoding.arms import check_arms, distinct_arms, read_treatment
from sklearn_causalrec.encoding.checks import (
    check_outcome,
    check_propensity,
    check_weight,
    refuse_copies,
)
from sklearn_causalrec.encoding.cluster_columns import (
    clusters_of,
    given_clusters,
    is_auto,
)
from sklearn_causalrec.encoding.contrasts import find_control
from sklearn_causalrec.encoding.disk_arrays import BLOCK_ROWS, DiskArray, moments_beside
from sklearn_causalrec.encoding.feature_columns import FAR
from sklearn_causalrec.encoding.history_columns import Histories, read_histories
from sklearn_causalrec.encoding.moments import weighted_moments
from sklearn_causalrec.encoding.roles import IdIndex, as_ids
from sklearn_causalrec.encoding.streams import refuse_stream
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.times import in_order

MOST_BYTES = 2**28  # of an array on disk that is read as a whole


@dataclass
class Rows:
    """An encoded log of n rows; what is not there is None.

    The facts of the log that networks and effect learners read are made once, before
    training: ``exposure``, ``randomized``, ``shift`` and ``catalogue``, by
    :func:`~sklearn_causalrec.encoding.exposure.add_facts`.
    """

    features: np.ndarray  # (n, p) float32, as they came
    user: np.ndarray | None = None  # (n,) codes
    item: np.ndarray | None = None  # (n,) codes
    history: np.ndarray | None = None  # (n, length) codes, -1 where there is none
    history_values: np.ndarray | None = None  # (n, length, q) float32
    time: np.ndarray | None = None  # (n,) sortable
    arm: np.ndarray | None = None  # (n,) codes
    propensity: np.ndarray | None = None  # (n,) of the arm taken, NaN where unknown
    exposure: np.ndarray | None = None  # (n,) density ratio of an exposure model
    randomized: np.ndarray | None = None  # (n,) bool, shown at random beside others
    shift: np.ndarray | None = None  # (n,) what the tilt of an objective multiplies
    weight: np.ndarray | None = None  # (n,) mean 1
    y: np.ndarray | None = None  # (n,) in the units of y; 0 and 1 where binary
    clusters: object = None  # Clusters, which rows belong together
    total: float = 0.0  # the weight of all rows, as it came
    catalogue: object = None  # of the users and items of the log

    def __len__(self):
        return len(self.features)

    def take(self, rows):
        """The rows at these positions, or of this mask; of the same log."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        whole = {name: parts.pop(name) for name in ("total", "catalogue")}
        parts = {k: v if v is None else v[rows] for k, v in parts.items()}
        return Rows(**parts, **whole)


class LogEncoder:
    """Roles, ids, arms, classes and scales, learned in ``fit``.

    Parameters
    ----------
    roles : ColumnRoles
        The columns that have a role.
    binary : bool
        Whether the outcome is binary.
    classes, arms : array-like, default=None
        All classes and arms that will ever come. None: those of the first rows.
    history_length : int, default=50
        The number of items of a history that count, the last ones.
    many_arms : bool, default=False
        Whether whole numbers and text are arms at any number.
    public : PublicRanges or None, default=None
        Ranges and items that are known without the log. Scales and items are then not
        learned from it. None: they are.

    Attributes
    ----------
    users, items : IdIndex
        The ids seen. Items that are in histories alone are among them.
    arms : ndarray of shape (n_arms,) or None
        The treatment values, sorted; ``array([1])`` where none was given.
    control : scalar or None
        The arm that effects are against; None where it can't be told.
    classes : ndarray of shape (2,) or None
        The values of a binary outcome, sorted.
    mean, scale : ndarray of shape (p,)
        Mean and standard deviation of the features.
    value_moments : tuple of two ndarrays of shape (q,)
        Mean and scale of log(1 + v) of the numbers beside the items of a history.
    gaps : list of int
        The first feature of each tower that some row lacks.
    kept : ndarray of bool of shape (n,)
        The rows of the last log that have a positive weight.
    y_mean, y_scale : float
        Mean and standard deviation of the outcome; 0 and 1 where it is binary.
    y_dtype : dtype
        That of outcomes in the units of y: float64 where float32 cannot tell them
        apart, as it is with y around 1e8.
    """

    def __init__(
        self,
        roles,
        binary,
        classes=None,
        arms=None,
        *,
        history_length=50,
        many_arms=False,
        cluster=None,
        public=None,
    ):
        self.roles, self.public = roles, public
        roles.public = public
        self.binary = binary
        self.history_length = history_length
        self.classes = None if classes is None else np.unique(classes)
        self.many_arms, self.control = many_arms, None
        self.cluster = cluster
        self.arms = None if arms is None else distinct_arms(read_treatment(arms))[0]
        self.users, self.items = IdIndex("user"), IdIndex("item")

    def fit_rows(
        self,
        estimator,
        X,
        y,
        treatment,
        propensity,
        sample_weight,
        *,
        first=True,
        control=None,
        cluster=None,
    ):
        """Learn from a log and encode it.

        Parameters
        ----------
        estimator : estimator
            Gets ``n_features_in_`` and ``feature_names_in_``.
        X, y, treatment, propensity, sample_weight
            As in the estimator's ``fit``.
        first : bool, default=True
            Whether to learn everything. False keeps arms, classes and scales, and adds
            ids not seen before.
        control : scalar, default=None
            The arm that effects are against, where it is named.
        cluster : array-like of shape (n,) or (n, 2), default=None
            Which rows belong together, where no column says so.

        Returns
        -------
        Rows
            The rows of positive weight.
        """
        refuse_stream(X, f"{type(estimator).__name__}.fit")
        log = self.roles.split(estimator, X, reset=first)
        given = (y, treatment, propensity, sample_weight)
        return self.fit_log(
            estimator, log, *given, first=first, control=control, cluster=cluster
        )

    def fit_log(
        self,
        estimator,
        log,
        y,
        treatment,
        propensity,
        sample_weight,
        *,
        first=True,
        control=None,
        cluster=None,
    ):
        """Learn from a log that was split by roles, and encode it.

        Parameters
        ----------
        estimator : estimator
            Named in messages.
        log : Log
            The log. Features and histories may be on disk, ids may be coded.
        y, treatment, propensity, sample_weight, first, control, cluster
            As in :meth:`fit_rows`.

        Returns
        -------
        Rows
            The rows of positive weight.
        """
        name = getattr(y, "name", None)
        y, self.classes = check_outcome(
            estimator, y, len(log), self.binary, self.classes
        )
        large = isinstance(log.features, DiskArray)
        if large:  # the other numbers of a row count, too
            y = smallest(y)
        treatment = self.one_source("treatment", treatment, log.treatment)
        propensity = self.one_source("propensity", propensity, log.propensity)
        arm, self.arms = check_arms(
            treatment, len(log), self.arms, any_number=self.many_arms
        )
        if large:
            arm = smallest_codes(arm, self.n_arms)
        self._find_control(treatment, first, control)
        if len(self.arms) > 1:
            self._refuse_copies(log.features, y, arm, name)
        propensity = check_propensity(propensity, len(log))
        if large and sample_weight is None:
            weight = np.broadcast_to(1.0, len(log))
        else:
            weight = check_weight(sample_weight, log.features)
        rows = Rows(
            log.features,
            log.user,
            log.item,
            time=None if log.time is None else in_order(log.time),
            arm=arm,
            propensity=propensity,
            weight=weight,
            y=y,
            clusters=self._clusters(log, cluster),
        )
        past = None
        if log.history is not None:
            past = log.history
            if not isinstance(past, Histories):
                past = read_histories(past, self.roles.histories, self.history_length)
            rows.history, rows.history_values = past.codes, past.values
        self.kept = weight > 0
        if not self.kept.all():
            rows = rows.take(self.kept)
            if self.binary and len(np.unique(rows.y)) < 2 and first:
                raise ValueError(
                    "y has one class only among the rows of positive sample_weight: a "
                    "classifier needs both."
                )
        if first and self.public is not None:
            self._set_public_scales(rows)
        elif first:
            self.mean, self.scale = weighted_moments(rows.features, rows.weight)
            self.value_moments = self._value_moments(rows)
            self.gaps = self._first_of_gaps(rows.features)
            self.y_mean, self.y_scale, self.y_dtype = 0.0, 1.0, np.dtype(np.float32)
            if not self.binary:
                mean, scale = weighted_moments(rows.y[:, None], rows.weight, float)
                self.y_mean, self.y_scale = float(mean[0]), float(scale[0])
                if abs(self.y_mean) > FAR * self.y_scale:
                    self.y_dtype = np.dtype(np.float64)
        if self.public is not None and not self.binary:
            rows.y = np.clip(rows.y, *self.public.of_outcome(False))
        rows.total = float(rows.weight.sum())
        if rows.weight.strides != (0,):
            rows.weight = rows.weight / rows.weight.mean()
        if rows.user is not None:
            rows.user = self.users.learn(rows.user)
            if rows.clusters is not None:
                rows.clusters.tell_users(rows.user)
        if rows.item is not None:
            rows.item = self.items.learn(rows.item)
        if past is not None:
            # Text may be spelt otherwise than the items; numbers are other items.
            text = len(past.ids) > 0 and isinstance(past.ids[0], str)
            self._item_codes(past, ask=text and len(self.items) > 0)
            self.items.extend(past.ids, self._history_role)
            rows.history = self._known(past._replace(codes=rows.history))
        if self.roles.texts is not None:
            self.roles.texts.settle(rows.features[:, -1])
        if self.public is not None:
            self.public.check_items(self.items)
            self.kept = None  # as long as the log
        return rows

    def _set_public_scales(self, rows):
        """The middle and half of each range, and no look at the rows."""
        low, high = self.roles._columns.limits or (np.zeros(0), np.zeros(0))
        self.mean, self.scale = (low + high) / 2, (high - low) / 2
        low, high = self.public.of_outcome(self.binary)
        self.y_mean, self.y_scale = (low + high) / 2, (high - low) / 2
        self.y_dtype, self.gaps = np.dtype(np.float32), []
        self.value_moments = np.zeros(0), np.ones(0)
        if self.public.items is not None:
            items = as_ids(np.array(self.public.items, object), "item")
            self.items.extend(items, "item (items=)")

    def _clusters(self, log, given):
        """Which rows belong together, by a column or the argument; or None."""
        columns = log.clusters
        if given is not None:
            if columns is not None:
                raise ValueError(
                    "cluster came twice: as an argument and as the columns "
                    f"{list(columns)} of X. Drop one."
                )
            return given_clusters(given, len(log))
        if columns is None and is_auto(self.cluster):
            ids = {"user": log.user, "item": log.item}
            columns = {role: v for role, v in ids.items() if v is not None}
        return clusters_of(columns, len(log)) if columns else None

    def _find_control(self, treatment, first, control):
        if control is None and not first:
            return
        if treatment is not None:
            self.control = find_control(treatment, self.arms.tolist(), control)
        elif control is not None:
            raise ValueError(
                f"control={control!r} is an arm, and fit was given no treatment: pass "
                "treatment= to fit, or name a column of X as treatment."
            )

    def histories(self, columns):
        """Codes and values of histories, columns of lists; ids not seen share a code.

        Parameters
        ----------
        columns : list of ndarray of shape (n,)
            The columns named as history: items, and numbers beside them.

        Returns
        -------
        codes : ndarray of shape (n, history_length), int32
        values : ndarray of shape (n, history_length, q) or None
        """
        past = read_histories(columns, self.roles.histories, self.history_length)
        return self._known(past), past.values

    def _known(self, past):
        codes = self._item_codes(past, ask=True)
        table = np.append(codes, -1).astype(np.int32)
        return past.coded(table)

    def _item_codes(self, past, ask):
        """Codes of the items of histories; if none is known, it can be asked why."""
        codes = self.items.codes(past.ids, self._history_role)
        if ask and len(codes) and (codes == len(self.items)).all():
            raise ValueError(
                f"No item in {self.roles.histories[0]!r} is one that fit saw: "
                f"{shown(past.ids[0])} is in a history, and {shown(self.items.ids[0])} "
                "is one. Are they spelt alike? Spell them alike, or leave items "
                "that the log does not know out of the histories."
            )
        return codes

    @property
    def _history_role(self):
        return f"{self.roles.histories[0]} (history)"

    def _first_of_gaps(self, features):
        groups = (self.roles.towers_ or {}).values()
        blocks = range(0, len(features), BLOCK_ROWS)
        parts = (features[start : start + BLOCK_ROWS] for start in blocks)
        gaps = np.any([np.isnan(part).any(0) for part in parts], axis=0)
        return [g[0] for g in groups if gaps[g[0]]]

    @staticmethod
    def _value_moments(rows):
        if rows.history_values is None:
            return np.zeros(0), np.ones(0)
        there, values = rows.history, rows.history_values
        if isinstance(values, DiskArray) and values.nbytes > MOST_BYTES:
            return moments_beside(there, values)
        values = np.asarray(values)[np.asarray(there) >= 0].astype(np.float64)
        if len(values) == 0:
            return np.zeros(values.shape[1]), np.ones(values.shape[1])
        values = np.sign(values) * np.log1p(np.abs(values))
        return weighted_moments(values, np.ones(len(values)))

    def rows(self, estimator, X):
        """Encode X; the arm where treatment is a column of it. (Rows)"""
        refuse_stream(X, "This method")
        log = self.roles.split(estimator, X, reset=False)
        rows = Rows(log.features, time=log.time)
        words = log.features.shape[1] > 0
        if log.user is not None:
            rows.user = self.users.codes(log.user, words=words)
        if log.item is not None:
            rows.item = self.items.codes(log.item, words=words)
        if log.treatment is not None:
            rows.arm = check_arms(log.treatment, len(log), self.arms)[0]
        if log.history is not None:
            rows.history, rows.history_values = self.histories(log.history)
        return rows

    def _refuse_copies(self, features, y, arm, name):
        """Features in the units of the log, against y and the values of the arms."""
        values = self.arms[arm] if self.arms.dtype.kind in "fiub" else None
        with np.errstate(over="ignore"):
            y = y.astype(np.float32, copy=False)
        n, offset = BLOCK_ROWS, self.roles._columns.offset_.astype(np.float32)
        others = [y[:n]] if values is None else [y[:n], values[:n]]
        few = self.roles.in_units(features[:n])
        columns = {  # only those that are a copy as far as the first rows say
            label: features[:, [j]][:, 0] + offset[j]
            for j, (label, column) in enumerate(few.items())
            if label == name or any((column == other).all() for other in others)
        }
        refuse_copies(columns, y, values, name)

    def one_source(self, name, given, in_column):
        """The argument of fit or the column of X, whichever there is; or None."""
        if given is not None and in_column is not None:
            raise ValueError(
                f"{name} came twice: as an argument and as the column "
                f"{self.roles.roles[name]!r} of X. Drop one."
            )
        return in_column if given is None else given

    @property
    def n_arms(self):
        return len(self.arms)

    def as_numbers(self, features):
        """Features with components of their vectors in the place of texts.

        Parameters
        ----------
        features : ndarray of shape (n, p)
            As the networks read them, codes of texts among them.

        Returns
        -------
        ndarray of shape (n, q), float32
            The same where there are no texts.
        """
        texts = self.roles.texts
        if texts is None:
            return features
        return np.column_stack([features[:, :-1], texts.components(features[:, -1])])

    def owned_numbers(self, owned):
        """Which of the columns of :meth:`as_numbers` are of some features.

        Parameters
        ----------
        owned : ndarray of bool of shape (p,)
            Which of the features.

        Returns
        -------
        ndarray of bool of shape (q,)
        """
        if self.roles.texts is None:
            return owned
        n = self.roles.texts.components(np.zeros(1)).shape[1]
        return np.append(owned[:-1], np.repeat(owned[-1:], n))

    def standardized(self, y):
        return (y - self.y_mean) / self.y_scale

    def in_units(self, outcome, out=None):
        """Standardized outcomes of the networks in the units of y.

        They are written to ``out``, if there is one and it is of the type.
        """
        if self.binary:
            return outcome
        if self.y_dtype == np.float64:
            outcome, out = np.asarray(outcome, np.float64), None
        if out is None:
            return outcome * self.y_scale + self.y_mean
        np.multiply(outcome, self.y_scale, out=out, casting="same_kind")
        return np.add(out, self.y_mean, out=out, casting="same_kind")
