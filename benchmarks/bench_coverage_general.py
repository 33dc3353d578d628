"""Coverage of 95 % intervals where neither adjustment nor the front door serves.

``weighted``: the napkin with continuous w and y, and a second graph with three
districts whose mediator is continuous; nuisances right, then each misspecified in
turn. ``plugin``: discrete models of the front door, the napkin and adjustment.

The effect is that of x = 1 against x = 0, known by construction.
Run ``python benchmarks/bench_coverage_general.py [weighted plugin] [--seeds N]``.
"""

import argparse
import itertools
import time
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM
from sklearn_causalrec._testing.estimation_problems import make_problem, sample
from sklearn_causalrec.causal.estimation.problem import normal_interval
from sklearn_causalrec.causal.estimation.strategies.general import weighted
from sklearn_causalrec.causal.estimation.strategies.plug_in import plugin

NAPKIN = CausalGraph("w -> r -> x -> y; w <-> x; w <-> y")
BRANCHED = CausalGraph(
    "w -> r -> x -> m -> y; x -> y; w <-> x; w <-> y; c -> m; c -> y"
)
DISCRETE = {
    "front door": CausalGraph("x -> m -> y; x <-> y"),
    "napkin": NAPKIN,
    "adjustment": CausalGraph("z -> x -> y; z -> y"),
}


def napkin(rng, n):
    """Effect 1; the latents tie w to x and w to y."""
    u, v = rng.normal(size=(2, n))
    w = 0.7 * u + 0.7 * v + 0.5 * rng.normal(size=n)
    r = rng.binomial(1, special.expit(0.8 * w))
    x = rng.binomial(1, special.expit(1.2 * r - 0.3 + 0.8 * u))
    y = x + v + 0.7 * rng.normal(size=n)
    return pd.DataFrame({"w": w, "r": r, "x": x, "y": y})


def branched(rng, n):
    """Effect 0.5 + 0.7 * 0.8, the second part through m."""
    frame, c = napkin(rng, n), rng.normal(size=n)
    m = 0.8 * frame["x"] + 0.5 * c + rng.normal(size=n)
    y = frame["y"] - 0.5 * frame["x"] + 0.7 * m + 0.5 * c
    return frame.assign(c=c, m=m, y=y)


RIGHT = LogisticRegression(C=100)  # of r on w
SMOOTH = make_pipeline(SplineTransformer(4), LinearRegression())
SETTINGS = {
    "napkin, right": (NAPKIN, napkin, 1.0, RIGHT, SMOOTH),
    "napkin, weights constant": (NAPKIN, napkin, 1.0, DummyClassifier(), SMOOTH),
    "napkin, regressions constant": (NAPKIN, napkin, 1.0, RIGHT, DummyRegressor()),
    "three districts, default": (BRANCHED, branched, 1.06, None, None),
    "napkin, default": (NAPKIN, napkin, 1.0, None, None),
}


def weighted_errors(setting, seed, n):
    graph, draw, truth, treatment, outcome = SETTINGS[setting]
    frame = draw(np.random.default_rng([23, seed]), n)
    found = weighted(
        make_problem(
            graph, frame, "y", "x", treatment_model=treatment, outcome_model=outcome
        )
    )
    plain = np.diff(found.nuisances.plain)[0]
    return *errors(found, truth), plain - truth


def discrete_model(graph):
    """The first random model whose effect is 0.1 or more, and the effect."""
    for seed in itertools.count():
        scm = DiscreteSCM(graph, np.random.default_rng(seed), floor=0.2)
        truth = np.diff(scm.effect(["y"], ["x"])[:, 1])[0]
        if abs(truth) >= 0.1:
            return scm, truth


def plugin_errors(name, seed, n):
    graph = DISCRETE[name]
    scm, truth = discrete_model(graph)
    frame = sample(scm, n, np.random.default_rng([29, seed]))
    return *errors(plugin(make_problem(graph, frame, "y", "x")), truth), 0.0


def errors(found, truth):
    effect, error = found.contrast(0, 1)
    low, high = normal_interval(effect, error, 0.05)
    return effect - truth, error, low <= truth <= high


def quiet(job, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return job(*args)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", default=["plugin", "weighted"])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", help="rows of the table whose name has this")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    print(
        f"{options.seeds} seeds, n = {options.rows}: bias, RMSE, mean standard error, "
        f"coverage, bias without correction, seconds a fit"
    )
    for table in options.tables:
        job = {"plugin": plugin_errors, "weighted": weighted_errors}[table]
        for name in {"plugin": DISCRETE, "weighted": SETTINGS}[table]:
            if options.only and options.only not in name:
                continue
            start = time.perf_counter()
            done = Parallel(options.jobs)(
                delayed(quiet)(job, name, seed, options.rows)
                for seed in range(options.first, options.first + options.seeds)
            )
            seconds = (time.perf_counter() - start) * options.jobs / options.seeds
            error, se, inside, plain = np.array(done, float).T
            numbers = (
                error.mean(), np.sqrt(np.mean(error**2)), se.mean(), inside.mean(),
                plain.mean(), seconds,
            )  # fmt: skip
            print(
                f"{table}: {name:30s}" + "".join(f"{v:9.4f}" for v in numbers),
                flush=True,
            )
