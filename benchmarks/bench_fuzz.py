"""The fuzzers, for an hour: inputs of every form at the public surface.

Four surfaces take turns, each with a seed of its own a round. What is found is printed
with the seed and an example. A finding is an error that no line raised for the user, a
result other than the oracle's, NaN where nobody said so, a call that does not return,
an input that was changed, or numpy's global generator moved.

Run ``python benchmarks/bench_fuzz.py [--minutes 60] [--seed 100]``.
"""

import argparse
import time

import torch

from sklearn_causalrec._testing.fuzz.fits import fits
from sklearn_causalrec._testing.fuzz.graphs import graphs
from sklearn_causalrec._testing.fuzz.harness import run
from sklearn_causalrec._testing.fuzz.logs import logs
from sklearn_causalrec._testing.fuzz.metrics import metrics

ROUND = 60  # seconds of each surface


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    end, seed = time.monotonic() + 60 * given.minutes, given.seed
    n_calls, found = 0, {}
    while time.monotonic() < end:
        for surface in (graphs, metrics, logs, fits):
            seconds = min(ROUND, end - time.monotonic())
            fuzzer = run(surface, seed, seconds=seconds)
            n_calls += fuzzer.n_calls
            for signature, (_, example) in fuzzer.findings.items():
                if signature not in found:
                    found[signature] = example
                    print(
                        f"{surface.__name__}, seed {seed}: {signature}\n    {example}"
                    )
        seed += 1
    print(f"{n_calls} calls, {len(found)} findings")


if __name__ == "__main__":
    main()
