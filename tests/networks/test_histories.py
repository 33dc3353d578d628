"""Histories in the network: padding, truncation, order, and what goes with them."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, effect, recommend
from sklearn_causalrec.datasets import make_sequence_log
from sklearn_causalrec.encoding.history_columns import read_histories
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.interactions import HistorySequence
from sklearn_causalrec.networks import ENCODERS as REGISTERED
from sklearn_causalrec.networks import OBJECTIVES
from sklearn_causalrec.networks.batches import PairSampler
from sklearn_causalrec.networks.encoders.history import HistoryStates
from sklearn_causalrec.ranking import Catalogue

HISTORY = ["history", "history_gaps"]
ENCODERS = ["dnn", "lstm", "gru", "transformer"]


def HistoryEncoder(kind, *args, **kwargs):
    return HistoryStates(*args, **kwargs, sequence=REGISTERED[kind].sequence)


def make_model(encoder="gru", **options):
    settings = dict(
        user="user",
        item="item",
        time="time",
        history=HISTORY,
        encoder=encoder,
        effect_learner="t",
        max_epochs=2,
        random_state=0,
    )
    return CausalDNNRecommender(**{**settings, **options})


@pytest.fixture(scope="module")
def log():
    return make_sequence_log(1200, n_users=60, n_items=30, length=6, random_state=0)


@pytest.fixture(scope="module", params=ENCODERS)
def fitted(request, log):
    return make_model(request.param).fit(log.X, log.y, treatment=log.treatment)


# -- reading -------------------------------------------------------------------


@given(
    cells=st.lists(
        st.none() | st.lists(st.sampled_from("abcde"), max_size=6), min_size=1
    ),
    length=st.integers(1, 7),
)
def test_reading_keeps_the_last_items_in_order(cells, length):
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    past = read_histories([column], ["history"], length)
    for row, cell in zip(past.codes, cells):
        kept = [] if cell is None else cell[-length:]
        assert past.ids[row[row >= 0]].tolist() == kept
        assert (row[len(kept) :] == -1).all()


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, pl.Series])
def test_cells_may_be_any_sequence(kind):
    column = np.empty(3, dtype=object)
    column[:] = [kind([5, 7]), kind([7]), None]
    past = read_histories([column], ["history"], 3)
    assert past.ids.tolist() == [5, 7]
    assert past.codes.tolist() == [[0, 1, -1], [1, -1, -1], [-1, -1, -1]]


def test_polars_frames_with_lists(log, fitted):
    X = log.X.iloc[:20]
    np.testing.assert_array_equal(fitted.predict(pl.from_pandas(X)), fitted.predict(X))


def test_equal_lengths_in_a_frame_are_ragged_cells(log):
    """numpy would make a matrix of equal lists."""
    X = log.X[log.X["history"].map(len) == 3]
    rows = X.index
    model = make_model().fit(X, log.y[rows], treatment=log.treatment[rows])
    assert model.predict(X).shape == (len(X),)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("history", "3 4 5", "in row 1 it is '3 4 5'"),
        ("history", 3, "in row 1 it is 3"),
        ("history", [None, 3], "missing item in row 1: [None, 3]"),
        ("history_gaps", [1.0], "'history_gaps' has 1 values in row 1"),
        ("history_gaps", [np.nan] * 2, "'history_gaps' holds nan"),
    ],
)
def test_bad_histories_are_refused_by_name(log, column, value, message):
    X = log.X.iloc[:30].copy()
    X["history"] = [[1, 2]] * 30
    X["history_gaps"] = [[2.0, 1.0]] * 30
    X.at[X.index[1], column] = value
    with pytest.raises(ValueError, match=re.escape(message)):
        make_model().fit(X, log.y[:30], treatment=log.treatment[:30])


def test_settings_that_do_not_go_together(log):
    X, y = log.X.drop(columns=HISTORY), log.y
    with pytest.raises(ValueError, match="name the column of them"):
        make_model(history=None).fit(X, y)
    with pytest.raises(ValueError, match='encoder="mf" reads no history'):
        make_model("mf").fit(log.X, y)
    with pytest.raises(ValueError, match="history='past' is not a column of X"):
        make_model(history="past").fit(log.X, y)
    with pytest.raises(ValueError, match=r"holds \[.*which is not a number"):
        make_model("dnn", history="history").fit(log.X, y)


# -- the network ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ENCODERS)
def test_padding_changes_nothing(kind):
    torch.manual_seed(0)
    encoder = HistoryEncoder(kind, 8, 9, mean=[0.0], scale=[1.0]).double().eval()
    table = torch.nn.Embedding(5, 8).double()
    short = torch.tensor([[3, 1, 4]])
    values = torch.rand(1, 3, 1).double()
    wide = torch.full((2, 9), -1)
    wide[0, :3] = short
    wide[1] = 2  # a long neighbour, so that the batch is not cut to the short one
    wide_values = torch.rand(2, 9, 1).double()
    wide_values[0, :3] = values
    with torch.no_grad():
        alone = encoder(table, short, values)[:, 0]
        beside = encoder(table, wide, wide_values)[:, 0]
    torch.testing.assert_close(alone, beside)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_empty_history_is_zero_and_has_a_gradient(kind):
    torch.manual_seed(0)
    encoder, table = HistoryEncoder(kind, 8, 4), torch.nn.Embedding(5, 8)
    states = encoder(table, torch.tensor([[-1, -1], [2, 3]]))
    assert (states[:, 0] == 0).all() and (states[:, 1] != 0).any()
    states.sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_order_counts_where_it_should(kind):
    torch.manual_seed(0)
    encoder, table = HistoryEncoder(kind, 8, 4), torch.nn.Embedding(5, 8)
    one, other = (encoder(table, torch.tensor([h])) for h in ([1, 2, 3], [2, 1, 3]))
    assert torch.allclose(one, other, atol=1e-6) == (kind == "dnn")


@pytest.mark.parametrize("kind", ENCODERS)
def test_repeated_histories_are_encoded_once_with_the_same_result(kind):
    torch.manual_seed(0)
    encoder = HistoryEncoder(kind, 8, 4, mean=[0.0], scale=[1.0]).double().eval()
    table = torch.nn.Embedding(5, 8).double()
    codes = torch.tensor([[1, 2], [1, 2], [3, -1], [3, -1], [1, 2]])
    values = torch.tensor([[1.0, 2], [1, 2], [1, 0], [2, 0], [1, 2]]).unsqueeze(2)
    with torch.no_grad():
        expected = encoder.encode(table, codes, values)
        torch.testing.assert_close(encoder(table, codes, values), expected)


def test_positions_count_back_from_the_last_item(monkeypatch):
    """Without attention, what is read is the last item at the first position."""
    torch.manual_seed(0)
    encoder, table = HistoryEncoder("transformer", 8, 6), torch.nn.Embedding(5, 8)
    monkeypatch.setattr(encoder.sequence.layers, "forward", lambda x, **_: x)
    encoder.sequence.norm = torch.nn.Identity()
    codes = torch.tensor([[1, 2, 3, 4], [4, -1, -1, -1]])
    states = encoder(table, codes)[1]
    expected = table.weight[4] + encoder.sequence.position[0]
    torch.testing.assert_close(states, expected.expand(2, -1))


def test_pairs_drawn_have_histories_of_their_users():
    user = np.repeat(np.arange(5), 40)
    history = (user[:, None] * 10 + np.arange(3)).astype(np.int32)
    rows = Rows(np.zeros((200, 0), np.float32), user, np.arange(200) % 7)
    rows.history, rows.history_values = history, history[:, :, None].astype(np.float32)
    batch = {"features": torch.zeros(64, 0), "user": torch.zeros(64, dtype=int)}
    batch |= {k: torch.zeros(64, 3) for k in ("history", "history_values")}
    rows.catalogue = Catalogue(rows, 5, 7)
    pairs = PairSampler(rows)(batch, torch.Generator())
    assert len(pairs["user"].unique()) == 5
    torch.testing.assert_close(pairs["history"][:, 0] // 10, pairs["user"].int())
    torch.testing.assert_close(
        pairs["history_values"][:, 0, 0] // 10, pairs["user"] * 1.0
    )


# -- the estimator -------------------------------------------------------------


def test_old_items_beyond_the_length_do_not_count(log):
    model = make_model(history_length=2).fit(log.X, log.y, treatment=log.treatment)
    cut = log.X.copy()
    for name in HISTORY:
        cut[name] = cut[name].map(lambda cell: cell[-2:])
    np.testing.assert_array_equal(model.predict(log.X), model.predict(cut))


def test_predictions_do_not_depend_on_the_batch(log, fitted):
    one = np.concatenate([fitted.predict(log.X.iloc[[i]]) for i in range(12)])
    np.testing.assert_allclose(fitted.predict(log.X)[:12], one, atol=1e-5)


def test_refits_are_identical_and_pickles_predict(log, fitted):
    again = clone(fitted).fit(log.X, log.y, treatment=log.treatment)
    expected = fitted.predict(log.X)
    np.testing.assert_array_equal(again.predict(log.X), expected)
    back = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(back.predict(log.X), expected)


def test_lists_equal_brute_force(log, fitted):
    """Of the last history of each user, or of the one that comes with the users."""
    last = log.X.sort_values("time").groupby("user").tail(1)
    context = log.X["x1"].mean()
    for users in (None, last[["user", *HISTORY]].assign(history=[[1, 2]] * len(last))):
        if users is not None:
            users["history_gaps"] = [[3.0, 1.0]] * len(users)
        pasts = (last if users is None else users).set_index("user")
        user = np.sort(log.X["user"].unique())[:4]
        pairs = pd.DataFrame({"user": np.repeat(user, 30), "item": list(range(30)) * 4})
        pairs["x1"], pairs["time"] = context, 0.0
        for name in HISTORY:
            pairs[name] = [pasts.at[u, name] for u in pairs["user"]]
        pairs["score"] = fitted.effect(pairs[log.X.columns])
        best = pairs.sort_values("score", ascending=False).groupby("user").head(3)
        asked = user if users is None else users[users["user"].isin(user)]
        top = recommend(fitted, asked, k=3, exclude_seen=False)
        found = top.groupby("user")["score"].apply(list).loc[user]
        expected = best.groupby("user")["score"].apply(list).loc[user]
        np.testing.assert_allclose(found.tolist(), expected.tolist(), atol=1e-4)


def test_lists_follow_the_history_of_a_user_never_seen(log, fitted):
    users = pd.DataFrame({"user": [900, 901, 902], "history": [[1, 2, 3], [], [9] * 5]})
    users["history_gaps"] = users["history"].map(lambda h: [1.0] * len(h))
    top = recommend(fitted, users, k=5)
    assert top.groupby("user")["score"].apply(tuple).nunique() == 3


@pytest.mark.parametrize(
    "objective",
    sorted(name for name, kind in OBJECTIVES.items() if not kind.retrieves),
)
def test_every_objective_reads_histories(log, objective):
    model = make_model("transformer", objective=objective, max_epochs=1)
    y, treatment = log.y, log.treatment
    if objective in ("relmf", "pda"):  # of logs in which all was shown
        treatment = None
    if objective in ("relmf", "escm2"):  # of clicks, and what follows on them
        model.set_params(task="classification")
        y = (y > 1).astype(int)
    model.fit(log.X, y, treatment=treatment)
    forwards = model.predict(log.X)
    if model.task == "classification":
        forwards = model.predict_proba(log.X)[:, 1]
        assert ((forwards > 0) & (forwards < 1)).all()
    assert np.isfinite(forwards).all() and forwards.std() > 0


@pytest.mark.parametrize("objective", ["targeted", "dr"])
def test_one_arm_draws_pairs_with_histories(log, objective):
    model = make_model("lstm", objective=objective).fit(log.X, log.y)
    assert model.nets_[0].module_.exposure is not None
    assert np.isfinite(model.propensity_scores(log.X)).all()
    assert len(recommend(model, [1, 2], k=3, by="outcome")) == 6


def test_a_history_without_an_item(log):
    """The treatment need not be about an item: an e-mail, a price."""
    X = log.X.drop(columns="item")
    model = make_model(item=None, effect_learner="stacked", n_folds=2)
    model.fit(X, log.y, treatment=log.treatment)
    swapped = X.assign(history=X["history"].map(lambda h: h[::-1]))
    assert (model.predict(X) != model.predict(swapped)).any()
    assert np.isfinite(model.effect(X)).all()


def test_histories_alone_reach_the_second_stage():
    """No ids, and a feature of noise: effects are in the history or nowhere."""
    rng = np.random.default_rng(0)
    last, t = rng.integers(0, 8, 1600), rng.integers(0, 2, 1600)
    X = pd.DataFrame({"noise": rng.normal(size=1600)})
    X["history"] = [[int(a), int(b)] for a, b in zip(rng.integers(0, 8, 1600), last)]
    truth = np.where(last % 2, 1.0, -1.0)
    y = t * truth + 0.3 * rng.normal(size=1600)
    model = CausalDNNRecommender(history="history", encoder="gru", random_state=0)
    model.set_params(n_folds=2).fit(X, y, treatment=t)
    assert model.effects_ is not None
    features = model._effect_features(*model._outcomes(X))
    assert features.shape == (1600, 3)
    assert np.corrcoef(model.effect(X), truth)[0, 1] > 0.9


def test_items_of_histories_alone_have_vectors_and_are_not_recommended(log):
    X = log.X.copy()
    X["history"] = X["history"].map(lambda h: [i + 1000 for i in h])
    model = make_model().fit(X, log.y, treatment=log.treatment)
    assert len(model.log_encoder_.items) == 60
    items = recommend(model, [1, 2, 3], k=60, exclude_seen=False)["item"]
    assert set(items) == set(range(30))
    other = X.assign(history=X["history"].map(lambda h: [1000 for _ in h]))
    assert (model.predict(X) != model.predict(other)).any()


def test_the_second_stage_sees_what_the_history_predicts():
    log = make_sequence_log(3000, random_state=1)
    model = CausalDNNRecommender(
        user="user", item="item", time="time", history="history", encoder="gru"
    )
    model.set_params(random_state=0, n_folds=2)
    X = log.X.drop(columns="history_gaps")
    effects = model.fit(X, log.y, treatment=log.treatment).effect(X)
    assert np.corrcoef(effects, log.effect)[0, 1] > 0.8


def test_order_is_learned():
    """On a log where it is all that counts, a mean of the items can't."""
    log = make_sequence_log(2500, random_state=2)
    error = {}
    for encoder in ("dnn", "lstm", "transformer"):
        model = make_model(encoder, max_epochs=30)
        model.fit(log.X, log.y, treatment=log.treatment)
        error[encoder] = np.mean((model.predict(log.X) - log.mu1) ** 2)
    assert max(error["lstm"], error["transformer"]) < error["dnn"] / 2


def test_partial_fit_adds_items_of_histories(log):
    model = make_model(history="history")
    X = log.X.drop(columns="history_gaps")
    model.partial_fit(X[:600], log.y[:600], treatment=log.treatment[:600])
    before = len(model.log_encoder_.items)
    more = X[600:].assign(history=[[5000, 5001]] * 600)
    model.partial_fit(more, log.y[600:], treatment=log.treatment[600:])
    assert len(model.log_encoder_.items) == before + 2
    assert np.isfinite(model.predict(more)).all()


def test_through_a_pipeline_and_a_search(log, enable_routing):
    scaler = ColumnTransformer(
        [("num", StandardScaler(), ["x1"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipe = make_pipeline(scaler, make_model())
    grid = {"causaldnnrecommender__encoder": ["dnn", "gru"]}
    search = GridSearchCV(pipe, grid, cv=2)
    search.fit(log.X, log.y, treatment=log.treatment)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert effect(search, log.X).shape == (1200,)


def test_from_a_log_through_history_sequence():
    rng = np.random.default_rng(0)
    events = pd.DataFrame({"user": rng.integers(0, 20, 600), "time": np.arange(600)})
    events["item"] = [f"i{k}" for k in rng.integers(0, 9, 600)]
    past = HistorySequence(length=5).fit(events).transform(events)
    X = pd.concat([events, past], axis=1)
    y, t = rng.normal(size=600), rng.integers(0, 2, 600)
    model = make_model("transformer").fit(X, y, treatment=t)
    assert np.isfinite(model.predict(X)).all()


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.floats(0, 1), st.integers(1, 9))
def test_the_simulator_keeps_its_promises(seed, order, length):
    log = make_sequence_log(300, order=order, length=length, random_state=seed)
    np.testing.assert_allclose(log.mu1 - log.mu0, log.effect)
    assert (log.X["history"].map(len) == log.X["history_gaps"].map(len)).all()
    assert log.X["history"].map(len).max() <= length
    gaps = [np.diff(cell) for cell in log.X["history_gaps"]]
    assert all((g <= 0).all() for g in gaps)  # oldest first


def test_without_order_swapping_the_past_changes_nothing_in_truth():
    """The match is of the composition alone: recomputed from the kinds."""
    log = make_sequence_log(3000, order=0.0, noise=0.0, random_state=0)
    parts = np.zeros((3000, 4))
    for i, cell in enumerate(log.X["history"]):
        for item in cell:
            parts[i, log.kind[item]] += 1 / len(cell)
    columns = parts[:, :, None] * np.eye(4)[log.kind[log.X["item"]]][:, None, :]
    A = np.column_stack([np.ones(3000), columns.reshape(3000, -1)])
    residual = log.effect - A @ np.linalg.lstsq(A, log.effect, rcond=None)[0]
    assert np.abs(residual).max() < 1e-8
