"""Positivity: whether every arm occurs wherever its effect is asked for."""

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.warn import warn_user

UNLIKELY = 1e-4  # chance below which an arm's absence from a stratum is no accident


def check_arms(problem):
    """Every arm must have the rows that cross-fitting takes.

    Parameters
    ----------
    problem : Problem
        The data with their arms and folds.

    Raises
    ------
    ValueError
        Naming the arm with fewer than two rows a fold.
    """
    counts = np.bincount(problem.arm, minlength=len(problem.arms))
    n_folds = problem.fold.max() + 1
    if counts.min() < 2 * n_folds:
        a = int(counts.argmin())
        raise ValueError(
            f"the arm {problem.arms[a]!r} has {counts[a]} rows, too few for "
            f"cross-fitting over {n_folds} folds: leave it out, or lower cv."
        )


def check_positivity(problem, names, treatments):
    """Every arm must occur in every stratum of what is adjusted for.

    Strata are the levels of categories and of columns of two values; of counts and
    measurements, neighboring values speak for each other.

    Parameters
    ----------
    problem : Problem
        The data.
    names : sequence of names
        The columns that make the strata.
    treatments : tuple of names
        The treatments, for messages.

    Raises
    ------
    ValueError
        Naming the level and its rows, where an arm's absence is no accident: at its
        share among all rows, its chance were below 1e-4.

    Warns
    -----
    UserWarning
        The same for combinations of levels.
    """
    treatment = ", ".join(map(str, treatments))
    strata = discrete_codes(problem.variables, names)
    joint = strata.pop(None, None)
    for name, (levels, code) in strata.items():
        if found := _empty(problem, levels, code):
            level, rows, arm = found
            raise ValueError(
                f"positivity fails: of the {rows} rows with {name} = {level!r} none "
                f"has {treatment} = {arm!r}, so nothing tells its effect there. Leave "
                "these rows out, or merge the stratum with others."
            )
    if joint and (found := _empty(problem, *joint)):
        level, rows, arm = found
        warn_user(
            f"positivity is in doubt: of the {rows} rows with {level} none has "
            f"{treatment} = {arm!r}. The effect there is an extrapolation."
        )


def _empty(problem, levels, code):
    """Level, rows and arm of the first stratum without an arm, or None."""
    n_arms = len(problem.arms)
    share = np.bincount(problem.arm, minlength=n_arms) / len(problem.arm)
    counts = np.zeros((len(levels), n_arms))
    np.add.at(counts, (code, problem.arm), 1)
    rows = counts.sum(1, keepdims=True)
    empty = (counts == 0) & ((1 - share) ** rows < UNLIKELY / counts.size)
    if not empty.any():
        return None
    i, a = np.argwhere(empty)[0]
    level = levels[i].item() if hasattr(levels[i], "item") else levels[i]
    return level, int(rows[i, 0]), problem.arms[a]


def discrete_codes(variables, names):
    """Levels and codes of categories and columns of two values; all jointly as None."""
    found = {}
    for name in names:
        if variables.is_discrete(name):
            levels, code = variables.codes(name)
            if name in variables.levels or len(levels) == 2:
                found[name] = levels, code
    if len(found) > 1:
        codes = pd.DataFrame({v: c for v, (_, c) in found.items()})
        joint = codes.groupby(list(codes), sort=True).ngroup().to_numpy()
        first = codes.drop_duplicates().sort_values(list(codes))
        levels = [
            ", ".join(f"{v} = {found[v][0][c]}" for v, c in zip(codes, row))
            for row in first.itertuples(index=False)
        ]
        found[None] = np.array(levels, object), joint
    return found
