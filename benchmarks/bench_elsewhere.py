"""Coverage of 95 % intervals of the average effect over rows unlike those of the log.

A log of five features with an effect that is no line, and other rows: fresh ones of the
same kind, moved in one feature by 0.7 and by 1.5 standard deviations, moved in all by
0.5, of less spread, and the mirror image of who was treated. The truth is the mean
effect of these rows. ``users``: the log's rows belong to 100 users, who are treated
whole, and the other rows are of users with other features. Widths are beside the
root mean squared error of the estimate.

Run ``python benchmarks/bench_elsewhere.py [--logs N] [--first SEED] [--n N]
[--estimators ...] [--keep FILE] [--minutes M]``.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from many_logs import add_options, run
from scipy.special import expit

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect

NAMES = list("abcde")
ESTIMATORS = {
    "DoCalculusEffect": DoCalculusEffect,
    "CausalDNNRecommender": CausalDNNRecommender,
}


def effect(x):
    return 0.5 + 0.5 * x[:, 0] + 0.4 * np.maximum(x[:, 1], 0) + 0.3 * x[:, 0] * x[:, 2]


def chance(x):
    return expit(0.8 * x[:, 0] - 0.5 * x[:, 1])


def log(rng, n, users):
    """Features, treatment, outcome, cluster or None."""
    x, own, user = rng.normal(size=(n, 5)), 0.0, None
    if users:
        user = np.repeat(np.arange(100), n // 100)
        x[:, :3] = rng.normal(size=(100, 3))[user]
        own = 0.5 * rng.normal(size=100)[user]
    u = rng.random(100)[user] if users else rng.random(n)
    t = (u < chance(x)).astype(int)
    y = x[:, 0] + 0.5 * np.abs(x[:, 1]) + x[:, 3] + effect(x) * t + own
    return x, t, y + rng.normal(size=n), user


def others(rng, m=1000):
    x = rng.normal(size=(m, 5))
    first = np.array([1.0, 0, 0, 0, 0])
    rare = rng.random(m) > chance(x)
    return {
        "alike": x,
        "one by .7": x + 0.7 * first,
        "one by 1.5": x + 1.5 * first,
        "all by .5": x + 0.5,
        "less spread": 0.4 * x,
        "the untreated": x[rare],
    }


def one(name, users, n, seed):
    """Error, half width and coverage of each kind of other rows."""
    rng = np.random.default_rng([11, seed])
    x, t, y, user = log(rng, n, users == "users")
    model = ESTIMATORS[name](random_state=seed)
    X = pd.DataFrame(x, columns=NAMES)
    if name == "DoCalculusEffect":
        model.set_params(treatment="t")
        model.fit(X.assign(t=t), y, cluster=user)
    else:
        model.fit(X, y, treatment=t, cluster=user)
    found = {}
    for kind, new in others(rng).items():
        frame, truth = pd.DataFrame(new, columns=NAMES), effect(new).mean()
        low, high = model.ate_interval(frame)
        found[kind] = [model.ate(frame) - truth, (high - low) / 2, low <= truth <= high]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=100)
    parser.add_argument("--first", type=int, default=5000)
    parser.add_argument("--n", type=int, nargs="*", default=[2000])
    parser.add_argument("--estimators", nargs="*", default=list(ESTIMATORS))
    add_options(parser)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [
        (e, u, n) for e in args.estimators for u in ("rows", "users") for n in args.n
    ]
    seeds = range(args.first, args.first + args.logs)
    done = run(one, cells, seeds, 1, args.keep, args.minutes)
    print(
        "estimator | log | n | logs | other rows | covered | bias | rmse | half width"
    )
    for cell, results in done.items():
        for kind in results[0] if results else ():
            error, half, covered = np.array([r[kind] for r in results], float).T
            print(
                *cell, len(results), kind, f"{covered.mean():.3f}",
                f"{error.mean():+.3f}",
                f"{np.sqrt((error**2).mean()):.3f}", f"{half.mean():.3f}", sep=" | ",
            )  # fmt: skip


if __name__ == "__main__":
    main()
