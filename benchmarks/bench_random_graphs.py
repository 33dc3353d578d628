"""Coverage of 95 % intervals over random graphs, by every strategy that applies.

Each log has a graph of its own with 3 to 6 nodes, drawn until its effect is identified:
in turn by adjustment, the front door, a primal fixable treatment or none of these. The
treatment is binary, all other nodes are linear in their parents, in a latent normal
cause for each bidirected edge and in normal noise. So the effect is known exactly: it
is the sum over directed paths of the products of their coefficients. Default models.

Run ``python benchmarks/bench_random_graphs.py [--logs 200] [--first 40000]
[--rows 2000] [--strategies ...] [--n_jobs 2] [--keep FILE] [--minutes M]``.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from many_logs import add_options, run
from scipy.special import expit

from sklearn_causalrec import DoCalculusEffect
from sklearn_causalrec._testing.estimation_problems import identified_query

STRATEGIES = ["adjustment", "sequential", "frontdoor", "primal-fixable", "general"]
CLASSES = ["adjustment", "frontdoor", "primal-fixable", "general"]


def coefficient(rng):
    return rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)


def draw(seed, n):
    """A graph with its query, a log of it, and the effect."""
    rng = np.random.default_rng([13, seed])
    graph, y, x = identified_query(rng, [CLASSES[seed % len(CLASSES)]])
    latent = {v: np.zeros(n) for v in graph.nodes}
    for a, b in sorted(map(sorted, graph.bidirected_edges)):
        common = rng.normal(size=n)
        for v in (a, b):
            latent[v] = latent[v] + coefficient(rng) * common
    values, effect = {}, {}
    for v in graph.topological_order:
        total, moved = latent[v], float(v == x)
        for parent in sorted(graph.parents(v)):
            by = coefficient(rng)
            total = total + by * values[parent]
            moved += by * effect[parent] * (v != x)
        if v == x:
            index = total - total.mean()
            total = (rng.random(n) < expit(index / max(1, index.std()))).astype(int)
        else:
            total = total + rng.normal(size=n)
        values[v], effect[v] = total, moved
    return graph, y, x, pd.DataFrame(values), effect[y]


def one(strategy, n, seed):
    """Error, standard error and whether covered; or why there is none."""
    warnings.simplefilter("ignore")
    graph, y, x, log, truth = draw(seed, n)
    model = DoCalculusEffect(
        graph, treatment=x, outcome=y, strategy=strategy, effect_model=None,
        random_state=seed,
    )  # fmt: skip
    try:
        model.fit(log.drop(columns=y), log[y])
    except ValueError as refusal:
        return str(refusal)
    low, high = model.ate_interval()
    covered = float(low <= truth <= high)
    return [model.ate() - truth, (high - low) / 3.92, covered]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--first", type=int, default=40_000)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--n_jobs", type=int, default=2)
    parser.add_argument("--strategies", nargs="*", default=STRATEGIES)
    add_options(parser)
    args = parser.parse_args()
    cells = [(strategy, args.rows) for strategy in args.strategies]
    seeds = range(args.first, args.first + args.logs)
    done = run(one, cells, seeds, args.n_jobs, args.keep, args.minutes)
    print("| strategy | identified by | graphs | mean error / SE | its sd | covered |")
    print("|---|---|---|---|---|---|")
    for (strategy, _), results in done.items():
        for kind in [*CLASSES, "all"]:
            found = [
                result
                for seed, result in zip(seeds, results)
                if kind in ("all", CLASSES[seed % len(CLASSES)])
                and not isinstance(result, str)
            ]
            if not found:
                continue
            error, se, covered = np.transpose(found)
            z = error / se
            row = f"{len(z)} | {z.mean():.2f} | {z.std():.2f} | {covered.mean():.3f}"
            print(f"| {strategy} | {kind} | {row} |")
        refused = sorted({r.split(".")[0] for r in results if isinstance(r, str)})
        print(f"  {strategy} refused:", *refused, sep="\n    ")


if __name__ == "__main__":
    main()
