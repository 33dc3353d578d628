"""Metrics of effects, rankings and policies, and scorers that route treatment.

Plain functions of arrays; the instances named ``<metric>_scorer`` go into
``cross_validate`` and ``GridSearchCV``. All of them stand in the table of
``metrics/registry.py``; :func:`register_metric` adds others.
"""

from sklearn_causalrec.metrics.registry import METRICS, public_objects, register_metric
from sklearn_causalrec.metrics.scorers import make_causal_scorer

_OBJECTS = public_objects()
_OBJECTS |= {each.__name__: each for each in (make_causal_scorer, register_metric)}


def __getattr__(name):
    if name == "__all__":
        return __dir__()
    if name in _OBJECTS:
        value = _OBJECTS[name]
    elif name.removesuffix("_scorer") in METRICS and name.endswith("_scorer"):
        value = make_causal_scorer(name.removesuffix("_scorer"))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    scorers = [f"{name}_scorer" for name in METRICS]
    return sorted([*_OBJECTS, *scorers])
