"""Neighbourhood models, against loops over dense matrices."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from sklearn_causalrec import explain, recommend
from sklearn_causalrec.baselines import NeighborhoodRecommender, UserItemBias

ROLES = dict(user="user", item="item")
N_USERS, N_ITEMS = 14, 9


@pytest.fixture
def log(rng):
    """Two tastes: users of one like the even items, users of the other the odd ones."""
    pairs = pd.MultiIndex.from_product([range(N_USERS), list("abcdefghi")])
    pairs = pairs.to_frame(index=False, name=["user", "item"])
    logged = pairs.sample(120, replace=True, random_state=0).reset_index(drop=True)
    odd = logged["item"].map("abcdefghi".index) % 2
    y = 2.0 * ((logged["user"] % 2) == odd) + 0.3 * rng.normal(size=120)
    return logged.assign(price=rng.normal(size=120)), y, pairs.assign(price=0.0)


def by_hand(log, y, weight, bias, asked, kind, n_neighbors, shrinkage):
    users, items = range(N_USERS), list("abcdefghi")
    total = np.zeros((N_USERS, N_ITEMS))
    count = np.zeros((N_USERS, N_ITEMS))
    for u, i, r, w in zip(log["user"], log["item"], y - bias.predict(log), weight):
        total[u, items.index(i)] += w * r
        count[u, items.index(i)] += w
    residual = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    there = count > 0
    if kind == "item":
        residual, there = residual.T, there.T
    n = len(residual)
    norm = np.linalg.norm(residual, axis=1)
    cosine = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            if a != b and norm[a] > 0 and norm[b] > 0:
                cosine[a, b] = residual[a] @ residual[b] / (norm[a] * norm[b])
    out = []
    for row, base in zip(asked.itertuples(), bias.predict(asked)):
        own, pair = users.index(row.user), items.index(row.item)
        if kind == "item":
            own, pair = pair, own
        nearest = np.argsort(-cosine[own])[:n_neighbors]
        top = bottom = 0.0
        for j in nearest:
            if cosine[own, j] > 0 and there[j, pair]:
                top += cosine[own, j] * residual[j, pair]
                bottom += cosine[own, j]
        out.append(base + (top / (bottom + shrinkage) if bottom else 0.0))
    return np.array(out)


@pytest.mark.parametrize("kind", ["item", "user"])
@pytest.mark.parametrize("n_neighbors, shrinkage", [(2, 0.0), (3, 1.0), (40, 5.0)])
def test_equals_brute_force(log, kind, n_neighbors, shrinkage):
    X, y, pairs = log
    weight = 0.5 + np.arange(len(y)) % 3
    model = NeighborhoodRecommender(
        kind, **ROLES, n_neighbors=n_neighbors, shrinkage=shrinkage
    ).fit(X, y, sample_weight=weight)
    bias = UserItemBias(**ROLES).fit(X, y, sample_weight=weight)
    expected = by_hand(X, y, weight, bias, pairs, kind, n_neighbors, shrinkage)
    np.testing.assert_allclose(model.predict(pairs), expected, atol=1e-6)
    assert (np.diff(model.similarity_.indptr) <= n_neighbors).all()


@pytest.mark.parametrize("kind", ["item", "user"])
def test_finds_what_biases_cannot(kind, rng):
    user, item = rng.integers(0, 60, 3000), rng.integers(0, 40, 3000)
    X = pd.DataFrame({"user": user, "item": item})
    y = 1.0 * (user % 2 == item % 2) + 0.3 * rng.normal(size=3000)
    model = NeighborhoodRecommender(kind, **ROLES).fit(X[:2000], y[:2000])
    bias = UserItemBias(**ROLES).fit(X[:2000], y[:2000])
    gain = [r2_score(y[2000:], m.predict(X[2000:])) for m in (bias, model)]
    assert gain[0] < 0.1 and gain[1] > 0.4
    top = recommend(model, users=[4, 5], k=6, by="outcome", exclude_seen=False)
    assert (top["user"] % 2 == top["item"] % 2).all()
    np.testing.assert_allclose(
        top["score"], model.predict(top[["user", "item"]]), atol=1e-5
    )


def test_classifier_and_ids_not_seen(log):
    X, y, _ = log
    liked = np.where(y > 1, "yes", "no")
    model = NeighborhoodRecommender(task="classification", **ROLES).fit(X, liked)
    p = model.predict_proba(X)
    assert (p >= 0).all() and (p <= 1).all() and model.score(X, liked) > 0.8
    new = pd.DataFrame({"user": [99, 3], "item": ["a", "zz"], "price": 0.0})
    bias = UserItemBias(task="classification", **ROLES).fit(X, liked)
    np.testing.assert_allclose(model.predict_proba(new), bias.predict_proba(new))
    why = explain(model, [99, 3], k=2, by="outcome", exclude_seen=False)
    assert why["user_source"].tolist() == ["average"] * 2 + ["behaviour"] * 2


def test_bad_parameters(log):
    X, y, _ = log
    for name, value in (("kind", "friend"), ("n_neighbors", 0), ("shrinkage", -1)):
        with pytest.raises(ValueError, match=f"'{name}' parameter of Neighborhood"):
            NeighborhoodRecommender(**ROLES).set_params(**{name: value}).fit(X, y)
    model = NeighborhoodRecommender(**ROLES).fit(X, y)
    with pytest.raises(ValueError, match="predicts outcomes and has no effects"):
        recommend(model)
