"""What a policy over slates would earn: rewards at every position of a list."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.encoding.checks import choice, matrix, pair
from sklearn_causalrec.encoding.cluster_columns import given_clusters
from sklearn_causalrec.metrics.off_policy.estimators import Rounds, summarize

_ESTIMATORS = ("standard", "independent", "reward_interaction", "cascade_dr")


_LAYOUT = "a row a slate and a column a position"


def _probabilities(values, name, shape, positive=False):
    values = matrix(values, name, shape, _LAYOUT)
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
    cluster=None,
):
    """Value of a policy over slates: what it would earn a list, from a log.

    Parameters
    ----------
    y : array-like of shape (n, length)
        The reward at each position.
    policy : array-like of shape (n, length)
        The probability of the logged item at each position under the policy to be
        judged, given the context and the items above it.
    propensity : array-like of shape (n, length)
        The same probability under the policy that logged.
    marginal : tuple of two array-like of shape (n, length), default=None
        The same two probabilities, not given the items above. "independent" needs them.
    outcome : tuple of two array-like of shape (n, length), default=None
        Two expected sums of rewards from a position on, given the items above, from a
        model that has not seen the slates: that of the logged item, and the mean over
        the items that the policy would show. "cascade_dr" needs them.
    estimator : str, default="reward_interaction"
        The estimator of the value and its interval. The table has all that can be
        computed. Each is unbiased under what it assumes of users:

        - "standard" assumes nothing. Its weights are products over all positions.
        - "independent" [1]_ assumes that the reward depends on the item and position
          alone.
        - "reward_interaction" [2]_ lets it depend on the items above too (cascade).
        - "cascade_dr" [3]_ assumes the same, and has a model to reduce variance.
    interval : {"normal", "bootstrap", "bernstein", "sequence"}, default="normal"
        The kind of the interval, as in :func:`policy_value`.
    alpha : float, default=0.05
        One minus the level of the intervals.
    bounds : tuple of float, default=None
        The smallest and the largest value that a row of an estimator can have, for
        "bernstein". None takes those seen, and the interval is approximate.
    n_bootstrap : int, default=1000
        The number of resamples, for "bootstrap".
    random_state : int, RandomState or None, default=0
        The seed of the resamples. None draws others in every call.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids of what lists belong to, such as the user of each. Intervals and
        standard errors then count clusters, not lists, and resamples keep them whole.
        None says that lists are independent.

    Returns
    -------
    PolicyValue
        The value of a slate. Rewards are summed over positions.

    Raises
    ------
    ValueError
        If an array does not fit, holds no number or no probability, or the estimator
        lacks what it needs.

    See Also
    --------
    policy_value : The same for single actions.

    References
    ----------
    .. [1] Li, S., Abbasi-Yadkori, Y., Kveton, B., Muthukrishnan, S., Vinay, V. and Wen,
       Z. (2018). "Offline evaluation of ranking policies with click models." KDD.
    .. [2] McInerney, J., Brost, B., Chandar, P., Mehrotra, R. and Carterette, B.
       (2020). "Counterfactual evaluation of slate recommendations with sequential
       reward interactions." KDD.
    .. [3] Kiyohara, H., Saito, Y., Matsuhiro, T., Narita, Y., Shimizu, N. and Yamamoto,
       Y. (2022). "Doubly robust off-policy evaluation for ranking policies under the
       cascade behavior model." WSDM.

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
    y = matrix(y, "y", None, _LAYOUT)
    policy = _probabilities(policy, "policy", y.shape)
    taken = _probabilities(propensity, "propensity", y.shape, positive=True)
    weight = np.cumprod(policy / taken, axis=1)
    rounds = {
        "standard": Rounds((weight[:, -1:] * y).sum(axis=1)),
        "reward_interaction": Rounds((weight * y).sum(axis=1)),
    }
    if marginal is not None:
        marginal = pair(marginal, "marginal")
        ours = _probabilities(marginal[0], "marginal[0]", y.shape)
        theirs = _probabilities(marginal[1], "marginal[1]", y.shape, positive=True)
        rounds["independent"] = Rounds((ours / theirs * y).sum(axis=1))
    if outcome is not None:
        outcome = pair(outcome, "outcome")
        shown = matrix(outcome[0], "outcome[0]", y.shape, _LAYOUT)
        mean = matrix(outcome[1], "outcome[1]", y.shape, _LAYOUT)
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
        given_clusters(cluster, len(y)),
    )
