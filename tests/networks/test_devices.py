"""Columns on a device, chunks, blocks that fit: the same path, with a CPU as device."""

import warnings

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from sklearn_causalrec import CausalDNNRecommender, CounterfactualPolicy
from sklearn_causalrec import recommender as recommender_module
from sklearn_causalrec.encoding import streamed_log
from sklearn_causalrec.networks import batches, devices, net, optimizers, resident
from sklearn_causalrec.networks.batches import (
    SliceLoader,
    rate_of_batch,
    rows_a_batch,
)
from sklearn_causalrec.networks.devices import (
    CAPABILITIES,
    Capabilities,
    in_blocks,
    resolve_device,
)
from sklearn_causalrec.networks.resident import (
    Chunked,
    Packed,
    Resident,
    block_order,
    on_device,
)

APART = Capabilities(apart=True, pinned=False, most_rows=1024)


def columns(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    features[:, [0, 2, 3]] = rng.integers(0, 256, (n, 3))
    features[:, 5] = rng.integers(-1, 2, n)  # no byte, though whole numbers
    X = {
        "features": torch.from_numpy(features),
        "user": torch.from_numpy(rng.integers(0, 70_000, n)),
        "item": torch.from_numpy(rng.integers(0, 300, n)),
        "arm": torch.from_numpy(rng.integers(0, 2, n)),
        "weight": torch.from_numpy(rng.random(n)),
        "history": torch.from_numpy(rng.integers(-1, 20, (n, 4))),
    }
    return X, torch.arange(n).double()


def same(got, expected):
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(got[name], values, rtol=0, atol=0)


def test_columns_stand_in_their_smallest_types_and_come_back_bit_for_bit():
    X, y = columns()
    packed = Packed(X, y)
    types = {name: str(c.dtype)[6:] for name, c in packed.columns.items()}
    assert types == {
        "user": "int32", "item": "int16", "arm": "uint8", "weight": "float64",
        "history": "int16", "y": "float64", "bytes": "uint8", "rest": "float32",
    }  # fmt: skip
    given = sum(c.numel() * c.element_size() for c in [*X.values(), y])
    assert packed.nbytes < 0.6 * given
    for table in (Resident(packed, "cpu"), Chunked(packed, "cpu", 1e4)):
        rows = torch.tensor([5, 0, 999, 5])
        found, target = table.take(rows)
        same(found, {name: values[rows] for name, values in X.items()})
        assert target.tolist() == [5, 0, 999, 5]


@pytest.mark.parametrize("value", [float("nan"), -0.0, 256.0, 0.5, float("inf")])
def test_columns_that_no_byte_holds_stay_as_they_are(value):
    features = torch.ones(10, 3)
    features[4, 1] = value
    assert resident.small_columns(features).tolist() == [True, False, True]
    found, _ = Resident(Packed({"features": features}, features[:, 0]), "cpu").take(
        torch.arange(10)
    )
    assert found["features"].numpy().tobytes() == features.numpy().tobytes()


@pytest.mark.parametrize("subset", [False, True])
def test_chunks_give_every_row_once_in_a_new_order(subset):
    X, y = columns(3000)
    table = on_device(X, y, "cpu", room=60_000)
    assert isinstance(table, Chunked) and 256 <= table.ahead < 1000
    dataset = Dataset(table, y, length=len(y))
    rows = np.arange(0, 3000, 3) if subset else np.arange(3000)
    dataset = Subset(dataset, rows) if subset else dataset
    loader = SliceLoader(dataset, 100, True, torch.Generator().manual_seed(0))
    orders = []
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader)
        for batch, target in batches:
            same(batch, {k: v[target.long()] for k, v in X.items()})
        orders.append(torch.cat([target for _, target in batches]).numpy())
        np.testing.assert_array_equal(np.sort(orders[-1]), rows)
    assert (orders[0] != orders[1]).mean() > 0.9
    still = SliceLoader(dataset, 100)
    np.testing.assert_array_equal(torch.cat([t for _, t in still]).numpy(), rows)


def test_an_order_that_is_drawn_on_the_device_follows_the_seed(monkeypatch):
    X, y = columns(500)
    table = on_device(X, y, "cpu")
    dataset = Dataset(table, y, length=len(y))

    def orders(seed):
        generator = torch.Generator().manual_seed(seed)
        loader = SliceLoader(dataset, 50, True, generator)
        return [torch.cat([t for _, t in loader]).tolist() for _ in range(2)]

    for most in (500, 499):
        monkeypatch.setattr(batches, "CPU_ORDER", most)
        first, second = orders(1)
        assert [first, second] == orders(1)
        assert first != second and sorted(first) == sorted(second) == list(range(500))
        assert first != orders(2)[0]


def test_a_chunk_holds_rows_from_all_over_the_log():
    n, size = 64 * resident.BLOCK + 17, 16 * resident.BLOCK
    order = block_order(n, size, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    for start in range(0, n - size, size):
        part = order[start : start + size]
        assert np.ptp(part) > 0.7 * n  # nearly all of the log
        assert np.abs(np.corrcoef(part, np.arange(size))[0, 1]) < 0.1  # and mixed


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 5)).astype(np.float32)
    X[:, 2:] = X[:, 2:] > 0
    arm = (rng.random(1500) < 0.5).astype(int)
    return X, X[:, 0] + arm * (1 + X[:, 1]), arm


def fitted(log, **options):
    X, y, arm = log
    options = dict(max_epochs=4, effect_learner="t", random_state=0) | options
    return CausalDNNRecommender(**options).fit(X, y, treatment=arm)


@pytest.fixture(scope="module")
def plain(log):
    return fitted(log)


def test_a_log_on_a_device_trains_to_the_same_numbers(log, plain, monkeypatch):
    taken, take = [], Resident.take

    def counted(table, rows):
        taken.append(len(rows))
        return take(table, rows)

    monkeypatch.setitem(CAPABILITIES, "cpu", APART)
    monkeypatch.setattr(Resident, "take", counted)
    model = fitted(log)
    assert sum(taken) == 4 * 1500
    np.testing.assert_array_equal(model.effect(log[0]), plain.effect(log[0]))
    for mine, theirs in zip(model.history_, plain.history_):
        for name in ("train_loss", "valid_loss", "valid_score"):
            assert mine[name] == theirs[name]


def test_a_log_in_chunks_trains_as_well(log, plain, monkeypatch):
    monkeypatch.setitem(CAPABILITIES, "cpu", APART)
    monkeypatch.setattr(resident, "free_memory", lambda device: 20_000)
    model = fitted(log)
    mine, theirs = model.history_[-1], plain.history_[-1]
    assert mine["valid_loss"] == pytest.approx(theirs["valid_loss"], rel=0.3)
    assert mine["valid_loss"] != theirs["valid_loss"]
    again = fitted(log)
    np.testing.assert_array_equal(again.effect(log[0]), model.effect(log[0]))


def test_a_policy_trains_on_a_device(log, monkeypatch):
    X, y, arm = log
    options = dict(max_epochs=3, multipliers=[0.0], variance_penalty=1.0)
    made = CounterfactualPolicy(random_state=0, **options)
    given = dict(treatment=arm, propensity=np.full(len(y), 0.5))
    expected = made.fit(X, y, **given).predict_proba(X)
    monkeypatch.setitem(CAPABILITIES, "cpu", APART)
    np.testing.assert_array_equal(made.fit(X, y, **given).predict_proba(X), expected)


def test_auto_on_a_cpu_is_the_cpu_and_nothing_else(log, plain, monkeypatch):
    """Whatever `auto` might do on a GPU: with none, not a bit of a model moves."""
    monkeypatch.setattr(devices, "GPU_ROWS", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def never(*args, **kwargs):
        raise AssertionError("columns of a CPU stay where they are")

    monkeypatch.setattr(resident, "on_device", never)
    for name in ("auto", "cpu"):
        model = fitted(log, device=name)
        assert model.device_ == "cpu"
        np.testing.assert_array_equal(model.effect(log[0]), plain.effect(log[0]))
    # Nor do the leaner fetching and the leaner step: the plain ways give the same.
    monkeypatch.setattr(batches, "CHUNK_ROWS", 1)
    monkeypatch.setattr(optimizers, "runs_bare", lambda device: False)
    np.testing.assert_array_equal(fitted(log).effect(log[0]), plain.effect(log[0]))


def test_a_log_on_disk_trains_on_a_device(log, plain, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    X, y, arm = log
    names = list("abcde")
    columns = dict(zip(names, X.T)) | {"y": y, "arm": arm}
    table = arrow.table({name: arrow.array(c) for name, c in columns.items()})
    monkeypatch.setitem(CAPABILITIES, "cpu", APART)
    monkeypatch.setattr(streamed_log, "IN_MEMORY_BYTES", 0)
    made = dict(max_epochs=4, effect_learner="t", random_state=0)
    model = CausalDNNRecommender(**made).fit(table.to_batches(), "y", treatment="arm")
    assert model.device_ == "cpu"
    frame = table.select(names).to_pandas()
    np.testing.assert_allclose(model.effect(frame), plain.effect(X), atol=1e-4)


def test_a_log_on_disk_chooses_its_device_by_its_rows(log, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    X, y, _ = log
    asked = []

    def choose(device, n_rows, nets=()):
        asked.append(n_rows)
        return "cpu"

    monkeypatch.setattr(recommender_module, "resolve_device", choose)
    table = arrow.table({"a": X[:, 0], "y": y})
    CausalDNNRecommender(max_epochs=1).fit(table.to_batches(), "y")
    assert asked[-1] == 1500


def test_a_log_that_the_device_refuses_is_copied_in_chunks(log, plain, monkeypatch):
    def refuse(*args):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setitem(CAPABILITIES, "cpu", APART)
    monkeypatch.setattr(Resident, "__init__", refuse)
    with pytest.warns(UserWarning, match="copied there in chunks") as told:
        model = fitted(log)
    assert sum("in chunks" in str(w.message) for w in told) == 1
    assert model.history_[-1]["valid_loss"] < 2 * plain.history_[-1]["valid_loss"]


def test_blocks_halve_where_memory_runs_out_and_say_so_once(log, plain, monkeypatch):
    asked, infer = [], net.CausalNet.infer

    def short(self, x, **options):
        asked.append(len(x["features"]))
        if asked[-1] > 300:
            raise torch.OutOfMemoryError("no memory")
        return infer(self, x, **options)

    X, trained = {"features": torch.from_numpy(log[0])}, plain.nets_[0]
    expected = trained.outputs(X)
    monkeypatch.setattr(net.CausalNet, "infer", short)
    with pytest.warns(UserWarning, match=r"188 at once from here on") as told:
        found = trained.outputs(X)
    assert len(told) == 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert asked[:4] == [1500, 750, 375, 188]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.outputs(X)
    assert max(asked[-8:]) == 188
    del trained.rows_at_once


def test_a_row_too_large_for_the_device_is_an_error():
    def never(start, stop):
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        in_blocks(10, 8, never)


def test_auto_chooses_the_device_by_the_rows(monkeypatch):
    for there, few in ((False, "cpu"), (True, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert resolve_device("auto", devices.GPU_ROWS - 1) == few
        many = resolve_device("auto", devices.GPU_ROWS)
        assert many == ("cuda" if there else "cpu")
    assert resolve_device("cpu", 10**9) == "cpu"
    assert resolve_device("cuda", 10) == "cuda"
    goes_on = [type("Net", (), {"device": "cpu"})()]
    assert resolve_device("auto", 10**9, goes_on) == "cpu"


def test_larger_batches_of_a_device_learn_faster_and_those_asked_for_do_not():
    assert rows_a_batch("auto", 10**7) == 1024
    assert rate_of_batch("auto", 10**7) == 1
    assert rows_a_batch("auto", 10**7, "cuda") == 8192
    assert rate_of_batch("auto", 10**7, "cuda") == pytest.approx(8**0.5)
    assert rows_a_batch("auto", 5000, "cuda") == rows_a_batch("auto", 5000)
    assert rate_of_batch("auto", 5000, "cuda") == 1
    assert rows_a_batch(4096, 10**7, "cuda") == 4096
    assert rate_of_batch(4096, 10**7, "cuda") == 1


def test_the_rate_of_larger_batches_reaches_the_optimizer(log, monkeypatch):
    monkeypatch.setattr(devices, "GPU_ROWS", 0)
    many = Capabilities(apart=False, pinned=False, most_rows=64)
    monkeypatch.setitem(CAPABILITIES, "cpu", many)
    assert fitted(log, max_epochs=1).nets_[0].lr == pytest.approx(2e-3)


def test_fits_under_autocast_stay_close_and_give_numbers_in_full_precision(log, plain):
    with torch.autocast("cpu", torch.bfloat16):
        model = fitted(log)
    effect = model.effect(log[0])
    assert effect.dtype == plain.effect(log[0]).dtype
    mine, theirs = model.history_[-1], plain.history_[-1]
    assert mine["valid_loss"] == pytest.approx(theirs["valid_loss"], rel=0.1)
    assert mine["valid_loss"] != theirs["valid_loss"]
    assert np.abs(effect - plain.effect(log[0])).mean() < 0.05
