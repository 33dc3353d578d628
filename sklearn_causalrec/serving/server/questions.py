"""Questions that came with requests, and what is wrong with them."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sklearn_causalrec.encoding.contrasts import named_arms
from sklearn_causalrec.encoding.roles import as_ids

# Arguments that error messages of the package begin with.
NAMED = (
    "exclude_seen",
    "exclude",
    "context",
    "users",
    "items",
    "min_effect",
    "T0",
    "T1",
)

STARTS = {
    "Which of the arms": "T1",
    "Effects are against a control": "T0",
    "effect_interval": "interval",
}


class Refused(ValueError):
    """A request that cannot be answered, through a fault of its own.

    Parameters
    ----------
    field : str or None
        The field that is at fault; parts are separated by dots. None if no single one
        is.
    detail : str
        What is wrong with it.
    """

    def __init__(self, field, detail):
        super().__init__(detail)
        self.field, self.detail = field, detail


@dataclass
class Question:
    """What one request asks.

    Parameters
    ----------
    route : {"recommend", "explain", "effect"}
        What is asked for.
    body : dict
        The request, validated in itself.
    request : str
        The id of the request.
    caller : str or None, default=None
        The id of the key by which it came.
    """

    route: str
    body: dict[str, Any]
    request: str
    caller: str | None = None
    key: str = field(init=False)

    def __post_init__(self):
        mine = {"users", "exclude", "rows"}
        shared = {name: v for name, v in self.body.items() if name not in mine}
        columns = [sorted(r) for r in self._entries[:1] if isinstance(r, dict)]
        self.key = json.dumps([self.route, shared, columns], sort_keys=True)

    @property
    def _entries(self):
        return self.body["rows" if self.route == "effect" else "users"]

    @property
    def size(self):
        """How many users, or rows, it is about."""
        return len(self._entries)

    def users(self, model):
        """The ids of the users that lists are for.

        Parameters
        ----------
        model : ServedModel

        Returns
        -------
        set
        """
        if self.route == "effect":
            return set()
        return {
            entry.get(model.keys[0]) if isinstance(entry, dict) else entry
            for entry in self._entries
        }


def check(model, question):
    """Refuse a question that the model cannot answer, by the field at fault.

    Parameters
    ----------
    model : ServedModel
    question : Question

    Raises
    ------
    Refused
    """
    body = question.body
    if question.route == "effect":
        if not hasattr(model.estimator, "effect"):
            raise Refused(None, f"{model.name} predicts outcomes and has no effects.")
        rows = body["rows"]
        _columns(rows, "rows", None, model.columns, model.fill)
        for key, index in zip(model.keys or (), model.indexes):
            ids, more = _columns(rows, "rows", key, model.columns)
            _check_ids(ids, f"rows.{key}", index, len(more) > 1)
        return
    if model.keys is None:
        raise Refused(None, f"{model.name} was fitted without users and items.")
    arms = named_arms(body["T0"], body["T1"])
    try:
        model.estimator.pair_scores(body["by"], body["min_effect"], **arms)
    except ValueError as error:
        raise Refused(field_of(error, "by"), str(error)) from None
    for name, key, index in zip(("users", "items"), model.keys, model.indexes):
        if body[name] is None:
            continue
        ids, more = _columns(body[name], name, key, model.columns)
        _check_ids(ids, name, index, bool(more))
        if name == "users" and len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise Refused(name, f"{twice!r} is there twice.")
    for n, pair in enumerate(body["exclude"] or []):
        for name, index in zip(("user", "item"), model.indexes):
            if pair.get(name) is not None:
                _check_ids([pair[name]], f"exclude.{n}.{name}", index)


def field_of(error, otherwise, body=None):
    """The field that an error message of the package begins with, or quotes."""
    text = str(error)
    for part in ("users", "items", "rows"):
        entries = (body or {}).get(part) or []
        for column in re.findall(r"'([^']+)'", text):
            if any(isinstance(e, dict) and column in e for e in entries):
                row = ".0" if len(entries) == 1 else ""
                return f"{part}{row}.{column}"
        if "NaN" in text:
            for n, entry in enumerate(entries):
                cells = entry.items() if isinstance(entry, dict) else ()
                for column, value in cells:
                    if value is None:
                        return f"{part}.{n}.{column}"
    found = [name for name in NAMED if text.startswith(name)]
    found += [field for start, field in STARTS.items() if text.startswith(start)]
    return found[0] if found else otherwise


def _columns(entries, name, key, known, fill=None):
    """The ids of entries, and the other columns that they have, all the same ones.

    Parameters
    ----------
    entries : list
        Ids, or dicts of columns.
    name : str
        The field of the request.
    key : str or None
        The column of ids.
    known : list or None
        The columns that there may be.
    fill : collection of columns or None, default=None
        The known columns that may be missing. With None, all may be.
    """
    if not any(isinstance(entry, dict) for entry in entries):
        return entries, []
    if known is None:
        raise Refused(
            name, "the model was fitted on columns without names: it takes ids alone."
        )
    needed = [] if fill is None else [c for c in known if c not in fill]
    for n, entry in enumerate(entries):
        where = f"{name}.{n}"
        if not isinstance(entry, dict):
            raise Refused(where, "others are objects: make all ids or all objects.")
        if key is not None and key not in entry:
            raise Refused(where, f"the id {key!r} is missing.")
        for column in entry:
            if column not in known and column != key:
                raise Refused(
                    f"{where}.{column}",
                    f"the model has no column {column!r}; its columns are {known}.",
                )
        for column in [*needed, *entries[0]]:
            if column not in entry:
                raise Refused(f"{where}.{column}", "the column is missing.")
        for column in entry:
            if column not in entries[0]:
                raise Refused(f"{where}.{column}", "the first one has no such column.")
    ids = [entry[key] for entry in entries] if key is not None else []
    for n, one in enumerate(ids):
        if isinstance(one, bool) or not isinstance(one, int | str):
            raise Refused(f"{name}.{n}.{key}", "an id is a whole number or text.")
    return ids, [column for column in entries[0] if column != key]


def known_ids(ids, index):
    """Whether the log knows each id.

    Parameters
    ----------
    ids : list of int or str
    index : IdIndex

    Returns
    -------
    list of bool
    """
    return [one in index.ids for one in ids]


def _check_ids(ids, where, index, words=False):
    """Refuse ids of another kind than the log's."""
    if all(known_ids(ids, index)):
        return
    try:
        index.codes(as_ids(ids, where), words=words)
    except ValueError as error:
        raise Refused(where, str(error)) from None
