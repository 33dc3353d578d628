"""What a log says of exposure: exposure models, overlap, rows shown at random, shifts.

An exposure model is of a log in which every row was shown: how likely is a pair logged?
It answers with the density of the logged pair over that of all pairs: 1 where rows are
logged evenly, above it where the system favours them. ``by_outcome`` says whether it
knows of selection on the outcome.
"""

import numpy as np
from scipy.sparse import csr_array
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from sklearn_causalrec._utils.seeds import seeded

TINY = 1e-6
MAX_CLASSES = 10


class PopularityExposure:
    """By the popularity of the item alone.

    Assumes that everybody is shown the popular items alike. Wrong where the system
    personalises.

    Parameters
    ----------
    implicit : bool, default=False
        Whether the rows are all pairs, with y = 1 where one was clicked. The answer is
        then the probability of exposure, (clicks of the item / most clicks of an
        item) ** power (Saito et al. 2020).
    power : float, default=0.5
        The exponent of the share of clicks.
    """

    by_outcome = False

    def __init__(self, implicit=False, power=0.5):
        self.implicit = implicit
        self.power = power

    def fit(self, rows, catalogue, rng):
        if rows.item is None:
            raise ValueError(
                'exposure_model="popularity" counts the rows of every item: name the '
                'item column, item="…".'
            )
        weight = rows.weight * rows.y if self.implicit else rows.weight
        n_items = rows.item.max() + 1
        counts = np.bincount(rows.item, weight, minlength=n_items)
        self.table = counts / counts.mean()
        if self.implicit:
            self.table = (counts / counts.max()) ** self.power
        return self

    def without_users(self, keep, catalogue):
        """Count, of the rows of each item, the share that its users who stay have."""
        share = catalogue.share_of(keep, "rated" if self.implicit else "logged")
        counts = self.table
        if self.implicit and self.power:
            counts = counts ** (1 / self.power)
        counts = counts * share[: len(counts)]
        self.table = counts / max(counts.mean(), TINY)
        if self.implicit:
            self.table = (counts / max(counts.max(), TINY)) ** self.power

    def ratio(self, rows):
        """(n,); of items not seen, as of the least popular."""
        last = len(self.table)
        table = np.append(self.table, self.table.min())
        return np.maximum(table[np.minimum(rows.item, last)], TINY)

    logged_ratio = ratio


class NaiveBayesExposure:
    """By the outcome alone: P(y | logged) / P(y), the latter from the rows shown at
    random (Schnabel et al. 2016).

    Assumes that exposure depends on nothing but the outcome. Wrong where it depends on
    the item, the user or anything else as well. Outcomes of more than ten values count
    by their tenths.
    """

    by_outcome = True

    def fit(self, rows, catalogue, rng):
        random = randomized_rows(rows)
        if random is None:
            raise ValueError(
                'exposure_model="naive_bayes" takes the outcome\'s marginal from rows '
                "shown at random: pass propensity= to fit, the probability of those "
                "rows and NaN for all others."
            )
        values = np.unique(rows.y)
        if len(values) > MAX_CLASSES:
            cuts = np.linspace(0, 1, MAX_CLASSES + 1)[1:-1]
            self.edges = np.unique(np.quantile(rows.y, cuts))
        else:
            self.edges = (values[1:] + values[:-1]) / 2
        shares = [self._shares(rows, ~random), self._shares(rows, random)]
        self.table = shares[0] / shares[1]
        return self

    def _shares(self, rows, chosen):
        """Share of every class of outcomes, with one row more of each."""
        code = np.digitize(rows.y[chosen], self.edges)
        n_classes = len(self.edges) + 1
        counts = np.bincount(code, rows.weight[chosen], minlength=n_classes) + 1
        return counts / counts.sum()

    def logged_ratio(self, rows):
        return self.table[np.digitize(rows.y, self.edges)]

    def ratio(self, rows):
        raise ValueError(
            'exposure_model="naive_bayes" needs the outcome of a row: it has no '
            "propensity of rows without one."
        )


class ClassifierExposure:
    """By a classifier that tells logged pairs from as many drawn evenly from all.

    It sees the features, the user's number of other items and the item's of other
    users, both as log(1 + n).
    Assumes that exposure depends on these alone. Ratios of logged rows are
    cross-fitted.

    Parameters
    ----------
    classifier : estimator with predict_proba
        The classifier, which is cloned.
    """

    by_outcome = False

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, rows, catalogue, rng):
        if catalogue is None:
            raise ValueError(
                "An estimator as exposure_model tells logged pairs from all pairs: "
                'name the columns of both, user="…" and item="…".'
            )
        self.seen = csr_array(catalogue.logged, dtype=np.float64)
        self.counts = self.seen.sum(1), self.seen.sum(0)
        n = len(rows)
        user = rng.randint(catalogue.n_users, size=n)
        item = catalogue.items[rng.randint(len(catalogue.items), size=n)]
        drawn = catalogue.rows(user, item, context=rows.features)
        X = np.vstack([self._inputs(rows.features, rows.user, rows.item),
                       self._inputs(drawn, user, item)])  # fmt: skip
        logged = np.repeat([1, 0], n)
        folds = StratifiedKFold(5, shuffle=True, random_state=rng)
        classifier = seeded(self.classifier, 0)
        p = cross_val_predict(classifier, X, logged, cv=folds, method="predict_proba")[
            :n, 1
        ]
        self.logged = self._odds(p)
        self.fitted = classifier.fit(X, logged)
        return self

    def _inputs(self, features, user, item):
        # A logged pair counts in its own user and item: leave it out, or pairs logged
        # evenly look chosen.
        own = self.seen[user, item]
        counts = [count[ids] - own for count, ids in zip(self.counts, (user, item))]
        return np.column_stack([features, *np.log1p(counts)])

    @staticmethod
    def _odds(p):
        p = np.clip(p, TINY, 1 - TINY)
        return p / (1 - p)

    def logged_ratio(self, rows):
        return self.logged

    def without_users(self, keep, catalogue):
        """Remove users, in place: their pairs and counts, and the ratios of rows."""
        self.seen = self.seen[np.append(np.flatnonzero(keep), len(keep))]
        self.counts, self.logged = (self.seen.sum(1), self.seen.sum(0)), None

    def ratio(self, rows):
        X = self._inputs(rows.features, rows.user, rows.item)
        return self._odds(self.fitted.predict_proba(X)[:, 1])


def make_exposure(model, objective):
    """The exposure model of that name, or around that classifier; None: a head.

    Parameters
    ----------
    model : {"auto", "head", "popularity", "naive_bayes"} or classifier
        The parameter of the estimator.
    objective : type
        Class of the objective, of which ``name``, ``exposure`` and ``retrieves`` are
        read.

    Returns
    -------
    PopularityExposure, NaiveBayesExposure, ClassifierExposure or None
        Not fitted.

    Raises
    ------
    ValueError
        If the model has nothing to learn from under this objective.
    """
    if objective.retrieves:
        return PopularityExposure(implicit=True) if model == "popularity" else None
    implicit = objective.exposure == "probability"
    if isinstance(model, str) and model == "auto":
        model = "popularity" if implicit else "head"
    if implicit and model != "popularity":
        raise ValueError(
            f'objective="{objective.name}" does not know which rows were exposed, so '
            f'exposure_model={model!r} has nothing to learn from: use "popularity", '
            "or pass propensity= to fit, the exposure probability of every row."
        )
    if not isinstance(model, str):
        return ClassifierExposure(model)
    if model == "popularity":
        return PopularityExposure(implicit)
    return NaiveBayesExposure() if model == "naive_bayes" else None


def factual_exposure(rows, estimated, is_ratio):
    """The exposure of each row: as known, else by a head, else by an exposure model.

    Parameters
    ----------
    rows : Rows
        The log, with its facts.
    estimated : ndarray of shape (n, n_arms) or None
        Exposure of every arm, by a head of the networks.
    is_ratio : bool
        Whether the exposure is a density ratio: known probabilities then count in
        proportion to their mean.

    Returns
    -------
    ndarray of shape (n,) or None
        Probability of the arm that each row had, or density ratio; None where nothing
        says it.
    """
    exposure, known = rows.exposure, rows.propensity
    if estimated is not None:
        exposure = np.empty(len(rows))
        for arm in range(estimated.shape[1]):
            np.copyto(exposure, estimated[:, arm], where=rows.arm == arm)
    if known is None:
        return exposure
    if is_ratio:
        known = known / np.nanmean(known)
    return known if exposure is None else np.where(np.isnan(known), exposure, known)


def arm_probabilities(rows, estimated):
    """Probability of every arm: as known, else by a head of the networks.

    Parameters
    ----------
    rows : Rows
        The log.
    estimated : ndarray of shape (n, n_arms)
        Probability of every arm, by a head of the networks.

    Returns
    -------
    ndarray of shape (n, n_arms)
        Of more than two arms, what is known of one leaves the shares of the others.
    """
    p, known = estimated.astype(np.float64), rows.propensity
    if known is None:
        return p
    here = np.flatnonzero(~np.isnan(known))
    taken = here, rows.arm[here]
    others = np.maximum(1 - p[taken], TINY)
    p[here] *= ((1 - known[here]) / others)[:, None]
    p[taken] = known[here]
    return p


def randomized_rows(rows):
    """Rows shown at random (of known propensity) beside others; None: no such."""
    if rows.propensity is None or not np.isnan(rows.propensity).any():
        return None
    return ~np.isnan(rows.propensity)


def system_choice(rows):
    """1 for a row that the system chose, 0 for one shown at random; (n,)."""
    if rows.propensity is None:
        return np.broadcast_to(1.0, len(rows))
    return np.isnan(rows.propensity)


def popularity_shift(rows, n_stages=10):
    """Popularity of a row's item at its time, on a log scale, mean 0 and deviation 1.

    Time is cut in stages of as many rows each; popularity is the share of the stage's
    rows that the item has, with one row more for every item.

    Parameters
    ----------
    rows : Rows
        The log, with times and items.
    n_stages : int, default=10
        The number of stages.

    Returns
    -------
    ndarray of shape (n,)
        The popularity of each row.
    """
    rank = np.argsort(np.argsort(rows.time, kind="stable"), kind="stable")
    stage = rank * n_stages // len(rows)
    n_items = rows.item.max() + 1
    cell = stage * n_items + rows.item
    counts = np.bincount(cell, rows.weight, minlength=n_stages * n_items) + 1
    shares = counts.reshape(n_stages, n_items)
    shares = np.log(shares / shares.sum(1, keepdims=True)).ravel()[cell]
    centred = shares - np.average(shares, weights=rows.weight)
    scale = np.sqrt(np.average(centred**2, weights=rows.weight))
    return centred / scale if scale > 0 else centred


SHIFTS = {None: system_choice, "popularity": popularity_shift}


def add_facts(rows, catalogue, model, *, objective, n_arms):
    """Put the facts of the log into its rows, once for all that read them.

    Parameters
    ----------
    rows : Rows
        Get ``catalogue``, ``exposure``, ``randomized`` and ``shift``.
    catalogue : Catalogue or None
        Of the log so far.
    model : exposure model or None
        Fitted; None: a head of the networks estimates the exposure.
    objective : type
        Class of the objective, of which ``exposure`` and ``shift`` are read.
    n_arms : int
        Number of arms.
    """
    rows.catalogue = catalogue
    if model is not None:
        rows.exposure = model.logged_ratio(rows)
    # The contrast of random rows with the others says how far the outcome moves
    # selection, unless the exposure model knows of it already.
    by_outcome = model is not None and model.by_outcome
    if n_arms == 1 and objective.exposure == "ratio" and not by_outcome:
        rows.randomized = randomized_rows(rows)
    rows.shift = SHIFTS[objective.shift](rows)
