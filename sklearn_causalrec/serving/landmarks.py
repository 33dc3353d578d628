"""Vectors of items and users whose products are near their scores (Nyström)."""

import numpy as np

N_USERS = 96  # whose scores with all items are read
N_HELD_OUT = 64  # of which one half chooses, the other says what was reached
RANKS = (16, 32, 48)
CANDIDATES = (100, 200, 300, 500, 700, 1_000, 2_000, 5_000)
RIDGE = 1e-3
CHUNK = 65_536  # items at once
# Microseconds for a score, and for an item and number of its vector.
_SCORE, _PRODUCT = 1.7, 1.1e-4


class Landmarks:
    """Vectors of the items, and what makes those of users.

    Parameters
    ----------
    users : ndarray of int
        Positions of the users that the items' vectors are read of.
    basis : ndarray of shape (n_users, rank)
        From scores with them, less their mean, to a vector.
    spread : ndarray of shape (rank,)
        Singular values.
    scores : ndarray of shape (n_users, n_items)
        Exact scores.
    rng : RandomState
    """

    def __init__(self, users, basis, spread, scores, rng):
        self.users, self.basis, self.spread = users, basis, spread
        self.rank = len(spread)
        self.items = self._vectors_of(scores)
        mean, n_items = self.items[:, -1], scores.shape[1]
        weight = (self.items[:, :-1] ** 2 @ spread**2).ravel()
        size = max(8 * self.rank, 256)
        self.some = np.unique(
            np.concatenate(
                [
                    np.argsort(-weight, kind="stable")[: size // 2],
                    np.argsort(-mean, kind="stable")[: size // 2],
                    rng.permutation(n_items)[: size // 2],
                ]
            )
        )
        A = self.items[self.some].astype(np.float64)
        A = np.column_stack([A[:, :-1] * spread, np.ones(len(A))])
        gram = A.T @ A
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        self.solve = np.linalg.solve(gram, A.T).T
        self.n_candidates = self.recall = None

    def _vectors_of(self, scores):
        """Vectors of items from scores with the landmark users; last, the mean."""
        out = np.empty((scores.shape[1], self.rank + 1), np.float32)
        for items, centred in _centred(scores):
            out[items, :-1] = centred.T @ self.basis
            out[items, -1] = scores[:, items].mean(0)
        return out

    @classmethod
    def learn(cls, scorer, known, k, recall, rng):
        """Learn vectors of the least cost that have the recall asked for.

        Parameters
        ----------
        scorer : PairScorer
        known : ndarray of int
            Positions of the users to learn from.
        k : int
        recall : float
        rng : RandomState

        Returns
        -------
        Landmarks or None
            None where none have the recall.
        """
        drawn = rng.permutation(known)
        n_held = min(N_HELD_OUT, len(drawn) // 3)
        held, users = drawn[:n_held], drawn[n_held : n_held + N_USERS]
        if n_held < 2 or k > scorer.n_items:
            return None
        tops = _tops(scorer, held, np.arange(scorer.n_items), k)
        scores = _scores(scorer, users)
        gram = sum(centred @ centred.T for _, centred in _centred(scores))
        values, vectors = np.linalg.eigh(gram)
        values, vectors = values[::-1], vectors[:, ::-1]
        n_found = max(int((values > 1e-10 * max(values[0], 1e-300)).sum()), 1)
        best, seed = None, rng.randint(2**31 - 1)
        for rank in RANKS:
            rank = min(rank, max(len(users) // 2, 1), n_found)
            spread = np.sqrt(np.maximum(values[:rank], 1e-30))
            basis = vectors[:, :rank] / spread
            own = np.random.RandomState(seed)
            found = cls(users, basis, spread, scores, own)
            found.held, found.tops, found.k = held, tops, k
            found.held_vectors = found.vectors(scorer, held)
            if found.choose(recall) and (best is None or found.cost < best.cost):
                best = found
        return best

    def choose(self, recall):
        """Choose the number of candidates; whether one has the recall.

        Parameters
        ----------
        recall : float

        Returns
        -------
        bool
        """
        ranks = self._ranks_of_tops()
        half = len(ranks) // 2
        for n in CANDIDATES:
            if self.k < n <= len(self.items) // 4:
                share = (ranks < n).mean(1)
                if min(share[:half].mean(), share[half:].mean()) >= recall:
                    self.n_candidates, self.recall = n, float(share[half:].mean())
                    return True
        return False

    @property
    def cost(self):
        """Microseconds of a search, about."""
        return _SCORE * self.n_candidates + _PRODUCT * self.items.size

    def _ranks_of_tops(self):
        """How many items have larger products than each of the best, (n_held, k)."""
        out = np.empty(self.tops[0].shape, int)
        for row, (vector, items) in enumerate(zip(self.held_vectors, self.tops[0])):
            near = self.near(vector)
            out[row] = len(near) - np.searchsorted(np.sort(near), near[items], "right")
        return out

    def vectors(self, scorer, positions):
        """Vectors of users, by ridge regression on their scores with some items.

        Parameters
        ----------
        scorer : PairScorer
        positions : ndarray of int of shape (n,)

        Returns
        -------
        ndarray of shape (n, rank + 1), float32
        """
        rest = scorer.at(positions, self.some) - self.items[self.some, -1]
        coef = (rest @ self.solve)[:, :-1] * self.spread
        return np.column_stack([coef, np.ones(len(coef))]).astype(np.float32)

    def near(self, vector):
        """Products of a user's vector with all items', (n_items,)."""
        return self.items @ vector

    @staticmethod
    def highest(near, n):
        """Positions of the n largest products, in no order."""
        return np.argpartition(near, len(near) - n)[len(near) - n :]

    def grown(self, scorer, fresh, recall):
        """The same with more items, whose recall is measured anew.

        Parameters
        ----------
        scorer : PairScorer
            Of all items.
        fresh : ndarray of int
            Positions of the new ones, the last.
        recall : float

        Returns
        -------
        Landmarks or None
            None where no number of candidates has the recall.
        """
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        more = self._vectors_of(scorer.at(self.users, fresh))
        new.items = np.concatenate([self.items, more])
        items, values = _tops(scorer, self.held, fresh, self.k)
        items = np.hstack([self.tops[0], items])
        values = np.hstack([self.tops[1], values])
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        new.tops = tuple(np.take_along_axis(a, order, 1) for a in (items, values))
        return new if new.choose(recall) else None


def _scores(scorer, users):
    """Exact scores of users with all items, a few users at once."""
    out = np.empty((len(users), scorer.n_items), np.float32)
    for start in range(0, len(users), 16):
        b = slice(start, start + 16)
        out[b] = scorer.of_users(users[b])
    return out


def _centred(scores):
    """Slices of items, and their scores less the mean over the users."""
    for start in range(0, scores.shape[1], CHUNK):
        items = slice(start, start + CHUNK)
        part = scores[:, items].astype(np.float64)
        part -= part.mean(0)
        yield items, part


def _tops(scorer, users, items, k):
    """Positions and scores of the k best of some items, two arrays (n_users, k)."""
    k = min(k, len(items))
    found, values = np.empty((len(users), k), int), np.empty((len(users), k))
    whole = len(items) == scorer.n_items
    for row, user in enumerate(users):
        at = np.array([user])
        scores = scorer.of_users(at)[0] if whole else scorer.at(at, items)[0]
        best = np.argpartition(-scores, k - 1)[:k]
        found[row], values[row] = items[best], scores[best]
    return found, values


def leave_out(scores, left_out, allowed):
    """Put the scores of items that are left out, or not allowed, below all others."""
    scores[left_out] = -np.inf
    if allowed is not None:
        scores[~allowed] = -np.inf
