"""Halves of the rows: the spread of fits to them counts whatever a fit passes on."""

import numpy as np

_TRIES = 20  # draws of clusters before an arm that a half lacks is given up


def check_half_samples(number):
    """Refuse what is neither None nor a number of half-samples.

    Parameters
    ----------
    number : int or None
        What the user asks for.

    Raises
    ------
    ValueError
        If it is below 10: the error of an error is too large then.
    """
    whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if number is not None and (not whole or number < 10):
        raise ValueError(
            f"n_half_samples is {number!r}: a whole number of at least 10, such as 40, "
            "or None."
        )


def half_samples(problem):
    r"""Problems of half of the rows each, as many as the problem asks for [1]_.

    An estimate from half of the rows, drawn without replacement, differs from that of
    all rows by as much as the latter differs from the truth, to first order: the
    variance of the half is twice that of the whole, and they share half of it. That
    holds whichever nuisance is wrong. The influence function does not know the first
    order of a nuisance that is right where the other is wrong.

    Parameters
    ----------
    problem : Problem
        The data. Halves have half of each arm, or, with clusters, half of these.

    Yields
    ------
    rows : ndarray of int
        The rows, in their order.
    half : Problem
        Their data.

    Raises
    ------
    ValueError
        If clusters are of two ways, or halves of them lack an arm.

    References
    ----------
    .. [1] Politis, D., Romano, J. and Wolf, M. (1999). "Subsampling." Springer.
    """
    clusters, rng = problem.clusters, np.random.RandomState(problem.seed % 2**32)
    if clusters is not None and clusters.codes.shape[1] > 1:
        raise ValueError(
            "n_half_samples draws clusters of one way, and "
            f"{' and '.join(map(str, clusters.names))} are two: name one of them, or "
            "leave n_half_samples None."
        )
    strata = problem.arm if clusters is None else np.zeros(len(problem.y), int)
    units = np.arange(len(problem.y)) if clusters is None else clusters.codes[:, 0]
    n_arms, n_folds = len(np.unique(problem.arm)), len(np.unique(problem.fold))
    for _ in range(problem.n_half_samples):
        for _ in range(_TRIES):
            chosen = np.zeros(units.max() + 1, bool)
            for stratum in np.unique(strata):
                mine = np.unique(units[strata == stratum])
                chosen[rng.permutation(mine)[: (len(mine) + 1) // 2]] = True
            rows = np.flatnonzero(chosen[units])
            parts = (
                len(np.unique(problem.arm[rows])),
                len(np.unique(problem.fold[rows])),
            )
            if parts == (n_arms, n_folds):
                break
        else:
            raise ValueError(
                "halves of the rows lack an arm or a fold: there are too few for "
                "n_half_samples. Leave it None."
            )
        yield rows, problem.take(rows)
