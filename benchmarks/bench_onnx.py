"""Graphs of ONNX against the estimators that they were made from: rows, times, sizes.

The effect is nonlinear, so that the trees of the second stage have weight: where it is
linear they have none, the graph leaves them out, and times say little. One thread.

Run ``python benchmarks/bench_onnx.py``.
"""

import time
import warnings

import numpy as np
import onnxruntime
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender, to_onnx
from sklearn_causalrec.serving.onnx_effects import ArmFormula

ROWS = 5000
NEW = 20_000


def draw(rng, n, ids):
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde"))
    if ids:
        X["user"], X["item"] = rng.integers(0, 300, n), rng.integers(0, 100, n)
    return X


def main(seed=5):
    print("| inputs | trees | rows | graph | estimator | largest difference | > 1e-5 |")
    print("|---|---|---|---|---|---|---|")
    for ids in (False, True):
        rng = np.random.default_rng(seed)
        X, t = draw(rng, ROWS, ids), rng.integers(0, 2, ROWS)
        effect = 2 * (X["a"] > 0) * (X["b"] > 0) - X["c"] * X["d"]
        y = np.sin(2 * X["a"]) + X["b"] * X["c"] + t * effect + rng.normal(size=ROWS)
        roles = {"user": "user", "item": "item"} if ids else {}
        model = CausalDNNRecommender(random_state=0, max_epochs=10, **roles)
        model.fit(X, y, treatment=t)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            to_onnx(model).SerializeToString(), options
        )
        n_trees = len(ArmFormula(model.effects_.stages, model.effects_.offset).trees)
        Z = draw(rng, NEW, ids)
        feed = {"features": Z[list("abcde")].to_numpy()}
        feed |= {role: Z[role].to_numpy() for role in roles}
        for n in (1, 1000, NEW):
            part = {name: values[:n] for name, values in feed.items()}
            repeats = max(2, 200 // n)
            start = time.process_time()
            for _ in range(repeats):
                (found,) = session.run(["effect"], part)
            graph = (time.process_time() - start) / repeats
            start = time.process_time()
            want = model.effect(Z[:n])
            estimator = time.process_time() - start
            off = np.abs(found[:, 1] - want)
            print(
                f"| {'ids and ' if ids else ''}features | {n_trees} | {n} | "
                f"{1e3 * graph:.2f} ms | {1e3 * estimator:.0f} ms | {off.max():.1e} | "
                f"{(off > 1e-5).sum()} |",
                flush=True,
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
