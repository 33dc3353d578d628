"""Objectives: one loss, mean[e + w (l - e)], whose parts are chosen by name."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    mse_loss,
    softplus,
)
from torch.nn.functional import cross_entropy as categorical


class Parts(NamedTuple):
    """What sets an objective apart."""

    weighting: str  # "none", "inverse" or "self-normalised"
    imputes: bool = False
    targeted: bool = False


OBJECTIVES = {
    "naive": Parts("none"),
    "ips": Parts("inverse"),
    "snips": Parts("self-normalised"),
    "dr": Parts("inverse", imputes=True),
    "targeted": Parts("none", targeted=True),
}


def squared_error(prediction, target):
    return mse_loss(prediction, target, reduction="none")


def cross_entropy(prediction, target):
    return binary_cross_entropy_with_logits(prediction, target, reduction="none")


def weighted_mean(values, weight):
    """Mean of the values times the weights; all are 1 where there are none."""
    return values.mean() if weight is None else (weight * values).mean()


class Objective(nn.Module):
    """Loss of a batch: outcome, exposure, imputation and targeted terms.

    For n rows and A arms, with l the loss of the observed outcome, e the loss
    against the imputed outcome and w = 1{T = t} / g_t the inverse probability of the
    arm taken, the outcome term is the mean over rows and arms of

        e_t + w_t (l_t - e_t)

    with w = 1{T = t} for "naive", e = 0 for all but "dr" (Wang et al. 2019), and w
    divided by its mean over the batch for "snips" (Swaminathan & Joachims 2015).
    "targeted" adds the targeted regularisation of DragonNet (Shi et al. 2019).
    ``outcome_loss`` keeps the outcome term of the last batch.
    Probabilities below ``clip`` count as ``clip``. The gradient of the outcome term
    does not reach the exposure and imputation heads, which have losses of their own.

    With one arm and sampled pairs, rows are the logged pairs, g the ratio of their
    density to that of all pairs (at least ``10 * clip``), and e is averaged over the
    sampled pairs.

    With ``tilt``, one arm and rows shown at random (those of known propensity), the
    outcome of the other rows is shifted by one parameter on the link scale,

        link E[y | x, chosen by the system] = f(x) + tilt,

    while the rows shown at random see f alone: exact where the chance of being chosen
    is proportional to exp(gamma y), an exponential tilt. It undoes selection on the
    outcome itself, which no function of x can.

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
    targeted_weight : float
        Of the targeted term.
    """

    def __init__(self, objective, n_arms, binary, clip, tilt=None, targeted_weight=1.0):
        super().__init__()
        self.parts = OBJECTIVES[objective]
        self.loss = cross_entropy if binary else squared_error
        self.binary = binary
        self.clip = clip if n_arms > 1 else min(10 * clip, 1.0)
        self.tilt = None if tilt is None else nn.Parameter(torch.tensor(float(tilt)))
        self.targeted_weight = targeted_weight
        if self.parts.targeted:
            self.epsilon = nn.Parameter(torch.zeros(n_arms))

    def exposure_ratio(self, output, batch):
        """Probability of the arm taken, known or estimated; (n,), with gradient.

        With one arm: the density of the logged pair over that of all pairs.
        """
        if output.exposure is None:
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
            propensity (NaN where unknown)
        pairs : Output or None
            Of pairs drawn from all pairs, with one arm only.
        """
        n_arms = output.outcome.shape[1]
        rows, arm = batch.get("weight"), batch["treatment"].unsqueeze(1)
        predicted = output.outcome.gather(1, arm)[:, 0]
        if self.tilt is not None:
            predicted = predicted + self.tilt * batch["propensity"].isnan()
        if self.parts.weighting == "none":
            w = rows
        else:
            w = 1 / self.exposure_ratio(output, batch).detach()
            w = w if rows is None else rows * w
            if self.parts.weighting == "self-normalised":
                w = w * ((len(w) if rows is None else rows.sum()) / w.sum())
        loss = weighted_mean(self.loss(predicted, y), w)
        imputes = self.parts.imputes and output.imputation is not None
        if imputes:
            everywhere = output if pairs is None else pairs
            e = self.loss(everywhere.outcome, self.label(everywhere.imputation)).sum(1)
            e = weighted_mean(e, rows if pairs is None else None)
            imputation = output.imputation.gather(1, arm)[:, 0]
            e_observed = self.loss(predicted, self.label(imputation))
            loss = loss + e - weighted_mean(e_observed, w)
        # One outcome term an arm: keep the scale, so that l1 and l2 mean the same.
        loss = loss / n_arms if self.parts.weighting != "none" else loss
        self.outcome_loss = loss.detach()
        if imputes:
            loss = loss + weighted_mean(self.loss(imputation, y), w) / n_arms
        if self.parts.targeted and n_arms > 1:
            loss = loss + self.targeted_term(output, predicted, y, batch)
        return loss + self.exposure_term(output, batch, pairs)

    def label(self, link):
        """The imputed outcome on the scale of y, without gradient."""
        return (link.sigmoid() if self.binary else link).detach()

    def exposure_term(self, output, batch, pairs):
        """Cross-entropy of the arm taken; with one arm, of logged against all pairs.

        The logit of the latter is the log of the density ratio.
        """
        if output.exposure is None:
            return 0.0
        if pairs is None:
            taken = categorical(output.exposure, batch["treatment"], reduction="none")
            return weighted_mean(taken, batch.get("weight"))
        logged = weighted_mean(softplus(-output.exposure[:, 0]), batch.get("weight"))
        return logged + softplus(pairs.exposure).mean()

    def targeted_term(self, output, predicted, y, batch):
        """Squared error after the fluctuation eps_t / g_t, Shi et al. 2019, eq. 3.2."""
        mean = predicted.sigmoid() if self.binary else predicted
        epsilon = self.epsilon[batch["treatment"]]
        fluctuated = mean + epsilon / self.exposure_ratio(output, batch)
        squared = squared_error(fluctuated, y)
        return self.targeted_weight * weighted_mean(squared, batch.get("weight"))
