"""Fitting an estimator again, with something about its data or its graph changed."""

import numpy as np
from sklearn.base import clone

from sklearn_causalrec.encoding.cluster_columns import cluster_names, is_auto
from sklearn_causalrec.encoding.contrasts import named_arms


def take(values, rows):
    """Rows of a column, a frame or None, as what they are."""
    if values is None:
        return None
    return values.iloc[rows] if hasattr(values, "iloc") else np.asarray(values)[rows]


def treatment_columns(estimator, X):
    """Columns of X that the estimator takes as treatment."""
    named = getattr(estimator, "treatment", None)
    named = [named] if isinstance(named, str) else list(named or ())
    return [name for name in named if name in X.columns]


def cluster_codes(estimator, X):
    """Codes of the rows that belong together by a column of X, or None.

    Where they do in two ways, those of the first, users before items.
    """
    cluster = getattr(estimator, "cluster", None)
    names = cluster_names(cluster)
    if is_auto(cluster):
        roles = (getattr(estimator, role, None) for role in ("user", "item"))
        names = [name for name in roles if name is not None]
    if not names:
        return None
    ids = X[names[0]] if names[0] in X.columns else X.iloc[:, names[0]]  # by position
    return np.unique(ids.astype(str), return_inverse=True)[1]


def covariates(estimator, X):
    """Columns that the fitted estimator adjusts for."""
    own = {
        *treatment_columns(estimator, X),
        *getattr(estimator, "treatment_names_", ()),
    }
    used = getattr(estimator, "adjustment_set_", None)
    return [c for c in X.columns if c not in own and (used is None or c in used)]


def check_refits(estimator):
    """Refuse to fit again what was given more than a refit knows of."""
    if given := [n for n in getattr(estimator, "given_", ()) if n != "missing values"]:
        raise ValueError(
            f"the estimator was fitted with {' and '.join(given)}, and refits know of "
            "X, y and treatment only: they would be of another estimate. Fit without, "
            "or name a column of X instead, as cluster='user' does."
        )


def refit(estimator, X, y, treatment=None, *, seed=None, **params):
    """A clone, with other parameters and its randomness seeded, fitted.

    Only the average effect is asked of it: what takes longer is switched off.
    """
    check_refits(estimator)
    fresh = clone(estimator)
    known = fresh.get_params(deep=False)
    params = {"effect_model": None, "mediators": None, "random_state": seed, **params}
    if seed is None:
        del params["random_state"]
    fresh.set_params(**{k: v for k, v in params.items() if k in known})
    if treatment is None:
        return fresh.fit(X, y)
    return fresh.fit(X, y, treatment=treatment)


def refit_without(estimator, X, y, treatment, names):
    """A clone that adjusts for all covariates of the estimator but these."""
    used = covariates(estimator, X)
    unknown = [name for name in names if name not in used]
    if unknown:
        raise ValueError(
            f"{unknown} are not among the covariates adjusted for, {used}."
        )
    left = [c for c in used if c not in names]
    if not left:
        raise ValueError(f"without {list(names)} no covariate is left to adjust for.")
    kept = {*left, *treatment_columns(estimator, X)}
    # Without a graph every column is adjusted for, which is what is wanted here.
    free = dict.fromkeys(("graph", "adjustment_set", "effect_modifiers"))
    return refit(estimator, X[[c for c in X if c in kept]], y, treatment, **free)


def with_common_cause(graph, name, treatments, outcome):
    """The graph with one more observed cause of the treatments and the outcome."""
    return type(graph).from_edges(
        [*graph.directed_edges, *((name, v) for v in (*treatments, outcome))],
        graph.bidirected_edges,
        [*graph.nodes, name],
    )


def average_effect(fitted, T0, T1, alpha=0.05):
    """Estimate and confidence limits, three floats."""
    arms = named_arms(T0, T1)
    low, high = fitted.ate_interval(alpha=alpha, **arms)
    point = fitted.ate(**arms)
    return tuple(float(np.squeeze(v)) for v in (point, low, high))
