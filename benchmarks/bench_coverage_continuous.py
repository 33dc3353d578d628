"""Coverage of 95 % intervals for continuous treatments and for instruments.

Logs of 2,000 rows from structural models with a known truth. Printed for every
estimand: bias, RMSE, mean standard error (a 3.92nd of the interval's width) and
coverage, whose bar is 0.93 to 0.97.

``dose``: a curved dose-response under confounding, the two nuisances right or
misspecified in turn beside parametric models, and the default models. Points of the
curve are at -1.6, 0 and 1.6 (the 10th, 50th and 90th percentile of the dose); ``band``
is the share of logs whose uniform band holds the whole curve between the 5th and the
95th percentile.

``econml``: constant-marginal effects that are linear in one modifier; for the forest
the average width of intervals is its own, which is conservative.

``instrument``: an unmeasured confounder; a strong instrument, and weak ones whose first
stage has an effective F around 3.

Run ``python benchmarks/bench_coverage_continuous.py [dose econml instrument]
[--only TEXT] [--logs N] [--jobs N] [--first-seed S] [--halves N]``.
"""

import argparse
import os
import time
import warnings
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from joblib import Parallel, delayed
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec.causal.estimation.dose_response import DoseResponse
from sklearn_causalrec.causal.estimation.econml_effects import (
    EconMLEffect,
    causal_forest,
)
from sklearn_causalrec.causal.estimation.instruments import InstrumentEffect

N = 2_000
POINTS = np.array([-1.6, 0.0, 1.6])


def curve(t):
    return np.sin(t) + 0.3 * t


def dose_terms(X):
    """The columns that the outcome is linear in."""
    t, Z = X[:, 0], X[:, 1:]
    return np.column_stack([np.sin(t), t, Z, Z[:, 0] ** 2, t * Z[:, 1]])


def dose_log(seed):
    """The dose has variance 1.52, of which 1 is not explained by Z."""
    rng = np.random.default_rng([5, seed])
    Z = rng.normal(size=(N, 3))
    t = 0.6 * Z[:, 0] - 0.4 * Z[:, 1] + rng.normal(size=N)
    y = curve(t) + Z @ [0.8, 0.5, 0.3] + 0.5 * (Z[:, 0] ** 2 - 1)
    return y + 0.4 * t * Z[:, 1] + rng.normal(size=N), t, Z


def right():
    return make_pipeline(FunctionTransformer(dose_terms), LinearRegression())


DOSE = {
    "parametric, both right": (right(), LinearRegression()),
    "parametric, outcome linear": (LinearRegression(), LinearRegression()),
    "parametric, outcome constant": (DummyRegressor(), LinearRegression()),
    "parametric, dose constant": (right(), DummyRegressor()),
    "default models": (None, None),
}


def dose(setting, seed, halves=None):
    outcome, treatment = DOSE[setting]
    y, t, Z = dose_log(seed)
    model = DoseResponse(outcome, treatment).fit(y, t, Z, np.arange(N) % 5)
    if halves:
        rng = np.random.default_rng([8, seed])
        model.count_halves(y, [rng.permutation(N)[: N // 2] for _ in range(halves)])
    interval = model.contrast(-1, 1).interval(0.05)
    rows = {"contrast -1, 1": from_bounds(*interval, curve(1) - curve(-1))}
    for point, *bounds in zip(POINTS, *model.band(POINTS, uniform=False)):
        rows[f"curve at {point:g}"] = from_bounds(*bounds, curve(point))
    # E cos(T) = exp(-var(T) / 2)
    interval = model.average_derivative().interval(0.05)
    rows["average derivative"] = from_bounds(*interval, np.exp(-0.76) + 0.3)
    grid = model.default_grid()
    low, high = model.band(grid)
    inside = ((low <= curve(grid)) & (curve(grid) <= high)).all()
    rows["band"] = 0.0 if inside else np.inf, 1.0, 0.0
    return rows


def econml_log(seed):
    rng = np.random.default_rng([6, seed])
    X, W = rng.normal(size=(N, 1)), rng.normal(size=(N, 3))
    t = 0.5 * X[:, 0] + np.sin(W[:, 0]) + 0.3 * W[:, 1] + rng.normal(size=N)
    y = t * (1 + 0.5 * X[:, 0]) + W[:, 0] + np.abs(W[:, 1]) + rng.normal(size=N)
    return y, t, X, W


def from_bounds(low, high, truth):
    return (low + high) / 2, (high - low) / 2 / 1.959964, truth


def econml(setting, seed):
    y, t, X, W = econml_log(seed)
    estimator = (
        causal_forest(n_estimators=200) if setting == "CausalForestDML" else None
    )
    model = EconMLEffect(estimator).fit(y, t, X, W)
    low, high = model.effect_interval([[-1.0], [1.0]])
    return {
        "ate, population": from_bounds(*model.ate_interval(), 1.0),
        "ate, these rows": from_bounds(*model.ate_interval(X), 1 + X.mean() / 2),
        "effect at -1": from_bounds(low[0], high[0], 0.5),
        "effect at 1": from_bounds(low[1], high[1], 1.5),
    }


IV = {
    "2sls, strong": ("2sls", [0.5]),
    "2sls, two strong": ("2sls", [0.4, 0.3]),
    "ortho_iv, strong": ("ortho_iv", [0.5]),
    "ortho_iv, two strong": ("ortho_iv", [0.4, 0.3]),
    "weak": ("2sls", [0.06]),
    "two weak": ("2sls", [0.05, 0.05]),
}


def iv_log(seed, strength, bent):
    """Controls act linearly, or, where 2SLS is not asked, through bent functions."""
    rng = np.random.default_rng([7, seed])
    W, u = rng.normal(size=(N, 2)), rng.normal(size=N)
    w = np.abs(W[:, 0]) + np.sin(2 * W[:, 1]) if bent else W[:, 0]
    Z = 0.5 * w[:, None] + rng.normal(size=(N, len(strength)))
    noise = rng.normal(size=(2, N)) * (0.7 + 0.3 * np.abs(Z[:, 0]))
    t = Z @ strength + 0.5 * w + u + noise[0]
    return 2 * t + w + u + noise[1], t, Z, W


def instrument(setting, seed):
    method, strength = IV[setting]
    y, t, Z, W = iv_log(seed, strength, method == "ortho_iv")
    model = InstrumentEffect(method).fit(y, t, Z, W)
    rows = {"ate": from_bounds(*model.ate_interval(), 2.0)}
    if method == "2sls":
        found = model.anderson_rubin_set()
        inside = any(low <= 2 <= high for low, high in found)
        rows["Anderson-Rubin"] = 0.0 if inside else np.inf, 1.0, 0.0
        bounded = not np.isinf(found).any()
        rows["share of them bounded"] = 0.0 if bounded else np.inf, 1.0, 0.0
        rows["effective F"] = model.f_, np.nan, 0.0
    return rows


def quiet(job, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return job(*args)


def table(job, setting, seeds, n_jobs):
    start = time.perf_counter()
    done = Parallel(n_jobs)(delayed(quiet)(job, setting, seed) for seed in seeds)
    seconds = (time.perf_counter() - start) / len(seeds)
    print(f"{setting} ({seconds:.2f} s a log)")
    for name in done[0]:
        estimate, error, truth = np.array([rows[name] for rows in done], float).T
        off = estimate - truth
        covered = np.mean(np.abs(off) <= 1.959964 * error)
        if name == "effective F":
            print(f"    {name:24s} median {np.median(estimate):.1f}", flush=True)
        elif np.isin(off, (0.0, np.inf)).all():
            print(f"    {name:24s}{'':33s}{covered:9.3f}", flush=True)
        else:
            numbers = off.mean(), np.sqrt(np.mean(off**2)), error.mean(), covered
            text = "".join(f"{v:11.4f}" for v in numbers[:3]) + f"{covered:9.3f}"
            print(f"    {name:24s}{text}", flush=True)


TABLES = {
    "dose": (dose, DOSE),
    "econml": (econml, ("LinearDML", "CausalForestDML")),
    "instrument": (instrument, IV),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", default=list(TABLES))
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=50_000)
    parser.add_argument("--only", default="", help="settings that contain this text")
    parser.add_argument("--halves", type=int, help="of dose: errors from half-samples")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.logs)
    for name in options.tables:
        head = "".join(f"{v:>11s}" for v in ("bias", "RMSE", "mean se"))
        print(f"{name}, {options.logs} logs of {N:,} rows")
        print(f"    {'':24s}{head}{'cover':>9s}")
        job, settings = TABLES[name]
        if name == "dose" and options.halves:
            job = partial(dose, halves=options.halves)
        for setting in (s for s in settings if options.only in s):
            table(job, setting, seeds, options.jobs)
