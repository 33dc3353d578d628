"""recommend and explain: lists through any Pipeline or search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec._utils.unwrap import unwrap

if TYPE_CHECKING:
    from sklearn_causalrec.ranking.cold_start import ColdStart


def recommend(
    fitted: Any,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    k: int = 10,
    by: Literal["effect", "outcome"] = "effect",
    exclude: ArrayLike | None = None,
    min_effect: float | None = None,
    *,
    exclude_seen: bool = True,
    cold_start: str | ColdStart = "blend",
    explore: Literal["epsilon", "thompson", "uncertainty"] | None = None,
    epsilon: float = 0.1,
    bonus: float = 1.0,
    withhold: int = 0,
    random_state: Seed = None,
    T0: Arm = 0,
    T1: Arm = 1,
) -> pd.DataFrame:
    """The k best items of every user, by effect or by outcome.

    Parameters
    ----------
    fitted : estimator, Pipeline or search, fitted
        With ``user`` and ``item`` columns named.
    users, items : array-like of ids, frame, or None
        None: those of the log. A frame has the id column and may have feature columns,
        as they enter the pipeline; ids new to the estimator lean on those.
    k : int
        Items a user; fewer where the catalogue is smaller.
    by : {"effect", "outcome"}
        Rank by what changes because it is shown, or by what happens if it is shown.
    exclude : frame or array-like of shape (m, 2), optional
        Pairs (user, item) to leave out.
    min_effect : float, optional
        Leave out pairs whose effect is not above it.
    exclude_seen : bool
        Leave out the pairs of the log.
    cold_start : {"blend", "content", "neighbors", "average"} or ColdStart
        What stands for ids with few rows in the log or none: what their features say,
        the ids nearest by features, or the average; see
        :class:`~sklearn_causalrec.ranking.ColdStart`. Without features, the average.
    explore : {"epsilon", "thompson", "uncertainty"}, optional
        Draw lists at random, with known probabilities, so that the next log tells about
        what would not have been shown; see
        :class:`~sklearn_causalrec.ranking.Exploration`. "thompson" and "uncertainty"
        need ``n_estimators`` of 2 or more.
    epsilon : float
        With ``explore``: the probability that a place of a list is freed for an item
        drawn evenly from the candidates.
    bonus : float
        With "uncertainty": standard deviations over the networks that add to a score.
    withhold : int
        With ``explore``: pairs a user to be logged as not shown, drawn evenly from the
        candidates outside the list.
    random_state : int, RandomState or None
        Of ``explore``.
    T0, T1 : scalar
        Arms of the effect; T1 is the arm of the outcome.

    Returns
    -------
    DataFrame
        Columns user, item, rank (from 1) and score, in the units of y. With
        ``explore``, propensity: the exact probability that the pair is in the list.
        With ``withhold``, ``shown`` and ``sample_weight`` too: withheld pairs have
        rank 0, shown 0, the probability of not being shown, and as weight the number of
        pairs each one stands for. With the outcomes these columns are what ``fit``
        asks for.

    Raises
    ------
    ValueError
        If the catalogue is empty, ids were not named, the effect is not identified, or
        an option cannot be used; the message names it.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender, recommend
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> log = make_exposure_log(900, n_users=50, n_items=100, random_state=0)
    >>> model = CausalDNNRecommender(user="user", item="item", random_state=0)
    >>> model = model.fit(log.X, log.y, treatment=log.treatment)
    >>> top = recommend(model, users=[3, 7], k=2)
    >>> top[["user", "rank"]].values.tolist()
    [[3, 1], [3, 2], [7, 1], [7, 2]]

    One place in ten explores:

    >>> top = recommend(model, users=[3, 7], k=2, explore="epsilon", random_state=0)
    >>> top["propensity"].round(2).tolist()
    [0.9, 0.9, 0.9, 0.9]
    """
    from sklearn_causalrec.ranking.cold_start import ColdStart, lean
    from sklearn_causalrec.ranking.exploration import Exploration
    from sklearn_causalrec.ranking.pairs import Pairs
    from sklearn_causalrec.ranking.topk import top_k

    transform, estimator = unwrap(fitted)
    if by not in ("effect", "outcome"):
        raise ValueError(f'by is {by!r}: choose "effect" or "outcome".')
    if k < 1:
        raise ValueError(f"k is {k!r}: at least 1 item a user.")
    how = ColdStart.of(cold_start, estimator)
    if explore is not None:
        rng = check_random_state(random_state)
        explore = Exploration(explore, epsilon, bonus, withhold, rng)
    elif withhold:
        raise ValueError(
            f"withhold={withhold!r} without explore: lists are certain, and what is "
            'never shown has no counterpart. Set explore="epsilon".'
        )
    estimator.pair_scores(by, min_effect, T0, T1)  # refuses before any work
    pairs = Pairs(fitted, transform, estimator, users, items)
    estimator = lean(estimator, pairs, how)
    excluded = pairs.excluded(exclude, exclude_seen)
    size = len(pairs.users), len(pairs.items)
    if explore is None:
        scores = estimator.pair_scores(by, min_effect, T0, T1)
        user, item, rank, score = top_k(
            lambda start, stop: pairs.scores(scores, start, stop),
            *size,
            k,
            excluded=excluded,
            progress=bool(estimator.verbose),
        )
        drawn = {}
    else:
        scorers = explore.scorers(estimator, by, min_effect, T0, T1)
        user, item, rank, score, propensity, weight = explore.lists(
            lambda start, stop: [pairs.scores(s, start, stop) for s in scorers],
            *size,
            k,
            excluded,
        )
        drawn = {"propensity": propensity}
        if withhold:
            drawn.update(shown=(rank > 0).astype(int), sample_weight=weight)
    return pd.DataFrame(
        {
            "user": pairs.users[user],
            "item": pairs.items[item],
            "rank": rank,
            "score": score,
            **drawn,
        }
    )


def explain(
    fitted: Any,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    k: int = 10,
    by: Literal["effect", "outcome"] = "effect",
    *,
    cold_start: str | ColdStart = "blend",
    n_neighbors: int = 5,
    **options: Any,
) -> pd.DataFrame:
    """The lists of ``recommend``, with what the scores of user and item rest on.

    Parameters
    ----------
    fitted, users, items, k, by, cold_start
        As in :func:`recommend`.
    n_neighbors : int
        Of the nearest ids by features, so many are named.
    **options
        Further ones of :func:`recommend`.

    Returns
    -------
    DataFrame
        The columns of :func:`recommend`, and for user and item each (``user_…``,
        ``item_…``):

        source
            "behaviour": the id's rows in the log alone. "content", "neighbors": the
            log does not know the id, its features stand for it. "blend": both.
            "history": the log does not know the user, his past items were given.
            "average": there is nothing to go by, the id counts as the average one.
        feature_weight
            Of the features in what stands for the id, from 0 to 1.
        rows
            Logged pairs of the id.
        neighbors
            Known ids nearest by features, nearest first; none where it has none.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender, explain
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> log = make_exposure_log(900, n_users=50, n_items=100, random_state=0)
    >>> model = CausalDNNRecommender(user="user", item="item", effect_learner="t")
    >>> model = model.fit(log.X, log.y, treatment=log.treatment)
    >>> newcomer = log.world.users.tail(1).assign(user="new")
    >>> why = explain(model, newcomer, k=1)
    >>> why[["user", "user_source", "user_rows"]].values.tolist()
    [['new', 'content', 0]]
    """
    from sklearn_causalrec.ranking.cold_start import ColdStart, sides
    from sklearn_causalrec.ranking.pairs import Pairs

    top = recommend(fitted, users, items, k, by, cold_start=cold_start, **options)
    transform, estimator = unwrap(fitted)
    how = ColdStart.of(cold_start, estimator)
    pairs = Pairs(fitted, transform, estimator, users, items)
    if len(pairs.users) == 0:
        return top
    for name, side in zip(("user", "item"), sides(estimator, pairs)):
        about = pd.DataFrame(
            {
                "source": side.sources(how),
                "feature_weight": side.weights(how),
                "rows": side.n_rows,
                "neighbors": side.nearest(n_neighbors),
            },
            index=side.ids,
        )
        about = about[~about.index.duplicated()].loc[top[name]].reset_index(drop=True)
        top = top.join(about.add_prefix(f"{name}_"))
    return top
