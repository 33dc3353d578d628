"""Models of positives, against dense formulas, normal equations and plain loops."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, random_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import explain, recommend
from sklearn_causalrec.baselines import (
    EASE,
    BlendRecommender,
    ImplicitALS,
    NeighborhoodRecommender,
    Popularity,
)
from sklearn_causalrec.baselines.als import solve_rows
from sklearn_causalrec.baselines.ease import unit_features
from sklearn_causalrec.baselines.precision import Full, LowRank, Packed
from sklearn_causalrec.interactions import LastOutSplit
from sklearn_causalrec.metrics import ndcg_at_k
from sklearn_causalrec.ranking import ColdStart

ROLES = dict(user="user", item="item")
MODELS = [
    EASE(**ROLES, l2=5.0),
    ImplicitALS(**ROLES, n_factors=4, random_state=0),
    NeighborhoodRecommender(**ROLES),
    NeighborhoodRecommender("user", **ROLES, similarity="bm25"),
    BlendRecommender(
        [
            ("ease", EASE(**ROLES, l2=5.0)),
            ("near", NeighborhoodRecommender(**ROLES)),
            ("popular", Popularity(**ROLES)),
        ],
        **ROLES,
        random_state=0,
    ),
]
N_USERS, N_ITEMS = 40, 20


@pytest.fixture
def log(rng):
    """Two tastes; the first item belongs to everybody's."""
    pairs = pd.MultiIndex.from_product([range(N_USERS), range(N_ITEMS)])
    pairs = pairs.to_frame(index=False, name=["user", "item"])
    alike = pairs["user"] % 2 == pairs["item"] % 2
    chance = np.where(alike, 0.5, 0.05) + 0.4 * (pairs["item"] == 0)
    chosen = pairs[rng.random(len(pairs)) < chance].reset_index(drop=True)
    time = rng.permutation(len(chosen))
    weight = rng.choice([1.0, 2.0, 4.0], len(chosen))
    return chosen.assign(time=time, weight=weight)


def dense(log, weight=None):
    matrix = np.zeros((N_USERS, N_ITEMS))
    weight = np.ones(len(log)) if weight is None else weight
    matrix[log["user"], log["item"]] = weight
    return matrix


def scores(model):
    """Scores of all pairs, a matrix."""
    pairs = pd.MultiIndex.from_product([range(N_USERS), range(N_ITEMS)])
    pairs = pairs.to_frame(index=False, name=["user", "item"])
    for name in model.feature_names_in_[2:]:
        pairs[name] = 0.0
    return model.predict(pairs).reshape(N_USERS, N_ITEMS)


def ease_by_hand(rows, profiles, l2):
    P = np.linalg.inv(rows.T @ rows + l2 * np.eye(rows.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return profiles @ B


@pytest.mark.parametrize("n_users", [N_USERS, 5])  # through the items and the users
def test_ease_is_the_dense_formula(log, n_users):
    log = log[log["user"] < n_users]
    weight = log["weight"].to_numpy()
    model = EASE(**ROLES, l2=3.0).fit(log[["user", "item"]], weight)
    assert isinstance(model.precision_, Full if n_users == N_USERS else LowRank)
    X = dense(log, weight / weight.mean())[:n_users]
    has = X.any(axis=0)
    ours, theirs = scores(model)[:n_users], ease_by_hand(X, X, 3.0)
    np.testing.assert_allclose(ours[:, has], theirs[:, has], atol=1e-4)


def test_ease_solves_its_least_squares_problem(log):
    """Without the closed form: each column is a ridge regression on the others."""
    from sklearn.linear_model import Ridge

    model = EASE(**ROLES, l2=3.0).fit(log[["user", "item"]])
    X, found = dense(log), scores(model)
    for item in range(N_ITEMS):
        others = np.delete(np.arange(N_ITEMS), item)
        ridge = Ridge(3.0, fit_intercept=False).fit(X[:, others], X[:, item])
        expected = ridge.predict(X[:, others])
        np.testing.assert_allclose(found[:, item], expected, atol=1e-4)


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("form", [LowRank, Full, Packed])
def test_every_form_of_the_inverse(rng, form, n):
    rows = csr_array((rng.random((20, n)) < 0.4).astype(np.float32))
    P = np.linalg.inv(rows.toarray().T @ rows.toarray() + 2.0 * np.eye(n))
    found = form(rows, 2.0)
    np.testing.assert_allclose(found.diagonal, np.diag(P), atol=1e-5)
    np.testing.assert_allclose(found.take(np.arange(n)[::-1]), P[::-1], atol=1e-5)
    some = csr_array(rows[3:9])
    np.testing.assert_allclose(found.left(some), some.toarray() @ P, atol=1e-5)


def test_recent_positives_weigh_more_in_the_profile(log):
    X = log[["user", "item", "time"]]
    model = EASE(**ROLES, time="time", l2=3.0, recency=0.6, half_life=2.0).fit(X)
    later = log.groupby("user")["time"].rank(ascending=False) - 1
    profiles = dense(log, 0.4 + 0.6 * 0.5 ** (later / 2))
    pairs = log[["user", "item"]]
    expected = ease_by_hand(dense(log), profiles, 3.0)[pairs["user"], pairs["item"]]
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-4)


def test_what_is_popular_lately_is_for_who_is_new(log):
    """By a loop: a positive counts half for each tenth of the log that came later."""
    X = log[["user", "item"]].assign(time=log["time"] // 20)
    model = EASE(**ROLES, time="time").fit(X)
    n, n_users = len(X), X["user"].nunique()
    weight = [0.5 ** ((X["time"] > t).sum() / (0.1 * n)) for t in X["time"]]
    weight = np.array(weight) / np.mean(weight)
    expected = X.assign(w=weight).groupby("item")["w"].sum() / n_users
    np.testing.assert_allclose(model.popularity_, expected, rtol=1e-5)
    late = X.sort_values("time").tail(20)["item"].value_counts().index[0]
    X = pd.concat([X, X.head(25).assign(item=late, time=X["time"].max() + 1)])
    X = X.assign(user=np.r_[X["user"][:-25], 1000 + np.arange(25)])
    again = EASE(**ROLES, time="time").fit(X)
    assert recommend(again, [5000], k=1)["item"].tolist() == [late]


def test_features_of_items_are_further_rows(log, rng):
    year, price = rng.normal(size=(2, N_ITEMS))
    X = log[["user", "item"]].assign(
        year=year[log["item"]], price=price[log["item"]], age=log["user"] * 1.0
    )
    model = EASE(**ROLES, l2=3.0, feature_weight=1.5).fit(X)
    assert model.catalogue_.owner.tolist() == ["item", "item", "user"]
    table = np.column_stack([year, price])
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    np.testing.assert_allclose(unit_features(model.catalogue_), table, atol=1e-4)
    rows = np.vstack([dense(log), 1.5 * table.T])
    expected = ease_by_hand(rows, dense(log), 3.0)
    np.testing.assert_allclose(scores(model), expected, atol=1e-4)


def test_als_solves_the_normal_equations(rng):
    signals = random_array((25, 15), density=0.3, rng=rng, format="csr")
    V, penalty = rng.normal(size=(15, 6)), 0.1 + rng.random(25)
    found = solve_rows(signals, V, 0.2, penalty, steps=30)
    for row, solution in enumerate(found):
        C = np.diag(signals[[row]].toarray()[0])
        A = 0.2 * V.T @ V + V.T @ C @ V + penalty[row] * np.eye(6)
        expected = np.linalg.solve(A, V.T @ C @ np.ones(15))
        np.testing.assert_allclose(solution, expected, atol=1e-6)


def test_als_ends_where_its_loss_is_flat(log):
    weight = log["weight"].to_numpy()
    options = dict(n_factors=3, l2=0.02, unobserved=0.3, random_state=0)
    model = ImplicitALS(**ROLES, n_iter=300, **options)
    model.fit(log[["user", "item"]], weight)
    C, V = dense(log, weight / weight.mean()), model.item_factors_.astype(float)
    S = scores(model)
    U = np.linalg.lstsq(V, S.T, rcond=None)[0].T
    penalty = 0.02 * ((C > 0).sum(axis=0) + 0.3 * N_USERS)
    slope = -(C * (1 - S)).T @ U + 0.3 * S.T @ U + penalty[:, None] * V
    assert np.abs(slope).max() < 2e-3 * np.abs(C.T @ U).max()


@pytest.mark.parametrize("n_neighbors", [3, 100])
def test_similar_items_by_hand(log, n_neighbors):
    model = NeighborhoodRecommender(**ROLES, n_neighbors=n_neighbors)
    model.fit(log[["user", "item"]])
    X = dense(log)
    expected = np.zeros((N_USERS, N_ITEMS))
    for i in range(N_ITEMS):
        cosine = np.array(
            [
                0.0
                if i == j
                else X[:, i] @ X[:, j] / np.sqrt(X[:, i].sum() * X[:, j].sum())
                for j in range(N_ITEMS)
            ]
        )
        for j in np.argsort(-cosine)[:n_neighbors]:
            expected[:, i] += cosine[j] * X[:, j]
    np.testing.assert_allclose(scores(model), expected, atol=1e-4)


def test_similar_users_by_hand(log):
    model = NeighborhoodRecommender("user", **ROLES, n_neighbors=4)
    X = dense(log)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    expected = np.zeros((N_USERS, N_ITEMS))
    for u in range(N_USERS):
        cosine = unit @ unit[u]
        for v in np.argsort(-cosine, kind="stable")[:4]:
            expected[u] += cosine[v] * X[v]
    found = scores(model.fit(log[["user", "item"]]))
    ties = [len(set(np.round(np.sort(unit @ one)[-5:], 6))) < 5 for one in unit]
    clear = ~np.array(ties)
    assert clear.sum() > 5
    np.testing.assert_allclose(found[clear], expected[clear], atol=1e-4)


def test_bm25_by_a_loop(log):
    model = NeighborhoodRecommender(**ROLES, similarity="bm25").fit(
        log[["user", "item"]]
    )
    X = dense(log).T  # items are the documents, users their words
    W = np.zeros_like(X)
    for i, u in zip(*np.nonzero(X)):
        n = (X[:, u] > 0).sum()
        rarity = np.log(1 + (N_ITEMS - n + 0.5) / (n + 0.5))
        length = X[i].sum() / X.sum(axis=1).mean()
        W[i, u] = rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    similarity = W @ W.T
    np.testing.assert_allclose(
        model.item_similarity(np.arange(N_ITEMS)), similarity, atol=1e-4
    )


@pytest.mark.parametrize("model", MODELS, ids=repr)
class TestEvery:
    def test_lists_find_the_taste(self, model, log):
        top = recommend(clone(model).fit(log[["user", "item"]]), k=2, by="outcome")
        alike = top["user"] % 2 == top["item"] % 2
        assert (alike | (top["item"] == 0)).mean() > 0.85
        seen = set(zip(log["user"], log["item"]))
        assert not seen & set(zip(top["user"], top["item"]))
        again = clone(model).fit(log[["user", "item"]])
        top = recommend(again, [3], k=4, by="outcome", exclude_seen=False)
        scored = again.predict(top[["user", "item"]])
        np.testing.assert_allclose(top["score"], scored, atol=1e-5)
        only = recommend(again, [3], [2, 4, 6], k=9, by="outcome", exclude_seen=False)
        assert set(only["item"]) == {2, 4, 6}

    def test_new_users_get_what_is_popular(self, model, log):
        fitted = clone(model).fit(log[["user", "item"]])
        top = recommend(fitted, [999], k=3, by="outcome")
        order = log["item"].value_counts()
        assert (np.diff(order[top["item"]]) <= 0).all() and top["item"].iloc[0] == 0
        why = explain(fitted, [999, 4], k=1, by="outcome")
        assert why["user_source"].tolist() == ["average", "behaviour"]
        assert why["because"].iloc[0] == []

    def test_reasons_are_the_users_own_items(self, model, log):
        fitted = clone(model).fit(log[["user", "item"]])
        why = explain(fitted, k=3, by="outcome")
        own = log.groupby("user")["item"].agg(set)
        for user, because in zip(why["user"], why["because"]):
            assert len(because) <= 3 and set(because) <= own[user]
        assert (why["because"].str.len() > 0).mean() > 0.8

    def test_contributions_add_up(self, model, log):
        fitted = clone(model).fit(log[["user", "item"]])
        profile, items = fitted._profiles_of([4]), np.arange(N_ITEMS)
        total = fitted._contributions(profile, items).sum(axis=0)
        found = fitted._pairs(np.array([4]), items)[0]
        if isinstance(model, BlendRecommender):  # whose scores have the mean 0
            total = total - total.mean()
        if getattr(model, "kind", None) == "user":  # up to the user's own length
            found = found * np.linalg.norm(profile.data)
        np.testing.assert_allclose(total, found, atol=2e-3)

    def test_new_items_through_features(self, model, log):
        taste = (log["item"] % 2) * 1.0
        X = log[["user", "item"]].assign(odd=taste, size=1.0 * (log["item"] > 5))
        fitted = clone(model).fit(X)
        items = pd.DataFrame(
            {"item": ["x", "y"], "odd": [0.0, 1.0], "size": [0.0, 1.0]}
        )
        items["item"] = [100, 101]
        how = dict(k=2, by="outcome", cold_start="neighbors")

        how["cold_start"] = ColdStart("neighbors", n_neighbors=3)
        top = recommend(fitted, items=items, **how)
        first = top[top["rank"] == 1]
        assert ((first["user"] % 2) == (first["item"] == 101)).mean() > 0.9
        why = explain(fitted, [2], items, **how)
        assert why["item_source"].tolist() == ["neighbors"] * 2

    def test_weights_seen_rows_and_repeats(self, model, log):
        X, weight = log[["user", "item"]], log["weight"].to_numpy()
        fitted = clone(model).fit(X, weight)
        twice = pd.concat([X, X.iloc[::-1]])
        smaller = np.append(weight, weight[::-1] / 2)
        again = clone(model).fit(twice, smaller)
        np.testing.assert_allclose(scores(again), scores(fitted), atol=1e-4)
        zeros = pd.DataFrame({"user": [0, 1], "item": [1, 0]})
        rest = log[~log.set_index(["user", "item"]).index.isin([(0, 1), (1, 0)])]
        seen = pd.concat([rest[["user", "item"]], zeros])
        model = clone(model).fit(seen, np.append(np.ones(len(rest)), [0.0, 0.0]))
        top = recommend(model, [0, 1], k=N_ITEMS, by="outcome")
        assert not {(0, 1), (1, 0)} & set(zip(top["user"], top["item"]))
        top = recommend(model, [0], k=N_ITEMS, by="outcome", exclude_seen=False)
        assert 1 in set(top["item"])

    def test_score_is_ndcg_of_the_lists(self, model, log):
        train, test = next(LastOutSplit("user", "time", n_last=2).split(log))
        fitted = clone(model).fit(log.iloc[train][["user", "item"]])
        held = log.iloc[test]
        top = recommend(fitted, k=N_ITEMS, by="outcome")
        pairs = set(zip(held["user"], held["item"]))
        y = [float(pair in pairs) for pair in zip(top["user"], top["item"])]
        expected = ndcg_at_k(y, -top["rank"], top["user"], k=10)
        assert fitted.score(held[["user", "item"]]) == pytest.approx(
            expected, abs=5e-3
        )  # ties

    def test_in_a_search_and_a_pipeline(self, model, log):
        name, values = {
            "EASE": ("l2", [1.0, 1e5]),
            "ImplicitALS": ("n_factors", [1, 4]),
            "NeighborhoodRecommender": ("n_neighbors", [1, 20]),
            "BlendRecommender": ("holdout", [0.1, 0.4]),
        }[type(model).__name__]
        splits = list(LastOutSplit("user", "time", n_last=2).split(log))
        pipe = make_pipeline(FunctionTransformer(), clone(model))
        step = type(model).__name__.lower()
        search = GridSearchCV(pipe, {f"{step}__{name}": values}, cv=splits)
        search.fit(log[["user", "item"]])
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert len(recommend(search, [1, 2], k=2, by="outcome")) == 4

    def test_pickle_frames_and_text_ids(self, model, log):
        import polars as pl

        text = log[["user", "item"]].astype(str)
        fitted = clone(model).fit(text)
        top = recommend(fitted, k=3, by="outcome")
        other = recommend(pickle.loads(pickle.dumps(fitted)), k=3, by="outcome")
        pd.testing.assert_frame_equal(top, other)
        polars = clone(model).fit(pl.from_pandas(text))
        pd.testing.assert_frame_equal(top, recommend(polars, k=3, by="outcome"))

    def test_refusals(self, model, log):
        X = log[["user", "item"]]
        with pytest.raises(NotFittedError):
            clone(model).predict(X)
        with pytest.raises(ValueError, match="No row has y > 0"):
            clone(model).fit(X, np.zeros(len(X)))
        fitted = clone(model).fit(X)
        with pytest.raises(ValueError, match="predicts outcomes and has no effects"):
            recommend(fitted, by="effect")
        top = recommend(fitted, [0], k=3)  # there is nothing else to rank by
        pd.testing.assert_frame_equal(top, recommend(fitted, [0], k=3, by="outcome"))
        with pytest.raises(ValueError, match="item='thing' is not a column of X"):
            clone(model).set_params(item="thing").fit(X)

    def test_few_rows(self, model, log):
        one = pd.DataFrame({"user": [1], "item": [7]})
        fitted = clone(model).fit(one)
        assert len(recommend(fitted, by="outcome")) == 0
        assert recommend(fitted, [2], by="outcome")["item"].tolist() == [7]
        assert np.isfinite(fitted.predict(one)).all()


def test_popularity_of_plain_positives(log):
    X = log[["user", "item"]]
    model = Popularity(**ROLES).fit(X)
    top = recommend(model, [999], k=5, by="outcome")
    counts = log["item"].value_counts()
    assert top["score"].tolist() == sorted(counts, reverse=True)[:5]
    y = np.where(log["item"] == 0, 0, 1)
    model.fit(X, y)
    assert 0 not in set(recommend(model, [999], k=5, by="outcome")["item"])


def test_a_penalty_that_is_too_small_is_named(rng):
    rows = csr_array(np.tile((rng.random(9) < 0.5) * 1e3, (30, 1)).astype(np.float32))
    for form in (Full, Packed):
        with pytest.raises(ValueError, match="l2=1e-08 is too small"):
            form(rows, 1e-8)
