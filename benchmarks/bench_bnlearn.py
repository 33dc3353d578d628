"""Effects in discrete networks with hidden nodes, from samples against exact truth.

The networks' tables give the law after any intervention. Nodes are hidden, the graph
is projected, and every identified effect of a node on a later one is estimated from
samples of the rest by `plugin`, whatever its program: root mean squared error over
values of the treatment, effects and samples, the slope of its logarithm in that of the
rows (root-n: -0.5), and how many 95 % intervals of arms' means hold the truth.

Effects whose strata are too many for the fewest rows are left out, and those for which
some sample lacks rows that the program divides by are counted apart.
Run ``python benchmarks/bench_bnlearn.py [--samples N]``.
"""

import argparse
from collections import Counter
from itertools import combinations, product

import numpy as np
import pandas as pd
from test_identification_networks import Network

from sklearn_causalrec import NotIdentifiableError
from sklearn_causalrec._testing.estimation_problems import make_problem
from sklearn_causalrec.causal.estimation.problem import normal_interval
from sklearn_causalrec.causal.estimation.strategies.plug_in import fits_plugin, plugin

ROWS = (1_000, 4_000, 10_000, 40_000)
NETWORKS = ("cancer", "earthquake", "survey", "asia", "sachs")


def draw(network, n, rng):
    """Rows of all nodes, each from its table, causes first."""
    columns = {}
    for v in network.graph.topological_order:
        parents, table = network.tables[v]
        p = table[tuple(columns[a] for a in parents)]
        p = np.broadcast_to(p, (n, table.shape[-1]))
        code = (rng.random((n, 1)) > p.cumsum(1)).sum(1)
        columns[v] = np.minimum(code, table.shape[-1] - 1)
    return pd.DataFrame(columns)


def queries(network, most=3):
    """Identified effects that are not null: graph, outcome, treatment, strategy.

    All with one node hidden; with more hidden, those beyond adjustment.
    """
    seen = set()
    for k in range(1, most + 1):
        for hidden in combinations(network.values, k):
            graph = network.graph.project(hidden)
            for x, y in product(graph.nodes, graph.nodes):
                if x == y or y not in graph.descendants(x):
                    continue
                try:
                    estimand = graph.identify(y, x)
                except NotIdentifiableError:
                    continue
                key = x, y, str(estimand.expression)
                if key in seen or (k > 1 and estimand.strategy == "adjustment"):
                    continue
                seen.add(key)
                yield graph, y, x, estimand.strategy


def truth_of(network, y, x):
    values = np.arange(len(network.values[y]))
    return np.array(
        [network.joint({x: a}, [y]) @ values for a in range(len(network.values[x]))]
    )


def study(name, samples):
    network = Network(name)
    rng = np.random.default_rng([41, NETWORKS.index(name)])
    frames = [[draw(network, n, rng) for _ in range(samples)] for n in ROWS]
    errors, inside, count = {n: [] for n in ROWS}, [], Counter()
    for graph, y, x, strategy in queries(network):
        keep = list(graph.nodes)
        try:
            small = make_problem(graph, frames[0][0][keep], y, x)
            if not fits_plugin(small):
                count["too many strata"] += 1
                continue
            truth = truth_of(network, y, x)
            found = [
                [plugin(make_problem(graph, f[keep], y, x)) for f in group]
                for group in frames
            ]
        except ValueError as error:
            assert "positivity" in str(error), error
            count["rows missing"] += 1
            continue
        if any(len(m.mean) < len(truth) for group in found for m in group):
            count["rows missing"] += 1
            continue
        count[strategy] += 1
        for n, group in zip(ROWS, found):
            for means in group:
                errors[n].append(np.mean((means.mean - truth) ** 2))
                if n == 10_000:
                    se = np.sqrt(np.diag(means.covariance))
                    low, high = normal_interval(means.mean, se, 0.05)
                    inside.append(np.mean((low <= truth) & (truth <= high)))
    rmse = [np.sqrt(np.mean(errors[n])) for n in ROWS]
    slope = np.polyfit(np.log(ROWS), np.log(rmse), 1)[0]
    numbers = "".join(f"{v:9.5f}" for v in rmse)
    print(
        f"{name:11s}{numbers}{slope:8.2f}{np.mean(inside):8.3f}   "
        + ", ".join(f"{k} {v}" for k, v in sorted(count.items())),
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=10)
    options = parser.parse_args()
    print(f"RMSE at {ROWS} rows, slope, coverage at 10,000, effects by strategy")
    for name in NETWORKS:
        study(name, options.samples)
