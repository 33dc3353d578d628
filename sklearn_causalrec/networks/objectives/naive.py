"""The objective that takes the log as it is."""

from sklearn_causalrec.networks.objectives.base import OBJECTIVES, Objective


@OBJECTIVES.register("naive")
class Naive(Objective):
    """The mean loss of the logged rows: w = 1{T = t}, e = 0. A baseline.

    It assumes that which rows there are has nothing to do with the outcome given X,
    and that the networks can represent the outcome. It is wrong where averages over
    all pairs matter, or where X lacks what drove the exposure.

    See Also
    --------
    sklearn_causalrec.networks.objectives.weighted.IPS :
        Weighs rows by their exposure.
    sklearn_causalrec.networks.objectives.targeted.Targeted :
        The same ranking, with a better average.
    """

    not_private: str | None = None
