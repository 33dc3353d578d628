"""What a policy over slates would earn: rewards at every position of a list."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.encoding.checks import choice
from sklearn_causalrec.metrics.off_policy.estimators import Rounds, summarize

_ESTIMATORS = ("standard", "independent", "reward_interaction", "cascade_dr")


def _slates(values, name, shape=None):
    values = np.asarray(values, float)
    if values.ndim != 2 or (shape is not None and values.shape != shape):
        raise ValueError(
            f"{name} has the shape {values.shape}: a row a slate and a column a "
            f"position are needed{'' if shape is None else f', {shape}'}."
        )
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values).all(axis=1)).argmax())
        raise ValueError(f"{name} is no number in slate {row}.")
    return values


def _probabilities(values, name, shape, positive=False):
    values = _slates(values, name, shape)
    wrong = ((values < 0) | (values > 1) | (positive & (values == 0))).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} is {values[row].tolist()} in slate {row}: probabilities in "
            f"{'(0, 1]' if positive else '[0, 1]'} are needed."
        )
    return values


def slate_policy_value(
    y,
    policy,
    *,
    propensity,
    marginal=None,
    outcome=None,
    estimator="reward_interaction",
    interval="normal",
    alpha=0.05,
    bounds=None,
    n_bootstrap=1000,
    random_state=0,
):
    r"""What a policy over slates would earn a slate, from the log of another.

    Parameters
    ----------
    y : array-like of shape (n, length)
        Reward at each position.
    policy, propensity : array-like of shape (n, length)
        Probability of the item shown at each position, given the context and the
        items above it, under the policy to be judged and under the one that logged.
    marginal : tuple of two array-like of shape (n, length), optional
        The same two probabilities, not given the items above: for "independent".
    outcome : tuple of two array-like of shape (n, length), optional
        For "cascade_dr", from a model that hasn't seen the slates: the expected sum of
        rewards from this position on, (of the item shown, mean over the items the
        policy would show), given the items above.
    estimator : str, default="reward_interaction"
        Whose value and interval are the result's; the table has all that can be
        computed. Each is unbiased under what it assumes of users:

        - "standard": nothing; weights are products over all positions;
        - "independent" [1]_: the reward depends on the item and position alone;
        - "reward_interaction" [2]_: it depends on the items above too (cascade);
        - "cascade_dr" [3]_: as the last, with a model to reduce variance.
    interval, alpha, bounds, n_bootstrap, random_state
        As in :func:`~sklearn_causalrec.metrics.policy_value`.

    Returns
    -------
    PolicyValue
        Of slates: rewards are summed over positions.

    References
    ----------
    .. [1] Li, S. et al. (2018). "Offline evaluation of ranking policies with click
       models." KDD.
    .. [2] McInerney, J. et al. (2020). "Counterfactual evaluation of slate
       recommendations with sequential reward interactions." KDD.
    .. [3] Kiyohara, H. et al. (2022). "Doubly robust off-policy evaluation for ranking
       policies under the cascade behavior model." WSDM.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics import slate_policy_value
    >>> y = [[1, 0], [0, 1]]
    >>> policy, logging = [[0.5, 1.0], [0.5, 0.0]], [[0.5, 0.5], [0.5, 0.5]]
    >>> slate_policy_value(y, policy, propensity=logging).value
    0.5
    """
    choice(estimator, "estimator", _ESTIMATORS)
    y = _slates(y, "y")
    policy = _probabilities(policy, "policy", y.shape)
    taken = _probabilities(propensity, "propensity", y.shape, positive=True)
    weight = np.cumprod(policy / taken, axis=1)
    rounds = {
        "standard": Rounds((weight[:, -1:] * y).sum(axis=1)),
        "reward_interaction": Rounds((weight * y).sum(axis=1)),
    }
    if marginal is not None:
        ours = _probabilities(marginal[0], "marginal[0]", y.shape)
        theirs = _probabilities(marginal[1], "marginal[1]", y.shape, positive=True)
        rounds["independent"] = Rounds((ours / theirs * y).sum(axis=1))
    if outcome is not None:
        shown = _slates(outcome[0], "outcome[0]", y.shape)
        mean = _slates(outcome[1], "outcome[1]", y.shape)
        before = np.column_stack([np.ones(len(y)), weight[:, :-1]])
        rounds["cascade_dr"] = Rounds(
            (weight * (y - shown) + before * mean).sum(axis=1)
        )
    if estimator not in rounds:
        missing = "marginal" if estimator == "independent" else "outcome"
        raise ValueError(f'estimator="{estimator}" needs {missing}=.')
    return summarize(
        rounds,
        y.sum(axis=1),
        weight[:, -1],
        estimator,
        interval,
        alpha,
        bounds,
        n_bootstrap,
        check_random_state(random_state),
    )
