"""Questions that came with requests, and their answers: one model call for many."""

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.contrasts import named_arms
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.ranking.recommend import explain

# Arguments that error messages of the package begin with.
NAMED = ("exclude_seen", "exclude", "context", "users", "items", "min_effect", "T0", "T1")

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


class NotLogged(RuntimeError):
    """Decisions could not be logged: nothing is answered."""


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
    """

    route: str
    body: dict[str, Any]
    request: str
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


class Answerer:
    """Answer questions by a model, and log the decisions.

    It is called from one thread at a time.

    Parameters
    ----------
    exploration : dict
        The options of :func:`~sklearn_causalrec.recommend` by which lists are drawn.
    decisions : DecisionLog or None
        Where decisions are logged.
    rng : RandomState
        The generator of the draws.
    counted : callable
        It is told how many decisions were logged.
    """

    def __init__(self, exploration, decisions, rng, counted):
        self.exploration, self.decisions, self.rng = dict(exploration), decisions, rng
        self.counted = counted
        self._last = datetime.now(UTC)

    def check(self, model, question):
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
                _codes(ids, f"rows.{key}", index, len(more) > 1)
            return
        if model.keys is None:
            raise Refused(None, f"{model.name} was fitted without users and items.")
        arms = named_arms(body["T0"], body["T1"])
        try:
            model.estimator.pair_scores(body["by"], body["min_effect"], **arms)
        except ValueError as error:
            raise Refused(_named(error, "by"), str(error)) from None
        for name, key, index in zip(("users", "items"), model.keys, model.indexes):
            if body[name] is None:
                continue
            ids, more = _columns(body[name], name, key, model.columns)
            _codes(ids, name, index, bool(more))
        for n, pair in enumerate(body["exclude"] or []):
            for name, index in zip(("user", "item"), model.indexes):
                if pair.get(name) is not None:
                    _codes([pair[name]], f"exclude.{n}.{name}", index)

    def answer(self, model, questions):
        """Answer questions with the same key, about different users.

        Parameters
        ----------
        model : ServedModel
        questions : list of Question
            They passed :meth:`check`.

        Returns
        -------
        list of dict
            One answer a question.

        Raises
        ------
        Refused
            If the model refuses them.
        NotLogged
            If the decisions cannot be logged.
        """
        route = questions[0].route
        try:
            found = getattr(self, f"_{route}")(model, questions)
        except (ValueError, TypeError) as error:
            raise Refused(_named(error, None, questions[0].body), str(error)) from None
        about = {"id": model.id, "name": model.name}
        return [
            {"request": q.request, "model": about, **answer}
            for q, answer in zip(questions, found)
        ]

    # -- lists -----------------------------------------------------------------

    def _recommend(self, model, questions):
        body, explored = questions[0].body, self.exploration
        users, options = _asked(model, questions)
        drawn = {**explored, "random_state": self.rng} if explored else {}
        top = model.recommend(users, body["k"], {**options, **drawn})
        by_user = _rows_by_user(top, model.keys[0])
        out, lines = [], []
        for question in questions:
            now = self._now()
            lists = []
            for entry, user, known in _users(model, question):
                rows = by_user[user]
                lists.append(
                    {
                        "user": user,
                        "cold_start": not known,
                        "items": [_place(r, model.keys[1]) for r in rows if r["rank"]],
                    }
                )
                if self.decisions is not None:
                    lines += _lines(model, question, entry, rows, now)
            out.append({"by": body["by"], "lists": lists})
        if lines:  # before anything is answered: no decision goes unlogged
            try:
                self.decisions.append(lines)
            except OSError as error:
                raise NotLogged from error
            self.counted(len(lines))
        return out

    def _explain(self, model, questions):
        body = questions[0].body
        users, options = _asked(model, questions)
        top = explain(
            model.fitted, users, k=body["k"], n_neighbors=body["n_neighbors"], **options
        )
        by_user = _rows_by_user(top, model.keys[0])
        out = []
        for question in questions:
            lists = []
            for _, user, known in _users(model, question):
                items, about = [], None
                for row in by_user[user]:
                    sides = {"user": {}, "item": {}}
                    for name, value in row.items():
                        side, _, what = str(name).partition("_")
                        if side in sides and what in _SIDE:
                            sides[side][what] = plain(value)
                    about = about or sides["user"]
                    place = _place(row, model.keys[1])
                    place["assumed"] = plain(row["assumed"])
                    if "because" in row:
                        place["because"] = plain(row["because"])
                    items.append(place | {"about": sides["item"]})
                one = {"user": user, "cold_start": not known, "about": about}
                lists.append(one | {"items": items})
            out.append({"by": body["by"], "lists": lists})
        return out

    def _now(self):
        """The time, later than at the call before."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last.isoformat(timespec="microseconds")

    # -- effects -----------------------------------------------------------------

    def _effect(self, model, questions):
        body = questions[0].body
        rows = [row for question in questions for row in question.body["rows"]]
        X = pd.DataFrame(rows)
        more = {c: v for c, v in model.fill.items() if c not in X and v is not None}
        X = X.assign(**more)
        X = X[[column for column in model.columns if column in X]]
        arms = named_arms(body["T0"], body["T1"])
        columns = {"effect": effect(model.fitted, X, **arms)}
        if body["interval"]:
            transform, estimator = unwrap(model.fitted)
            bounds = estimator.effect_interval(transform(X), body["alpha"], **arms)
            columns |= dict(zip(("low", "high"), bounds))
        if model.keys is not None:
            new = np.zeros(len(rows), bool)
            for key, index in zip(model.keys, model.indexes):
                ids = as_ids(X[key].to_numpy(), key)
                new |= index.codes(ids, words=True) == len(index)
            columns["cold_start"] = new
        found = pd.DataFrame(columns).to_dict("records")
        out, start = [], 0
        for question in questions:
            mine = found[start : start + question.size]
            start += question.size
            out.append({"effects": plain(mine)})
        return out


_SIDE = {"source", "feature_weight", "rows", "neighbors"}


def _named(error, otherwise, body=None):
    """The field that an error message of the package begins with, or quotes."""
    text = str(error)
    for field in ("users", "items", "rows"):
        entries = (body or {}).get(field) or []
        for column in re.findall(r"'([^']+)'", text):
            if any(isinstance(e, dict) and column in e for e in entries):
                row = ".0" if len(entries) == 1 else ""
                return f"{field}{row}.{column}"
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


def _codes(ids, where, index, words=False):
    try:
        return index.codes(as_ids(ids, where), words=words)
    except ValueError as error:
        raise Refused(where, str(error)) from None


def _asked(model, questions):
    """The users of all questions, and those options that are not the defaults."""
    body = questions[0].body
    entries = [entry for question in questions for entry in question.body["users"]]
    users = pd.DataFrame(entries) if isinstance(entries[0], dict) else entries
    items = body["items"]
    if items is not None and isinstance(items[0], dict):
        items = pd.DataFrame(items)
    options = {
        name: body[name]
        for name, default in _DEFAULTS.items()
        if body[name] != default
    }
    if items is not None:
        options["items"] = items
    pairs = []
    for question in questions:
        mine = question.users(model)
        for pair in question.body["exclude"] or []:
            whom = mine if pair.get("user") is None else {pair["user"]} & mine
            pairs += [(user, pair["item"]) for user in whom]
    if pairs:
        left_out = pd.DataFrame(pairs, columns=range(2))
        options["exclude"] = left_out.set_axis(list(model.keys), axis=1)
    return users, options


_DEFAULTS = {"by": "effect", "min_effect": None, "context": None, "exclude_seen": True,
             "T0": None, "T1": None}  # fmt: skip


def _users(model, question):
    """(entry of the request, id, whether the log knows it) for each user."""
    entries = question.body["users"]
    key, index = model.keys[0], model.indexes[0]
    ids = [entry[key] if isinstance(entry, dict) else entry for entry in entries]
    words = isinstance(entries[0], dict)
    known = index.codes(as_ids(ids, "user"), words=words) < len(index)
    return zip(entries, ids, known.tolist())


def _rows_by_user(top, key):
    rows = defaultdict(list)
    for row in top.to_dict("records"):
        rows[row[key]].append(row)
    return rows


def _place(row, key):
    place = {"item": plain(row[key]), "rank": row["rank"], "score": row["score"]}
    if "propensity" in row:
        place["propensity"] = row["propensity"]
    return place


def _lines(model, question, entry, rows, now):
    """The decisions about one user, as lines of the log."""
    user_key, item_key = model.keys
    body = question.body
    shared = dict(body["context"] or {})
    if isinstance(entry, dict):
        shared |= {name: v for name, v in entry.items() if name != user_key}
    offered = {
        item[item_key]: {name: v for name, v in item.items() if name != item_key}
        for item in body["items"] or []
        if isinstance(item, dict)
    }
    for row in rows:
        item = plain(row[item_key])
        columns = shared | offered.get(item, {})
        yield {
            "time": now,
            "request": question.request,
            "model": model.id,
            "by": body["by"],
            "user": plain(row[user_key]),
            "item": item,
            "rank": row["rank"],
            "score": row["score"],
            "shown": int(row["rank"] > 0),
            "propensity": row.get("propensity"),
            "sample_weight": row.get("sample_weight", 1.0),
            **({"columns": columns} if columns else {}),
        }


def plain(value):
    """A value as JSON can hold it; numbers that are none become null.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
