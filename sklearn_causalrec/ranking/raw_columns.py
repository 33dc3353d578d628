"""Columns of users, items and context as they enter the steps before an estimator."""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from sklearn_causalrec.ranking.asked import (
    column_of_role,
    in_both,
    one_row_each,
    read_context,
)


def has_steps(fitted, estimator):
    """Whether there are steps before the estimator.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    estimator : estimator
        The estimator at the end of `fitted`.

    Returns
    -------
    bool
        False for the estimator itself, also at the end of a search.
    """
    while fitted is not estimator:
        if hasattr(fitted, "best_estimator_"):
            fitted = fitted.best_estimator_
        elif isinstance(fitted, Pipeline) and len(fitted) == 1:
            fitted = fitted[-1]
        else:
            return True
    return False


def raw_columns(fitted, estimator, sides, context):
    """Put the columns together that the steps before an estimator read.

    Parameters
    ----------
    fitted : Pipeline or search
        The fitted model.
    estimator : estimator
        The estimator at the end of `fitted`.
    sides : sequence of two Side
        The users and the items.
    context : dict, one row of a frame, or None
        The values that all lists share.

    Returns
    -------
    sides : list of two Side
        The users and the items, of one row an id.
    needed : list of str
        The columns that the steps read, in order.
    users, items : DataFrame
        These columns, a row an id. The context is among those of the users.

    Raises
    ------
    ValueError
        If a column is lacking, or comes twice.
    """
    needed = list(getattr(fitted, "feature_names_in_", []))
    if not needed:
        raise ValueError(
            "The pipeline was fitted to an array, so that the columns of frames cannot "
            "be told: fit it to a DataFrame, or pass ids alone."
        )
    keys = [side.key for side in sides]
    sides = [one_row_each(side, needed) for side in sides]
    users, items = (_with_ids(side, needed) for side in sides)
    both = [name for name in users.columns if name in items.columns]
    if both:
        raise ValueError(f"items holds {both[0]!r}, {in_both('users')}.")
    why_not = {}
    for part, where in ((users, "users"), (items, "items")):
        why_not |= dict.fromkeys(part.columns.difference(keys), in_both(where))
    settable = [name for name in needed if name not in keys]
    shared = read_context(context, settable, keys, why_not)
    # What was done is not asked here, and no step should read it.
    for role, value in (
        ("treatment", estimator.log_encoder_.arms[0]),
        ("propensity", np.nan),
    ):
        shared.setdefault(column_of_role(fitted, estimator, role), value)
    for name, value in shared.items():
        if name in needed and name not in {*users, *items}:
            users = users.assign(**{name: [value] * len(users)})
    missing = [name for name in needed if name not in {*users, *items}]
    if missing:
        raise ValueError(
            f"The pipeline transforms the columns {needed}, and users and items came "
            f"without {missing}. Pass frames that hold them, users= and items=; set "
            "what all lists share, context={column: value}; or pass ids alone."
        )
    return sides, needed, users, items


def _with_ids(side, needed):
    frame = pd.DataFrame(index=range(len(side.ids)))
    frame = frame if side.frame is None else side.frame
    return frame.assign(**{side.key: side.ids}) if side.key in needed else frame
