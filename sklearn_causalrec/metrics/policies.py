"""A fitted recommender as a policy: probabilities of actions."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from sklearn_causalrec._utils.unwrap import is_policy, unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.arms import arm_codes


def _outcome(fitted, X, **arm):
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(X, **arm)[:, 1]
    return fitted.predict(X, **arm)


def _ranked_by(by, estimator, arms):
    """What actions are chosen by: as asked for, or by effects where there are any."""
    if by not in (None, "effect", "outcome"):
        raise ValueError(f'by is {by!r}: choose "effect" or "outcome".')
    has_effects = hasattr(estimator, "effect") and len(arms) > 1
    if by == "effect" and not has_effects:
        raise ValueError(
            f'by="effect", and {type(estimator).__name__} has no effects: it knows the '
            f'arms {arms.tolist()}. Pass by="outcome".'
        )
    return by or ("effect" if has_effects else "outcome")


def _of_policy(policy, X, actions):
    """Probabilities of a fitted policy for the actions, in their order."""
    chosen = policy.predict_proba(X)
    known = np.isin(actions, policy.arms_)
    missing = policy.arms_[~np.isin(policy.arms_, actions)]
    if len(missing):
        raise ValueError(
            f"The policy chooses {missing.tolist()[0]!r} too, which is not one of the "
            f"actions {actions[:5].tolist()}: name all of its arms_."
        )
    columns = np.zeros((len(chosen), len(actions)))
    columns[:, known] = chosen[:, arm_codes(actions[known], policy.arms_)]
    return columns


def recommender_policy(fitted, X, actions, *, by=None, temperature=0.0):
    """Probabilities with which a fitted recommender would choose each action.

    Parameters
    ----------
    fitted : estimator, Pipeline or search, fitted
        The recommender, whose prediction is the expected outcome. Actions are its
        treatment arms. They are items where it has a column `item` named and they are
        no arms. A :class:`~sklearn_causalrec.CounterfactualPolicy` has probabilities of
        its own, and takes no other actions than its arms.
    X : array-like or frame of shape (n, p)
        The contexts, as they enter the pipeline. Where actions are items, their column
        is overwritten, and features of items must not be in X.
    actions : array-like of shape (n_actions,)
        The actions, in the order of the columns that are returned.
    by : {"effect", "outcome"}, default=None
        What the best action is best by, as in :func:`~sklearn_causalrec.recommend`.
        "effect" compares the effects of all arms against one of them; items are
        compared by their effect if shown. "outcome" compares predicted outcomes. None
        stands for "effect" where the estimator has effects, which needs several arms,
        and else for "outcome".
    temperature : float, default=0.0
        How evenly the actions are taken. 0 takes the best action, and shares ties
        equally. Other values take the softmax of the effects or outcomes divided by the
        temperature. A policy has no temperature.

    Returns
    -------
    ndarray of shape (n, n_actions)
        The probabilities. Each row sums to 1.

    Raises
    ------
    ValueError
        If the actions are neither arms nor items of the estimator, or lack an arm of a
        policy, or the estimator has no effects and `by` asks for them.

    See Also
    --------
    policy_value : What the policy would earn.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.metrics import recommender_policy
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
    >>> y = t * np.sign(X[:, 0])
    >>> model = CausalDNNRecommender(effect_learner="t", random_state=0)
    >>> model = model.fit(X, y, treatment=t)
    >>> recommender_policy(model, [[3.0, 0.0], [-3.0, 0.0]], actions=[0, 1])
    array([[0., 1.],
           [1., 0.]])
    """
    transform, estimator = unwrap(fitted)
    actions = np.asarray(actions)
    if temperature < 0:
        raise ValueError(f"temperature is {temperature!r}: 0 or more.")
    if is_policy(estimator):
        if temperature > 0 or by is not None:
            raise ValueError(
                f"temperature is {temperature!r} and by is {by!r}, and "
                f"{type(estimator).__name__} has probabilities of its own: leave both "
                "out."
            )
        return _of_policy(estimator, transform(X), actions)
    arms = np.asarray(getattr(estimator, "arms_", []))
    item = getattr(estimator, "item", None)
    by = _ranked_by(by, estimator, arms)
    if len(arms) > 1 and np.isin(actions, arms).all():
        rows, first = transform(X), arms.tolist()[0]
        if by == "effect":
            value = [
                np.zeros(len(X)) if a == first else estimator.effect(rows, first, a)
                for a in actions.tolist()
            ]
        else:
            value = [_outcome(estimator, rows, treatment=a) for a in actions.tolist()]
    elif item is not None and isinstance(X, pd.DataFrame) and item in X.columns:
        shown = [X.assign(**{item: a}) for a in actions.tolist()]
        value = [
            effect(fitted, x) if by == "effect" else _outcome(fitted, x) for x in shown
        ]
    else:
        raise ValueError(
            f"The actions {actions[:5].tolist()} are no arms of the estimator, whose "
            f"arms are {arms.tolist()}, and no items of a frame X: its item column is "
            f"{item!r}."
        )
    value = np.column_stack(value)
    if np.isnan(value).any():
        row = int(np.isnan(value).any(axis=1).argmax())
        raise ValueError(f"The {by} predicted in row {row} is NaN: no action is best.")
    if temperature > 0:
        return softmax(value / temperature, axis=1)
    best = value == value.max(axis=1, keepdims=True)
    return best / best.sum(axis=1, keepdims=True)
