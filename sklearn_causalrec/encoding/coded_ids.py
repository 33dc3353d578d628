"""Ids of many rows in little memory."""

import numpy as np


class CodedIds:
    """Ids of many rows, of which each stands in memory once.

    Parameters
    ----------
    ids : Index
        The different ids, in the order in which they appeared.
    codes : ndarray of int32 of shape (n,)
        The position of each row's id.
    """

    def __init__(self, ids, codes):
        self.ids, self.codes = ids, codes
        self.shape = codes.shape

    def __len__(self):
        return len(self.codes)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.ids)[self.codes]
