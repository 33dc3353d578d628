"""Logs that do not fit into memory: a path, a Dataset, or batches of records."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import pandas as pd

BATCH_ROWS = 65536
_INDEX = re.compile(r"__index_level_\d+__")  # pandas' index, which is no column
NAMED = ("y", "treatment", "propensity", "sample_weight", "cluster")


def _arrow():
    try:
        import pyarrow
        import pyarrow.dataset
    except ImportError:
        raise ImportError(
            "Logs on disk and batches of records are read by pyarrow: pip install "
            "pyarrow. Logs that fit into memory need no such thing: pass a frame."
        ) from None
    return pyarrow


def is_stream(X):
    """Whether X is a log on disk or in batches, and not a table in memory.

    Parameters
    ----------
    X : object
        What came as X.

    Returns
    -------
    bool
        True for a path, a ``pyarrow.dataset.Dataset``, a callable, an iterator, an
        iterable that has a schema, and a list of tables.
    """
    if isinstance(X, (str, PathLike, LogStream, Iterator)):
        return True
    if hasattr(X, "columns") or hasattr(X, "dtype") or isinstance(X, type):
        return False
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and all(hasattr(part, "columns") for part in X)
    with_schema = hasattr(X, "schema") and isinstance(X, Iterable)
    return with_schema or hasattr(X, "to_batches") or callable(X)


def refuse_stream(X, name):
    """Refuse a log that is not in memory, where all of it is needed at once.

    Parameters
    ----------
    X : object
        What came as X.
    name : str
        What needs it, for the message.

    Raises
    ------
    ValueError
        If X is a path, a Dataset, or batches.
    """
    if is_stream(X):
        raise ValueError(
            f"{name} reads all rows at once, so X is a table in memory; a "
            f"{type(X).__name__} came. Read the rows, or as many of them as fit, for "
            "instance pd.read_parquet(path). Logs larger than memory are read by "
            "CausalDNNRecommender.fit."
        )


class LogStream:
    """A log that is read batch after batch, as often as it is asked for.

    Parameters
    ----------
    source : path, pyarrow.dataset.Dataset, callable, or iterable of tables
        The log. A path is a parquet file, or a folder of such. Tables are record
        batches, tables of pyarrow, or frames; a callable returns an iterable of them
        anew at each call.
    names : dict of str to str, sequence of str or None, default=None
        The columns that are no part of X, by what they are: "y", "treatment",
        "propensity", "sample_weight" and "cluster". None: there are none.
    folder : path or None, default=None
        Where the encoded log is written. None: nowhere.
    batch_rows : int, default=65536
        The number of rows that are read at once, where the source leaves it open.

    Attributes
    ----------
    schema : pyarrow.Schema
        That of all batches.
    columns : list of str
        The columns of X.
    n_rows : int or None
        The number of rows, where it can be told without reading them.

    Raises
    ------
    ValueError
        If the source can be read only once, has no file or no row, a file has another
        schema than the first one, or a name is no column.
    """

    def __init__(self, source, names=None, folder=None, batch_rows=BATCH_ROWS):
        self.folder, self.batch_rows, self.n_rows = folder, batch_rows, None
        self._arrow = _arrow()
        self._source = self._opened(source)
        names = {k: v for k, v in (names or {}).items() if v is not None}
        self.names = names
        for role in names:
            for name in self.named(role):
                if not isinstance(name, str) or name not in self.schema.names:
                    raise ValueError(
                        f"{role}={name!r} is not a column of the log, and where X is a "
                        f"{type(source).__name__}, {role} is the name of one. Its "
                        f"columns are {self.schema.names}."
                    )
        taken = {name for role in names for name in self.named(role)}
        taken |= {name for name in self.schema.names if _INDEX.fullmatch(name)}
        self.columns = [name for name in self.schema.names if name not in taken]
        twice = [n for n in self.schema.names if self.schema.names.count(n) > 1]
        if twice:
            raise ValueError(f"the log has two columns {twice[0]!r}: rename them.")

    def named(self, role):
        """The columns named for what is no part of X, a list."""
        name = self.names.get(role)
        return [] if name is None else list(np.atleast_1d(np.array(name, object)))

    def header(self, role):
        """An empty column of the name that a role has, or None where it has none."""
        named = self.named(role)
        return pd.Series(name=named[0], dtype=float) if named else None

    def _opened(self, source):
        """What returns the batches; the schema is learned on the way."""
        dataset = self._arrow.dataset
        if isinstance(source, (str, PathLike)):
            path = Path(fspath(source))
            if not path.exists():
                raise ValueError(f"there is no file and no folder {str(path)!r}.")
            source = dataset.dataset(path, format="parquet")
        if isinstance(source, Iterator):
            raise ValueError(
                f"X is a {type(source).__name__}, which can be read once, and a log is "
                "read again where that is needed. Pass a callable that returns the "
                "batches anew, for instance lambda: batches(...), or a list of them."
            )
        if isinstance(source, dataset.Dataset):
            _check_files(self._arrow, source)
            self.schema, self.n_rows = source.schema, source.count_rows()
            if self.n_rows == 0:
                raise ValueError("The log holds no row.")
            return lambda: self._batches_of(source)
        make = source if callable(source) else lambda: source
        self.schema = getattr(source, "schema", None)
        if not isinstance(self.schema, self._arrow.Schema):
            first = next(iter(make()), None)
            if first is None:
                raise ValueError("The log holds no row: there is no batch.")
            self.schema = self._as_table(first).schema.remove_metadata()
        return lambda: ((f"batch {i}", part) for i, part in enumerate(make(), 1))

    def _batches_of(self, source):
        """Batches of a dataset on demand: readahead would hold whole files."""
        options = dict(batch_readahead=0, fragment_readahead=0, use_threads=False)
        arrow = self._arrow.dataset
        if isinstance(getattr(source, "format", None), arrow.ParquetFileFormat):
            options["fragment_scan_options"] = arrow.ParquetFragmentScanOptions(
                pre_buffer=False, use_buffered_stream=True
            )
        for part in source.get_fragments():
            where = getattr(part, "path", "the dataset")
            given = dict(schema=source.schema, batch_size=self.batch_rows)
            try:
                for batch in part.to_batches(**given, **options):
                    yield where, batch
            except (OSError, self._arrow.ArrowException) as error:
                # It may be read before a batch of the file is here to tell of it.
                raise OSError(f"{where}: {error}") from error

    def _as_table(self, part):
        """A record batch, a table of pyarrow, or a frame as a table of pyarrow."""
        arrow = self._arrow
        if isinstance(part, arrow.RecordBatch):
            return arrow.Table.from_batches([part])
        if isinstance(part, arrow.Table):
            return part
        if hasattr(part, "to_arrow"):
            return part.to_arrow()
        if hasattr(part, "columns") and hasattr(part, "iloc"):
            return arrow.Table.from_pandas(part, preserve_index=False)
        raise TypeError(
            f"A log in batches is made of record batches, tables or frames; got a "
            f"{type(part).__name__}."
        )

    def frames(self, columns=None):
        """Read the batches as pandas frames.

        Parameters
        ----------
        columns : list of str or None, default=None
            The columns to read. None: all.

        Yields
        ------
        where : str
            The file or batch, and its rows, for messages.
        frame : DataFrame
            The rows; there is at least one.
        """
        start, place = 0, "the first part"
        try:
            for place, part in self._source():
                table = self._as_table(part)
                where = f"{place}, from row {start} of the log on"
                _same_schema(where, self.schema, table.schema)
                if columns is not None:
                    table = table.select(columns)
                for first in range(0, table.num_rows, 4 * self.batch_rows):
                    piece = table.slice(first, 4 * self.batch_rows)
                    yield (
                        f"{place}, from row {start + first} of the log on",
                        (piece.to_pandas(ignore_metadata=True)),
                    )
                start += table.num_rows
        except (OSError, self._arrow.ArrowException) as error:
            raise ValueError(
                f"the log breaks off after row {start}, in {place} or after: {error}"
            ) from None
        finally:  # what the reader keeps to be quick next time
            self._arrow.default_memory_pool().release_unused()
        if start == 0:
            raise ValueError("The log holds no row.")


def _check_files(arrow, source):
    """Refuse a dataset one of whose files has another schema than the first."""
    keys = None
    for part in source.get_fragments():
        if keys is None:
            told = getattr(part, "partition_expression", None)
            keys = () if told is None else arrow.dataset.get_partition_keys(told)
        expected = arrow.schema([f for f in source.schema if f.name not in keys])
        _same_schema(getattr(part, "path", "a part"), expected, part.physical_schema)
    if keys is None:
        raise ValueError("The log has no file, so it holds no row.")


def _same_schema(where, expected, found):
    """Refuse a file or a batch whose columns are not those of the first one."""
    for field in expected:
        if field.name not in found.names:
            raise ValueError(
                f"{where}: the column {field.name!r} is missing, and the first batch "
                f"of the log has it. The columns are {found.names}."
            )
        kind = found.field(field.name).type
        if not kind.equals(field.type):
            raise ValueError(
                f"{where}: the column {field.name!r} holds {kind}, and the first batch "
                f"of the log holds {field.type} there. Write all files alike: an id "
                "or a number that changes its type is not the same."
            )
    more = [name for name in found.names if name not in expected.names]
    if more:
        raise ValueError(
            f"{where}: there is a column {more[0]!r} that the first batch of the log "
            "does not have. Write all files alike."
        )


@contextmanager
def opened(X, y, treatment, propensity, sample_weight, cluster=None):
    """Arguments of ``fit``; where X is no table in memory, as a stream.

    The folder in which the stream's encoded log will stand is removed in the end,
    whatever happens.

    Parameters
    ----------
    X, y, treatment, propensity, sample_weight, cluster
        As ``fit`` got them.

    Yields
    ------
    tuple
        All of them. Where X is a stream, it is a `LogStream`, and the others are None:
        the stream knows their columns.
    """
    given = (y, treatment, propensity, sample_weight, cluster)
    if not is_stream(X):
        yield (X, *given)
        return
    folder = tempfile.mkdtemp(prefix="causalrec-")
    try:
        yield (LogStream(X, dict(zip(NAMED, given)), folder), *[None] * len(given))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def by_batches(X, estimator, function: Callable):
    """What a function says of the rows of a stream, one after the other.

    Parameters
    ----------
    X : object
        The stream: a path, a Dataset, or batches.
    estimator : estimator
        Fitted; its ``feature_names_in_`` are the columns that are read.
    function : callable
        Called with a frame of rows; returns an array, or a tuple of arrays, with an
        entry for each row.

    Returns
    -------
    ndarray or tuple of ndarray
        Those of all rows.
    """
    stream = LogStream(X)
    columns = list(getattr(estimator, "feature_names_in_", stream.columns))
    missing = [name for name in columns if name not in stream.schema.names]
    if missing:
        raise ValueError(
            f"the log lacks the column {missing[0]!r}, which fit saw. Its columns are "
            f"{stream.schema.names}."
        )
    found = [function(frame) for _, frame in stream.frames(columns)]
    if isinstance(found[0], tuple):
        return tuple(np.concatenate(parts) for parts in zip(*found))
    return np.concatenate(found)
