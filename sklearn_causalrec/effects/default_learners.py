"""The learners that are used where none is named, and what each is for."""

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.fixes import parse_version

from sklearn_causalrec.effects.additive import AdditiveLogit
from sklearn_causalrec.effects.cross_fitting import MANY_ROWS
from sklearn_causalrec.effects.kernel_ridge import KernelRidge
from sklearn_causalrec.effects.learners import Boost

# How TargetEncoder is told its seed, before and since scikit-learn 1.9.
_SEEDED = {"random_state": 0}
if parse_version(sklearn.__version__) >= parse_version("1.9"):
    _SEEDED = {"cv": KFold(5, shuffle=True, random_state=0)}

_MANY_FEATURES = 40
# Below so many rows kernels are quick, and trees see too little of a smooth function.
FEW_ROWS = 2_000


# -- nuisances of an effect: candidates that are stacked -------------------------------


def _smooth_terms():
    """Additive cubic splines, linear beyond the data."""
    return make_pipeline(
        StandardScaler(),
        SplineTransformer(n_knots=5, knots="quantile", extrapolation="linear"),
        StandardScaler(),
    )


def nuisance_regressors():
    """Ridge regression on additive splines, and boosted trees."""
    return [
        make_pipeline(_smooth_terms(), RidgeCV(np.logspace(-2, 4, 13))),
        HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15),
    ]


def nuisance_classifiers():
    """Logistic regression on additive splines, and boosted trees."""
    return [
        make_pipeline(_smooth_terms(), LogisticRegression(C=0.1, max_iter=1000)),
        HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=6),
    ]


class DoseByRest(TransformerMixin, BaseEstimator):
    """Products of a quadratic spline of the first column with all other columns."""

    def fit(self, X, y=None):
        self.spline_ = SplineTransformer(n_knots=4, degree=2, extrapolation="linear")
        self.spline_.fit(X[:, :1])
        return self

    def transform(self, X):
        dose = self.spline_.transform(X[:, :1])
        return (dose[:, :, None] * X[:, None, 1:]).reshape(len(X), -1)


def dose_regressors():
    """Outcomes of a continuous treatment, the first column.

    Ridge on splines with products of dose and covariates, and boosted trees.
    """
    bent = FeatureUnion(
        [
            ("additive", _smooth_terms()),
            ("products", make_pipeline(StandardScaler(), DoseByRest())),
        ]
    )
    return [
        make_pipeline(bent, StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))),
        HistGradientBoostingRegressor(max_iter=100, max_leaf_nodes=15),
    ]


# -- ratios of densities: cheap enough to be fitted once for every ratio and level -----


def _terms_and_pairs():
    """Additive cubic splines and products of pairs."""
    splines = SplineTransformer(n_knots=4, knots="quantile", extrapolation="linear")
    pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    return make_pipeline(
        StandardScaler(), FeatureUnion([("s", splines), ("p", pairs)]), StandardScaler()
    )


def ratio_regressors():
    """Ridge regression on splines and products of pairs."""
    return [make_pipeline(_terms_and_pairs(), RidgeCV(np.logspace(-2, 4, 7)))]


def ratio_classifiers():
    """Logistic regression on splines and products of pairs."""
    return [make_pipeline(_terms_and_pairs(), LogisticRegression(C=1.0, max_iter=1000))]


def pair_classifiers():
    """Tell pairs from permuted pairs; exact where the pair is Gaussian."""
    return [
        make_pipeline(
            StandardScaler(),
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
            LogisticRegression(C=10.0, max_iter=1000),
        )
    ]


# -- the stack of effects: made from the bins of the features and a seed ---------------


def stacked_outcome_learners(n):
    """Two kinds of boosting, and below 2,000 rows kernels; many rows need one alone."""

    def boost(additive, **options):
        return lambda bins, seed: Boost(bins, seed, additive, **options)

    if n >= MANY_ROWS:
        options = dict(max_iter=60, learning_rate=0.15, max_features=0.5)
        return (boost(True, **options),)
    learners = (
        boost(False, max_iter=100, learning_rate=0.15),
        boost(True, max_iter=100, learning_rate=0.1, max_features=0.5),
    )
    if n < FEW_ROWS:
        learners += (lambda bins, seed: KernelRidge(),)
    return learners


def stacked_exposure_learners(n):
    """Boosting, of many rows by fewer steps, and an additive logistic regression."""
    options = dict(max_iter=60)
    if n >= MANY_ROWS:
        options = dict(max_iter=30, learning_rate=0.2)
    return (
        lambda bins, seed: Boost(bins, seed, classify=True, **options),
        lambda bins, seed: AdditiveLogit(bins.basis),
    )


def imputed_effect_learner(n):
    """Boosting for the X-learner, whose target is noise for the most part.

    Of many rows 60 trees learned more of the noise than of the effect. Few large steps
    err less, and still disagree between folds, which intervals of rows rest on; as many
    small ones err as little, and disagree too little.
    """
    options = dict(max_iter=60, learning_rate=0.15)
    if n >= MANY_ROWS:
        options = dict(max_iter=15, learning_rate=0.3)
    return lambda bins, seed: Boost(bins, seed, **options)


# -- judges of other models, in metrics ------------------------------------------------


def judging_regressor(frame, ids):
    """Mean of boosted trees, a ridge regression, and one on products of features.

    Products of what describes the user and the item are what a match is made of, and
    take trees many rows to find. Ids and texts enter by their targets.

    Parameters
    ----------
    frame : DataFrame
        The rows, for the kinds of their columns.
    ids : sequence
        Columns whose numbers are names.

    Returns
    -------
    Pipeline
    """
    numeric, encoded = [], []
    for name in frame.columns:
        kind = frame[name].dtype
        if name in ids or isinstance(kind, (pd.CategoricalDtype, pd.StringDtype)):
            encoded.append(name)
        elif pd.api.types.is_numeric_dtype(kind):
            numeric.append(name)
        elif frame[name].map(lambda value: isinstance(value, str)).all():
            encoded.append(name)
    if not numeric and not encoded:
        raise ValueError("X has no column that outcome and exposure can be learned of.")
    features = make_column_transformer(
        (TargetEncoder(target_type="continuous", **_SEEDED), encoded),
        (SimpleImputer(keep_empty_features=True), numeric),
    )
    strengths = np.geomspace(1, 1e5, 11)
    linear = make_pipeline(StandardScaler(), RidgeCV(strengths))
    trees = HistGradientBoostingRegressor(
        max_leaf_nodes=8, max_iter=60, early_stopping=False, random_state=0
    )
    models = [("linear", linear), ("trees", trees)]
    if frame.shape[1] <= _MANY_FEATURES:
        products = PolynomialFeatures(2, include_bias=False)
        squared = make_pipeline(
            StandardScaler(), products, StandardScaler(), RidgeCV(strengths)
        )
        models.append(("products", squared))
    return make_pipeline(features, VotingRegressor(models))


def shrunken_means(y, codes, n_actions):
    """Mean outcome of every action, pulled to the overall mean as by ten rows of it.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Outcome.
    codes : ndarray of int of shape (n,)
        Action taken.
    n_actions : int
        Number of actions.

    Returns
    -------
    ndarray of shape (n_actions,)
    """
    rows = np.bincount(codes, minlength=n_actions)
    total = np.bincount(codes, y, minlength=n_actions)
    return (total + 10 * y.mean()) / (rows + 10)
