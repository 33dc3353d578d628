"""Logs larger than memory: parts of whole users, one in memory at a time."""

import inspect
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from sklearn_causalrec.encoding.frames import check_columns
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.interactions._cleaning_rules import (
    BOT_FROM,
    BURST_FROM,
    robust_limit,
    spelling_key,
)
from sklearn_causalrec.interactions.cleaner import (
    Cleaner,
    CleaningReport,
    nothing_left,
    read_exposures,
)
from sklearn_causalrec.interactions.cleaning import check_options, clean_log

HELD_BATCHES = 5  # so many times batch_rows are held back, to be written together
_ROW_RULES = (
    "id_spelling",
    "missing",
    "impossible_times",
    "impossible_values",
    "exact_duplicates",
    "near_duplicates",
)
_LATE_RULES = ("bots", "bursts", "before_exposure")


def _arrow():
    try:
        import pyarrow
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            "Logs on disk are read by pyarrow: pip install pyarrow. Logs that fit into "
            "memory need clean_log only."
        ) from None
    return pyarrow


def part_of(users, n_parts):
    """Return the part that each user belongs to, however the id is spelt, as int64."""
    keys = users
    if users.dtype.kind not in "fiu":
        keys = spelling_key(users).fillna("").astype(object)
    else:
        keys = keys.astype("float64")
    hashes = pd.util.hash_array(keys.to_numpy(), categorize=True)
    return (hashes % np.uint64(n_parts)).astype(np.int64)


def _batches(source, batch_rows):
    """Read batches of a dataset on demand, because readahead would hold whole files."""
    options = dict(batch_readahead=0, fragment_readahead=0, use_threads=False)
    dataset = _arrow().dataset
    if isinstance(getattr(source, "format", None), dataset.ParquetFileFormat):
        options["fragment_scan_options"] = dataset.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True
        )
    return source.to_batches(batch_size=batch_rows, **options)


def _dataset(source, folder, ids):
    """A source as a dataset, none of whose files is where parts would be written."""
    arrow = _arrow()
    given = Path(source).resolve() if isinstance(source, (str, Path)) else None
    if not isinstance(source, arrow.dataset.Dataset):
        source = arrow.dataset.dataset(source)
    folder = Path(folder).resolve()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name a folder for the parts.")
    there = min(folder.glob("*.parquet"), default=None) if folder.exists() else None
    if there is not None:
        raise FileExistsError(
            f"{folder} has parquet files already, {there.name} for one, and nothing is "
            "overwritten: name an empty folder."
        )
    for path in _files(source):
        if Path(path).resolve().parent == folder:
            raise FileExistsError(
                f"The log itself, {path}, is in {folder}: name another folder for the "
                "parts."
            )
    if given is not None and given.is_dir() and folder.is_relative_to(given):
        raise FileExistsError(
            f"{folder} is in {given}, where the log is: the parts would be read as "
            "more of it. Name a folder elsewhere."
        )
    check_columns(pd.DataFrame(columns=source.schema.names), **ids)
    for role, name in ids.items():
        kind = source.schema.field(name).type
        if arrow.types.is_nested(kind):
            raise ValueError(f"{role}={name!r} holds {kind}, which is no id.")
    return source


def _files(source):
    """The files of a dataset, of all datasets in a union of some."""
    for child in getattr(source, "children", []):
        yield from _files(child)
    yield from getattr(source, "files", [])


@contextmanager
def _writing(folder):
    """A directory to write in, whose parts go to the folder in the end, or nothing.

    What is removed is what was made here: the directory, and, after an error, the
    parts and the folders above them.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    work, moved = None, []
    try:
        work = Path(tempfile.mkdtemp(prefix=".parts-", dir=folder))
        yield work
        for path in sorted(work.glob("part-*.parquet")):
            target = folder / path.name
            target.open("xb").close()  # fails where somebody else made one meanwhile
            moved.append(target)
            path.replace(target)
    except BaseException:
        for target in moved:
            target.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        for path in made:
            if not any(path.iterdir()):
                path.rmdir()
        raise
    shutil.rmtree(work)


def partition_log(
    source: Any,
    folder: str | PathLike,
    *,
    user: str,
    n_parts: int = 16,
    batch_rows: int = 100_000,
    count: Sequence[str] = (),
) -> tuple[list[Path], dict[str, Counter]]:
    """Split a log on disk into parts of whole users.

    Split the events and the impressions into equally many parts: then the parts of the
    same number contain the same users, and
    :func:`~sklearn_causalrec.interactions.build_examples` can go part by part.

    Parameters
    ----------
    source : path, list of paths, or pyarrow.dataset.Dataset
        The log. Paths are read as parquet files. Pass a Dataset for other formats.
    folder : path
        The folder for the parts. It is created if it does not exist. It must not
        contain parquet files, nor the log itself. Nothing that is there is changed, and
        nothing is left there if the split fails.
    user : str
        The column of user ids. Ids that differ only by case or spaces go to the same
        part.
    n_parts : int, default=16
        The number of parts.
    batch_rows : int, default=100000
        The number of rows that are read at a time.
    count : sequence of str, default=()
        The columns whose values are counted while the log is read.

    Returns
    -------
    paths : list of Path
        The parts ``folder/part-00000.parquet`` and so on. A part without users is a
        file without rows.
    counts : dict of str to Counter
        For each column in `count`, how often each of its values occurs. Missing values
        are not counted.

    Raises
    ------
    FileExistsError
        If the folder contains parquet files already, or the log.
    ImportError
        If pyarrow is not installed.
    ValueError
        If `user` is not a column of the log, or holds what is no id.

    See Also
    --------
    clean_dataset : Clean a log on disk part by part.
    build_examples : Turn the parts into one row per decision.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import partition_log
    >>> log = pd.DataFrame({"user": ["Ann", "ann", "bo"], "item": ["x", "y", "x"]})
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.parquet")
    ...     log.to_parquet(file)
    ...     paths, counts = partition_log(
    ...         file, Path(folder, "parts"), user="user", n_parts=2, count=["item"]
    ...     )
    ...     sum(len(pd.read_parquet(path)) for path in paths)
    3
    >>> counts["item"]["x"]
    2
    """
    check_scalar(n_parts, "n_parts", Integral, min_val=1)
    check_scalar(batch_rows, "batch_rows", Integral, min_val=1)
    source = _dataset(source, folder, {"user": user})
    count = [count] if isinstance(count, str) else list(count)
    check_columns(pd.DataFrame(columns=source.schema.names), count=count)
    with _writing(folder) as work:
        paths, counts = _split(source, work, user, n_parts, batch_rows, count)
    return [Path(folder) / path.name for path in paths], counts


def _split(source, folder, user, n_parts, batch_rows, count, look=lambda batch: None):
    """Write the parts, and let `look` see each batch. (paths, counts)"""
    arrow = _arrow()
    paths = [folder / f"part-{part:05d}.parquet" for part in range(n_parts)]
    writers = [arrow.parquet.ParquetWriter(path, source.schema) for path in paths]
    counts = {name: Counter() for name in count}
    # Few large row groups: a writer keeps the statistics of each until it is closed.
    held, n_held = [[] for _ in paths], 0

    def write():
        for writer, batches in zip(writers, held):
            if batches:
                writer.write_table(arrow.Table.from_batches(batches).combine_chunks())
                batches.clear()

    try:
        for batch in _batches(source, batch_rows):
            if batch.num_rows == 0:
                continue
            look(batch)
            for name, counter in counts.items():
                counter.update(batch.column(name).drop_null().to_pandas().tolist())
            parts = part_of(batch.column(user).to_pandas(), n_parts)
            order = np.argsort(parts, kind="stable")
            ends = np.cumsum(np.bincount(parts, minlength=n_parts))
            batch = batch.take(arrow.array(order))
            for part, (end, start) in enumerate(zip(ends, [0, *ends[:-1]])):
                if end > start:
                    held[part].append(batch.slice(start, end - start))
            n_held += batch.num_rows
            if n_held >= HELD_BATCHES * batch_rows:
                write()
                n_held = 0
        write()
    finally:
        for writer in writers:
            writer.close()
    return paths, counts


def _read(path):
    """A part as a frame; whole numbers with gaps stay whole."""
    arrow = _arrow()
    table = arrow.parquet.read_table(path)
    gaps = {
        field.type
        for field, column in zip(table.schema, table.columns)
        if arrow.types.is_integer(field.type) and column.null_count
    }
    nullable = {kind: pd.api.types.pandas_dtype(str(kind).capitalize()) for kind in gaps
                if arrow.types.is_signed_integer(kind)}  # fmt: skip
    return table.to_pandas(types_mapper=nullable.get)


def _most_frequent_spellings(counter):
    """Return one spelling for all ids that differ only by case or spaces.

    The result is None for numbers.
    """
    if not counter or not all(isinstance(value, str) for value in counter):
        return None
    spellings = pd.Series([value for value, _ in counter.most_common()], dtype=object)
    return spellings.groupby(spelling_key(spellings)).first().tolist()


def _sum_reports(reports):
    """Merge the reports of many parts into one, by adding the counts rule by rule."""
    total = CleaningReport(sum(report.n_before for report in reports))
    rules = pd.concat([report.to_frame() for report in reports])
    order = {rule: i for i, rule in enumerate(dict.fromkeys(rules.index))}
    for rule, rows in sorted(rules.groupby(level=0), key=lambda pair: order[pair[0]]):
        found, removed = rows[["found", "removed"]].sum()
        if removed and removed == total.n_after:
            raise nothing_left(rule, total)
        total.add(rule, rows["action"].iloc[0], found, removed)
    return total


def clean_dataset(
    source: Any,
    folder: str | PathLike,
    *,
    user: str,
    item: str,
    time: str,
    event: str | None = None,
    n_parts: int = 16,
    batch_rows: int = 100_000,
    **options: Any,
) -> tuple[list[Path], CleaningReport]:
    """Clean a log on disk as ``clean_log`` does, in bounded memory.

    The log is split into parts of whole users as by
    :func:`~sklearn_causalrec.interactions.partition_log`, and the parts are cleaned one
    at a time. How times are written, the spellings of items, and the limits of bots and
    bursts depend on all rows. They are learned from all parts first, so that the rows
    kept are those that :func:`~sklearn_causalrec.interactions.clean_log` would keep.

    Parameters
    ----------
    source : path, list of paths, or pyarrow.dataset.Dataset
        The log. Paths are read as parquet files. Pass a Dataset for other formats.
    folder : path
        The folder for the cleaned parts. It is created if it does not exist. It
        must not contain parquet files, nor the log itself. Nothing that is there is
        changed, and nothing is left there if the call fails.
    user : str
        The column of user ids.
    item : str
        The column of item ids.
    time : str
        The column of times.
    event : str, default=None
        The column of the kind of event.
    n_parts : int, default=16
        The number of parts. Memory holds one part, and the items with their counts.
    batch_rows : int, default=100000
        The number of rows that are read at a time.
    **options
        Further parameters of :func:`~sklearn_causalrec.interactions.clean_log`. The
        table `exposures` is a frame in memory.

    Returns
    -------
    paths : list of Path
        The cleaned parts as parquet files. Each contains whole users and is sorted by
        time. A part that is left without rows has no file.
    report : CleaningReport
        What every rule found and removed, summed over the parts.

    Raises
    ------
    FileExistsError
        If the folder contains parquet files already, or the log.
    ImportError
        If pyarrow is not installed.
    TypeError
        If an option is not a parameter of
        :func:`~sklearn_causalrec.interactions.clean_log`.
    ValueError
        If :func:`~sklearn_causalrec.interactions.clean_log` refuses the log or an
        option.

    See Also
    --------
    clean_log : Clean a log in memory.
    partition_log : Split a log into parts of whole users.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import clean_dataset
    >>> log = pd.DataFrame({"user": ["Ann", "ann", "bo"], "item": ["x", "x", "y"]})
    >>> log["time"] = pd.Timestamp("2024-01-01")
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.parquet")
    ...     log.to_parquet(file)
    ...     paths, report = clean_dataset(
    ...         file, Path(folder, "clean"), user="user", item="item", time="time"
    ...     )
    >>> report.n_before, report.n_after
    (3, 2)
    """
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(clean_log).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    if unknown := set(options) - set(defaults):
        raise TypeError(f"clean_dataset has no option {unknown.pop()!r}.")
    options = {**defaults, **options, "event": event}
    check_scalar(n_parts, "n_parts", Integral, min_val=1)
    check_scalar(batch_rows, "batch_rows", Integral, min_val=1)
    keys = dict(user=user, item=item, time=time)
    source = _dataset(source, folder, {"user": user, "item": item})
    checked = ("required", "ranges", "conversions", "time_range", "n_mads", "event")
    options["required"], options["ranges"], options["conversions"] = check_options(
        source.schema.names,
        **keys,
        **{name: options[name] for name in (*checked, *_ROW_RULES, *_LATE_RULES)},
    )
    reader = TimeReader(time, timezone=options["timezone"], unit=options["unit"])

    def look(batch):
        reader.look(batch.column(time).to_pandas(types_mapper=pd.ArrowDtype))

    with _writing(folder) as work:
        raw = work / "raw"
        raw.mkdir()
        paths, counts = _split(source, raw, user, n_parts, batch_rows, [item], look)
        if reader.n == 0:
            raise ValueError("The log holds no row: there is nothing to clean.")
        cleaned, report = _clean_parts(paths, work, keys, options, counts, reader)
    return [Path(folder) / path.name for path in cleaned], report


def _clean_parts(paths, folder, keys, options, counts, reader):
    columns = (*keys.values(), options["event"])
    # All spellings of a user are in one part; those of an item are in many.
    items = options["items"]
    if items is None:
        items = _most_frequent_spellings(counts[keys["item"]])
    users, mine = options["users"], None
    if users is not None:
        users = pd.Series(users).dropna()
        part = part_of(users, len(paths))
    exposures = options["exposures"]
    if exposures is not None:
        exposures = read_exposures(exposures, *keys.values(), reader)
        exposed = part_of(exposures[keys["user"]], len(paths))
    early = {rule: options[rule] for rule in _ROW_RULES}
    reports, per_user, cleaned = [], Counter(), []
    row_options = [options[name] for name in ("required", "time_range", "ranges")]
    for number, path in enumerate(paths):
        frame = _read(path)
        if frame.empty:
            continue
        if users is not None:
            mine = users[part == number]
        log = Cleaner(frame, early, *columns, reader, whole=False)
        log.row_rules(mine, items, *row_options, options["near_window"])
        reports.append(log.report)
        per_user.update(log.user_counts().tolist())
        cleaned.append((number, folder / path.name))
        log.frame.to_parquet(cleaned[-1][1], index=False)

    late = {rule: options[rule] for rule in _LATE_RULES}

    def cleaner(path):
        log = Cleaner(_read(path), late, *columns, None, reader.counts, whole=False)
        log.report.n_before = 0
        reports.append(log.report)
        return log

    n_mads, window = options["n_mads"], options["burst_window"]
    limit, per_window = robust_limit(_values(per_user), n_mads, BOT_FROM), Counter()
    for _, path in cleaned:
        log = cleaner(path)
        log.bots(n_mads, limit)
        if late["bursts"] != "off":
            per_window.update(log.windows(window)[-1].tolist())
        log.frame.to_parquet(path, index=False)
    limit = robust_limit(_values(per_window), n_mads, BURST_FROM)
    unify, shown_here = options["id_spelling"] == "fix", None
    met = exposures is None or exposures.empty or late["before_exposure"] == "off"
    for number, path in cleaned:
        log = cleaner(path)
        log.bursts(window, n_mads, limit)
        if exposures is not None:
            shown_here = exposures[exposed == number]
        met |= log.before_exposure(shown_here, options["conversions"], unify)
        if len(log.frame):
            log.frame.to_parquet(path, index=False)
        else:
            path.unlink()
    report = _sum_reports(reports)
    if not met:
        raise ValueError(
            f"No {keys['user']!r} or no {keys['item']!r} of the exposures is in the "
            "log. Are they spelt alike?"
        )
    return [path for _, path in cleaned if path.exists()], report


def _values(counter):
    return np.repeat(list(counter), list(counter.values())) if counter else []
