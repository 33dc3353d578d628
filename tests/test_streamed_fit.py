"""Logs larger than memory: the same answers as of the same log in memory."""

import pickle
import tempfile

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect, forget
from sklearn_causalrec.baselines import GlobalMean
from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.effects.additive import AdditiveLogit
from sklearn_causalrec.effects.learners import Bins, Boost
from sklearn_causalrec.effects.removal import keeps_rows
from sklearn_causalrec.effects.streamed_scores import _OpenStage, sample_of
from sklearn_causalrec.encoding.cluster_columns import Clusters
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.interactions import (
    PastAggregates,
    build_examples,
    clean_dataset,
    partition_log,
)
from sklearn_causalrec.networks.settings import RecommenderSettings
from sklearn_causalrec.networks.streamed import StreamedEnsemble
from sklearn_causalrec.ranking import write_lists, write_predictions

arrow = pytest.importorskip("pyarrow")
SETTINGS = "sklearn_causalrec.encoding.streamed_log.IN_MEMORY_BYTES"
NETWORKS = "sklearn_causalrec.networks.streamed."
SCORES = "sklearn_causalrec.effects.streamed_scores."


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, which is empty again in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = [path.name for path in folder.iterdir() if path.name[:6] == "causal"]
    assert left == []


@pytest.fixture(scope="module", autouse=True)
def few_learners():
    """One learner of each kind: what is tested is which rows they see."""
    stage = "sklearn_causalrec.effects.stacked."
    with pytest.MonkeyPatch.context() as patch:
        makers = (lambda bins, seed: Boost(bins, seed, True, max_iter=30),)
        patch.setattr(stage + "stacked_outcome_learners", lambda n: makers)
        makers_of_exposure = (lambda bins, seed: AdditiveLogit(),)
        patch.setattr(stage + "stacked_exposure_learners", lambda n: makers_of_exposure)
        yield


@pytest.fixture
def on_disk(monkeypatch):
    """No log is read into memory as a whole."""
    monkeypatch.setattr(SETTINGS, 0)


@pytest.fixture
def many_buffers(on_disk, monkeypatch):
    """A log of 2,400 rows takes many buffers, and is not learned on as a whole."""
    monkeypatch.setattr(NETWORKS + "BUFFER_BYTES", 500 * 32)
    monkeypatch.setattr(NETWORKS + "BLOCK_ROWS", 100)
    monkeypatch.setattr(NETWORKS + "PREDICTED_ROWS", 333)
    monkeypatch.setattr(SCORES + "SAMPLE_ROWS", 800)
    monkeypatch.setattr(SCORES + "SCORED_ROWS", 500)


def made(seed):
    """Two arms, by x0; the effect is 1 on average, and goes by x2."""
    rng = np.random.default_rng(seed)
    n = 2400
    log = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x0", "x1", "x2"])
    shown = rng.random(n) < 1 / (1 + np.exp(-log.x0))
    log["y"] = log.x0 + log.x1 + shown * (1 + log.x2) + 0.5 * rng.normal(size=n)
    return log.assign(shown=shown.astype(int))


@pytest.fixture(scope="module")
def log():
    return made(0)


@pytest.fixture(scope="module")
def ids(log):
    rng = np.random.default_rng(1)
    n = len(log)
    log = log.assign(user=rng.integers(0, 240, n), item=rng.integers(0, 30, n))
    log["when"] = rng.permutation(n)
    log["age"] = log.user % 7.0
    past = [rng.integers(0, 30, size) for size in rng.integers(0, 4, n)]
    return log.assign(past=past)


@pytest.fixture(scope="module")
def path(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    for k in range(3):
        part = log.iloc[800 * k : 800 * k + 800]
        part.to_parquet(folder / f"{k}.parquet", row_group_size=150, index=False)
    return folder


def features(log):
    return log.drop(columns=["y", "shown"])


def quick(**options):
    few = dict(max_epochs=4, n_folds=2, random_state=0)
    return CausalDNNRecommender(**{**few, **options})


@pytest.fixture(scope="module")
def in_memory(log):
    return quick().fit(features(log), log.y, treatment=log.shown)


def test_a_log_that_fits_gives_the_same_numbers(log, path, in_memory):
    found = quick().fit(path, "y", "shown")
    assert np.array_equal(
        found.predict(features(log)), in_memory.predict(features(log))
    )
    assert found.ate_interval() == in_memory.ate_interval()
    assert found.common_support().shape == (len(log),)


def test_from_disk_in_one_buffer_the_numbers_are_the_same(
    log, path, in_memory, on_disk
):
    found = quick().fit(path, "y", treatment="shown")
    X = features(log)
    assert np.array_equal(found.predict(X), in_memory.predict(X))
    assert np.array_equal(found.effect(X), in_memory.effect(X))
    assert np.array_equal(found.propensity_, in_memory.propensity_)
    assert found.ate_interval() == in_memory.ate_interval()
    assert found.history_[0]["train_loss"] == in_memory.history_[0]["train_loss"]
    # by blocks of the file, whose products are rounded otherwise
    assert np.allclose(found.effect(path), found.effect(X), atol=1e-5)
    low, high = found.effect_interval(path)
    assert (low < high).all()
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.effect(X), found.effect(X))


@pytest.mark.parametrize("encoder", ["gru", "mf"])
def test_ids_histories_and_weights_from_disk(ids, tmp_path, on_disk, encoder):
    ids = ids.assign(w=np.arange(len(ids)) % 3)
    roles = dict(user="user", item="item", time="when", effect_learner="t")
    if encoder == "gru":
        roles["history"] = "past"
    else:
        ids = ids.drop(columns="past")
    options = dict(**roles, encoder=encoder, max_epochs=2)
    ids.to_parquet(tmp_path / "log.parquet", row_group_size=500, index=False)
    X = features(ids).drop(columns="w")
    one = quick(**options).fit(X, ids.y, treatment=ids.shown, sample_weight=ids.w)
    given = dict(treatment="shown", sample_weight="w")
    other = quick(**options).fit(tmp_path / "log.parquet", "y", **given)
    assert np.array_equal(one.predict(X), other.predict(X))
    assert one.recommend(k=3).equals(other.recommend(k=3))
    assert one.catalogue_.owner.equals(other.catalogue_.owner)


def test_a_classifier_and_what_goes_on(log, path, tmp_path, on_disk):
    log = log.assign(y=np.where(log.y > 0, "yes", "no"))
    log.to_parquet(tmp_path / "log.parquet", index=False)
    options = dict(task="classification", effect_learner="t")
    X = features(log)
    one = quick(**options).fit(X, log.y, treatment=log.shown)
    other = quick(**options).fit(tmp_path / "log.parquet", "y", "shown")
    assert list(other.classes_) == ["no", "yes"]
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    one.partial_fit(X[:900], log.y[:900], log.shown[:900])
    log[:900].to_parquet(tmp_path / "more.parquet", index=False)
    other.partial_fit(tmp_path / "more.parquet", "y", "shown")
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_many_buffers_and_a_sample(log, path, in_memory, many_buffers):
    found = quick(max_epochs=20).fit(path, "y", "shown")
    X = features(log)
    assert np.corrcoef(found.predict(X), log.x0 + log.x1 + 1 + log.x2)[0, 1] > 0.98
    assert np.corrcoef(found.effect(X), log.x2)[0, 1] > 0.95
    low, high = found.ate_interval()
    before = in_memory.ate_interval()
    assert low < 1 < high
    assert 0.75 < (high - low) / (before[1] - before[0]) < 1.33
    # one log is a matter of luck: as near the truth as fits in memory, over several
    errors = []
    for seed in range(6):
        other = made(seed)
        kept = quick(max_epochs=20).fit(features(other), other.y, treatment=other.shown)
        read = quick(max_epochs=20).fit([other], "y", "shown")
        truth = 1 + other.x2.mean()  # of these rows
        errors.append((read.ate() - truth, kept.ate() - truth))
    read, kept = np.sqrt(np.mean(np.square(errors), axis=0))
    assert read < 1.25 * kept
    # over all rows: the rows of the sample alone would have a wider interval
    effects = found.effects_
    assert len(effects.scores[1]) == len(log)
    assert len(effects.stages[1].scores_) == len(effects.sample) == 800
    assert not hasattr(effects.stages[1], "_exposure")
    stage = effects.stages[1]
    assert high - low < 0.75 * np.ptp(stage.ate_interval())
    # the influence function is that of the mean of the scores
    psi = effects.influence[1]
    assert abs(psi.mean()) < 1e-5
    assert 0.9 < psi.std() / effects.scores[1].std() < 1.3  # blocks are small here
    assert np.isclose(found.ate(), effects.scores[1].mean(), atol=1e-6)
    treated = log.x2[log.shown == 1].mean() + 1
    low, high = found.att_interval()
    assert low < treated < high
    assert found.common_support().shape == (len(log),)


def test_scores_outside_of_the_sample_are_those_of_another_split(
    log, path, many_buffers
):
    """With known propensities: the mean of doubly robust scores by hand."""
    rng = np.random.default_rng(3)
    shown = rng.integers(0, 2, len(log))
    table = log.assign(shown=shown, p=0.5, y=log.x0 + shown * (1 + log.x2))
    found = quick().fit([table], "y", "shown", "p")
    mu, y = found.effects_.outcomes, found.effects_.y
    rest = np.setdiff1d(np.arange(len(log)), found.effects_.sample)
    by_hand = mu[:, 1] - mu[:, 0]
    by_hand = by_hand + (2 * shown - 1) / 0.5 * (y - mu[np.arange(len(y)), shown])
    assert np.array_equal(found.propensity_, np.full((len(log), 2), np.float32(0.5)))
    error = found.effects_.scores[1][rest].mean() - by_hand[rest].mean()
    assert abs(error) < 0.02
    assert abs(found.ate() - 1) < 0.1


def test_known_chances_below_the_clip_are_used_as_they_are(log, many_buffers):
    """One row in 25 has the arm: scores of the sample, and of the rows outside of it,
    rest on the known chances, by which the average is not biased."""
    rng = np.random.default_rng(4)
    p = np.where(log.x2 > 0, 0.06, 0.02)
    shown = (rng.random(len(log)) < p).astype(int)
    chance = np.where(shown == 1, p, 1 - p)
    table = log.assign(shown=shown, p=chance, y=shown + rng.normal(0, 9, 2400))
    found = quick(clip=0.05).fit([table], "y", "shown", "p")
    both = np.column_stack([1 - p, p]).astype(np.float32)
    assert np.array_equal(found.propensity_, both)
    effects, one = found.effects_, shown == 1
    outside = np.ones(len(log), bool)
    outside[effects.sample] = False
    for part in (outside, ~outside):
        rows = np.flatnonzero(part & one & (p < 0.05))
        off = effects.y[rows] - effects.outcomes[rows, 1]
        weight = np.polyfit(off, effects.scores[1][rows], 1)[0]
        assert 40 < weight < 60, weight


def test_models_of_all_folds_read_the_same_bins(monkeypatch):
    """Each model asked for itself gives the same numbers, bit for bit."""
    monkeypatch.setattr(
        "sklearn_causalrec.effects.stacked.stacked_exposure_learners",
        lambda n: (lambda bins, seed: Boost(bins, seed, classify=True, max_iter=9),),
    )
    rng = np.random.default_rng(0)
    X, treatment = rng.normal(size=(700, 3)), rng.integers(0, 2, 700)
    net, heads = rng.normal(size=(700, 2)), rng.uniform(0.2, 0.8, 700)
    few, new = slice(500), slice(500, None)
    stage = _OpenStage(n_folds=3, random_state=0).fit(
        X[few], X[few, 0] + treatment[few] + rng.normal(size=500), treatment[few],
        outcome_oof=net[few], exposure_oof=heads[few],
    )  # fmt: skip
    alone = []
    for arm, c in enumerate(stage._outcome_weights):
        said = [models[arm][0].predict(X[new]) for models in stage._outcome_models]
        own = (net[new, arm] - stage._shift) / stage._scale
        parts = [np.transpose([mine, own]) @ (c / c.sum()) for mine in said]
        alone.append(np.mean(parts, axis=0))
    models, c = stage._exposure
    e = np.mean([own[0].predict(X[new]) for own in models], axis=0)
    e = np.column_stack([e, heads[new]]) @ c

    found, bins = [], Bins.__call__
    monkeypatch.setattr(
        Bins, "__call__", lambda self, X: found.append(len(X)) or bins(self, X)
    )
    mu, propensity, _ = stage.at_new(X[new], net[new], heads[new], None)
    assert found == [200]  # once, and not by each of nine models
    assert np.array_equal(mu, np.transpose(alone))
    assert np.array_equal(propensity, e)


def test_three_arms_and_clusters(log, many_buffers):
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(600), 4)
    shift = rng.normal(size=600)[who]
    arm = rng.integers(0, 3, len(log))
    table = log.assign(y=log.x0 + arm * (1 + shift) + rng.normal(size=len(log)))
    table = table.assign(shown=arm, who=who)
    found = quick().fit([table], "y", "shown", cluster="who")
    assert found.effects_.clusters.names == ["who"]
    for a in (1, 2):
        low, high = found.ate_interval(T1=a)
        assert low < a * (1 + shift.mean()) < high
        # the effect of an arm differs by a * shift, which is one number a cluster
        assert high - low > 2 * 1.96 * a * shift.std() / np.sqrt(2400)
        rows = np.ptp(found.ate_interval(T1=a, cluster=False))
        assert 1.05 * rows < high - low < 2 * rows
    assert len(found.ate_table()) == 2


def test_users_leave_a_model_of_a_sample(ids, many_buffers):
    table = ids.drop(columns=["past", "item", "when"])
    table["user"] = np.random.default_rng(2).integers(0, 600, len(ids))
    found = quick(user="user").fit([table], "y", "shown")
    whole = found.effects_
    assert keeps_rows(whole)
    assert np.isin(table.user, table.user.iloc[whole.sample]).sum() == len(whole.sample)
    stay = (table.user >= 50).to_numpy()
    scores = whole.scores[1][stay]
    left = forget(found, np.arange(50))
    assert np.array_equal(left.effects_.scores[1], scores)
    assert len(left.effects_.stages[1].scores_) == len(left.effects_.sample)
    assert np.isclose(left.ate(), scores.mean(), atol=1e-6)


def test_rows_compared_within_users_are_those_of_whole_users(many_buffers):
    errors = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        who = np.repeat(np.arange(60), 40)
        taste = rng.normal(size=60)[who]  # no feature tells it: items are shown by it
        shown = (rng.random(2400) < 1 / (1 + np.exp(-taste))).astype(int)
        y = 2 * taste + shown + 0.5 * rng.normal(size=2400)
        table = pd.DataFrame(dict(who=who, x=rng.normal(size=2400), shown=shown, y=y))
        with pytest.warns(UserWarning, match=r"whole ids in memory.* 800 rows"):
            found = quick(user="who").fit([table], "y", "shown")
        assert found.averages_within_ == ["user"]
        assert found.common_support().sum() <= 800
        apart = y[shown == 1].mean() - y[shown == 0].mean()
        errors.append((abs(found.ate() - 1), abs(apart - 1)))
    own, apart = np.mean(errors, axis=0)
    assert own < apart / 5


def test_samples_are_even_and_of_whole_clusters():
    rng = np.random.RandomState(0)
    codes = rng.randint(0, 500, 20_000)
    rows = Rows(np.zeros((20_000, 1), np.float32))
    few = sample_of(rows, rng, 1000)
    assert len(np.unique(few)) == 1000
    assert abs(few.mean() - 10_000) < 4 * 20_000 / np.sqrt(12 * 1000)
    assert np.array_equal(sample_of(rows, rng, 20_000), np.arange(20_000))
    rows.clusters = Clusters(codes[:, None], ["user"])
    few = sample_of(rows, rng, 2000)
    assert 1900 < len(few) <= 2000
    assert np.isin(codes, codes[few]).sum() == len(few)


def test_one_arm_with_ids_from_many_buffers(ids, many_buffers):
    table = ids.drop(columns=["past", "shown"])
    options = dict(user="user", item="item", time="when", max_epochs=3)
    found = quick(**options).fit([table[:1000], table[1000:]], "y")
    kept = quick(**options).fit(table.drop(columns="y"), table.y)
    X = table.drop(columns="y")
    assert np.corrcoef(found.predict(X), kept.predict(X))[0, 1] > 0.9
    assert found.catalogue_.owner.equals(kept.catalogue_.owner)
    assert (found.catalogue_.seen != kept.catalogue_.seen).nnz == 0
    assert np.allclose(found.catalogue_.user_table, kept.catalogue_.user_table)


def test_catalogues_of_blocks_keep_the_last_row_in_time(ids, on_disk, monkeypatch):
    monkeypatch.setattr(
        "sklearn_causalrec.ranking.streamed_catalogue.CATALOGUED_ROWS", 500
    )
    options = dict(user="user", item="item", time="when", history="past")
    options |= dict(encoder="lstm", effect_learner="t", max_epochs=1)
    found = quick(**options).fit([ids], "y", "shown").catalogue_
    kept = quick(**options).fit(features(ids), ids.y, treatment=ids.shown).catalogue_
    for name in ("user_table", "item_table", "history", "context"):
        assert np.allclose(getattr(found, name), getattr(kept, name), atol=1e-6), name
    assert found.owner.equals(kept.owner)
    assert found.share == kept.share


def test_lists_from_positives_on_disk(ids, tmp_path, on_disk):
    table = ids[["user", "item", "when"]]
    table.to_parquet(tmp_path / "log.parquet", index=False)
    options = dict(user="user", item="item", time="when", max_epochs=2)
    one = quick(**options, objective="implicit").fit(table)
    other = quick(**options, objective="implicit").fit(tmp_path / "log.parquet")
    lists = one.recommend(k=3)
    assert lists.equals(other.recommend(k=3))
    n = write_lists(other, tmp_path / "lists.parquet", k=3, block_users=100)
    assert n == len(lists)
    written = pd.read_parquet(tmp_path / "lists.parquet")
    pd.testing.assert_frame_equal(written, lists.reset_index(drop=True), rtol=1e-5)
    with pytest.raises(FileExistsError):
        write_lists(other, tmp_path / "lists.parquet")
    with pytest.raises(ValueError, match="k"):
        write_lists(other, tmp_path / "none.parquet", k=0)
    assert not [p for p in tmp_path.iterdir() if "none" in p.name]


def test_predictions_of_a_log_on_disk(log, path, in_memory, tmp_path):
    new = tmp_path / "new.parquet"
    assert write_predictions(in_memory, path, new, keep=["y"], batch_rows=100) == 2400
    found = pd.read_parquet(new)
    assert list(found) == ["y", "outcome", "effect"]
    assert np.allclose(found.outcome, in_memory.predict(features(log)), atol=1e-5)
    assert np.allclose(found.effect, in_memory.effect(features(log)), atol=1e-5)
    parts = [log[:1000], log[1000:].assign(x1="a")]
    with pytest.raises(ValueError, match=r"batch 2.*'x1' holds"):
        write_predictions(in_memory, parts, tmp_path / "half.parquet")
    with pytest.raises(ValueError, match="lacks the column 'z'"):
        write_predictions(in_memory, path, tmp_path / "half.parquet", keep=["z"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.parquet", "temporary"]


def test_from_a_raw_log_to_lists_without_a_frame(tmp_path, on_disk):
    raw = make_event_log(800, n_users=50, n_items=20, random_state=0)
    for name in ("events", "impressions"):
        getattr(raw, name).to_parquet(tmp_path / f"{name}.parquet", index=False)
    keys = dict(user="user", item="item", time="time")
    parts = dict(n_parts=3, batch_rows=500)
    cleaned, _ = clean_dataset(
        tmp_path / "events.parquet", tmp_path / "clean", **keys, event="event", **parts
    )
    partition_log(
        tmp_path / "impressions.parquet", tmp_path / "shown", user="user", **parts
    )
    options = dict(event="event", outcome="purchase", window="7D", treatment="shown")
    options |= dict(propensity="propensity", timezone="UTC")
    options |= dict(features={"past": PastAggregates(event="event")})
    rows, until = [], raw.events["time"].max()

    def examples():
        for part in cleaned:
            shown = pd.read_parquet(tmp_path / "shown" / part.name)
            found = build_examples(
                pd.read_parquet(part),
                shown,
                **keys,
                **options,
                until=until,
            )
            rows.append(len(found))
            yield found.drop(columns="device")

    named = dict(treatment="treatment", propensity="propensity")
    model = quick(**keys, max_epochs=1, effect_learner="t")
    model.fit(examples, "outcome", **named, sample_weight="sample_weight")
    assert len(set(rows[1:])) == 3  # no part is the whole log
    assert sum(rows[1:4]) == model.catalogue_.n_rows
    n = write_lists(model, tmp_path / "lists.parquet", k=4, block_users=25)
    lists = pd.read_parquet(tmp_path / "lists.parquet")
    assert n == len(lists)
    assert lists.groupby("user").size().max() == 4
    assert lists.user.nunique() == len(model.log_encoder_.users)
    frame = pd.concat(examples(), ignore_index=True)
    X = frame.drop(columns=["outcome", *named, "sample_weight"])
    given = {name: frame[name] for name in (*named, "sample_weight")}
    whole = quick(**keys, max_epochs=1, effect_learner="t").fit(
        X, frame.outcome, **given
    )
    assert np.array_equal(whole.predict(X), model.predict(X))


def test_what_goes_wrong_leaves_nothing(log, path, in_memory, monkeypatch, on_disk):
    model = quick(max_epochs=2, effect_learner="t").fit(features(log), log.y)
    before = model.predict(features(log))
    bad = [log[:1000], log[1000:].assign(x2=np.nan)]
    with pytest.raises(ValueError, match=r"batch 2, from row 1000.*NaN"):
        model.fit(bad, "y", "shown")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NETWORKS + "StreamedLoader._read", stop)
        with pytest.raises(KeyboardInterrupt):
            model.fit(path, "y", "shown")
    assert np.array_equal(model.predict(features(log)), before)


def test_what_is_refused_by_name(log, path):
    with pytest.raises(ValueError, match="y is missing: name the column"):
        quick().fit(path)
    with pytest.raises(ValueError, match="y is the name of one"):
        quick().fit(path, log.y)
    with pytest.raises(ValueError, match=r"treatment came twice.*'x0'"):
        quick(treatment="x0").fit(path, "y", "shown")
    for other in (DoCalculusEffect(), GlobalMean()):
        with pytest.raises(ValueError, match=r"fit reads all rows at once.*Causal"):
            other.fit(path, log.y)
    with pytest.raises(ValueError, match="fit saw"):
        quick(effect_learner="t", max_epochs=1).fit(path, "y", "shown").predict(
            [log[["x0"]]]
        )


def test_rows_held_out_are_the_last_of_each_user_also_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    n = 6000
    rows = Rows(np.zeros((n, 1), np.float32), user=rng.integers(0, 200, n))
    rows.time = rng.permutation(n)
    kept = np.sort(rng.choice(n, 5000, replace=False))

    class Encoder:
        binary, users = False, range(200)

    settings = RecommenderSettings.of(CausalDNNRecommender(), "cpu")
    ensemble = StreamedEnsemble(settings, Encoder())
    whole = ensemble._held_out(rows, kept, 0.1, 7)
    monkeypatch.setattr(NETWORKS + "SORTED_ROWS", 500)
    parts = ensemble._held_out(rows, kept, 0.1, 7)
    assert np.array_equal(parts, np.unique(parts))
    assert np.isin(parts, kept).all()
    for held in (whole, parts):
        assert abs(len(held) / len(kept) - 0.1) < 0.03
    left = pd.DataFrame(dict(user=rows.user, time=rows.time)).iloc[kept]
    left["held"] = np.isin(kept, parts)
    assert not left.groupby("user").held.all().any()
    last = left[~left.held].groupby("user").time.max()
    first = left[left.held].groupby("user").time.min()
    assert (last.reindex(first.index) < first).all()
    monkeypatch.setattr(NETWORKS + "SORTED_ROWS", 10)
    rows.user = np.arange(n)  # a row a user, and the encoder knows fewer
    Encoder.users = range(n)
    held = ensemble._held_out(rows, kept, 0.1, 7)
    assert len(held) == 500
    assert rows.time[held].min() > rows.time[np.setdiff1d(kept, held)].max()
