"""Shapley values of groups of inputs: exact for few groups, by orders for many."""

from math import factorial

import numpy as np

EXACT = 8  # groups up to which all subsets are evaluated
ROWS_AT_ONCE = 65536


def shapley(value, n_rows, n_background, n_groups, rng, *, n_orders=2):
    r"""Contributions of groups of inputs to the outputs of a model, which add up.

    A row is compared with rows of a background: of the groups in a subset S the row's
    own values are taken, of the others those of the background row. With v(S) the mean
    output over the background, the contribution of a group is its Shapley value, and
    the contributions of a row sum to its output less the mean output of the background
    (up to rounding).

    Parameters
    ----------
    value : callable
        ``value(row, back, inside)`` returns the outputs (m, n_outputs) of m mixed rows:
        positions of rows and of background rows, each (m,), and a mask (m, n_groups)
        of the groups that are taken from the row.
    n_rows, n_background, n_groups : int
        The numbers of rows, of background rows and of groups.
    rng : RandomState
        It draws orders where there are more than 8 groups.
    n_orders : int, default=2
        Orders of the groups that are drawn for each row and background row, then; each
        of them counts forwards and backwards.

    Returns
    -------
    baseline : ndarray of shape (n_outputs,)
        The mean output of the background.
    outputs : ndarray of shape (n_rows, n_outputs)
        The output of each row.
    contributions : ndarray of shape (n_rows, n_groups, n_outputs)

    References
    ----------
    .. [1] Lundberg, S. and Lee, S.-I. (2017). "A unified approach to interpreting model
       predictions." NeurIPS.
    .. [2] Štrumbelj, E. and Kononenko, I. (2014). "Explaining prediction models and
       individual predictions with feature contributions." KAIS 41.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.explaining.shapley import shapley
    >>> X, B = np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]])
    >>> def product(row, back, inside):
    ...     return np.where(inside, X[row], B[back]).prod(axis=1, keepdims=True)
    >>> shapley(product, 1, 1, 2, None)[2][0, :, 0]
    array([1., 1.])
    """
    everything = np.arange(n_background)
    none = np.zeros((n_background, n_groups), bool)
    empty = value(np.zeros(n_background, int), everything, none)
    rows = np.arange(n_rows)
    full = _in_blocks(value, rows, rows * 0, np.ones((n_rows, n_groups), bool))
    if n_groups <= EXACT:
        found = _exact(value, full, empty, n_groups)
    else:
        found = _by_orders(value, full, empty, n_groups, n_orders, rng)
    return empty.mean(axis=0), full, found


def _in_blocks(value, row, back, inside):
    parts = [
        value(row[start:stop], back[start:stop], inside[start:stop])
        for start in range(0, len(row), ROWS_AT_ONCE)
        for stop in [start + ROWS_AT_ONCE]
    ]
    return np.concatenate(parts)


def _exact(value, full, empty, n_groups):
    """All subsets of the groups; of none and of all the outputs are known."""
    n_background = len(empty)
    subsets = np.arange(2**n_groups)
    masks = (subsets[:, None] >> np.arange(n_groups)) & 1 == 1
    size = masks.sum(axis=1)
    weight = [
        factorial(s) * factorial(n_groups - s - 1) / factorial(n_groups)
        for s in range(n_groups)
    ]
    # The contribution of a group as weights of the values of all subsets.
    share = np.zeros((len(subsets), n_groups))
    for g in range(n_groups):
        with_g = np.flatnonzero(masks[:, g])
        share[with_g, g] = np.take(weight, size[with_g] - 1)
        share[with_g ^ (1 << g), g] = -np.take(weight, size[with_g] - 1)
    inner = masks[1:-1]
    found = np.empty((len(full), n_groups, full.shape[1]))
    block = max(1, ROWS_AT_ONCE // max(1, len(inner) * n_background))
    for start in range(0, len(full), block):
        mine = np.arange(start, min(start + block, len(full)))
        values = np.empty((len(mine), len(subsets), full.shape[1]))
        values[:, 0], values[:, -1] = empty.mean(axis=0), full[mine]
        if len(inner):
            shape = (len(mine), len(inner), n_background)
            row, subset, back = (part.ravel() for part in np.indices(shape))
            outputs = _in_blocks(value, mine[row], back, inner[subset])
            outputs = outputs.reshape(*shape, -1)
            values[:, 1:-1] = outputs.mean(axis=2)
        found[mine] = np.einsum("rsk,sg->rgk", values, share)
    return found


def _by_orders(value, full, empty, n_groups, n_orders, rng):
    """Means over orders in which groups are taken in, drawn in pairs of opposites."""
    n_background = len(empty)
    found = np.zeros((len(full), n_groups, full.shape[1]))
    per_row = n_background * 2 * n_orders
    block = max(1, ROWS_AT_ONCE // (per_row * n_groups))
    for start in range(0, len(full), block):
        mine = np.arange(start, min(start + block, len(full)))
        back = np.tile(np.repeat(np.arange(n_background), 2 * n_orders), len(mine))
        row = np.repeat(mine, per_row)
        keys = rng.uniform(size=(len(row) // 2, n_groups))
        orders = np.empty((len(row), n_groups), int)
        orders[::2] = np.argsort(keys, axis=1)
        orders[1::2] = orders[::2, ::-1]
        place = np.argsort(orders, axis=1)
        steps = np.arange(1, n_groups)  # groups taken in
        inside = place[:, None, :] < steps[None, :, None]
        outputs = _in_blocks(
            value,
            np.repeat(row, len(steps)),
            np.repeat(back, len(steps)),
            inside.reshape(-1, n_groups),
        ).reshape(len(row), len(steps), -1)
        path = np.concatenate(
            [empty[back][:, None], outputs, full[row][:, None]], axis=1
        )
        gains = np.diff(path, axis=1)  # by place in the order
        by_group = np.take_along_axis(gains, place[:, :, None], axis=1)
        np.add.at(found, row, by_group)
    return found / per_row
