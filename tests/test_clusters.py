"""`cluster=` of both estimators: rows that belong together count together."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import CausalDNNRecommender, CausalGraph, DoCalculusEffect
from sklearn_causalrec.causal.estimation.instruments import InstrumentEffect
from sklearn_causalrec.encoding.cluster_columns import Clusters

QUICK = dict(
    max_epochs=5, hidden_layer_sizes=(16,), n_folds=3, random_state=0, device="cpu"
)


def linear(effect_model=None, **options):
    return DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=effect_model, random_state=0, **options,
    )  # fmt: skip


def quick(**options):
    return CausalDNNRecommender(**QUICK, **options)


BOTH = pytest.mark.parametrize("make", [linear, quick], ids=["graph", "networks"])


@pytest.fixture
def visits(rng):
    """60 people of 15 visits each, treated as a whole, with outcomes of their own."""
    who = np.repeat(np.arange(60), 15)
    age, own = rng.normal(size=(2, 60))
    t = rng.binomial(1, 1 / (1 + np.exp(-age)))[who]
    hour = rng.normal(size=900)
    y = age[who] + own[who] + t + hour + rng.normal(size=900)
    X = pd.DataFrame({"age": age[who], "hour": hour})
    return X, y, t, who


@BOTH
def test_a_column_or_an_argument_says_the_same(make, visits):
    X, y, t, who = visits
    named = make(cluster="who").fit(X.assign(who=who), y, treatment=t)
    given = make().fit(X, y, treatment=t, cluster=who)
    as_text = make(cluster="who").fit(X.assign(who=who.astype(str)), y, treatment=t)
    assert named.ate_interval() == given.ate_interval() == as_text.ate_interval()
    assert named.ate() == given.ate()
    alone = named.ate_interval(cluster=False)
    wide, narrow = np.diff(named.ate_interval())[0], np.diff(alone)[0]
    assert wide > 1.8 * narrow
    assert np.mean(named.ate_interval()) == pytest.approx(np.mean(alone))
    wide, narrow = (np.diff(named.att_interval(cluster=c))[0] for c in (True, False))
    assert wide > 1.5 * narrow


@BOTH
def test_rows_that_repeat_add_nothing(make, rng):
    """Ten copies of a row are one row, if the clusters say so."""
    X = pd.DataFrame(rng.normal(size=(800, 2)), columns=["a", "b"])
    t = rng.binomial(1, 1 / (1 + np.exp(-X["a"])))
    y = X["a"].to_numpy() + t + rng.normal(size=800)
    many = np.repeat(np.arange(800), 10)
    once = np.diff(make().fit(X, y, treatment=t).ate_interval())[0]
    model = make().fit(X.iloc[many], y[many], treatment=t[many], cluster=many)
    wide = np.diff(model.ate_interval())[0]
    assert np.diff(model.ate_interval(cluster=False))[0] < 0.4 * wide
    if make is linear:  # networks learn more of a row that repeats
        assert wide == pytest.approx(once, rel=0.2)


def test_the_ids_are_no_covariate(visits):
    X, y, t, who = visits
    X = X.assign(who=who)
    model = linear(cluster="who").fit(X, y, treatment=t)
    assert model.adjustment_set_ == {"age", "hour"}
    without = model.predict(X.drop(columns="who"), 1)
    np.testing.assert_array_equal(model.predict(X, 1), without)
    deep = quick(cluster="who").fit(X, y, treatment=t)
    assert deep.log_encoder_.roles.feature_columns_ == ["age", "hour"]
    shop = who % 5
    graph = CausalGraph("shop -> t -> y; shop -> y; age -> t; age -> y; hour -> y")
    model = linear(graph=graph, cluster="shop", treatment="t", outcome="y")
    with pytest.warns(UserWarning, match="5 clusters 'shop', fewer than 30"):
        model.fit(X.drop(columns="who").assign(shop=shop, t=t), y)
    assert model.adjustment_set_ >= {"shop", "age"}


def test_users_and_items_are_clusters_by_themselves(rng):
    n = 600
    X = pd.DataFrame(
        {
            "user": rng.integers(0, 40, n),
            "item": rng.integers(0, 35, n),
            "a": rng.normal(size=n),
        }
    )
    t = rng.binomial(1, 0.5, n)
    own = rng.normal(size=40)[X["user"]] * t  # effects that differ between users
    y = X["a"].to_numpy() + t + 2 * own + rng.normal(size=n)
    model = quick(user="user", item="item").fit(X, y, treatment=t)
    assert model.effects_.clusters.names == ["user", "item"]
    named = quick(user="user", item="item", cluster=["user", "item"])
    assert named.fit(X, y, treatment=t).ate_interval() == model.ate_interval()
    one = quick(user="user", item="item", cluster="user").fit(X, y, treatment=t)
    assert one.effects_.clusters.names == ["user"]
    none = quick(user="user", item="item", cluster=None).fit(X, y, treatment=t)
    assert none.effects_.clusters is None
    assert none.ate_interval() == model.ate_interval(cluster=False)
    assert np.diff(model.ate_interval())[0] > 1.5 * np.diff(none.ate_interval())[0]
    again = pickle.loads(pickle.dumps(model))
    assert again.ate_interval() == model.ate_interval()
    assert clone(one).cluster == "user"


def test_ids_that_nobody_names_are_warned_of(visits):
    X, y, t, who = visits
    X = X.assign(user_id=who)
    with pytest.warns(
        UserWarning, match=r"'user_id' looks like an id: 60 values in 90"
    ):
        linear().fit(X, y, treatment=t)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear(cluster=None).fit(X, y, treatment=t)
        linear(cluster="user_id").fit(X, y, treatment=t)
        linear().fit(X, y, treatment=t, cluster=who)


@BOTH
def test_clusters_are_routed(make, visits):
    X, y, t, who = visits
    if make is linear:
        make = partial(linear, effect_model=LinearRegression())
    keep = FunctionTransformer().set_output(transform="pandas")
    with config_context(enable_metadata_routing=True):
        pipe = make_pipeline(keep, make())
        pipe.fit(X, y, treatment=t, cluster=who)
        alone = make().fit(X, y, treatment=t, cluster=who)
        assert pipe[-1].ate_interval() == alone.ate_interval()
        found = cross_validate(
            pipe, X, y, cv=2, params={"treatment": t, "cluster": who},
            return_estimator=True, error_score="raise",
        )  # fmt: skip
    assert len(found["estimator"]) == 2


@BOTH
@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (dict(cluster="no"), None, "cluster='no' is n|cluster='no' is not a column"),
        (dict(cluster=["a", "b", "c"]), None, "names 3 columns"),
        (dict(cluster="who"), "who", "cluster came twice"),
        (dict(), "short", r"has shape \(3,\) and X has 900 rows"),
        (dict(), "gaps", "cluster.* has a missing id in row 0"),
        (dict(), "three", "names 3 columns"),
    ],
)
def test_what_is_unclear_is_refused(make, visits, options, given, message):
    X, y, t, who = visits
    gaps = np.where(np.arange(900) == 0, None, who.astype(object))
    three = np.column_stack([who] * 3)
    values = {"who": who, "short": who[:3], "gaps": gaps, "three": three, None: None}
    with pytest.raises(ValueError, match=message):
        model = make(**options)
        model.fit(X.assign(who=who), y, treatment=t, cluster=values[given])


def test_two_stage_least_squares_counts_clusters(rng):
    """Ten copies of each row, as clusters of ten: the errors are those of one copy."""
    n = 400
    Z, u = rng.normal(size=(2, n))
    t = Z + u + rng.normal(size=n)
    y = 2 * t + u + rng.normal(size=n)
    many = np.repeat(np.arange(n), 10)
    once = InstrumentEffect("2sls").fit(y, t, Z[:, None])
    rows = Clusters(many[:, None], ["row"])
    copies = InstrumentEffect("2sls").fit(
        y[many], t[many], Z[many, None], None, None, rows
    )
    np.testing.assert_allclose(copies.ate_interval(), once.ate_interval(), rtol=0.01)
    assert copies.f_ == pytest.approx(once.f_, rel=0.01)
    np.testing.assert_allclose(
        copies.anderson_rubin_interval(), once.anderson_rubin_interval(), rtol=0.01
    )
    with pytest.raises(ValueError, match=r"'ortho_iv' counts every row as independent"):
        InstrumentEffect("ortho_iv").fit(y, t, Z[:, None], None, None, rows)


def test_refits_keep_clusters_that_are_columns(visits):
    X, y, t, who = visits
    X = X.assign(who=who)
    named = linear(cluster="who").fit(X, y, treatment=t)
    found = named.refute(X, y, treatment=t, methods=["random_common_cause"])
    assert found.passed
    given = linear().fit(X.drop(columns="who"), y, treatment=t, cluster=who)
    assert given.given_ == ("cluster",)
    with pytest.raises(ValueError, match=r"name a column of X instead, as cluster="):
        given.refute(X.drop(columns="who"), y, treatment=t)
