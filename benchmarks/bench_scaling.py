"""What two processes, checkpoints and databases cost: ratios in one run.

    python benchmarks/bench_scaling.py [rows]

The plan in docs/scaling_out.md has its rates from here. Processes are on this machine
and speak over the loopback, with as many threads as OMP_NUM_THREADS says.
"""

import os
import sys
import tempfile
import time

import numpy as np
import pandas as pd

ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
BATCH = 8192
EPOCHS = 3


def log(ids):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(ROWS, 30)).astype(np.float32)).add_prefix("x")
    if ids:
        X["user"] = rng.integers(100_000, size=ROWS)
        X["item"] = rng.integers(1_000, size=ROWS)
    shown = rng.integers(2, size=ROWS)
    return X, X["x0"].to_numpy() + shown + rng.normal(size=ROWS), shown


def model(ids):
    from sklearn_causalrec import CausalDNNRecommender

    roles = dict(user="user", item="item") if ids else {}
    return CausalDNNRecommender(
        effect_learner="t", max_epochs=EPOCHS, batch_size=BATCH, random_state=0,
        early_stopping=False, hidden_layer_sizes=(128, 64), **roles,
    )  # fmt: skip


def seconds_an_epoch():
    """Of both logs: the fastest epoch, wall and processor, and the losses."""
    from sklearn_causalrec.networks import distributed
    from sklearn_causalrec.networks.net import CausalNet

    used, plain = [], CausalNet.run_single_epoch

    def epoch(self, *args, **kwargs):
        start = time.process_time()
        plain(self, *args, **kwargs)
        used.append(time.process_time() - start)

    CausalNet.run_single_epoch = epoch
    found = {}
    with distributed():
        for ids in (False, True):
            X, y, shown = log(ids)
            used.clear()
            start = time.process_time()
            history = model(ids).fit(X, y, treatment=shown).history_
            rest = time.process_time() - start - sum(used)
            wall = min(record["seconds"] for record in history)
            losses = [record["train_loss"] for record in history]
            found[ids] = wall, min(t for t in used if t > 1e-3), rest, losses
    CausalNet.run_single_epoch = plain
    return found


def of_checkpoints():
    """Seconds and bytes of one checkpoint of the model with ids."""
    from sklearn_causalrec.networks import checkpoints
    from sklearn_causalrec.networks.resumption import Keeper

    times, sizes, plain = [], [], Keeper.write

    def write(self, path, state):
        start = time.perf_counter()
        plain(self, path, state)
        times.append(time.perf_counter() - start)
        sizes.append(path.stat().st_size)

    Keeper.write = write
    X, y, shown = log(True)
    with tempfile.TemporaryDirectory() as folder, checkpoints(folder, every=0):
        model(True).fit(X, y, treatment=shown)
    Keeper.write = plain
    return np.median(times), sizes[-1]


def of_reading():
    """Rows a processor second: Parquet, and the same table from DuckDB, sorted."""
    from sklearn_causalrec.interactions import SQLQuery, write_lists

    X, y, _ = log(True)
    frame, found = X.assign(y=y), {}
    with tempfile.TemporaryDirectory() as folder:
        frame.to_parquet(f"{folder}/log.parquet")
        pd.read_parquet(f"{folder}/log.parquet")  # what loads at first, loads here
        start = time.process_time()
        pd.read_parquet(f"{folder}/log.parquet")
        found["Parquet"] = ROWS / (time.process_time() - start)
        found["bytes a row"] = os.path.getsize(f"{folder}/log.parquet") / ROWS
        os.environ["BENCH_DB"] = f"duckdb://{folder}/log.db"
        write_lists(frame, "log", "BENCH_DB")
        start = time.process_time()
        sum(len(b) for b in SQLQuery("SELECT * FROM log ORDER BY user, x0", "BENCH_DB"))
        found["DuckDB, sorted"] = ROWS / (time.process_time() - start)
    return found


def main():
    from sklearn_causalrec._testing.ranks import run_ranks

    alone = seconds_an_epoch()
    two = run_ranks(__file__, "seconds_an_epoch", seconds=600)
    print(f"{ROWS:,} rows x 30, batch {BATCH}, {os.cpu_count()} processors, load "
          f"{os.getloadavg()[0]:.1f}")  # fmt: skip
    for ids, name in ((False, "no ids"), (True, "100,000 users, 1,000 items")):
        wall, used, rest, losses = alone[ids]
        their_wall, theirs, _, curve = two[0][1][ids]
        apart = np.abs(np.subtract(losses, curve)).max()
        print(f"{name}: an epoch takes {used:.3f} processor seconds alone, and "
              f"{theirs:.3f} in each of two ({theirs / used:.2f}x); wall {wall:.2f}, "
              f"{their_wall:.2f}; losses differ by {apart:.1e}; "
              f"the rest of fit {rest:.2f}")  # fmt: skip
    seconds, size = of_checkpoints()
    print(f"a checkpoint: {seconds * 1e3:.0f} ms, {size / 1e6:.1f} MB")
    for name, value in of_reading().items():
        print(f"{name}: {value:,.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ["BENCH_ROWS"] = sys.argv[1]
        ROWS = int(sys.argv[1])
    main()
