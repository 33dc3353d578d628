import pickle
from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect, decide
from sklearn_causalrec.explaining.allocation import _priced, allocate
from sklearn_causalrec.explaining.policy_tree import grow
from sklearn_causalrec.explaining.rules import Readable


def by_enumeration(gain, cost, budget):
    """The largest total gain of all choices that fit."""
    rows = np.arange(len(gain))
    best = -np.inf
    for arm in product(range(gain.shape[1]), repeat=len(gain)):
        if cost[rows, list(arm)].sum() <= budget + 1e-12:
            best = max(best, gain[rows, list(arm)].sum())
    return best


@pytest.mark.parametrize("n_arms", [2, 3])
@pytest.mark.parametrize("alike", [True, False])
def test_the_choice_is_that_of_all_choices(n_arms, alike):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gain = np.column_stack([np.zeros(6), rng.normal(size=(6, n_arms - 1))])
        cost = np.column_stack([np.zeros(6), rng.uniform(0.2, 2, (6, n_arms - 1))])
        if alike:
            cost[:, 1:] = 0.7
        budget = rng.uniform(0.5, 4)
        found = allocate(gain, cost, budget)
        total = gain[np.arange(6), found.arm].sum()
        assert cost[np.arange(6), found.arm].sum() <= budget + 1e-9
        best = by_enumeration(gain, cost, budget)
        assert total == pytest.approx(best) and found.gap < 1e-6
        # without the integer program: within the gap that is stated
        arm, _, bound = _priced(gain, cost, budget)
        total = gain[np.arange(6), arm].sum()
        assert total <= best + 1e-9 <= bound + 2e-9
        assert cost[np.arange(6), arm].sum() <= budget + 1e-9
        if found.price == 0:
            assert found.arm.tolist() == gain.argmax(axis=1).tolist()


def test_a_large_budget_problem_is_near_its_bound(rng):
    gain = np.column_stack([np.zeros(20_000), rng.normal(size=(20_000, 2))])
    cost = np.column_stack([np.zeros(20_000), rng.uniform(0.1, 2, (20_000, 2))])
    found = allocate(gain, cost, 3000.0)
    total = gain[np.arange(20_000), found.arm].sum()
    assert 0 <= found.gap < 1e-4 * total and found.price > 0
    more = allocate(gain, cost, 3001.0)
    rise = gain[np.arange(20_000), more.arm].sum() - total
    assert rise == pytest.approx(found.price, abs=0.05)
    with pytest.raises(ValueError, match="budget=1 is below"):
        allocate(gain, cost + 1, 1.0)


def test_the_tree_is_the_best_of_its_depth():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.integers(0, 4, (40, 2)).astype(float), columns=["a", "b"])
        gain = np.column_stack([np.zeros(40), rng.normal(size=(40, 2))])
        readable = Readable(X, ["a", "b"])

        def value(rows, depth, gain=gain, X=X):
            best = gain[rows].sum(axis=0).max() if len(rows) else 0.0
            if depth == 0:
                return best
            for j, cut in product((0, 1), (0.5, 1.5, 2.5)):
                left = X.to_numpy()[rows, j] <= cut
                if left.any() and not left.all():
                    parts = (rows[left], rows[~left])
                    best = max(best, sum(value(part, depth - 1) for part in parts))
            return best

        for depth in (1, 2):
            tree = grow(readable, gain, [0, 1, 2], depth, min_share=1e-9, slack=0.0)
            arm = tree.codes(X)
            total = gain[np.arange(40), arm].sum()
            assert total == pytest.approx(value(np.arange(40), depth))
            assert (tree.table["gain"] * tree.table["n"]).sum() == pytest.approx(total)
            assert tree.predict(X).tolist() == arm.tolist()
        deep = grow(readable, gain, [0, 1, 2], 3, min_share=1e-9, slack=0.0)
        third = gain[np.arange(40), deep.codes(X)].sum()
        assert total - 1e-9 <= third <= value(np.arange(40), 3) + 1e-9
        assert deep.table["rule"].str.count("[≤>]").max() <= 3


def make_log(seed, n=1500):
    """Three arms; mail pays from 5 visits on, a call for some of them."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"visits": rng.integers(0, 10, n), "age": rng.normal(size=n)})
    arm = rng.choice(["none", "mail", "call"], n)
    visits = X["visits"].to_numpy()
    effects = {
        "none": 0 * visits,
        "mail": 0.3 * (visits - 4.0),
        "call": 0.5 * (visits - 6.0),
    }
    truth = np.column_stack([effects[a] for a in ("call", "mail", "none")])
    y = sum(effects[a] * (arm == a) for a in effects) + rng.normal(size=n)
    return X, arm, pd.Series(y, name="sales"), truth


def fit(X, arm, y, **options):
    return DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=LinearRegression(), cv=2, random_state=0, **options,
    ).fit(X, y, treatment=arm)  # fmt: skip


def test_arms_by_their_gain_with_an_interval_that_covers():
    X, arm, y, truth = make_log(3)
    model = fit(X, arm, y)
    cost, margin = {"mail": 0.2, "call": 0.6}, 2.0
    found = decide(model, X, cost=cost, margin=margin)
    net = margin * found.effects.to_numpy() - [0.6, 0.2, 0.0]
    assert found.arm.tolist() == [model.arms_[a] for a in net.argmax(axis=1)]
    assert found.predicted_gain == pytest.approx(net.max(axis=1).sum())
    assert found.table["arm"].tolist() == ["none", "call", "mail"]
    assert found.table["gain"].sum() == pytest.approx(found.predicted_gain)
    position = pd.Index(model.arms_).get_indexer(found.arm)
    rows = np.arange(len(X))
    true_net = margin * truth - [0.6, 0.2, 0.0]
    reached = true_net[rows, position].sum()
    assert found.interval[0] < reached < found.interval[1]
    table = found.off_policy.set_index("rule")
    low, high = table.loc["this rule", ["low", "high"]]
    assert low < reached / len(X) < high
    everyone = true_net[:, 0].mean()
    low, high = table.loc["call for everyone", ["low", "high"]]
    assert low < everyone < high
    assert table.loc["this rule", "gain"] > table.loc["mail for everyone", "gain"]
    assert "visits" in str(found.tree) and "age" not in str(found.tree)
    whole = decide(model, X, cost=cost, margin=margin, tree_depth=3).tree
    assert (whole.table["gain"] * whole.table["n"]).sum() >= 0.95 * (
        found.tree.table["gain"] * found.tree.table["n"]
    ).sum()
    assert table.loc["the tree", "gain"] > 0.8 * table.loc["this rule", "gain"]


def test_the_interval_of_fresh_rows_covers_in_spite_of_the_choice():
    """Effects that are noise: predictions of those chosen are too large."""
    covered, predicted = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(300, 12)))
        X.columns = [f"c{j}" for j in range(12)]
        t = rng.integers(0, 2, 300)
        model = fit(X, t, pd.Series(rng.normal(size=300), name="y"))
        found = decide(model, X, tree_depth=0)
        covered.append(found.interval[0] < 0 < found.interval[1])
        predicted.append(found.predicted_gain)
        assert found.gain < found.predicted_gain
    assert np.mean(covered) >= 0.8
    assert min(predicted) > 0


def test_a_budget_is_kept_and_has_a_price():
    X, arm, y, _ = make_log(1, n=600)
    model = fit(X, arm, y)
    found = decide(model, X, cost=1.0, margin=3.0, budget=50.0)
    assert found.cost == 50 and found.price > 0 and found.gap == 0
    assert "budget" in found.sentence()
    assert found.sentence().startswith("Of 600 rows: none for 550, ")
    # the 50 rows with the largest gains, by hand
    net = 3 * found.effects.to_numpy() - [1, 1, 0]
    best = np.sort(net.max(axis=1))[-50:].sum()
    assert found.predicted_gain == pytest.approx(best)
    by_row = decide(model, X, cost=np.full(600, 1.0), margin=3.0, budget=50.0)
    assert by_row.arm.tolist() == found.arm.tolist()
    few = decide(model, X[:10], cost=np.linspace(1, 2, 10), budget=3.0)
    assert few.cost <= 3 and few.off_policy is None and few.interval is not None


def test_a_recommender_decides(shop, shop_model):
    found = decide(shop_model, shop.X, cost=0.1)
    assert set(found.arm) == {0, 1}
    np.testing.assert_array_equal(found.arm, shop_model.effect(shop.X) > 0.1)
    again = pickle.loads(pickle.dumps(found))
    assert again.tree.predict(shop.X).tolist() == found.tree.predict(shop.X).tolist()
    reached = (shop.effect - 0.1)[found.arm == 1].sum()
    assert found.interval[0] < reached < found.interval[1]
    assert found.off_policy["rule"].tolist()[:2] == ["this rule", "the tree"]


def test_refusals(shop, shop_model, one_arm):
    X, arm, y, _ = make_log(2, n=200)
    model = fit(X, arm, y)
    with pytest.raises(ValueError, match="budget limits the total cost"):
        decide(model, X, budget=3.0)
    with pytest.raises(ValueError, match="cost is negative"):
        decide(model, X, cost=-1.0)
    with pytest.raises(ValueError, match="cost has the shape"):
        decide(model, X, cost=np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        decide(model, X, margin=np.full(200, np.nan))
    with pytest.raises(ValueError, match="'fax'"):
        decide(model, X, cost={"fax": 1.0})
    with pytest.raises(ValueError, match="single treatment value"):
        decide(one_arm, shop.X)
    with pytest.raises(ValueError, match="control"):
        decide(fit(X, np.where(arm == "none", "fax", arm), y), X)
    doses = DoCalculusEffect(effect_model=None, random_state=0, cv=2)
    doses.fit(X, y, treatment=np.linspace(0, 1, 200) + X["age"].to_numpy())
    with pytest.raises(ValueError, match="doses"):
        decide(doses, X)
    t = CausalDNNRecommender(effect_learner="t", max_epochs=1, random_state=0)
    t.fit(X, y, treatment=(arm == "mail").astype(int))
    assert decide(t, X).interval is None
