"""Frames as text and as HTML, numbers as one would write them."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd

WIDTH = 88


def number(value: Any, digits: int = 4) -> str:
    """A number as one would write it: few digits, no rounding noise, no padding.

    Examples
    --------
    >>> from sklearn_causalrec._utils.tables import number
    >>> [number(v) for v in (0.123456, 12345.678, 2e-9, 3, float("nan"), True, "yes")]
    ['0.1235', '12,346', '2e-09', '3', '', 'yes', 'yes']
    """
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return ""
        if abs(value) >= 10**digits and np.isfinite(value):
            return f"{value:,.0f}"
        return f"{value:.{digits}g}"
    return "" if value is None else str(value)


def like_interval(*values: float, low: float, high: float) -> list[str]:
    """Numbers as exact as their interval makes sense of, its two ends last.

    All have as many decimals as give half of the interval's width two digits: what
    lies beyond is noise. An end that is not zero is not written as zero.

    Parameters
    ----------
    *values : float
        The numbers.
    low, high : float
        The interval.

    Returns
    -------
    list of str
        The values, ``low`` and ``high``.

    Examples
    --------
    >>> from sklearn_causalrec._utils.tables import like_interval
    >>> like_interval(0.075312, low=0.027136, high=0.123488)
    ['0.075', '0.027', '0.123']
    >>> like_interval(1794.34, low=550.57, high=3038.11)
    ['1,800', '600', '3,000']
    """
    half = (high - low) / 2
    numbers = [float(v) for v in (*values, low, high)]
    if not (np.isfinite(half) and half > 0 and np.isfinite(numbers).all()):
        return [number(v, 2) for v in numbers]
    decimals = 1 - int(np.floor(np.log10(half)))
    if not -12 < decimals <= 6:  # a person writes these in powers of ten
        return [f"{v:.2g}" for v in numbers]
    for _ in range(2):
        if any(v and not round(v, decimals) for v in (low, high)):
            decimals += 1
    rounded = [round(v, decimals) + 0.0 for v in numbers]  # no "-0"
    shown = [f"{v:,.{max(decimals, 0)}f}" for v in rounded]
    while all("." in text and text.endswith("0") for text in shown):
        shown = [text[:-1].rstrip(".") for text in shown]
    return shown


def column_text(column: pd.Series) -> list[str]:
    """The cells of a column: numbers of a like size with as many decimals each."""
    cells = [number(v) for v in column]
    if not pd.api.types.is_float_dtype(column):
        return cells
    values = np.asarray(column, float)
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    if not 1e-3 <= largest < 1e4 or (np.mod(values, 1) == 0).all():
        return cells
    decimals = max(0, 3 - max(int(np.floor(np.log10(largest))), -1))
    plain = [f"{v:.{decimals}f}" for v in values]
    return [
        cell if v == 0 or not np.isfinite(v) or float(p) == 0 else p
        for cell, p, v in zip(cells, plain, values)
    ]


def text_table(frame: pd.DataFrame, width: int = WIDTH, indent: int = 0) -> str:
    """A frame as lines of text, long texts wrapped, numbers to the right.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec._utils.tables import text_table
    >>> table = pd.DataFrame({"p": [0.25, 0.5]}, index=pd.Index(["a", "b"], name="arm"))
    >>> print(text_table(table))
    arm       p
    a    0.2500
    b    0.5000
    """
    heads = [_index_name(frame), *map(str, frame.columns)]
    columns = [_labels(frame), *(column_text(frame[c]) for c in frame.columns)]
    right = [False, *map(_is_numeric, (frame[c] for c in frame.columns))]
    if not heads[0] and isinstance(frame.index, pd.RangeIndex):
        heads, columns, right = heads[1:], columns[1:], right[1:]
    needed = [max(map(len, [h, *c])) for h, c in zip(heads, columns)]
    # Narrow first what is widest, never a number: digits cut apart can't be read.
    room = width - indent - 2 * (len(needed) - 1)
    given = list(needed)
    while sum(given) > room:
        wide = [k for k in range(len(given)) if not right[k] and given[k] > 12]
        if not wide:
            return _stacked(heads, columns, width, indent)
        given[max(wide, key=given.__getitem__)] -= 1
    lines = []
    for row in [heads, *zip(*columns)] if any(heads) else zip(*columns):
        cells = [_wrap(cell, w) for cell, w in zip(row, given)]
        for k in range(max(map(len, cells))):
            parts = [
                (c[k] if k < len(c) else "").rjust(w)
                if r
                else (c[k] if k < len(c) else "").ljust(w)
                for c, w, r in zip(cells, given, right)
            ]
            lines.append(" " * indent + "  ".join(parts).rstrip())
    return "\n".join(lines)


def _stacked(heads, columns, width, indent):
    """One record below the other, for tables with more columns than the page."""
    out = []
    for row in zip(*columns):
        parts = [f"{h} {c}" if h else c for h, c in zip(heads, row) if c]
        out.append(
            textwrap.fill(
                ", ".join(parts),
                width,
                initial_indent=" " * indent,
                subsequent_indent=" " * (indent + 2),
            )
        )
    return "\n".join(out)


def _wrap(cell, width):
    lines = [
        part for line in cell.split("\n") for part in textwrap.wrap(line, width) or [""]
    ]
    return lines or [""]


def _index_name(frame):
    names = [str(n) for n in frame.index.names if n is not None]
    return ", ".join(names)


def _labels(frame):
    return [
        ", ".join(map(number, label)) if isinstance(label, tuple) else number(label)
        for label in frame.index
    ]


def _is_numeric(column):
    return pd.api.types.is_numeric_dtype(column) and column.dtype != bool


def html_table(frame: pd.DataFrame) -> str:
    """A frame as an HTML table, its numbers as in text."""
    shown = pd.DataFrame(
        {c: column_text(frame[c]) for c in frame.columns},
        index=pd.Index(_labels(frame), name=_index_name(frame) or None),
    )
    plain = not _index_name(frame) and isinstance(frame.index, pd.RangeIndex)
    return shown.to_html(index=not plain, border=0, escape=True)
