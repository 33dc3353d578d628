"""What a fit and its first effects cost, and how good the effects are.

Processor seconds of one thread, `fit` and the first `effect` apart; the root mean
squared error of the effect on fresh rows (root PEHE); whether the interval of the
average effect has the average in it. Logs are simulated, so that the truth is known.

Run from the repository root, with the package that is to be measured on the path::

    python benchmarks/bench_second_stage.py errors before.csv [--seeds 500 510]
    python benchmarks/bench_second_stage.py compare before.csv after.csv
    python benchmarks/bench_second_stage.py waiting [--seeds 500 510]
    python benchmarks/bench_second_stage.py growth 10000 100000 1000000
    python benchmarks/bench_second_stage.py peak [rows]

`compare` prints paired differences and their standard errors, and the ratio of the
sums of seconds. `waiting` is `fit` and `predict` beside those of an estimator without a
second stage, in turns. `growth` fits the exponent between the first and the last size.
`peak` measures memory in a fresh process.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from bench_training import forget_peak, memory
from scipy.special import expit

# rows, features, kind of effect
LOGS = {
    "20k": (20_000, 25, "linear"),
    "20k-bent": (20_000, 25, "bent"),
    "2k": (2_000, 10, "linear"),
    "2k-bent": (2_000, 10, "bent"),
    "500": (500, 5, "linear"),
    "500-bent": (500, 5, "bent"),
    "300": (300, 5, "linear"),
    "12k-binary": (12_000, 10, "binary"),
}
N_NEW = 5_000


def simulated(n, p, effect, seed):
    """A confounded log of two arms, and fresh rows with their true effects."""
    rng = np.random.default_rng([56, seed, n, p])
    X = rng.standard_normal(size=(n + N_NEW, p), dtype=np.float32)
    slopes = (rng.normal(size=p) * 0.3).astype(np.float32)
    few = min(p, 8)
    exposure = np.r_[rng.normal(size=few) * 0.35, np.zeros(p - few)]
    base = X @ slopes + 0.5 * np.sin(2 * X[:, 0]) + 0.5 * np.maximum(X[:, 1], 0)
    e = np.clip(expit(X @ exposure.astype(np.float32) + 0.3 * X[:, 1]), 0.03, 0.97)
    m = min(p, 5)
    truth = 0.5 + X[:, :m] @ (rng.normal(size=m) * 0.15).astype(np.float32)
    if effect == "bent":
        bent = (X[:, 1] > 0.3) * (X[:, 2] > -0.3)
        truth = 0.5 + 0.6 * np.tanh(2 * X[:, 0]) + 0.6 * bent
    t = rng.binomial(1, e)
    if effect == "binary":
        truth = expit(base + truth) - expit(base)
        y = rng.binomial(1, np.where(t, expit(base) + truth, expit(base)))
    else:
        y = base + t * truth + rng.normal(size=len(X))
    return X[:n], y[:n], t[:n], truth[:n], X[n:], truth[n:]


def measure(n, p, effect, seed):
    """One log: seconds and errors, a dict."""
    from sklearn_causalrec import CausalDNNRecommender

    X, y, t, truth, X_new, truth_new = simulated(n, p, effect, seed)
    model = CausalDNNRecommender(random_state=seed)
    start = time.process_time()
    model.fit(X, y, treatment=t)
    model.predict(X_new[:1])
    fitted = time.process_time()
    found = model.effect(X_new)
    done = time.process_time()
    low, high = model.ate_interval()
    lows, highs = model.effect_interval(X_new)
    covered = (lows <= truth_new) & (truth_new <= highs)
    return {
        "fit": fitted - start,
        "effect": done - fitted,
        "both": done - start,
        "pehe": np.sqrt(np.mean((found - truth_new) ** 2)),
        "ate_error": abs(model.ate() - truth.mean()),
        "ate_covered": float(low <= truth.mean() <= high),
        "ate_width": high - low,
        "row_covered": covered.mean(),
        "row_width": (highs - lows).mean(),
    }


def errors(path, names, seeds):
    """A row a log and seed, written to ``path`` as they come."""
    measure(600, 5, "linear", 0)  # the first fit imports what fit imports
    rows = []
    for seed in range(*seeds):
        for name in names:
            rows.append({"log": name, "seed": seed, **measure(*LOGS[name], seed)})
            pd.DataFrame(rows).to_csv(path, index=False)


def compare(before, after):
    """Paired differences with standard errors, ratios of seconds."""
    tables = [pd.read_csv(f).set_index(["log", "seed"]) for f in (before, after)]
    a, b = (table.sort_index() for table in tables)
    both = a.index.intersection(b.index)
    a, b = a.loc[both], b.loc[both]
    for name in a.index.unique("log"):
        x, z = a.loc[name], b.loc[name]
        means = {c: (x[c].mean(), z[c].mean()) for c in ("fit", "effect", "both")}
        ratios = ", ".join(
            f"{c} {u:.2f} -> {v:.2f} s ({v / u:.2f}x)" for c, (u, v) in means.items()
        )
        print(f"{name}, {len(x)} seeds: {ratios}")
        for c in ("pehe", "ate_error", "ate_covered", "ate_width", "row_covered"):
            d = z[c] - x[c]
            error = d.std() / np.sqrt(len(d))
            print(
                f"    {c:12} {x[c].mean():.4f} -> {z[c].mean():.4f}, "
                f"difference {d.mean():+.4f} +- {error:.4f}"
            )


def waiting(seeds):
    """`fit` and `predict`, with a second stage that waits and without one."""
    from sklearn_causalrec import CausalDNNRecommender

    measure(600, 5, "linear", 0)
    seconds = {"stacked": [], "t": []}
    for seed in range(*seeds):
        X, y, t, _, X_new, _ = simulated(*LOGS["20k"], seed)
        turns = list(seconds.items())
        for learner, taken in turns if seed % 2 else turns[::-1]:
            model = CausalDNNRecommender(effect_learner=learner, random_state=seed)
            start = time.process_time()
            model.fit(X, y, treatment=t)
            model.predict(X_new)
            taken.append(time.process_time() - start)
    a, b = (np.array(taken) for taken in seconds.values())
    print(f"stacked {a.mean():.2f} s, t {b.mean():.2f} s: {a.sum() / b.sum():.2f}x")


def growth(sizes):
    """Seconds by the number of rows, and their exponent."""
    measure(600, 5, "linear", 0)
    found = []
    for n in sizes:
        found.append(measure(n, 25, "linear", 0))
        f = found[-1]
        print(
            f"{n:9,} x 25: fit {f['fit']:.1f}, effect {f['effect']:.1f}, "
            f"both {f['both']:.1f} s, root PEHE {f['pehe']:.4f}",
            flush=True,
        )
    if len(sizes) > 1:
        rise = np.log(found[-1]["both"] / found[0]["both"])
        print(f"exponent {rise / np.log(sizes[-1] / sizes[0]):.2f}")


def measured_peak(n, p=50):
    """In a process of its own: bytes at the peak of `fit` and the first `effect`."""
    from sklearn_causalrec import CausalDNNRecommender

    measure(2_000, 5, "linear", 0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p), dtype=np.float32)
    t = rng.random(n, dtype=np.float32) < expit(X[:, 0])
    y = X[:, 1] + t * X[:, 2] + rng.standard_normal(n, dtype=np.float32)
    t = t.astype(np.int8)
    before = memory()[1]
    forget_peak()
    model = CausalDNNRecommender(random_state=0, max_epochs=2)
    model.fit(X, y, treatment=t)
    fitted = memory()[0]
    model.effect(X[:1000])
    return {"data": X.nbytes, "before": before, "fit": fitted, "peak": memory()[0]}


def peak(n):
    """Peak of a fresh process, imports and all, over the bytes of the features."""
    done = subprocess.run(
        [sys.executable, __file__, "measured-peak", str(n)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    m = json.loads(done.stdout.splitlines()[-1])
    for name in ("before", "fit", "peak"):
        print(f"{name}: {m[name] / 1e6:.0f} MB, {m[name] / m['data']:.2f} x the data")


def main():
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what")
    parser.add_argument("given", nargs="*")
    parser.add_argument("--logs", nargs="*", default=list(LOGS))
    parser.add_argument("--seeds", nargs=2, type=int, default=(500, 510))
    o = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    if o.what == "errors":
        errors(o.given[0], o.logs, o.seeds)
    elif o.what == "compare":
        compare(*o.given)
    elif o.what == "waiting":
        waiting(o.seeds)
    elif o.what == "growth":
        growth([int(n) for n in o.given] or [10_000, 100_000, 1_000_000])
    elif o.what == "peak":
        peak(int(o.given[0]) if o.given else 2_000_000)
    elif o.what == "measured-peak":
        print(json.dumps(measured_peak(int(o.given[0]))))
    else:
        parser.error(f"unknown: {o.what}")


if __name__ == "__main__":
    main()
