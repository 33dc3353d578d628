"""Lists that are drawn at random with known probabilities, as the next log needs."""

import copy
from numbers import Integral, Real

import numpy as np
from scipy.stats import binom

from sklearn_causalrec.ranking.topk import BLOCK_BYTES

STRATEGIES = ("epsilon", "thompson", "uncertainty")


def members(estimator):
    """Return the estimator once for each of its networks."""
    out = []
    for net in estimator._ensemble.nets:
        ensemble = copy.copy(estimator._ensemble)
        ensemble.nets = [net]
        member = copy.copy(estimator)
        member._ensemble = ensemble
        out.append(member)
    return out


def entry_probability(places, candidates, epsilon):
    """Probability that exploration brings a candidate from outside into the list.

    Each place is freed with probability epsilon. The m free places are given to m of
    the candidates that are not at the other places, drawn uniformly.

    Parameters
    ----------
    places : ndarray of int
        The numbers of places of the lists. They are not above `candidates`.
    candidates : ndarray of int
        The numbers of candidates of the lists.
    epsilon : float
        The probability that a place is freed.

    Returns
    -------
    ndarray of float
        The probability for each list.
    """
    out = np.zeros(places.shape)
    for k, n in {*zip(places.ravel().tolist(), candidates.ravel().tolist())}:
        m = np.arange(1, k + 1)
        enter = binom.pmf(m, k, epsilon) @ (m / (n - k + m))
        out[(places == k) & (candidates == n)] = enter
    return out


class Exploration:
    """How lists deviate from the best ranking, and with which probability.

    The base list of a user comes from the scores ("epsilon"), from one network of the
    ensemble drawn for that user ("thompson" [1]_), or from the scores plus ``bonus``
    standard deviations over the networks ("uncertainty"). Then each place of the list
    is freed with probability epsilon. The free places are given to candidates that are
    not at the other places, drawn uniformly. With epsilon 1 the whole list is a uniform
    draw.

    Parameters
    ----------
    strategy : {"epsilon", "thompson", "uncertainty"}
        Where the base list comes from.
    epsilon : float
        The probability that a place is freed. It is at most 1. It is above 0, or at
        least 0 with "thompson".
    bonus : float
        The number of standard deviations over the networks that are added to a score.
        It applies to "uncertainty".
    withhold : int
        The number of pairs per user that are drawn as not shown.
    rng : RandomState
        The generator of the draws.

    See Also
    --------
    sklearn_causalrec.recommend : Recommend items, with ``explore`` as an argument.

    Notes
    -----
    The probability that a candidate is listed is exact. It is above 0 for every
    candidate if epsilon is above 0. Let k be the number of places, n the number of
    candidates, and m ~ Binomial(k, epsilon) the number of free places. The probability
    is q = E[m / (n - k + m)] for a candidate outside the base list, and 1 - q (n - k) /
    k for one inside. With "thompson" it is the mean of these over the networks.

    References
    ----------
    .. [1] Lu, X. and Van Roy, B. (2017). "Ensemble sampling." NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.ranking import Exploration
    >>> explore = Exploration("epsilon", 0.1, 1.0, 0, np.random.RandomState(0))
    >>> scores = np.array([[[3.0, 2.0, 1.0]]])  # one scorer, one user, three items
    >>> user, item, rank, score, propensity, weight = explore.block(scores, k=1)
    >>> item.tolist(), propensity.round(2).tolist()
    ([0], [0.93])
    """

    def __init__(self, strategy, epsilon, bonus, withhold, rng):
        if strategy not in STRATEGIES:
            names = ", ".join(f'"{name}"' for name in STRATEGIES)
            raise ValueError(
                f"explore is {strategy!r}: choose one of {names}, or None."
            )
        least = "0 or more" if strategy == "thompson" else "above 0"
        right = isinstance(epsilon, Real) and 0 <= epsilon <= 1
        if not right or (epsilon == 0 and strategy != "thompson"):
            raise ValueError(
                f"epsilon is {epsilon!r}: the probability that a place explores is "
                f"{least} and at most 1."
            )
        if not isinstance(bonus, Real) or bonus < 0:
            raise ValueError(f"bonus is {bonus!r}: 0 or more standard deviations.")
        if not isinstance(withhold, Integral) or withhold < 0:
            raise ValueError(f"withhold is {withhold!r}: 0 or more pairs a user.")
        self.strategy = strategy
        self.epsilon = float(epsilon)
        self.bonus = bonus
        self.withhold = withhold
        self.rng = rng

    def scorers(self, estimator, by, min_effect, T0, T1):
        """Return how the estimator and each of its networks score pairs.

        Parameters
        ----------
        estimator : estimator
            The fitted estimator.
        by : {"effect", "outcome"}
            What the pairs are ranked by.
        min_effect : float or None
            The effect above which a pair is a candidate. With None, all pairs are.
        T0 : scalar or None
            The arm that `T1` is compared with. None stands for the control.
        T1 : scalar or None
            The arm of the effect and of the outcome.

        Returns
        -------
        list of PairScores
            The scores of the whole estimator. With "thompson" and "uncertainty", those
            of each network follow.

        Raises
        ------
        ValueError
            If the strategy needs several networks and the estimator has fewer than two.
        """
        scorers = [estimator.pair_scores(by, min_effect, T0, T1)]
        if self.strategy == "epsilon":
            return scorers
        nets = getattr(getattr(estimator, "_ensemble", None), "nets", [])
        if len(nets) < 2:
            raise ValueError(
                f"explore={self.strategy!r} needs several networks, and "
                f"{type(estimator).__name__} has {len(nets)}: fit with n_estimators=5 "
                'or more, or use explore="epsilon".'
            )
        limit = min_effect if self.strategy == "thompson" else None
        one_each = members(estimator)
        return scorers + [m.pair_scores(by, limit, T0, T1) for m in one_each]

    def _bases(self, scores, k):
        """Return the lists to deviate from, one for each network.

        These are the candidates and the members of the list, both bool arrays of shape
        (n_networks, n_users, n_items), and the items of shape (n_networks, n_users, k),
        best first.
        """
        ranked = scores[1:] if self.strategy == "thompson" else scores[:1]
        if self.strategy == "uncertainty":
            with np.errstate(invalid="ignore"):  # of pairs left out
                ranked = ranked + self.bonus * scores[1:].std(axis=0)
            ranked[np.isnan(ranked)] = -np.inf
        candidate = np.isfinite(ranked)
        best = np.argsort(-ranked, axis=2, kind="stable")[:, :, :k]
        inside = np.zeros_like(candidate)
        np.put_along_axis(inside, best, True, axis=2)
        return candidate, inside & candidate, best

    def _inclusion(self, candidate, inside):
        """Return the probability that each item is in the list; (n_users, n_items)."""
        places, n = inside.sum(2), candidate.sum(2)
        enter = entry_probability(places, n, self.epsilon)
        keep = 1 - enter * (n - places) / np.maximum(places, 1)
        p = np.where(inside, keep[:, :, None], enter[:, :, None])
        return (p * candidate).mean(0)

    def _draw(self, candidate, inside, best):
        """Draw the items of the lists; (n_users, k), with -1 for an empty place."""
        rng = self.rng
        n_users = candidate.shape[1]
        k = best.shape[2]
        base = rng.randint(len(candidate), size=n_users)
        user = np.arange(n_users)
        candidate, inside, items = (a[base, user] for a in (candidate, inside, best))
        filled = np.arange(k) < inside.sum(1)[:, None]
        free = filled & (rng.random_sample((n_users, k)) < self.epsilon)
        row, place = np.nonzero(filled & ~free)
        candidate[row, items[row, place]] = False
        keys = np.where(candidate, rng.random_sample(candidate.shape), np.inf)
        others = np.argsort(keys, axis=1)[:, :k]
        n_drawn = np.maximum(np.cumsum(free, axis=1) - 1, 0)
        items = np.where(free, np.take_along_axis(others, n_drawn, axis=1), items)
        return np.where(filled, items, -1)

    def block(self, scores, k):
        """Draw the lists of some users.

        Parameters
        ----------
        scores : ndarray of shape (1 + n_networks, n_users, n_items)
            The scores of the whole estimator, then those of each network where the
            strategy uses them. A score of -inf means that the pair is not a candidate.
        k : int
            The number of places of a list.

        Returns
        -------
        user : ndarray of int of shape (m,)
            The position of the user of each drawn pair.
        item : ndarray of int of shape (m,)
            The position of the item.
        rank : ndarray of int of shape (m,)
            The rank in the list, from 1. It is 0 for a withheld pair.
        score : ndarray of float of shape (m,)
            The score of the pair.
        propensity : ndarray of float of shape (m,)
            The probability of what was done: that the pair is listed, or that it is not
            listed for a withheld pair.
        weight : ndarray of float of shape (m,)
            The number of pairs that each pair stands for. It is 1 for a listed pair.
        """
        candidate, inside, best = self._bases(scores, k)
        p = self._inclusion(candidate, inside)
        items = self._draw(candidate, inside, best)
        user, place = np.nonzero(items >= 0)
        item = items[user, place]
        parts = [(user, item, place + 1, p[user, item], np.ones(len(user)))]
        if self.withhold:
            left = candidate.any(0)
            left[user, item] = False
            n_left = left.sum(1)
            keys = np.where(left, self.rng.random_sample(left.shape), np.inf)
            drawn = np.argsort(keys, axis=1)[:, : self.withhold]
            user, place = np.nonzero(np.arange(drawn.shape[1]) < n_left[:, None])
            item = drawn[user, place]
            weight = n_left[user] / np.minimum(n_left[user], self.withhold)
            parts.append((user, item, np.zeros_like(user), 1 - p[user, item], weight))
        user, item, rank, propensity, weight = map(np.concatenate, zip(*parts))
        order = np.lexsort((np.where(rank == 0, k + 1, rank), user))
        user, item = user[order], item[order]
        score = self._mean(scores, user, item)
        return user, item, rank[order], score, propensity[order], weight[order]

    def _mean(self, scores, user, item):
        """Return the score of the whole estimator, or the mean of those that allow the
        pair.
        """
        chosen = scores[:, user, item]
        several = chosen[1:] if len(chosen) > 1 else chosen
        several = np.where(np.isfinite(several), several, np.nan)
        fallback = chosen[0]
        if np.isinf(fallback).any():
            fallback = np.where(
                np.isinf(fallback), np.nanmean(several, axis=0), fallback
            )
        return fallback

    def lists(self, score, n_users, n_items, k, excluded):
        """Draw the lists of all users, block by block.

        Parameters
        ----------
        score : callable
            ``score(start, stop)`` returns the scores of the users from start to stop,
            of shape (1 + n_networks, stop - start, n_items).
        n_users : int
            The number of users.
        n_items : int
            The number of items.
        k : int
            The number of places of a list. It is lowered to `n_items` if it is larger.
        excluded : csr_array of shape (n_users, n_items)
            The pairs that are not candidates.

        Returns
        -------
        tuple of six ndarray
            The arrays user, item, rank, score, propensity and weight, as :meth:`block`
            returns them.
        """
        k = min(k, n_items)
        # Draws, masks and ranks take about eight times the memory of one network.
        size = max(1, BLOCK_BYTES // (32 * max(n_items, 1)))
        found = [[np.zeros(0, int)] * 3 + [np.zeros(0)] * 3]
        for start in range(0, n_users, size):
            stop = min(start + size, n_users)
            scores = np.array(score(start, stop), np.float64)
            scores[:, *excluded[start:stop].nonzero()] = -np.inf
            user, *rest = self.block(scores, k)
            found.append([user + start, *rest])
        return tuple(np.concatenate(part) for part in zip(*found))
