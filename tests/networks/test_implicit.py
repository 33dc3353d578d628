"""Lists from positives alone: losses, batches, masks, what is learned and refused."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch.utils.data import Subset

from sklearn_causalrec import CausalDNNRecommender, explain, recommend, similar_items
from sklearn_causalrec.baselines import Popularity
from sklearn_causalrec.encoding.positives import last_items
from sklearn_causalrec.interactions import LastOutSplit
from sklearn_causalrec.networks import ENCODERS, OBJECTIVES, Implicit
from sklearn_causalrec.networks.objectives.implicit import (
    full_softmax,
    sampled_softmax,
    shared_draws,
)
from sklearn_causalrec.networks.positives import QueryLoader, WindowLoader, cut
from sklearn_causalrec.serving import load, save, to_onnx
from sklearn_causalrec.serving.export import CannotExportError

IDS = dict(user="user", item="item")
IN_ORDER = ["lstm", "gru", "transformer"]


def make(**params):
    small = dict(embedding_dim=8, hidden_layer_sizes=(16,), batch_size=256, l2=1.0)
    given = {**IDS, **small, "objective": "implicit", "random_state": 0, **params}
    return CausalDNNRecommender(**given)


# -- the losses ------------------------------------------------------------------

QUERY, ITEM = np.array([0, 0, 1, 2]), np.array([3, 1, 0, 4])


@pytest.fixture(scope="module")
def scores():
    return torch.tensor(np.random.default_rng(0).normal(size=(3, 6)))


def by_hand(scores):
    s = scores.numpy()
    return np.log(np.exp(s).sum(1))[QUERY] - s[QUERY, ITEM]


def test_softmax_by_hand(scores):
    found = full_softmax(scores, torch.tensor(QUERY), torch.tensor(ITEM))
    np.testing.assert_allclose(found, by_hand(scores))


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax", "bpr"])
def test_gradients_by_hand(loss):
    """Against the formulas in numpy, for the vectors of queries."""
    rng = np.random.default_rng(1)
    asked, vectors, bias = rng.normal(size=(3, 4)), rng.normal(size=(6, 4)), np.ones(6)
    weight = np.array([2.0, 0.5, 0.5, 1.0])
    options = Implicit(loss=loss, n_negatives=9)
    criterion = OBJECTIVES["implicit"](1, False, 0.05, options=options, counts=[1] * 6)
    queries = torch.tensor(asked, requires_grad=True)

    def items(positions):
        at = slice(None) if positions is None else positions.numpy()
        return torch.tensor(vectors[at]), torch.tensor(bias[at])

    given = {"query": torch.tensor(QUERY), "item": torch.tensor(ITEM)}
    batch = {**given, "weight": torch.tensor(weight)}
    criterion(queries, items, batch, torch.Generator().manual_seed(0)).backward()
    s = asked @ vectors.T + bias
    share = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    again = torch.Generator().manual_seed(0)
    if loss == "sampled_softmax":
        drawn, log_weight = shared_draws(torch.ones(6), 9, again)
        times = np.zeros(6)
        times[drawn] = np.exp(log_weight.numpy())
        mass = np.exp(s) * times
        mass[QUERY, ITEM] = np.exp(s)[QUERY, ITEM]
        share = mass / mass.sum(1, keepdims=True)
    expected = np.zeros((3, 4))
    if loss == "bpr":
        drawn = torch.randint(6, (4, 9), generator=again).numpy()
        positive = {(q, i) for q, i in zip(QUERY, ITEM)}
    for n, (q, i) in enumerate(zip(QUERY, ITEM)):
        if loss == "bpr":
            others = [j for j in drawn[n] if (q, j) not in positive]
            odds = [1 / (1 + np.exp(s[q, i] - s[q, j])) for j in others]
            toward = [o * (vectors[j] - vectors[i]) for o, j in zip(odds, others)]
            expected[q] += weight[n] / 4 * np.sum(toward, axis=0) / len(others)
        else:
            expected[q] += weight[n] / 4 * (share[q] @ vectors - vectors[i])
    np.testing.assert_allclose(queries.grad, expected, atol=1e-12)


def test_the_sampled_denominator_is_right_in_expectation(scores):
    counts, generator = torch.tensor([0, 9, 1, 4, 2, 30.0]), torch.Generator()
    query, item = torch.tensor(QUERY), torch.tensor(ITEM)
    found = []
    for _ in range(3000):
        drawn, log_weight = shared_draws(counts, 4, generator)
        own = scores[query, item]
        given = (scores[:, drawn], own, query, item, drawn, log_weight.double(), 6)
        found.append((sampled_softmax(*given) + own).exp().numpy())
    found = np.array(found)
    exact = np.exp(scores.numpy()).sum(1)[QUERY]
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - exact) < 4 * error).all()
    assert (error < 0.02 * exact).all()  # or the line above says little


def test_hard_negatives_are_the_highest_of_those_drawn():
    vectors = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    options = Implicit(loss="bpr", n_negatives=50, hard=True)
    criterion = OBJECTIVES["implicit"](1, False, 0.05, options=options, counts=[1] * 4)
    batch = {"query": torch.tensor([0]), "item": torch.tensor([3])}

    def items(positions):
        return vectors[positions], torch.zeros(len(positions))

    loss = criterion(torch.ones(1, 1), items, batch, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(loss, np.log1p(np.exp(2.0 - 3.0)), rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [dict(loss="hinge"), dict(n_negatives=0), dict(n_negatives=1.5)]
    + [dict(popularity=p) for p in (-0.1, 1.1, True, "all")],
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=str(next(iter(options)))):
        Implicit(**options)


def test_large_catalogues_are_sampled():
    assert Implicit().of_catalogue(1000)[0] == "softmax"
    assert Implicit().of_catalogue(10**6) == ("sampled_softmax", 2048)


# -- batches -----------------------------------------------------------------------


class Log:
    """As skorch holds rows."""

    def __init__(self, user, **more):
        n = len(user)
        self.X = {"user": torch.tensor(user), "features": torch.zeros(n, 0)}
        self.X |= {"item": torch.arange(n), "place": torch.arange(n)} | more
        self.y = torch.arange(1.0, n + 1)

    def __len__(self):
        return len(self.y)


def test_queries_come_with_all_their_positives():
    user = np.random.default_rng(0).integers(0, 40, 300)
    log = Log(user, query=torch.tensor(user))
    part = np.sort(np.random.default_rng(1).permutation(300)[:200])
    loader = QueryLoader(
        Subset(log, part), 32, shuffle=True, generator=torch.Generator()
    )
    met, users = [], []
    for batch, y in loader:
        rows = batch["item"].numpy()
        asked = batch["asked"]["user"].numpy()
        assert (user[rows] == asked[batch["query"].numpy()]).all()
        np.testing.assert_array_equal(batch["weight"], y)
        np.testing.assert_array_equal(y, rows + 1)
        met += rows.tolist()
        users += asked.tolist()
    assert sorted(met) == part.tolist()
    assert len(users) == len(set(users)) == len(np.unique(user[part]))


@pytest.mark.parametrize("shuffle", [True, False])
def test_windows_hold_what_came_before(shuffle):
    user = np.repeat(np.arange(30), np.random.default_rng(0).integers(1, 25, 30))
    log, n = Log(user), len(user)
    chosen = np.flatnonzero(np.arange(n) % 3 > 0)
    options = dict(shuffle=shuffle, length=7, generator=torch.Generator())
    met = []
    for batch, _ in WindowLoader(Subset(log, chosen), 20, **options):
        asked, target = batch["asked"], batch["item"].numpy()
        window = asked["windows"].numpy()[asked["window"].numpy()]
        place = asked["place"].numpy()
        for row, places, last in zip(target, window, place):
            past = places[: last + 1]  # items are numbered as rows are
            assert past.tolist() == list(range(row - len(past), row))
            assert (user[past] == user[row]).all()
        met += target.tolist()
    later = chosen[user[chosen] == user[np.maximum(chosen - 1, 0)]]
    assert sorted(met) == later[later > 0].tolist()


def test_pieces_are_as_large_as_asked():
    sizes = np.random.default_rng(0).integers(1, 9, 200)
    pieces = cut(sizes, 20, 5)
    assert [i for p in pieces for i in range(200)[p]] == list(range(200))
    assert max(p.stop - p.start for p in pieces) == 5
    assert max(sizes[p].sum() for p in pieces) < 20 + 9


@pytest.mark.parametrize("name", IN_ORDER)
def test_no_state_sees_a_later_item(name):
    torch.manual_seed(0)
    module = ENCODERS[name].causal(8, 12, 0.0).eval()
    items = torch.randn(3, 12, 8)
    other = items.clone()
    other[:, 7:] = torch.randn(3, 5, 8)
    before, after = module(items), module(other)
    torch.testing.assert_close(before[:, :7], after[:, :7], rtol=0, atol=1e-6)
    assert (before[:, 7:] - after[:, 7:]).abs().max() > 0.01
    # and what is there counts: each state depends on the first item
    other = items.clone()
    other[:, 0] = torch.randn(3, 8)
    assert ((module(other) - before).abs().amax((0, 2)) > 1e-4).all()


def test_last_items():
    user, item = np.array([1, 0, 1, 1, 3]), np.array([5, 6, 7, 8, 9])
    time = np.array([3, 1, 1, 2, 0])
    found = last_items(user, item, time, 4, 2)
    assert found.tolist() == [[6, -1], [8, 5], [-1, -1], [9, -1], [-1, -1]]
    more = last_items(
        np.array([0, 4, 0]), np.array([1, 2, 3]), np.arange(3), 5, 2, found
    )
    expected = [[1, 3], [8, 5], [-1, -1], [9, -1], [2, -1], [-1, -1]]
    assert more.tolist() == expected


# -- what is learned -----------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """Users of four tastes, and popular items that everybody takes."""
    rng = np.random.default_rng(0)
    n_users, n_items = 240, 80
    taste, kind = rng.normal(size=(n_users, 4)), rng.normal(size=(n_items, 4))
    like = 1.5 * taste @ kind.T + rng.gumbel(size=(n_users, n_items))
    best = np.argsort(-(like + 0.5 * rng.normal(size=n_items)), axis=1)[:, :16]
    log = pd.DataFrame({"user": np.repeat(np.arange(n_users), 16)})
    log["item"] = np.array([f"i{j}" for j in range(n_items)])[best.ravel()]
    log["time"] = rng.permutation(len(log))
    log["kind"] = kind[best.ravel(), 0]  # a feature of the item
    train, test = next(LastOutSplit("user", "time", n_last=4).split(log))
    return log.iloc[train].reset_index(drop=True), log.iloc[test]


COLUMNS = ["user", "item"]


@pytest.fixture(scope="module")
def popularity(planted):
    train, test = planted
    model = Popularity(**IDS).fit(train[COLUMNS])
    return hits(model, test, by="outcome")


def hits(model, test, **options):
    """The share of the held-out pairs that are in lists of 8."""
    top = recommend(model, k=8, **options)[COLUMNS]
    return len(top.merge(test[COLUMNS])) / len(test)


@pytest.fixture(scope="module")
def fitted(planted):
    return make(encoder="mf", embedding_dim=8).fit(planted[0][COLUMNS])


@pytest.mark.parametrize(
    "params",
    [
        dict(encoder="mf", objective=Implicit("softmax")),
        dict(encoder="mf", objective=Implicit("sampled_softmax", 40)),
        dict(encoder="mf", objective=Implicit("bpr", hard=True), max_epochs=40),
        dict(encoder="dnn"),
    ],
    ids=["softmax", "sampled", "bpr", "dnn"],
)
def test_a_planted_low_rank_is_found(planted, popularity, params):
    train, test = planted
    params = {"early_stopping": False, "max_epochs": 30, **params}
    model = make(**params).fit(train[COLUMNS])
    assert hits(model, test) > popularity + 0.12


@pytest.fixture(scope="module")
def walks():
    """What follows on an item is one of two others; all items are equally popular."""
    rng = np.random.default_rng(0)
    rows, step = [], rng.permutation(30)
    for user in range(150):
        item = rng.integers(30)
        for time in range(14):
            rows.append((user, item, time))
            item = step[(item + rng.integers(2)) % 30]
    return pd.DataFrame(rows, columns=["user", "item", "time"]), step


@pytest.fixture(scope="module", params=["gru", "transformer"])
def walker(request, walks):
    model = make(encoder=request.param, time="time", embedding_dim=16, l2=0.1)
    model.set_params(max_epochs=25, history_length=9, early_stopping=False)
    return model.fit(walks[0])


def test_sequences_are_found(walks, walker):
    log, step = walks
    last = log.groupby("user")["item"].last().to_numpy()
    top = walker.recommend(k=2, exclude_seen=False)
    found = top.pivot(index="user", columns="rank", values="item").to_numpy()
    follow = np.column_stack([step[last], step[(last + 1) % 30]])
    right = (np.sort(found, axis=1) == np.sort(follow, axis=1)).all(axis=1)
    assert right.mean() > 0.8


def test_a_column_of_histories_asks_as_the_log_does(walks):
    """One query a row, from a column, of the same network."""
    log, step = walks
    pasts = log.groupby("user")["item"].agg(list)
    wide = log.assign(past=[pasts[u][:t] for u, t in zip(log["user"], log["time"])])
    params = dict(encoder="gru", embedding_dim=16, l2=0.1, early_stopping=False)
    params |= dict(max_epochs=25, history_length=9)
    model = make(**params, history="past", time="time").fit(wide)
    ends = pd.DataFrame({"user": pasts.index, "past": pasts.to_list()})
    top = model.recommend(ends, k=2, exclude_seen=False)
    found = top.groupby("user")["item"].agg(set)
    last = pasts.map(lambda items: items[-1])
    right = [f == {step[i], step[(i + 1) % 30]} for f, i in zip(found, last)]
    assert np.mean(right) > 0.7


@pytest.mark.parametrize("encoder", ["mf", "dnn"])
def test_new_items_are_scored_by_their_features(planted, encoder):
    train, _ = planted
    new = train["item"].isin([f"i{j}" for j in range(0, 80, 8)])
    params = dict(encoder=encoder, early_stopping=False, max_epochs=20)
    columns = [*COLUMNS, "kind"]
    model = make(**params, item_features=["kind"]).fit(train.loc[~new, columns])
    # Users who took items of a high "kind" get new items of a high one first.
    cold = train.loc[new].drop_duplicates("item")[["item", "kind"]]
    options = dict(cold_start="average", exclude_seen=False)  # the network's own
    scores = recommend(model, items=cold, k=len(cold), **options)
    scores = scores.merge(cold, on="item")
    slope = scores.groupby("user").apply(
        lambda g: np.polyfit(g["kind"], g["score"], 1)[0]
    )
    taste = train[~new].groupby("user")["kind"].mean()
    assert np.corrcoef(slope, taste.loc[slope.index])[0, 1] > 0.5


def test_features_of_the_query_count(planted):
    """At night other items are chosen than by day, by the same users."""
    rng = np.random.default_rng(0)
    log = pd.DataFrame(
        {"user": rng.integers(0, 50, 2000), "night": rng.integers(0, 2, 2000)}
    )
    swapped = rng.random(2000) < 0.1
    log["item"] = 10 * (log["night"] ^ swapped) + rng.integers(0, 10, 2000)
    params = dict(early_stopping=False, max_epochs=20)
    model = make(encoder="mf", **params).fit(log[["user", "item", "night"]])
    for night in (0, 1):
        options = dict(k=10, context={"night": night}, exclude_seen=False)
        assert (model.recommend([1, 2, 3], **options)["item"] // 10 == night).all()


# -- what y, weights and duplicates mean ---------------------------------------------


def test_rows_that_say_the_same_count_once(planted, fitted):
    train = planted[0][COLUMNS]
    again = make(encoder="mf").fit(pd.concat([train, train.iloc[:500]]))
    np.testing.assert_array_equal(again.predict(train), fitted.predict(train))


def test_rows_without_y_above_0_are_no_positives(planted, fitted):
    train = planted[0][COLUMNS]
    none = train.assign(item="i0").drop_duplicates()
    none = none.merge(train, how="left", indicator=True).query("_merge == 'left_only'")
    both = pd.concat([train, none[COLUMNS]])
    y = np.r_[np.full(len(train), 3.0), np.zeros(len(none))]
    model = make(encoder="mf").fit(both, y)
    np.testing.assert_allclose(model.predict(train), fitted.predict(train), atol=1e-5)
    assert not (model.recommend(k=80)["item"] == "i0").any()  # all have met it


def test_weights_weigh():
    log = pd.DataFrame(
        {"user": np.repeat(np.arange(40), 2), "item": np.tile([0, 1], 40)}
    )
    weight = np.tile([3.0, 1.0], 40)
    params = dict(encoder="mf", l2=0.0, max_epochs=200, early_stopping=False)
    for given in (dict(y=weight), dict(sample_weight=weight)):
        scores = make(**params).fit(log, **given).predict(log).reshape(40, 2)
        odds = np.exp(scores[:, 0] - scores[:, 1])
        np.testing.assert_allclose(odds, 3.0, rtol=0.1)


def test_popular_items_weigh_less_with_propensities(planted):
    train = planted[0][COLUMNS]
    counts = train["item"].value_counts()
    means = []
    for exposure in ("auto", "popularity"):
        model = make(encoder="mf", exposure_model=exposure, max_epochs=20, clip=1e-3)
        top = model.fit(train).recommend(k=5)
        means.append(counts[top["item"]].mean())
    assert means[1] < 0.95 * means[0]
    share = np.sqrt(counts / counts.max())[train["item"]].to_numpy()
    known = make(encoder="mf", max_epochs=20, clip=1e-3).fit(train, propensity=share)
    np.testing.assert_allclose(known.predict(train), model.predict(train), atol=1e-4)


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax"])
def test_popularity_is_left_out_by_its_exponent(loss):
    """Users who are alike choose by log n_i; lists keep (1 - gamma) of it."""
    counts = np.array([400, 200, 100, 50, 25])
    item = np.repeat(np.arange(5), counts)
    log = pd.DataFrame({"user": np.arange(len(item)) % 5, "item": item})
    X = log.assign(user=np.random.default_rng(0).permutation(log["user"]), t=log.index)
    for gamma in (0.4, 1.0):
        given = dict(objective=Implicit(loss, 200, popularity=gamma), l2=1e5)
        given |= dict(early_stopping=False, batch_size=512, learning_rate=0.02)
        # a feature of the moment, so that each row of a pair counts
        model = make(encoder="mf", max_epochs=150, **given).fit(X)
        asked = pd.DataFrame({"user": 1, "item": range(5), "t": X["t"].mean()})
        found = model.predict(asked)
        expected = (1 - gamma) * np.log(counts)
        gaps = (found - found.mean()) - (expected - expected.mean())
        np.testing.assert_allclose(gaps, 0.0, atol=0.25)


def test_lists_without_popularity_are_less_popular(planted):
    train = planted[0][COLUMNS]
    counts = train["item"].value_counts()
    means = []
    for gamma in (0.0, 0.7):
        objective = Implicit("bpr", popularity=gamma)
        options = dict(max_epochs=15, early_stopping=False)
        model = make(encoder="mf", objective=objective, **options).fit(train)
        means.append(counts[model.recommend(k=5)["item"]].mean())
    assert means[1] < 0.9 * means[0]


# -- the estimator's contract ----------------------------------------------------------


def test_lists_are_those_of_predict(planted, fitted):
    top = fitted.recommend([3, 5], k=4)
    scores = fitted.predict(top[COLUMNS])
    np.testing.assert_allclose(top["score"], scores, rtol=1e-5)
    assert len(top.merge(planted[0][COLUMNS])) == 0
    assert recommend(fitted, [3, 5], k=4).equals(top)
    assert explain(fitted, [3], k=1)["user_source"].tolist() == ["behaviour"]
    assert len(similar_items(fitted, ["i1"], k=3)) == 3
    with pytest.raises(ValueError, match="not identified"):
        fitted.recommend([3], by="effect")


def test_features_of_an_owner_that_the_log_cannot_tell():
    """A feature that is read with the item, and asked about with users."""
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"user": range(30), "item": rng.permutation(30)})
    log["x"] = rng.normal(size=30)
    model = make(encoder="mf", max_epochs=5).fit(log)
    asked = pd.DataFrame({"user": [3, 4], "x": [2.0, -1.0]})
    options = dict(k=5, cold_start="average", exclude_seen=False)
    top = model.recommend(asked, **options).merge(asked)
    np.testing.assert_allclose(top["score"], model.predict(top[list(log)]), rtol=1e-4)


def test_lists_of_sequences_are_those_of_predict(walks, walker):
    top = walker.recommend([3, 5], k=4, exclude_seen=False)
    scores = walker.predict(top[["user", "item"]].assign(time=99))
    np.testing.assert_allclose(top["score"], scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["mf", "dnn", "transformer"])
def test_who_is_unknown_gets_what_is_popular(planted, encoder):
    """Users that the log does not know, and one who never chose what was seen."""
    train = planted[0][[*COLUMNS, "time"]]
    more = train.head(3).assign(user=10**5)
    X, y = pd.concat([train, more]), np.append(np.ones(len(train)), [0, 0, 0])
    model = make(encoder=encoder, time="time", max_epochs=2).fit(X, y)
    later = [(train["time"] > t).sum() for t in train["time"]]
    counts = train.assign(w=0.5 ** (np.array(later) / (0.1 * len(train))))
    counts["w"] /= counts["w"].mean()
    counts = counts.groupby("item")["w"].sum().sort_values(ascending=False)
    top = model.recommend([10**5, 10**6, 1], k=30, exclude_seen=False)
    same = dict(zip([10**5, 10**6, 1], [True, True, False]))
    for user, mine in top.groupby("user"):
        falling = (np.diff(counts[mine["item"]]) <= 0).all()
        assert falling == same[user]
    asked = top[COLUMNS].assign(time=0)
    np.testing.assert_allclose(model.predict(asked), top["score"], rtol=1e-4, atol=1e-5)
    best = top[top["user"] == 10**6]["score"].iloc[0]
    assert best == pytest.approx(np.log1p(counts.iloc[0]))
    model.partial_fit(train.head(50), np.ones(50))  # what was late is not known then
    best = model.recommend([10**6], k=1)["item"].iloc[0]
    assert best == train["item"].value_counts().index[0]


def test_what_features_say_of_an_unknown_user_counts():
    """Two countries with their own items: who is new is asked by the country alone."""
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"user": np.repeat(np.arange(60), 6)})
    log["country"] = 1.0 * (log["user"] % 3 == 0)
    log["item"] = rng.integers(0, 10, len(log)) + 10 * (log["country"] > 0)
    model = make(encoder="mf", max_epochs=30, user_features=["country"]).fit(log)
    new = pd.DataFrame({"user": [100, 101], "country": [1.0, 0.0]})
    top = model.recommend(new, k=5)
    assert ((top["item"] >= 10) == (top["user"] == 100)).all()


def test_score_is_ndcg_of_lists(planted, fitted):
    from sklearn_causalrec import evaluate_lists

    train, test = planted
    log = pd.concat([train, test])[COLUMNS].reset_index(drop=True)
    parts = np.arange(len(train)), np.arange(len(train), len(log))
    table = evaluate_lists({"m": clone(fitted)}, log, split=parts, metrics="ndcg")
    found = fitted.score(test[COLUMNS], np.ones(len(test)))
    assert found == pytest.approx(table.loc["m", ("ndcg@10", "mean")])


@pytest.mark.parametrize("encoder", ["mf", "transformer"])
def test_files_pickles_and_seeds(planted, tmp_path, encoder):
    train = planted[0][[*COLUMNS, "time"]].iloc[:1200]
    model = make(encoder=encoder, time="time", max_epochs=3, n_estimators=2)
    model.set_params(objective=Implicit("sampled_softmax", 20), history_length=5)
    scores = model.fit(train).predict(train)
    save(model, tmp_path / "m")
    for other in (
        load(tmp_path / "m"),
        pickle.loads(pickle.dumps(model)),
        clone(model).fit(train),
        clone(model).fit(train.rename(columns=str)),
    ):
        np.testing.assert_array_equal(other.predict(train), scores)
        assert other.recommend([1, 2], k=3).equals(model.recommend([1, 2], k=3))
    assert not np.array_equal(
        clone(model).set_params(random_state=1).fit(train).predict(train), scores
    )
    for part in vars(model.nets_[0]).values():
        assert not isinstance(part, torch.Generator)  # which no file holds
    with pytest.raises(CannotExportError, match="implicit"):
        to_onnx(model)


def test_polars(planted, fitted):
    pl = pytest.importorskip("polars")
    train = planted[0][COLUMNS]
    model = make(encoder="mf").fit(pl.from_pandas(train))
    np.testing.assert_array_equal(model.predict(train), fitted.predict(train))


@pytest.mark.parametrize("encoder", ["mf", "transformer"])
def test_training_goes_on_with_new_ids(planted, encoder):
    train = planted[0][[*COLUMNS, "time"]]
    old = train["user"] < 200
    model = make(encoder=encoder, time="time", max_epochs=10, history_length=20)
    model.partial_fit(train[old], np.ones(old.sum()))
    before = model.predict(train[~old])
    more = train[~old].copy()
    more.loc[more["user"] == 230, "item"] = "new"
    model.partial_fit(more, np.ones(len(more)))
    assert not np.allclose(before, model.predict(train[~old]))
    assert "new" in set(model.recommend([1], k=81)["item"])
    if encoder == "transformer":
        code = model.log_encoder_.users.codes(np.array([1, 239]))
        assert ((model.catalogue_.history[code] >= 0).sum(axis=1) == 12).all()
        history = model.catalogue_.history
        model.set_params(warm_start=True, max_epochs=1).fit(train)
        assert (model.catalogue_.history[:-1] == history[:-1]).mean() > 0.99


# -- what is refused, by name ----------------------------------------------------------


LOG = pd.DataFrame(
    {"user": [1, 1, 2, 3], "item": ["a", "b", "a", "c"], "time": range(4)}
)


@pytest.mark.parametrize(
    "params, fit, words",
    [
        (dict(encoder="transformer"), {}, "time="),
        (dict(), dict(y=np.zeros(4)), "No row has y > 0"),
        (dict(task="classification"), dict(y=[0, 1, 1, 1]), "regression"),
        (dict(user=None), {}, "columns of users and items"),
        (dict(), dict(treatment=[0, 1, 0, 1]), "no treatment"),
        (dict(exposure_model="naive_bayes"), {}, "exposure_model"),
        (dict(towers="prefix"), {}, "towers"),
        (dict(encoder="mf", history="time"), {}, "history"),
        (dict(), dict(y=[1, np.nan, 1, 1]), "NaN"),
        (dict(), dict(propensity=[0.5, np.nan, 0.5, 1]), "propensity is NaN"),
    ],
)
def test_refusals(params, fit, words):
    with pytest.raises(ValueError, match=words):
        make(**params).fit(LOG, **fit)


def test_an_order_of_single_positives_is_refused():
    model = make(encoder="transformer", time="time")
    with pytest.raises(ValueError, match="no user has two positives"):
        model.fit(LOG.drop_duplicates("user"))


def test_an_order_of_few_is_fitted():
    """Rows held out may be the first of their users: none of them can be told."""
    log = pd.DataFrame({"user": np.r_[0, 0, 1:9], "item": np.r_[0, 1, 0:8]})
    log["time"] = range(10)
    model = make(encoder="gru", time="time", early_stopping=True, max_epochs=3)
    assert np.isfinite(model.fit(log).recommend(k=2)["score"]).all()


def test_a_classifier_of_positives_alone_is_told_of_the_door():
    with pytest.raises(ValueError, match='objective="implicit"'):
        CausalDNNRecommender(**IDS, task="classification").fit(LOG, np.ones(4))


@pytest.mark.parametrize("y", [None, [5.0] * 4, [5, 0, 4, 3]])
@pytest.mark.parametrize("encoder", ["mf", "dnn", "gru"])
def test_small_logs_are_fitted(encoder, y):
    """Users with one positive, equal ratings, an item that nobody has."""
    model = make(encoder=encoder, time="time", max_epochs=3)
    y = None if y is None else np.array(y)
    if encoder == "gru" and y is not None and not y.all():
        return  # no user has two positives then, see above
    top = model.fit(LOG, y).recommend(k=3)
    assert np.isfinite(top["score"]).all()
    assert len(top) == 3 * 3 - 4


def test_a_log_of_positives_alone_is_told_of_the_door():
    """By objectives of outcomes; what "auto" does is in test_default_lists.py."""
    quick = dict(max_epochs=1, hidden_layer_sizes=(4,), objective="naive")
    with pytest.warns(UserWarning, match='objective="implicit"'):
        CausalDNNRecommender(**IDS, **quick).fit(LOG, np.ones(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(encoder="mf", max_epochs=1).fit(LOG, np.ones(4))
        CausalDNNRecommender(**IDS, **quick).fit(LOG, [1.0, 2, 3, 4])
    with pytest.raises(ValueError, match="y to be passed"):
        CausalDNNRecommender(**IDS, objective="naive").fit(LOG)
