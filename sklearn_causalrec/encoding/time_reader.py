"""How the times of a column are written, learned from all of them."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.time_columns import (
    all_plain,
    as_wall,
    is_numeric,
    nth,
    split_column,
)
from sklearn_causalrec.encoding.time_formats import (
    RANGES,
    STAMPS,
    UNITS,
    order_of,
    parse_iso,
    read_stamps,
    shown,
    since_1970,
    to_iso,
)


def check_timezone(timezone):
    """Refuse what is no time zone."""
    if timezone is None:
        return
    try:
        pd.Timestamp(0).tz_localize(timezone)
    except (
        KeyError, TypeError, ValueError, OSError, AttributeError, OverflowError
    ):  # fmt: skip
        raise ValueError(
            f"timezone={shown(timezone)} is no time zone: pass a name such as "
            '"UTC" or "Europe/Berlin".'
        ) from None


class TimeReader:
    """How the times of a column are written, learned from all of them.

    Whether 3/4/2024 is in March or in April, what a number counts, and whether times
    have a zone can't be told from one value. So :meth:`look` goes over the column,
    batch by batch where it doesn't fit into memory, and :meth:`read` reads it; what is
    read later, at prediction for one, is read in the same way.

    Parameters
    ----------
    name : str, default="time"
        Named in error messages.
    timezone : str, optional
        The zone of times without one. Needed where some have one and some have not.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numbers count since 1970; they are then read as datetimes.
    stamps : bool, default=True
        Read numbers such as 20240131 as dates. False where only their order counts.

    Attributes
    ----------
    kind : {"number", "datetime", "duration"} or None
        What is read; None where nothing but missing values was seen.
    zoned : bool or None
        Whether times carry a zone; None for numbers and durations.
    counts : {"s", "ms", "us", "ns"} or None
        What numbers count since 1970, where all of them are from 1990 to 2100 in one
        of these units.

    Examples
    --------
    >>> reader = TimeReader().look(["03/04/2024", "13/04/2024"])
    >>> reader.read(["03/04/2024"]).tolist()
    [Timestamp('2024-04-03 00:00:00')]
    """

    def __init__(self, name="time", *, timezone=None, unit=None, stamps=True):
        check_timezone(timezone)
        if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
            raise ValueError(
                f"unit must be one of {list(UNITS)}, got {shown(unit)}: what numbers "
                "count since 1970."
            )
        self.name, self.timezone, self.unit = name, timezone, unit
        self.stamps = stamps
        self.n = 0
        self._first = {}  # of each form the first (row, value)
        self._dated = {}  # "day first", "month first", "ambiguous": the same
        self._zones = {}  # True, False: the same
        self._n_numbers = 0
        self._stamps = dict.fromkeys(STAMPS, 0)
        self._units = {}  # unit: the first (row, value) in its range
        self._in_units = 0
        self._settled = False

    def look(self, values):
        """Learn from values, all of the column or a batch of it.

        Parameters
        ----------
        values : array-like of shape (n,)

        Returns
        -------
        self
        """
        if all_plain(values):
            self._note(self._first, "datetimes", [0], values)
            self._note(self._zones, False, [0], values)
            self.n += len(values)
            return self
        self._learn(split_column(values, self.name), values)
        return self

    def look_and_read(self, values, errors="raise"):
        """Learn from a column and read it. (Series)"""
        parts = split_column(values, self.name)
        self._learn(parts, values)
        return self._finish(parts, values, errors)

    def read(self, values, errors="raise"):
        """Read values as the column was seen to be written.

        Parameters
        ----------
        values : array-like of shape (n,)
        errors : {"raise", "coerce"}, default="raise"
            "coerce" turns what is missing or no time into NaT (NaN among numbers).

        Returns
        -------
        Series of shape (n,)
            float64 (int64 where whole numbers are too large for it), datetime64[us]
            in UTC, or timedelta64[us]; index as it came, if any.

        Raises
        ------
        ValueError
            For a missing time, for what is no time or is written otherwise than the
            column, and for what can be read in two ways; the row is named.
        """
        self._settle()
        as_they_are = self.timezone is None and self.unit is None
        if as_they_are and self.zoned is False and all_plain(values):
            return values.astype("datetime64[us]").rename(None)
        parts = split_column(values, self.name)
        here = TimeReader(
            self.name, timezone=self.timezone, unit=self.unit, stamps=self.stamps
        )
        here._learn(parts, values)
        here._settle(self)
        return here._finish(parts, values, errors)

    # -- learning -----------------------------------------------------------------

    def _note(self, where, key, rows, values):
        if key not in where and len(rows):
            row = int(rows[0])
            where[key] = (self.n + row, nth(values, row))

    def _learn(self, parts, values):
        rows, numbers = parts.numbers
        finite = np.isfinite(numbers)
        rows, numbers = rows[finite], numbers[finite]
        self._note(self._first, "numbers", rows, values)
        self._n_numbers += len(numbers)
        for digits in STAMPS:
            valid = ~np.isnat(read_stamps(numbers, digits))
            self._stamps[digits] += int(valid.sum())
        for unit, (low, high) in RANGES.items():
            inside = (numbers >= low) & (numbers < high)
            self._in_units += int(inside.sum())
            self._note(self._units, unit, rows[inside], values)
        self._note(self._first, "durations", parts.durations[0], values)
        rows, _, zoned = parts.times
        self._note(self._first, "datetimes", rows, values)
        self._note(self._first, "ISO 8601", parts.first_iso, values)
        for flag in (True, False):
            self._note(self._zones, flag, rows[zoned == flag], values)
        for row, form, match in parts.texts:
            self._note(self._first, form, [row], values)
            self._note(self._zones, match.groupdict().get("zone") is not None, [row],
                       values)  # fmt: skip
            if form == "day and month":
                self._note(self._dated, order_of(match), [row], values)
        self.n += parts.n

    @property
    def kind(self):
        self._settle()
        return self._kind

    @property
    def zoned(self):
        if self.kind != "datetime":
            return None
        return True in self._zones or (self.unit is not None and self._n_numbers > 0)

    @property
    def counts(self):
        self._settle()
        return self._counts

    @property
    def note(self):
        """What is worth saying of how the times are read; mostly nothing."""
        self._settle()
        if self.unit is not None and self._n_numbers:
            return f"numbers as {self.unit} since 1970"
        if self._digits is not None:
            return f"numbers of {self._digits} digits as dates"
        if self._day_first is not None:
            return f"the {'day' if self._day_first else 'month'} comes first"
        return ""

    def _settle(self, like=None):
        """Decide what was seen, as in `like`; refuse what can be read in two ways."""
        if self._settled:
            return
        forms = set(self._first)
        self._digits = self._counts = self._kind = None
        if "numbers" in forms and self.unit is None:
            if like is None or like._kind is None:
                self._digits = self._stamp_digits() if self.stamps else None
                self._counts = None if self._digits else self._only_unit()
            else:
                self._digits, self._counts = like._digits, like._counts
        if "numbers" in forms:
            dated = self.unit is not None or self._digits is not None
            self._kind = "datetime" if dated else "number"
        # ISO 8601 and datetimes read alike; any other two are of two sources.
        if "ISO 8601" in forms:
            forms.discard("datetimes")
        if len(forms) > 1:
            (a, first), (b, second) = sorted(
                (self._first[form] for form in forms), key=lambda seen: seen[0]
            )[:2]
            raise ValueError(
                f"{self.name} is written in several ways: {shown(first)} in row {a} "
                f"and {shown(second)} in row {b}. Bring them to one, for instance with "
                "pd.to_datetime(…, format=…) for each."
            )
        if "durations" in forms:
            self._kind = "duration"
        elif forms and self._kind is None:
            self._kind = "datetime"
        if like is not None and like._day_first is not None:
            self._day_first = like._day_first
        else:
            self._day_first = self._read_order()
        if self.timezone is None and len(self._zones) > 1:
            (a, none), (b, some) = self._zones[False], self._zones[True]
            raise ValueError(
                f"{self.name} mixes times with and without a time zone: row {a} has "
                f"none ({shown(none)}), row {b} has one ({shown(some)}). Say what "
                'those without mean, for instance timezone="UTC".'
            )
        self._settled = True
        if like is not None:
            self._compare(like)

    def _compare(self, like):
        """Refuse values of another kind or clock than those seen before."""
        if self._kind is None:
            self._kind = like._kind
        if like._kind not in (None, self._kind):
            both = " and ".join(sorted({f"{self._kind}s", f"{like._kind}s"}))
            raise ValueError(
                f"{self.name} holds {self._kind}s here and held {like._kind}s before: "
                f"{both} don't compare. Bring them to one form."
            )
        unit = self._only_unit() if self._kind == "number" else None
        if None not in (unit, like._counts) and unit != like._counts:
            raise ValueError(
                f"{self.name} counts {unit} since 1970 here and {like._counts} "
                "before: bring them to one unit."
            )
        if self.timezone is None and len({*self._zones, *like._zones}) > 1:
            raise ValueError(
                f"{self.name} has a time zone in fit or here, not in both: say what "
                'times without one mean, for instance timezone="UTC".'
            )

    def _stamp_digits(self):
        for digits, clear in STAMPS.items():
            if 2 * self._stamps[digits] > self._n_numbers:
                if clear:
                    return digits
                row, value = self._first["numbers"]
                form = {6: "%Y%m", 10: "%Y%m%d%H"}[digits]
                raise ValueError(
                    f"{self.name} holds numbers such as {shown(value)} in row {row}, "
                    f"which may be dates ({form}) or a count. For dates use "
                    f'pd.to_datetime(column.astype(str), format="{form}"); for a count '
                    "subtract its first value, or name its unit, unit=, since 1970."
                )
        return None

    def _only_unit(self):
        if len(self._units) > 1 and 2 * self._in_units >= self._n_numbers:
            (one, (a, first)), (two, (b, second)) = list(self._units.items())[:2]
            raise ValueError(
                f"{self.name} mixes units since 1970: {shown(first)} in row {a} is in "
                f"{one}, {shown(second)} in row {b} is in {two}. Bring them to one."
            )
        if len(self._units) == 1 and self._in_units == self._n_numbers:
            return next(iter(self._units))
        return None

    def _read_order(self):
        seen = self._dated
        if "short year" in self._first:
            row, value = self._first["short year"]
            raise ValueError(
                f"{self.name} is {shown(value)} in row {row}: which part of it is the "
                "year can't be told. Say which, for instance with "
                'pd.to_datetime(column, format="%d/%m/%y").'
            )
        if "day first" in seen and "month first" in seen:
            (a, first), (b, second) = seen["day first"], seen["month first"]
            raise ValueError(
                f"{self.name} mixes dates that begin with the day ({shown(first)} in "
                f"row {a}) and with the month ({shown(second)} in row {b}). Bring them "
                "to one form, with pd.to_datetime(…, format=…) for each."
            )
        if "ambiguous" in seen and not {"day first", "month first"} & set(seen):
            row, value = seen["ambiguous"]
            raise ValueError(
                f"{self.name} is {shown(value)} in row {row}: nothing in the column "
                "says whether the day or the month comes first. Say which, with "
                'pd.to_datetime(column, format="%d/%m/%Y") or "%m/%d/%Y".'
            )
        return "day first" in seen if seen else None

    # -- reading ------------------------------------------------------------------

    def _finish(self, parts, values, errors):
        self._settle()
        index = values.index if isinstance(values, pd.Series) else None
        rows, numbers = parts.numbers
        if self._kind == "number" or (self._kind is None and is_numeric(values)):
            times = self._numbers(parts)
        elif self._kind == "duration":
            times = np.full(parts.n, np.timedelta64("NaT"), "timedelta64[us]")
            times[parts.durations[0]] = parts.durations[1]
        else:
            times = np.full(parts.n, np.datetime64("NaT"), "datetime64[us]")
            if self.unit is not None:
                times[rows] = since_1970(numbers, self.unit)
            wall, zoned = self._walls(parts)
            times = np.where(np.isnat(times), self._to_utc(wall, zoned), times)
        times = pd.Series(times, index=index)
        bad = times.isna().to_numpy()
        if errors == "raise" and bad.any():
            row = int(bad.argmax())
            self._refuse(row, nth(values, row))
        return times

    def _numbers(self, parts):
        rows, numbers = parts.numbers
        if numbers.dtype.kind == "f":
            numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        elif np.abs(numbers).max(initial=0) > 2**53 and len(rows) == parts.n:
            out = np.empty(parts.n, np.int64)
            out[rows] = numbers
            return out
        out = np.full(parts.n, np.nan)
        out[rows] = numbers
        return out

    def _walls(self, parts):
        """Datetimes as they are written, and whether each has a zone."""
        wall = np.full(parts.n, np.datetime64("NaT"), "datetime64[us]")
        zoned = np.zeros(parts.n, bool)
        rows, times, zones = parts.times
        wall[rows], zoned[rows] = times, zones
        if self._digits is not None:
            rows, numbers = parts.numbers
            wall[rows] = read_stamps(numbers, self._digits)
        if parts.texts:
            iso = [to_iso(*text[1:], self._day_first) for text in parts.texts]
            rows = np.array([row for row, *_ in parts.texts])
            wall[rows], zoned[rows] = parse_iso(np.array([*iso, None], object)[:-1])
        return wall, zoned

    def _to_utc(self, wall, zoned):
        naive = ~zoned & ~np.isnat(wall)
        if self.timezone is None or not naive.any():
            return wall
        local = pd.Series(wall[naive]).dt.tz_localize(
            self.timezone, ambiguous="NaT", nonexistent="NaT"
        )
        wall = wall.copy()
        wall[naive] = as_wall(local)[0]
        return wall

    def _refuse(self, row, value):
        if self.timezone is not None and not pd.isna(value):
            try:
                plain = TimeReader(self.name).look_and_read([value], "coerce")
            except ValueError:
                plain = pd.Series([pd.NaT])
            if plain.notna().all() and plain.dtype.kind == "M":
                raise ValueError(
                    f"{self.name} is {shown(value)} in row {row}, which there is not, "
                    f"or twice, in {self.timezone}: the clocks change. Say which is "
                    "meant, column.dt.tz_localize(…, ambiguous=…, nonexistent=…)."
                )
        raise ValueError(
            f"{self.name} is {shown(value)} in row {row}, which is no time"
            f"{self._hint()}. Clean the log first (clean_log), or drop such rows."
        )

    def _hint(self):
        if self._day_first is not None:
            return f" in the order {'day' if self._day_first else 'month'} first"
        if self._digits is not None:
            return f" of {self._digits} digits"
        return ""
