"""`build_examples` and `PastAggregates` beside the same joins written in polars.

Five million events of users and items whose ids are text, half as many decisions. Both
sides get the frames of their own library, in the same order, and give the same numbers,
which is checked. Every timing is a process of its own; sides take turns, and the median
is shown, with the peak of the resident memory, imports and the tables included.

    python benchmarks/bench_past_joins.py [--events N] [--rounds R]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KEYS = dict(user="user", item="item", time="time")
DAY = 86_400_000_000  # microseconds
LIBRARIES = ("ours", "polars")


def write_tables(folder, n):
    """Events and decisions of n / 20 users on 5,000 items over 60 days, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    start = 1_700_000_000 * 1_000_000

    def table(m):
        users = rng.integers(0, n // 20, m)
        items = (5000 * rng.random(m) ** 2).astype(int)
        at = np.sort(start + rng.integers(0, 60 * DAY // 1_000_000, m) * 1_000_000)
        return {
            "user": pa.array(np.char.mod("u%07d", users)),
            "item": pa.array(np.char.mod("i%05d", items)),
            "time": pa.array(at, pa.timestamp("us")),
        }

    kind = pa.array(np.array(["view", "click", "purchase"])[rng.integers(0, 3, n)])
    value = pa.array(rng.integers(1, 6, n).astype(float))
    events = {**table(n), "event": kind, "value": value}
    shown = table(n // 2)
    # Half of the decisions meet an event of their user and item within the window.
    near = rng.choice(n, n // 4, replace=False)
    columns = {k: v.to_numpy(zero_copy_only=False) for k, v in shown.items()}
    for name in ("user", "item"):
        source = events[name].to_numpy(zero_copy_only=False)
        columns[name][: n // 4] = source[near]
    happened = events["time"].to_numpy()[near]
    lag = rng.integers(0, 8 * 86_400, n // 4).astype("timedelta64[s]")
    columns["time"] = columns["time"].copy()
    columns["time"][: n // 4] = happened - lag
    # Not twice the same decision, and in the order of time.
    seconds = columns["time"].astype("datetime64[s]").astype(np.int64)
    order = np.argsort(seconds, kind="stable")
    shown = {k: v[order] for k, v in columns.items()}
    shown["shown"] = rng.integers(0, 2, n // 2)
    frame = pa.table({**{k: pa.array(v) for k, v in shown.items()}})
    frame = frame.group_by(["user", "item", "time"], use_threads=False).aggregate(
        [("shown", "min")]
    )
    frame = frame.rename_columns(["user", "item", "time", "shown"]).sort_by("time")
    pq.write_table(pa.table(events), folder / "events.parquet")
    pq.write_table(frame, folder / "decisions.parquet")


def ours(folder, what):
    import pandas as pd

    from sklearn_causalrec.interactions import PastAggregates, build_examples

    events = pd.read_parquet(folder / "events.parquet")
    decisions = pd.read_parquet(folder / "decisions.parquet")
    yield
    if what == "build_examples":
        made = build_examples(
            events, decisions, **KEYS, event="event", outcome="purchase", window="7D",
            treatment="shown", incomplete="keep",
        )  # fmt: skip
        yield made["outcome"].fillna(-1).to_numpy()
    else:
        past = PastAggregates(value="value", smoothing=0.0)
        yield past.fit(events).transform(decisions)


def polars(folder, what):
    import polars as pl

    events = pl.read_parquet(folder / "events.parquet")
    decisions = pl.read_parquet(folder / "decisions.parquet")
    yield
    yield (
        _examples(events, decisions)
        if what == "build_examples"
        else (_aggregates(events, decisions))
    )


def _examples(events, decisions):
    """The events in the window after each decision, by a join and a sum over it."""
    import polars as pl

    window = pl.duration(days=7)
    bought = events.filter(pl.col("event") == "purchase").select(
        "user", "item", then="time"
    )
    rows = decisions.sort("time", maintain_order=True).with_row_index()
    met = (
        rows.join(bought, on=["user", "item"])
        .filter(pl.col("then").is_between(pl.col("time"), pl.col("time") + window))
        .group_by("index")
        .agg(pl.lit(1.0).alias("outcome"))
    )
    end = max(events["time"].max(), decisions["time"].max())
    out = rows.join(met, on="index", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("time") + window <= end)
        .then(pl.col("outcome").fill_null(0.0))
        .otherwise(-1.0)
        .alias("outcome"),
        sample_weight=1.0,
    )
    return out["outcome"].to_numpy()


def _aggregates(events, decisions):
    """Running sums of users and items, and the last of them before each decision."""
    import polars as pl

    rows = decisions.with_row_index().sort("time", maintain_order=True)
    log = events.sort("time", maintain_order=True).select(
        "user", "item", "time", "value"
    )
    start = log["time"][0]
    everyone = log.select(
        "time", all_n=pl.int_range(1, pl.len() + 1), all_sum=pl.col("value").cum_sum()
    )
    out = rows.join_asof(everyone, on="time", allow_exact_matches=False)
    overall = (pl.col("all_sum") / pl.col("all_n")).fill_null(0.0)
    columns = []
    for by in ("user", "item"):
        running = log.select(
            by,
            "time",
            pl.col("time").alias(f"{by}_last"),
            pl.int_range(1, pl.len() + 1).over(by).alias(f"{by}_n"),
            pl.col("value").cum_sum().over(by).alias(f"{by}_sum"),
        )
        out = out.join_asof(
            running, on="time", by=by, allow_exact_matches=False, check_sortedness=False
        )
        n, total = pl.col(f"{by}_n"), pl.col(f"{by}_sum")
        since = pl.col("time") - pl.col(f"{by}_last").fill_null(start)
        columns += [
            n.fill_null(0).cast(pl.Float64),
            (total / n).fill_null(overall).alias(f"{by}_mean"),
            (since.dt.total_microseconds() / DAY).clip(0.0).alias(f"{by}_since"),
        ]
    return out.select("index", *columns).sort("index").drop("index").to_numpy()


def one(side, what, folder):
    """Run in a process of its own: seconds, megabytes; the numbers into a file."""
    work = {"ours": ours, "polars": polars}[side](Path(folder), what)
    next(work)
    start, cpu = time.perf_counter(), time.process_time()
    made = next(work)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # Not of getrusage: that of a child begins with the peak of its parent.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    np.save(Path(folder) / f"{side}.npy", made)
    print(seconds, cpu, peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(*asked.one)
    threads = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), asked.events)
        print(f"{asked.events:,} events, {asked.events // 2:,} decisions, one thread")
        for what in ("build_examples", "PastAggregates"):
            found = {side: [] for side in LIBRARIES}
            for _ in range(asked.rounds):
                for side in LIBRARIES:
                    command = [sys.executable, __file__, "--one", side, what, folder]
                    done = subprocess.run(
                        command, env={**os.environ, **threads}, check=True,
                        capture_output=True, text=True,
                    )  # fmt: skip
                    found[side].append(done.stdout.split())
            medians = {}
            for side, rows in found.items():
                medians[side] = np.median(
                    [[float(v) for v in row] for row in rows], axis=0
                )
                wall, cpu, peak = medians[side]
                print(
                    f"{what:15s} {side:7s} {wall:7.2f} s {cpu:7.2f} s CPU "
                    f"{peak:8,.0f} MB",
                    flush=True,
                )
            made = [np.load(Path(folder) / f"{side}.npy") for side in LIBRARIES]
            np.testing.assert_allclose(*made, rtol=1e-9, atol=1e-9)
            ratio = medians["ours"] / medians["polars"]
            print(
                f"{what:15s} ratio   {ratio[0]:7.2f}   {ratio[1]:7.2f}     "
                f"{ratio[2]:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
