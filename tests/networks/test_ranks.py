"""One fit by two processes on this machine, against the fit of one process."""

import os
import re
import time

import numpy as np
import pytest

from sklearn_causalrec import CausalDNNRecommender, CounterfactualPolicy
from sklearn_causalrec._testing.ranks import run_ranks
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.networks import Implicit, WorkerError, checkpoints, distributed

ROWS = 400  # which train in double precision


def log(n=ROWS):
    return make_exposure_log(n, n_users=30, n_items=20, random_state=0)


def recommender(**changes):
    usual = dict(user="user", item="item", effect_learner="t", random_state=0)
    usual |= dict(max_epochs=2, batch_size=90, early_stopping=False)
    return CausalDNNRecommender(**usual | changes)


def clicks():
    data = log()
    return data.X.assign(time=np.arange(ROWS)), (data.y > data.y.mean()).astype(float)


def few_ids_a_batch():
    """Steps of 12 rows, so that a part of them has a gradient in few rows of tables."""
    model = recommender(batch_size=12, max_epochs=1)
    model.fit(log().X, log().y, treatment=log().treatment)
    return model.history_, model.predict(log().X)


def fits():
    """Of each kind of training: records of its epochs, and what it predicts."""
    data = log()
    X, y, shown = data.X, data.y, data.treatment
    weight = np.random.default_rng(1).exponential(size=ROWS)
    timed, clicked = clicks()

    def outcomes(model, **given):
        model.fit(X, y, **given)
        return model.history_, model.predict(X)

    def lists(model):
        model.fit(timed, clicked)
        return model.history_, model.predict(timed)

    def policy():
        model = CounterfactualPolicy(
            objective="poem", max_epochs=2, batch_size=90, random_state=0
        )
        numbers = X.select_dtypes(float)
        model.fit(numbers, y, treatment=shown, propensity=np.full(ROWS, 0.5))
        return model.history_, model.predict_proba(numbers)

    return {
        "two arms": outcomes(recommender(), treatment=shown),
        "weights, l1 and doubly robust": outcomes(
            recommender(objective="dr", l1=1.0),
            treatment=shown,
            sample_weight=weight,
        ),
        "rows of tables": few_ids_a_batch(),
        "a mean over the batch": outcomes(
            recommender(objective="snips"), treatment=shown, sample_weight=weight
        ),
        "pairs of one arm": outcomes(
            recommender(encoder="mf", objective="ips", exposure_model="head")
        ),
        "pairs inside of a batch": outcomes(
            recommender(objective="uplift_rank", item_features=None), treatment=shown
        ),
        "stopped early": outcomes(
            recommender(early_stopping=True, max_epochs=4, n_iter_no_change=1),
            treatment=shown,
        ),
        "positives": lists(recommender(objective=Implicit(), encoder="mf")),
        "windows": lists(
            recommender(objective=Implicit(), encoder="transformer", time="time")
        ),
        "a policy": policy(),
    }


def two_fit():
    from sklearn_causalrec.networks import ranks as module

    with distributed() as ranks:
        found = fits()
        module.SPARSE_FROM = 1  # and then: all tables of ids by their rows
        by_rows, plain = [], module.Ranks._average_rows

        def average(self, weights):
            left = plain(self, weights)
            by_rows.append(len(weights) - len(left))
            return left

        module.Ranks._average_rows = average
        found["rows of tables"] = few_ids_a_batch()
        assert sum(by_rows) > len(by_rows)  # most tables were sent so
        noisy = recommender(dropout=0.3, input_noise=0.1)
        noisy.fit(log().X, log().y, treatment=log().treatment)
        found["dropout"] = noisy.history_, noisy.predict(log().X)
        return repr(ranks), ranks.first, found


@pytest.fixture(scope="module")
def by_two():
    found = run_ranks(__file__, "two_fit")
    assert [kind for kind, _, _ in found] == ["returned"] * 2, found
    return [value for _, value, _ in found]


@pytest.fixture(scope="module")
def by_one():
    return fits()


def curve(history, name="train_loss"):
    return np.array([record[name] for record in history])


def test_two_processes_have_the_loss_curve_of_one(by_one, by_two):
    assert len(by_one) == 10
    for name, (history, predicted) in by_one.items():
        theirs, others = by_two[0][2][name]
        assert len(theirs) == len(history), name
        # sums in another order differ by 1e-12
        assert np.allclose(curve(theirs), curve(history), rtol=1e-7), name
        valid = curve(theirs, "valid_loss"), curve(history, "valid_loss")
        assert np.allclose(*valid, rtol=1e-7, equal_nan=True), name
        assert np.allclose(others, predicted, rtol=1e-5, atol=1e-7), name
    assert np.ptp(curve(by_one["two arms"][0])) > 0.01  # something was learned


def test_all_ranks_end_with_the_same_model(by_two):
    (first, is_first, ours), (second, is_too, theirs) = by_two
    assert (first, second) == ("rank 0 of 2", "rank 1 of 2")
    assert is_first and not is_too
    for name in ours:
        assert np.array_equal(ours[name][1], theirs[name][1]), name
        assert np.array_equal(curve(ours[name][0]), curve(theirs[name][0])), name
    assert "dropout" in ours


def test_ranks_draw_different_dropout():
    from sklearn_causalrec.networks.generators import RankGenerators

    drawn = []
    for rank, batches in ((0, 0), (1, 0), (0, 1), (0, 0)):
        own = RankGenerators(5, rank, batches)
        own.drew = True
        with own.each_batch():
            import torch

            drawn.append(torch.rand(8).tolist())
    assert drawn[0] == drawn[3]
    assert len({tuple(one) for one in drawn}) == 3


# -- what goes wrong ------------------------------------------------------------------


def other_rank():
    return os.environ["RANK"] == "1"


def _told(call):
    try:
        with distributed(timeout=120):
            call()
    except (WorkerError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def all_that_fails():
    """What each mistake tells this rank; a meeting follows each, so none is left."""
    import pandas as pd

    from sklearn_causalrec.networks import ranks as module

    module.GRACE = 1.0
    data, other = log(), other_rank()
    X, y, shown = data.X, data.y, data.treatment

    def no_file():
        frame = pd.read_parquet("absent.parquet") if other else X
        recommender().fit(frame, y, treatment=shown)

    def fewer_rows():
        n = 300 if other else ROWS
        recommender().fit(X[:n], y[:n], treatment=shown[:n])

    def other_values():
        recommender().fit(X, y + other, treatment=shown)

    def other_parameters():
        recommender(learning_rate=0.01 if other else 0.02).fit(X, y, treatment=shown)

    def other_seed():
        recommender(random_state=int(other)).fit(X, y, treatment=shown)

    def fewer_networks():
        model = recommender(n_estimators=1 if other else 2)
        model.fit(X, y, treatment=shown)

    def late_error():
        recommender().fit(X, y, treatment=shown)
        if other:
            raise ValueError("no space left")

    found, ports = {}, os.environ["PORTS"].split()
    for call in (
        no_file, fewer_rows, other_values, other_parameters, other_seed,
        fewer_networks, late_error,
    ):  # fmt: skip
        os.environ["MASTER_PORT"] = ports.pop()
        found[call.__name__] = _told(call)
    return found


def killed():
    calls, last = [], [0.0]
    from sklearn_causalrec.networks.net import CausalNet

    plain = CausalNet.train_step

    def step(self, *args, **kwargs):
        calls.append(1)
        last[0] = time.monotonic()
        if len(calls) == 3 and other_rank():
            os._exit(9)
        return plain(self, *args, **kwargs)

    CausalNet.train_step = step
    data = log()
    with distributed(timeout=120):
        try:
            recommender().fit(data.X, data.y, treatment=data.treatment)
        except WorkerError as error:
            raise WorkerError(
                f"{error} after {time.monotonic() - last[0]:.2f} s"
            ) from error


@pytest.fixture(scope="module")
def failures():
    found = run_ranks(__file__, "all_that_fails")
    assert [kind for kind, _, _ in found] == ["returned"] * 2, found
    return [value for _, value, _ in found]


@pytest.mark.parametrize(
    "mistake, said, by_itself",
    [
        ("no_file", "Rank 1 failed: FileNotFoundError: .*absent.parquet", True),
        ("fewer_rows", "Rank 1 has other rows than rank 0: 300 rows", False),
        ("other_values", "Rank 1 has other rows than rank 0", False),
        ("other_parameters", "Rank 1 has other parameters than rank 0", False),
        ("other_seed", "Rank 1 has other seeds than rank 0.*random_state", False),
        ("fewer_networks", "Rank 1 has ended, and rank 0 trains another", None),
        ("late_error", "Rank 1 failed: ValueError: no space left", True),
    ],
)
def test_a_rank_that_differs_or_fails_is_named_by_all(
    failures, mistake, said, by_itself
):
    ours, theirs = (told[mistake] for told in failures)
    assert re.match(f"WorkerError: {said}", ours), ours
    if by_itself is True:  # its own error
        assert re.match("(FileNotFoundError|ValueError): ", theirs), theirs
    elif by_itself is False:
        assert theirs == ours
    else:
        assert re.match("WorkerError: Rank 0 gave up: Rank 1 has ended", theirs), theirs


def test_a_rank_that_is_killed_ends_the_others():
    (kind, said, _), (died, code, _) = run_ranks(__file__, "killed")
    assert (died, code) == ("died", 9)
    assert kind == "raised" and said.startswith("WorkerError: "), said
    assert "lost the others" in said
    assert float(re.search("after ([0-9.]+) s", said)[1]) < 5


def test_one_process_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed() as ranks:
        assert (ranks.rank, ranks.size, ranks.first) == (0, 1, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(WorkerError, match="torchrun"), distributed():
        pass


# -- elastic restart ------------------------------------------------------------------


def worker_that_dies_once(folder):
    """As a process of torchrun: the second rank is killed in the middle of an epoch."""
    import torch

    from sklearn_causalrec.networks.net import CausalNet

    torch.set_num_threads(1)
    calls, plain = [], CausalNet.train_step
    again = os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"

    def step(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 8 and other_rank() and not again:
            os._exit(9)
        return plain(self, *args, **kwargs)

    CausalNet.train_step = step
    data = log()
    with distributed(timeout=120), checkpoints(folder, every=0):
        model = recommender().fit(data.X, data.y, treatment=data.treatment)
    return len(calls), model.history_, model.predict(data.X)


def elastic():
    import tempfile

    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.pop("RANK"), os.environ.pop("WORLD_SIZE")
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=2, max_restarts=1, run_id="test",
            rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", start_method="fork",
            monitor_interval=0.05,
        )  # fmt: skip
        found = elastic_launch(config, worker_that_dies_once)(folder)
        return found, os.listdir(folder)


def test_a_worker_that_is_killed_is_restarted_and_nothing_is_lost(by_one):
    """torchrun's own agent, in a forked process: killed at step 8 of 10."""
    ((kind, told, _),) = run_ranks(__file__, "elastic", size=1)
    assert kind == "returned", told
    found, left = told
    assert left == []
    history, predicted = by_one["two arms"]
    for calls, theirs, others in found.values():
        assert calls in (3, 4), calls  # seven or six of ten steps were not done again
        assert np.allclose(curve(theirs), curve(history), rtol=1e-7)
        assert np.allclose(others, predicted, rtol=1e-5, atol=1e-7)
