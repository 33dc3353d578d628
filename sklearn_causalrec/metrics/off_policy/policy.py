"""What a policy would earn, from the log of another."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.seeds import seeded
from sklearn_causalrec._utils.unwrap import is_policy, unwrap
from sklearn_causalrec.effects.clusters import cross_fitting_folds
from sklearn_causalrec.effects.cross_fitting import folds_of, out_of_fold
from sklearn_causalrec.effects.default_learners import shrunken_means
from sklearn_causalrec.effects.intervals import check_alpha, normal_quantile
from sklearn_causalrec.encoding.checks import (
    choice,
    column,
    labels,
    matrix,
    number,
    probability,
    several,
)
from sklearn_causalrec.encoding.cluster_columns import given_clusters
from sklearn_causalrec.metrics.off_policy.estimators import (
    ESTIMATORS,
    clipped,
    default_parameter,
    parameter_grid,
    round_values,
    slope,
    summarize,
    switch,
)
from sklearn_causalrec.metrics.policies import recommender_policy


def _index(actions):
    """An index of actions, in which True and False are 1 and 0."""
    actions = np.asarray(actions)
    return pd.Index(actions.astype(int) if actions.dtype.kind == "b" else actions)


def action_codes(action, actions, name="action"):
    """Position of every action among the columns of the policy."""
    actions, action = labels(actions, "actions"), labels(action, name)
    index = _index(actions)
    if index.has_duplicates:
        again = index[index.duplicated()].tolist()[0]
        raise ValueError(f"actions holds {again!r} twice.")
    codes = index.get_indexer(_index(action))
    if (codes < 0).any():
        unknown = action[codes < 0].tolist()[0]
        raise ValueError(
            f"{name} holds {unknown!r}, which is not one of the {len(actions)} actions "
            f"{actions[:5].tolist()}: those of the policy's columns, or of the log "
            "where the policy holds labels. Name them by actions=."
        )
    return codes


def cross_fit_outcomes(
    y, codes, n_actions, X=None, model=None, *, cv=5, rng=0, cluster=None
):
    """Expected reward of every action in every row, by models that have not seen it.

    Parameters
    ----------
    y : ndarray of shape (n,)
        The reward of the action taken.
    codes : ndarray of int, shape (n,)
        The action taken, from 0 on.
    n_actions : int
        The number of actions.
    X : array-like of shape (n, p), default=None
        The context. Without it, or without a model, the actions' means are taken,
        pulled to the overall mean as by ten rows of it.
    model : regressor, default=None
        The model, which is fitted on the columns of X and one more for each action.
    cv : int, default=5
        The number of folds.
    rng : int or RandomState, default=0
        The seed of the folds.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids of what rows belong to. Folds then keep the rows of a cluster together;
        of two ways to group them, those by which the action goes the more.

    Returns
    -------
    ndarray of shape (n, n_actions)
        The expected rewards.

    See Also
    --------
    policy_value : It takes them as `outcome`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_causalrec.metrics import cross_fit_outcomes
    >>> X, action = np.arange(20.0)[:, None], np.tile([0, 1], 10)
    >>> y = X[:, 0] + 5 * action
    >>> cross_fit_outcomes(y, action, 2, X, LinearRegression())[0].round(6) + 0.0
    array([0., 5.])
    """
    one_hot = np.eye(n_actions)
    context = None if model is None or X is None else np.asarray(X, float)

    def fit_predict(k, train, held):
        if context is None:
            means = shrunken_means(y[train], codes[train], n_actions)
            return np.tile(means, (len(held), 1))
        fitted = seeded(model, 0).fit(
            np.column_stack([context[train], one_hot[codes[train]]]), y[train]
        )
        columns = []
        for action in range(n_actions):
            chosen = np.tile(one_hot[action], (len(held), 1))
            columns.append(fitted.predict(np.column_stack([context[held], chosen])))
        return np.column_stack(columns)

    clusters = given_clusters(cluster, len(y))
    if clusters is None:
        fold = folds_of(KFold(min(cv, len(y)), shuffle=True, random_state=rng), y)
    else:
        fold = cross_fitting_folds(codes, cv, check_random_state(rng), clusters)
    with config_context(enable_metadata_routing=False):  # nothing is routed to these
        return out_of_fold(fold, fit_predict)


def policy_value(
    y,
    action,
    policy,
    *,
    propensity,
    X=None,
    actions=None,
    by=None,
    outcome=None,
    estimator="dr",
    estimators=None,
    clip=None,
    parameters=None,
    interval="normal",
    alpha=0.05,
    bounds=None,
    n_bootstrap=1000,
    random_state=0,
    cluster=None,
):
    r"""Value of a policy: what it would earn a row, from logged bandit feedback.

    Parameters
    ----------
    y : array-like of shape (n,)
        The reward of the action taken.
    action : array-like of shape (n,)
        The action taken.
    policy : scalar, array-like of shape (n_actions,), (n,) or (n, n_actions), or fitted
        The policy to be judged. It is one of:

        - the probabilities of all actions, alike for all rows or by row;
        - the action that is taken in each row, or one that is always taken, as the log
          calls it;
        - an estimator, whose best action is taken (see `by`), or a
          :class:`~sklearn_causalrec.CounterfactualPolicy`, whose action is drawn
          (:func:`recommender_policy`). Both need X.
    propensity : array-like of shape (n,)
        The probability with which the action taken was chosen.
    X : array-like of shape (n, p), default=None
        The context, for an estimator as policy or as outcome.
    actions : array-like of shape (n_actions,), default=None
        The actions, in the order of the columns. None stands for 0, 1, ... with
        probabilities, for the sorted actions of the log with an estimator or labels,
        and for the arms of a policy too.
    by : {"effect", "outcome"}, default=None
        What the best action of an estimator is best by, as in
        :func:`~sklearn_causalrec.recommend`. None stands for "effect" where it has
        effects, and else for "outcome" (:func:`recommender_policy`).
    outcome : array-like of shape (n, n_actions) or regressor, default=None
        The expected reward of every action, from a model that has not seen the rows. A
        regressor is cross-fitted on X and the action. None stands for the cross-fitted
        means of the actions.
    estimator : str, default="dr"
        The estimator of the value and its interval. The options are:

        - "dm": the mean of the model, which is biased as the model is;
        - "ips", "snips": weights policy / propensity, the latter divided by their mean;
        - "dr", "sndr": the model plus the weighted residuals;
        - "switch_dr": the model alone where weights exceed the parameter;
        - "dr_os": weights shrunk to :math:`\lambda w / (w^2 + \lambda)`;
        - "sg_ips", "sg_dr": weights :math:`w / (1 - \lambda + \lambda w)`.
    estimators : list of str, default=None
        The estimators in the table. None stands for all.
    clip : float, "slope" or None, default=None
        The largest weight of ips, snips, dr and sndr. "slope" chooses it by
        :func:`slope` for each estimator, and the parameters of the others too. The
        choice stays within the interval of the least changed weights, and that is the
        interval given: the log does not refute the chosen estimate, but its bias is
        unknown. None does not clip, and takes the parameters stated in the notes for
        the others.
    parameters : dict of str to float, default=None
        The parameters of estimators by name, instead of the stated ones: the largest
        weight of ips, snips, dr and sndr, tau of switch_dr, lambda of the others.
    interval : {"normal", "bootstrap", "bernstein", "sequence"}, default="normal"
        The kind of the interval. "bernstein" holds for any number of rows if `bounds`
        are given. "sequence" holds at any time, if rows are in their order
        (:func:`confidence_sequence`).
    alpha : float, default=0.05
        One minus the level of the intervals.
    bounds : tuple of float, default=None
        The smallest and the largest value that a row of an estimator can have, for
        "bernstein". None takes those seen, and the interval is approximate.
    n_bootstrap : int, default=1000
        The number of resamples, for "bootstrap".
    random_state : int, RandomState or None, default=0
        The seed of the folds and resamples. None draws others in every call.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids of what rows belong to, such as the user of each row, or its user and
        its item. Intervals and standard errors then count clusters, not rows, and folds
        and resamples keep them whole. None says that rows are independent.

    Returns
    -------
    PolicyValue
        The value, its interval, and how far the estimators agree.

    Raises
    ------
    ValueError
        If an array does not fit, rows of the policy do not sum to 1, a propensity is
        missing or no probability, or the policy takes no action that was logged. If
        n values of a policy can be read as actions and as probabilities.

    See Also
    --------
    slate_policy_value : The same for policies that show lists.
    recommender_policy : The policy of a fitted recommender.
    ips_confidence_sequence : Intervals that hold at all times, for any weights.

    Notes
    -----
    "ips" and "dr" are unbiased where the propensities are right and the policy takes
    only actions that could be logged. "dr" is also unbiased where the model is [1]_.
    The others trade bias for variance ([2]_, [3]_, [4]_, [5]_), and the interval of
    "dm" takes its model for the truth. Without "slope", switch_dr switches at
    :math:`\sqrt n`, dr_os has :math:`\lambda = n \sqrt{\overline{w^2}}` (both vanish as
    n grows), and the sub-Gaussian ones have :math:`\lambda = \sqrt{2 \log 20 / (3 n
    \overline{w^2})}`.

    References
    ----------
    .. [1] Dudik, M., Langford, J. and Li, L. (2011). "Doubly robust policy evaluation
       and learning." ICML.
    .. [2] Swaminathan, A. and Joachims, T. (2015). "The self-normalized estimator for
       counterfactual learning." NeurIPS.
    .. [3] Wang, Y., Agarwal, A. and Dudik, M. (2017). "Optimal and adaptive off-policy
       evaluation in contextual bandits." ICML.
    .. [4] Su, Y., Dimakopoulou, M., Krishnamurthy, A. and Dudik, M. (2020). "Doubly
       robust off-policy evaluation with shrinkage." ICML.
    .. [5] Metelli, A., Russo, A. and Restelli, M. (2021). "Subgaussian and
       differentiable importance sampling for off-policy evaluation and learning."
       NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics import policy_value
    >>> rng = np.random.default_rng(0)
    >>> action = rng.integers(0, 2, size=4000)  # logged at random
    >>> y = rng.binomial(1, np.where(action == 1, 0.3, 0.1))
    >>> always_1 = policy_value(y, action, [0, 1], propensity=np.full(4000, 0.5))
    >>> low, high = always_1.interval
    >>> bool(low < 0.3 < high), round(always_1.effective_sample_size / 4000, 1)
    (True, 0.5)

    The same policy by its label:

    >>> labelled = policy_value(y, action, 1, propensity=np.full(4000, 0.5))
    >>> labelled.value == always_1.value
    True
    """
    check_alpha(alpha)
    y = column(y, "y")
    n = len(y)
    if propensity is None:
        raise ValueError(
            "propensity is missing: the probability with which the action taken was "
            "chosen is what an off-policy value rests on."
        )
    taken = probability(propensity, "propensity", n)
    if hasattr(policy, "predict"):
        if X is None:
            raise ValueError("An estimator as policy needs the rows: pass X=.")
        if actions is None:
            actions = np.unique(labels(action, "action", n))
            learner = unwrap(policy)[1]
            if is_policy(learner):
                actions = np.union1d(actions, learner.arms_)
        policy = recommender_policy(policy, X, actions, by=by)
    elif by is not None:
        raise ValueError(
            f"by is {by!r}, which says how an estimator chooses, and the policy is "
            f"{type(policy).__name__}: leave by out."
        )
    elif _holds_actions(policy, action, actions, n):
        actions = np.unique(action) if actions is None else actions
        policy = np.broadcast_to(np.asarray(policy), n)
        policy = np.eye(len(actions))[action_codes(policy, actions, "policy")]
    policy = _check_policy(policy, n)
    n_actions = policy.shape[1]
    codes = action_codes(action, np.arange(n_actions) if actions is None else actions)
    if len(codes) != n:
        raise ValueError(f"action has {len(codes)} values, and there are {n} rows.")

    clusters = given_clusters(cluster, n)
    rows, rng = np.arange(n), check_random_state(random_state)
    weight = policy[rows, codes] / taken
    if not weight.any():
        raise ValueError(
            "The policy never takes an action that was logged: all its weights are 0, "
            "and the log says nothing of it."
        )
    names = list(ESTIMATORS)
    if estimators is not None:
        names = several(estimators, "estimators", '["ips", "dr"]')
    names = [choice(name, "estimator", ESTIMATORS) for name in [*names, estimator]]
    if outcome is None or hasattr(outcome, "fit"):
        if outcome is not None and X is None:
            raise ValueError("A regressor as outcome needs the context: pass X=.")
        if not any(ESTIMATORS[name][1] for name in names):
            outcome = np.zeros(policy.shape)  # weights alone read no model
    if outcome is None or hasattr(outcome, "fit"):
        outcome = cross_fit_outcomes(
            y, codes, n_actions, X, outcome, rng=rng, cluster=cluster
        )
    outcome = matrix(outcome, "outcome", policy.shape)
    base, factual = (policy * outcome).sum(axis=1), outcome[rows, codes]
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"parameters is {parameters!r}: a dict of estimators to numbers is needed."
        )
    rounds = {}
    for name in dict.fromkeys(names):
        parts = (name, y, weight, base, factual)
        rounds[name] = _choose(parts, clip, parameters.get(name), alpha)
    return summarize(
        rounds, y, weight, estimator, interval, alpha, bounds, n_bootstrap, rng,
        clusters,
    )  # fmt: skip


def _choose(parts, clip, parameter, alpha):
    """Rows of an estimator with the parameter asked for, chosen, or stated."""
    name, weight = parts[0], parts[2]
    if name == "dm":
        return round_values(*parts, np.nan)
    if parameter is not None:
        least_bent = ESTIMATORS[name][0] in (clipped, switch)  # at infinity
        parameter = number(parameter, f"parameters[{name!r}]", 0, infinite=least_bent)
        return round_values(*parts, parameter)
    if isinstance(clip, str):
        choice(clip, "clip", {"slope"})
        tried = [round_values(*parts, value) for value in parameter_grid(name, weight)]
        root = np.sqrt(len(weight))
        scores = [(r.estimate(), r.influence().std(ddof=1) / root) for r in tried]
        chosen = slope(scores, alpha=alpha)
        reach = normal_quantile(alpha) * scores[0][1]
        while abs(scores[chosen][0] - scores[0][0]) > reach:
            chosen -= 1
        if chosen > 0:
            tried[chosen].unbent = tried[0]
        return tried[chosen]
    parameter = default_parameter(name, weight)
    if clip is not None and ESTIMATORS[name][0] is clipped:
        parameter = number(clip, "clip", 0, open_low=True, infinite=True)
    return round_values(*parts, parameter)


def _holds_actions(policy, action, actions, n):
    """Whether a policy names the action of each row, or of all rows."""
    policy = np.asarray(policy)
    if policy.ndim == 0:
        return True
    if policy.shape != (n,):
        return False
    if policy.dtype.kind not in "fiu":
        return True
    known = _index(np.unique(action if actions is None else actions))
    as_actions = (known.get_indexer(_index(policy)) >= 0).all()
    as_chances = (
        (actions is None or len(actions) == n)
        and ((policy >= 0) & (policy <= 1)).all()
        and abs(policy.sum() - 1) <= 1e-6
    )
    if as_actions and as_chances:
        raise ValueError(
            f"policy holds {n} values, which may be the action of each of the {n} rows "
            f"or the probabilities of {n} actions. Pass probabilities with a row for "
            "each row; actions name themselves if they are text."
        )
    return not as_chances


def _check_policy(policy, n):
    if np.ndim(policy) == 1:
        policy = np.tile(column(policy, "policy"), (n, 1))
    policy = matrix(policy, "policy")
    if len(policy) != n:
        raise ValueError(
            f"policy has the shape {policy.shape}: a row of probabilities, or one for "
            f"each of the {n} rows, is needed."
        )
    wrong = ~((policy >= 0) & (policy <= 1)).all(axis=1)
    wrong |= abs(policy.sum(axis=1) - 1) > 1e-6
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"policy is {policy[row][:5].tolist()} in row {row}: probabilities that "
            "sum to 1 are needed."
        )
    return policy
