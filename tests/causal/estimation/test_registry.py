"""Strategies by name: the order, a choice insisted on, and one of somebody else."""

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalGraph, DoCalculusEffect
from sklearn_causalrec.causal.estimation.problem import ArmMeans
from sklearn_causalrec.causal.estimation.registry import (
    STRATEGIES,
    StrategyRegistry,
)
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy


class DifferenceInMeans(ArmStrategy):
    """Means of the arms as they are: for experiments."""

    def covers(self, query, problem):
        return bool(problem.arms) and query.adjustment == ()

    def means(self, query, problem):
        taken = problem.arm[:, None] == np.arange(len(problem.arms))
        means = (taken * problem.y[:, None]).sum(0) / taken.sum(0)
        scores = means + taken / taken.mean(0) * (problem.y[:, None] - means)
        return ArmMeans(scores, "root-n", "difference in means")


@pytest.fixture
def mine():
    def register(**where):
        return STRATEGIES.register("mine", **where)(DifferenceInMeans)

    order = list(STRATEGIES)
    yield register
    del STRATEGIES["mine"]
    assert list(STRATEGIES) == order


GRAPH = CausalGraph("t -> y; z -> y")


def trial(rng, n=400):
    t, z = rng.binomial(1, 0.5, n), rng.normal(size=n)
    X = pd.DataFrame({"t": t, "z": z})
    return X, pd.Series(2 * t + z + rng.normal(size=n), name="y")


def fitted(X, y, **options):
    model = DoCalculusEffect(
        GRAPH, treatment="t", effect_model=None, adjustment_set=(), **options
    )
    return model.fit(X, y)


def by_hand(X, y):
    return y[X["t"] == 1].mean() - y[X["t"] == 0].mean()


def test_somebody_elses_strategy_by_name(rng, mine):
    mine()
    X, y = trial(rng)
    model = fitted(X, y, strategy="mine")
    assert model.ate() == pytest.approx(by_hand(X, y))
    low, high = model.ate_interval()
    assert low < model.ate() < high
    assert model.method_ == "difference in means"
    assert model.strategy_ == "adjustment"  # how the graph identifies it
    assert "difference in means" in str(model.summary())


def test_auto_takes_the_first_that_covers(rng, mine):
    X, y = trial(rng)
    assert mine(before="plug-in").name == "mine"
    assert next(iter(STRATEGIES)) == "mine"
    assert fitted(X, y).method_ == "difference in means"
    # it does not cover an observational log, and the next one is taken
    graph = CausalGraph("z -> t -> y; z -> y")
    model = DoCalculusEffect(graph, treatment="t", effect_model=None).fit(X, y)
    assert model.method_ == "cross-fitted AIPW"


def test_the_last_is_not_tried_where_another_covers(rng, mine):
    mine()
    X, y = trial(rng)
    assert fitted(X, y).method_ == "cross-fitted AIPW"


def test_one_that_does_not_cover_says_so(rng, mine):
    mine()
    X, y = trial(rng, 100)
    graph = CausalGraph("z -> t -> y; z -> y")
    with pytest.raises(ValueError, match=r"strategy='mine' does not apply.*identified"):
        DoCalculusEffect(graph, treatment="t", strategy="mine").fit(X, y)


def test_names_are_listed_and_unique(rng, mine):
    mine()
    X, y = trial(rng, 50)
    with pytest.raises(ValueError, match=r"'yours'.*'auto'.*'plug-in'.*'mine'"):
        fitted(X, y, strategy="yours")
    with pytest.raises(ValueError, match="choose another name"):
        STRATEGIES.register("mine")(type("Other", (DifferenceInMeans,), {}))
    with pytest.raises(ValueError, match="is not known"):
        StrategyRegistry("strategy").register("mine", before="yours")(DifferenceInMeans)


def test_the_order_in_which_they_are_tried():
    assert list(STRATEGIES) == [
        "plug-in", "adjustment", "dose-response", "sequential", "frontdoor",
        "primal-fixable", "general", "instrument",
    ]  # fmt: skip
    assert all(strategy.name == name for name, strategy in STRATEGIES.items())


def test_a_dose_by_its_own_name_and_by_adjustment(rng):
    n = 300
    z = rng.normal(size=n)
    X = pd.DataFrame({"z": z, "dose": z + rng.normal(size=n)})
    y = X["dose"] + z + rng.normal(size=n)
    ates = {
        DoCalculusEffect(
            treatment="dose", strategy=name, effect_model=None, random_state=0
        )
        .fit(X, y)
        .ate()
        for name in ("auto", "adjustment", "dose-response")
    }
    assert len(ates) == 1
    with pytest.raises(ValueError, match="a continuous treatment is estimated by adj"):
        DoCalculusEffect(treatment="dose", strategy="general").fit(X, y)


def test_a_rule_whose_formula_is_no_product_is_refused_by_that():
    graph = CausalGraph("w -> x; w -> m; w -> y; x -> m; m -> y; w <-> x; x <-> y")
    assert graph.identify("y", "x").strategy == "primal-fixable"
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=["w", "m"])
    X["x"] = rng.integers(0, 2, 60)
    model = DoCalculusEffect(graph, treatment="x", outcome="y", strategy="sequential")
    with pytest.raises(ValueError, match="is no product of conditionals"):
        model.fit(X, rng.normal(size=60))
