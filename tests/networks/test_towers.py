"""Groups of features with layers of their own, and rows that lack a group."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.encoding.feature_groups import tower_columns
from sklearn_causalrec.interactions import TextBag
from sklearn_causalrec.networks.network import Towers

IMAGE = [f"px{i}" for i in range(3)]
GROUPS = {"image": "px", "text": ["words"]}


@pytest.fixture(scope="module")
def log():
    """Users and items; the image of each item; a third of the items have none."""
    rng = np.random.default_rng(0)
    n = 2000
    image = rng.normal(size=(40, 3))
    image[rng.permutation(40)[:13]] = np.nan
    X = pd.DataFrame({"user": rng.integers(0, 50, n), "item": rng.integers(0, 40, n)})
    X["age"], X["words"] = rng.normal(size=n), rng.normal(size=n)
    X[IMAGE] = image[X["item"]]
    bare = np.isnan(X["px0"])
    effect = np.where(bare, -2.0, 1 + X["px0"].fillna(0))
    t = rng.binomial(1, np.where(bare, 0.3, 0.6))
    y = X["age"] + t * effect + 0.3 * rng.normal(size=n)
    return X, y.to_numpy(), t, effect, bare.to_numpy()


def make_model(**options):
    settings = dict(user="user", item="item", towers=GROUPS, effect_learner="t")
    return CausalDNNRecommender(**{**settings, "random_state": 0, **options})


# -- naming groups -------------------------------------------------------------


def test_columns_by_prefix_and_by_name():
    features = ["text__a", "image__0", "age", "text__b", "image__1"]
    assert tower_columns("prefix", features) == {
        "text": [0, 3],
        "image": [1, 4],
        "other": [2],
    }
    assert tower_columns({"t": "text"}, features) == {"t": [0, 3], "other": [1, 2, 4]}
    assert tower_columns({"p": [1]}, [0, 1, 2]) == {"p": [1], "other": [0, 2]}
    assert tower_columns(None, features) is None


@pytest.mark.parametrize(
    "towers, message",
    [
        ("prefix", 'no feature has a prefix before "__"'),
        ({"text": ["wrods"]}, "Tower 'text' names 'wrods', which is not a feature"),
        ({"text": "zz"}, "Tower 'text' has no columns"),
        ({"a": "px", "b": ["px1"]}, "Feature 'px1' is in two towers"),
    ],
)
def test_groups_that_cannot_be(log, towers, message):
    X, y, t, _, _ = log
    with pytest.raises(ValueError, match=re.escape(message)):
        make_model(towers=towers).fit(X, y, treatment=t)


@pytest.mark.parametrize(
    "column, message",
    [
        ("px1", "'px1' is missing in row 7, and tower 'image' has other values"),
        ("age", "'age' is missing in row 7, and belongs to no tower"),
    ],
)
def test_gaps_are_refused_unless_of_a_whole_tower(log, column, message):
    X, y, t, _, _ = log
    X = X.copy()
    X.loc[7, IMAGE] = 1.0
    X.loc[7, column] = np.nan
    with pytest.raises(ValueError, match=re.escape(message)):
        make_model().fit(X, y, treatment=t)


def test_without_towers_nothing_may_be_missing(log):
    X, y, t, _, _ = log
    with pytest.raises(ValueError, match="contains NaN"):
        make_model(towers=None).fit(X, y, treatment=t)


def test_infinity_is_refused(log):
    X, y, t, _, _ = log
    with pytest.raises(ValueError, match="infinity"):
        make_model().fit(X.assign(age=np.inf), y, treatment=t)


# -- the network ---------------------------------------------------------------


def test_a_vector_of_its_own_stands_for_a_missing_group():
    torch.manual_seed(0)
    towers = Towers([[0, 1], [2]], 4, "relu")
    with torch.no_grad():
        towers.missing.normal_()
    x = torch.tensor([[1.0, 2.0, 3.0], [float("nan")] * 2 + [3.0]])
    deep, wide = towers(x)
    torch.testing.assert_close(deep[1, :4], towers.missing[0])
    torch.testing.assert_close(deep[0, 4:], deep[1, 4:])
    expected = torch.relu(towers.layers[0](x[:1, :2]))
    torch.testing.assert_close(deep[:1, :4], expected)
    assert wide.tolist() == [[1, 2, 3, 0, 0], [0, 0, 3, 1, 0]]
    deep.sum().backward()
    assert all(p.grad.isfinite().all() for p in towers.parameters())
    assert towers.missing.grad[0].tolist() == [1.0] * 4


# -- the estimator -------------------------------------------------------------


def test_a_missing_modality_is_not_an_average_one(log):
    """Where nothing is known of the image the effect is -2, of the average image 1."""
    X, y, t, effect, bare = log
    model = make_model(user=None, item=None).fit(
        X.drop(columns=["user", "item"]), y, treatment=t
    )
    found = model.effect(X.drop(columns=["user", "item"]))
    assert abs(found[bare].mean() + 2) < 0.3
    assert np.corrcoef(found[~bare], effect[~bare])[0, 1] > 0.9


def test_the_second_stage_knows_of_gaps(log):
    X, y, t, effect, bare = log
    model = make_model(effect_learner="stacked", n_folds=2).fit(X, y, treatment=t)
    found = model.effect(X)
    assert abs(found[bare].mean() + 2) < 0.4
    assert abs(found[~bare].mean() - effect[~bare].mean()) < 0.4
    low, high = model.ate_interval()
    assert low < effect.mean() < high
    features = model._effect_features(*model._outcomes(X))
    assert np.isfinite(features).all()
    assert (features == bare[:, None]).all(0).sum() == 1


def test_rows_may_lack_what_no_row_lacked_in_fit(log):
    X, y, t, _, bare = log
    model = make_model(effect_learner="stacked", n_folds=2)
    model.fit(X[~bare], y[~bare], treatment=t[~bare])
    assert np.isfinite(model.effect(X)).all()


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_lists_with_items_that_lack_an_image(log, encoder):
    X, y, t, _, bare = log
    model = make_model(encoder=encoder).fit(X, y, treatment=t)
    assert model.catalogue_.of_item.sum() == 3
    top = recommend(model, k=5, exclude_seen=False)
    lacking = set(X.loc[bare, "item"])
    assert np.isfinite(top["score"]).all()
    assert not set(top["item"]) <= lacking
    share = top["item"].isin(lacking).mean()
    assert share < 0.1  # showing those does harm


def test_one_arm_draws_pairs_with_gaps(log):
    X, y, _, _, _ = log
    model = make_model(objective="dr", max_epochs=3).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_prefixes_of_a_column_transformer():
    rng = np.random.default_rng(0)
    words = np.array(["red fox", "blue sky", "red sky"])
    X = pd.DataFrame({"title": words[rng.integers(0, 3, 300)]})
    X["age"] = rng.normal(size=300)
    columns = ColumnTransformer(
        [
            ("text", TextBag(TfidfVectorizer()), ["title"]),
            ("num", StandardScaler(), ["age"]),
        ]
    ).set_output(transform="pandas")
    t = rng.integers(0, 2, 300)
    y = X["age"] + t * X["title"].str.contains("red") + 0.1 * rng.normal(size=300)
    pipe = make_pipeline(columns, CausalDNNRecommender(towers="prefix", random_state=0))
    pipe.fit(X, y, causaldnnrecommender__treatment=t)
    towers = pipe[-1].log_encoder_.roles.towers_
    assert set(towers) == {"text", "num"}
    assert len(pipe[-1].nets_[0].module_.towers.layers) == 2


# -- what partial_fit keeps ----------------------------------------------------


def test_the_catalogue_grows_with_the_batches():
    """Features, exclusions and the latest history of users of earlier batches."""
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame({"user": np.repeat(np.arange(40), 10)})
    X["item"] = rng.integers(0, 15, n)
    quality, taste = rng.normal(size=15), rng.normal(size=40)
    X["quality"], X["taste"] = quality[X["item"]], taste[X["user"]]
    X["time"] = rng.permutation(n)
    X["history"] = [[int(i)] for i in X["time"] % 15]
    y, t = rng.normal(size=n), rng.integers(0, 2, n)
    roles = dict(user="user", item="item", time="time", history="history")
    whole = CausalDNNRecommender(**roles, max_epochs=1, effect_learner="t")
    whole.fit(X, y, treatment=t)
    parts = CausalDNNRecommender(**roles, random_state=0)
    for rows in (slice(0, 150), slice(150, 310), slice(310, 400)):
        parts.partial_fit(X[rows], y[rows], treatment=t[rows])
    one, other = whole.catalogue_, parts.catalogue_
    assert one.of_user.tolist() == other.of_user.tolist()
    assert one.of_item.tolist() == other.of_item.tolist()
    np.testing.assert_array_equal(one.user_table[:-1], other.user_table[:-1])
    np.testing.assert_array_equal(
        whole.log_encoder_.items.ids[np.argsort(whole.log_encoder_.items.ids)],
        parts.log_encoder_.items.ids[np.argsort(parts.log_encoder_.items.ids)],
    )
    ids = whole.log_encoder_.items.ids
    to = parts.log_encoder_.items.codes(ids)
    its = one.of_item
    np.testing.assert_array_equal(
        one.item_table[:-1, its], other.item_table[to][:, its]
    )
    assert (one.seen[:, :-1] != other.seen[:, to]).nnz == 0
    np.testing.assert_allclose(one.context, other.context, rtol=1e-5)
    assert one.share == other.share
    past = whole.log_encoder_.items.ids.to_numpy()[one.history[:-1, 0]]
    np.testing.assert_array_equal(
        past, parts.log_encoder_.items.ids.to_numpy()[other.history[:-1, 0]]
    )
    pd.testing.assert_series_equal(one.owner, other.owner)
    shown = set(zip(X["user"][t == 1], X["item"][t == 1]))
    top = recommend(parts, k=15)
    assert not shown & set(zip(top["user"], top["item"]))
    assert len(top) == 40 * 15 - len(shown)
