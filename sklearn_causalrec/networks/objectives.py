"""Objectives: one loss, mean[e + w (l - e)], whose parts are chosen by name."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


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
    return (prediction - target).square()


def cross_entropy(prediction, target):
    return binary_cross_entropy_with_logits(prediction, target, reduction="none")


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
            ratio = torch.ones_like(batch["weight"])
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
            treatment, weight (mean 1 over the log), propensity (NaN where unknown)
        pairs : Output or None
            Of pairs drawn from all pairs, with one arm only.
        """
        n_arms = output.outcome.shape[1]
        rows, arm = batch["weight"], batch["treatment"].unsqueeze(1)
        predicted = output.outcome.gather(1, arm)[:, 0]
        if self.tilt is not None:
            predicted = predicted + self.tilt * batch["propensity"].isnan()
        if self.parts.weighting == "none":
            w = rows
        else:
            w = rows / self.exposure_ratio(output, batch).detach()
            if self.parts.weighting == "self-normalised":
                w = w * (rows.sum() / w.sum())
        loss = (w * self.loss(predicted, y)).mean()
        imputes = self.parts.imputes and output.imputation is not None
        if imputes:
            everywhere = output if pairs is None else pairs
            e = self.loss(everywhere.outcome, self.label(everywhere.imputation)).sum(1)
            e = e if pairs is not None else rows * e
            imputation = output.imputation.gather(1, arm)[:, 0]
            e_observed = w * self.loss(predicted, self.label(imputation))
            loss = loss + e.mean() - e_observed.mean()
        # One outcome term an arm: keep the scale, so that l1 and l2 mean the same.
        loss = loss / n_arms if self.parts.weighting != "none" else loss
        self.outcome_loss = loss.detach()
        if imputes:
            loss = loss + (w * self.loss(imputation, y)).mean() / n_arms
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
            taken = nn.functional.cross_entropy(
                output.exposure, batch["treatment"], reduction="none"
            )
            return (batch["weight"] * taken).mean()
        logged = batch["weight"] * softplus(-output.exposure[:, 0])
        return logged.mean() + softplus(pairs.exposure).mean()

    def targeted_term(self, output, predicted, y, batch):
        """Squared error after the fluctuation eps_t / g_t, Shi et al. 2019, eq. 3.2."""
        mean = predicted.sigmoid() if self.binary else predicted
        epsilon = self.epsilon[batch["treatment"]]
        fluctuated = mean + epsilon / self.exposure_ratio(output, batch)
        squared = squared_error(fluctuated, y)
        return self.targeted_weight * (batch["weight"] * squared).mean()
