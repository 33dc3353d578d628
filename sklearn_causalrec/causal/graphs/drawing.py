"""A graph on the page, without any drawing library: causes left, effects right."""

from html import escape

_LIMIT = 80  # nodes beyond which a drawing says less than a sentence
_ROW, _GAP, _LETTER, _MARGIN = 64, 70, 7.5, 10
HEIGHT = 30
# Curves to try: straight, then bent more and more to either side.
_BENDS = (0.0, -0.16, 0.16, -0.3, 0.3, -0.45, 0.45, -0.65, 0.65)
_HIDDEN_BENDS = (0.28, -0.28, 0.42, -0.42, 0.6, -0.6, 0.85, -0.85)


def layers(graph):
    """Nodes by the length of the longest path that leads to them.

    Inside a layer they are ordered by the mean place of their neighbors, which keeps
    most edges from crossing.
    """
    depth = [0] * len(graph)
    for i in range(len(graph)):
        depth[i] = max((depth[p] + 1 for p in graph.parents_of[i]), default=0)
    rows = [[] for _ in range(max(depth, default=-1) + 1)]
    for i, d in enumerate(depth):
        rows[d].append(i)
    place = {i: k for row in rows for k, i in enumerate(row)}

    def mean_place(i):
        near = [*graph.parents_of[i], *graph.children_of[i], *graph.siblings_of[i]]
        return sum(place[j] for j in near) / len(near) if near else place[i]

    for sweep in range(4):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            row.sort(key=mean_place)
            place.update((i, k) for k, i in enumerate(row))
    return rows


class Layout:
    """Where the nodes of a graph stand and how its edges run, in pixels, y downwards.

    Attributes
    ----------
    center, width : list of (float, float) and of float
        Of the box of every node, by number; all boxes are `HEIGHT` high.
    size : (float, float)
        Of the page.
    edges : list of (i, j, hidden, points)
        ``points`` are the start, the control point and the end of a quadratic curve.
    """

    def __init__(self, graph):
        rows = layers(graph)
        tallest = max(map(len, rows), default=1)
        self.width = [
            max(40, 16 + _LETTER * len(str(name))) for name in graph.topological_order
        ]
        self.center, left = [(0.0, 0.0)] * len(graph), 0.0
        for row in rows:
            column = max(self.width[i] for i in row)
            offset = (tallest - len(row)) * _ROW / 2
            for k, i in enumerate(row):
                self.center[i] = (left + column / 2, offset + k * _ROW)
            left += column + _GAP
        self._taken = set()
        directed = [(i, j) for i, heads in enumerate(graph.children_of) for j in heads]
        hidden = [
            (i, j) for i, near in enumerate(graph.siblings_of) for j in near if i < j
        ]
        self.edges = [(i, j, False, self._curve(i, j, _BENDS)) for i, j in directed]
        self.edges += [
            (i, j, True, self._curve(i, j, _HIDDEN_BENDS)) for i, j in hidden
        ]
        self._fit()

    def _curve(self, i, j, bends):
        """The least bent curve that runs through no other node nor along an edge."""
        free = [b for b in bends if (i, j, b) not in self._taken]
        clear = [b for b in free if not self._touched(i, j, b)]
        bend = clear[0] if clear else min(free, key=lambda b: self._touched(i, j, b))
        self._taken.add((i, j, bend))
        (x1, y1), (x2, y2) = self.center[i], self.center[j]
        control = self._control(i, j, bend)
        return (
            _border(x1, y1, *control, self.width[i]),
            control,
            _border(x2, y2, *control, self.width[j]),
        )

    def _control(self, i, j, bend):
        # The control point of a quadratic curve lies beside the middle of the chord.
        (x1, y1), (x2, y2) = self.center[i], self.center[j]
        return (x1 + x2) / 2 + bend * (y2 - y1), (y1 + y2) / 2 - bend * (x2 - x1)

    def _touched(self, i, j, bend):
        """How many points of the curve lie in the box of another node."""
        points = along(self.center[i], self._control(i, j, bend), self.center[j])
        return sum(
            abs(x - cx) < self.width[k] / 2 + 6 and abs(y - cy) < HEIGHT / 2 + 6
            for k, (cx, cy) in enumerate(self.center)
            if k != i and k != j
            for x, y in points
        )

    def _fit(self):
        """Move everything to a page that holds the boxes and the curves, no larger."""
        xs, ys = [], []
        for (x, y), width in zip(self.center, self.width):
            xs += [x - width / 2, x + width / 2]
            ys += [y - HEIGHT / 2, y + HEIGHT / 2]
        for *_, points in self.edges:
            for x, y in along(*points):
                xs.append(x)
                ys.append(y)
        left, top = min(xs, default=0) - _MARGIN, min(ys, default=0) - _MARGIN
        self.size = (
            max(xs, default=0) - left + _MARGIN,
            max(ys, default=0) - top + _MARGIN,
        )
        self.center = [(x - left, y - top) for x, y in self.center]
        self.edges = [
            (i, j, hidden, tuple((x - left, y - top) for x, y in points))
            for i, j, hidden, points in self.edges
        ]


def along(start, control, end, n=24):
    """Points along a quadratic curve."""
    points = []
    for k in range(n + 1):
        s = k / n
        a, b, c = (1 - s) ** 2, 2 * s * (1 - s), s**2
        points.append(
            tuple(a * p + b * q + c * r for p, q, r in zip(start, control, end))
        )
    return points


def svg(graph):
    """The graph as HTML: an SVG drawing, or a sentence where there are many nodes."""
    if len(graph) > _LIMIT:
        return f"<p>{escape(repr(graph))}</p>"
    layout = Layout(graph)
    wide, high = layout.size
    # A marker's id is global to a page: two drawings may share it, being the same.
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" '
        f'height="{high:.0f}" font-family="sans-serif" font-size="13">'
        '<defs><marker id="causal-head" viewBox="0 0 8 8" refX="8" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
        '<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/></marker></defs>'
    ]
    for _, _, hidden, ((x1, y1), (cx, cy), (x2, y2)) in layout.edges:
        style = 'stroke="#34506e"'
        if hidden:
            style = 'stroke="#c0392b" stroke-dasharray="5,4"'
        start = ' marker-start="url(#causal-head)"' if hidden else ""
        parts.append(
            f'<path d="M{x1:.1f},{y1:.1f} Q{cx:.1f},{cy:.1f} {x2:.1f},{y2:.1f}" '
            f'fill="none" {style} marker-end="url(#causal-head)"{start}/>'
        )
    for (x, y), width, name in zip(
        layout.center, layout.width, graph.topological_order
    ):
        parts.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - HEIGHT / 2:.1f}" rx="8" '
            f'width="{width:.1f}" height="{HEIGHT}" fill="#eef3fa" '
            f'stroke="#34506e"/><text x="{x:.1f}" y="{y + 4.5:.1f}" fill="#1b2a3a" '
            f'text-anchor="middle">{escape(str(name))}</text>'
        )
    return "".join([*parts, "</svg>"])


def _border(x, y, towards_x, towards_y, width):
    """Where the line from a node's centre towards a point leaves its box."""
    dx, dy = towards_x - x, towards_y - y
    scale = max(abs(dx) / (width / 2), abs(dy) / (HEIGHT / 2), 1e-9)
    return x + dx / scale, y + dy / scale
