"""`recommend` for 10,000 users x 100,000 items: memory, time and exactness.

A matrix factorisation on ids alone (64 dimensions), ranked by outcome, k = 10. Peak
memory beyond the fitted estimator and the inputs (bar: 512 MB); seconds beside torch
matmul and topk over the same vectors, which is the floor; and the lists of some users
against scoring and sorting all their pairs by `predict`.

Run from the repository root::

    python benchmarks/bench_recommend.py
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from bench_training import MB, THREADS, forget_peak, memory

from sklearn_causalrec import CausalDNNRecommender, recommend


def make_log(n, n_users, n_items, seed=0):
    """Random pairs in which every user and every item occurs."""
    rng = np.random.default_rng(seed)
    rest = n - n_users - n_items
    user = [np.arange(n_users), rng.integers(0, n_users, n - n_users)]
    item = [rng.integers(0, n_items, n_users), np.arange(n_items)]
    item.append(rng.integers(0, n_items, rest))
    pairs = {"user": np.concatenate(user), "item": np.concatenate(item)}
    log = pd.DataFrame(pairs).drop_duplicates(ignore_index=True)
    taste, quality = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    y = (taste[log["user"]] * quality[log["item"]]).sum(1) + rng.normal(size=len(log))
    return log, y


def floor(model, k, block):
    """Seconds of bare torch: matmul and topk in blocks of users, ids left as codes."""
    network = model.nets_[0].module_
    vectors = [t.weight.data[:-1] for t in (network.vectors.user, network.vectors.item)]
    user, item = vectors[0].clone(), vectors[1].T.contiguous()
    start = time.perf_counter()
    for first in range(0, len(user), block):
        torch.topk(user[first : first + block] @ item, k, dim=1)
    return time.perf_counter() - start


def wrong_lists(model, log, top, users, k, tolerance=1e-5):
    """How many lists differ from brute force, beyond rounding and at all."""
    items = np.unique(log["item"])
    beyond = at_all = 0
    for user in users:
        score = model.predict(pd.DataFrame({"user": user, "item": items}))
        score[np.isin(items, log.loc[log["user"] == user, "item"])] = -np.inf
        best = np.argsort(-score, kind="stable")[:k]
        mine = top[top["user"] == user]
        at_all += mine["item"].tolist() != items[best].tolist()
        own = score[np.searchsorted(items, mine["item"])]
        close = len(own) == k and mine["item"].is_unique
        close = close and np.allclose(own, score[best], rtol=0, atol=tolerance)
        close = close and np.allclose(own, mine["score"], rtol=0, atol=tolerance)
        beyond += not close
    return beyond, at_all


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--checked", type=int, default=50)
    args = parser.parse_args()
    k = 10
    torch.set_num_threads(THREADS)
    log, y = make_log(args.rows, args.users, args.items)
    model = CausalDNNRecommender(
        user="user",
        item="item",
        encoder="mf",
        embedding_dim=64,
        objective="naive",
        max_epochs=3,
        verbose=1,
        random_state=0,
    ).fit(log, y)
    users, items = np.unique(log["user"]), np.unique(log["item"])
    print(f"{len(users):,} users x {len(items):,} items, k = {k}, log of {len(log):,}")
    seconds, bare, peaks = [], [], []
    for _ in range(args.rounds):
        before = memory()[1]
        forget_peak()
        start = time.perf_counter()
        top = recommend(model, users, items, k, by="outcome")
        seconds.append(time.perf_counter() - start)
        peaks.append(memory()[0] - before)
        bare += [floor(model, k, block) for block in (64, 256)]
    print(f"peak beyond estimator and inputs, MB: {[round(p / MB) for p in peaks]}")
    print(
        f"seconds {min(seconds):.1f}; matmul and topk alone {min(bare):.1f}; "
        f"ratio {min(seconds) / min(bare):.2f}"
    )
    checked = np.random.default_rng(1).choice(users, args.checked, replace=False)
    beyond, at_all = wrong_lists(model, log, top, checked, k)
    print(
        f"lists of {args.checked} users against brute force: {beyond} differ beyond "
        f"rounding, {at_all} in any place"
    )
    assert len(top) == k * len(users)
    if beyond:
        raise SystemExit("recommend is not exact")


if __name__ == "__main__":
    main()
