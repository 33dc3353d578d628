"""The command that serves: real processes on free ports."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from http.client import BadStatusLine, HTTPConnection, HTTPSConnection
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from sklearn_causalrec import recommend
from sklearn_causalrec.serving import read_decisions
from sklearn_causalrec.serving.command import main
from sklearn_causalrec.serving.server.audit import read_audit
from sklearn_causalrec.serving.server.keys import make_key, revoke_key
from sklearn_causalrec.serving.server.start import _socket
from sklearn_causalrec.serving.server.workers import run_workers

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "sklearn_causalrec.serving.command"]


OPEN = ["--no-keys", "--no-tls"]  # test_service.py has the rest


@contextmanager
def running(*arguments, doors=OPEN):
    """The server in a process; its port and its messages."""
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *doors, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        found = re.search(r"https?://127\.0\.0\.1:(\d+)$", line.strip())
        assert found, line + server.stderr.read()
        server.port = int(found[1])
        yield server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        server.stderr.close()


class Client:
    """One connection that is kept, as a shop's backend keeps it."""

    def __init__(self, port, trusted=None):
        self.connection = HTTPConnection("127.0.0.1", port, timeout=20)
        if trusted is not None:
            self.connection = HTTPSConnection("localhost", port, context=trusted)

    def __call__(self, path, body=None, key=""):
        method = "GET" if body is None else "POST"
        head = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, head)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, text


def places(model, user, k):
    top = recommend(model, [user], k=k)
    return list(zip(top["item"].tolist(), top["score"].tolist()))


def test_a_swap_under_load_drops_and_mixes_nothing(served, tmp_path):
    path, log = tmp_path / "m.crec", tmp_path / "log"
    shutil.copy(served.files[0], path)
    exact = [{u: places(m, u, 5) for u in range(30)} for m in served.models]
    answers, wrong, stop = [], [], threading.Event()

    def load(start):
        client, n = Client(server.port), start
        while not stop.is_set():
            n = (n + 7) % 30
            status, text = client("/v1/recommend", {"users": [n], "k": 5})
            answers.append((n, status, json.loads(text)))

    with running(path, "--log-dir", log, "--watch", "0") as server:
        threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        while len(answers) < 100:
            time.sleep(0.01)
        path.write_bytes(served.files[1].read_bytes()[:1000])  # a broken one first
        server.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        shutil.copy(served.files[1], tmp_path / "next")
        os.replace(tmp_path / "next", path)
        server.send_signal(signal.SIGHUP)
        until, ids = time.monotonic() + 15, set()
        while len(ids) < 2 and time.monotonic() < until:
            time.sleep(0.02)
            ids = {answer["model"]["id"] for _, _, answer in answers}
        now = len(answers)
        while len(answers) < now + 100:
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        health = json.loads(Client(server.port)("/healthz")[1])
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        messages = server.stderr.read()

    models = list(dict.fromkeys(answer["model"]["id"] for _, _, answer in answers))
    assert len(models) == 2 and health["model"]["id"] == models[1]
    for user, status, answer in answers:
        found = [(p["item"], p["score"]) for p in answer["lists"][0]["items"]]
        right = exact[models.index(answer["model"]["id"])][user]
        same = [item for item, _ in found] == [item for item, _ in right]
        # The last bit of a sum depends on how many users are scored at once.
        same &= np.allclose([s for _, s in found], [s for _, s in right], atol=1e-6)
        if status != 200 or not same:
            wrong.append((user, status, answer))
    assert not wrong, wrong[0]
    assert len(answers) > 200
    assert "refused" in messages and f"{models[1]} replaces {models[0]}" in messages
    assert len(read_decisions(log)) == 5 * len(answers)


def test_workers(served, tmp_path):
    path = tmp_path / "m.crec"
    shutil.copy(served.files[0], path)
    log = tmp_path / "log"
    options = ["--workers", 2, "--watch", 0, "--log-dir", log, "--explore", "epsilon"]
    with running(path, *options) as server:
        for _ in range(8):  # a connection each, so that both are asked
            assert Client(server.port)("/v1/recommend", {"users": [3]})[0] == 200
        shutil.copy(served.files[1], path)
        workers = children(server.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        until = time.monotonic() + 15
        while set(new := children(server.pid)) & {workers[0]} or len(new) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        server.send_signal(signal.SIGHUP)
        ids = set()
        while len(ids) != 1 and time.monotonic() < until:
            # All of them serve the new file in the end, also the one that came late.
            found = [Client(server.port)("/healthz") for _ in range(20)]
            ids = {json.loads(text)["model"]["id"] for _, text in found}
        assert len(ids) == 1
        assert children(server.pid) == new and workers[1] in new
        metrics = Client(server.port)("/metrics")[1].decode()
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
        messages = server.stderr.read()
    assert 'causalrec_requests_total{route="/v1/recommend",status="200"} 8.0' in metrics
    assert f"Worker {workers[0]} ended with -9" in messages
    decisions = read_decisions(log, everything=True)
    assert len(decisions) == 80 and decisions["propensity"].between(0, 1).all()


def test_a_server_that_lets_in_who_has_a_key(served, tmp_path, monkeypatch):
    """TLS and keys from the start; an audit that a killed worker does not tear."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path, audit = tmp_path / "keys.json", tmp_path / "audit"
    key, entry = make_key(path, "shop", ["recommend"])
    admin, _ = make_key(path, "admin", ["admin"])
    body, answers = {"users": [471147114711], "k": 2}, []
    options = ["--keys", path, "--audit-dir", audit, "--workers", 2, "--watch", 0]
    with running(served.files[0], *options, doors=[]) as server:
        where = server.stdout.readline().split(" certificate ")[1].strip()
        trusted = ssl.create_default_context(cafile=where)

        def asked(path="/v1/recommend", body=body, key=key):
            status, text = Client(server.port, trusted)(path, body, key)
            return status, text.decode()

        for n in range(8):
            status, text = asked()
            assert status == 200
            answers.append(json.loads(text))
            if n == 3:
                os.kill(children(server.pid)[0], signal.SIGKILL)
        with pytest.raises((BadStatusLine, ConnectionError)):  # not encrypted
            Client(server.port)("/v1/recommend", body, key)
        assert asked(key="")[0] == 401 and asked("/metrics", None)[0] == 403
        assert asked("/v1/admin/reload", {}, admin)[0] == 200
        revoke_key(path, entry["id"])
        until = time.monotonic() + 15
        while asked()[0] == 200:  # until both workers have looked
            assert time.monotonic() < until
        time.sleep(1.1)
        assert {asked()[0] for _ in range(6)} == {401}
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        messages = server.stderr.read()
    lines = {line["request"]: line for line in read_audit(audit, limit=1000)}
    for answer in answers:
        line = lines[answer["request"]]
        assert line["items"] == answer["lists"][0]["items"]
        assert line["key"] == entry["id"]
    for secret in ("471147114711", key.split("_")[2], admin.split("_")[2]):
        assert secret not in messages
        assert not any(secret in p.read_text() for p in audit.iterdir())


def children(pid):
    task = Path(f"/proc/{pid}/task/{pid}/children")
    if task.exists():
        return sorted(map(int, task.read_text().split()))
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return sorted(map(int, found.stdout.split()))


# -- what cannot be served -------------------------------------------------------------


@pytest.fixture
def same_environment(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def later(data):
    return data[:8] + (99).to_bytes(4, "little") + data[12:]


@pytest.mark.parametrize(
    "change, options, message",
    [
        (None, [], "there is no such file"),
        (lambda data: data[:100], [], "truncated"),
        (lambda data: b"hello", [], "not a file that save has written"),
        (
            later,
            [],
            "format 99, and this version .* reads up to 1: install a later one",
        ),
        (bytes, ["--key-file", "KEY"], "not signed, and key= was given"),
        (bytes, ["--key-file", "/no/key"], "--key-file /no/key: No such file"),
        (bytes, ["--explore", "epsilon"], "--explore needs --log-dir"),
        (bytes, ["--withhold", "1"], "--withhold needs --explore"),
        (
            bytes,
            ["--explore", "thompson", "--log-dir", "LOG"],
            "needs several networks",
        ),
        (
            bytes,
            ["--explore", "epsilon", "--epsilon", "2", "--log-dir", "LOG"],
            "epsilon is 2",
        ),
        (bytes, ["--log-dir", "KEY"], "--log-dir .*: File exists"),
        (bytes, ["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_why_it_cannot_start(
    served, tmp_path, capsys, same_environment, change, options, message
):
    path, key = tmp_path / "m.crec", tmp_path / "key"
    key.write_bytes(b"k" * 32)
    if change is not None:
        path.write_bytes(change(served.files[0].read_bytes()))
    names = {"KEY": str(key), "LOG": str(tmp_path / "log")}
    options = [names.get(option, option) for option in options]
    assert main(["serve", str(path), "--port", "0", *OPEN, *options]) == 2
    told = capsys.readouterr()
    assert re.search(message, told.err), told.err
    assert told.err.startswith("sklearn-causalrec serve: ")
    assert told.err.count("\n") == 1 and not told.out


def test_a_port_in_use(served, capsys, same_environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        where = [str(served.files[0]), "--port", str(port)]
        assert main(["serve", *where, *OPEN]) == 2
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "required: command"),
        (["serve"], "required: model"),
        (["serve", "m", "--port", "70000"], "--port"),
        (["serve", "m", "--workers", "0"], "--workers"),
        (["serve", "m", "--index", "2"], "--index"),
        (["serve", "m", "--watch", "nan"], "--watch"),
        (["serve", "m", "--unknown"], "--unknown"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_answers_do_not_wait_for_acknowledgements():
    """Small packets are sent at once, which asyncio sees to if it can tell TCP."""
    found = []

    async def accept(reader, writer):
        accepted = writer.get_extra_info("socket")
        found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # nor for who takes no answer
            wait = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            found.append(wait == 10_000)
        writer.close()

    async def ask():
        options = SimpleNamespace(host="127.0.0.1", port=0, patience=10.0)
        with _socket(options) as listening:
            async with await asyncio.start_server(accept, sock=listening) as server:
                port = server.sockets[0].getsockname()[1]
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                await reader.read()
                writer.close()

    asyncio.run(ask())
    assert found and all(found)


def test_help_is_quick_and_whole():
    code = (
        "import sys\nfrom sklearn_causalrec.serving.command import main\n"
        "try:\n    main(['serve', '--help'])\n"
        "finally:\n    assert not {'torch', 'numpy', 'fastapi'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("--log-dir", "--explore", "SIGHUP", "default: 8000"):
        assert word in done.stdout


def test_the_script_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert resolve_name(project["scripts"]["sklearn-causalrec"]) is main


def test_workers_that_cannot_start_are_given_up(monkeypatch):
    from sklearn_causalrec.serving.server import workers

    monkeypatch.setattr(workers, "SOON", 60.0)
    monkeypatch.setattr(workers, "PAUSE", 0.01)
    ended = []
    assert run_workers(1, lambda: 3, ended.append, 5.0) == 3
    assert len(ended) == workers.GIVE_UP
