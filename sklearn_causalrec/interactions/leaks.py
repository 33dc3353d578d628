"""Features of decisions, and the check that they do not look past them."""

import numpy as np
import pandas as pd
from sklearn.base import clone

from sklearn_causalrec.encoding.times import PastIndex


def evaluate_feature(name, feature, decisions, events):
    """Compute a feature of the decisions from the events.

    Parameters
    ----------
    name : str
        The name of the feature.
    feature : callable or transformer
        What computes it, as in :func:`build_examples`.
    decisions, events : DataFrame
        The decisions and the events.

    Returns
    -------
    DataFrame
        The columns are named after the feature, and the index is that of the decisions.
    """
    if hasattr(feature, "transform"):
        fitted = clone(feature).fit(events)
        result = fitted.transform(decisions)
        if not hasattr(result, "columns"):
            names = fitted.get_feature_names_out()
            result = pd.DataFrame(np.asarray(result), columns=names)
    elif callable(feature):
        result = feature(decisions.copy(), events.copy())
    else:
        raise TypeError(
            f"features[{name!r}] must be a function of (decisions, events) or a "
            f"transformer, got {type(feature).__name__}."
        )
    if hasattr(result, "to_pandas"):
        result = result.to_pandas()
    if isinstance(result, pd.Series):
        result = result.to_numpy()
    if not isinstance(result, pd.DataFrame):
        result = np.asarray(result)
        result = pd.DataFrame(result if result.ndim > 1 else result[:, None])
    if len(result) != len(decisions):
        raise ValueError(
            f"features[{name!r}] returned {len(result)} rows for {len(decisions)} "
            "decisions: one row a decision."
        )
    names = [f"{name}_{column}" for column in result.columns]
    result = result.set_axis([name] if len(names) == 1 else names, axis=1)
    return result.set_axis(decisions.index, axis=0)


def _differ(a, b):
    """Tell in which rows two columns differ by more than rounding."""
    if a.dtype.kind in "fiub" and b.dtype.kind in "fiub":
        return ~np.isclose(a.astype(float), b.astype(float), 1e-6, 1e-8, equal_nan=True)
    return np.array([not _same(x, y) for x, y in zip(a, b)], dtype=bool)


def _same(x, y):
    if isinstance(x, (list, tuple, np.ndarray)):
        return len(x) == len(y) and all(map(_same, x, y))
    if isinstance(x, (float, np.floating)) and isinstance(y, (float, np.floating)):
        return bool(np.isclose(x, y, 1e-6, 1e-8, equal_nan=True))
    return bool(x == y) or (pd.isna(x) and pd.isna(y))


def _where_to_look(decisions, events, time, user, positive, n, rng):
    """Choose decisions at which a leak would show: an event or outcome follows soon."""
    at = decisions[time].to_numpy()
    known = pd.Index(pd.unique(events[user]))
    past = PastIndex(known.get_indexer(events[user]), events[time].to_numpy())
    following = past.before(known.get_indexer(decisions[user]), at)[1]
    positions = np.minimum(following, len(events) - 1)
    next_user = events[user].to_numpy()[past.order][positions]
    next_time = events[time].to_numpy()[past.order][positions]
    there = (following < len(events)) & (next_user == decisions[user].to_numpy())
    # Without an earlier event there would be nothing to compute the feature from.
    there &= at > events[time].min()
    rows = np.flatnonzero(there)
    soonest = rows[np.argsort(next_time[rows] - at[rows], kind="stable")][: n - n // 2]
    pool = np.flatnonzero(positive & (at > events[time].min()))
    pool = pool if len(pool) else rows
    chosen = rng.choice(pool, size=min(len(pool), n // 2), replace=False)
    return np.unique(np.concatenate([soonest, chosen]).astype(int))


def refuse_leaks(
    name, feature, result, decisions, events, time, user, positive, n_checks, rng
):
    """Raise if the feature of a decision changes when the events after it are unknown.

    Parameters
    ----------
    name : str
        The name of the feature.
    feature : callable or transformer
        What computes it.
    result : DataFrame
        The feature as computed from all events.
    decisions, events : DataFrame
        The decisions and the events, sorted by time.
    time, user : str
        The columns of times and of user ids.
    positive : ndarray of bool
        Which decisions have a positive outcome.
    n_checks : int
        The number of decisions at which the log is cut.
    rng : RandomState
        The generator that draws some of these decisions.

    Raises
    ------
    ValueError
        If the feature changes. The message names the feature and the decision.
    """
    if n_checks == 0 or len(events) == 0:
        return
    at = decisions[time].to_numpy()
    happened = events[time].to_numpy()
    rows = _where_to_look(decisions, events, time, user, positive, n_checks, rng)
    for row in rows:
        known = at <= at[row]
        cut = evaluate_feature(
            name,
            feature,
            decisions[known].reset_index(drop=True),
            events[happened < at[row]].reset_index(drop=True),
        )
        for column in result.columns.intersection(cut.columns):
            whole = result.loc[known, column].to_numpy()
            part = cut[column].to_numpy()
            changed = _differ(whole, part)
            if changed.any():
                i = int(np.flatnonzero(changed)[-1])
                before, after = part.tolist()[i], whole.tolist()[i]
                raise ValueError(
                    f"The feature {column!r} looks past the decision: for user "
                    f"{decisions[user].iloc[i]!r} at {decisions[time].iloc[i]} it is "
                    f"{after!r}, but {before!r} when only the events before {at[row]} "
                    "are known. Use what happened strictly before a decision's time, "
                    "for instance PastAggregates or merge_asof with "
                    "allow_exact_matches=False."
                )
