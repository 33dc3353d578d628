import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, dcg_score, ndcg_score

from sklearn_causalrec.metrics import (
    coverage,
    mean_average_precision,
    mean_reciprocal_rank,
    miscalibration,
    ndcg_at_k,
    novelty,
    recall_at_k,
)

N_USERS, N_ITEMS = 7, 12


def table(seed, ties=False, graded=False):
    rng = np.random.default_rng(seed)
    shape = N_USERS, N_ITEMS
    y = rng.integers(0, 4 if graded else 2, shape)
    y[:, 0] = 1  # everyone has a positive
    score = rng.integers(0, 4, shape) if ties else rng.normal(size=shape)
    return y, score


def flat(y, score, seed=0):
    """Rows of the table in a random order, and their users."""
    users = np.repeat(np.arange(len(y)), y.shape[1])
    order = np.random.default_rng(seed).permutation(y.size)
    return y.ravel()[order], score.ravel()[order], users[order]


@given(st.integers(0, 1000), st.booleans(), st.sampled_from([1, 3, None]))
@settings(deadline=None, max_examples=50)
def test_ndcg_is_sklearns_with_and_without_ties(seed, ties, k):
    y, score = table(seed, ties, graded=True)
    rows = flat(y, score)
    assert ndcg_at_k(*rows, k=k) == pytest.approx(ndcg_score(y, score, k=k))
    assert ndcg_at_k(*rows, k=k, normalizer=None) == pytest.approx(
        dcg_score(y, score, k=k)
    )


def test_average_precision_is_sklearns():
    y, score = table(3)
    expected = np.mean([average_precision_score(*user) for user in zip(y, score)])
    assert mean_average_precision(*flat(y, score)) == pytest.approx(expected)


def test_recall_mrr_and_map_by_loops():
    y, score = table(4)
    recall, reciprocal, average = [], [], []
    for relevant, s in zip(y, score):
        ranked = relevant[np.argsort(-s)]
        recall.append(ranked[:3].sum() / ranked.sum())
        first = int(np.argmax(ranked)) + 1
        reciprocal.append(1 / first if first <= 3 else 0)
        hits = [ranked[: i + 1].mean() for i in range(3) if ranked[i]]
        average.append(sum(hits) / min(3, ranked.sum()))
    rows = flat(y, score)
    assert recall_at_k(*rows, k=3) == pytest.approx(np.mean(recall))
    assert mean_reciprocal_rank(*rows, k=3) == pytest.approx(np.mean(reciprocal))
    assert mean_average_precision(*rows, k=3) == pytest.approx(np.mean(average))


METRICS = {
    "dcg": (ndcg_at_k, dict(k=3, normalizer=None)),
    "hits": (recall_at_k, dict(k=3, normalizer=None)),
    "mrr": (mean_reciprocal_rank, dict(k=3)),
    "ap times positives": (mean_average_precision, dict(k=3, normalizer=None)),
}


@pytest.mark.parametrize("name", METRICS)
def test_propensities_undo_the_log_exactly(name):
    """The mean over every pattern of what is observed is the value of all rows."""
    metric, kwargs = METRICS[name]
    y = np.array([0, 1, 1, 0, 1])
    score = np.array([5.0, 4, 3, 2, 1])
    p = np.array([0.9, 0.5, 0.3, 0.2, 0.6])
    truth = metric(y, score, **kwargs)
    total = naive = 0.0
    for seen in itertools.product([True, False], repeat=5):
        chance = np.prod(np.where(seen, p, 1 - p))
        logged = np.where(seen, y, np.nan)
        # Where nothing positive was seen, the sums are 0.
        kw = kwargs | ({"no_positives": "zero"} if name == "mrr" else {})
        total += chance * metric(logged, score, propensity=p, **kw)
        naive += chance * metric(logged, score, **kw)
    assert total == pytest.approx(truth, abs=1e-12)
    assert abs(naive - truth) > 0.05


def test_self_normalised_recall_approaches_the_truth():
    rng = np.random.default_rng(0)
    n = 60_000
    users = rng.integers(0, 300, n)
    score = rng.normal(size=n)
    y = rng.binomial(1, 1 / (1 + np.exp(-score)))
    p = 1 / (1 + np.exp(1 - score))  # better scores are seen more
    logged = np.where(rng.uniform(size=n) < p, y, np.nan)
    truth = recall_at_k(y, score, users, k=50)
    for normalizer in "user", "pooled":
        kwargs = dict(k=50, propensity=p, normalizer=normalizer)
        assert abs(recall_at_k(logged, score, users, **kwargs) - truth) < 0.02
    assert abs(recall_at_k(logged, score, users, k=50) - truth) > 0.05


@pytest.mark.parametrize(
    "metric", [ndcg_at_k, recall_at_k, mean_reciprocal_rank, mean_average_precision]
)
def test_users_without_positives(metric):
    y, score, users = [1, 0, 0, 0], [2, 1, 2, 1], ["a", "a", "b", "b"]
    assert metric(y, score, users) == 1
    assert metric(y, score, users, no_positives="zero") == 0.5
    assert metric(y, score, users, no_positives="one") == 1
    with pytest.raises(ValueError, match="User 'b' has no positive"):
        metric(y, score, users, no_positives="raise")
    with pytest.raises(ValueError, match="No user has a positive"):
        metric([0, 0], [1, 2])
    with pytest.raises(ValueError, match="no_positives is 'nan': choose"):
        metric(y, score, users, no_positives="nan")


def test_a_constant_score_earns_nothing_from_the_order_of_rows():
    y = np.repeat([1, 0], 500)
    score = np.zeros(1000)
    assert ndcg_at_k(y, score, k=10) == pytest.approx(0.5)
    assert recall_at_k(y, score, k=100) == pytest.approx(0.1)
    assert abs(mean_average_precision(y, score) - 0.5) < 0.06


def test_lists_can_be_of_any_length():
    y, score, users = [1, 1, 0, 1], [1, 3, 2, 0], [0, 1, 1, 2]
    assert ndcg_at_k(y, score, users) == 1
    assert recall_at_k(y, score, users, k=1, normalizer="pooled") == 1


def test_coverage_and_novelty():
    assert coverage(["a", "a"], ["a", "b"], weight=[3, 1]) == 0.75
    with pytest.raises(ValueError, match="holds 1 twice"):
        coverage([1], [1, 1])
    log = ["a"] * 3 + ["b"]
    # Users are averaged: ann's mean of log2(4/3) and 2, and bo's 2.
    ann = (np.log2(4 / 3) + 2) / 2
    value = novelty(["a", "b", "b"], ["ann", "ann", "bo"], log)
    assert value == pytest.approx((ann + 2) / 2)
    # b was shown a third as often as a: alike, they are as popular.
    p = [1, 1, 1, 1 / 3]
    assert novelty(["b"], ["ann"], log, propensity=p) == pytest.approx(1)
    assert novelty(["new"], ["ann"], log) == pytest.approx(2)


def test_miscalibration_is_the_divergence_of_shares():
    genre = pd.Series({1: "x", 2: "y"})
    history = dict(log_items=[1, 1, 1, 2], log_users=[0] * 4)
    value = miscalibration([1, 2], [0, 0], **history, categories=genre, smoothing=0)
    assert value == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    even = dict(propensity=[1, 1, 1, 1 / 3], categories=genre)
    assert miscalibration([1, 2], [0, 0], **history, **even) == pytest.approx(0)
    with pytest.raises(ValueError, match="Item 3 has no category"):
        miscalibration([3], [0], **history, categories=genre)
    with pytest.raises(ValueError, match="both a list and a history"):
        miscalibration([1], [5], **history, categories=genre)


@pytest.mark.parametrize(
    "kwargs, match",
    [
        (dict(y_score=[1, 2, 3]), "y_score has 3 values, and there are 2 rows"),
        (dict(y_score=[1, np.nan]), "y_score is nan in row 1"),
        (dict(y_true=[1, 2]), "y_true holds 2.0: relevance is 0 or 1"),
        (dict(propensity=[0, 1]), "propensity is 0.0 in row 0"),
        (dict(k=0), "k is 0"),
        (dict(normalizer="x"), "normalizer is 'x'"),
        (dict(users=["a", None]), "users is missing in row 1"),
    ],
)
def test_bad_input(kwargs, match):
    with pytest.raises(ValueError, match=match):
        recall_at_k(**dict(y_true=[1, 0], y_score=[2, 1]) | kwargs)


@pytest.mark.parametrize("seen", [False, True])
def test_reciprocal_rank_is_the_sum_over_positives_of_each_list(seen):
    rng = np.random.default_rng(3)
    users, score = rng.integers(0, 40, 900), rng.normal(size=900)
    y = rng.binomial(1, 0.3, 900).astype(float)
    p = rng.uniform(0.2, 1, 900) if seen else np.ones(900)
    expected = []
    for user in np.unique(users):
        mine = users == user
        order = np.argsort(-score[mine])
        gain, above, total = (y[mine] / p[mine])[order], 1.0, 0.0
        for rank, g in enumerate(gain[:7], 1):
            total, above = total + g * above / rank, above * (1 - g)
        expected.append(total)
    found = mean_reciprocal_rank(
        y, score, users, k=7, propensity=p if seen else None, no_positives="zero"
    )
    assert found == pytest.approx(np.mean(expected))
