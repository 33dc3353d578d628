"""Arrays of one number a row in the smallest type that holds them."""

import numpy as np

MOST_POSITIONS = np.iinfo(np.int32).max


def positions(n):
    """The numbers 0 to n - 1, in four bytes each where these hold them.

    Parameters
    ----------
    n : int
        How many there are.

    Returns
    -------
    ndarray of int of shape (n,)
    """
    return np.arange(n, dtype=np.int32 if n <= MOST_POSITIONS else np.int64)


def permuted(n, rng):
    """The numbers 0 to n - 1 in a random order, in four bytes each.

    Parameters
    ----------
    n : int
        How many there are.
    rng : RandomState or Generator
        Draws the order.

    Returns
    -------
    ndarray of int of shape (n,)
        Those of ``rng.permutation(n)``.
    """
    order = positions(n)
    rng.shuffle(order)
    return order


def smallest(values):
    """The values in float32, where that holds them exactly.

    Parameters
    ----------
    values : ndarray of float
        The values.

    Returns
    -------
    ndarray
        The same values, or `values` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec._utils.small import smallest
    >>> smallest(np.array([0.5, 3.0])).dtype, smallest(np.array([0.1])).dtype
    (dtype('float32'), dtype('float64'))
    """
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return small if np.array_equal(small, values) else values


def smallest_codes(codes, n_codes):
    """Codes below a number in one byte where that holds them, else in four.

    Parameters
    ----------
    codes : ndarray of int
        The codes, 0 to ``n_codes - 1``.
    n_codes : int
        How many there are.

    Returns
    -------
    ndarray of int
        The same codes.
    """
    return codes.astype(np.uint8 if n_codes <= 256 else np.int32)
