"""The decisions that a server has made: lines of JSON in files, and their reader."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd

from sklearn_causalrec._utils.warn import warn_user

VERSION = 1  # of a line; a reader reads its own and all before
SYNC = ("never", "rotate", "always")
# What a line says beside the columns that came with a request.
FACTS = ("time", "user", "item", "shown", "propensity", "sample_weight")
MORE = ("request", "model", "by", "rank", "score")
MADE = {"time", "shown", "propensity", "sample_weight", "treatment", "outcome"}


class DecisionLog:
    """Append decisions to files of JSON lines.

    Each object writes files of its own, so that several processes can log into one
    folder. The lines of one call are written together or not at all.

    Parameters
    ----------
    folder : path-like
        The folder of the files. It is made if there is none. The files hold ids of
        users: only the owner of the process may read them.
    max_bytes : int, default=67108864
        The size from which on a file is closed and the next one is begun.
    sync : {"never", "rotate", "always"}, default="rotate"
        When what was written is forced to the disk (fsync): at every call, when a file
        is closed, or never. :meth:`sync` does it on demand. Without it, lines outlive
        the process, and may not outlive the machine.

    Attributes
    ----------
    path : Path or None
        The file that is written to, once there is one.

    See Also
    --------
    read_decisions : Read the files.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_causalrec.serving import DecisionLog, read_decisions
    >>> folder = tempfile.mkdtemp()
    >>> log = DecisionLog(folder)
    >>> log.append([{"time": "2030-01-01T12:00:00+00:00", "user": 3, "item": 7,
    ...              "shown": 1, "propensity": 0.9, "sample_weight": 1.0}])
    >>> log.close()
    >>> read_decisions(folder)[["user", "item", "propensity"]].values.tolist()
    [[3.0, 7.0, 0.9]]
    """

    def __init__(self, folder, max_bytes=64 * 2**20, sync="rotate"):
        if sync not in SYNC:
            raise ValueError(f"sync is {sync!r}: choose one of {SYNC}.")
        if isinstance(max_bytes, bool) or not int(max_bytes) == max_bytes >= 1:
            raise ValueError(f"max_bytes is {max_bytes!r}: at least 1 byte a file.")
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.max_bytes, self.how = int(max_bytes), sync
        self.path = None
        self._file = self._written = None
        self._count = 0
        self._lock = Lock()

    def append(self, decisions: Iterable[Mapping[str, Any]]) -> None:
        """Write one line a decision.

        Parameters
        ----------
        decisions : iterable of mappings
            The decisions: what JSON can hold.

        Raises
        ------
        OSError
            If they cannot be written, for instance because the disk is full. None of
            them is then in the file.
        """
        lines = [
            json.dumps({"v": VERSION, **one}, allow_nan=False) for one in decisions
        ]
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        with self._lock:
            if self._file is not None and self._written >= self.max_bytes:
                self._close()
            if self._file is None:
                self._open()
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
                if self.how == "always":
                    os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, self._written)
                raise
            self._written += len(data)

    def sync(self) -> None:
        """Force what was written to the disk (fsync)."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)

    def close(self) -> None:
        """Close the file; the next decision begins another one."""
        with self._lock:
            if self._file is not None:
                self._close()

    def _open(self):
        self._count += 1
        name = f"decisions-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{os.getpid()}"
        self.path = self.folder / f"{name}-{self._count:05d}.jsonl"
        how = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        self._file = os.open(self.path, how | getattr(os, "O_BINARY", 0), 0o600)
        self._written = 0

    def _close(self):
        try:
            if self.how != "never":
                os.fsync(self._file)
        finally:
            os.close(self._file)
            self._file = None


def read_decisions(
    folder: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    *,
    everything: bool = False,
) -> pd.DataFrame:
    """Read the decisions that a server has logged, as ``build_examples`` needs them.

    Parameters
    ----------
    folder : path-like
        The folder of the log, or one file of it.
    user : str, default="user"
        The name that the column of user ids gets: the one that it has in your events.
    item : str, default="item"
        The name that the column of item ids gets.
    everything : bool, default=False
        Whether to return the columns ``request``, ``model``, ``by``, ``rank`` and
        ``score``, too. They tell how a decision was made, and are no features.

    Returns
    -------
    DataFrame
        One row per decision, sorted by time. The columns are the ids; ``time``, in UTC;
        ``shown``, which is 0 for a pair that was withheld; ``propensity``, the
        probability of what was done, if a decision was drawn; ``sample_weight``, the
        number of pairs that a row stands for; and the columns that came with requests.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no log in it.
    ValueError
        If a line is none of a decision, or was written by a later version, or two
        columns would have the same name.

    Warns
    -----
    UserWarning
        If the last line of a file is not whole, because its process was killed while it
        wrote. This line is left out.

    See Also
    --------
    DecisionLog : Write the files.
    sklearn_causalrec.interactions.build_examples : Join decisions and outcomes.

    Notes
    -----
    The frame is the argument ``impressions`` of ``build_examples``, whose arguments
    ``treatment="shown"``, ``propensity="propensity"`` and
    ``sample_weight="sample_weight"`` name its columns.

    The log tells what was answered. Drop decisions that you did not act on, such as the
    lists of pages that were never opened.

    Examples
    --------
    See :class:`DecisionLog`.
    """
    folder = Path(folder)
    paths = [folder] if folder.is_file() else sorted(folder.glob("decisions-*.jsonl"))
    if not paths:
        raise FileNotFoundError(f"{folder}: there are no files decisions-*.jsonl here.")
    lines = [line for path in paths for line in _lines(path)]
    frame = pd.DataFrame(
        {name: [line.get(name) for line in lines] for name in (*FACTS, *MORE)}
    )
    own = [line.get("columns") or {} for line in lines]
    if taken := {user, item} & MADE or ({user} if user == item else None):
        raise ValueError(
            f"The log has a column {taken.pop()!r}: rename user= or item=."
        )
    columns = {name: None for row in own for name in row}
    if clash := [n for n in columns if n in {user, item, *MADE, *MORE}]:
        raise ValueError(
            f"The requests had a column {clash[0]!r}, which the log uses itself."
        )
    frame["time"] = pd.to_datetime(frame["time"], utc=True, format="ISO8601")
    frame["propensity"] = frame["propensity"].astype("float64")
    if frame["propensity"].isna().all():
        frame = frame.drop(columns="propensity")
    if not everything:
        frame = frame.drop(columns=list(MORE))
    for name in columns:
        frame[name] = [row.get(name) for row in own]
    frame = frame.rename(columns={"user": user, "item": item})
    return frame.sort_values("time", kind="stable", ignore_index=True)


def _lines(path):
    """The decisions of a file."""
    *whole, last = path.read_bytes().split(b"\n")
    if last:
        warn_user(
            f"{path}: the last line is not whole, as if the process had been killed "
            "while it wrote. It is left out."
        )
    for number, text in enumerate(whole, start=1):
        try:
            line = json.loads(text)
            version = line["v"]
            if version <= VERSION and not {"time", "user", "item", "shown"} <= {*line}:
                raise KeyError
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}: this is no decision.") from None
        if version > VERSION:
            raise ValueError(
                f"{path}, line {number} has format {version}, and this version of "
                f"sklearn-causalrec reads up to {VERSION}: install a later one."
            )
        yield line
