"""EffectIndex against recommend, which scores all items."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from sklearn_causalrec import CausalDNNRecommender, EffectIndex, load, recommend, save
from sklearn_causalrec.datasets import make_exposure_log, make_sequence_log
from sklearn_causalrec.serving import index as index_module
from sklearn_causalrec.serving.items import allowed_items

pytestmark = pytest.mark.filterwarnings("ignore")
N_ITEMS = 900


@pytest.fixture(scope="module", autouse=True)
def small_catalogues_are_large():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "SMALL", 40)
        yield


@pytest.fixture(scope="module")
def log():
    return make_exposure_log(4000, n_users=200, n_items=N_ITEMS, random_state=0)


def fit(log, **options):
    X = log.X.assign(hour=np.random.default_rng(0).integers(0, 24, len(log.X)))
    y = log.y + 0.05 * X["hour"] * log.treatment * (X["item_x0"] > 0)
    options = dict(max_epochs=4, random_state=0, effect_learner="t") | options
    model = CausalDNNRecommender(user="user", item="item", **options)
    return model.fit(X, y, treatment=log.treatment)


@pytest.fixture(scope="module")
def model(log):
    return fit(log)


@pytest.fixture(scope="module")
def items(log, model):
    """The items of the log, with columns of their own beside their features."""
    known = model.log_encoder_.items.ids.to_numpy()
    items = log.world.items[log.world.items["item"].isin(known)].reset_index(drop=True)
    rng = np.random.default_rng(1)
    kind = rng.choice(["toy", "book", "game"], len(items))
    return items.assign(price=rng.uniform(1, 50, len(items)), kind=kind)


@pytest.fixture(scope="module")
def index(model, items):
    found = EffectIndex(model, items=items, recall=0.95)
    assert not found.exact_
    return found


def features_of(items):
    """What the model reads of items."""
    return items[["item", *[c for c in items if c.startswith("item_")]]]


def overlap(found, expected):
    """Share of the expected pairs that were found; those found have the same scores."""
    keys = list(expected.columns[:2])
    both = expected.merge(found, on=keys, suffixes=("", "_found"))
    assert_allclose(both["score_found"], both["score"], rtol=1e-5, atol=1e-6)
    return len(both) / len(expected)


def same(found, expected):
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)


def test_lists_are_those_of_recommend(model, index):
    expected = recommend(model)
    found = index.recommend()
    assert found.dtypes.equals(expected.dtypes)
    assert list(found.columns) == list(expected.columns)
    assert found["rank"].tolist() == expected["rank"].tolist()
    share = overlap(found, expected)
    assert share > 0.93
    assert 0.95 <= index.recall_ <= 1
    # that of users who had no part in it
    assert abs(share - index.recall_) < 0.04
    one = index.recommend([5], k=4)
    same(one, found[found["user"] == 5].head(4).reset_index(drop=True))


def test_the_recall_is_that_of_the_users_held_out(model, index):
    found = index._landmarks
    half = found.held[len(found.held) // 2 :]
    assert not np.isin(found.held, found.users).any()
    users = index._sides[0].ids[half]
    expected = recommend(model, users, exclude_seen=False)
    got = index.recommend(users, exclude_seen=False)
    assert_allclose(overlap(got, expected), index.recall_, atol=1e-9)


def test_more_candidates_for_more_recall(model, items, index):
    more = EffectIndex(model, items=items, recall=0.999)
    assert more.exact_ or more.n_candidates_ >= index.n_candidates_
    everything = EffectIndex(model, items=items, recall=1)
    assert everything.exact_ and everything.recall_ == 1
    same(everything.recommend([3, 4]), recommend(model, [3, 4]))


def test_effects_of_full_rank_are_searched_exactly(log):
    """Products of long random vectors: no short vectors have their best items."""
    model = fit(log, embedding_dim=128, encoder="mf", max_epochs=1)
    network = model.nets_[0].module_
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for table in (network.vectors.user, network.vectors.item):
            table.weight.normal_(generator=generator)
        network.encoder.arm_scale[0] *= -1
    index = EffectIndex(model, recall=0.9)
    assert index.exact_ and index.recall_ == 1 and index.rank_ == 0
    same(index.recommend([3, 9]), recommend(model, [3, 9]))
    index.add_items(log.world.items.tail(1).assign(item=99_999)[["item"]])
    assert index.exact_ and index.n_candidates_ == len(index.items_)


def test_other_users_and_contexts(log, model, index):
    new = log.world.users.head(4).assign(user=[7001, 7002, 3, 7003])
    newest = [7009, 3]
    asked = [
        dict(users=new),
        dict(users=newest),
        dict(users=new, context={"hour": 23.0}),
        dict(users=[3, 4], context={"hour": 0.0}),
        dict(users=pd.DataFrame({"user": [5, 6], "hour": [1, 20]})),
        dict(users=np.array([6, 5, 6])),
        dict(users=iter([5, 6])),
    ]
    found = []
    for options in asked[:-1]:
        found.append(index.recommend(**options))
        assert overlap(found[-1], recommend(model, **options)) >= 0.9
        order = recommend(model, **options).iloc[:, 0].unique().tolist()
        assert found[-1]["user"].unique().tolist() == order
    assert overlap(index.recommend(iter([5, 6])), recommend(model, [5, 6])) >= 0.9
    late, early = found[2], index.recommend(new, context={"hour": 0.0})
    assert np.abs(late["score"] - early["score"]).max() > 0.01
    with pytest.raises(ValueError, match="not of the kind"):
        index.recommend(["3"])
    with pytest.raises(ValueError, match="minute"):
        index.recommend([3], context={"minute": 3})


def test_items_of_a_user_can_be_a_feature_of_users(log, model, index):
    """Features of items that come with users are refused as in recommend."""
    wrong = pd.DataFrame({"user": [3], "item_x0": [1.0]})
    for call in (index.recommend, lambda users: recommend(model, users)):
        with pytest.raises(ValueError, match="item_x0"):
            call(wrong)


@pytest.mark.parametrize(
    "condition, right",
    [
        ({"kind": "toy"}, lambda f: f["kind"] == "toy"),
        ({"kind": ["toy", "book"], "price": (10, 20)}, None),
        ({"price": (None, 5.0)}, lambda f: f["price"] <= 5),
        ({"price": lambda c: c > 45}, lambda f: f["price"] > 45),
        (lambda f: f["kind"] != "toy", lambda f: f["kind"] != "toy"),
        ("mask", lambda f: f["price"] < 25),
        ({"price": (1000, None)}, lambda f: f["price"] > 1000),
    ],
)
def test_filters(model, index, items, condition, right):
    if right is None:
        allowed = items["kind"].isin(["toy", "book"]) & items["price"].between(10, 20)
    else:
        allowed = right(items)
    if isinstance(condition, str):
        condition = allowed.to_numpy()
    users, part = [3, 4, 5, 6], features_of(items[allowed])
    found = index.recommend(users, filter=condition)
    assert found["item"].isin(part["item"]).all()
    if len(part) == 0:
        assert len(found) == 0 and list(found) == ["user", "item", "rank", "score"]
        return
    expected = recommend(model, users, items=part)
    assert overlap(found, expected) >= 0.95
    assert len(found) == len(expected)


def test_a_filter_for_each_user(model, index, items):
    rng = np.random.default_rng(0)
    allowed = rng.random((2, len(items))) < [[0.5], [0.04]]
    found = index.recommend([3, 4], filter=allowed)
    for row, user in enumerate([3, 4]):
        expected = recommend(model, [user], items=features_of(items[allowed[row]]))
        mine = found[found["user"] == user].reset_index(drop=True)
        assert overlap(mine, expected) >= 0.9


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"colour": "red"}, "names 'colour'"),
        ({"price": (1, 2, 3)}, "a pair"),
        ({"kind": (1, 2)}, "does not compare"),
        (np.ones(3, bool), "3 values for"),
        (np.ones(N_ITEMS), "a bool for each"),
        (lambda f: f["price"], "a bool for each"),
        ({"price": lambda c: c}, "a bool for each"),
        (np.ones((3, N_ITEMS - 1), bool), None),
    ],
)
def test_wrong_filters_are_refused(index, items, wrong, words):
    if words is None:
        wrong, words = np.ones((3, len(items)), bool), "3 rows for 2 users"
    with pytest.raises(ValueError, match=words):
        index.recommend([3, 4], filter=wrong)


def test_filters_by_hand():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["x", None, "y"]})
    assert allowed_items({"a": (1, None)}, frame).tolist() == [True, False, True]
    assert allowed_items({"b": "x"}, frame).tolist() == [True, False, False]
    assert allowed_items({"b": {"y"}, "a": 3}, frame).tolist() == [False, False, True]


def test_what_is_left_out(log, model, index):
    users = [3, 4, 5]
    best = index.recommend(users, k=3)
    options = [
        dict(exclude=best[["user", "item"]]),
        dict(exclude=best[["user", "item"]].to_numpy(), exclude_seen=False),
        dict(exclude_seen=False, k=300),
        dict(exclude_seen="rated"),
        # not at a score itself: the last bit of one is not the same on all machines
        dict(min_effect=float(best["score"].median()) - 1e-4, exclude_seen=False),
        dict(min_effect=1e9),
    ]
    for option in options:
        found, expected = (
            index.recommend(users, **option),
            recommend(model, users, **option),
        )
        assert abs(len(found) - len(expected)) <= 0.05 * len(expected)
        if len(expected):
            assert overlap(found, expected) >= 0.9
        if "exclude" in option:
            left = found.merge(best, on=["user", "item"])
            assert len(left) == 0
    seen = log.X[log.treatment == 1][["user", "item"]]
    assert len(index.recommend(k=30).merge(seen, on=["user", "item"])) == 0


def test_by_outcome(model, items):
    index = EffectIndex(model, items=items, by="outcome", recall=0.9)
    assert overlap(index.recommend(), recommend(model, by="outcome")) >= 0.87
    found = index.recommend([3, 4], min_effect=0.1)
    same(found, recommend(model, [3, 4], by="outcome", min_effect=0.1))


def test_new_items(log, model, items):
    part, rest = items.iloc[:-60], items.iloc[-60:]
    unknown = rest.tail(5).assign(item=np.arange(50_000, 50_005))
    rest = pd.concat([rest, unknown])
    index = EffectIndex(model, items=part, recall=0.95)
    rank, before = index.rank_, index.recommend([3, 4])
    for wrong, words in (
        (rest.drop(columns="price"), r"lacks the columns \['price'\]"),
        (part.head(1), "is in the index"),
        (pd.concat([rest, rest.head(1)]), "or twice here"),
        (rest["item"], "came with the columns"),
        (rest.assign(item_x0=np.nan), "item_x0"),
    ):
        with pytest.raises(ValueError, match=words):
            index.add_items(wrong)
        same(index.recommend([3, 4]), before)
    assert index.add_items(rest) is index
    assert len(index.items_) == len(items) + 5
    assert index.rank_ in (rank, 0) and index.recall_ >= 0.95
    everything = features_of(pd.concat([part, rest]))
    expected = recommend(model, k=20, items=everything)
    found = index.recommend(k=20)
    assert overlap(found, expected) >= 0.9
    fresh = expected["item"].isin(rest["item"])
    got = found.merge(expected[fresh], on=["user", "item"])
    assert fresh.sum() > 50 and len(got) / fresh.sum() >= 0.85


def test_ids_alone_are_items_too(model, items):
    ids = items["item"].to_numpy()
    index = EffectIndex(model, items=ids[:-9], recall=0.9)
    index.add_items(ids[-9:])
    assert overlap(index.recommend(), recommend(model, items=ids)) >= 0.86
    with pytest.raises(ValueError, match="names 'kind'"):
        index.recommend(filter={"kind": "toy"})


def test_files_and_pickles(index, tmp_path):
    save(index, tmp_path / "index.crec")
    new = [3, 4, 7009]
    for other in (load(tmp_path / "index.crec"), pickle.loads(pickle.dumps(index))):
        assert (other.recall_, other.rank_) == (index.recall_, index.rank_)
        for options in ({}, dict(filter={"kind": "toy"}, min_effect=0.0)):
            found = other.recommend(new, **options)
            pd.testing.assert_frame_equal(
                found, index.recommend(new, **options), check_exact=True
            )


def test_the_seed_makes_the_index(model, items):
    first, second = (EffectIndex(model, items=items, recall=0.9) for _ in range(2))
    pd.testing.assert_frame_equal(
        first.recommend(), second.recommend(), check_exact=True
    )


def test_few_items_and_models_that_are_not_compiled(monkeypatch):
    log = make_sequence_log(300, n_users=40, n_items=60, random_state=0)
    monkeypatch.setattr(index_module, "SMALL", 10)
    past = ["history", "history_gaps"]
    options = dict(history=past, max_epochs=1, random_state=0, effect_learner="t")
    model = CausalDNNRecommender(user="user", item="item", **options)
    model.fit(log.X, log.y, treatment=log.treatment)
    index = EffectIndex(model)
    assert index.exact_
    users = log.X["user"].unique()[:3]
    same(index.recommend(users), recommend(model, users))
    allowed = np.arange(len(index.items_)) % 2 == 0
    part = index.items_.iloc[:, 0][allowed]
    same(index.recommend(users, filter=allowed), recommend(model, users, items=part))
    assert len(index.recommend(users, filter=~allowed & allowed)) == 0


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(recall=0), "recall is 0"),
        (dict(recall=1.5), "recall is 1.5"),
        (dict(by="score"), "by"),
        (dict(k=0), "k is 0"),
        (dict(users=[3, 10**7]), "does not know|not know"),
        (dict(users=pd.DataFrame({"user": [3]})), "came as a frame"),
        (dict(items="twice"), "several rows"),
        (dict(T1=5), "T1=5"),
    ],
)
def test_bad_options(model, items, options, words):
    if "items" in options:  # at two prices
        options = dict(items=pd.concat([items, items.head(1).assign(price=0.5)]))
    with pytest.raises(ValueError, match=words):
        EffectIndex(model, **options)


def test_the_same_row_twice_is_one_item(model, items):
    index = EffectIndex(model, items=pd.concat([items, items.head(3)]), recall=1)
    assert len(index.items_) == len(items)


def test_logs_without_names(log):
    X = log.X.to_numpy()
    options = dict(max_epochs=1, random_state=0, effect_learner="t")
    model = CausalDNNRecommender(user=0, item=1, **options)
    model.fit(X, log.y, treatment=log.treatment)
    frame = pd.DataFrame(X[:300]).drop_duplicates(1)
    wide = frame[[1, *range(8, 14)]].assign(price=1.0)
    index = EffectIndex(model, items=wide, recall=1)
    expected = recommend(model, [3], items=wide)
    same(index.recommend([3], filter={"price": (1, None)}), expected)


def test_users_to_learn_from(model, items):
    index = EffectIndex(model, users=np.arange(100.0), items=items, recall=0.5)
    found = index._landmarks
    assert index._sides[0].ids[np.append(found.held, found.users)].max() < 100


def test_bad_questions(index):
    for options, words in (
        (dict(k=0), "k is 0"),
        (dict(min_effect=np.nan), "min_effect"),
        (dict(exclude_seen="all"), "exclude_seen"),
        (dict(exclude=[(1, 2, 3)]), "pairs"),
    ):
        with pytest.raises(ValueError, match=words):
            index.recommend([3], **options)
