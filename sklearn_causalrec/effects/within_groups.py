"""The average effect where users and items stand for what confounds."""

import numpy as np

from sklearn_causalrec.effects.clusters import BY_CLUSTER, folds_by, share_between
from sklearn_causalrec.effects.learners import CHUNK
from sklearn_causalrec.effects.stacked import StackedEffect

# Smaller groups are taken together: the share of one or two rows is their own arm.
FEWEST_ROWS = 10
MOST_SLOPES = 32
# What pairs confound, a standard deviation, as a share of what their two sides do.
PAIR_SHARE = 1 / 3


class AverageWithinGroups(StackedEffect):
    r"""Average effect by comparing rows of the same user, and of the same item.

    Where only ids stand for a confounder, the average effect can't be read off a model
    that learns a vector for each id: with some dozen rows an id, these vectors are
    pulled towards zero, and what they miss goes on to confound. But given *how often* a
    user's rows were treated, which of them were is independent of all that is constant
    in the user: whatever it is, and however few the rows [1]_. Of each user and item
    the nuisance models therefore read

    .. math::
        \bar t_g = \frac{1}{n_g} \sum_{i \in g} t_i \quad\text{and}\quad
        \frac{1}{n_g} \sum_{i \in g} (t_i - \bar t_g)\, x_i

    beside the features, over all rows of the group :math:`g`, and no ids. The second
    are the slopes of the treatment on features that vary within the group, the
    sufficient statistics of a group's own logistic regression. Groups are kept whole in
    the folds: other rows of the user would tell, with :math:`\bar t_g`, how the row
    was treated.

    What neither the features nor either id alone explains, such as a taste of this
    user for just this item, stays a confounder, and no pair is seen twice. It is given
    a prior with mean zero, whose standard deviation, ``doubt_``, is a third of what the
    ids were found to confound beyond the features: so much is added to the variance of
    the average.

    Attributes
    ----------
    ways_ : list of int
        The ways of grouping within which rows are compared.
    doubt_ : float
        Standard deviation of the prior of what pairs confound, in units of ``y``; 0
        with one way of grouping.

    References
    ----------
    .. [1] Arkhangelsky, D. and Imbens, G. (2024). "Fixed effects and the generalized
       Mundlak estimator." Review of Economic Studies 91(5).
    """

    def fit(self, X, y, treatment, *, groups, sample_weight=None, clusters=None):
        """Fit the nuisances, and average.

        Parameters
        ----------
        X : ndarray of shape (n, p)
            The features.
        y : ndarray of shape (n,)
            The outcome.
        treatment : ndarray of int of shape (n,)
            0 or 1.
        groups : ndarray of int of shape (n, n_ways)
            Codes of the groups from 0.
        sample_weight : ndarray of shape (n,), default=None
            Weights of the rows.
        clusters : Clusters, default=None
            Which rows go together, for the standard error.

        Returns
        -------
        AverageWithinGroups or None
            None where no way of grouping leaves rows to compare: the treatment goes by
            the groups, most rows are in tiny groups, or an arm is in so few groups that
            it is missing without some of them.
        """
        self.ways_ = ways_to_compare(treatment, groups)
        if not self.ways_:
            return None
        ways = [np.unique(groups[:, j], return_inverse=True)[1] for j in self.ways_]
        smallest = max(ways, key=lambda codes: codes.max())
        rng = np.random.RandomState(self.random_state)
        n_folds = self._count_folds(len(y))
        fold = folds_by(treatment, smallest, min(n_folds, smallest.max() + 1), rng)
        w = np.ones(len(y)) if sample_weight is None else sample_weight
        rows = np.zeros((2, fold.max() + 1), int)
        np.add.at(rows, (treatment, fold), w > 0)
        if (rows.sum(1, keepdims=True) - rows).min() < 2:
            return None
        told = [group_statistics(X, treatment, codes) for codes in ways]
        self.doubt_ = 0.0
        if len(ways) > 1:
            shares = np.column_stack([statistics[:, 0] for statistics in told])
            self.doubt_ = PAIR_SHARE * abs(moved_by(shares, X, y, treatment, w))
        X = np.column_stack([X, *told]).astype(np.float32)
        y = self._start(X, y, treatment, w, fold, clusters)
        self._fit_nuisances(X, y, treatment, None, None, None)
        self._fit_average(X, y, treatment, smallest)
        self.outcome_oof_ = self._mu * self._scale + self._shift
        self._forget()
        return self


def ways_to_compare(treatment, groups):
    """The ways of grouping, columns of ``groups``, that leave rows to compare.

    Parameters
    ----------
    treatment : ndarray of int of shape (n,)
        0 or 1.
    groups : ndarray of int of shape (n, n_ways)
        Codes of the groups from 0.

    Returns
    -------
    list of int
        Without those by which the treatment goes, and those of tiny groups.
    """
    found = []
    for way, codes in enumerate(groups.T):
        codes = np.unique(codes, return_inverse=True)[1]
        size = np.bincount(codes)
        inside = size[size >= FEWEST_ROWS].sum() / len(codes)
        if inside > 0.5 and share_between(treatment, codes) < BY_CLUSTER:
            found.append(way)
    return found


def group_statistics(X, treatment, codes):
    """What is told of each row's group: the share treated, and its slopes.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        The features. Those that vary within groups have a slope, at most 32: those
        that the treatment goes by the most.
    treatment : ndarray of int of shape (n,)
        0 or 1.
    codes : ndarray of int of shape (n,)
        The group of each row, 0 to G - 1. Groups of fewer than 10 rows count as one.

    Returns
    -------
    ndarray of shape (n, 1 + n_slopes)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.within_groups import group_statistics
    >>> x = np.tile([[0.0], [1.0]], (10, 1))
    >>> t = np.r_[np.zeros(5), np.ones(5), np.tile([0, 1], 5)].astype(int)
    >>> told = group_statistics(x, t, np.repeat([0, 1], 10))
    >>> told[[0, 10]].round(2)
    array([[0.5, 0.1],
           [0.5, 0.5]])
    """
    own = codes
    few = np.bincount(codes) < FEWEST_ROWS
    codes = np.unique(np.where(few[codes], -1, codes), return_inverse=True)[1]
    share = _mean(treatment.astype(float), codes)
    rest = treatment - share

    def slope(j):
        x = X[:, j].astype(float)
        return _mean(rest * (x - x.mean()) / x.std(), codes)

    strength = {}
    for j, x in enumerate(X.T):
        x = x.astype(float)
        if x.std() > 0 and np.abs(x - _mean(x, own)).max() > 1e-6 * x.std():
            # the slopes of all features at once might not fit into memory
            strength[j] = abs(np.mean(rest * x)) / x.std() + slope(j).std()
    kept = sorted(sorted(strength, key=strength.get)[-MOST_SLOPES:])
    return np.column_stack([share, *(slope(j) for j in kept)])


def moved_by(shares, X, y, treatment, weight):
    """By how much the coefficient of the treatment moves with the groups' shares.

    Parameters
    ----------
    shares : ndarray of shape (n, n_ways)
        Share treated of the row's groups.
    X : ndarray of shape (n, p)
        The features.
    y, treatment, weight : ndarray of shape (n,)
        Outcome, treatment and weight of the rows.

    Returns
    -------
    float
        The coefficient of a linear regression on treatment and features, less that of
        one on the shares as well.
    """
    size = 2 + X.shape[1] + shares.shape[1]
    gram, pulled = np.zeros((size, size)), np.zeros(size)
    for start in range(0, len(y), CHUNK):  # the features are not copied as a whole
        b = slice(start, start + CHUNK)
        ones = np.ones(len(y[b]))
        Z = np.column_stack([treatment[b], ones, X[b], shares[b]]).astype(float)
        weighted = Z.T * weight[b]
        gram += weighted @ Z
        pulled += weighted @ y[b]
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    gram, pulled = gram / (scale[:, None] * scale), pulled / scale
    coefs = [
        np.linalg.lstsq(gram[:k, :k], pulled[:k], rcond=1e-10)[0][0]
        for k in (size - shares.shape[1], size)
    ]
    return float((coefs[0] - coefs[1]) / scale[0])


def _mean(values, codes):
    """Mean of the values in the group of each row."""
    return (np.bincount(codes, values) / np.bincount(codes))[codes]
