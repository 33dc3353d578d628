"""Fairness by group: who is treated, what that does, and whose items are shown."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.checks import column
from sklearn_causalrec.encoding.frames import as_frame, refuse_unclear
from sklearn_causalrec.encoding.kinds import as_series


def effects_by_group(
    fitted: Any,
    groups: ArrayLike,
    T0: Arm | None = None,
    T1: Arm | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    r"""Compare groups of people: how often they are treated, and what it does to them.

    The effect in a group is the mean of the doubly robust scores of its rows, the same
    scores whose mean over all rows is ``ate()`` [1]_. Group means of influence
    functions have intervals of their own, which count that rows of a cluster belong
    together. The group need not be a column that the model read, unless the system
    treats groups differently by more than the columns it read: then make it one.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        A fitted :class:`~sklearn_causalrec.CausalDNNRecommender` with a second stage,
        or :class:`~sklearn_causalrec.DoCalculusEffect` whose treatment has arms, by
        adjustment: the scores of other strategies average to the effect over all rows,
        and not within groups.
    groups : array-like of shape (n,)
        The group of each row of the log that it was fitted to, in their order; rows of
        weight 0 count as well. A missing group is a group of its own.
    T0 : scalar, default=None
        The arm that the effect is against. None stands for ``control_``.
    T1 : scalar, default=None
        The arm of interest. None stands for the other of two arms.
    alpha : float, default=0.05
        One minus the level of the intervals, each of which is for itself: of twenty
        groups, one is expected to miss at 0.05.

    Returns
    -------
    DataFrame
        A row for each group, by its label. ``n`` is the number of its rows, ``treated``
        the share of them that had T1, of those with T0 or T1, and ``effect`` the mean
        effect; ``gap`` is the effect less that of all other rows. Each comes with its
        bounds, ``_low`` and ``_high``.

    Raises
    ------
    TypeError
        If the model has no scores of effects.
    ValueError
        If the groups are not one a row, or are all the same.

    See Also
    --------
    exposure_by_group : Whose items the lists show.
    model_card : Take such a table into the card of the model.

    References
    ----------
    .. [1] Semenova, V. and Chernozhukov, V. (2021). "Debiased machine learning of
       conditional average treatment effects and other causal functions." Econometrics
       Journal 24(2).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec import DoCalculusEffect
    >>> from sklearn_causalrec.privacy import effects_by_group
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"x": rng.normal(size=600), "shown": rng.integers(0, 2, 600)})
    >>> town = np.where(rng.random(600) < 0.5, "Bonn", "Ulm")
    >>> y = X["x"] + X["shown"] * (town == "Ulm") * 2 + rng.normal(size=600)
    >>> model = DoCalculusEffect(treatment="shown", cv=2, random_state=0).fit(X, y)
    >>> table = effects_by_group(model, town)
    >>> bool(table.loc["Ulm", "gap_low"] > 1)
    True
    """
    check_alpha(alpha)
    estimator = unwrap(fitted)[1]
    t0, t1, scores, arm, weight, clusters, kept = _scores(estimator, T0, T1)
    labels = as_series(groups, "groups")
    if len(labels) != len(kept):
        raise ValueError(
            f"groups has {len(labels)} rows, and the model was fitted to {len(kept)}: "
            "pass the group of each row of the log, in the same order."
        )
    labels = labels[kept]
    codes, names = pd.factorize(labels, sort=True, use_na_sentinel=False)
    if len(names) < 2:
        raise ValueError("groups is the same in all rows: there is nothing to compare.")
    pair = np.isin(arm, (t0, t1))
    rows = {}
    for code, name in enumerate(names):
        mine = codes == code
        effect, psi = _mean(scores, mine, weight)
        rest, psi_rest = _mean(scores, ~mine, weight)
        found: dict[str, float] = {"n": int(mine.sum())}
        here = mine & pair
        if here.any():
            treated, psi_treated = _mean((arm == t1).astype(float), here, weight)
            found |= _with_bounds("treated", treated, psi_treated, clusters, alpha)
            for bound in ("treated_low", "treated_high"):
                found[bound] = float(np.clip(found[bound], 0, 1))
        found |= _with_bounds("effect", effect, psi, clusters, alpha)
        found |= _with_bounds("gap", effect - rest, psi - psi_rest, clusters, alpha)
        rows[name] = found
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def exposure_by_group(
    lists: pd.DataFrame,
    groups: Mapping[Any, Any] | pd.Series,
    *,
    item: str = "item",
    user: str = "user",
    rank: str | None = "rank",
    alpha: float = 0.05,
) -> pd.DataFrame:
    r"""Compare groups of items: the share of attention that lists give them.

    The k-th place of a list counts :math:`1 / \log_2(1 + k)` [1]_. The share of a group
    is computed list by list and averaged over lists, which are independent as their
    users are.

    Parameters
    ----------
    lists : DataFrame
        What :func:`~sklearn_causalrec.recommend` returned.
    groups : dict or Series
        The group of each item, by its id: of every item that could be listed, for the
        fair share is that of these.
    item : str, default="item"
        The column of the items.
    user : str, default="user"
        The column that says whose list a row is of.
    rank : str, default="rank"
        The column of the places, from 1. With None, or where there is none, rows of a
        list stand in its order.
    alpha : float, default=0.05
        One minus the level of the intervals.

    Returns
    -------
    DataFrame
        A row for each group: ``items``, the number of its items, ``catalogue``, their
        share of all items, ``exposure``, its share of attention with ``low`` and
        ``high``, and ``ratio``, exposure over catalogue.

    Raises
    ------
    ValueError
        If a column does not exist, a listed item has no group, or there is one list
        only.

    See Also
    --------
    effects_by_group : Groups of people.
    sklearn_causalrec.recommend : Make the lists.

    References
    ----------
    .. [1] Singh, A. and Joachims, T. (2018). "Fairness of exposure in rankings." KDD.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.privacy import exposure_by_group
    >>> lists = pd.DataFrame(
    ...     {"user": [1, 1, 2, 2], "item": ["a", "b", "a", "c"], "rank": [1, 2, 1, 2]})
    >>> maker = {"a": "large", "b": "small", "c": "small", "d": "small"}
    >>> exposure_by_group(lists, maker)["ratio"].round(2).to_dict()
    {'large': 2.45, 'small': 0.52}
    """
    check_alpha(alpha)
    lists = as_frame(lists, "lists")
    refuse_unclear(lists, "lists")
    for name in (item, user):
        if not isinstance(name, Hashable) or name not in lists:
            raise ValueError(
                f"{name!r} is not a column of the lists: {list(lists.columns)}."
            )
    of_item = pd.Series(dict(groups) if isinstance(groups, Mapping) else groups)
    known = lists[item].isin(of_item.index)
    if not known.all():
        raise ValueError(
            f"{int((~known).sum())} listed items have no group, such as "
            f"{lists[item][~known].iloc[0]!r}: groups is to have every item that can be"
            " listed."
        )
    whose, people = pd.factorize(lists[user])
    if len(people) < 2:
        raise ValueError("There is one list: nothing tells how much lists differ.")
    if isinstance(rank, Hashable) and rank is not None and rank in lists:
        place = column(lists[rank], "rank")
    else:
        place = lists.groupby(whose).cumcount().to_numpy() + 1
    attention = 1 / np.log2(1 + place)
    attention /= np.bincount(whose, attention)[whose]
    listed = of_item[lists[item]].to_numpy()
    rows = {}
    for name, count in of_item.value_counts(sort=False).items():
        share = np.bincount(whose, attention * (listed == name), len(people))
        found = estimate(share.mean(), share)
        low, high = found.interval(alpha)
        catalogue = count / len(of_item)
        rows[name] = {
            "items": int(count), "catalogue": catalogue, "exposure": found.value,
            "low": max(low, 0.0), "high": min(high, 1.0),
            "ratio": found.value / catalogue,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def _scores(estimator, T0, T1):
    """Arms, scores of their effect, arm, weight and clusters of rows; rows kept."""
    if hasattr(estimator, "effects_") and estimator.effects_ is not None:
        t0, t1 = estimator._contrast(T0, T1)
        found = estimator.effects_
        scores = found.scores[t1] - found.scores[t0]
        kept = estimator.log_encoder_.kept
        return t0, t1, scores, found.arm, found.weight, found.clusters, kept
    scores = getattr(estimator, "scores_", None)
    if scores is None or not getattr(estimator, "discrete_treatment_", False):
        raise TypeError(
            f"{type(estimator).__name__} has no scores of effects of arms: fit a "
            "CausalDNNRecommender with treatments and its second stage, or a "
            "DoCalculusEffect whose treatment has arms."
        )
    if estimator.strategy_ != "adjustment":
        raise TypeError(
            f"The effect is identified by {estimator.strategy_!r}, whose scores average"
            " to it over all rows and not within groups. Fit a model for each group."
        )
    t0, t1 = estimator._contrast(T0, T1)
    n = len(scores)
    weight = getattr(estimator, "_weight", None)
    weight = np.ones(n) if weight is None else np.asarray(weight, float)
    clusters = estimator._reader.clusters
    difference = scores[:, t1] - scores[:, t0]
    return t0, t1, difference, estimator.arm_, weight, clusters, np.ones(n, bool)


def _mean(values, mine, weight):
    """Weighted mean over some rows, and its influence function over all rows."""
    w = weight * mine
    mean = np.average(values, weights=w)
    return mean, w * (values - mean) / w.mean()


def _with_bounds(name, value, psi, clusters, alpha):
    low, high = estimate(value, psi, clusters).interval(alpha)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
