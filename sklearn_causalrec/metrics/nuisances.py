"""Outcome and exposure of the rows to be judged, by models that haven't seen them."""

from collections import OrderedDict

import joblib
import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.model_selection import StratifiedKFold

from sklearn_causalrec._utils.seeds import seeded
from sklearn_causalrec.effects.cross_fitting import folds_of, out_of_fold
from sklearn_causalrec.effects.default_learners import judging_regressor

# A search judges every candidate on the same folds, and several metrics share them.
_REMEMBERED, _N_REMEMBERED = OrderedDict(), 32

# An estimated exposure nearer to certainty than this would rest on a few rows.
_OVERLAP = 0.025


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
        model = judging_regressor(frame, ids) if model is None else model
        # These models are of the scorer alone: what is routed to what they judge is not
        # for them, and a TargetEncoder demands its groups where routing is on.
        with config_context(enable_metadata_routing=False):
            _REMEMBERED[key] = _cross_fit(frame, y, treated, propensity, model, cv)
        while len(_REMEMBERED) > _N_REMEMBERED:
            _REMEMBERED.popitem(last=False)
    return _REMEMBERED[key]


def _cross_fit(frame, y, treated, propensity, model, cv):
    taken = np.full(len(y), np.nan)
    if propensity is not None:
        taken[:] = propensity
    unknown = np.isnan(taken)

    def fit_predict(k, train, held):
        """Outcomes under both arms, and the probability of the second."""
        new, found = frame.iloc[held], np.full((len(held), 3), np.nan)
        for arm in (0, 1):
            rows = train[treated[train] == arm]
            found[:, arm] = seeded(model, 0).fit(frame.iloc[rows], y[rows]).predict(new)
        if unknown[held].any():
            fitted = seeded(model, 0).fit(
                frame.iloc[train], treated[train].astype(float)
            )
            found[:, 2] = np.clip(fitted.predict(new), _OVERLAP, 1 - _OVERLAP)
        return found

    folds = StratifiedKFold(cv, shuffle=True, random_state=0)
    found = out_of_fold(folds_of(folds, frame, treated), fit_predict)
    chance = np.where(treated, found[:, 2], 1 - found[:, 2])
    return np.ascontiguousarray(found[:, :2]), np.where(unknown, chance, taken)


def _plain(X):
    return X.to_pandas() if hasattr(X, "to_pandas") else np.asarray(X)
