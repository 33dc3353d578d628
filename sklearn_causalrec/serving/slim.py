"""What files for answering alone leave out: arrays as long as the log, and training.

``predict``, ``effect``, ``effect_interval`` and lists read none of it.
"""

from collections import defaultdict

# By type, what averages over the log read.
OF_THE_LOG = {
    "effects.arms.ArmEffects": (
        "arm", "clusters", "elsewhere", "fitted", "influence", "outcomes", "propensity",
        "scores", "weight", "y",
    ),
    "effects.stacked.StackedEffect": (
        "_w", "calibrated_", "effect_oof_", "influence_", "outcome_oof_", "propensity_",
        "scores_",
    ),
    "encoding.log_encoder.LogEncoder": ("kept",),
    "recommender.CausalDNNRecommender": ("propensity_",),
}  # fmt: skip


class LeftOut:
    """In the place of what a file does not hold: an error for whoever asks for it.

    Parameters
    ----------
    name : str
        The attribute.
    """

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"LeftOut({self.name!r})"

    def _refuse(self, *args, **kwargs):
        raise ValueError(
            f"{self.name} is not in the file that this model was loaded from: averages "
            "over the log need a file that was saved without slim=True."
        )

    def __getattr__(self, name):
        if name.startswith("__") or name == "name":
            raise AttributeError(name)
        self._refuse()

    __array__ = __array_ufunc__ = __array_function__ = _refuse
    __len__ = __iter__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse


def without_the_log(obj, state):
    """A state without what training and averages over the log alone read.

    Parameters
    ----------
    obj : object
    state : object
        As it would be written.

    Returns
    -------
    object
    """
    if not isinstance(state, dict):
        return state
    if "param_groups" in state:  # an optimizer, with its moments
        return {**state, "state": defaultdict(dict)}
    module = type(obj).__module__.partition(".")[2]
    names = OF_THE_LOG.get(f"{module}.{type(obj).__qualname__}", ())
    left = {n: LeftOut(n) for n in names if state.get(n) is not None}
    return {**state, **left}
