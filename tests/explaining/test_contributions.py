from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    DoCalculusEffect,
    effect,
    explain_effect,
)
from sklearn_causalrec.baselines import UserItemBias
from sklearn_causalrec.explaining import shapley as module
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.shapley import shapley


def wild(X, B):
    """Outputs that no sum of groups makes."""

    def value(row, back, inside):
        x = np.where(inside, X[row], B[back])
        return np.column_stack([x.prod(axis=1), np.sin(x.sum(axis=1)) + x[:, 0] ** 2])

    return value


def by_definition(value, i, n_back, n_groups):
    """The mean gain over all orders of the groups and all background rows."""
    total = np.zeros((n_groups, 2))
    orders = list(permutations(range(n_groups)))
    for order in orders:
        for b in range(n_back):
            inside = np.zeros((1, n_groups), bool)
            before = value(np.array([i]), np.array([b]), inside)[0]
            for g in order:
                inside[0, g] = True
                now = value(np.array([i]), np.array([b]), inside)[0]
                total[g] += now - before
                before = now
    return total / len(orders) / n_back


def test_shapley_values_are_those_of_all_orders(rng):
    X, B = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    value = wild(X, B)
    baseline, outputs, found = shapley(value, 3, 2, 4, None)
    for i in range(3):
        np.testing.assert_allclose(found[i], by_definition(value, i, 2, 4))
    np.testing.assert_allclose(baseline + found.sum(axis=1), outputs)
    np.testing.assert_allclose(outputs[:, 0], X.prod(axis=1))


def test_drawn_orders_add_up_and_come_close(rng, monkeypatch):
    X, B = rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    exact = shapley(wild(X, B), 2, 2, 4, None)[2]
    monkeypatch.setattr(module, "EXACT", 2)
    draw = np.random.RandomState(0)
    baseline, outputs, found = shapley(wild(X, B), 2, 2, 4, draw, n_orders=400)
    np.testing.assert_allclose(baseline + found.sum(axis=1), outputs)
    np.testing.assert_allclose(found, exact, atol=0.1)
    assert not np.allclose(found, exact)


def test_pairs_of_the_simulator(shop, shop_model):
    """User and item count as they do in the mechanism of the log."""
    rows = shop.X.iloc[:150]
    found = explain_effect(shop_model, rows, background=shop.X, n_repeats=0)
    assert list(found.effect) == ["user", "item"]
    assert found.groups["user"][0] == "user" and "user_x0" in found.groups["user"]
    whole = found.effect.sum(axis=1) + found.baseline["effect"]
    np.testing.assert_allclose(whole, shop_model.effect(rows), atol=1e-3)
    whole = found.outcome.sum(axis=1) + found.baseline["outcome"]
    np.testing.assert_allclose(whole, shop_model.predict(rows, treatment=1), atol=1e-3)

    back = np.linspace(0, len(shop.X) - 1, 40).astype(int)

    def truth(row, other, inside):
        user = np.where(inside[:, 0], shop.user[row], shop.user[back[other]])
        item = np.where(inside[:, 1], shop.item[row], shop.item[back[other]])
        return shop.counterfactual(user, item).effect[:, None]

    causes = shapley(truth, len(rows), len(back), 2, None)[2][:, :, 0]
    for g, name in enumerate(found.effect):
        assert spearmanr(found.effect[name], causes[:, g]).statistic > 0.8


@pytest.fixture(scope="module")
def ten_columns():
    """Three of ten columns move the effect, three others the outcome."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(1500, 10)), columns=[f"c{j}" for j in range(10)])
    t = rng.integers(0, 2, 1500)
    tau = 1 + 1.5 * X["c0"] - 1.0 * X["c1"] + 0.5 * X["c2"]
    y = X[["c3", "c4", "c5"]].sum(axis=1) * 2 + tau * t + rng.normal(size=1500)
    model = DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=LinearRegression(), cv=2, random_state=0,
    ).fit(X, y, treatment=t)  # fmt: skip
    return X, tau, model


def test_deleting_what_is_named_moves_the_effect(ten_columns, rng):
    X, _, model = ten_columns
    found = explain_effect(model, X[:120], background=X, n_repeats=0)
    mean = X.mean()

    def moved(chosen):
        changed = X[:120].copy()
        for i, names in enumerate(chosen):
            changed.loc[i, names] = mean[names]
        return np.abs(model.effect(changed) - model.effect(X[:120])).mean()

    named = [found.effect.iloc[i].abs().nlargest(2).index.tolist() for i in range(120)]
    drawn = [rng.choice(X.columns, 2, replace=False).tolist() for _ in range(120)]
    assert moved(named) >= 2 * moved(drawn)
    causes = pd.DataFrame({"c0": 1.5, "c1": -1.0, "c2": 0.5}, index=X.index[:120])
    causes = (X[:120] - mean)[list(causes)] * causes
    for name in causes:
        assert spearmanr(found.effect[name], causes[name]).statistic >= 0.8


def test_importance_is_that_of_the_effect(ten_columns):
    X, tau, model = ten_columns
    found = explain_effect(model, X, n_background=2)
    table = found.importance.set_index("group")
    assert found.importance["group"][:3].tolist() == ["c0", "c1", "c2"]
    # shares of the variance of a sum of independent parts
    for name, slope in (("c0", 1.5), ("c1", 1.0), ("c2", 0.5)):
        share = slope**2 * X[name].var() / tau.var()
        assert table.loc[name, "effect"] == pytest.approx(share, abs=0.06)
        assert table.loc[name, "low"] < share + 0.06
        assert table.loc[name, "high"] > share - 0.06
    assert (table["low"] <= table["effect"]).all()
    assert (table["effect"] <= table["high"]).all()
    assert table.loc["c3", "outcome"] > 5 * table.loc["c3", "effect"]
    again = explain_effect(model, X, n_background=2)
    pd.testing.assert_frame_equal(found.importance, again.importance)


def test_through_a_pipeline_columns_are_the_callers(ten_columns, rng):
    X, _, _ = ten_columns
    t = rng.integers(0, 2, len(X))
    y = 3 * t * X["c7"] + rng.normal(size=len(X))
    model = DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=LinearRegression(), cv=2, random_state=0,
    )  # fmt: skip
    pipe = make_pipeline(StandardScaler(), model)
    pipe.fit(X, y.rename("sales"), docalculuseffect__treatment=t)
    found = explain_effect(pipe, X[:5], background=X, n_repeats=1)
    assert found.importance["group"][0] == "c7"
    assert found.why(0)[0] == "c7"
    whole = found.effect.sum(axis=1) + found.baseline["effect"]
    np.testing.assert_allclose(whole, effect(pipe, X[:5]))
    array = pipe.fit(X.to_numpy(), y.to_numpy(), docalculuseffect__treatment=t)
    found = explain_effect(array, X[:5].to_numpy(), background=X.to_numpy())
    assert found.importance["group"][0] == "x7"


def test_one_arm_is_explained_by_its_outcome(shop, one_arm):
    found = explain_effect(one_arm, shop.X[:20], background=shop.X, n_repeats=1)
    assert found.effect is None and "single treatment value" in found.refusal
    whole = found.outcome.sum(axis=1) + found.baseline["outcome"]
    expected = one_arm.predict_proba(shop.X[:20])[:, 1]
    np.testing.assert_allclose(whole, expected, atol=1e-3)
    assert list(found.importance) == ["group", "outcome"]
    bias = UserItemBias(user="user", item="item").fit(shop.X, shop.y)
    found = explain_effect(bias, shop.X[:20], background=shop.X)
    whole = found.outcome.sum(axis=1) + found.baseline["outcome"]
    np.testing.assert_allclose(whole, bias.predict(shop.X[:20]))


def test_an_effect_that_does_not_vary_is_said_so(rng):
    X, t = rng.normal(size=(300, 2)), rng.integers(0, 2, 300)
    y = 2 * t + X[:, 0] + rng.normal(size=300)
    model = DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=DummyRegressor(), random_state=0,
    ).fit(X, y, treatment=t)  # fmt: skip
    found = explain_effect(model, X)
    assert not found.varies
    assert (found.importance["effect"] == 0).all()
    assert "same for all rows" in str(found)


def test_groups_of_ones_own_and_refusals(ten_columns):
    X, _, model = ten_columns
    mine = {"money": ["c0", "c1"]}
    found = explain_effect(model, X[:3], background=X, groups=mine, n_repeats=1)
    assert list(found.effect) == ["money", "other"]
    with pytest.raises(ValueError, match=r"'c99'.*no column that the model reads"):
        explain_effect(model, X, groups={"a": ["c99"]})
    with pytest.raises(ValueError, match="'c0' is in two groups"):
        explain_effect(model, X, groups={"a": ["c0"], "b": ["c0"]})
    with pytest.raises(ValueError, match="background="):
        explain_effect(model, X[:1])
    with pytest.raises(ValueError, match="groups is 'rows'"):
        explain_effect(model, X, groups="rows")
    with pytest.raises(TypeError, match="neither predicts"):
        explain_effect(StandardScaler().fit(X), X)


def test_owners_of_columns_behind_a_transformer(shop, scale_columns, quick_recommender):
    pipe = make_pipeline(
        scale_columns([c for c in shop.X if "_x" in c]),
        quick_recommender(user="user", item="item", max_epochs=2),
    )
    pipe.fit(shop.X, shop.y, causaldnnrecommender__treatment=shop.treatment)
    groups = Model(pipe).groups(list(shop.X))
    assert set(groups) == {"user", "item"}
    assert set(groups["item"]) == {"item", *(c for c in shop.X if c[:6] == "item_x")}


def test_columns_without_roles_are_alone_and_arrays_have_owners(shop, shop_model):
    model = CausalDNNRecommender(effect_learner="t", max_epochs=1, random_state=0)
    X = shop.X.drop(columns=["user", "item"]).to_numpy()
    model.fit(X, shop.y, treatment=shop.treatment)
    found = explain_effect(model, X[:3], background=X, n_repeats=0)
    assert list(found.effect) == [f"x{j}" for j in range(8)]
    model = CausalDNNRecommender(
        user=0, item=1, effect_learner="t", max_epochs=1, random_state=0
    )
    X = shop.X.to_numpy()
    model.fit(X, shop.y, treatment=shop.treatment)
    found = explain_effect(model, X[:3], background=X, n_repeats=0)
    assert found.groups["user"] == ["x0", "x2", "x3", "x4", "x5"]
    whole = found.effect.sum(axis=1) + found.baseline["effect"]
    np.testing.assert_allclose(whole, model.effect(X[:3]), atol=1e-3)
