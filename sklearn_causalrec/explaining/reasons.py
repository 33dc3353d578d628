"""A sentence for every recommended pair: what speaks for it, what showing changes."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.checks import choice, whole_number
from sklearn_causalrec.encoding.frames import as_frame, refuse_unclear
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.shapley import shapley
from sklearn_causalrec.explaining.words import reason, templates
from sklearn_causalrec.ranking.asked import column_of_role
from sklearn_causalrec.ranking.cold_start import ColdStart, with_stand_ins
from sklearn_causalrec.ranking.pairs import Pairs

_LAST_ITEMS = 10  # of a history, that are left out one by one
_NAMED_SHARE = 0.5  # of the largest contribution, that a second group needs


def reasons(
    fitted: Any,
    lists: pd.DataFrame,
    language: str = "en",
    *,
    by: Literal["effect", "outcome"] = "effect",
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    context: Mapping | ArrayLike | None = None,
    names: Mapping | None = None,
    cold_start: str | ColdStart = "blend",
    n_background: int = 10,
    alpha: float = 0.05,
    T0: Arm | None = None,
    T1: Arm | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Give a reason of at most 25 words for every recommended pair.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The model that made the lists. Its ``user`` and ``item`` columns are named.
    lists : DataFrame
        The lists, as :func:`recommend` returns them: columns of users and of items, and
        any others. A pair that was withheld (``rank`` 0) gets no reason.
    language : str, default="en"
        The language of the reasons: "en" is English, "zh" Chinese. Others can be added
        to ``sklearn_causalrec.explaining.words.LANGUAGES``.
    by : {"effect", "outcome"}, default="effect"
        What the lists are ranked by, as given to :func:`recommend`: what the reasons
        name adds to it. Where no effect is identified it is the outcome.
    users, items : array-like of ids, frame, or None, default=None
        The users and items, as they were given to :func:`recommend`, where frames with
        features were given. They may hold more ids than the lists.
    context : dict or frame of one row, default=None
        The values of columns that all lists share, as given to :func:`recommend`.
    names : dict, default=None
        What items are called in the reasons, by id. With None, the ids themselves.
    cold_start : str or ColdStart, default="blend"
        What stands for ids with few rows or no rows, as in :func:`recommend`.
    n_background : int, default=10
        The number of pairs of the log that each pair is compared with.
    alpha : float, default=0.05
        One minus the level of the intervals of effects.
    T0, T1 : scalar, default=None
        The arms, as in :func:`recommend`.
    random_state : int, RandomState instance or None, default=0
        The seed of the pairs of the log that are drawn.

    Returns
    -------
    DataFrame
        The lists with further columns: ``reason``, the sentence; ``because``, up to two
        past items that add most to the score; ``outcome``, the mean outcome if shown;
        where an effect is identified ``effect``, ``low`` and ``high``; and what users,
        items, context and history add to the score, ``adds_user`` and so on.

    Raises
    ------
    ValueError
        If the lists have no columns of users and items, an id has no row in `users` or
        `items`, or the language is not known.

    See Also
    --------
    recommend : Make the lists.
    explain_effect : The same contributions for any rows, and for effects in general.

    Notes
    -----
    Contributions are Shapley values of what belongs to the user, the item, the context
    and the history, against pairs of the log. Past items are those whose removal from
    the history lowers the score most. With matrix factorisation they are the user's
    items with an outcome above 0 that the vector of the user rests on most, by the
    ridge regression that would fold the user in [1]_. EASE and its like tell them
    exactly.

    Where the log has one arm, no effect is identified: the reasons then say what goes
    together, and hold no verb that says what showing does. An effect whose interval
    holds zero "may" stay as it is.

    References
    ----------
    .. [1] Hu, Y., Koren, Y. and Volinsky, C. (2008). "Collaborative filtering for
       implicit feedback datasets." ICDM.

    Examples
    --------
    >>> from sklearn_causalrec import reasons, recommend
    >>> from sklearn_causalrec.baselines import EASE
    >>> import pandas as pd
    >>> bought = [("u", "tea"), ("u", "cup"), ("v", "ink"), ("v", "pen"), ("w", "tea")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = EASE(user="user", item="item", l2=1.0).fit(log)
    >>> top = recommend(model, ["w"], k=1, by="outcome")
    >>> reasons(model, top)["reason"][0]
    'Because of tea in the history; it ranks high among what goes with the history.'
    """
    templates(language)
    choice(by, "by", {"effect", "outcome"})
    check_alpha(alpha)
    rng = check_random_state(random_state)
    model = Model(fitted, T0, T1)
    refuse_unclear(lists, "lists")
    out = as_frame(lists, "lists").reset_index(drop=True).copy()
    asked = _Asked(model, out, users, items, context, cold_start)
    effects = model.refusal is None and hasattr(asked.estimator, "_effect_rows")
    n = len(out)
    out["because"] = asked.past_items() if n else []
    scores = hasattr(asked.estimator, "_ensemble")
    if scores and n:
        rows = asked.rows
        t, outputs = asked.pair, asked.outputs()
        groups, values, parts = asked.contributions(outputs, n_background, rng)
        place = 0 if effects and by == "effect" else len(outputs) - 1
        for g, name in enumerate(groups):
            out[f"adds_{name}"] = parts[:, g, place]
        out["outcome"] = values[:, -1]
        if effects:
            out["effect"] = values[:, 0]
            # From where the effect starts: the outcome under the other arm.
            before = asked.estimator._ensemble.predict(rows).outcome[:, t[0]]
            if asked.estimator.effects_ is not None:
                bounds = asked.estimator._effect_interval_rows(rows, *t, alpha)
                out["low"], out["high"] = bounds
    told = []
    popular = hasattr(asked.estimator, "because")
    for i in range(n):
        if "rank" in out and out["rank"][i] == 0:
            told.append("")
            continue
        past = out["because"][i]
        options = {}
        if scores:
            options["groups"] = _most(groups, parts[i, :, place])
            options["outcome"] = before[i] if effects else out["outcome"][i]
            options["binary"] = bool(model.encoder.binary)
        elif not popular and "score" in out:
            options["outcome"] = out["score"][i]
        if effects:
            options["effect"] = out["effect"][i]
            if "low" in out:
                options["interval"] = (out["low"][i], out["high"][i])
        called = [item if names is None else names.get(item, item) for item in past]
        options |= dict(items=called, popular=popular and not past)
        told.append(reason(language, **options))
    out["reason"] = told
    return out


def _pair_of(model):
    """Positions of the arms: (None, 0) where there is one arm."""
    if model.refusal is None:
        return model.positions
    if len(model.arms) > 1:  # the effect is refused by a graph
        return None, len(model.arms) - 1
    return None, 0


def _most(groups, parts):
    """The groups that add most, in the direction of the difference to the average."""
    parts = parts * (1.0 if parts.sum() >= 0 else -1.0)
    order = np.argsort(-parts, kind="stable")[:2]
    least = max(_NAMED_SHARE * parts[order[0]], 0.0)
    return [groups[g] for g in order if parts[g] > least or g == order[0]]


class _Asked:
    """The pairs of lists as encoded rows, with the model that scores them."""

    def __init__(self, model, lists, users, items, context, cold_start):
        transform, estimator = model.transform, model.estimator
        self.pair = _pair_of(model)
        self.shown = self.pair[1]
        catalogue = getattr(estimator, "catalogue_", None)
        if catalogue is None:
            raise ValueError(
                "Reasons are for pairs of users and items: name their columns, "
                'user="…" and item="…", before fit. explain_effect explains other rows.'
            )
        keys = self._keys(model, lists)
        given = []
        for key, side in zip(keys, (users, items)):
            ids = pd.unique(lists[key])
            given.append(ids if side is None else side)
        if not len(lists):
            self.estimator, self.rows = estimator, None
            return
        pairs = Pairs(model.fitted, transform, estimator, *given, context)
        how = ColdStart.of(cold_start, estimator)
        self.estimator = with_stand_ins(estimator, pairs, how)
        self.catalogue, self.pairs = catalogue, pairs
        places = []
        for key, ids in zip(keys, (pairs.users, pairs.items)):
            place = pd.Index(ids).get_indexer(pd.Index(lists[key]))
            if (place < 0).any():
                lost = lists[key][place < 0].iloc[0]
                raise ValueError(
                    f"lists hold {shown(lost)} in {key!r}, which is not among the "
                    f"{'users' if key == keys[0] else 'items'} given: pass those that "
                    "the lists were made of."
                )
            places.append(place)
        self.codes = tuple(side.codes[p] for side, p in zip(pairs.sides, places))
        self.rows = pairs.rows(*places)

    @staticmethod
    def _keys(model, lists):
        found = []
        for role in ("user", "item"):
            key = column_of_role(model.fitted, model.estimator, role)
            if key not in lists:
                key = role
            if key not in lists:
                raise ValueError(
                    f"lists have no column of {role}s, {key!r}: their columns are "
                    f"{list(lists.columns)}. Pass what recommend returned."
                )
            found.append(key)
        return found

    def outputs(self):
        """What pairs are scored by: the effect where there is one, the outcome."""
        estimator, (t0, t1) = self.estimator, self.pair
        found = []
        if t0 is not None:
            found.append(lambda rows: estimator._effect_rows(rows, t0, t1))
        found.append(lambda rows: estimator._ensemble.predict(rows).outcome[:, t1])
        return found

    def contributions(self, outputs, n_background, rng):
        """Contributions of user, item, context, history and towers to the outputs."""
        n_background = whole_number(n_background, "n_background")
        cells = self.catalogue.logged.tocoo().coords
        drawn = rng.choice(len(cells[0]), min(n_background, len(cells[0])), False)
        user, item = (codes[drawn] for codes in cells)
        back = Rows(self.catalogue.rows(user, item), user, item)
        if self.rows.history is not None:
            back.history = self.catalogue.history[user]
        if self.rows.history_values is not None:
            back.history_values = self.catalogue.history_values[user]
        mixed = MixedRows(self.rows, back, self._groups(), outputs)
        size = len(self.rows), len(drawn), len(mixed.groups)
        _, values, parts = shapley(mixed, *size, rng)
        return list(mixed.groups), values, parts

    def _groups(self):
        """Features of each group; the ids go with those of user and item."""
        owner = self.catalogue.owner.to_numpy().astype(object)
        towers = self.estimator.log_encoder_.roles.towers_ or {}
        for name, inside in towers.items():
            if name not in ("user", "item", "context", "history", "other"):
                owner[inside] = name
        groups = {"user": [], "item": []}
        for j, name in enumerate(owner):
            groups.setdefault(str(name), []).append(j)
        if self.rows.history is not None:
            groups["history"] = groups.get("history", [])
        return groups

    # -- the past --------------------------------------------------------------

    def past_items(self, n=2):
        """Up to n items of each user's past that speak for the pair: lists of ids."""
        if hasattr(self.estimator, "because"):
            return [found[:n] for found in self.estimator.because(*self.codes)]
        if self.rows.history is not None and hasattr(self.estimator, "_ensemble"):
            return self._of_history(n)
        if getattr(self.estimator, "encoder", None) == "mf":
            return self._of_factors(n)
        return [[] for _ in self.codes[0]]

    def _of_history(self, n):
        """Items whose removal lowers the outcome most."""
        rows, ids = self.rows, self.estimator.log_encoder_.items.ids
        history, length = rows.history, rows.history.shape[1]
        score = self._score(rows)
        drops = np.full((len(rows), length), -np.inf)
        size = (history >= 0).sum(axis=1)  # filled from the left, oldest first
        for j in range(length):
            late = (j >= size - _LAST_ITEMS) & (j < size)
            there = np.flatnonzero(late & (history[:, j] < len(ids)))
            if not len(there):
                continue
            fewer = rows.take(there)
            fewer.history = _without(fewer.history, j, -1)
            if fewer.history_values is not None:
                fewer.history_values = _without(fewer.history_values, j, 0)
            drops[there, j] = score[there] - self._score(fewer)
        found = []
        for codes, drop in zip(history, drops):
            best = [j for j in np.argsort(-drop, kind="stable") if drop[j] > 0]
            # an item may be there twice
            found.append(list(dict.fromkeys(ids[codes[best]]))[:n])
        return found

    def _score(self, rows):
        return self.estimator._ensemble.predict(rows).outcome[:, self.shown]

    def _of_factors(self, n):
        """Items that the user's factors rest on, by the ridge that folds them in."""
        from sklearn_causalrec.networks.id_tables import embeddings

        ids = self.estimator.log_encoder_.items.ids
        tables = embeddings(self.estimator._ensemble, "item")
        found, rated = [], self.catalogue.rated
        for user, item in zip(*self.codes):
            known = user < rated.shape[0] - 1 and item < len(ids)
            mine = rated[[user]].indices if known else np.zeros(0, int)
            mine = mine[mine != item]
            if not len(mine):
                found.append([])
                continue
            total = np.zeros(len(mine))
            for table in tables:
                Q = table[mine]
                penalty = np.trace(Q @ Q.T) / len(Q) + 1e-12
                inverse = np.linalg.inv(Q.T @ Q + penalty * np.eye(Q.shape[1]))
                total += Q @ inverse @ table[item]
            best = [k for k in np.argsort(-total, kind="stable")[:n] if total[k] > 0]
            found.append(ids[mine[best]].tolist())
        return found


def _without(values, j, empty):
    """Histories without their entry j: later ones move up."""
    out = np.full_like(values, empty)
    out[:, : values.shape[1] - 1] = np.delete(values, j, axis=1)
    return out


class MixedRows:
    """Encoded rows, some of whose groups come from other rows.

    Parameters
    ----------
    rows, background : Rows
        The rows, and those to mix with.
    groups : dict of str to list of int
        The features of each group. The ids of users and items, and the histories, go
        with the groups of their names.
    outputs : list of callable
        Each returns a number for each encoded row.
    """

    def __init__(self, rows, background, groups, outputs):
        self.groups, self.outputs, self.n = groups, outputs, len(rows)
        self.order = list(groups)
        parts = {}
        for name in ("features", "user", "item", "history", "history_values"):
            mine = getattr(rows, name)
            if mine is not None:
                parts[name] = np.concatenate([mine, getattr(background, name)])
        self.parts = parts

    def __call__(self, row, back, inside):
        at = {
            name: np.where(inside[:, g], row, self.n + back)
            for g, name in enumerate(self.order)
        }
        features = self.parts["features"][row]
        for name, columns in self.groups.items():
            if columns:
                features[:, columns] = self.parts["features"][at[name]][:, columns]
        found = {"user": at["user"], "item": at["item"]}
        found |= dict.fromkeys(("history", "history_values"), at.get("history"))
        ids = {n: self.parts[n][found[n]] for n in found if n in self.parts}
        mixed = Rows(features, **ids)
        return np.column_stack([output(mixed) for output in self.outputs])
