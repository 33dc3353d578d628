"""Networks of folds: how long they train, and by what batches."""

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.networks.ensemble import Ensemble


@pytest.fixture
def epochs(monkeypatch):
    """The number of epochs of each network that predicts what it did not see."""
    seen, predict = [], Ensemble.predict

    def stop(self, **given):
        raise KeyboardInterrupt  # the networks are all that is asked about

    def spy(self, rows, index=None):
        if index is not None:
            seen.append([len(net.history) for net in self.nets])
        return predict(self, rows, index)

    monkeypatch.setattr(Ensemble, "predict", spy)
    monkeypatch.setattr(ArmEffects, "fit", stop)
    return seen


def make_log(n, p=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)).astype(np.float32)
    t = rng.integers(0, 2, n)
    return X, X[:, 0] + t * X[:, 1] + rng.normal(size=n), t


def model(**options):
    small = dict(hidden_layer_sizes=(8,), random_state=0, n_folds=2, max_epochs=30)
    return CausalDNNRecommender(**{**small, **options})


# "auto" holds nothing out of 300 rows, nor out of the 300 that a fold leaves of 450
@pytest.mark.parametrize("n, early", [(300, True), (450, "auto"), (900, "auto")])
def test_as_many_epochs_as_were_best_for_all_rows(epochs, n, early):
    X, y, t = make_log(n)
    fitted = model(early_stopping=early, learning_rate=0.02).fit(X, y, treatment=t)
    history = fitted._ensemble.nets[0].history
    best = 1 + int(np.argmin([record["valid_loss"] for record in history]))
    assert best < 30
    with pytest.raises(KeyboardInterrupt):
        fitted.effect(X[:5])
    assert epochs == [[best], [best]]


def test_without_a_validation_part_all_epochs(epochs):
    X, y, t = make_log(300)
    fitted = model(max_epochs=7).fit(X, y, treatment=t)
    with pytest.raises(KeyboardInterrupt):
        fitted.effect(X[:5])
    assert epochs == [[7], [7]]


@pytest.mark.parametrize(
    "n, options, larger",
    [
        (10_000, {}, True),
        (9_000, {}, False),
        (10_000, {"batch_size": 256}, False),
        (10_000, {"optimizer": "sgd"}, False),
    ],
)
def test_larger_batches_of_many_rows(monkeypatch, n, options, larger):
    X, y, t = make_log(n)
    fitted = model(max_epochs=4, lazy_effects=True, **options).fit(X, y, treatment=t)
    seen = []

    def stop(self, *args, epochs, **kwargs):
        seen.append((self.settings, epochs))
        raise KeyboardInterrupt

    monkeypatch.setattr(Ensemble, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        fitted.effect(X[:5])
    ((settings, epochs),) = seen
    best = fitted._ensemble.best_epoch(n)
    assert epochs == ({3: 2, 4: 3}[best] if larger else best)
    assert settings.learning_rate == (2 if larger else 1) * fitted.learning_rate
    assert settings.batch_size == (512 if larger else options.get("batch_size", "auto"))
    assert settings.early_stopping is False


def test_ids_keep_their_batches():
    X, y, t = make_log(10_000)
    frame = pd.DataFrame(X, columns=list("abc")).assign(u=np.arange(10_000) % 50)
    fitted = model(max_epochs=1, user="u").fit(frame, y, treatment=t)
    rows = fitted.log_encoder_.rows(fitted, frame)
    settings, epochs = fitted._ensemble.of_folds(rows)
    assert settings.batch_size == "auto" and epochs == 1
    few = fitted.log_encoder_.rows(fitted, frame[:9_000])
    assert fitted._ensemble.of_folds(few) == (fitted._ensemble.settings, None)
