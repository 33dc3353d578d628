"""Lines of JSON in files that only grow: for decisions and the audit."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

SYNC = ("never", "rotate", "always")


class LineLog:
    """Append lines of JSON to files in a folder.

    Each object writes files of its own, so that several processes can log into one
    folder. The lines of one call are written together or not at all.

    Parameters
    ----------
    folder : path-like
        The folder of the files. It is made if there is none. Only the owner of the
        process may read them.
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
    """

    kind = "lines"  # names of files begin with it
    version = 1  # of a line; a reader reads its own and all before

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

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write lines.

        Parameters
        ----------
        lines : iterable of mappings
            The lines: what JSON can hold.

        Raises
        ------
        OSError
            If they cannot be written, for instance because the disk is full. None of
            them is then in the file.
        """
        append_together((self, lines))

    def sync(self) -> None:
        """Force what was written to the disk (fsync)."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)

    def close(self) -> None:
        """Close the file; the next line begins another one."""
        with self._lock:
            if self._file is not None:
                self._close()

    def _text(self, lines):
        found = [
            json.dumps({"v": self.version, **one}, allow_nan=False) for one in lines
        ]
        return "".join(line + "\n" for line in found).encode()

    def _write(self, data):
        """Write to the file, and return its size before."""
        if self._file is not None and self._written >= self.max_bytes:
            self._close()
        if self._file is None:
            self._open()
        before = self._written
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if self.how == "always":
                os.fsync(self._file)
        except OSError:
            self._cut(before)
            raise
        self._written = before + len(data)
        return before

    def _cut(self, size):
        os.ftruncate(self._file, size)
        self._written = size

    def _open(self):
        self._count += 1
        name = f"{self.kind}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{os.getpid()}"
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


def append_together(*pairs):
    """Write lines into several logs: into all of them, or into none.

    Parameters
    ----------
    *pairs : tuple of LineLog and lines
        What is written where, the logs always in the same order.

    Raises
    ------
    OSError
        If one of them cannot be written. No line is then in any of the files.
    """
    texts = [(log, data) for log, lines in pairs if (data := log._text(lines))]
    with ExitStack() as stack:
        for log, _ in texts:
            stack.enter_context(log._lock)
        done = []
        try:
            for log, data in texts:
                done.append((log, log._write(data)))
        except OSError:
            for log, before in done:
                log._cut(before)
            raise
