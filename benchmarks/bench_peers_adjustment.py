"""Average effect of a binary treatment under adjustment, beside EconML and DoubleML.

All are given the same logs of 2,000 rows, the same folds and the same nuisance models
(ridge and logistic regression on splines), propensities clipped at 0.01. DoubleML's
interactive regression model is the estimator that ``aipw`` is, so estimates agree but
for how they clip; EconML's DR learners regress the outcome of both arms by one model in
which the arm is a column, and agree within Monte-Carlo error. The mean effect is 1.

DoubleML is left out where it is not installed (``pip install doubleml``).
Run ``python benchmarks/bench_peers_adjustment.py [--logs N] [--first-seed S]``.
"""

import argparse
import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.special import expit

from sklearn_causalrec.causal.estimation.econml_effects import (
    EconMLEffect,
    linear_dr,
)
from sklearn_causalrec.causal.estimation.problem import (
    Problem,
    Variables,
    normal_interval,
)
from sklearn_causalrec.causal.estimation.strategies.adjustment import aipw
from sklearn_causalrec.effects.default_learners import (
    nuisance_classifiers,
    nuisance_regressors,
)

try:
    import doubleml
except ImportError:
    doubleml = None

N = 2_000


def log(seed):
    rng = np.random.default_rng([8, seed])
    Z = rng.normal(size=(N, 4))
    t = rng.binomial(1, expit(0.7 * Z[:, 0] - 0.5 * np.abs(Z[:, 1]) + 0.3))
    y = t * (1 + 0.5 * Z[:, 0]) + Z[:, 0] + np.abs(Z[:, 1]) + rng.normal(size=N)
    fold = np.empty(N, int)
    for arm in (0, 1):
        rows = rng.permutation(np.flatnonzero(t == arm))
        fold[rows] = np.arange(len(rows)) % 5
    return y, t, Z, fold


def ours(y, t, Z, fold, outcome, exposure):
    names = [f"z{i}" for i in range(Z.shape[1])]
    variables = Variables(pd.DataFrame(Z, columns=names))
    problem = Problem(None, variables, y, [0, 1], t, fold, outcome, exposure)
    mean, error = aipw(problem, names).contrast(0, 1)
    return mean, *normal_interval(mean, error, 0.05)


def linear_dr_learner(y, t, Z, fold, outcome, exposure):
    model = EconMLEffect(linear_dr(), outcome_model=outcome, treatment_model=exposure)
    model.fit(y, t, Z, fold=fold)
    return model.ate(), *model.ate_interval()


def dr_learner(y, t, Z, fold, outcome, exposure):
    from econml.dr import DRLearner

    model = EconMLEffect(
        DRLearner(min_propensity=0.01), outcome_model=outcome, treatment_model=exposure
    )
    model.fit(y, t, Z, fold=fold)
    return model.ate(), *model.ate_interval()


def double_ml(y, t, Z, fold, outcome, exposure):
    data = doubleml.DoubleMLData.from_arrays(Z, y, t)
    model = doubleml.DoubleMLIRM(data, outcome, exposure, n_folds=5)
    rows = np.arange(N)
    splits = [(rows[fold != k], rows[fold == k]) for k in range(5)]
    model.set_sample_splitting(splits)
    model.fit()
    return model.coef[0], *model.confint(level=0.95).to_numpy()[0]


ESTIMATORS = {
    "aipw": ours,
    "EconML LinearDRLearner": linear_dr_learner,
    "EconML DRLearner": dr_learner,
    "DoubleML IRM": double_ml,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logs", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=60_000)
    options = parser.parse_args()
    if doubleml is None:
        print("DoubleML is not installed: left out.")
        del ESTIMATORS["DoubleML IRM"]
    outcome, exposure = nuisance_regressors()[0], nuisance_classifiers()[0]
    found = np.empty((len(ESTIMATORS), options.logs, 3))
    for i in range(options.logs):
        data = log(options.first_seed + i)
        for j, estimate in enumerate(ESTIMATORS.values()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[j, i] = estimate(*data, outcome, exposure)
    error = found[0, :, 0].std() / np.sqrt(options.logs)
    print(f"{options.logs} logs; Monte-Carlo error of a mean {error:.4f}")
    heads = ("mean", "sd", "width", "cover", "mean diff", "max |diff|")
    print(" " * 24 + "".join(f"{v:>12s}" for v in heads))
    for name, (mean, low, high) in zip(ESTIMATORS, np.moveaxis(found, 2, 1)):
        off = mean - found[0, :, 0]
        numbers = mean.mean(), mean.std(), (high - low).mean()
        numbers += ((low <= 1) & (high >= 1)).mean(), off.mean(), np.abs(off).max()
        print(f"{name:24s}" + "".join(f"{v:12.4f}" for v in numbers))
