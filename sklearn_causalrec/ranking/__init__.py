"""Top-k lists over a catalogue."""

from sklearn_causalrec.ranking.catalogue import Catalogue
from sklearn_causalrec.ranking.topk import top_k

__all__ = ["Catalogue", "top_k"]
