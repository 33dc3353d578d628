"""What runs in parallel runs on a cluster by joblib's backends, with the same results.

The cluster is Dask's, on this machine: a scheduler here, and a worker in a process of
its own, so that all that is sent is pickled.
"""

import multiprocessing

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

pytest.importorskip("distributed", reason="the extra dask is not installed")

import dask
import distributed

from sklearn_causalrec import CausalDNNRecommender, CausalGraph, DoCalculusEffect
from sklearn_causalrec._testing.ranks import PRELOADED
from sklearn_causalrec.causal.checks.refutation import refute

SHOP = CausalGraph("z -> shown; z -> buys; shown -> buys")


@pytest.fixture(scope="module")
def cluster():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "distributed"])
    options = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.comm.timeouts.connect": "60s",
    }
    with dask.config.set(options):
        with distributed.Client(
            n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
        ) as client:
            yield client


@pytest.fixture
def on_cluster(cluster, monkeypatch):
    """A context that runs what is inside on the cluster, and says that it did."""
    from contextlib import contextmanager

    from joblib._dask import DaskDistributedBackend

    sent, plain = [], DaskDistributedBackend.submit

    def submit(self, *args, **kwargs):
        sent.append(1)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(DaskDistributedBackend, "submit", submit)

    @contextmanager
    def run():
        sent.clear()
        with parallel_config("dask"):
            yield
        assert sent, "nothing was sent to the cluster"

    return run


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    shown = (rng.random(300) < 1 / (1 + np.exp(-z))).astype(int)
    X = pd.DataFrame({"z": z, "shown": shown})
    return X, pd.Series(2 * shown + z + rng.normal(size=300), name="buys")


def effect():
    return DoCalculusEffect(
        SHOP, treatment="shown", outcome="buys", cv=2, random_state=0, n_jobs=2,
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(),
    )  # fmt: skip


def test_folds(on_cluster, shop):
    serial = effect().set_params(n_jobs=1).fit(*shop)
    with on_cluster():
        ours = effect().fit(*shop)
    assert ours.ate_interval() == serial.ate_interval()
    assert ours.ate() == pytest.approx(2, abs=0.6)


def test_refuters(on_cluster, shop):
    fitted = effect().fit(*shop)
    asked = dict(methods=["placebo", "subset"], n_simulations=3, random_state=0)
    serial = refute(fitted, *shop, **asked)
    with on_cluster():
        ours = refute(fitted, *shop, n_jobs=2, **asked)
    pd.testing.assert_frame_equal(ours.to_frame(), serial.to_frame())


def recommender():
    return CausalDNNRecommender(
        max_epochs=2, hidden_layer_sizes=(4,), effect_learner="t", random_state=0
    )


def test_a_search_and_a_validation(on_cluster, shop):
    X, y = shop
    grid = {"learning_rate": [1e-3, 1e-2]}
    serial = GridSearchCV(recommender(), grid, cv=2).fit(X, y)
    scores = cross_val_score(recommender(), X, y, cv=2)
    with on_cluster():
        ours = GridSearchCV(recommender(), grid, cv=2, n_jobs=2).fit(X, y)
        theirs = cross_val_score(recommender(), X, y, cv=2, n_jobs=2)
    for name in ("mean_test_score", "split0_test_score"):
        assert np.array_equal(ours.cv_results_[name], serial.cv_results_[name])
    assert np.array_equal(ours.predict(X), serial.predict(X))
    assert np.array_equal(theirs, scores)


def test_folds_of_the_second_stage(on_cluster, shop):
    X, y = shop
    model = clone(recommender()).set_params(effect_learner="stacked", n_folds=2)
    shown, X = X["shown"], X[["z"]]
    serial = model.fit(X, y, treatment=shown).effect(X)
    with on_cluster():
        ours = clone(model).fit(X, y, treatment=shown).effect(X)
    assert np.array_equal(ours, serial)


def test_a_bootstrap_of_graphs(on_cluster, shop):
    pytest.importorskip("causallearn")
    X, y = shop
    frame = X.assign(buys=y)
    serial = CausalGraph.discover(frame, n_bootstrap=4, random_state=0)
    with on_cluster():
        ours = CausalGraph.discover(frame, n_bootstrap=4, random_state=0)
    assert ours.support.equals(serial.support)
    assert 0 < serial.support["support"].min() <= 1
