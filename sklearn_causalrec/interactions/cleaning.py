"""clean_log: an event table made fit for use, and a report of what was done to it."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.encoding.times import (
    as_frame,
    as_times,
    as_window,
    check_columns,
    has_zone,
    plain_ids,
)
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

    def forget(self, rules):
        """Leave out rules that were not applied."""
        self._records = [record for record in self._records if record[0] not in rules]

    @property
    def rules(self):
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
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
        if action not in known.get(rule, _ACTIONS):
            raise ValueError(
                f"{rule} must be one of {known.get(rule, _ACTIONS)}, got {action!r}."
            )


class Cleaner:
    """The rows still there, and the report so far; a method a rule."""

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
    """Clean an event table, and say what was found and removed.

    The rules are applied in the order of the parameters that name them. Each is
    "drop", "flag" (a column ``flag_<rule>`` marks the rows, which stay) or "off"; a row
    counts for the first rule that drops it, so that the report adds up.

    Parameters
    ----------
    df : pandas or polars DataFrame
        One event a row, in any order. It is not changed.
    user, item, time : str
        Columns. Times may be numbers, datetimes or text in ISO 8601.
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
    time_range : (lowest, highest)
        Of possible datetimes, None for no bound.
    near_window : str or number
        Events of the same user, item and kind so close to the one before are near
        duplicates; the first stays. In the units of numeric times.
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
        If a column or an option is unknown, or times with and without zone are mixed.

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
