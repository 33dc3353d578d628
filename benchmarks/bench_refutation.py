"""How often the refuters refuse a sound estimate, and how often an unsound one.

``size``: share of simulated logs on which each method (raw p-value below 0.05), and the
verdict of the four default ones, refuses an estimator that is right: augmented
inverse-probability weighting with linear models on linear data.

``power``: the same where something is wrong with the estimator: its outcome and
exposure models are straight lines and the truth is bent; it reports half its standard
error; a confounder is left out, measured or not, which none but the negative control
can see. ``more`` is both with 20 simulations in place of the default, 1.

``strategies``: the size of `DoCalculusEffect` with linear models, by strategy.

``cost``: CPU seconds of a fit and of ``refute`` with its defaults, by strategy.

``parts``: size and power of "parts", which is no default.

Run ``python benchmarks/bench_refutation.py [size power more confounded parts strategies
cost] [--logs N] [--first-seed N] [--strategies NAME ...]``.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import expit
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalGraph, DoCalculusEffect
from sklearn_causalrec.causal.checks.refutation import negative_control, refute

DEFAULT = ("placebo", "dummy_outcome", "random_common_cause", "subset")
TREES = dict(max_iter=40, learning_rate=0.15, max_leaf_nodes=8, random_state=0)


class Aipw(BaseEstimator):
    """Cross-fitted augmented inverse-probability weighting for two arms."""

    def __init__(
        self,
        treatment="t",
        ignore=(),
        trees=False,
        scale=1.0,
        bias=0.0,
        random_state=None,
    ):
        self.treatment = treatment
        self.ignore = ignore
        self.trees = trees
        self.scale = scale
        self.bias = bias  # in standard errors
        self.random_state = random_state

    def fit(self, X, y, treatment=None):
        t = np.asarray(X[self.treatment])
        Z = X.drop(columns=[self.treatment, *self.ignore]).to_numpy()
        y = np.asarray(y, float)
        rng = np.random.RandomState(self.random_state)
        g, p = np.empty((len(y), 2)), np.empty(len(y))
        fold = rng.permutation(len(y)) % 5
        for k in range(5):
            train, test = fold != k, fold == k
            for a in (0, 1):
                own = train & (t == a)
                g[test, a] = self._outcome(Z[own], y[own], Z[test])
            p[test] = self._exposure(Z[train], t[train], Z[test])
        p = np.clip(p, 0.01, 0.99)
        self.adjustment_set_ = frozenset(X.columns) - {self.treatment, *self.ignore}
        self.score_ = (
            g[:, 1] - g[:, 0] + (y - g[np.arange(len(y)), t]) * (t - p) / (p * (1 - p))
        )
        self.score_ += self.bias * self.score_.std() / np.sqrt(len(y))
        return self

    def _outcome(self, Z, y, new):
        if self.trees:
            return HistGradientBoostingRegressor(**TREES).fit(Z, y).predict(new)
        coef = np.linalg.lstsq(np.c_[np.ones(len(Z)), Z], y, rcond=None)[0]
        return coef[0] + new @ coef[1:]

    def _exposure(self, Z, t, new):
        if self.trees:
            model = HistGradientBoostingClassifier(**TREES).fit(Z, t)
            return model.predict_proba(new)[:, 1]
        A, coef = np.c_[np.ones(len(Z)), Z], np.zeros(Z.shape[1] + 1)
        for _ in range(6):  # Newton's method
            p = expit(A @ coef)
            hessian = (A * (p * (1 - p))[:, None]).T @ A + 1e-6 * np.eye(len(coef))
            coef = coef + np.linalg.solve(hessian, A.T @ (t - p) - 1e-6 * coef)
        return expit(coef[0] + new @ coef[1:])

    def ate(self, X=None, T0=0, T1=1):
        return self.score_.mean()

    def ate_interval(self, X=None, alpha=0.05, T0=0, T1=1):
        half = norm.ppf(1 - alpha / 2) * self.score_.std() / np.sqrt(len(self.score_))
        half *= self.scale
        return self.score_.mean() - half, self.score_.mean() + half


def log(seed, n, *, bent=False, share=0.5, hidden=0.0):
    """Covariates, treatment, outcome, and what was bought the week before."""
    rng = np.random.default_rng([17, seed])
    Z = rng.normal(size=(n, 4))
    latent = rng.normal(size=n)
    index = Z @ [0.6, -0.4, 0.2, 0] + hidden * latent
    mean = Z @ [1, 0.5, -0.5, 0.5] + hidden * latent
    if bent:
        index = index + 0.8 * (Z[:, 0] ** 2 - 1) * (Z[:, 1] > 0)
        mean = mean + 0.8 * Z[:, 0] ** 2 * (Z[:, 1] > 0)
    t = rng.binomial(1, expit(index + np.log(share / (1 - share))))
    y = mean + t + rng.standard_t(4, size=n)
    before = mean + rng.normal(size=n)
    X = pd.DataFrame(Z, columns=list("abcd")).assign(t=t)
    return X, pd.Series(y, name="y"), before


def verdicts(
    seed, n, estimator, methods=DEFAULT, tolerance=0.1, n_simulations=1, **world
):
    X, y, before = log(seed, n, **world)
    fitted = estimator.set_params(random_state=seed).fit(X, y)
    found = refute(
        fitted,
        X,
        y,
        methods=methods,
        tolerance=tolerance,
        n_simulations=n_simulations,
        random_state=seed,
    )
    row = (found.results["p_value"] < 0.05).to_dict()
    row["verdict"] = not found.passed
    control = negative_control(fitted, X, {"before": before})
    row["negative_control"] = not control.passed
    low, high = fitted.ate_interval()
    row["covered"] = low < 1 < high
    return row


def study(name, seeds, n_jobs, **options):
    rows = Parallel(n_jobs)(delayed(verdicts)(seed, **options) for seed in seeds)
    shares = pd.DataFrame(rows).mean()
    shares.name = name
    return shares


PARTS = dict(methods=("parts",))
CONFOUNDED = dict(methods=("confounded_placebo",), n=1000)
SIZE = {
    "linear, n = 500": dict(n=500, estimator=Aipw()),
    "the same, tolerance 0": dict(n=500, estimator=Aipw(), tolerance=0.0),
    "one in five treated": dict(n=1000, estimator=Aipw(), share=0.2),
}
POWER = {
    "half the standard error": dict(n=500, estimator=Aipw(scale=0.5)),
    "lines, truth bent": dict(n=1000, estimator=Aipw(), bent=True),
    "measured confounder left out": dict(n=1000, estimator=Aipw(ignore=("a",))),
    "latent confounder": dict(n=1000, estimator=Aipw(), hidden=0.7),
    "biased by three standard errors": dict(n=500, estimator=Aipw(bias=3.0)),
    "a third of the standard error": dict(n=500, estimator=Aipw(scale=0.333)),
}
STUDIES = {
    "size": SIZE,
    "power": POWER,
    "more": {
        f"{name}, 20 refits": {**options, "n_simulations": 20}
        for name, options in {**SIZE, **POWER}.items()
    },
    "parts": {
        "linear, n = 500": dict(n=500, estimator=Aipw(), **PARTS),
        "linear, n = 1000": dict(n=1000, estimator=Aipw(), **PARTS),
        "half, n = 500": dict(n=500, estimator=Aipw(scale=0.5), **PARTS),
        "half, n = 1000": dict(n=1000, estimator=Aipw(scale=0.5), **PARTS),
    },
    "confounded": {
        "linear": dict(estimator=Aipw(), **CONFOUNDED),
        "lines, truth bent": dict(estimator=Aipw(), bent=True, **CONFOUNDED),
        "the same, 20 refits": dict(
            estimator=Aipw(), bent=True, n_simulations=20, **CONFOUNDED
        ),
        "boosted trees, truth bent": dict(
            estimator=Aipw(trees=True), bent=True, **CONFOUNDED
        ),
    },
}


# -- the strategies of DoCalculusEffect -----------------------------------------------

FRONT = "t -> m; m -> y; t <-> y"
GRAPHS = {
    "adjustment": ("a -> t; a -> y; b -> y; t -> y", {}),
    "frontdoor": (FRONT, {"strategy": "frontdoor"}),
    "sequential": (FRONT, {"strategy": "sequential"}),
    "primal-fixable": ("t -> m; m -> l; l -> y; t -> y; t <-> l; a -> m; a -> y", {}),
    "general": (FRONT, {"strategy": "general"}),
    "instrument": ("z -> t; t -> y; t <-> y; a -> y", {"strategy": "instrument"}),
    "dose-response": ("a -> t; a -> y; b -> y; t -> y", {"discrete_treatment": False}),
}
LINEAR = dict(
    outcome_model=LinearRegression(), treatment_model=LogisticRegression(C=1e6)
)


def graph_log(seed, n, name):
    """Rows of a linear world of the graph; arrows of size 1/2, latent ones too."""
    rng = np.random.default_rng([23, seed])
    a, b, u, z, noise = rng.normal(size=(5, n))
    graph = GRAPHS[name][0]
    frame = {"a": a, "b": b}
    index = a * ("a -> t" in graph) + u * ("t <->" in graph)
    if name == "instrument":
        frame["z"] = z = (z > 0).astype(float)
        index = index + 3 * z - 1.5
    t = 0.5 * index + rng.logistic(size=n)
    t = t if name == "dose-response" else (t > 0).astype(int)
    y = 0.5 * a + 0.5 * b * ("b -> y" in graph) + noise + u * ("t <-> y" in graph)
    if "m" in graph:
        m = (
            0.8 * t + 0.5 * a * ("a -> m" in graph) + rng.logistic(size=n) > 0.4
        ).astype(int)
        frame["m"] = m
        if "l" in graph:
            frame["l"] = m = 0.5 * m + u + rng.normal(size=n)
        y = y + m
    if "t -> y" in graph:
        y = y + t
    frame["t"] = t
    return pd.DataFrame(frame), pd.Series(y, name="y")


def by_strategy(name, seed, n, **models):
    graph, options = GRAPHS[name]
    graph = CausalGraph(graph)
    X, y = graph_log(seed, n, name)
    X = X[[c for c in X if c in graph]]
    effect = DoCalculusEffect(
        graph, treatment="t", outcome="y", random_state=seed, **options, **models
    )
    return effect, X, y


def strategies(seeds, names, n=600):
    """Share of logs that a right model is refused on."""
    rows = {}
    for name in names:
        refused = []
        models = LINEAR
        if name == "dose-response":
            models = dict.fromkeys(LINEAR, LinearRegression())
        for seed in seeds:
            effect, X, y = by_strategy(name, seed, n, **models)
            effect.set_params(effect_model=None)
            effect.fit(X, y)
            how = dict(random_state=seed, **asked(effect))
            found = refute(effect, X, y, **how)
            parts = refute(effect, X, y, methods="parts", **how)
            row = (found.results["p_value"] < 0.05).to_dict()
            row |= {"verdict": not found.passed, "parts": not parts.passed}
            refused.append(row)
        rows[name] = pd.DataFrame(refused).mean()
    print(pd.DataFrame(rows).T.round(3).to_string(), flush=True)


def cost(names, rounds=2):
    """A fit with its interval and all of refute, in turns: medians and their ratio."""
    for name in names:
        for n, p in ((2000, 5),) if name != "adjustment" else SIZES:
            effect, X, y = by_strategy(name, 0, n)
            if p > 5:
                rng = np.random.default_rng(1)
                more = {f"x{j}": rng.normal(size=n) for j in range(p - 2)}
                X, effect = X.assign(**more), effect.set_params(graph=None)
            took = []
            for _ in range(rounds + 1):
                start = time.process_time()
                effect.fit(X, y).ate_interval(**asked(effect))
                middle = time.process_time()
                refute(effect, X, y, random_state=0, **asked(effect))
                took.append((middle - start, time.process_time() - middle))
            fit, tried = np.median(took[1:], axis=0)
            print(
                f"{name:16s} {n:7,d} x {X.shape[1] - 1:2d} fit {fit:7.2f} s "
                f"refute {tried:7.2f} s ratio {tried / fit:5.2f}",
                flush=True,
            )


SIZES = ((2000, 5), (2000, 50), (20_000, 5), (20_000, 50))


def asked(effect):
    """The contrast where the estimator has no arms to take it from."""
    return {} if effect.arms_ else {"T0": 0, "T1": 1}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=[*STUDIES, "strategies", "cost"])
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=list(GRAPHS))
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.logs)
    for what in chosen.what:
        print(f"\n{what}: share of {chosen.logs} logs refused", flush=True)
        if what == "strategies":
            strategies(seeds, chosen.strategies)
        elif what == "cost":
            cost(chosen.strategies)
        for name, options in STUDIES.get(what, {}).items():
            shares = study(name, seeds, chosen.jobs, **options)
            print(shares.round(3).to_frame().T.to_string(), flush=True)
