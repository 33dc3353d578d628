"""Memory that was freed, given back to the system."""

import ctypes
from functools import cache

# Below so many rows there is little to give back, and taking it anew costs time.
MANY_ROWS = 100_000


@cache
def _trim():
    """``malloc_trim`` of the C library; None where there is no such."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # not a system that loads libraries so
        return None


def give_back(n_rows):
    """Give back what a stage of a fit has freed, before the next one takes more.

    The C library of Linux keeps up to 64 MB that were freed at the end of its heap, and
    any gap before it, and the next stage fills them in part only.

    Parameters
    ----------
    n_rows : int
        Number of rows that the stage has worked on.
    """
    trim = _trim()
    if trim is not None and n_rows >= MANY_ROWS:
        trim(0)
