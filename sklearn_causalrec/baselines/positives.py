"""Lists from positives: what the models share that know who bought what."""

import copy
from abc import ABC, abstractmethod
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, vstack
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_causalrec._utils.typing import Column
from sklearn_causalrec.baselines.base import OutcomeLists
from sklearn_causalrec.encoding.checks import unchanged_on_failure, whole_number
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.positives import (
    NO_POSITIVES,
    first_of_pairs,
    freshness,
    steps_back,
)
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.metrics.lists import held_out_ndcg
from sklearn_causalrec.ranking.catalogue import Catalogue, PairScores

BLOCK_BYTES = 64 * 2**20


class PositivesRecommender(OutcomeLists, BaseEstimator, ABC):
    """Scores of all items from the positives of a user, which are the user's profile.

    A subclass learns in ``_learn(signals)`` from the matrix of users and items, and
    scores in ``_score(profiles)`` rows of such a matrix. It says in
    ``_contributions(profile, items)`` what each item of a profile adds to a score, and
    in ``_item_similarity(items)`` how like all items are to these.
    """

    _parameter_constraints: dict = {
        "user": [str, Integral, None],
        "item": [str, Integral, None],
        "time": [str, Integral, None],
    }
    verbose = 0  # recommend looks for it

    def __init__(
        self,
        *,
        user: Column | None = None,
        item: Column | None = None,
        time: Column | None = None,
    ) -> None:
        self.user = user
        self.item = item
        self.time = time

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit to a log of positives.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The log, with one row for each time that a user met an item.
        y : array-like of shape (n,), default=None
            The weight of each row: 1 for a purchase, a rating, the time watched. Rows
            with y of 0 or less are no positives; lists leave them out as seen. A pair
            with several rows counts once, by its largest weight. With None, every row
            is a positive of the weight 1.

        Returns
        -------
        estimator
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If no row is a positive, or a value cannot be used. The message names it. An
            estimator that was fitted before stays as it was.
        """
        with unchanged_on_failure(self):
            self._validate_params()
            y = np.ones(_num_samples(X)) if y is None else y
            roles = ColumnRoles(user=self.user, item=self.item, time=self.time)
            self.log_encoder_ = LogEncoder(roles, False)
            rows = self.log_encoder_.fit_rows(self, X, y, None, None, None)
            self.mean_ = float(rows.y.mean())
            self.catalogue_ = None
            if rows.user is not None and rows.item is not None:
                self._fit_pairs(rows, roles.feature_columns_)
        return self

    def _fit_pairs(self, rows, names):
        positive = rows.y > 0
        if not positive.any():
            raise ValueError(NO_POSITIVES)
        encoder = self.log_encoder_
        n_users, n_items = len(encoder.users), len(encoder.items)
        self.catalogue_ = Catalogue(rows, n_users, n_items, names=names)
        rows = rows.take(np.flatnonzero(positive))
        kept = first_of_pairs(rows.user, rows.item, rows.y, n_items)
        weight = (rows.y[kept] / rows.y[kept].mean()).astype(np.float32)
        cells, shape = (rows.user[kept], rows.item[kept]), (n_users + 1, n_items)
        signals = csr_array((weight, cells), shape=shape)
        later = None if rows.time is None else steps_back(cells[0], rows.time[kept])
        # Cells are sorted: these stand in the order of those of the profiles.
        self._weights = None if later is None else weight
        profile = (weight * self._recency(later)).astype(np.float32)
        self.profiles_ = csr_array((profile, cells), shape=shape)
        order = None if rows.time is None else np.unique(rows.time[kept], False, True)
        self._order = None if order is None else order[1].astype(np.int32)
        self._count_users()
        self._mixtures = {}
        self._learn(signals[:-1])

    def _without_users(self, keep, rows):
        """Remove users, in place, and learn again without them.

        The weights and the order of positives are kept, so that this is what ``fit``
        makes of the rows that are left.
        """
        self.log_encoder_.users.without(keep)
        if self.catalogue_ is None:
            return
        self.catalogue_.without_users(keep)
        known = getattr(self, "_weights", None)
        if known is None and self.time is not None:
            raise ValueError(
                "The model was fitted by an earlier version, which kept weights after "
                "their loss over time alone: fit it again without the rows of these "
                "users."
            )
        cell = np.repeat(np.append(keep, True), np.diff(self.profiles_.indptr))
        stays = np.append(np.flatnonzero(keep), len(keep))
        profiles = csr_array(self.profiles_[stays])
        weight = profiles.data if known is None else known[cell]
        if not len(weight):
            raise ValueError(
                "Nobody else has a positive: nothing is left to learn lists from."
            )
        mean = weight.mean(dtype=np.float64)
        profiles.data = (profiles.data / mean).astype(np.float32)
        weight = (weight / mean).astype(np.float32)
        self._weights = None if known is None else weight
        self.profiles_ = profiles
        if getattr(self, "_order", None) is not None:
            self._order = self._order[cell]
        self._count_users()
        parts = (weight, profiles.indices, profiles.indptr)
        self._learn(csr_array(parts, shape=profiles.shape)[:-1])

    def _count_users(self):
        """The share of users who have each item; with times, late ones count more."""
        n_profiles, n_items = self.profiles_.shape
        order = getattr(self, "_order", None)  # None in files of earlier versions
        weight = None if order is None else freshness(order)
        counts = np.bincount(self.profiles_.indices, weight, minlength=n_items)
        self.popularity_ = (counts / (n_profiles - 1)).astype(np.float32)

    def _recency(self, later):
        """The share of a positive's weight in a profile after so many later ones."""
        return np.float32(1)

    @abstractmethod
    def _learn(self, signals):
        """Learn from the weights of positives, (n_users, n_items)."""

    @abstractmethod
    def _score(self, profiles):
        """Scores of all items, (n_profiles, n_items)."""

    # -- scores of pairs ---------------------------------------------------------

    def _profiles_of(self, users):
        profiles = self.profiles_
        if "user" in self._mixtures:
            mixed = self._mixtures["user"] @ profiles[:-1]
            profiles = vstack([profiles, mixed], format="csr")
        return csr_array(profiles[users])

    def _pairs(self, users, items):
        """Scores of all pairs of codes; (n_users, n_items)."""
        profiles = self._profiles_of(users)
        known = np.asarray(self._score(profiles), np.float32)
        empty = np.diff(profiles.indptr) == 0
        known[empty] = self.popularity_
        never = self.popularity_ == 0
        low = known[:, ~never].min(axis=1)
        known[:, never] = low[:, None]  # nobody chose them: last
        if len(items) == known.shape[1] and (items == np.arange(len(items))).all():
            return known
        parts = [known, low[:, None]]
        if "item" in self._mixtures:
            parts.append(known @ self._mixtures["item"].T)
        return np.hstack(parts)[:, items]

    def _rows(self, rows):
        """Scores of encoded rows; (n,)."""
        if self.catalogue_ is None:
            return np.full(len(rows), self.mean_)
        users, position = np.unique(rows.user, return_inverse=True)
        items, column = np.unique(rows.item, return_inverse=True)
        out = np.empty(len(rows), np.float32)
        size = self._users_at_once()
        order = np.argsort(position, kind="stable")
        ends = np.searchsorted(position[order], np.arange(0, len(users), size))
        for start, mine in zip(range(0, len(users), size), np.split(order, ends[1:])):
            scores = self._pairs(users[start : start + size], items)
            out[mine] = scores[position[mine] - start, column[mine]]
        return out

    def _users_at_once(self):
        return max(1, BLOCK_BYTES // (4 * len(self.popularity_)))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Score the pairs of rows, as :func:`~sklearn_causalrec.recommend` does.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows.

        Returns
        -------
        ndarray of shape (n,)
            The scores: of one user's items, the higher ones are to be listed first.
            They have no unit. Users without positives get the share of users who have
            the item. Without columns of users and items, it is the mean of y.
        """
        check_is_fitted(self, "log_encoder_")
        return self._rows(self.log_encoder_.rows(self, X))

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Return NDCG@10 of lists, with the positives among the rows as relevant.

        Lists hold the items of the log that the user has no row of in the log. So the
        parameters can be chosen by GridSearchCV, on splits such as
        :class:`~sklearn_causalrec.interactions.LastOutSplit`.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The rows, which were kept out of the fit.
        y : array-like of shape (n,), default=None
            The weight of each row. Rows with y > 0 are relevant. With None, all are.

        Returns
        -------
        float
            The mean over the users who have a positive; 0 if there is none.
        """
        check_is_fitted(self, "log_encoder_")
        rows = self.log_encoder_.rows(self, X)
        if self.catalogue_ is None:
            return 0.0
        relevant = np.ones(len(rows), bool) if y is None else np.asarray(y) > 0
        n_items = len(self.popularity_)
        return held_out_ndcg(
            lambda users: self._pairs(users, np.arange(n_items)),
            self.catalogue_.logged[:, :n_items],
            rows.user[relevant],
            rows.item[relevant],
            at_once=self._users_at_once(),
        )

    def _pair_scores(self):
        return PairScores(self._rows, self._pairs)

    # -- ids that the log does not know, reasons, similar items --------------------

    def with_mixtures(self, more):
        """Return a copy that knows further ids, as mixtures of those of the log.

        Parameters
        ----------
        more : dict of {"user", "item"} to csr_array of shape (n_new, n_ids)
            The weights of the known ids. The codes of the new ones start at the number
            of known ids plus 1.

        Returns
        -------
        estimator
            The copy. A new user has the mixed profile, a new item the mixed score.
        """
        other = copy.copy(self)
        other._mixtures = more
        return other

    def because(self, users, items, n=3):
        """Return the items of each user that add most to the scores of pairs.

        Parameters
        ----------
        users, items : ndarray of int of shape (m,)
            The codes of the pairs.
        n : int, default=3
            The largest number of items per pair.

        Returns
        -------
        list of list of ids
            Items of the user's own that add to the score, the largest part first. It is
            empty for users without positives, and items that the log does not know.
        """
        n = whole_number(n, "n")
        ids = self.log_encoder_.items.ids.to_numpy()
        found = [[] for _ in users]
        known = items < len(self.popularity_)
        for user in np.unique(users[known]):
            mine = np.flatnonzero(known & (users == user))
            profile = self._profiles_of([user])
            if profile.nnz == 0:
                continue
            parts = self._contributions(profile, items[mine])  # (own, pairs)
            for pair, part in zip(mine, parts.T):
                best = np.argsort(-part, kind="stable")[:n]
                best = best[part[best] > 0]
                found[pair] = ids[profile.indices[best]].tolist()
        return found

    @abstractmethod
    def _contributions(self, profile, items):
        """What each item of one profile adds to the scores, (n_own, n_items)."""

    def item_similarity(self, items):
        """Return how similar each item of the log is to some of them.

        Parameters
        ----------
        items : ndarray of int of shape (m,)
            The codes of items.

        Returns
        -------
        ndarray of shape (m, n_items)
            The similarities, at most 1.
        """
        check_is_fitted(self, "log_encoder_")
        return self._item_similarity(items)

    @abstractmethod
    def _item_similarity(self, items):
        """Similarities of all items to these, (n_items, n_all)."""
