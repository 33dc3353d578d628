"""The objective that leaves popularity out."""

from sklearn_causalrec.networks.objectives.base import OBJECTIVES, Objective
from sklearn_causalrec.networks.requires import Requires


@OBJECTIVES.register("pda")
class PDA(Objective):
    """Popularity-bias deconfounding and adjusting: popularity shifts the link [1]_.

    While fitting, the popularity z of the item at the time of the row shifts the link
    by gamma z; the coefficient gamma is learned as the ``tilt``. The prediction
    leaves the shift out: it is the outcome at average popularity.

    It assumes that popularity drives both exposure and outcome, and that it varies
    within items. It is wrong where popularity is quality.

    See Also
    --------
    sklearn_causalrec.networks.objectives.naive.Naive :
        The same without the shift.

    References
    ----------
    .. [1] Zhang, Y. et al. (2021). "Causal intervention for leveraging popularity bias
       in recommendation." SIGIR.
    """

    requires = Requires(
        roles=("time", "item"),
        words="popularity that varies within items: name their columns, "
        'time="…" and item="…"',
    )
    shift = "popularity"
