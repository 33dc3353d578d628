"""Real data that comes with the package, and simulated logs with known effects."""

from ._events import make_event_log
from ._loaders import load_acic2016, load_kuairec_slice
from ._sequences import make_sequence_log
from ._simulators import ExposureWorld, make_exposure_log

__all__ = [
    "ExposureWorld",
    "load_acic2016",
    "load_kuairec_slice",
    "make_event_log",
    "make_exposure_log",
    "make_sequence_log",
]
