"""Lists of recommendations through any Pipeline or search."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.checks import choice, number

if TYPE_CHECKING:
    from sklearn_causalrec.ranking.cold_start import ColdStart


def recommend(
    fitted: Any,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    k: int = 10,
    by: Literal["effect", "outcome"] | None = None,
    exclude: ArrayLike | None = None,
    min_effect: float | None = None,
    *,
    context: Mapping[str, Any] | ArrayLike | None = None,
    exclude_seen: bool | Literal["rated"] = True,
    cold_start: str | ColdStart = "blend",
    explore: Literal["epsilon", "thompson", "uncertainty"] | None = None,
    epsilon: float = 0.1,
    bonus: float = 1.0,
    withhold: int = 0,
    random_state: Seed = None,
    T0: Arm | None = None,
    T1: Arm | None = None,
) -> pd.DataFrame:
    """Recommend the k best items to every user, by effect or by outcome.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model. Its ``user`` and ``item`` columns must be named.
    users : array-like of ids, frame, or None, default=None
        The users. A frame has the column of ids, one row for each user, and may have
        any columns that differ between users, as they enter the pipeline: features of
        the user, the context in which the user is met, histories. They go before what
        the log says of the user. With None, the users of the log.
    items : array-like of ids, frame, or None, default=None
        The items to choose from. They are given as `users` are. With None, the items of
        the log.
    k : int, default=10
        The number of items per user. It can be smaller where there are fewer
        candidates.
    by : {"effect", "outcome"}, default=None
        What the items are ranked by: "effect" is what changes because an item is shown,
        "outcome" is what happens if it is shown. None stands for "effect"; for
        "outcome" where a model learns lists and no effects: those of ``baselines``, the
        objective "implicit", and logs of who chose what.
    exclude : frame or array-like of shape (m, 2), default=None
        Pairs that are left out. A frame is read by the names of the columns of ids;
        other columns do not count. An array has the order (user, item).
    min_effect : float, default=None
        The effect above which a pair is a candidate. With None, all pairs are.
    context : dict or frame of one row, default=None
        The values of columns that all lists share, such as the time of day. A column
        that nobody gives counts at its mean over the log;
        :func:`~sklearn_causalrec.explain` says which value that is. A pipeline needs
        all its columns, in `users`, `items` or here.
    exclude_seen : bool or "rated", default=True
        Which pairs of the log are left out. With True, those that were shown: rows of
        the control arm are not. With "rated", those that the user acted on: a row has
        y > 0. With False, none.
    cold_start : str or ColdStart, default="blend"
        What stands for ids with few rows or no rows in the log: "blend", "content",
        "neighbors", "average", or the settings of a
        :class:`~sklearn_causalrec.ranking.ColdStart`, where these words are explained.
        An id without features is the average id.
    explore : {"epsilon", "thompson", "uncertainty"}, default=None
        How lists are drawn at random, with known probabilities. The next log then tells
        about items that would not have been shown. See
        :class:`~sklearn_causalrec.ranking.Exploration`. "thompson" and "uncertainty"
        need ``n_estimators`` of 2 or more. With None, lists are not random.
    epsilon : float, default=0.1
        The probability that a place of a list is freed for an item that is drawn
        uniformly from the candidates. It applies with `explore`.
    bonus : float, default=1.0
        The number of standard deviations over the networks that are added to a score.
        It applies to "uncertainty".
    withhold : int, default=0
        The number of pairs per user that are returned as not shown. They are drawn
        uniformly from the candidates outside the list. It needs `explore`.
    random_state : int, RandomState instance or None, default=None
        The seed of the draws with `explore`. Pass an int for reproducible lists.
    T0 : scalar, default=None
        The arm that `T1` is compared with. None stands for the control.
    T1 : scalar, default=None
        The arm of the effect and of the outcome. None stands for the other of two arms.
        Of more arms it has to be named, but for 1 against a control of 0.

    Returns
    -------
    DataFrame
        One row per listed pair. The columns of the ids have the names that they have in
        the log (``user`` and ``item`` if it has no names, or one of those below).
        ``rank`` is counted from 1,
        and ``score`` is in units of y (with the objective "implicit" it has no unit).
        With `explore`, ``propensity`` is the exact
        probability that the pair is in the list. With `withhold`, there are also
        ``shown`` and ``sample_weight``. A withheld pair has rank 0 and ``shown`` 0; its
        ``propensity`` is the probability that it is not shown, and its
        ``sample_weight`` is the number of pairs that it stands for. Together with the
        outcomes, these columns are what ``fit`` needs.

    Raises
    ------
    ValueError
        If the catalogue is empty, the user or item column was not named, the effect is
        not identified, ids are of another kind than in the log (such as "1" among
        numbers), a value is missing, a column comes twice, or an option cannot be used.
        The message names it.

    See Also
    --------
    explain : Return the lists together with what their scores rest on.
    effect : Predict the effect on given rows.
    sklearn_causalrec.ranking.rerank : Choose lists that satisfy constraints.

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

    With ``explore="epsilon"``, one place in ten explores:

    >>> top = recommend(model, users=[3, 7], k=2, explore="epsilon", random_state=0)
    >>> top["propensity"].round(2).tolist()
    [0.9, 0.9, 0.9, 0.9]
    """
    from sklearn_causalrec.ranking.cold_start import ColdStart, with_stand_ins
    from sklearn_causalrec.ranking.exploration import Exploration
    from sklearn_causalrec.ranking.pairs import Pairs
    from sklearn_causalrec.ranking.topk import NotANumberError, top_k

    transform, estimator = unwrap(fitted)
    if by is None:
        by = getattr(estimator, "_ranks_by", "effect")
    choice(by, "by", {"effect", "outcome"})
    k = check_k(k)
    if min_effect is not None:
        min_effect = number(min_effect, "min_effect", infinite=True)
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
    pairs = Pairs(fitted, transform, estimator, users, items, context)
    estimator = with_stand_ins(estimator, pairs, how)
    excluded = pairs.excluded(exclude, exclude_seen)
    size = len(pairs.users), len(pairs.items)
    if explore is None:
        scores = estimator.pair_scores(by, min_effect, T0, T1)
        try:
            user, item, rank, score = top_k(
                lambda start, stop: pairs.scores(scores, start, stop, check=False),
                *size,
                k,
                excluded=excluded,
                progress=bool(estimator.verbose),
            )
        except NotANumberError as error:
            raise pairs.not_a_number(error.row, error.column) from None
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
    keys = names_of_ids(pairs.keys)
    return pd.DataFrame(
        {
            keys[0]: pairs.users[user],
            keys[1]: pairs.items[item],
            "rank": rank,
            "score": score,
            **drawn,
        }
    )


def check_k(k):
    """A number of items per user, as an int; others are refused."""
    if isinstance(k, bool) or not isinstance(k, Real) or k % 1 != 0 or k < 1:
        raise ValueError(f"k is {k!r}: a whole number, at least 1 item a user.")
    return int(k)


def names_of_ids(keys):
    """The names of the columns of ids in lists, whose other columns come first."""
    taken = {"rank", "score", "propensity", "shown", "sample_weight"}
    taken |= {"assumed", "because"}
    if taken & set(keys) or keys[0] == keys[1]:
        return "user", "item"
    return keys


def explain(
    fitted: Any,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    k: int = 10,
    by: Literal["effect", "outcome"] | None = None,
    *,
    context: Mapping[str, Any] | ArrayLike | None = None,
    cold_start: str | ColdStart = "blend",
    n_neighbors: int = 5,
    **options: Any,
) -> pd.DataFrame:
    """Recommend items, and report what the scores of users and items rest on.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model. Its ``user`` and ``item`` columns must be named.
    users : array-like of ids, frame, or None, default=None
        The users, as in :func:`~sklearn_causalrec.recommend`.
    items : array-like of ids, frame, or None, default=None
        The items to choose from, as in :func:`~sklearn_causalrec.recommend`.
    k : int, default=10
        The number of items per user.
    by : {"effect", "outcome"}, default=None
        What the items are ranked by, as in :func:`~sklearn_causalrec.recommend`.
    context : dict or frame of one row, default=None
        The values of columns that all lists share, as in
        :func:`~sklearn_causalrec.recommend`.
    cold_start : str or ColdStart, default="blend"
        What stands for ids with few rows or no rows in the log, as in
        :func:`~sklearn_causalrec.recommend`.
    n_neighbors : int, default=5
        The number of nearest ids by features that are reported.
    **options
        Further parameters of :func:`~sklearn_causalrec.recommend`.

    Returns
    -------
    DataFrame
        The columns of :func:`~sklearn_causalrec.recommend`; ``assumed``, a dict of the
        features that nobody gave and the log does not know for this user or item, with
        the values that they count at; and the following ones for the user
        (``user_...``) and for the item (``item_...``). Models that score an item by the
        user's own ones, such as :class:`~sklearn_causalrec.baselines.EASE`, have
        ``because``, too: up to three of these that add most to the score.

        source
            What stands for the id. "behaviour" is its own rows in the log. "content"
            and "neighbors" are its features, because the log does not know it. "blend"
            is both its rows and its features. "history" is the past items of a user
            that the log does not know. "average" is the average id, because nothing is
            known.
        feature_weight
            The weight of the features in what stands for the id, from 0 to 1.
        rows
            The number of logged pairs of the id.
        neighbors
            The nearest known ids by features, nearest first. The list is empty if the
            id has no features.

    Raises
    ------
    ValueError
        If :func:`~sklearn_causalrec.recommend` refuses the model, the users and items,
        or an option.

    See Also
    --------
    recommend : Return the lists alone.
    sklearn_causalrec.ranking.ColdStart : The settings of `cold_start`.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender, explain
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> log = make_exposure_log(900, n_users=50, n_items=100, random_state=0)
    >>> model = CausalDNNRecommender(user="user", item="item", effect_learner="t")
    >>> model = model.fit(log.X, log.y, treatment=log.treatment)
    >>> newcomer = log.world.users.tail(1).assign(user=9000)
    >>> why = explain(model, newcomer, k=1)
    >>> why[["user", "user_source", "user_rows"]].values.tolist()
    [[9000, 'content', 0]]
    """
    from sklearn_causalrec.ranking.cold_start import ColdStart, sides
    from sklearn_causalrec.ranking.pairs import Pairs

    options |= dict(context=context, cold_start=cold_start)
    top = recommend(fitted, users, items, k, by, **options)
    transform, estimator = unwrap(fitted)
    how = ColdStart.of(cold_start, estimator)
    pairs = Pairs(fitted, transform, estimator, users, items, context)
    if len(pairs.users) == 0:
        return top
    user, item = (
        pd.Index(ids).get_indexer(pd.Index(top[key]))
        for ids, key in zip((pairs.users, pairs.items), names_of_ids(pairs.keys))
    )
    top["assumed"] = pairs.assumed(user, item)
    if hasattr(estimator, "because"):
        codes = pairs.sides[0].codes[user], pairs.sides[1].codes[item]
        top["because"] = estimator.because(*codes)
    both = zip(("user", "item"), (user, item), sides(estimator, pairs))
    for name, positions, side in both:
        about = pd.DataFrame(
            {
                "source": side.sources(how),
                "feature_weight": side.weights(how),
                "rows": side.n_rows,
                "neighbors": side.nearest(n_neighbors),
            }
        )
        about = about.iloc[positions].reset_index(drop=True)
        top = top.join(about.add_prefix(f"{name}_"))
    return top
