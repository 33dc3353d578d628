"""Files of models: sizes, times, and attacks.

Part "sizes": a recommender with the defaults on logs of several lengths; what the file,
the slim file and the pickle have beside the bytes of the parameters, and the time of
saving and loading. Part "attacks": files are changed at random and with intent
(`sklearn_causalrec/_testing/fuzz/files.py`) and opened in a process of its own, whose
audit events are watched: no code may run, no other error may come than ModelFileError,
nothing may crash, hang or take much memory.

Run ``python benchmarks/bench_files.py sizes`` or
``python benchmarks/bench_files.py attacks [--files 100000] [--seed 100]``.
"""

import argparse
import multiprocessing
import pickle
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender, load, save
from sklearn_causalrec._testing.fuzz.files import attack, bombs
from sklearn_causalrec.serving import ModelFileError

FIXTURES = Path(__file__).parents[1] / "tests" / "data" / "files" / "1"
EVENTS = {
    "os.system", "os.exec", "os.posix_spawn", "os.remove", "os.rename", "shutil.rmtree",
    "subprocess.Popen", "pickle.find_class", "marshal.loads", "ctypes.dlopen",
    "socket.connect", "compile",
}  # fmt: skip
CHUNK = 5000  # files a process
SLOW = 20.0


def parameters_of(model):
    """Bytes of all numbers that the answers for a row are computed from."""
    total = sum(
        p.numel() * p.element_size()
        for net in model._ensemble.nets
        for p in [*net.module_.parameters(), *net.module_.buffers()]
    )
    stages = [] if model.effects_ is None else model.effects_.stages[1:]
    for stage in stages:
        for models in stage._effect_models + [
            arm for fold in stage._outcome_models for arm in fold
        ]:
            for part in models:
                total += _arrays(part)
        total += sum(e.nbytes for e in stage._bins.edges)
    for index in (model.log_encoder_.users, model.log_encoder_.items):
        total += index.ids.memory_usage(deep=True)
    log = model.catalogue_
    if log is not None:
        total += log.seen.indices.nbytes + log.seen.indptr.nbytes + log.seen.data.nbytes
        total += log._users.table.nbytes + log._items.table.nbytes
    return total


def _arrays(part):
    """Bytes of nodes and coefficients of a learner of the second stage."""
    trees = getattr(part, "trees", None)
    total = sum(
        array.nbytes
        for owner in (part, getattr(part, "additive", None))
        if owner is not None
        for array in vars(owner).values()
        if isinstance(array, np.ndarray)
    )
    if trees is not None:
        total += sum(tree.nodes.nbytes for tree in trees.predictors_)
    return total + sum(o.nbytes for o in getattr(part, "offsets_", []))


def sizes():
    print("| rows | users x items | parameters | file | slim | pickle | save | load |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n, n_users, n_items in [(2000, 200, 100), (20_000, 2000, 1000),
                                    (100_000, 10_000, 5000)]:  # fmt: skip
            rng = np.random.default_rng(0)
            X = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde"))
            X["user"] = rng.integers(0, n_users, n)
            X["item"] = rng.integers(0, n_items, n)
            t = rng.integers(0, 2, n)
            y = X["a"] + t * (1 + X["b"]) + rng.normal(size=n)
            model = CausalDNNRecommender(
                user="user", item="item", max_epochs=5, random_state=0
            ).fit(X, y, treatment=t)
            path, slim = Path(folder, "m"), Path(folder, "s")
            start = time.process_time()
            save(model, path)
            saved = time.process_time()
            load(path)
            loaded = time.process_time()
            save(model, slim, slim=True)
            base = parameters_of(model)
            found = [path.stat().st_size, slim.stat().st_size, len(pickle.dumps(model))]
            cells = [f"{size / base:.2f}×" for size in found]
            print(
                f"| {n} | {n_users} × {n_items} | {base / 1e6:.2f} MB | "
                f"{' | '.join(cells)} | {saved - start:.2f} s | "
                f"{loaded - saved:.2f} s |",
                flush=True,
            )


def attacked(seed, n_files, queue):
    """Open files after attacks, in a process of its own; count what came of it."""
    rng = np.random.default_rng(seed)
    files = {
        p.stem: p.read_bytes() for p in FIXTURES.glob("*.crec") if p.stem != "graph"
    }
    names = sorted(files)
    on, events, found = [False], [], Counter()

    def hook(event, args):
        if on[0] and (event in EVENTS or (event == "open" and "w" in str(args[1]))):
            events.append(f"{event} {args!r:.200}")

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m")
        for data in files.values():  # so that all imports are done
            path.write_bytes(data)
            repr(load(path))  # scikit-learn imports its printer late
        sys.addaudithook(hook)
        for _ in range(n_files):
            name = names[rng.integers(len(names))]
            other = files[names[rng.integers(len(names))]]
            kind, data = attack(files[name], rng, other)
            path.write_bytes(data)
            start, on[0] = time.perf_counter(), True
            try:
                load(path)
                outcome = "opened"
            except ModelFileError:
                outcome = "refused"
            except Exception as error:
                outcome = f"other error: {type(error).__name__}: {error!s:.80}"
            finally:
                on[0] = False
            if time.perf_counter() - start > SLOW:
                outcome = "slow"
            found[kind, outcome] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put((found, events, peak))


def attacks(n_files, seed):
    total, events, crashed, peak = Counter(), [], 0, 0.0
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    for k in range(-(-n_files // CHUNK)):
        queue = context.Queue()
        size = min(CHUNK, n_files - k * CHUNK)
        child = context.Process(target=attacked, args=(seed + k, size, queue))
        child.start()
        while child.is_alive() and queue.empty():
            child.join(0.5)
        if queue.empty():
            crashed += 1
            print(
                f"seed {seed + k}: the process died with {child.exitcode}", flush=True
            )
            continue
        found, seen, most = queue.get()
        child.join()
        total += found
        events += seen
        peak = max(peak, most)
        right = sum(n for (_, o), n in total.items() if o in ("refused", "opened"))
        print(
            f"{sum(total.values())} files, {right} refused or opened, {len(events)} "
            f"events, {time.perf_counter() - start:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    kinds = sorted({kind for kind, _ in total})
    print("| attack | files | refused | opened | other |\n|---|---|---|---|---|")
    for kind in kinds:
        mine = {o: n for (k, o), n in total.items() if k == kind}
        other = sum(n for o, n in mine.items() if o not in ("refused", "opened"))
        refused, opened = mine.get("refused", 0), mine.get("opened", 0)
        print(f"| {kind} | {sum(mine.values())} | {refused} | {opened} | {other} |")
    for (kind, outcome), n in total.items():
        if outcome not in ("refused", "opened"):
            print(kind, outcome, n)
    burst = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in bombs():
            path = Path(folder, "m")
            path.write_bytes(data)
            try:
                load(path)
            except ModelFileError:
                continue
            except Exception as error:
                print(name, type(error), error)
                burst += 1
    print(
        f"{sum(total.values())} files, {crashed} processes died, {len(events)} events, "
        f"{burst} bombs with another error, {peak:.0f} MiB at most, "
        f"{time.perf_counter() - start:.0f} s"
    )
    print("\n".join(events[:20]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["sizes", "attacks"])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.part == "sizes":
        sizes()
    else:
        attacks(options.files, options.seed)
