"""Membership inference: do predictions tell that a person was in the log?

The users of a log are cut in three: members, whom the model is fitted to, others, and
users that a reference model of the attacker is fitted to. The attacker has the rows of
members and others, outcomes included, asks both models, and ranks users by how much
less the model errs than the reference. The area under the ROC curve of members against
others is .5 where nothing is told.

"as fitted" asks by the user's own id. "after forget" asks the copy from which half of
the members were removed, about these: they are unknown users to it, as the others are,
and what is told is in the weights that all share. "no ids" is a model without a user
column. "refit" is fitted again without these members: .5 but for chance.

"private" is trained under differential privacy with the user as the unit, delta 1e-5;
at epsilon inf gradients are shortened and no noise is added. The attacker's own model
of it is trained without noise.

Run ``python benchmarks/bench_membership.py [--repeats 8] [--only private]
[--log kuairec] [--max_grad_norm 4]``.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from sklearn_causalrec import CausalDNNRecommender, forget
from sklearn_causalrec.datasets import load_kuairec_slice, make_exposure_log
from sklearn_causalrec.privacy import PrivacyBudget

EPSILONS = (1.0, 3.0, 8.0, float("inf"))


def simulated(seed, n_users=300):
    log = make_exposure_log(
        20 * n_users, n_users=n_users, n_items=100, n_features=8, random_state=seed
    )
    return log.X.assign(shown=log.treatment), log.y, dict(treatment="shown")


def larger(seed):
    return simulated(seed, 3000)


def kuairec(seed):
    frame = load_kuairec_slice().frame
    frame = frame.rename(columns={"user_id": "user", "item_id": "item"})
    rng = np.random.default_rng(seed)
    users = rng.choice(frame["user"].unique(), 300, replace=False)
    frame = frame[frame["user"].isin(users)]
    frame = frame.sample(min(len(frame), 6000), random_state=seed)
    return frame[["user", "item"]], frame["watch_ratio"] >= 1, {}


def losses(model, X, y):
    """Mean squared error of each user."""
    predicted = model.predict(X[list(model.feature_names_in_)])
    squared = (np.asarray(y) - predicted) ** 2
    return pd.Series(squared).groupby(X["user"].to_numpy()).mean()


def once(make, seed, which, max_grad_norm):
    X, y, roles = make(seed)
    X, y = X.reset_index(drop=True), pd.Series(np.asarray(y, float))
    rng = np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(X["user"].unique()), 3)
    inside = [X["user"].isin(part).to_numpy() for part in parts]
    members, others, _ = parts
    asked = X["user"].isin(np.r_[members, others]).to_numpy()

    def fit(rows, **more):
        options = dict(user="user", item="item", effect_learner="t", random_state=seed)
        model = CausalDNNRecommender(**{**options, **roles, **more})
        names = [c for c in X if model.user is not None or c != "user"]
        return model.fit(X.loc[rows, names], y[rows])

    def area(model, reference, who):
        less = [losses(one, X[asked], y[asked]) for one in (reference, model)]
        gain = (less[0] - less[1]).loc[np.r_[who, others]]
        return roc_auc_score(np.repeat([1, 0], [len(who), len(others)]), gain)

    def private(rows, epsilon):
        features = [c for c in X if c not in ("user", "item", "shown")]
        budget = PrivacyBudget(
            epsilon, 1e-5, max_grad_norm, ranges={name: (-3, 3) for name in features},
            outcome=(-4, 4) if features else (0, 1), items=X["item"].unique(),
        )  # fmt: skip
        small = dict(hidden_layer_sizes=(16,), learning_rate=0.01)
        return fit(rows, private=budget, **small)

    if which == "private":
        theirs = private(inside[2], EPSILONS[-1])
        return {
            f"private, epsilon {e:g}": area(private(inside[0], e), theirs, members)
            for e in EPSILONS
        }
    gone = members[: len(members) // 2]
    model, reference = fit(inside[0]), fit(inside[2])
    plain, plain_reference = (fit(inside[j], user=None) for j in (0, 2))
    without = fit(inside[0] & ~X["user"].isin(gone).to_numpy())
    return {
        "as fitted": area(model, reference, members),
        "after forget": area(forget(model, gone, X[inside[0]]), reference, gone),
        "no ids": area(plain, plain_reference, members),
        "refit": area(without, reference, gone),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--only", choices=["plain", "private"])
    parser.add_argument("--max_grad_norm", type=float, default=1.0)
    parser.add_argument("--log", choices=["simulated", "larger", "kuairec"])
    given = parser.parse_args()
    repeats = given.repeats
    warnings.simplefilter("ignore")
    logs = [simulated, larger, kuairec]
    for make in [m for m in logs if given.log in (None, m.__name__)]:
        print(f"\n{make.__name__}, {repeats} repeats")
        for which in [given.only] if given.only else ["plain", "private"]:
            asked = which, given.max_grad_norm
            table = pd.DataFrame([once(make, s, *asked) for s in range(repeats)])
            error = table.std() / np.sqrt(repeats)
            for name in table:
                bounds = f"{table[name].mean():.3f} ± {1.96 * error[name]:.3f}"
                print(f"  {name:20} {bounds}", flush=True)


if __name__ == "__main__":
    main()
