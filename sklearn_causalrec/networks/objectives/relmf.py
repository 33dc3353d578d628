"""The objective for implicit feedback."""

from sklearn_causalrec.networks.objectives.base import OBJECTIVES, Objective
from sklearn_causalrec.networks.requires import Requires


@OBJECTIVES.register("relmf")
class RelMF(Objective):
    """Relevance matrix factorisation: the label is y / g [1]_.

    For implicit feedback with one arm: y = 1 says exposed and liked, y = 0 says that
    one of the two is lacking. The exposure g is the probability that a row was
    exposed. The loss is unbiased for the one of the relevance itself.

    It assumes that the exposure does not depend on what the user likes, and that the
    rows are all pairs, or a sample of them: y = 0 in the pairs that nobody logged. It
    is wrong where it is known which rows were exposed. It cannot make lists from a log
    of ratings or purchases alone, in which a rare item has few rows and each of its
    positives counts many times: such lists hold the items that nobody knows, and are
    worse than popularity. "implicit" sets the positives of such a log against the
    catalogue, and with ``exposure_model="popularity"`` it weighs them by the same
    propensities.

    See Also
    --------
    sklearn_causalrec.networks.objectives.implicit.ImplicitLoss :
        Lists from positives alone.
    sklearn_causalrec.networks.objectives.weighted.IPS :
        Where it is known which rows were exposed.

    References
    ----------
    .. [1] Saito, Y. et al. (2020). "Unbiased recommender learning from
       missing-not-at-random implicit feedback." WSDM.
    """

    requires = Requires(
        arms=(1, 1),
        binary=True,
        words='implicit feedback, task="classification" without a treatment: where it '
        'is known what was shown, use "ips" or "dr"',
    )
    exposure = "probability"

    def target(self, output, y, batch):
        """The label y / g."""
        return y / self.exposure_ratio(output, batch)
