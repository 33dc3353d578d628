"""Top-k lists over a catalogue: cold start and exploration."""

from sklearn_causalrec.ranking.catalogue import Catalogue
from sklearn_causalrec.ranking.cold_start import ColdStart
from sklearn_causalrec.ranking.exploration import Exploration
from sklearn_causalrec.ranking.topk import top_k

__all__ = ["Catalogue", "ColdStart", "Exploration", "top_k"]
