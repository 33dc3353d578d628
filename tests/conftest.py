import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
# Small networks: one thread is 8-29x faster than the default here, and leaves the
# other cores to pytest's neighbours.
torch.set_num_threads(1)


@pytest.fixture
def enable_routing():
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)
