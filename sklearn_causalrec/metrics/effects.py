"""How good predicted effects are: against the truth, or from outcomes alone."""

import numpy as np

from sklearn_causalrec.encoding.arms import second_arm_probability, two_arms
from sklearn_causalrec.encoding.checks import column


def pehe(effect_true, effect_pred):
    """Root of the mean squared error of effects (root PEHE).

    Parameters
    ----------
    effect_true, effect_pred : array-like of shape (n,)
        True effects are known in simulations alone; :func:`r_loss` and :func:`dr_loss`
        rank models without them.

    Returns
    -------
    float
        In the units of the outcome.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import pehe
    >>> pehe([1, 2], [1, 4]) == 2**0.5
    True
    """
    true = column(effect_true, "effect_true")
    error = column(effect_pred, "effect_pred", len(true)) - true
    return float(np.sqrt(np.mean(error**2)))


def ate_error(effect_true, effect_pred):
    """Absolute error of the average effect, in the units of the outcome.

    Parameters
    ----------
    effect_true, effect_pred : array-like of shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> from sklearn_causalrec.metrics import ate_error
    >>> ate_error([1, 3], [2, 3])
    0.5
    """
    true = column(effect_true, "effect_true")
    return float(abs(np.mean(column(effect_pred, "effect_pred", len(true)) - true)))


def doubly_robust_scores(y, treatment, *, propensity=None, outcomes=None):
    r"""An unbiased estimate of the effect of each row.

    Parameters
    ----------
    y : array-like of shape (n,)
        Outcome.
    treatment : array-like of shape (n,)
        Arm of each row, of two; the effect is that of the larger value.
    propensity : array-like of shape (n,), optional
        Probability of the arm taken. None: the arms' shares, as in an experiment with
        equal chances for every row.
    outcomes : array-like of shape (n, 2), optional
        Expected outcome under either arm, from a model that hasn't seen the row. None:
        the arms' weighted means.

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    :math:`\Gamma = \mu_1 - \mu_0 + \frac{t}{e} (y - \mu_1) - \frac{1 - t}{1 - e}
    (y - \mu_0)`; its mean given x is the effect if the propensities or the outcomes
    are right (Robins, Rotnitzky and Zhao 1994). A single score is very noisy; means
    over many rows are what it is for.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import doubly_robust_scores
    >>> doubly_robust_scores([1.0, 3.0], [0, 1])
    array([2., 2.])
    """
    y = column(y, "y")
    treated = two_arms(treatment, len(y))
    chance = second_arm_probability(treated, propensity)
    taken = np.where(treated, chance, 1 - chance)
    if outcomes is None:
        means = [np.average(y[s], weights=1 / taken[s]) for s in (~treated, treated)]
        outcomes = np.tile(means, (len(y), 1))
    outcomes = np.asarray(outcomes, float)
    if outcomes.shape != (len(y), 2):
        raise ValueError(
            f"outcomes has the shape {outcomes.shape}: one row a row of y and one "
            "column an arm are needed."
        )
    factual = outcomes[np.arange(len(y)), treated.astype(int)]
    signed = np.where(treated, 1, -1) / taken
    return outcomes[:, 1] - outcomes[:, 0] + signed * (y - factual)


def r_loss(y, effect_pred, treatment, *, outcome, propensity=None):
    r"""Squared error of what is left of the outcome, explained by the effect.

    Parameters
    ----------
    y : array-like of shape (n,)
    effect_pred : array-like of shape (n,)
        Predicted effects of the larger arm against the smaller.
    treatment : array-like of shape (n,)
        Arm of each row, of two.
    outcome : array-like of shape (n,)
        Expected outcome of the row whatever its arm, E[y | x], from a model that has
        not seen the row.
    propensity : array-like of shape (n,), optional
        Probability of the arm taken. None: the arms' shares.

    Returns
    -------
    float
        :math:`\frac1n \sum_i \left((y_i - m_i) - (t_i - e_i) \hat\tau_i\right)^2`
        [1]_, in squared units of y. Up to a constant it is the squared error of the
        effect, with weights e (1 - e). Lower is better.

    References
    ----------
    .. [1] Nie, X. and Wager, S. (2021). "Quasi-oracle estimation of heterogeneous
       treatment effects." Biometrika 108(2).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import r_loss
    >>> r_loss([0.0, 2.0], [2.0, 2.0], [0, 1], outcome=[1.0, 1.0])
    0.0
    """
    y = column(y, "y")
    treated = two_arms(treatment, len(y))
    effect = column(effect_pred, "effect_pred", len(y))
    rest = y - column(outcome, "outcome", len(y))
    centered = treated - second_arm_probability(treated, propensity)
    return float(np.mean((rest - centered * effect) ** 2))


def joint_loss(y, effect_pred, treatment, outcome_pred, *, outcome, propensity=None):
    r"""Loss of effects and of the expected outcomes that they belong to.

    Parameters
    ----------
    y, effect_pred, treatment, outcome, propensity
        As in :func:`r_loss`.
    outcome_pred : array-like of shape (n, 2)
        The judged model's own expected outcomes under the smaller and the larger arm.

    Returns
    -------
    float
        Mean of two :func:`r_loss`, with the expected outcome m of a model that has not
        seen the row, and with the judged model's own, :math:`\hat m = (1 - e)
        \hat\mu_0 + e \hat\mu_1`. In squared units of y; lower is better.

    Notes
    -----
    With right propensities the second one is, up to the noise of y,

    .. math:: E\left[(m - \hat m)^2\right]
              + E\left[e (1 - e) (\tau - \hat\tau)^2\right]

    for no cross term is left (Robinson's decomposition [1]_): that of :func:`r_loss`,
    and what it leaves out, how well outcomes are predicted. The first depends on the
    noise of y far more than on differences between models; the second adds what is
    better known. Where models err in outcomes as they err in effects, the mean picks
    better effects than :func:`r_loss`. If effects are differences of predicted
    outcomes, the second is the squared error of the outcome predicted, that of R².
    Where outcomes and effects come from different models it can prefer good outcomes
    to good effects: judge by :func:`r_loss` there.

    References
    ----------
    .. [1] Nie, X. and Wager, S. (2021). "Quasi-oracle estimation of heterogeneous
       treatment effects." Biometrika 108(2).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import joint_loss
    >>> joint_loss([0.0, 2.0], [2.0, 2.0], [0, 1], [[0, 2], [0, 2]], outcome=[1, 1])
    0.0
    """
    given = dict(propensity=propensity)
    judged = r_loss(y, effect_pred, treatment, outcome=outcome, **given)
    arms = np.asarray(outcome_pred, float)
    if arms.shape != (len(y), 2):
        raise ValueError(
            f"outcome_pred has the shape {arms.shape}: one row a row of y and one "
            "column an arm are needed."
        )
    treated = two_arms(treatment, len(arms))
    chance = second_arm_probability(treated, propensity)
    own = arms[:, 0] + chance * (arms[:, 1] - arms[:, 0])
    return (judged + r_loss(y, effect_pred, treatment, outcome=own, **given)) / 2


def dr_loss(y, effect_pred, treatment, *, propensity=None, outcomes=None):
    """Squared distance of effects to :func:`doubly_robust_scores`.

    Parameters
    ----------
    y, treatment, propensity, outcomes
        As in :func:`doubly_robust_scores`.
    effect_pred : array-like of shape (n,)
        Predicted effects.

    Returns
    -------
    float
        In squared units of y. Up to a constant it is the squared error of the effect
        [1]_; the constant, the noise of the scores, is most of it. Lower is better.

    References
    ----------
    .. [1] Kennedy, E. (2023). "Towards optimal doubly robust estimation of
       heterogeneous causal effects." Electronic Journal of Statistics 17(2).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import dr_loss
    >>> dr_loss([1.0, 3.0], [2.0, 2.0], [0, 1])
    0.0
    """
    scores = doubly_robust_scores(
        y, treatment, propensity=propensity, outcomes=outcomes
    )
    effect = column(effect_pred, "effect_pred", len(scores))
    return float(np.mean((scores - effect) ** 2))
