import numpy as np
import pytest

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import make_exposure_log


@pytest.fixture(scope="session")
def shop():
    """A small log with ids and features, whose effects are known."""
    return make_exposure_log(
        1000, n_users=40, n_items=50, n_features=8, noise=0.3, overlap=2.0,
        revealed=1.0, random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def shop_model(shop):
    model = CausalDNNRecommender(
        user="user", item="item", n_folds=2, max_epochs=25, hidden_layer_sizes=(32, 16),
        random_state=0,
    )  # fmt: skip
    return model.fit(shop.X, shop.y, treatment=shop.treatment)


@pytest.fixture(scope="session")
def one_arm(shop):
    """All rows were shown; the outcome is a chance."""
    model = CausalDNNRecommender(
        task="classification", user="user", item="item", encoder="mf", max_epochs=5,
        hidden_layer_sizes=(16,), n_folds=2, random_state=0,
    )  # fmt: skip
    return model.fit(shop.X, (shop.y > np.median(shop.y)).astype(int))
