"""Logs larger than memory: parts of whole users, one in memory at a time."""

import inspect
import shutil
from collections import Counter
from collections.abc import Sequence
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from sklearn_causalrec.encoding.frames import as_frame, check_columns
from sklearn_causalrec.interactions._cleaning_rules import (
    BOT_FROM,
    BURST_FROM,
    robust_limit,
    spelling_key,
)
from sklearn_causalrec.interactions.cleaning import (
    Cleaner,
    CleaningReport,
    check_actions,
    clean_log,
)

HELD_BATCHES = 5  # so many times batch_rows are held back, to be written together
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
        contain parquet files.
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
        If the folder contains parquet files already.
    ImportError
        If pyarrow is not installed.
    ValueError
        If `user` is not a column of the log.

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
    arrow = _arrow()
    check_scalar(n_parts, "n_parts", Integral, min_val=1)
    check_scalar(batch_rows, "batch_rows", Integral, min_val=1)
    if not isinstance(source, arrow.dataset.Dataset):
        source = arrow.dataset.dataset(source)
    check_columns(pd.DataFrame(columns=source.schema.names), user=user)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if next(folder.glob("*.parquet"), None) is not None:
        raise FileExistsError(f"{folder} has parquet files already: name an empty one.")
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

    The log is split into parts of whole users by
    :func:`~sklearn_causalrec.interactions.partition_log`, and the parts are cleaned one
    at a time. The spellings of items and the limits of bots and bursts depend on all
    rows. They are counted over all parts first, so that the rows kept are those that
    :func:`~sklearn_causalrec.interactions.clean_log` would keep.

    Parameters
    ----------
    source : path, list of paths, or pyarrow.dataset.Dataset
        The log. Paths are read as parquet files. Pass a Dataset for other formats.
    folder : path
        The folder for the cleaned parts. It is created if it does not exist. Name an
        empty one: parts of an earlier run are overwritten or stay beside the new ones.
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
        If ``folder/raw``, where the raw parts are kept meanwhile, contains parquet
        files.
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
    check_actions({rule: options[rule] for rule in _LATE_RULES})
    keys = dict(user=user, item=item, time=time)
    folder = Path(folder)
    raw = folder / "raw"
    paths, counts = partition_log(
        source,
        raw,
        user=user,
        n_parts=n_parts,
        batch_rows=batch_rows,
        count=(item,),
    )
    try:
        return _clean_parts(paths, folder, keys, options, counts)
    finally:
        shutil.rmtree(raw)


def _clean_parts(paths, folder, keys, options, counts):
    # All spellings of a user are in one part; those of an item are in many.
    if options["items"] is None:
        options["items"] = _most_frequent_spellings(counts[keys["item"]])
    users, mine = options["users"], None
    if users is not None:
        users = pd.Series(users).dropna()
        part = part_of(users, len(paths))
    late = {rule: options[rule] for rule in _LATE_RULES}
    early = {**options, **dict.fromkeys(_LATE_RULES, "off"), "exposures": None}
    reports, per_user, cleaned = [], Counter(), []
    for number, path in enumerate(paths):
        frame = pd.read_parquet(path)
        if frame.empty:
            continue
        if users is not None:
            mine = users[part == number]
        frame, report = clean_log(frame, **keys, **{**early, "users": mine})
        report.forget(_LATE_RULES)
        reports.append(report)
        per_user.update(frame[keys["user"]].value_counts().tolist())
        cleaned.append(folder / path.name)
        frame.to_parquet(cleaned[-1])

    def cleaner(path):
        return Cleaner(
            pd.read_parquet(path),
            late,
            *keys.values(),
            options["event"],
            options["timezone"],
        )

    n_mads, window = options["n_mads"], options["burst_window"]
    limit, per_window = robust_limit(_values(per_user), n_mads, BOT_FROM), Counter()
    for path in cleaned:
        log = cleaner(path)
        log.bots(n_mads, limit)
        if late["bursts"] != "off":
            per_window.update(log.windows(window)[-1].tolist())
        log.frame.to_parquet(path)
        log.report.n_before = 0
        reports.append(log.report)
    limit = robust_limit(_values(per_window), n_mads, BURST_FROM)
    exposures = options["exposures"]
    if exposures is not None:
        exposures = as_frame(exposures, "exposures")
    conversions = options["conversions"]
    if isinstance(conversions, str):
        conversions = [conversions]
    for path in cleaned:
        log = cleaner(path)
        log.bursts(window, n_mads, limit)
        mine = exposures
        if exposures is not None:
            mine = exposures[exposures[keys["user"]].isin(log.frame[keys["user"]])]
        log.before_exposure(mine, conversions)
        log.report.n_before = 0
        reports.append(log.report)
        if len(log.frame):
            log.frame.reset_index(drop=True).to_parquet(path)
        else:
            path.unlink()
    return [path for path in cleaned if path.exists()], _sum_reports(reports)


def _values(counter):
    return np.repeat(list(counter), list(counter.values())) if counter else []
