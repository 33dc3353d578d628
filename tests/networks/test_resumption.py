"""Fits that are interrupted go on from their checkpoints, bit for bit."""

import os
import warnings

import numpy as np
import pytest
import torch

from sklearn_causalrec import CausalDNNRecommender, CounterfactualPolicy
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.networks import Implicit, checkpoints
from sklearn_causalrec.networks.net import CausalNet
from sklearn_causalrec.networks.retrieval_net import RetrievalNet
from sklearn_causalrec.privacy import PrivacyBudget

LOG = make_exposure_log(400, n_users=30, n_items=20, random_state=0)
CLICKED = (LOG.y > LOG.y.mean()).astype(float)


def recommender(**changes):
    usual = dict(user="user", item="item", effect_learner="t", random_state=0)
    usual |= dict(max_epochs=3, batch_size=90, early_stopping=False)
    return CausalDNNRecommender(**usual | changes)


def noisy():
    model = recommender(dropout=0.2, input_noise=0.1, n_estimators=2)
    return model.fit(LOG.X, LOG.y, treatment=LOG.treatment)


def stopping():
    model = recommender(
        early_stopping=True, n_iter_no_change=1, tol=0.2, max_epochs=6,
        learning_rate_schedule="plateau", optimizer="sgd",
    )  # fmt: skip
    return model.fit(LOG.X, LOG.y, treatment=LOG.treatment)


def pairs():
    schedule = dict(
        learning_rate_schedule="cosine",
        encoder="mf",
        objective="ips",
        exposure_model="head",
    )
    return recommender(**schedule).fit(LOG.X, LOG.y)


def positives():
    model = recommender(objective=Implicit(loss="bpr"), encoder="mf", input_noise=0.1)
    return model.fit(LOG.X, CLICKED)


def policy():
    model = CounterfactualPolicy(
        objective="poem", max_epochs=3, batch_size=90, random_state=0
    )
    numbers = LOG.X.select_dtypes(float)
    return model.fit(numbers, LOG.y, LOG.treatment, np.full(400, 0.5))


class Killed(BaseException):
    """What stands for the end of a process."""


@pytest.fixture
def steps(monkeypatch):
    """Counts steps, and kills after the number that it is told."""
    told = dict(done=0, last=np.inf)
    for kind in (CausalNet, RetrievalNet):

        def step(self, *args, plain=kind.train_step, **kwargs):
            if told["done"] >= told["last"]:
                raise Killed
            told["done"] += 1
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(kind, "train_step", step)
    return told


def same(one, other):
    """Equal bit for bit, but for the seconds."""
    strip = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in m.history_]
        for m in (one, other)
    ]
    assert str(strip[0]) == str(strip[1])
    a = LOG.X if hasattr(one, "user") and one.user else LOG.X.select_dtypes(float)
    ask = "predict_proba" if isinstance(one, CounterfactualPolicy) else "predict"
    assert np.array_equal(getattr(one, ask)(a), getattr(other, ask)(a))


@pytest.mark.parametrize("fit", [noisy, stopping, pairs, positives, policy])
def test_a_fit_that_goes_on_is_the_one_that_was_never_interrupted(fit, steps, tmp_path):
    whole = fit()
    total, steps["done"] = steps["done"], 0
    # in the first epoch, at the end of an epoch, and far on, one after the other
    for last in (2, 5, total - 3):
        steps["last"] = last
        with pytest.raises(Killed), checkpoints(tmp_path, every=0):
            fit()
        assert steps["done"] == last  # nothing was done twice
        assert not list(tmp_path.glob("*.part"))
    steps["last"] = np.inf
    with checkpoints(tmp_path, every=0):
        resumed = fit()
        assert steps["done"] == total
        again = fit()  # read from the ends of the trainings
        assert steps["done"] == total
    same(whole, resumed)
    same(whole, again)
    assert os.listdir(tmp_path) == []


def test_partial_fit_goes_on_too(steps, tmp_path):
    def go_on():
        return recommender().fit(LOG.X[:300], LOG.y[:300]).partial_fit(LOG.X, LOG.y)

    whole = go_on()
    total, steps["done"] = steps["done"], 0
    steps["last"] = total - 2
    with pytest.raises(Killed), checkpoints(tmp_path, every=0):
        go_on()
    steps["last"] = np.inf
    with checkpoints(tmp_path, every=0):
        same(whole, go_on())
    assert steps["done"] == total


def test_seconds_between_checkpoints(tmp_path, monkeypatch):
    from sklearn_causalrec.networks.resumption import Keeper

    written, plain = [], Keeper.write

    def write(self, path, state):
        written.append(state["over"])
        plain(self, path, state)

    monkeypatch.setattr(Keeper, "write", write)
    with checkpoints(tmp_path, every=1e6):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    assert written == [True]


def test_another_fit_is_not_gone_on_with(steps, tmp_path):
    steps["last"] = 4
    with pytest.raises(Killed), checkpoints(tmp_path, every=0):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    left = os.listdir(tmp_path)
    steps["last"] = np.inf
    y = LOG.y.copy()
    y[0] += 1
    for model, outcome in (
        (recommender(random_state=1), LOG.y),
        (recommender(l1=1e-9), LOG.y),
        (recommender(max_epochs=4), LOG.y),
        (recommender(), y),
    ):
        steps["done"] = 0
        with pytest.warns(UserWarning, match="none is of this fit"):
            with checkpoints(tmp_path, every=1e6):
                model.fit(LOG.X, outcome, LOG.treatment)
        assert steps["done"] == 5 * model.max_epochs
    assert os.listdir(tmp_path) == left
    with warnings.catch_warnings(), checkpoints(tmp_path):
        warnings.simplefilter("error")
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_damaged_is_named(steps, tmp_path):
    steps["last"] = 4
    with pytest.raises(Killed), checkpoints(tmp_path, every=0):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    steps["last"] = np.inf
    with pytest.raises(ValueError, match=f"{file.name}.*remove it"):
        with checkpoints(tmp_path):
            recommender().fit(LOG.X, LOG.y, LOG.treatment)


def test_a_checkpoint_runs_no_code(steps, tmp_path):
    steps["last"] = 4
    with pytest.raises(Killed), checkpoints(tmp_path, every=0):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    (file,) = tmp_path.iterdir()

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"format": 1, "module": Evil()}, file)
    with pytest.raises(ValueError, match="cannot be read"), checkpoints(tmp_path):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    assert not (tmp_path / "ran").exists()


def test_a_disk_that_is_full_leaves_the_checkpoint_before(steps, tmp_path, monkeypatch):
    steps["last"] = 4
    with pytest.raises(Killed), checkpoints(tmp_path, every=0):
        recommender().fit(LOG.X, LOG.y, LOG.treatment)
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    steps["last"] = np.inf
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"), checkpoints(tmp_path, every=0):
            recommender().fit(LOG.X, LOG.y, LOG.treatment)
    assert [f.name for f in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_blocks_are_not_nested_and_private_fits_are_refused(tmp_path):
    with checkpoints(tmp_path):
        with pytest.raises(RuntimeError, match="inside of another"):
            with checkpoints(tmp_path):
                pass
        budget = PrivacyBudget(3.0, 1e-5, unit="row", ranges=(-5, 5), outcome=(1, 5))
        numbers = LOG.X.select_dtypes(float)
        with pytest.raises(ValueError, match=r"private= and checkpoints\(\)"):
            CausalDNNRecommender(private=budget).fit(numbers, LOG.y)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError), checkpoints(file):
        pass
