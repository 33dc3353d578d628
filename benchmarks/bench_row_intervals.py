"""Do the intervals of single rows cover the true effects of fresh rows?

Nominal coverage is 95 %. Each design draws a new world a log. The table has the share
of fresh rows covered, also in each fifth of the true effect (the lowest first), the
share of logs below 0.90, and the mean width beside the standard deviation of the effect
and the root mean squared error. The bar: 0.90 on average, no fifth below 0.80.

``ids``: 300 users x 150 items, 6,000 rows, features that reveal half of what users and
items are; fresh pairs of the same users and items. `CausalDNNRecommender` reads the
ids. `DoCalculusEffect` reads the features, and the ids as clusters only; its truth is
the same: the effect of the pair, not the mean effect given the features.
``offsets``: users and items differ in the effect by normal offsets.
``ihdp``: 672 rows, 25 covariates of IHDP's shape (6 continuous, 19 binary), 19 %
treated, response surface B of Hill (2011), fresh rows of the same kind.
``nonlinear``, ``linear``: 5,000 rows of 25 features, see `bench_effects.py`.

Run ``python benchmarks/bench_row_intervals.py [designs] [--logs N] [--first-seed S]
[--keep FILE] [--minutes M]``.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from bench_effects import simulated_log
from many_logs import add_options, run
from scipy.special import expit

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect
from sklearn_causalrec.datasets import make_exposure_log

IDS = ["user", "item"]
N_NEW = 2_000
N_USERS, N_ITEMS = 300, 150


def exposure(seed, **options):
    """`make_exposure_log` and fresh pairs of its users and items."""
    log = make_exposure_log(
        6_000, n_users=N_USERS, n_items=N_ITEMS, random_state=seed, **options
    )
    rng = np.random.default_rng([7, seed])
    user, item = rng.integers(N_USERS, size=N_NEW), rng.integers(N_ITEMS, size=N_NEW)
    X_new = log.world.features(user, item)[log.X.columns]
    truth = log.counterfactual(user, item).effect
    return log.X, log.y, log.treatment, X_new, truth


def named(F):
    return pd.DataFrame(F, columns=[f"x{j}" for j in range(F.shape[1])])


def cut(n, X, y, t, truth):
    return X[:n], y[:n], t[:n], X[n:].reset_index(drop=True), truth[n:]


def offsets(seed, n=6_000):
    """Offsets of users and items in the outcome, the treatment and the effect."""
    rng = np.random.default_rng([23, seed])
    m = n + N_NEW
    user, item = rng.integers(N_USERS, size=m), rng.integers(N_ITEMS, size=m)
    F = np.hstack(
        [rng.normal(size=(N_USERS, 4))[user], rng.normal(size=(N_ITEMS, 4))[item]]
    )
    a, c = rng.normal(size=(2, N_USERS))
    b, d = rng.normal(size=(2, N_ITEMS))
    base = 0.5 * F[:, 0] + 0.5 * np.tanh(F[:, 4]) + 0.5 * c[user] + 0.5 * d[item]
    truth = 0.5 + 0.4 * F[:, 1] + 0.4 * F[:, 5] + 0.5 * a[user] + 0.3 * b[item]
    t = rng.binomial(1, expit(0.5 * F[:, 0] + 0.4 * c[user]))
    X = named(F).assign(user=user, item=item)
    return cut(n, X, base + t * truth + rng.normal(size=m), t, truth)


def ihdp(seed, n=672):
    """Response surface B of Hill (2011) on made covariates of IHDP's shape."""
    rng = np.random.default_rng([29, seed])
    m = n + N_NEW
    loadings = 0.3 * rng.normal(size=(25, 5))
    X = rng.normal(size=(m, 5)) @ loadings.T + rng.normal(size=(m, 25))
    X /= np.sqrt((loadings**2).sum(1) + 1)
    X[:, 6:] = X[:, 6:] > np.linspace(-1.2, 1.2, 19)
    drawn = rng.normal(size=25) * 0.3
    levels = np.linspace(-5, 3, 161)
    shares = expit((X - X.mean(0)) @ drawn + levels[:, None]).mean(1)
    level = levels[np.abs(shares - 0.19).argmin()]
    t = rng.binomial(1, expit((X - X.mean(0)) @ drawn + level))
    slopes = rng.choice([0, 0.1, 0.2, 0.3, 0.4], p=[0.6, 0.1, 0.1, 0.1, 0.1], size=25)
    control, treated = np.exp((X + 0.5) @ slopes), X @ slopes
    truth = treated - control
    shift = 4 - truth[t == 1].mean()
    y = np.where(t == 1, treated + shift, control) + rng.normal(size=m)
    return cut(n, named(X), y, t, truth + shift)


def features(seed, effect):
    X, y, t, _, X_new, truth, _ = simulated_log(seed, 5_000, N_NEW, effect)
    return named(X), y, t, named(X_new), truth


DESIGNS = {
    "ids, linear effect": exposure,
    "ids, nonlinear effect": lambda seed: exposure(seed, effect="nonlinear"),
    "ids, binary outcome": lambda seed: exposure(seed, outcome="binary"),
    "offsets": offsets,
    "ihdp": ihdp,
    "nonlinear": lambda seed: features(seed, "nonlinear"),
    "linear": lambda seed: features(seed, "linear"),
}


def recommender(X, y, t):
    ids = {name: name for name in IDS if name in X}
    return CausalDNNRecommender(**ids, random_state=0).fit(X, y, treatment=t), list(X)


def graph(X, y, t):
    ids = [name for name in IDS if name in X]
    rest = [name for name in X if name not in ids]
    cluster = {"cluster": X[ids]} if ids else {}
    return DoCalculusEffect(random_state=0).fit(
        X[rest], y, treatment=t, **cluster
    ), rest


ESTIMATORS = {"CausalDNNRecommender": recommender, "DoCalculusEffect": graph}


def figures(low, high, effect, truth):
    """Coverage, its fifths, width and error of the intervals of one log."""
    inside = (low <= truth) & (truth <= high)
    fifth = np.searchsorted(np.quantile(truth, [0.2, 0.4, 0.6, 0.8]), truth)
    return {
        "coverage": inside.mean(),
        **{f"fifth {k + 1}": inside[fifth == k].mean() for k in range(5)},
        "below .90": float(inside.mean() < 0.9),
        "width": np.mean(high - low),
        "sd of effect": truth.std(),
        "root PEHE": np.sqrt(np.mean((effect - truth) ** 2)),
    }


def measured(design, name, seed):
    X, y, t, X_new, truth = DESIGNS[design](seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        model, columns = ESTIMATORS[name](X, y, t)
        seconds = time.perf_counter() - start
        low, high = model.effect_interval(X_new[columns])
        found = figures(low, high, model.effect(X_new[columns]), truth)
    return {"design": design, "estimator": name, **found, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--logs", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=70_000)
    add_options(parser)
    options = parser.parse_args()
    pd.set_option("display.width", 200, "display.max_columns", 20)
    cells = [(design, name) for design in options.designs for name in ESTIMATORS]
    seeds = range(options.first_seed, options.first_seed + options.logs)
    done = run(measured, cells, seeds, 1, options.keep, options.minutes)
    table = pd.DataFrame([row for rows in done.values() for row in rows])
    if len(table):
        table = table.groupby(["design", "estimator"], sort=False)
        print(table.mean().round(3).to_string())
