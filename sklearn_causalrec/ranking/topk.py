"""The k best items of every user, block by block."""

import numpy as np
from tqdm.auto import tqdm

BLOCK_BYTES = 64 * 2**20


class NotANumberError(ValueError):
    """A score that is not a number, of a row and a column."""

    def __init__(self, row, column):
        super().__init__(f"The score of row {row} and column {column} is not a number.")
        self.row, self.column = row, column


def top_k(score, n_users, n_items, k, *, excluded=None, floor=None, progress=False):
    """Find the highest scores of every row of a matrix that is never held as a whole.

    Parameters
    ----------
    score : callable
        ``score(start, stop)`` returns the scores of the users from start to stop
        against all items, as floats of shape (stop - start, n_items). The array may be
        overwritten.
    n_users : int
        The number of users, which are the rows of the matrix.
    n_items : int
        The number of items, which are the columns of the matrix.
    k : int
        The number of items per user. It is lowered to `n_items` if it is larger.
    excluded : csr_array of shape (n_users, n_items), default=None
        The pairs that are left out. With None, all pairs are candidates.
    floor : float, default=None
        The score above which a pair is a candidate. With None, all pairs with a score
        above -inf are.
    progress : bool, default=False
        Whether a progress bar is shown.

    Returns
    -------
    user : ndarray of int64 of shape (m,)
        The row of each recommended pair. A user may have fewer than `k` pairs.
    item : ndarray of int64 of shape (m,)
        The column of each pair.
    rank : ndarray of int64 of shape (m,)
        The rank of each pair among those of its user, from 1.
    score : ndarray of shape (m,)
        The score of each pair, in the dtype of the scores.

    Raises
    ------
    ValueError
        If the score of a candidate is not a number.

    See Also
    --------
    sklearn_causalrec.recommend : Recommend the best items of a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.ranking import top_k
    >>> scores = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.3]], np.float32)
    >>> user, item, rank, score = top_k(lambda i, j: scores[i:j].copy(), 2, 3, k=2)
    >>> user.tolist(), item.tolist(), rank.tolist()
    ([0, 0, 1, 1], [1, 2, 0, 2], [1, 2, 1, 2])
    """
    import torch

    k = min(k, n_items)
    block = max(1, BLOCK_BYTES // (8 * max(n_items, 1)))
    found = []
    bar = tqdm(total=n_users, desc="recommend", unit="user", disable=not progress)
    for start in range(0, n_users, block):
        stop = min(start + block, n_users)
        scores = np.asarray(score(start, stop))
        if excluded is not None:
            rows, cols = excluded[start:stop].nonzero()
            scores[rows, cols] = -np.inf
        best, items = torch.topk(torch.from_numpy(scores), k, dim=1)
        best, items = best.numpy(), items.numpy()
        if (lost := np.isnan(best[:, :1])).any():  # they sort above all numbers
            row = int(lost.argmax())
            raise NotANumberError(start + row, int(items[row, 0]))
        keep = best > (-np.inf if floor is None else floor)
        rows, ranks = np.nonzero(keep)
        found.append((rows + start, items[keep], ranks + 1, best[keep]))
        bar.update(stop - start)
    bar.close()
    if not found:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, np.zeros(0, np.float32)
    return tuple(np.concatenate(part) for part in zip(*found))
