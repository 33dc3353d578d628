"""The columns of a log where they are trained on: on a device, or copied by chunks."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import torch

from sklearn_causalrec.networks.devices import (
    SHARE,
    OutOfMemory,
    capabilities,
    free_memory,
)

INTEGERS = (torch.uint8, torch.int16, torch.int32)
# Rows that are neighbours in a log that does not fit travel together.
BLOCK = 256
# Of the room on the device, a chunk may take this part: two are there at a time.
PART = 0.25


def smallest(values):
    """Integers in the smallest type that holds them all; numbers as they are.

    Parameters
    ----------
    values : tensor
        One column or several.

    Returns
    -------
    tensor
        The same values.
    """
    if values.dtype != torch.int64 or not values.numel():
        return values
    low, high = values.aminmax()
    for dtype in INTEGERS:
        bounds = torch.iinfo(dtype)
        if bounds.min <= low and high <= bounds.max:
            return values.to(dtype)
    return values


def small_columns(features):
    """Which columns hold whole numbers from 0 to 255 alone, such as one-hot codes.

    Parameters
    ----------
    features : tensor of shape (n, p)
        Floating-point numbers.

    Returns
    -------
    tensor of bool of shape (p,)
        Whether unsigned bytes hold the values of each column exactly.
    """
    found = torch.ones(features.shape[1], dtype=torch.bool)
    for block in features.split(65_536):
        if not found.any():
            break
        inside = (block >= 0) & (block <= 255) & (block == block.trunc())
        inside &= ~block.signbit()  # the sign of -0.0 would be lost
        found &= inside.all(0)
    return found


class Packed:
    """Columns of a log, each in the smallest type that holds its values exactly.

    What is taken of it is as it was given, bit for bit.

    Parameters
    ----------
    X : dict of tensors
        What network and objective read, with as many rows each.
    y : tensor of shape (n,)
        The outcome.
    """

    def __init__(self, X, y):
        self.columns = {name: smallest(values) for name, values in X.items()}
        self.kinds = {name: values.dtype for name, values in X.items()}
        self.columns["y"], self.kinds["y"] = y, y.dtype
        self.places = None
        features = X["features"]
        small = small_columns(features)
        if small.sum() * 2 >= features.shape[1] > 0:
            self.places = [p.nonzero()[:, 0] for p in (small, ~small)]
            del self.columns["features"]
            self.columns["bytes"] = features[:, small].to(torch.uint8)
            self.columns["rest"] = features[:, ~small]

    def __len__(self):
        return len(self.columns["y"])

    @property
    def nbytes(self):
        """Bytes of all columns."""
        return sum(c.numel() * c.element_size() for c in self.columns.values())

    def widen(self, part):
        """Some rows of the columns as X and y were given."""
        part = dict(part)
        if self.places is not None:
            small, rest = part.pop("bytes"), part.pop("rest")
            shape = len(small), small.shape[1] + rest.shape[1]
            features = rest.new_empty(shape, dtype=self.kinds["features"])
            for place, values in zip(self.places, (small, rest)):
                place = place.to(values.device)
                features.index_copy_(1, place, values.to(features.dtype))
            part["features"] = features
        y = part.pop("y")
        return {k: v.to(self.kinds[k]) for k, v in part.items()}, y


class Resident:
    """Rows of columns that stand on a device: nothing is copied there while training.

    Parameters
    ----------
    packed : Packed
        The columns.
    device : str
        The device.
    """

    shuffles_blocks = False
    ahead = None  # rows that are fetched while others are in use

    def __init__(self, packed, device):
        self.packed, self.device = packed, device
        self.columns = {k: v.to(device) for k, v in packed.columns.items()}

    def take(self, rows):
        """X and y of some rows; ``rows`` is a tensor of positions."""
        rows = rows.to(self.device)
        part = {k: v.index_select(0, rows) for k, v in self.columns.items()}
        return self.packed.widen(part)


class Chunked:
    """Rows of columns too large for a device: chunks of them are copied in turn.

    While one is trained on, the next is put together in page-locked memory, and sent.

    Parameters
    ----------
    packed : Packed
        The columns.
    device : str
        The device.
    room : float
        Bytes that two chunks and what is made of them may take there.
    """

    shuffles_blocks = True

    def __init__(self, packed, device, room):
        self.packed, self.device = packed, device
        self.pinned = capabilities(device).pinned
        a_row = max(packed.nbytes / max(len(packed), 1), 1)
        self.ahead = max(int(PART * room / a_row), BLOCK)

    def take(self, rows):
        """X and y of some rows; ``rows`` is a tensor of positions."""
        rows, part = rows.cpu(), {}
        for name, values in self.packed.columns.items():
            shape = len(rows), *values.shape[1:]
            home = torch.empty(shape, dtype=values.dtype, pin_memory=self.pinned)
            torch.index_select(values, 0, rows, out=home)
            part[name] = home.to(self.device, non_blocking=True)
        return self.packed.widen(part)

    def chunks(self, rows, size):
        """X and y of chunks of the rows, each fetched while the last is in use.

        Parameters
        ----------
        rows : tensor of int
            Positions in their order.
        size : int
            Rows of a chunk.

        Yields
        ------
        X : dict of tensors
        y : tensor
        """
        pieces = rows.split(size)
        with ThreadPoolExecutor(1) as worker:
            coming = worker.submit(self.take, pieces[0])
            for following in [*pieces[1:], None]:
                ready = coming.result()
                if following is not None:
                    coming = worker.submit(self.take, following)
                yield ready


def block_order(n, size, generator):
    """An order of n rows in which blocks of neighbours move, and chunks are mixed.

    Blocks of 256 rows are put into a random order, and the rows of each ``size`` that
    follow each other then. A chunk so holds rows from all over the log, read in long
    runs.

    Parameters
    ----------
    n : int
        Number of rows.
    size : int
        Rows of a chunk.
    generator : torch.Generator
        Draws the order.

    Returns
    -------
    tensor of int of shape (n,)
        Positions.
    """
    starts = BLOCK * torch.randperm(-(-n // BLOCK), generator=generator)
    rows = (starts[:, None] + torch.arange(BLOCK)).flatten()
    rows = rows[rows < n]
    mixed = [
        part[torch.randperm(len(part), generator=generator)]
        for part in rows.split(size)
    ]
    return torch.cat(mixed) if mixed else rows


def placed(X, y, device):
    """The columns where they are trained on, as a loader takes them.

    Parameters
    ----------
    X : dict of tensors
        What network and objective read.
    y : tensor of shape (n,)
        The outcome.
    device : str
        The device.

    Returns
    -------
    dict, Resident or Chunked
        X itself on a CPU, and where the columns are on disk: a loader of their own
        reads them.
    """
    if hasattr(X, "loader") or not capabilities(device).apart:
        return X
    return on_device(X, y, device)


def on_device(X, y, device, room=None):
    """The log on a device with memory of its own, or in chunks if it does not fit.

    Parameters
    ----------
    X : dict of tensors
        What network and objective read.
    y : tensor of shape (n,)
        The outcome.
    device : str
        The device.
    room : float or None, default=None
        Bytes that may be used there. None: a part of those that are free.

    Returns
    -------
    Resident or Chunked
        Where it stands.
    """
    packed = Packed(X, y)
    room = SHARE * free_memory(device) if room is None else room
    if packed.nbytes <= room:
        try:
            return Resident(packed, device)
        except OutOfMemory:
            room = packed.nbytes / 2
            warnings.warn(
                f"the memory of the device is too small for the log, {packed.nbytes:,} "
                "bytes: it is copied there in chunks, again in every epoch.",
                stacklevel=2,
            )
    return Chunked(packed, device, room)
