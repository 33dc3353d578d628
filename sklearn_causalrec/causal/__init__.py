"""The causal side: graphs, do-calculus, estimands. Needs numpy and pandas at most."""

from sklearn_causalrec.causal.estimand import Estimand
from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.identification import NotIdentifiableError

__all__ = ["CausalGraph", "Estimand", "NotIdentifiableError"]
