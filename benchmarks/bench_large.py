"""Peak memory and time of a fit to a log on disk, each in a fresh process.

``python benchmarks/bench_large.py --rows 200000 1000000`` writes parquet folders of so
many rows x 30 float32 features, a treatment and an outcome, fits
``CausalDNNRecommender`` to each, and prints the peak of resident memory beyond that of
the interpreter with its imports. ``--ids`` adds users and items. The effect is known:
it is 1 on average.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PART = 500_000


def write_log(folder, n, n_features, ids):
    """Write the log in parts, none of which is large."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    for start in range(0, n, PART):
        rng = np.random.default_rng(start)
        m = min(PART, n - start)
        X = rng.standard_normal((m, n_features), np.float32)
        t = rng.random(m) < 1 / (1 + np.exp(-0.5 * X[:, 0]))
        y = X[:, 0] + 0.5 * X[:, 1] ** 2 + t * (1 + 0.5 * X[:, 2])
        y = (y + rng.standard_normal(m)).astype(np.float32)
        columns = {f"x{j}": X[:, j] for j in range(n_features)}
        if ids:
            columns["user"] = rng.integers(0, max(n // 50, 10), m)
            columns["item"] = rng.integers(0, 10_000, m).astype(np.int32)
        columns |= {"shown": t.astype(np.int8), "y": y}
        table = arrow.table(columns)
        path = Path(folder, f"part-{start // PART:05d}.parquet")
        parquet.write_table(table, path, row_group_size=100_000)


def peak():
    """Peak of resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit_once(options):
    """Fit in this process, and print what it took as JSON."""
    import pyarrow.dataset  # noqa: F401
    import torch

    from sklearn_causalrec import CausalDNNRecommender

    torch.set_num_threads(1)
    start_peak = peak()
    named = dict(user="user", item="item") if options.ids else {}
    named |= dict(max_epochs=options.epochs, effect_learner=options.learner)
    model = CausalDNNRecommender(**named, random_state=0)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(options.fit, "y", "shown")
    found = dict(
        seconds=time.perf_counter() - wall,
        cpu=time.process_time() - cpu,
        imports=start_peak,
        beyond=peak() - start_peak,
    )
    if options.learner != "t":
        low, high = (float(end) for end in model.ate_interval())
        found |= dict(ate=float(model.ate()), low=low, high=high)
        found |= dict(averaged=len(model.effects_.scores[1]))
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--ids", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learner", default="stacked", help="effect_learner")
    parser.add_argument("--fit", help="fit to this folder, in this process")
    options = parser.parse_args()
    if options.fit:
        return fit_once(options)
    print("rows, MiB beyond imports, bytes a row, CPU s, average effect, its interval")
    for n in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            write_log(folder, n, options.features, options.ids)
            more = ["--ids"] if options.ids else []
            more += ["--epochs", str(options.epochs), "--learner", options.learner]
            done = subprocess.run(
                [sys.executable, __file__, "--fit", folder, *more],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout.splitlines()[-1])
            line = f"{n:>10,} {found['beyond']:8.0f} "
            line += f"{found['beyond'] * 2**20 / n:8.0f} {found['cpu']:8.0f}"
            if "ate" in found:
                line += " {ate:.4f} [{low:.4f}, {high:.4f}] over {averaged:,} rows"
            print(line.format(**found), flush=True)


if __name__ == "__main__":
    main()
