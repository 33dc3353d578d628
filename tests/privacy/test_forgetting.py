"""After forget, a person is nowhere: every part of every kind of model is looked at."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklearn_causalrec import (
    CausalDNNRecommender,
    CounterfactualPolicy,
    DoCalculusEffect,
    forget,
    load,
    recommend,
    save,
)
from sklearn_causalrec.baselines import (
    EASE,
    BlendRecommender,
    GlobalMean,
    ImplicitALS,
    NeighborhoodRecommender,
    Popularity,
    UserItemBias,
)
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.removal import _kernels, remove
from sklearn_causalrec.encoding.cluster_columns import Clusters
from sklearn_causalrec.interactions import HistorySequence
from sklearn_causalrec.privacy.holdings import walk
from sklearn_causalrec.serving import container

# Sizes that nothing else in a model has.
N_ROWS, N_USERS, N_ITEMS = 613, 37, 23
GONE = "user-05@example.org"
PERSONS = [GONE, "user-11@example.org", "user-30@example.org"]
ROLES = dict(user="user", item="item")
SMALL = dict(
    hidden_layer_sizes=(8,), embedding_dim=3, max_epochs=2, n_folds=2,
    batch_size=128, random_state=0,
)  # fmt: skip


def make_log():
    rng = np.random.default_rng(0)
    user = np.r_[np.arange(N_USERS), rng.integers(0, N_USERS, N_ROWS - N_USERS)]
    user = rng.permutation(user)
    age = rng.normal(size=N_USERS)
    log = pd.DataFrame(
        {
            "user": [f"user-{u:02d}@example.org" for u in user],
            "item": [f"film-{i}" for i in rng.integers(0, N_ITEMS, N_ROWS)],
            "time": rng.permutation(N_ROWS),
            "age": age[user],
            "hour": rng.normal(size=N_ROWS),
        }
    )
    shown = rng.integers(0, 2, N_ROWS)
    y = rng.normal(size=N_ROWS) + shown + age[user]
    return log, y, shown


LOG, Y, SHOWN = make_log()
HIS = LOG["user"].isin(PERSONS).to_numpy()
OTHERS = LOG[~HIS].reset_index(drop=True)
BOUGHT = LOG[["user", "item"]], (Y > 0.3).astype(float)


def positives(model):
    columns = ["user", "item"] + (["time"] if getattr(model, "time", None) else [])
    return model.fit(LOG[columns], BOUGHT[1])


def past(n=N_ROWS):
    rng = np.random.default_rng(1)
    film = [f"film-{i}" for i in range(N_ITEMS)]
    return [list(rng.choice(film, 2)) for _ in range(n)]


MAKERS = {
    "stacked": lambda: CausalDNNRecommender(**ROLES, time="time", **SMALL).fit(
        LOG, Y, treatment=SHOWN
    ),
    "heads": lambda: CausalDNNRecommender(
        **ROLES, effect_learner="t", cluster=None, n_estimators=2, objective="dr",
        **SMALL,
    ).fit(LOG.drop(columns="time"), Y, treatment=SHOWN),
    "one arm": lambda: CausalDNNRecommender(
        **ROLES, history="past", encoder="gru", history_length=3, **SMALL
    ).fit(LOG.assign(past=past()), Y),
    "factors": lambda: CausalDNNRecommender(
        **ROLES, encoder="mf", task="classification",
        exposure_model=HistGradientBoostingClassifier(max_iter=2), **SMALL,
    ).fit(LOG, Y > 0),
    "partial": lambda: CausalDNNRecommender(user="user", **SMALL).partial_fit(
        LOG[["user", "age"]], Y
    ),
    "policy": lambda: CounterfactualPolicy(
        user="user", max_epochs=2, hidden_layer_sizes=(8,), random_state=0
    ).fit(LOG[["user", "age"]], Y, SHOWN, np.full(N_ROWS, 0.5)),
    "mean": lambda: GlobalMean(**ROLES).fit(*BOUGHT),
    "popularity": lambda: Popularity(**ROLES).fit(*BOUGHT),
    "biases": lambda: UserItemBias(**ROLES, task="classification").fit(LOG, Y > 0),
    "ease": lambda: positives(EASE(**ROLES, l2=5.0)),
    "ease in time": lambda: positives(EASE(**ROLES, time="time", l2=5.0)),
    "als": lambda: positives(ImplicitALS(**ROLES, n_factors=4, random_state=0)),
    "items": lambda: positives(NeighborhoodRecommender(**ROLES)),
    "users": lambda: positives(NeighborhoodRecommender("user", **ROLES)),
    "bm25": lambda: positives(NeighborhoodRecommender(**ROLES, similarity="bm25")),
    "blend": lambda: positives(
        BlendRecommender(
            [("ease", EASE(**ROLES)), ("popularity", Popularity(**ROLES))],
            **ROLES, random_state=0,
        )
    ),
}  # fmt: skip
MODELS: dict = {}


@pytest.fixture(params=MAKERS)
def name(request):
    return request.param


def fitted(name):
    if name not in MODELS:
        MODELS[name] = MAKERS[name]()
    return MODELS[name]


def forgotten(name):
    key = f"{name}, forgotten"
    if key not in MODELS:
        X = LOG if name == "heads" else None
        X = X.drop(columns="time") if X is not None else None
        MODELS[key] = forget(fitted(name), PERSONS, X=X)
    return MODELS[key]


def parts_of_file(model, path):
    save(model, path)
    body = container.opened(container.read(path), None, path)
    manifest, part = container.unpack(body, path)
    return [str(manifest).encode(), *(bytes(part(p)) for p in manifest["parts"])]


def sizes(model):
    """The shapes of all arrays, tensors, indexes and sparse matrices."""
    for path, value in walk(model):
        shape = getattr(value, "shape", None)
        if shape is not None and not isinstance(value, type):
            yield path, tuple(shape)


# -- nothing is left -------------------------------------------------------------------


def test_the_id_is_in_no_part_of_the_model(name):
    def holds(model):
        return [
            path
            for path, value in walk(model)
            if (isinstance(value, str) and GONE in value)
            or (isinstance(value, pd.Index) and GONE in set(value))
            or (isinstance(value, np.ndarray) and value.dtype.kind in "UT"
                and GONE in value)
        ]  # fmt: skip

    assert holds(fitted(name)), "the test has to see the id where it is"
    assert holds(forgotten(name)) == []


def test_the_id_is_not_in_bytes(name, tmp_path):
    raw = GONE.encode()
    assert raw in pickle.dumps(fitted(name))
    assert raw not in pickle.dumps(forgotten(name))
    path = tmp_path / "model.crec"
    assert any(raw in part for part in parts_of_file(fitted(name), path))
    parts = parts_of_file(forgotten(name), path)
    assert parts and not any(raw in part for part in parts)


def test_no_array_has_a_row_of_the_person(name):
    """No array is as long as the old log, or as the old list of users."""
    old = {N_ROWS, N_USERS, N_USERS + 1, N_USERS + 2}
    before = [p for p, s in sizes(fitted(name)) if old & set(s)]
    assert before
    for path, shape in sizes(forgotten(name)):
        # which rows of the log count is asked by the rows of the log
        assert not old & set(shape) or path.endswith(".kept"), (path, shape)


def test_the_model_that_was_given_stays(name):
    raw = pickle.dumps(fitted(name))
    forget(fitted(name), [GONE], X=LOG.drop(columns="time"))
    assert pickle.dumps(fitted(name)) == raw


def test_what_it_holds_after_a_round_trip(name, tmp_path):
    path = tmp_path / "model.crec"
    save(forgotten(name), path)
    again = load(path)
    assert GONE not in set(again.log_encoder_.users.ids)
    assert len(again.log_encoder_.users) == N_USERS - 3


# -- and the others are answered as before ---------------------------------------------


def inputs(model, log):
    log = log.assign(past=past()[: len(log)])
    names = getattr(model, "feature_names_in_", log.columns)
    return log[list(names)]


@pytest.mark.parametrize("name", ["stacked", "heads", "one arm", "factors", "partial",
                                  "mean"])  # fmt: skip
def test_predictions_of_others_are_the_same(name):
    X = inputs(fitted(name), OTHERS)
    np.testing.assert_array_equal(forgotten(name).predict(X), fitted(name).predict(X))
    if hasattr(fitted(name), "predict_proba"):
        new, old = (m.predict_proba(X) for m in (forgotten(name), fitted(name)))
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("name", ["stacked", "heads", "one arm", "factors", "biases"])
def test_the_person_is_an_unknown_user(name):
    his = inputs(fitted(name), LOG[HIS].reset_index(drop=True))
    nobody = his.assign(user="user-99@example.org")
    new = forgotten(name)
    np.testing.assert_array_equal(new.predict(his), new.predict(nobody))
    ask = "predict_proba" if hasattr(new, "predict_proba") else "predict"
    ask = getattr(fitted(name), ask)
    assert (ask(his) != ask(nobody)).any()


def test_the_policy_of_others_is_the_same():
    new, old = forgotten("policy"), fitted("policy")
    X = OTHERS[["user", "age"]]
    np.testing.assert_array_equal(new.predict_proba(X), old.predict_proba(X))
    his = LOG.loc[HIS, ["user", "age"]]
    nobody = his.assign(user="user-99@example.org")
    expected = new.predict_proba(nobody)
    np.testing.assert_array_equal(new.predict_proba(his), expected)


@pytest.mark.parametrize("name", ["stacked", "heads", "one arm", "factors", "partial"])
def test_those_who_stay_do_not_tell_the_vector_that_is_gone(name):
    """The row of unseen ids is a mean: less all others, it would be the person's."""
    found = forget(fitted(name), [GONE], X=LOG.drop(columns="time"))
    code = fitted(name).log_encoder_.users.codes([GONE])[0]
    for old, new in zip(fitted(name).nets_, found.nets_):
        tables = (net.module_._id_tables("user") for net in (old, new))
        for before, after in zip(*tables, strict=True):
            before, after = (t.weight.detach().numpy() for t in (before, after))
            kept = np.delete(before[:-1], code, axis=0)
            np.testing.assert_array_equal(after[:-1], kept)
            his = before[code]
            np.testing.assert_allclose(
                N_USERS * before[-1] - kept.sum(0), his, atol=1e-3
            )  # which is why the old mean must not stay
            np.testing.assert_allclose(after[-1], kept.mean(0), atol=1e-6)


def test_biases_that_stay_do_not_tell_the_one_that_is_gone():
    old = UserItemBias(**ROLES).fit(LOG, Y)
    new = forget(old, [GONE])
    code = old.log_encoder_.users.codes([GONE])[0]
    mine = slice(3, 3 + N_USERS)  # time, age, hour, then users
    assert old.feature_names_in_.tolist()[2:] == ["time", "age", "hour"]
    biases, left = old.model_.coef_[mine], new.model_.coef_[3 : 2 + N_USERS]
    his = biases[code]
    assert abs(-np.delete(biases, code).sum() - his) < 1e-6  # they told it
    assert abs(left.sum()) < 1e-9 < 0.01 < abs(his)
    X = OTHERS[OTHERS["user"] != GONE]
    np.testing.assert_allclose(new.predict(X), old.predict(X), rtol=1e-9)


def test_counts_are_those_of_the_other_rows():
    pairs = LOG[["user", "item"]].drop_duplicates().reset_index(drop=True)
    his = pairs["user"].isin(PERSONS).to_numpy()
    y = np.random.default_rng(4).integers(0, 2, len(pairs)).astype(float)
    found = forget(Popularity(**ROLES).fit(pairs, y), PERSONS)
    expected = Popularity(**ROLES).fit(pairs[~his], y[~his])
    np.testing.assert_allclose(found.log_counts_, expected.log_counts_, atol=1e-12)
    np.testing.assert_allclose(found.positives_, expected.positives_, atol=1e-12)
    options = dict(exposure_model="popularity", effect_learner="t", **ROLES, **SMALL)
    for objective in ("naive", "relmf"):
        deep = CausalDNNRecommender(
            objective=objective, task="classification", **options
        )
        found = forget(deep.fit(pairs, y), PERSONS).exposure_model_.table
        expected = deep.fit(pairs[~his], y[~his]).exposure_model_.table
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["ease", "ease in time", "als", "items", "users",
                                  "bm25", "blend"])  # fmt: skip
def test_models_of_positives_are_fitted_without_the_person(name):
    model, new = fitted(name), forgotten(name)
    columns = list(model.feature_names_in_)
    weights = BOUGHT[1][~HIS]
    expected = type(model)(**model.get_params(deep=False))
    if name == "blend":  # of which the weights stay
        expected = expected.set_params(members=model.members)
    expected.fit(OTHERS[columns], weights)
    assert expected.log_encoder_.items.ids.equals(new.log_encoder_.items.ids)
    if name == "blend":
        expected.weights_ = model.weights_
    every = pd.MultiIndex.from_product(
        [expected.log_encoder_.users.ids, expected.log_encoder_.items.ids]
    ).to_frame(index=False, name=["user", "item"])
    pairs = every.assign(time=0)[columns]
    close = dict(rtol=2e-3, atol=2e-4) if name == "als" else dict(rtol=1e-4, atol=1e-5)
    if name == "blend":  # popularity counts rows, which are not kept by user
        model, new, expected = (m.members_["ease"] for m in (model, new, expected))
    np.testing.assert_allclose(new.predict(pairs), expected.predict(pairs), **close)
    np.testing.assert_allclose(new.popularity_, expected.popularity_, rtol=1e-6)
    changed = np.abs(model.predict(pairs) - new.predict(pairs)).max()
    assert changed > 1e-4


@pytest.mark.parametrize("name", ["stacked", "one arm", "ease"])
def test_lists_of_others(name):
    by = "effect" if name == "stacked" else "outcome"
    users = OTHERS["user"].unique()[:5]
    new = recommend(forgotten(name), users, k=4, by=by)
    assert len(new) == 20
    if name == "one arm":
        old = recommend(fitted(name), users, k=4, by=by)
        pd.testing.assert_frame_equal(new, old)
    everybody = recommend(forgotten(name), k=1, by=by)
    assert set(everybody["user"]) == set(OTHERS["user"])


def test_the_catalogue_is_that_of_the_other_rows():
    found = forgotten("stacked").catalogue_
    other = CausalDNNRecommender(**ROLES, time="time", effect_learner="t", **SMALL)
    expected = other.fit(OTHERS, Y[~HIS], treatment=SHOWN[~HIS]).catalogue_
    np.testing.assert_array_equal(found.logged.toarray(), expected.logged.toarray())
    np.testing.assert_array_equal(found.seen.toarray(), expected.seen.toarray())
    np.testing.assert_array_equal(found.rated.toarray(), expected.rated.toarray())
    np.testing.assert_array_equal(found.items, expected.items)
    assert found.share == expected.share and found.n_users == expected.n_users
    owner = expected.owner.to_numpy()
    assert owner.tolist() == ["user", "context"]
    mine = owner == "user"
    np.testing.assert_allclose(
        found.user_table[:, mine], expected.user_table[:, mine], rtol=1e-6
    )
    # The age of the last user of an item stood beside the item.
    ages = set(LOG.loc[HIS, "age"].astype(np.float32))
    assert ages & set(fitted("stacked").catalogue_.item_table[:, 0])
    assert not ages & set(found.item_table[:, 0])
    assert not ages & set(found.user_table[:, 0])


def test_an_item_of_the_person_alone_is_recommended_no_more():
    log = BOUGHT[0].copy()
    log.loc[np.flatnonzero(HIS)[0], "item"] = "his own film"
    model = EASE(**ROLES).fit(log)
    options = dict(users=["user-99@example.org"], k=50, by="outcome")
    assert "his own film" in set(recommend(model, **options)["item"])
    assert "his own film" not in set(
        recommend(forget(model, [GONE]), **options)["item"]
    )


# -- the second stage ------------------------------------------------------------------


def test_averages_are_those_of_the_other_rows():
    old, new = fitted("stacked").effects_, forgotten("stacked").effects_
    score = old.scores[1][~HIS]
    assert new.ate(0, 1).value == pytest.approx(np.average(score), rel=1e-12)
    assert new.n_rows.sum() == (~HIS).sum()
    assert new.n_rows[1] == SHOWN[~HIS].sum()
    np.testing.assert_array_equal(new.y, old.y[~HIS])
    low, high = forgotten("stacked").ate_interval()
    assert low < new.ate(0, 1).value < high
    assert forgotten("stacked").att() != fitted("stacked").att()
    kept = forgotten("stacked").common_support(0.01)
    assert len(kept) == N_ROWS and not kept[HIS].any() and kept.any()


def test_offsets_of_the_person_are_gone():
    old, new = fitted("stacked").effects_, forgotten("stacked").effects_
    code = fitted("stacked").log_encoder_.users.codes(PERSONS)
    mixed = [models[-1] for models in old.stages[1]._effect_models]
    for before, after in zip(mixed, (m[-1] for m in new.stages[1]._effect_models)):
        expected = np.delete(before.offsets_[0], code)
        # centred, since all of them sum to about zero
        moved = after.coef_[0] - before.coef_[0]
        assert moved == pytest.approx(expected[:-1].mean(), abs=1e-12)
        np.testing.assert_allclose(after.offsets_[0][:-1] + moved, expected[:-1])
        assert after.offsets_[0][-1] == 0 and abs(after.offsets_[0].sum()) < 1e-12
        np.testing.assert_array_equal(after.offsets_[1], before.offsets_[1])
        assert len(after.spreads_[0]) == len(before.spreads_[0]) - 3


def test_kernels_keep_no_row_of_the_person():
    before, after = (
        list(_kernels(model.effects_.stages[1]))
        for model in (fitted("stacked"), forgotten("stacked"))
    )
    assert len(before) == len(after) == 4  # two folds, two arms
    place = np.cumsum(~HIS) - 1
    for old, new in zip(before, after):
        stays = ~HIS[old.positions_]
        np.testing.assert_array_equal(new.rows_, old.rows_[stays])
        np.testing.assert_array_equal(new.positions_, place[old.positions_[stays]])
        assert len(new.rows_) < len(old.rows_)


def test_three_arms_where_a_pair_has_part_of_the_rows():
    rng = np.random.default_rng(2)
    n = 240
    user, item = np.arange(n) % 24, rng.integers(0, 5, n)
    arm, w = rng.integers(0, 3, n), rng.uniform(0.5, 1.5, n)
    X = rng.normal(size=(n, 2)).astype(np.float32)
    y = X[:, 0] + arm + rng.normal(size=n)
    old = ArmEffects(3, 0.05, 0).fit(
        X, y, arm, w, np.arange(n) // 24 % 2, rng.normal(size=(n, 3)),
        np.full((n, 3), 1 / 3), groups=np.column_stack([user, item]),
        clusters=Clusters(user[:, None], ["user"]),
    )  # fmt: skip
    new, gone = pickle.loads(pickle.dumps(old)), [0, 7]
    rows, groups = ~np.isin(user, gone), ~np.isin(np.arange(24), gone)
    remove(new, rows, 0, groups)
    for t in (1, 2):
        score = old.scores[t][rows]
        assert new.ate(0, t).value == pytest.approx(np.average(score, weights=w[rows]))
        pair = np.isin(arm, (0, t))
        stage, before = new.stages[t], old.stages[t]
        np.testing.assert_array_equal(stage.scores_, before.scores_[rows[pair]])
        assert stage.ate_stderr_ > 0
        for kernel, was in zip(_kernels(stage), _kernels(before)):
            theirs = arm[rows & pair][kernel.positions_]
            assert len(set(theirs.tolist())) == 1
            stays = rows[pair][was.positions_]
            np.testing.assert_array_equal(kernel.rows_, was.rows_[stays])
    assert new.n_rows.tolist() == np.bincount(arm[rows]).tolist()
    left = np.column_stack([np.cumsum(groups)[user] - 1, item])
    given = X[rows], np.zeros((rows.sum(), 3)), 1, 2
    apart = new.effect(*given, left[rows]) - old.effect(*given, groups=np.column_stack(
        [user, item])[rows])  # fmt: skip
    assert np.abs(apart).max() < 0.2  # by the kernels alone


@pytest.mark.parametrize("weighted", [False, True])
def test_a_kernel_without_rows_is_fitted_without_them(weighted):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    w = rng.integers(1, 4, 60).astype(float) if weighted else np.ones(60)
    model = KernelRidge().fit(X, y, w)
    keep = rng.random(60) > 0.2
    rows, penalty = model.rows_[keep], model.penalty_
    distance = ((rows[:, None] - rows) ** 2).sum(-1)
    kernel = np.exp(-distance / (2 * model.width_**2)) + model.linear_ * rows @ rows.T
    target = y[keep] - model.intercept_
    dual = np.linalg.solve(kernel + np.diag(penalty / w[keep]), target)
    model.without_rows(keep, w)
    np.testing.assert_allclose(model.dual_, dual, rtol=1e-6, atol=1e-9)
    expected = kernel @ dual + model.intercept_
    np.testing.assert_allclose(model.predict(X[keep]), expected, rtol=1e-6)


def test_the_rows_of_fit_say_what_clusters_say():
    model = fitted("stacked")
    given = forget(model, PERSONS, X=LOG)
    model = pickle.loads(pickle.dumps(model))
    model.effects_.clusters.users = None  # as where clusters are something else
    with pytest.raises(ValueError, match="Pass X"):
        forget(model, [GONE])
    by_rows = forget(model, PERSONS, X=LOG)
    assert by_rows.ate() == given.ate() == forgotten("stacked").ate()
    with pytest.raises(ValueError, match="has 612 rows"):
        forget(model, [GONE], X=LOG[1:])
    strange = LOG.assign(user="user-99@example.org")
    with pytest.raises(ValueError, match="users that the model does not know"):
        forget(model, [GONE], X=strange)


def test_one_after_the_other_is_as_all_at_once():
    model = fitted("stacked")
    for person in PERSONS[::-1]:
        model = forget(model, [person])
    both = model, forgotten("stacked")
    for one, other in zip(both[0].effects_.scores, both[1].effects_.scores):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(*(m.effect(OTHERS) for m in both), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(*(m.effects_.clusters.users for m in both))
    users = forgotten("stacked").log_encoder_.users.codes(OTHERS["user"])
    np.testing.assert_array_equal(forgotten("stacked")._user_of_rows(), users)


def test_a_slim_file_and_training_that_goes_on(tmp_path):
    path = tmp_path / "slim.crec"
    save(fitted("heads"), path, slim=True)
    assert GONE not in set(forget(load(path), [GONE]).log_encoder_.users.ids)
    save(fitted("stacked"), path, slim=True)
    with pytest.raises(ValueError, match="slim=True"):  # of the kernels
        forget(load(path), [GONE])
    model = pickle.loads(pickle.dumps(forgotten("partial")))
    weight = model.nets_[0].module_.vectors.user.weight
    state = model.nets_[0].optimizer_.state[weight]
    assert state["exp_avg"].shape == weight.shape == (N_USERS - 2, 3)
    X = OTHERS[["user", "age"]]
    before = model.predict(X)
    model.partial_fit(X, Y[~HIS])
    assert (model.predict(X) != before).any()
    # who comes back is a new user
    model.partial_fit(LOG.loc[HIS, ["user", "age"]], Y[HIS])
    assert model.log_encoder_.users.ids[-3:].tolist() == PERSONS


# -- pipelines, and what is refused ----------------------------------------------------


def test_through_a_pipeline_and_a_search():
    search = GridSearchCV(UserItemBias(**ROLES), {"alpha": [1.0, 2.0]}, cv=2)
    search.fit(BOUGHT[0], Y)
    found = forget(search, [GONE])
    assert isinstance(found, GridSearchCV)
    assert GONE.encode() not in pickle.dumps(found)
    assert GONE.encode() in pickle.dumps(search)


def test_a_step_with_histories():
    columns = make_column_transformer(
        (HistorySequence(length=3), ["user", "item", "time"]),
        ("passthrough", ["user", "item", "age"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = CausalDNNRecommender(
        **ROLES, history=["history", "history_gaps"], history_length=3, **SMALL
    )
    pipe = make_pipeline(columns, model).fit(LOG, Y)
    found = forget(pipe, PERSONS)
    assert GONE.encode() in pickle.dumps(pipe)
    assert GONE.encode() not in pickle.dumps(found)
    new, old = (p[:-1].transform(OTHERS) for p in (found, pipe))
    assert [list(v) for v in new["history"]] == [list(v) for v in old["history"]]
    assert [list(v) for v in new["history_gaps"]] == [
        list(v) for v in old["history_gaps"]
    ]
    his = found[:-1].transform(LOG[HIS])
    assert all(len(v) == 0 for v in his["history"])


def test_a_step_that_keeps_ids_is_named():
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["user"]),
        ("passthrough", ["item"]),
    ).set_output(transform="pandas")
    pipe = make_pipeline(columns, UserItemBias(item="passthrough__item"))
    pipe.fit(BOUGHT[0], Y)
    with pytest.raises(ValueError, match="no user column"):
        forget(pipe, [GONE])
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["user"]),
        ("passthrough", ["user", "item"]), verbose_feature_names_out=True,
    ).set_output(transform="pandas")  # fmt: skip
    model = UserItemBias(user="passthrough__user", item="passthrough__item")
    for log, person in [(BOUGHT[0], GONE), (BOUGHT[0].assign(user=LOG.time // 9), 7)]:
        pipe = make_pipeline(columns, model).fit(log, Y)
        with pytest.raises(ValueError, match=r"onehotencoder.*keeps the ids in categ"):
            forget(pipe, [person])


def test_models_of_earlier_versions_are_refused():
    model = pickle.loads(pickle.dumps(fitted("stacked")))
    for kernel in _kernels(model.effects_.stages[1]):
        del kernel.positions_
    with pytest.raises(ValueError, match="earlier version"):
        forget(model, [GONE])
    model = pickle.loads(pickle.dumps(fitted("ease in time")))
    del model._weights
    with pytest.raises(ValueError, match="earlier version"):
        forget(model, [GONE])


def test_what_is_refused():
    with pytest.raises(TypeError, match="DoCalculusEffect keeps rows"):
        forget(DoCalculusEffect(), [GONE])
    with pytest.raises(ValueError, match="is not fitted"):
        forget(EASE(), [GONE])
    with pytest.raises(ValueError, match=r"pass a list of ids, \[id\]"):
        forget(fitted("ease"), GONE)
    with pytest.raises(ValueError, match="not of the kind"):
        forget(fitted("ease"), [5])
    with pytest.raises(ValueError, match="delete the model"):
        forget(fitted("ease"), LOG["user"].unique())
    with pytest.warns(UserWarning, match="1 of 2 users are not in the model"):
        found = forget(fitted("ease"), ["user-99@example.org", GONE])
    assert len(found.log_encoder_.users) == N_USERS - 1


def test_several_and_numbers():
    log = BOUGHT[0].assign(user=LOG["time"] % 37)
    model = EASE(**ROLES).fit(log)
    found = forget(model, np.array([3.0, 36.0]))
    assert found.log_encoder_.users.ids.tolist() == [
        u for u in range(37) if u not in (3, 36)
    ]
    assert found.profiles_.shape[0] == 36
