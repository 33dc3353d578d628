"""Tables of ids that move by the rows of a batch, beside dense Adam: error and time.

Paired: both fits of a seed have the same log, and the same first weights but for the
large tables (those that move by rows start at zero). Rows of users and items are split
into a log and fresh rows; the truth is known. Errors are the networks' own
(``effect_learner="t"``). Run from the repository root::

    python benchmarks/bench_id_rows.py [seeds] [name of a case, ...]

A line a seed, and means with their standard errors in the end.
"""

import sys
import time
from collections import defaultdict

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch

# rows, fresh rows, users, items, outcome
CASES = {
    "clicks_rare": (30_000, 20_000, 20_000, 500, "binary"),
    "clicks_often": (40_000, 20_000, 4_000, 500, "binary"),
    "ratings_rare": (30_000, 20_000, 20_000, 500, "continuous"),
    "ratings_often": (40_000, 20_000, 4_000, 500, "continuous"),
    "tastes_rare": (30_000, 20_000, 20_000, 500, "tastes"),
    "tastes_often": (40_000, 20_000, 4_000, 500, "tastes"),
    "clicks_large": (150_000, 20_000, 150_000, 2_000, "binary"),
}


def log_of(case, seed):
    """Rows of the log and fresh ones, with the known effect of the arm."""
    from sklearn_causalrec.datasets import make_exposure_log

    n, fresh, n_users, n_items, outcome = CASES[case]
    if outcome != "tastes":
        options = dict(n_users=n_users, n_items=n_items, outcome=outcome)
        return make_exposure_log(n + fresh, **options, random_state=seed)
    rng = np.random.default_rng(seed)  # ids say most of the outcome and of its effect
    n = n + fresh
    user, item = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    X = pd.DataFrame(rng.normal(size=(n, 10)).astype(np.float32)).add_prefix("x")
    arm = rng.integers(0, 2, n)
    effect = 1 + 0.5 * rng.normal(size=n_users)[user]
    taste = rng.normal(size=n_users)[user] + rng.normal(size=n_items)[item]
    y = X["x0"] + taste + arm * effect + rng.normal(size=n)
    X = X.assign(user=user, item=item)
    return Bunch(X=X, y=y.to_numpy(), treatment=arm, effect=effect)


def errors(case, encoder, by_rows, seed):
    """Loss of outcomes and root PEHE on fresh rows; seconds and epochs of training."""
    from sklearn_causalrec import CausalDNNRecommender
    from sklearn_causalrec.networks import net

    n, _, _, n_items, outcome = CASES[case]
    net.LAZY_IDS = 2 * n_items if by_rows else 10**12
    log = log_of(case, seed)
    kept, new = slice(0, n), slice(n, None)
    model = CausalDNNRecommender(
        task="classification" if outcome == "binary" else "regression",
        user="user",
        item="item",
        encoder=encoder,
        effect_learner="t",
        random_state=seed,
    )
    start = time.process_time()
    model.fit(log.X[kept], log.y[kept], treatment=log.treatment[kept])
    seconds = time.process_time() - start
    table = model.nets_[0].module_.vectors.user
    assert table.sparse == by_rows
    y, arm, X = log.y[new], log.treatment[new], log.X[new]
    if outcome == "binary":
        taken = model.predict_proba(X, treatment=arm)[:, 1]
    else:
        taken = model.predict(X, treatment=arm)
    if outcome == "binary":
        taken = np.clip(taken, 1e-7, 1 - 1e-7)
        loss = -np.mean(np.where(y > 0, np.log(taken), np.log1p(-taken)))
    else:
        loss = np.mean((y - taken) ** 2)
    pehe = np.sqrt(np.mean((model.effect(X) - log.effect[new]) ** 2))
    return loss, pehe, seconds, len(model.history_)


def main(seeds, cases):
    torch.set_num_threads(1)
    found = defaultdict(list)
    for seed in range(seeds):
        for case in cases:
            for encoder in ("dnn", "mf"):
                pair = [errors(case, encoder, rows, seed) for rows in (False, True)]
                found[case, encoder].append(pair)
                told = "; ".join(" ".join(f"{v:.4f}" for v in one) for one in pair)
                print(f"{seed} {case} {encoder}: {told}", flush=True)
    print("by rows less dense (standard error) of dense; seconds and epochs of both")
    for (case, encoder), pairs in found.items():
        dense, rows = np.moveaxis(np.array(pairs), 1, 0)
        gap = rows - dense
        mean, error = gap.mean(0), gap.std(0, ddof=1) / np.sqrt(len(gap))
        base, other = dense.mean(0), rows.mean(0)
        print(
            f"{case:14s} {encoder:4s} "
            f"loss {mean[0]:+.4f} ({error[0]:.4f}) of {base[0]:.4f}, "
            f"root PEHE {mean[1]:+.4f} ({error[1]:.4f}) of {base[1]:.4f}, "
            f"seconds {base[2]:.1f} {other[2]:.1f}, epochs {base[3]:.1f} {other[3]:.1f}"
        )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 8, given[1:] or CASES)
