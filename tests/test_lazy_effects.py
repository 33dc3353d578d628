"""Effects when they are asked for: not before, once, and as if fit had done them."""

import copy
import pickle
import threading
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    effect,
    forget,
    load,
    recommend,
    save,
)
from sklearn_causalrec._utils.postponed import Postponed
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.privacy import data_inventory

# Quick: what is tested is when they are fitted.
LINES = dict(outcome_model=LinearRegression(), treatment_model=LogisticRegression())
GRAPH = "a -> t; a -> y; b -> t; b -> y; t -> y"
FRONT = "t -> m -> y; t <-> y; a -> t; a -> m; a -> y"


def _table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    X["t"] = rng.binomial(1, 1 / (1 + np.exp(-X["a"])))
    X["m"] = rng.binomial(1, 0.3 + 0.4 * X["t"])
    y = X["b"] + X["t"] * (1 + X["a"]) + rng.normal(size=600)
    return X, pd.Series(y, name="y")


TABLE, Y = _table()
LOG = make_exposure_log(300, n_users=20, n_items=30, random_state=0)


def deep(random_state=0, **options):
    """Networks, and how they are fitted to a table."""
    model = CausalDNNRecommender(
        treatment="t", max_epochs=2, random_state=random_state, **options
    )
    return model.fit(TABLE[["a", "b", "t"]], Y), TABLE[["a", "b", "t"]]


def ids(random_state=0, **options):
    """The same with users and items."""
    model = CausalDNNRecommender(
        user="user", item="item", max_epochs=2, random_state=random_state, **options
    )
    return model.fit(LOG.X, LOG.y, treatment=LOG.treatment), LOG.X


def adjusted(random_state=0, **options):
    """An effect by adjustment."""
    model = DoCalculusEffect(
        CausalGraph(GRAPH), treatment="t", random_state=random_state, **LINES, **options
    )
    return model.fit(TABLE[["a", "b", "t"]], Y), TABLE[["a", "b", "t"]]


def front_door(random_state=0, **options):
    """An effect whose rows are a regression of scores."""
    model = DoCalculusEffect(
        CausalGraph(FRONT), treatment="t", random_state=random_state, **LINES, **options
    )
    return model.fit(TABLE.drop(columns="b"), Y), TABLE.drop(columns="b")


KINDS = {f.__name__: f for f in (deep, ids, adjusted, front_door)}
KIND = pytest.mark.parametrize("kind", KINDS)


@cache
def pickled(kind):
    """A model that waits, and its rows."""
    return pickle.dumps(KINDS[kind]())


def waiting(kind):
    """The same for a test of its own."""
    return pickle.loads(pickled(kind))


@cache
def at_once(kind):
    """The effects where fit does all, and the names of its attributes."""
    model, X = KINDS[kind](lazy_effects=False)
    assert not waits(model)
    found = model.effect(X), np.array(model.ate_interval()), model.effect_varies_
    return found, vars(model).keys()


def waits(model):
    """Whether anything of a model is still to be done."""
    answer = getattr(model, "_answer", None)
    return Postponed.waits(getattr(answer, "_conditional", model))


def same(model, X, kind):
    """Whether effects are those of a model whose fit did all."""
    found = model.effect(X), np.array(model.ate_interval()), model.effect_varies_
    return all(np.array_equal(a, b) for a, b in zip(at_once(kind)[0], found))


def counted(monkeypatch):
    """A list that grows with every second stage that is fitted."""
    calls, fit = [], ArmEffects.fit

    def counting(self, *args, **options):
        calls.append(self)
        return fit(self, *args, **options)

    monkeypatch.setattr(ArmEffects, "fit", counting)
    return calls


@KIND
def test_effects_are_those_of_a_fit_that_does_all(kind):
    model, X = KINDS[kind]()  # not from a pickle
    assert waits(model)
    assert same(model, X, kind)
    assert not waits(model)
    assert vars(model).keys() == at_once(kind)[1]


@KIND
def test_what_is_set_after_fit_is_for_the_next_fit(kind):
    model, X = waiting(kind)
    model.set_params(clip=0.2, random_state=5)
    model.set_params(**({"n_folds": 2} if hasattr(model, "n_folds") else {"cv": 2}))
    assert same(model, X, kind)


@KIND
def test_a_generator_is_drawn_from_in_fit(kind):
    rng = np.random.RandomState(0)
    model, X = KINDS[kind](random_state=rng)
    state = rng.get_state()[1].copy()
    model.effect(X)
    np.testing.assert_array_equal(rng.get_state()[1], state)


@KIND
def test_copies_wait_too_and_find_the_same(kind):
    model, X = waiting(kind)
    other = copy.deepcopy(model)
    assert waits(other)
    assert same(other, X, kind)
    assert waits(model)
    assert not hasattr(clone(model), "effects_")


@KIND
def test_a_file_holds_the_effects_and_not_the_log(kind, tmp_path):
    model, X = waiting(kind)
    save(model, tmp_path / "model.crec")
    other = load(tmp_path / "model.crec")
    assert not waits(other)
    assert same(other, X, kind)


@KIND
def test_an_inventory_is_of_what_stays(kind):
    model, _ = waiting(kind)
    data_inventory(model)
    assert not waits(model)


@pytest.mark.parametrize("kind", ["deep", "ids"])
def test_outcomes_do_not_pay_for_effects(kind, monkeypatch):
    monkeypatch.setattr(ArmEffects, "fit", None)  # whoever calls it fails
    model, X = waiting(kind)
    model.predict(X, treatment=1)
    if kind == "ids":
        model.recommend(k=2, by="outcome")
        model.score(X, LOG.y, treatment=LOG.treatment)
    else:
        model.score(X, Y)
        search = GridSearchCV(clone(model), {"dropout": [0.0, 0.1]}, cv=2)
        assert search.fit(X, Y).best_params_
    assert waits(model)
    with pytest.raises(TypeError):
        model.ate()


def test_averages_from_a_graph_do_not_pay_for_rows(monkeypatch):
    monkeypatch.setattr(ArmEffects, "fit", None)
    model, X = waiting("adjusted")
    low, high = model.ate_interval()
    assert low < model.ate() < high
    model.att(), model.predict(X, treatment=1), model.common_support()
    assert waits(model)


def test_lists_by_effect_ask_once(monkeypatch):
    at_once("ids")  # which is not counted
    calls = counted(monkeypatch)
    model, X = waiting("ids")
    lists = recommend(model, k=3)  # by a copy, which knows stand-ins of new users
    assert len(calls) == 1
    assert same(model, X, "ids")
    pd.testing.assert_frame_equal(lists, recommend(model, k=3))
    assert len(calls) == 1


@pytest.mark.parametrize("attribute", ["effects_", "propensity_", "overlap_"])
def test_what_the_second_stage_tells_asks(attribute):
    model, _ = waiting("deep")
    found = getattr(model, attribute)
    assert not waits(model)
    assert found is getattr(model, attribute)
    assert not hasattr(CausalDNNRecommender(), attribute)


def test_a_model_of_the_users_own_is_fitted_by_fit():
    class Refuses(LinearRegression):
        def fit(self, X, y, sample_weight=None):
            raise RuntimeError("no fit today")

    with pytest.raises(RuntimeError, match="no fit today"):
        adjusted(effect_model=Refuses())


def test_an_interrupted_question_can_be_asked_again(monkeypatch):
    model, X = waiting("deep")
    before = dict(vars(model))
    fit = ArmEffects.fit

    def interrupted(self, *args, **options):
        fit(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ArmEffects, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.effect(X)
    assert vars(model) == before
    assert same(model, X, "deep")


def test_threads_that_ask_at_once_wait_for_one_of_them(monkeypatch):
    calls = counted(monkeypatch)
    model, X = waiting("deep")
    barrier, found = threading.Barrier(6), []

    def ask():
        barrier.wait()
        found.append(model.effect(X))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert len(calls) == 1
    assert len(found) == 6
    assert all(np.array_equal(f, at_once("deep")[0][0]) for f in found)


def test_another_fit_takes_the_place_of_what_waits():
    model, X = waiting("deep")
    model.fit(X[:400], Y[:400])
    fresh = clone(model).set_params(lazy_effects=False).fit(X[:400], Y[:400])
    np.testing.assert_array_equal(model.effect(X), fresh.effect(X))
    model.fit(X, Y).partial_fit(X, Y)
    assert not waits(model)
    assert model.effects_ is None
    model.set_params(effect_learner="t").fit(X, Y)
    assert not waits(model)
    assert model.effects_ is None


def test_a_failed_fit_leaves_what_waits():
    model, X = waiting("deep")
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, Y.where(Y > 0))
    assert waits(model)
    assert same(model, X, "deep")


def test_poor_overlap_is_told_with_the_effect(recwarn):
    X = TABLE[["a", "b"]].assign(t=(TABLE["a"] > 0).astype(int))
    model = CausalDNNRecommender(treatment="t", max_epochs=2, random_state=0)
    model.fit(X, Y)
    assert not [w for w in recwarn if "poor overlap" in str(w.message)]
    with pytest.warns(UserWarning, match="poor overlap"):
        model.ate()
    recwarn.clear()
    model.ate()
    assert not [w for w in recwarn if "poor overlap" in str(w.message)]


def test_who_is_forgotten_is_not_in_what_waits():
    model, _ = waiting("ids")
    gone = LOG.X["user"].iloc[0]
    after = forget(model, [gone])
    assert not waits(after)
    assert len(after.effects_.scores[1]) == (LOG.X["user"] != gone).sum()


def test_effects_through_a_search():
    search = GridSearchCV(waiting("deep")[0], {"dropout": [0.0]}, cv=2).fit(
        TABLE[["a", "b", "t"]], Y
    )
    assert waits(search.best_estimator_)
    np.testing.assert_array_equal(
        effect(search, TABLE[["a", "b", "t"]]), at_once("deep")[0][0]
    )
