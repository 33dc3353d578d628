"""Transformers of past events: aggregates and sequences of what came before a time."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sklearn_causalrec.encoding.frames import as_frame, check_columns, coded
from sklearn_causalrec.encoding.past import Clock, PastIndex, in_days, in_order
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import as_window
from sklearn_causalrec.interactions.point_in_time import (
    check_ids,
    plain_numbers,
)

_GROUPS = ("user", "item", "pair")


def _no_missing(frame, names):
    for name in names:
        missing = frame[name].isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"{name!r} is missing in row {int(missing.argmax())}. Clean the log "
                "first (clean_log), or drop such rows."
            )


def _kind_of_ids(ids):
    """ "numbers", "text", or None where there are both, other ones, or none."""
    kind = pd.api.types.infer_dtype(ids, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal"):
        return "numbers"
    return "text" if kind == "string" else None


def _spelt_alike(name, known, ids):
    """Refuse ids of another kind than those of fit: "1" is not 1."""
    here, there = _kind_of_ids(ids), _kind_of_ids(known)
    if len(ids) and None not in (here, there) and here != there:
        raise ValueError(
            f"{name} holds {here} here ({shown(ids[0])}) and held {there} in fit "
            f"({shown(known[0])}): are they spelt alike?"
        )


class _Past(TransformerMixin, BaseEstimator):
    """What both transformers share: they read times, and ids as codes."""

    def _read(self, X, name, *, reset):
        """Return the frame, its times, and the codes of its ids (-1 if unknown)."""
        frame = as_frame(X, name)
        check_columns(frame, user=self.user, item=self.item, time=self.time)
        check_ids(frame, [self.user, self.item])
        _no_missing(frame, [self.user, self.item])
        user, users = coded(frame[self.user])
        item, items = coded(frame[self.item])
        if reset:
            if len(frame) == 0:
                raise ValueError(f"{name} is empty: there is no history.")
            self.feature_names_in_ = np.array(frame.columns, dtype=object)
            self.n_features_in_ = frame.shape[1]
            self.users_, self.items_ = users, items
            self._clock = TimeReader(self.time, timezone=self.timezone, unit=self.unit)
            self._clock.look(frame[self.time])
        else:
            _spelt_alike(self.user, self.users_, users)
            _spelt_alike(self.item, self.items_, items)
            # Ids are looked up once each, not once a row.
            user = self.users_.get_indexer(users)[user]
            item = self.items_.get_indexer(items)[item]
        times = self._clock.read(frame[self.time])
        return frame, times.to_numpy(), user, item

    def _known_at(self, times):
        """Return the latest times whose events are known at the times of the rows."""
        if self.delay is None:
            return times
        times = pd.Series(times)
        window = as_window(self.delay, times, "delay", self._clock.counts)
        return (times - window).to_numpy()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


class PastAggregates(_Past):
    """Count, mean and time since the last event of users and items, before a time.

    ``fit`` stores a log. ``transform`` aggregates, for each row, the stored rows that
    are strictly before the row's own time. So the rows of ``fit`` can themselves be
    transformed without a leak, and the rows of a test fold are described by the past of
    the training fold only.

    Parameters
    ----------
    user : str, default="user"
        The column of user ids.
    item : str, default="item"
        The column of item ids.
    time : str, default="time"
        The column of times: numbers, datetimes or text in ISO 8601.
    event : str, default=None
        The column of the kind of event. If it is named, everything is aggregated for
        all events and also for each kind of event.
    value : str, default=None
        The column that is averaged. With None, the `y` of ``fit`` is averaged; without
        `y`, there are no means.
    by : str or tuple of {"user", "item", "pair"}, default=("user", "item")
        The groups whose past is aggregated: the past of the user, of the item, or of
        the pair of user and item.
    delay : str or number, default=None
        How long after an event it becomes known: a duration such as ``"7D"``, or a
        number in the units of numeric times. Set it to ``"7D"`` where outcomes are
        collected over seven days. With None, an event is known at once.
    smoothing : float, default=1.0
        The number of extra rows, at the mean of all earlier rows, that a mean is
        computed with. It pulls the means of short histories towards the overall mean.
    timezone : str, default=None
        The time zone of times that come without one. With None, such times are read as
        UTC, and times with and without a zone are not mixed.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, default=None
        What numeric times count since 1970. They are then read as datetimes. With None,
        they stay numbers.

    Attributes
    ----------
    users_ : Index
        The user ids in the history.
    items_ : Index
        The item ids in the history.
    kinds_ : list
        The kinds of event, sorted. It is empty without `event`.

    See Also
    --------
    HistorySequence : The past items themselves, in order.
    build_examples : Compute such features for every decision of a log.

    Notes
    -----
    The columns for each group in `by` are the following. Nothing in them is missing.

    ``<by>_past_count``
        The number of earlier rows.
    ``<by>_past_mean``
        The mean of their values. Without history it is the mean of all earlier rows,
        or 0 if there are none. The column exists only if there are values.
    ``<by>_since_last``
        The time since the last of them, in days, or in the units of numeric times.
        Without history it is the time since the log began.

    With `event`, each of them comes once more for each kind of event, as in
    ``user_past_count_click``.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import PastAggregates
    >>> log = pd.DataFrame(
    ...     {"user": ["a", "a", "b"], "item": ["x", "y", "x"], "time": [1, 4, 6]}
    ... )
    >>> past = PastAggregates(by=("user",)).set_output(transform="pandas")
    >>> past.fit_transform(log)
       user_past_count  user_since_last
    0              0.0              0.0
    1              1.0              3.0
    2              0.0              5.0
    """

    def __init__(
        self,
        *,
        user: str = "user",
        item: str = "item",
        time: str = "time",
        event: str | None = None,
        value: str | None = None,
        by: Sequence[str] = ("user", "item"),
        delay: str | float | None = None,
        smoothing: float = 1.0,
        timezone: str | None = None,
        unit: str | None = None,
    ) -> None:
        self.user = user
        self.item = item
        self.time = time
        self.event = event
        self.value = value
        self.by = by
        self.delay = delay
        self.smoothing = smoothing
        self.timezone = timezone
        self.unit = unit

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Store a log.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The log, in any order, with the columns `user`, `item`, `time` and, where
            they are named, `event` and `value`.
        y : array-like of shape (n,), default=None
            The values that are averaged where `value` is None.

        Returns
        -------
        PastAggregates
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If the log is empty, a column is unknown, an id or a time is missing, or
            `by` or `smoothing` is invalid.
        """
        check_scalar(self.smoothing, "smoothing", Real, min_val=0)
        by = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        if not by or set(by) - set(_GROUPS):
            raise ValueError(f"by must be some of {_GROUPS}, got {self.by!r}.")
        frame, times, user, item = self._read(X, "X", reset=True)
        check_columns(frame, event=self.event, value=self.value)
        name = "y" if self.value is None else self.value
        values = y if self.value is None else frame[self.value]
        if values is not None:
            if not isinstance(values, pd.Series):
                values = column_or_1d(values)
            values = plain_numbers(values, name)
            if len(values) != len(frame):
                raise ValueError(f"X has {len(frame)} rows and y has {len(values)}.")
        subsets = {"": slice(None)}
        self.kinds_ = []
        if self.event is not None:
            kinds = frame[self.event]
            self.kinds_ = sorted(kinds.dropna().unique(), key=str)
            subsets |= {f"_{k}": (kinds == k).to_numpy() for k in self.kinds_}
        self._start = times.min()
        self._pairs = None
        if "pair" in by:
            pairs = np.sort(user * len(self.items_) + item)
            self._pairs = pairs[np.diff(pairs, prepend=-1) != 0]
        self._parts = {}
        everyone = Clock(times)
        for suffix, rows in subsets.items():
            happened = times[rows]
            clock = Clock(happened) if suffix else everyone
            for group in by:
                codes = self._codes(group, user, item)[rows]
                self._parts[group, suffix] = _Running(
                    codes, happened, None if values is None else values[rows], clock
                )
        self._has_mean = values is not None
        all_rows = np.zeros(len(frame), np.int64)
        self._everyone = _Running(all_rows, times, values, everyone)
        return self

    def _codes(self, group, user, item):
        if group != "pair":
            return user if group == "user" else item
        # Pairs are numbered as they are there: users times items would be too many.
        pair = user * len(self.items_) + item
        at = np.searchsorted(self._pairs, pair)
        known = self._pairs[np.minimum(at, len(self._pairs) - 1)] == pair
        return np.where((user < 0) | (item < 0) | ~known, -1, at)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Aggregate the stored rows that lie before each row.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (m, p)
            The rows to describe, with the columns `user`, `item` and `time`. Users and
            items that are not in the history have no past.

        Returns
        -------
        ndarray of shape (m, n_columns)
            The aggregates as float64, in the order of :meth:`get_feature_names_out`. It
            is a frame if ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If an id or a time is missing, or the times cannot be compared with those of
            ``fit``.
        """
        check_is_fitted(self, "users_")
        _, times, user, item = self._read(X, "X", reset=False)
        known = self._known_at(times)
        columns = []
        if self._has_mean:
            everyone = self._everyone
            total, seen = everyone.sums(
                *everyone.past.before(np.zeros(len(times), np.int64), known)
            )
            overall = np.divide(total, seen, out=np.zeros(len(times)), where=seen > 0)
        beginning = np.maximum(in_days(times - self._start), 0.0)
        ranks = {}
        for (group, suffix), part in self._parts.items():
            codes = self._codes(group, user, item)
            if suffix not in ranks:  # the groups of a kind share its times
                ranks[suffix] = in_order(part.past.times, known)
            start, end = part.past.before_ranks(codes, ranks[suffix])
            columns.append((end - start).astype(float))
            if self._has_mean:
                total, seen = part.sums(start, end)
                weight = seen + self.smoothing
                smooth = total + self.smoothing * overall
                mean = np.divide(smooth, weight, out=overall.copy(), where=weight > 0)
                columns.append(mean)
            since = beginning.copy()
            some = end > start
            last = part.times[end[some] - 1]
            since[some] = in_days(times[some] - last)
            columns.append(since)
        return np.column_stack(columns)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Get the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored. It exists because scikit-learn passes it.

        Returns
        -------
        ndarray of str
            The names, such as ``user_past_count`` and ``item_since_last``.
        """
        check_is_fitted(self, "users_")
        kinds = ["past_count", *(["past_mean"] if self._has_mean else []), "since_last"]
        return np.array(
            [f"{group}_{k}{suffix}" for group, suffix in self._parts for k in kinds],
            dtype=object,
        )


class _Running:
    """Running sums over time, within groups."""

    def __init__(self, groups, times, values, clock=None):
        self.past = PastIndex(groups, times, clock)
        order = self.past.order
        self.times = times[order]
        if values is not None:
            values = values[order]
            missing = np.isnan(values)
            self.seen = None  # all of them, where none is missing
            if missing.any():
                self.seen = _running(~missing)
                values = np.where(missing, 0.0, values)
            self.total = _running(values)

    def sums(self, start, end):
        """Sum and number of the values at the positions from start to end."""
        seen = end - start if self.seen is None else self.seen[end] - self.seen[start]
        return self.total[end] - self.total[start], seen


def _running(values):
    """Sums of the first 0, 1, ... values."""
    total = np.empty(len(values) + 1)
    total[0] = 0.0
    np.cumsum(values, out=total[1:])
    return total


class HistorySequence(_Past):
    """The last items of each user before a time, and how long ago they were.

    ``fit`` stores a log. ``transform`` looks up, for each row, the stored items of the
    row's user that are strictly before the row's own time.

    Parameters
    ----------
    user : str, default="user"
        The column of user ids.
    item : str, default="item"
        The column of item ids.
    time : str, default="time"
        The column of times: numbers, datetimes or text in ISO 8601.
    length : int, default=20
        The largest number of items per row. The most recent ones are kept.
    padded : bool, default=False
        How the sequences are returned. With False, there are two columns of arrays of
        different lengths, with the oldest item first. With True, there are `length`
        columns of item codes and `length` columns of gaps, with the most recent item
        first; the code 0 means that there is no item.
    delay : str or number, default=None
        How long after an event it becomes known: a duration such as ``"7D"``, or a
        number in the units of numeric times. With None, an event is known at once.
    timezone : str, default=None
        The time zone of times that come without one. With None, such times are read as
        UTC, and times with and without a zone are not mixed.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, default=None
        What numeric times count since 1970. They are then read as datetimes. With None,
        they stay numbers.

    Attributes
    ----------
    users_ : Index
        The user ids in the history.
    items_ : Index
        The item ids in the history. The code c stands for ``items_[c - 1]``.

    See Also
    --------
    PastAggregates : Counts, means and times since the last event.

    Notes
    -----
    A gap is the time from the past event to the row's own time, in days, or in the
    units of numeric times. A user without history has empty arrays.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import HistorySequence
    >>> log = pd.DataFrame(
    ...     {"user": ["a", "a", "a"], "item": ["x", "y", "x"], "time": [1, 4, 6]}
    ... )
    >>> sequences = HistorySequence(length=2).fit(log).transform(log)
    >>> [list(row) for row in sequences["history"]]
    [[], ['x'], ['x', 'y']]
    >>> sequences["history_gaps"].iloc[2]
    array([5., 2.])
    """

    def __init__(
        self,
        *,
        user: str = "user",
        item: str = "item",
        time: str = "time",
        length: int = 20,
        padded: bool = False,
        delay: str | float | None = None,
        timezone: str | None = None,
        unit: str | None = None,
    ) -> None:
        self.user = user
        self.item = item
        self.time = time
        self.length = length
        self.padded = padded
        self.delay = delay
        self.timezone = timezone
        self.unit = unit

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Store a log.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The log, in any order, with the columns `user`, `item` and `time`.
        y : None
            Ignored.

        Returns
        -------
        HistorySequence
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If the log is empty, a column is unknown, an id or a time is missing, or
            `length` is invalid.
        """
        check_scalar(self.length, "length", Integral, min_val=1)
        _, times, user, item = self._read(X, "X", reset=True)
        self._past = PastIndex(user, times)
        self._codes = item[self._past.order] + 1
        self._times = times[self._past.order]
        return self

    def _without_users(self, keep):
        """Remove users and their rows, in place; ``keep`` says which stay."""
        past = self._past
        user, rank = np.divmod(past.keys, len(past.times) + 1)
        rows, closed_up = keep[user], np.cumsum(keep) - 1
        self._past = PastIndex(closed_up[user[rows]], past.times[rank[rows]])
        self._codes, self._times = self._codes[rows], self._times[rows]
        self.users_ = self.users_[keep]

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Look up the items of each row's user before the row.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (m, p)
            The rows, with the columns `user`, `item` and `time`. Users that are not in
            the history have no past.

        Returns
        -------
        DataFrame of shape (m, 2), or of shape (m, 2 * length) if padded
            The columns ``history`` and ``history_gaps``. If padded, they are
            ``history_1``, ``history_2`` and so on, then ``gap_1``, ``gap_2`` and so on.

        Raises
        ------
        ValueError
            If an id or a time is missing, or the times cannot be compared with those of
            ``fit``.
        """
        check_is_fitted(self, "users_")
        frame, times, user, _ = self._read(X, "X", reset=False)
        start, end = self._past.before(user, self._known_at(times))
        start = np.maximum(start, end - self.length)
        names = self.get_feature_names_out()
        index = frame.index if isinstance(X, pd.DataFrame) else None
        if self.padded:
            positions = end[:, None] - 1 - np.arange(self.length)
            there = positions >= start[:, None]
            positions = np.where(there, positions, 0)
            codes = np.where(there, self._codes[positions], 0)
            gaps = in_days(times[:, None] - self._times[positions])
            both = [*codes.T, *np.where(there, gaps, 0.0).T]
            return pd.DataFrame(dict(zip(names, both)), index=index)
        items = self.items_.to_numpy()[self._codes - 1]
        columns = {name: np.empty(len(frame), dtype=object) for name in names}
        history, gaps = columns.values()
        # One subtraction over all rows and their items, then slices of it.
        lengths = end - start
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        positions = np.repeat(start, lengths) + within
        flat = in_days(np.repeat(times, lengths) - self._times[positions])
        for row, (a, b) in enumerate(zip(start, end)):
            history[row] = items[a:b]
            gaps[row] = flat[offsets[row] : offsets[row + 1]]
        return pd.DataFrame(columns, index=index)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Get the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored. It exists because scikit-learn passes it.

        Returns
        -------
        ndarray of str
            The names: ``history`` and ``history_gaps``, or those of the padded columns.
        """
        check_is_fitted(self, "users_")
        names = ["history", "history_gaps"]
        if self.padded:
            steps = range(1, self.length + 1)
            names = [f"{kind}_{step}" for kind in ("history", "gap") for step in steps]
        return np.array(names, dtype=object)
