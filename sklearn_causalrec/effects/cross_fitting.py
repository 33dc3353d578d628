"""Cross-fitting: every row is predicted by models that did not see its fold."""

from inspect import Parameter, signature

import numpy as np
from joblib import delayed
from sklearn import config_context
from sklearn.base import is_classifier
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sklearn_causalrec._utils.process import Shared, filters_kept, one_thread, parallel
from sklearn_causalrec._utils.seeds import seeded
from sklearn_causalrec._utils.small import permuted
from sklearn_causalrec.effects.learners import convex_weights
from sklearn_causalrec.encoding.disk_arrays import BLOCK_ROWS

# From so many rows on, three folds leave enough to train on, and fewer learners do.
MANY_ROWS = 10_000


def stratified_folds(arm, n_folds, rng):
    """Fold of every row, every arm spread evenly; (n,) int, a byte each as a rule."""
    blocks = [slice(i, i + BLOCK_ROWS) for i in range(0, len(arm), BLOCK_ROWS)]
    arms = np.unique(np.concatenate([np.unique(arm[block]) for block in blocks]))
    first = [int(np.count_nonzero(arm < a)) for a in arms]
    order = permuted(len(arm), rng)
    fold = np.empty(len(arm), np.min_scalar_type(n_folds))
    for block in blocks:  # sorting all would hold them thrice
        rows = order[block]
        of = arm[rows]
        for k, a in enumerate(arms):
            mine = rows[of == a]
            fold[mine] = (first[k] + np.arange(len(mine))) % n_folds
            first[k] += len(mine)
    return fold


def folds_of(splitter, X, y=None):
    """Fold of every row by a splitter of scikit-learn; (n,) int."""
    fold = np.empty(len(X), int)
    for k, (_, held) in enumerate(splitter.split(X, y)):
        fold[held] = k
    return fold


def _split(fold):
    """Fold, and positions of the rows outside of it and in it."""
    for k in range(fold.max() + 1):
        yield k, np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def each_fold(fold, job, parts=(None,), *, n_jobs=None, prefer=None):
    """Do a job without each fold: the one loop over folds of the package.

    Parameters
    ----------
    fold : ndarray of int of shape (n,)
        Fold of every row, 0 to k - 1.
    job : callable
        Called as ``job(part, k, train, held)``: ``train`` and ``held`` are the
        positions of the rows outside of fold k and in it.
    parts : sequence, default=(None,)
        What is done for every fold, for instance the models to fit.
    n_jobs : int, default=None
        Jobs done at once, see joblib. The result does not depend on it.
    prefer : {"threads", "processes"}, default=None
        How joblib is to do them.

    Returns
    -------
    list of list
        What the jobs returned: a list a fold, one entry a part.
    """

    shared = Shared()

    def beside_others(*task):
        with shared.task(), filters_kept():
            return job(*task)

    tasks = [(part, *rows) for rows in _split(fold) for part in parts]
    with shared.waited_for():
        done = parallel(n_jobs, prefer=prefer)(
            delayed(beside_others)(*task) for task in tasks
        )
    return [done[i : i + len(parts)] for i in range(0, len(done), len(parts))]


def out_of_fold(fold, fit_predict):
    """Predictions of every row by a model that did not see its fold.

    Parameters
    ----------
    fold : ndarray of int of shape (n,)
        Fold of every row, 0 to k - 1.
    fit_predict : callable
        Called as ``fit_predict(k, train, held)`` with the positions of the rows
        outside of fold k and in it; returns the predictions of the latter.

    Returns
    -------
    ndarray of float64 of shape (n, ...)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.effects.cross_fitting import out_of_fold
    >>> y = np.array([1.0, 2.0, 3.0, 5.0])
    >>> def mean(k, train, held):
    ...     return np.full(len(held), y[train].mean())
    >>> out_of_fold(np.array([0, 1, 0, 1]), mean)
    array([3.5, 2. , 3.5, 2. ])
    """
    out = None
    for k, train, held in _split(fold):
        predicted = np.asarray(fit_predict(k, train, held))
        if out is None:
            out = np.empty((len(fold), *predicted.shape[1:]))
        out[held] = predicted
    return out


def varies(fitted, fold):
    """Whether cross-fitted predictions are more than one number a fold.

    Parameters
    ----------
    fitted : ndarray of shape (n,)
        Predictions, of which those of a fold are by the same model.
    fold : ndarray of int of shape (n,)
        Fold of every row.

    Returns
    -------
    bool
        Whether some fold has a spread beyond rounding.
    """
    size = np.abs(fitted).max()
    spreads = (np.ptp(fitted[fold == k]) for k in np.unique(fold))
    return bool(max(spreads) > 1e-6 * size)


def as_models(models, default):
    """List of candidates: the default, the one given, or those of a list."""
    if models is None:
        return default()
    return list(models) if isinstance(models, (list, tuple)) else [models]


def takes_missing(model):
    """Whether a model says that it takes missing values; None does not."""
    tags = None if model is None or isinstance(model, str) else get_tags(model)
    return tags is not None and tags.input_tags.allow_nan


def _is_skorch(model):
    return any(c.__module__.startswith("skorch.") for c in type(model).__mro__)


class _Constant:
    """The mean, for a target without variation or a regression on nothing."""

    def fit(self, X, y, sample_weight=None):
        self.value = np.average(y, axis=0, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full((len(X), *np.shape(self.value)), self.value)


def _check_able(model, weighted, tells):
    """Refuse a model that cannot use weights, or cannot tell probabilities."""
    name = type(model).__name__
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    kinds = {p.kind for p in signature(last.fit).parameters.values()}
    if weighted and not has_fit_parameter(last, "sample_weight"):
        if Parameter.VAR_KEYWORD not in kinds:
            raise ValueError(
                f"{name}.fit takes no sample_weight, and fit was given weights: choose "
                "a model that takes them, or leave sample_weight out."
            )
    if tells and not hasattr(model, "predict_proba"):
        raise ValueError(
            f"{name} has no predict_proba, and a probability is asked of it: choose a "
            f"classifier that has one, or wrap it, CalibratedClassifierCV({name}())."
        )


class Fitted:
    """One model fitted on some rows: numbers in, means or probabilities out.

    ``n_classes`` 0 is a regression, whose target a classifier takes as 0 and 1.
    """

    def __init__(self, model, X, target, weight=None, n_classes=0, seed=0):
        self.n_classes, self.classes = n_classes, None
        self.net = _is_skorch(model)
        if not X.shape[1] or (target == target[0]).all():
            model = _Constant()
            if n_classes:
                target = np.eye(n_classes)[target]
        else:
            model = seeded(model, seed)
            tells = n_classes > 0 or is_classifier(model)
            _check_able(model, weight is not None, tells)
            if tells:
                target = target.astype(np.int64)
            elif self.net:
                target = target.astype(np.float32)[:, None]
        kwargs = {}
        if weight is not None:
            last = model.steps[-1][0] + "__" if hasattr(model, "steps") else ""
            kwargs = {last + "sample_weight": weight}
        self.model = model.fit(self._cast(X), target, **kwargs)
        self.classes = getattr(self.model, "classes_", None)

    def _cast(self, X):
        return X.astype(np.float32) if self.net else X

    def __call__(self, X):
        X = self._cast(X)
        if self.classes is None or isinstance(self.model, _Constant):
            out = self.model.predict(X)
            return out if self.n_classes else np.ravel(out)
        found = self.model.predict_proba(X)
        if not self.n_classes:
            return found[:, 1]
        out = np.zeros((len(X), self.n_classes))
        out[:, np.asarray(self.classes, int)] = found
        return out


class CrossFit:
    """Candidates fitted without each fold and stacked by convex weights.

    Every row is predicted by models that did not see its fold; the weights of the
    candidates, nonnegative and summing to one, minimize the squared error of these
    predictions ("short-stacking", Ahrens et al. 2024, "Model averaging and double
    machine learning").

    Parameters
    ----------
    models : list of estimators
    X : ndarray of shape (n, p)
    target : ndarray of shape (n,)
        Numbers; class codes where ``n_classes`` is positive. Of the rows outside
        ``rows`` nothing is read. Of shape (n, n_folds), each fold has a target of its
        own, which did not see it.
    fold : ndarray of int of shape (n,)
    rows : ndarray of bool of shape (n,), optional
        Rows to learn from.
    weight : ndarray of shape (n,), optional
    n_classes : int
        0 for a regression.
    """

    def __init__(
        self, models, X, target, fold, *, rows=None, weight=None, n_classes=0,
        seed=0, n_jobs=None,
    ):  # fmt: skip
        n = len(X)
        rows = np.ones(n, bool) if rows is None else rows
        own = np.ndim(target) == 2
        self.fold, self.n_classes = fold, n_classes

        def job(model, k, train, held):
            learn = train[rows[train]]
            y = target[learn, k] if own else target[learn]
            w = None if weight is None else weight[learn]
            # what is routed to the estimator is not for its nuisance models
            with one_thread(), config_context(enable_metadata_routing=False):
                return Fitted(model, X[learn], y, w, n_classes, seed + k)

        self.fitted = each_fold(fold, job, models, n_jobs=n_jobs)
        self.weights = np.ones(1)
        if len(models) > 1:
            P = np.stack([self._candidate(j, X) for j in range(len(models))], -1)
            y = target[np.arange(n), fold] if own else target
            y = np.eye(n_classes)[y[rows]] if n_classes else y[rows]
            w = np.ones(rows.sum()) if weight is None else weight[rows]
            w = np.repeat(w, n_classes or 1)
            self.weights = convex_weights(
                P[rows].reshape(-1, len(models)), y.ravel(), w
            )

    def _candidate(self, j, X):
        return out_of_fold(self.fold, lambda k, _, held: self.fitted[k][j](X[held]))

    def __call__(self, X):
        """Predictions at the rows of fit, each by the models without its fold."""
        used = [(j, c) for j, c in enumerate(self.weights) if c > 0]
        return sum(c * self._candidate(j, X) for j, c in used)

    def by(self, k, X):
        """Predictions of any rows by the models without fold ``k``."""
        used = [(j, c) for j, c in enumerate(self.weights) if c > 0]
        return sum(c * self.fitted[k][j](X) for j, c in used)

    def at(self, X):
        """Predictions of new rows: the mean over the folds' models."""
        folds = range(len(self.fitted))
        return sum(self.by(k, X) for k in folds) / len(self.fitted)
