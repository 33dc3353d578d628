"""Coverage of the 95 % intervals on simulated logs with a known truth.

``ate``: interval of the average effect, 200 logs of 2,000 rows. Outcome and
exposure are misspecified in turn (a constant, or a line where the outcome is
curved) beside parametric, right learners and beside the default ones; or the stack is
also offered a network whose outcomes (or propensities) are noise.

``rows``: interval of the effect of single rows, for a linear and a nonlinear
effect: share of fresh rows covered, its spread over logs, and the mean width.

The mean effect of the population is 1 by construction.
Run ``python benchmarks/bench_coverage.py [ate rows] [--logs N]``.
"""

import argparse
import warnings

import numpy as np
from bench_effects import simulated_log
from joblib import Parallel, delayed
from scipy import special
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec.effects.stacked import StackedEffect


def terms(X):
    """The features that outcome and exposure are linear in."""
    bent, switched = np.abs(X[:, 0]) - np.sqrt(2 / np.pi), X[:, 0] * (X[:, 1] > 0)
    return np.column_stack([X, bent, switched])


def confounded(seed, n):
    """Six features; both models need a switch, the outcome also a kink."""
    rng = np.random.default_rng([91, seed])
    X = rng.normal(size=(n, 6))
    Z = terms(X)
    t = rng.binomial(1, special.expit(Z @ [0.6, -0.5, 0.3, 0, 0, 0, 0, 0.3]))
    effect = 1 + 0.5 * X[:, 0] + 0.5 * X[:, 3]
    y = Z @ [1, 1, -0.5, 0.5, 0, 0, 0.5, 0.5] + t * effect + rng.normal(size=n)
    return X, y, t


class AverageOnly(StackedEffect):
    """Leaves out the learners of row effects, which the average does not use."""

    def _fit_candidates(self, X, y, t, net):
        pass


class Logit(LogisticRegression):
    """Probabilities as predictions, as the stage asks of its learners."""

    def predict(self, X):
        return self.predict_proba(X)[:, 1]


class OnTerms:
    """A model fitted on :func:`terms`."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y, sample_weight=None):
        self.model.fit(terms(X), y, sample_weight)
        return self

    def predict(self, X):
        return self.model.predict(terms(X))


def right_outcome(bins, seed):
    return OnTerms(LinearRegression())


def right_exposure(bins, seed):
    return OnTerms(Logit(C=100))


def constant(bins, seed):
    return DummyRegressor()


def linear(bins, seed):
    return LinearRegression()


SETTINGS = {
    "parametric, both right": ((right_outcome,), (right_exposure,), None),
    "parametric, outcome linear": ((linear,), (right_exposure,), None),
    "parametric, outcome constant": ((constant,), (right_exposure,), None),
    "parametric, exposure constant": ((right_outcome,), (constant,), None),
    "default learners": (None, None, None),
    "default, outcome linear": ((linear,), None, None),
    "default, outcome constant": ((constant,), None, None),
    "default, exposure constant": (None, (constant,), None),
    "default, network outcome noise": (None, None, "outcome_oof"),
    "default, network exposure noise": (None, None, "exposure_oof"),
}


def covered(setting, seed, n=2_000):
    """Is the mean effect inside the interval, the error and the standard error."""
    outcome, exposure, noise = SETTINGS[setting]
    X, y, t = confounded(seed, n)
    rng = np.random.default_rng([17, seed])
    given = {
        "outcome_oof": rng.normal(size=(n, 2)),
        "exposure_oof": rng.uniform(0.05, 0.95, size=n),
    }
    stage = AverageOnly(
        outcome_learners=outcome,
        exposure_learners=exposure,
        n_jobs=1,
        random_state=0,
    ).fit(X, y, t, **{noise: given[noise]} if noise else {})
    low, high = stage.ate_interval()
    return low <= 1 <= high, stage.ate_ - 1, stage.ate_stderr_


def rows_covered(effect, seed, n=5_000):
    X, y, t, _, X_new, truth, _ = simulated_log(seed, n, 2_000, effect)
    stage = StackedEffect(n_jobs=1, random_state=0).fit(X, y, t)
    low, high = stage.effect_interval(X_new)
    error = np.sqrt(np.mean((stage.effect(X_new) - truth) ** 2))
    return np.mean((low <= truth) & (truth <= high)), np.mean(high - low), error


def quiet(job, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return job(*args)


def repeat(job, name, seeds, n_jobs):
    done = Parallel(n_jobs)(delayed(quiet)(job, name, seed) for seed in seeds)
    return np.array(done, float)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", default=["ate", "rows"])
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=10_000)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.logs)
    if "ate" in options.tables:
        print(f"average effect, {options.logs} logs: coverage, bias, sd, mean se")
        for name in SETTINGS:
            inside, error, se = repeat(covered, name, seeds, options.jobs).T
            numbers = inside.mean(), error.mean(), error.std(), se.mean()
            print(f"{name:34s}" + "".join(f"{v:9.4f}" for v in numbers), flush=True)
    if "rows" in options.tables:
        print("effect of rows: mean coverage, its sd over logs, mean width, root PEHE")
        for name in ("linear", "nonlinear"):
            some = seeds[: max(2, options.logs // 4)]
            share, width, error = repeat(rows_covered, name, some, options.jobs).T
            numbers = share.mean(), share.std(), width.mean(), error.mean()
            print(f"{name:34s}" + "".join(f"{v:9.4f}" for v in numbers), flush=True)
