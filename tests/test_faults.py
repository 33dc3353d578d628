"""Ctrl-C, no memory, a full disk, forks and threads: what was there before stays."""

import copy
import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect, load, save
from sklearn_causalrec._testing.faults import after_an_interrupt, bits, interrupted
from sklearn_causalrec._utils.process import Shared
from sklearn_causalrec.encoding.checks import unchanged_on_failure

IDS = dict(user="user", item="item")


def log(seed, n=200):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["user"], X["item"] = rng.integers(0, 20, n), rng.integers(0, 15, n)
    t = rng.integers(0, 2, n)
    return X, (X["a"] + t * (1 + X["b"]) + rng.normal(size=n)).to_numpy(), t


@pytest.fixture(scope="module")
def model():
    X, y, t = log(0)
    made = CausalDNNRecommender(
        hidden_layer_sizes=(8,), max_epochs=3, n_folds=2, random_state=0, **IDS
    )
    return made.fit(X, y, treatment=t)


def refit(model):
    X, y, t = log(1)
    return model.fit(X, y, treatment=t)


def further(model):
    X, y, t = log(1)
    return model.partial_fit(X, y, treatment=t)


# -- Ctrl-C ----------------------------------------------------------------------------


@pytest.mark.parametrize("again", [refit, further])
@pytest.mark.parametrize("delay", [0.002, 0.03, 0.08])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_interrupt_leaves_the_old_model(model, again, delay):
    found = after_an_interrupt(model, again, delay)
    assert found in ("old", "new", "over")
    if delay == 0.002:
        assert found == "old"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, MemoryError, ValueError]
)
def test_whatever_ends_a_fit_gives_the_old_state_back(error):
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    before = dict(vars(model))
    with pytest.raises(error):
        with unchanged_on_failure(model):
            model.coef_, model.more_ = None, 3
            del model.intercept_
            raise error
    assert vars(model) == before and list(vars(model)) == list(before)


def test_an_interrupt_waits_for_the_threads_of_a_fit():
    """What threads do after it would be seen in filters, files and the processor."""
    from threading import Event, Thread

    shared, started, go_on, ended = Shared(), Event(), Event(), []

    def task():
        with shared.task():
            started.set()
            go_on.wait(10)
        ended.append(1)

    thread = Thread(target=task)
    thread.start()
    started.wait(10)
    Thread(target=lambda: (started.wait(), go_on.set())).start()
    with pytest.raises(KeyboardInterrupt):
        with shared.waited_for():
            raise KeyboardInterrupt
    assert go_on.is_set()
    thread.join(10)
    assert ended
    with pytest.raises(KeyboardInterrupt):  # and does not, where none is at it
        with shared.waited_for():
            raise KeyboardInterrupt


def test_the_sender_of_interrupts_sends_them():
    assert interrupted(lambda: signal.pause(), 0.01)
    assert not interrupted(lambda: None, 5)


# -- memory and disks ------------------------------------------------------------------


def in_a_fork(work):
    """The exit status of some work in a child of this process."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_memory_leaves_the_old_model(model):
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]

    def work():
        old = copy.deepcopy(model)
        before, X = bits(old), np.zeros((40_000, 300), np.float32)
        y = np.arange(40_000) % 7 * 1.0
        held = int(Path("/proc/self/statm").read_text().split()[0])
        limit = held * resource.getpagesize() + (40 << 20)  # X alone has 48 MB
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            old.set_params(user=None, item=None).fit(X, y)
        except MemoryError:
            pass
        except RuntimeError as error:  # torch's word for it
            if "memory" not in str(error):
                return 2
        else:
            return 3
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        old.set_params(**IDS)
        return 0 if bits(old) == before else 4

    assert in_a_fork(work) == 0


def test_a_disk_that_fills_leaves_the_old_file(model, tmp_path):
    path = tmp_path / "m"
    save(model, path)
    before = path.read_bytes()

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = len(before) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            save(model, path)
        except OSError:
            return 0
        return 3

    assert in_a_fork(work) == 0
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    assert bits(load(path)) == bits(model)


# -- processes and threads -------------------------------------------------------------


def answers(model):
    X = log(2)[0]
    by_effect = model.recommend(k=3, by="effect", exclude_seen=False)
    by_outcome = model.recommend(k=3, by="outcome")
    low, high = model.effect_interval(X[:20])
    return [
        model.predict(X), model.effect(X), low, high, model.predict(X, 1),
        by_effect.to_numpy(float), by_outcome.to_numpy(float), model.ate_interval(),
        model.pair_scores(by="outcome").__class__.__name__,
    ]  # fmt: skip


def same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        np.testing.assert_array_equal(one, other)


def test_eight_threads_on_one_model_answer_as_one(model):
    fresh = copy.deepcopy(model)  # nothing in it was asked for so far
    wanted = answers(model)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(answers, [fresh] * 16):
            same(found, wanted)
    same(answers(fresh), wanted)


def test_eight_threads_on_an_effect_from_a_graph():
    X, y, t = log(0)
    made = DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
        effect_model=LinearRegression(), cv=2, random_state=0,
    ).fit(X[["a", "b"]], y, treatment=t)  # fmt: skip

    def ask(model):
        rows = log(2)[0][["a", "b"]]
        return [model.effect(rows), model.ate_interval(), *model.effect_interval(rows)]

    wanted = ask(copy.deepcopy(made))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(ask, [made] * 16):
            same(found, wanted)


def test_a_forked_child_answers_as_its_parent(model):
    """tests/test_threads.py asks one that was spawned."""
    wanted = answers(model)

    def work():
        same(answers(model), wanted)
        return 0

    assert in_a_fork(work) == 0
