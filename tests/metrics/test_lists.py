"""Metrics of top-k lists, against plain loops and scikit-learn."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_similarity

from sklearn_causalrec.metrics import novelty as novelty_of_frames
from sklearn_causalrec.metrics.lists import ACCURACY, BEYOND, ListHits

N_USERS, N_ITEMS, LENGTH = 40, 25, 8


@pytest.fixture
def hits(rng):
    lists = np.array([rng.permutation(N_ITEMS)[:LENGTH] for _ in range(N_USERS)])
    lists[3, 5:], lists[4] = -1, -1  # a short one, and none
    relevant = rng.random((N_USERS, N_ITEMS)) < 0.15
    relevant[7] = False
    user, item = np.nonzero(relevant)
    history = (rng.random((N_USERS, N_ITEMS)) < 0.3).astype(float)
    history[:, 24], history[9] = 0, 0
    popular = np.tile(np.argsort(-history.sum(axis=0))[:LENGTH], (N_USERS, 1))
    twice = np.append(user, user[:5]), np.append(item, item[:5])
    return ListHits(
        lists,
        *twice,
        history=csr_array(history),
        owner=np.arange(N_USERS),
        popular=popular,
    ), relevant


def by_hand(name, places, relevant, k):
    places = [i for i in places[:k] if i >= 0]
    found = [int(relevant[i]) for i in places]
    n = int(relevant.sum())
    if n == 0:
        return np.nan
    if name == "recall":
        return sum(found) / min(n, k)
    if name == "precision":
        return sum(found) / k
    if name == "hit_rate":
        return float(any(found))
    if name == "mrr":
        return next((1 / (j + 1) for j, hit in enumerate(found) if hit), 0.0)
    if name == "map":
        total = sum(sum(found[: j + 1]) / (j + 1) for j, hit in enumerate(found) if hit)
        return total / min(n, k)
    gain = sum(hit / np.log2(j + 2) for j, hit in enumerate(found))
    return gain / sum(1 / np.log2(j + 2) for j in range(min(n, k)))


@pytest.mark.parametrize("k", [1, 3, LENGTH, 20])
@pytest.mark.parametrize("name", ACCURACY)
def test_accuracy_by_a_loop(hits, name, k):
    hits, relevant = hits
    expected = [by_hand(name, hits.lists[u], relevant[u], k) for u in range(N_USERS)]
    np.testing.assert_allclose(ACCURACY[name](hits, k), expected)


def test_ndcg_is_that_of_sklearn(rng):
    scores = rng.random((N_USERS, N_ITEMS))
    relevant = rng.random((N_USERS, N_ITEMS)) < 0.2
    relevant[:, 0] = True
    lists = np.argsort(-scores, axis=1)[:, :10]
    found = ACCURACY["ndcg"](ListHits(lists, *np.nonzero(relevant)), 10)
    assert found.mean() == pytest.approx(ndcg_score(relevant, scores, k=10))


@pytest.mark.parametrize("k", [2, 5])
def test_beyond_accuracy_by_a_loop(hits, k):
    hits, relevant = hits
    history = hits.history.toarray()
    counts, cosine = history.sum(axis=0), cosine_similarity(history.T)
    for u in range(N_USERS):
        own = [i for i in hits.lists[u][:k] if i >= 0]
        if not own:
            continue
        pairs = [cosine[a, b] for n, a in enumerate(own) for b in own[:n]]
        assert BEYOND["diversity"](hits, k)[u] == pytest.approx(1 - np.mean(pairs))
        bits = np.mean([-np.log2(max(counts[i], 1) / counts.sum()) for i in own])
        assert BEYOND["novelty"](hits, k)[u] == pytest.approx(bits)
        if history[u].any():
            past = counts[history[u] > 0].mean()
            lift = np.mean([counts[i] for i in own]) / past - 1
            assert BEYOND["popularity_lift"](hits, k)[u] == pytest.approx(lift)
        new = [i for i in own if relevant[u, i] and i not in hits.popular[u][:k]]
        if relevant[u].any():
            share = len(new) / min(k, relevant[u].sum())
            assert BEYOND["serendipity"](hits, k)[u] == pytest.approx(share)
    assert np.isnan(BEYOND["popularity_lift"](hits, k)[9])
    listed = {i for row in hits.lists[:, :k] for i in row if i >= 0}
    assert BEYOND["coverage"](hits, k) == len(listed) / 24


def test_novelty_is_the_one_of_frames(hits):
    hits, _ = hits
    user, place = np.nonzero(hits.lists >= 0)
    log_items = hits.history.indices
    whole = novelty_of_frames(hits.lists[user, place], user, log_items)
    assert np.nanmean(BEYOND["novelty"](hits, LENGTH)) == pytest.approx(whole)


def test_diversity_of_many_lists_is_that_of_a_sample(hits, monkeypatch):
    from sklearn_causalrec.metrics import lists

    hits, _ = hits
    everything = BEYOND["diversity"](hits, 5)
    monkeypatch.setattr(lists, "LISTS_COMPARED", 12)
    some = BEYOND["diversity"](hits, 5)
    there = ~np.isnan(some)
    assert 0 < there.sum() <= 12
    np.testing.assert_allclose(some[there], everything[there])


def test_nothing_relevant_and_no_lists():
    none = np.zeros(0, int)
    hits = ListHits(np.array([[1, 2]]), none, none)
    assert np.isnan(ACCURACY["recall"](hits, 2)).all() and not hits.hits.any()
