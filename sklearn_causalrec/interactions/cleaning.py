"""clean_log: an event table made fit for use, and a report of what was done to it."""

from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from sklearn_causalrec.encoding.time_formats import UNITS, is_number, shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import (
    as_frame,
    as_span,
    as_times,
    as_window,
    check_columns,
    plain_ids,
    same_clock,
)
from sklearn_causalrec.interactions._cleaning_rules import (
    BOT_FROM,
    BURST_FROM,
    busy_windows,
    check_ranges,
    comparable,
    in_range_of,
    outside,
    robust_limit,
    unify_spelling,
)
from sklearn_causalrec.interactions.point_in_time import (
    check_ids,
    meet,
    refuse_strangers,
)

_ACTIONS = ("drop", "flag", "off")
_TIME_RANGE = ("1990-01-01", "now")
# What to do when a rule would leave nothing.
_WAY_OUT = {
    "missing": 'Name another column, fill it, or set missing="flag".',
    "impossible_times": (
        "Say how times are written (unit= for numbers since 1970, pd.to_datetime with "
        "format= for text), or what is possible (time_range=)."
    ),
}


class CleaningReport:
    """What :func:`clean_log` found and removed, rule by rule.

    Attributes
    ----------
    n_before, n_after : int
        Rows; their difference is the sum of ``removed`` over the rules.
    rules : DataFrame
        As from :meth:`to_frame`.
    """

    def __init__(self, n_before):
        self.n_before = self.n_after = n_before
        self._records = []

    def add(self, rule, action, found, removed=0, note=""):
        self._records.append((rule, action, int(found), int(removed), note))
        self.n_after -= int(removed)

    @property
    def rules(self):
        return self.to_frame()

    def to_frame(self):
        """One row a rule, in the order the rules were applied.

        Returns
        -------
        DataFrame
            Index ``rule``; ``action`` ("drop", "flag", "fix", "count" or "off"),
            ``found`` (rows, among those left by the rules above), ``removed`` (rows)
            and ``note``.
        """
        columns = ["rule", "action", "found", "removed", "note"]
        return pd.DataFrame(self._records, columns=columns).set_index("rule")

    def _title(self):
        return f"{self.n_before} rows in, {self.n_after} rows out"

    def __repr__(self):
        with pd.option_context("display.width", 120, "display.max_colwidth", 60):
            return f"CleaningReport: {self._title()}\n{self.to_frame().to_string()}"

    def _repr_html_(self):
        return f"<p>{self._title()}</p>{self.to_frame().to_html()}"


def check_actions(actions):
    for rule, action in actions.items():
        known = {"id_spelling": ("fix", *_ACTIONS), "missing": _ACTIONS[:2]}
        allowed = known.get(rule, _ACTIONS)
        if not isinstance(action, str) or action not in allowed:
            raise ValueError(f"{rule} must be one of {allowed}, got {shown(action)}.")


class Cleaner:
    """The rows still there, and the report so far; a method a rule.

    Parameters
    ----------
    df : DataFrame
    actions : dict of str to str
        What each rule does.
    user, item, time, event : str
        Columns.
    reader : TimeReader, optional
        Reads the times. None: they were read before.
    counts : str, optional
        What numeric times count since 1970, where that is known.
    whole : bool, default=True
        Whether `df` is all of the log, of which no rule may drop everything.
    """

    def __init__(
        self, df, actions, user, item, time, event, reader, counts=None, whole=True
    ):
        self.user, self.item, self.time, self.event = user, item, time, event
        self.actions, self.whole = actions, whole
        self.columns = list(df.columns)
        self.report = CleaningReport(len(df))
        self.frame = plain_ids(df.reset_index(drop=True), [user, item])
        self.reader, self.counts = reader, counts
        self.raw = times = self.frame[time]
        if reader is not None:
            times = reader.read(self.raw, "coerce")
            self.counts = reader.counts
            if reader.zoned:
                note = "to UTC, without a zone"
                self.report.add("time zones", "fix", len(df), 0, note)
            if reader.note:
                self.report.add("time format", "fix", len(df), 0, reader.note)
        self.unparsed = times.isna() & self.raw.notna()
        self.frame = self.frame.assign(**{time: times})

    def off(self, rule):
        if self.actions[rule] == "off":
            self.report.add(rule, "off", 0)
            return True
        return False

    def apply(self, rule, found, note="", *, action=None, name=None):
        """Drop or flag the rows found, as the rule's action says."""
        action = action or self.actions[rule]
        found = np.asarray(found, dtype=bool)
        removed = 0
        if action == "flag":
            flag = f"flag_{rule}"
            self.frame = self.frame.assign(
                **{flag: found | self.frame.get(flag, np.zeros(len(found), bool))}
            )
        elif action == "drop" and found.any():
            removed = found.sum()
            if self.whole and found.all():
                raise nothing_left(name or rule, self.report, note)
            self.frame = self.frame[~found]
        self.report.add(name or rule, action, found.sum(), removed, note)

    def row_rules(self, users, items, required, time_range, ranges, near_window):
        """The rules that need the rows of one user only."""
        self.id_spelling("user", self.user, users)
        self.id_spelling("item", self.item, items)
        self.missing(required)
        self.impossible_times(time_range)
        self.impossible_values(ranges)
        self.exact_duplicates()
        self.near_duplicates(near_window)

    def id_spelling(self, role, column, reference):
        if self.off("id_spelling"):
            return
        old = self.frame[column]
        new = unify_spelling(old, reference)
        changed = (new != old) & old.notna()
        note = f"{old.nunique()} ids, {new.nunique()} once unified"
        if self.actions["id_spelling"] == "fix":
            self.frame = self.frame.assign(**{column: new})
        self.apply("id_spelling", changed, note, name=f"id_spelling of {role}")

    def missing(self, required):
        needed = [self.user, self.item, self.time, *required]
        for column in self.columns:
            gaps = self.frame[column].isna()
            if column == self.time:  # text that is no time is another rule's
                gaps &= ~self.unparsed.loc[self.frame.index]
            if gaps.any() or column in needed:
                action = None if column in needed else "count"
                self.apply("missing", gaps, action=action, name=f"missing {column}")
        if self.reader is not None and self.reader.kind == "number":
            # Without gaps whole numbers can stay whole.
            times = self.reader.read(self.raw.loc[self.frame.index], "coerce")
            self.frame = self.frame.assign(**{self.time: times})

    def impossible_times(self, time_range):
        if self.off("impossible_times"):
            return
        times = self.frame[self.time]
        found = self.unparsed.loc[self.frame.index].to_numpy()
        note = f"{int(found.sum())} not a time"
        if found.any():
            note += f", for one {shown(self.raw.loc[self.frame.index][found].iloc[0])}"
        bounds = [self._bound(bound, times, time_range) for bound in time_range]
        beyond = outside(times, *bounds)
        if beyond.any():
            low, high = time_range
            note += f", {int(beyond.sum())} outside {low} to {high}"
        self.apply("impossible_times", found | beyond, note)

    def _bound(self, bound, times, time_range):
        """An end of the time range, in the units of the times."""
        numeric = times.dtype.kind in "fiu"
        if bound is None or times.notna().sum() == 0:
            return None
        if numeric and is_number(bound):
            return bound
        if times.dtype.kind == "m" or (numeric and self.counts is None):
            if time_range is _TIME_RANGE:
                return None  # nothing on the calendar
            if times.dtype.kind == "m":
                return self._span(bound)
            raise ValueError(
                f"time_range holds {shown(bound)}, and {self.time} numbers that count "
                f"nothing known: give numbers, or unit=, what they count since 1970."
            )
        if isinstance(bound, str) and bound == "now":
            bound = pd.Timestamp.now("UTC")
        zone = self.reader.timezone if self.reader is not None else None
        bound = as_times([bound], "time_range", timezone=zone)
        if bound.dtype.kind != "M":
            raise ValueError(
                f"time_range holds {shown(bound.iloc[0])}, which is no date as the "
                f"times in {self.time} are."
            )
        bound = bound.iloc[0]
        if numeric:
            return (bound - pd.Timestamp(0)) / pd.Timedelta(UNITS[self.counts], "ns")
        return bound

    def _span(self, bound):
        try:
            return as_span(bound)
        except (TypeError, ValueError):
            raise ValueError(
                f"time_range holds {shown(bound)}, which is no duration, as the times "
                f"in {self.time} are."
            ) from None

    def impossible_values(self, ranges):
        if self.off("impossible_values"):
            return
        found = np.zeros(len(self.frame), dtype=bool)
        for name in self.columns:
            if self.frame[name].dtype.kind == "f":
                found |= np.isinf(self.frame[name].to_numpy())
        for name, bounds in ranges.items():
            values, bounds = in_range_of(self.frame[name], bounds)
            found |= (values.isna() & self.frame[name].notna()).to_numpy()
            found |= outside(values, *bounds)
        self.apply("impossible_values", found)

    def exact_duplicates(self):
        self.frame = self.frame.sort_values(self.time, kind="stable")
        if not self.off("exact_duplicates"):
            rows = self.frame[self.columns].apply(comparable)
            self.apply("exact_duplicates", rows.duplicated())

    def near_duplicates(self, near_window):
        if self.off("near_duplicates"):
            return
        times = self.frame[self.time]
        window = as_window(near_window, times, "near_window", self.counts)
        keys = [self.user, self.item] + ([self.event] if self.event is not None else [])
        gap = self.frame.groupby(keys, dropna=False, sort=False)[self.time].diff()
        self.apply("near_duplicates", gap <= window, f"within {near_window}")

    def user_counts(self):
        """Events of each user. (Series)"""
        return self.frame[self.user].value_counts()

    def bots(self, n_mads, limit=None):
        if self.off("bots"):
            return
        counts = self.user_counts()
        if limit is None:
            limit = robust_limit(counts, n_mads, BOT_FROM)
        outliers = counts.index[counts > limit]
        note = f"{len(outliers)} users of more than {limit:.0f} events"
        self.apply("bots", self.frame[self.user].isin(outliers), note)

    def windows(self, burst_window):
        """Which rows have user and time, and :func:`busy_windows` of those."""
        times = self.frame[self.time]
        window = as_window(burst_window, times, "burst_window", self.counts)
        known = (self.frame[self.user].notna() & times.notna()).to_numpy()
        users = self.frame.loc[known, self.user]
        return known, *busy_windows(users, times[known], window)

    def bursts(self, burst_window, n_mads, limit=None):
        if self.off("bursts"):
            return
        known, busy, counts = self.windows(burst_window)
        if limit is None:
            limit = robust_limit(counts, n_mads, BURST_FROM)
        found = np.zeros(len(known), dtype=bool)
        found[known] = busy(limit)
        note = f"more than {limit:.0f} events of a user within {burst_window}"
        self.apply("bursts", found, note)

    def before_exposure(self, exposures, conversions, unify):
        """Conversions before the first exposure.

        Parameters
        ----------
        exposures : DataFrame or None
            As from :func:`read_exposures`.
        conversions : list or None
        unify : bool
            Whether to spell the exposures' ids as here.

        Returns
        -------
        bool
            Whether users and items of the exposures are in the log.
        """
        if exposures is None or (self.whole and len(exposures) == 0):
            self.report.add("before_exposure", "off", 0, 0, "no exposures given")
            return True
        if self.off("before_exposure"):
            return True
        if len(exposures) == 0:
            self.apply("before_exposure", np.zeros(len(self.frame), dtype=bool))
            return False
        keys = [self.user, self.item]
        if unify:
            alike = {k: unify_spelling(exposures[k], self.frame[k]) for k in keys}
            exposures = exposures.assign(**alike)
        if self.whole:
            for key in keys:
                refuse_strangers(
                    key, exposures[key], "exposures", self.frame[key], "df"
                )
        first = exposures.groupby(keys)[self.time].min()
        first = first.reindex(pd.MultiIndex.from_frame(self.frame[keys]))
        found = self.frame[self.time].to_numpy() < first.to_numpy()
        if conversions is not None:
            found &= self.frame[self.event].isin(conversions).to_numpy()
        self.apply("before_exposure", found)
        return all(meet(exposures[k], self.frame[k]) for k in keys)


def read_exposures(exposures, user, item, time, reader):
    """Users, items and times of exposures, on the clock of the log.

    Parameters
    ----------
    exposures : pandas or polars DataFrame
    user, item, time : str
    reader : TimeReader
        Of the log's times.

    Returns
    -------
    DataFrame
    """
    exposures = as_frame(exposures, "exposures")
    check_columns(exposures, user=user, item=item, time=time)
    try:
        check_ids(exposures, [user, item])
    except ValueError as error:
        raise ValueError(f"exposures: {error}") from None
    exposures = plain_ids(exposures[[user, item, time]], [user, item])
    own = TimeReader(
        f"exposures' {time}", timezone=reader.timezone, unit=reader.unit
    ).look(exposures[time])
    same_clock({"df": reader, "exposures": own}, reader.timezone)
    return exposures.assign(**{time: own.read(exposures[time])})


def nothing_left(rule, report, note=""):
    """The error where a rule would drop every row that is left."""
    left = " that the rules before it left" if report.n_after < report.n_before else ""
    option = rule.split(" ")[0]
    way = _WAY_OUT.get(option, f'Set {option}="flag" to look at them.')
    return ValueError(
        f"The rule {rule!r} would drop all {report.n_after} rows{left}"
        f"{f' ({note})' if note else ''}. {way}"
    )


def check_options(
    columns,
    *,
    user,
    item,
    time,
    event,
    required,
    ranges,
    conversions,
    time_range,
    n_mads,
    **actions,
):
    """Refuse unknown columns and options of :func:`clean_log`, before any work.

    Returns
    -------
    required : list of str
    ranges : dict
    conversions : list or None
    """  # fmt: skip
    check_actions(actions)
    check_scalar(n_mads, "n_mads", Real, min_val=0, include_boundaries="neither")
    if not np.isfinite(n_mads):
        raise ValueError(f"n_mads must be a finite number, got {n_mads!r}.")
    frame = pd.DataFrame(columns=columns)
    for role, name in dict(user=user, item=item, time=time, event=event).items():
        if (name is None and role != "event") or isinstance(name, list):
            raise ValueError(f"{role}={shown(name)}: name one column.")
        if isinstance(name, tuple) and name not in frame.columns:
            raise ValueError(f"{role}={shown(name)} is not a column.")
    check_columns(frame, user=user, item=item, time=time, event=event)
    if len({user, item, time}) < 3:
        raise ValueError(
            f"Two roles name the same column: {dict(user=user, item=item, time=time)}."
        )
    if isinstance(required, str) or not np.iterable(required):
        required = [required]
    required, ranges = list(required), check_ranges(ranges)
    check_columns(frame, required=required, ranges=list(ranges))
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"df has two columns {twice!r}: rename one.")
    if not isinstance(time_range, (tuple, list)) or len(time_range) != 2:
        raise ValueError(
            f"time_range={shown(time_range)} is not (lowest, highest); None is no "
            "bound."
        )
    if conversions is not None:
        if event is None:
            raise ValueError("conversions= are values of event=: name its column.")
        if isinstance(conversions, str) or not np.iterable(conversions):
            conversions = [conversions]
        conversions = list(conversions)
    return required, ranges, conversions


def clean_log(
    df,
    *,
    user,
    item,
    time,
    event=None,
    required=(),
    ranges=None,
    exposures=None,
    conversions=None,
    users=None,
    items=None,
    timezone=None,
    unit=None,
    time_range=_TIME_RANGE,
    near_window="5s",
    burst_window="1min",
    n_mads=6.0,
    id_spelling="fix",
    missing="drop",
    impossible_times="drop",
    impossible_values="drop",
    exact_duplicates="drop",
    near_duplicates="drop",
    bots="drop",
    bursts="drop",
    before_exposure="flag",
):
    """Clean an event table, and say what was found and removed.

    The rules are applied in the order of the parameters that name them. Each is
    "drop", "flag" (a column ``flag_<rule>`` marks the rows, which stay) or "off"; a row
    counts for the first rule that drops it, so that the report adds up.

    Parameters
    ----------
    df : pandas or polars DataFrame
        One event a row, in any order. It is not changed.
    user, item, time : str
        Columns. Times may be datetimes, dates, periods or durations; text in ISO 8601,
        or with the day or the month first where the column tells which; stamps such as
        20240131; or numbers, which stay numbers.
    event : str, optional
        Column of what happened; part of the key of near duplicates.
    required : sequence of str
        Columns that must not be missing, beside user, item and time.
    ranges : dict, optional
        Column to its (lowest, highest) possible value, None for no bound.
    exposures : DataFrame, optional
        When items were shown, in columns named as here; for `before_exposure`.
    conversions : str or list of str, optional
        Values of `event` that an exposure should precede; all by default.
    users, items : array-like, optional
        Ids as they should be spelt.
    timezone : str, optional
        The zone of times without one.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numeric times count since 1970: they are then read as datetimes.
    time_range : (lowest, highest)
        Of possible datetimes, None for no bound. It holds as well for numbers that all
        lie from 1990 to 2100 in seconds, ms, us or ns since 1970; of other numbers
        the bounds are numbers.
    near_window : str or number
        Events of the same user, item and kind so close to the one before are near
        duplicates; the first stays. A number is in the units of numeric times; text
        such as "5s" needs datetimes, or numbers whose unit since 1970 is known.
    burst_window : str or number
        Length of the windows, ending at each event, in which bursts are counted.
    n_mads : float, default=6.0
        An outlier lies above the median of log counts by so many scales, each 1.4826
        times the median absolute deviation, and 0.3 at least.
    id_spelling : {"fix", "drop", "flag", "off"}
        Ids that differ only by case or spaces get one spelling: that of `users` or
        `items`, else the most frequent one. Turn it off where case tells ids apart.
    missing : {"drop", "flag"}
        Rows without user, item, time or a `required` column. Gaps in other columns are
        counted only.
    impossible_times : {"drop", "flag", "off"}
        Text that is no time, infinite numbers, and what is outside `time_range`. Where
        such text is only flagged the time is missing.
    impossible_values : {"drop", "flag", "off"}
        Infinite numbers, and what is outside `ranges`.
    exact_duplicates : {"drop", "flag", "off"}
        Rows equal to an earlier one in all columns, once times and ids are unified.
    near_duplicates : {"drop", "flag", "off"}
    bots : {"drop", "flag", "off"}
        Users whose number of events is an outlier among users (and above 30).
    bursts : {"drop", "flag", "off"}
        Events in a window whose number of events of one user is an outlier among such
        windows (and above 10).
    before_exposure : {"drop", "flag", "off"}
        Conversions of a pair before its first exposure. Flagged by default: they may
        have been bought unprompted. Pairs never exposed are left alone.

    Returns
    -------
    frame : DataFrame
        pandas, whatever came in; sorted by time, with index 0, 1, …; datetimes in UTC,
        without a zone.
    report : CleaningReport

    Raises
    ------
    ValueError
        If a column or an option is unknown, times are written in several ways or can
        be read in two, or a rule would drop every row.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import clean_log
    >>> df = pd.DataFrame({
    ...     "user": ["Ann", "ann ", "Ann", "bo"],
    ...     "item": ["x", "x", "y", None],
    ...     "time": pd.to_datetime(["2024-01-01 10:00", "2024-01-01 10:00",
    ...                             "2024-01-01 11:00", "2024-01-01 12:00"]),
    ... })
    >>> frame, report = clean_log(df, user="user", item="item", time="time")
    >>> frame["item"].tolist()
    ['x', 'y']
    >>> report.to_frame().loc["exact_duplicates", "removed"].item()
    1
    """
    actions = {
        "id_spelling": id_spelling,
        "missing": missing,
        "impossible_times": impossible_times,
        "impossible_values": impossible_values,
        "exact_duplicates": exact_duplicates,
        "near_duplicates": near_duplicates,
        "bots": bots,
        "bursts": bursts,
        "before_exposure": before_exposure,
    }
    df = as_frame(df, "df")
    required, ranges, conversions = check_options(
        df.columns, user=user, item=item, time=time, event=event, required=required,
        ranges=ranges, conversions=conversions, time_range=time_range, n_mads=n_mads,
        **actions,
    )  # fmt: skip
    reader = TimeReader(time, timezone=timezone, unit=unit)
    if len(df) == 0:
        raise ValueError("df is empty: there is nothing to clean.")
    check_ids(df, [user, item])
    reader.look(df[time])
    if exposures is not None:
        exposures = read_exposures(exposures, user, item, time, reader)

    log = Cleaner(df, actions, user, item, time, event, reader)
    log.row_rules(users, items, required, time_range, ranges, near_window)
    log.bots(n_mads)
    log.bursts(burst_window, n_mads)
    log.before_exposure(exposures, conversions, id_spelling == "fix")
    return log.frame.reset_index(drop=True), log.report
