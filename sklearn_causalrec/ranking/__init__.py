"""Top-k lists over a catalogue: cold start, exploration and constraints."""

from sklearn_causalrec.ranking.catalogue import Catalogue
from sklearn_causalrec.ranking.cold_start import ColdStart
from sklearn_causalrec.ranking.diversity import MMR
from sklearn_causalrec.ranking.exploration import Exploration
from sklearn_causalrec.ranking.on_disk import write_lists, write_predictions
from sklearn_causalrec.ranking.reranking import (
    Budget,
    CategoryQuota,
    PopularityCap,
    rerank,
)
from sklearn_causalrec.ranking.topk import top_k

__all__ = [
    "MMR",
    "Budget",
    "Catalogue",
    "CategoryQuota",
    "ColdStart",
    "Exploration",
    "PopularityCap",
    "rerank",
    "top_k",
    "write_lists",
    "write_predictions",
]
