"""The objective for averages."""

import torch
from torch import nn

from sklearn_causalrec.networks.objectives.base import (
    OBJECTIVES,
    Objective,
    mean_error,
    squared_error,
)


@OBJECTIVES.register("targeted")
class Targeted(Objective):
    """Targeted regularisation, DragonNet: as "naive", and one term for the average.

    With several arms, the term is the squared error after the fluctuation
    eps_t / g_t, whose eps_t are learned [1]_, eq. 3.2. With one arm there is no such
    term: a targeted step after the training moves the average over all pairs [2]_.

    It assumes, for averages, that the exposure depends on X alone. It leaves the
    ranking as it is: wrong where that has to be debiased, too.

    See Also
    --------
    sklearn_causalrec.networks.objectives.naive.Naive :
        The same without the fluctuation.
    sklearn_causalrec.networks.objectives.doubly_robust.DoublyRobust :
        Debiases the ranking, at a price in variance.

    References
    ----------
    .. [1] Shi, C., Blei, D. and Veitch, V. (2019). "Adapting neural networks for the
       estimation of treatment effects." NeurIPS.
    .. [2] van der Laan, M. and Rose, S. (2011). "Targeted learning." Springer.
    """

    exposure = "ratio"
    pairs = "all"
    shapes_representation = True
    targets_average = True
    not_private: str | None = None

    def __init__(self, n_arms, binary, clip, tilt=None, share=0.0):
        super().__init__(n_arms, binary, clip, tilt, share)
        self.epsilon = nn.Parameter(torch.zeros(n_arms))

    def further_terms(self, rows, output, batch, pairs):
        """The loss of the exposure head, and with several arms the fluctuation."""
        yield from super().further_terms(rows, output, batch, pairs)
        if self.n_arms > 1:
            mean = rows.predicted.sigmoid() if self.binary else rows.predicted
            epsilon = self.epsilon[batch["arm"]]
            ratio = self.exposure_ratio(output, batch)
            fluctuated = mean + epsilon / ratio
            yield mean_error(squared_error, fluctuated, rows.y, batch.get("weight"))
