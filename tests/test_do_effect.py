"""DoCalculusEffect: from a graph and data to an effect, or a refusal."""

import pickle
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    NotIdentifiableError,
    effect,
)
from sklearn_causalrec.causal.estimation.instruments import InstrumentEffect

FAST = dict(
    outcome_model=LinearRegression(),
    treatment_model=LogisticRegression(),
    random_state=0,
)
AVERAGE = FAST | {"effect_model": None}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shop(rng, n=1500):
    """Confounded by z; the effect is 1 + z."""
    z, w = rng.normal(size=(2, n))
    shown = rng.binomial(1, sigmoid(z))
    buys = z + shown * (1 + z) + rng.normal(size=n)
    return pd.DataFrame({"z": z, "w": w, "shown": shown}), pd.Series(buys, name="buys")


SHOP = CausalGraph("z -> shown; z -> buys; shown -> buys; w -> buys")


def taste(rng, n=4000):
    u = rng.normal(size=n)
    browse = rng.binomial(1, sigmoid(u))
    purchase = rng.binomial(1, 0.2 + 0.5 * browse)
    rating = purchase + u + rng.normal(size=n)
    X = pd.DataFrame({"browse": browse, "purchase": purchase})
    return X, pd.Series(rating, name="rating")


TASTE = CausalGraph("browse -> purchase -> rating; browse <-> rating")


# -- what is identified, and how ----------------------------------------------------


def test_adjustment(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(SHOP, treatment="shown", **FAST).fit(X, y)
    assert model.strategy_ == "adjustment"
    assert model.adjustment_set_ == {"z", "w"}
    assert model.guarantee_ == "doubly robust, root-n"
    low, high = model.ate_interval()
    assert low < 1 < high and high - low < 0.4
    assert np.corrcoef(model.effect(X), 1 + X["z"])[0, 1] > 0.95
    low, high = model.effect_interval(X)
    assert (low < high).all()
    assert ((low < 1 + X["z"]) & (1 + X["z"] < high)).mean() > 0.8
    # among the treated z is larger, and so is the effect
    low, high = model.att_interval()
    truth = 1 + X.loc[X["shown"] == 1, "z"].mean()
    assert model.ate() + 0.2 < model.att() and low < truth < high


@pytest.mark.parametrize("wrong", ["outcome_model", "treatment_model"])
def test_adjustment_survives_one_wrong_nuisance(wrong):
    X, y = shop(np.random.default_rng(1), 8000)
    broken = dict(outcome_model=DummyRegressor(), treatment_model=DummyClassifier())
    models = AVERAGE | {wrong: broken[wrong]}
    model = DoCalculusEffect(SHOP, treatment="shown", **models).fit(X, y)
    low, high = model.ate_interval(alpha=0.002)
    assert low < 1 < high and high - low < 0.5
    naive = y[X["shown"] == 1].mean() - y[X["shown"] == 0].mean()
    assert naive > 1.5


def test_predict_is_the_mean_under_an_arm(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(SHOP, treatment="shown", **AVERAGE).fit(X, y)
    truth = X["z"] + X["shown"] * (1 + X["z"])
    assert np.sqrt(np.mean((model.predict(X) - truth) ** 2)) < 0.15
    bare = X.drop(columns="shown")
    np.testing.assert_allclose(model.predict(bare), model.predict(X.assign(shown=1)))
    np.testing.assert_allclose(
        model.predict(bare, treatment=0), model.predict(X.assign(shown=0))
    )
    with pytest.raises(ValueError, match="treatment=2 is not an arm"):
        model.predict(bare, treatment=2)


def test_front_door_where_adjustment_would_be_wrong(rng):
    X, y = taste(rng)
    model = DoCalculusEffect(TASTE, treatment="browse", **FAST).fit(X, y)
    assert (model.strategy_, model.adjustment_set_) == ("frontdoor", None)
    low, high = model.ate_interval()
    assert low < 0.5 < high
    naive = y[X["browse"] == 1].mean() - y[X["browse"] == 0].mean()
    assert naive > high + 0.2
    # nothing precedes the treatment: the effect is one for all
    np.testing.assert_allclose(model.effect(X), model.ate())


def test_a_bow_is_refused_before_any_model_is_trained(rng):
    X, y = taste(rng, 50)

    class Untouched(LinearRegression):
        def fit(self, *args, **kwargs):
            raise AssertionError("trained")

    model = DoCalculusEffect(
        CausalGraph("browse -> rating; browse <-> rating; purchase"),
        treatment="browse", outcome_model=Untouched(),
    )  # fmt: skip
    with pytest.raises(NotIdentifiableError) as caught:
        model.fit(X, y)
    assert caught.value.hedge == (
        frozenset({"browse", "rating"}), frozenset({"rating"})
    )  # fmt: skip
    assert not hasattr(model, "strategy_")


def test_no_path_is_no_effect(rng):
    X, y = shop(rng, 200)
    graph = CausalGraph("z -> shown; z -> buys; w -> buys")
    model = DoCalculusEffect(graph, treatment="shown", **FAST).fit(X, y)
    assert model.strategy_ == "no-effect"
    assert model.ate() == 0 and model.ate_interval() == (0, 0)


def test_without_a_graph_every_column_is_a_confounder(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(treatment="shown", **AVERAGE).fit(X, y)
    assert model.adjustment_set_ == {"z", "w"}
    beside = DoCalculusEffect(**AVERAGE).fit(
        X[["z", "w"]], y, treatment=X["shown"]
    )  # fmt: skip
    np.testing.assert_allclose(beside.ate(), model.ate(), atol=0.02)
    array = DoCalculusEffect(**AVERAGE).fit(
        X[["z", "w"]].to_numpy(), y.to_numpy(), treatment=X["shown"].to_numpy()
    )
    np.testing.assert_allclose(array.ate(), beside.ate())


def test_one_arm_rule(rng):
    X, y = shop(rng, 300)
    model = DoCalculusEffect(random_state=0).fit(X[["z", "w"]], y)
    assert model.score(X[["z", "w"]], y) > 0.3
    for ask in (model.ate, lambda: model.effect(X[["z", "w"]]), model.summary):
        with pytest.raises(ValueError, match="not identified: fit saw no treatment"):
            ask()


def test_joint_interventions_where_no_set_is_valid():
    rng = np.random.default_rng(3)
    n = 6000
    A, U = rng.binomial(1, 0.5, n), rng.normal(size=n)
    L = A + U + rng.normal(size=n)
    B = rng.binomial(1, sigmoid(L))
    y = A + L + B + U + rng.normal(size=n)
    graph = CausalGraph("A -> L; A -> B; L -> B; A -> Y; L -> Y; B -> Y; L <-> Y")
    X = pd.DataFrame({"A": A, "L": L, "B": B})
    model = DoCalculusEffect(graph, treatment=["A", "B"], outcome="Y", **AVERAGE)
    model.fit(X, y)
    assert model.arms_ == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert model.adjustment_set_ is None
    for T0, T1, truth in (
        (0, 1, 3), ((0, 0), (1, 0), 2), ({"A": 1, "B": 0}, {"A": 1, "B": 1}, 1),
    ):  # fmt: skip
        low, high = model.ate_interval(T0=T0, T1=T1)
        assert low - 0.05 < truth < high + 0.05
    with pytest.raises(ValueError, match="is not an arm; the arms are"):
        model.ate(T0=(0, 2))


def test_several_arms_of_text(rng):
    n = 3000
    z = rng.normal(size=n)
    arm = np.array(["none", "mail", "push"])[
        (sigmoid(z)[:, None] > rng.uniform(size=(n, 2))).sum(1)
    ]
    y = z + np.select([arm == "mail", arm == "push"], [1.0, 3.0]) + rng.normal(size=n)
    X = pd.DataFrame({"z": z, "arm": arm})
    model = DoCalculusEffect(treatment="arm", **FAST).fit(X, y)
    assert model.arms_ == ["mail", "none", "push"]
    assert abs(model.ate(T0="none", T1="push") - 3) < 0.25
    assert abs(model.effect(X, "mail", "push").mean() - 2) < 0.25
    with pytest.raises(ValueError, match="'sms' is not an arm"):
        model.ate(T0="none", T1="sms")
    with pytest.raises(
        ValueError, match=r"Which of the arms .* compared with 'none'\? Name it, T1="
    ):
        model.ate()


def test_plug_in_on_few_discrete_columns(rng):
    n = 4000
    z = rng.integers(0, 3, n)
    t = rng.binomial(1, [0.2, 0.5, 0.8], (n, 3))[np.arange(n), z]
    y = rng.binomial(1, 0.1 + 0.2 * t + 0.2 * z)
    X = pd.DataFrame({"z": z.astype(str), "t": t})
    model = DoCalculusEffect(treatment="t", random_state=0).fit(X, y)
    assert model.method_.startswith("plug-in")
    low, high = model.ate_interval()
    assert low < 0.2 < high
    # the formula by hand
    frame = X.assign(y=y)
    means = frame.groupby(["z", "t"])["y"].mean().unstack()
    by_hand = (means[1] - means[0]) @ frame["z"].value_counts(normalize=True)
    assert abs(model.ate() - by_hand) < 1e-3
    again = DoCalculusEffect(treatment="t", strategy="adjustment", random_state=0)
    assert abs(again.fit(X, y).ate() - by_hand) < 0.03


def test_general_functionals(rng):
    n = 1500
    u, v = rng.normal(size=(2, n))
    W = u + v + rng.normal(size=n)
    R = rng.binomial(1, sigmoid(W / 2))
    T = rng.binomial(1, sigmoid(R - 0.5 + u))
    y = T + v + rng.normal(size=n)
    graph = CausalGraph("W -> R -> T -> Y; W <-> T; W <-> Y")
    X = pd.DataFrame({"W": W, "R": R, "T": T})
    model = DoCalculusEffect(graph, treatment="T", outcome="Y", random_state=0)
    model.fit(X, y)
    assert model.strategy_ == "general"
    low, high = model.ate_interval(alpha=0.002)
    assert low < 1 < high and high - low < 1
    with pytest.raises(ValueError, match="is not identified, or not by the functional"):
        model.effect(X)


def test_effects_along_paths(rng):
    n = 4000
    C = rng.normal(size=n)
    T = rng.binomial(1, sigmoid(C))
    M = T + C + rng.normal(size=n)
    y = 0.5 * T + 2 * M + C + rng.normal(size=n)
    graph = CausalGraph("C -> T; C -> M; C -> Y; T -> M -> Y; T -> Y")
    X = pd.DataFrame({"C": C, "T": T, "M": M})
    model = DoCalculusEffect(
        graph, treatment="T", outcome="Y", mediators="M", **AVERAGE
    ).fit(X, y)
    paths = model.path_effects_.loc[1]
    for name, truth in (("total", 2.5), ("direct", 0.5), ("indirect", 2.0)):
        row = paths.loc[name]
        assert row["low"] - 0.05 < truth < row["high"] + 0.05
    np.testing.assert_allclose(
        paths.loc["direct", "estimate"] + paths.loc["indirect", "estimate"],
        paths.loc["total", "estimate"],
    )


def test_effects_along_paths_of_two_treatments(rng):
    n = 4000
    C = rng.normal(size=n)
    A, B = rng.binomial(1, sigmoid(0.5 * C)), rng.binomial(1, sigmoid(-0.5 * C))
    M = 0.5 * A + 0.75 * B + C + rng.normal(size=n)
    y = 0.5 * A + 0.25 * B + 2 * M + C + rng.normal(size=n)
    graph = CausalGraph(
        "C -> A; A -> M; A -> Y; C -> B; B -> M; B -> Y; C -> M -> Y; C -> Y"
    )
    X = pd.DataFrame({"A": A, "B": B, "C": C, "M": M})
    model = DoCalculusEffect(
        graph, treatment=["A", "B"], outcome="Y", mediators="M", **AVERAGE
    ).fit(X, y)
    paths = model.path_effects_
    assert paths.index.names == ["A", "B", "effect"] and len(paths) == 9
    truth = {(0, 1): (0.25, 1.5), (1, 0): (0.5, 1.0), (1, 1): (0.75, 2.5)}
    for arm, parts in truth.items():
        for name, value in zip(("total", "direct", "indirect"), (sum(parts), *parts)):
            row = paths.loc[(*arm, name)]
            assert row["low"] - 0.1 < value < row["high"] + 0.1
    assert "indirect" in str(model.summary())


@pytest.mark.parametrize(
    "text, message",
    [
        ("T -> L; L -> M; L -> Y; M -> Y; T -> Y", "'L' leads to the mediators and"),
        ("T -> M; M -> Y; T -> L; L -> Y; L <-> M; T -> Y", "a latent cause joins"),
    ],
)
def test_paths_that_cannot_be_told_apart(rng, text, message):
    X = pd.DataFrame(rng.normal(size=(40, 3)), columns=["T", "L", "M"])
    X["T"] = (X["T"] > 0).astype(int)
    model = DoCalculusEffect(
        CausalGraph(text), treatment="T", outcome="Y", mediators="M"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, rng.normal(size=40))


def test_mediators_must_lie_between(rng):
    X, y = shop(rng, 100)
    with pytest.raises(ValueError, match=r"\['z'\] do not lie between"):
        DoCalculusEffect(SHOP, treatment="shown", mediators="z").fit(X, y)


def test_continuous_treatment(rng):
    n = 1200
    z = rng.normal(size=n)
    dose = z + rng.normal(size=n)
    y = z + dose * (1 + 0.5 * z) + rng.normal(size=n)
    X = pd.DataFrame({"z": z, "dose": dose})
    model = DoCalculusEffect(treatment="dose", random_state=0).fit(X, y)
    assert not model.discrete_treatment_ and "LinearDML" in model.method_
    mean, low, high = model.average_derivative()
    assert low < mean < high and abs(mean - 1) < 0.2
    curve = model.dose_response([-1.0, 0.0, 1.0])
    assert list(curve.columns) == ["dose", "mean", "low", "high"]
    assert (curve["low"] < curve["mean"]).all()
    np.testing.assert_allclose(
        model.ate(T0=-1, T1=1), curve["mean"].iloc[2] - curve["mean"].iloc[0]
    )
    assert np.corrcoef(model.effect(X), 1 + 0.5 * z)[0, 1] > 0.95
    np.testing.assert_allclose(model.effect(X, 0, 2), 2 * model.effect(X, 0, 1))
    assert model.score(X, y) < 0
    with pytest.raises(ValueError, match="outside of the observed range"):
        model.ate(T1=1e3)
    with pytest.raises(ValueError, match="for a discrete treatment"):
        model.att()


def test_instrument_only_by_request(rng):
    n = 3000
    coupon, u = rng.binomial(1, 0.5, n), rng.normal(size=n)
    click = rng.binomial(1, sigmoid(2 * coupon - 1 + u))
    buy = 2 * click + u + rng.normal(size=n)
    X = pd.DataFrame({"coupon": coupon, "click": click})
    graph = CausalGraph("coupon -> click -> buy; click <-> buy")
    with pytest.raises(NotIdentifiableError):
        DoCalculusEffect(graph, treatment="click", outcome="buy").fit(X, buy)
    model = DoCalculusEffect(
        graph, treatment="click", outcome="buy", strategy="instrument"
    ).fit(X, buy)
    low, high = model.ate_interval()
    assert low < 2 < high
    assert model.diagnostics_["first_stage"]["effective_F"].iloc[0] > 100
    assert "not P(y | do(t))" in model.guarantee_
    np.testing.assert_allclose(model.effect(X), model.ate())
    with pytest.raises(ValueError, match="does not tell the effect on the treated"):
        model.att()
    with pytest.raises(ValueError, match="is an instrument"):
        DoCalculusEffect(
            treatment="click", strategy="instrument"
        ).fit(X, buy)  # fmt: skip


WEAK = CausalGraph("coupon -> click -> buy; click <-> buy")


def weak_log(strength=0.28, n=800):
    rng = np.random.default_rng(1)
    coupon, u = rng.binomial(1, 0.5, n), rng.normal(size=n)
    click = strength * coupon + u + rng.normal(size=n)
    y = pd.Series(2 * click + 3 * u + rng.normal(size=n), name="buy")
    return pd.DataFrame({"coupon": coupon, "click": click}), y


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_a_weak_instrument_keeps_its_asymmetric_interval(alpha):
    X, y = weak_log()
    model = DoCalculusEffect(WEAK, treatment="click", strategy="instrument")
    with pytest.warns(UserWarning, match="Weak instruments"):
        model.fit(X, y)
    with pytest.warns(UserWarning, match="Weak instruments"):
        plain = InstrumentEffect().fit(y, X["click"], X["coupon"])
    low, high = plain.anderson_rubin_interval(alpha)
    np.testing.assert_allclose(
        model.ate_interval(alpha=alpha), (low, high), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        model.ate_interval(alpha=alpha, T0=2, T1=0), (-2 * high, -2 * low), atol=1e-12
    )
    for bound, row in zip((low, high), model.effect_interval(X[:3], alpha=alpha)):
        np.testing.assert_allclose(row, bound, atol=1e-12)
    down, up = model.ate() - low, high - model.ate()
    assert min(down, up) > 0 and max(down, up) > 1.2 * min(down, up)
    assert f"{model.ate_interval()[1]:.3f}"[:4] in str(model.summary())


def test_a_strong_instrument_has_the_interval_of_its_method():
    X, y = weak_log(strength=2)
    plain = InstrumentEffect().fit(y, X["click"], X["coupon"])
    model = DoCalculusEffect(WEAK, treatment="click", strategy="instrument").fit(X, y)
    for alpha in (0.05, 0.3):
        np.testing.assert_allclose(
            model.ate_interval(alpha=alpha), plain.ate_interval(alpha=alpha), rtol=1e-12
        )
    np.testing.assert_allclose(
        model.ate_interval(X[:50]), plain.ate_interval(np.zeros((50, 1))), rtol=1e-12
    )
    boot = DoCalculusEffect(
        WEAK, treatment="click", strategy="instrument", effect_model="dmliv", cv=2,
        **FAST | {"treatment_model": LinearRegression()},
    ).fit(X, y)  # fmt: skip
    low, high = boot.ate_interval()
    own = boot._answer.model.ate_interval()
    assert (low, high) == own and low < boot.ate() < high


def test_warnings_point_at_the_call():
    X, y = weak_log()
    with pytest.warns(UserWarning, match="Weak instruments") as caught:
        DoCalculusEffect(WEAK, treatment="click", strategy="instrument").fit(X, y)
    assert [w.filename for w in caught] == [__file__]
    rng = np.random.default_rng(0)
    X, y = shop(rng, 1000)
    X["north"], X["new"] = (X["z"] > 0).astype(int), rng.integers(0, 2, len(X))
    X.loc[(X["north"] == 1) & (X["new"] == 1), "shown"] = 1
    X["visits"] = np.where(X["shown"] == 1, 5, rng.integers(0, 5, len(X)))
    model = DoCalculusEffect(treatment="shown", **AVERAGE)
    for fit in (model.fit, make_pipeline(clone(model)).fit):
        with pytest.warns(UserWarning) as caught:
            fit(X, y)
        text = " ".join(str(w.message) for w in caught)
        assert "positivity is in doubt" in text and "poor overlap" in text
        assert {w.filename for w in caught} == {__file__}


# -- choices of the user ------------------------------------------------------------


def test_adjustment_set_of_the_user(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(
        SHOP, treatment="shown", adjustment_set=["z"], **AVERAGE
    ).fit(X, y)
    assert model.adjustment_set_ == {"z"}
    with pytest.raises(ValueError, match=r"leaves a non-causal path open.*\['z'\] is"):
        DoCalculusEffect(SHOP, treatment="shown", adjustment_set=["w"]).fit(X, y)
    late = CausalGraph("z -> shown; z -> buys; shown -> w -> buys")
    with pytest.raises(ValueError, match=r"\['w'\] lie between"):
        DoCalculusEffect(late, treatment="shown", adjustment_set=["z", "w"]).fit(X, y)


def test_effect_modifiers_of_the_user(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(
        SHOP, treatment="shown", effect_modifiers=["z"], adjustment_set=["z"],
        effect_model=LinearRegression(), **FAST,
    ).fit(X, y)  # fmt: skip
    assert model.effect_modifiers_ == ("z",)
    assert np.corrcoef(model.effect(X), X["z"])[0, 1] > 0.999
    late = CausalGraph("z -> shown; z -> buys; shown -> w -> buys")
    with pytest.raises(ValueError, match=r"given any one of \['z'\]"):
        DoCalculusEffect(late, treatment="shown", effect_modifiers="w").fit(X, y)


def test_conditional_effects_behind_the_front_door(rng):
    n = 6000
    C, U = rng.normal(size=(2, n))
    T = rng.binomial(1, sigmoid(U))
    M = T * (1 + C) + rng.normal(size=n)
    y = M + U + C + rng.normal(size=n)
    graph = CausalGraph("C -> M; C -> Y; T -> M -> Y; T <-> Y")
    model = DoCalculusEffect(
        graph, treatment="T", outcome="Y", effect_model=LinearRegression(),
        random_state=0,
    )  # fmt: skip
    X = pd.DataFrame({"C": C, "T": T, "M": M})
    model.fit(X, y)
    assert (model.strategy_, model.effect_modifiers_) == ("frontdoor", ("C",))
    assert np.mean((model.effect(X) - (1 + C)) ** 2) < 0.1
    assert np.mean((model.predict(X.assign(T=0)) - C) ** 2) < 0.2


def test_strategies_that_do_not_apply(rng):
    X, y = taste(rng, 200)
    with pytest.raises(ValueError, match=r"'adjustment' does not.*'frontdoor'"):
        DoCalculusEffect(TASTE, treatment="browse", strategy="adjustment").fit(X, y)
    with pytest.raises(ValueError, match="choose one of"):
        DoCalculusEffect(TASTE, treatment="browse", strategy="backdoor").fit(X, y)


def test_strategies_agree(rng):
    X, y = taste(rng)
    estimates = {
        s: DoCalculusEffect(TASTE, treatment="browse", strategy=s, **AVERAGE).fit(X, y)
        for s in ("frontdoor", "primal-fixable", "sequential", "general")
    }
    for model in estimates.values():
        low, high = model.ate_interval()
        assert low < 0.5 < high
        assert abs(model.ate() - estimates["sequential"].ate()) < 0.03


def test_econml_as_effect_model(rng):
    from econml.dr import LinearDRLearner

    X, y = shop(rng)
    model = DoCalculusEffect(
        SHOP, treatment="shown", effect_model=LinearDRLearner(), **FAST
    ).fit(X, y)
    assert np.corrcoef(model.effect(X), 1 + X["z"])[0, 1] > 0.99
    low, high = model.effect_interval(X)
    assert ((low < 1 + X["z"]) & (1 + X["z"] < high)).mean() > 0.7


@pytest.mark.parametrize("kind", ["recommender", "skorch"])
def test_deep_nuisances(rng, kind):
    X, y = shop(rng, 800)
    if kind == "recommender":
        network = CausalDNNRecommender(hidden_layer_sizes=(16,), max_epochs=15)
    else:
        import torch
        from skorch import NeuralNetRegressor

        class_ = torch.nn.Sequential
        network = NeuralNetRegressor(
            class_(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)),
            max_epochs=30, lr=0.05, verbose=0, train_split=None,
        )  # fmt: skip
    model = DoCalculusEffect(
        SHOP, treatment="shown", cv=2, **AVERAGE | {"outcome_model": network}
    ).fit(X, y)
    assert abs(model.ate() - 1) < 0.35


# -- scikit-learn -------------------------------------------------------------------


def test_pipeline_with_pandas_output(rng):
    X, y = shop(rng)
    pipe = make_pipeline(
        StandardScaler(), DoCalculusEffect(SHOP, treatment="shown", **FAST)
    ).set_output(transform="pandas")
    pipe.fit(X, y)
    plain = DoCalculusEffect(SHOP, treatment="shown", **FAST).fit(X, y)
    # a scaled treatment still has two arms
    assert len(pipe[-1].arms_) == 2
    np.testing.assert_allclose(pipe[-1].ate(), plain.ate(), atol=0.02)
    np.testing.assert_allclose(effect(pipe, X), plain.effect(X), atol=0.25)


def test_search_over_nuisances_by_the_default_score(rng):
    X, y = shop(rng, 900)
    model = DoCalculusEffect(
        SHOP, treatment="shown", effect_model=Ridge(), random_state=0, cv=2,
        treatment_model=LogisticRegression(), outcome_model=Ridge(),
    )  # fmt: skip
    grid = {"effect_model__alpha": [1e6, 1e-3], "outcome_model__alpha": [1e-3, 1e4]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    # the first of each shrinks all that varies away
    assert search.best_params_ == {
        "effect_model__alpha": 1e-3, "outcome_model__alpha": 1e-3
    }  # fmt: skip
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert effect(search, X).shape == (len(X),)


def test_treatment_travels_with_routing(rng):
    X, y = shop(rng, 400)
    with config_context(enable_metadata_routing=True):
        found = cross_validate(
            make_pipeline(StandardScaler(), DoCalculusEffect(cv=2, **AVERAGE)),
            X[["z", "w"]], y, params={"treatment": X["shown"].to_numpy()}, cv=2,
            scoring="r2", error_score="raise",
        )  # fmt: skip
    assert np.isfinite(found["test_score"]).all()


def test_reproducible_pickled_and_cloned(rng):
    X, y = shop(rng, 500)
    model = DoCalculusEffect(SHOP, treatment="shown", random_state=3, cv=2).fit(X, y)
    other = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.effect(X), other.effect(X))
    assert model.ate_interval() == other.ate_interval()
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.effect(X), loaded.effect(X))
    parallel = clone(model).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_allclose(model.effect(X), parallel.effect(X))


def test_polars_in(rng):
    polars = pytest.importorskip("polars")
    X, y = shop(rng, 400)
    model = DoCalculusEffect(SHOP, treatment="shown", outcome="buys", **AVERAGE)
    ate = model.fit(X, y).ate()
    np.testing.assert_allclose(
        model.fit(polars.from_pandas(X), polars.Series("buys", y.to_numpy())).ate(), ate
    )


def test_a_failed_fit_leaves_the_old_one(rng):
    X, y = shop(rng, 400)
    model = DoCalculusEffect(SHOP, treatment="shown", **AVERAGE).fit(X, y)
    before = model.ate()
    with pytest.raises(ValueError, match="without variation"):
        model.fit(X.assign(shown=1), y)
    assert model.ate() == before


# -- bad input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda X, y: (X.drop(columns="w"), y), r"nodes \['w'\], which are no columns"),
        (lambda X, y: (X.assign(q=1.0), y), r"columns \['q'\], which are no nodes"),
        (lambda X, y: (X.drop(columns="shown"), y), "'shown' is no column of X"),
        (lambda X, y: (X.assign(shown=1), y), "'shown' is 1 in every row"),
        (lambda X, y: (X.assign(z=np.nan), y), "column 'z', row 0"),
        (lambda X, y: (X, y.where(y.index > 0)), "NaN"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, y.astype(str) + "a"), "the outcome is a number"),
        (lambda X, y: (X.assign(buys=y), y), "also a column of X"),
        (
            lambda X, y: (X.assign(shown=np.where(X.index < 3, 2, X.shown)), y),
            r"the arm 2 has 3 rows, too few",
        ),
    ],
)
def test_bad_input(rng, change, message):
    X, y = change(*shop(rng, 400))
    outcome = None if "also a" not in message else "buys"
    model = DoCalculusEffect(SHOP, treatment="shown", outcome=outcome, **AVERAGE)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_a_named_series_is_its_node(rng):
    X, y = shop(rng, 400)
    model = DoCalculusEffect(SHOP, **AVERAGE)
    model.fit(X[["z", "w"]], y, treatment=X["shown"])
    assert model.treatment_names_ == ("shown",)
    assert model.predict(X[["z", "w"]], treatment=X["shown"]).shape == (400,)


def test_a_second_fit_forgets_the_first(rng):
    X, y = taste(rng, 400)
    model = DoCalculusEffect(
        TASTE, treatment="browse", mediators="purchase", **AVERAGE
    ).fit(X, y)
    assert len(model.path_effects_) == 3
    model.set_params(mediators=None).fit(X, y)
    assert model.path_effects_ is None


def test_bad_roles(rng):
    X, y = shop(rng, 100)
    with pytest.raises(ValueError, match="a graph is given and no treatment"):
        DoCalculusEffect(SHOP).fit(X, y)
    with pytest.raises(ValueError, match="which node is y"):
        DoCalculusEffect(
            CausalGraph("z -> shown -> buys -> again; w"), treatment="shown"
        ).fit(X, y.rename("other"))
    with pytest.raises(ValueError, match="treatment came twice"):
        DoCalculusEffect(SHOP, treatment="shown").fit(X, y, treatment=X["shown"])
    with pytest.raises(TypeError, match="pass a CausalGraph"):
        DoCalculusEffect("a -> b", treatment="shown").fit(X, y)
    with pytest.raises(ValueError, match="cv is 1"):
        DoCalculusEffect(SHOP, treatment="shown", cv=1).fit(X, y)


def test_positivity_says_where(rng):
    X, y = shop(rng, 600)
    X["region"] = np.where(X["z"] > 0.5, "north", "south")
    X.loc[X["region"] == "north", "shown"] = 1
    n = (X["region"] == "north").sum()
    with pytest.raises(ValueError, match=f"of the {n} rows with region = 'north' none"):
        DoCalculusEffect(treatment="shown", **AVERAGE).fit(X, y)


def test_positivity_of_combinations_and_counts_is_no_error(rng):
    X, y = shop(rng, 1000)
    X["north"] = (X["z"] > 0).astype(int)
    X["new"] = rng.integers(0, 2, len(X))
    X.loc[(X["north"] == 1) & (X["new"] == 1), "shown"] = 1
    X["visits"] = np.where(X["shown"] == 1, 5, rng.integers(0, 5, len(X)))
    with pytest.warns(UserWarning, match="rows with north = 1.0, new = 1.0 none has"):
        DoCalculusEffect(treatment="shown", **AVERAGE).fit(X, y)


@pytest.mark.parametrize("n", [1500, 20_500])  # of many rows some tell where
def test_poor_overlap_is_warned_of(rng, n):
    z = rng.normal(size=n)
    X = pd.DataFrame({"z": z, "shown": rng.binomial(1, sigmoid(5 * z))})
    y = z + X["shown"] + rng.normal(size=n)
    with pytest.warns(UserWarning, match=rf"poor overlap: in \d+ of {n} rows, mostly"):
        DoCalculusEffect(treatment="shown", **AVERAGE).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DoCalculusEffect(treatment="shown", **AVERAGE).fit(*shop(rng))


# -- what was done, and what would overturn it --------------------------------------


def test_summary_reads_from_query_to_doubt(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(SHOP, treatment="shown", **AVERAGE).fit(X, y)
    text = str(model.summary())
    for part in (
        "Effect of shown on buys", "z -> shown", "P(buys | do(shown)) =", "rule 2",
        "doubly robust", "1 against 0", "Balance", "effective_sample_size",
        "What would overturn it", "residual variance",
    ):  # fmt: skip
        assert part in text
    assert max(map(len, text.splitlines())) <= 88
    assert "<table" in model.summary()._repr_html_()
    assert f"{model.ate():.3f}"[:4] in text


def test_diagnostics(rng):
    X, y = shop(rng)
    found = DoCalculusEffect(SHOP, treatment="shown", **AVERAGE).fit(X, y).diagnostics_
    assert found["balance"].loc["z", "before"] > 0.5
    assert abs(found["balance"].loc["z", "after"]) < 0.15
    assert found["overlap"]["rows"].sum() == len(X)
    assert len(found["influential_rows"]) == 10


def test_sensitivity_benchmarked_by_a_covariate(rng):
    X, y = shop(rng)
    model = DoCalculusEffect(treatment="shown", **AVERAGE).fit(X, y)
    found = model.sensitivity(X, y, benchmarks=["z"])
    assert 0 < found.robustness_value(alpha=0.05) < found.robustness_value() < 1
    assert list(found.benchmarks.index) == ["z"]
    X, y = taste(rng, 500)
    with pytest.raises(ValueError, match="need arms and adjustment"):
        DoCalculusEffect(TASTE, treatment="browse", **AVERAGE).fit(X, y).sensitivity()


def test_refutation_tells_a_confounded_estimate(rng):
    X, y = shop(rng, 800)
    model = DoCalculusEffect(SHOP, treatment="shown", **AVERAGE).fit(X, y)
    report = model.refute(X, y, n_simulations=5)
    assert report.passed
    # the week before cannot be changed by what is shown now
    before = X["z"] + rng.normal(size=len(X))
    blind = DoCalculusEffect(treatment="shown", **AVERAGE).fit(X[["w", "shown"]], y)
    assert not blind.negative_control(X[["w", "shown"]], {"before": before}).passed
    assert model.negative_control(X, {"before": before}).passed


# -- columns are read as they are meant ---------------------------------------------


def confounded(n=1500):
    """The effect is 2; without adjustment for z it is about 3.5."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=n).round(3)
    t = rng.binomial(1, sigmoid(1.5 * z))
    return z, t, 2 * t + 1.5 * z + rng.normal(size=n)


@pytest.mark.parametrize(
    "form",
    [
        lambda z: pd.Series(z, dtype=object),
        lambda z: [Decimal(str(v)) for v in z],
        lambda z: pd.array(z, dtype="Float64"),
        lambda z: pd.Timestamp("2024-01-01") + pd.to_timedelta(z, unit="h"),
        lambda z: pd.to_timedelta(z, unit="h"),
        lambda z: (pd.Timestamp("2024-06-01") + pd.to_timedelta(40 * z, unit="D")).date,
    ],
    ids=["object", "Decimal", "nullable", "datetime", "timedelta", "date"],
)
def test_a_confounder_is_adjusted_for_however_it_is_stored(form):
    z, t, y = confounded()
    X = pd.DataFrame({"z": form(z), "t": t})
    model = DoCalculusEffect(treatment="t", **AVERAGE).fit(X, y)
    low, high = model.ate_interval()
    assert low < 2 < high and high - low < 0.5


@pytest.mark.parametrize("form", [lambda z: z.astype(str), pd.Categorical])
def test_numbers_that_may_be_categories_are_asked_about(form):
    z, t, y = confounded()
    X = pd.DataFrame({"z": form(z), "t": t})
    with pytest.raises(ValueError, match=r"'z' has \d+ levels.*pd.to_numeric\(X\['z'"):
        DoCalculusEffect(treatment="t", **AVERAGE).fit(X, y)


def test_an_array_of_objects_is_read_by_column():
    z, t, y = confounded()
    X = np.column_stack([z.astype(object), t.astype(object)])
    low, high = DoCalculusEffect(treatment="x1", **AVERAGE).fit(X, y).ate_interval()
    assert low < 2 < high
    with pytest.raises(ValueError, match="'x0' mixes kinds"):
        X[0, 0] = "a"
        DoCalculusEffect(treatment="x1", **AVERAGE).fit(X, y)


def test_the_outcome_among_the_columns_is_refused():
    z, t, y = confounded()
    X = pd.DataFrame({"z": z, "t": t, "buys": y})
    with pytest.raises(ValueError, match="outcome 'buys' is also a column of X"):
        DoCalculusEffect(treatment="t", **AVERAGE).fit(X, X["buys"])
    with pytest.raises(ValueError, match="'buys' of X equals the outcome 'y' in every"):
        DoCalculusEffect(treatment="t", **AVERAGE).fit(X, y)
    X = pd.DataFrame({"z": z, "t": t, "shown": t.astype(float)})
    with pytest.raises(ValueError, match="'shown' of X equals the treatment 't'"):
        DoCalculusEffect(treatment="t", **AVERAGE).fit(X, y)


def test_new_rows_of_another_kind_are_refused_and_new_levels_named(rng):
    n = 900
    town = rng.choice(["Bonn", "Köln", "Ulm"], n)
    t = rng.integers(0, 2, n)
    X = pd.DataFrame({"town": town, "code": rng.choice(["1", "2"], n), "t": t})
    y = t + (town == "Ulm") + rng.normal(size=n)
    model = DoCalculusEffect(treatment="t", **FAST).fit(X, y)
    with pytest.raises(ValueError, match="'code' had levels such as '1' in fit and"):
        model.effect(X.assign(code=1))
    new = X.head(3).assign(town=["Ulm", "Trier", "Mainz"])
    with pytest.warns(UserWarning, match="'town' has levels .*: 'Trier', 'Mainz'"):
        model.effect(new)
