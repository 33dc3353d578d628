"""Objectives: one loss, mean[e + w (l - e)] + terms, whose parts are chosen by name."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    logsigmoid,
    mse_loss,
    softplus,
)
from torch.nn.functional import cross_entropy as categorical


class Parts(NamedTuple):
    """What sets an objective apart."""

    weighting: str = "none"  # of a row: "none", "inverse" or "self-normalised"
    imputes: str | None = None  # weight of the imputation: "inverse" or "variance"
    balances: bool = False  # the exposure head balances the imputed loss
    term: str | None = None  # added: "targeted", "ranking" or "entire space"
    corrects: str | None = None  # before the loss: the "label" or the "popularity"

    @property
    def uses_exposure(self):
        """Whether one-arm logs need to know how likely a pair was logged."""
        return self.weighting != "none" or self.term == "targeted"


OBJECTIVES = {
    "naive": Parts(),
    "ips": Parts("inverse"),
    "snips": Parts("self-normalised"),
    "dr": Parts("inverse", imputes="inverse"),
    "mrdr": Parts("inverse", imputes="variance"),
    "stable_dr": Parts("self-normalised", imputes="inverse", balances=True),
    "targeted": Parts(term="targeted"),
    "escm2": Parts("inverse", imputes="inverse", term="entire space"),
    "uplift_rank": Parts(term="ranking"),
    "relmf": Parts(corrects="label"),
    "pda": Parts(corrects="popularity"),
}


def check_objective(name, n_arms, binary, roles):
    """Raise ValueError where the objective does not suit the log.

    Parameters
    ----------
    name : str
    n_arms : int
    binary : bool
        Whether the outcome is binary.
    roles : collection of str
        Roles that have a column.
    """
    parts, need = OBJECTIVES[name], None
    if parts.corrects == "label" and (n_arms > 1 or not binary):
        need = (
            'implicit feedback, task="classification" without a treatment: where it is '
            'known what was shown, use "ips" or "dr"'
        )
    elif parts.corrects == "popularity" and not {"time", "item"} <= set(roles):
        need = (
            "popularity that varies within items: name their columns, "
            'time="…" and item="…"'
        )
    elif parts.term == "entire space" and (n_arms != 2 or not binary):
        need = 'two arms (the click) and a binary y, task="classification"'
    elif parts.term == "ranking" and n_arms < 2:
        need = "rows that were not shown: pass treatment= to fit"
    if need:
        raise ValueError(f"objective={name!r} needs {need}.")


def squared_error(prediction, target):
    return mse_loss(prediction, target, reduction="none")


def cross_entropy(prediction, target):
    return binary_cross_entropy_with_logits(prediction, target, reduction="none")


def weighted_mean(values, weight):
    """Mean of the values times the weights; all are 1 where there are none."""
    return values.mean() if weight is None else (weight * values).mean()


class Objective(nn.Module):
    """Loss of a batch: outcome, exposure, imputation and one term more.

    For n rows and A arms, with l the loss of the observed outcome, e the loss
    against the imputed outcome, g the exposure probability of the arm taken and
    w = 1{T = t} / g_t, the outcome term is the mean over rows and arms of

        e_t + w_t (l_t - e_t).

    The objectives differ in its parts:

    "naive"
        w = 1{T = t}, e = 0. Assumes: which rows there are has nothing to do with the
        outcome given X, and the networks can represent it.
    "ips", "snips"
        e = 0 [1]_; in "snips" the w of a batch are divided by their mean [2]_. Assume:
        exposure depends on X alone, every arm is possible everywhere. Wrong where
        exposure is nearly certain, or follows the outcome itself.
    "dr"
        e is learned jointly by the imputation head with weight w [3]_. Assumes what
        "ips" does, or that the imputation is right. Wrong where both models are.
    "mrdr"
        The imputation has weight w (1 - g) / g, which minimises the variance of the
        outcome term [4]_. Wrong where the weights are already too rough.
    "stable_dr"
        As "dr", with self-normalised weights and an exposure head that is made to
        balance the imputed loss, by the square of the mean of (e - mean e) / g [5]_.
        For small probabilities; a bias remains where nothing is like some pairs.
    "targeted"
        As "naive", and the squared error after the fluctuation eps_t / g_t, DragonNet
        [6]_. For averages; it leaves the ranking as it is.
    "escm2"
        Exposure, click, conversion: the arms are not clicked and clicked, y is the
        conversion, binary. As "dr", and the cross-entropy of click and conversion
        together, g_1 mu_1, over all rows [7]_. Wrong where conversion needs no click.
    "uplift_rank"
        As "naive", and a pairwise loss: the effect of the row's pair against that of
        an item drawn for the same user, softplus(-s d) with weight abs(z) and the sign
        s of z = y 1{T = t} / g_t - y 1{T = 0} / g_0, DLCE [8]_. Assumes what "ips"
        does. For lists by effect; not for the size of an effect.
    "relmf"
        Implicit feedback with one arm: y = 1 says exposed and liked, y = 0 either not.
        The label is y / g, g the exposure probability [9]_. Wrong where every row was
        exposed for certain, or exposure depends on what the user likes.
    "pda"
        The popularity z of the item at the time shifts the link by gamma z, which is
        left out in prediction [10]_. Assumes: popularity drives exposure and outcome,
        and varies within items. Wrong where popularity is quality.

    Probabilities below ``clip`` count as ``clip``. ``outcome_loss`` keeps the outcome
    term of the last batch. Its gradient does not reach the exposure and imputation
    heads, which have losses of their own.

    With one arm and sampled pairs, rows are the logged pairs, g the ratio of their
    density to that of all pairs (at least ``10 * clip``), and e is averaged over the
    sampled pairs.

    With ``tilt`` the batch has a ``shift``, and rows see f(x) + tilt * shift on the
    link scale, which prediction leaves out. In "pda" the shift is the popularity. With
    one arm and rows shown at random (those of known propensity) beside rows chosen by
    the system, it is 1 for the latter,

        link E[y | x, chosen by the system] = f(x) + tilt:

    exact where the chance of being chosen is proportional to exp(gamma y), an
    exponential tilt. It undoes selection on the outcome itself, which no function of x
    can.

    Parameters
    ----------
    objective : str
        A key of ``OBJECTIVES``.
    n_arms : int
    binary : bool
        Cross-entropy instead of squared error.
    clip : float
    tilt : float or None
        Start of the tilt; None: there is none.
    term_weight : float
        Of the targeted, ranking or entire-space term.
    share : float
        With one arm: of all pairs, those logged, which makes a probability of a
        density ratio.

    References
    ----------
    .. [1] Schnabel, T. et al. (2016). "Recommendations as treatments." ICML.
    .. [2] Swaminathan, A. and Joachims, T. (2015). "The self-normalized estimator for
       counterfactual learning." NeurIPS.
    .. [3] Wang, X. et al. (2019). "Doubly robust joint learning for recommendation on
       data missing not at random." ICML.
    .. [4] Guo, S. et al. (2021). "Enhanced doubly robust learning for debiasing
       post-click conversion rate estimation." SIGIR.
    .. [5] Li, H., Zheng, C. and Wu, P. (2023). "StableDR: stabilized doubly robust
       learning for recommendation on data missing not at random." ICLR.
    .. [6] Shi, C. et al. (2019). "Adapting neural networks for the estimation of
       treatment effects." NeurIPS, eq. 3.2.
    .. [7] Wang, H. et al. (2022). "ESCM2: entire space counterfactual multi-task model
       for post-click conversion rate estimation." SIGIR.
    .. [8] Sato, M. et al. (2020). "Unbiased learning for the causal effect of
       recommendation." RecSys.
    .. [9] Saito, Y. et al. (2020). "Unbiased recommender learning from
       missing-not-at-random implicit feedback." WSDM.
    .. [10] Zhang, Y. et al. (2021). "Causal intervention for leveraging popularity bias
       in recommendation." SIGIR.
    """

    def __init__(
        self, objective, n_arms, binary, clip, tilt=None, term_weight=1.0, share=0.0
    ):
        super().__init__()
        self.parts = OBJECTIVES[objective]
        self.loss = cross_entropy if binary else squared_error
        self.binary = binary
        ratio = n_arms == 1 and self.parts.corrects != "label"
        self.clip = min(10 * clip, 1.0) if ratio else clip
        self.tilt = None if tilt is None else nn.Parameter(torch.tensor(float(tilt)))
        self.term_weight = term_weight
        self.share = share if n_arms == 1 else 1.0
        if self.parts.term == "targeted":
            self.epsilon = nn.Parameter(torch.zeros(n_arms))

    def exposure_ratio(self, output, batch):
        """Probability of the arm taken, known or estimated; (n,), with gradient.

        With one arm: the density of the logged pair over that of all pairs.
        """
        if output.exposure is None:
            ratio = batch.get("exposure")
            if ratio is None:
                ratio = torch.ones_like(output.outcome[:, 0])
        elif output.exposure.shape[1] == 1:
            ratio = output.exposure[:, 0].exp()
        else:
            arm = batch["treatment"].unsqueeze(1)
            ratio = output.exposure.softmax(1).gather(1, arm)[:, 0]
        known = batch.get("propensity")
        if known is not None:
            ratio = torch.where(known.isnan(), ratio, known)
        return ratio.clamp(min=self.clip)

    def forward(self, output, y, batch, pairs=None):
        """The loss, a scalar.

        Parameters
        ----------
        output : Output of the n rows
        y : tensor of shape (n,)
        batch : dict of tensors of shape (n,)
            treatment, weight (mean 1 over the log; absent where all are 1),
            propensity (NaN where unknown), exposure (estimated beforehand; absent
            where a head estimates it), shift
        pairs : Output or None
            With one arm, of pairs drawn from all pairs; with several, of the users of
            the rows with items drawn from all.
        """
        n_arms = output.outcome.shape[1]
        rows, arm = batch.get("weight"), batch["treatment"].unsqueeze(1)
        predicted = output.outcome.gather(1, arm)[:, 0]
        if self.tilt is not None:
            shift = self.tilt * batch["shift"]
            predicted = predicted + shift
        if self.parts.corrects == "label":
            y = y / self.exposure_ratio(output, batch)
        w = self.row_weight(output, batch)
        loss = weighted_mean(self.loss(predicted, y), w)
        everywhere = output if pairs is None or n_arms > 1 else pairs
        imputes = self.parts.imputes and output.imputation is not None
        if imputes:
            imputed = self.label(everywhere.imputation)
            e = self.loss(everywhere.outcome, imputed)
            e_rows = rows if everywhere is output else None
            imputation = output.imputation.gather(1, arm)[:, 0]
            if self.tilt is not None:
                imputation = imputation + shift.detach()
            e_observed = self.loss(predicted, self.label(imputation))
            loss = loss + weighted_mean(e.sum(1), e_rows) - weighted_mean(e_observed, w)
        # One outcome term an arm: keep the scale, so that l1 and l2 mean the same.
        loss = loss / n_arms if self.parts.weighting != "none" else loss
        self.outcome_loss = loss.detach()
        if imputes:
            weight = self.imputation_weight(output, batch, w)
            loss = loss + weighted_mean(self.loss(imputation, y), weight) / n_arms
        if imputes and self.parts.balances:
            centre = e.mean(0)[batch["treatment"]]
            excess = (e_observed - centre).detach()
            loss = loss + (excess / self.exposure_ratio(output, batch)).mean().square()
        loss = loss + self.exposure_term(output, batch, pairs)
        if self.parts.term and n_arms > 1:
            add = getattr(self, self.parts.term.replace(" ", "_") + "_term")
            loss = loss + self.term_weight * add(output, predicted, y, batch, pairs)
        return loss

    def row_weight(self, output, batch):
        """Weight of the loss of every row, without gradient; None: all are 1."""
        rows = batch.get("weight")
        if self.parts.weighting == "none":
            return rows
        w = 1 / self.exposure_ratio(output, batch).detach()
        w = w if rows is None else rows * w
        if self.parts.weighting == "self-normalised":
            n = len(w) if rows is None else rows.sum()
            w = w * (output.outcome.shape[1] * n / w.sum())
        return w

    def imputation_weight(self, output, batch, w):
        """1 / g, or (1 - g) / g^2, which is the variance that the imputation leaves."""
        if self.parts.imputes == "inverse":
            return w
        ratio = self.exposure_ratio(output, batch).detach()
        return w * (1 - self.share * ratio).clamp(min=0.0) / ratio

    def label(self, link):
        """The imputed outcome on the scale of y, without gradient."""
        return (link.sigmoid() if self.binary else link).detach()

    def exposure_term(self, output, batch, pairs):
        """Cross-entropy of the arm taken; with one arm, of logged against all pairs.

        The logit of the latter is the log of the density ratio.
        """
        if output.exposure is None:
            return 0.0
        rows = batch.get("weight")
        if output.exposure.shape[1] > 1:
            arm = batch["treatment"]
            return weighted_mean(
                categorical(output.exposure, arm, reduction="none"), rows
            )
        if pairs is None:
            return 0.0
        logged = weighted_mean(softplus(-output.exposure[:, 0]), rows)
        return logged + softplus(pairs.exposure).mean()

    def targeted_term(self, output, predicted, y, batch, pairs):
        """Squared error after the fluctuation eps_t / g_t, Shi et al. 2019, eq. 3.2."""
        mean = predicted.sigmoid() if self.binary else predicted
        epsilon = self.epsilon[batch["treatment"]]
        fluctuated = mean + epsilon / self.exposure_ratio(output, batch)
        return weighted_mean(squared_error(fluctuated, y), batch.get("weight"))

    def ranking_term(self, output, predicted, y, batch, pairs):
        """Pairwise loss of the effects, Sato et al. 2020; ids unknown: of other rows.

        An arm's z has the effect on y as its mean, whatever y is measured from.
        """
        effect = output.outcome[:, 1:] - output.outcome[:, :1]
        if pairs is None:
            others = effect.roll(1, 0)
        else:
            others = pairs.outcome[:, 1:] - pairs.outcome[:, :1]
        arm, arms = batch["treatment"], range(1, output.outcome.shape[1])
        taken = torch.stack([(arm == a).to(y) for a in arms], dim=1)
        sign = taken - (arm == 0).to(y).unsqueeze(1)
        z = sign * (y / self.exposure_ratio(output, batch).detach()).unsqueeze(1)
        loss = z.abs() * softplus(-z.sign() * (effect - others))
        return weighted_mean(loss.mean(1), batch.get("weight"))

    def entire_space_term(self, output, predicted, y, batch, pairs):
        """Cross-entropy of click and conversion together, Wang et al. 2022."""
        log_both = output.exposure.log_softmax(1)[:, 1] + logsigmoid(
            output.outcome[:, 1]
        )
        both = batch["treatment"].to(y) * y
        loss = binary_cross_entropy(log_both.exp(), both, reduction="none")
        return weighted_mean(loss, batch.get("weight"))
