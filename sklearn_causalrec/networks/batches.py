"""From the rows of a log to batches of tensors, and the rows held out."""

import numpy as np
import torch
from torch.utils.data import Subset

from sklearn_causalrec._utils.small import permuted
from sklearn_causalrec.encoding.disk_arrays import BLOCK_ROWS
from sklearn_causalrec.networks.devices import capabilities
from sklearn_causalrec.networks.resident import block_order

# Logs of up to this many rows train in double precision: it costs nothing there, and
# a weight of 2 then equals a row given twice to the last digits shown.
DOUBLE_ROWS = 1000
SETTLED = 64  # losses of batches that are tensors at once
# Rows are fetched so many at once, and cut into batches: small enough for a cache.
CHUNK_ROWS = 4096
# On a device, longer orders than this are drawn there: not those of the CPU.
CPU_ORDER = 2**20


def training_dtype(n_rows):
    """Precision in which a log of so many rows trains."""
    return torch.float64 if n_rows <= DOUBLE_ROWS else torch.float32


def _tensors(rows, kinds):
    found = {name: getattr(rows, name) for name in kinds}
    return {
        name: torch.as_tensor(np.require(values, requirements="W"), dtype=kinds[name])
        for name, values in found.items()
        if values is not None
    }


def network_inputs(rows):
    """What the network reads of rows, as tensors over the same memory.

    Parameters
    ----------
    rows : Rows
        The encoded log.

    Returns
    -------
    dict of str to tensor
        ``features``, and ``history``, ``history_values``, ``user`` and ``item``, where
        there are such.
    """
    kinds = {"features": None, "history": None, "history_values": None}
    return _tensors(rows, {**kinds, "user": torch.int64, "item": torch.int64})


def training_inputs(rows, dtype):
    """What network and objective read of rows, as tensors.

    Parameters
    ----------
    rows : Rows
        The encoded log.
    dtype : torch.dtype
        Precision of the numbers that the objective reads.

    Returns
    -------
    dict of str to tensor
        Those of :func:`network_inputs`, ``arm``, and ``weight``, ``propensity`` and
        ``exposure``, where there are such. Weights that are all 1 are left out.
    """
    numbers = dict.fromkeys(("weight", "propensity", "exposure"), dtype)
    X = network_inputs(rows) | _tensors(rows, {"arm": torch.int64, **numbers})
    if "weight" in X and (X["weight"] == 1).all():
        del X["weight"]  # the objective takes all for 1
    return X


class PairSampler:
    """As many pairs as the batch has rows, drawn evenly from all users x items.

    Parameters
    ----------
    rows : Rows
        The log, with its ``catalogue``. A user drawn has the history of one of the
        user's rows.
    same_user : bool, default=False
        Whether the users are those of the batch, and the items alone are drawn.
    """

    def __init__(self, rows, same_user=False):
        self.catalogue = rows.catalogue
        self.same_user = same_user
        self.rows = None
        if rows.history is not None:
            self.rows = rows
            self.by_user = np.argsort(rows.user, kind="stable")
            counts = np.bincount(rows.user, minlength=self.catalogue.n_users)
            self.count, self.first = counts, np.cumsum(counts) - counts

    def __call__(self, batch, generator):
        n = len(batch["user"])
        user = batch["user"]
        if not self.same_user:
            user = torch.randint(self.catalogue.n_users, (n,), generator=generator)
        user = user.cpu()
        n_items = len(self.catalogue.items)
        item = torch.randint(n_items, (n,), generator=generator).numpy()
        item = self.catalogue.items[item]
        features = self.catalogue.rows(
            user.numpy(), item, context=batch["features"].cpu().numpy()
        )
        pairs = {"features": torch.from_numpy(features), "user": user}
        pairs["item"] = torch.from_numpy(item)
        if self.rows is not None:
            pairs |= self._histories(user.numpy(), batch, generator)
        return pairs

    def _histories(self, user, batch, generator):
        names = [k for k in ("history", "history_values") if k in batch]
        if self.same_user:
            return {name: batch[name] for name in names}
        u = torch.rand(len(user), generator=generator).numpy()
        position = self.first[user] + (u * self.count[user]).astype(np.int64)
        row = self.by_user[np.minimum(position, len(self.by_user) - 1)]
        return {name: torch.from_numpy(getattr(self.rows, name)[row]) for name in names}


class SliceLoader:
    """Batches by slicing tensors: no per-row fetch, no collation, no worker.

    Parameters
    ----------
    dataset : skorch Dataset of (dict of tensors, tensor), or a Subset of one
        The rows.
    batch_size : int
        Rows in a batch.
    shuffle : bool, default=False
        Whether the order is drawn anew each time.
    generator : torch.Generator or None, default=None
        What the order is drawn from; needed where there is one to draw.
    draw_pairs : callable or None, default=None
        ``draw_pairs(batch, generator)`` returns as many pairs drawn from all pairs.
    """

    def __init__(
        self, dataset, batch_size, shuffle=False, generator=None, draw_pairs=None
    ):
        self.rows = None
        if isinstance(dataset, Subset):
            self.rows = torch.as_tensor(dataset.indices)
            dataset = dataset.dataset
        self.X, self.y = dataset.X, dataset.y
        # Columns that stand elsewhere, see `on_device`; or a dict of tensors.
        self.table = None if isinstance(self.X, dict) else self.X
        self.n = len(self.y) if self.rows is None else len(self.rows)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator
        self.draw_pairs = draw_pairs
        # A stream of its own: drawing pairs leaves the order of the batches alone.
        self.pairs = torch.Generator()
        self.there = None  # the generator on the device
        if shuffle:
            seed = generator.initial_seed()
            self.pairs.manual_seed(seed)
            if self.table is not None and self.n > CPU_ORDER:
                self.there = torch.Generator(self.table.device).manual_seed(seed)

    def __len__(self):
        return -(-self.n // self.batch_size)

    def __iter__(self):
        rows = self.rows
        if self.shuffle and self.n > self.batch_size:
            order = self._order()
            rows = order if rows is None else rows.to(order.device)[order]
        if not self.shuffle:  # the same pairs at every validation
            self.pairs.manual_seed(0)
        for X, y in self._chunks(rows):
            for start in range(0, len(y), self.batch_size):
                part = slice(start, start + self.batch_size)
                batch = {key: value[part] for key, value in X.items()}
                if self.draw_pairs is not None:
                    batch["pairs"] = self.draw_pairs(batch, self.pairs)
                yield batch, y[part]

    def _order(self):
        """A random order: in blocks if they are fetched in chunks, else of all rows."""
        table, n = self.table, self.n
        if table is not None and table.shuffles_blocks:
            return block_order(n, self._at_once(table.ahead), self.generator)
        if self.there is None:
            return torch.randperm(n, generator=self.generator)
        return torch.randperm(n, generator=self.there, device=table.device)

    def _at_once(self, rows):
        """So many rows at most, and a number of whole batches."""
        return self.batch_size * max(rows // self.batch_size, 1)

    def _chunks(self, rows):
        """The rows in their order, fetched for several small batches at once."""
        table, size = self.table, self._at_once(CHUNK_ROWS)
        if table is not None:
            rows = torch.arange(self.n) if rows is None else rows
            if table.ahead is not None:
                yield from table.chunks(rows, self._at_once(table.ahead))
                return
            yield from map(table.take, rows.split(size))
            return
        if rows is None:
            yield self.X, self.y
            return
        for some in rows.split(size):
            chunk = {key: value.index_select(0, some) for key, value in self.X.items()}
            yield chunk, self.y.index_select(0, some)


def validation_rows(n, fraction, rng, groups=None, order=None):
    """Rows held out for validation, sorted.

    Parameters
    ----------
    n : int
        Number of rows.
    fraction : float
        Share of the rows to hold out.
    rng : RandomState
        Draws the rows.
    groups : array of shape (n,) or None, default=None
        Of every group that share is held out (rounded down, so that no group loses
        its only row).
    order : array of shape (n,) or None, default=None
        The last rows in this order are held out, instead of random ones.

    Returns
    -------
    ndarray of int
        Positions of the rows.
    """
    key = permuted(n, rng) if order is None else np.argsort(np.argsort(order))
    if groups is None:
        return np.flatnonzero(key >= n - max(int(fraction * n), 1))
    by_group = np.lexsort((key, groups))
    _, first, count = np.unique(groups[by_group], return_index=True, return_counts=True)
    rank = np.arange(n) - np.repeat(first, count)
    size = np.repeat(count, count)
    held_out = rank >= size - np.floor(fraction * size + rng.random_sample())
    held_out &= rank > 0
    return np.sort(by_group[held_out])


def others(kept, held_out):
    """Rows to train on: those kept, without those of them that are held out.

    Parameters
    ----------
    kept : array of int
        Positions of rows, each once.
    held_out : array of int
        Some of them.

    Returns
    -------
    ndarray of int
        The others, in the order of ``kept``.
    """
    inside = np.ones(int(kept.max()) + 1, bool)
    inside[held_out] = False
    blocks = range(0, len(kept), BLOCK_ROWS)  # numpy widens positions of 4 bytes
    blocks = (kept[start : start + BLOCK_ROWS] for start in blocks)
    return np.concatenate([block[inside[block]] for block in blocks])


def held_out_rows(rows, kept, fraction, seed):
    """Of the kept rows, those for validation: the last in time, of every user.

    Parameters
    ----------
    rows : Rows
        The encoded log.
    kept : array of int
        Positions of the rows to choose from.
    fraction : float
        Share of them to hold out.
    seed : int
        Seed of the draw.

    Returns
    -------
    ndarray of int
        Positions of the rows held out.
    """
    user = None if rows.user is None else rows.user[kept]
    time = None if rows.time is None else rows.time[kept]
    rng = np.random.RandomState(seed % 2**32)
    held_out = validation_rows(len(kept), fraction, rng, user, time)
    if user is not None and len(held_out) < 0.2 * fraction * len(kept):
        # Most users have a row or two: one of theirs has to do.
        held_out = validation_rows(len(kept), fraction, rng, None, time)
    return kept[held_out]


def rows_a_batch(batch_size, n, device="cpu"):
    """Rows in a batch; "auto" follows the rows of the log, and the device.

    Parameters
    ----------
    batch_size : int or "auto"
        "auto" is a 64th of the rows, as a power of 2 from 128 on. The CPU takes 1,024
        at most; a GPU would wait for its next step then, and takes 8,192.
    n : int
        Number of rows of the log.
    device : str, default="cpu"
        The device that they are trained on.

    Returns
    -------
    int
        Number of rows.
    """
    if batch_size != "auto":
        return batch_size
    most = capabilities(device).most_rows
    return int(np.clip(2 ** int(np.log2(max(n / 64, 1))), 128, most))


def rate_of_batch(batch_size, n, device="cpu"):
    """How much faster batches of "auto" learn that are larger than those of the CPU.

    The rate of Adam grows with the root of the batch: its steps are as long as the
    noise of the gradient allows [1]_.

    Parameters
    ----------
    batch_size : int or "auto"
        As in :func:`rows_a_batch`.
    n : int
        Number of rows of the log.
    device : str, default="cpu"
        The device that they are trained on.

    Returns
    -------
    float
        What the learning rate is multiplied by: 1 on the CPU, and where the user names
        the size of a batch.

    References
    ----------
    .. [1] Malladi, S., Lyu, K., Panigrahi, A. and Arora, S. (2022). "On the SDEs and
       scaling rules for adaptive gradient algorithms." NeurIPS.
    """
    usual = rows_a_batch(batch_size, n)
    return (rows_a_batch(batch_size, n, device) / usual) ** 0.5


def settle(losses):
    """Put numbers in the place of tensors, in place; those are the last of a list.

    A tensor a batch that stays is in the way of the memory that batches share: an epoch
    of 2,000 of them takes 200 MB more.

    Parameters
    ----------
    losses : list of tensors and floats
        Losses of batches.
    """
    first = len(losses)
    while first and torch.is_tensor(losses[first - 1]):
        first -= 1
    if first < len(losses):
        losses[first:] = torch.stack(losses[first:]).tolist()
