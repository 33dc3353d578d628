"""The audit: who asked for what, when, and which model answered."""

import heapq
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sklearn_causalrec.serving.server.lines import LineLog

VERSION = 1
ASKED = ("by", "k", "min_effect", "exclude_seen", "T0", "T1", "interval", "alpha")


class AuditLog(LineLog):
    """Append what was answered to files of JSON lines, before it is answered.

    There is a line for each list, one for each request for effects, and one for each
    look at the audit or change of the model that a caller asked for. A line tells the
    time, the request, the key, the model with the SHA-256 of its file's parts, what was
    asked for, and items with ranks and scores. Ids of users are in it only if asked
    for.

    Parameters
    ----------
    folder : path-like
        The folder of the files. It is made if there is none. Only the owner of the
        process may read them.
    max_bytes : int, default=67108864
        The size from which on a file is closed and the next one is begun.
    sync : {"never", "rotate", "always"}, default="rotate"
        When what was written is forced to the disk (fsync): at every call, when a file
        is closed, or never. Without it, lines outlive the process, and may not outlive
        the machine.
    users : bool, default=False
        Whether lines have the ids of users. Without them, a line is joined with the log
        of decisions by its request.
    why : bool, default=False
        Whether lines of lists say why an item is in it: a sentence, and what user,
        item, context and history add to its score, by
        :func:`~sklearn_causalrec.explaining.reasons`. It takes longer than the list
        itself.

    Attributes
    ----------
    path : Path or None
        The file that is written to, once there is one.

    See Also
    --------
    DecisionLog : What was decided for whom, with propensities, to learn from.
    create_app : Serve a model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from fastapi.testclient import TestClient
    >>> from sklearn_causalrec import save
    >>> from sklearn_causalrec.baselines import EASE
    >>> from sklearn_causalrec.serving import AuditLog, ModelHost, create_app
    >>> log = pd.DataFrame({"user": [1, 1, 2, 2, 3], "item": [5, 6, 5, 7, 6]})
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(EASE(user="user", item="item").fit(log), folder / "model.crec")
    >>> host = ModelHost(folder / "model.crec")
    >>> with TestClient(create_app(host, audit=AuditLog(folder / "audit"))) as client:
    ...     asked = {"users": [3], "k": 1, "by": "outcome"}
    ...     answer = client.post("/v1/recommend", json=asked).json()
    ...     about = {"request": answer["request"]}
    ...     lines = client.get("/v1/audit", params=about).json()["lines"]
    >>> [place["item"] for place in lines[0]["items"]]
    [5]
    """

    kind, version = "audit", VERSION

    def __init__(
        self, folder, max_bytes=64 * 2**20, sync="rotate", *, users=False, why=False
    ):
        super().__init__(folder, max_bytes, sync)
        self.users, self.why = users, why

    def event(self, request, caller, route, **more):
        """Log what is neither a list nor an effect.

        Parameters
        ----------
        request : str
            The id of the request.
        caller : str or None
            The id of the key.
        route : str
            What was asked for.
        **more
            What else the line tells.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        line = {"time": now, "request": request, "key": caller, "route": route}
        self.append([line | more])

    def lines(self, model, question, answer, now, why):
        """What was answered to a question, as lines.

        Parameters
        ----------
        model : ServedModel
            The model that answered.
        question : Question
            The question.
        answer : dict
            The answer.
        now : str
            The time.
        why : dict of (user, item) to dict
            What is known of why an item is in a list.

        Yields
        ------
        dict
            A line.
        """
        about = {
            "time": now,
            "request": question.request,
            "key": question.caller,
            "route": question.route,
            "model": model.about,
            "asked": {n: question.body[n] for n in ASKED if n in question.body},
        }
        if question.route == "effect":
            yield about | {"effects": answer["effects"]}
        for one in answer.get("lists", ()):
            line = about | {"cold_start": one["cold_start"]}
            if self.users:
                line["user"] = one["user"]
            line["items"] = [
                {n: place[n] for n in PLACE if n in place}
                | why.get((one["user"], place["item"]), {})
                for place in one["items"]
            ]
            yield line


PLACE = ("item", "rank", "score", "propensity")


def read_audit(folder, since=None, until=None, request=None, key=None, limit=100):
    """The last lines of an audit.

    Parameters
    ----------
    folder : path-like
        The folder.
    since, until : datetime, default=None
        The times between which the lines are. Without ``since`` it is a day before
        ``until``, and without ``until`` that is now.
    request : str or None, default=None
        The id of a request.
    key : str or None, default=None
        The id of a key.
    limit : int, default=100
        The number of lines.

    Returns
    -------
    list of dict
        The lines, the last one first. A line that a killed process did not finish was
        never answered, and is left out.
    """
    until = datetime.now(UTC) if until is None else until
    since = until - timedelta(days=1) if since is None else since
    words = [json.dumps(word).encode() for word in (request, key) if word is not None]
    found = (
        (line["time"], n, line)
        for n, line in enumerate(_lines(folder, since, until, words))
        if (request is None or line["request"] == request)
        and (key is None or line["key"] == key)
        and since <= datetime.fromisoformat(line["time"]) <= until
    )
    return [line for *_, line in heapq.nlargest(limit, found)]


def _lines(folder, since, until, words):
    """The lines that may count, of those files that may have some."""
    for path in sorted(Path(folder).glob("audit-*.jsonl")):
        begun = datetime.strptime(path.name.split("-")[1], "%Y%m%dT%H%M%S%fZ")
        ended = path.stat().st_mtime + 1  # clocks of file systems are coarse
        if begun.replace(tzinfo=UTC) > until or ended < since.timestamp():
            continue
        with open(path, "rb") as file:
            for text in file:
                if text.endswith(b"\n") and all(word in text for word in words):
                    yield json.loads(text)
