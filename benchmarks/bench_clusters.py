"""Coverage of 95 % intervals of average effects where rows belong together, or overlap
is poor: default estimators, simulated logs with a known truth.

Designs: treatment by user, by item, by row; effects of their own of users; unequal
sizes; 30 to 300 clusters; and rows that are alone, with poor overlap or a rare arm.
``rows alone`` is the same fit with ``ate_interval(cluster=False)``, and ``peer`` is
DoubleML's IRM with its own clusters (``pip install doubleml``), where it is installed.

Run ``python benchmarks/bench_clusters.py [--logs N] [--first SEED] [--designs ...]
[--estimators ...] [--peer] [--keep FILE] [--minutes M]``.
"""

import argparse
import warnings
from functools import partial

import numpy as np
import pandas as pd
from many_logs import add_options, run
from scipy.special import expit

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect

TRUTH = 1.0


def clustered(rng, n_users=100, size=30, by="user", unequal=False, spread=0.7):
    """Three features of the user, two of the row; users have means of their own."""
    sizes = np.full(n_users, size)
    if unequal:
        sizes = np.maximum(2, (rng.lognormal(0, 0.8, n_users) * size).astype(int))
    user = np.repeat(np.arange(n_users), sizes)
    n = len(user)
    x, z = rng.normal(size=(n_users, 3))[user], rng.normal(size=(n, 2))
    own = spread * rng.normal(size=n_users)[user]
    chance = 0.8 * x[:, 0] - 0.5 * x[:, 1]
    if by == "user":
        t = (rng.random(n_users)[user] < expit(chance)).astype(int)
    else:
        t = (rng.random(n) < expit(chance + 0.3 * z[:, 0])).astype(int)
    effect = TRUTH + 0.5 * x[:, 0] + 0.3 * z[:, 1]
    y = x[:, 0] + 0.5 * np.abs(x[:, 1]) + z[:, 0] + effect * t + own
    X = pd.DataFrame(np.hstack([x, z]), columns=["x0", "x1", "x2", "z0", "z1"])
    return X, t, y + rng.normal(size=n), user


def two_ways(rng, n_users=150, n_items=100, n=3000):
    """The treatment goes by item; users and items have means of their own."""
    user, item = rng.integers(n_users, size=n), rng.integers(n_items, size=n)
    x, z = rng.normal(size=(n_items, 3))[item], rng.normal(size=(n_users, 2))[user]
    chance = expit(0.8 * x[:, 0] - 0.5 * x[:, 1])
    t = (rng.random(n_items)[item] < chance).astype(int)
    own = 0.5 * rng.normal(size=n_items)[item] + 0.5 * rng.normal(size=n_users)[user]
    effect = TRUTH + 0.5 * x[:, 0] + 0.3 * z[:, 1]
    y = x[:, 0] + 0.5 * np.abs(x[:, 1]) + z[:, 0] + effect * t + own
    X = pd.DataFrame(np.hstack([x, z]), columns=["x0", "x1", "x2", "z0", "z1"])
    return X, t, y + rng.normal(size=n), np.column_stack([user, item])


def confounded(rng, n=1500):
    """One confounder: chances of the arm of 0.02 and 0.98 at 2.5 spreads."""
    z = rng.normal(size=n)
    t = (rng.random(n) < expit(1.5 * z)).astype(int)
    y = TRUTH * t + 1.5 * z + rng.normal(size=n)
    return pd.DataFrame({"z": z}), t, y, None


def alone(rng, kind, n=2000):
    """Five features and independent rows."""
    x = rng.normal(size=(n, 5))
    chance = {
        "overlap": 1.8 * x[:, 0] + 1.2 * x[:, 1],
        "rare": -3.4 + 0.8 * x[:, 0] + 0.5 * x[:, 1],
        "lognormal": 0.7 * x[:, 0] - 0.5 * x[:, 1],
    }[kind]
    t = (rng.random(n) < expit(chance)).astype(int)
    noise = rng.lognormal(0, 1.2, n) if kind == "lognormal" else rng.normal(size=n)
    effect = TRUTH + 0.5 * x[:, 0]
    y = np.sin(1.5 * x[:, 0]) + x[:, 1] + 0.5 * x[:, 2] ** 2 + effect * t + noise
    return pd.DataFrame(x, columns=list("abcde")), t, y, None


DESIGNS = {
    "30 users, by user": lambda rng: clustered(rng, 30, 60),
    "50 users, by user": lambda rng: clustered(rng, 50, 40),
    "100 users, by user": lambda rng: clustered(rng, 100, 30),
    "300 users, by user": lambda rng: clustered(rng, 300, 10),
    "1,000 users, by user": lambda rng: clustered(rng, 1000, 3),
    "100 items, by item, two ways": two_ways,
    "100 users, by user, unequal": lambda rng: clustered(rng, 100, 30, unequal=True),
    "100 users, by row": lambda rng: clustered(rng, 100, 30, by="row"),
    "poor overlap": lambda rng: alone(rng, "overlap"),
    "one strong confounder": confounded,
    "one row in 20 treated": lambda rng: alone(rng, "rare"),
    "lognormal noise": lambda rng: alone(rng, "lognormal"),
}


def peer(X, t, y, user, seed):
    """DoubleML's interval with boosted trees, by cluster where there are clusters."""
    import doubleml
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    frame = X.assign(y=y, t=t)
    given = {"y_col": "y", "d_cols": "t", "x_cols": list(X)}
    if user is not None:
        frame, given["cluster_cols"] = frame.assign(user=user), "user"
    np.random.seed(seed)  # noqa: NPY002, DoubleML draws its folds of it
    model = doubleml.DoubleMLIRM(
        doubleml.DoubleMLData(frame, **given),
        HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15),
        HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=6),
        n_folds=5,
    ).fit()
    return float(model.coef[0]), model.confint(level=0.95).to_numpy()[0]


MODELS = {
    "DoCalculusEffect": partial(DoCalculusEffect, effect_model=None),
    "CausalDNNRecommender": CausalDNNRecommender,
}


def one(design, estimators, with_peer, seed):
    """Estimate and intervals of one log, by estimator."""
    warnings.simplefilter("ignore")
    X, t, y, user = DESIGNS[design](np.random.default_rng([17, seed]))
    found = {}
    for name in estimators.split():
        model = MODELS[name](random_state=seed).fit(X, y, treatment=t, cluster=user)
        found[name] = model.ate(), model.ate_interval()
        if user is not None:
            found[f"{name}, rows alone"] = (
                model.ate(),
                model.ate_interval(cluster=False),
            )
    if with_peer:
        found["DoubleML IRM"] = peer(X, t, y, user, seed)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--n_jobs", type=int, default=2)
    parser.add_argument("--estimators", nargs="*", default=list(MODELS))
    parser.add_argument("--peer", action="store_true")
    add_options(parser)
    args = parser.parse_args()
    chosen = " ".join(args.estimators)
    cells = [(design, chosen, args.peer) for design in args.designs]
    seeds = range(args.first, args.first + args.logs)
    done = run(one, cells, seeds, args.n_jobs, args.keep, args.minutes)
    print("| design | estimator | bias | sd | covered | width |")
    print("|---|---|---|---|---|---|")
    for (design, *_), logs in done.items():
        for name in logs[0] if logs else ():
            value = np.array([log[name][0] for log in logs])
            low, high = np.transpose([log[name][1] for log in logs])
            covered = ((low <= TRUTH) & (high >= TRUTH)).mean()
            bias, width = value.mean() - TRUTH, (high - low).mean()
            numbers = f"{bias:.3f} | {value.std():.3f} | {covered:.3f} | {width:.2f}"
            print(f"| {design} | {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
