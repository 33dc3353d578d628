"""`DoCalculusEffect` with a graph whose ends data leave open."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import (
    CausalGraph,
    DoCalculusEffect,
    NotIdentifiableError,
    PartialGraph,
)

LINEAR = {
    "outcome_model": LinearRegression(),
    "treatment_model": LogisticRegression(),
    "effect_model": None,
    "random_state": 0,
}
OPEN = "z --- x; z --- y; x --- y; z --- w"


def log(n=2000, seed=0):
    """z -> x -> y, z -> y, z -> w: the effect of x is 1."""
    rng = np.random.default_rng(seed)
    z, e, f = rng.normal(size=(3, n))
    x = rng.binomial(1, 1 / (1 + np.exp(-z)))
    X = pd.DataFrame({"z": z, "x": x, "w": z + e})
    return X, pd.Series(x + z + f, name="y")


def model(graph, **options):
    return DoCalculusEffect(graph, **{"treatment": "x", **LINEAR, **options})


def test_the_range_has_the_effect_in_every_case():
    X, y = log()
    fitted = pickle.loads(pickle.dumps(clone(model(PartialGraph(OPEN))).fit(X, y)))
    found = fitted.ate_range()
    cases = found.cases.set_index("adjustment_set")
    arms = X["x"] == 1
    # nothing to adjust for: the difference of means, by its standard formula
    plain, error = (
        y[arms].mean() - y[~arms].mean(),
        np.sqrt(y[arms].var() / arms.sum() + y[~arms].var() / (~arms).sum()),
    )
    row = cases.loc[[frozenset()]].iloc[0]
    assert np.isclose(row["effect"], plain, atol=error / 5)
    assert np.isclose(row["high"] - row["low"], 2 * 1.96 * error, rtol=0.1)
    one = model(CausalGraph("z -> x -> y; z -> y; z -> w")).fit(X, y)
    row = cases.loc[[frozenset({"z"})]].iloc[0]
    assert row["effect"] == one.ate() and tuple(row[["low", "high"]]) == (
        one.ate_interval()
    )
    assert cases.loc[cases["decided"] == "y --> x", "effect"].tolist() == [0.0]
    assert len(cases) == 3 and found.low == 0.0 and found.high == cases["effect"].max()
    assert found.interval == (0.0, cases["high"].max())
    assert "3 cases" in repr(found)
    narrow, wide = fitted.ate_range(alpha=0.5).interval, found.interval
    assert narrow[1] < wide[1]
    assert fitted.strategy_ == "possible effects" and "3 effects" in fitted.guarantee_
    assert fitted.estimand_ is None and fitted.graph_ == PartialGraph(OPEN)
    text = str(fitted.summary())
    assert "if y --> x" in text and "z --- x" in text


def test_what_would_pick_one_case_is_refused():
    X, y = log(400)
    fitted = model(PartialGraph(OPEN)).fit(X, y)
    for question in (
        fitted.ate,
        fitted.ate_interval,
        fitted.ate_table,
        fitted.att,
        fitted.sensitivity,
        lambda: fitted.effect(X),
        lambda: fitted.effect_interval(X),
        lambda: fitted.predict(X),
        lambda: fitted.score(X, y),
        lambda: fitted.refute(X, y),
    ):
        with pytest.raises(NotIdentifiableError, match=r"x --- y.*ate_range\(\)"):
            question()


@pytest.mark.parametrize(
    "graph",
    [
        PartialGraph("z --> x; x --> y; z --> y; z --- w", kind="cpdag"),
        PartialGraph("z o-> x; x --> y; z --> y; w o-> x", kind="pag"),
    ],
)
def test_where_all_graphs_agree_it_is_estimated_as_always(graph):
    X, y = log()
    fitted = model(graph).fit(X, y)
    one = model(CausalGraph("z -> x -> y; z -> y; w")).fit(X, y)
    assert fitted.strategy_ == "adjustment"
    assert fitted.adjustment_set_ == one.adjustment_set_ == {"z"}
    assert fitted.ate() == one.ate() and fitted.att() == one.att()
    found = fitted.ate_range()
    assert (found.low, found.high) == (one.ate(), one.ate())
    assert found.interval == fitted.ate_interval() == one.ate_interval()
    assert one.ate_range().interval == one.ate_interval()
    assert str(fitted.estimand_) == "P(y | do(x)) = Σ_{z} P(y | z, x) P(z)"
    assert "z" in str(fitted.summary())


def test_choices_of_the_user_hold_in_every_graph():
    X, y = log()
    graph = PartialGraph("z --> x; x --> y; z --> y; z --- w", kind="cpdag")
    fitted = model(
        graph, adjustment_set=["z", "w"], effect_model=LinearRegression()
    ).fit(X, y)
    assert fitted.adjustment_set_ == {"z", "w"} == set(fitted.effect_modifiers_)
    fitted = model(graph, effect_modifiers=["w"], effect_model=LinearRegression()).fit(
        X, y
    )
    assert fitted.effect_modifiers_ == ("w",)
    assert np.isclose(fitted.effect(X).mean(), 1, atol=0.3)
    with pytest.raises(ValueError, match=r"\['w'\].*not a valid.*\['z'\] is"):
        model(graph, adjustment_set=["w"]).fit(X, y)
    after = PartialGraph("z --> x; x --> y; z --> y; x --- w", kind="cpdag")
    with pytest.raises(ValueError, match=r"\['w'\] may be caused by the treatment"):
        model(after, effect_modifiers=["w"]).fit(X, y)
    with pytest.raises(ValueError, match="mediators can be told by"):
        model(graph, mediators=["z"]).fit(X, y)
    with pytest.raises(ValueError, match="an instrument can be told by"):
        model(graph, strategy="instrument").fit(X, y)


def test_a_latent_cause_that_cannot_be_excluded_is_refused_before_any_work():
    X, y = log(100)
    graph = PartialGraph("z o-> x; x --> y; z o-> y; w o-o z")
    with pytest.raises(NotIdentifiableError, match=r"x --> y.*bounds\(\)"):
        model(graph, outcome_model="no model").fit(X, y)
    with pytest.raises(ValueError, match=r"nodes \['q'\], which are no columns"):
        model(PartialGraph("z --- x; x --- y; w; q")).fit(X, y)
    with pytest.raises(TypeError, match="or a PartialGraph"):
        model("z --- x").fit(X, y)


def test_doses_and_several_treatments():
    rng = np.random.default_rng(1)
    z, e, f = rng.normal(size=(3, 1500))
    X = pd.DataFrame({"z": z, "x": z + e})
    y = pd.Series(X["x"] + z + f, name="y")
    fitted = DoCalculusEffect(
        PartialGraph("z --- x; z --- y; x --- y"), treatment="x", effect_model=None,
        outcome_model=LinearRegression(), treatment_model=LinearRegression(),
    ).fit(X, y)  # fmt: skip
    cases = fitted.ate_range().cases
    effects = dict(zip(cases["adjustment_set"], cases["effect"]))
    assert set(effects) == {frozenset(), frozenset({"z"}), None}
    assert np.isclose(effects[frozenset()], 1.5, atol=0.25)  # the regression on x alone
    assert np.isclose(effects[frozenset({"z"})], 1, atol=0.25)
    assert effects[None] == 0
    both = pd.DataFrame({"a": rng.binomial(1, 0.5, 1500)})
    both["b"] = rng.binomial(1, 0.3 + 0.4 * both["a"])
    y = pd.Series(both["a"] + both["b"] + f, name="y")
    graph = PartialGraph("a --- b; a --> y; b --> y")
    fitted = DoCalculusEffect(graph, treatment=["a", "b"], **LINEAR).fit(both, y)
    assert np.isclose(fitted.ate(T0=(0, 0), T1=(1, 1)), 2, atol=0.25)
    assert len(fitted.ate_range(T0=(0, 0), T1=(1, 1)).cases) == 1
    assert len(list(graph.resolutions("y", "a"))) == 2


def test_too_many_cases_are_refused():
    names = [f"v{k}" for k in range(10)]
    edges = [(a, "---", b) for k, a in enumerate(names) for b in names[:k]]
    graph = PartialGraph.from_edges(edges)
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(2, size=(60, 9)), columns=names[:9])
    fitted = DoCalculusEffect(graph, treatment="v0", outcome="v9", **LINEAR)
    with pytest.raises(ValueError, match=r"more than 200 cases.*orient"):
        fitted.fit(X, rng.normal(size=60))


def test_a_pag_tells_an_effect_that_no_adjustment_gives():
    """b is set for nothing, and its latent cause with e makes every set invalid."""
    rng, n = np.random.default_rng(0), 2000
    a, u, v, w = rng.normal(size=(4, n))
    d = a + rng.normal(size=n)
    c = rng.binomial(1, 1 / (1 + np.exp(-d - u)))
    b = (u + v > 0).astype(int)
    X = pd.DataFrame({"a": a, "d": d, "b": b, "c": c})
    y = pd.Series(2 * c + v + w, name="e")
    graph = PartialGraph("a o-o d; d o-> c; b <-> c; b <-> e; c --> e", kind="pag")
    fitted = model(graph, treatment=["b", "c"]).fit(X, y)
    assert fitted.adjustment_set_ is None and fitted.effect_modifiers_ == ()
    found = fitted.ate_range(T0=(0, 0), T1=(1, 1))
    assert len(found.cases) == 1
    for arm in ((0, 1), (1, 1)):
        low, high = fitted.ate_interval(T0=(0, 0), T1=arm)
        assert low < 2 < high and high - low < 0.5
    low, high = fitted.ate_interval(T0=(0, 0), T1=(1, 0))
    assert low <= 0 <= high
    # comparing the rows as they are is far off
    arms = (b == 1) & (c == 1), (b == 0) & (c == 0)
    assert y[arms[0]].mean() - y[arms[1]].mean() > 2.5
