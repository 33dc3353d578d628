"""Inspection of effects by scikit-learn's tools."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    DoCalculusEffect,
    EffectRegressor,
    effect,
)


@pytest.fixture(scope="module")
def log():
    """The outcome follows b, the effect of the second arm a, that of the third b."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(1500, 2)), columns=["a", "b"])
    t = rng.integers(0, 3, 1500)
    y = 4 * X["b"] + np.select([t == 1, t == 2], [X["a"], -2 * X["b"]], 0.0)
    pipe = make_pipeline(
        StandardScaler(),
        CausalDNNRecommender(effect_learner="t", max_epochs=60, random_state=0),
    )
    return X, pipe.fit(X, y, causaldnnrecommender__treatment=t)


def test_predict_is_the_effect(log):
    X, pipe = log
    np.testing.assert_array_equal(
        EffectRegressor(pipe, T0=0, T1=1).predict(X), effect(pipe, X, 0, 1)
    )
    third = EffectRegressor(pipe, T0=1, T1=2)
    np.testing.assert_array_equal(third.predict(X), effect(pipe, X, 1, 2))
    assert is_regressor(third)
    assert third.score(X, third.predict(X)) == 1


@pytest.mark.parametrize("arm, column, slope", [(1, "a", 1), (2, "b", -2)])
def test_partial_dependence_and_importance(log, arm, column, slope):
    X, pipe = log
    effects = EffectRegressor(pipe, T0=0, T1=arm)
    other = {"a": "b", "b": "a"}[column]
    ends = {name: [-1.0, 1.0] for name in X}
    rise = {
        name: np.diff(
            partial_dependence(effects, X, [name], custom_values=ends)["average"][0]
        )[0]
        for name in X
    }
    assert rise[column] == pytest.approx(2 * slope, abs=0.4)
    assert rise[other] == pytest.approx(0, abs=0.4)
    found = permutation_importance(effects, X, effects.predict(X), random_state=0)
    important = dict(zip(X, found.importances_mean))
    assert important[column] > 1.5 > 0.1 > important[other]
    display = PartialDependenceDisplay.from_estimator(effects, X, ["a", "b"])
    assert display.axes_.size == 2


def test_of_a_graph(log):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    t = np.where(rng.random(600) < 0.5, "on", "off")
    y = X["b"] + 2 * X["a"] * (t == "on")
    model = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    effects = EffectRegressor(model, T0="off", T1="on")
    np.testing.assert_array_equal(effects.predict(X), model.effect(X, "off", "on"))


def test_what_is_not_fitted_is_refused(log):
    X, pipe = log
    with pytest.raises(NotFittedError, match="not fitted"):
        EffectRegressor(clone(pipe)).predict(X)
    with pytest.raises(NotFittedError, match="not fitted"):
        partial_dependence(EffectRegressor(clone(pipe)), X, ["a"])
    with pytest.raises(TypeError, match=r"Pipeline that is fitted.*with its treatment"):
        EffectRegressor(pipe).fit(X)
