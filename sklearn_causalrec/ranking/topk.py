"""The k best items of every user, block by block."""

import numpy as np
from tqdm.auto import tqdm

BLOCK_BYTES = 64 * 2**20


def top_k(score, n_users, n_items, k, *, excluded=None, floor=None, progress=False):
    """Highest scores of every row of a matrix that is never held as a whole.

    Parameters
    ----------
    score : callable
        ``score(start, stop)`` returns the scores of users start to stop against all
        items, (stop - start, n_items) float32. It may be written over.
    n_users, n_items, k : int
    excluded : csr_array of shape (n_users, n_items), optional
        Pairs left out.
    floor : float, optional
        Scores at or below it are left out.
    progress : bool

    Returns
    -------
    user, item, rank : ndarray of int64
    score : ndarray of float32
        One entry a recommended pair; rank starts at 1. A user may have fewer than k.
    """
    import torch

    k = min(k, n_items)
    block = max(1, BLOCK_BYTES // (4 * max(n_items, 1)))
    found = []
    bar = tqdm(total=n_users, desc="recommend", unit="user", disable=not progress)
    for start in range(0, n_users, block):
        stop = min(start + block, n_users)
        scores = np.asarray(score(start, stop), np.float32)
        if excluded is not None:
            rows, cols = excluded[start:stop].nonzero()
            scores[rows, cols] = -np.inf
        best, items = torch.topk(torch.from_numpy(scores), k, dim=1)
        best, items = best.numpy(), items.numpy()
        keep = best > (-np.inf if floor is None else floor)
        rows, ranks = np.nonzero(keep)
        found.append((rows + start, items[keep], ranks + 1, best[keep]))
        bar.update(stop - start)
    bar.close()
    if not found:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, np.zeros(0, np.float32)
    return tuple(np.concatenate(part) for part in zip(*found))
