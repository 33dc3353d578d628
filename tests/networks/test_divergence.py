"""Training that leaves the finite numbers is an error that costs nothing."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_causalrec import CausalDNNRecommender, CounterfactualPolicy
from sklearn_causalrec.networks import DivergenceError

SMALL = dict(random_state=0, device="cpu", max_epochs=8, effect_learner="t")


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    shown = rng.binomial(1, 0.5, size=500)
    return X, X[:, 0] + shown * (1 + X[:, 1]) + rng.normal(size=500), shown


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(
    "steps", [dict(optimizer="sgd", learning_rate=10), dict(learning_rate=1e3)]
)
def test_steps_too_large_are_one_named_error(log, task, early_stopping, steps):
    X, y, shown = log
    y = y > 0 if task == "classification" else y
    model = CausalDNNRecommender(
        task=task, early_stopping=early_stopping, **steps, **SMALL
    )
    before = dict(vars(model))
    with pytest.raises(DivergenceError, match=r"learning_rate=10.* such as"):
        model.fit(X, y, treatment=shown)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.effect(X)


def test_an_earlier_fit_stays(log):
    X, y, shown = log
    model = CausalDNNRecommender(**SMALL).fit(X, y, treatment=shown)
    effect, history = model.effect(X), model.history_
    model.set_params(optimizer="sgd", learning_rate=10)
    with pytest.raises(DivergenceError):
        model.fit(X, y + 5, treatment=shown)
    np.testing.assert_array_equal(model.effect(X), effect)
    assert model.history_ is history


def test_rows_of_another_scale_leave_the_earlier_networks(log):
    X, y, shown = log
    model = CausalDNNRecommender(**SMALL).fit(X, y, treatment=shown)
    predicted = model.predict(X)
    with pytest.raises(DivergenceError):
        model.partial_fit(X, 1e90 * y, treatment=shown)
    np.testing.assert_array_equal(model.predict(X), predicted)
    model.partial_fit(X, y, treatment=shown)  # and go on


def test_the_networks_of_a_fold_count_too(log, monkeypatch):
    from sklearn_causalrec.networks.ensemble import Ensemble

    X, y, shown = log
    whole = Ensemble.cross_fit

    def on_a_cliff(self, rows, *args, **options):
        rows.y = 1e300 * rows.y
        return whole(self, rows, *args, **options)

    monkeypatch.setattr(Ensemble, "cross_fit", on_a_cliff)
    model = CausalDNNRecommender(**{**SMALL, "effect_learner": "stacked"})
    model.fit(X, y, treatment=shown)
    with pytest.raises(DivergenceError):
        model.ate()
    assert np.isfinite(model.predict(X, treatment=1)).all()
    with pytest.raises(DivergenceError):
        model.set_params(lazy_effects=False).fit(X, y, treatment=shown)


def test_a_policy_says_so_as_well(log):
    X, y, shown = log
    model = CounterfactualPolicy(
        random_state=0, device="cpu", optimizer="sgd", learning_rate=1e30
    )
    with pytest.raises(DivergenceError):
        model.fit(X, y, treatment=shown, propensity=np.full(500, 0.5))
    assert not hasattr(model, "net_")


def test_a_noisy_start_is_no_divergence(log):
    X, _, shown = log
    y = np.random.default_rng(0).pareto(1.1, size=500)  # without a variance
    model = CausalDNNRecommender(objective="ips", **SMALL)
    assert np.isfinite(model.fit(X, y, treatment=shown).effect(X)).all()
