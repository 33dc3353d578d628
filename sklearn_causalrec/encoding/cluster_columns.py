"""Which rows belong together: the columns or the argument that say so, as codes."""

import re

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.encoding.coded_ids import CodedIds
from sklearn_causalrec.encoding.roles import as_ids

_ID_NAME = re.compile(
    r"(^|_)(id|uuid|user|customer|client|visitor|member|patient|session|household)$",
    re.IGNORECASE,
)


class Clusters:
    """Groups of rows that go together, such as the rows of a user.

    Parameters
    ----------
    codes : ndarray of int of shape (n, n_ways)
        The cluster of each row, 0 to G - 1, for one or two ways of grouping.
    names : list of str
        What the ways are called, for messages.

    Attributes
    ----------
    users : ndarray of int of shape (n_clusters,) or None
        The user of each cluster of the way ``user_way``. None where no way says whose
        a row is.
    """

    users, user_way = None, 0

    def __init__(self, codes, names):
        self.codes = codes
        self.names = list(names)

    @property
    def counts(self):
        """Number of clusters of each way, a list of int."""
        return [int(codes.max()) + 1 for codes in self.codes.T]

    def ways(self):
        """Codes of each way of grouping; with two, also of their pairs."""
        found = list(self.codes.T)
        if len(found) == 2:
            pairs = found[0] * np.int64(self.counts[1]) + found[1]
            found.append(np.unique(pairs, return_inverse=True)[1])
        return found

    def __getitem__(self, rows):
        """The clusters of some rows, by position or mask."""
        found = [np.unique(c, return_inverse=True) for c in self.codes[rows].T]
        part = Clusters(np.column_stack([codes for _, codes in found]), self.names)
        if self.users is not None:
            part.user_way = self.user_way
            part.users = self.users[found[self.user_way][0]]
        return part

    def tell_users(self, user):
        """Learn whose the clusters are, where each is of one user.

        Parameters
        ----------
        user : ndarray of int of shape (n,)
            The user code of each row.
        """
        for way, codes in enumerate(self.codes.T):
            of = np.zeros(codes.max() + 1, np.int64)
            of[codes] = user
            if (of[codes] == user).all():
                self.users, self.user_way = of, way
                return

    def user_of_rows(self):
        """The user code of each row, or None where no way tells it."""
        if self.users is None:
            return None
        return self.users[self.codes[:, self.user_way]]


def is_auto(cluster):
    """Whether rows belong together by the ids that have a role."""
    return isinstance(cluster, str) and cluster == "auto"


def cluster_names(cluster):
    """The columns that the parameter `cluster` names: one or two.

    Parameters
    ----------
    cluster : name, list of names, "auto" or None
        The parameter of an estimator.

    Returns
    -------
    list of names
        It is empty for "auto" and None.

    Raises
    ------
    ValueError
        If there are more than two.
    """
    if cluster is None or is_auto(cluster):
        return []
    names = list(cluster) if isinstance(cluster, (list, tuple)) else [cluster]
    if not 1 <= len(names) <= 2:
        raise ValueError(
            f"cluster={cluster!r} names {len(names)} columns: rows are grouped by one "
            'or two, such as cluster="user_id" or cluster=["user_id", "item_id"].'
        )
    return names


def clusters_of(columns, n):
    """Rows that belong together, from columns of ids.

    Parameters
    ----------
    columns : dict of name to array-like of shape (n,)
        One or two columns of ids.
    n : int
        Number of rows of X.

    Returns
    -------
    Clusters

    Raises
    ------
    ValueError
        If an id is missing, or the rows are not as many as those of X.
    """
    codes = []
    for name, values in columns.items():
        if not isinstance(values, CodedIds):
            values = np.asarray(values)
        if values.shape != (n,):
            raise ValueError(
                f"cluster {name!r} has shape {values.shape} and X has {n} rows: pass "
                "one id a row."
            )
        if isinstance(values, CodedIds):  # by the same rule, and half as large
            codes.append(values.codes)
        else:
            codes.append(pd.factorize(as_ids(values, f"cluster {name!r}"))[0])
    codes = np.column_stack(codes)
    kind = np.int32 if codes.dtype == np.int32 else np.int64
    return Clusters(codes.astype(kind, copy=False), columns)


def given_clusters(cluster, n):
    """The argument `cluster` of ``fit``: ids in one or two columns.

    Parameters
    ----------
    cluster : array-like of shape (n,) or (n, 2), or None
        The ids.
    n : int
        Number of rows of X.

    Returns
    -------
    Clusters or None
        None for None: every row is alone.
    """
    if cluster is None:
        return None
    if hasattr(cluster, "columns"):
        columns = {name: cluster[name] for name in cluster.columns}
    elif np.ndim(cluster) == 2:
        cluster = np.asarray(cluster)
        columns = {f"cluster {k + 1}": c for k, c in enumerate(cluster.T)}
    else:
        columns = {getattr(cluster, "name", None) or "cluster": cluster}
    cluster_names(list(columns))
    return clusters_of(columns, n)


def warn_of_ids(columns):
    """Warn of columns that repeat as ids do, where no cluster is named.

    Parameters
    ----------
    columns : dict of name to Series of shape (n,)
        The covariates.

    Warns
    -----
    UserWarning
        If a column is called as ids are, and has values that repeat.
    """
    for name, values in columns.items():
        if isinstance(name, str) and _ID_NAME.search(name):
            n_ids = values.nunique()
            if 20 < n_ids < len(values):
                warn_user(
                    f"column {name!r} looks like an id: {n_ids} values in "
                    f"{len(values)} rows. It is adjusted for as a covariate, and all "
                    "rows count as independent. If rows belong together by it, say "
                    f"so, cluster={name!r}: intervals are too short otherwise. "
                    "cluster=None says that they do not."
                )
