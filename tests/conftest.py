from functools import partial

import matplotlib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender

matplotlib.use("Agg")
# Small networks: one thread is 8-29x faster than the default here, and leaves the
# other cores to pytest's neighbours.
torch.set_num_threads(1)


@pytest.fixture
def enable_routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def quick_recommender():
    """Makes recommenders without the second stage, which has tests of its own."""
    return partial(CausalDNNRecommender, effect_learner="t", random_state=0)


@pytest.fixture(scope="session")
def scale_columns():
    """Makes a scaler of some columns of a frame; the others pass as they are."""

    def make(columns):
        return ColumnTransformer(
            [("num", StandardScaler(), columns)],
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas")

    return make
