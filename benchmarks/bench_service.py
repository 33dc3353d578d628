"""The server under attack and under faults: what it answers, loses and refuses.

Both parts ask a server of two workers with keys, TLS, an audit and a log of decisions.

- "attack": schemathesis makes requests from the server's own description, right ones
  and wrong ones. An answer of 5xx, or one that is not described, is a failure.
- "faults": requests at full rate over 32 connections, while a worker is killed (-9),
  the model is swapped, the disk of the audit is full, and the file of the model is
  damaged while another worker is killed and started. Each list is compared with the
  exact one of the model that its answer names, and with its line of the audit. A full
  disk is a ``tmpfs`` that is filled, where one may be mounted, else a limit on the size
  of files.

Run ``python benchmarks/bench_service.py [--requests 10000] [--examples 500]
[--part attack|faults]``.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from bench_server import (
    Connection,
    exact_lists,
    fitted,
    guarded,
    is_wrong,
    limit,
    processes,
)

from sklearn_causalrec import save
from sklearn_causalrec.serving import read_decisions
from sklearn_causalrec.serving.server.keys import SCOPES, make_key

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,"
CHECKS += "response_headers_conformance,response_schema_conformance,ignored_auth"


@contextmanager
def running(folder, model, *more):
    """A server of two workers; its process and port."""
    command = [sys.executable, "-m", "sklearn_causalrec.serving.command", "serve"]
    command += [str(model), "--port", "0", "--workers", "2", *guarded(folder), *more]
    with open(folder / "messages", "w") as messages:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=messages, text=True
        )
    try:
        yield server, int(re.search(r":(\d+)$", server.stdout.readline().strip())[1])
    finally:
        server.send_signal(signal.SIGTERM)
        print("exit status", server.wait(60))


# -- requests from the description ---------------------------------------------------


def attack(folder, files, options):
    with running(folder, files[0]) as (_, port):
        key, _ = make_key(folder / "keys.json", "all", SCOPES)
        time.sleep(2)  # until the file is read again
        command = [
            sys.executable, "-m", "schemathesis.cli", "run",
            f"https://localhost:{port}/v1/openapi.json",
            "--tls-verify", str(folder / "tls" / "localhost.crt"),
            "--header", f"Authorization: Bearer {key}",
            "--mode", "all", "--phases", "examples,coverage,fuzzing",
            "--max-examples", str(options.examples), "--checks", CHECKS,
            "--seed", "1", "--suppress-health-check", "all", "--continue-on-failure",
            "--generation-database", "none", "--workers", "1", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        connection = asyncio.run(_metrics(port, key))
    print(done.stdout[-3000:], done.stderr[-2000:])
    print("answers by status:", dict(sorted(connection.items())))
    print(
        "messages of the server:", (folder / "messages").read_text()[-2000:] or "none"
    )


async def _metrics(port, key):
    """The answers that the server has counted, by status."""
    connection = await Connection().open(port)
    head = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    connection.writer.write(head.encode())
    head = await connection.reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    text = (await connection.reader.readexactly(length)).decode()
    found = Counter()
    for status, n in re.findall(r'requests_total{.*status="(\d+)"} ([\d.]+)', text):
        found[status] += int(float(n))
    return found


# -- faults --------------------------------------------------------------------------


class Disk:
    """A folder whose disk can be filled, and emptied again."""

    def __init__(self, folder, server=None):
        self.folder, self.server = folder, server
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
        self.own = subprocess.run(mount, capture_output=True).returncode == 0

    def fill(self):
        if not self.own:
            for one in processes(self.server.pid)[1:]:
                limits = (1, resource.RLIM_INFINITY)
                resource.prlimit(int(one), resource.RLIMIT_FSIZE, limits)
            return
        with suppress(OSError), open(self.folder / "filler", "wb", 0) as file:
            size = 2**20
            while size:  # to the last byte
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self):
        if self.own:
            (self.folder / "filler").unlink()
            return
        for one in processes(self.server.pid)[1:]:
            limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(int(one), resource.RLIMIT_FSIZE, limits)

    def gone(self):
        if self.own:
            subprocess.run(["umount", str(self.folder)], check=True)


async def faults(port, users, n, files, path, server, disk):
    """What was answered, and when which fault began: (requests so far, fault)."""
    seen, events = [], []
    load = asyncio.create_task(limit(port, users, n, seen))

    async def until(share, fault):
        while len(seen) < share * n and not load.done():
            await asyncio.sleep(0.01)
        events.append((len(seen), fault))

    def put(data):
        beside = path.with_suffix(".next")
        beside.write_bytes(data)
        os.replace(beside, path)

    def kill():
        os.kill(int(processes(server.pid)[1]), signal.SIGKILL)

    await until(0.15, "kill -9 of a worker")
    kill()
    await until(0.3, "another model")
    put(files[1].read_bytes())
    await until(0.45, "disk full")
    disk.fill()
    refused = sum(status == 503 for _, status, _ in seen)
    while sum(s == 503 for _, s, _ in seen) < refused + 300 and not load.done():
        await asyncio.sleep(0.01)
    events.append((len(seen), "disk free"))
    disk.free()
    await until(0.65, "damaged model file")
    put(files[0].read_bytes()[:-1000])
    await asyncio.sleep(2)  # all have looked at it
    events.append((len(seen), "kill -9 of a worker"))
    kill()
    await until(0.85, "the first model again")
    put(files[0].read_bytes())
    rate = await load
    return seen, events, rate


def main(options):
    folder = Path(tempfile.mkdtemp())
    models = [fitted(options, seed) for seed in (0, 1)]
    files = [folder / f"{seed}.crec" for seed in (0, 1)]
    for model, file in zip(models, files):
        save(model, file, slim=True)
    if options.part in (None, "attack"):
        (folder / "attack").mkdir()
        attack(folder / "attack", files, options)
    if options.part in (None, "faults"):
        report(folder, models, files, options)


def report(folder, models, files, options):
    path = folder / "model.crec"
    shutil.copy(files[0], path)
    users = np.random.default_rng(0).integers(0, options.users, 5000)
    exact = [exact_lists(model, options.users) for model in models]
    disk = Disk(folder / "audit")
    more = ["--watch", "0.5", "--log-dir", str(folder / "audit")]
    with running(folder, path, *more) as (server, port):
        disk.server = server
        asyncio.run(limit(port, users, 200))  # warm
        seen, events, rate = asyncio.run(
            faults(port, users, options.requests, files, path, server, disk)
        )
    answers = [(u, s, json.loads(t) if t else {}) for u, s, t in seen]
    good = [(u, a) for u, s, a in answers if s == 200]
    ids = list(dict.fromkeys(a["model"]["id"] for _, a in good))
    wrong = sum(
        is_wrong(a["lists"][0]["items"], exact[ids.index(a["model"]["id"])][u])
        for u, a in good
    )
    lines, halves = {}, 0
    for file in (folder / "audit").glob("audit-*.jsonl"):
        *whole, last = file.read_bytes().split(b"\n")
        halves += bool(last)
        for line in map(json.loads, whole):
            lines[line["request"]] = line
    lost = sum(
        a["request"] not in lines
        or lines[a["request"]]["items"] != a["lists"][0]["items"]
        or lines[a["request"]]["model"]["id"] != a["model"]["id"]
        for _, a in good
    )
    decided = set(read_decisions(folder / "audit", everything=True)["request"])
    undecided = sum(a["request"] not in decided for _, a in good)
    answered = {a["request"] for _, a in good}
    row = {
        "requests": len(answers),
        "rate": f"{rate:.0f}/s",
        "answered": len(good),
        "503": sum(s == 503 for _, s, _ in answers),
        "connection lost": sum(s == 0 for _, s, _ in answers),
        "other errors": sum(s not in (0, 200, 503) for _, s, _ in answers),
        "wrong lists": wrong,
        "answers without their audit line": lost,
        "answers without their decision": undecided,
        "audit lines without an answer": len(set(lines) - answered) - 200,
        "lines not whole": halves,
        "models": len(ids),
    }
    for at, what in events:
        print(f"after {at} requests: {what}")
    print("disk full:", "tmpfs" if disk.own else "RLIMIT_FSIZE")
    print("| " + " | ".join(row) + " |\n" + "|---" * len(row) + "|")
    print("| " + " | ".join(map(str, row.values())) + " |")
    print(f"load of the machine {os.getloadavg()[0]:.1f}")
    text = (folder / "messages").read_text()
    for words in ("is refused", "another one starts", "ENOSPC"):
        print(f"messages of the server with {words!r}: {text.count(words)}")
    disk.gone()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--encoder", default="mf")
    parser.add_argument("--learner", default="t")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--part", choices=["attack", "faults"])
    main(parser.parse_args())
