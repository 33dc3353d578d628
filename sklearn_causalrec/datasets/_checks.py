"""Checks of what simulators are given."""

import numpy as np
from sklearn.utils import check_scalar


def check_number(value, name, kind, *, finite=True, **bounds):
    """A number within bounds, and no truth value; refused by name else."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    check_scalar(value, name, kind, **bounds)
    if np.isnan(value) or (finite and np.isinf(value)):
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
