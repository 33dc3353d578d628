"""Ctrl-C at random moments of fits: what is left of the model that was there before?

Each model is fitted, and fitted again to other data; SIGINT comes at a moment drawn
evenly from the time that the second fit takes. Then every bit of the model has to be
that of before (or, where the signal came after the last step, of the second fit), and
generators, threads and filters of the process have to be as they were.

Run ``python benchmarks/bench_faults.py [--times 200] [--seed 0]``.
"""

import argparse
import copy
import time
import warnings
from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import (
    CausalDNNRecommender,
    CounterfactualPolicy,
    DoCalculusEffect,
)
from sklearn_causalrec._testing.faults import after_an_interrupt
from sklearn_causalrec.baselines import EASE, BlendRecommender, ImplicitALS

SMALL = dict(hidden_layer_sizes=(8,), random_state=0, device="cpu")


def log(seed, n=300):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["user"], X["item"] = rng.integers(0, 30, n), rng.integers(0, 20, n)
    t = rng.integers(0, 2, n)
    return X, (X["a"] + t * (1 + X["b"]) + rng.normal(size=n)).to_numpy(), t


def fits():
    """Estimators, and how each is fitted to a log."""
    ids = dict(user="user", item="item")
    linear = dict(
        outcome_model=LinearRegression(), effect_model=LinearRegression(),
        treatment_model=LogisticRegression(), cv=2, random_state=0,
    )  # fmt: skip

    def plain(model, X, y, t):
        return model.fit(X, y, treatment=t)

    def features(model, X, y, t):
        return model.fit(X[["a", "b"]], y, treatment=t)

    def policy(model, X, y, t):
        return model.fit(X[["a", "b"]], y, treatment=t, propensity=np.full(len(y), 0.5))

    def positives(model, X, y, t):
        return model.fit(X[["user", "item"]])

    def further(model, X, y, t):
        if not hasattr(model, "arms_"):
            return model.fit(X, y, treatment=t)
        return model.partial_fit(X, y, treatment=t)

    deep = CausalDNNRecommender(max_epochs=4, n_folds=2, **ids, **SMALL)
    heads = CausalDNNRecommender(max_epochs=8, effect_learner="t", **ids, **SMALL)
    return {
        "CausalDNNRecommender": (deep, plain),
        "CausalDNNRecommender, heads": (heads, plain),
        "CausalDNNRecommender.partial_fit": (heads, further),
        "CounterfactualPolicy": (CounterfactualPolicy(max_epochs=8, **SMALL), policy),
        "DoCalculusEffect": (DoCalculusEffect(**linear), features),
        "EASE": (EASE(**ids), positives),
        "ImplicitALS": (ImplicitALS(n_factors=4, random_state=0, **ids), positives),
        "BlendRecommender": (BlendRecommender(random_state=0, **ids), positives),
    }


def _again(fit, model):
    return fit(model, *log(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng, table = np.random.default_rng(options.seed), fits()
    counts = {name: Counter() for name in table}
    names = [list(table)[k % len(table)] for k in range(options.times)]
    fitted, seconds = {}, {}
    for name, (model, fit) in table.items():
        fitted[name] = fit(model, *log(0))
        start = time.perf_counter()
        fit(copy.deepcopy(fitted[name]), *log(1))
        seconds[name] = time.perf_counter() - start
    for name in names:
        fit = table[name][1]
        delay = rng.uniform(0, seconds[name])
        found = after_an_interrupt(fitted[name], partial(_again, fit), delay)
        counts[name][found] += 1
    kinds = ["old", "new", "over", "broken", "broken process"]
    print(f"| fit | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for name, found in counts.items():
        print(f"| {name} | {' | '.join(str(found[kind]) for kind in kinds)} |")
    print(f"{options.times} signals, seed {options.seed}")


if __name__ == "__main__":
    main()
