"""Lists drawn at random: their probabilities against frequencies and known totals."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.baselines import Popularity
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.ranking import Exploration
from sklearn_causalrec.ranking.exploration import entry_probability

N_USERS, N_ITEMS = 30, 12


@pytest.fixture(scope="module")
def log():
    return make_exposure_log(200, n_users=N_USERS, n_items=N_ITEMS, random_state=0)


@pytest.fixture(scope="module")
def model(log, quick_recommender):
    model = quick_recommender(user="user", item="item", max_epochs=4, n_estimators=4)
    return model.fit(log.X, log.y, treatment=log.treatment)


@given(st.integers(1, 6), st.integers(0, 6), st.just(0.0) | st.floats(1e-9, 1))
def test_entry_probability(places, others, epsilon):
    """By enumeration of which places are free."""
    p = entry_probability(np.array([places]), np.array([places + others]), epsilon)
    by_hand = 0.0
    for free in product([0, 1], repeat=places):
        chance = np.prod([epsilon if f else 1 - epsilon for f in free])
        if any(free):
            by_hand += chance * sum(free) / (others + sum(free))
    np.testing.assert_allclose(p, by_hand, atol=1e-12)


def draws(strategy, scores, k, n, epsilon, withhold=0):
    """How often each pair was listed and withheld, and what it was said to be."""
    n_users, n_items = scores.shape[1:]
    listed, withheld = np.zeros((2, n_users, n_items))
    said, counter, mass = np.full((3, n_users, n_items), np.nan)
    explorer = Exploration(strategy, epsilon, 1.0, withhold, np.random.RandomState(0))
    for _ in range(n):
        user, item, rank, _, p, weight = explorer.block(scores, k)
        shown = rank > 0
        listed[user[shown], item[shown]] += 1
        said[user[shown], item[shown]] = p[shown]
        withheld[user[~shown], item[~shown]] += 1
        counter[user[~shown], item[~shown]] = p[~shown]
        mass[user[~shown], item[~shown]] = weight[~shown]
    return listed / n, said, withheld / n, counter, mass


@pytest.mark.parametrize("strategy", ["epsilon", "thompson", "uncertainty"])
@pytest.mark.parametrize("k, epsilon", [(3, 0.2), (4, 0.7), (5, 0.5), (2, 1.0)])
def test_propensities_are_frequencies(strategy, k, epsilon):
    rng = np.random.default_rng(k)
    scores = rng.normal(size=(1 if strategy == "epsilon" else 4, 3, 8))
    if len(scores) > 1:
        scores[0] = scores[1:].mean(0)
    scores[:, 1, :2] = -np.inf  # six candidates: fewer others than places
    n = 4000
    listed, said, withheld, counter, mass = draws(strategy, scores, k, n, epsilon, 2)
    possible = np.isfinite(scores[0])
    assert (listed[~possible] == 0).all() and (withheld[~possible] == 0).all()
    assert (said[possible] > 0).all()
    se = np.sqrt(said * (1 - said) / n)[possible]
    assert (np.abs(listed - said)[possible] <= 4 * se + 1e-9).all()
    np.testing.assert_allclose(said[possible] + counter[possible], 1)
    # Of those not shown, withheld / weight of them: P(withheld) = (1 - p) / weight.
    p = (counter / mass)[possible]
    se = np.sqrt(p * (1 - p) / n)
    assert (np.abs(withheld[possible] - p) <= 4 * se).all()
    np.testing.assert_allclose(np.nansum(said, 1), np.minimum(k, possible.sum(1)))


def test_closed_form_of_epsilon_greedy(model):
    top = recommend(
        model, k=3, explore="epsilon", epsilon=0.3, exclude_seen=False, random_state=0
    )
    greedy = recommend(model, k=3, exclude_seen=False)
    best = set(zip(greedy["user"], greedy["item"]))
    inside = np.array([pair in best for pair in zip(top["user"], top["item"])])
    m, chance = np.arange(4), [0.343, 0.441, 0.189, 0.027]
    enter = (chance * m / (N_ITEMS - 3 + m)).sum()
    np.testing.assert_allclose(top["propensity"][~inside], enter)
    np.testing.assert_allclose(top["propensity"][inside], 1 - enter * (N_ITEMS - 3) / 3)
    assert 0 < (~inside).mean() < 0.6
    assert top.groupby("user")["rank"].agg(list).map(lambda r: r == [1, 2, 3]).all()
    both = top.merge(greedy, on=["user", "item"])
    assert (both["rank_x"] == both["rank_y"]).mean() > 0.9  # who stays, stays in place
    np.testing.assert_allclose(both["score_x"], both["score_y"], atol=1e-6)


@pytest.mark.parametrize("strategy", ["epsilon", "thompson", "uncertainty"])
def test_weighted_sums_are_known_totals(model, strategy):
    """Over many draws, of what every pair is worth: shown and not shown."""
    worth = np.random.default_rng(1).normal(2, 1, size=(N_USERS, N_ITEMS))
    seen = model.catalogue_.seen.toarray()[:-1, :-1]
    total = (worth * ~seen).sum()
    sums = []
    for seed in range(80):
        drawn = recommend(
            model, k=3, explore=strategy, epsilon=0.3, withhold=2,
            cold_start="average", random_state=seed,
        )  # fmt: skip
        inverse = drawn["sample_weight"] / drawn["propensity"]
        value = inverse * worth[drawn["user"], drawn["item"]]
        sums.append([value[drawn["shown"] == arm].sum() for arm in (0, 1)])
    sums = np.array(sums)
    # A user with no more than three candidates has them all shown for certain.
    few = (~seen).sum(1) <= 3
    missing = (worth * ~seen)[few].sum()
    error = np.abs(sums.mean(0) - [total - missing, total])
    assert (error < 4 * sums.std(0) / np.sqrt(len(sums))).all()


def test_thompson_is_the_share_of_networks(model):
    each = [
        set(zip(top["user"], top["item"]))
        for member in range(4)
        for top in [_of_member(model, member)]
    ]
    drawn = recommend(
        model, k=3, explore="thompson", epsilon=0.0, exclude_seen=False, random_state=3
    )
    share = [
        np.mean([pair in lists for lists in each])
        for pair in zip(drawn["user"], drawn["item"])
    ]
    np.testing.assert_allclose(drawn["propensity"], share)
    assert drawn["propensity"].min() < 1


def _of_member(model, member):
    import copy

    one = copy.copy(model)
    one._ensemble = copy.copy(model._ensemble)
    one._ensemble.nets = [model._ensemble.nets[member]]
    return recommend(one, k=3, exclude_seen=False)


def test_uncertainty_prefers_what_networks_disagree_on():
    scores = np.zeros((3, 1, 4))
    scores[1:, 0, 2] = [-1, 1]
    explorer = Exploration("uncertainty", 0.01, 1.0, 0, np.random.RandomState(0))
    _, item, _, _, p, _ = explorer.block(scores, 1)
    assert item.tolist() == [2] and p[0] == pytest.approx(0.99 + 0.01 / 4)


def test_min_effect_and_excluded_pairs_are_no_candidates(model):
    limit = recommend(model, k=4, exclude_seen=False)["score"].median()
    for strategy in ("epsilon", "thompson", "uncertainty"):
        top = recommend(
            model, k=4, min_effect=limit, explore=strategy, epsilon=0.5, withhold=3,
            random_state=0,
        )  # fmt: skip
        seen = model.catalogue_.seen.toarray()
        assert not seen[top["user"], top["item"]].any()
        assert np.isfinite(top["score"]).all()
        if strategy != "thompson":
            assert (top["score"] > limit).all()


def test_what_comes_back_can_be_fitted(log, model):
    drawn = recommend(model, k=3, explore="epsilon", withhold=2, random_state=0)
    assert list(drawn.columns) == [
        "user", "item", "rank", "score", "propensity", "shown", "sample_weight",
    ]  # fmt: skip
    assert (drawn["rank"] == 0).equals(drawn["shown"] == 0)
    X = log.world.features(drawn["user"], drawn["item"])
    again = CausalDNNRecommender(
        user="user", item="item", effect_learner="t", max_epochs=2
    )
    again.fit(
        X,
        np.zeros(len(X)),
        treatment=drawn["shown"],
        propensity=drawn["propensity"],
        sample_weight=drawn["sample_weight"],
    )
    assert again.arms_.tolist() == [0, 1]


def test_reproducible_and_in_blocks(model, monkeypatch):
    options = dict(k=3, explore="thompson", withhold=1)
    a, b, c = (
        recommend(model, random_state=seed, **options) for seed in (0, 0, 1)
    )  # fmt: skip
    assert a.equals(b) and not a.equals(c)
    monkeypatch.setattr(
        "sklearn_causalrec.ranking.exploration.BLOCK_BYTES", 32 * 12 * 7
    )
    d = recommend(model, random_state=0, **options)
    assert (d.groupby("user").size() == a.groupby("user").size()).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 7), st.integers(0, 4), st.floats(0.01, 1),
    st.integers(0, 10**6),
)  # fmt: skip
def test_lists_are_lists(k, n_items, withhold, epsilon, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(1, 4, n_items))
    out = csr_array(rng.random((4, n_items)) < 0.4)
    explorer = Exploration(
        "epsilon", epsilon, 1.0, withhold, np.random.RandomState(seed)
    )
    user, item, rank, _, p, weight = explorer.lists(
        lambda start, stop: scores[:, start:stop], 4, n_items, k, out
    )
    assert not out.toarray()[user, item].any()
    assert len({*zip(user, item)}) == len(user)
    assert ((p > 0) & (p <= 1 + 1e-12)).all() and (weight >= 1).all()
    for u in range(4):
        n = n_items - out.toarray()[u].sum()
        mine = rank[user == u]
        assert mine[mine > 0].tolist() == list(range(1, min(k, n) + 1))
        assert (mine == 0).sum() == min(withhold, max(n - k, 0))


def test_bad_calls(log, model):
    with pytest.raises(ValueError, match="explore is 'softmax': choose one of"):
        recommend(model, explore="softmax")
    for epsilon in (0, -0.1, 1.5, "much"):
        with pytest.raises(ValueError, match="epsilon is"):
            recommend(model, explore="epsilon", epsilon=epsilon)
    with pytest.raises(ValueError, match="epsilon is 0"):
        recommend(model, explore="uncertainty", epsilon=0)
    with pytest.raises(ValueError, match="withhold is -1"):
        recommend(model, explore="epsilon", withhold=-1)
    with pytest.raises(ValueError, match="bonus is -1"):
        recommend(model, explore="uncertainty", bonus=-1)
    with pytest.raises(ValueError, match="withhold=3 without explore"):
        recommend(model, withhold=3)
    one = CausalDNNRecommender(
        user="user", item="item", effect_learner="t", max_epochs=1
    ).fit(log.X, log.y, treatment=log.treatment)
    for strategy in ("thompson", "uncertainty"):
        with pytest.raises(ValueError, match="has 1: fit with n_estimators=5"):
            recommend(one, explore=strategy)
    popular = Popularity(user="user", item="item").fit(log.X, log.y)
    with pytest.raises(ValueError, match="Popularity has 0"):
        recommend(popular, by="outcome", explore="thompson")
    top = recommend(popular, by="outcome", explore="epsilon", k=2, random_state=0)
    assert len(top) == 2 * N_USERS
