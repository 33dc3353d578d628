"""The rows of an event table that are left, rule by rule, and the report of it."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import as_frame, check_columns, plain_ids
from sklearn_causalrec.encoding.time_formats import UNITS, is_number, shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import as_span, as_times, as_window, same_clock
from sklearn_causalrec.interactions._cleaning_rules import (
    BOT_FROM,
    BURST_FROM,
    busy_windows,
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

TIME_RANGE = ("1990-01-01", "now")
# What to do when a rule would leave nothing.
_WAY_OUT = {
    "missing": 'Name another column, fill it, or set missing="flag".',
    "impossible_times": (
        "Say how times are written (unit= for numbers since 1970, pd.to_datetime with "
        "format= for text), or what is possible (time_range=)."
    ),
}


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


class Cleaner:
    """The rows that are left and the report so far, with one method per rule.

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
            if time_range is TIME_RANGE:
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
