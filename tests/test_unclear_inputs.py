"""Inputs that fuzzers found: each is refused by its name, and the way out is said."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from sklearn_causalrec import CausalDNNRecommender, decide, evaluate_lists, report, save
from sklearn_causalrec.baselines import Popularity
from sklearn_causalrec.causal import influential_rows
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.interactions import TimeSplit, build_examples, clean_log
from sklearn_causalrec.metrics import policy_value
from sklearn_causalrec.privacy import exposure_by_group
from sklearn_causalrec.serving import EffectIndex

NAMES = dict(user="user", item="item", time="t")
LOG = pd.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 0, 2], "t": range(4)})


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=60)})
    model = CausalDNNRecommender(random_state=0, max_epochs=2)
    return model.fit(X, rng.normal(size=60), treatment=np.arange(60) % 2), X


@pytest.mark.parametrize("given", ["cost", "margin"])
def test_masked_costs(fitted, given):
    masked = np.ma.array(np.ones(60), mask=np.arange(60) == 7)
    with pytest.raises(ValueError, match=f"{given} is masked, for instance in row 7"):
        decide(*fitted, **{given: masked})


@pytest.mark.parametrize("control", [(1, 2, 3), np.array([0, 1]), "x", 7, pd.NA])
def test_controls_that_are_no_arm(fitted, control):
    with pytest.raises((TypeError, ValueError), match="control"):
        decide(*fitted, control=control)


@pytest.mark.parametrize("options", [dict(split=b"time"), dict(k=""), dict(k=[])])
def test_comparisons(options):
    (name,) = options
    with pytest.raises((TypeError, ValueError), match=name):
        evaluate_lists({"p": Popularity()}, LOG, user="user", item="item", **options)


def test_a_column_twice_in_lists():
    twice = pd.concat([LOG, LOG[["item"]]], axis=1)
    with pytest.raises(ValueError, match="two columns 'item'"):
        exposure_by_group(twice, {0: "a", 1: "b", 2: "b"}, item="item", user="user")


@pytest.mark.parametrize("estimators", [np.array(0.05), "ips", 3])
def test_estimators_that_are_no_list(estimators):
    given = dict(propensity=np.full(4, 0.5), estimators=estimators)
    with pytest.raises(TypeError, match="estimators"):
        policy_value(np.ones(4), np.arange(4) % 2, np.full((4, 2), 0.5), **given)


@pytest.mark.parametrize("time", [2**70, 3, -4])
@pytest.mark.parametrize("form", [lambda X: X, lambda X: X.to_numpy()])
def test_positions_that_no_column_has(time, form):
    with pytest.raises(ValueError, match=f"time={time} is no position of 3 columns"):
        list(TimeSplit(time).split(form(LOG)))


def test_complex_costs(fitted):
    with pytest.raises(ValueError, match="numbers are needed"):
        decide(*fitted, cost=np.full(60, 1 + 1j))


def test_switches_of_simulators_are_true_or_false():
    with pytest.raises(TypeError, match="ids is <NA>: True or False"):
        make_exposure_log(ids=pd.NA)


def test_numbers_of_simulators():
    with pytest.raises(TypeError, match="n_features"):
        make_exposure_log(n_features=pd.NA)


def test_pairs_to_leave_out_that_are_a_matrix():
    model = CausalDNNRecommender(user="user", item="item", max_epochs=1)
    model.fit(LOG, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="exclude holds"):
        model.recommend(exclude=csr_array(np.eye(3)), by="outcome")


def test_more_draws_than_can_be_made():
    with pytest.raises(ValueError, match="n_unexposed"):
        build_examples(LOG, LOG, **NAMES, window=1, n_unexposed=2**70)


def test_seeds_of_a_report(fitted):
    with pytest.raises(ValueError, match="nan cannot be used to seed"):
        report(*fitted, random_state=np.nan)


def test_items_of_an_index_that_are_lists(fitted):
    with pytest.raises(TypeError, match="items are ids"):
        EffectIndex(fitted[0], items=[[1, 2], [3]])


@pytest.mark.parametrize("timezone", [2**70, 1.5, "Mars", b"UTC"])
def test_zones_that_are_none(timezone):
    with pytest.raises(ValueError, match="is no time zone"):
        clean_log(LOG, user="user", item="item", time="t", timezone=timezone)


def test_what_is_neither_true_nor_false():
    catalogue = CausalDNNRecommender(user="user", item="item", max_epochs=1)
    catalogue.fit(LOG, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="exclude_seen is <NA>"):
        catalogue.recommend(exclude_seen=pd.NA, by="outcome")


@pytest.mark.parametrize("given", [None, np.nan, 3, "model"])
def test_what_is_no_model_does_not_replace_a_file(given, tmp_path):
    (tmp_path / "m").write_text("before")
    with pytest.raises(TypeError, match="no model: nothing was written"):
        save(given, tmp_path / "m")
    assert (tmp_path / "m").read_text() == "before"


def test_half_precision_is_read_as_it_is():
    values = np.array([1, 2, 4, 9], np.float16)
    pd.testing.assert_frame_equal(
        influential_rows(values, k=2), influential_rows(values.astype(float), k=2)
    )
