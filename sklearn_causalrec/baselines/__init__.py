"""Models to compare with, in the same column roles as the recommender.

They predict outcomes and no effects. Some are simple models that a deep model has to
beat. Others are closed forms that make good lists from nothing but positives, which
are the pairs of who bought what.
"""

from sklearn_causalrec.baselines.als import ImplicitALS
from sklearn_causalrec.baselines.blend import BlendRecommender
from sklearn_causalrec.baselines.ease import EASE
from sklearn_causalrec.baselines.global_mean import GlobalMean
from sklearn_causalrec.baselines.neighborhood import NeighborhoodRecommender
from sklearn_causalrec.baselines.popularity import Popularity
from sklearn_causalrec.baselines.user_item_bias import UserItemBias

__all__ = [
    "EASE",
    "BlendRecommender",
    "GlobalMean",
    "ImplicitALS",
    "NeighborhoodRecommender",
    "Popularity",
    "UserItemBias",
]
