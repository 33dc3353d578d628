import os
from types import SimpleNamespace

import pytest

from sklearn_causalrec import CausalDNNRecommender, save
from sklearn_causalrec.datasets import make_exposure_log

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Two small models of one log, and their files."""
    folder = tmp_path_factory.mktemp("served")
    log = make_exposure_log(600, n_users=30, n_items=25, random_state=0)
    models, files = [], []
    for seed in (0, 1):
        model = CausalDNNRecommender(
            user="user",
            item="item",
            effect_learner="t",
            hidden_layer_sizes=(8,),
            max_epochs=2,
            random_state=seed,
        )
        models.append(model.fit(log.X, log.y, treatment=log.treatment))
        files.append(folder / f"{seed}.crec")
        save(model, files[-1])
    return SimpleNamespace(log=log, models=models, files=files)
