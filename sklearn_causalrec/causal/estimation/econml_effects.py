"""Adjustment by EconML: effects of rows and of averages, with their intervals.

EconML is imported when an estimator is made or fitted, never before.
"""

import contextlib
import copy
from inspect import signature

import numpy as np

from sklearn_causalrec._utils.process import quiet
from sklearn_causalrec._utils.seeds import seeded
from sklearn_causalrec.effects.cross_fitting import as_models
from sklearn_causalrec.effects.default_learners import (
    nuisance_classifiers,
    nuisance_regressors,
)
from sklearn_causalrec.effects.intervals import normal_quantile

OUTCOME_MODELS = ("model_y", "model_regression", "model_y_xw")
TREATMENT_MODELS = ("model_t", "model_propensity", "model_t_xw", "model_t_xwz")


def nuisance(models, *, discrete, seed):
    """What EconML takes as one nuisance model: candidates it selects among by score.

    Several candidates go in as a list, and EconML keeps the best within every fold by
    cross-validation: a ``StackingRegressor`` would refit each candidate once more per
    inner fold, for the gain of a blend. The default candidates are a ridge regression
    (or logistic regression) on splines and boosted trees.
    """
    default = nuisance_classifiers if discrete else nuisance_regressors
    models = [seeded(model, seed) for model in as_models(models, default)]
    return models[0] if len(models) == 1 else models


def complete(estimator, outcome_model, treatment_model, seed):
    """Give an EconML estimator the nuisance models and the seed that it left open."""
    discrete_y = bool(getattr(estimator, "discrete_outcome", False))
    discrete_t = bool(getattr(estimator, "discrete_treatment", False))
    for names, given, discrete in (
        (OUTCOME_MODELS, outcome_model, discrete_y),
        (TREATMENT_MODELS, treatment_model, discrete_t),
    ):
        for name in names:
            value = getattr(estimator, name, None)
            if (
                name == "model_t_xwz"
                and getattr(estimator, "projection", None) is False
            ):
                continue  # OrthoIV refuses a model it would not use
            if isinstance(value, str) and value == "auto":
                propensity = discrete or name == "model_propensity"
                models = nuisance(given, discrete=propensity, seed=seed)
                setattr(estimator, name, models)
    if getattr(estimator, "random_state", seed) is None:
        estimator.random_state = seed
    return estimator


def linear_dml(*, discrete=False, cv=5):
    """Partially linear model: the effect of one more unit is linear in X [1]_.

    References
    ----------
    .. [1] V. Chernozhukov et al. (2018). Double/debiased machine learning for treatment
       and structural parameters. Econometrics Journal 21.
    """
    from econml.dml import LinearDML

    return LinearDML(discrete_treatment=discrete, cv=cv)


def causal_forest(*, discrete=False, cv=5, n_estimators=400):
    """Causal forest on residuals: the effect of a unit is any function of X [1]_.

    References
    ----------
    .. [1] S. Athey, J. Tibshirani, S. Wager (2019). Generalized random forests. Annals
       of Statistics 47.
    """
    from econml.dml import CausalForestDML

    return CausalForestDML(
        discrete_treatment=discrete, cv=cv, n_estimators=n_estimators, n_jobs=1
    )


def linear_dr(*, cv=5):
    """Doubly robust scores of arms, regressed on a line in X [1]_.

    References
    ----------
    .. [1] V. Semenova, V. Chernozhukov (2021). Debiased machine learning of conditional
       average treatment effects and other causal functions. Econometrics Journal 24.
    """
    from econml.dr import LinearDRLearner

    return LinearDRLearner(cv=cv, min_propensity=0.01)


class EconMLEffect:
    """An EconML estimator on arrays: effects between two treatments, with intervals.

    The estimator given is never changed: a deep copy is fitted. Nuisance models that it
    leaves at ``"auto"`` are filled with ``outcome_model`` and ``treatment_model``.

    Parameters
    ----------
    estimator : EconML estimator or None
        Any with ``fit(Y, T, X=, W=)`` and ``effect``: ``LinearDML``,
        ``CausalForestDML``, ``DRLearner``, ... None takes :func:`linear_dml` for a
        continuous treatment and :func:`linear_dr` for a discrete one.
    discrete : bool
        Whether the treatment is arms rather than a dose; read only where ``estimator``
        is None.
    outcome_model, treatment_model : estimator, list of estimators, or None
        Nuisance models; EconML selects among several. None takes the defaults of
        :func:`nuisance`.
    inference : str or EconML inference object
        Passed to ``fit``: "auto" is the estimator's own, "bootstrap" serves all.
    random_state : int
        Seed of whatever the estimator and its models leave open.

    Attributes
    ----------
    estimator_ : EconML estimator
        The fitted copy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> rng = np.random.default_rng(0)
    >>> X, W = rng.normal(size=(500, 1)), rng.normal(size=(500, 2))
    >>> t = W[:, 0] + rng.normal(size=500)
    >>> y = t * (2 + X[:, 0]) + W[:, 0] + rng.normal(size=500)
    >>> line = LinearRegression()
    >>> model = EconMLEffect(outcome_model=line, treatment_model=line).fit(y, t, X, W)
    >>> model.effect([[0.0], [1.0]], t0=0, t1=1).round(1)
    array([2. , 2.9])
    >>> low, high = model.ate_interval()
    >>> bool(low < 2 < high)
    True
    """

    def __init__(
        self, estimator=None, *, discrete=False, outcome_model=None,
        treatment_model=None, inference="auto", random_state=0,
    ):  # fmt: skip
        self.estimator = estimator
        self.discrete = discrete
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.inference = inference
        self.random_state = random_state

    def fit(self, y, t, X=None, W=None, fold=None, Z=None):
        """Fit a copy of the estimator.

        Parameters
        ----------
        y, t : array-like of shape (n,)
        X : array-like of shape (n, q), optional
            Effect modifiers.
        W : array-like of shape (n, p), optional
            Further controls: adjusted for, the effect does not vary with them.
        fold : ndarray of int of shape (n,), optional
            Folds of the cross-fitting, in place of the estimator's own.
        Z : array-like of shape (n, k), optional
            Instruments, for estimators that take them.

        Raises
        ------
        ValueError
            Lengths that differ, values that are missing, a treatment that does not
            vary, or a forest without effect modifiers.
        """
        y, t = np.ravel(y), np.ravel(t)
        X, W = as_table("X", X, len(y)), as_table("W", W, len(y))
        if len(t) != len(y):
            raise ValueError(f"y has {len(y)} rows and the treatment {len(t)}.")
        self.arms_ = np.unique(t)
        if len(self.arms_) < 2:
            raise ValueError(f"The treatment is {t[0]} in every row: nothing varies.")
        estimator = self.estimator
        if estimator is None:
            estimator = linear_dr() if self.discrete else linear_dml()
        estimator = complete(
            copy.deepcopy(estimator),
            self.outcome_model,
            self.treatment_model,
            self.random_state,
        )
        kind = type(estimator).__name__
        if X is None and "Forest" in kind:
            raise ValueError(
                f"{kind} needs effect modifiers: name some, or use LinearDML or "
                "LinearDRLearner, which also estimate one effect for all rows."
            )
        given = {"X": X, "W": W}
        if "W" not in signature(estimator.fit).parameters:
            if W is not None:
                raise ValueError(
                    f"{kind} knows no controls W: pass all columns as effect modifiers."
                )
            del given["W"]
        if Z is not None:
            given["Z"] = as_table("Z", Z, len(y))
        if self.inference != "auto":
            given["inference"] = self.inference
        if fold is not None and hasattr(estimator, "cv"):
            rows = np.arange(len(y))
            estimator.cv = [
                (rows[fold != k], rows[fold == k]) for k in range(np.max(fold) + 1)
            ]
        self.X_, self.n_rows_ = X, len(y)
        # intervals of DR learners are against one arm alone: others are fitted on need
        self._by_baseline = hasattr(estimator, "model_propensity")
        self._other, self._again = {}, None
        if self._by_baseline and len(self.arms_) > 2:
            self._again = copy.deepcopy(estimator), y, t, given
        self.estimator_ = _fitted(estimator, y, t, given)
        return self

    def effect(self, X=None, t0=0, t1=1):
        """Effect of t1 rather than t0 in each row of X (those of fit when None)."""
        rows, X = self._rows(X)
        out = np.ravel(self.estimator_.effect(X, T0=t0, T1=t1))
        return np.broadcast_to(out, rows).copy()

    def effect_interval(self, X=None, alpha=0.05, t0=0, t1=1):
        """Bounds of :meth:`effect` at level 1 - alpha, each of shape (n,).

        Raises
        ------
        ValueError
            The estimator has no intervals of its own.
        """
        rows, table = self._rows(X)
        bounds = self._bounds("effect_interval", table, t0, t1, alpha)
        return tuple(np.broadcast_to(np.ravel(b), rows).copy() for b in bounds)

    def ate(self, X=None, t0=0, t1=1):
        """Mean effect over the rows of X, or over those of fit."""
        own = self._own_average(X, t0, t1)
        return own[0] if own else float(self.effect(X, t0, t1).mean())

    def ate_interval(self, X=None, alpha=0.05, t0=0, t1=1):
        """Bounds of the mean effect.

        For X given they are those of the mean over exactly these rows. For None the
        rows of fit are a sample, and the error of their mean counts too.
        """
        z = normal_quantile(alpha)
        own = self._own_average(X, t0, t1)
        if own:
            return float(own[0] - z * own[1]), float(own[0] + z * own[1])
        rows, table = self._rows(X)
        bounds = self._bounds("ate_interval", table, t0, t1, alpha)
        low, high = (float(np.squeeze(b)) for b in bounds)
        if X is None:
            effect = self.effect(None, t0, t1)
            mean, spread = effect.mean(), z**2 * effect.var() / rows
            low = float(mean - np.sqrt((mean - low) ** 2 + spread))
            high = float(mean + np.sqrt((high - mean) ** 2 + spread))
        return low, high

    def _own_average(self, X, t0, t1):
        """Doubly robust average of a causal forest and its standard error.

        Forests alone have it, for two arms: their intervals of rows average to a
        needlessly wide one.
        """
        forest = self.estimator_
        doubly = getattr(forest, "drate", False) and forest.discrete_treatment
        if X is not None or not doubly or len(self.arms_) != 2:
            return None
        arms = self.arms_.tolist()
        step = arms.index(t1) - arms.index(t0)
        mean, error = np.ravel(forest.ate_)[0], np.ravel(forest.ate_stderr_)[0]
        return float(step * mean), float(abs(step) * error)

    def _bounds(self, name, X, t0, t1, alpha):
        """``effect_interval`` or ``ate_interval`` of the estimator."""
        estimator, arms = self.estimator_, self.arms_.tolist()
        if self._by_baseline and t1 == arms[0] and t0 != t1:
            low, high = self._bounds(name, X, t1, t0, alpha)
            return -high, -low
        if self._again and t0 != arms[0]:
            order = [t0] + [arm for arm in arms if arm != t0]
            if t0 not in self._other:
                fresh, y, t, given = copy.deepcopy(self._again)
                code = {arm: i for i, arm in enumerate(order)}
                t = np.array([code[arm] for arm in t.tolist()])
                fresh.categories = "auto"
                self._other[t0] = _fitted(fresh, y, t, given)
            estimator, t0, t1 = self._other[t0], 0, order.index(t1)
        bounds = (None, None)
        if getattr(estimator, "_inference", None) is not None:
            unaware = quiet("Final model doesn't have")
            with unaware, contextlib.suppress(AttributeError):
                bounds = getattr(estimator, name)(X, T0=t0, T1=t1, alpha=alpha)
        if bounds[0] is None:
            raise ValueError(
                f"{type(estimator).__name__} has no intervals of its own here: pass "
                'inference="bootstrap", or use LinearDML, LinearDRLearner or a forest.'
            )
        return bounds

    def _rows(self, X):
        """Number of rows, and what EconML takes for them."""
        if X is None:
            return self.n_rows_, self.X_
        X = np.asarray(X, float)
        return len(X), None if self.X_ is None else X


def _fitted(estimator, y, t, given):
    # EconML hands column vectors to models that ask for flat ones
    columns, few = (
        quiet("A column-vector y was"),
        quiet("Co-variance matrix is underdet"),
    )
    with columns, few:
        return estimator.fit(y, t, **given)


def as_table(name, value, n):
    """(n, width) numbers without gaps, None where there are no columns."""
    if value is None:
        return None
    value = np.asarray(value, float)
    value = value[:, None] if value.ndim == 1 else value
    if len(value) != n:
        raise ValueError(f"y has {n} rows and {name} {len(value)}.")
    if not np.isfinite(value).all():
        column = int(np.flatnonzero(~np.isfinite(value).all(0))[0])
        raise ValueError(f"Column {column} of {name} has missing or infinite values.")
    return value if value.shape[1] else None
