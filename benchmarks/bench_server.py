"""The server under load: requests a second, latencies, wrong lists while models change.

One user a request, top 10 by effect, over connections that are kept. Three parts:

- "limit": as many requests as 32 connections bring;
- "steady": 200 requests a second, whether or not the ones before are answered; the time
  of a request counts from when it was due;
- "swap": as "limit", while the file of the model is replaced by that of another one,
  and back, again and again. Each list is compared with the exact one of the model that
  the answer names. A list is wrong if its items are others, save where exact scores are
  equal to 1e-6.

The server answers without keys and encryption, unless ``--guarded`` asks for keys, TLS
and an audit. ``bench_service.py`` has the attacks and faults.

Server and clients share the cores. Where other work shares them, too, the CPU time of
the server for a request, of "limit", tells more than the others.

Run ``python benchmarks/bench_server.py [--items 1000] [--encoder mf] [--learner t]
[--index 0.99] [--workers 1] [--requests 50000] [--guarded]``.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ["OMP_NUM_THREADS"] = "1"

from sklearn_causalrec import CausalDNNRecommender, recommend, save
from sklearn_causalrec.datasets import make_exposure_log

K = 10


def fitted(options, seed):
    log = make_exposure_log(
        options.rows, n_users=options.users, n_items=options.items, random_state=0
    )
    model = CausalDNNRecommender(
        user="user",
        item="item",
        encoder=options.encoder,
        effect_learner=options.learner,
        max_epochs=5,
        random_state=seed,
    )
    return model.fit(log.X, log.y, treatment=log.treatment)


def exact_lists(model, n_users):
    """Items and scores of each user's best ones, some more than are asked for."""
    top = recommend(model, list(range(n_users)), k=2 * K)
    return {
        user: (rows["item"].tolist(), rows["score"].tolist())
        for user, rows in top.groupby("user")
    }


def is_wrong(places, exact):
    items, scores = exact
    if [p["item"] for p in places] == items[:K]:
        return False
    score_of = dict(zip(items, scores))
    return len(places) != min(K, len(items)) or any(
        abs(score_of.get(p["item"], np.inf) - score) > 1e-6
        for p, score in zip(places, scores)
    )


class Connection:
    """HTTP over one connection that is kept; as little client as there can be."""

    trusted, key = None, ""  # how to check the server, and who asks

    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.trusted
        )
        return self

    async def post(self, user):
        body = json.dumps({"users": [user], "k": K}).encode()
        head = (
            "POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: Bearer {self.key}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
        text = await self.reader.readexactly(length)
        return int(head[9:12]), text


async def limit(port, users, n, seen=None):
    """Requests a second of 32 connections."""
    left = iter(range(n))

    async def client():
        connection = await Connection().open(port)
        for i in left:
            user = int(users[i % len(users)])
            try:
                status, text = await connection.post(user)
            except (OSError, asyncio.IncompleteReadError):
                status, text = 0, b""
                connection = await Connection().open(port)
            if seen is not None:
                seen.append((user, status, text))

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(32)))
    return n / (time.perf_counter() - start)


async def steady(port, users, rate, seconds):
    """Seconds from when each request was due to its answer."""
    free = [await Connection().open(port) for _ in range(64)]
    times, tasks, late = [], set(), 0
    start = time.perf_counter()

    async def one(due, user):
        nonlocal late
        if free:
            connection = free.pop()
        else:
            connection, late = await Connection().open(port), late + 1
        await connection.post(user)
        times.append(time.perf_counter() - due)
        free.append(connection)

    for i in range(int(rate * seconds)):
        due = start + i / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due, int(users[i % len(users)])))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return np.array(times)


async def swapping(port, users, n, files, path, server):
    """What was answered while models changed, and how often they did."""
    seen = []
    load = asyncio.create_task(limit(port, users, n, seen))
    swaps = 0
    while not load.done():
        await asyncio.sleep(2.0)
        swaps += 1
        beside = path.with_suffix(".next")
        shutil.copy(files[swaps % 2], beside)
        os.replace(beside, path)
        server.send_signal(signal.SIGHUP)
    return seen, swaps, await load


def processes(pid):
    return [pid, *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid):
    """Of a process and of its workers."""
    ticks = 0
    for one in processes(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid):
    """Megabytes of a process and of its workers, shared pages counted once."""
    total = 0
    for one in processes(pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
    return total / 1024


def guarded(folder):
    """Options of a server with keys, TLS and an audit; connections get a key."""
    from sklearn_causalrec.serving.server.keys import make_key
    from sklearn_causalrec.serving.server.tls import own_certificate

    Connection.key, _ = make_key(folder / "keys.json", "bench", ["recommend"])
    certificate, key = own_certificate(folder / "tls")
    Connection.trusted = ssl.create_default_context(cafile=certificate)
    return [
        "--keys", str(folder / "keys.json"), "--certificate", str(certificate),
        "--certificate-key", str(key), "--audit-dir", str(folder / "audit"),
        "--rate", "1000000/second",
    ]  # fmt: skip


def main(options):
    folder = Path(tempfile.mkdtemp())
    models = [fitted(options, seed) for seed in (0, 1)]
    files = [folder / f"{seed}.crec" for seed in (0, 1)]
    for model, file in zip(models, files):
        save(model, file, slim=True)
    path = folder / "model.crec"
    shutil.copy(files[0], path)
    users = np.random.default_rng(0).integers(0, options.users, 5000)
    exact = [exact_lists(model, options.users) for model in models]
    command = [sys.executable, "-m", "sklearn_causalrec.serving.command", "serve"]
    command += [str(path), "--port", "0", "--watch", "0"]
    command += ["--workers", str(options.workers), "--log-dir", str(folder / "log")]
    command += guarded(folder) if options.guarded else ["--no-keys", "--no-tls"]
    command += [] if options.index is None else ["--index", str(options.index)]
    start = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = int(re.search(r":(\d+)$", server.stdout.readline().strip())[1])
    print(f"ready after {time.perf_counter() - start:.1f} s", flush=True)
    try:
        asyncio.run(limit(port, users, 200))  # warm
        before = cpu_seconds(server.pid)
        rate = asyncio.run(limit(port, users, options.limit_requests))
        cost = (cpu_seconds(server.pid) - before) / options.limit_requests * 1e3
        times = asyncio.run(steady(port, users, options.rate, options.seconds))
        p50, p99 = np.quantile(times, [0.5, 0.99]) * 1e3
        seen, swaps, swap_rate = asyncio.run(
            swapping(port, users, options.requests, files, path, server)
        )
        size = memory(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(60)
    lines = sum(
        line.count(b"\n") for file in (folder / "log").iterdir()
        for line in [file.read_bytes()]
    )  # fmt: skip
    answers = [(u, s, json.loads(t) if t else {}) for u, s, t in seen]
    failed = sum(s != 200 for _, s, _ in answers)
    ids = list(dict.fromkeys(a["model"]["id"] for _, s, a in answers if s == 200))
    wrong = sum(
        is_wrong(a["lists"][0]["items"], exact[ids.index(a["model"]["id"])][u])
        for u, s, a in answers
        if s == 200
    )
    row = {
        "items": options.items,
        "model": f"{options.encoder}, {options.learner}",
        "index": options.index,
        "workers": options.workers,
        "at the limit": f"{rate:.0f}/s",
        "CPU a request": f"{cost:.1f} ms",
        f"p50, p99 at {options.rate}/s": f"{p50:.1f}, {p99:.1f} ms",
        "with swaps": f"{len(answers)} at {swap_rate:.0f}/s",
        "swaps": swaps,
        "models seen": len(ids),
        "not answered": failed,
        "wrong lists": wrong,
        "memory": f"{size:.0f} MB",
    }
    print("| " + " | ".join(row) + " |\n" + "|---" * len(row) + "|")
    print("| " + " | ".join(map(str, row.values())) + " |")
    print(
        f"exit status {status}, {lines} lines of the log, load of the machine "
        f"{os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--encoder", default="mf")
    parser.add_argument("--learner", default="t")
    parser.add_argument("--index", type=float)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--limit-requests", type=int, default=3000)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--guarded", action="store_true")
    main(parser.parse_args())
