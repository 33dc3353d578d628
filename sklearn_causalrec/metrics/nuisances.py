"""Outcome and exposure of the rows to be judged, by models that haven't seen them."""

from collections import OrderedDict

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler, TargetEncoder
from sklearn.utils.fixes import parse_version

# How TargetEncoder is told its seed, before and since scikit-learn 1.9.
_SEEDED = {"random_state": 0}
if parse_version(sklearn.__version__) >= parse_version("1.9"):
    _SEEDED = {"cv": KFold(5, shuffle=True, random_state=0)}

# A search judges every candidate on the same folds, and several metrics share them.
_REMEMBERED, _N_REMEMBERED = OrderedDict(), 32

_MANY_FEATURES = 40

# An estimated exposure nearer to certainty than this would rest on a few rows.
_OVERLAP = 0.025


def default_model(frame, ids):
    """Mean of boosted trees, a ridge regression, and one on products of features.

    Products of what describes the user and the item are what a match is made of, and
    take trees many rows to find. Ids and texts enter by their targets.
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


def cross_fit_nuisances(X, y, treated, propensity=None, *, ids=(), model=None, cv=3):
    """Expected outcomes under either arm, and the probability of the arm taken.

    Parameters
    ----------
    X : array-like or frame of shape (n, p)
        Numbers; columns of text and of ids are encoded by their targets.
    y : ndarray of shape (n,)
    treated : ndarray of bool, shape (n,)
        Whether the row had the second arm.
    propensity : ndarray of shape (n,), optional
        Known probability of the arm taken. None, or NaN in a row: it is fitted.
    ids : sequence, default=()
        Columns whose numbers are names.
    model : regressor, optional
        None: a mean of boosted trees and ridge regressions.
    cv : int, default=3
        Folds, each predicted by models of the others.

    Returns
    -------
    outcomes : ndarray of shape (n, 2)
    propensity : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If an arm has fewer rows than there are folds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances
    >>> rng = np.random.default_rng(0)
    >>> X, treated = rng.normal(size=(600, 2)), rng.uniform(size=600) < 0.5
    >>> outcomes, propensity = cross_fit_nuisances(X, X[:, 0] + treated, treated)
    >>> bool(abs((outcomes[:, 1] - outcomes[:, 0]).mean() - 1) < 0.1)
    True
    """
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(_plain(X))
    smallest = min(treated.sum(), (~treated).sum())
    if smallest < cv:
        raise ValueError(
            f"An arm has {smallest} rows, and {cv} folds are to be fitted: judge on "
            "more rows."
        )
    key = joblib.hash((frame, y, treated, propensity, ids, model, cv))
    if key not in _REMEMBERED:
        model = default_model(frame, ids) if model is None else model
        _REMEMBERED[key] = _cross_fit(frame, y, treated, propensity, model, cv)
        while len(_REMEMBERED) > _N_REMEMBERED:
            _REMEMBERED.popitem(last=False)
    return _REMEMBERED[key]


def _cross_fit(frame, y, treated, propensity, model, cv):
    outcomes, taken = np.empty((len(y), 2)), np.full(len(y), np.nan)
    if propensity is not None:
        taken[:] = propensity
    unknown = np.isnan(taken)
    folds = StratifiedKFold(cv, shuffle=True, random_state=0)
    for train, test in folds.split(frame, treated):
        new = frame.iloc[test]
        for arm in (0, 1):
            rows = train[treated[train] == arm]
            fitted = clone(model).fit(frame.iloc[rows], y[rows])
            outcomes[test, arm] = fitted.predict(new)
        if unknown[test].any():
            fitted = clone(model).fit(frame.iloc[train], treated[train].astype(float))
            chance = np.clip(fitted.predict(new), _OVERLAP, 1 - _OVERLAP)
            estimate = np.where(treated[test], chance, 1 - chance)
            taken[test] = np.where(unknown[test], estimate, taken[test])
    return outcomes, taken


def _plain(X):
    return X.to_pandas() if hasattr(X, "to_pandas") else np.asarray(X)
