"""A log in batches as encoded rows, whose features stand on disk.

What is one number a row is kept in memory, in the smallest type that holds it; what is
wide, features and histories, goes to disk once and is read from there.
"""

import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.progress import Progress
from sklearn_causalrec.encoding.coded_ids import CodedIds
from sklearn_causalrec.encoding.disk_arrays import DiskArray, DiskWriter
from sklearn_causalrec.encoding.feature_columns import FeatureColumns, offsets_between
from sklearn_causalrec.encoding.history_columns import Histories, read_histories
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.encoding.roles import Log, as_ids

# Logs whose features take no more than this are held in memory, as if they had come as
# a table.
IN_MEMORY_BYTES = 2**28
WIDE = ("features", "history", "history_values")


class _Watched(FeatureColumns):
    """Columns of features of which the range over all batches is found on the way."""

    def __init__(self, like):
        vars(self).update(vars(like))
        self.low = self.high = None

    def _cast(self, X):
        if X.dtype == np.float64:
            with np.errstate(all="ignore"):
                low, high = X.min(axis=0), X.max(axis=0)
            self.low = low if self.low is None else np.minimum(self.low, low)
            self.high = high if self.high is None else np.maximum(self.high, high)
        return super()._cast(X)

    def settle(self):
        """Whether the offsets were those of the whole log; if not, now they are."""
        if self.low is None or self.limits is not None:
            return True
        right = offsets_between(self.low, self.high)
        settled = np.array_equal(right, self.offset_)
        self.offset_, self.low, self.high = right, None, None
        return settled

    def plain(self):
        """These columns, no longer watched."""
        found = FeatureColumns()
        found.offset_ = self.offset_
        if self.limits is not None:
            found.limits = self.limits
        return found


class _Column:
    """A column of a log, batch after batch: numbers as they are, all else as codes."""

    def __init__(self, ids=False):
        self.parts, self.coded, self.order = [], ids, None
        self.index, self.ids = pd.Index([], dtype=object), ids

    def add(self, values):
        dtype = getattr(values, "dtype", None)
        if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
            if self.order not in (None, dtype):
                raise ValueError(
                    f"its categories have another order, {list(dtype.categories)}, "
                    f"than those before, {list(self.order.categories)}."
                )
            self.order = dtype
            self.parts.append(values.cat.codes.to_numpy(copy=True))
            return
        values = np.asarray(values)
        plain = not self.ids and values.dtype.kind in "fiubmM"
        if not (plain or self.coded):  # from here on: a gap among truth values, say
            self.parts = [self.codes(part.astype(object)) for part in self.parts]
            self.coded = True
        if plain and self.coded:
            values = values.astype(object)
        # A copy: a view would keep the whole batch in memory.
        self.parts.append(self.codes(values) if self.coded else values.copy())

    def codes(self, values):
        """Codes in the order in which values appeared; one that is new gets the next.

        Ids of text and of numbers are told apart when all are there.
        """
        codes, found = pd.factorize(values, use_na_sentinel=False)
        found = pd.Index(found, dtype=None if found.dtype.kind in "iu" else object)
        place = self.index.get_indexer(found)
        new = np.flatnonzero(place < 0)
        if len(new):
            place[new] = len(self.index) + np.arange(len(new))
            more = found[new]
            self.index = self.index.append(more) if len(self.index) else more
        return place.astype(np.int32)[codes]

    def done(self):
        """The whole column; the parts are gone."""
        whole, self.parts = np.concatenate(self.parts), None
        if self.order is not None:
            return pd.Series(pd.Categorical.from_codes(whole, dtype=self.order))
        if not self.coded:
            return whole
        if self.ids:
            return CodedIds(self.index, whole)
        return self.index.to_numpy(dtype=object)[whole]


class _Gathered:
    """What was read of the batches so far."""

    def __init__(self, folder, roles, length):
        folder.mkdir()
        self.folder, self.roles, self.length = folder, roles, length
        self.columns, self.writers, self.kept = {}, {}, []
        self.items = _Column(ids=True)

    def _column(self, name, ids=False):
        return self.columns.setdefault(name, _Column(ids))

    def _write(self, name, values):
        if name not in self.writers:
            self.writers[name] = DiskWriter(self.folder / f"{name}.bin")
        self.writers[name].write(values)

    def add(self, log, named):
        """Add a batch: its log, and the columns that are no part of X."""
        keep = slice(None)
        if "sample_weight" in named:
            keep = named["sample_weight"].to_numpy() != 0
            self.kept.append(keep)
        self._write("features", log.features[keep])
        for role in ("user", "item"):
            if getattr(log, role) is not None:
                self._column(role, ids=True).add(getattr(log, role)[keep])
        for role in ("time", "treatment", "propensity"):
            if getattr(log, role) is not None:
                self._column(role).add(getattr(log, role)[keep])
        for name, values in (log.clusters or {}).items():
            ids = as_ids(values[keep], f"cluster {name!r}")
            self._column(("cluster", name), ids=True).add(ids)
        for name, values in named.items():
            ids = isinstance(name, tuple)
            values = as_ids(values, f"cluster {name[1]!r}") if ids else values
            self._column(name if ids else ("given", name), ids).add(values[keep])
        if log.history is not None:
            past = read_histories(
                [column[keep] for column in log.history],
                self.roles.histories,
                self.length,
            )
            table = np.append(self.items.codes(past.ids), -1).astype(np.int32)
            self._write("history", table[past.codes])
            if past.values is not None:
                self._write("history_values", past.values)

    def close(self):
        for writer in self.writers.values():
            writer.close()

    def log(self):
        """The log as a whole, and the columns beside it."""
        wide = {name: writer.done() for name, writer in self.writers.items()}
        found = {name: self.columns.pop(name).done() for name in list(self.columns)}
        given = {n[1]: found.pop(n) for n in list(found) if n[0] == "given"}
        clusters = {n[1]: found.pop(n) for n in list(found) if n[0] == "cluster"}
        log = Log(wide["features"], **found, clusters=clusters or None)
        if "history" in wide:
            values = wide.get("history_values")
            log.history = Histories(wide["history"], values, self.items.index)
        return log, given


@contextmanager
def _told(where):
    """Errors of a batch say which batch it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def read_stream(encoder, estimator, stream, *, first=True, control=None, silent=False):
    """Learn from a log in batches and encode it, as ``encoder.fit_rows`` does.

    The log is read once; a second time where a feature lies far from 0 beside its
    spread, and the first batch did not tell.

    Parameters
    ----------
    encoder : LogEncoder
        Learns from the log.
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    stream : LogStream
        The log; the columns that are named there are no features.
    first : bool, default=True
        Whether to learn everything, as in ``fit_rows``.
    control : scalar, default=None
        The arm that effects are against, where it is named.
    silent : bool, default=False
        Whether y is 1 in all rows where no column of it is named.

    Returns
    -------
    Rows
        Features and histories of a log that does not fit into memory are each a
        `DiskArray`.

    Raises
    ------
    ValueError
        If a batch cannot be used; the message says which one, and names the column.
    """
    if "y" not in stream.names and not silent:
        raise ValueError(
            "y is missing: name the column of the log that holds the outcome, such as "
            'fit(path, y="clicked"). For lists of who chose what, without outcomes, '
            'choose objective="implicit".'
        )
    folder = Path(stream.folder)
    _refuse_full_disk(stream, folder)
    for attempt in ("first", "second"):
        gathered = _Gathered(folder / attempt, encoder.roles, encoder.history_length)
        try:
            given = (gathered, encoder, estimator, stream)
            columns = _read_batches(*given, first, attempt)
        finally:
            gathered.close()
        if columns is None or columns.settle():
            break
        shutil.rmtree(folder / attempt)
    if columns is not None:
        encoder.roles._columns = columns.plain()
    return _encoded(gathered, encoder, estimator, stream, first, control)


def _read_batches(gathered, encoder, estimator, stream, first, attempt):
    """Read all batches; return the columns that were watched, or None."""
    roles, columns = encoder.roles, None
    beside = {role: stream.named(role) for role in stream.names}
    n_batches = -(-(stream.n_rows or 0) // stream.batch_rows)
    with Progress(estimator.verbose) as progress:
        progress.stage("read", n_batches)
        for where, frame in stream.frames():
            with _told(where):
                X = frame[stream.columns]
                if first and attempt == "first" and columns is None:
                    roles.split(estimator, X, reset=True)
                    columns = roles._columns = _Watched(roles._columns)
                log = roles.split(estimator, X, reset=False)
                named = {
                    role if role != "cluster" else ("cluster", name): frame[name]
                    for role, names in beside.items()
                    for name in names
                }
                gathered.add(log, named)
            progress.step()
    return roles._columns if first else None


def _encoded(gathered, encoder, estimator, stream, first, control):
    log, given = gathered.log()
    n = len(log)
    if n == 0:
        raise ValueError("sample_weight is 0 in every row of the log.")
    y = given.get("y", np.ones(n))
    if "y" in stream.names:
        y = pd.Series(y, name=stream.named("y")[0], copy=False)
    of_fit = [given.get(k) for k in ("treatment", "propensity", "sample_weight")]
    if "cluster" in stream.names and encoder.roles.clusters:
        raise ValueError(
            "cluster came twice: as an argument of fit and of the estimator. Drop one."
        )
    rows = encoder.fit_log(estimator, log, y, *of_fit, first=first, control=control)
    encoder.kept = np.concatenate(gathered.kept) if gathered.kept else np.ones(n, bool)
    return in_memory(rows) if rows.features.nbytes <= IN_MEMORY_BYTES else rows


def in_memory(rows, part=slice(None)):
    """Rows of a log on disk as if the log had come as a table.

    Parameters
    ----------
    rows : Rows
        The log.
    part : slice or ndarray, default=slice(None)
        The rows to read.

    Returns
    -------
    Rows
        In memory, in the types that a log in memory has.
    """
    found = rows.take(part)
    for name in ("user", "item", "arm"):
        values = getattr(found, name)
        if values is not None:
            setattr(found, name, values.astype(np.int64, copy=False))
    for name in ("y", "weight"):
        setattr(found, name, np.array(getattr(found, name), np.float64))
    for name in WIDE:
        values = getattr(found, name)
        if values is not None:
            setattr(found, name, np.asarray(values))
    if found.clusters is not None:
        found.clusters.codes = found.clusters.codes.astype(np.int64, copy=False)
    return found


def is_on_disk(rows):
    """Whether the features of the rows are read from disk. (bool)"""
    return isinstance(rows, Rows) and isinstance(rows.features, DiskArray)


def _refuse_full_disk(stream, folder):
    """Refuse a log whose features would not fit beside, before any is written."""
    if stream.n_rows is None:
        return
    needed = 4 * stream.n_rows * len(stream.columns)
    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise ValueError(
                f"the features of {stream.n_rows} rows take {needed / 2**30:.1f} GiB "
                f"in {folder.parent}, and {free / 2**30:.1f} GiB are free there: set "
                "TMPDIR to a folder of a larger disk."
            )
