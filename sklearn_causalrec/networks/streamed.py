"""Training on a log whose features stand on disk: shuffled blocks, a few at a time."""

import numpy as np
import torch
from torch.utils.data import Subset

from sklearn_causalrec._utils.small import positions
from sklearn_causalrec.encoding.disk_arrays import DiskWriter
from sklearn_causalrec.encoding.streamed_log import in_memory
from sklearn_causalrec.networks.batches import held_out_rows, validation_rows
from sklearn_causalrec.networks.ensemble import PREDICTED_ROWS, Ensemble, Prediction

BLOCK_ROWS = 2**14  # rows that stay together until they are mixed
BUFFER_BYTES = 2**27  # what is mixed at once: some blocks from all over the log
SORTED_ROWS = 2**22  # rows that are sorted by user and time at once


class TensorColumn:
    """A column of a log as a tensor of the rows that are asked for, and no others.

    Parameters
    ----------
    values : ndarray or DiskArray of shape (n, ...)
        The column, in whatever type it is kept.
    dtype : torch.dtype or None
        That of the tensors. None: as it is kept.
    units : callable, default=None
        Called with the rows that are asked for; returns what the tensor holds.
    """

    def __init__(self, values, dtype, units=None):
        self.values, self.dtype, self.units = values, dtype, units
        self.shape = values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        found = self.values[rows]
        if self.units is not None:
            found = self.units(found)
        return torch.as_tensor(np.require(found, requirements="W"), dtype=self.dtype)

    def parts(self):
        """The column, some rows at a time."""
        for start in range(0, len(self), PREDICTED_ROWS):
            yield self[start : min(start + PREDICTED_ROWS, len(self))]


class StreamedLoader:
    """Batches of a log on disk, with the contract of ``SliceLoader``.

    An epoch takes the blocks of the log in a new order. As many of them as fit are read
    into a buffer, and their rows are mixed there. A log that fits is read once, and its
    batches are those of ``SliceLoader`` to the bit.

    Parameters
    ----------
    dataset : skorch Dataset of (`Columns`, TensorColumn), or a Subset of one
        The rows; positions of a subset are sorted.
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
            self.rows, dataset = np.asarray(dataset.indices), dataset.dataset
        self.X, self.y = dataset.X, dataset.y
        self.n = len(self.y) if self.rows is None else len(self.rows)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.generator, self.draw_pairs = generator, draw_pairs
        self.pairs = torch.Generator()
        if shuffle:
            self.pairs.manual_seed(generator.initial_seed())
        # A buffer is made of whole batches, so that none is short but the last one.
        per_row = sum(column[:1].nbytes for column in (*self.X.values(), self.y))
        fit = max(BUFFER_BYTES // max(per_row, 1) // batch_size, 1)
        self.buffer_rows = fit * batch_size
        self._whole = None

    def __len__(self):
        return -(-self.n // self.batch_size)

    def __iter__(self):
        if not self.shuffle:  # the same pairs at every validation
            self.pairs.manual_seed(0)
        mixed = self.shuffle and self.n > self.batch_size
        for spans in self._buffers():
            X, y = self._whole if self._whole is not None else self._read(spans)
            if self.n <= self.buffer_rows:
                self._whole = X, y
            order = torch.randperm(len(y), generator=self.generator) if mixed else None
            for start in range(0, len(y), self.batch_size):
                part = slice(start, min(start + self.batch_size, len(y)))
                part = part if order is None else order[part]
                batch = {key: value[part] for key, value in X.items()}
                if self.draw_pairs is not None:
                    batch["pairs"] = self.draw_pairs(batch, self.pairs)
                yield batch, y[part]
            del X, y, batch  # before the next are read

    def _buffers(self):
        """Spans of rows that are in memory together, as many at a time as fit."""
        if self.n <= self.buffer_rows:
            yield [(0, self.n)]
            return
        blocks = np.arange(-(-self.n // BLOCK_ROWS))
        if self.shuffle:
            blocks = torch.randperm(len(blocks), generator=self.generator).numpy()
        held, n_held = [], 0
        for block in blocks.tolist():
            start = block * BLOCK_ROWS
            stop = min(start + BLOCK_ROWS, self.n)
            while start < stop:
                end = min(stop, start + self.buffer_rows - n_held)
                held.append((start, end))
                n_held, start = n_held + end - start, end
                if n_held == self.buffer_rows:
                    yield held
                    held, n_held = [], 0
        if held:
            yield held

    def _read(self, spans):
        """The rows of some spans, as tensors."""
        parts = [slice(a, b) if self.rows is None else self.rows[a:b] for a, b in spans]

        def read(column):
            if len(parts) == 1:
                return column[parts[0]]
            first, start = column[parts[0]], 0
            found = first.new_empty((sum(b - a for a, b in spans), *first.shape[1:]))
            for part, (a, b) in zip(parts, spans):  # two copies at once are too many
                found[start : start + b - a] = column[part] if start else first
                start += b - a
            return found

        return {name: read(column) for name, column in self.X.items()}, read(self.y)


class Columns(dict):
    """Columns by name, as the networks read them, and what makes batches of them."""

    loader = StreamedLoader


class StreamedEnsemble(Ensemble):
    """Networks of a log whose features are on disk.

    They are those that `Ensemble` trains, but for the order of the rows, where these
    do not fit into one buffer.
    """

    def plain(self):
        """The networks as an ensemble for rows in memory. (Ensemble)"""
        found = Ensemble(self.settings, self.log_encoder)
        found.nets = self.nets
        return found

    def _inputs(self, rows, dtype):
        n_arms, codes = self.log_encoder.n_arms, torch.int64
        kinds = dict(features=None, history=None, history_values=None, user=codes)
        kinds |= dict(item=codes, arm=codes, weight=dtype, propensity=dtype)
        kinds |= dict(exposure=dtype, shift=dtype)
        tilted = rows.randomized is not None or self.objective.shift is not None
        if self.nets:
            tilted = self.nets[0].criterion_.tilt is not None
        X = Columns()
        for name, kind in kinds.items():
            values = getattr(rows, name)
            if values is not None and (name != "shift" or tilted):
                X[name] = TensorColumn(values, kind)
        if (rows.weight == 1).all():
            del X["weight"]  # the objective takes all for 1
        if "propensity" in X and self.objective.is_ratio(n_arms):
            mean = torch.as_tensor(rows.propensity, dtype=dtype).nanmean()
            X["propensity"].units = lambda p: torch.as_tensor(p, dtype=dtype) / mean
        return X

    def _held_out(self, rows, kept, fraction, seed):
        """As `held_out_rows`, some users at a time where rows are many."""
        if rows.user is None or len(kept) <= SORTED_ROWS:
            return held_out_rows(rows, kept, fraction, seed)
        n_users = len(self.log_encoder.users)
        share = -(-n_users * SORTED_ROWS // len(kept))
        found, total = [], 0
        for k, first in enumerate(range(0, n_users, share)):
            user = rows.user[kept]
            mine = kept[(user >= first) & (user < first + share)]
            del user
            if not len(mine):
                continue
            rng = np.random.RandomState([seed % 2**32, k])
            time = None if rows.time is None else rows.time[mine]
            held = validation_rows(len(mine), fraction, rng, rows.user[mine], time)
            found.append(mine[held])
            total += len(held)
        if total < 0.2 * fraction * len(kept):
            # Most users have a row or two: one of theirs has to do.
            time = None if rows.time is None else rows.time[kept]
            rng = np.random.RandomState(seed % 2**32)
            return kept[validation_rows(len(kept), fraction, rng, None, time)]
        return np.sort(np.concatenate(found))

    def _targets(self, rows, dtype):
        encoder = self.log_encoder
        return TensorColumn(
            rows.y, dtype, lambda y: encoder.standardized(y.astype(np.float64))
        )

    def blocks(self, rows, index=None):
        """What the networks say of rows, block by block.

        Parameters
        ----------
        rows : Rows
            The log.
        index : ndarray of int or None, default=None
            Sorted positions of the rows; None: all.

        Yields
        ------
        part : slice or ndarray of int
            The positions of a block.
        found : Prediction
            Of its rows.
        """
        n = len(rows) if index is None else len(index)
        for start in range(0, n, PREDICTED_ROWS):
            part = slice(start, min(start + PREDICTED_ROWS, n))
            part = part if index is None else index[part]
            yield part, super().predict(in_memory(rows, part))

    def predict(self, rows, index=None):
        """As :meth:`Ensemble.predict`, reading the rows block by block."""
        found = [said for _, said in self.blocks(rows, index)]
        outcome = np.concatenate([said.outcome for said in found])
        if found[0].exposure is None:
            return Prediction(outcome, None)
        return Prediction(outcome, np.concatenate([said.exposure for said in found]))

    def cross_fit_to(self, folder, rows, fold, seeds, *, progress):
        """What networks that did not see a row's fold say of the row, on disk.

        They are trained as :meth:`Ensemble.cross_fit` trains them.

        Parameters
        ----------
        folder : path
            Where it is written.
        rows : Rows
            The log, with its facts.
        fold : ndarray of shape (n,)
            Labels 0 to k - 1.
        seeds : sequence of int
            One for each fold.
        progress : Progress
            Gets a stage for each fold.

        Returns
        -------
        outcome, exposure : DiskArray of shape (n, n_arms)
            In the units of y, and as probabilities; the latter None where no head
            estimates them.
        """
        settings, epochs = self.of_folds(rows)
        parts = []
        for k, seed in enumerate(seeds):
            part = StreamedEnsemble(settings, self.log_encoder)
            kept = positions(len(rows))[fold != k]
            most = epochs or settings.of_log(len(rows), len(kept)).max_epochs
            progress.stage(f"fold {k + 1}/{len(seeds)}", most)
            options = dict(epochs=epochs, progress=progress.step)
            part.train(rows, [seed], kept=kept, **options)
            parts.append(part)
        return _write_by_fold(folder, rows, fold, parts)

    def train(self, rows, seeds, *, kept=None, **options):
        """As :meth:`Ensemble.train`."""
        kept = positions(len(rows)) if kept is None else kept
        return super().train(rows, seeds, kept=kept, **options)


def _write_by_fold(folder, rows, fold, parts):
    """Write what each row's own networks predict, in one pass over the log."""
    writers = [DiskWriter(folder / f"{name}.bin") for name in ("outcome", "exposure")]
    told = None
    try:
        for start in range(0, len(rows), PREDICTED_ROWS):
            part = slice(start, min(start + PREDICTED_ROWS, len(rows)))
            block, of = in_memory(rows, part), fold[part]
            out = None
            for k, ensemble in enumerate(parts):
                mine = np.flatnonzero(of == k)
                if not len(mine):
                    continue
                found = Ensemble.predict(ensemble, block, mine)
                if out is None:
                    shape = (len(of), found.outcome.shape[1])
                    out = np.empty(shape), np.empty(shape)
                out[0][mine], told = found.outcome, found.exposure
                if told is not None:
                    out[1][mine] = told
            for writer, values in zip(writers, out):
                writer.write(values)
        outcome, exposure = (writer.done() for writer in writers)
        return outcome, None if told is None else exposure
    finally:
        for writer in writers:
            writer.close()
