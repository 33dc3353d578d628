"""Objectives under which a network is a policy."""

import torch
from torch import nn

from sklearn_causalrec._utils.registry import Registry
from sklearn_causalrec.networks.objectives.base import weighted_mean

POLICY_OBJECTIVES = Registry("objective")
# Below this deviation of the gains the bound on it would be too steep to follow.
LEAST_DEVIATION = 1e-6


def importance(logits, batch):
    """The weight pi(a | x) / p of each row's arm a; (n,)."""
    log_policy = logits.log_softmax(1)
    factual = log_policy.gather(1, batch["arm"].unsqueeze(1))[:, 0]
    return factual.exp() / batch["propensity"]


class PolicyObjective(nn.Module):
    r"""What a policy is estimated to lose on a log, to be minimised.

    A network gives the policy :math:`\pi(a|x)`, the softmax of its outputs. With
    :math:`p_i` the logged probability of the arm :math:`a_i` taken,
    :math:`w_i = \pi(a_i|x_i) / p_i` and a translated reward :math:`r_i`, all
    objectives are

    .. math:: -\frac1n \sum_i r_i \min(w_i, M)
              + \lambda \sqrt{\widehat{\mathrm{Var}}(r_i \min(w_i, M)) / n},

    and they differ in the reward and in :math:`\lambda`. All assume that the logged
    probabilities are right and that whatever the policy may do could be logged:
    :math:`p > 0` for every arm. None undoes a logging policy that saw more than X
    unless its probabilities are the logged ones. This is the base class; it leaves
    the reward as it is, in standard deviations.

    Clipping at M holds for rewards above 0 only, so that it makes no policy look
    better than it does without, as in [1]_, where none are below. Clipped rows of a
    reward below 0 would not push the policy away from a mistake.

    The square root is of all rows. In batches, its bound from the start of the epoch
    stands for it, as in [1]_: equal to it there, in value and gradient, and above it
    elsewhere.

    Parameters
    ----------
    clip : float or None, default=None
        The largest weight M of a row with a reward above 0; None: there is none.
    variance_penalty : float, default=0.0
        The factor :math:`\lambda` of the standard error; of objectives that are
        penalised.
    n_rows : float, default=1.0
        The weight of all rows, n.

    Attributes
    ----------
    name : str
        The name under which the class is registered; the base class has none.
    penalized : bool
        Whether the variance is penalized; otherwise :math:`\lambda = 0`.
    outcome_loss : Tensor
        The loss of the last batch.

    See Also
    --------
    sklearn_causalrec.networks.Objective : Losses of networks that predict outcomes.

    References
    ----------
    .. [1] Swaminathan, A. and Joachims, T. (2015). "Batch learning from logged bandit
       feedback through counterfactual risk minimization." JMLR 16.

    Examples
    --------
    An objective is one class and its registration. This one takes the median from the
    reward:

    >>> import numpy as np
    >>> from sklearn_causalrec import CounterfactualPolicy
    >>> from sklearn_causalrec.networks import POLICY_OBJECTIVES, PolicyObjective
    >>> @POLICY_OBJECTIVES.register("median")
    ... class Median(PolicyObjective):
    ...     "Rewards less their median."
    ...
    ...     @staticmethod
    ...     def translations(y, mean, scale, multipliers):
    ...         return [(float(np.median(y)), scale)]
    >>> X, arm = np.arange(100.0)[:, None], np.arange(100) % 2
    >>> policy = CounterfactualPolicy(objective="median", max_epochs=1)
    >>> policy.fit(X, arm + 1.0, arm, np.full(100, 0.5)).offset_
    1.5
    >>> del POLICY_OBJECTIVES["median"]
    """

    penalized = False

    def __init__(self, clip=None, variance_penalty=0.0, n_rows=1.0):
        super().__init__()
        self.clip = clip
        self.variance_penalty = variance_penalty
        self.n_rows = n_rows
        self.moments = None

    @staticmethod
    def translations(y, mean, scale, multipliers):
        """Offsets and scales of the reward, of which a net each is trained.

        Parameters
        ----------
        y : ndarray of shape (n,)
            The rewards as they came.
        mean, scale : float
            Their mean and standard deviation.
        multipliers : sequence of float
            The parameter of the estimator.

        Returns
        -------
        list of (float, float)
            Pairs of what is taken from y, and what the rest is divided by.
        """
        return [(0.0, scale)]

    def gains(self, reward, weight):
        """The clipped r w of every row.

        Parameters
        ----------
        reward : tensor of shape (n,)
            The translated rewards.
        weight : tensor of shape (n,)
            The importance weights.

        Returns
        -------
        tensor of shape (n,)
            The gains.
        """
        if self.clip is None:
            return reward * weight
        return reward * torch.where(reward > 0, weight.clamp(max=self.clip), weight)

    def _moments(self, gains, rows):
        mean = weighted_mean(gains, rows)
        return mean, weighted_mean((gains - mean).square(), rows)

    def _penalty_rate(self):
        return self.variance_penalty / self.n_rows**0.5

    def risk(self, reward, weight, rows=None):
        """The objective over all rows at once.

        Parameters
        ----------
        reward : tensor of shape (n,)
            The translated rewards.
        weight : tensor of shape (n,)
            The importance weights.
        rows : tensor of shape (n,) or None, default=None
            Weights of the rows; None: all are 1.

        Returns
        -------
        tensor
            A scalar.
        """
        mean, variance = self._moments(self.gains(reward, weight), rows)
        return self._penalty_rate() * variance.sqrt() - mean

    def expand_at(self, reward, weight, rows=None):
        """Bound the deviation from where the policy stands.

        Parameters
        ----------
        reward : tensor of shape (n,)
            The translated rewards.
        weight : tensor of shape (n,)
            The importance weights.
        rows : tensor of shape (n,) or None, default=None
            Weights of the rows; None: all are 1.
        """
        mean, variance = self._moments(self.gains(reward, weight), rows)
        self.moments = mean.item(), max(variance.sqrt().item(), LEAST_DEVIATION)

    def forward(self, output, reward, batch, pairs=None):
        """Loss of a batch: its part of the objective, or of the bound on it.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        reward : tensor of shape (n,)
            The translated rewards.
        batch : dict of tensors of shape (n,)
            ``arm`` (codes), ``propensity``, and ``weight`` (mean 1 over the log;
            absent where all are 1).
        pairs : None, default=None
            As other objectives have it; not used.

        Returns
        -------
        tensor
            A scalar.
        """
        rows = batch.get("weight")
        gains = self.gains(reward, importance(output.outcome, batch))
        loss = -weighted_mean(gains, rows)
        if self.variance_penalty:
            mean, deviation = self.moments
            # sqrt(V) <= s + (V - s^2) / 2s, and V <= E (u - m)^2 for any m.
            spread = weighted_mean((gains - mean).square(), rows)
            bound = (spread / deviation + deviation) / 2
            loss = loss + self._penalty_rate() * bound
        self.outcome_loss = loss.detach()
        return loss


@POLICY_OBJECTIVES.register("ips")
class PolicyIPS(PolicyObjective):
    r"""Clipped inverse propensity scoring: r = y, :math:`\lambda = 0` [1]_, [2]_.

    A baseline. It is unbiased up to clipping, but the weights of a policy fitted to
    few rows do not average to 1: with rewards above 0 it gains by seeking what was
    logged, with rewards below 0 by avoiding it, whatever the rewards are. This is
    propensity overfitting [3]_, and it makes the choice depend on where y has its
    zero. It is wrong where rewards do not lie around 0.

    See Also
    --------
    OffsetIPS : Takes the mean from the reward.

    References
    ----------
    .. [1] Bottou, L. et al. (2013). "Counterfactual reasoning and learning systems:
       the example of computational advertising." JMLR 14.
    .. [2] Swaminathan, A. and Joachims, T. (2015). "Batch learning from logged bandit
       feedback through counterfactual risk minimization." JMLR 16.
    .. [3] Swaminathan, A. and Joachims, T. (2015). "The self-normalized estimator for
       counterfactual learning." NeurIPS.
    """


@POLICY_OBJECTIVES.register("offset_ips")
class OffsetIPS(PolicyObjective):
    r"""IPS of rewards less their mean: r = y - mean y, :math:`\lambda = 0`.

    In expectation the mean changes nothing, as w has mean 1: it is the doubly robust
    estimate whose model is a constant [1]_. Adding a constant to y leaves the choice.
    It is wrong where no one offset fits, as where most contexts earn more than the
    mean and their logged arms attract, or less and repel: propensity overfitting
    again. Its variance is that of 1 / p.

    See Also
    --------
    BanditNet : Chooses the offset by the value of the policy.

    References
    ----------
    .. [1] Dudik, M., Langford, J. and Li, L. (2011). "Doubly robust policy evaluation
       and learning." ICML.
    """

    @staticmethod
    def translations(y, mean, scale, multipliers):
        """The mean is taken from the reward; see the base class."""
        return [(mean, scale)]


@POLICY_OBJECTIVES.register("poem")
class POEM(PolicyObjective):
    r"""Policy optimizer for exponential models: the variance is penalised [1]_.

    The reward is r = (y - min y) / (max y - min y), so that losses are in [-1, 0], and
    :math:`\lambda` is ``variance_penalty``. The policy stays near the log where the
    log says little. It is wrong where the logging policy is poor or even: rewards
    above 0 attract to it as in "ips", and the penalty does so once more.

    See Also
    --------
    PolicyIPS : Without the penalty.

    References
    ----------
    .. [1] Swaminathan, A. and Joachims, T. (2015). "Batch learning from logged bandit
       feedback through counterfactual risk minimization." JMLR 16.
    """

    penalized = True

    @staticmethod
    def translations(y, mean, scale, multipliers):
        """The reward is scaled to its range; see the base class."""
        low, high = float(y.min()), float(y.max())
        return [(low, high - low if high > low else 1.0)]


@POLICY_OBJECTIVES.register("banditnet")
class BanditNet(PolicyObjective):
    r"""The self-normalised value by Lagrange multipliers: r = y - :math:`\mu` [1]_.

    Here :math:`\lambda = 0`, and :math:`\mu` is the multiplier of a grid whose policy
    has the best self-normalised value :math:`\sum_i w_i y_i / \sum_i w_i` on the
    validation rows: the policy with the best such value is the best for the
    :math:`\mu` equal to it. Adding a constant to y leaves the choice. It is wrong where
    few rows are held out: the choice of :math:`\mu` is noise then. The fit takes as
    many times as long as the grid has values.

    See Also
    --------
    OffsetIPS : The multiplier 0 alone.

    References
    ----------
    .. [1] Joachims, T., Swaminathan, A. and de Rijke, M. (2018). "Deep learning with
       logged bandit feedback." ICLR.
    """

    @staticmethod
    def translations(y, mean, scale, multipliers):
        """One offset for each multiplier; see the base class."""
        return [(mean + scale * float(m), scale) for m in multipliers]
