"""The decisions that a server has made: lines of JSON in files, and their reader."""

import json
import os
from pathlib import Path

import pandas as pd

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.serving.server.lines import LineLog

VERSION = 1  # of a line; a reader reads its own and all before
# What a line says beside the columns that came with a request.
FACTS = ("time", "user", "item", "shown", "propensity", "sample_weight")
MORE = ("request", "model", "by", "rank", "score")
MADE = {"time", "shown", "propensity", "sample_weight", "treatment", "outcome"}


class DecisionLog(LineLog):
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
    AuditLog : Who asked for what, and which model answered.

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

    kind, version = "decisions", VERSION


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
