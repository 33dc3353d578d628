"""A weighted sum of several models, with weights from rows that were kept out."""

import copy
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _num_samples

from sklearn_causalrec._utils.typing import Column, Seed
from sklearn_causalrec.baselines.als import ImplicitALS
from sklearn_causalrec.baselines.ease import EASE
from sklearn_causalrec.baselines.neighborhood import NeighborhoodRecommender
from sklearn_causalrec.baselines.popularity import Popularity
from sklearn_causalrec.baselines.positives import PositivesRecommender
from sklearn_causalrec.encoding.checks import unchanged_on_failure
from sklearn_causalrec.encoding.kinds import short
from sklearn_causalrec.encoding.positives import steps_back
from sklearn_causalrec.metrics.lists import ListHits, ndcg
from sklearn_causalrec.ranking.catalogue import catalogue_scores

CELLS = 2**24  # scores that weights are found on, of one member
POOL = 100  # items of each member and user that a sum may list
PLACES = 20  # of the lists that weights are found by
TRIED = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
ROUNDS = 10


def member_scores(member, users, items):
    """Scores of all pairs of codes by a fitted member; (n_users, n_items)."""
    scorer = member.pair_scores("outcome")
    if not hasattr(member, "with_mixtures"):  # what it does not know has one code
        users = np.minimum(users, len(member.log_encoder_.users))
        items = np.minimum(items, len(member.log_encoder_.items))
    return catalogue_scores(member, scorer, users, items)


def default_members(roles, time, seed):
    """The models that a blend is made of if nothing is said.

    Parameters
    ----------
    roles : dict of {"user", "item"} to column
        The columns of ids.
    time : str, int or None
        The column of times.
    seed : int
        The seed of those that draw.

    Returns
    -------
    dict of str to estimator
    """
    return {
        "ease": EASE(**roles, time=time),
        "neighbors": NeighborhoodRecommender(**roles),
        "als": ImplicitALS(**roles, random_state=seed),
        "popularity": Popularity(**roles),
    }


def standardized(scores):
    """Scores of each user less their mean, over their standard deviation."""
    scores = scores - scores.mean(axis=1, keepdims=True)
    spread = scores.std(axis=1, keepdims=True)
    return scores / np.where(spread > 0, spread, 1)


class _HeldOut:
    """The best items of every member for each user, and which of them came later."""

    def __init__(self, scores, open_, user, item):
        n = min(POOL, open_.shape[1])
        best = [
            np.argpartition(np.where(open_, one, -np.inf), -n, axis=1)[:, -n:]
            for one in scores
        ]
        self.items = np.sort(np.concatenate(best, axis=1), axis=1)
        again = np.zeros(self.items.shape, bool)
        again[:, 1:] = self.items[:, 1:] == self.items[:, :-1]
        self.closed = again | ~np.take_along_axis(open_, self.items, axis=1)
        self.scores = [np.take_along_axis(one, self.items, axis=1) for one in scores]
        self.user, self.item = user, item

    def ndcg(self, weights):
        """NDCG of the lists by a weighted sum; of each user."""
        total = sum(w * one for w, one in zip(weights, self.scores) if w)
        total = np.where(self.closed, -np.inf, total)
        order = np.argsort(-total, axis=1, kind="stable")[:, :PLACES]
        top = np.take_along_axis(self.items, order, axis=1)
        there = np.take_along_axis(total, order, axis=1) > -np.inf
        hits = ListHits(np.where(there, top, -1), self.user, self.item)
        return ndcg(hits, PLACES)


def added_weights(values, n_members):
    """Weights that start at the best member, and change where lists become better.

    A change is made if the mean over users improves by more than three standard errors
    of the difference: many are tried, and members should not be added for chance.

    Parameters
    ----------
    values : callable
        ``values(weights)`` is what the lists of each user are worth.
    n_members : int
        The number of weights.

    Returns
    -------
    ndarray of shape (n_members,)
        The weights, 1 for the best member.
    """
    if n_members == 1:
        return np.ones(1)
    alone = [values(row).mean() for row in np.eye(n_members)]
    best = int(np.argmax(alone))
    weights = np.eye(n_members)[best]
    now = values(weights)
    for _ in range(ROUNDS):
        changes = []
        for other in np.delete(np.arange(n_members), best):
            for weight in TRIED:
                changed = weights.copy()
                changed[other] = weight
                gain = values(changed) - now
                changes.append((gain.mean(), gain.std() / np.sqrt(len(gain)), changed))
        gain, error, changed = max(changes, key=lambda change: change[0])
        if not gain > 3 * error:
            break
        weights, now = changed, values(changed)
    return weights


class BlendRecommender(PositivesRecommender):
    """Add up the scores of several models, with weights from the last rows of users.

    The members are fitted to the earlier rows of each user. The one with the best lists
    for the later rows (NDCG@20) has the weight 1. Others are added where the lists
    become better by more than three standard errors. So the sum is the best member
    alone where the others have nothing to add. The members are then fitted to all rows.
    If no user has two rows, all weights are 1.

    Parameters
    ----------
    members : list of (str, estimator), default=None
        The models by name. They score pairs as those of ``baselines`` and
        :class:`~sklearn_causalrec.CausalDNNRecommender` do, by columns of users and
        items that they name themselves. With None, they are EASE,
        NeighborhoodRecommender, ImplicitALS and Popularity. CausalDNNRecommender makes
        a blend with its networks among the models.
    user : str or int, default=None
        The column of X with the user ids, by name or position. Users that the log does
        not know, or that have no positives, get the most popular items.
    item : str or int, default=None
        The column of X with the item ids, by name or position.
    time : str or int, default=None
        The column of X with the times, by name or position. With None, rows are kept
        out at random.
    holdout : float, default=0.2
        The share of the rows of each user that weights are found on.
    random_state : int, RandomState instance or None, default=None
        The seed of the default members, and of the users that weights are found on if
        there are many. Pass an int for reproducible results.

    Attributes
    ----------
    members_ : dict of str to estimator
        The members, fitted to all rows.
    weights_ : dict of str to float
        The weight of each member, on scores with a standard deviation of 1 over the
        items of a user.
    held_out_ : dict of str to float
        NDCG@20 of each member, and of the weighted sum ("blend"), on the rows that were
        kept out.
    popularity_ : ndarray of shape (n_items,)
        The share of users who have each item among their positives. Where `time` is
        named, a positive counts half for each tenth of the log that came later.
    profiles_ : csr_array of shape (n_users + 1, n_items)
        The positives of each user. The last row, for unknown users, is empty.
    catalogue_ : Catalogue or None
        The users and items of the log, if both columns are named.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    EASE : The member that is hardest to beat.
    sklearn_causalrec.evaluate_lists : Compare models by their lists.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import BlendRecommender
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user": np.repeat(np.arange(50), 12)})
    >>> log["item"] = 2 * rng.integers(0, 15, 600) + log["user"] % 2
    >>> model = BlendRecommender(user="user", item="item", random_state=0).fit(log)
    >>> sorted(model.weights_)
    ['als', 'ease', 'neighbors', 'popularity']
    """

    _parameter_constraints = {
        "members": [list, None],
        **PositivesRecommender._parameter_constraints,
        "holdout": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        members: list[tuple[str, Any]] | None = None,
        *,
        user: Column | None = None,
        item: Column | None = None,
        time: Column | None = None,
        holdout: float = 0.2,
        random_state: Seed = None,
    ) -> None:
        super().__init__(user=user, item=item, time=time)
        self.members = members
        self.holdout = holdout
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "BlendRecommender":
        """Find the weights of the members, and fit them to all rows.

        Parameters
        ----------
        X : array-like or pandas or polars frame of shape (n, p)
            The log, with one row for each time that a user met an item.
        y : array-like of shape (n,), default=None
            The weight of each row, as in :class:`~sklearn_causalrec.baselines.EASE`.
            With None, every row is a positive of the weight 1.

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
            y = np.ones(_num_samples(X)) if y is None else y
            self._given = X, np.asarray(y)
            try:
                super().fit(X, y)
            finally:
                del self._given
        return self

    def _fit_pairs(self, rows, names):
        X, y = self._given
        rng = check_random_state(self.random_state)
        later = rng.permutation(len(rows)) if rows.time is None else rows.time
        size = np.bincount(rows.user)[rows.user]
        late = steps_back(rows.user, later) < np.ceil(self.holdout * size - 1e-9)
        late &= size > 1
        members = self._fresh_members(rng.randint(2**31 - 1))
        early = np.flatnonzero(~late)
        self.weights_ = dict.fromkeys(members, 1.0)
        self.held_out_ = {}
        if late.any() and (rows.y[early] > 0).any():
            part = _safe_indexing(X, early), y[early]
            fitted = {name: clone(one).fit(*part) for name, one in members.items()}
            self._find_weights(fitted, rows.take(late), rng)
        self.members_ = {name: clone(one).fit(X, y) for name, one in members.items()}
        super()._fit_pairs(rows, names)

    def _named_members(self):
        try:
            return dict(self.members)
        except (TypeError, ValueError):
            raise TypeError(
                f"members is {short(self.members)}: pass a list of pairs, such as "
                '[("ease", EASE(user="user", item="item"))].'
            ) from None

    def _fresh_members(self, seed):
        if self.members is not None:
            members = self._named_members()
            if not members:
                raise ValueError(
                    f"members is {self.members!r}: name at least one model, such as "
                    '[("ease", EASE(user="user", item="item"))], or leave it out.'
                )
            return members
        roles = dict(user=self.user, item=self.item)
        return default_members(roles, self.time, seed)

    def _find_weights(self, fitted, late, rng):
        """Weights by the later positives of users, and what lists they make."""
        own, first = self.log_encoder_, next(iter(fitted.values()))
        encoder, catalogue = first.log_encoder_, first.catalogue_
        late = late.take(late.y > 0)
        user = encoder.users.codes(own.users.ids.to_numpy()[late.user])
        item = encoder.items.codes(own.items.ids.to_numpy()[late.item])
        n_items = len(encoder.items)
        new = (user < len(encoder.users)) & (item < n_items)
        if not new.any():
            return
        new[new] = ~_contains(catalogue.logged, user[new], item[new])
        user, item = user[new], item[new]
        users = np.unique(user)
        most = max(1, CELLS // n_items)
        if len(users) > most:
            users = np.sort(rng.choice(users, most, replace=False))
        mine = np.isin(user, users)
        user, item = np.searchsorted(users, user[mine]), item[mine]
        if len(users) == 0:
            return
        everything = np.arange(n_items)
        scores = [
            standardized(member_scores(one, users, everything))
            for one in fitted.values()
        ]
        open_ = ~catalogue.logged[users][:, :n_items].toarray()
        held_out = _HeldOut(scores, open_, user, item)
        weights = added_weights(held_out.ndcg, len(fitted))
        for name, row in zip((*fitted, "blend"), (*np.eye(len(fitted)), weights)):
            self.held_out_[name] = float(held_out.ndcg(row).mean())
        self.weights_ = dict(zip(fitted, weights.tolist()))

    def _learn(self, signals):
        """The members have learned already."""

    def _without_users(self, keep, rows):
        """Remove users, in place, from all members; the weights of these stay."""
        super()._without_users(keep, rows)
        for member in self.members_.values():
            member._without_users(keep, rows)

    def _score(self, profiles):
        """By the members that read profiles, for a blend that is a member itself."""
        total = np.zeros(profiles.shape, np.float32)
        for weight, member in self._readers():
            total += weight * standardized(member._score(profiles))
        return total

    def _readers(self):
        """Weight and member, of those with a weight that read profiles."""
        return [
            (self.weights_[name], member)
            for name, member in self.members_.items()
            if self.weights_[name] and hasattr(member, "because")
        ]

    def _pairs(self, users, items):
        everything = np.arange(len(self.popularity_))
        if "item" in self._mixtures:
            added = self._mixtures["item"].shape[0]
            everything = np.arange(len(everything) + 1 + added)
        total = np.zeros((len(users), len(everything)), np.float32)
        for name, member in self.members_.items():
            if self.weights_[name]:
                scores = member_scores(member, users, everything)
                total += self.weights_[name] * standardized(scores)
        empty = np.diff(self._profiles_of(users).indptr) == 0
        if empty.any():  # whatever the members have for users without positives
            popular = self.popularity_[None]
            if "item" in self._mixtures:
                mixed = popular @ self._mixtures["item"].T
                popular = np.hstack([popular, popular.min(keepdims=True), mixed])
            total[empty] = standardized(popular)
        if len(everything) == len(self.popularity_):
            total = np.hstack([total, total.min(axis=1, keepdims=True)])
        return total[:, items]

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
            The copy, in which the members know the new ids if they can.
        """
        other = copy.copy(self)
        other._mixtures = more
        other.members_ = {
            name: member.with_mixtures(more)
            if hasattr(member, "with_mixtures")
            else member
            for name, member in self.members_.items()
        }
        return other

    def _contributions(self, profile, items):
        total = np.zeros((profile.nnz, len(items)))
        for weight, member in self._readers():
            spread = member._score(profile).std()
            total += weight * member._contributions(profile, items) / (spread or 1.0)
        return total

    def _item_similarity(self, items):
        found = [
            weight * self.members_[name].item_similarity(items)
            for name, weight in self.weights_.items()
            if weight and hasattr(self.members_[name], "item_similarity")
        ]
        if not found:
            return self.members_[next(iter(self.members_))].item_similarity(items)
        return np.sum(found, axis=0)


def _contains(pairs, rows, columns):
    """Whether a sparse matrix has cells."""
    return np.asarray(pairs[rows, columns], bool)
