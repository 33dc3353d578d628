"""Who is let in, what is logged of it, and what attackers find."""

import asyncio
import errno
import hmac
import json
import logging
import os
import re
import shutil
import socket
import ssl
import time
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import uvicorn
from fastapi.testclient import TestClient

from sklearn_causalrec import reasons, recommend
from sklearn_causalrec.serving import (
    AuditLog,
    DecisionLog,
    KeyRing,
    ModelHost,
    create_app,
    read_decisions,
)
from sklearn_causalrec.serving.command import main
from sklearn_causalrec.serving.server import app as app_module
from sklearn_causalrec.serving.server import keys as keys_module
from sklearn_causalrec.serving.server import tls
from sklearn_causalrec.serving.server.access import OPEN, scope_of
from sklearn_causalrec.serving.server.audit import read_audit
from sklearn_causalrec.serving.server.keys import (
    SCOPES,
    KeyFileError,
    NotLetIn,
    make_key,
    read_keys,
    revoke_key,
)
from sklearn_causalrec.serving.server.lines import LineLog, append_together
from sklearn_causalrec.serving.server.slow import patient
from sklearn_causalrec.serving.server.start import OneRecord
from sklearn_causalrec.serving.server.workers import Follower

posix = pytest.mark.skipif(os.name != "posix", reason="no permissions of POSIX")


@contextmanager
def serving(path, **options):
    with TestClient(create_app(ModelHost(path), **options)) as client:
        yield client


def bearer(key):
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def service(served, tmp_path_factory):
    """A server with a key for each scope, an audit, and decisions."""
    folder = tmp_path_factory.mktemp("service")
    path = folder / "keys.json"
    keys = {scope: make_key(path, scope, [scope])[0] for scope in SCOPES}
    audit = AuditLog(folder / "audit")
    options = dict(keys=KeyRing(path, every=0.0), audit=audit, max_body=100_000)
    decisions = DecisionLog(folder / "decisions")
    with serving(served.files[0], decisions=decisions, **options) as client:
        yield SimpleNamespace(client=client, keys=keys, folder=folder, path=path)


def ask(service, route="recommend", scope=None, **body):
    head = bearer(service.keys[scope or route])
    answer = service.client.post(f"/v1/{route}", json=body, headers=head)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- who may ask for what -------------------------------------------------------------

# Each route has one scope. Whoever adds a route writes here whom it is for.
ROUTES = {
    "/v1/recommend": "recommend",
    "/v1/explain": "explain",
    "/v1/effect": "explain",
    "/v1/audit": "audit",
    "/v1/admin/reload": "admin",
    "/metrics": "admin",
    "/healthz": None,
    "/v1/openapi.json": None,
}


def test_a_key_of_one_scope_opens_no_other_route(service):
    client = service.client
    routes = client.app.routes
    assert {route.path: scope_of(route) for route in routes} == ROUTES
    for route in routes:
        needed = ROUTES[route.path]
        for method in route.methods:
            if needed is None:
                assert client.request(method, route.path).status_code == 200
                continue
            bare = client.request(method, route.path, json={})
            assert bare.status_code == 401, route.path
            assert bare.headers["www-authenticate"] == "Bearer"
            for scope, key in service.keys.items():
                answer = client.request(
                    method, route.path, json={}, headers=bearer(key)
                )
                let_in = answer.status_code not in (401, 403)
                assert let_in == (scope == needed), (route.path, scope)
                if scope != needed:
                    assert answer.status_code == 403
                    assert answer.json()["detail"] == f"The key is not for {needed!r}."


@pytest.mark.parametrize("path", ["/v1/new", "/v1/recommend/new"])
def test_a_route_without_a_scope_is_not_served(served, monkeypatch, path):
    usual = app_module._facts

    def more(app, *rest):
        usual(app, *rest)
        app.get(path)(lambda: None)

    monkeypatch.setattr(app_module, "_facts", more)
    with pytest.raises(RuntimeError, match=f"{path} has the scopes"):
        create_app(ModelHost(served.files[0]))


@pytest.mark.parametrize(
    "path",
    ["/v1/audit/", "//v1/audit", "/V1/audit", "/v1/./audit", "/healthz/../v1/audit",
     "/v1/%61udit", "/nothing", "/healthz/", "/docs"],
)  # fmt: skip
def test_no_other_spelling_of_a_path_opens_it(service, path):
    assert service.client.get(path).status_code == 401
    answer = service.client.get(path, headers=bearer(service.keys["recommend"]))
    assert answer.status_code in (403, 404)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),  # a guess
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.upper(),
        lambda key: "crk_00000000_" + key.split("_", 2)[2],  # the secret of another id
        lambda key: key.replace("crk", "key"),
        lambda key: "",
        lambda key: "_" * 5,
        lambda key: "x" * 5000,
        lambda key: key + ", Bearer " + key,
    ],
)
def test_keys_that_are_none(service, change):
    head = bearer(change(service.keys["recommend"]))
    answer = service.client.post("/v1/recommend", json={"users": [3]}, headers=head)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["field"] == "header.authorization"


def test_ways_to_send_a_key(service):
    key = service.keys["recommend"]
    several = [("authorization", f"Bearer {key}")] * 2
    for head, status in (
        ({"authorization": f"bearer {key}"}, 422),
        ({"authorization": key}, 401),
        ({"authorization": f"Basic {key}"}, 401),
        ({"x-api-key": key}, 401),
        (several, 401),
    ):
        answer = service.client.post("/v1/recommend", json={}, headers=head)
        assert answer.status_code == status, head
    assert service.client.post(f"/v1/recommend?key={key}", json={}).status_code == 401


# -- keys -----------------------------------------------------------------------------


def test_keys_are_hashed_at_rest(tmp_path):
    path = tmp_path / "keys.json"
    found = [make_key(path, f"shop {n}", ["recommend"]) for n in range(20)]
    text = path.read_text()
    for key, entry in found:
        secret = key.split("_", 2)[2]
        assert len(secret) == 43  # 256 bits
        assert key not in text and secret not in text
        assert key not in json.dumps(entry)
    assert len({key for key, _ in found}) == len({one["id"] for _, one in found}) == 20
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    assert key not in repr(vars(KeyRing(path)))


def test_keys_are_compared_in_constant_time(tmp_path, monkeypatch):
    key, _ = make_key(tmp_path / "k", "me", ["audit"])
    ring, compared = KeyRing(tmp_path / "k"), []

    def spy(one, other):
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys_module, "hmac", SimpleNamespace(compare_digest=spy))
    told = set()
    wrong = [key[:-1] + "!", key[:20], "crk_00000000_abc", "", "nonsense"]
    for one in [key, *wrong]:
        try:
            ring.caller(one)
        except NotLetIn as error:
            told.add(str(error))
    assert compared == [(32, 32)] * 6  # also where there is no such id
    assert len(told) == 1  # nothing is told of what there is


def test_keys_expire(tmp_path, monkeypatch):
    path = tmp_path / "k"
    key, entry = make_key(path, "me", ["audit"], days=2)
    forever, _ = make_key(path, "me", ["audit"], days=None)
    ring = KeyRing(path)
    end = datetime.fromisoformat(entry["expires"])
    assert abs(end - datetime.now(UTC) - timedelta(days=2)) < timedelta(seconds=5)
    for seconds, let_in in ((-1, True), (0, False), (1e6, False)):
        now = SimpleNamespace(
            time=lambda s=seconds: end.timestamp() + s, monotonic=time.monotonic
        )
        monkeypatch.setattr(keys_module, "time", now)
        assert ring.caller(forever).id
        if let_in:
            assert ring.caller(key).id == entry["id"]
        else:
            with pytest.raises(NotLetIn, match="expired"):
                ring.caller(key)


def test_keys_rotate_without_a_restart(service):
    head = bearer(service.keys["recommend"])

    def status(head):
        answer = service.client.post("/v1/recommend", json={"users": [3]}, headers=head)
        return answer.status_code

    new, entry = make_key(service.path, "next", ["recommend"])
    assert status(head) == status(bearer(new)) == 200
    revoke_key(service.path, entry["id"])
    assert status(bearer(new)) == 401
    assert status(head) == 200
    with pytest.raises(KeyFileError, match="was revoked"):
        revoke_key(service.path, entry["id"])
    with pytest.raises(KeyFileError, match="no key 'ffffffff'"):
        revoke_key(service.path, "ffffffff")


def test_a_broken_file_of_keys_changes_nothing(tmp_path, caplog):
    path = tmp_path / "k"
    key, _ = make_key(path, "me", ["audit"])
    ring, text = KeyRing(path, every=0.0), path.read_text()
    path.write_text(text[:-20])
    for _ in range(3):
        assert ring.caller(key).scopes == {"audit"}
    assert ring.failed and caplog.text.count("go on") == 1
    path.unlink()
    assert ring.caller(key).scopes == {"audit"}
    path.write_text(text.replace('"audit"', '"admin"'))
    assert ring.caller(key).scopes == {"admin"} and ring.failed is None


def changed(text, **fields):
    found = json.loads(text)
    found["keys"][0] |= fields
    return json.dumps(found)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: "", "no file of keys"),
        (lambda t: "[" * 100_000, "no file of keys"),
        (lambda t: "x" * 32, "--key-file"),  # the key of a model
        (lambda t: t.replace('"version": 1', '"version": 2'), "format 2"),
        (lambda t: changed(t, scopes=["all"]), "'all' is no scope"),
        (lambda t: changed(t, scopes=[]), "scopes"),
        (lambda t: changed(t, scopes="audit"), "scopes"),
        (lambda t: changed(t, expires="2030-01-01"), "no time zone"),
        (lambda t: changed(t, expires="soon"), "soon"),
        (lambda t: changed(t, sha256="00"), "no hash"),
        (lambda t: changed(t, id="../../x"), "the id is none"),
        (lambda t: changed(t, name="a\nb"), "control characters"),
        (lambda t: changed(t, rate="often"), "no rate"),
        (lambda t: changed(t, admin=True), "fields"),
    ],
)
def test_files_of_keys_that_are_none(tmp_path, change, message):
    path = tmp_path / "k"
    make_key(path, "me", ["audit"])
    path.write_text(change(path.read_text()))
    with pytest.raises(KeyFileError, match=message):
        KeyRing(path)


@posix
def test_a_file_that_others_may_write_to_makes_no_keys(tmp_path):
    path = tmp_path / "k"
    make_key(path, "me", ["audit"])
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="chmod go-w"):
            KeyRing(path)


def test_the_command_for_keys(tmp_path, capsys):
    path = str(tmp_path / "k")
    arguments = [
        "keys",
        "make",
        path,
        "--name",
        "shop",
        "--scopes",
        "audit",
        "recommend",
    ]
    assert main([*arguments, "--rate", "5/second"]) == 0
    made = capsys.readouterr()
    key = made.out.strip()
    assert KeyRing(path).caller(key).scopes == {"audit", "recommend"}
    assert key not in made.err and "shown this once" in made.err
    mine = key.split("_")[1]
    for word, action in (("expires", None), ("revoked", "revoke")):
        if action:
            assert main(["keys", action, path, mine]) == 0
            capsys.readouterr()
        assert main(["keys", "list", path]) == 0
        line = capsys.readouterr().out
        assert (
            line.startswith(f"{mine}  recommend,audit  {word} ") and "5/second" in line
        )
        assert read_keys(path)[0]["sha256"] not in line
    for wrong, message in (
        (["make", path, "--name", "x", "--scopes", "root"], "'root' is no scope"),
        (["make", path, "--name", "a\x1bb", "--scopes", "audit"], "control characters"),
        (["make", path, "--name", "x", "--scopes", "audit", "--days", "0"], "0.0 days"),
        (["make", path, "--name", "x", "--scopes", "audit", "--rate", "1"], "no rate"),
        (["revoke", path, mine], "was revoked"),
        (["list", path + "x"], "No such file"),
    ):
        assert main(["keys", *wrong]) == 2
        assert message in capsys.readouterr().err
    assert len(read_keys(path)) == 1


# -- how often, how much, how slow ---------------------------------------------------


def test_each_key_has_a_rate(served, tmp_path):
    path = tmp_path / "k"
    few, _ = make_key(path, "few", ["recommend"], rate="3/hour")
    usual = [make_key(path, "usual", ["recommend"])[0] for _ in range(2)]
    body = {"users": [3], "k": 1}
    with serving(served.files[0], keys=KeyRing(path), rate="5/hour") as client:

        def statuses(key, n):
            return [
                client.post("/v1/recommend", json=body, headers=bearer(key)).status_code
                for _ in range(n)
            ]

        assert statuses(few, 5) == [200] * 3 + [429] * 2
        assert statuses(usual[0], 6) == [200] * 5 + [429]
        assert statuses(usual[1], 1) == [200]  # nobody pays for another
        answer = client.post("/v1/recommend", json=body, headers=bearer(few))
        assert 1 <= int(answer.headers["retry-after"]) <= 3600
        assert answer.json()["detail"] == "The key may be used 3 times a hour."
        # Its body was read: the connection stays, and no handshake is needed again.
        assert "connection" not in answer.headers
        assert client.get("/healthz").status_code == 200
    with pytest.raises(ValueError):
        create_app(ModelHost(served.files[0]), rate="often")


def asgi(app, head, receive, path="/v1/recommend"):
    """The answer to a request whose body is brought by ``receive``: status and JSON."""
    scope = {
        "type": "http", "method": "POST", "path": path, "root_path": "", "state": {},
        "headers": [(n.lower().encode(), v.encode()) for n, v in head.items()],
        "query_string": b"", "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    heads = dict(sent[0]["headers"])
    return sent[0]["status"], heads, json.loads(sent[1]["body"])


def test_nothing_is_read_of_who_has_no_key(service):
    async def receive():
        raise AssertionError("the body was read")

    head = {"content-length": "50"} | bearer("crk_00000000_x")
    for path in ROUTES:  # the open ones are open to be read
        status, heads, _ = asgi(service.client.app, head, receive, path)
        assert status == 401 and heads[b"connection"] == b"close"


def test_long_heads(service):
    """Whether they come in one piece, as here, or not, which uvicorn sees to."""
    get = service.client.get
    assert get("/healthz", headers={"x-long": "x" * 15_000}).status_code == 200
    for answer in (
        get("/healthz", headers={"x-long": "x" * 20_000}),
        get("/healthz", headers={f"x-{n}": "x" for n in range(5000)}),
        get("/healthz?" + "x" * 20_000),
    ):
        assert answer.status_code == 431
        assert answer.json()["errors"][0]["field"] == "header"


def test_a_slow_body(served, service):
    keys, path = KeyRing(service.path), served.files[0]
    app = create_app(ModelHost(path), keys=keys, patience=0.05)
    first = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive():
        for message in first:
            return message
        await asyncio.sleep(30)

    start = time.perf_counter()
    head = bearer(service.keys["recommend"]) | {"transfer-encoding": "chunked"}
    status, heads, body = asgi(app, head, receive)
    assert status == 408 and body["errors"][0]["field"] == "body"
    assert heads[b"connection"] == b"close" and time.perf_counter() - start < 10


async def tiny(scope, receive, send):
    """An application whose answers at /long are never read to their end."""
    if scope["type"] != "http":
        return
    size = 30_000_000 if scope["path"] == "/long" else 2
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * size})


def test_slow_connections_end():
    """A head that does not come, and an answer that is not taken."""

    async def attack():
        config = uvicorn.Config(tiny, http=patient(0.3), log_level="critical", port=0)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            port = listening.getsockname()[1]
            start, took = time.perf_counter(), {}

            async def one(name, data, read):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(data)
                try:
                    if read:
                        found = await asyncio.wait_for(reader.read(), 10)
                        assert bool(found) == name.startswith("good"), name
                    else:
                        while server.server_state.connections:
                            await asyncio.sleep(0.02)
                    took[name] = time.perf_counter() - start
                finally:
                    writer.close()

            good = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await asyncio.gather(
                one("silent", b"", True),
                one("half a head", b"GET / HTTP/1.1\r\nHost: ", True),
                one("good", good, True),
            )
            kept = good.replace(b"Connection: close\r\n", b"")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(kept)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(kept[:10])  # the next head on a kept connection does not come
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await one("takes nothing", kept.replace(b"/", b"/long", 1), False)
            server.should_exit = True
            await task
            return took

    took = asyncio.run(attack())
    assert took["good"] < took["silent"] and took["half a head"] < 8
    assert set(took) == {"silent", "half a head", "good", "takes nothing"}


# -- input that is none: 24 classes --------------------------------------------------

BAD = {
    "no JSON": (b"{", 400, "body"),
    "no body": (b"", 422, "body"),
    "no UTF-8": (b"\xff\xfe", 400, "body"),
    "nested": (b"[" * 50_000, 400, "body"),
    "an endless number": (b'{"users": [' + b"9" * 5000 + b"]}", 400, "body"),
    "too long": (b" " * 100_001, 413, "body"),
    "another type": (b"[3]", 422, "body"),
    "a field too few": ({"k": 3}, 422, "users"),
    "a field too many": ({"users": [3], "admin": True}, 422, "admin"),
    "a prototype": ({"users": [3], "__proto__": {}}, 422, "__proto__"),
    "text for a list": ({"users": "3"}, 422, "users"),
    "an empty list": ({"users": []}, 422, "users"),
    "a list too long": ({"users": list(range(1001))}, 422, "users"),
    "null": ({"users": [None]}, 422, "users.0"),
    "a fraction": ({"users": [3.5]}, 422, "users.0"),
    "true": ({"users": [True]}, 422, "users.0"),
    "beyond 64 bits": ({"users": [2**80]}, 422, "users.0"),
    "a text too long": ({"users": ["x" * 2000]}, 422, "users.0"),
    "half a surrogate": (b'{"users": ["\\ud800"]}', 422, "users.0"),
    "not finite": (b'{"users": [3], "min_effect": NaN}', 422, "min_effect"),
    "out of range": ({"users": [3], "k": 10**9}, 422, "k"),
    "no choice": ({"users": [3], "by": "'; DROP TABLE"}, 422, "by"),
    "twice the same": ({"users": [3, 3]}, 422, "users"),
    "an unknown column": ({"users": [{"user": 3, "<b>": 1}]}, 422, "users.0.<b>"),
    "another kind of id": ({"users": ["3"]}, 422, "users"),
    "a depth of objects": ({"users": [{"user": {"$gt": ""}}]}, 422, "users.0.user"),
    "form data": (b"users=3", 422, "body"),
    "compressed": (b"\x1f\x8b\x08\x00", 400, "body"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_its_field(service, kind):
    assert len(BAD) >= 24
    body, status, field = BAD[kind]
    head = bearer(service.keys["recommend"]) | {"content-type": "application/json"}
    if kind == "form data":
        head["content-type"] = "application/x-www-form-urlencoded"
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = service.client.post("/v1/recommend", content=content, headers=head)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"] == field
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "asked, field",
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10**6}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2030-01-01T00:00:00"}, "since"),  # of which time zone?
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"request": "../../etc/passwd"}, "request"),
        ({"key": '"}'}, "key"),
        ({"folder": "/"}, "folder"),
    ],
)
def test_bad_questions_for_the_audit(service, asked, field):
    head = bearer(service.keys["audit"])
    answer = service.client.get("/v1/audit", params=asked, headers=head)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field


# -- injection, browsers, what is told -------------------------------------------------


def test_no_header_of_a_request_comes_back(service):
    head = bearer(service.keys["recommend"]) | {
        "x-request-id": "mine", "x-forwarded-for": "1.2.3.4", "x-evil": "evil-value",
        "origin": "https://evil.example", "user-agent": "evil-value",
    }  # fmt: skip
    answer = service.client.post("/v1/recommend", json={"users": [3]}, headers=head)
    assert answer.status_code == 200
    heads = "\n".join(f"{n}: {v}" for n, v in answer.headers.items())
    assert "evil" not in heads and "mine" not in heads and "1.2.3.4" not in heads
    ids = {service.client.get("/healthz").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20 and all(len(one) == 32 for one in ids)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_of_others_get_nothing(service):
    head = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    for path in ROUTES:
        answer = service.client.options(path, headers=head)
        assert answer.status_code in (401, 405)
        found = [n for n in answer.headers if n.startswith("access-control")]
        assert not found
    answer = service.client.get("/healthz", headers=head)
    assert not [n for n in answer.headers if n.startswith("access-control")]


def test_without_keys_only_the_names_of_this_machine_count(served):
    here = ("localhost", "127.0.0.1", "[::1]")
    with serving(served.files[0], hosts=here) as client:
        for host, status in (
            ("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200),
            ("evil.example", 421), ("localhost.evil.example", 421), ("", 421),
            ("evil.example:8000", 421), ("evil@localhost", 421),
        ):  # fmt: skip
            answer = client.get("/healthz", headers={"host": host})
            assert answer.status_code == status, host


def test_a_record_cannot_look_like_two():
    forged = "no\n2030-01-01 INFO Model 0 replaces 1\r\x1b[2J\x85\u2028end"
    record = logging.LogRecord("x", 40, "", 0, "refused: %s", (forged,), None)
    text = OneRecord("%(levelname)s %(message)s").format(record)
    first, second = text.splitlines()
    assert first == "ERROR refused: no" and second.startswith("    2030")
    assert "\\x1b[2J" in second and "\x1b" not in text


def test_health_metrics_and_logs_have_no_secrets(service, served, caplog):
    with caplog.at_level(logging.DEBUG):
        ask(service, users=[7654321])
        for key in (service.keys["audit"], service.keys["recommend"] + "x"):
            head = bearer(key)
            service.client.post("/v1/recommend", json={"users": [3]}, headers=head)
        body = {"users": [3], "by": "7654321"}
        head = bearer(service.keys["recommend"])
        service.client.post("/v1/recommend", json=body, headers=head)
    metrics = service.client.get("/metrics", headers=bearer(service.keys["admin"]))
    told = [caplog.text, metrics.text]
    told += [service.client.get(path).text for path in OPEN]
    assert 'status="403"' in metrics.text and 'status="401"' in metrics.text
    secrets = [s for key in service.keys.values() for s in key.split("_", 2)[1:]]
    for text in told:
        for secret in [*secrets, "7654321", str(served.files[0]), str(service.folder)]:
            assert secret not in text


# -- the audit ------------------------------------------------------------------------


def lines_of(service, **asked):
    head = bearer(service.keys["audit"])
    answer = service.client.get("/v1/audit", params=asked, headers=head)
    assert answer.status_code == 200, answer.text
    return answer.json()["lines"]


def test_the_audit_tells_who_got_what_from_which_model(service, served):
    start = datetime.now(UTC)
    answer = ask(service, users=[3, 4711], k=3, min_effect=-9.0)
    lines = lines_of(service, request=answer["request"])
    assert len(lines) == 2
    by_time = {line["cold_start"]: line for line in lines}
    entry = {one["name"]: one for one in read_keys(service.path)}["recommend"]
    for one in answer["lists"]:
        line = by_time[one["cold_start"]]
        assert line["items"] == one["items"] and len(line["items"]) == 3
        assert line["key"] == entry["id"] and line["route"] == "recommend"
        model = line["model"]
        assert model["sha256"].startswith(answer["model"]["id"])
        assert len(model["sha256"]) == 64 and model["version"] and not model["signed"]
        assert line["asked"]["by"] == "effect" and line["asked"]["min_effect"] == -9.0
        assert start <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
        assert "user" not in line and "4711" not in json.dumps(one["items"])
    row = json.loads(served.log.X.iloc[[0]].to_json(orient="records"))
    found = ask(service, "effect", "explain", rows=row)
    (line,) = lines_of(service, request=found["request"])
    assert line["effects"] == found["effects"] and line["route"] == "effect"
    explained = ask(service, "explain", users=[3], k=1)
    (line,) = lines_of(service, request=explained["request"])
    assert line["items"][0]["item"] == explained["lists"][0]["items"][0]["item"]


def test_looks_at_the_audit_are_in_it(service):
    before = lines_of(service, limit=1)
    assert before[0]["route"] == "audit" and before[0]["asked"] == {"limit": 1}
    key = before[0]["key"]
    found = lines_of(service, key=key, limit=1000)
    assert found[1] == before[0] and {line["key"] for line in found} == {key}
    for _ in range(5):
        lines_of(service)
    times = [line["time"] for line in lines_of(service, limit=1000)]
    assert times == sorted(times, reverse=True) and len(times) > 5
    future = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert not lines_of(service, since=future, until=future)
    assert not lines_of(service, until="2000-01-01T00:00:00+00:00")


def test_no_id_of_a_user_is_in_the_audit_unless_asked_for(served, tmp_path):
    for users in (False, True):
        audit = AuditLog(tmp_path / str(users), users=users)
        with serving(served.files[0], audit=audit) as client:
            assert client.post("/v1/recommend", json={"users": [7654321]}).is_success
            assert client.post("/v1/explain", json={"users": [7654321]}).is_success
        text = audit.path.read_text()
        assert text.count("\n") == 2
        assert text.count('"user": 7654321') == 2 * users
        assert text.count("7654321") == 2 * users


def test_the_audit_says_why_if_asked(served, tmp_path):
    audit = AuditLog(tmp_path, why=True, users=True)
    with serving(served.files[0], audit=audit) as client:
        assert client.post("/v1/recommend", json={"users": [3, 4], "k": 2}).is_success
    top = recommend(served.models[0], [3, 4], k=2)
    exact = reasons(served.models[0], top)
    found = [
        {"user": line["user"], "item": place["item"], **place["why"]}
        for line in reversed(read_audit(tmp_path))
        for place in line["items"]
    ]
    found = pd.DataFrame(found).merge(exact, on=["user", "item"])
    assert len(found) == 4 and found["reason_x"].tolist() == found["reason_y"].tolist()
    for name in ("adds_user", "adds_item"):
        np.testing.assert_allclose(found[f"{name}_x"], found[f"{name}_y"])


def test_a_list_without_reasons_is_answered(served, tmp_path, monkeypatch):
    def none(*arguments, **options):
        raise ValueError("user 7654321 has no row")

    home = import_module("sklearn_causalrec.explaining.reasons")
    monkeypatch.setattr(home, "reasons", none)
    with serving(served.files[0], audit=AuditLog(tmp_path, why=True)) as client:
        assert client.post("/v1/recommend", json={"users": [7654321]}).is_success
    (line,) = read_audit(tmp_path)
    assert {place["why_not"] for place in line["items"]} == {"ValueError"}
    assert "7654321" not in json.dumps(line)


def test_what_the_audit_cannot_hold_is_not_answered(
    served, tmp_path, monkeypatch, caplog
):
    audit, usual = AuditLog(tmp_path / "audit"), os.write
    decisions = DecisionLog(tmp_path / "decisions")
    body = {"users": [3], "k": 1}
    with serving(served.files[0], audit=audit, decisions=decisions) as client:
        assert client.post("/v1/recommend", json=body).status_code == 200
        with monkeypatch.context() as patch:

            def full(file, data):
                if file == audit._file and audit._written:
                    usual(file, data[:10])  # some of it fits
                    raise OSError(errno.ENOSPC, "No space left on device")
                return usual(file, data)

            patch.setattr(os, "write", full)
            answer = client.post("/v1/recommend", json=body)
            assert answer.status_code == 503 and "lists" not in answer.json()
            assert client.post("/v1/effect", json={"rows": [{}]}).status_code == 422
            assert client.get("/v1/audit").status_code == 503
            caplog.clear()
            assert client.post("/v1/admin/reload").status_code == 503
            assert "ENOSPC" in caplog.text
        assert client.post("/v1/recommend", json=body).status_code == 200
    assert len(read_audit(tmp_path / "audit")) == 2
    assert len(read_decisions(tmp_path / "decisions")) == 2  # nothing of the refused


def test_a_line_is_written_before_its_answer(served, tmp_path):
    audit, seen = AuditLog(tmp_path), []
    app = create_app(ModelHost(served.files[0]), audit=audit)
    body = iter([{"type": "http.request", "body": b'{"users": [3]}'}])

    async def receive():
        return next(body)

    async def send(message):
        seen.append(len(read_audit(tmp_path)))

    scope = {
        "type": "http", "method": "POST", "path": "/v1/recommend", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "query_string": b"",
        "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert seen == [1, 1]


def test_lines_are_written_into_all_files_or_none(tmp_path, monkeypatch):
    first, second = LineLog(tmp_path / "a"), LineLog(tmp_path / "b")
    append_together((first, [{"n": 0}]), (second, [{"n": 0}]))
    whole, usual = [log.path.read_bytes() for log in (first, second)], os.write

    def full(file, data):
        if file == second._file:
            usual(file, data[:3])
            raise OSError(errno.ENOSPC, "full")
        return usual(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="full"):
            append_together((first, [{"n": 1}]), (second, [{"n": 1}]))
    assert [log.path.read_bytes() for log in (first, second)] == whole
    append_together((first, [{"n": 2}]), (second, [{"n": 2}]))
    for log in (first, second):
        found = [json.loads(line)["n"] for line in log.path.read_text().splitlines()]
        assert found == [0, 2]
        log.close()


def test_a_line_is_found_by_its_own_key_and_request(tmp_path):
    """An item may be called as a key is."""
    audit, (one, two) = AuditLog(tmp_path), ("1" * 8, "2" * 8)
    audit.event("a" * 32, one, "reload", items=[two, "b" * 32])
    audit.event("b" * 32, two, "reload")
    audit.close()
    for asked in ({"key": two}, {"request": "b" * 32}):
        assert [line["key"] for line in read_audit(tmp_path, **asked)] == [two]
    assert not read_audit(tmp_path, key=one, request="b" * 32)


def test_a_line_that_is_not_whole_was_never_answered(tmp_path):
    audit = AuditLog(tmp_path)
    audit.event("0" * 32, None, "reload")
    with open(audit.path, "ab") as file:
        file.write(b'{"v": 1, "time": "20')
    assert len(read_audit(tmp_path)) == 1
    audit.close()


# -- looking after the server ---------------------------------------------------------


def test_a_model_is_replaced_by_who_may(served, tmp_path):
    path, asked = tmp_path / "m.crec", []
    shutil.copy(served.files[0], path)
    with serving(path, others=lambda: asked.append(1)) as client:
        first = client.post("/v1/admin/reload").json()
        assert not first["replaced"] and first["refused"] is None
        path.write_bytes(b"broken")
        broken = client.post("/v1/admin/reload").json()
        assert not broken["replaced"] and broken["refused"]
        assert broken["model"] == first["model"]
        shutil.copy(served.files[1], path)
        last = client.post("/v1/admin/reload").json()
        assert last["replaced"] and last["model"] != first["model"]
    assert len(asked) == 3


def test_workers_that_start_late_have_the_model_of_the_others(served, tmp_path):
    """The process they are forked from follows, and so survives a broken file."""
    path = tmp_path / "m.crec"
    shutil.copy(served.files[0], path)
    host = ModelHost(path)
    old, follow = host.current, Follower(host, watch=0)
    shutil.copy(served.files[1], path)
    follow(False)
    assert host.current is old
    follow(True)
    new = host.current
    assert new.id != old.id
    path.write_bytes(b"broken")
    Follower(host, watch=1e-9)(False)
    assert host.current is new and host.failed


# -- encryption -----------------------------------------------------------------------


def shake(server, client, name):
    """A handshake in memory; the version that was agreed on."""
    ins, outs = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    ends = [
        client.wrap_bio(ins[0], outs[0], server_hostname=name),
        server.wrap_bio(ins[1], outs[1], server_side=True),
    ]
    for _ in range(10):
        for n, end in enumerate(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            ins[1 - n].write(outs[n].read())
    return ends[0].version()


def test_the_certificate_for_this_machine(tmp_path, monkeypatch):
    certificate, key = tls.own_certificate(tmp_path / "tls")
    server = tls.context_of(certificate, key)
    client = ssl.create_default_context(cafile=certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1", "::1"):
        assert shake(server, client, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        shake(server, client, "shop.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shake(server, ssl.create_default_context(), "localhost")
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    if os.name == "posix":
        assert key.stat().st_mode & 0o777 == 0o600
    before = certificate.read_bytes()
    assert tls.own_certificate(tmp_path / "tls") == (certificate, key)
    assert certificate.read_bytes() == before
    monkeypatch.setattr(tls, "LEFT", tls.LIFE)  # its last days have come
    tls.own_certificate(tmp_path / "tls")
    assert certificate.read_bytes() != before
    monkeypatch.undo()
    (tmp_path / "tls" / "localhost.key").write_text("damaged")
    tls.context_of(*tls.own_certificate(tmp_path / "tls"))


# -- what does not start --------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "who may ask"),
        (["--no-keys", "--host", "0.0.0.0"], "--no-keys lets everybody in"),
        (["--keys", "KEYS", "--no-tls", "--host", "0.0.0.0"], "--no-tls sends keys"),
        (["--keys", "KEYS", "--host", "0.0.0.0"], "needs a certificate of its name"),
        (["--keys", "KEYS", "--no-keys"], "leave one of them out"),
        (["--keys", "NONE"], "--keys .*: No such file"),
        (["--keys", "MODEL"], "no file of keys"),
        (["--no-keys", "--no-tls", "--certificate", "PEM"], "leave one of them out"),
        (["--no-keys", "--certificate", "PEM"], "--certificate-key go together"),
        (
            ["--no-keys", "--certificate", "PEM", "--certificate-key", "PEM"],
            "--certificate .*No such file",
        ),
        (
            ["--no-keys", "--certificate", "MODEL", "--certificate-key", "MODEL"],
            "--certificate .*: ",
        ),
        (["--no-keys", "--rate", "often"], "--rate often"),
        (["--no-keys", "--no-tls", "--audit-users"], "need --audit-dir"),
    ],
)
def test_why_it_does_not_start(
    served, tmp_path, capsys, monkeypatch, service, options, message
):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    model = str(served.files[0])
    names = {"KEYS": str(service.path), "NONE": str(tmp_path / "no"), "MODEL": model,
             "PEM": str(tmp_path / "pem")}  # fmt: skip
    options = [names.get(option, option) for option in options]
    assert main(["serve", model, "--port", "0", *options]) == 2
    told = capsys.readouterr()
    assert re.search(message, told.err), told.err
    assert told.err.count("\n") == 1 and not told.out


def test_the_extra_brings_what_a_server_needs():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extra = " ".join(project["optional-dependencies"]["serve"])
    for name in ("fastapi", "uvicorn", "prometheus-client", "limits", "cryptography"):
        assert name in extra
