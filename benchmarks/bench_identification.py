"""How identification grows with the graph, and the same query asked of y0.

Random ADMGs: a chain, local edges (degree about 2.7), 14 % bidirected. The query is
P(last | do(a node at the first quarter)). Best of several runs, in milliseconds:

- build: from edge lists to `CausalGraph`;
- verdict: `identify`;
- estimand: `identify`, every kernel of the program, the strategy, and the text shown;
- adjustment: the first minimal adjustment set, or that there is none.

Run from the repository root; writes ``benchmarks/identification_growth.png``::

    python benchmarks/bench_identification.py [--y0 /path/to/environment/bin/python]
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from sklearn_causalrec import CausalGraph, NotIdentifiableError

SIZES = (100, 200, 400, 800, 1600, 3200, 5000, 10_000, 20_000)

Y0_WORKER = """
import json, sys, time
from y0.algorithm.identify import identify_outcomes
from y0.dsl import Variable
from y0.graph import NxMixedGraph
sys.setrecursionlimit(100_000)
q = json.load(sys.stdin)
graph = NxMixedGraph.from_str_edges(
    nodes=q["nodes"], directed=q["directed"], undirected=q["bidirected"])
start = time.perf_counter()
found = identify_outcomes(graph, Variable(q["x"]), Variable(q["y"]))
print(time.perf_counter() - start, found is not None)
"""


def admg(n, deg=2.0, bidir=0.15, seed=0):
    """Names, directed and bidirected edges of a graph of the family."""
    r = random.Random(seed)
    names = [f"V{i}" for i in range(n)]
    directed = {
        (names[i], names[j])
        for j in range(n)
        for i in range(max(0, j - 12), j)
        if r.random() < deg / 12
    }
    directed |= {(names[i], names[i + 1]) for i in range(n - 1)}
    bidirected = {
        (names[i], names[min(n - 1, i + 2 + r.randrange(4))])
        for i in range(n)
        if r.random() < bidir and i + 2 < n
    }
    return names, sorted(directed), sorted(bidirected)


def best(action, repeats):
    """Shortest of some runs, in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def measure(n, repeats):
    names, directed, bidirected = admg(n, seed=n)
    y, x = names[-1], names[n // 4]
    row = {"nodes": n, "edges": len(directed) + len(bidirected)}
    row["build"] = best(
        lambda: CausalGraph.from_edges(directed, bidirected, names), repeats
    )
    graph = CausalGraph.from_edges(directed, bidirected, names)

    def verdict():
        try:
            return graph.identify(y, x)
        except NotIdentifiableError:
            return None

    def estimand():
        found = verdict()
        return found and (found.kernels, found.strategy, str(found))

    row["verdict"] = best(verdict, repeats)
    row["estimand"] = best(estimand, repeats)
    row["adjustment"] = best(lambda: next(graph.adjustment_sets(y, x), None), repeats)
    found = verdict()
    row["strategy"] = found.strategy if found else "refused"
    return row


def ask_y0(python, n, limit=300):
    names, directed, bidirected = admg(n, seed=n)
    query = {"nodes": names, "directed": directed, "bidirected": bidirected}
    query |= {"y": names[-1], "x": names[n // 4]}
    try:
        done = subprocess.run(
            [python, "-c", Y0_WORKER], input=json.dumps(query), text=True,
            capture_output=True, timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"over {limit} s"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60]
    seconds, identified = done.stdout.split()
    return f"{float(seconds):.2f} s, {'identified' if identified == 'True' else 'no'}"


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    edges = np.array([row["edges"] for row in rows])
    for key in ("verdict", "estimand", "adjustment"):
        times = np.array([row[key] for row in rows])
        slope, _ = np.polyfit(np.log(edges), np.log(times), 1)
        axes.loglog(edges, times, "o-", label=f"{key}: edges$^{{{slope:.2f}}}$")
        print(f"{key} grows as edges ** {slope:.2f}")
    axes.set(xlabel="edges", ylabel="milliseconds")
    axes.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--y0", help="python of an environment with y0")
    options = parser.parse_args()
    rows = []
    for n in SIZES:
        rows.append(measure(n, options.repeats))
        print(
            "  ".join(
                f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}"
                for k, v in rows[-1].items()
            ),
            flush=True,
        )
    plot(rows, Path(__file__).with_name("identification_growth.png"))
    code = "import time; t = time.perf_counter(); import sklearn_causalrec.causal;"
    code += "print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    print(f"import of the graph side, with numpy and pandas: {done.stdout.strip()} s")
    if options.y0:
        for n in (100, 800):
            print(f"y0, {n} nodes: {ask_y0(options.y0, n)}", flush=True)


if __name__ == "__main__":
    main()
