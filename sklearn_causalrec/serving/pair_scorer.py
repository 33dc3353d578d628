"""Scores of all pairs of users and items, each side computed once."""

import copy

import numpy as np

from sklearn_causalrec.effects.second_stage import read_outcomes
from sklearn_causalrec.serving.flat_networks import FlatNetworks

# Pairs of a user at once: few where each has hidden units and bytes of trees, so that
# they stay in the cache, else as many as make the calls count for little.
PAIRS = 1024
MORE_PAIRS = 4096
KEPT_BYTES = 128 * 2**20  # of the items' sides; more are made anew for each block


class PairScorer:
    """Effects or outcomes of pairs, as :meth:`CausalDNNRecommender.pair_scores`.

    Parameters
    ----------
    networks : FlatNetworks
    answers : ArmAnswers or None
        Of compiled stages. None: effects are differences of the outcomes.
    features, codes, mine : sequence of two
        Of users and of items: features, codes of ids, and the features they bring.
    by : {"effect", "outcome"}
    min_effect : float or None
    arms : tuple of two int
        Codes of the arms T0 and T1.
    """

    def __init__(self, networks, answers, features, codes, mine, by, min_effect, arms):
        self.networks, self.by, self.min_effect = networks, by, min_effect
        self.features, self.codes, self.mine = features, codes, mine
        self.arms, self.parts, self.offset = arms, None, 0.0
        self.n_users, self.n_items = len(codes[0]), len(codes[1])
        self._items = {}
        if answers is not None and (by == "effect" or min_effect is not None):
            t0, t1 = arms
            self.offset = answers.offset[t1] - answers.offset[t0]
            n_arms = len(answers.stages)
            sides = [np.append(m, np.zeros(n_arms, bool)) for m in mine]
            self.parts = [
                (sign, [0, t], answers.stages[t], answers.stages[t].pair_tables(sides))
                for sign, t in ((1.0, t1), (-1.0, t0))
                if t
            ]

        light = all(net.last is None for net in networks.networks) and all(
            part[-1] is not None and part[-1].of_all is None
            for part in self.parts or []
        )
        self.size = MORE_PAIRS if light else PAIRS

    @classmethod
    def of(cls, estimator, pairs, by, min_effect, arms):
        """Of a fitted recommender and the pairs of a recommendation.

        Parameters
        ----------
        estimator : CausalDNNRecommender
        pairs : Pairs
        by, min_effect, arms
            As for the class.

        Returns
        -------
        PairScorer or None
            None where the networks read histories or towers, or the second stage has
            kernels or learners that are not the package's own.
        """
        networks = FlatNetworks.of(estimator._ensemble)
        if networks is None:
            return None
        answers, by_effect = None, by == "effect" or min_effect is not None
        if by_effect and estimator.effects_ is not None:
            answers = estimator.effects_.compiled()
            if answers is None:
                return None
        features, mine = pairs.side_features()
        codes = pairs.user_codes, pairs.item_codes
        found = cls(networks, answers, features, codes, mine, by, min_effect, arms)
        return found if found.can_split() else None

    def can_split(self):
        """Whether every part of the score is one of the two sides and the outcomes."""
        tables = [part[-1] for part in self.parts or []]
        return None not in tables and self.networks.splits(self.mine)

    def _side(self, kind, rows):
        """What the networks and each stage read of a side."""
        features, codes = self.features[kind][rows], self.codes[kind][rows]
        of_networks = self.networks.side(features, codes, kind, self.mine[kind])
        stages = [p[-1].side(features, kind, codes) for p in self.parts or []]
        return of_networks, stages

    def _items_at(self, rows):
        """The side of some items: of all that is kept, or made anew."""
        if "kept" not in self._items:
            n = min(self.size, self.n_items)
            some = self._side(1, slice(0, n))
            room = _bytes(some) / n * self.n_items <= KEPT_BYTES
            self._items["kept"] = self._side(1, slice(None)) if room else None
        kept = self._items["kept"]
        if kept is None:
            return self._side(1, rows)
        of_networks, stages = kept
        parts = [
            tuple(None if part is None else part[rows] for part in network)
            for network in of_networks
        ]
        return parts, [stage.at(rows) for stage in stages]

    def _scores(self, users, position, items):
        outcome = self.networks.pairs(users[0], position, items[0])
        t0, t1 = self.arms
        if self.by == "outcome" and self.min_effect is None:
            return outcome[:, t1]
        if self.parts is None:
            effect = outcome[:, t1] - outcome[:, t0]
        else:
            effect = np.full(len(outcome), self.offset)
            read = read_outcomes(self.networks.log_encoder, outcome)
            for k, (sign, of, stage, tables) in enumerate(self.parts):
                part = tables.pairs(users[1][k], position, items[1][k], read)
                if stage.net.any():
                    part += outcome[:, of] @ stage.net
                effect += sign * part
        scores = effect if self.by == "effect" else outcome[:, t1]
        if self.min_effect is None:
            return scores
        return np.where(effect > self.min_effect, scores, -np.inf)

    def block(self, start, stop):
        """Scores of the users from start to stop with all items.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        ndarray of shape (stop - start, n_items)
        """
        return self.of_users(np.arange(start, stop))

    def of_users(self, positions):
        """Scores of some users with all items.

        Parameters
        ----------
        positions : ndarray of int of shape (n,)
            Among the users.

        Returns
        -------
        ndarray of shape (n, n_items)
        """
        users = self._side(0, positions)
        out = None
        for block in range(-(-self.n_items // self.size)):
            items = self._items_at(slice(block * self.size, (block + 1) * self.size))
            for position in range(len(positions)):
                scores = self._scores(users, position, items)
                if out is None:
                    out = np.empty((len(positions), self.n_items), scores.dtype)
                out[position, block * self.size :][: len(scores)] = scores
        return out

    def at(self, positions, items):
        """Scores of some users with some items.

        Parameters
        ----------
        positions : ndarray of int of shape (n,)
            Among the users.
        items : ndarray of int of shape (m,)
            Positions among the items.

        Returns
        -------
        ndarray of shape (n, m)
        """
        users, some = self._side(0, positions), self._items_at(items)
        return np.array([self._scores(users, i, some) for i in range(len(positions))])

    def with_users(self, other):
        """The same items with the users of another scorer.

        Parameters
        ----------
        other : PairScorer
            Of the same model, which may know more ids.

        Returns
        -------
        PairScorer or None
            None where other features come with its items.
        """
        if not all(np.array_equal(a, b) for a, b in zip(self.mine, other.mine)):
            return None
        new = copy.copy(self)
        new.networks, new._items = other.networks, self._items
        new.features = (other.features[0], self.features[1])
        new.codes = (other.codes[0], self.codes[1])
        new.n_users = other.n_users
        return new


def _bytes(part):
    """Memory of nested tuples, lists and objects of arrays."""
    if isinstance(part, np.ndarray):
        return part.nbytes
    if isinstance(part, list | tuple):
        return sum(map(_bytes, part))
    return 0 if part is None else sum(map(_bytes, vars(part).values()))
