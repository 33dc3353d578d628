"""How good predicted effects are: against the truth, or from outcomes alone."""

import numpy as np

from sklearn_causalrec.encoding.arms import second_arm_probability, two_arms
from sklearn_causalrec.encoding.checks import column, matrix


def pehe(effect_true, effect_pred):
    """Root of the mean squared error of effects (root PEHE).

    Parameters
    ----------
    effect_true : array-like of shape (n,)
        The true effects. They are known in simulations alone.
    effect_pred : array-like of shape (n,)
        The predicted effects.

    Returns
    -------
    float
        The error, in the units of the outcome. Lower is better.

    See Also
    --------
    ate_error : The error of the average effect.
    r_loss : A loss of effects that needs no true effects.

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
    """Absolute error of the average effect.

    Parameters
    ----------
    effect_true : array-like of shape (n,)
        The true effects. They are known in simulations alone.
    effect_pred : array-like of shape (n,)
        The predicted effects.

    Returns
    -------
    float
        The error, in the units of the outcome. Lower is better.

    See Also
    --------
    pehe : The error of the effects of single rows.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import ate_error
    >>> ate_error([1, 3], [2, 3])
    0.5
    """
    true = column(effect_true, "effect_true")
    return float(abs(np.mean(column(effect_pred, "effect_pred", len(true)) - true)))


def doubly_robust_scores(y, treatment, *, propensity=None, outcomes=None, control=None):
    r"""Doubly robust scores: an unbiased estimate of the effect of each row.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    treatment : array-like of shape (n,)
        The arm of each row. There are two arms, and the effect is that of the other
        one against the control.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken. None stands for the arms' shares, as in an
        experiment with equal chances for every row.
    outcomes : array-like of shape (n, 2), default=None
        The expected outcomes under the control and the other arm, from a model that
        has not seen the row. None stands for the arms' weighted means.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    ndarray of shape (n,)
        The scores, in the units of the outcome.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    dr_loss : The squared distance of predicted effects to the scores.
    effect_calibration : Predicted effects beside the means of the scores.
    toc_curve : The scores of those who are targeted first.

    Notes
    -----
    The score is :math:`\Gamma = \mu_1 - \mu_0 + \frac{t}{e} (y - \mu_1) -
    \frac{1 - t}{1 - e} (y - \mu_0)`. Its mean given x is the effect if the
    propensities or the outcomes are right [1]_. A single score is very noisy: use means
    over many rows.

    References
    ----------
    .. [1] Robins, J., Rotnitzky, A. and Zhao, L. (1994). "Estimation of regression
       coefficients when some regressors are not always observed." Journal of the
       American Statistical Association 89(427).

    Examples
    --------
    >>> from sklearn_causalrec.metrics import doubly_robust_scores
    >>> doubly_robust_scores([1.0, 3.0], [0, 1])
    array([2., 2.])
    """
    y = column(y, "y")
    treated = two_arms(treatment, len(y), control)
    chance = second_arm_probability(treated, propensity)
    taken = np.where(treated, chance, 1 - chance)
    if outcomes is None:
        means = [np.average(y[s], weights=1 / taken[s]) for s in (~treated, treated)]
        outcomes = np.tile(means, (len(y), 1))
    outcomes = matrix(outcomes, "outcomes", (len(y), 2))
    factual = outcomes[np.arange(len(y)), treated.astype(int)]
    signed = np.where(treated, 1, -1) / taken
    return outcomes[:, 1] - outcomes[:, 0] + signed * (y - factual)


def r_loss(y, effect_pred, treatment, *, outcome, propensity=None, control=None):
    r"""R-loss: how well effects explain what is left of the outcome.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects of the other arm against the control.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    outcome : array-like of shape (n,)
        The expected outcome of the row whatever its arm, E[y | x], from a model that
        has not seen the row.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken. None stands for the arms' shares.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The loss :math:`\frac1n \sum_i \left((y_i - m_i) - (t_i - e_i)
        \hat\tau_i\right)^2` [1]_, in squared units of y. Up to a constant it is the
        squared error of the effect, with weights e (1 - e). Lower is better.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    dr_loss : The squared distance of effects to doubly robust scores.
    joint_loss : A loss of effects and of the outcomes that they belong to.
    pehe : The error where the true effects are known.

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
    treated = two_arms(treatment, len(y), control)
    effect = column(effect_pred, "effect_pred", len(y))
    rest = y - column(outcome, "outcome", len(y))
    centered = treated - second_arm_probability(treated, propensity)
    return float(np.mean((rest - centered * effect) ** 2))


def joint_loss(
    y, effect_pred, treatment, outcome_pred, *, outcome, propensity=None, control=None
):
    r"""Loss of effects and of the expected outcomes that they belong to.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects of the other arm against the control.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    outcome_pred : array-like of shape (n, 2)
        The judged model's own expected outcomes under the control and the other arm.
    outcome : array-like of shape (n,)
        The expected outcome of the row whatever its arm, E[y | x], from a model that
        has not seen the row.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken. None stands for the arms' shares.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The mean of two :func:`r_loss`: one with the expected outcome m of a model that
        has not seen the row, and one with the judged model's own, :math:`\hat m = (1 -
        e) \hat\mu_0 + e \hat\mu_1`. It is in squared units of y. Lower is better.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    r_loss : The loss of the effects alone.
    dr_loss : The squared distance of effects to doubly robust scores.

    Notes
    -----
    With right propensities the second loss is, up to the noise of y,

    .. math:: E\left[(m - \hat m)^2\right]
              + E\left[e (1 - e) (\tau - \hat\tau)^2\right]

    because no cross term is left (Robinson's decomposition [1]_). The second term is
    that of :func:`r_loss`. The first one adds what :func:`r_loss` leaves out, how well
    outcomes are predicted. The first loss depends on the noise of y far more than on
    differences between models, and the second loss adds what is better known. Where
    models err in outcomes as they err in effects, the mean picks better effects than
    :func:`r_loss`. If effects are differences of predicted outcomes, the second loss is
    the squared error of the predicted outcome, which is that of R². Where outcomes and
    effects come from different models, the mean can prefer good outcomes to good
    effects: judge by :func:`r_loss` there.

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
    given = dict(propensity=propensity, control=control)
    judged = r_loss(y, effect_pred, treatment, outcome=outcome, **given)
    arms = matrix(outcome_pred, "outcome_pred", (len(column(y, "y")), 2))
    treated = two_arms(treatment, len(arms), control)
    chance = second_arm_probability(treated, propensity)
    own = arms[:, 0] + chance * (arms[:, 1] - arms[:, 0])
    return (judged + r_loss(y, effect_pred, treatment, outcome=own, **given)) / 2


def dr_loss(y, effect_pred, treatment, *, propensity=None, outcomes=None, control=None):
    """DR-loss: the squared distance of effects to doubly robust scores.

    Parameters
    ----------
    y : array-like of shape (n,)
        The outcome.
    effect_pred : array-like of shape (n,)
        The predicted effects of the other arm against the control.
    treatment : array-like of shape (n,)
        The arm of each row, of two.
    propensity : array-like of shape (n,), default=None
        The probability of the arm taken. None stands for the arms' shares.
    outcomes : array-like of shape (n, 2), default=None
        The expected outcomes under the control and the other arm, from a model that
        has not seen the row. None stands for the arms' weighted means.
    control : scalar, default=None
        The arm that effects are against. None stands for False, 0 or else the smaller
        number, the first category of an ordered Categorical, or the one arm that is
        called control, placebo, none, no or off. Other text has to be told.

    Returns
    -------
    float
        The loss, in squared units of y. Up to a constant it is the squared error of the
        effect [1]_. The constant is the noise of the scores, and most of the loss.
        Lower is better.

    Raises
    ------
    ValueError
        If an array does not fit, the treatment does not take two values or does not
        tell the control, or a propensity is 1 or no probability.

    See Also
    --------
    doubly_robust_scores : The scores.
    r_loss : A loss that needs one outcome model for both arms.

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
        y, treatment, propensity=propensity, outcomes=outcomes, control=control
    )
    effect = column(effect_pred, "effect_pred", len(scores))
    return float(np.mean((scores - effect) ** 2))
