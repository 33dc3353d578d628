"""Rows that belong together: folds that keep them whole, errors that count them so."""

import numpy as np

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.effects.cross_fitting import stratified_folds
from sklearn_causalrec.effects.intervals import Estimate

FEW_CLUSTERS = 30
# With this share of the treatment's variance between clusters, it goes by cluster.
BY_CLUSTER = 0.9
# So many parts say nearly what leaving out each row, or cluster, says.
N_PARTS = 20
# Of so many rows, or clusters, a fold is as good as a part of it.
MANY_UNITS = 10_000


def error(influence, clusters):
    r"""Standard error of the mean of an influence function, by clusters.

    The mean of an influence function over :math:`n` rows has the cluster-robust
    variance

    .. math:: V = \frac{G - 1}{G}
        \sum_g \Big(\frac{\sum_{i \in g} \psi_i / n}{1 - n_g / n}\Big)^2,

    the delete-a-cluster jackknife ("CR3") [1]_, which is a little too large where
    clusters are few, not too small. With two ways of grouping, such as users and items,
    it is :math:`V_1 + V_2 - V_{12}` [2]_, and at least the larger of the first two.
    The nuisances are to be cross-fitted with whole clusters left out [3]_.

    Parameters
    ----------
    influence : ndarray of shape (n,)
        Its values; their mean is taken off.
    clusters : Clusters
        Which rows belong together.

    Returns
    -------
    float

    References
    ----------
    .. [1] MacKinnon, J., Nielsen, M. and Webb, M. (2023). "Cluster-robust inference: a
       guide to empirical practice." Journal of Econometrics 232(2).
    .. [2] Cameron, A. C., Gelbach, J. and Miller, D. (2011). "Robust inference with
       multiway clustering." Journal of Business & Economic Statistics 29(2).
    .. [3] Chiang, H. et al. (2022). "Multiway cluster robust double/debiased machine
       learning." Journal of Business & Economic Statistics 40(3).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.clusters import error
    >>> from sklearn_causalrec.encoding.cluster_columns import Clusters
    >>> users = Clusters(np.array([[0], [0], [1], [1], [2], [2]]), ["user"])
    >>> psi = np.array([1.0, 1.0, -1.0, -1.0, 0.0, 0.0])
    >>> print(f"{error(psi, users):.3f}, as independent rows {psi.std() / 6**0.5:.3f}")
    0.577, as independent rows 0.333
    """
    psi = influence - influence.mean()
    parts = [_jackknife_variance(psi, codes) for codes in clusters.ways()]
    return float(np.sqrt(combined(parts)))


def combined(variances):
    """The variance by one way of grouping, or by two and that of both together."""
    if len(variances) == 1:
        return max(variances[0], 0.0)
    first, second, both = variances
    return max(first + second - both, first, second)


def degrees(influence, clusters):
    """Degrees of freedom of the error: few where few clusters make it.

    Satterthwaite's, with the fourth moment of a normal sum: 3 (sum of squares)^2 /
    sum of fourth powers of the clusters' sums, at most the clusters less one.

    Parameters
    ----------
    influence : ndarray of shape (n,)
        Its values; their mean is taken off.
    clusters : Clusters
        Which rows belong together.

    Returns
    -------
    float
    """
    psi = influence - influence.mean()
    return min(_degrees(psi, codes) for codes in clusters.codes.T)


def _sums(psi, codes):
    return np.bincount(codes, psi)


def _jackknife_variance(psi, codes):
    n = len(psi)
    size = np.bincount(codes)
    if len(size) < 2:
        return np.inf
    left_out = _sums(psi, codes) / (n - size)
    return (len(size) - 1) / len(size) * (left_out**2).sum()


def _degrees(psi, codes):
    square = _sums(psi, codes) ** 2
    most = len(square) - 1
    if not square.any():
        return max(most, 1)
    return float(np.clip(3 * square.sum() ** 2 / (square**2).sum(), 1, max(most, 1)))


def estimate(value, influence, clusters=None):
    """An estimate whose error is that of the mean of its influence function.

    Parameters
    ----------
    value : float
        The estimate.
    influence : ndarray of shape (n,)
        The influence function at each row; its mean is taken off.
    clusters : Clusters, default=None
        Which rows belong together. None: every row is alone.

    Returns
    -------
    Estimate
    """
    if clusters is None:
        return Estimate(value, np.std(influence) / np.sqrt(len(influence)))
    return Estimate(value, error(influence, clusters), degrees(influence, clusters))


def ratio_of_means(top, below, weight=None, clusters=None):
    """The ratio of two weighted means, with the error of both (delta method).

    Parameters
    ----------
    top, below : ndarray of shape (n,)
        What the means are of; each an influence function where it is estimated.
    weight : ndarray of shape (n,), default=None
        Weights of the rows. None: all alike.
    clusters : Clusters, default=None
        Which rows belong together. None: every row is alone.

    Returns
    -------
    Estimate
    """
    relative = np.ones(len(top)) if weight is None else weight / weight.mean()
    share = np.mean(relative * below)
    value = np.mean(relative * top) / share
    return estimate(value, relative * (top - value * below) / share, clusters)


def outer(scores, clusters=None):
    """Sum over clusters of the outer products of their sums: the "meat" of a sandwich.

    Parameters
    ----------
    scores : ndarray of shape (n, d)
        The scores of the rows, which sum to about zero.
    clusters : Clusters, default=None
        Which rows belong together. None: every row is alone.

    Returns
    -------
    ndarray of shape (d, d)
        Times G / (G - 1) for G clusters. With two ways it is their sum less that of the
        pairs, without negative eigenvalues.
    """
    if clusters is None:
        return scores.T @ scores
    parts = []
    for codes in clusters.ways():
        sums = np.stack([np.bincount(codes, column) for column in scores.T])
        parts.append(sums @ sums.T * sums.shape[1] / max(sums.shape[1] - 1, 1))
    if len(parts) == 1:
        return parts[0]
    values, vectors = np.linalg.eigh(parts[0] + parts[1] - parts[2])
    return vectors * np.maximum(values, 0) @ vectors.T


def folds_by(arm, codes, n_folds, rng):
    """Fold of every row, clusters whole, arms and sizes spread evenly.

    Parameters
    ----------
    arm : ndarray of int of shape (n,)
        The arm of each row.
    codes : ndarray of int of shape (n,)
        The cluster of each row, 0 to G - 1.
    n_folds : int
        Number of folds, at most G.
    rng : RandomState
        Breaks ties.

    Returns
    -------
    ndarray of int of shape (n,)
    """
    n_clusters, n_arms = codes.max() + 1, arm.max() + 1
    counts = np.bincount(codes * n_arms + arm, minlength=n_clusters * n_arms)
    counts = counts.reshape(n_clusters, n_arms)
    order = np.lexsort((rng.permutation(n_clusters), counts.sum(1), counts.argmax(1)))
    fold = np.empty(n_clusters, int)
    fold[order] = np.arange(n_clusters) % n_folds
    return fold[codes]


def share_between(arm, codes):
    """Share of the variance of the arms that lies between clusters, 0 to 1.

    With the degrees of freedom counted ("omega squared"), so that many small clusters
    do not explain anything by chance.
    """
    shares = []
    size = np.bincount(codes)
    free = len(arm) - len(size)
    for a in np.unique(arm)[1:]:
        mine = (arm == a).astype(float)
        total = mine.var() * len(arm) / (len(arm) - 1)
        inside = ((mine - (np.bincount(codes, mine) / size)[codes]) ** 2).sum()
        shares.append(1 - inside / max(free, 1) / total if free else 0.0)
    return max(shares, default=0.0)


def parts_of_folds(fold, clusters=None, groups=None):
    """Parts of the folds, twenty in all, for what is quick enough to be fitted often.

    Parameters
    ----------
    fold : ndarray of int of shape (n,)
        Folds 0 to k - 1.
    clusters : Clusters, default=None
        Which rows belong together. Those that folds keep whole are kept whole.
    groups : ndarray of int of shape (n,), default=None
        Codes from 0 of groups that are kept whole likewise, and go first.

    Returns
    -------
    ndarray of int of shape (n,)
        Parts 0 to m - 1; the folds where the rows, or the clusters, are many.
    """
    unit = np.arange(len(fold))
    ways = [] if clusters is None else list(clusters.codes.T)
    for codes in ways if groups is None else [*ways, groups]:
        first = np.unique(codes, return_index=True)[1]
        if (fold[first][codes] == fold).all():
            unit = codes
    first = np.unique(unit, return_index=True)[1]
    if len(first) >= MANY_UNITS:
        return fold
    n_folds = int(fold.max()) + 1
    share = -(-N_PARTS // n_folds)
    part = np.empty(len(first), int)
    for k in range(n_folds):
        mine = np.flatnonzero(fold[first] == k)
        part[mine] = k * share + np.arange(len(mine)) % share
    return np.unique(part[unit], return_inverse=True)[1]


def cross_fitting_folds(arm, n_folds, rng, clusters=None, *, ids_are_read=False):
    """Folds for cross-fitting: of rows, or of whole clusters.

    Parameters
    ----------
    arm : ndarray of int of shape (n,)
        The arm of each row.
    n_folds : int
        Number of folds; fewer if clusters are fewer.
    rng : RandomState
        Draws them.
    clusters : Clusters, default=None
        Which rows belong together. Of two ways, the one is kept whole by which the
        treatment goes the more.
    ids_are_read : bool, default=False
        Whether the models read the ids of users and items. Then clusters are kept
        whole only where the treatment hardly varies within them: elsewhere the other
        rows of a user, which differ in treatment, say what there is to say of the user.

    Returns
    -------
    ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If all rows are of one cluster.

    Warns
    -----
    UserWarning
        If the clusters kept whole are fewer than 30.
    """
    if clusters is None:
        return stratified_folds(arm, n_folds, rng)
    shares = [share_between(arm, codes) for codes in clusters.codes.T]
    way = int(np.argmax(shares))
    if ids_are_read and shares[way] < BY_CLUSTER:
        return stratified_folds(arm, n_folds, rng)
    name, count = clusters.names[way], clusters.counts[way]
    if count < 2:
        raise ValueError(
            f"all rows belong to one cluster {name!r}: nothing tells how much clusters "
            "differ. Name another column, or set cluster=None."
        )
    if count < FEW_CLUSTERS:
        warn_user(
            f"There are {count} clusters {name!r}, fewer than {FEW_CLUSTERS}: how much "
            "clusters differ is known badly, and intervals may be too short."
        )
    return folds_by(arm, clusters.codes[:, way], min(n_folds, count), rng)
