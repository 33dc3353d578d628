"""Answers to questions: one call of the model for many of them."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.contrasts import named_arms
from sklearn_causalrec.ranking.recommend import explain
from sklearn_causalrec.serving.server.lines import append_together
from sklearn_causalrec.serving.server.questions import Refused, field_of, known_ids


class NotLogged(RuntimeError):
    """Decisions could not be logged: nothing is answered."""


class Answerer:
    """Answer questions by a model, and log the decisions.

    It is called from one thread at a time.

    Parameters
    ----------
    exploration : dict
        The options of :func:`~sklearn_causalrec.recommend` by which lists are drawn.
    decisions : DecisionLog or None
        Where decisions are logged.
    audit : AuditLog or None
        Where it is logged who got what.
    rng : RandomState
        The generator of the draws.
    counted : callable
        It is told how many decisions were logged.
    """

    def __init__(self, exploration, decisions, rng, counted, audit=None):
        self.exploration, self.decisions, self.rng = dict(exploration), decisions, rng
        self.counted, self.audit = counted, audit
        self._last = datetime.now(UTC)

    def answer(self, model, questions):
        """Answer questions with the same key, about different users.

        Parameters
        ----------
        model : ServedModel
        questions : list of Question
            They passed :func:`check`.

        Returns
        -------
        list of dict
            One answer a question.

        Raises
        ------
        Refused
            If the model refuses them.
        NotLogged
            If the decisions, or the audit, cannot be logged.
        """
        route = questions[0].route
        try:
            found, decided, why = getattr(self, f"_{route}")(model, questions)
        except (ValueError, TypeError) as error:
            raise Refused(
                field_of(error, None, questions[0].body), str(error)
            ) from None
        self._log(model, questions, found, decided, why)
        about = {"id": model.id, "name": model.name}
        return [
            {"request": q.request, "model": about, **answer}
            for q, answer in zip(questions, found)
        ]

    def _log(self, model, questions, found, decided, why):
        """Log what will be answered, before it is: nothing goes unlogged."""
        logs = []
        if decided:
            logs.append((self.decisions, decided))
        if self.audit is not None:
            now = self._now()
            lines = [
                line
                for question, answer in zip(questions, found)
                for line in self.audit.lines(model, question, answer, now, why)
            ]
            logs.append((self.audit, lines))
        try:
            append_together(*logs)
        except OSError as error:
            raise NotLogged from error
        if decided:
            self.counted(len(decided))

    # -- lists -----------------------------------------------------------------

    def _recommend(self, model, questions):
        body, explored = questions[0].body, self.exploration
        users, options = _asked(model, questions)
        drawn = {**explored, "random_state": self.rng} if explored else {}
        top = model.recommend(users, body["k"], {**options, **drawn})
        by_user = _rows_by_user(top)
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
                        "items": [_place(r) for r in rows if r["rank"]],
                    }
                )
                if self.decisions is not None:
                    lines += _lines(model, question, entry, rows, now)
            out.append({"by": body["by"], "lists": lists})
        return out, lines, self._why(model, users, top, body, options)

    def _why(self, model, users, top, body, options):
        """Why a pair is in a list, where the audit is to tell."""
        if self.audit is None or not self.audit.why or not len(top):
            return {}
        from sklearn_causalrec.explaining.reasons import reasons

        asked = {"users": users} if isinstance(users, pd.DataFrame) else {}
        if isinstance(options.get("items"), pd.DataFrame):
            asked["items"] = options["items"]
        arms = named_arms(body["T0"], body["T1"])
        try:
            found = reasons(
                model.fitted,
                top,
                by=body["by"],
                context=body["context"],
                **asked,
                **arms,
            )
        except (TypeError, ValueError) as error:
            # The list is right without it. The text may quote ids of users.
            why = {"why_not": type(error).__name__}
            return dict.fromkeys(zip(*(top[key].tolist() for key in model.keys)), why)
        columns = [c for c in found if c == "reason" or c.startswith("adds_")]
        pairs = zip(*(found[key].tolist() for key in model.keys))
        rows = found[columns].to_dict("records")
        return {pair: {"why": plain(row)} for pair, row in zip(pairs, rows)}

    def _explain(self, model, questions):
        body = questions[0].body
        users, options = _asked(model, questions)
        top = explain(
            model.fitted, users, k=body["k"], n_neighbors=body["n_neighbors"], **options
        )
        by_user = _rows_by_user(top)
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
                    place = _place(row)
                    place["assumed"] = plain(row["assumed"])
                    if "because" in row:
                        place["because"] = plain(row["because"])
                    items.append(place | {"about": sides["item"]})
                one = {"user": user, "cold_start": not known, "about": about}
                lists.append(one | {"items": items})
            out.append({"by": body["by"], "lists": lists})
        return out, [], {}

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
                new |= ~np.array(known_ids(X[key].tolist(), index))
            columns["cold_start"] = new
        found = pd.DataFrame(columns).to_dict("records")
        out, start = [], 0
        for question in questions:
            mine = found[start : start + question.size]
            start += question.size
            out.append({"effects": plain(mine)})
        return out, [], {}


_SIDE = {"source", "feature_weight", "rows", "neighbors"}


def _asked(model, questions):
    """The users of all questions, and those options that are not the defaults."""
    body = questions[0].body
    entries = [entry for question in questions for entry in question.body["users"]]
    users = pd.DataFrame(entries) if isinstance(entries[0], dict) else entries
    items = body["items"]
    if items is not None and isinstance(items[0], dict):
        items = pd.DataFrame(items)
    options = {
        name: body[name] for name, default in _DEFAULTS.items() if body[name] != default
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
    return zip(entries, ids, known_ids(ids, index))


def _rows_by_user(top):
    """The rows of lists by user; the columns of ids are the first two."""
    rows = defaultdict(list)
    names = ["user", "item", *top.columns[2:]]
    columns = [top.iloc[:, j].tolist() for j in range(len(names))]
    for row in zip(*columns):
        rows[row[0]].append(dict(zip(names, row)))
    return rows


def _place(row):
    place = {"item": plain(row["item"]), "rank": row["rank"], "score": row["score"]}
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
        item = plain(row["item"])
        columns = shared | offered.get(item, {})
        yield {
            "time": now,
            "request": question.request,
            "model": model.id,
            "by": body["by"],
            "user": plain(row["user"]),
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
