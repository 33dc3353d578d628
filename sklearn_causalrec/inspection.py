"""effect and recommend: through any Pipeline or search."""

import pandas as pd


def unwrap(fitted):
    """The transformers in front of an estimator, and the estimator itself.

    Parameters
    ----------
    fitted : estimator, Pipeline, or search over one of them
        Fitted.

    Returns
    -------
    transform : callable
        What the pipeline does to X before its last step.
    estimator : estimator

    Raises
    ------
    TypeError
        If the outcome is transformed on the way, so that effects would come back in
        other units than y's.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import Pipeline

    transforms = []
    while True:
        if hasattr(fitted, "best_estimator_"):
            fitted = fitted.best_estimator_
        elif isinstance(fitted, Pipeline):
            if len(fitted) > 1:
                transforms.append(fitted[:-1].transform)
            fitted = fitted[-1]
        elif isinstance(fitted, TransformedTargetRegressor):
            raise TypeError(
                "TransformedTargetRegressor changes the units of y, and effects are "
                "differences in them. Pass y untransformed: the estimator scales it "
                "inside."
            )
        else:
            break

    def transform(X):
        for step in transforms:
            X = step(X)
        return X

    return transform, fitted


def is_policy(estimator):
    """Whether an estimator's ``predict_proba`` is a policy over its ``arms_``."""
    tags = getattr(estimator, "__sklearn_tags__", None)
    return tags is not None and tags().estimator_type == "policy"


def effect(fitted, X, T0=0, T1=1):
    """Effect of arm T1 against arm T0 on each row, through any Pipeline or search.

    Parameters
    ----------
    fitted : estimator, Pipeline or search, fitted
    X : array-like or frame of shape (n, p)
        As it enters the pipeline.
    T0, T1 : scalar
        Arms.

    Returns
    -------
    ndarray of shape (n,)
        In the units of y.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_causalrec import CausalDNNRecommender, effect
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    >>> y = X[:, 0] + 2 * t
    >>> pipe = make_pipeline(StandardScaler(), CausalDNNRecommender(random_state=0))
    >>> pipe = pipe.fit(X, y, causaldnnrecommender__treatment=t)
    >>> bool(abs(effect(pipe, X).mean() - 2) < 0.1)
    True
    """
    transform, estimator = unwrap(fitted)
    return estimator.effect(transform(X), T0=T0, T1=T1)


def recommend(
    fitted,
    users=None,
    items=None,
    k=10,
    by="effect",
    exclude=None,
    min_effect=None,
    *,
    exclude_seen=True,
    T0=0,
    T1=1,
):
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
    T0, T1 : scalar
        Arms of the effect; T1 is the arm of the outcome.

    Returns
    -------
    DataFrame
        Columns user, item, rank (from 1) and score, in the units of y.

    Raises
    ------
    ValueError
        If the catalogue is empty, ids were not named, or the effect is not identified.

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
    """
    from sklearn_causalrec.ranking.pairs import Pairs
    from sklearn_causalrec.ranking.topk import top_k

    transform, estimator = unwrap(fitted)
    if by not in ("effect", "outcome"):
        raise ValueError(f'by is {by!r}: choose "effect" or "outcome".')
    if k < 1:
        raise ValueError(f"k is {k!r}: at least 1 item a user.")
    scores = estimator.pair_scores(by, min_effect, T0, T1)
    pairs = Pairs(fitted, transform, estimator, users, items)
    user, item, rank, score = top_k(
        lambda start, stop: pairs.scores(scores, start, stop),
        len(pairs.users),
        len(pairs.items),
        k,
        excluded=pairs.excluded(exclude, exclude_seen),
        progress=bool(estimator.verbose),
    )
    return pd.DataFrame(
        {
            "user": pairs.users[user],
            "item": pairs.items[item],
            "rank": rank,
            "score": score,
        }
    )
