"""CausalDNNRecommender on logs of which the truth is known."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import roc_auc_score

from sklearn_causalrec import CausalDNNRecommender


def make_log(n=1500, seed=0, binary=False):
    """y = x0 + t (1 + x1) + noise; x0 raises the chance of being shown."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-X[:, 0]))
    t = rng.binomial(1, p)
    truth = 1 + X[:, 1]
    y = X[:, 0] + t * truth + 0.5 * rng.normal(size=n)
    if binary:
        y = (y > 0.5).astype(int)
    return X, y, t, truth, np.where(t == 1, p, 1 - p)


def make_ids(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 40, n), rng.integers(0, 25, n)
    quality, activity = rng.normal(size=25), rng.normal(size=40)
    y = quality[item] + activity[user] + 0.3 * rng.normal(size=n)
    frame = pd.DataFrame({"user": user, "item": item})
    frame["user"] = "u" + frame["user"].astype(str)
    return frame, y, quality


def fast(**params):
    """Without the second stage, which has tests of its own."""
    quick = {"max_epochs": 40, "random_state": 0, "effect_learner": "t"}
    return CausalDNNRecommender(**quick | params)


@pytest.mark.parametrize("objective", ["naive", "ips", "snips", "dr", "targeted"])
def test_effect_of_a_confounded_log(objective):
    X, y, t, truth, _ = make_log()
    model = fast(objective=objective).fit(X, y, treatment=t)
    confounded = y[t == 1].mean() - y[t == 0].mean()
    assert abs(confounded - truth.mean()) > 0.4
    effect = model.effect(X)
    assert abs(effect.mean() - truth.mean()) < 0.15
    assert np.sqrt(np.mean((effect - truth) ** 2)) < 0.4
    np.testing.assert_allclose(model.effect(X, T0=1, T1=0), -effect)


def test_effects_are_in_the_units_of_y():
    X, y, t, truth, _ = make_log()
    a = fast().fit(X, y, treatment=t).effect(X)
    b = fast().fit(X, 1000 * y + 5e5, treatment=t).effect(X)
    assert np.corrcoef(a, b)[0, 1] > 0.98
    assert abs(b.mean() - 1000 * truth.mean()) < 150


def test_predict_is_the_outcome_if_shown():
    X, y, t, truth, _ = make_log()
    model = fast().fit(X, y, treatment=t)
    shown = X[:, 0] + truth
    assert np.corrcoef(model.predict(X), shown)[0, 1] > 0.95
    np.testing.assert_array_equal(model.predict(X), model.predict(X, treatment=1))
    factual = model.predict(X, treatment=t)
    np.testing.assert_array_equal(factual[t == 1], model.predict(X)[t == 1])
    assert model.score(X, y, treatment=t) > 0.8


def test_binary_outcome():
    X, y, t, _, _ = make_log(binary=True)
    labels = np.array(["no", "yes"])[y]
    model = fast(task="classification").fit(X, labels, treatment=t)
    assert is_classifier(model) and not is_regressor(model)
    assert model.classes_.tolist() == ["no", "yes"]
    proba = model.predict_proba(X, treatment=t)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert roc_auc_score(y, proba[:, 1]) > 0.9
    assert set(model.predict(X)) <= {"no", "yes"}
    assert (np.abs(model.effect(X)) <= 1).all()
    assert model.score(X, labels, treatment=t) > 0.8


def test_regressor_has_no_predict_proba():
    assert is_regressor(CausalDNNRecommender())
    assert not hasattr(CausalDNNRecommender(), "predict_proba")


def test_several_arms_by_name():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3))
    names = np.array(["banner", "mail", "none"])
    t = rng.integers(0, 3, 2000)
    lift = np.array([2.0, 1.0, 0.0])
    y = X[:, 0] + lift[t] + 0.3 * rng.normal(size=2000)
    model = fast().fit(X, y, treatment=names[t])
    assert model.arms_.tolist() == ["banner", "mail", "none"]
    assert abs(model.effect(X, T0="none", T1="banner").mean() - 2) < 0.15
    assert abs(model.effect(X, T0="mail", T1="banner").mean() - 1) < 0.15
    chain = model.effect(X, "none", "mail") + model.effect(X, "mail", "banner")
    np.testing.assert_allclose(chain, model.effect(X, "none", "banner"), atol=1e-5)
    with pytest.raises(ValueError, match="T1='fax' is not an arm"):
        model.effect(X, T0="none", T1="fax")
    with pytest.raises(ValueError, match="Which of the arms"):
        model.predict(X)
    one = model.predict(X, treatment="mail")
    np.testing.assert_array_equal(one, model.predict(X, treatment=["mail"] * 2000))


def test_a_single_arm_has_outcomes_and_no_effect():
    X, y, _, _, _ = make_log()
    model = fast().fit(X, y)
    assert model.score(X, y) > 0.3
    with pytest.raises(ValueError, match=r"not identified.*single treatment value"):
        model.effect(X)
    with pytest.raises(ValueError, match="not identified"):
        fast(max_epochs=1).fit(X, y, treatment=np.ones(len(y))).effect(X)


@pytest.mark.parametrize("n_estimators", [1, 2])
@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_refits_are_bit_identical(encoder, n_estimators):
    frame, y, _ = make_ids()
    t = np.random.default_rng(1).integers(0, 2, len(y))
    model = fast(
        encoder=encoder,
        user="user",
        item="item",
        n_estimators=n_estimators,
        dropout=0.1,
    )
    state = torch.random.get_rng_state()
    first = clone(model).fit(frame, y, treatment=t)
    assert (torch.random.get_rng_state() == state).all()
    torch.manual_seed(7)
    again = clone(model).fit(frame, y, treatment=t)
    np.testing.assert_array_equal(first.predict(frame), again.predict(frame))
    np.testing.assert_array_equal(first.effect(frame), again.effect(frame))
    other = clone(model).set_params(random_state=1).fit(frame, y, treatment=t)
    assert (first.predict(frame) != other.predict(frame)).any()
    assert len(first.nets_) == n_estimators


def test_pickle_and_joblib(tmp_path):
    X, y, t, _, _ = make_log(600)
    model = fast(max_epochs=3).fit(X, y, treatment=t)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.effect(X), model.effect(X))
    joblib.dump(model, tmp_path / "model.joblib")
    back = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    back.partial_fit(X, y, treatment=t)


def test_numpy_pandas_and_polars_agree():
    frame, y, _ = make_ids(600)
    frame["x"] = np.random.default_rng(0).normal(size=len(y))
    roles = dict(user="user", item="item", max_epochs=2)
    pandas = fast(**roles).fit(frame, y)
    polars = fast(**roles).fit(pl.from_pandas(frame), pl.Series(y))
    array = fast(user=0, item=-2, max_epochs=2).fit(frame.to_numpy(), y)
    expected = pandas.predict(frame)
    np.testing.assert_array_equal(polars.predict(pl.from_pandas(frame)), expected)
    np.testing.assert_array_equal(array.predict(frame.to_numpy()), expected)
    assert list(pandas.feature_names_in_) == ["user", "item", "x"]
    assert pandas.n_features_in_ == 3


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_ids_are_keys_not_numbers(encoder):
    """Renaming ids changes nothing; unknown ids share one prediction."""
    frame, y, quality = make_ids()
    model = fast(encoder=encoder, user="user", item="item", max_epochs=20)
    a = clone(model).fit(frame, y)
    per_item = a.predict(pd.DataFrame({"user": ["new"] * 25, "item": range(25)}))
    assert np.corrcoef(per_item, quality)[0, 1] > 0.95
    big = frame.assign(item=10**9 + frame["item"].astype("int64"))
    b = clone(model).fit(big, y)
    np.testing.assert_allclose(a.predict(frame), b.predict(big), rtol=1e-6)
    unknown = b.predict(pd.DataFrame({"user": ["v", "w"], "item": [3, 4]}))
    assert unknown[0] == unknown[1]
    as_category = frame.astype({"user": "category", "item": "category"})
    c = clone(model).fit(as_category, y)
    np.testing.assert_array_equal(c.predict(as_category), a.predict(frame))


def test_ids_near_a_billion_stay_apart():
    rng = np.random.default_rng(0)
    item = 10**9 + np.repeat(np.arange(300), 4)
    level = rng.normal(size=300)
    y = level[item - 10**9]
    X = np.column_stack([np.tile(np.arange(20), 60), item]).astype(float)
    model = fast(user=0, item=1, encoder="mf", l2=0.0, max_epochs=80).fit(X, y)
    assert len(model.log_encoder_.items) == 300
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.9


def test_sample_weight_moves_the_fit():
    X, y, t, _, _ = make_log()
    first = X[:, 2] > 0
    y = np.where(first, y + 5, y)
    drop = fast().fit(X, y, treatment=t, sample_weight=first.astype(float))
    only = fast().fit(X[first], y[first], treatment=t[first])
    np.testing.assert_array_equal(drop.predict(X), only.predict(X))


def test_given_propensities_replace_the_estimate():
    X, y, t, _, propensity = make_log()
    model = fast(objective="ips", clip=0.3).fit(
        X, y, treatment=t, propensity=propensity
    )
    first = np.where(t == 0, propensity, 1 - propensity)
    low = np.zeros(len(X), bool)
    for p in (first, 1 - first):  # of either arm, less for the one that is rarer
        low |= p <= 1.001 * 0.3 * min(1, 2 * p.mean())
    assert model.overlap_["clipped"] == pytest.approx(low.mean())
    w = 1 / np.maximum(propensity, 0.3)
    for arm in (0, 1):
        ess = w[t == arm].sum() ** 2 / (w[t == arm] ** 2).sum()
        assert model.overlap_["effective_sample_size"][arm] == pytest.approx(ess)
    named = pd.DataFrame(X, columns=list("abcd")).assign(p=propensity, shown=t)
    by_column = fast(objective="ips", clip=0.3, treatment="shown", propensity="p")
    by_column.fit(named, y)
    np.testing.assert_array_equal(by_column.effect(named), model.effect(X))


def test_history_and_verbose(capsys):
    X, y, t, _, _ = make_log()
    model = fast(verbose=1, n_estimators=2, max_epochs=3).fit(X, y, treatment=t)
    shown = capsys.readouterr().err
    assert "fit: 100%" in shown
    assert [(r["member"], r["epoch"]) for r in model.history_] == [
        (m, e) for m in (0, 1) for e in (1, 2, 3)
    ]
    record = model.history_[0]
    assert {"train_loss", "valid_loss", "valid_score", "seconds"} <= set(record)
    assert np.isfinite(list(record.values())).all()


def test_progress_names_the_stage(capsys):
    X, y, t, _, _ = make_log(100)
    settings = dict(effect_learner="stacked", n_folds=2, max_epochs=1)
    fast(verbose=1, **settings).fit(X, y, treatment=t).effect(X)
    shown = capsys.readouterr().err
    for stage in ("fit", "fold 1/2", "fold 2/2", "effects: 100%"):
        assert stage in shown
    fast(max_epochs=1).fit(X, y, treatment=t).effect(X)
    assert capsys.readouterr().err == ""


def test_early_stopping_returns_the_best_epoch():
    X, y, t, _, _ = make_log(600)
    model = fast(max_epochs=200, learning_rate=0.01, n_iter_no_change=3, l2=0.0)
    model.set_params(early_stopping=True).fit(X, y, treatment=t)
    losses = [r["valid_loss"] for r in model.history_]
    assert len(losses) < 200
    assert np.argmin(losses) <= len(losses) - 3


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_optimizers_and_schedules(optimizer, schedule):
    X, y, t, _, _ = make_log(800)
    rate = 0.003 if optimizer == "adam" else 0.03
    model = fast(
        optimizer=optimizer, learning_rate_schedule=schedule, learning_rate=rate
    ).fit(X, y, treatment=t)
    assert model.score(X, y, treatment=t) > 0.8


def test_penalties_shrink_and_noise_changes():
    X, y, t, _, _ = make_log(600)

    def size(**params):
        net = fast(max_epochs=20, **params).fit(X, y, treatment=t).nets_[0].module_
        return sum(p.abs().sum().item() for p in net.encoder.dense.parameters())

    plain = size(l2=0.0)
    assert size(l2=0.1) < plain and size(l1=1e-3, l2=0.0) < plain
    assert size(input_noise=0.3, l2=0.0) != plain


def test_l2_is_the_penalty_it_says():
    """The decay in the optimizer is the gradient of l2 / (2 n) sum w^2."""
    X, y, _, _, _ = make_log(600)
    sgd = dict(
        optimizer="sgd", momentum=0.0, learning_rate=0.1, max_epochs=1, batch_size=600
    )
    sgd.update(early_stopping=False, objective="naive")
    with_l2, without = (
        fast(l2=l2, **sgd).fit(X, y).nets_[0].module_ for l2 in (300.0, 0.0)
    )
    name = "encoder.dense.0.weight"
    w = dict(without.named_parameters())[name].data
    # One step of 0.1 with n = 600: the penalty takes away 0.1 * 300 / 600 of w.
    w0 = (w - dict(with_l2.named_parameters())["encoder.dense.0.weight"].data) / (
        0.1 * 0.5
    )
    start = fast(l2=0.0, **sgd | {"learning_rate": 1e-12}).fit(X, y).nets_[0].module_
    expected = dict(start.named_parameters())[name].data
    torch.testing.assert_close(w0, expected, atol=1e-4, rtol=1e-3)


def test_partial_fit_learns_batch_by_batch_and_takes_new_ids():
    frame, y, quality = make_ids(3000)
    model = fast(user="user", item="item", encoder="mf")
    first = frame["item"] < 20
    for _ in range(10):
        model.partial_fit(frame[first], y[first])
    for _ in range(10):
        model.partial_fit(frame, y)
    assert len(model.log_encoder_.items) == 25
    assert len(model.history_) == 20
    assert model.score(frame, y) > 0.8
    known = model.recommend(["nobody"], k=25, by="outcome")
    assert np.corrcoef(known["score"], quality[known["item"]])[0, 1] > 0.9


def test_mf_tells_what_a_user_makes_of_an_item_not_seen():
    """Tastes that only the id knows, for features that only the item has."""
    rng = np.random.default_rng(3)
    taste, Z = rng.normal(size=(60, 2)), rng.normal(size=(120, 2))
    user, item = rng.integers(0, 60, 4000), rng.integers(0, 120, 4000)
    y = (taste[user] * Z[item]).sum(1) + 0.3 * rng.normal(size=4000)
    X = pd.DataFrame({"user": user, "item": item, "a": Z[item, 0], "b": Z[item, 1]})
    seen = item < 100
    model = fast(user="user", item="item", encoder="mf", max_epochs=60)
    model.fit(X[seen], y[seen])
    assert model.catalogue_.of_item.all()
    assert model.score(X[~seen], y[~seen]) > 0.6


def test_partial_fit_knows_the_arms_to_come():
    X, y, t, _, _ = make_log()
    model = fast()
    for _ in range(15):
        for arm in (0, 1):
            mine = t == arm
            model.partial_fit(X[mine], y[mine], treatment=t[mine], arms=[0, 1])
    assert np.isfinite(model.effect(X)).all()
    with pytest.raises(ValueError, match=r"treatment holds 2.*arms are \[0, 1\]"):
        model.partial_fit(X, y, treatment=np.full(len(y), 2))


def test_warm_start_goes_on():
    X, y, t, _, _ = make_log()
    model = fast(max_epochs=2, warm_start=True).fit(X, y, treatment=t)
    first = model.score(X, y, treatment=t)
    model.set_params(max_epochs=20).fit(X, y, treatment=t)
    assert len(model.history_) > 2
    assert model.score(X, y, treatment=t) > first


def test_device_is_said():
    X, y, _, _, _ = make_log(100)
    model = fast(max_epochs=1).fit(X, y)
    assert model.device_ == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(RuntimeError, match="abacus"):
        fast(device="abacus").fit(X, y)


def test_selective_exposure_gives_an_exposure_ratio():
    """Items shown three times as often have three times the density."""
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(300 * 40), 40)
    shown = rng.random(len(user)) < np.where(item < 20, 0.6, 0.2)
    frame = pd.DataFrame({"user": user, "item": item})[shown]
    y = rng.normal(size=len(frame))
    model = fast(user="user", item="item", encoder="mf", objective="ips")
    model.set_params(max_epochs=15, early_stopping=False, embedding_dim=1)
    model.fit(frame, y)
    ratio = model.propensity_scores(frame)[:, 0]
    often = frame["item"] < 20
    assert ratio[often].mean() / ratio[~often].mean() == pytest.approx(3, rel=0.25)
    assert ratio[often].mean() == pytest.approx(1.5, rel=0.2)


# -- the second stage ------------------------------------------------------------


@pytest.fixture(scope="module")
def stacked():
    X, y, t, truth, _ = make_log(2000, seed=3)
    model = fast(effect_learner="stacked", n_folds=3).fit(X, y, treatment=t)
    return model, X, y, t, truth


def test_the_second_stage_beats_the_difference_of_heads(stacked):
    model, X, y, t, truth = stacked
    heads = fast().fit(X, y, treatment=t).effect(X)
    error = np.sqrt(np.mean((model.effect(X) - truth) ** 2))
    assert error < 0.8 * np.sqrt(np.mean((heads - truth) ** 2))
    assert error < 0.25


def test_average_effect_and_its_interval(stacked):
    model, X, _, _, truth = stacked
    low, high = model.ate_interval()
    assert low < truth.mean() < high
    assert low < model.ate() < high
    assert high - low < 0.3
    wide = model.ate_interval(alpha=0.01)
    assert wide[0] < low and high < wide[1]
    # over the rows of the log, both ways of averaging agree
    assert model.ate(X) == pytest.approx(model.ate(), abs=0.05)
    rows = X[:, 1] > 0
    assert model.ate(X[rows]) == pytest.approx(truth[rows].mean(), abs=0.2)
    backward = model.ate_interval(T0=1, T1=0)
    np.testing.assert_allclose(backward, (-high, -low))


def test_interval_of_each_effect(stacked):
    model, X, _, _, truth = stacked
    low, high = model.effect_interval(X)
    assert (low < high).all()
    assert np.mean((low < truth) & (truth < high)) > 0.8


def test_second_stage_with_known_propensities_and_binary_outcome():
    X, y, t, _, propensity = make_log(1500, binary=True)
    model = fast(task="classification", effect_learner="stacked", n_folds=2)
    model.fit(X, y, treatment=t, propensity=propensity)
    stage = model.effects_.stages[1]
    expected = np.where(t == 1, propensity, 1 - propensity)
    np.testing.assert_allclose(stage.propensity_, expected)
    assert 0 < model.ate_interval()[0] < model.ate_interval()[1] < 1


def test_second_stage_between_several_arms():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1800, 3)).astype(np.float32)
    p = np.exp(np.column_stack([0 * X[:, 0], X[:, 0], -X[:, 0]]) * 0.5)
    p /= p.sum(1, keepdims=True)
    t = (rng.random(1800)[:, None] > p.cumsum(1)).sum(1)
    effect = np.column_stack([0 * X[:, 0], 1 + X[:, 1], 0 * X[:, 0] - 1])
    y = X[:, 0] + effect[np.arange(1800), t] + 0.5 * rng.normal(size=1800)
    model = fast(effect_learner="stacked", n_folds=2).fit(X, y, treatment=t)
    for t0, t1 in [(0, 1), (0, 2), (2, 1)]:
        truth = effect[:, t1] - effect[:, t0]
        assert np.sqrt(np.mean((model.effect(X, t0, t1) - truth) ** 2)) < 0.35
        low, high = model.ate_interval(T0=t0, T1=t1)
        assert low - 0.1 < truth.mean() < high + 0.1
        assert high - low < 0.5
        assert (np.subtract(*model.effect_interval(X, T0=t1, T1=t0)) < 0).all()


def test_second_stage_with_ids():
    frame, y, _ = make_ids(1500)
    t = np.random.default_rng(1).integers(0, 2, len(y))
    gain = np.random.default_rng(2).normal(size=25)
    y = y + t * gain[frame["item"]]
    model = fast(user="user", item="item", effect_learner="stacked", n_folds=2)
    model.fit(frame, y, treatment=t)
    assert np.corrcoef(model.effect(frame), gain[frame["item"]])[0, 1] > 0.8
    top = model.recommend(k=3, min_effect=0.0)
    assert (top["score"] > 0).all() and top.groupby("user").size().max() <= 3


def test_too_few_rows_for_the_second_stage():
    X, y, t, _, _ = make_log(60)
    t = np.arange(60) < 5
    with pytest.warns(UserWarning, match="An arm has 5 rows, too few"):
        model = fast(effect_learner="stacked").fit(X, y, treatment=t)
    assert np.isfinite(model.effect(X)).all()
    with pytest.raises(ValueError, match="ate_interval comes from the cross-fitted"):
        model.ate_interval()


# -- selection -------------------------------------------------------------------


def select_on_outcome(seed=0, n_users=120, n_items=80):
    """Pairs seen more often where y = 1, and a twentieth shown at random."""
    rng = np.random.default_rng(seed)
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    link = rng.normal(size=n_users)[user] + rng.normal(size=n_items)[item] - 0.5
    y = rng.random(len(user)) < 1 / (1 + np.exp(-link))
    random = rng.random(len(user)) < 0.05
    system = rng.random(len(user)) < np.where(y, 0.6, 0.1)
    frame = pd.DataFrame({"user": user, "item": item})
    logged = random | system
    propensity = np.where(random, 0.05, np.nan)
    return frame, y.astype(int), logged, propensity


MF = dict(
    task="classification",
    encoder="mf",
    user="user",
    item="item",
    learning_rate=4e-3,
    l2=3.0,
    early_stopping=False,
)


def test_a_few_randomised_rows_undo_selection_on_the_outcome():
    frame, y, logged, propensity = select_on_outcome()
    log, labels = frame[logged], y[logged]

    def mean_and_brier(model):
        p = model.predict_proba(frame)[:, 1]
        return p.mean(), np.mean((p - y) ** 2)

    naive = fast(**MF, objective="naive").fit(
        log, labels, propensity=propensity[logged]
    )
    corrected = fast(**MF).fit(log, labels, propensity=propensity[logged])
    mean, brier = mean_and_brier(corrected)
    naive_mean, naive_brier = mean_and_brier(naive)
    assert naive_mean > y.mean() + 0.15
    assert abs(mean - y.mean()) < 0.05
    assert brier < 0.9 * naive_brier
    # y = 1 is six times as likely to be logged: the tilt is the log of that
    tilt = corrected.nets_[0].criterion_.tilt.item()
    assert tilt == pytest.approx(np.log(6), abs=0.4)
    # where every propensity is known there is nothing to tell apart
    known = fast(**MF, objective="ips").fit(
        log, labels, propensity=np.full(len(log), 0.3)
    )
    assert known.nets_[0].criterion_.tilt is None


def test_log_alone_keeps_the_naive_ranking():
    frame, y, logged, _ = select_on_outcome()
    log, labels = frame[logged], y[logged]
    quick = dict(max_epochs=10, n_folds=2)
    naive = fast(**MF, **quick, objective="naive").fit(log, labels)
    targeted = fast(**MF, **quick).fit(log, labels)
    a, b = (m.predict_proba(frame)[:, 1] for m in (naive, targeted))
    order = np.argsort(a, kind="stable")
    assert (np.diff(b[order]) > -1e-6).all()
    assert y.mean() < b.mean() < a.mean() - 0.01
    assert np.mean((b - y) ** 2) < np.mean((a - y) ** 2) - 0.005


# -- bad input -------------------------------------------------------------------


def broken(where, value):
    X, y, t, _, _ = make_log(50)
    arrays = {"X": X.astype(float), "y": y.astype(float), "treatment": t.astype(float)}
    arrays[where].flat[7] = value
    return arrays


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["X", "y", "treatment"])
def test_nan_and_infinity(where, value):
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fast().fit(**broken(where, value))


@pytest.mark.parametrize(
    "change, match",
    [
        (dict(propensity=np.full(50, 1.5)), "propensity is 1.5 in row 0"),
        (dict(propensity=np.zeros(50)), "propensity is 0.0 in row 0"),
        (dict(propensity=np.ones(49)), "49.*50 rows"),
        (dict(treatment=np.ones(49)), "49.*50 rows"),
        (dict(treatment=np.random.default_rng(0).normal(size=50)), "no arms. Bin it"),
        (dict(y=np.ones(49)), "50 rows and y has 49"),
        (dict(sample_weight=np.full(50, -1.0)), "[Nn]egative"),
        (dict(sample_weight=np.zeros(50)), "at least one non-zero"),
    ],
)
def test_bad_arguments(change, match):
    if "treatment" in change and len(change["treatment"]) == 50:
        change = {**change, "X": np.zeros((60, 2)), "y": np.zeros(60)}
        change["treatment"] = np.random.default_rng(0).normal(size=60)
    arguments = {**broken("X", 0.0), **change}
    with pytest.raises(ValueError, match=match):
        fast().fit(**arguments)


def test_bad_columns():
    frame, y, _ = make_ids(200)
    scaled = frame.assign(user=np.linspace(-1, 1, 200))
    with pytest.raises(ValueError, match=r"user column holds .*looks scaled"):
        fast(user="user", item="item").fit(scaled, y)
    with pytest.raises(ValueError, match="user='usr' is not a column"):
        fast(user="usr").fit(frame, y)
    with pytest.raises(ValueError, match="names a column, but X came as an array"):
        fast(user="user").fit(frame.to_numpy(), y)
    with pytest.raises(ValueError, match=r"'user' holds 'u.*not a number"):
        fast(item="item").fit(frame, y)
    with pytest.raises(ValueError, match="missing id in row 3"):
        holes = frame.astype({"user": object})
        holes.loc[3, "user"] = None
        fast(user="user").fit(holes, y)
    with pytest.raises(ValueError, match="factorises users and items"):
        fast(encoder="mf", user="user").fit(frame, y)
    with pytest.raises(ValueError, match="came twice"):
        t = np.arange(200) % 2
        fast(treatment="t", user="user").fit(frame.assign(t=t), y, treatment=t)


def test_bad_parameters_are_named():
    X, y, _, _, _ = make_log(50)
    with pytest.raises(ValueError, match="'objective' parameter"):
        fast(objective="magic").fit(X, y)


def test_a_failed_fit_leaves_the_estimator_usable():
    X, y, t, _, _ = make_log(300)
    model = fast(max_epochs=2).fit(X, y, treatment=t)
    before, attributes = model.effect(X), set(vars(model))
    with pytest.raises(ValueError):
        model.fit(X[:, :2], np.where(np.arange(300) == 5, np.nan, y), treatment=t)
    assert set(vars(model)) == attributes
    np.testing.assert_array_equal(model.effect(X), before)

    class Stop(Exception):
        pass

    def fail(*_):
        raise Stop

    model._fit_effects = fail
    with pytest.raises(Stop):
        model.fit(X[:, :2], y, treatment=t)
    np.testing.assert_array_equal(model.effect(X), before)


@pytest.mark.parametrize("rows_a_user", [1, 2, 40])
def test_a_part_is_held_out_however_few_rows_a_user_has(rows_a_user):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"user": np.arange(1200) // rows_a_user})
    X["x"] = rng.normal(size=1200)
    y = X["x"] + rng.normal(size=1200)
    model = CausalDNNRecommender(user="user", random_state=0).fit(X, y)
    assert all(np.isfinite(record["valid_loss"]) for record in model.history_)
    assert model.n_iter_ < 100
