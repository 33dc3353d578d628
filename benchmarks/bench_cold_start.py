"""Cold start: lists for users and items that training did not see.

Simulated: 500 users x 200 items, 20,000 rows (40 a user), two arms, a binary outcome;
features reveal half of the states ("revealed" 0.5, the default). A fifth of the users
and of the items are cold. "both sides": users and items have features; "own side": only
the side that is cold has them. NDCG@10 over all items that are not cold (all users, for
cold items), with the true probability of the outcome, or the true effect clipped at 0,
as relevance. "warm" is the same network with the rows of the cold ids in training.

Few rows: of 150 users 1, 3 or 8 rows are in training, of all others all.

KuaiRec: no features, so that nothing but the average stands for a new id. Cold users
(a fifth) are judged on half of their videos; "warm" saw the other half. Defaults of the
estimator.

The defaults of ColdStart (n_neighbors, prior_rows, warm_rows, ridge penalties) were set
on seeds 100 to 103 of the same simulator; the seeds here are 0 to 9.

Run ``python benchmarks/bench_cold_start.py [kuairec] [few] [simulated]``.
"""

import sys

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.baselines import Popularity, UserItemBias
from sklearn_causalrec.datasets import load_kuairec_slice, make_exposure_log
from sklearn_causalrec.metrics import ndcg_at_k
from sklearn_causalrec.ranking import ColdStart

IDS = dict(user="user", item="item")
SOURCES = ("average", "content", "neighbors", "blend")
N_USERS, N_ITEMS = 500, 200


def table(model, users, items, by, cold_start="average"):
    """Scores of all pairs, a row a user and a column an item, both as given."""
    options = dict(k=len(items), by=by, exclude_seen=False, cold_start=cold_start)
    top = recommend(model, users, items, **options)
    scores = top.pivot(index="user", columns="item", values="score")
    return scores.loc[users["user"], items["item"]].to_numpy()


def ndcg(log, users, items, scores, by):
    user = np.repeat(users["user"].to_numpy(), len(items))
    truth = log.counterfactual(user, np.tile(items["item"].to_numpy(), len(users)))
    gain = truth.mu[:, 1] if by == "outcome" else np.maximum(truth.effect, 0)
    return ndcg_at_k(gain, scores.ravel(), user, k=10)


def draw_log(seed):
    return make_exposure_log(
        20_000, n_users=N_USERS, n_items=N_ITEMS, outcome="binary", noise=0.5,
        random_state=seed,
    )  # fmt: skip


def network(log, X, rows, encoder, seed):
    model = CausalDNNRecommender(
        **IDS, task="classification", encoder=encoder, effect_learner="t",
        random_state=seed,
    )  # fmt: skip
    return model.fit(X[rows], log.y[rows], treatment=log.treatment[rows])


def simulated(seed):
    log, rng = draw_log(seed), np.random.default_rng(seed)
    cold_users = rng.choice(N_USERS, N_USERS // 5, replace=False)
    cold_items = rng.choice(N_ITEMS, N_ITEMS // 5, replace=False)
    cold = {
        "users": np.isin(log.user, cold_users),
        "items": np.isin(log.item, cold_items),
    }
    users, items = log.world.users, log.world.items
    is_cold = users["user"].isin(cold_users), items["item"].isin(cold_items)
    for who, features in (
        ("users", "both sides"), ("items", "both sides"),
        ("users", "own side"), ("items", "own side"),
    ):  # fmt: skip
        X = log.X
        if features == "own side":
            other = "item_" if who == "users" else "user_"
            X = X.loc[:, ~X.columns.str.startswith(other)]
        of_users = users[[c for c in users if c in X]]
        of_items = items[[c for c in items if c in X]]
        if who == "users":
            asked = of_users[is_cold[0]], of_items[~is_cold[1]]
        else:
            asked = of_users[~is_cold[0]], of_items[is_cold[1]]
        rows = ~cold["users"] & ~cold["items"]
        shown = rows & (log.treatment == 1)
        every = rows | cold[who]
        every &= ~cold["items" if who == "users" else "users"]
        record = dict(seed=seed, cold=who, features=features)
        for baseline in (Popularity, UserItemBias):
            model = baseline(task="classification", **IDS).fit(X[shown], log.y[shown])
            value = ndcg(log, *asked, table(model, *asked, "outcome"), "outcome")
            name = {"Popularity": "popularity", "UserItemBias": "linear"}
            how = name[baseline.__name__]
            yield dict(record, encoder="-", by="outcome", how=how, ndcg=value)
        for encoder in ("dnn", "mf"):
            model = network(log, X, rows, encoder, seed)
            warm = network(log, X, every, encoder, seed)
            for by in ("outcome", "effect"):
                tables = {how: table(model, *asked, by, how) for how in SOURCES}
                tables["warm"] = table(warm, *asked, by)
                for how, scores in tables.items():
                    value = ndcg(log, *asked, scores, by)
                    yield dict(record, encoder=encoder, by=by, how=how, ndcg=value)


def few_rows(seed):
    log, rng = draw_log(seed), np.random.default_rng(seed)
    groups = np.array_split(rng.choice(N_USERS, 150, replace=False), 3)
    most = np.full(N_USERS, N_ITEMS)
    for users, n in zip(groups, (1, 3, 8)):
        most[users] = n
    order = pd.Series(rng.random(len(log.user))).groupby(log.user).rank()
    rows = (order <= most[log.user]).to_numpy()
    users, items = log.world.users, log.world.items
    groups.append(np.setdiff1d(np.arange(N_USERS), np.concatenate(groups)))
    for encoder in ("dnn", "mf"):
        model = network(log, log.X, rows, encoder, seed)
        for name, ids in zip(("1", "3", "8", "about 40"), groups):
            asked = users.iloc[ids], items
            for by in ("outcome", "effect"):
                for how, source in (
                    ("own", "average"),
                    ("blend", "blend"),
                    ("blend, never warm", ColdStart(warm_rows=1000)),
                ):
                    value = ndcg(log, *asked, table(model, *asked, by, source), by)
                    yield dict(
                        seed=seed, rows=name, encoder=encoder, by=by, how=how,
                        ndcg=value,
                    )  # fmt: skip


def kuairec(seed):
    frame = load_kuairec_slice().frame.rename(
        columns={"user_id": "user", "item_id": "item"}
    )
    y = (frame["watch_ratio"] >= 1).astype(int).to_numpy()
    rng = np.random.default_rng(seed)
    users = frame["user"].unique()
    cold = frame["user"].isin(rng.choice(users, len(users) // 5, replace=False))
    tested = (cold & (rng.random(len(frame)) < 0.5)).to_numpy()
    cold = cold.to_numpy()
    X = frame[["user", "item"]]
    popular = Popularity(task="classification", **IDS).fit(X[~cold], y[~cold])
    fits = {("-", "popularity"): popular}
    for encoder in ("mf", "dnn"):
        for how, rows in (("average", ~cold), ("warm", ~tested)):
            model = CausalDNNRecommender(
                task="classification", **IDS, encoder=encoder, random_state=seed
            )
            fits[encoder, how] = model.fit(X[rows], y[rows])
    for (encoder, how), model in fits.items():
        p = model.predict_proba(X[tested])[:, 1]
        value = ndcg_at_k(y[tested], p, frame["user"][tested], k=10)
        yield dict(seed=seed, encoder=encoder, how=how, ndcg=value)


def show(records, index, against):
    """Means over seeds; and the mean gain over its standard error."""
    frame = pd.DataFrame(records)
    keys = [*index, "how"]
    wide = frame.pivot_table(index="seed", columns=keys, values="ndcg", sort=False)
    for key, mean in wide.mean().items():
        line = f"{' | '.join(key) if isinstance(key, tuple) else key} | {mean:.4f}"
        base = (*key[:-1], against) if index else against
        if base in wide and base != key:
            gain = wide[key] - wide[base]
            error = gain.std() / np.sqrt(len(gain))
            line += f" | {gain.mean():+.4f} ± {error:.4f}"
        print(line)
    print(flush=True)


PARTS = {
    "kuairec": (kuairec, ["encoder"], "average"),
    "few": (few_rows, ["rows", "encoder", "by"], "own"),
    "simulated": (simulated, ["cold", "features", "encoder", "by"], "average"),
}


def main(parts, n_seeds=10):
    torch.set_num_threads(1)
    for name in parts:
        part, index, against = PARTS[name]
        show([r for seed in range(n_seeds) for r in part(seed)], index, against)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
