"""Encoders of histories: does reading the order pay, and at what rate.

``python benchmarks/bench_sequences.py order [--seeds 10]``: `make_sequence_log` with
all of the match in the order, and with none; 6,000 rows to fit and 3,000 to judge. Root
mean squared error of the outcome if shown and of the effect (root PEHE), both against
the truth, of the networks alone (``effect_learner="t"``), all other settings at their
defaults. Beside it the networks without the history.

``python benchmarks/bench_sequences.py rate [--events 1000000]``: a log of that many
events to histories of 20 items (`HistorySequence`), encoded and trained on for one
epoch, each encoder in a process of its own: events a second, and the peak of memory.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import make_sequence_log
from sklearn_causalrec.interactions import HistorySequence

ENCODERS = ("dnn", "lstm", "gru", "transformer")
ROLES = dict(user="user", item="item", time="time")
HISTORY = ["history", "history_gaps"]


def rmse(found, truth):
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def one_log(order, seed):
    log = make_sequence_log(9_000, order=order, random_state=seed)
    judged = np.arange(9_000) % 3 == 0
    errors = {}
    for encoder in ("no history", *ENCODERS):
        X = log.X
        model = CausalDNNRecommender(**ROLES, effect_learner="t", random_state=0)
        if encoder == "no history":
            X = X.drop(columns=HISTORY)
        else:
            model.set_params(history=HISTORY, encoder=encoder)
        model.fit(X[~judged], log.y[~judged], treatment=log.treatment[~judged])
        errors[encoder] = {
            "outcome": rmse(model.predict(X[judged]), log.mu1[judged]),
            "effect": rmse(model.effect(X[judged]), log.effect[judged]),
        }
    return pd.DataFrame(errors).stack()


def compare(seeds):
    for order in (1.0, 0.0):
        found = pd.DataFrame([one_log(order, seed) for seed in seeds])
        table = found.agg(["mean", "std"]).T.unstack(0).swaplevel(axis=1)
        print(f"\norder={order}: error, mean and sd of {len(seeds)} logs")
        print(table.sort_index(axis=1).round(3).to_string())
        for kind in ("outcome", "effect"):
            for encoder in ENCODERS[1:]:
                ratio = found[kind, encoder] / found[kind, "dnn"]
                wins = int((ratio < 1).sum())
                error = ratio.std() / len(seeds) ** 0.5
                print(
                    f"{kind}: {encoder} / dnn {ratio.mean():.3f} (se {error:.3f}), "
                    f"better on {wins} of {len(seeds)}",
                    flush=True,
                )


def measure(encoder, n_events, out):
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "user": rng.integers(0, n_events // 50, n_events),
            "item": rng.integers(0, 10_000, n_events),
            "time": np.sort(rng.uniform(0, 365, n_events)),
        }
    )
    y, t = rng.normal(size=n_events), rng.integers(0, 2, n_events)
    start = time.perf_counter()
    past = HistorySequence(length=20).fit(events).transform(events)
    made = time.perf_counter()
    X = pd.concat([events, past], axis=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = CausalDNNRecommender(
        **ROLES,
        history=HISTORY,
        history_length=20,
        encoder=encoder,
        effect_learner="t",
        max_epochs=1,
        random_state=0,
    )
    model.fit(X, y, treatment=t)
    fitted = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model.predict(X)
    done = time.perf_counter()
    epoch = model.history_[-1]["seconds"]
    out.put((made - start, fitted - made, epoch, done - fitted, before, peak))


def rates(n_events):
    print("encoder      histories  fit, one epoch  the epoch  predict  events/s  MiB")
    context = multiprocessing.get_context("spawn")
    for encoder in ENCODERS:
        out = context.Queue()
        process = context.Process(target=measure, args=(encoder, n_events, out))
        process.start()
        made, fit, epoch, predict, before, peak = out.get()
        process.join()
        print(
            f"{encoder:12s} {made:8.1f} s {fit:13.1f} s {epoch:8.1f} s "
            f"{predict:6.1f} s {n_events / epoch:9,.0f}  "
            f"{before:,.0f} with the frame, {peak:,.0f} at most",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["order", "rate"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=700)
    parser.add_argument("--events", type=int, default=1_000_000)
    args = parser.parse_args()
    if args.what == "rate":
        rates(args.events)
    else:
        torch.set_num_threads(1)
        compare(range(args.first, args.first + args.seeds))


if __name__ == "__main__":
    main()
