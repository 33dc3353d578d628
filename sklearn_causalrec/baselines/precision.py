"""The inverse of an item-item matrix, in the smallest of three forms."""

import numpy as np
from scipy.linalg import cholesky, lapack, solve_triangular
from scipy.sparse import csr_array

PACKED_FROM = 8192  # items: a quarter of a gigabyte in full
COLUMNS = 1024
PROFILES = 32  # scored at once, so that few rows of the triangle are unfolded


def precision(rows, penalty):
    r"""Compute :math:`P = (Z^T Z + \lambda I)^{-1}`.

    Parameters
    ----------
    rows : csr_array of shape (m, n_items)
        The matrix Z.
    penalty : float
        The penalty, above 0.

    Returns
    -------
    LowRank, Full or Packed
        The inverse: through the rows if they are less than half of the items, else in
        full, or as one of its triangles if there are many items.
    """
    m, n = rows.shape
    if 2 * m < n:
        return LowRank(rows, penalty)
    return (Full if n < PACKED_FROM else Packed)(rows, penalty)


def _checked(info, penalty):
    if info:
        raise ValueError(
            f"l2={penalty:g} is too small for this log: the item-item matrix cannot be "
            "inverted in single precision. Raise l2."
        )


class LowRank:
    r"""P as :math:`I / \lambda - L^T L`, by the formula of Woodbury.

    Attributes
    ----------
    diagonal : ndarray of shape (n_items,)
        The diagonal of P.
    """

    def __init__(self, rows, penalty):
        self.penalty = penalty
        small = (rows @ rows.T).toarray().astype(np.float64) / penalty
        small[np.diag_indices_from(small)] += 1
        factor = cholesky(small, lower=True, overwrite_a=True).astype(np.float32)
        right = rows.toarray().astype(np.float32) / np.float32(penalty)
        self.factor = solve_triangular(factor, right, lower=True, overwrite_b=True)
        self.diagonal = 1 / penalty - np.einsum("ri,ri->i", self.factor, self.factor)

    def left(self, profiles):
        """Q @ P of a sparse matrix Q."""
        inner = csr_array(profiles) @ np.ascontiguousarray(self.factor.T)
        out = -(inner @ self.factor)
        cells = profiles.tocoo()
        out[cells.coords] += cells.data / np.float32(self.penalty)
        return out

    def take(self, items):
        """Rows of P; (len(items), n_items)."""
        out = -(self.factor[:, items].T @ self.factor)
        out[np.arange(len(items)), items] += 1 / self.penalty
        return out


class Full:
    """P as a whole, in single precision."""

    def __init__(self, rows, penalty):
        n = rows.shape[1]
        whole = np.empty((n, n), np.float32, order="F")
        for start, block in _gram(rows, penalty):
            whole[:, start : start + block.shape[1]] = block
        whole, info = lapack.spotrf(whole, lower=1, overwrite_a=1)
        _checked(info, penalty)
        whole, info = lapack.spotri(whole, lower=1, overwrite_c=1)
        _checked(info, penalty)
        lower = np.tril(whole)
        lower += np.tril(whole, -1).T
        self.whole = np.ascontiguousarray(lower)
        self.diagonal = self.whole.diagonal().copy()

    def left(self, profiles):
        """Q @ P of a sparse matrix Q."""
        return profiles @ self.whole

    def take(self, items):
        """Rows of P; (len(items), n_items)."""
        return self.whole[items]


class Packed:
    """One triangle of P, in LAPACK's rectangular full packed format.

    With n = 2 k, the array of shape (n + 1, k) holds P[i, j] of i >= j in row i + 1 and
    column j if j < k, else in row j - k and column i - k.
    """

    def __init__(self, rows, penalty):
        self.n = rows.shape[1]
        n = self.n + self.n % 2  # one more item, which nobody has, if it is odd
        k = n // 2
        flat = np.zeros(n * (n + 1) // 2, np.float32)
        self.packed = flat.reshape((n + 1, k), order="F")
        if n > self.n:
            self.packed[k - 1, k - 1] = penalty
        for start, block in _gram(rows, penalty):
            for j, column in enumerate(block.T, start):
                if j < k:
                    self.packed[j + 1 : self.n + 1, j] = column[j:]
                else:
                    self.packed[j - k, j - k : self.n - k] = column[j:]
        for step in (lapack.spftrf, lapack.spftri):
            flat, info = step(n, flat, transr="N", uplo="L", overwrite_a=1)
            _checked(info, penalty)
        self.packed, self.k = flat.reshape((n + 1, k), order="F"), k
        head = np.diagonal(self.packed[1 : k + 1])
        self.diagonal = np.append(head, np.diagonal(self.packed[:k]))[: self.n].copy()

    def left(self, profiles):
        """Q @ P of a sparse matrix Q."""
        out = np.empty(profiles.shape, np.float32)
        for start in range(0, len(out), PROFILES):
            some = profiles[start : start + PROFILES]
            used, position = np.unique(some.indices, return_inverse=True)
            parts = (some.data, position, some.indptr)
            some = csr_array(parts, shape=(some.shape[0], len(used)))
            out[start : start + PROFILES] = some @ self.take(used)
        return out

    def take(self, items):
        """Rows of P; (len(items), n_items)."""
        items, k = np.asarray(items), self.k
        out = np.empty((len(items), 2 * k), np.float32)
        first = np.flatnonzero(items < k)
        if len(first):
            own = items[first]
            out[first] = self.packed[1:, own].T  # what follows the diagonal
            before = np.arange(k) < own[:, None]
            out[first, :k] = np.where(before, self.packed[own + 1], out[first, :k])
        last = np.flatnonzero(items >= k)
        if len(last):
            own = items[last]
            out[last, :k] = self.packed[own + 1]
            before = np.arange(k) < (own - k)[:, None]
            after = self.packed[own - k]
            out[last, k:] = np.where(before, self.packed[:k, own - k].T, after)
        return out[:, : self.n]


def _gram(rows, penalty):
    """Blocks of columns of the matrix that is inverted, with their first column."""
    turned = csr_array(rows.T)
    for start in range(0, rows.shape[1], COLUMNS):
        stop = min(start + COLUMNS, rows.shape[1])
        block = (turned @ csr_array(turned[start:stop].T)).toarray()
        block[np.arange(start, stop), np.arange(stop - start)] += penalty
        yield start, block.astype(np.float32)
