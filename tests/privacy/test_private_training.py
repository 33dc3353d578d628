"""Private training, against gradients by hand, Opacus' accountants and other logs."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

pytest.importorskip("opacus", reason="the extra private")
from opacus.accountants import RDPAccountant
from opacus.accountants.utils import get_noise_multiplier

from sklearn_causalrec import CausalDNNRecommender, forget, load, save
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.private_steps import (
    PrivateSteps,
    Randomness,
    UnitRows,
    reading_whole,
    train_privately,
)
from sklearn_causalrec.privacy import (
    PrivacyBudget,
    PrivacySpent,
    data_inventory,
    model_card,
    public_copy,
    total_spent,
)
from sklearn_causalrec.privacy.holdings import walk

N_USERS, N_ITEMS = 30, 6
INFINITE = float("inf")


def make_log(seed=0, n=300):
    rng = np.random.default_rng(seed)
    log = pd.DataFrame(
        {
            "user": np.r_[np.arange(N_USERS), rng.integers(0, N_USERS, n - N_USERS)],
            "item": rng.integers(0, N_ITEMS, n),
            "age": rng.integers(18, 80, n),
            "shown": rng.integers(0, 2, n),
        }
    )
    y = log["age"] / 40 + log["shown"] + rng.normal(size=n) / 4
    return log, y.to_numpy()


LOG, Y = make_log()
BUDGET = PrivacyBudget(
    3.0, 1e-3, ranges={"age": (0, 100)}, outcome=(0, 5), items=range(N_ITEMS)
)
NO_NOISE = replace(BUDGET, epsilon=INFINITE)


def recommender(budget=BUDGET, **more):
    options = dict(
        user="user", item="item", treatment="shown", effect_learner="t", max_epochs=2,
        hidden_layer_sizes=(4,), embedding_dim=2, random_state=0, private=budget,
    )  # fmt: skip
    return CausalDNNRecommender(**{**options, **more})


@pytest.fixture(scope="module")
def model():
    return recommender().fit(LOG, Y)


def weights(model):
    parts = [[*n.module_.parameters(), *n.criterion_.parameters()] for n in model.nets_]
    return np.concatenate([p.detach().numpy().ravel() for part in parts for p in part])


def steps_of(model, log=LOG, y=Y, **more):
    """The steps of a fitted model on a log, from where its network stands."""
    rows = model.log_encoder_.rows(model, log)
    code = np.searchsorted(model.arms_, log["shown"])
    told = Rows(rows.features, item=rows.item, history=rows.history, arm=code)
    X = model._ensemble._inputs(told, torch.float32)
    y = torch.as_tensor(model.log_encoder_.standardized(y), dtype=torch.float32)
    options = dict(
        units=UnitRows(log["user"].to_numpy(), 64), sample_rate=1.0, max_grad_norm=1.0,
        noise_multiplier=0.0, randomness=Randomness(0),
    )  # fmt: skip
    return PrivateSteps(model.nets_[0], X, y, **{**options, **more})


# -- the step ------------------------------------------------------------------------


def test_without_clip_and_noise_a_step_is_the_gradient_of_the_mean_over_users():
    options = dict(optimizer="sgd", momentum=0.0, l2=0.0, max_epochs=1)
    steps = steps_of(recommender(NO_NOISE, **options).fit(LOG, Y), max_grad_norm=1e9)
    net = steps.net
    loss = 0.0
    for user in range(N_USERS):
        mine = np.flatnonzero(LOG["user"] == user)
        X = {name: values[mine] for name, values in steps.X.items()}
        loss = loss + net.criterion_(net.module_(**X), steps.y[mine], X) / N_USERS
    gradient = torch.autograd.grad(loss, steps.weights)
    before = [p.detach().clone() for p in steps.weights]
    with reading_whole(net):
        steps.step()
    for p, old, g in zip(steps.weights, before, gradient):
        torch.testing.assert_close(p.detach(), old - net.lr * g, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("encoder, history", [("dnn", True), ("transformer", True)])
def test_gradients_of_users_are_those_of_one_user_at_a_time(encoder, history):
    rng = np.random.default_rng(1)
    past = [list(rng.integers(0, N_ITEMS, rng.integers(0, 5))) for _ in range(len(LOG))]
    log = LOG.assign(past=past)
    options = dict(history="past", history_length=5, encoder=encoder, max_epochs=1)
    steps = steps_of(recommender(NO_NOISE, **options).fit(log, Y), log)
    users = np.arange(0, N_USERS, 7)
    with reading_whole(steps.net):
        found = steps.gradients(*steps.units.block(users, Randomness(0)))
    for k, user in enumerate(users):
        mine = np.flatnonzero(log["user"] == user)
        X = {name: values[mine] for name, values in steps.X.items()}
        loss = steps.net.criterion_(steps.net.module_(**X), steps.y[mine], X)
        alone = torch.autograd.grad(loss, steps.weights)
        for g, one in zip(found, alone):
            torch.testing.assert_close(g[k], one, rtol=1e-3, atol=1e-6)


def linear(n_rows, features=1.0, y=1.0):
    """Steps on a network that is a bias and one weight, of one user a row."""
    X = pd.DataFrame({"x": np.full(n_rows, features)})
    budget = PrivacyBudget(
        INFINITE, 1e-6, unit="row", ranges={"x": (-1, 1)}, outcome=(-1, 1)
    )
    model = CausalDNNRecommender(
        private=budget, hidden_layer_sizes=(), objective="naive", optimizer="sgd",
        momentum=0.0, l2=0.0, learning_rate=1.0, max_epochs=1, random_state=0,
    ).fit(X, np.full(n_rows, y))  # fmt: skip
    given = {"features": torch.full((n_rows, 1), features)}
    given["arm"] = torch.zeros(n_rows, dtype=torch.int64)
    return model.nets_[0], given, torch.full((n_rows,), float(y))


def test_a_users_gradient_is_shortened_to_the_limit_by_hand():
    net, X, y = linear(3)
    units = UnitRows(np.array([0, 1, 1]), 8)
    steps = PrivateSteps(net, X, y, units, 1.0, 0.3, 0.0, Randomness(0))
    with torch.no_grad():
        for p in steps.weights:
            p.zero_()
    # The prediction is 0: d/db (0 - 1)^2 = -2, and -2 x for the weights of x = 1.
    found = torch.cat([g.flatten() for g in steps.clipped_sum(np.array([0, 1]))])
    n = int((found != 0).sum())  # of the wide part, and of the head's last layer
    length = 2 * np.sqrt(n)
    assert n >= 2
    np.testing.assert_allclose(found[found != 0], -2 * 2 * 0.3 / length, rtol=1e-5)
    long = PrivateSteps(net, X, y, units, 1.0, 2 * length, 0.0, Randomness(0))
    whole = torch.cat([g.flatten() for g in long.clipped_sum(np.array([0, 1]))])
    np.testing.assert_allclose(whole[whole != 0], -4.0, rtol=1e-5)


@pytest.mark.parametrize("secret", [True, False])
def test_the_noise_has_the_stated_deviation(secret):
    net, X, y = linear(4)
    units = UnitRows(np.arange(4), 1)
    draw = Randomness(None if secret else 3)
    steps = PrivateSteps(net, X, y, units, 1.0, 0.5, 2.0, draw)
    still = PrivateSteps(net, X, y, units, 1.0, 0.5, 0.0, draw)
    found = []
    for _ in range(80):
        moved = []
        for each in (still, steps):
            with torch.no_grad():
                for p in each.weights:
                    p.zero_()
            each.step()
            moved.append(torch.cat([p.detach().flatten() for p in each.weights]))
        found.append((moved[1] - moved[0]).numpy())
    found = np.concatenate(found)
    # lr 1, sigma C over the expected number of users: 2 * .5 / 4
    assert np.std(found) == pytest.approx(0.25, rel=0.15)
    assert abs(found.mean()) < 0.06


def test_normal_numbers_of_the_system_are_normal():
    from scipy.stats import kstest

    draw = Randomness()
    assert draw.secret
    assert kstest(draw.normal(20_000), "norm").pvalue > 1e-4
    assert kstest(draw.uniform(20_000), "uniform").pvalue > 1e-4
    assert not np.array_equal(draw.normal(8), Randomness().normal(8))


def test_users_are_drawn_one_by_one_at_the_stated_rate():
    net, X, y = linear(40)
    steps = PrivateSteps(
        net, X, y, UnitRows(np.arange(40), 1), 0.25, 1.0, 0.0, Randomness(5)
    )
    drawn = []
    steps.clipped_sum = lambda chosen: (
        drawn.append(chosen) or [torch.zeros_like(p) for p in steps.weights]
    )
    for _ in range(300):
        steps.step()
    sizes = np.array([len(chosen) for chosen in drawn])
    assert sizes.mean() == pytest.approx(10, abs=0.5)
    assert sizes.var() == pytest.approx(40 * 0.25 * 0.75, rel=0.25)  # binomial
    counts = np.bincount(np.concatenate(drawn), minlength=40)
    assert counts.min() > 45 and counts.max() < 110


def test_a_user_with_a_thousand_rows_moves_the_sum_by_the_limit_at_most():
    more = LOG.iloc[np.zeros(1000, int)].assign(age=99, item=3, shown=1)
    more["user"] = N_USERS
    log = pd.concat([LOG, more], ignore_index=True)
    y = np.r_[Y, np.full(1000, 5.0)]
    options = dict(optimizer="sgd", momentum=0.0, l2=0.0, max_epochs=1)
    model = recommender(NO_NOISE, **options).fit(log, y)
    units = UnitRows(log["user"].to_numpy(), 32)
    steps = steps_of(model, log, y, units=units, max_grad_norm=0.01)
    with reading_whole(steps.net):
        with_them = steps.clipped_sum(np.arange(N_USERS + 1))
        without = steps.clipped_sum(np.arange(N_USERS))
    moved = torch.cat([(a - b).flatten() for a, b in zip(with_them, without)])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-2)
    rows, weight = units.block(np.array([N_USERS, 0]), Randomness(1))
    assert rows.shape == (2, 32) and len(set(rows[0])) == 32
    assert set(rows[1]) == set(np.flatnonzero(log["user"] == 0))
    np.testing.assert_allclose(weight.mean(1), 1)


def test_a_gradient_that_is_no_number_adds_nothing():
    net, X, y = linear(2)
    y[0] = float("inf")
    units = UnitRows(np.arange(2), 1)
    steps = PrivateSteps(net, X, y, units, 1.0, 0.3, 0.0, Randomness(0))
    both, one = steps.clipped_sum(np.arange(2)), steps.clipped_sum(np.array([1]))
    for a, b in zip(both, one):
        torch.testing.assert_close(a, b)
        assert a.isfinite().all()


def test_chunks_of_users_give_the_same_sum(model):
    steps = steps_of(recommender(NO_NOISE, max_epochs=1).fit(LOG, Y))
    whole = steps.clipped_sum(np.arange(N_USERS))
    steps.at_once = 7
    for a, b in zip(whole, steps.clipped_sum(np.arange(N_USERS))):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_weights_are_the_mean_over_the_second_half_of_the_steps():
    net, X, y = linear(4)
    steps = PrivateSteps(
        net, X, y, UnitRows(np.arange(4), 1), 1.0, 1.0, 1.0, Randomness(2)
    )
    seen, step = [], steps.step
    steps.step = lambda: (
        step() or seen.append([p.detach().clone() for p in steps.weights])
    )
    train_privately(steps, 6)
    for j, p in enumerate(steps.weights):
        mean = torch.stack([at[j] for at in seen[3:]]).mean(0)
        torch.testing.assert_close(p.detach(), mean)


# -- the budget ----------------------------------------------------------------------


def test_what_is_spent_is_what_opacus_says(model):
    spent = model.privacy_spent_
    accountant = RDPAccountant()
    accountant.history = [(spent.noise_multiplier, spent.sample_rate, spent.steps)]
    assert spent.epsilon == pytest.approx(accountant.get_epsilon(1e-3))
    assert 2.9 < spent.epsilon <= 3.0
    noise = get_noise_multiplier(
        target_epsilon=3.0, target_delta=1e-3, sample_rate=1.0, steps=2
    )
    # 30 users, 64 a step at least: all of them in each of the two epochs
    assert (spent.sample_rate, spent.steps) == (1.0, 2)
    assert spent.noise_multiplier == noise
    assert (spent.unit, spent.max_rows, spent.secret_noise) == ("user", 32, False)


def test_members_share_one_budget():
    two = recommender(n_estimators=2, batch_size=6).fit(LOG, Y).privacy_spent_
    assert two.steps == 2 * 2 * 5 and two.sample_rate == pytest.approx(0.2)
    assert 2.9 < two.epsilon <= 3.0
    one = recommender(batch_size=6).fit(LOG, Y).privacy_spent_
    assert one.noise_multiplier < two.noise_multiplier


def test_prv_needs_less_noise():
    prv = replace(BUDGET, accountant="prv")
    found = recommender(prv, batch_size=6, max_epochs=2).fit(LOG, Y).privacy_spent_
    rdp = recommender(batch_size=6, max_epochs=2).fit(LOG, Y).privacy_spent_
    assert found.noise_multiplier < rdp.noise_multiplier
    assert found.epsilon <= 3.0


def test_several_trainings_add_up():
    one = PrivacySpent(0.0, 1e-5, "user", 32, 1.0, 1.2, 0.1, 100, True)
    other = replace(one, noise_multiplier=2.0, sample_rate=0.3, steps=50)
    accountant = RDPAccountant()
    accountant.history = [(1.2, 0.1, 100), (2.0, 0.3, 50)]
    assert total_spent([one, other]) == pytest.approx(accountant.get_epsilon(1e-5))
    twice = replace(one, steps=200)
    assert total_spent([one, one]) == pytest.approx(total_spent([twice]))
    assert total_spent([one, replace(one, noise_multiplier=0.0)]) == INFINITE
    with pytest.raises(ValueError, match="no training"):
        total_spent([])
    with pytest.raises(ValueError, match="units differ"):
        total_spent([one, replace(one, unit="row")])


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(epsilon=0.0), "epsilon is 0.0"),
        (dict(epsilon="3"), "a number is needed"),
        (dict(delta=1.0), "a probability below 1"),
        (dict(max_grad_norm=INFINITE), "max_grad_norm"),
        (dict(max_rows=0), "at least 1"),
        (dict(unit="item"), "choose one of"),
        (dict(accountant="gdp"), "choose one of"),
        (dict(outcome=(5, 1)), "low has to be below"),
        (dict(ranges={"age": 7}), "two numbers"),
        (dict(ranges=(1e6, 1e6 + 1)), "narrow beside"),
        (dict(items=[]), "no item"),
    ],
)
def test_budgets_that_are_none(wrong, message):
    with pytest.raises(ValueError, match=message):
        PrivacyBudget(**{"epsilon": 1.0, "delta": 1e-5, **wrong})


# -- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    "more, message",
    [
        (dict(effect_learner="stacked"), "effect_learner=.stacked."),
        (dict(early_stopping=True), "early_stopping=True"),
        (dict(learning_rate_schedule="plateau"), "plateau"),
        (dict(warm_start=True), "warm_start"),
        (dict(l1=0.1), "l1=0.1"),
        (dict(dropout=0.1), "dropout=0.1"),
        (dict(input_noise=0.1), "input_noise"),
        (dict(encoder="mf"), "encoder='mf'.*vectors of users"),
        (dict(objective="snips"), "objective='snips'"),
        (dict(objective="implicit", treatment=None), "objective='implicit'"),
        (dict(exposure_model="popularity"), "counts the rows"),
        (dict(user=None), "no column says whose"),
        (dict(private=replace(BUDGET, unit="row")), "protects one row"),
        (dict(private=replace(BUDGET, delta=0.1)), "30 users"),
        (dict(private=replace(BUDGET, ranges=None)), r"features \['age'\]"),
        (dict(private=replace(BUDGET, ranges={"age": (0, 1), "z": (0, 1)})), "names"),
        (dict(private=replace(BUDGET, outcome=None)), "mean and the scale of y"),
        (dict(private=replace(BUDGET, items=None)), "Which items there are"),
        (dict(private=replace(BUDGET, items=range(4))), "not among"),
    ],
)
def test_what_is_not_under_the_budget_is_refused_by_name(more, message):
    with pytest.raises(ValueError, match=message):
        recommender(**more).fit(LOG, Y)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_recurrent_encoders_are_refused_by_name(name):
    log = LOG.assign(past=[[1]] * len(LOG))
    with pytest.raises(ValueError, match=f"encoder='{name}'.*recurrent"):
        recommender(encoder=name, history="past").fit(log, Y)


def test_more_that_is_refused(model):
    with pytest.raises(ValueError, match="sample_weight"):
        recommender().fit(LOG, Y, sample_weight=np.ones(len(Y)))
    with pytest.raises(ValueError, match="partial_fit does not go"):
        recommender().partial_fit(LOG, Y)
    with pytest.raises(ValueError, match="every row has the same arm"):
        shown = LOG.drop(columns="shown")
        recommender(treatment=None).fit(shown, Y, propensity=np.full(len(Y), 0.5))
    log = LOG.assign(past=[[1]] * len(LOG), when=[[2.0]] * len(LOG))
    with pytest.raises(ValueError, match="numbers beside the items"):
        recommender(history=["past", "when"]).fit(log, Y)
    with pytest.raises(ValueError, match="cross-fitted effect learner"):
        model.ate()


def test_an_encoder_of_ones_own_says_that_it_can():
    dnn = ENCODERS["dnn"]

    @ENCODERS.register("own")
    class Own(dnn):
        not_private = "sees the batch as a whole"

    try:
        with pytest.raises(ValueError, match="sees the batch as a whole"):
            recommender(encoder="own").fit(LOG, Y)
    finally:
        del ENCODERS["own"]


# -- what the model holds ------------------------------------------------------------


def state(model):
    """Path -> bytes of all that a model holds, but weights and what moved them."""
    found = {}
    for path, value in walk(model):
        if any(part in path for part in ("_parameters", "optimizer_.", "seconds")):
            continue
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        if isinstance(value, np.ndarray) and value.dtype != object:
            found[path] = (value.shape, value.tobytes())
        elif isinstance(value, str | int | float | bool | pd.Index):
            found[path] = repr(value)
    return found


def test_apart_from_weights_a_public_copy_does_not_depend_on_a_persons_rows(model):
    log, y = LOG.copy(), Y.copy()
    mine = log["user"] == 4
    log.loc[mine, "age"] += 7
    log.loc[mine, "item"] = 5
    log.loc[mine, "shown"] = 1
    y[mine] = 40.0
    log["user"] = log["user"].replace(4, 4000)
    extra = log[mine.to_numpy()]
    log, y = pd.concat([log, extra], ignore_index=True), np.r_[y, y[mine]]
    other = recommender().fit(log, y)
    one, two = state(public_copy(model)), state(public_copy(other))
    assert len(one) > 50 and "[0].module_" in " ".join(one)
    assert {path for path in one if one[path] != two.get(path)} == set()
    assert set(one) == set(two)
    # The comparison can tell: with their logs, the models differ.
    assert state(model) != state(other)
    assert not np.array_equal(weights(model), weights(other))


def test_a_public_copy_has_no_ids_and_answers_alike(model, tmp_path):
    copy = public_copy(model)
    np.testing.assert_array_equal(copy.predict(LOG), model.predict(LOG))
    np.testing.assert_array_equal(copy.effect(LOG), model.effect(LOG))
    assert len(copy.log_encoder_.users) == 0
    assert not [p for p, v in walk(copy) if getattr(v, "shape", (0,))[:1] == (300,)]
    with pytest.raises(ValueError, match="Recommending needs"):
        copy.recommend(by="outcome")
    save(copy, tmp_path / "m.crec")
    np.testing.assert_array_equal(load(tmp_path / "m.crec").predict(LOG),
                                  copy.predict(LOG))  # fmt: skip
    kept = data_inventory(copy).to_frame("Kept")
    assert kept.index.tolist() == ["item ids"]
    with pytest.raises(ValueError, match="not trained under a budget"):
        public_copy(recommender(None).fit(LOG, Y))
    with pytest.raises(ValueError, match="not trained under a budget"):
        public_copy(recommender(NO_NOISE, max_epochs=1).fit(LOG, Y))
    with pytest.raises(NotFittedError):
        public_copy(recommender())
    with pytest.raises(TypeError, match="Pipeline"):
        public_copy(make_pipeline(model))


def test_nothing_of_rows_is_kept(model):
    n_rows = {len(LOG), len(LOG) + 1}
    held = [p for p, v in walk(model) if set(getattr(v, "shape", ())[:1]) & n_rows]
    assert held == []
    assert model.propensity_ is None and model.overlap_ is None
    assert all(np.isnan(record["train_loss"]) for record in model.history_)
    assert not hasattr(model.nets_[0].criterion_, "outcome_loss")
    # What stands for unknown ids is the middle of the range, and no mean of the log.
    log = model.catalogue_
    assert log.user_table[-1, 0] == log.item_table[-1, 0] == log.context[0] == 50
    assert model.nets_[0].module_.vectors.user is None
    assert model.nets_[0].module_.wide.user is None


def test_scales_come_from_the_budget(model):
    encoder = model.log_encoder_
    assert (encoder.mean[0], encoder.scale[0]) == (50, 50)
    assert (encoder.y_mean, encoder.y_scale) == (2.5, 2.5)
    beyond = LOG.iloc[:2].assign(age=[100, 1e6])
    beyond["item"] = 1
    beyond["shown"] = 0
    assert np.ptp(model.predict(beyond)) == 0  # values beyond count as the ends
    # Columns that lie far from 0 are centred elsewhere, at the middle of the log's.
    far = LOG.assign(age=LOG["age"] / 1e4 + 50.0)
    other = recommender(max_epochs=1).fit(far, Y)
    assert other.log_encoder_.rows(other, far).features.min() > 50


# -- as an estimator -----------------------------------------------------------------


def test_it_is_reproducible_cloned_and_pickled(model):
    again = clone(model).fit(LOG, Y)
    np.testing.assert_array_equal(weights(model), weights(again))
    assert model.get_params()["private"] is BUDGET
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict(LOG), model.predict(LOG))
    assert back.privacy_spent_ == model.privacy_spent_
    one = recommender(random_state=None).fit(LOG, Y)
    two = recommender(random_state=None).fit(LOG, Y)
    assert one.privacy_spent_.secret_noise
    assert not np.array_equal(weights(one), weights(two))


def test_secret_noise_does_not_follow_from_numpys_seed():
    found = []
    for _ in range(2):
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        found.append(weights(recommender(random_state=None, max_epochs=1).fit(LOG, Y)))
        np.random.set_state(state)  # noqa: NPY002
    assert not np.array_equal(*found)


def test_lists_effects_files_and_forgetting(model, tmp_path):
    options = dict(by="outcome", k=2, exclude_seen=False)
    lists = model.recommend(**options)
    assert len(lists) == 2 * N_USERS
    row = lists.iloc[0]
    # Ages change from row to row here: lists are asked at the middle of the range.
    asked = LOG.head(1).assign(user=row["user"], item=row["item"], age=50, shown=1)
    assert model.predict(asked)[0] == pytest.approx(row["score"], rel=1e-4)
    on, off = (model.predict(LOG, treatment=arm) for arm in (1, 0))
    np.testing.assert_allclose(model.effect(LOG), on - off, rtol=1e-5, atol=1e-6)
    save(model, tmp_path / "m.crec")
    back = load(tmp_path / "m.crec")
    assert back.privacy_spent_ == model.privacy_spent_ and back.private == BUDGET
    pd.testing.assert_frame_equal(back.recommend(**options), lists)
    without = forget(model, [4])
    np.testing.assert_array_equal(weights(without), weights(model))
    assert 4 not in without.log_encoder_.users.ids


def test_what_was_spent_is_told(model):
    text = str(model.summary())
    assert "epsilon 3" in text and "for each user" in text
    assert "Noise follows from random_state" in text
    assert "epsilon 3" in model_card(model, name="m")
    none = recommender(NO_NOISE, max_epochs=1).fit(LOG, Y)
    assert "nothing is promised" in none.privacy_spent_.words
    assert recommender(None, max_epochs=1).fit(LOG, Y).privacy_spent_ is None


def test_a_search_says_that_each_fit_spends():
    grid = {"learning_rate": [1e-3, 1e-2]}
    search = GridSearchCV(recommender(max_epochs=1), grid, cv=2)
    with pytest.warns(UserWarning, match="each fit spends"):
        search.fit(LOG, Y)
    assert search.best_estimator_.privacy_spent_.epsilon <= 3.0


def test_one_arm_classes_and_rows_as_units():
    binary = (Y > 2).astype(int)
    X = LOG[["age"]]
    budget = PrivacyBudget(2.0, 1e-4, unit="row", ranges=(0, 100))
    options = dict(
        task="classification", hidden_layer_sizes=(4,), max_epochs=2, random_state=0,
        private=budget,
    )  # fmt: skip
    model = CausalDNNRecommender(**options).fit(X, binary)
    assert model.predict_proba(X).shape == (300, 2)
    assert model.privacy_spent_.unit == "row"
    assert repr(model.privacy_spent_).endswith("for each row")
    same = CausalDNNRecommender(**options).fit(X.to_numpy(), binary)
    np.testing.assert_array_equal(weights(same), weights(model))


def test_it_learns_what_the_log_says():
    log, y = make_log(1, 1500)
    budget = replace(BUDGET, epsilon=8.0)
    options = dict(max_epochs=60, learning_rate=0.02)
    scores = [
        recommender(b, **options).fit(log, y).score(LOG, Y)
        for b in (budget, replace(budget, epsilon=INFINITE))
    ]
    assert scores[1] > 0.8
    assert 0.2 < scores[0] < scores[1]
