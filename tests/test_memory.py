"""What a fit holds in memory for each row of its log, and what it computes so."""

import gc
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from skorch.dataset import Dataset

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec._utils.memory import MANY_ROWS, _trim, give_back
from sklearn_causalrec._utils.small import permuted, smallest
from sklearn_causalrec.effects.cross_fitting import stratified_folds
from sklearn_causalrec.effects.intervals import summarize_overlap
from sklearn_causalrec.effects.overlap import told_by
from sklearn_causalrec.encoding.arms import arm_codes, distinct_arms
from sklearn_causalrec.encoding.checks import refuse_large
from sklearn_causalrec.encoding.log_encoder import LogEncoder, Rows
from sklearn_causalrec.encoding.moments import weighted_moments
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.encoding.streamed_log import read_stream
from sklearn_causalrec.encoding.streams import LogStream
from sklearn_causalrec.networks.batches import SETTLED, held_out_rows, others, settle
from sklearn_causalrec.networks.net import CausalNet
from sklearn_causalrec.networks.streamed import Columns, StreamedLoader, TensorColumn

FEW, MANY = 140_000, 350_000  # of more than a block, which costs once


class Quiet(BaseEstimator):
    verbose = 0


def bytes_a_row(work):
    """Bytes that a row more costs: at the peak of the work, and of its result."""
    found = []
    for n in (FEW, MANY):
        ready = work(n)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = ready()
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found.append((peak - before, now - before))
        del kept
    few, many = np.array(found)
    return (many - few) / (MANY - FEW)


def test_a_streamed_log_is_encoded_in_twenty_bytes_a_row(tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.dataset")
    monkeypatch.setattr("sklearn_causalrec.encoding.streamed_log.IN_MEMORY_BYTES", 0)

    def batches(n):
        for start in range(0, n, 10_000):
            rng = np.random.default_rng(start)
            X = rng.standard_normal((10_000, 3), np.float32)
            columns = dict(a=X[:, 0], b=X[:, 1], y=X[:, 2])
            columns["shown"] = rng.integers(0, 2, len(X)).astype(np.int8)
            yield arrow.record_batch(columns)

    def work(n):
        folder = tmp_path / str(n)
        folder.mkdir()
        names = dict(y="y", treatment="shown")
        stream = LogStream(lambda: batches(n), names, folder)
        return lambda: read_stream(LogEncoder(ColumnRoles(), False), Quiet(), stream)

    peak, kept = bytes_a_row(work)
    assert kept < 8  # outcomes in four, arms in one, whether it has a weight
    assert peak < 21  # where arms are found: 13 before the codes in eight


def test_rows_to_train_on_are_chosen_in_twenty_bytes_a_row():
    def work(n):
        rows, kept = Rows(np.zeros((n, 0), np.float32)), np.arange(n, dtype=np.int32)
        return lambda: others(kept, held_out_rows(rows, kept, 0.1, 0))

    peak, kept = bytes_a_row(work)
    assert kept < 4
    assert peak < 16  # 8 + 8 + 4 by np.setdiff1d and a permutation of int64


def test_folds_are_drawn_in_eight_bytes_a_row():
    def work(n):
        arm = np.random.default_rng(0).integers(0, 3, n).astype(np.uint8)
        return lambda: stratified_folds(arm, 3, np.random.RandomState(0))

    peak, kept = bytes_a_row(work)
    assert kept < 1.1
    assert peak < 8  # 40 by sorting


def test_overlap_is_told_one_arm_at_a_time():
    def work(n):
        rng = np.random.default_rng(0)
        rows = Rows(np.zeros((n, 0), np.float32), arm=np.arange(n) % 4)
        rows.weight, exposure = rng.uniform(size=n), rng.uniform(size=n)
        return lambda: summarize_overlap(rows, exposure, np.arange(4), 0.01)

    peak, _ = bytes_a_row(work)
    assert peak < 8  # a byte, and three numbers of each row of an arm; 15 of all rows


def test_no_fit_imports_the_compiler_of_torch():
    code = """
import sys
import numpy as np
from sklearn_causalrec import CausalDNNRecommender

X = np.random.default_rng(0).normal(size=(200, 2))
treatment = np.arange(200) % 2
model = CausalDNNRecommender(max_epochs=2, random_state=0)
model.fit(X, X[:, 0] + treatment, treatment=treatment).predict(X, treatment)
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"], done.stderr


def resident():
    """Bytes of the process that stand in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(_trim() is None, reason="the C library has no malloc_trim")
def test_what_was_freed_is_given_back():
    pieces = [np.ones(12_000) for _ in range(1000)]  # of the heap: smaller than a map
    pieces = pieces[::10]
    give_back(MANY_ROWS - 1)  # too few rows to be worth it
    before = resident()
    give_back(MANY_ROWS)
    assert before - resident() > 60e6  # of the 86 MB between the pieces
    assert sum(piece.sum() for piece in pieces) == 1.2e6


def test_a_log_in_memory_is_not_copied_to_find_copies():
    p = 40
    rng = np.random.default_rng(0)
    X = rng.standard_normal((MANY, p), np.float32)

    def work(n):
        t, y = (X[:n, 0] > 0).astype(np.int8), X[:n, 1] + 1
        encoder = LogEncoder(ColumnRoles(), False)
        return lambda: encoder.fit_rows(Quiet(), X[:n], y, t, None, None)

    peak, _ = bytes_a_row(work)
    assert peak < 60  # 240 where all were written out in their units


# -- the same numbers ------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 100_001])
@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_permutations_are_those_of_the_generator(n, make):
    mine, theirs = make(3), make(3)
    found = permuted(n, mine)
    assert found.dtype == np.int32
    assert np.array_equal(found, theirs.permutation(n))
    assert mine.uniform() == theirs.uniform()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool])
def test_folds_are_those_of_a_sort_by_arm(kind):
    arm = np.random.default_rng(0).integers(0, 2, 150_000).astype(kind)
    order = np.random.RandomState(5).permutation(len(arm))
    expected = np.empty(len(arm), int)
    by_arm = order[np.argsort(arm[order], kind="stable")]
    expected[by_arm] = np.arange(len(arm)) % 4
    assert np.array_equal(stratified_folds(arm, 4, np.random.RandomState(5)), expected)


def test_others_are_those_not_held_out_in_their_order():
    rng = np.random.default_rng(0)
    for kept in (np.arange(200_000), rng.permutation(300_000)[:200_000]):
        held = np.sort(rng.choice(kept, 20_000, replace=False))
        expected = np.setdiff1d(kept, held, assume_unique=True)
        assert np.array_equal(others(kept, held), expected)
    assert np.array_equal(others(np.arange(5), np.arange(0)), np.arange(5))


@pytest.mark.parametrize(
    "values",
    [[3, 1, 2, 1], [0.5, -0.0, 0.0, 2.5], ["b", "a", "b", "c"], [True, False], [1, 1]],
)
def test_arms_are_those_of_unique(values):
    treatment = np.resize(np.array(values, object if "a" in values else None), 70_000)
    arms, codes = distinct_arms(treatment)
    expected, places = np.unique(treatment, return_inverse=True)
    assert arms.tolist() == expected.tolist() and codes.dtype == np.int64
    assert np.array_equal(codes, places)
    assert np.array_equal(arm_codes(treatment, arms), places)


def test_moments_are_those_of_the_type_that_values_came_in():
    y = 4096 + np.arange(2000) % 5 * 2.0**-11  # float32 holds these exactly
    small = smallest(y)
    assert small.dtype == np.float32 and np.array_equal(small, y)
    weight = np.ones(len(y))
    whole = weighted_moments(y[:, None], weight)
    assert whole[1][0] == pytest.approx(y.std(), rel=1e-6)
    even = np.broadcast_to(1.0, len(y))
    for given in (weight, even):
        found = weighted_moments(small[:, None], given, np.float64)
        assert [x[0] for x in found] == [x[0] for x in whole]
    assert weighted_moments(small[:, None], weight)[1][0] == 1  # lost in float32


@pytest.mark.parametrize("bad", [1e101, -1e101, np.inf])
def test_large_values_are_found_beside_gaps(bad):
    values = np.array([np.nan, 1.0, -2.0, np.nan])
    assert refuse_large(values, "y") is values
    assert len(refuse_large(values[:0], "y")) == 0
    values[2] = bad
    with pytest.raises(ValueError, match="in row 2"):
        refuse_large(values, "y")


# -- training --------------------------------------------------------------------------


def test_one_buffer_is_gone_before_the_next_is_read(monkeypatch):
    place = "sklearn_causalrec.networks.streamed."
    monkeypatch.setattr(place + "BUFFER_BYTES", 4 * 3 * 64)
    monkeypatch.setattr(place + "BLOCK_ROWS", 16)
    X = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    columns = Columns(features=TensorColumn(X, None))
    data = Dataset(columns, TensorColumn(np.arange(1000.0, dtype=np.float32), None))
    generator = torch.Generator().manual_seed(0)
    loader = StreamedLoader(data, 32, shuffle=True, generator=generator)
    read, alive = loader._read, []

    def watched(spans):
        gc.collect()
        assert not any(buffer() is not None for buffer in alive)
        found = read(spans)
        alive.append(weakref.ref(found[0]["features"]))
        return found

    monkeypatch.setattr(loader, "_read", watched)
    seen = []
    for batch, y in loader:
        assert np.array_equal(batch["features"].numpy(), X[y.numpy().astype(int)])
        seen.append(y)
        del batch, y
    assert len(alive) == 16  # of 64 rows
    assert sorted(torch.cat(seen).tolist()) == list(range(1000))


def test_losses_of_batches_become_numbers(monkeypatch):
    losses = [torch.tensor(0.1), torch.tensor(0.2)]
    settle(losses)
    assert losses == [float(np.float32(0.1)), float(np.float32(0.2))]
    losses.append(torch.tensor(0.3))
    settle(losses)
    assert losses[2] == float(np.float32(0.3)) and len(losses) == 3
    settle(losses)
    assert len(losses) == 3

    tensors, steps = [], CausalNet.steps_of

    def watched(self, iterator, training, losses, sizes):
        for batch in steps(self, iterator, training, losses, sizes):
            tensors.append(sum(map(torch.is_tensor, losses)))
            yield batch

    monkeypatch.setattr(CausalNet, "steps_of", watched)
    X = pd.DataFrame(dict(x=np.random.default_rng(0).normal(size=3 * SETTLED)))
    CausalDNNRecommender(batch_size=1, max_epochs=1, random_state=0).fit(X, X.x)
    assert len(tensors) > 2 * SETTLED and max(tensors) < SETTLED


def test_many_rows_are_predicted_as_few_are(monkeypatch):
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(900, 3)), rng.integers(0, 2, 900)
    X, y = X.astype(np.float32), X[:, 0] + t
    given = dict(max_epochs=2, effect_learner="t", n_estimators=2, random_state=0)
    whole = CausalDNNRecommender(**given).fit(X, y, treatment=t)
    rows = whole.log_encoder_.rows(whole, X)
    few = whole._ensemble.predict(rows), whole._ensemble.predict(rows, np.arange(5))
    monkeypatch.setattr("sklearn_causalrec.networks.net.INFERENCE_ROWS", 100)
    monkeypatch.setattr("sklearn_causalrec.networks.ensemble.PREDICTED_ROWS", 200)
    index = rng.permutation(900)
    for rows_of in (None, index):
        found = whole._ensemble.predict(rows, rows_of)
        for part, expected in zip(found, few[0]):
            expected = expected if rows_of is None else expected[index]
            assert part.dtype == expected.dtype
            assert np.allclose(part, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [1, 20_000, 20_001, 3_000_000])
def test_where_overlap_is_poor_is_told_by_a_bounded_part(n):
    few = range(n)[told_by(n)]
    assert min(n, 10_000) <= len(few) <= 20_000
    assert few[-1] > 0.99 * n - 1 - 3  # from all over the log
