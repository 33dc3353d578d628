"""Times, windows and what lies before a time."""

import re

import numpy as np
import pandas as pd

_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})\s*$", re.IGNORECASE)


def _zoned(values):
    """Which of the values, text or datetimes, carry a time zone."""

    def one(value):
        if isinstance(value, str):
            return _ZONE.search(value) is not None and ":" in value
        return getattr(value, "tzinfo", None) is not None

    return np.fromiter(map(one, values), bool, len(values))


def has_zone(values):
    """Whether times carry a time zone; None where there is nothing to tell by."""
    values = pd.Series(values)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return True
    if values.dtype.kind in "fiuM":
        return False if values.dtype.kind == "M" else None
    values = values.dropna()
    return bool(_zoned(values.head(1)).any()) if len(values) else None


def as_times(values, name="time", *, timezone=None, errors="raise"):
    """Times as numbers, or as datetimes in UTC without a zone.

    Parameters
    ----------
    values : array-like of shape (n,)
        Numbers, datetimes, or text in ISO 8601, possibly in several time zones.
    name : str
        Named in error messages.
    timezone : str, optional
        The zone of those without one. Needed where some have one and some have not.
    errors : {"raise", "coerce"}
        "coerce" turns what is missing or no time into NaT (NaN among numbers).

    Returns
    -------
    Series of shape (n,)
        float64 or datetime64[us]; index as it came, if any.

    Raises
    ------
    ValueError
        For a missing time, for text that is no time, and for a mix of times with and
        without a zone; the row is named.

    Examples
    --------
    >>> as_times(["2024-01-01T12:00+02:00", "2024-01-01T12:00Z"]).dt.hour.tolist()
    [10, 12]
    """
    values = pd.Series(values)
    if values.dtype.kind in "fiu":
        times = values.astype("float64")
        bad = ~np.isfinite(times.to_numpy())
        if bad.any():
            times = times.mask(bad)
    elif values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        times = _to_utc(values, timezone)
    elif values.dtype.kind == "b" or values.dtype.kind == "m":
        raise ValueError(f"{name} holds {values.dtype}, which is no time.")
    else:
        times = _parse(values, name, timezone)
    bad = times.isna().to_numpy()
    if errors == "raise" and bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{name} is {values.tolist()[row]!r} in row {row}, which is no time. Clean "
            "the log first (clean_log), or drop such rows."
        )
    return times


def _to_utc(times, timezone):
    if times.dt.tz is None and timezone is not None:
        times = times.dt.tz_localize(timezone, ambiguous=True, nonexistent="NaT")
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times.astype("datetime64[us]")


def _parse(values, name, timezone):
    missing = values.isna().to_numpy()
    numbers = pd.to_numeric(values, errors="coerce")
    if len(values) and not missing.all() and numbers.notna().to_numpy()[~missing].all():
        return numbers.astype("float64").replace([np.inf, -np.inf], np.nan)
    objects = values.to_numpy(dtype=object)
    zoned = _zoned(objects)
    naive = ~zoned & ~missing
    times = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us]")
    for rows in (zoned, naive):
        if rows.any():
            parsed = pd.to_datetime(
                pd.Series(objects[rows]), utc=True, format="ISO8601", errors="coerce"
            ).dt.tz_localize(None)
            if rows is naive and timezone is not None:
                parsed = _to_utc(parsed, timezone)
            times[rows] = parsed.astype("datetime64[us]").to_numpy()
    naive &= times.notna().to_numpy()
    if zoned.any() and naive.any() and timezone is None:
        row = int(naive.argmax())
        raise ValueError(
            f"{name} mixes times with and without a time zone: row {row} has none "
            f"({values.iloc[row]!r}), row {int(zoned.argmax())} has one "
            f"({values.iloc[int(zoned.argmax())]!r}). Say what those without mean, for "
            'instance timezone="UTC".'
        )
    return times


def as_window(window, times, name="window"):
    """A length of time in the units of the times: Timedelta or number, above 0."""
    try:
        if times.dtype.kind == "M":
            length = pd.Timedelta(window)
            if isinstance(window, (int, float)):
                raise ValueError
        else:
            length = float(window)
    except (TypeError, ValueError):
        kind = '"7D" or a Timedelta' if times.dtype.kind == "M" else "a number"
        raise ValueError(
            f"{name}={window!r} is no length of time for times of {times.dtype}: pass "
            f"{kind}."
        ) from None
    if not length > 0 * length:
        raise ValueError(f"{name} must be above 0, got {window!r}.")
    return length


def in_days(gaps):
    """Gaps of datetimes in days; of numbers as they are. (float64)"""
    gaps = np.asarray(gaps)
    if gaps.dtype.kind == "m":
        return gaps / np.timedelta64(1, "D")
    return gaps.astype(float)


class PastIndex:
    """Rows of a history by group and time, to ask for those before a time.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64 codes from 0 on
    times : ndarray of shape (n,), sortable

    Attributes
    ----------
    order : ndarray of shape (n,)
        Rows of the history sorted by group and time, ties as they came.

    Examples
    --------
    >>> past = PastIndex(np.array([0, 0, 1]), np.array([5, 3, 4]))
    >>> start, end = past.before(np.array([0, 1]), np.array([5, 4]))
    >>> (end - start).tolist()
    [1, 0]
    """

    def __init__(self, groups, times):
        self.times, rank = np.unique(times, return_inverse=True)
        keys = groups * (len(self.times) + 1) + rank
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]
        n_groups = int(groups.max()) + 1 if len(groups) else 0
        self.starts = np.searchsorted(
            self.keys, np.arange(n_groups + 1) * (len(self.times) + 1)
        )

    def before(self, groups, times, *, or_at=False):
        """Positions [start, end) in `order` of what lies strictly before the times.

        Parameters
        ----------
        groups : ndarray of shape (m,)
            -1 for a group without history.
        times : ndarray of shape (m,)
        or_at : bool
            Count what lies at the time as well.
        """
        # Groups from the largest known on share the last start, which is the end.
        last = len(self.starts) - 1
        start = np.where(groups < 0, 0, self.starts[np.clip(groups, 0, last)])
        rank = np.searchsorted(self.times, times, side="right" if or_at else "left")
        keys = groups * (len(self.times) + 1) + rank
        return start, np.where(groups < 0, 0, np.searchsorted(self.keys, keys))
