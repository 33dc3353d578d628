"""The objective for conversions after a click."""

from torch.nn.functional import binary_cross_entropy, logsigmoid

from sklearn_causalrec.networks.objectives.base import OBJECTIVES, weighted_mean
from sklearn_causalrec.networks.objectives.doubly_robust import DoublyRobust
from sklearn_causalrec.networks.requires import Requires


@OBJECTIVES.register("escm2")
class ESCM2(DoublyRobust):
    """Entire-space multi-task model: exposure, click, conversion.

    The two arms are not clicked and clicked, and y is the conversion. As in "dr"
    conversions that nobody clicked for are imputed; beside it stands the
    cross-entropy of click and conversion together, g_1 mu_1, over all rows [1]_.

    It assumes what "dr" does, with the click as the treatment. It is
    wrong where a conversion needs no click.

    See Also
    --------
    sklearn_causalrec.networks.objectives.doubly_robust.DoublyRobust :
        The same without the entire-space term.

    References
    ----------
    .. [1] Wang, H. et al. (2022). "ESCM2: entire space counterfactual multi-task model
       for post-click conversion rate estimation." SIGIR.
    """

    requires = Requires(
        arms=(2, 2),
        binary=True,
        control_first=True,
        words="two arms, 0 for no click and 1 for a click (or others whose control is "
        'the first in order), and a binary y, task="classification"',
    )
    shapes_representation = True

    def further_terms(self, rows, output, batch, pairs):
        """Those of "dr", and the entire-space term."""
        yield from super().further_terms(rows, output, batch, pairs)
        click = output.exposure.log_softmax(1)[:, 1]
        both = (click + logsigmoid(output.outcome[:, 1])).exp()
        happened = batch["arm"].to(rows.y) * rows.y
        losses = binary_cross_entropy(both, happened, reduction="none")
        yield weighted_mean(losses, batch.get("weight"))
