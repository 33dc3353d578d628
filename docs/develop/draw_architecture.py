"""Draw who imports whom: python docs/develop/draw_architecture.py

Reads the source of the package and writes ``architecture.svg`` beside this file. The
picture carries the list of its arrows, which ``tests/test_architecture.py`` compares
with the code.
"""

import itertools
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Path2D
from sklearn.isotonic import IsotonicRegression

from sklearn_causalrec._testing.import_graph import (
    module_files,
    read_imports,
    room,
    room_arrows,
)

ESTIMATORS = {"recommender", "do_effect", "policy", "baselines"}
ABOVE = {"explaining", "serving", "privacy", "plot"}
COLORS = {"estimators": "#cfe3f7", "above": "#fde7c8", "rooms": "#eceff1"}
WIDTH, HEIGHT, ROW, GAP = 1.5, 0.5, 1.2, 0.35


def layers(graph):
    """Height of every room: above all that it imports, the estimators on top."""
    height = {}
    for node in reversed(list(nx.topological_sort(graph))):
        below = [height[other] for other in graph.successors(node)]
        height[node] = 1 + max(below, default=0)
    top = 1 + max(h for node, h in height.items() if node not in ESTIMATORS)
    return {n: top if n in ESTIMATORS else height[n] for n in sorted(height)}


def with_bends(graph, height):
    """The same arrows, each cut where it passes a row: (arrow, height) are the cuts."""
    cut = nx.DiGraph()
    cut.add_nodes_from(graph)
    paths = {}
    for a, b in graph.edges:
        bends = [((a, b), h) for h in range(height[a] - 1, height[b], -1)]
        paths[a, b] = [a, *bends, b]
        nx.add_path(cut, paths[a, b])
    return cut, paths


def crossings(cut, rows):
    place = {node: x for row in rows for x, node in enumerate(row)}
    level = {node: y for y, row in enumerate(rows) for node in row}
    return sum(
        level[a] == level[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in itertools.combinations(cut.edges, 2)
    )


def positions(cut, height):
    """Centres of boxes and bends: rows ordered by their neighbours, few crossings."""
    levels = {node: height.get(node) or node[1] for node in cut}
    rows = [
        sorted((n for n in cut if levels[n] == level), key=str)
        for level in sorted({*levels.values()})
    ]
    neighbors = {node: [*cut.successors(node), *cut.predecessors(node)] for node in cut}
    best = [list(row) for row in rows]
    for _ in range(12):
        place = {n: x / len(row) for row in rows for x, n in enumerate(row)}
        for row in rows:
            row.sort(key=lambda n: np.mean([place[m] for m in neighbors[n] or [n]]))
            place.update({n: x / len(row) for x, n in enumerate(row)})
        if crossings(cut, rows) < crossings(cut, best):
            best = [list(row) for row in rows]
    improved = True
    while improved:
        improved = False
        for row in best:
            for i in range(len(row) - 1):
                before = crossings(cut, best)
                row[i : i + 2] = row[i : i + 2][::-1]
                if crossings(cut, best) < before:
                    improved = True
                else:
                    row[i : i + 2] = row[i : i + 2][::-1]
    x, offsets = {}, {}
    for row in best:
        widths = np.array([WIDTH if node in height else 0.0 for node in row])
        starts = np.cumsum(widths + GAP) - widths / 2
        offsets.update(zip(row, starts))
        x.update(zip(row, starts - starts.mean()))
    for _ in range(100):  # each to the mean of its neighbours, in order and apart
        for row in best:
            wanted = [np.mean([x[m] for m in neighbors[n] or row]) for n in row]
            shift = np.array(wanted) - [offsets[n] for n in row]
            shift = IsotonicRegression().fit_transform(range(len(row)), shift)
            x.update((n, offsets[n] + s) for n, s in zip(row, shift))
    return {node: (x[node], levels[node] * ROW) for node in cut}


def draw(path):
    inside, _ = read_imports()
    arrows = room_arrows(inside)
    graph = nx.DiGraph(arrows)
    rooms = {room(name) for name in module_files()} - {"", "_utils", "_testing"}
    graph.add_nodes_from(sorted(rooms))
    height = layers(graph)
    drawn = nx.DiGraph()
    drawn.add_nodes_from(height)
    drawn.add_edges_from(sorted(nx.transitive_reduction(graph).edges))
    cut, paths = with_bends(drawn, height)
    where = positions(cut, height)

    xs, ys = zip(*where.values())
    left, right = min(xs) - WIDTH / 2 - 0.3, max(xs) + WIDTH / 2 + 0.3
    bottom, top = 0, max(ys) + HEIGHT
    figure, ax = plt.subplots(figsize=(right - left, top - bottom + HEIGHT))
    for nodes in paths.values():
        points = np.array([where[node] for node in nodes])
        side = 0.35 * WIDTH
        ends = np.clip(points[[1, -2], 0] - points[[0, -1], 0], -side, side)
        points[[0, -1], 0] += ends
        points[[0, -1], 1] += (-HEIGHT / 2, HEIGHT / 2)
        ax.add_patch(
            FancyArrowPatch(
                path=curve(points),
                arrowstyle="-|>,head_length=5,head_width=2.5",
                color="#607d8b",
                lw=1.2,
            )
        )
    for name in height:
        kind = "estimators" if name in ESTIMATORS else "rooms"
        kind = "above" if name in ABOVE else kind
        box(ax, *where[name], WIDTH, COLORS[kind], name)
    middle, width = (left + right) / 2, right - left - 0.6
    box(ax, middle, bottom, width, "white", "_utils   (every room may import it)")
    ax.set(xlim=(left, right), ylim=(bottom - HEIGHT, top), aspect="equal")
    ax.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    listed = "\n".join(f"{a} -> {b}" for a, b in arrows)
    matplotlib.rcParams["svg.hashsalt"] = "architecture"  # the same bytes every time
    figure.savefig(path, metadata={"Description": listed, "Date": None})
    plt.close(figure)


def curve(points):
    """A path through the points that is vertical at each of them."""
    vertices, codes = [points[0]], [Path2D.MOVETO]
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        step = (ya - yb) / 2
        vertices += [(xa, ya - step), (xb, yb + step), (xb, yb)]
        codes += [Path2D.CURVE4] * 3
    return Path2D(vertices, codes)


def box(ax, x, y, width, color, text):
    style = dict(boxstyle="round,pad=0.02,rounding_size=0.08", fc=color, ec="#455a64")
    corner = (x - width / 2, y - HEIGHT / 2)
    ax.add_patch(FancyBboxPatch(corner, width, HEIGHT, **style))
    ax.text(x, y, text, ha="center", va="center", fontsize=11)


if __name__ == "__main__":
    here = Path(__file__).with_name("architecture.svg")
    draw(sys.argv[1] if len(sys.argv) > 1 else here)
