"""The fuzzers, for an hour or for so many calls: inputs of every form at every surface.

The surfaces take turns, each with a seed of its own a round. What is found is printed
with the seed and an example. A finding is an error that no line raised for the user, a
result other than the oracle's, NaN where nobody said so, a call that does not return,
an input that was changed, or numpy's global generator moved. Memory is read at the end
of each round: what grows from round to round is a leak.

Run ``python benchmarks/bench_fuzz.py [--minutes 60 | --calls 100000] [--seed 100]``.
"""

import argparse
import resource
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

from sklearn_causalrec._testing.fuzz.fits import fits
from sklearn_causalrec._testing.fuzz.graphs import graphs
from sklearn_causalrec._testing.fuzz.harness import run
from sklearn_causalrec._testing.fuzz.logs import logs
from sklearn_causalrec._testing.fuzz.metrics import metrics
from sklearn_causalrec._testing.fuzz.models import models
from sklearn_causalrec._testing.fuzz.tables import tables

ROUND = 60  # seconds of each surface
SHARES = {graphs: 6, metrics: 5, logs: 1, fits: 1, models: 3, tables: 6}  # of calls
PART = 250  # calls of a share in a round


def memory():
    """MiB that this process holds now, and at most so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20, most


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--calls", type=int)
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, seed = time.monotonic(), given.seed
    calls, returned, found = Counter(), Counter(), {}
    while True:
        for surface, share in SHARES.items():
            if given.calls:
                limit = {"calls": min(PART * share, given.calls - calls.total())}
            else:
                left = start + 60 * given.minutes - time.monotonic()
                limit = {"seconds": min(ROUND, left)}
            if min(limit.values()) <= 0:
                break
            fuzzer = run(surface, seed, **limit)
            calls[surface.__name__] += fuzzer.n_calls
            returned[surface.__name__] += fuzzer.n_returned
            for signature, (_, example) in fuzzer.findings.items():
                if signature not in found:
                    found[signature] = example
                    print(
                        f"{surface.__name__}, seed {seed}: {signature}\n    {example}"
                    )
        else:
            now, most = memory()
            took = time.monotonic() - start
            print(
                f"seed {seed}: {calls.total()} calls, {took:.0f} s, {now:.0f} MiB "
                f"({most:.0f} at most)",
                flush=True,
            )
            seed += 1
            continue
        break
    print("| surface | calls | returned |\n|---|---|---|")
    for name, n in calls.items():
        print(f"| {name} | {n} | {returned[name]} |")
    now, most = memory()
    print(f"{calls.total()} calls, {len(found)} findings, {now:.0f} MiB at the end")


if __name__ == "__main__":
    main()
