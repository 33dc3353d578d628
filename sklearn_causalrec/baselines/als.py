"""Factors of implicit feedback by alternating least squares."""

from numbers import Integral, Real

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from sklearn_causalrec._utils.typing import Column, Seed
from sklearn_causalrec.baselines.positives import PositivesRecommender
from sklearn_causalrec.encoding.checks import whole_number

CELLS_AT_ONCE = 2**18


def solve_rows(signals, factors, unobserved, penalty, start=None, steps=3, tol=1e-10):
    r"""Solve :math:`(w V^T V + V^T C_u V + \lambda_u I) p_u = V^T C_u 1` for all rows.

    The conjugate gradients of all rows go on together, so that no matrix is formed for
    any row.

    Parameters
    ----------
    signals : csr_array of shape (n, m)
        The weights of the positives, the diagonals of C_u.
    factors : ndarray of shape (m, f)
        The matrix V.
    unobserved : float
        The weight w of all pairs.
    penalty : ndarray of shape (n,)
        The penalties.
    start : ndarray of shape (n, f), default=None
        Where to start. None stands for zeros.
    steps : int, default=3
        The number of conjugate gradient steps.
    tol : float, default=1e-10
        A row whose squared residual is below this is solved.

    Returns
    -------
    ndarray of shape (n, f)
        The solutions.
    """
    gram = unobserved * (factors.T @ factors)
    shape = (signals.shape[0], factors.shape[1])
    x = np.zeros(shape, factors.dtype) if start is None else start.copy()
    row = np.repeat(np.arange(shape[0]), np.diff(signals.indptr))

    def times(p):
        """The matrix of each row times its vector."""
        data = np.empty(signals.nnz, factors.dtype)
        for first in range(0, signals.nnz, CELLS_AT_ONCE):
            cells = slice(first, first + CELLS_AT_ONCE)
            pairs = (p[row[cells]], factors[signals.indices[cells]])
            data[cells] = np.einsum("ij,ij->i", *pairs) * signals.data[cells]
        parts = (data, signals.indices, signals.indptr)
        observed = csr_array(parts, shape=signals.shape) @ factors
        return p @ gram + observed + penalty[:, None] * p

    residual = signals @ factors - times(x)
    direction = residual.copy()
    size = np.einsum("ij,ij->i", residual, residual)
    for _ in range(steps):
        going = size > tol
        if not going.any():
            break
        image = times(direction)
        along = np.einsum("ij,ij->i", direction, image)
        length = np.where(going, size / np.where(going, along, 1), 0)[:, None]
        x += length * direction
        residual -= length * image
        before, size = size, np.einsum("ij,ij->i", residual, residual)
        ratio = np.where(going, size / np.where(going, before, 1), 0)
        direction = residual + ratio[:, None] * direction
    return x


class ImplicitALS(PositivesRecommender):
    r"""Score pairs by factors of users and items, fitted by alternating least squares.

    The factors minimise [1]_ [2]_

    .. math::
        \sum_{(u, i) \in S} c_{ui} (1 - p_u \cdot q_i)^2
        + w \sum_{u, i} (p_u \cdot q_i)^2
        + \lambda \sum_u (|S_u| + w m) \|p_u\|^2
        + \lambda \sum_i (|S_i| + w n) \|q_i\|^2

    over the positives S, with n users and m items. The factors of a user follow from
    the positives in closed form, so they are solved for when lists are made.

    Parameters
    ----------
    user : str or int, default=None
        The column of X with the user ids, by name or position. Users that the log does
        not know, or that have no positives, get the most popular items.
    item : str or int, default=None
        The column of X with the item ids, by name or position. Items that the log does
        not know are scored as the known ones that are nearest by features, which are
        the columns without a role.
    n_factors : int, default=64
        The number of factors.
    l2 : float, default=0.01
        The penalty :math:`\lambda`.
    unobserved : float, default=0.1
        The weight w of a pair without a positive, where positives have the mean weight
        1.
    n_iter : int, default=10
        The number of alternations.
    random_state : int, RandomState instance or None, default=None
        The seed of the first factors. Pass an int for reproducible results.

    Attributes
    ----------
    item_factors_ : ndarray of shape (n_items, n_factors)
        The factors of the items.
    popularity_ : ndarray of shape (n_items,)
        The share of users who have each item among their positives.
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
    EASE : A regression of each item on all others, without factors.
    BlendRecommender : A weighted sum of several models.

    References
    ----------
    .. [1] Hu, Y., Koren, Y. and Volinsky, C. (2008). "Collaborative filtering for
       implicit feedback datasets." ICDM.
    .. [2] Rendle, S., Krichene, W., Zhang, L. and Koren, Y. (2022). "Revisiting the
       performance of iALS on item recommendation benchmarks." RecSys.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import recommend
    >>> from sklearn_causalrec.baselines import ImplicitALS
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = ImplicitALS(user="user", item="item", n_factors=2, random_state=0)
    >>> recommend(model.fit(log), ["w"], k=1, by="outcome")["item"].tolist()
    ['b']
    """

    _parameter_constraints = {
        "user": PositivesRecommender._parameter_constraints["user"],
        "item": PositivesRecommender._parameter_constraints["item"],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="neither")],
        "unobserved": [Interval(Real, 0, None, closed="neither")],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    time = None  # a profile does not depend on it

    def __init__(
        self,
        *,
        user: Column | None = None,
        item: Column | None = None,
        n_factors: int = 64,
        l2: float = 0.01,
        unobserved: float = 0.1,
        n_iter: int = 10,
        random_state: Seed = None,
    ) -> None:
        self.user = user
        self.item = item
        self.n_factors = n_factors
        self.l2 = l2
        self.unobserved = unobserved
        self.n_iter = n_iter
        self.random_state = random_state

    def _penalty(self, signals):
        everything = self.unobserved * signals.shape[1]
        penalty = self.l2 * (np.diff(signals.indptr) + everything)
        return penalty.astype(np.float32)

    def _learn(self, signals):
        n_users, n_items = signals.shape
        by_item = csr_array(signals.T)
        by_item.sort_indices()
        rng = check_random_state(self.random_state)
        whole_number(self.n_factors, "n_factors")  # to scikit-learn, True is one
        scale = 0.1 / np.sqrt(self.n_factors)
        items = rng.normal(0, scale, (n_items, self.n_factors)).astype(np.float32)
        users = np.zeros((n_users, self.n_factors), np.float32)
        penalty = self._penalty(signals), self._penalty(by_item)
        for _ in range(self.n_iter):
            users = solve_rows(signals, items, self.unobserved, penalty[0], users)
            items = solve_rows(by_item, users, self.unobserved, penalty[1], items)
        self.item_factors_ = items

    def _user_factors(self, profiles):
        return solve_rows(
            profiles,
            self.item_factors_,
            self.unobserved,
            self._penalty(profiles),
            steps=min(self.n_factors, 20),
        )

    def _score(self, profiles):
        return self._user_factors(profiles) @ self.item_factors_.T

    def _contributions(self, profile, items):
        own = self.item_factors_[profile.indices].astype(np.float64)
        weighted = own * profile.data[:, None]
        matrix = self.unobserved * (self.item_factors_.T @ self.item_factors_)
        matrix = matrix + own.T @ weighted
        matrix[np.diag_indices_from(matrix)] += self._penalty(profile)[0]
        return weighted @ np.linalg.solve(matrix, self.item_factors_[items].T)

    def _item_similarity(self, items):
        length = np.linalg.norm(self.item_factors_, axis=1, keepdims=True)
        unit = self.item_factors_ / np.where(length > 0, length, 1)
        return unit[items] @ unit.T
