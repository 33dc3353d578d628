"""Metrics of effects, rankings and policies, and scorers that route treatment.

Plain functions of arrays; the instances named ``<metric>_scorer`` go into
``cross_validate`` and ``GridSearchCV``. All of them stand in the table of
``metrics/registry.py``; :func:`register_metric` adds others. The instances named
``outcome_<name>_scorer`` are scikit-learn's scorers, under the arm that each row had.
"""

from sklearn_causalrec.metrics.outcome_scorers import READY_MADE, make_outcome_scorer
from sklearn_causalrec.metrics.registry import METRICS, public_objects, register_metric
from sklearn_causalrec.metrics.scorers import make_causal_scorer

_MAKERS = (make_causal_scorer, make_outcome_scorer, register_metric)
_OBJECTS = public_objects()
_OBJECTS |= {each.__name__: each for each in _MAKERS}

_OUTCOME_SCORERS = {f"outcome_{name}_scorer": name for name in READY_MADE}


def __getattr__(name):
    if name == "__all__":
        return __dir__()
    if name in _OBJECTS:
        value = _OBJECTS[name]
    elif name.removesuffix("_scorer") in METRICS and name.endswith("_scorer"):
        value = make_causal_scorer(name.removesuffix("_scorer"))
    elif name in _OUTCOME_SCORERS:
        value = make_outcome_scorer(_OUTCOME_SCORERS[name])
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    scorers = [f"{name}_scorer" for name in METRICS]
    return sorted([*_OBJECTS, *scorers, *_OUTCOME_SCORERS])
