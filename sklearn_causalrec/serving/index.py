"""EffectIndex: the items of the largest effects, found without scoring all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.checks import choice, number
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.ranking.asked import excluded_pairs
from sklearn_causalrec.ranking.cold_start import ColdStart, with_stand_ins
from sklearn_causalrec.ranking.pairs import Pairs, seen_pairs
from sklearn_causalrec.ranking.recommend import check_k, names_of_ids, recommend
from sklearn_causalrec.serving.items import allowed_items, once_each, read_items
from sklearn_causalrec.serving.landmarks import Landmarks, leave_out

# By `_start`.
_MADE = "_estimator _sides items_ _scorer _known _positions _place _vectors _keys"
SMALL = 2_000  # so few items are all scored in about the time of a search


class EffectIndex:
    r"""Lists of a fitted recommender, of a part of its items that is likely the best.

    Scores of all users and items are nearly a product of vectors. The vectors are read
    off exact scores (Nyström's method [1]_): those of some users with all items, by
    their singular value decomposition, give vectors of the items; a user's is a ridge
    regression on the exact scores of some items. The items of the largest products are
    candidates, which are then scored exactly and sorted.

    How many of the best items are found is measured, on users that had no part in the
    vectors, and stated in ``recall_``. If it is less than asked for, there are more
    candidates; if no number of them suffices, all items are scored (``exact_``).

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model, whose ``user`` and ``item`` columns are named. A model that
        cannot be compiled, such as one of histories, is searched exactly.
    users : array-like of ids, default=None
        The users that the vectors and the recall are learned from. None stands for all
        users of the log. Lists can be asked for of any others.
    items : array-like of ids, frame, or None, default=None
        The items to choose from, as in :func:`~sklearn_causalrec.recommend`. A frame
        may have further columns, which a filter can ask for.
    recall : float, default=0.99
        The share of the best `k` items that has to be found, above 0 and at most 1.
        With 1, all items are scored.
    by : {"effect", "outcome"}, default="effect"
        What the items are ranked by.
    k : int, default=10
        The length of the lists whose recall is measured.
    cold_start : str or ColdStart, default="blend"
        What stands for ids with few rows, as in :func:`~sklearn_causalrec.recommend`.
    T0, T1 : scalar, default=None
        The arms, as in :func:`~sklearn_causalrec.recommend`.
    random_state : int, RandomState instance or None, default=0
        The seed of the draw of users.

    Attributes
    ----------
    exact_ : bool
        Whether all items are scored, because no part of them has the recall asked for,
        or there are few.
    recall_ : float
        The recall that was measured; 1 where the search is exact.
    n_candidates_ : int
        The number of items that are scored exactly for each user.
    rank_ : int
        The length of the vectors; 0 where the search is exact.
    items_ : DataFrame
        The items, with the columns that they came with.

    See Also
    --------
    recommend : The same lists, with all items scored.
    compile_scorer : The scores of rows.

    References
    ----------
    .. [1] Williams, C. and Seeger, M. (2000). "Using the Nyström method to speed up
       kernel machines." NeurIPS.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender, EffectIndex
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> log = make_exposure_log(900, n_users=50, n_items=100, random_state=0)
    >>> model = CausalDNNRecommender(
    ...     user="user", item="item", effect_learner="t", max_epochs=3, random_state=0
    ... ).fit(log.X, log.y, treatment=log.treatment)
    >>> index = EffectIndex(model)
    >>> index.exact_  # of so few items
    True
    >>> index.recommend([3, 7], k=2)[["user", "rank"]].values.tolist()
    [[3, 1], [3, 2], [7, 1], [7, 2]]
    """

    def __init__(
        self,
        fitted: Any,
        users: ArrayLike | None = None,
        items: ArrayLike | None = None,
        recall: float = 0.99,
        by: Literal["effect", "outcome"] = "effect",
        *,
        k: int = 10,
        cold_start: str | ColdStart = "blend",
        T0: Arm | None = None,
        T1: Arm | None = None,
        random_state: Seed = 0,
    ) -> None:
        choice(by, "by", {"effect", "outcome"})
        recall = number(recall, "recall")
        if not 0 < recall <= 1:
            raise ValueError(f"recall is {recall!r}: a share above 0 and at most 1.")
        self.fitted, self.by, self.k = fitted, by, check_k(k)
        self.recall, self.T0, self.T1 = recall, T0, T1
        _, estimator = unwrap(fitted)
        self.cold_start = ColdStart.of(cold_start, estimator)
        estimator.pair_scores(by, None, T0, T1)  # refuses before any work
        self._given = items if items is None else read_items(items)
        self._start()
        known = self._known_users(users)
        self.exact_, self.recall_, self.rank_ = True, 1.0, 0
        self._landmarks, self.n_candidates_ = None, len(self.items_)
        if self._scorer is not None and len(self.items_) > SMALL and recall < 1:
            self._learn(known, check_random_state(random_state))

    # -- what is made anew after a pickle ---------------------------------------

    def _start(self):
        """Read the items, and what scores them with the users of the log."""
        transform, self._estimator = unwrap(self.fitted)
        pairs = Pairs(self.fitted, transform, self._estimator, None, self._given)
        self._keys = names_of_ids(pairs.keys)
        self._sides = pairs.sides
        if hasattr(self._given, "columns"):
            self.items_ = once_each(self._given, self._key_in(self._given))
        else:
            self.items_ = pd.DataFrame({pairs.keys[1]: pairs.items})
        self._scorer = None
        if pairs.raw is None:
            self._known = with_stand_ins(self._estimator, pairs, self.cold_start)
            self._scorer = self._scorer_of(self._known, pairs)
        self._positions = {v: i for i, v in enumerate(pairs.users.tolist())}
        codes = self._sides[1].codes
        n_codes = self._estimator.catalogue_.logged.shape[1]
        self._place = np.full(n_codes, -1)
        self._place[codes] = np.arange(len(codes))
        self._place[-1] = -1  # new items, which nobody has seen
        self._vectors = {}

    def _key_in(self, frame):
        """The column of ids in a frame of items."""
        key = self._sides[1].key
        if key in frame.columns:
            return key
        return self._estimator.log_encoder_.roles.columns_["item"]

    def _scorer_of(self, estimator, pairs):
        scores = estimator.pair_scores(self.by, None, self.T0, self.T1)
        found = pairs.sides_of(scores)
        return found if hasattr(found, "of_users") else None

    def __getstate__(self):
        return {k: v for k, v in vars(self).items() if k not in _MADE.split()}

    def __setstate__(self, state):
        vars(self).update(state)
        self._start()

    def _known_users(self, users):
        """Positions of the users to learn from."""
        if users is None:
            return np.arange(len(self._positions))
        if hasattr(users, "columns"):
            raise ValueError(
                "users came as a frame: pass ids of users of the log. Users with "
                "features can be asked for in recommend."
            )
        ids = pd.unique(as_ids(users, "user")).tolist()
        known = np.array([self._positions.get(v, -1) for v in ids], int)
        if (known < 0).any():
            raise ValueError(
                f"users holds {shown(ids[int(np.argmin(known))])}, which the log does "
                "not know: vectors are learned from users of the log. Ask for lists of "
                "others in recommend."
            )
        return known

    def _learn(self, known, rng):
        """Vectors, and how many candidates have the recall asked for."""
        landmarks = Landmarks.learn(self._scorer, known, self.k, self.recall, rng)
        if landmarks is None:
            return
        self._landmarks, self.exact_ = landmarks, False
        self._state_recall()

    def _state_recall(self):
        found = self._landmarks
        stated = found.recall, found.rank, found.n_candidates
        self.recall_, self.rank_, self.n_candidates_ = stated

    # -- lists ------------------------------------------------------------------

    def recommend(
        self,
        users: ArrayLike | None = None,
        k: int = 10,
        min_effect: float | None = None,
        exclude: ArrayLike | None = None,
        filter: Mapping[str, Any] | ArrayLike | Callable | None = None,
        context: Mapping[str, Any] | ArrayLike | None = None,
        *,
        exclude_seen: bool | Literal["rated"] = True,
    ) -> pd.DataFrame:
        """Recommend the k best items to every user.

        Parameters
        ----------
        users : array-like of ids, frame, or None, default=None
            The users, as in :func:`~sklearn_causalrec.recommend`: of the log or new,
            with features or without.
        k : int, default=10
            The number of items per user.
        min_effect : float, default=None
            The effect above which a pair is a candidate. With ``by="outcome"``, all
            items are scored then.
        exclude : frame or array-like of shape (m, 2), default=None
            Pairs that are left out, as in :func:`~sklearn_causalrec.recommend`.
        filter : dict, callable or array of bool, default=None
            The items that may be listed. A dict holds conditions on columns of
            ``items_``, all of which have to hold: a value, a list or set of values, a
            pair ``(low, high)`` of bounds that count as inside, of which one may be
            None, or a callable that gets the column and returns a bool a row. A
            callable gets ``items_``. An array has a bool an item, (n_items,), or a
            pair, (n_users, n_items), in the order of ``items_``.
        context : dict or frame of one row, default=None
            The values of columns that all lists share.
        exclude_seen : bool or "rated", default=True
            Which pairs of the log are left out, as in
            :func:`~sklearn_causalrec.recommend`.

        Returns
        -------
        DataFrame
            The columns of :func:`~sklearn_causalrec.recommend`: the ids, ``rank`` and
            ``score``, which is exact.

        Raises
        ------
        ValueError
            If :func:`~sklearn_causalrec.recommend` refuses users or an option, or the
            filter is none of ``items_``.

        Notes
        -----
        ``recall_`` is that of lists of ``k`` of all items without conditions. Items
        that may not be listed are left out before the search, so that there are as many
        candidates; of longer lists, more.
        """
        k = check_k(k)
        if min_effect is not None:
            min_effect = number(min_effect, "min_effect", infinite=True)
        allowed = None
        if filter is not None:
            allowed = allowed_items(filter, self.items_)
        ids, side, scorer = self._read_users(users, context)
        if scorer is None or (min_effect is not None and self.by == "outcome"):
            return self._search_all(
                users, k, min_effect, exclude, allowed, context, exclude_seen
            )
        if allowed is not None and allowed.ndim == 2 and len(allowed) != len(ids):
            raise ValueError(
                f"filter has {len(allowed)} rows for {len(ids)} users: one row each."
            )
        left_out = self._left_out(side, exclude, exclude_seen)
        found = []
        for user in range(len(ids)):
            mask = allowed if allowed is None or allowed.ndim == 1 else allowed[user]
            items, scores = self._best(
                scorer, side, user, k, mask, left_out(user), min_effect
            )
            found.append((np.full(len(items), user), items, scores))
        return self._table(ids, found)

    def _table(self, ids, found):
        dtype = np.float64 if not found else found[0][2].dtype
        found = found or [(np.zeros(0, int), np.zeros(0, int), np.zeros(0, dtype))]
        user, item, score = (np.concatenate(part) for part in zip(*found))
        ranks = [np.arange(1, len(part[0]) + 1) for part in found]
        columns = {
            self._keys[0]: ids[user],
            self._keys[1]: self._sides[1].ids[item],
            "rank": np.concatenate(ranks),
            "score": score,
        }
        return pd.DataFrame(columns)

    def _read_users(self, users, context):
        """Ids, their codes in the log and what scores them; None: nothing can."""
        if self._scorer is None:
            return None, None, None
        if context is None and (users is None or not hasattr(users, "columns")):
            asked = self._quick(users)
            if asked is not None:
                return self._sides[0].ids[asked], asked, self._scorer
        transform, estimator = unwrap(self.fitted)
        one = self._sides[1].ids[:1]
        pairs = Pairs(self.fitted, transform, estimator, users, one, context)
        if pairs.raw is not None:
            return None, None, None
        more = with_stand_ins(self._known, pairs, self.cold_start)
        scorer = self._scorer_of(more, pairs)
        scorer = scorer and self._scorer.with_users(scorer)
        return pairs.users, pairs.sides[0], scorer

    def _quick(self, users):
        """Positions of users of the log; None where one is not."""
        if users is None:
            return np.arange(len(self._positions))
        if isinstance(users, str) or not hasattr(users, "__len__"):
            return None
        if getattr(users, "ndim", 1) != 1:
            return None
        ids = users.tolist() if hasattr(users, "tolist") else list(users)
        try:
            found = [self._positions.get(v, -1) for v in dict.fromkeys(ids)]
        except TypeError:
            return None
        if -1 in found or not found or any(isinstance(v, bool) for v in ids):
            return None
        return np.array(found)

    def _left_out(self, side, exclude, exclude_seen):
        """Positions of the items that a user's list leaves out, by a function."""
        known = isinstance(side, np.ndarray)
        codes = self._sides[0].codes[side] if known else side.codes
        pairs = seen_pairs(self._estimator, exclude_seen)
        matrix = None
        if exclude is not None:
            asked = self._sides[0]._replace(ids=self._sides[0].ids[side], codes=codes)
            encoder = self._estimator.log_encoder_
            matrix = excluded_pairs(
                exclude,
                asked if known else side,
                self._sides[1],
                (encoder.users, encoder.items),
            ).tocsr()

        def left_out(user):
            out = np.zeros(0, int)
            if pairs is not None:
                row = slice(*pairs.indptr[codes[user] : codes[user] + 2])
                out = self._place[pairs.indices[row]]
                out = out[out >= 0]
            if matrix is not None:
                row = slice(*matrix.indptr[user : user + 2])
                out = np.append(out, matrix.indices[row])
            return out

        return left_out

    def _best(self, scorer, side, user, k, allowed, left_out, min_effect):
        """Positions and scores of the best items of a user."""
        n_items = len(self.items_)
        position = side[user] if isinstance(side, np.ndarray) else user
        at = np.array([position])
        n = n_items
        if self._landmarks is not None:
            n = self._landmarks.n_candidates * -(-k // self.k)
        if allowed is not None and np.count_nonzero(allowed) <= max(n, SMALL):
            candidates = np.setdiff1d(np.flatnonzero(allowed), left_out)
            scores = scorer.at(at, candidates)[0] if len(candidates) else np.zeros(0)
        elif self._landmarks is None or n > n_items // 4:
            scores, candidates = scorer.of_users(at)[0], np.arange(n_items)
            leave_out(scores, left_out, allowed)
        else:
            near = self._landmarks.near(self._vector(scorer, position))
            leave_out(near, left_out, allowed)
            candidates = self._landmarks.highest(near, n)
            candidates = candidates[near[candidates] > -np.inf]
            scores = scorer.at(at, candidates)[0]
        if np.isnan(scores).any():
            raise ValueError("A score of a user with an item is not a number.")
        few = np.arange(len(scores))
        if len(scores) > 4 * k:
            few = np.argpartition(-scores, k)[:k]
        order = few[np.lexsort((candidates[few], -scores[few]))][:k]
        floor = -np.inf if min_effect is None else min_effect
        order = order[scores[order] > floor]
        return candidates[order], scores[order]

    def _vector(self, scorer, position):
        """The vector of a user, kept if it is one of the log as the log knows it."""
        kept = scorer is self._scorer
        if kept and position in self._vectors:
            return self._vectors[position]
        vector = self._landmarks.vectors(scorer, np.array([position]))[0]
        if kept:
            self._vectors[position] = vector
        return vector

    def _search_all(
        self, users, k, min_effect, exclude, allowed, context, exclude_seen
    ):
        """As `recommend`, of a model that knows no other way."""
        items = self._given
        if allowed is not None:
            if allowed.ndim == 2:
                raise ValueError(
                    "filter has a row for each user, which this model cannot be asked "
                    "at once: ask for a user at a time, or pass the pairs as exclude=."
                )
            items = self._sides[1].ids if items is None else self.items_
            items = items[allowed]
            if len(items) == 0:
                empty = recommend(self.fitted, users, items=self._given, k=1)[:0]
                return empty.reset_index(drop=True)
        return recommend(
            self.fitted, users, items, k, self.by, exclude, min_effect,
            context=context, exclude_seen=exclude_seen, cold_start=self.cold_start,
            T0=self.T0, T1=self.T1,
        )  # fmt: skip

    # -- new items --------------------------------------------------------------

    def add_items(self, items: ArrayLike) -> EffectIndex:
        """Add items, without a fit; those that the log does not know by features.

        Parameters
        ----------
        items : array-like of ids, or frame
            The new items, with the columns that those of the index have.

        Returns
        -------
        EffectIndex
            The index itself. ``recall_`` is measured anew, and with it the number of
            candidates.

        Raises
        ------
        ValueError
            If an item is in the index already, or columns are missing. The index then
            stays as it was.
        """
        new = read_items(items)
        before, n_before = vars(self).copy(), len(self.items_)
        if not hasattr(new, "columns"):
            if len(self.items_.columns) > 1:
                raise ValueError(
                    "The items of the index came with the columns "
                    f"{list(self.items_.columns)}: pass a frame with them."
                )
            new = pd.DataFrame({self.items_.columns[0]: new})
        lacking = [c for c in self.items_.columns if c not in new.columns]
        if lacking:
            raise ValueError(
                f"items lacks the columns {lacking} of those of the index."
            )
        key = self._key_in(new)
        twice = new[key].isin(self.items_[key]) | new[key].duplicated()
        if twice.any():
            which = shown(new[key][twice].tolist()[0])
            raise ValueError(
                f"The item {which} is in the index already, or twice here."
            )
        given = pd.concat([self.items_, new[list(self.items_.columns)]])
        self._given = given.reset_index(drop=True)
        if len(self.items_.columns) == 1:
            self._given = self._given.iloc[:, 0].to_numpy()
        try:
            self._start()
            if self._landmarks is None:
                self.n_candidates_ = len(self.items_)
                return self
            fresh = np.arange(n_before, len(self.items_))
            grown = self._landmarks.grown(self._scorer, fresh, self.recall)
            self.exact_ = grown is None
            self._landmarks = grown
            self.recall_, self.rank_, self.n_candidates_ = 1.0, 0, len(self.items_)
            if grown is not None:
                self._state_recall()
        except Exception:
            vars(self).clear()
            vars(self).update(before)
            raise
        return self
