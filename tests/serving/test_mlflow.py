"""The flavour of MLflow, in a store of files."""

import numpy as np
import pytest

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")

import mlflow

from sklearn_causalrec import effect
from sklearn_causalrec.baselines import EASE
from sklearn_causalrec.serving import ModelFileError, mlflow_flavor, read_manifest


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    yield
    mlflow.set_tracking_uri(before)


def test_what_is_logged_is_loaded(served, store):
    model, X = served.models[0], served.log.X
    with mlflow.start_run() as run:
        info = mlflow_flavor.log_model(model, metadata={"shop": "north"})
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/model"):
        same = mlflow_flavor.load_model(uri)
        assert np.array_equal(same.effect(X), model.effect(X))
    assert info.metadata == {"shop": "north"}

    rows = mlflow.pyfunc.load_model(info.model_uri)
    assert np.array_equal(rows.predict(X), effect(model, X))
    by = {by: rows.predict(X, params={"by": by}) for by in ("effect", "outcome")}
    assert np.array_equal(by["effect"], effect(model, X))
    assert np.array_equal(by["outcome"], model.predict(X))
    with pytest.raises(ValueError, match="by is 'clicks'"):
        rows.predict(X, params={"by": "clicks"})


def test_the_folder_holds_no_pickle_and_says_what_it_needs(served, tmp_path):
    mlflow_flavor.save_model(served.models[0], tmp_path / "m", slim=True)
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert names == {"MLmodel", "model.crec", "requirements.txt", "python_env.yaml"}
    needs = (tmp_path / "m" / "requirements.txt").read_text().splitlines()
    assert f"numpy=={np.__version__}" in needs
    assert {"torch", "skorch"} <= {line.split("==")[0] for line in needs}
    assert read_manifest(tmp_path / "m" / "model.crec")["slim"]
    with pytest.raises(FileExistsError):
        mlflow_flavor.save_model(served.models[0], tmp_path / "m")


def test_a_baseline_predicts_outcomes(served, tmp_path):
    X = served.log.X[["user", "item"]]
    model = EASE(user="user", item="item").fit(X)
    mlflow_flavor.save_model(model, tmp_path / "m")
    rows = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    assert np.array_equal(rows.predict(X), model.predict(X))


def test_a_signed_model(served, tmp_path):
    model, X, key = (
        served.models[0],
        served.log.X,
        "a key of 32 bytes at the very least",
    )
    mlflow_flavor.save_model(model, tmp_path / "m", key=key)
    same = mlflow_flavor.load_model(str(tmp_path / "m"), key=key)
    assert np.array_equal(same.effect(X), model.effect(X))
    config = {"model_config": {"key": key}}
    rows = mlflow.pyfunc.load_model(str(tmp_path / "m"), **config)
    assert np.array_equal(rows.predict(X), effect(model, X))
    assert key not in (tmp_path / "m" / "MLmodel").read_text()
    for wrong in (None, "another key, also of 32 bytes or more"):
        with pytest.raises(ModelFileError):
            mlflow_flavor.load_model(str(tmp_path / "m"), key=wrong)
