"""CPU seconds of an average effect and its interval: DoCalculusEffect and DoubleML.

Adjustment with a treatment of two arms, the same learners of outcome and treatment,
five folds each, one thread. The two take turns, twice a log; the least of each counts.
DoubleML's IRM is the peer (``pip install doubleml``).

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_doubleml.py [--logs 3]``.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from doubleml import DoubleMLData, DoubleMLIRM
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from sklearn_causalrec import DoCalculusEffect

SIZES = [(2_000, 5), (2_000, 50), (20_000, 5), (20_000, 50), (200_000, 5)]
SAME = dict(max_iter=60, early_stopping=False, random_state=0)
OUTCOME = HistGradientBoostingRegressor(**SAME)
TREATMENT = HistGradientBoostingClassifier(**SAME)


def log(n, p, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    t = (rng.random(n) < expit(X[:, 0])).astype(int)
    y = X[:, 0] + np.sin(X[:, 1]) + t + rng.normal(size=n)
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(p)]), t, y


def ours(X, t, y):
    model = DoCalculusEffect(
        outcome_model=clone(OUTCOME), treatment_model=clone(TREATMENT), cv=5,
        random_state=0,
    )  # fmt: skip
    return model.fit(X, y, treatment=t).ate_interval()


def theirs(X, t, y):
    data = DoubleMLData.from_arrays(X.to_numpy(), y, t)
    model = DoubleMLIRM(data, clone(OUTCOME), clone(TREATMENT), n_folds=5)
    return model.fit().confint()


def seconds(work, *given):
    start = time.process_time()
    work(*given)
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| rows × features | ours | DoubleML | ratio |\n|---|---|---|---|")
    for n, p in SIZES:
        took = {ours: [], theirs: []}
        for seed in range(args.logs if n < 100_000 else 1):
            given = log(n, p, seed)
            for work in (ours, theirs, ours, theirs):
                took[work].append(seconds(work, *given))
        a, b = min(took[ours]), min(took[theirs])
        print(f"| {n} × {p} | {a:.2f} s | {b:.2f} s | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()
