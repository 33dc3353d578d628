"""Effects from cross-fitted predictions: R-stacking of orthogonal learners."""

import numpy as np
from joblib import Parallel, delayed
from scipy.optimize import nnls
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, lasso_path
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

CHUNK = 65_536
SLOW = dict(learning_rate=0.05, max_features=0.5)


def _predict(model, X):
    """Predictions of ``model`` in chunks, so that copies stay small."""
    call = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    parts = [call(X[i : i + CHUNK]) for i in range(0, len(X), CHUNK)]
    out = np.concatenate(parts) if parts else np.empty(0)
    return out[:, 1] if out.ndim == 2 else out


def _convex_weights(P, target, weight):
    """Nonnegative weights that sum to one and minimise the weighted squared error.

    ``P`` is (n, candidates). Scaled by the spread of the target, the constraint
    is one heavily weighted extra row of a nonnegative least squares problem.
    """
    root = np.sqrt(weight / weight.sum())
    centre = np.average(target, weights=weight)
    spread = np.sqrt(np.average((target - centre) ** 2, weights=weight)) or 1.0
    A = (P - centre) * (root / spread)[:, None]
    b = (target - centre) * root / spread
    gram, cross = A.T @ A + 1e4, A.T @ b + 1e4
    values, vectors = np.linalg.eigh(gram)
    keep = values > values[-1] * 1e-14
    R = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    c, _ = nnls(R, (vectors[:, keep].T @ cross) / np.sqrt(values[keep]))
    return c / c.sum() if c.sum() > 0 else np.full(P.shape[1], 1 / P.shape[1])


class AdditiveLasso(RegressorMixin, BaseEstimator):
    """Lasso over a line, hinges and steps of each feature.

    The penalty is chosen by cross-validation on Gram matrices: the data are
    read once, in chunks, and the path is that of an equivalent problem with as
    many rows as basis functions.

    Parameters
    ----------
    n_knots : int, default=5
        Quantiles of a feature at which a hinge and a step are placed.
    n_folds : int, default=3
        Folds of the choice of the penalty.
    max_features : int, default=100
        Features beyond this number enter as lines only.
    """

    def __init__(self, n_knots=5, n_folds=3, max_features=100):
        self.n_knots = n_knots
        self.n_folds = n_folds
        self.max_features = max_features

    def _basis(self, X):
        Z = (X - self.mean_) / self.scale_
        jump = Z[:, self.knot_of_] - self.knots_
        return np.hstack([Z, np.maximum(jump, 0), jump > 0])

    def fit(self, X, y, sample_weight=None):
        n, p = X.shape
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        self.mean_, self.scale_ = X.mean(0, dtype=float), X.std(0, dtype=float)
        self.scale_[self.scale_ < 1e-9] = 1.0
        knots = np.quantile(X, np.linspace(0, 1, self.n_knots + 2), axis=0)
        knots = (knots - self.mean_) / self.scale_
        inner = [np.unique(k[(k > k[0]) & (k < k[-1])]) for k in knots.T]
        if p > self.max_features:
            inner = [k[:0] for k in inner]
        self.knot_of_ = np.repeat(np.arange(p), [len(k) for k in inner])
        self.knots_ = np.concatenate(inner)
        size = p + 2 * len(self.knots_) + 2
        gram = np.zeros((self.n_folds, size, size))
        for f in range(self.n_folds):
            rows = np.arange(f, n, self.n_folds)
            for i in range(0, len(rows), CHUNK // 4):
                r = rows[i : i + CHUNK // 4]
                B = np.column_stack([self._basis(X[r]), y[r], np.ones(len(r))])
                gram[f] += (B * w[r, None]).T @ B
        total = gram.sum(0)
        path = None
        errors = 0.0
        for held in gram:
            coefs, path = self._path(total - held, total, path)
            D = np.vstack([-coefs[:-1], np.ones(coefs.shape[1]), -coefs[-1]])
            errors = errors + np.einsum("ij,ij->j", D, held @ D)
        coefs, _ = self._path(total, total, path)
        best = coefs[:, np.argmin(errors)]
        self.coef_, self.intercept_ = best[:-1], best[-1]
        return self

    @staticmethod
    def _path(G, whole, alphas):
        """Coefficients and intercepts along the path from a Gram matrix."""

        def centred(M):
            return M[:-1, :-1] - np.outer(M[:-1, -1], M[-1, :-1]) / M[-1, -1]

        C = centred(G) / G[-1, -1]
        sd = np.sqrt(np.maximum(np.diag(centred(whole))[:-1] / whole[-1, -1], 1e-12))
        C, c = C[:-1, :-1] / np.outer(sd, sd), C[:-1, -1] / sd
        if alphas is None:
            alphas = max(np.abs(c).max(), 1e-12) * np.logspace(0, -2.7, 40)
        values, vectors = np.linalg.eigh(C)
        keep = values > 1e-10 * values[-1]
        root = np.sqrt(values[keep])
        R, r = root[:, None] * vectors[:, keep].T, (vectors[:, keep].T @ c) / root
        m = len(r)
        coefs = lasso_path(
            np.asfortranarray(R), r, alphas=alphas / m, precompute=C, Xy=c,
            max_iter=200, tol=1e-3,
        )[1] / sd[:, None]  # fmt: skip
        means = G[:-2, -1] / G[-1, -1]
        return np.vstack([coefs, G[-2, -1] / G[-1, -1] - means @ coefs]), alphas

    def predict(self, X):
        return self._basis(X) @ self.coef_ + self.intercept_


class Bins:
    """Quantile bins of every feature, found once for all the trees of a fit.

    With ``sample_weight``, histogram boosting looks for weighted percentiles of
    every feature, which takes ten times as long as the boosting; it skips the
    search where a feature has few distinct values.
    """

    def __init__(self, X, n_bins=64):
        self.edges = []
        for x in np.asarray(X).T:
            values = np.unique(x)
            if len(values) > n_bins:
                inner = np.linspace(0, 1, n_bins + 1)[1:-1]
                self.edges.append(np.unique(np.quantile(x, inner).astype(x.dtype)))
            else:
                self.edges.append((values[1:] + values[:-1]) / 2)

    def __call__(self, X):
        out = np.empty(X.shape, np.uint8)
        for j, edges in enumerate(self.edges):
            out[:, j] = np.searchsorted(edges, X[:, j], side="right")
        return out


class Boost:
    """Boosted trees of eight leaves on binned features, and on what an
    :class:`AdditiveLasso` leaves over where ``additive`` is true."""

    def __init__(self, bins, seed, additive=False, classify=False, **options):
        self.bins, self.additive = bins, AdditiveLasso() if additive else None
        kind = (
            HistGradientBoostingClassifier
            if classify
            else HistGradientBoostingRegressor
        )
        self.trees = kind(
            max_leaf_nodes=8, early_stopping=False, random_state=seed, **options
        )

    def fit(self, X, y, sample_weight=None):
        if self.additive is not None:
            self.additive.fit(X, y, sample_weight)
            y = y - _predict(self.additive, X)
        self.trees.fit(self.bins(X), y, sample_weight)
        return self

    def predict(self, X):
        rest = _predict(self.trees, self.bins(X))
        return rest if self.additive is None else rest + self.additive.predict(X)


class StackedEffect(BaseEstimator):
    """Effect of a binary treatment by R-stacking of cross-fitted learners.

    Parameters
    ----------
    n_folds : int, default=5
        Folds of the cross-fitting where ``fit`` is given none; three suffice
        from 10,000 rows on and are used there.
    clip : float, default=0.01
        Propensities are kept inside ``[clip, 1 - clip]``.
    max_rows : int, default=200_000
        Rows a single learner is trained on at most, drawn at random: the
        boosted trees copy their input to float64. Cross-fitted predictions,
        scores and weights use every row.
    network_learners : sequence of callables, default=()
        Each returns a regressor with ``fit(X, target, sample_weight)`` and
        ``predict``; it enters the stack as one more R-learner.
    n_jobs : int, default=2
        Folds fitted at once, in threads.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    weights_ : dict
        Weight of each candidate in the stack.
    ate_, ate_stderr_ : float
        Average effect and its standard error, from ``scores_``.
    scores_ : ndarray of shape (n_samples,)
        Doubly robust (AIPW) scores; their weighted mean is ``ate_``.
    influence_ : ndarray of shape (n_samples,)
        Influence function of ``ate_``, including the corrections for one
        misspecified nuisance.
    propensity_ : ndarray of shape (n_samples,)
        Cross-fitted (or given) propensities after clipping.
    outcomes_ : ndarray of shape (n_samples, 2)
        Cross-fitted predictions of the outcome under each arm.
    oof_effect_ : ndarray of shape (n_samples,)
        Out-of-fold stacked effects of the rows of ``fit``.
    """

    def __init__(self, *, n_folds=5, clip=0.01, max_rows=200_000,
                 network_learners=(), n_jobs=2, random_state=None):  # fmt: skip
        self.n_folds = n_folds
        self.clip = clip
        self.max_rows = max_rows
        self.network_learners = network_learners
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y, t, *, outcome_oof=None, exposure_oof=None, propensity=None,
            sample_weight=None, fold=None):  # fmt: skip
        X, t = np.asarray(X), np.asarray(t).astype(int)
        n = len(t)
        rng = check_random_state(self.random_state)
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        if fold is None:
            k = self.n_folds if n < 10_000 else min(3, self.n_folds)
            fold = np.empty(n, int)
            for arm in (0, 1):
                rows = np.flatnonzero(t == arm)
                fold[rows] = rng.permutation(len(rows)) % k
        names, fold = np.unique(fold, return_inverse=True)
        self._n_folds, self._w, self._fold = len(names), w, fold
        y = np.asarray(y, float)
        self._shift = np.average(y, weights=w)
        self._scale = np.sqrt(np.average((y - self._shift) ** 2, weights=w)) or 1.0
        y = (y - self._shift) / self._scale
        self._seeds = rng.randint(2**31 - 1, size=self._n_folds)
        few = slice(None)
        if n > self.max_rows:
            few = np.sort(rng.choice(n, self.max_rows, replace=False))
        self._bins = Bins(X[few])
        self._fit_nuisances(X, y, t, outcome_oof, exposure_oof, propensity)
        self._fit_candidates(X, y, t, outcome_oof)
        self._score(y, t)
        return self

    # ------------------------------------------------------------ nuisances
    def _each_fold(self, job):
        def run(k):
            with threadpool_limits(1, user_api="openmp"):
                return job(k, np.random.RandomState(self._seeds[k]))

        folds = range(self._n_folds)
        return Parallel(self.n_jobs, prefer="threads")(delayed(run)(k) for k in folds)

    def _train(self, model, rows, X, target, weight, rng):
        """Fit on ``rows``, or on ``max_rows`` of them drawn at random."""
        if len(rows) > self.max_rows:
            rows = np.sort(rng.choice(rows, self.max_rows, replace=False))
        return model.fit(X[rows], target[rows], weight[rows])

    def _fit_nuisances(self, X, y, t, outcome_oof, exposure_oof, propensity):
        n, w, fold = len(y), self._w, self._fold

        def job(k, rng):
            seed, out = self._seeds[k], fold == k
            models = []
            for arm in (0, 1):
                rows = np.flatnonzero(~out & (t == arm))
                pair = [
                    Boost(self._bins, seed, max_iter=200),
                    Boost(self._bins, seed, additive=True, max_iter=200, **SLOW),
                ]
                models.append([self._train(m, rows, X, y, w, rng) for m in pair])
            mu = [[_predict(m, X[out]) for m in arm] for arm in models]
            if propensity is not None:
                return models, mu, None
            rows = np.flatnonzero(~out)
            linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
            boost = Boost(self._bins, seed, classify=True, max_iter=60)
            if len(rows) > self.max_rows:
                rows = np.sort(rng.choice(rows, self.max_rows, replace=False))
            linear.fit(X[rows], t[rows], logisticregression__sample_weight=w[rows])
            boost.fit(X[rows], t[rows], w[rows])
            return models, mu, [_predict(m, X[out]) for m in (linear, boost)]

        done = self._each_fold(job)
        self._outcome_models = [models for models, _, _ in done]
        extra = 0 if outcome_oof is None else 1
        mu = np.empty((2, n, 2 + extra), np.float32)
        for k, (_, pairs, _) in enumerate(done):
            for arm in (0, 1):
                mu[arm, fold == k, :2] = np.transpose(pairs[arm])
        if extra:
            net = (np.asarray(outcome_oof) - self._shift) / self._scale
            mu[:, :, 2] = net.T
        self._outcome_weights = [
            _convex_weights(mu[arm][t == arm].astype(float), y[t == arm], w[t == arm])
            for arm in (0, 1)
        ]
        self._mu = np.column_stack(
            [mu[arm] @ self._outcome_weights[arm] for arm in (0, 1)]
        )
        if propensity is None:
            e = np.empty((n, 2))
            for k, (_, _, pair) in enumerate(done):
                e[fold == k] = np.transpose(pair)
            if exposure_oof is not None:
                e = np.column_stack([e, exposure_oof])
            propensity = e @ _convex_weights(e, t.astype(float), w)
        self.propensity_ = np.clip(propensity, self.clip, 1 - self.clip)

    # ----------------------------------------------------------- candidates
    def _outcome(self, k, arm, X, part=None):
        """Outcome of ``arm`` by the models of fold ``k``, without the network."""
        c = self._outcome_weights[arm][:2]
        c = c / c.sum() if c.sum() > 0 else np.full(2, 0.5)
        return sum(a * _predict(m, X) for a, m in zip(c, self._outcome_models[k][arm]))

    def _fit_candidates(self, X, y, t, outcome_oof):
        w, fold = self._w, self._fold
        e, mu = self.propensity_, self._mu
        ry, rt = y - mu[:, 0] * (1 - e) - mu[:, 1] * e, t - e
        target, weight = ry / rt, w * rt**2
        self._constant = np.average(target, weights=weight)

        def job(k, rng):
            seed, out = self._seeds[k], fold == k
            rows = np.flatnonzero(~out)
            r = Boost(self._bins, seed, additive=True, max_iter=60, **SLOW)
            r = self._train(r, rows, X, target, weight, rng)
            # the opposite arm's model has not seen the row: nothing of fold k
            # and no own outcome leaks into the imputed effect
            imputed = np.empty(len(y))
            for arm in (0, 1):
                mine = rows[t[rows] == arm]
                other = self._outcome(k, 1 - arm, X[mine])
                imputed[mine] = (y[mine] - other) * (2 * arm - 1)
            x = Boost(self._bins, seed, max_iter=100)
            x = self._train(x, rows, X, imputed, w * np.abs(rt), rng)
            xa = Boost(self._bins, seed, additive=True, max_iter=60, **SLOW)
            xa = self._train(xa, rows, X, imputed, w * np.abs(rt), rng)
            nets = [
                self._train(make(), rows, X, target, weight, rng)
                for make in self.network_learners
            ]
            models = [r.additive, r, x, xa.additive, xa, *nets]
            return models, [_predict(m, X[out]) for m in models]

        done = self._each_fold(job)
        self._effect_models = [models for models, _ in done]
        labels = [
            "constant",
            "T-stack",
            "R-additive",
            "R-boost",
            "X-boost",
            "X-additive",
            "X-addboost",
        ]
        labels += [f"R-network-{i}" for i in range(len(self.network_learners))]
        P = np.empty((len(y), len(labels)), np.float32)
        P[:, 0] = self._constant
        P[:, 1] = mu[:, 1] - mu[:, 0]
        for k, (_, parts) in enumerate(done):
            P[fold == k, 2:] = np.transpose(parts)
        if outcome_oof is not None:
            net = np.asarray(outcome_oof)
            P = np.column_stack([P, (net[:, 1] - net[:, 0]) / self._scale])
            labels.append("network")
        c = _convex_weights(P.astype(float), target, weight)
        self.weights_ = dict(zip(labels, c.tolist()))
        self.oof_effect_ = P @ c * self._scale
        self._P = P
        self._target = target
        self._weight = weight

    def _by_fold(self, X, outcome=None):
        """Candidates (folds, n, candidates) at ``X``, in standardised units."""
        out = np.empty((self._n_folds, len(X), len(self.weights_)))
        net = None if outcome is None else np.asarray(outcome) / self._scale
        for k, models in enumerate(self._effect_models):
            out[k, :, 0] = self._constant
            mu = []
            for arm in (0, 1):
                c = self._outcome_weights[arm]
                if len(c) == 2 or net is None or c[2] == 0:
                    mu.append(self._outcome(k, arm, X))
                    continue
                shift = self._shift / self._scale
                parts = [_predict(m, X) for m in self._outcome_models[k][arm]]
                mu.append(np.column_stack([*parts, net[:, arm] - shift]) @ c)
            out[k, :, 1] = mu[1] - mu[0]
            for j, m in enumerate(models, 2):
                out[k, :, j] = _predict(m, X)
            if "network" in self.weights_:
                out[k, :, -1] = net[:, 1] - net[:, 0]
        return out

    def effect(self, X, outcome=None):
        check_is_fitted(self, "weights_")
        c = np.array(list(self.weights_.values()))
        return self._by_fold(np.asarray(X), outcome).mean(0) @ c * self._scale

    # --------------------------------------------------------------- average
    def _score(self, y, t):
        w, e, mu = self._w / self._w.mean(), self.propensity_, self._mu
        sign = np.where(t == 1, 1 / e, -1 / (1 - e))
        self.scores_ = (
            mu[:, 1] - mu[:, 0] + sign * (y - mu[np.arange(len(y)), t])
        ) * self._scale
        self.ate_ = np.average(self.scores_, weights=self._w)
        self.influence_ = w * (self.scores_ - self.ate_)
        self.ate_stderr_ = self.influence_.std() / np.sqrt(len(y))

    def ate_interval(self, alpha=0.05):
        half = norm.ppf(1 - alpha / 2) * self.ate_stderr_
        return self.ate_ - half, self.ate_ + half
