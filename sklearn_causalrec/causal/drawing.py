"""A graph as SVG, without any drawing library: causes on the left, effects right."""

from html import escape

_LIMIT = 80  # nodes beyond which a drawing says less than a sentence
_ROW, _GAP, _HEIGHT, _LETTER = 64, 70, 30, 7.5


def layers(graph):
    """Nodes by the length of the longest path that leads to them.

    Inside a layer they are ordered by the mean place of their neighbours, which keeps
    most edges from crossing.
    """
    depth = [0] * len(graph)
    for i in range(len(graph)):
        depth[i] = max((depth[p] + 1 for p in graph._pa[i]), default=0)
    rows = [[] for _ in range(max(depth, default=-1) + 1)]
    for i, d in enumerate(depth):
        rows[d].append(i)
    place = {i: k for row in rows for k, i in enumerate(row)}

    def mean_place(i):
        near = [*graph._pa[i], *graph._ch[i], *graph._sib[i]]
        return sum(place[j] for j in near) / len(near) if near else place[i]

    for sweep in range(4):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            row.sort(key=mean_place)
            place.update((i, k) for k, i in enumerate(row))
    return rows


def svg(graph):
    """The graph as HTML: an SVG drawing, or a sentence where there are many nodes."""
    if len(graph) > _LIMIT:
        return f"<p>{escape(repr(graph))}</p>"
    rows = layers(graph)
    tallest = max(map(len, rows), default=1)
    width = [max(40, 16 + _LETTER * len(str(name))) for name in graph._names]
    center, left = {}, 10.0
    for row in rows:
        column = max(width[i] for i in row)
        offset = (tallest - len(row)) * _ROW / 2
        for k, i in enumerate(row):
            center[i] = (left + column / 2, 50 + offset + k * _ROW)
        left += column + _GAP
    # A marker's id is global to a page: two drawings may share it, being the same.
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left - _GAP + 10:.0f}" '
        f'height="{tallest * _ROW + 60:.0f}" font-family="sans-serif" font-size="13">'
        '<defs><marker id="causal-head" viewBox="0 0 8 8" refX="8" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
        '<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/></marker></defs>'
    ]
    for i, heads in enumerate(graph._ch):
        parts += [_edge(center, width, i, j, rows) for j in heads]
    for i, near in enumerate(graph._sib):
        parts += [_edge(center, width, i, j, rows, hidden=True) for j in near if i < j]
    for i, name in enumerate(graph._names):
        x, y = center[i]
        parts.append(
            f'<rect x="{x - width[i] / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" rx="8" '
            f'width="{width[i]:.1f}" height="{_HEIGHT}" fill="#eef3fa" '
            f'stroke="#34506e"/><text x="{x:.1f}" y="{y + 4.5:.1f}" fill="#1b2a3a" '
            f'text-anchor="middle">{escape(str(name))}</text>'
        )
    return "".join([*parts, "</svg>"])


def _edge(center, width, i, j, rows, hidden=False):
    """A line, bent where it would run through other nodes or beside another edge."""
    (x1, y1), (x2, y2) = center[i], center[j]
    bend = 0.28 if hidden else 0.0
    skipped = sum(min(x1, x2) < center[row[0]][0] < max(x1, x2) for row in rows)
    if not hidden and (skipped or x1 == x2):
        bend = -0.16
    # The control point of a quadratic curve lies beside the middle of the chord.
    cx = (x1 + x2) / 2 + bend * (y2 - y1)
    cy = (y1 + y2) / 2 - bend * (x2 - x1)
    x1, y1 = _border(x1, y1, cx, cy, width[i])
    x2, y2 = _border(x2, y2, cx, cy, width[j])
    style = 'stroke="#c0392b" stroke-dasharray="5,4"' if hidden else 'stroke="#34506e"'
    start = ' marker-start="url(#causal-head)"' if hidden else ""
    return (
        f'<path d="M{x1:.1f},{y1:.1f} Q{cx:.1f},{cy:.1f} {x2:.1f},{y2:.1f}" '
        f'fill="none" {style} marker-end="url(#causal-head)"{start}/>'
    )


def _border(x, y, towards_x, towards_y, width):
    """Where the line from a node's centre towards a point leaves its box."""
    dx, dy = towards_x - x, towards_y - y
    scale = max(abs(dx) / (width / 2), abs(dy) / (_HEIGHT / 2), 1e-9)
    return x + dx / scale, y + dy / scale
