"""Effects of single rows against peers, on data with a known truth.

Root of the mean squared error of the effect (square root of PEHE) on

- ACIC 2016, files 1-3: 80/20 split with the file number as seed, test rows,
  divided by the standard deviation of the observed outcome;
- RealCause PSID, samples 0-9: 90/10 split by ``default_rng(42 + sample)``, test rows.
  The truth is a difference of two drawn outcomes, one of which is the y of the row, so
  most of the error is noise that no method can remove on rows not seen, and a method
  that remembers its rows would be told the half of it on those that it has seen;
- small logs of the shape of IHDP with Hill's (2011) response surface B: 672 rows to
  train and 75 to test, 25 covariates of which 19 are binary, 19 % treated;
- a simulated log: 20,000 x 25, confounded, linear effect, fresh rows.

Hyper-parameters are the defaults and the same for every row; they were chosen
on generated outcomes over the covariates of ACIC and PSID and, for the simulated
log, on other seeds of its family. Peers: X-learner of LightGBM, and CausalForestDML
and LinearDML of EconML with LightGBM nuisances, the forest also with EconML's own
choice of them ("auto"); and the difference of two random forests, one an arm, with
leaves of at least 1, 10 and 50 rows. Missing peers are left out.

Run ``python benchmarks/bench_effects.py [acic psid small log] [--no-peers]``.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.special import expit

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect
from sklearn_causalrec.effects.stacked import StackedEffect

DATA = Path(__file__).parent / "data"


def ours(X, y, t, X_new):
    """Effect at ``X_new`` and the average effect over the rows of ``X``."""
    model = CausalDNNRecommender(random_state=0).fit(X, y, treatment=t)
    return model.effect(X_new), model.ate()


def second_stage(X, y, t, X_new):
    """The second stage of it alone, without the networks."""
    stage = StackedEffect(random_state=0).fit(X, y, t)
    return stage.effect(X_new), stage.ate_


def do_calculus(X, y, t, X_new):
    """`DoCalculusEffect` without a graph: every column a confounder."""
    model = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    return model.effect(X_new), model.ate()


def x_lightgbm(X, y, t, X_new):
    """X-learner (Künzel et al. 2019) of LightGBM with its defaults."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    def fit(rows, target):
        return LGBMRegressor(verbose=-1, random_state=0).fit(X[rows], target)

    on, off = t == 1, t == 0
    shown, hidden = fit(on, y[on]), fit(off, y[off])
    effect_on = fit(on, y[on] - hidden.predict(X[on]))
    effect_off = fit(off, shown.predict(X[off]) - y[off])
    exposure = LGBMClassifier(verbose=-1, random_state=0).fit(X, t)

    def effect(X):
        g = exposure.predict_proba(X)[:, 1]
        return g * effect_off.predict(X) + (1 - g) * effect_on.predict(X)

    return effect(X_new), effect(X).mean()


def t_forest(leaf, X, y, t, X_new):
    """Difference of two random forests, one an arm, of 200 trees."""
    from sklearn.ensemble import RandomForestRegressor

    def fit(rows):
        forest = RandomForestRegressor(200, min_samples_leaf=leaf, random_state=0)
        return forest.fit(X[rows], y[rows])

    shown, hidden = fit(t == 1), fit(t == 0)
    return (
        shown.predict(X_new) - hidden.predict(X_new),
        (shown.predict(X) - hidden.predict(X)).mean(),
    )


def _dml(kind, X, y, t, X_new, lightgbm=True):
    import econml.dml
    from lightgbm import LGBMClassifier, LGBMRegressor

    nuisances = {
        "model_y": LGBMRegressor(verbose=-1, random_state=0),
        "model_t": LGBMClassifier(verbose=-1, random_state=0),
    }
    model = getattr(econml.dml, kind)(
        **(nuisances if lightgbm else {}), discrete_treatment=True, random_state=0
    ).fit(y, t, X=X)
    return model.effect(X_new), model.effect(X).mean()


def causal_forest(X, y, t, X_new):
    return _dml("CausalForestDML", X, y, t, X_new)


def causal_forest_auto(X, y, t, X_new):
    return _dml("CausalForestDML", X, y, t, X_new, lightgbm=False)


def linear_dml(X, y, t, X_new):
    return _dml("LinearDML", X, y, t, X_new)


PEERS = {
    "X-LightGBM": x_lightgbm,
    "CausalForestDML": causal_forest,
    "CausalForestDML, auto": causal_forest_auto,
    "LinearDML": linear_dml,
    **{f"T-forest, leaf {leaf}": partial(t_forest, leaf) for leaf in (1, 10, 50)},
}


def acic(file):
    """Rows to train on, rows to test on and the scale of the error."""
    folder = DATA / "acic2016"
    X = pd.get_dummies(pd.read_csv(folder / "x.csv.gz"), dtype=float)
    X = X.to_numpy(np.float32)
    d = pd.read_csv(folder / f"zymu_{file}.csv.gz")
    t = d.z.to_numpy()
    y = np.where(t == 1, d.y1, d.y0)
    truth = (d.mu1 - d.mu0).to_numpy()
    order = np.random.RandomState(file).permutation(len(t))
    cut = int(0.8 * len(t))
    train, test = order[:cut], order[cut:]
    return X[train], y[train], t[train], truth[train], X[test], truth[test], y.std()


def psid(sample):
    d = pd.read_csv(DATA / "realcause_psid" / f"sample{sample}.csv.gz")
    X = d.loc[:, "age":"re75"].to_numpy(np.float32)
    y, t, truth = d.y.to_numpy(), d.t.to_numpy().astype(int), d.ite.to_numpy()
    order = np.random.default_rng(42 + sample).permutation(len(t))
    cut = int(0.9 * len(t))
    train, test = order[:cut], order[cut:]
    return X[train], y[train], t[train], truth[train], X[test], truth[test], 1.0


def hill(seed):
    """Covariates that depend on each other; the outcome is exponential in one arm."""
    rng = np.random.default_rng([717, seed])
    n = 747
    mix = np.eye(25) + 0.25 * rng.normal(size=(25, 25))
    Z = rng.normal(size=(n, 25)) @ mix.T
    Z /= Z.std(0)
    X = Z.copy()
    X[:, 3] = np.round(np.clip(Z[:, 3] * 1.2, -1, 4))
    X[:, 4] = np.exp(0.5 * Z[:, 4])
    for j in range(6, 25):
        X[:, j] = Z[:, j] > np.quantile(Z[:, j], 1 - rng.uniform(0.08, 0.9))
    X[:, :6] = (X[:, :6] - X[:, :6].mean(0)) / X[:, :6].std(0)
    score = (X - X.mean(0)) @ (rng.normal(size=25) * (rng.random(25) < 0.4))
    score *= 0.9 / (score.std() or 1)
    start = brentq(lambda c: expit(c + score).mean() - 0.19, -10, 10)
    t = rng.binomial(1, expit(start + score))
    beta = rng.choice([0, 0.1, 0.2, 0.3, 0.4], size=25, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    mu0, line = np.exp((X + 0.5) @ beta), X @ beta
    truth = line - (line - mu0)[t == 1].mean() + 4 - mu0  # 4 on the treated
    y = mu0 + t * truth + rng.normal(size=n)
    order = rng.permutation(n)
    train, test = order[:672], order[672:]
    X = X.astype(np.float32)
    return X[train], y[train], t[train], truth[train], X[test], truth[test], 1.0


def simulated_log(seed, n=20_000, n_new=5_000, effect="linear"):
    """A confounded log of 25 features with a linear (or nonlinear) effect."""
    rng = np.random.default_rng([56, seed])
    X = rng.normal(size=(n + n_new, 25)).astype(np.float32)
    slopes = rng.normal(size=25) * 0.3
    exposure = np.r_[rng.normal(size=8) * 0.35, np.zeros(17)]
    base = X @ slopes + 0.5 * np.sin(2 * X[:, 0]) + 0.5 * np.maximum(X[:, 1], 0)
    e = np.clip(expit(X @ exposure + 0.3 * X[:, 1]), 0.03, 0.97)
    linear = 0.5 + X[:, :5] @ (rng.normal(size=5) * 0.15)
    bent = 0.6 * np.tanh(2 * X[:, 0]) + 0.6 * (X[:, 1] > 0.3) * (X[:, 2] > -0.3)
    truth = linear if effect == "linear" else 0.5 + bent
    t = rng.binomial(1, e)
    y = base + t * truth + rng.normal(size=n + n_new)
    return X[:n], y[:n], t[:n], truth[:n], X[n:], truth[n:], 1.0


TABLES = {
    "acic": (acic, (1, 2, 3)),
    "psid": (psid, range(10)),
    "small": (hill, range(200, 208)),
    "log": (simulated_log, range(1000, 1005)),
}


def table(load, keys, methods):
    """One row a method and data set: error, error of the average, seconds."""
    rows = []
    for key in keys:
        X, y, t, truth, X_new, truth_new, scale = load(key)
        for name, method in methods.items():
            start = time.perf_counter()
            try:
                effect, average = method(X, y, t, X_new)
            except ImportError as missing:
                print(f"{name} left out: {missing}")
                continue
            error = np.sqrt(np.mean((effect - truth_new) ** 2)) / scale
            ate = abs(average - truth.mean()) / scale
            rows.append((name, key, error, ate, time.perf_counter() - start))
    columns = ["method", "data", "root_pehe", "ate_error", "seconds"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", default=list(TABLES))
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    methods = {
        "ours": ours,
        "ours, stage alone": second_stage,
        "DoCalculusEffect": do_calculus,
    }
    methods |= {} if options.no_peers else PEERS
    for name in options.tables:
        done = table(*TABLES[name], methods)
        print(f"\n{name}: root PEHE by data set, then mean and sd of all columns")
        wide = done.pivot(index="method", columns="data", values="root_pehe")
        print(wide.loc[list(dict.fromkeys(done.method))].round(4).to_string())
        numbers = done.drop(columns="data").groupby("method", sort=False)
        print(numbers.agg(["mean", "std"]).round(4).to_string(), flush=True)
