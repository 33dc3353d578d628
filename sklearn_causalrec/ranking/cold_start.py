"""Users and items without a past: what the networks would have learned of them."""

import copy
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec.encoding.checks import whole_number

SOURCES = ("blend", "content", "neighbors", "average")


@dataclass(frozen=True)
class ColdStart:
    """How ids with few rows or no rows in the log are scored.

    The networks know an id by its row in their id tables: its vector and its bias. An
    id without such a row gets one that is predicted from its features. The prediction
    is learned from the ids that have both rows and features [1]_.

    Parameters
    ----------
    source : {"blend", "content", "neighbors", "average"}, default="blend"
        What stands for such an id. "content" is a ridge regression of the ids' rows on
        their features. "neighbors" is the mean of the rows of the nearest ids by
        features. "blend" is the same as "content" for an unknown id, and moves to the
        id's own row as its number of logged pairs grows. "average" is the mean of all
        ids; features then count only where the networks read them.
    n_neighbors : int, default=40
        The number of nearest ids. It applies to "neighbors".
    prior_rows : float, default=None
        The strength of the features. It applies to "blend": for an id with n logged
        pairs, the features have the weight ``prior_rows / (prior_rows + n)``. With
        None, it is the estimator's ``l2``, which is the number of rows that its prior
        counts as.
    warm_rows : int, default=10
        The number of logged pairs from which an id stands for itself alone, so that its
        scores are those of ``predict``. It applies to "blend".
    alphas : tuple of float, default=(0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
        The ridge penalties to choose from by leave-one-out errors, on standardised
        features.

    See Also
    --------
    sklearn_causalrec.recommend : Recommend items, with ``cold_start`` as an argument.
    sklearn_causalrec.explain : Report what stands for each user and item.

    References
    ----------
    .. [1] Gantner, Z., Drumond, L., Freudenthaler, C., Rendle, S. and
       Schmidt-Thieme, L. (2010). "Learning attribute-to-feature mappings for cold-start
       recommendations." ICDM.

    Examples
    --------
    >>> from sklearn_causalrec.ranking import ColdStart
    >>> ColdStart("neighbors", n_neighbors=5).source
    'neighbors'
    """

    source: str = "blend"
    n_neighbors: int = 40
    prior_rows: float | None = None
    warm_rows: int = 10
    alphas: tuple = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)

    @classmethod
    def of(cls, given, estimator=None):
        """Make a checked ColdStart from a name or from a ColdStart.

        Settings that are left open are taken from the estimator. Of estimators without
        networks, those that score by the positives of users know "neighbors" and
        "average"; the others know "average".

        Parameters
        ----------
        given : str or ColdStart
            The name of a source, or the settings.
        estimator : estimator, default=None
            The fitted estimator. With None, it counts as one without networks.

        Returns
        -------
        ColdStart
            The checked settings.

        Raises
        ------
        ValueError
            If the source is unknown or a number is out of range.
        """
        given = given if isinstance(given, cls) else cls(given)
        if not isinstance(given.source, str) or given.source not in SOURCES:
            names = ", ".join(f'"{name}"' for name in SOURCES)
            raise ValueError(
                f"cold_start is {given.source!r}: choose one of {names}, or pass a "
                "ColdStart(…) for other settings."
            )
        if given.n_neighbors < 1:
            raise ValueError(f"n_neighbors is {given.n_neighbors!r}: at least 1.")
        if given.prior_rows is not None and given.prior_rows < 0:
            raise ValueError(f"prior_rows is {given.prior_rows!r}: 0 or more.")
        if hasattr(estimator, "with_mixtures") and given.source != "average":
            return replace(given, source="neighbors")
        if not hasattr(estimator, "_ensemble"):
            return replace(given, source="average")
        if given.prior_rows is None:
            return replace(given, prior_rows=estimator._ensemble.settings.l2)
        return given


class _Side:
    """The users, or the items: those of the log and those asked for."""

    def __init__(
        self, index, n_pairs, table, own, ids, codes, features, informed, history=None
    ):
        self.n_ids = len(index)
        self.n_rows = np.append(n_pairs[: len(index)], 0)[codes]
        self.codes = codes
        self.known = np.flatnonzero(n_pairs[: len(index)])
        self.known_ids = index.ids.to_numpy()[self.known]
        self.ids = ids
        self.history = history
        self.informed = (informed | (self.n_rows > 0)) & bool(own.any())
        if own.any():
            scaler = StandardScaler().fit(table[self.known][:, own])
            # A missing feature counts as average.
            self.learned = np.nan_to_num(scaler.transform(table[self.known][:, own]))
            self.asked = np.nan_to_num(scaler.transform(features[:, own]))

    def weights(self, how):
        """Return the weight of the features in what stands for each id; (n,)."""
        if how.source == "average":
            return np.zeros(len(self.ids))
        n = self.n_rows
        weight = (n == 0).astype(float)
        if how.source == "blend" and how.prior_rows > 0:
            own = how.prior_rows / (how.prior_rows + n)
            weight = np.where(n < how.warm_rows, own, weight)
        return np.where(self.informed, weight, 0.0)

    def stand_ins(self, vectors, how):
        """Return the rows for ids that need one, and which ids these are."""
        weight = self.weights(how)
        chosen = np.flatnonzero(weight)
        if len(chosen) == 0:
            return np.empty((0, vectors.shape[1])), chosen
        model = RidgeCV(how.alphas)
        if how.source == "neighbors":
            model = KNeighborsRegressor(min(how.n_neighbors, len(self.known)))
        model.fit(self.learned, vectors[self.known])
        made = model.predict(self.asked[chosen])
        w = weight[chosen, None]
        return (1 - w) * vectors[self.codes[chosen]] + w * made, chosen

    def mixtures(self, how):
        """Return weights of the known ids for those that are new, and which these are.

        The weights of the nearest ids by features are equal.
        """
        chosen = np.flatnonzero(self.weights(how))
        n = min(how.n_neighbors, len(self.known))
        if len(chosen) == 0:
            return None, chosen
        search = NearestNeighbors(n_neighbors=n).fit(self.learned)
        found = search.kneighbors(self.asked[chosen], return_distance=False)
        cells = np.repeat(np.arange(len(chosen)), n), self.known[found].ravel()
        shape = (len(chosen), self.n_ids)
        return csr_array((np.full(found.size, 1 / n), cells), shape=shape), chosen

    def nearest(self, n):
        """Return the n known ids nearest to each asked id by features."""
        if not self.informed.any():
            return [[] for _ in self.ids]
        n = min(whole_number(n, "n_neighbors") + 1, len(self.known))
        search = NearestNeighbors(n_neighbors=n).fit(self.learned)
        found = self.known_ids[search.kneighbors(self.asked, return_distance=False)]
        return [
            [other for other in row.tolist() if other != own][: n - 1] if known else []
            for own, row, known in zip(self.ids, found, self.informed)
        ]

    def sources(self, how):
        """Return one word for what stands for each id."""
        weight = self.weights(how)
        source = np.where(self.n_rows > 0, "behaviour", "average").astype(object)
        if self.history is not None:
            past = (self.history >= 0).any(1)
            source[past & (self.n_rows == 0)] = "history"
        source[weight > 0] = "blend"
        source[weight == 1] = "neighbors" if how.source == "neighbors" else "content"
        return source


def sides(estimator, pairs):
    """Return the users and the items, as two _Side."""
    catalogue, encoder = estimator.catalogue_, estimator.log_encoder_
    n_users, n_items = len(pairs.users), len(pairs.items)
    user_features = pairs.rows(np.arange(n_users), np.zeros(n_users, int)).features
    item_features = pairs.rows(np.zeros(n_items, int), np.arange(n_items)).features
    logged, numbers = catalogue.logged, encoder.as_numbers
    user = _Side(
        encoder.users, logged.sum(1), numbers(catalogue.user_table),
        encoder.owned_numbers(catalogue.of_user), pairs.users, pairs.sides[0].codes,
        numbers(user_features), pairs.informed[0],
        pairs.history,
    )  # fmt: skip
    item = _Side(
        encoder.items, logged.sum(0), numbers(catalogue.item_table),
        encoder.owned_numbers(catalogue.of_item), pairs.items, pairs.sides[1].codes,
        numbers(item_features), pairs.informed[1],
    )  # fmt: skip
    return user, item


def with_stand_ins(estimator, pairs, how):
    """An estimator that knows the asked ids, which pairs then calls by its codes.

    Parameters
    ----------
    estimator : estimator, fitted
    pairs : Pairs
        Its ``user_codes`` and ``item_codes`` change where an id has a stand-in.
    how : ColdStart

    Returns
    -------
    estimator
        A copy where there are stand-ins, else the given one.
    """
    if how.source == "average" or len(pairs.users) == 0:
        return estimator
    if hasattr(estimator, "with_mixtures"):
        more = {}
        for kind, side in zip(("user", "item"), sides(estimator, pairs)):
            mixtures, chosen = side.mixtures(how)
            if len(chosen):
                more[kind] = mixtures
                codes = side.codes.copy()
                codes[chosen] = side.n_ids + 1 + np.arange(len(chosen))
                setattr(pairs, f"{kind}_codes", codes)
        return estimator.with_mixtures(more) if more else estimator
    from sklearn_causalrec.networks.id_tables import id_vectors, with_more_ids

    more = {}
    for kind, side in zip(("user", "item"), sides(estimator, pairs)):
        vectors = id_vectors(estimator._ensemble, kind)
        if vectors.shape[1] == 0:
            continue  # ids of this kind have no vectors
        rows, chosen = side.stand_ins(vectors, how)
        if len(chosen):
            more[kind] = rows
            codes = side.codes.copy()
            codes[chosen] = len(vectors) + np.arange(len(chosen))
            setattr(pairs, f"{kind}_codes", codes)
    if not more:
        return estimator
    estimator = copy.copy(estimator)
    estimator._ensemble = with_more_ids(estimator._ensemble, more)
    return estimator
