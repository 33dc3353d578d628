"""Arrays on disk that are read where they are asked for, and never mapped."""

import numpy as np

SPAN_BYTES = 2**22  # what is read at once where single rows are asked for
BLOCK_ROWS = 65536


class DiskArray:
    """An array on disk; what is asked of it is read into memory, and nothing else.

    Files that are mapped into memory count as the memory of the process from the first
    read on. These are read, and what was read is free to go.

    Parameters
    ----------
    path : path
        A file of the plain values, row after row.
    shape : tuple of int
        The shape of the array.
    dtype : dtype
        That of the values.
    table : ndarray of shape (n_codes + 1,) or None, default=None
        What the values stand for, where they are codes: -1 stands for the last one.
        None: they are what they are.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sklearn_causalrec.encoding.disk_arrays import DiskArray
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.bin")
    ...     np.arange(6, dtype=np.float32).tofile(path)
    ...     rows = DiskArray(path, (3, 2), np.float32)
    ...     rows[1:].tolist(), rows[np.array([2, 0])].tolist()
    ([[2.0, 3.0], [4.0, 5.0]], [[4.0, 5.0], [0.0, 1.0]])
    """

    def __init__(self, path, shape, dtype, table=None):
        self.path, self.shape, self.table = path, tuple(shape), table
        self._stored = np.dtype(dtype)

    @property
    def dtype(self):
        return self._stored if self.table is None else self.table.dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def _width(self):
        return int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def nbytes(self):
        return len(self) * self._width * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def coded(self, table):
        """The same rows, whose values are codes of the entries of a table."""
        return DiskArray(self.path, self.shape, self._stored, table)

    def __getitem__(self, key):
        if isinstance(key, tuple):  # columns: of all rows, block by block
            rows, *rest = key
            if rows != slice(None):
                return self[rows][(slice(None), *rest)]
            parts = [self[block][(slice(None), *rest)] for block in self.blocks()]
            return np.concatenate(parts)
        if isinstance(key, (int, np.integer)):
            start = key + len(self) if key < 0 else key
            if not 0 <= start < len(self):
                raise IndexError(f"row {key} of {len(self)}")
            return self._read(start, start + 1)[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            return self[np.arange(start, stop, step)]
        key = np.asarray(key)
        return self._gather(np.flatnonzero(key) if key.dtype == bool else key)

    def __array__(self, dtype=None, copy=None):
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)

    def blocks(self, n_rows=BLOCK_ROWS):
        """Slices of so many rows each, one after the other."""
        for start in range(0, len(self), n_rows):
            yield slice(start, min(start + n_rows, len(self)))

    def _read(self, start, stop):
        size = self._width * self._stored.itemsize
        count = (stop - start) * self._width
        values = np.fromfile(self.path, self._stored, count, offset=start * size)
        values = values.reshape(stop - start, *self.shape[1:])
        return values if self.table is None else self.table[values]

    def _gather(self, rows):
        """Rows at these positions, by reads of whole spans in the order on disk."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if not len(rows):
            return out
        order = None
        if (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            rows = rows[order]
        span = max(SPAN_BYTES // max(self._width * self._stored.itemsize, 1), 1)
        begin = 0
        while begin < len(rows):
            first = int(rows[begin])
            end = int(np.searchsorted(rows, first + span))
            found = self._read(first, int(rows[end - 1]) + 1)[rows[begin:end] - first]
            out[slice(begin, end) if order is None else order[begin:end]] = found
            begin = end
        return out


class DiskWriter:
    """Writes the rows of a `DiskArray`, block after block.

    Parameters
    ----------
    path : path
        The file, which must not be there yet.
    """

    def __init__(self, path):
        self.path, self.rows, self.shape, self.dtype = path, 0, (), np.dtype(np.float32)
        self._file = open(path, "xb")

    def write(self, values):
        """Append rows; all blocks have the shape and the type of the first one."""
        self.rows, self.shape, self.dtype = (
            self.rows + len(values),
            values.shape[1:],
            values.dtype,
        )
        np.ascontiguousarray(values).tofile(self._file)

    def close(self):
        """Close the file."""
        self._file.close()

    def done(self):
        """Close the file, and return what is in it. (DiskArray)"""
        self.close()
        return DiskArray(self.path, (self.rows, *self.shape), self.dtype)


def moments_beside(history, values):
    """Mean and scale of log(1 + v) of numbers beside items, block by block.

    Parameters
    ----------
    history : DiskArray of shape (n, length)
        Codes of the items, -1 where there is none.
    values : DiskArray of shape (n, length, q)
        The numbers.

    Returns
    -------
    mean, scale : ndarray of shape (q,)
    """
    count, first, second = 0, np.zeros(values.shape[2]), np.zeros(values.shape[2])
    for block in values.blocks():
        part = values[block][history[block] >= 0].astype(np.float64)
        part = np.sign(part) * np.log1p(np.abs(part))
        count, first = count + len(part), first + part.sum(0)
        second += np.square(part).sum(0)
    mean = first / max(count, 1)
    scale = np.sqrt(np.maximum(second / max(count, 1) - mean**2, 0.0))
    return mean, np.where(scale > 1e-6 * np.abs(mean), scale, 1.0)
