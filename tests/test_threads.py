"""What threads share stays as it was, and a fit is the same beside others."""

import multiprocessing
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from threadpoolctl import threadpool_info

from sklearn_causalrec import (
    CausalDNNRecommender,
    CounterfactualPolicy,
    DoCalculusEffect,
)
from sklearn_causalrec._utils.process import one_thread, parallel, quiet
from sklearn_causalrec.baselines import (
    EASE,
    GlobalMean,
    ImplicitALS,
    NeighborhoodRecommender,
    Popularity,
    UserItemBias,
)
from sklearn_causalrec.networks.generators import OwnGenerators

N_THREADS = 8
SMALL = dict(max_epochs=3, hidden_layer_sizes=(16, 8), random_state=0, device="cpu")


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    n = 250
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    X["user"], X["item"] = rng.integers(0, 30, n), rng.integers(0, 20, n)
    chance = 1 / (1 + np.exp(-X["a"]))
    shown = rng.binomial(1, chance)
    y = X["a"] + shown * (1 + X["b"]) + rng.normal(size=n)
    return X, y.to_numpy(), shown, np.where(shown == 1, chance, 1 - chance)


def recommender(log, **options):
    X, y, shown, _ = log
    options = {**SMALL, "n_folds": 2, **options}
    model = CausalDNNRecommender(user="user", item="item", **options)
    return model.fit(X, y, treatment=shown)


def one_arm(log):
    X, y, _, _ = log
    logistic = LogisticRegression(solver="saga", max_iter=5)
    model = CausalDNNRecommender(
        user="user", item="item", exposure_model=logistic, objective="ips", **SMALL
    )
    return model.fit(X, y)


def policy(log):
    X, y, shown, propensity = log
    model = CounterfactualPolicy(dropout=0.2, **SMALL)
    return model.fit(X[["a", "b"]], y, treatment=shown, propensity=propensity)


def do_effect(log):
    X, y, shown, _ = log
    model = DoCalculusEffect(treatment="shown", cv=2, random_state=0)
    return model.fit(X[["a", "b"]].assign(shown=shown), y)


def answers(model, log):
    """What the model says of the rows of the log."""
    X = log[0]
    if isinstance(model, CounterfactualPolicy):
        return model.predict_proba(X[["a", "b"]])
    if isinstance(model, DoCalculusEffect):
        return np.append(model.effect(X[["a", "b"]]), model.ate())
    if len(model.arms_) == 1:
        return model.predict(X)
    return np.append(model.effect(X), model.ate())


FITS = {
    "recommender": recommender,
    "dropout": lambda log: recommender(log, dropout=0.2, input_noise=0.1),
    "pairs": lambda log: recommender(log, objective="uplift_rank"),
    "one arm": one_arm,
    "policy": policy,
    "do-calculus": do_effect,
}
BASELINES = [
    GlobalMean(),
    Popularity(item="item"),
    UserItemBias(user="user", item="item"),
    UserItemBias(task="classification", user="user", item="item"),
    NeighborhoodRecommender(user="user", item="item"),
    EASE(user="user", item="item"),
    ImplicitALS(user="user", item="item", random_state=0),
]


def process_state():
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "python": random.getstate(),
        "filters": list(warnings.filters),
        "torch threads": torch.get_num_threads(),
        "pools": sorted(
            (pool["filepath"], pool["num_threads"]) for pool in threadpool_info()
        ),
    }


@pytest.mark.parametrize("name", FITS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_in_threads_are_those_of_one_after_the_other(log, name):
    fit = FITS[name]
    alone = answers(fit(log), log)
    before = process_state()
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(fit, [log] * N_THREADS))
    assert process_state() == before
    for model in found:
        np.testing.assert_array_equal(answers(model, log), alone)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_seeded_fit_moves_no_generator_of_the_process(log, name):
    before = process_state()
    first = FITS[name](log)
    assert process_state() == before
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    second = FITS[name](log)
    np.testing.assert_array_equal(answers(second, log), answers(first, log))


@pytest.mark.parametrize("model", BASELINES, ids=lambda m: type(m).__name__)
def test_baselines_move_no_generator_of_the_process(log, model):
    X, y, _, _ = log
    before = process_state()
    model.fit(X, y > 0 if model.get_params().get("task") == "classification" else y)
    assert process_state() == before


def test_nuisance_models_inside_a_pipeline_get_the_seed(log):
    from sklearn.linear_model import SGDRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y, shown, _ = log
    model = DoCalculusEffect(
        treatment="shown",
        outcome_model=make_pipeline(StandardScaler(), SGDRegressor(max_iter=5)),
        treatment_model=LogisticRegression(solver="saga", max_iter=5),
        effect_model=None,
        cv=2,
        random_state=0,
    )
    data = X[["a", "b"]].assign(shown=shown)
    before = process_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first, second = (model.fit(data, y).ate() for _ in range(2))
    assert first == second
    assert process_state() == before


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_cross_validate_in_threads_is_reproducible(log, n_jobs):
    X, y, shown, _ = log
    model = CausalDNNRecommender(
        treatment="shown", effect_learner="t", dropout=0.1, **SMALL
    )
    data = X[["a", "b"]].assign(shown=shown)
    alone = cross_validate(model, data, y, cv=3)["test_score"]
    with joblib.parallel_backend("threading", n_jobs=n_jobs):
        found = cross_validate(model, data, y, cv=3)["test_score"]
    np.testing.assert_array_equal(found, alone)


def test_warning_filters_outlive_fits_that_overlap():
    before = list(warnings.filters)
    first, second = quiet("one"), quiet("one")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # not the order of a stack
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn("one more", stacklevel=1)
    assert not seen
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before


def test_a_filter_of_the_users_keeps_its_place():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("error", RuntimeWarning)
        before = list(warnings.filters)
        with quiet(category=ConvergenceWarning):
            warnings.warn("silent", ConvergenceWarning, stacklevel=1)
        assert list(warnings.filters) == before


def test_a_filter_set_meanwhile_stays():
    with warnings.catch_warnings():
        with quiet("one"):
            warnings.simplefilter("error", RuntimeWarning)
        assert warnings.filters[0][2] is RuntimeWarning
        assert all(f[1] is None or f[1].pattern != "one" for f in warnings.filters)


def test_blas_threads_are_given_back_by_the_last():
    def pools():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    before = pools()
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(pools()) <= {1}
    second.__exit__(None, None, None)
    assert pools() == before


def test_operations_draw_from_generators_of_their_own():
    torch.manual_seed(5)
    expected = torch.rand(3), torch.nn.Linear(2, 2).weight
    state = torch.get_rng_state()
    with OwnGenerators(5):
        found = torch.rand(3), torch.nn.Linear(2, 2).weight
        torch.nn.functional.dropout(torch.ones(9), 0.5)
        torch.nn.functional.scaled_dot_product_attention(
            *torch.ones(3, 1, 4, 4), dropout_p=0.5
        )
        torch.randn_like(torch.ones(2))
    for one, other in zip(found, expected):
        assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_process_is_forked_within_the_package():
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        assert type(parallel()._backend).__name__ == "LokyBackend"
        assert parallel().n_jobs == 2
        assert parallel(1).n_jobs == 1
    with joblib.parallel_config("threading", n_jobs=2):
        assert type(parallel()._backend).__name__ == "ThreadingBackend"
    assert type(parallel(2)._backend).__name__ == "LokyBackend"


def _mean_prediction(model, X):
    return float(model.predict(X, 1).mean())


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_predictions_in_other_processes(start):
    """Started afresh, or forked from a process of one torch thread as this one."""
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
    model = CausalDNNRecommender(
        effect_learner="t", max_epochs=2, device="cpu", random_state=0
    ).fit(X, X[:, 0] + t, treatment=t)
    with multiprocessing.get_context(start).Pool(1) as pool:
        found = pool.apply_async(_mean_prediction, (model, X)).get(timeout=120)
    assert found == pytest.approx(_mean_prediction(model, X))
