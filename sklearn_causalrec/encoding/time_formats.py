"""How times are written: text, stamps such as 20240131, and numbers since 1970."""

import re
from numbers import Real

import numpy as np
import pandas as pd

# In nanoseconds.
UNITS = {
    "D": 86_400 * 10**9,
    "h": 3_600 * 10**9,
    "min": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
# Numbers from 1990 to 2100 since 1970, in one of these units, can be told from numbers
# in another one: the ranges are a factor of 150 apart.
_FIRST, _LAST = 631_152_000, 4_102_444_800
RANGES = {
    unit: (_FIRST * 10**9 // UNITS[unit], _LAST * 10**9 // UNITS[unit])
    for unit in ("s", "ms", "us", "ns")
}
# Digits of a stamp: YYYYMM, YYYYMMDD, YYYYMMDDHH, …HHMM, …HHMMSS, …milliseconds.
# Six and ten digits may as well be a counter and seconds since 1970.
STAMPS = {8: True, 12: True, 14: True, 17: True, 6: False, 10: False}
_YEARS = (-62_135_596_800e6, 253_402_300_800e6)  # 1 to 9999, in microseconds
_LONGEST = 64  # characters of a text that is a time
_MONTHS = dict(
    zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13))
)
_CLOCK = (
    r"(?:(?:T|[ ,:]\s?)\s?(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2}(?:[.,]\d{1,9})?))?\s?(?P<half>[AP]\.?M\.?)?"
    r"\s?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?$"
)
_MONTH = (
    r"(?P<month>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:[a-z]{0,6}))\.?"
)
_TWO = (r"(?P<a>\d{1,2})", r"(?P<b>\d{1,2})")
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? )?"
_ISO_LEAD = re.compile(r"\d{4}(?:[-/. ]\d|\d{4}|$)")
_FORMS = {
    "year first": rf"(?P<year>\d{{4}})(?P<sep>[-/.]){_TWO[0]}(?P=sep){_TWO[1]}",
    "day and month": rf"{_TWO[0]}(?P<sep>[-/.]){_TWO[1]}(?P=sep)(?P<year>\d{{4}})",
    "short year": r"\d{1,2}(?P<sep>[-/.])\d{1,2}(?P=sep)\d{2}(?=[T ,]|$)",
    "month by name": (
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[-/ ]{_MONTH}[-/ ,]{{1,2}}(?P<year>\d{{4}})"
    ),
    "name of month first": (
        rf"{_WEEKDAY}{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})"
    ),
}  # fmt: skip
_FORMS = {
    form: re.compile(pattern + ("" if form == "short year" else _CLOCK), re.IGNORECASE)
    for form, pattern in _FORMS.items()
}


def shown(value, longest=60):
    """The value as a message quotes it: on one line, not longer than that."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def tidy_text(text):
    """Text without spaces around it, UTC as Z; empty where it is no time's length."""
    text = text.strip() if len(text) <= 10 * _LONGEST else ""
    if len(text) > _LONGEST:
        return ""
    if text[-3:] in ("UTC", "GMT"):
        text = text[:-3].rstrip() + "Z"
    return text[:-1] + "Z" if text[-1:] == "z" else text


def parse_iso(texts):
    """ISO 8601 read as if it were UTC where it names no zone.

    Parameters
    ----------
    texts : ndarray of shape (n,), object
        As from :func:`tidy_text`.

    Returns
    -------
    times : ndarray of shape (n,), datetime64[us]
        NaT where the text is something else.
    zoned : ndarray of shape (n,), bool
    """
    lead = np.fromiter((_ISO_LEAD.match(t) is not None for t in texts), bool)
    times = np.full(len(texts), np.datetime64("NaT"), "datetime64[us]")
    if lead.any():
        parsed = pd.to_datetime(
            pd.Series(texts[lead], dtype=object),
            utc=True,
            format="ISO8601",
            errors="coerce",
        )
        times[lead] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    tails = (text[8:] for text in texts)
    zoned = np.fromiter((t[-1:] == "Z" or "+" in t or "-" in t for t in tails), bool)
    return times, zoned & ~np.isnat(times)


def match_text(text):
    """The form of a date in words or with slashes, and its match.

    Returns
    -------
    form : str or None
        "year first", "day and month", "short year", "month by name", "name of month
        first"; None where the text is no time.
    match : re.Match or None

    Examples
    --------
    >>> match_text("31/12/2024 10:00")[0], match_text("yesterday")[0]
    ('day and month', None)
    """
    for form, pattern in _FORMS.items():
        match = pattern.match(text)
        if match is not None:
            if form == "day and month" and min(int(match["a"]), int(match["b"])) > 12:
                break
            return form, match
    return None, None


def to_iso(form, match, day_first):
    """What was matched, as text in ISO 8601; empty where it can't be one.

    Examples
    --------
    >>> to_iso(*match_text("3/4/2024 1:05 PM"), day_first=True)
    '2024-04-03T13:05:00'
    """
    part = match.groupdict()
    if form == "year first":
        month, day = part["a"], part["b"]
    elif form == "day and month":
        day, month = part["a"], part["b"]
        if not day_first:
            day, month = month, day
    else:
        month, day = _MONTHS[part["month"][:3].lower()], part["day"]
    text = f"{part['year']}-{int(month):02d}-{int(day):02d}"
    if part["hour"] is None:
        return text
    hour = int(part["hour"])
    if part["half"] is not None:
        if not 1 <= hour <= 12:
            return ""
        hour = hour % 12 + (12 if part["half"][0] in "pP" else 0)
    second = (part["second"] or "00").replace(",", ".")
    return f"{text}T{hour:02d}:{part['minute']}:{second}{part['zone'] or ''}"


def unit_of(numbers):
    """The unit since 1970 of numbers that all lie from 1990 to 2100; None else.

    Parameters
    ----------
    numbers : array-like of shape (n,), numbers
        NaN is passed over.

    Returns
    -------
    {"s", "ms", "us", "ns"} or None

    Examples
    --------
    >>> unit_of([1.7e9, 1.8e9]), unit_of([1.7e12]), unit_of([0, 1.7e9])
    ('s', 'ms', None)
    """
    numbers = np.asarray(numbers)
    if numbers.dtype.kind == "f":
        numbers = numbers[np.isfinite(numbers)]
    if len(numbers):
        low, high = numbers.min(), numbers.max()
        for unit, (first, last) in RANGES.items():
            if first <= low and high < last:
                return unit
    return None


def read_stamps(numbers, digits):
    """Numbers such as 20240131 as times.

    Parameters
    ----------
    numbers : ndarray of shape (n,), float64 or int64
    digits : int
        6 (YYYYMM), 8 (YYYYMMDD), 10, 12 or 14 (with hours, minutes, seconds), or 17.

    Returns
    -------
    ndarray of shape (n,), datetime64[us]
        NaT for what is no such stamp of the years 1900 to 2100.

    Examples
    --------
    >>> read_stamps(np.array([20240131, 20240132]), 8).astype(str).tolist()
    ['2024-01-31T00:00:00.000000', 'NaT']
    """
    times = np.full(len(numbers), np.datetime64("NaT"), "datetime64[us]")
    low, high = 1900 * 10 ** (digits - 4), 2101 * 10 ** (digits - 4)
    inside = (numbers >= low) & (numbers < high) & (numbers == np.floor(numbers))
    whole = numbers[inside].astype(np.int64)
    if digits == 6:
        whole, digits = whole * 100 + 1, 8
    whole = whole * 10 ** (17 - digits)
    parts = []
    for size in (1000, 100, 100, 100, 100, 100):
        whole, part = whole // size, whole % size
        parts.append(part)
    milli, second, minute, hour, day, month = parts
    valid = (month >= 1) & (month <= 12) & (day >= 1)
    valid &= (hour < 24) & (minute < 60) & (second < 60)
    month = (np.where(valid, (whole - 1970) * 12 + month - 1, 0)).astype(np.int64)
    first = month.astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (day - 1)
    valid &= date.astype("datetime64[M]") == first
    ms = ((hour * 60 + minute) * 60 + second) * 1000 + milli
    read = date.astype("datetime64[us]") + (1000 * ms).astype("timedelta64[us]")
    read[~valid] = np.datetime64("NaT")
    times[inside] = read
    return times


def since_1970(numbers, unit):
    """Numbers in a unit since 1970 as datetime64[us]; NaT where they are out of range.

    Examples
    --------
    >>> since_1970(np.array([86400.5]), "s").astype(str).tolist()
    ['1970-01-02T00:00:00.500000']
    """
    if numbers.dtype.kind in "iu" and UNITS[unit] < 1000:
        return (numbers // (1000 // UNITS[unit])).astype("datetime64[us]")
    with np.errstate(over="ignore"):
        micro = np.asarray(numbers, float) * (UNITS[unit] / 1000)
    inside = (micro >= _YEARS[0]) & (micro < _YEARS[1])
    times = np.full(len(micro), np.datetime64("NaT"), "datetime64[us]")
    times[inside] = np.round(micro[inside]).astype(np.int64).astype("datetime64[us]")
    return times


def is_number(value):
    """Whether a value is a plain number (and not a truth value)."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def order_of(match):
    """Whether day or month comes first in a date that says it, or "ambiguous"."""
    a, b = int(match["a"]), int(match["b"])
    if a > 12 or b > 12:
        return "day first" if a > 12 else "month first"
    return "ambiguous" if a != b else "either"
