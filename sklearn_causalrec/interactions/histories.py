"""Transformers over what came before: aggregates and sequences of past events."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sklearn_causalrec.encoding.past import PastIndex, in_days
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import as_frame, as_window, check_columns
from sklearn_causalrec.interactions.point_in_time import check_ids, plain_numbers

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
    """What both transformers do: read times, and codes of ids."""

    def _read(self, X, name, *, reset):
        """The frame, its times, and user and item as codes (-1 for unknown ones)."""
        frame = as_frame(X, name)
        check_columns(frame, user=self.user, item=self.item, time=self.time)
        check_ids(frame, [self.user, self.item])
        _no_missing(frame, [self.user, self.item])
        users, items = frame[self.user].to_numpy(), frame[self.item].to_numpy()
        if reset:
            if len(frame) == 0:
                raise ValueError(f"{name} is empty: there is no history.")
            self.users_ = pd.Index(pd.unique(users))
            self.items_ = pd.Index(pd.unique(items))
            self._clock = TimeReader(self.time, timezone=self.timezone, unit=self.unit)
            self._clock.look(frame[self.time])
        else:
            _spelt_alike(self.user, self.users_, users)
            _spelt_alike(self.item, self.items_, items)
        times = self._clock.read(frame[self.time])
        codes = self.users_.get_indexer(users), self.items_.get_indexer(items)
        return frame, times.to_numpy(), *codes

    def _known_at(self, times):
        """The times at which what happened at the rows' times counts as known."""
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
    """Counts, means and time since the last event, of users and items, before a time.

    ``fit`` remembers a log; ``transform`` aggregates, for each row, the remembered rows
    strictly before the row's own time. So the rows of ``fit`` themselves can be
    transformed without a leak, and a test fold sees the training fold's past only.

    Parameters
    ----------
    user, item, time : str
        Columns.
    event : str, optional
        Column of the kind of event: everything is then aggregated by kind as well.
    value : str, optional
        Column to average. None: the `y` of ``fit``, if any.
    by : tuple of {"user", "item", "pair"}, default=("user", "item")
    delay : str or number, optional
        What happened counts as known only so much later: with outcomes that take a
        window of seven days, ``delay="7D"``.
    smoothing : float, default=1.0
        Means count so many extra rows at the mean of all rows before.
    timezone : str, optional
        The zone of times without one.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numeric times count since 1970: they are then read as datetimes.

    Attributes
    ----------
    users_, items_ : Index
        Ids in the history.
    kinds_ : list
        Of events; empty without `event`.

    Notes
    -----
    Columns, for each of `by`: ``<by>_past_count``; ``<by>_past_mean``, which without
    history is the mean of all rows before, and 0 if there are none;
    ``<by>_since_last`` in days (in the units of numeric times), which without history
    is the time since the log began. Nothing is missing.

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
        user="user",
        item="item",
        time="time",
        event=None,
        value=None,
        by=("user", "item"),
        delay=None,
        smoothing=1.0,
        timezone=None,
        unit=None,
    ):
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

    def fit(self, X, y=None):
        """Remember a log.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            In any order.
        y : array-like of shape (n,), optional
            Averaged where `value` is None.

        Returns
        -------
        self
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
        subsets = {"": np.ones(len(frame), bool)}
        self.kinds_ = []
        if self.event is not None:
            kinds = frame[self.event]
            self.kinds_ = sorted(kinds.dropna().unique(), key=str)
            subsets |= {f"_{k}": (kinds == k).to_numpy() for k in self.kinds_}
        self._start = times.min()
        self._pairs = np.unique(user * len(self.items_) + item)
        self._parts = {}
        for suffix, rows in subsets.items():
            for group in by:
                codes = self._codes(group, user, item)[rows]
                self._parts[group, suffix] = _Running(
                    codes, times[rows], None if values is None else values[rows]
                )
        everyone = np.zeros(len(frame), np.int64)
        self._everyone = _Running(everyone, times, values)
        self._has_mean = values is not None
        return self

    def _codes(self, group, user, item):
        if group != "pair":
            return user if group == "user" else item
        # Pairs are numbered as they are there: users times items would be too many.
        pair = user * len(self.items_) + item
        at = np.searchsorted(self._pairs, pair)
        known = self._pairs[np.minimum(at, len(self._pairs) - 1)] == pair
        return np.where((user < 0) | (item < 0) | ~known, -1, at)

    def transform(self, X):
        """Aggregate what lies before each row.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (m, p)
            With the columns user, item and time.

        Returns
        -------
        ndarray of shape (m, n_columns), float64
        """
        check_is_fitted(self, "users_")
        _, times, user, item = self._read(X, "X", reset=False)
        known = self._known_at(times)
        columns = []
        if self._has_mean:
            total, seen = self._everyone.sums(np.zeros(len(times), np.int64), known)
            overall = np.divide(total, seen, out=np.zeros(len(times)), where=seen > 0)
        beginning = np.maximum(in_days(times - self._start), 0.0)
        for (group, _), part in self._parts.items():
            codes = self._codes(group, user, item)
            start, end = part.past.before(codes, known)
            columns.append((end - start).astype(float))
            if self._has_mean:
                total, seen = part.sums(codes, known)
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

    def get_feature_names_out(self, input_features=None):
        check_is_fitted(self, "users_")
        kinds = ["past_count", *(["past_mean"] if self._has_mean else []), "since_last"]
        return np.array(
            [f"{group}_{k}{suffix}" for group, suffix in self._parts for k in kinds],
            dtype=object,
        )


class _Running:
    """Running sums over groups in time."""

    def __init__(self, groups, times, values):
        self.past = PastIndex(groups, times)
        order = self.past.order
        self.times = times[order]
        if values is not None:
            given = ~np.isnan(values[order])
            zero = np.zeros(1)
            ordered = np.where(given, values[order], 0.0)
            self.total = np.concatenate([zero, np.cumsum(ordered)])
            self.seen = np.concatenate([zero, np.cumsum(given)])

    def sums(self, groups, times):
        start, end = self.past.before(groups, times)
        return self.total[end] - self.total[start], self.seen[end] - self.seen[start]


class HistorySequence(_Past):
    """The last items of each user before a time, and how long ago they were.

    Parameters
    ----------
    user, item, time : str
        Columns.
    length : int, default=20
        The most recent so many items are kept.
    padded : bool, default=False
        False: two columns of arrays of differing lengths, oldest item first. True:
        `length` columns of item codes, ``history_1`` the most recent, 0 for none, and
        as many of gaps.
    delay : str or number, optional
        What happened counts as known only so much later.
    timezone : str, optional
        The zone of times without one.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numeric times count since 1970: they are then read as datetimes.

    Attributes
    ----------
    users_, items_ : Index
        Ids in the history. Code c stands for ``items_[c - 1]``.

    Notes
    -----
    Gaps are from the past event to the row's own time, in days, or in the units of
    numeric times. A user without history has empty arrays.

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
        user="user",
        item="item",
        time="time",
        length=20,
        padded=False,
        delay=None,
        timezone=None,
        unit=None,
    ):
        self.user = user
        self.item = item
        self.time = time
        self.length = length
        self.padded = padded
        self.delay = delay
        self.timezone = timezone
        self.unit = unit

    def fit(self, X, y=None):
        """Remember a log.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            In any order.
        y : None

        Returns
        -------
        self
        """
        check_scalar(self.length, "length", Integral, min_val=1)
        _, times, user, item = self._read(X, "X", reset=True)
        self._past = PastIndex(user, times)
        self._codes = item[self._past.order] + 1
        self._times = times[self._past.order]
        return self

    def transform(self, X):
        """The items before each row.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (m, p)
            With the columns user, item and time.

        Returns
        -------
        DataFrame of shape (m, 2), or of shape (m, 2 * length) where padded
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

    def get_feature_names_out(self, input_features=None):
        check_is_fitted(self, "users_")
        names = ["history", "history_gaps"]
        if self.padded:
            steps = range(1, self.length + 1)
            names = [f"{kind}_{step}" for kind in ("history", "gap") for step in steps]
        return np.array(names, dtype=object)
