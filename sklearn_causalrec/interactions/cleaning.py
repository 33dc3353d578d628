"""Cleaning of an event table, with a report of what was found and removed."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.encoding.frames import as_frame, check_columns, plain_ids
from sklearn_causalrec.encoding.times import as_times, as_window, has_zone
from sklearn_causalrec.interactions._cleaning_rules import (
    BOT_FROM,
    BURST_FROM,
    busy_windows,
    comparable,
    outside,
    robust_limit,
    unify_spelling,
)

Action: TypeAlias = Literal["drop", "flag", "off"]
_ACTIONS = ("drop", "flag", "off")


class CleaningReport:
    """The rules that cleaned a log, with what each one found and removed.

    Parameters
    ----------
    n_before : int
        The number of rows before cleaning.

    Attributes
    ----------
    n_before : int
        The number of rows before cleaning.
    n_after : int
        The number of rows after cleaning. It is ``n_before`` minus the sum of the
        column ``removed`` of :attr:`rules`.
    rules : DataFrame
        The table that :meth:`to_frame` returns.

    See Also
    --------
    clean_log : Clean an event table and return such a report.
    clean_dataset : Clean a log on disk and return such a report.

    Examples
    --------
    >>> from sklearn_causalrec.interactions import CleaningReport
    >>> report = CleaningReport(100)
    >>> report.add("bots", "drop", found=7, removed=7, note="1 user")
    >>> report.n_after
    93
    >>> report.to_frame().loc["bots", "found"].item()
    7
    """

    def __init__(self, n_before):
        self.n_before = self.n_after = n_before
        self._records = []

    def add(self, rule, action, found, removed=0, note=""):
        """Append the record of one rule.

        Parameters
        ----------
        rule : str
            The name of the rule.
        action : {"drop", "flag", "fix", "count", "off"}
            What was done to the rows that the rule found.
        found : int
            The number of rows that the rule found.
        removed : int, default=0
            The number of rows that were removed. It is subtracted from ``n_after``.
        note : str, default=""
            A remark for the reader of the report.
        """
        self._records.append((rule, action, int(found), int(removed), note))
        self.n_after -= int(removed)

    def forget(self, rules):
        """Delete the records of some rules.

        Use it for rules that were not applied: ``n_after`` does not change.

        Parameters
        ----------
        rules : collection of str
            The names of the rules to delete. Unknown names are ignored.
        """
        self._records = [record for record in self._records if record[0] not in rules]

    @property
    def rules(self):
        """The table that :meth:`to_frame` returns."""
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """Return the report as a table with one row per rule.

        Returns
        -------
        DataFrame
            The rules in the order in which they were applied. The index is ``rule``.
            The columns are ``action`` ("drop", "flag", "fix", "count" or "off"),
            ``found`` (the number of rows found among those that earlier rules left),
            ``removed`` (the number of rows removed) and ``note``.
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
        if action not in known.get(rule, _ACTIONS):
            raise ValueError(
                f"{rule} must be one of {known.get(rule, _ACTIONS)}, got {action!r}."
            )


class Cleaner:
    """The rows that are left and the report so far, with one method per rule."""

    def __init__(self, df, actions, user, item, time, event, timezone):
        self.user, self.item, self.time, self.event = user, item, time, event
        self.timezone = timezone
        self.actions = actions
        self.columns = list(df.columns)
        self.report = CleaningReport(len(df))
        self.frame = plain_ids(df.reset_index(drop=True), [user, item])
        raw = self.frame[time]
        times = as_times(raw, time, timezone=timezone, errors="coerce")
        self.unparsed = times.isna() & raw.notna()
        self.frame = self.frame.assign(**{time: times})
        if zoned := has_zone(raw):
            note = "to UTC, without a zone"
            self.report.add("time zones", "fix", len(df) * zoned, 0, note)

    def off(self, rule):
        if self.actions[rule] == "off":
            self.report.add(rule, "off", 0)
            return True
        return False

    def apply(self, rule, found, note="", *, action=None, name=None):
        """Drop or flag the rows that a rule found, as its action says."""
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
            self.frame = self.frame[~found]
        self.report.add(name or rule, action, found.sum(), removed, note)

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

    def impossible_times(self, time_range):
        if self.off("impossible_times"):
            return
        times = self.frame[self.time]
        found = self.unparsed.loc[self.frame.index].to_numpy(copy=True)
        note = f"{int(found.sum())} not a time"
        if times.dtype.kind == "M":
            now = pd.Timestamp.now("UTC")
            bounds = [now if t == "now" else t for t in time_range]
            bounds = [t if t is None else as_times([t]).iloc[0] for t in bounds]
            found |= outside(times, *bounds)
        self.apply("impossible_times", found, note)

    def impossible_values(self, ranges):
        if self.off("impossible_values"):
            return
        found = np.zeros(len(self.frame), dtype=bool)
        for name in self.columns:
            if self.frame[name].dtype.kind == "f":
                found |= np.isinf(self.frame[name].to_numpy())
        for name, bounds in ranges.items():
            values = pd.to_numeric(self.frame[name], errors="coerce")
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
        window = as_window(near_window, self.frame[self.time], "near_window")
        keys = [self.user, self.item] + ([self.event] if self.event is not None else [])
        gap = self.frame.groupby(keys, dropna=False, sort=False)[self.time].diff()
        self.apply("near_duplicates", gap <= window, f"within {near_window}")

    def user_counts(self):
        """Return the number of events of each user, as a Series."""
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
        """Return which rows have a user and a time, and their :func:`busy_windows`."""
        times = self.frame[self.time]
        window = as_window(burst_window, times, "burst_window")
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

    def before_exposure(self, exposures, conversions):
        if exposures is None:
            self.report.add("before_exposure", "off", 0, 0, "no exposures given")
        if exposures is None or self.off("before_exposure"):
            return
        keys = [self.user, self.item]
        times = as_times(
            exposures[self.time], "exposures' time", timezone=self.timezone
        )
        first = times.groupby([exposures[key] for key in keys]).min()
        first = first.reindex(pd.MultiIndex.from_frame(self.frame[keys]))
        found = self.frame[self.time].to_numpy() < first.to_numpy()
        if conversions is not None:
            found &= self.frame[self.event].isin(conversions).to_numpy()
        self.apply("before_exposure", found)


def clean_log(
    df: Frame,
    *,
    user: str,
    item: str,
    time: str,
    event: str | None = None,
    required: Sequence[str] = (),
    ranges: Mapping[str, tuple[Any, Any]] | None = None,
    exposures: Frame | None = None,
    conversions: str | Sequence[str] | None = None,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    timezone: str | None = None,
    time_range: tuple[Any, Any] = ("1990-01-01", "now"),
    near_window: str | float = "5s",
    burst_window: str | float = "1min",
    n_mads: float = 6.0,
    id_spelling: Literal["fix", "drop", "flag", "off"] = "fix",
    missing: Literal["drop", "flag"] = "drop",
    impossible_times: Action = "drop",
    impossible_values: Action = "drop",
    exact_duplicates: Action = "drop",
    near_duplicates: Action = "drop",
    bots: Action = "drop",
    bursts: Action = "drop",
    before_exposure: Action = "flag",
) -> tuple[pd.DataFrame, CleaningReport]:
    """Clean an event table, and report what was found and removed.

    The rules are applied in the order of the parameters that carry their names. Most
    rules have three actions. "drop" removes the rows that the rule finds. "flag" keeps
    the rows and marks them in a column ``flag_<rule>``. "off" skips the rule. A row is
    counted for the first rule that drops it, so the removals add up to the difference
    in the number of rows.

    Parameters
    ----------
    df : pandas or polars DataFrame
        The event table: one event per row, in any order. It is not changed.
    user : str
        The column of user ids.
    item : str
        The column of item ids.
    time : str
        The column of times. They can be numbers, datetimes or text in ISO 8601.
    event : str, default=None
        The column of the kind of event. It is part of the key of near duplicates. With
        None, all events are of one kind.
    required : str or sequence of str, default=()
        Further columns in which a value must be present. User, item and time are always
        required.
    ranges : dict, default=None
        For each column to check, a pair ``(lowest, highest)`` of possible values. None
        in place of a bound means that there is no bound. With None, no ranges are
        checked.
    exposures : pandas or polars DataFrame, default=None
        When items were shown: a table with the columns `user`, `item` and `time`. The
        rule `before_exposure` needs it and is skipped with None.
    conversions : str or list of str, default=None
        The values of the column `event` that an exposure should precede. With None, all
        events are conversions.
    users : array-like, default=None
        The user ids in their right spelling. With None, the most frequent spelling is
        the right one.
    items : array-like, default=None
        The item ids in their right spelling. With None, the most frequent spelling is
        the right one.
    timezone : str, default=None
        The time zone of times that come without one, for instance "Europe/Berlin". With
        None, such times are read as UTC, and a column that mixes times with and without
        a zone is refused.
    time_range : tuple of two, default=("1990-01-01", "now")
        The lowest and the highest possible datetime. None in place of a bound means
        that there is no bound, and "now" is the current time. The range is not applied
        to times that are numbers.
    near_window : str or number, default="5s"
        The window of near duplicates. It is a duration such as "5s" where times are
        datetimes, and a number in the same units where times are numbers.
    burst_window : str or number, default="1min"
        The length of the windows in which bursts are counted. A window ends at each
        event. It is a duration or a number, as `near_window` is.
    n_mads : float, default=6.0
        The limit of an outlier. A count is an outlier if its logarithm lies more than
        `n_mads` scales above the median of the logarithms. The scale is 1.4826 times
        the median absolute deviation, and at least 0.3.
    id_spelling : {"fix", "drop", "flag", "off"}, default="fix"
        What to do with ids that differ only by case, character width or spaces. "fix"
        gives them one spelling: that of `users` or `items` where the id is in there,
        else the most frequent one. Choose "off" where case tells ids apart. Numeric ids
        are left alone.
    missing : {"drop", "flag"}, default="drop"
        What to do with rows without a user, an item, a time or a value in a `required`
        column. Gaps in other columns are only counted.
    impossible_times : {"drop", "flag", "off"}, default="drop"
        What to do with text that is not a time, infinite numbers, and times outside
        `time_range`. A time that cannot be read becomes missing if its row is kept.
    impossible_values : {"drop", "flag", "off"}, default="drop"
        What to do with infinite numbers and with values outside `ranges`. A value that
        is not a number is outside its range.
    exact_duplicates : {"drop", "flag", "off"}, default="drop"
        What to do with rows that equal an earlier row in all columns. Times and ids are
        compared after they were unified.
    near_duplicates : {"drop", "flag", "off"}, default="drop"
        What to do with an event that follows an event of the same user, item and kind
        within `near_window`. The first event of such a series stays.
    bots : {"drop", "flag", "off"}, default="drop"
        What to do with the events of bots. A bot is a user whose number of events is an
        outlier among all users and above 30.
    bursts : {"drop", "flag", "off"}, default="drop"
        What to do with the events of bursts. A burst is a window in which the number of
        events of one user is an outlier among all such windows and above 10.
    before_exposure : {"drop", "flag", "off"}, default="flag"
        What to do with conversions of a user and an item before the first exposure of
        that pair. They are only flagged by default, because the user may have bought
        unprompted. Pairs that were never exposed are left alone.

    Returns
    -------
    frame : DataFrame
        The cleaned log as a pandas frame, sorted by time, with the index 0, 1, and so
        on. Datetimes are in UTC and carry no time zone.
    report : CleaningReport
        What every rule found and removed.

    Raises
    ------
    TypeError
        If `df` or `exposures` is not a frame with named columns.
    ValueError
        If `df` is empty, a column or an option is unknown, or times with and without a
        time zone are mixed.

    See Also
    --------
    clean_dataset : Clean a log on disk that does not fit into memory.
    build_examples : Turn the cleaned log into one row per decision.

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
    check_actions(actions)
    check_scalar(n_mads, "n_mads", Real, min_val=0, include_boundaries="neither")
    df = as_frame(df, "df")
    ranges = dict(ranges or {})
    required = [required] if isinstance(required, str) else list(required)
    check_columns(df, user=user, item=item, time=time, event=event)
    check_columns(df, required=required, ranges=list(ranges))
    if not df.columns.is_unique:
        twice = df.columns[df.columns.duplicated()][0]
        raise ValueError(f"df has two columns {twice!r}: rename one.")
    if len(df) == 0:
        raise ValueError("df is empty: there is nothing to clean.")
    if exposures is not None:
        exposures = as_frame(exposures, "exposures")
        check_columns(exposures, user=user, item=item, time=time)
    if conversions is not None:
        if event is None:
            raise ValueError("conversions= are values of event=: name its column.")
        conversions = [conversions] if isinstance(conversions, str) else conversions

    log = Cleaner(df, actions, user, item, time, event, timezone)
    log.id_spelling("user", user, users)
    log.id_spelling("item", item, items)
    log.missing(required)
    log.impossible_times(time_range)
    log.impossible_values(ranges)
    log.exact_duplicates()
    log.near_duplicates(near_window)
    log.bots(n_mads)
    log.bursts(burst_window, n_mads)
    log.before_exposure(exposures, conversions)
    return log.frame.reset_index(drop=True), log.report
