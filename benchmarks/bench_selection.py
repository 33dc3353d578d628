"""Which scorer picks the model with the best effects?

On each of 20 simulated logs (4,000 rows, confounded, half of them with a nonlinear
effect) a GridSearchCV over objectives and sizes is judged by several scorers at once.
Each candidate is then fitted to all rows, and its true root PEHE measured on 2,000
fresh rows of the same world. For every scorer: root PEHE of its choice over that of the
best candidate. The true root PEHE of the folds, which no scorer knows, shows what a
choice on such folds can reach at best.

A network's seed moves its root PEHE about as much as its settings do, and the candidate
fitted to all rows is another draw than those of the folds. Means of several networks
(``--members 3``) repeat better. Rows and grid, the scorers' nuisance model and the
joint loss were set on other seeds.

``effect_learner="t"``: effects are differences of the outcome heads, and differ by
candidate; the default second stage makes them much alike.

Run ``python benchmarks/bench_selection.py [--logs 20] [--first 2100] [--members 1]``,
the latter the networks whose mean is a candidate.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn import set_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, effect, metrics
from sklearn_causalrec.datasets import make_exposure_log

GRID = {
    "causaldnnrecommender__objective": ["naive", "ips", "snips", "dr", "targeted"],
    "causaldnnrecommender__hidden_layer_sizes": [(8,), (128, 64)],
}
SCORING = {
    "R-loss": metrics.r_loss_scorer,
    "DR-loss": metrics.dr_loss_scorer,
    "joint loss": metrics.joint_loss_scorer,
    "AUUC": metrics.auuc_scorer,
    "r2": "r2",
    "true root PEHE of the folds": metrics.pehe_scorer,
}


def one_log(seed, members):
    kind = "linear" if seed % 2 else "nonlinear"
    log = make_exposure_log(6_000, ids=False, effect=kind, random_state=seed)
    train, test = np.arange(4_000), np.arange(4_000, 6_000)
    X, y, t = log.X.iloc[train], log.y[train], log.treatment[train]
    model = CausalDNNRecommender(effect_learner="t", max_epochs=40, random_state=0)
    model.set_params(n_estimators=members)
    pipe = make_pipeline(StandardScaler(), model)
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, t))
    search = GridSearchCV(pipe, GRID, scoring=SCORING, cv=folds, refit=False)
    search.fit(X, y, treatment=t, true_effect=log.effect[train])
    pehe = []
    for params in ParameterGrid(GRID):
        fitted = clone(pipe).set_params(**params).fit(X, y, treatment=t)
        predicted = effect(fitted, log.X.iloc[test])
        pehe.append(metrics.pehe(log.effect[test], predicted))
    assert list(ParameterGrid(GRID)) == search.cv_results_["params"]
    pehe = np.array(pehe)
    chosen = {
        name: pehe[np.argmax(search.cv_results_[f"mean_test_{name}"])]
        for name in SCORING
    }
    chosen["the first of the grid"] = pehe[0]
    chosen["mean of the grid"] = pehe.mean()
    chosen["the worst"] = pehe.max()
    return {name: value / pehe.min() for name, value in chosen.items()}, pehe


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logs", type=int, default=20)
    parser.add_argument("--first", type=int, default=2_100)
    parser.add_argument("--members", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_config(enable_metadata_routing=True)
    warnings.simplefilter("ignore")
    start, ratios = time.perf_counter(), []
    for seed in range(options.first, options.first + options.logs):
        ratio, pehe = one_log(seed, options.members)
        ratios.append(ratio)
        text = " ".join(f"{name} {value:.2f}" for name, value in ratio.items())
        print(f"log {seed}: best {pehe.min():.3f}; {text}", flush=True)
    print(f"{options.logs} logs, {time.perf_counter() - start:.0f} s")
    print("scorer: mean ratio to the best, largest, share within 10 %")
    for name in ratios[0]:
        values = np.array([ratio[name] for ratio in ratios])
        print(f"{name:24s} {values.mean():.3f} {values.max():.3f}", end=" ")
        print(f"{np.mean(values <= 1.1):.2f}")
