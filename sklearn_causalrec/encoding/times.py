"""One reader of times for all of the package, and lengths of time."""

from numbers import Number

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.time_formats import UNITS, shown, unit_of
from sklearn_causalrec.encoding.time_reader import TimeReader


def as_times(values, name="time", *, timezone=None, unit=None, errors="raise"):
    """Times as numbers, as datetimes in UTC without a zone, or as durations.

    Parameters
    ----------
    values : array-like of shape (n,)
        Numbers; datetimes, dates or periods (read as their start); durations; stamps
        such as 20240131; or text: ISO 8601, 31/01/2024 where the column tells which is
        the day, 31 Jan 2024.
    name : str, default="time"
        Named in error messages.
    timezone : str, optional
        The zone of those without one. Needed where some have one and some have not.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numbers count since 1970; they are then read as datetimes.
    errors : {"raise", "coerce"}, default="raise"
        "coerce" turns what is missing or no time into NaT (NaN among numbers).

    Returns
    -------
    Series of shape (n,)
        float64 (int64 where whole numbers are too large for it), datetime64[us], or
        timedelta64[us]; index as it came, if any.

    Raises
    ------
    ValueError
        For a missing time, for what is no time, for a mix of forms or of times with
        and without a zone, and for what can be read in two ways; the row is named.

    Examples
    --------
    >>> as_times(["2024-01-01T12:00+02:00", "2024-01-01T12:00Z"]).dt.hour.tolist()
    [10, 12]
    >>> as_times(["03/04/2024", "13/04/2024"]).dt.month.tolist()
    [4, 4]
    """
    return TimeReader(name, timezone=timezone, unit=unit).look_and_read(values, errors)


def in_order(values, name="time"):
    """Times for their order only: numbers stay what they are, whatever they count.

    Parameters
    ----------
    values : array-like of shape (n,)
        What :func:`as_times` reads, or a Categorical whose categories are ordered.
    name : str, default="time"
        Named in error messages.

    Returns
    -------
    ndarray of shape (n,)
        To be sorted and compared.

    Raises
    ------
    ValueError
        As :func:`as_times`; a stamp such as 202401 is in order as it is.
    """
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        codes = pd.Series(values).cat.codes.to_numpy()
        if (codes < 0).any():
            raise ValueError(f"{name} is missing in row {int((codes < 0).argmax())}.")
        return codes
    return TimeReader(name, stamps=False).look_and_read(values).to_numpy()


def same_clock(readers, timezone=None):
    """Refuse columns whose times can't be compared.

    Parameters
    ----------
    readers : dict of str to TimeReader
        By what the messages call the columns.
    timezone : str, optional
        The zone of times without one.

    Raises
    ------
    ValueError
        If numbers meet dates, times with a zone those without, or seconds milliseconds.
    """
    facts = {
        "numbers in one and dates in another": "kind",
        "counted in several units since 1970": "counts",
        "with a time zone in one and without in another": "zoned",
    }
    if timezone is not None:
        facts.popitem()
    for what, fact in facts.items():
        found = {name: getattr(reader, fact) for name, reader in readers.items()}
        found = {name: value for name, value in found.items() if value is not None}
        if len(set(found.values())) > 1:
            raise ValueError(
                f"Times are {what}: {found}. Bring them to one clock, or say what "
                'times without a zone mean, for instance timezone="UTC".'
            )


def as_span(value):
    """A length of time; a number says no unit, as text neither, and is refused.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(value, Number) or (isinstance(value, str) and _is_numeric(value)):
        raise ValueError(f"{shown(value)} has no unit of time.")
    return pd.Timedelta(value)


def _is_numeric(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_window(window, times, name="window", unit=None):
    """A length of time in the units of the times: Timedelta or number, above 0.

    Parameters
    ----------
    window : str, timedelta or number
        A number is in the units of numeric times; anything else, such as "7D", needs
        times that are dates or durations, or that count a known unit since 1970.
    times : Series
        As :func:`as_times` gives them.
    name : str, default="window"
        Named in error messages.
    unit : {"s", "ms", "us", "ns"}, optional
        What numeric times count, where their column is known to.

    Returns
    -------
    Timedelta, float or int
    """
    numeric = times.dtype.kind in "fiu"
    try:
        if isinstance(window, (bool, np.bool_)):
            raise ValueError
        if numeric:
            length = _in_units(window, times, unit)
        else:
            length = as_span(window)
    except (TypeError, ValueError, OverflowError):
        kind = "a number" if numeric else '"7D" or a Timedelta'
        raise ValueError(
            f"{name}={shown(window)} is no length of time for times of {times.dtype}: "
            f"pass {kind}{_OR_UNIT if numeric else ''}."
        ) from None
    if not length > 0 * length:
        raise ValueError(f"{name} must be above 0, got {shown(window)}.")
    return length


_OR_UNIT = (
    ", in the units of the times, or read them as dates first, for instance with "
    'pd.to_datetime(…, unit="s")'
)


def _in_units(window, times, unit):
    """A window in what numeric times count."""
    try:
        length = float(window)
    except (TypeError, ValueError):
        unit = unit or unit_of(times)
        if unit is None:
            raise
        length = as_span(window) / pd.Timedelta(UNITS[unit], "ns")
    # Whole numbers that float64 can't hold stay whole; a gap of theirs within 2.5 is
    # within 2.
    if times.dtype.kind in "iu" and np.isfinite(length):
        return int(length) if length >= 1 else length
    return length
