"""compile_scorer, and pairs by their two sides, against the estimator and torch."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, load, recommend, save
from sklearn_causalrec.baselines import GlobalMean
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.effects import stacked
from sklearn_causalrec.effects.learners import Boost
from sklearn_causalrec.ranking.pairs import Pairs
from sklearn_causalrec.serving import compile_scorer
from sklearn_causalrec.serving.flat_networks import FlatNetworks

pytestmark = pytest.mark.filterwarnings("ignore")
NEAR = dict(rtol=0, atol=1e-6)
IDS = dict(user="user", item="item", random_state=0)


@pytest.fixture(scope="module")
def log():
    return make_exposure_log(420, n_users=30, n_items=50, random_state=0)


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """Second stages of few trees and without kernels."""

    def outcomes(n):
        return (lambda bins, seed: Boost(bins, seed, True, max_iter=8),)

    def exposures(n):
        return (lambda bins, seed: Boost(bins, seed, max_iter=4),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacked, "stacked_outcome_learners", outcomes)
        patch.setattr(stacked, "stacked_exposure_learners", exposures)
        yield


def fitted(log, X=None, treatment=None, y=None, **options):
    options = {**IDS, "max_epochs": 2, "n_folds": 2, **options}
    options = {k: v for k, v in options.items() if v is not None}
    X = log.X if X is None else X
    treatment = log.treatment if treatment is None else treatment
    return CausalDNNRecommender(**options).fit(
        X, log.y if y is None else y, treatment=treatment
    )


@pytest.fixture(scope="module")
def models(log):
    rng = np.random.default_rng(0)
    named = log.X.assign(user="u" + log.X["user"].astype(str), item=log.X["item"] - 20)
    arms = np.where(log.treatment == 1, rng.choice(["b", "c"], 420), "a")
    alone = log.X.drop(columns=["user", "item"])
    return {
        "dnn": (fitted(log), log.X),
        "mf": (
            fitted(log, log.X[["user", "item"]], encoder="mf"),
            log.X[["user", "item"]],
        ),
        "mf and features": (fitted(log, encoder="mf", max_epochs=4), log.X),
        "text ids": (fitted(log, named, y=1e9 + 1e-3 * log.y, n_estimators=2), named),
        "three arms": (fitted(log, treatment=arms, control="a"), log.X),
        "no ids": (fitted(log, alone, user=None, item=None), alone),
    }


KINDS = ["dnn", "mf", "mf and features", "text ids", "three arms", "no ids"]


@pytest.fixture(params=KINDS)
def model(request, models):
    return models[request.param]


def by_torch(model, rows):
    return model._ensemble.predict(rows).outcome


def by_models(model, rows, t0, t1, alpha=0.1):
    """Effect and interval by torch and the models of the second stage one by one."""
    outcome = by_torch(model, rows)
    X, groups = model._effect_features(rows, outcome), model._groups(rows)
    total, variance = model.effects_.offset[t1] - model.effects_.offset[t0], 0.0
    middle = total
    for sign, t in ((1, t1), (-1, t0)):
        if t:
            stage = model.effects_.stages[t]
            parts, *more = stage._by_fold(X, outcome[:, [0, t]], groups)
            center = stage._stack(parts)
            low, high = stage._row_errors.interval(center, parts, *more, alpha)
            total = total + sign * center * stage._scale
            middle = middle + sign * (low + high) / 2 * stage._scale
            variance = variance + ((high - low) / 2 * stage._scale) ** 2
    error = np.sqrt(variance)
    return total, middle - error, middle + error


def arms_of(model):
    return {"T0": "c", "T1": "b"} if len(model.arms_) == 3 else {}


def scale_of(model):
    return model.log_encoder_.y_scale


def test_the_scorer_says_what_the_estimator_says(model):
    model, X = model
    scorer, arms = compile_scorer(model), arms_of(model)
    new = X.copy()
    if "user" in X:
        new.iloc[:9, new.columns.get_loc("user")] = X["user"].iloc[0]
        unknown = "nobody" if isinstance(X["user"].iloc[0], str) else 10**6
        new["user"] = new["user"].replace(X["user"].iloc[5], unknown)
    rows = model.log_encoder_.rows(model, new)
    t0, t1 = (2, 1) if arms else (0, 1)
    expected = by_models(model, rows, t0, t1)
    outcome = by_torch(model, rows)[:, 1]
    where = {} if not arms else {"treatment": "b"}
    for n in (1, 5, len(X)):
        Z = new.to_numpy()[:n]
        near = dict(
            rtol=0, atol=1e-6 * max(scale_of(model), 1) + 1e-9 * abs(outcome[0])
        )
        assert_allclose(scorer.predict(Z, **where), outcome[:n], **near)
        assert_allclose(scorer.effect(Z, **arms), expected[0][:n], **NEAR)
        bounds = scorer.effect_interval(Z, 0.1, **arms)
        assert_allclose(bounds, [b[:n] for b in expected[1:]], **NEAR)
    # the one path of both
    Z, tight = new.to_numpy(), dict(rtol=1e-12, atol=1e-12)
    assert_allclose(scorer.effect(Z, **arms), model.effect(new, **arms), **tight)
    assert_allclose(scorer.predict(Z, **where), model.predict(new, **where), **tight)
    found = scorer.effect_interval(Z, **arms)
    assert_allclose(found, model.effect_interval(new, **arms), **tight)


def test_the_scorer_in_pickles_and_files(model, tmp_path):
    model, X = model
    scorer, arms, Z = compile_scorer(model), arms_of(model), X.to_numpy()
    save(scorer, tmp_path / "scorer.crec")
    save(model, tmp_path / "model.crec", slim=True)
    for same in (
        pickle.loads(pickle.dumps(scorer)),
        load(tmp_path / "scorer.crec"),
        compile_scorer(load(tmp_path / "model.crec")),
    ):
        for n in (1, len(Z)):
            assert_array_equal(same.effect(Z[:n], **arms), scorer.effect(Z[:n], **arms))
            found = same.effect_interval(Z[:n], **arms)
            assert_array_equal(found, scorer.effect_interval(Z[:n], **arms))


def test_a_file_of_a_scorer_needs_neither_torch_nor_econml(models, tmp_path):
    model, X = models["dnn"]
    save(compile_scorer(model), tmp_path / "scorer.crec")
    save(model, tmp_path / "model.crec")
    np.save(tmp_path / "rows.npy", X.to_numpy()[:20])
    code = (
        "import sys, numpy as np\n"
        "from sklearn_causalrec import load\n"
        f"scorer = load({str(tmp_path / 'scorer.crec')!r})\n"
        f"X = np.load({str(tmp_path / 'rows.npy')!r})\n"
        "found = [scorer.predict(X), scorer.effect(X), *scorer.effect_interval(X)]\n"
        "heavy = {'torch', 'skorch', 'econml', 'networkx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"np.save({str(tmp_path / 'found.npy')!r}, found)\n"
        # that of the recommender needs torch
        f"model = load({str(tmp_path / 'model.crec')!r})\n"
        "assert model.recommend([3], k=2).shape == (2, 4)\n"
        "assert 'econml' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    low, high = model.effect_interval(X[:20])
    expected = [model.predict(X[:20]), model.effect(X[:20]), low, high]
    assert_allclose(np.load(tmp_path / "found.npy"), expected, **NEAR)


@pytest.mark.parametrize(
    "options",
    [
        dict(hidden_layer_sizes=()),
        dict(hidden_layer_sizes=(7,), activation="gelu"),
        dict(hidden_layer_sizes=(9, 8, 7), activation="tanh", dropout=0.2),
        dict(activation="elu", task="classification", n_estimators=2),
        dict(encoder="mf", hidden_layer_sizes=(), activation="relu"),
        dict(item=None, activation="relu"),
        dict(encoder="mf", task="classification"),
    ],
)
def test_networks_by_numpy_are_those_of_torch(log, quick_recommender, options):
    y = (log.y > np.median(log.y)).astype(int) if "task" in options else log.y
    model = quick_recommender(**{**IDS, "max_epochs": 1, **options})
    model.fit(log.X, y, treatment=log.treatment)
    rows = model.log_encoder_.rows(model, log.X)
    expected = by_torch(model, rows)
    assert expected.std(0).min() > 1e-4
    networks = FlatNetworks.of(model._ensemble)
    found = networks.outcome(rows.features, rows.user, rows.item)
    assert_allclose(found, expected, **NEAR)
    assert found.dtype == expected.dtype
    scorer, Z = compile_scorer(model), log.X.to_numpy()
    assert_array_equal(scorer.predict(Z), model.predict(log.X))
    assert_allclose(scorer.effect(Z), expected[:, 1] - expected[:, 0], **NEAR)
    if "task" in options:
        assert_allclose(scorer.predict_proba(Z)[:, 1], expected[:, 1], **NEAR)
        assert set(scorer.predict(Z)) <= {0, 1}
    with pytest.raises(ValueError, match="effect_interval comes from"):
        scorer.effect_interval(Z)


def test_training_goes_on_without_the_scorer(log, quick_recommender):
    model = quick_recommender(**IDS, max_epochs=1, optimizer="sgd")
    model.fit(log.X, log.y, treatment=log.treatment)
    scorer, Z = compile_scorer(model), log.X.to_numpy()
    before = model.effect(log.X)
    model.partial_fit(log.X, 2 * log.y, treatment=log.treatment)
    assert_array_equal(scorer.effect(Z), before)
    assert np.abs(model.effect(log.X) - before).max() > 1e-4


def test_treatment_column_and_one_arm(log, quick_recommender):
    X = log.X.assign(shown=log.treatment)
    model = quick_recommender(**IDS, max_epochs=1, treatment="shown").fit(X, log.y)
    scorer = compile_scorer(model)
    assert_array_equal(scorer.predict(X.to_numpy()), model.predict(X))
    assert_array_equal(scorer.predict(X.to_numpy(), 0), model.predict(X, 0))
    alone = quick_recommender(**IDS, max_epochs=1).fit(log.X, log.y)
    scorer = compile_scorer(alone)
    assert_allclose(scorer.predict(log.X.to_numpy()), alone.predict(log.X), **NEAR)
    with pytest.raises(ValueError, match="not identified"):
        scorer.effect(log.X.to_numpy())


# -- the edge -----------------------------------------------------------------


def test_rows_are_checked_at_the_edge(models):
    model, X = models["dnn"]
    scorer, Z = compile_scorer(model), X.to_numpy()
    assert scorer.columns == list(X)
    one = scorer.effect(Z[0])
    assert one.shape == (1,) and one == scorer.effect(Z[:1])
    assert_array_equal(scorer.effect(Z[:3].tolist()), scorer.effect(Z[:3]))
    assert_array_equal(scorer.effect(Z[:3].astype(object)), scorer.effect(Z[:3]))
    with pytest.raises(TypeError, match=r"X\[scorer.columns\].to_numpy\(\)"):
        scorer.effect(X)
    with pytest.raises(ValueError, match="rows of the 14 columns"):
        scorer.effect(Z[:, 1:])
    with pytest.raises(ValueError, match="0 sample"):
        scorer.effect(Z[:0])
    for value, words in ((np.nan, "NaN"), (np.inf, "infinity"), (1e300, "too large")):
        wrong = Z[:2].copy()
        wrong[1, 5] = value
        with pytest.raises(ValueError, match=words):
            scorer.effect(wrong)
        with pytest.raises(ValueError, match=words):
            model.effect(pd.DataFrame(wrong, columns=X.columns))
    for value, words in ((np.nan, "missing id"), (0.5, "looks scaled")):
        wrong = Z[:2].copy()
        wrong[1, 0] = value
        with pytest.raises(ValueError, match=words):
            scorer.effect(wrong)
    wrong = Z[:2].astype(object)
    wrong[0, 0] = "3"
    with pytest.raises(ValueError, match="not of the kind"):
        scorer.effect(wrong)
    wrong[0, :2] = [3, [4]]
    with pytest.raises(ValueError, match="not an id"):
        scorer.effect(wrong)
    with pytest.raises(ValueError, match="T1=7"):
        scorer.effect(Z, T1=7)
    with pytest.raises(ValueError, match="alpha"):
        scorer.effect_interval(Z, alpha=2)


def test_large_ids_are_not_rounded(log, quick_recommender):
    big = log.X.assign(user=2**53 + log.X["user"])
    model = quick_recommender(**IDS, max_epochs=1)
    model.fit(big, log.y, treatment=log.treatment)
    scorer = compile_scorer(model)
    Z = big[:5].astype(object).to_numpy()
    assert_allclose(scorer.effect(Z), model.effect(big[:5]), **NEAR)
    with pytest.raises(ValueError, match="as a float"):
        scorer.effect(Z.astype(float))


def test_what_cannot_be_compiled_is_refused(log, quick_recommender):
    base = quick_recommender(max_epochs=1)
    alone = log.X.drop(columns=["user", "item"])
    pipe = make_pipeline(StandardScaler(), base)
    pipe.fit(alone, log.y, causaldnnrecommender__treatment=log.treatment)
    with pytest.raises(
        TypeError, match=r"StandardScaler.*compile_scorer\(pipeline\[-1"
    ):
        compile_scorer(pipe)
    Z = pipe[:-1].transform(alone)
    assert_allclose(compile_scorer(pipe[-1]).effect(Z), pipe[-1].effect(Z), **NEAR)
    towers = quick_recommender(towers={"a": list(alone)[:6], "b": list(alone)[6:]})
    towers.set_params(max_epochs=1).fit(alone, log.y, treatment=log.treatment)
    with pytest.raises(TypeError, match="towers"):
        compile_scorer(towers)
    mean = GlobalMean(user="user", item="item").fit(log.X, log.y)
    with pytest.raises(TypeError, match="GlobalMean is not compiled"):
        compile_scorer(mean)


# -- pairs --------------------------------------------------------------------

FRAMES = {
    "ids": (None, None),
    "some": ([1, 3, 4711], [2, 9, 50, 4712]),
    "frames": ("users", "items"),
}


@pytest.mark.parametrize("asked", FRAMES)
@pytest.mark.parametrize("kind", ["dnn", "mf", "mf and features", "three arms"])
@pytest.mark.parametrize("by, least", [("effect", None), ("outcome", 0.1)])
def test_pairs_by_sides_are_pairs_by_rows(models, log, kind, asked, by, least):
    model, _ = models[kind]
    users, items = FRAMES[asked]
    if asked == "frames":
        users, items = log.world.users.head(9), log.world.items.tail(20)
        users = users.assign(user=users["user"] + 9000)
        items = items.drop(columns="item_x0")
    pairs = Pairs(model, None, model, users, items)
    scorer = model.pair_scores(by, least, **arms_of(model))
    found = pairs.scores(scorer, 0, 3)
    assert pairs.sides_of(scorer) is not None
    expected = pairs.scores(scorer._replace(split=None, matrix=None), 0, 3)
    assert_allclose(found, expected, **NEAR)
    assert found.dtype == expected.dtype
    if least is None:
        sides = pairs.sides_of(scorer)
        at = sides.at(np.array([2, 0]), np.array([1, 3]))
        assert_allclose(at, expected[[2, 0]][:, [1, 3]], **NEAR)


def test_items_of_any_number_are_scored_in_blocks(models, monkeypatch):
    from sklearn_causalrec.serving import pair_scorer

    model, _ = models["dnn"]
    expected = recommend(model, k=5)
    monkeypatch.setattr(pair_scorer, "PAIRS", 7)
    for kept in (0, 2**30):
        monkeypatch.setattr(pair_scorer, "KEPT_BYTES", kept)
        found = recommend(model, k=5)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_lists_are_those_of_rows(models, monkeypatch):
    """Cold start and exploration among them."""
    from sklearn_causalrec.serving.pair_scorer import PairScorer

    model, X = models["dnn"]
    new = X[["user", *[c for c in X if c.startswith("user_")]]].head(3)
    new = new.assign(user=[8001, 8002, 8003])
    asked = [
        dict(users=new, k=4),
        dict(k=3, by="outcome", min_effect=0.2),
        dict(k=3, explore="epsilon", random_state=0, withhold=2),
    ]
    found = [recommend(model, **options) for options in asked]
    monkeypatch.setattr(PairScorer, "of", classmethod(lambda *a, **k: None))
    for options, table in zip(asked, found):
        expected = recommend(model, **options)
        pd.testing.assert_frame_equal(table, expected, rtol=1e-5, atol=1e-6)
