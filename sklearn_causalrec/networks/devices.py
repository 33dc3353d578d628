"""Which device a log is trained on, what devices can do, and blocks that fit there."""

import warnings
from typing import NamedTuple

import torch

# With "auto", logs of fewer rows stay on the CPU: a step of their batches, a
# millisecond there, is about a hundred launches of kernels on a GPU.
GPU_ROWS = 20_000
# The part of a device's free memory that the columns of a log may take.
SHARE = 0.6
OutOfMemory = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)


class Capabilities(NamedTuple):
    """What is worth doing on a kind of device."""

    apart: bool  # it has memory of its own, and columns are copied there
    pinned: bool  # copies from page-locked memory run beside the arithmetic
    most_rows: int  # largest batch of batch_size="auto"


CAPABILITIES = {
    "cpu": Capabilities(apart=False, pinned=False, most_rows=1024),
    "cuda": Capabilities(apart=True, pinned=True, most_rows=8192),
}
OTHER = Capabilities(apart=True, pinned=False, most_rows=1024)


def capabilities(device):
    """What is worth doing on a device.

    Parameters
    ----------
    device : str or torch.device
        The device.

    Returns
    -------
    Capabilities
        Those of its kind; kinds not known can do little.
    """
    return CAPABILITIES.get(torch.device(device).type, OTHER)


def resolve_device(device, n_rows, nets=()):
    """The device that is meant: "auto" is a GPU where there is one and rows are many.

    Parameters
    ----------
    device : str
        A name that torch knows, or "auto": a GPU where torch finds one, for logs of
        20,000 rows or more. Smaller ones stay on the CPU.
    n_rows : int
        Number of rows of the log.
    nets : sequence of CausalNet, default=()
        The networks that go on, if any. With "auto" they stay on their device.

    Returns
    -------
    str
        The name of the device.
    """
    if device != "auto":
        return str(torch.device(device))
    if len(nets):
        return nets[0].device
    return "cuda" if n_rows >= GPU_ROWS and torch.cuda.is_available() else "cpu"


def free_memory(device):
    """Bytes that are free on a device with memory of its own; infinity if unknown."""
    module = getattr(torch, torch.device(device).type, None)
    ask = getattr(module, "mem_get_info", None)
    return float("inf") if ask is None else ask(torch.device(device))[0]


def in_blocks(n, rows, work):
    """Work on n rows in blocks, half as large each time the device's memory runs out.

    Parameters
    ----------
    n : int
        Number of rows.
    rows : int
        Number of rows of a block.
    work : callable
        ``work(start, stop)`` handles a block of rows.

    Returns
    -------
    int
        Number of rows of a block that fitted: ``rows``, or less. A warning has said so
        once if it is less.

    Raises
    ------
    torch.OutOfMemoryError
        If a single row does not fit.
    """
    start, given = 0, rows
    while start < n:
        stop = min(start + rows, n)
        try:
            work(start, stop)
            start = stop
        except OutOfMemory:
            if stop - start == 1:
                raise
            rows = (stop - start + 1) // 2
    if rows < given:
        warnings.warn(
            f"the memory of the device was too small for {given:,} rows at once: they "
            f"are computed {rows:,} at once from here on. Other processes may hold "
            "its memory.",
            stacklevel=2,
        )
    return rows
