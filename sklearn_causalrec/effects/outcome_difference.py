"""What two outcomes of one row differ by: an interval that holds without a model."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.seeds import seeded
from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec.effects.cross_fitting import Fitted, stratified_folds
from sklearn_causalrec.effects.default_learners import (
    nuisance_classifiers,
    nuisance_regressors,
)
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.arms import second_arm_probability, two_arms
from sklearn_causalrec.encoding.checks import column, matrix

# Estimated probabilities of an arm are at least this.
_LEAST = 0.01


def outcome_difference_interval(
    X: ArrayLike,
    y: ArrayLike,
    treatment: ArrayLike,
    X_new: ArrayLike,
    *,
    alpha: float = 0.05,
    propensity: ArrayLike | None = None,
    propensity_new: ArrayLike | None = None,
    control: Arm | None = None,
    outcome_model: Any = None,
    treatment_model: Any = None,
    random_state: Seed = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute bounds of the difference of the two outcomes of each fresh row.

    They are for :math:`Y(1) - Y(0)`, what treating this row changes in fact, noise
    included, where ``effect_interval`` is for the difference that is expected given
    the features. They are therefore much wider.

    Parameters
    ----------
    X : array-like of shape (n, p)
        The features of the log, which are numbers. They hold all confounders.
    y : array-like of shape (n,)
        The outcome.
    treatment : array-like of shape (n,)
        The arm of each row. Two arms are compared.
    X_new : array-like of shape (m, p)
        The fresh rows, drawn as those of the log were.
    alpha : float, default=0.05
        One minus the least coverage.
    propensity : array-like of shape (n,), default=None
        The known probability of the arm that the row had. With None, it is estimated.
    propensity_new : array-like of shape (m,), default=None
        The known probability that a fresh row is treated. It goes with `propensity`.
    control : scalar, default=None
        The arm that is compared with. With None, it is read off the arms.
    outcome_model : regressor, default=None
        The model of the outcome, fitted to each arm. With None, it is boosted trees.
    treatment_model : classifier, default=None
        The model of the treatment. With None, it is a logistic regression on splines.
    random_state : int, RandomState instance or None, default=None
        The seed of the split and of the models.

    Returns
    -------
    low, high : ndarray of shape (m,)
        The bounds, in the units of y. They are infinite where the log has too few rows
        like the fresh one to bound an outcome.

    Raises
    ------
    ValueError
        If the inputs do not fit together, or an arm has fewer than four rows.

    See Also
    --------
    effect : Predict the expected difference of each row.
    DoCalculusEffect.effect_interval : Bounds of the expected difference.
    CausalDNNRecommender.effect_interval : The same for logs of users and items.

    Notes
    -----
    This is weighted split conformal inference for counterfactuals [1]_. The models are
    fitted to one half of the rows. Among the absolute residuals of an arm in the other
    half, weighted by the inverse probability :math:`w(x) = 1 / \Pr(T = t \mid x)` of
    the arm, the quantile at :math:`1 - \alpha / 2` bounds the outcome under the arm;
    the weight of the fresh row itself counts at infinity. The bounds of both outcomes
    are subtracted, and hold together with probability :math:`1 - \alpha` or more
    (Bonferroni). With known probabilities that is so in samples of any size, whatever
    the models; with estimated ones it is about so if either they or the quantiles are
    right. It holds on average over fresh rows, not given their features.

    References
    ----------
    .. [1] Lei, L. and Candès, E. (2021). "Conformal inference of counterfactuals and
       individual treatment effects." Journal of the Royal Statistical Society: Series
       B 83(5).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import outcome_difference_interval
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(3000, 2)), rng.integers(0, 2, 3000)
    >>> outcomes = X[:, :1] + rng.normal(size=(3000, 2)) + [0, 2]
    >>> y = outcomes[np.arange(3000), t]
    >>> low, high = outcome_difference_interval(
    ...     X[:2000], y[:2000], t[:2000], X[2000:], random_state=0
    ... )
    >>> change = outcomes[2000:, 1] - outcomes[2000:, 0]
    >>> bool(np.mean((low <= change) & (change <= high)) > 0.93)
    True
    """
    check_alpha(alpha)
    X, X_new = matrix(X, "X"), matrix(X_new, "X_new")
    if X.shape[1] != X_new.shape[1]:
        raise ValueError(
            f"X_new has {X_new.shape[1]} columns and X has {X.shape[1]}: pass the same."
        )
    y = column(y, "y", len(X))
    arm = two_arms(treatment, len(y), control).astype(int)
    if np.bincount(arm, minlength=2).min() < 4:
        raise ValueError(
            "an arm has fewer than four rows: half of them are fitted to, and the "
            "others tell how far off that is."
        )
    if (propensity is None) != (propensity_new is None):
        raise ValueError(
            "propensity and propensity_new go together: pass both, or neither, and the "
            "probabilities are estimated."
        )
    rng = check_random_state(random_state)
    half, seed = stratified_folds(arm, 2, rng), rng.randint(2**31 - 1)
    fit, rest = half == 0, half == 1
    if propensity is None:
        model = (
            nuisance_classifiers()[0] if treatment_model is None else treatment_model
        )
        chance = Fitted(seeded(model, seed), X[fit], arm[fit], n_classes=2, seed=seed)
        chances = chance(X)[:, 1], chance(X_new)[:, 1]
        treated, treated_new = (np.clip(p, _LEAST, 1 - _LEAST) for p in chances)
    else:
        treated = second_arm_probability(arm == 1, propensity)
        treated_new = column(propensity_new, "propensity_new", len(X_new))
        if (treated_new <= 0).any() or (treated_new >= 1).any():
            raise ValueError(
                "propensity_new reaches 0 or 1: of rows that are certain to have one "
                "arm, nothing tells the outcome under the other."
            )
    model = nuisance_regressors()[1] if outcome_model is None else outcome_model
    bounds = []
    for a, p, p_new in ((0, 1 - treated, 1 - treated_new), (1, treated, treated_new)):
        mine, held = fit & (arm == a), rest & (arm == a)
        outcome = Fitted(model, X[mine], y[mine], seed=seed)
        apart = np.abs(y[held] - outcome(X[held]))
        reach = _weighted_quantile(apart, 1 / p[held], 1 / p_new, 1 - alpha / 2)
        center = outcome(X_new)
        bounds.append((center - reach, center + reach))
    (low0, high0), (low1, high1) = bounds
    return low1 - high0, high1 - low0


def _weighted_quantile(scores, weights, at_infinity, level):
    """Quantile of scores and a point at infinity, for each weight of the latter."""
    order = np.argsort(scores)
    mass = np.cumsum(weights[order])
    needed = level * (mass[-1] + at_infinity)
    return np.append(scores[order], np.inf)[np.searchsorted(mass, needed)]
