"""Loaders of shipped real data, and a simulator of exposure logs with known effects."""

from ._loaders import load_acic2016, load_kuairec_slice
from ._simulators import ExposureWorld, make_exposure_log

__all__ = [
    "ExposureWorld",
    "load_acic2016",
    "load_kuairec_slice",
    "make_exposure_log",
]
