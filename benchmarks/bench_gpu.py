"""What a device makes of large logs, beside the least that its hardware allows.

- epoch: seconds of an epoch on 10,000,000 x 50 float32, a perceptron of 128 and 64
  units, default objective (bar: .1 s on an H200, .15 s on an H100);
- effects: the effect of 100,000,000 pairs of users and items, scored and reduced to
  the ten best items of each user (bar: 1 s);
- batches: the error of batches as large as a GPU's, and their learning rate, beside
  those of a CPU, on a log of 524,288 rows (or --rows) with known effects. What they are
  trained on makes no difference to that.

Floors are computed from what has to be done: bytes moved over the bandwidth of the
device's memory, and multiplications over what it does of them in a second; both rates
are measured first, on the same device. Run from the repository root, with fewer rows
on a small machine::

    python benchmarks/bench_gpu.py [epoch] [effects] [batches] [--rows 100000]

``--device`` names the device.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.networks.batches import rate_of_batch, rows_a_batch
from sklearn_causalrec.networks.devices import resolve_device

N_FEATURES, HIDDEN, N_ARMS = 50, (128, 64), 2


def wait(device):
    """Let the device finish what it was told."""
    module = getattr(torch, torch.device(device).type)
    getattr(module, "synchronize", lambda: None)()


def seconds(device, work, repeats=5):
    """The least of some times of the work."""
    found = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return min(found)


def rates(device, n=2**24, side=2048):
    """Bytes read and written, and additions and multiplications, in a second."""
    values = torch.ones(n, device=device)
    out = torch.empty_like(values)
    moved = 2 * values.element_size() * n / seconds(device, lambda: out.copy_(values))
    square = torch.ones(side, side, device=device)
    product = torch.empty_like(square)
    done = 2 * side**3
    return moved, done / seconds(device, lambda: torch.mm(square, square, out=product))


def floor(moved, done, rate):
    """Seconds that bytes and arithmetic take at least, one after the other or both."""
    return moved / rate[0], done / rate[1]


def told(name, took, of_bytes, of_arithmetic):
    least = max(of_bytes, of_arithmetic)
    print(
        f"{name}: {took:.3f} s; floor {least:.3f} s (bytes {of_bytes:.3f}, arithmetic "
        f"{of_arithmetic:.3f}); ratio {took / least:.1f}",
        flush=True,
    )


def bench_epoch(device, rate, n, n_epochs=3):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    arm = rng.integers(0, N_ARMS, n)
    y = (X[:, 0] + arm + rng.standard_normal(n, dtype=np.float32)).astype(np.float32)
    model = CausalDNNRecommender(
        hidden_layer_sizes=HIDDEN,
        effect_learner="t",
        early_stopping=False,
        max_epochs=n_epochs,
        device=device,
        random_state=0,
    ).fit(X, y, treatment=arm)
    took = min(record["seconds"] for record in model.history_)
    # Each row is read, written as part of a batch, and read again.
    moved = 3 * n * (4 * N_FEATURES + 9)
    shared, last = HIDDEN
    weights = N_FEATURES * (shared + 2 * N_ARMS) + shared * (N_ARMS * last + N_ARMS)
    # Forward, and backward to the weights and to what each layer reads.
    done = n * 2 * (3 * weights - N_FEATURES * shared)
    batch = model.nets_[0].batch_size
    name = f"an epoch of {n:,} x {N_FEATURES}, batches of {batch:,}"
    told(name, took, *floor(moved, done, rate))


def bench_effects(device, rate, n_pairs, width=64):
    n_users = n_items = int(n_pairs**0.5)
    rng = np.random.default_rng(0)
    n = 5 * n_users
    user = np.concatenate([np.arange(n_users), rng.integers(0, n_users, n - n_users)])
    item = np.concatenate([np.arange(n_items), rng.integers(0, n_items, n - n_items)])
    log = pd.DataFrame({"user": user, "item": rng.permutation(item)})
    arm = rng.integers(0, N_ARMS, n)
    model = CausalDNNRecommender(
        user="user",
        item="item",
        encoder="mf",
        embedding_dim=width,
        effect_learner="t",
        max_epochs=1,
        device=device,
        random_state=0,
    ).fit(log, arm + rng.normal(size=n), treatment=arm)
    took = seconds(device, lambda: recommend(model, by="effect", k=10), repeats=2)
    # The products of both arms, written and read once; the vectors are few beside.
    moved, done = 4 * 4 * n_pairs, 2 * N_ARMS * width * n_pairs
    name = f"effects of {n_users * n_items:,} pairs"
    told(name, took, *floor(moved, done, rate))


def bench_batches(device, n, seeds=8, fresh=20_000):
    usual, large = (rows_a_batch("auto", n, kind) for kind in ("cpu", "cuda"))
    faster = rate_of_batch("auto", n, "cuda")
    print(f"{n:,} rows: batches of {large:,}, rate times {faster:.2f}, less {usual:,}")
    found = []
    for seed in range(seeds):
        log = make_exposure_log(
            n + fresh,
            n_users=None,
            n_items=None,
            ids=False,
            effect="nonlinear",
            random_state=seed,
        )
        y, arm, X = (part[n:] for part in (log.y, log.treatment, log.X))
        for batch, rate in ((usual, 1.0), (large, faster), (large, 1.0)):
            model = CausalDNNRecommender(
                effect_learner="t",
                batch_size=batch,
                learning_rate=2e-3 * rate,
                device=device,
                random_state=seed,
            )
            model.fit(log.X[:n], log.y[:n], treatment=log.treatment[:n])
            loss = np.mean((y - model.predict(X, treatment=arm)) ** 2)
            pehe = np.sqrt(np.mean((model.effect(X) - log.effect[n:]) ** 2))
            found.append((loss, pehe, len(model.history_)))
        print(seed, *(f"{v:.4f}" for one in found[-3:] for v in one), flush=True)
    each = np.array(found).reshape(seeds, 3, 3)
    print("squared error, root PEHE, epochs:", each.mean(0).round(4).tolist())
    for name, gap in (("", 1), (" with the usual rate", 2)):
        gap = each[:, gap] - each[:, 0]
        error = gap.std(0, ddof=1) / seeds**0.5
        print(
            f"large less usual{name}: squared error {gap.mean(0)[0]:+.4f} "
            f"({error[0]:.4f}), root PEHE {gap.mean(0)[1]:+.4f} ({error[1]:.4f})"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["epoch", "effects"])
    parser.add_argument("--device", default="auto", help="such as cpu or cuda")
    parser.add_argument("--rows", type=int, help="of the log, and a tenth of the pairs")
    given = parser.parse_args()
    n = given.rows or 10_000_000
    device = resolve_device(given.device, n)
    rate = rates(device)
    print(
        f"{device}: torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{rate[0] / 1e9:.1f} GB/s, {rate[1] / 1e12:.3f} TFLOP/s in float32"
    )
    benchmarks = {
        "epoch": lambda: bench_epoch(device, rate, n),
        "effects": lambda: bench_effects(device, rate, 10 * n),
        "batches": lambda: bench_batches(device, given.rows or 2**19),
    }
    unknown = set(given.what) - set(benchmarks)
    if unknown:
        parser.error(f"unknown: {sorted(unknown)}; choose from {list(benchmarks)}")
    for name in given.what:
        benchmarks[name]()


if __name__ == "__main__":
    main()
