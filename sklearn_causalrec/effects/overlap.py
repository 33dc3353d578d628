"""Overlap of the arms: where it fails, which rows have it, and the treated."""

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.effects.clusters import ratio_of_means

SHARE = 0.01  # of the rows, from which on poor overlap is told
TREE_ROWS = 20_000  # that tell where it is


def least_of_arms(propensity, clip):
    """What smaller probabilities of each arm count as in averages.

    The clip, but less for an arm that few rows have, in proportion, as in
    :func:`~sklearn_causalrec.effects.average.least_and_most`: that an arm is rare
    everywhere is no lack of overlap. Of many arms, each is rare.

    Parameters
    ----------
    propensity : ndarray of shape (n, n_arms)
        Probability of every arm; their means stand for the shares of the arms.
    clip : float
        That of two arms which are as frequent.

    Returns
    -------
    ndarray of shape (n_arms,)
    """
    n_arms = propensity.shape[1]
    share = propensity.mean(0, dtype=float)
    most = clip if n_arms == 2 else min(clip, 0.5 / n_arms)
    return most * np.minimum(1.0, n_arms * share)


def told_clip(clip):
    """The clip in words, of one number or of one for each arm."""
    most, least = np.max(clip), np.min(clip)
    return f"{most:g}" + ("" if least > 0.8 * most else f" (of a rare arm {least:.2g})")


def at_the_clip(propensity, clip):
    """Whether some arm of a row is as unlikely as the clip, or more.

    Parameters
    ----------
    propensity : ndarray of shape (n, n_arms)
        Probability of every arm, kept above the clip or not.
    clip : float or ndarray of shape (n_arms,)
        What smaller probabilities count as, of each arm or of all.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    return (propensity <= clip * 1.001).any(1)


def told_by(n):
    """Of n rows, those that tell where overlap is poor. (slice)"""
    return slice(None, None, -(-n // TREE_ROWS))


def warn_of_poor_overlap(propensity, clip, X, labels):
    """Warn where probabilities are at the clip, and say where that is.

    Parameters
    ----------
    propensity : ndarray of shape (n, n_arms)
        Probability of every arm.
    clip : float or ndarray of shape (n_arms,)
        What smaller probabilities count as, of each arm or of all.
    X : ndarray of shape (n_few, p)
        What the place is told by, of the rows that `told_by` names.
    labels : sequence of length p
        Names of its columns.

    Returns
    -------
    bool
        Whether it warned.

    Warns
    -----
    UserWarning
        Where an arm is at the clip in 1 % of the rows or more.
    """
    low = at_the_clip(propensity, clip)
    if low.mean() < SHARE:
        return False
    where, few = "", told_by(len(low))
    if X.shape[1]:
        tree = DecisionTreeClassifier(max_depth=1, min_samples_leaf=10, random_state=0)
        tree = tree.fit(X, low[few]).tree_
        if tree.node_count > 1:
            right = tree.value[2][0][-1] > tree.value[1][0][-1]
            sign, cut = ">" if right else "<=", tree.threshold[0]
            where = f", mostly at {labels[tree.feature[0]]} {sign} {cut:.4g}"
    warn_user(
        f"poor overlap: in {int(low.sum())} of {len(low)} rows{where} an arm has an "
        f"estimated probability below clip={told_clip(clip)}. The effect there rests "
        "on the outcome model. Consider leaving such rows out, keep = "
        "common_support(), or asking for the effect on the treated, att()."
    )
    return True


def common_support(propensity, clip, least=None):
    """Rows in which every arm is a possibility.

    Parameters
    ----------
    propensity : ndarray of shape (n, n_arms), or None
        Cross-fitted probability of every arm.
    clip : float or ndarray of shape (n_arms,)
        What smaller probabilities count as, of each arm or of all.
    least : float or None, default=None
        The least probability of every arm. None: above the clip.

    Returns
    -------
    ndarray of bool of shape (n,)

    Raises
    ------
    ValueError
        If there are no probabilities, or ``least`` is none.
    """
    if propensity is None or propensity.shape[1] < 2:
        raise ValueError(
            "common_support tells rows by the probabilities of their arms, and fit has "
            "estimated none: it needs arms, and effects by adjustment."
        )
    if least is None:
        return ~at_the_clip(propensity, clip)
    n_arms = propensity.shape[1]
    if not 0 < least < 1 / n_arms:
        raise ValueError(
            f"least is {least!r}: a probability that all {n_arms} arms can have, so "
            f"between 0 and {1 / n_arms:.3g}."
        )
    return (propensity >= least).all(1) & ~at_the_clip(
        propensity, np.minimum(clip, least)
    )


def average_on_treated(y, arm, t0, t1, outcome, propensity, weight=None, clusters=None):
    r"""Average effect among the rows that had arm t1, doubly robust [1]_.

    .. math:: E\Bigl[\Bigl(1[A = t_1] - 1[A = t_0] \frac{\pi_1(Z)}{\pi_0(Z)}\Bigr)
              (Y - \mu_0(Z))\Bigr] / P(A = t_1)

    Parameters
    ----------
    y : ndarray of shape (n,)
        Outcomes.
    arm : ndarray of int of shape (n,)
        Position of the arm of each row.
    t0, t1 : int
        Positions of two arms.
    outcome, propensity : ndarray of shape (n, n_arms)
        Cross-fitted mean outcome under, and probability of, every arm.
    weight : ndarray of shape (n,), default=None
        Weights of the rows. None: all alike.
    clusters : Clusters, default=None
        Which rows belong together. None: every row is alone.

    Returns
    -------
    Estimate

    References
    ----------
    .. [1] Chernozhukov, V. et al. (2018). "Double/debiased machine learning for
       treatment and structural parameters." Econometrics Journal 21.
    """
    treated = (arm == t1).astype(float)
    odds = (arm == t0) * propensity[:, t1] / propensity[:, t0]
    score = (treated - odds) * (y - outcome[:, t0])
    return ratio_of_means(score, treated, weight, clusters)
