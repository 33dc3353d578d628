"""Lists drawn at random with known probabilities: what the next log needs."""

import copy
from numbers import Integral, Real

import numpy as np
from scipy.stats import binom

from sklearn_causalrec.ranking.topk import BLOCK_BYTES

STRATEGIES = ("epsilon", "thompson", "uncertainty")


def members(estimator):
    """The estimator once for each of its networks."""
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

    Each of the places is freed with probability epsilon. Into m free places come m of
    the candidates that are not at the others, drawn evenly.

    Parameters
    ----------
    places, candidates : ndarray of int
        places is not above candidates.
    epsilon : float
    """
    out = np.zeros(places.shape)
    for k, n in {*zip(places.ravel().tolist(), candidates.ravel().tolist())}:
        m = np.arange(1, k + 1)
        enter = binom.pmf(m, k, epsilon) @ (m / (n - k + m))
        out[(places == k) & (candidates == n)] = enter
    return out


class Exploration:
    """How lists leave the best ranking, and with which probability.

    Each place of a list is freed with probability epsilon, and the free places are
    given to candidates that are not at the others, drawn evenly; at epsilon 1 the list
    is an even draw. The list comes from the scores ("epsilon"), from one network of the
    ensemble drawn for each user ("thompson", Lu and Van Roy 2017 [1]_), or from the
    scores plus ``bonus`` standard deviations over the networks ("uncertainty").

    The probability of being listed is exact, and above 0 for every candidate where
    epsilon is. With k places, n candidates and m ~ Binomial(k, epsilon) free places it
    is q = E[m / (n - k + m)] outside the list and 1 - q (n - k) / k inside; with
    "thompson" the mean of these over the networks.

    Parameters
    ----------
    strategy : {"epsilon", "thompson", "uncertainty"}
    epsilon : float
    bonus : float
    withhold : int
        Pairs a user that were not shown, to be drawn as well.
    rng : RandomState

    References
    ----------
    .. [1] X. Lu, B. Van Roy: Ensemble Sampling. NeurIPS 2017.
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
        """PairScores of the estimator and of its networks."""
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
        """Lists to deviate from, one network each: candidates and members of the list.

        Both (n_networks, n_users, n_items) bool, and the items (.., k), best first.
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
        """Probability that each item is in the list; (n_users, n_items)."""
        places, n = inside.sum(2), candidate.sum(2)
        enter = entry_probability(places, n, self.epsilon)
        keep = 1 - enter * (n - places) / np.maximum(places, 1)
        p = np.where(inside, keep[:, :, None], enter[:, :, None])
        return (p * candidate).mean(0)

    def _draw(self, candidate, inside, best):
        """Items of the lists, (n_users, k), -1 where a place stays empty."""
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
        """Lists of some users.

        Parameters
        ----------
        scores : ndarray of shape (1 + n_networks, n_users, n_items)
            -inf where a pair is no candidate.
        k : int

        Returns
        -------
        user, item, rank : ndarray of int
            Rank 0: withheld.
        score, propensity, weight : ndarray of float
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
        """The score of the whole estimator, or of the networks that allow the pair."""
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
        """Lists of all users, block by block; as :meth:`block`.

        Parameters
        ----------
        score : callable
            ``score(start, stop)`` returns the scores of users start to stop,
            (1 + n_networks, stop - start, n_items).
        n_users, n_items, k : int
        excluded : csr_array of shape (n_users, n_items)
        """
        k = min(k, n_items)
        # Draws, masks and ranks come to about eight times the scores of one network.
        size = max(1, BLOCK_BYTES // (32 * max(n_items, 1)))
        found = [[np.zeros(0, int)] * 3 + [np.zeros(0)] * 3]
        for start in range(0, n_users, size):
            stop = min(start + size, n_users)
            scores = np.array(score(start, stop), np.float64)
            scores[:, *excluded[start:stop].nonzero()] = -np.inf
            user, *rest = self.block(scores, k)
            found.append([user + start, *rest])
        return tuple(np.concatenate(part) for part in zip(*found))
