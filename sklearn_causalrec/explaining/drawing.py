"""Pictures of reports as inline SVG: no library, no script, text that can be read."""

from html import escape

import numpy as np

from sklearn_causalrec._utils.tables import like_interval, number

WIDTH, _LABEL, _VALUE, _ROW = 760, 300, 160, 26
INK, BLUE, PALE, GREY = "#1b1b1b", "#1f5fa8", "#a9c7e8", "#8a8a8a"
COLORS = ("#1f5fa8", "#c4622d", "#4c8a3f", "#7a4fa3", "#8a8a8a")


def _short(text, most=42):
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(x, y, text, anchor="start", size=13, color=INK):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
        f'text-anchor="{anchor}">{escape(str(text))}</text>'
    )


def _line(x1, y1, x2, y2, color=INK, width=1.0, dash=""):
    dash = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{color}" stroke-width="{width}"{dash}/>'
    )


def _picture(parts, height, description):
    """The parts as one picture, described for whoever does not see it."""
    told = escape(description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img" aria-label="{told}" width="100%" '
        f'style="max-width:{WIDTH}px"><title>{told}</title>{"".join(parts)}</svg>'
    )


def _ticks(low, high, most=5):
    """Round numbers between two ends."""
    step = 10 ** np.floor(np.log10((high - low) / most))
    for factor in (1, 2, 5, 10):
        if (high - low) / (factor * step) <= most:
            step *= factor
            break
    first = np.ceil(low / step - 1e-9)
    # + 0.0: no "-0"
    last = np.floor(high / step + 1e-9)
    return [float(k * step) + 0.0 for k in np.arange(first, last + 1)]


class _Axis:
    """A horizontal axis from numbers to places in the picture."""

    def __init__(self, values, left, right, zero=True):
        values = np.asarray(list(values), float)
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        gap = (high - low) or max(abs(high), 1.0)
        self.low, self.high = low - 0.04 * gap, high + 0.04 * gap
        self.left, self.right = left, right

    def __call__(self, value):
        share = (np.clip(value, self.low, self.high) - self.low) / (
            self.high - self.low
        )
        return self.left + float(share) * (self.right - self.left)

    def draw(self, y):
        parts = [_line(self.left, y, self.right, y, GREY)]
        for tick in _ticks(self.low, self.high):
            parts.append(_line(self(tick), y, self(tick), y + 4, GREY))
            parts.append(_text(self(tick), y + 17, number(float(tick)), "middle", 11))
        return parts


def intervals(rows, description, axis=""):
    """Numbers with their intervals, one below the other, and a line at zero.

    Parameters
    ----------
    rows : sequence of tuple (label, value, low, high)
        What is drawn.
    description : str
        What the picture shows, for whoever does not see it.
    axis : str, default=""
        What the numbers are.

    Returns
    -------
    str
        The picture.

    Examples
    --------
    >>> from sklearn_causalrec.explaining.drawing import intervals
    >>> intervals([("mail", 0.5, 0.2, 0.8)], "effect of mail")[:4]
    '<svg'
    """
    rows = list(rows)
    bottom = _ROW * len(rows) + 10
    place = _Axis([v for row in rows for v in row[1:]], _LABEL, WIDTH - _VALUE)
    parts = [_line(place(0), 4, place(0), bottom, GREY, 1, "3 3")]
    for k, (label, value, low, high) in enumerate(rows):
        y = _ROW * k + 20
        parts.append(_text(_LABEL - 12, y + 4, _short(label), "end", 11.5))
        told = number(float(value), 2)
        if np.isfinite(low) and np.isfinite(high):
            parts.append(_line(place(low), y, place(high), y, BLUE, 2.5))
            shown = like_interval(value, low=low, high=high)
            told = f"{shown[0]} ({shown[1]} to {shown[2]})"
        parts.append(
            f'<circle cx="{place(value):.1f}" cy="{y}" r="4.5" fill="{BLUE}"/>'
        )
        parts.append(_text(WIDTH - _VALUE + 10, y + 4, told, size=11))
    parts += place.draw(bottom)
    if axis:
        middle = (place.left + place.right) / 2
        parts.append(_text(middle, bottom + 33, axis, "middle", 11, GREY))
    return _picture(parts, bottom + (40 if axis else 24), description)


def bars(rows, description, axis=""):
    """Bars from zero with their intervals; rows as in :func:`intervals`."""
    rows = list(rows)
    bottom = _ROW * len(rows) + 10
    place = _Axis([v for row in rows for v in row[1:]], _LABEL, WIDTH - _VALUE)
    parts = []
    for k, (label, value, low, high) in enumerate(rows):
        y = _ROW * k + 20
        parts.append(_text(_LABEL - 12, y + 4, _short(label), "end", 11.5))
        start, stop = sorted((place(0), place(value)))
        parts.append(
            f'<rect x="{start:.1f}" y="{y - 8}" width="{max(stop - start, 0.5):.1f}" '
            f'height="16" fill="{PALE}"/>'
        )
        if np.isfinite(low) and np.isfinite(high):
            parts.append(_line(place(low), y, place(high), y, BLUE, 1.5))
        told = number(float(value), 2)
        parts.append(_text(WIDTH - _VALUE + 10, y + 4, told, size=11))
    parts += place.draw(bottom)
    if axis:
        middle = (place.left + place.right) / 2
        parts.append(_text(middle, bottom + 33, axis, "middle", 11, GREY))
    return _picture(parts, bottom + (40 if axis else 24), description)


def histograms(groups, description, axis="", n_bins=30, ends=(0.0, 1.0)):
    """How values are spread in several groups, one curve of steps each.

    Parameters
    ----------
    groups : dict of label to ndarray
        The values of each group.
    description : str
        What the picture shows.
    axis : str, default=""
        What the values are.
    n_bins : int, default=30
        The number of bins.
    ends : tuple of float, default=(0.0, 1.0)
        The range of the values.

    Returns
    -------
    str
        The picture.
    """
    top, bottom, left, right = 24, 190, 60, WIDTH - 170
    edges = np.linspace(*ends, n_bins + 1)
    shares = {
        label: np.histogram(values, edges)[0] / max(len(values), 1)
        for label, values in groups.items()
    }
    most = max([share.max() for share in shares.values()], default=1.0) or 1.0
    place = _Axis(ends, left, right, zero=False)
    parts = []
    for k, (label, share) in enumerate(shares.items()):
        color = COLORS[k % len(COLORS)]
        points = [(place(edges[0]), bottom)]
        for j, height in enumerate(share):
            y = bottom - (bottom - top) * height / most
            points += [(place(edges[j]), y), (place(edges[j + 1]), y)]
        points.append((place(edges[-1]), bottom))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="{color}" fill-opacity="0.12" '
            f'stroke="{color}" stroke-width="1.6"/>'
        )
        y = top + 18 * k
        parts.append(_line(right + 12, y - 4, right + 32, y - 4, color, 3))
        parts.append(_text(right + 38, y, _short(label, 18), size=12))
    parts += place.draw(bottom)
    parts.append(_text(left, 14, "share of rows", size=11, color=GREY))
    if axis:
        middle = (left + right) / 2
        parts.append(_text(middle, bottom + 33, axis, "middle", 11, GREY))
    return _picture(parts, bottom + 40, description)
