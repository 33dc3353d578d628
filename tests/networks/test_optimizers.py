"""Adam as torch has it where gradients are dense, and by rows in large id tables."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_causalrec import CausalDNNRecommender, load, save
from sklearn_causalrec.networks import net as net_module
from sklearn_causalrec.networks import optimizers
from sklearn_causalrec.networks.ensemble import Ensemble
from sklearn_causalrec.networks.id_tables import without_ids
from sklearn_causalrec.networks.optimizers import Adam
from sklearn_causalrec.networks.settings import RecommenderSettings


def small_model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
    )


def groups(model):
    first, _, last = model
    decayed = {"params": [first.weight, last.weight], "weight_decay": 0.1, "lr": 0.02}
    return [decayed, {"params": [first.bias, last.bias]}]


def run(model, optimizer, steps, frozen=()):
    draw = torch.Generator().manual_seed(len(steps))
    for step in steps:
        X = torch.randn(20, 3, generator=draw)
        optimizer.zero_grad()
        (model(X)[:, 0] - X[:, 0]).square().mean().backward()
        if step in frozen:
            model[0].bias.grad = None
        optimizer.step()


@pytest.fixture(params=["bare", "as torch"])
def way(request, monkeypatch):
    """Steps by the operation below torch's optimizer, and by that optimizer."""
    if request.param == "as torch":
        monkeypatch.setattr(optimizers, "runs_bare", lambda device: False)
    else:
        assert optimizers.runs_bare(torch.device("cpu"))  # or nothing is gained
    return request.param


def test_dense_steps_are_those_of_torch_to_the_last_bit(way):
    ours, theirs = small_model(), small_model()
    mine = Adam(groups(ours), lr=0.01)
    reference = torch.optim.Adam(groups(theirs), lr=0.01, fused=True)
    for model, optimizer in ((ours, mine), (theirs, reference)):
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
        run(model, optimizer, range(10))
        rates.step()
        run(model, optimizer, range(9), frozen=(2, 5))  # a weight without a gradient
    mine = pickle.loads(pickle.dumps((ours, mine)))
    ours, mine = copy.deepcopy(mine)
    run(ours, mine, range(8))
    run(theirs, reference, range(8))
    loaded = Adam(groups(ours), lr=0.01)
    loaded.load_state_dict(mine.state_dict())
    run(ours, loaded, range(7))
    mine.load_state_dict(loaded.state_dict())  # the counts it held are not these
    run(ours, mine, range(6))
    run(theirs, reference, range(7))
    run(theirs, reference, range(6))
    for p, q in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(p, q, rtol=0, atol=0)


def other_arguments(params, grads, lr):
    raise AssertionError("never called with these")


def other_meaning(params, grads, *rest, **options):
    torch._fused_adam_(params, grads, *rest, **{**options, "maximize": True})


@pytest.mark.parametrize("operation", [None, other_arguments, other_meaning])
def test_an_operation_that_torch_changes_is_not_called(operation, monkeypatch):
    ours, theirs = small_model(), small_model()
    run(theirs, torch.optim.Adam(groups(theirs), lr=0.01, fused=True), range(5))
    optimizers.runs_bare.cache_clear()
    monkeypatch.setattr(optimizers, "FUSED", operation)
    try:
        run(ours, Adam(groups(ours), lr=0.01), range(5))
        assert not optimizers.runs_bare(torch.device("cpu"))
    finally:
        optimizers.runs_bare.cache_clear()
    for p, q in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(p, q, rtol=0, atol=0)


def test_tables_and_dense_weights_move_alike_in_both_ways(log, monkeypatch):
    X, y = log
    bare = by_rows(monkeypatch, l2=1.0).fit(X, y)
    monkeypatch.setattr(optimizers, "runs_bare", lambda device: False)
    as_torch = by_rows(monkeypatch, l2=1.0).fit(X, y)
    np.testing.assert_array_equal(bare.predict(X), as_torch.predict(X))
    more, other = (model.partial_fit(X, y) for model in (bare, as_torch))
    np.testing.assert_array_equal(more.predict(X), other.predict(X))


def test_a_step_leaves_the_gradients_of_tables_where_they_are(way):
    table, dense = torch.nn.Embedding(4, 2, sparse=True), torch.nn.Linear(2, 1)
    optimizer = Adam([*table.parameters(), *dense.parameters()], lr=0.1)
    dense(table(torch.tensor([1, 3]))).sum().backward()
    optimizer.step()
    assert table.weight.grad.coalesce().indices().tolist() == [[1, 3]]
    optimizer.zero_grad()
    assert table.weight.grad is None and dense.weight.grad is None


def table_of(start, sparse):
    return torch.nn.Embedding.from_pretrained(
        start.clone(), freeze=False, sparse=sparse
    )


def test_rows_in_every_batch_move_as_adam_without_momentum():
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
    target = start.flip(0)
    tables = [table_of(start, sparse) for sparse in (True, False)]
    optimizers = [
        Adam(tables[0].parameters(), lr=0.05),
        torch.optim.Adam(tables[1].parameters(), lr=0.05, betas=(0.0, 0.999)),
    ]
    for _ in range(30):
        for table, optimizer in zip(tables, optimizers):
            optimizer.zero_grad()
            ids = torch.tensor([0, 1, 2, 3, 4, 5, 3, 3])
            (table(ids) - target[ids]).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(tables[0].weight, tables[1].weight, rtol=1e-9, atol=1e-9)
    assert (tables[0].weight - start).abs().min() > 0.1


def test_a_rare_row_goes_as_far_as_under_adam_itself():
    tables = [table_of(torch.zeros(2, 1), sparse) for sparse in (True, False)]
    lazy = Adam(tables[0].parameters(), lr=0.01)
    dense = torch.optim.Adam(tables[1].parameters(), lr=0.01)
    for step in range(1, 1201):
        for table, optimizer in ((tables[0], lazy), (tables[1], dense)):
            optimizer.zero_grad()
            rare = step % 100 == 0
            ids = torch.tensor([0, 1]) if rare else torch.tensor([0])
            if rare:
                table(ids)[1].sum().mul(-1 - step / 1000).backward()
            else:
                (0 * table(ids)).sum().backward()
            optimizer.step()
    far = [float(table.weight.detach()[1, 0]) for table in tables]
    assert far[0] == pytest.approx(far[1], rel=0.1)
    assert far[0] > 0.3  # twelve steps of 0.01 would be 0.12


def test_the_decay_is_a_prior_of_as_many_rows_for_rare_and_frequent_ids():
    rng = np.random.default_rng(0)
    counts = np.array([1, 2, 4, 8, 16, 32, 64, 129])
    user = np.repeat(np.arange(8), counts)
    y = rng.normal(size=8)[user] * 2 + 0.1 * rng.normal(size=len(user))
    n, l2 = len(user), 6.0
    table = table_of(torch.zeros(8, 1), True).double()
    optimizer = Adam(table.parameters(), lr=0.05, weight_decay=l2 / n)
    epochs = 120
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    ids, targets = torch.tensor(user), torch.tensor(y)
    for _ in range(epochs):
        for rows in torch.tensor(rng.permutation(n)).split(16):
            optimizer.zero_grad()
            (table(ids[rows])[:, 0] - targets[rows]).square().mean().backward()
            optimizer.step()
        rates.step()
    # Where the gradient of mean squared errors and of l2 / (2 n) sum p^2 is zero.
    expected = np.bincount(user, y) / (counts + l2 / 2)
    found = table.weight.detach()[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.abs(found - np.bincount(user, y) / counts)[:3].max() > 0.5


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 60, 600), rng.integers(0, 5, 600)
    X = pd.DataFrame({"user": user, "item": item, "x": rng.normal(size=600)})
    y = X["x"] + rng.normal(size=60)[user] + 0.3 * rng.normal(size=600)
    return X, y


def by_rows(monkeypatch, least=30, **options):
    monkeypatch.setattr(net_module, "LAZY_IDS", least)
    options = dict(max_epochs=4, random_state=0) | options
    return CausalDNNRecommender(user="user", item="item", **options)


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_large_tables_move_by_rows_and_travel(log, encoder, monkeypatch, tmp_path):
    X, y = log
    model = by_rows(monkeypatch, encoder=encoder).fit(X, y)
    module = model.nets_[0].module_
    assert module.vectors.user.sparse and not module.vectors.item.sparse
    state = model.nets_[0].optimizer_.state[module.vectors.user.weight]
    assert "exp_avg" not in state and int(state["moved"].max()) > 10
    again = by_rows(monkeypatch, encoder=encoder).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), again.predict(X))
    save(model, tmp_path / "model.crec")
    for other in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model.crec")):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        other.partial_fit(X, y)
        assert np.corrcoef(other.predict(X), y)[0, 1] > 0.8
        first = other.predict(X)
    more = X.assign(user=X["user"] + 1000)
    model.partial_fit(pd.concat([X, more]), pd.concat([y, y]))
    assert len(model.nets_[0].module_.vectors.user.weight) == 121
    assert np.corrcoef(model.predict(more), y)[0, 1] > 0.7
    assert not np.array_equal(first, model.predict(X))


def test_tables_that_are_small_or_penalised_by_l1_stay_dense(log, monkeypatch):
    X, y = log
    small = by_rows(monkeypatch, least=61, max_epochs=1).fit(X, y)
    for other in (small, by_rows(monkeypatch, l1=0.1, max_epochs=1).fit(X, y)):
        module = other.nets_[0].module_
        assert not module.vectors.user.sparse
        state = other.nets_[0].optimizer_.state[module.vectors.user.weight]
        assert "exp_avg" in state


def test_ids_that_no_batch_had_are_as_unseen_ones(log, monkeypatch):
    X, y = log
    held = X["user"] < 3  # in the table, and in no row that is kept
    model = by_rows(monkeypatch)
    model.fit(X, y)
    ensemble = trained_on(model, X, y, np.flatnonzero(~held))
    weight = ensemble.nets[0].module_.vectors.user.weight.detach()
    codes = model.log_encoder_.users.codes(np.arange(3))
    assert (weight[codes] == weight[-1]).all()
    others = np.setdiff1d(np.arange(60), codes)
    assert not (weight[others] == weight[-1]).all(1).any()
    torch.testing.assert_close(weight[-1], weight[others].mean(0))


def trained_on(model, X, y, kept):
    """Networks trained on some rows of the log of a model."""
    encoder = copy.deepcopy(model.log_encoder_)
    rows = encoder.fit_rows(model, X, y, None, None, None, first=False)
    ensemble = Ensemble(RecommenderSettings.of(model, "cpu"), encoder)
    ensemble.train(rows, [0], epochs=3, kept=kept)
    return ensemble


def test_removed_ids_leave_the_state_of_the_optimizer(log, monkeypatch):
    X, y = log
    model = by_rows(monkeypatch).fit(X, y)
    keep = np.ones(60, bool)
    keep[[4, 5]] = False
    without_ids(model.nets_, "user", keep)
    table = model.nets_[0].module_.vectors.user.weight
    state = model.nets_[0].optimizer_.state[table]
    assert len(table) == len(state["moved"]) == len(state["exp_avg_sq"]) == 59
