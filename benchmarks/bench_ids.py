"""The average effect where only ids stand for half of what confounds.

`make_exposure_log` as the quickstart uses it: features reveal half of the users' and
items' states, both the choice of the arm and the outcome depend on all of them, and on
how user and item go together. Default `CausalDNNRecommender`, 95 % intervals; errors of
the rows' effects with and without the move to the average.

Run ``python benchmarks/bench_ids.py [--logs 50] [--first 70000] [--rows 20 50 100]
[--keep FILE] [--minutes M]``.
"""

import argparse
import time
import warnings

import numpy as np
from many_logs import add_options, run

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import make_exposure_log

warnings.simplefilter("ignore")


def one(outcome, rows, seed, n_users=200, n_items=200):
    """Error, half width, covered, root PEHE, the same unmoved, seconds."""
    log = make_exposure_log(
        n_users * rows,
        n_users=n_users,
        n_items=n_items,
        outcome=outcome,
        random_state=seed,
    )
    start = time.perf_counter()
    model = CausalDNNRecommender(
        user="user",
        item="item",
        task="classification" if outcome == "binary" else "regression",
        random_state=seed,
    ).fit(log.X, log.y, treatment=log.treatment)
    seconds = time.perf_counter() - start
    low, high = model.ate_interval()
    truth, effect = log.effect.mean(), model.effect(log.X)
    unmoved = effect - model.effects_.offset[1]
    pehe = [np.sqrt(np.mean((e - log.effect) ** 2)) for e in (effect, unmoved)]
    covered = low <= truth <= high
    return model.ate() - truth, (high - low) / 2, covered, *pehe, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=50)
    parser.add_argument("--first", type=int, default=70000)
    parser.add_argument("--rows", type=int, nargs="*", default=[20, 50, 100])
    parser.add_argument("--outcomes", nargs="*", default=["binary", "continuous"])
    add_options(parser)
    args = parser.parse_args()
    cells = [(outcome, rows) for outcome in args.outcomes for rows in args.rows]
    seeds = range(args.first, args.first + args.logs)
    done = run(one, cells, seeds, 1, args.keep, args.minutes)
    print(
        "| rows a user | outcome | bias | sd | half width | covered | root PEHE | "
        "unmoved | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for (outcome, rows), logs in done.items():
        found = np.array(logs, float).reshape(-1, 6)
        error, half, covered, pehe, unmoved, seconds = found.mean(0)
        print(
            f"| {rows} | {outcome} | {error:+.4f} | {found[:, 0].std():.4f} | "
            f"{half:.4f} | {covered:.2f} | {pehe:.4f} | {unmoved:.4f} | "
            f"{seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
