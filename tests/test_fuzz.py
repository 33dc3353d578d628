"""The fuzzers of ``sklearn_causalrec/_testing/fuzz``, for two minutes.

``benchmarks/bench_fuzz.py`` runs them for as long as one likes.
"""

import pytest

from sklearn_causalrec._testing.fuzz.fits import fits
from sklearn_causalrec._testing.fuzz.graphs import graphs
from sklearn_causalrec._testing.fuzz.harness import run
from sklearn_causalrec._testing.fuzz.logs import logs
from sklearn_causalrec._testing.fuzz.metrics import metrics
from sklearn_causalrec._testing.fuzz.models import models
from sklearn_causalrec._testing.fuzz.tables import tables


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "surface, calls",
    [
        (graphs, 4000),
        (metrics, 4000),
        (logs, 500),
        (fits, 300),
        (models, 250),
        (tables, 800),
    ],
)
def test_surface(surface, calls, seed):
    found = run(surface, seed, calls=calls)
    assert not found.findings, found.report()
