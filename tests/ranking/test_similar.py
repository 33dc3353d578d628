"""Similar items, and lists whose items differ, against loops."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import recommend, similar_items
from sklearn_causalrec.baselines import (
    EASE,
    ImplicitALS,
    NeighborhoodRecommender,
    UserItemBias,
)
from sklearn_causalrec.ranking import MMR, CategoryQuota, PopularityCap, rerank

IDS = dict(user="user", item="item")


@pytest.fixture(scope="module")
def log():
    """Two tastes, of even and of odd items."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 60, 900), rng.integers(0, 20, 900)
    alike = user % 2 == item % 2
    log = pd.DataFrame({"user": user, "item": item, "y": 1.0 * alike})
    return log.drop_duplicates(["user", "item"])


@pytest.fixture(scope="module")
def bought(log):
    return log[log["y"] > 0][["user", "item"]]


MODELS = [
    EASE(**IDS, l2=5.0),
    ImplicitALS(**IDS, n_factors=2, random_state=0),
    NeighborhoodRecommender(**IDS),
    make_pipeline(
        FunctionTransformer(), NeighborhoodRecommender("user", **IDS, similarity="bm25")
    ),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: repr(m)[:40])
def test_closed_forms_know_what_is_alike(model, bought):
    model.fit(bought)
    found = similar_items(model, k=3)
    assert len(found) == 60 and (found["rank"] == np.tile([1, 2, 3], 20)).all()
    assert (found["item"] % 2 == found["similar"] % 2).all()
    assert (found["item"] != found["similar"]).all()
    assert (found["similarity"] <= 1 + 1e-5).all()
    some = similar_items(model, [7, 2], k=3)
    assert some["item"].tolist() == [7] * 3 + [2] * 3
    whole = found[found["item"].isin([7, 2])].sort_values(["item", "rank"])
    again = some.sort_values(["item", "rank"])
    np.testing.assert_allclose(again["similarity"], whole["similarity"], rtol=1e-4)


@pytest.mark.parametrize("encoder", ["mf", "dnn"])
def test_networks_by_their_embeddings(log, quick_recommender, encoder):
    model = quick_recommender(**IDS, encoder=encoder, n_estimators=2, max_epochs=20)
    model.fit(log[["user", "item"]], log["y"])
    found = similar_items(model, [4], k=19).set_index("similar")["similarity"]
    cosine = []
    for net in model._ensemble.nets:
        table = net.module_.vectors.item.weight.detach().numpy()[:-1]
        cosine.append(cosine_similarity(table))
    position = {i: n for n, i in enumerate(model.log_encoder_.items.ids)}
    for other, value in found.items():
        expected = np.mean([c[position[4], position[other]] for c in cosine])
        assert value == pytest.approx(expected, abs=1e-5)


def test_refusals(log, bought):
    with pytest.raises(TypeError, match="UserItemBias has learned no vectors"):
        similar_items(UserItemBias(**IDS).fit(log[["user", "item"]], log["y"]))
    with pytest.raises(ValueError, match="item 99 has no rows in the log"):
        similar_items(EASE(**IDS).fit(bought), [3, 99])
    with pytest.raises(ValueError, match="name their columns"):
        similar_items(EASE().fit(bought))
    with pytest.raises(ValueError, match="k is 0"):
        similar_items(EASE(**IDS).fit(bought), k=0)


def mmr_by_hand(rows, similarity, trade_off, k):
    """Items of one user in the order in which they are listed."""
    score = dict(zip(rows["item"], rows["score"]))
    low, high = min(score.values()), max(score.values())
    chosen = []
    while len(chosen) < k:
        worth = {
            i: trade_off * (s - low) / (high - low)
            - (1 - trade_off) * max([0.0, *(similarity(i, j) for j in chosen)])
            for i, s in score.items()
            if i not in chosen
        }
        chosen.append(max(worth, key=worth.get))
    return chosen


@pytest.mark.parametrize("trade_off", [0.2, 0.7, 1.0])
def test_mmr_by_a_loop(bought, trade_off, rng):
    model = EASE(**IDS, l2=5.0).fit(bought)
    top = recommend(model, [0, 1, 2], k=12, by="outcome", exclude_seen=False)
    vectors = pd.DataFrame(rng.normal(size=(20, 3)), index=range(20))
    cosine = cosine_similarity(vectors)
    learned = similar_items(model, k=19).set_index(["item", "similar"])["similarity"]
    genre = {i: "abc"[i % 3] for i in range(20)}
    kinds = [
        (vectors, lambda i, j: cosine[i, j]),
        (model, lambda i, j: learned[i, j]),
        (genre, lambda i, j: float(genre[i] == genre[j])),
    ]
    for given, similarity in kinds:
        lists = rerank(top, k=5, constraints=[MMR(given, trade_off)])
        for user, rows in lists.groupby("user"):
            own = top[top["user"] == user]
            expected = mmr_by_hand(own, similarity, trade_off, 5)
            assert rows["item"].tolist() == expected
            assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        scored = lists.merge(top, on=["user", "item"])
        assert (scored["score_x"] == scored["score_y"]).all()


def test_mmr_beside_constraints(bought):
    model = EASE(**IDS, l2=5.0).fit(bought)
    top = recommend(model, k=12, by="outcome", exclude_seen=False)
    genre = {i: "abc"[i % 3] for i in range(20)}
    quota, cap = CategoryQuota(genre, at_most=2), PopularityCap(0.5)
    lists = rerank(top, k=4, constraints=[MMR(model, 0.5), quota, cap])
    assert lists.groupby("user").size().max() == 4
    per_genre = lists.groupby(["user", lists["item"].map(genre)]).size()
    assert per_genre.max() <= 2
    assert lists["item"].value_counts().max() <= 30


def test_mmr_refusals(bought):
    top = recommend(EASE(**IDS).fit(bought), [0], k=4, by="outcome")
    with pytest.raises(ValueError, match="trade_off is 2"):
        rerank(top, constraints=[MMR("item", 2)])
    with pytest.raises(ValueError, match="no row of the item"):
        rerank(top, constraints=[MMR(pd.DataFrame([[1.0]], index=[999]))])
    with pytest.raises(ValueError, match="a column neither of the candidates"):
        rerank(top, constraints=[MMR("genre")])
