"""What training and predicting cost beside the same network in bare torch.

- epoch: seconds of an epoch on 200,000 x 50 against a hand-written loop over the same
  network and data, with batches of 128, 1024 and 8192 (bar: 1.10 times);
- default: the same for the default objective, "targeted", in CPU seconds of one thread,
  for "dnn" and "mf" against networks written by hand, and for "lstm" and "transformer"
  against a bare loop over the network itself (bars: 1.10, 1.05 and 1.05 at the three
  batches; 1.03 for the last two);
- ids: CPU seconds of training "dnn" on 30,000 rows with 100,000 users and with 1,000
  (bar: 2 times);
- predict: ``predict`` of 1,000,000 rows against the bare forward pass of the fitted
  network, whole and in blocks (bar: 1.2 times the faster of the two);
- memory: peak of ``fit`` on 2,000,000 x 50 float32, 400 MB (bar: 3 times the data).

Both sides take turns, and the best of their times counts. Run from the repository
root, all of it or some::

    python benchmarks/bench_training.py [epoch] [default] [ids] [predict] [memory]

Two threads, or as many as THREADS in the environment says. On a machine that is busy
otherwise, two threads wait for each other and only THREADS=1 compares the two sides.
"""

import inspect
import json
import os
import subprocess
import sys
import time

THREADS = int(os.environ.get("THREADS", 2))
N_FEATURES = 50
PEAK_LINES = ("VmHWM", "VmRSS")
MB = 1e6


def memory():
    """Peak since the last call of `forget_peak`, and present use, in bytes."""
    with open("/proc/self/status") as lines:
        values = dict(line.split(":", 1) for line in lines)
    return [int(values[name].split()[0]) * 1024 for name in PEAK_LINES]


def forget_peak():
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")


def make_log(n, n_arms, seed=0):
    """Features, arm (None with one arm) and outcome."""
    import numpy as np

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    arm = rng.integers(0, n_arms, n) if n_arms > 1 else None
    y = X[:, 0] + rng.standard_normal(n, dtype=np.float32)
    return X, arm, y if arm is None else (y + arm).astype(np.float32)


def recommender(**settings):
    """The estimator; without the second stage where it can be left out."""
    from sklearn_causalrec import CausalDNNRecommender

    default_stage = settings.pop("default_stage", False)
    known = inspect.signature(CausalDNNRecommender).parameters
    if "effect_learner" in known and not default_stage:
        settings["effect_learner"] = "t"
    return CausalDNNRecommender(random_state=0, **settings)


def raw_network(mean=None, scale=None, shared=False):
    """Two arms, one shared layer of 128, 64 units an arm, wide part, exposure head.

    Without mean and scale, for features that were standardised beforehand. With
    shared, the exposure head shapes the layers below it.
    """
    import torch
    from torch import nn

    class Raw(nn.Module):
        def __init__(self):
            super().__init__()
            if mean is not None:
                self.mean = torch.as_tensor(mean, dtype=torch.float32)
                self.rate = 1 / torch.as_tensor(scale, dtype=torch.float32)
            self.shared = nn.Sequential(nn.Linear(N_FEATURES, 128), nn.ReLU())
            self.heads = nn.Linear(128, 2 * 64)
            self.weight = nn.Parameter(torch.randn(2, 64) * 0.06)
            self.bias = nn.Parameter(torch.zeros(2))
            self.wide = nn.Linear(N_FEATURES, 2)
            self.exposure = nn.Linear(128, 2, bias=False)
            self.exposure_wide = nn.Linear(N_FEATURES, 2)

        def forward(self, x):
            if mean is not None:
                x = (x - self.mean) * self.rate
            r = self.shared(x)
            h = torch.relu(self.heads(r)).view(-1, 2, 64)
            outcome = (h * self.weight).sum(2) + self.bias + self.wide(x)
            seen = r if shared else r.detach()
            return outcome, self.exposure(seen) + self.exposure_wide(x)

    return Raw()


def same_network(model, X):
    """Largest difference of the outputs once the raw network has the weights."""
    import torch

    net, encoder = model.nets_[0].module_.eval(), model.log_encoder_
    raw = raw_network(encoder.mean, encoder.scale)
    with torch.inference_mode():
        for mine, theirs in (
            (raw.shared[0].weight, net.encoder.dense[0].weight),
            (raw.shared[0].bias, net.encoder.dense[0].bias),
            (raw.heads.weight, net.encoder.heads.hidden.weight),
            (raw.heads.bias, net.encoder.heads.hidden.bias),
            (raw.weight, net.encoder.heads.weight),
            (raw.bias, net.encoder.heads.bias),
            (raw.wide.weight, net.wide.weight),
            (raw.wide.bias, net.wide.bias),
            (raw.exposure.weight, net.exposure.deep.weight),
            (raw.exposure_wide.weight, net.exposure.wide.weight),
            (raw.exposure_wide.bias, net.exposure.wide.bias),
        ):
            mine.copy_(theirs)
        x = torch.from_numpy(X)
        outcome, exposure = raw(x)
        out = net(x)
        return max(
            float((outcome - out.outcome).abs().max()),
            float((exposure - out.exposure).abs().max()),
        )


def raw_epochs(raw, tensors, batch_size, n_epochs):
    """Seconds of every epoch of Adam on squared error and cross-entropy."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    X, arm, y = tensors
    optimizer = torch.optim.Adam(raw.parameters(), lr=2e-3, fused=True)
    seconds = []
    for _ in range(n_epochs):
        start = time.perf_counter()
        order = torch.randperm(len(X))
        for first in range(0, len(X), batch_size):
            rows = order[first : first + batch_size]
            x, t, target = X[rows], arm[rows], y[rows]
            optimizer.zero_grad()
            outcome, exposure = raw(x)
            taken = outcome.gather(1, t[:, None])[:, 0]
            loss = mse_loss(taken, target) + cross_entropy(exposure, t)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds


def bench_epoch(n=200_000, n_epochs=3, rounds=4, batches=(128, 1024, 8192), l2=0.0):
    import torch

    X, arm, y = make_log(n, 2)
    mean, scale = X.mean(0), X.std(0)
    z = torch.from_numpy((y - y.mean()) / y.std())
    plain = (torch.from_numpy(X), torch.from_numpy(arm), z)
    ready = (torch.from_numpy((X - mean) / scale), torch.from_numpy(arm), z)
    print(f"epoch of {n:,} x {N_FEATURES}, seconds (best of {n_epochs * rounds})")
    print("batch   ours   raw    ratio  raw, features standardised beforehand  ratio")
    for batch_size in batches:
        ours, raw, bare = [], [], []
        for _ in range(rounds):
            model = recommender(
                objective="naive",
                batch_size=batch_size,
                l2=l2,
                max_epochs=n_epochs,
                early_stopping=False,
            ).fit(X, y, treatment=arm)
            ours += [record["seconds"] for record in model.history_]
            raw += raw_epochs(raw_network(mean, scale), plain, batch_size, n_epochs)
            bare += raw_epochs(raw_network(), ready, batch_size, n_epochs)
        a, b, c = min(ours), min(raw), min(bare)
        print(
            f"{batch_size:5d}  {a:.3f}  {b:.3f}  {a / b:5.2f}  {c:.3f} {a / c:36.2f}",
            flush=True,
        )
    difference = same_network(model, X[:10_000])
    print(f"largest difference of the two networks' outputs: {difference:.1e}")


class Timed:
    """CPU seconds of every training epoch of the package, one after another."""

    def __enter__(self):
        from sklearn_causalrec.networks.net import CausalNet

        self.seconds, self.of, whole = [], CausalNet, CausalNet.run_single_epoch

        def run(net, iterator, training, *args, **kwargs):
            start = time.process_time()
            whole(net, iterator, training, *args, **kwargs)
            if training:
                self.seconds.append(time.process_time() - start)

        self.whole, CausalNet.run_single_epoch = whole, run
        return self

    def __exit__(self, *_):
        self.of.run_single_epoch = self.whole


def raw_factors(n_users, n_items, mean, scale):
    """The network of "mf" with two arms: products, a perceptron, biases of ids."""
    import torch
    from torch import nn

    class Raw(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = torch.as_tensor(mean, dtype=torch.float32)
            self.rate = 1 / torch.as_tensor(scale, dtype=torch.float32)
            self.user = nn.Embedding(n_users + 1, 16)
            self.item = nn.Embedding(n_items + 1, 16)
            self.arms = nn.Parameter(torch.ones(2, 16))
            self.shared = nn.Sequential(nn.Linear(N_FEATURES, 128), nn.ReLU())
            self.heads = nn.Linear(128, 2 * 64)
            self.weight = nn.Parameter(torch.randn(2, 64) * 0.06)
            self.bias = nn.Parameter(torch.zeros(2))
            self.wide = nn.Linear(N_FEATURES, 2)
            self.user_bias = nn.Embedding(n_users + 1, 2)
            self.item_bias = nn.Embedding(n_items + 1, 2)
            self.exposure = nn.Linear(128 + 16, 2, bias=False)
            self.exposure_wide = nn.Linear(N_FEATURES, 2)
            self.user_exposure = nn.Embedding(n_users + 1, 2)
            self.item_exposure = nn.Embedding(n_items + 1, 2)

        def forward(self, x, user, item):
            x = (x - self.mean) * self.rate
            product = self.user(user) * self.item(item)
            r = self.shared(x)
            h = torch.relu(self.heads(r)).view(-1, 2, 64)
            outcome = product @ self.arms.T + (h * self.weight).sum(2) + self.bias
            wide = self.wide(x) + self.user_bias(user) + self.item_bias(item)
            seen = torch.cat([product, r], dim=1)
            exposure = self.exposure(seen) + self.exposure_wide(x)
            exposure = exposure + self.user_exposure(user) + self.item_exposure(item)
            return outcome + wide, exposure

    return Raw()


def raw_targeted(raw, tensors, arm, y, batch_size, clip):
    """CPU seconds of an epoch on the loss of DragonNet with targeted regularisation."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    epsilon = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([*raw.parameters(), epsilon], lr=2e-3, fused=True)
    start = time.process_time()
    order = torch.randperm(len(y))
    for first in range(0, len(y), batch_size):
        rows = order[first : first + batch_size]
        t, target = arm[rows], y[rows]
        optimizer.zero_grad()
        outcome, exposure = raw(*(part[rows] for part in tensors))[:2]
        taken = outcome.gather(1, t[:, None])[:, 0]
        g = exposure.softmax(1).gather(1, t[:, None])[:, 0].clamp(min=clip)
        moved = taken + epsilon[t] / g
        loss = mse_loss(taken, target) + cross_entropy(exposure, t)
        loss = loss + mse_loss(moved, target)
        loss.backward()
        optimizer.step()
    return time.process_time() - start


def bench_default(
    n=50_000,
    rounds=7,
    batches=(128, 1024, 8192),
    encoders=("dnn", "mf", "lstm", "transformer"),
):
    """Epochs of the default objective and of the bare loop take turns."""
    import numpy as np
    import pandas as pd
    import torch

    torch.set_num_threads(1)
    n_users, n_items = 1000, 200
    X, arm, y = make_log(n, 2)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(N_FEATURES)])
    user, item = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    past = list(rng.integers(0, n_items, (n, 10)))
    ids = frame.assign(user=user, item=item)
    z = torch.from_numpy((y - y.mean()) / y.std())
    t, mean, scale = torch.from_numpy(arm), X.mean(0), X.std(0)
    codes = [torch.from_numpy(user), torch.from_numpy(item)]
    named = dict(user="user", item="item")
    print(f"epoch of the default objective, {n:,} rows, CPU seconds, best of {rounds}")
    print("encoder      batch   ours    bare   ratio; paired ratios, median (spread)")
    for encoder in encoders:
        own = encoder in ("lstm", "transformer")
        for batch_size in (1024,) if own else batches:
            few = 10_000 if own else n  # they take long, and are bound by arithmetic
            ours, bare = [], []
            for _ in range(rounds):
                log, columns = (frame, {}) if encoder == "dnn" else (ids, named)
                if own:
                    log = ids[:few].assign(past=past[:few])
                    columns = dict(named, history="past")
                options = dict(batch_size=batch_size, max_epochs=1, encoder=encoder)
                model = recommender(early_stopping=False, **options, **columns)
                with Timed() as timed:
                    model.fit(log, y[:few], treatment=arm[:few])
                ours += timed.seconds
                net = model.nets_[0]
                tensors = [torch.from_numpy(X)]
                if encoder == "dnn":
                    raw = raw_network(mean, scale, shared=True)
                elif encoder == "mf":
                    raw = raw_factors(n_users, n_items, mean, scale)
                    tensors += codes
                else:
                    raw = net.module_.train()
                    rows = model.log_encoder_.rows(model, log)
                    tensors = [torch.from_numpy(X[:few]), *(c[:few] for c in codes)]
                    tensors += [torch.from_numpy(rows.history)]
                    if rows.history_values is not None:
                        tensors += [torch.from_numpy(rows.history_values)]
                given = (raw, tensors, t[:few], z[:few], batch_size, 0.02)
                bare.append(raw_targeted(*given))
            ratios = np.divide(ours, bare)
            print(
                f"{encoder:12s} {batch_size:5d}  {min(ours):.3f}  {min(bare):.3f}  "
                f"{min(ours) / min(bare):.2f}; {np.median(ratios):.2f} "
                f"({ratios.min():.2f} to {ratios.max():.2f})",
                flush=True,
            )


def bench_ids(n=30_000, rounds=3):
    """Training "dnn" on as many rows with many users and with few, taking turns."""
    import numpy as np
    import pandas as pd
    import torch

    torch.set_num_threads(1)
    X, arm, y = make_log(n, 2)
    frame = pd.DataFrame(X[:, :10], columns=[f"x{j}" for j in range(10)])
    found = {}
    print(
        f"training of {n:,} rows with ids, CPU seconds and epochs, median of {rounds}"
    )
    for encoder in ("dnn", "mf"):
        for seed in range(rounds):
            for n_users in (1000, 100_000):
                rng = np.random.default_rng(seed)
                user, item = rng.integers(0, n_users, n), rng.integers(0, 200, n)
                # Users and items have a taste of their own, which ids can learn.
                taste = rng.normal(size=n_users)[user] + rng.normal(size=200)[item]
                log = frame.assign(user=user, item=item)
                model = recommender(encoder=encoder, user="user", item="item")
                with Timed() as timed:
                    model.fit(log, y + taste, treatment=arm)
                cell = found.setdefault((encoder, n_users), [])
                cell.append((sum(timed.seconds), len(timed.seconds)))
    for (encoder, n_users), cell in found.items():
        seconds, epochs = np.median(cell, axis=0)
        print(
            f"{encoder:4s} {n_users:7,d} users: {seconds:.2f} s, {epochs:.0f} epochs, "
            f"{seconds / epochs:.3f} s an epoch",
            flush=True,
        )


def bench_predict(n=1_000_000, rounds=7, block=8192):
    import numpy as np
    import torch

    X, arm, y = make_log(n, 2)
    few = slice(0, 100_000)
    model = recommender(objective="naive", max_epochs=1)
    model.fit(X[few], y[few], treatment=arm[few])
    network = model.nets_[0].module_.eval()

    def whole():
        with torch.inference_mode():
            return network(torch.from_numpy(X)).outcome[:, 1].numpy()

    def blocks():
        with torch.inference_mode():
            parts = [network(x).outcome[:, 1] for x in torch.from_numpy(X).split(block)]
            return torch.cat(parts).numpy()

    seconds = {"predict": [], "whole": [], "blocks": []}
    for _ in range(rounds):
        for name, run in (
            ("predict", lambda: model.predict(X)),
            ("whole", whole),
            ("blocks", blocks),
        ):
            start = time.perf_counter()
            result = run()
            seconds[name].append(time.perf_counter() - start)
            if name == "predict":
                predicted = result
            else:
                expected = (
                    result * model.log_encoder_.y_scale + model.log_encoder_.y_mean
                )
                np.testing.assert_allclose(predicted, expected, atol=1e-4)
    best = {name: min(times) for name, times in seconds.items()}
    print(f"predict of {n:,} rows, seconds (best of {rounds})")
    print(
        f"predict {best['predict']:.3f}; bare forward pass: whole {best['whole']:.3f}, "
        f"blocks of {block} {best['blocks']:.3f}; ratio to the faster "
        f"{best['predict'] / min(best['whole'], best['blocks']):.2f}",
        flush=True,
    )


def measure_fit(n, n_arms, default_stage):
    """Run in a process of its own: bytes before and at the peak of `fit`."""
    import torch

    torch.set_num_threads(1)  # memory hardly depends on it, and others may be at work
    # The first fit imports what fit imports.
    X, arm, y = make_log(2000, n_arms)
    recommender(max_epochs=1, default_stage=default_stage).fit(X, y, treatment=arm)
    imports = memory()[1]
    X, arm, y = make_log(n, n_arms)
    model = recommender(max_epochs=2, default_stage=default_stage)
    before = memory()[1]
    forget_peak()
    start = time.perf_counter()
    model.fit(X, y, treatment=arm)
    return {
        "imports": imports,
        "before": before,
        "peak": memory()[0],
        "data": X.nbytes,
        "seconds": time.perf_counter() - start,
    }


def bench_memory(n=2_000_000):
    from sklearn_causalrec import CausalDNNRecommender

    cases = [("one arm", 1, False), ("two arms, no second stage", 2, False)]
    if "effect_learner" in inspect.signature(CausalDNNRecommender).parameters:
        cases.append(("two arms, default second stage", 2, True))
    print(f"fit of {n:,} x {N_FEATURES} float32, MB, 2 epochs")
    print("'beyond' is the peak less what was there before fit, 'all' less imports")
    for name, n_arms, default_stage in cases:
        call = [sys.executable, __file__, "measure", str(n), str(n_arms)]
        call.append(str(int(default_stage)))
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: failed\n{done.stderr[-2000:]}", flush=True)
            continue
        m = json.loads(done.stdout.splitlines()[-1])
        beyond, everything = m["peak"] - m["before"], m["peak"] - m["imports"]
        print(
            f"{name}: data {m['data'] / MB:.0f}, imports {m['imports'] / MB:.0f}, "
            f"before fit {m['before'] / MB:.0f}, peak {m['peak'] / MB:.0f}, "
            f"beyond {beyond / MB:.0f} ({beyond / m['data']:.2f} x data), "
            f"all {everything / MB:.0f} ({everything / m['data']:.2f} x data), "
            f"{m['seconds']:.0f} s",
            flush=True,
        )


def main():
    if sys.argv[1:2] == ["measure"]:
        n, n_arms, default_stage = map(int, sys.argv[2:])
        print(json.dumps(measure_fit(n, n_arms, bool(default_stage))))
        return
    benchmarks = {
        "epoch": bench_epoch,
        "default": bench_default,
        "ids": bench_ids,
        "predict": bench_predict,
        "memory": bench_memory,
    }
    chosen = sys.argv[1:] or list(benchmarks)
    unknown = set(chosen) - set(benchmarks)
    if unknown:
        sys.exit(f"unknown: {sorted(unknown)}; choose from {list(benchmarks)}")
    import torch

    torch.set_num_threads(THREADS)
    for name in chosen:
        benchmarks[name]()


if __name__ == "__main__":
    main()
