"""Policies learned from logged bandit feedback, judged by their true value.

``simulate``: a bandit with five features and six arms whose expected rewards are known,
logged by a good and by a poor policy; each log is learned from as it is and with 3
added to every reward. Beside the learned policies: the direct method (the best arm by
one regressor an arm, ridge or gradient boosting), the logging policy, the uniform one
and the best. Values are exact in the arm, over 20,000 new contexts, and given as the
share of the way from the uniform policy to the best.
``obd``: the Open Bandit sample, "men": learned from the first 60 % of the random log,
judged on the rest.
``dev``: the same as ``simulate`` for seeds that no table reports, where the settings
were chosen.

Run ``python benchmarks/bench_policy_learning.py [simulate obd dev] [--seeds N]``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from sklearn_causalrec import CounterfactualPolicy
from sklearn_causalrec.metrics import normal_interval, policy_value

DATA = Path(__file__).parent / "data" / "obd_sample"
N_FEATURES, N_ARMS, SHIFT = 5, 6, 3.0
LEARNERS = {
    "ips": CounterfactualPolicy(objective="ips"),
    "offset_ips": CounterfactualPolicy(objective="offset_ips"),
    "poem": CounterfactualPolicy(objective="poem"),
    "banditnet": CounterfactualPolicy(objective="banditnet"),
}
REGRESSORS = {
    "direct, ridge": Ridge(),
    "direct, boosting": HistGradientBoostingRegressor(
        max_iter=100, early_stopping=True, random_state=0
    ),
}


class Bandit:
    """Binary rewards, of a nonlinear function of the context for every arm.

    Good logging leans to the better arms, poor logging to the worse, both with at
    least 1 % for every arm.
    """

    def __init__(self, seed):
        rng = np.random.default_rng([31, seed])
        self.linear = rng.normal(size=(N_FEATURES, N_ARMS))
        self.bends = rng.normal(size=(N_FEATURES, N_ARMS))
        self.lean = rng.normal(size=(N_FEATURES, N_ARMS))

    def reward(self, X):
        score = X @ self.linear + np.sin(2 * X) @ self.bends
        return expit(0.7 * score - 1)

    def logging(self, X, kind):
        sign = 1 if kind == "good" else -1
        policy = softmax(sign * 4 * self.reward(X) + 0.3 * X @ self.lean, axis=1)
        return 0.94 * policy + 0.06 / N_ARMS

    def log(self, n, kind, rng):
        X = rng.normal(size=(n, N_FEATURES))
        policy = self.logging(X, kind)
        arm = (rng.uniform(size=(n, 1)) > policy.cumsum(axis=1)).sum(axis=1)
        arm = np.minimum(arm, N_ARMS - 1)
        y = rng.binomial(1, self.reward(X)[np.arange(n), arm]).astype(float)
        return X, y, arm, policy[np.arange(n), arm]


def direct_method(regressor, X, y, arm, new):
    """Best arm of new rows by a regressor for each arm."""
    outcome = np.column_stack(
        [clone(regressor).fit(X[arm == a], y[arm == a]).predict(new) for a in range(6)]
    )
    return np.eye(N_ARMS)[outcome.argmax(axis=1)]


def one_log(seed, n, kind, learners=LEARNERS, shifts=(0.0, SHIFT)):
    """Records of (method, shift, share of the way, seconds) for one log."""
    bandit, rng = Bandit(seed), np.random.default_rng([37, seed, n])
    X, y, arm, propensity = bandit.log(n, kind, rng)
    new = rng.normal(size=(20_000, N_FEATURES))
    reward = bandit.reward(new)
    uniform, best = reward.mean(), reward.max(axis=1).mean()

    def record(method, shift, policy, seconds=np.nan):
        value = (policy * reward).sum(axis=1).mean()
        share = (value - uniform) / (best - uniform)
        given = dict(kind=kind, n=n, seed=seed, method=method, shift=shift)
        return {**given, "value": value, "share": share, "seconds": seconds}

    records = [
        record("logging", 0.0, bandit.logging(new, kind)),
        record("uniform", 0.0, np.full_like(reward, 1 / N_ARMS)),
        record("best", 0.0, np.eye(N_ARMS)[reward.argmax(axis=1)]),
    ]
    for shift in shifts:
        for name, regressor in REGRESSORS.items():
            start = time.perf_counter()
            policy = direct_method(regressor, X, y + shift, arm, new)
            seconds = time.perf_counter() - start
            records.append(record(name, shift, policy, seconds))
        for name, learner in learners.items():
            start = time.perf_counter()
            fitted = clone(learner).set_params(random_state=seed)
            fitted.fit(X, y + shift, treatment=arm, propensity=propensity)
            seconds = time.perf_counter() - start
            policy = fitted.predict_proba(new)
            greedy = np.eye(N_ARMS)[policy.argmax(axis=1)]
            records.append(record(name, shift, greedy, seconds))
            records.append(record(f"{name}, drawn", shift, policy, seconds))
    return records


def simulate(seeds, sizes=(2_000, 10_000), learners=LEARNERS, shifts=(0.0, SHIFT)):
    for n in sizes:
        for kind in ("good", "poor"):
            records = []
            for seed in seeds:
                records += one_log(seed, n, kind, learners, shifts)
            table = pd.DataFrame(records)
            values = table.groupby("method")["value"].mean()
            print(f"\n{n:,} rows, {kind} logging, {len(seeds)} seeds; values: ", end="")
            names = ("uniform", "logging", "best")
            print(", ".join(f"{k} {values[k]:.4f}" for k in names))
            groups = table.groupby(["method", "shift"], sort=False)["share"]
            error = groups.std(ddof=1) / np.sqrt(len(seeds))
            cells = groups.mean().map("{:.3f}".format) + error.map(" ({:.3f})".format)
            out = cells.unstack("shift").reindex(table["method"].unique())
            seconds = table.groupby("method")["seconds"].mean()
            print(out.assign(seconds=seconds.round(1)).to_string())
            shares = table[table["shift"] == 0].pivot_table(
                index="seed", columns="method", values="share"
            )
            for name in ("offset_ips", "direct, ridge", "direct, boosting"):
                gain = shares["banditnet"] - shares[name]
                error = gain.std(ddof=1) / np.sqrt(len(seeds))
                print(f"banditnet - {name}: {gain.mean():+.3f} ({error:.3f})")
            print(end="", flush=True)


def read_obd():
    log = pd.read_csv(DATA / "random_men.csv.gz").sort_values("timestamp")
    features = pd.get_dummies(
        log[["position", *(f"user_feature_{i}" for i in range(4))]].astype(str)
    )
    return log, features.astype(np.float32)


def obd():
    log, X = read_obd()
    first, rest = slice(0, 6_000), slice(6_000, None)
    print(f"clicks: {log['click'][first].sum()} to learn from, ", end="")
    print(f"{log['click'][rest].sum()} in the {len(log) - 6_000:,} rows of the rest")
    low, high = normal_interval(log["click"][rest])
    print(f"random, on-policy: {log['click'][rest].mean():.5f} [{low:.5f}, {high:.5f}]")
    for name, learner in LEARNERS.items():
        fitted = clone(learner).set_params(random_state=0)
        fitted.fit(
            X[first],
            log["click"][first],
            treatment=log["item_id"][first],
            propensity=log["propensity_score"][first],
        )
        value = policy_value(
            log["click"][rest],
            log["item_id"][rest],
            fitted,
            propensity=log["propensity_score"][rest],
            X=X[rest],
            estimators=["ips", "snips", "dr"],
        )
        text = [
            f"{r.Index} {r.value:.5f} [{r.low:.5f}, {r.high:.5f}]"
            for r in value.table.itertuples()
        ]
        policy = fitted.predict_proba(X[rest])
        taken = np.searchsorted(fitted.arms_, log["item_id"][rest])
        weight = policy[np.arange(len(policy)), taken] / log["propensity_score"][rest]
        low, high = normal_interval(log["click"][rest] * (weight - 1))
        print(
            f"{name}: {'; '.join(text)}; less random [{low:.5f}, {high:.5f}]; ", end=""
        )
        print(
            f"effective rows {value.effective_sample_size:.0f}, mean weight "
            f"{value.mean_weight:.3f}, top probability {policy.max(axis=1).mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["simulate", "obd"])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    if "simulate" in options.what:
        simulate(range(options.seeds))
    if "dev" in options.what:
        simulate(range(1000, 1000 + options.seeds))
    if "obd" in options.what:
        obd()
