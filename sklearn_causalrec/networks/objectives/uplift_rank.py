"""The objective for lists by effect."""

import torch
from torch.nn.functional import softplus

from sklearn_causalrec.networks.objectives.base import (
    OBJECTIVES,
    Objective,
    weighted_mean,
)
from sklearn_causalrec.networks.requires import Requires


@OBJECTIVES.register("uplift_rank")
class UpliftRank(Objective):
    """Uplift ranking, DLCE: as "naive", and a pairwise loss of effects [1]_.

    The effect of the row's pair is set against that of an item drawn for the same
    user, with the loss softplus(-s d) of their difference d. Its weight is abs(z) and
    s the sign of z = y 1{T = t} / g_t - y 1{T = 0} / g_0, which has the effect as its
    mean. Where users and items are not known, another row stands for the pair drawn.

    It assumes what "ips" does. It is for lists by effect, and wrong for the
    size of an effect.

    See Also
    --------
    sklearn_causalrec.networks.objectives.targeted.Targeted :
        For the size of effects.

    References
    ----------
    .. [1] Sato, M. et al. (2020). "Unbiased learning for the causal effect of
       recommendation." RecSys.
    """

    requires = Requires(
        arms=(2, None), words="rows that were not shown: pass treatment= to fit"
    )
    pairs = "same user"

    def further_terms(self, rows, output, batch, pairs):
        """The loss of the exposure head, and the pairwise loss.

        An arm's z has the effect on y as its mean, whatever y is measured from.
        """
        yield from super().further_terms(rows, output, batch, pairs)
        effect = output.outcome[:, 1:] - output.outcome[:, :1]
        if pairs is None:
            others = effect.roll(1, 0)
        else:
            others = pairs.outcome[:, 1:] - pairs.outcome[:, :1]
        arm, y = batch["arm"], rows.y
        treated = [(arm == a).to(y) for a in range(1, self.n_arms)]
        sign = torch.stack(treated, dim=1) - (arm == 0).to(y).unsqueeze(1)
        z = sign * (y / self.exposure_ratio(output, batch).detach()).unsqueeze(1)
        losses = z.abs() * softplus(-z.sign() * (effect - others))
        yield weighted_mean(losses.mean(1), batch.get("weight"))
