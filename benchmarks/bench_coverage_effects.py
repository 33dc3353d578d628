"""Bias, error and coverage of `DoCalculusEffect` where each strategy is needed.

    python benchmarks/bench_coverage_effects.py [--seeds 200] [--jobs 2] [--only NAME]
        [--nuisances default] [--halves 20] [--keep FILE] [--minutes M]

Every log has 2,000 rows. "correct": all nuisance models contain the truth (linear and
logistic regressions). "regressions wrong": every outcome regression is a constant.
"probabilities wrong": every treatment probability is a constant. The models (a) and (b)
are those of the R package flexCausal (A. Guo, R. Nabi), whose published answer on one
log of (a) is 1.96 (1.30 to 2.62). "default" with ``--rows 5000`` is what the far and
the bent mediator are for: the default models, where arms hardly share the mediator.
"""

import argparse
import time

import numpy as np
import pandas as pd
from many_logs import add_options, run
from scipy.stats import t as student
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalGraph, DoCalculusEffect


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def adjustment(n, rng):
    Z = rng.normal(size=(n, 3))
    t = rng.binomial(1, sigmoid(Z[:, 0] - 0.5 * Z[:, 1]))
    y = Z @ [1.0, 0.5, 0.5] + t * (1 + 0.5 * Z[:, 0]) + rng.normal(size=n)
    X = pd.DataFrame(Z, columns=["a", "b", "c"]).assign(T=t)
    graph = "a -> T; b -> T; a -> Y; b -> Y; c -> Y; T -> Y"
    return X, y, graph, "T", 1.0


def frontdoor(n, rng):
    """Two mediators, one the cause of the other."""
    C, U = rng.normal(size=(2, n))
    T = rng.binomial(1, sigmoid(0.5 * C + U))
    M1 = 0.5 * C + T + rng.normal(size=n)
    M2 = 0.5 * M1 + 0.5 * T + rng.normal(size=n)
    y = M1 + M2 + 0.5 * C + U + rng.normal(size=n)
    graph = "C -> T; C -> M1; C -> Y; T -> M1; T -> M2; M1 -> M2; M1 -> Y; M2 -> Y"
    return pd.DataFrame(dict(C=C, T=T, M1=M1, M2=M2)), y, graph + "; T <-> Y", "T", 2.0


def one_mediator(n, rng, slope=2.0):
    """A mediator that the arms hardly share: means two standard deviations apart."""
    U = rng.normal(size=n)
    T = rng.binomial(1, sigmoid(slope * U))
    M = 2 * T + rng.normal(size=n)
    y = M + slope * U + rng.normal(size=n)
    return pd.DataFrame(dict(T=T, M=M)), y, "T -> M -> Y; T <-> Y", "T", 2.0


def bent_mediator(n, rng):
    """The same with an outcome that is a wave; E sin(a + b Z) = sin(a) exp(-b^2/2)."""
    X, y, *_ = one_mediator(n, rng, 1.0)
    y = y - X["M"] + 2 * np.sin(1.5 * X["M"])
    truth = 2 * np.exp(-(1.5**2) / 2) * np.sin(3)
    return X, y, "T -> M -> Y; T <-> Y", "T", truth


def _mediators(n, rng):
    X = rng.uniform(size=n)
    A = rng.binomial(1, sigmoid(1 + X))
    M = np.column_stack([1 + A + X, -1 - 0.5 * A + 2 * X])
    M = M + rng.multivariate_normal([0, 0], [[2, 1], [1, 3]], size=n)
    return X, A, M


def flexcausal_a(n, rng):
    """Front door with a direct path to the second mediator."""
    X, A, M = _mediators(n, rng)
    U = 1 + A + X + rng.normal(size=n)
    L = 1 + A + M.sum(1) + X + rng.normal(size=n)
    y = 1 + L + M.sum(1) + X + U + rng.normal(size=n)
    graph = (
        "X -> A; X -> M1; X -> M2; X -> L; X -> Y; A -> M1; A -> M2; A -> L; M1 -> L; "
        "M2 -> L; M1 -> Y; M2 -> Y; L -> Y; M1 <-> M2; A <-> Y"
    )
    frame = pd.DataFrame(dict(X=X, A=A, M1=M[:, 0], M2=M[:, 1], L=L))
    return frame, y, graph, "A", 2.0


def flexcausal_b(n, rng):
    """Primal fixable, neither adjustment nor front door; continuous mediators."""
    X, A, M = _mediators(n, rng)
    U1 = 1 + A + X + rng.normal(size=n)
    U2 = 1 + M.sum(1) + A + X + rng.normal(size=n)
    L = 1 + M.sum(1) + X + U1 + rng.normal(size=n)
    y = 1 + L + A + X + U2 + rng.normal(size=n)
    graph = (
        "X -> A; X -> M1; X -> M2; X -> L; X -> Y; A -> M1; A -> M2; A -> Y; M1 -> L; "
        "M2 -> L; L -> Y; M1 <-> M2; A <-> L; M1 <-> Y; M2 <-> Y"
    )
    frame = pd.DataFrame(dict(X=X, A=A, M1=M[:, 0], M2=M[:, 1], L=L))
    return frame, y, graph, "A", 3.0


def sequence(n, rng):
    """Two treatments, one after the other; what the first changes confounds the second.

    No set is valid to adjust for.
    """
    C, U = rng.normal(size=(2, n))
    A = rng.binomial(1, sigmoid(C))
    L = A + C + U + rng.normal(size=n)
    B = rng.binomial(1, sigmoid(0.5 * L - 0.5 * A))
    y = A + L + B + C + U + rng.normal(size=n)
    graph = "C -> A; C -> L; C -> Y; A -> L; A -> B; A -> Y; L -> B; L -> Y; B -> Y"
    graph += "; L <-> Y"
    return pd.DataFrame(dict(C=C, A=A, L=L, B=B)), y, graph, ["A", "B"], 3.0


MODELS = {
    "adjustment": adjustment,
    "front door, two mediators": frontdoor,
    "front door, far mediator": one_mediator,
    "front door, bent mediator": bent_mediator,
    "flexCausal (a), front door": flexcausal_a,
    "flexCausal (b), primal fixable": flexcausal_b,
    "two treatments in sequence": sequence,
}
RIGHT = LinearRegression(), LogisticRegression(C=1e4, max_iter=1000)
NUISANCES = {
    "correct": RIGHT,
    "regressions wrong": (DummyRegressor(), RIGHT[1]),
    "probabilities wrong": (RIGHT[0], DummyClassifier()),
    "default": (None, None),
}


def one(model, nuisances, n, halves, seed):
    start = time.perf_counter()
    X, y, graph, treatment, truth = MODELS[model](n, np.random.default_rng(seed))
    outcome_model, treatment_model = NUISANCES[nuisances]
    estimator = DoCalculusEffect(
        CausalGraph(graph), treatment=treatment, outcome="Y", effect_model=None,
        outcome_model=outcome_model, treatment_model=treatment_model,
        n_half_samples=halves, random_state=seed,
    ).fit(X, y)  # fmt: skip
    low, high = estimator.ate_interval()
    seconds = time.perf_counter() - start
    return estimator.ate() - truth, float(low <= truth <= high), high - low, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--only", default="")
    parser.add_argument("--halves", type=int, help="errors from half-samples")
    parser.add_argument("--nuisances", nargs="*", default=list(NUISANCES)[:3])
    add_options(parser)
    args = parser.parse_args()
    cells = [
        (model, nuisances, args.rows, args.halves)
        for model in MODELS
        if args.only in model
        for nuisances in args.nuisances
    ]
    seeds = range(args.first, args.first + args.seeds)
    done = run(one, cells, seeds, args.jobs, args.keep, args.minutes)
    print(
        f"{'model':32}{'nuisances':22}{'bias':>8}{'RMSE':>8}{'SE':>8}{'coverage':>10}"
    )
    for (model, nuisances, *_), logs in done.items():
        errors, inside, width, seconds = np.array(logs, float).reshape(-1, 4).T
        quantile = 1.96 if args.halves is None else student.ppf(0.975, args.halves - 1)
        print(
            f"{model:32}{nuisances:22}{errors.mean():8.3f}"
            f"{np.sqrt(np.mean(errors**2)):8.3f}{width.mean() / 2 / quantile:8.3f}"
            f"{inside.mean():10.3f}   {seconds.mean():.2f} s a log",
            flush=True,
        )


if __name__ == "__main__":
    main()
