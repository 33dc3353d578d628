"""Features in the factors of users and items: self-selected ratings, a random test.

Simulated logs of the shape of Coat (Schnabel et al. 2016): 290 users x 300 items, 14
and 33 binary features of them (categories, one of each kind), 24 ratings a user of
items that the user chose, more often those the user likes, and a test of 16 random
items a user. A rating has a mean, effects of user and item and a match of four tastes.
Half of the variance of tastes and effects comes from the features. y is whether the
rating is high. No arm varies: the task is to predict under selection.

Methods, each on the same logs:

- features in the factors: ``encoder="mf"``;
- ids alone: the same without the features;
- features alone: ``encoder="dnn"`` without the ids;
- bias + features: logistic regression on ids and features, its penalty chosen by
  cross-validation on the log;
- the default encoder "dnn", which reads ids and features; and the rate of the log.

Reported: area under the ROC curve and Brier score on the random test, NDCG of the top
five of a user's 16 items, and of each the paired difference to the first method.

Run ``python benchmarks/bench_factors.py [--logs N] [--first SEED]``.
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.metrics import ndcg_at_k

N_USERS, N_ITEMS, N_RATED, N_RANDOM, N_TASTES = 290, 300, 24, 16, 4
# Numbers of categories of each kind of feature, 14 columns and 33 in all.
USER_KINDS, ITEM_KINDS = (2, 6, 3, 3), (2, 16, 13, 2)


def side(rng, n, kinds):
    """Indicators of categories (n, p); and effects and tastes, half of the features."""
    X = np.hstack(
        [np.eye(k)[rng.choice(k, n, p=rng.dirichlet(5 * np.ones(k)))] for k in kinds]
    )
    told = X @ rng.normal(size=(X.shape[1], 1 + N_TASTES))
    told = (told - told.mean(0)) / told.std(0)
    return X, (told + rng.normal(size=told.shape)) / np.sqrt(2)


def coat_like(seed):
    """Log and random test: frames of ids and features, and outcomes."""
    rng = np.random.default_rng([290, 300, seed])
    users, u = side(rng, N_USERS, USER_KINDS)
    items, i = side(rng, N_ITEMS, ITEM_KINDS)
    match = u[:, 1:] @ i[:, 1:].T / np.sqrt(N_TASTES)
    liking = 0.5 * u[:, :1] + 0.5 * i[:, 0] + 0.8 * match
    rating = liking + 0.7 * rng.normal(size=liking.shape)
    y = (rating > 0.6).astype(int)
    # what the user chose: the largest of the liking and some luck (Gumbel's)
    chosen = np.argsort(-(0.7 * rating + rng.gumbel(size=rating.shape)), axis=1)
    log = chosen[:, :N_RATED]
    rest = np.argsort(rng.random(rating.shape), axis=1)[:, :N_RANDOM]

    def frame(pairs):
        user = np.repeat(np.arange(N_USERS), pairs.shape[1])
        item = pairs.ravel()
        X = pd.DataFrame({"user": user, "item": item})
        columns = [f"u{j}" for j in range(users.shape[1])]
        X[columns] = users[user]
        columns = [f"i{j}" for j in range(items.shape[1])]
        X[columns] = items[item]
        return X, y[user, item]

    return *frame(log), *frame(rest)


def ours(X, y, X_new, ids=True, features=True, **options):
    """Probability of a high rating by the recommender at its defaults."""
    columns = [c for c in X if (ids if c in ("user", "item") else features)]
    roles = dict(user="user", item="item") if ids else {}
    model = CausalDNNRecommender(
        task="classification", random_state=0, **roles, **options
    ).fit(X[columns], y)
    return model.predict_proba(X_new[columns])[:, 1]


def bias_and_features(X, y, X_new):
    """Logistic regression on a bias for each id and on all features."""
    names = ["user", "item"]
    biases = OneHotEncoder(handle_unknown="ignore").fit(X[names])

    def design(X):
        rest = X.drop(columns=names).to_numpy()
        return np.hstack([biases.transform(X[names]).toarray(), rest])

    model = LogisticRegressionCV(
        Cs=np.logspace(-2, 1, 7), cv=3, scoring="neg_log_loss", max_iter=500
    ).fit(design(X), y)
    return model.predict_proba(design(X_new))[:, 1]


METHODS = {
    "features in the factors": partial(ours, encoder="mf"),
    "ids alone": partial(ours, encoder="mf", features=False),
    "features alone": partial(ours, ids=False),
    "bias + features": bias_and_features,
    "encoder dnn": ours,
    "rate of the log": lambda X, y, X_new: np.full(len(X_new), y.mean()),
}


def study(seeds):
    """One row a log and method."""
    rows = []
    for seed in seeds:
        X, y, X_new, y_new = coat_like(seed)
        for name, method in METHODS.items():
            start = time.perf_counter()
            p = method(X, y, X_new)
            seconds = time.perf_counter() - start
            auc = roc_auc_score(y_new, p)
            brier = np.mean((p - y_new) ** 2)
            ndcg = ndcg_at_k(y_new, p, X_new["user"], k=5)
            rows.append((name, seed, auc, ndcg, brier, seconds))
    columns = ["method", "seed", "AUC", "NDCG@5", "Brier", "seconds"]
    return pd.DataFrame(rows, columns=columns).set_index(["method", "seed"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logs", type=int, default=10)
    parser.add_argument("--first", type=int, default=1000)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    done = study(range(given.first, given.first + given.logs))
    print(done.groupby("method", sort=False).mean().round(4).to_string())
    print("\nDifference of the first method to each, of the same log: mean, sd, least")
    first = done.loc[next(iter(METHODS))]
    for name in list(METHODS)[1:]:
        gap = (first - done.loc[name]).drop(columns="seconds")
        told = pd.DataFrame(
            {"mean": gap.mean(), "sd": gap.std(), "min": gap.min(), "max": gap.max()}
        )
        print(f"{name}\n{told.round(4).to_string()}")
