"""The price of differential privacy: error against epsilon.

Each network has 16 hidden units. "not private" is the default training, epsilon inf the
private one without noise: gradients of users are shortened, users have no vectors,
scales come from public ranges.

- simulated: 400 users with 20 rows each and 8 features, 50 items, two arms; effects of
  all rows are known. Errors are of rows of 100 users who were not in the log.
- kuairec: 700 users, the 300 videos with the most rows; users and items are all there
  is. Errors are of a tenth of the rows, which were not in the log.
- nsw: 445 persons of a randomised programme, a row each; unit "row". The error is that
  of the mean effect, in dollars; the difference of means is 1,794. Earnings count as
  60,000 at most.

Errors are root mean squares over repeats. Run ``python benchmarks/bench_private.py
[--repeats 5] [--log simulated]``.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import load_kuairec_slice, make_exposure_log
from sklearn_causalrec.privacy import PrivacyBudget

NSW = Path(__file__).parent / "data" / "nsw" / "nsw.csv"
EPSILONS = (1.0, 3.0, 8.0, float("inf"))
SMALL = dict(hidden_layer_sizes=(16,), effect_learner="t")


def rms(errors):
    return float(np.sqrt(np.mean(np.square(errors))))


def fitted(X, y, budget, seed, **roles):
    more = {} if budget is None else dict(private=budget, learning_rate=0.01)
    return CausalDNNRecommender(random_state=seed, **SMALL, **roles, **more).fit(X, y)


def simulated(epsilon, seed):
    log = make_exposure_log(
        10_000, n_users=500, n_items=50, n_features=8, random_state=seed
    )
    X, y = log.X.assign(shown=log.treatment), np.asarray(log.y)
    train = (X["user"] < 400).to_numpy()
    budget = epsilon and PrivacyBudget(
        epsilon, 1e-4, ranges={c: (-3, 3) for c in X if "_x" in c}, outcome=(-4, 4),
        items=range(50),
    )  # fmt: skip
    roles = dict(user="user", item="item", treatment="shown")
    model = fitted(X[train], y[train], budget, seed, **roles)
    error = model.effect(X[~train]) - log.effect[~train]
    return {
        "outcome": rms(model.predict(X[~train]) - y[~train]),
        "effect": rms(error),
        "of a constant effect": float(np.std(log.effect[~train])),
    }


def kuairec(epsilon, seed):
    frame = load_kuairec_slice().frame
    X = frame[["user_id", "item_id"]].rename(columns=lambda name: name[:-3])
    X = X[X["item"].isin(X["item"].value_counts().index[:300])]
    y = frame["watch_ratio"].clip(0, 3)[X.index].to_numpy()
    train = np.random.default_rng(seed).random(len(X)) > 0.1
    budget = epsilon and PrivacyBudget(
        epsilon, 1e-4, outcome=(0, 3), items=X["item"].unique(), max_rows=32
    )
    model = fitted(X[train], y[train], budget, seed, user="user", item="item")
    return {
        "outcome": rms(model.predict(X[~train]) - y[~train]),
        "of the mean": rms(y[train].mean() - y[~train]),
    }


def nsw(epsilon, seed):
    frame = pd.read_csv(NSW)
    frame = frame.sample(frac=1, random_state=seed)
    ranges = dict.fromkeys("black hisp marr nodegree".split(), (0, 1))
    ranges |= dict(age=(16, 60), educ=(0, 18), re74=(0, 40_000), re75=(0, 40_000))
    budget = epsilon and PrivacyBudget(
        epsilon, 1e-3, unit="row", ranges=ranges, outcome=(0, 60_000)
    )
    X = frame[[*ranges, "treat"]]
    model = fitted(X, frame["re78"], budget, seed, treatment="treat")
    return {"effect": model.effect(X).mean() - 1794.34}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--log", choices=["simulated", "kuairec", "nsw"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logs = [simulated, kuairec, nsw]
    for make in [m for m in logs if given.log in (None, m.__name__)]:
        print(f"\n{make.__name__}, {given.repeats} repeats: root mean square error")
        for epsilon in (*EPSILONS, None):
            found = [make(epsilon, seed) for seed in range(given.repeats)]
            table = pd.DataFrame(found).apply(rms)
            name = "not private" if epsilon is None else f"epsilon {epsilon:g}"
            cells = "  ".join(f"{what} {value:.3f}" for what, value in table.items())
            print(f"  {name:14} {cells}", flush=True)


if __name__ == "__main__":
    main()
