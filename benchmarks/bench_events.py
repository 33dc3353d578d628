"""A million events from the raw table to examples: events a second and peak memory.

The log is that of make_event_log, with its dirt. Each step prints its wall and CPU
time, its rate in events (rows of the raw table) a second of wall time, and by how much
the resident memory rose above what it was before at its highest (Linux only). The last
steps clean the same events from parquet files, part by part, once and four times over.

Run ``python benchmarks/bench_events.py [n_decisions]`` (2,200,000 give 1.1 million
events). Everything runs in one thread but for what pyarrow does.
"""

import gc
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.interactions import (
    HistorySequence,
    PastAggregates,
    build_examples,
    clean_dataset,
    clean_log,
)

KEYS = dict(user="user", item="item", time="time", event="event")
STATUS, REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(name):
    """VmRSS or VmHWM in MB, NaN where there is no /proc."""
    if not STATUS.exists():
        return float("nan")
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) / 1024


@contextmanager
def measured(step, n_events):
    gc.collect()
    pa.default_memory_pool().release_unused()
    if REFS.exists():
        REFS.write_text("5")  # the high-water mark starts anew
    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    yield
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{step:34s} {seconds:7.1f} s {cpu:7.1f} s CPU {n_events / seconds:10,.0f} /s "
        f"{memory('VmHWM') - before:8,.0f} MB",
        flush=True,
    )


def main(n_decisions):
    start = time.perf_counter()
    log = make_event_log(
        n_decisions, n_users=max(n_decisions // 40, 50), n_items=5000, random_state=0
    )
    n, seconds = len(log.events), time.perf_counter() - start
    size = log.events.memory_usage(deep=True).sum() / 2**20
    print(f"{n:,} events ({size:,.0f} MB), {n_decisions:,} decisions: {seconds:.0f} s")
    shown = log.impressions[log.impressions["shown"] == 1]
    options = dict(ranges={"value": (0, 5)}, exposures=shown, conversions="purchase")
    with measured("clean_log", n):
        events, report = clean_log(log.events, **KEYS, **options)
    print(report)
    impressions = log.impressions.assign(
        time=log.impressions["time"].dt.tz_localize(None)
    )
    build = dict(
        **KEYS, outcome="purchase", window="7D", treatment="shown",
        propensity="propensity",
    )  # fmt: skip
    with measured("build_examples", n):
        build_examples(events, impressions, **build)
    with measured("… with tables of users and items", n):
        build_examples(
            events, impressions, **build, users=log.user_table, items=log.item_table
        )
    seen = impressions[impressions["shown"] == 1]
    with measured("… with 2 unexposed rows a moment", n):
        build_examples(events, seen, **build, n_unexposed=2, random_state=0)
    past = PastAggregates(event="event")
    with measured("… with PastAggregates, unchecked", n):
        build_examples(
            events, impressions, **build, features={"past": past}, leak_checks=0
        )
    with measured("… with PastAggregates, 8 checks", n):
        build_examples(events, impressions, **build, features={"past": past})
    with measured("HistorySequence(length=20), padded", n):
        HistorySequence(padded=True).fit(events).transform(events)
    with measured("HistorySequence(length=20), lists", n):
        HistorySequence().fit(events).transform(events)
    del events, impressions, seen
    raw = log.events
    del log, shown, options
    on_disk(raw, report.n_after)


def on_disk(raw, n_kept):
    """Clean files of 1 and 4 times the events, in parts of the same size."""
    options = dict(ranges={"value": (0, 5)}, items=[f"i{i:05d}" for i in range(5000)])
    ids = raw["user"].astype(object)
    for copies in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for copy in range(copies):
                users = ids.str.replace("([uU])", rf"\g<1>{copy}", regex=True)
                raw.assign(user=users).to_parquet(
                    folder / f"{copy}.parquet", row_group_size=50_000
                )
            paths = sorted(folder.glob("*.parquet"))
            step = f"clean_dataset, {copies} file(s)"
            with measured(step, copies * len(raw)):
                parts, _ = clean_dataset(
                    paths, folder / "clean", **KEYS, n_parts=16 * copies, **options
                )
            kept = sum(len(pd.read_parquet(path)) for path in parts)
            print(f"rows kept: {kept:,}, {copies} x {n_kept:,} in memory")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_200_000)
