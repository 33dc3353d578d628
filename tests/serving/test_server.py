"""The server in one process: answers, refusals, batches, replacement of the model."""

import asyncio
import errno
import json
import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi import HTTPException
from fastapi.testclient import TestClient

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    effect,
    explain,
    load,
    recommend,
    save,
)
from sklearn_causalrec.baselines import EASE
from sklearn_causalrec.interactions import build_examples
from sklearn_causalrec.serving import (
    DecisionLog,
    ModelFileError,
    ModelHost,
    create_app,
    read_decisions,
)


@pytest.fixture(scope="module")
def client(served):
    with TestClient(create_app(ModelHost(served.files[0]))) as client:
        yield client


@contextmanager
def serving(path, *, scorer=None, exploration=None, **options):
    host = ModelHost(path, scorer=scorer, exploration=exploration)
    with TestClient(create_app(host, **options)) as client:
        client.host = host
        yield client


def listed(answer):
    """(user, item, rank, score) of all places."""
    return [
        (one["user"], place["item"], place["rank"], place["score"])
        for one in answer["lists"]
        for place in one["items"]
    ]


def rows_of(top):
    return list(
        top[["user", "item", "rank", "score"]].itertuples(index=False, name=None)
    )


def ask(client, route="recommend", **body):
    answer = client.post(f"/v1/{route}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == answer.json()["request"]
    return answer.json()


def row_of(log, n=0):
    return json.loads(log.X.iloc[[n]].to_json(orient="records"))[0]


# -- answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, options",
    [
        (dict(users=[3]), {}),
        (dict(users=[3, 7, 29], k=4), {}),
        (dict(users=[3], by="outcome", k=1000), {}),
        (dict(users=[3], min_effect=0.1, k=25), {}),
        (dict(users=[3], exclude_seen=False, k=25), {}),
        (dict(users=[3], exclude_seen="rated", k=25), {}),
        (dict(users=[3, 4], items=[1, 2, 99], exclude_seen=False), {}),
        (dict(users=[3, 4], T0=1, T1=0), {}),
        (
            dict(users=[3, 4], exclude=[{"item": 2}, {"user": 4, "item": 3}], k=25),
            dict(exclude=[(3, 2), (4, 2), (4, 3)]),
        ),
        (
            dict(users=[{"user": 3, "user_x0": 9.0}, {"user": 77, "user_x0": -9.0}]),
            dict(users=pd.DataFrame({"user": [3, 77], "user_x0": [9.0, -9.0]})),
        ),
        (
            dict(
                users=[3],
                items=[{"item": 1, "item_x0": 9.0}, {"item": 99, "item_x0": 1}],
            ),
            dict(items=pd.DataFrame({"item": [1, 99], "item_x0": [9.0, 1.0]})),
        ),
    ],
)
def test_lists_are_those_of_recommend(client, served, body, options):
    exact = recommend(served.models[0], **{**body, **options})
    answer = ask(client, **body)
    assert listed(answer) == rows_of(exact)
    assert answer["by"] == body.get("by", "effect")
    assert len(exact) and len(answer["lists"]) == len(body["users"])


def test_an_unknown_user_is_answered_as_cold_start(client, served):
    far = ask(client, users=[2**63 + 5, -(2**63)], k=2)  # beyond int64
    assert all(one["cold_start"] and len(one["items"]) == 2 for one in far["lists"])
    answer = ask(client, users=[3, 4711], k=2)
    assert [one["cold_start"] for one in answer["lists"]] == [False, True]
    assert listed(answer) == rows_of(recommend(served.models[0], [3, 4711], k=2))


def test_a_user_without_candidates_has_an_empty_list(client):
    answer = ask(client, users=[3, 4], min_effect=1e9)
    assert [one["items"] for one in answer["lists"]] == [[], []]


def test_explanations_are_those_of_explain(client, served):
    answer = ask(client, "explain", users=[3, 4711], k=2, n_neighbors=3)
    exact = explain(served.models[0], [3, 4711], k=2, n_neighbors=3)
    assert listed(answer) == rows_of(exact)
    places = [place for one in answer["lists"] for place in one["items"]]
    assert [p["assumed"] for p in places] == exact["assumed"].tolist()
    for side, found in (
        ("item", [p["about"] for p in places]),
        ("user", [one["about"] for one in answer["lists"] for _ in one["items"]]),
    ):
        for name in ("source", "feature_weight", "rows", "neighbors"):
            assert [f[name] for f in found] == [
                list(v) if name == "neighbors" else v for v in exact[f"{side}_{name}"]
            ]
    assert places[-1]["assumed"] and answer["lists"][1]["about"]["source"] == "average"


def test_effects_are_those_of_effect(client, served):
    log, model = served.log, served.models[0]
    rows = [row_of(log, n) for n in range(3)] + [{**row_of(log), "user": 4711}]
    answer = ask(client, "effect", rows=rows)
    exact = effect(model, pd.DataFrame(rows))
    assert [one["effect"] for one in answer["effects"]] == exact.tolist()
    assert [one["cold_start"] for one in answer["effects"]] == [False] * 3 + [True]
    turned = ask(client, "effect", rows=rows, T0=1, T1=0)
    np.testing.assert_allclose([e["effect"] for e in turned["effects"]], -exact)


@pytest.fixture(scope="module")
def effects_only(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    X["t"] = rng.integers(0, 2, 200)
    y = X["a"] + X["t"] * (1 + X["b"]) + rng.normal(size=200)
    graph = CausalGraph("a -> t; a -> y; b -> y; t -> y")
    model = DoCalculusEffect(
        graph,
        treatment="t",
        outcome="y",
        outcome_model=LinearRegression(),
        random_state=0,
    )
    path = tmp_path_factory.mktemp("effects") / "model.crec"
    save(model.fit(X, y), path)
    return model, path


def test_a_model_without_lists(effects_only):
    model, path = effects_only
    rows = [{"a": 1.0, "b": 0.5}, {"a": -1.0, "b": 2.0}]
    with serving(path) as client:
        answer = ask(client, "effect", rows=rows, interval=True, alpha=0.1)
        refused = client.post("/v1/recommend", json={"users": [3]})
    X = pd.DataFrame(rows)
    low, high = model.effect_interval(X, 0.1)
    found = pd.DataFrame(answer["effects"])
    np.testing.assert_allclose(found["effect"], model.effect(X))
    np.testing.assert_allclose(found["low"], low)
    np.testing.assert_allclose(found["high"], high)
    assert refused.status_code == 422
    assert "without users and items" in refused.json()["detail"]


def test_a_row_need_not_say_what_was_done(served, tmp_path):
    log = served.log
    X = log.X[["item", "user", "user_x0"]].assign(shown=log.treatment, p=0.5)
    model = CausalDNNRecommender(
        user="user", item="item", treatment="shown", propensity="p",
        effect_learner="t", max_epochs=1,
    ).fit(X, log.y)  # fmt: skip
    save(model, tmp_path / "m.crec")
    row = {"user": 3, "item": 4, "user_x0": 0.5}
    whole = pd.DataFrame([{"item": 4, "user": 3, "user_x0": 0.5, "shown": 1, "p": 0.1}])
    with serving(tmp_path / "m.crec") as client:
        answer = ask(client, "effect", rows=[row])
    assert answer["effects"][0]["effect"] == effect(model, whole)[0]


def test_a_baseline_and_a_pipeline(served, tmp_path, scale_columns):
    log = served.log.X
    names = [name for name in log if name.endswith(("x0", "x1"))]
    pipe = make_pipeline(
        scale_columns(names),
        CausalDNNRecommender(
            user="user", item="item", effect_learner="t", max_epochs=1
        ),
    ).fit(log, served.log.y, causaldnnrecommender__treatment=served.log.treatment)
    save(pipe, tmp_path / "pipe.crec")
    users = log.groupby("user").last().filter(like="user_").reset_index()
    items = log.groupby("item").last().filter(like="item_").reset_index()
    both = users.tail(2), items.tail(9)
    asked = [json.loads(frame.to_json(orient="records")) for frame in both]
    with serving(tmp_path / "pipe.crec") as client:
        answer = ask(client, users=asked[0], items=asked[1], k=3)
        wrong = client.post("/v1/recommend", json=dict(users=[3], by="outcome", zz=1))
    top = recommend(pipe, *both, k=3)
    assert [row[:3] for row in listed(answer)] == [row[:3] for row in rows_of(top)]
    assert wrong.status_code == 422

    ease = EASE(user="user", item="item").fit(log)
    save(ease, tmp_path / "ease.crec")
    with serving(tmp_path / "ease.crec") as client:
        answer = ask(client, users=[3], by="outcome", k=3)
        because = ask(client, "explain", users=[3], by="outcome", k=3)
        refused = client.post("/v1/recommend", json={"users": [3]}).json()
    assert listed(answer) == rows_of(recommend(ease, [3], k=3, by="outcome"))
    places = because["lists"][0]["items"]
    why = explain(ease, [3], k=3, by="outcome")
    assert [p["because"] for p in places] == [list(b) for b in why["because"]]
    assert refused["errors"][0]["field"] == "by"


def test_no_bars_for_requests(served, tmp_path, capsys):
    model = load(served.files[0])
    save(model.set_params(verbose=1), tmp_path / "m.crec")
    with serving(tmp_path / "m.crec") as client:
        ask(client, users=[3])
    assert not capsys.readouterr().err


def test_a_graph_is_no_model_to_serve(tmp_path):
    save(CausalGraph("x -> y"), tmp_path / "graph.crec")
    with pytest.raises(TypeError, match="answers no requests"):
        ModelHost(tmp_path / "graph.crec")


# -- refusals ------------------------------------------------------------------------

PROBLEM = {"type", "title", "status", "detail", "errors", "request"}


def refused(answer, status, field):
    body = answer.json()
    assert answer.status_code == body["status"] == status, body
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) == PROBLEM
    assert body["request"] == answer.headers["x-request-id"]
    assert [one["field"] for one in body["errors"]][:1] == ([field] if field else [])
    assert all(one["detail"] for one in body["errors"])
    return body


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "users"),
        ([], "body"),
        (3, "body"),
        ({"users": 3}, "users"),
        ({"users": []}, "users"),
        ({"users": list(range(1001))}, "users"),
        ({"users": [3, 3]}, "users"),
        ({"users": [3, {"user": 3}]}, "users.0"),
        ({"users": [None]}, "users.0"),
        ({"users": [True]}, "users.0"),
        ({"users": [3.5]}, "users.0"),
        ({"users": [3, [4]]}, "users.1"),
        ({"users": [2**80]}, "users.0"),
        ({"users": ["x" * 2000]}, "users.0"),
        ({"users": ["3"]}, "users"),
        ({"users": [{"age": 3}]}, "users.0"),
        ({"users": [{"user_x0": 3}]}, "users.0"),
        ({"users": [{"user": [3]}]}, "users.0.user"),
        ({"users": [{"user": 3}, {"user": 3}]}, "users"),
        ({"users": [{"user": 3, "zz": 1}]}, "users.0.zz"),
        ({"users": [{"user": 3, "user_x0": "a"}]}, "users.0.user_x0"),
        ({"users": [{"user": 3, "user_x0": None}]}, "users.0.user_x0"),
        ({"users": [{"user": 3, "user_x0": 1}, {"user": 4}]}, "users.1.user_x0"),
        ({"users": [{"user": 4}, {"user": 3, "user_x0": 1}]}, "users.1.user_x0"),
        ({"users": [{"user": 3, "item_x0": 1}]}, "users.0.item_x0"),
        ({"users": [{"user": 3, "user_x0": {"a": 1}}]}, "users.0.user_x0"),
        ({"users": [3], "k": 0}, "k"),
        ({"users": [3], "k": -1}, "k"),
        ({"users": [3], "k": 1001}, "k"),
        ({"users": [3], "k": "3"}, "k"),
        ({"users": [3], "k": 3.5}, "k"),
        ({"users": [3], "k": None}, "k"),
        ({"users": [3], "by": "clicks"}, "by"),
        ({"users": [3], "K": 3}, "K"),
        ({"users": [3], "explore": "epsilon"}, "explore"),
        ({"users": [3], "items": []}, "items"),
        ({"users": [3], "items": ["a"]}, "items"),
        ({"users": [3], "items": [{"item": 3, "zz": 1}]}, "items.0.zz"),
        ({"users": [3], "exclude": [[3, 4]]}, "exclude.0"),
        ({"users": [3], "exclude": [{"user": 3}]}, "exclude.0.item"),
        ({"users": [3], "exclude": [{"item": "a"}]}, "exclude.0.item"),
        ({"users": [3], "min_effect": "0"}, "min_effect"),
        ({"users": [3], "exclude_seen": 1}, "exclude_seen"),
        ({"users": [3], "exclude_seen": "seen"}, "exclude_seen"),
        ({"users": [3], "context": 3}, "context"),
        ({"users": [3], "context": {"hour": 3}}, "context"),
        ({"users": [3], "context": {"hour": {}}}, "context.hour"),
        ({"users": [3], "T1": 7}, "T1"),
        ({"users": [3], "T1": [1]}, "T1"),
        ({"users": [3], "T0": 0, "T1": 0.5}, "T1"),
    ],
)
def test_a_bad_request_is_told_its_field(client, body, field):
    refused(client.post("/v1/recommend", json=body), 422, field)
    if field != "explore":
        refused(client.post("/v1/explain", json=body), 422, field)


@pytest.mark.parametrize(
    "change, field",
    [
        (dict(rows=[]), "rows"),
        (dict(rows=[{}]), "rows.0.user"),
        (dict(rows=[3]), "rows.0"),
        (dict(rows=[{"user": 3, "item": 4}]), "rows.0.user_x0"),
        (dict(zz=1), "zz"),
        (dict(T0=9), "T0"),
        (dict(interval=1), "interval"),
        (dict(interval=True), "interval"),  # the model has no second stage
        (dict(interval=True, alpha=1.0), "alpha"),
    ],
)
def test_bad_rows_are_told_their_field(client, served, change, field):
    body = {"rows": [row_of(served.log)], **change}
    refused(client.post("/v1/effect", json=body), 422, field)


@pytest.mark.parametrize(
    "value, field",
    [("a", "rows.0.user_x0"), (None, "rows.0.user_x0"), (3, "rows.0.zz")],
)
def test_bad_cells_are_told_their_column(client, served, value, field):
    row = row_of(served.log) | {field.split(".")[-1]: value}
    refused(client.post("/v1/effect", json={"rows": [row]}), 422, field)


def test_an_id_spelt_otherwise(client, served):
    row = row_of(served.log) | {"user": "3"}
    body = refused(client.post("/v1/effect", json={"rows": [row]}), 422, "rows.user")
    assert "kind" in body["detail"]


def test_a_million_ids(client):
    body = {"users": list(range(1_000_000))}
    refused(client.post("/v1/recommend", json=body), 422, "users")


@pytest.mark.parametrize(
    "content, status, field",
    [
        (b"", 422, "body"),
        (b"{", 400, "body"),
        (b"[" * 100_000, 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b'{"users": [NaN]}', 422, "users.0"),
        (b'{"users": [3], "min_effect": Infinity}', 422, "min_effect"),
        (b'{"users": ["\\ud800"]}', 422, "users.0"),
        (b'{"users": [3], "\\ud800": 1}', 422, "body"),
        (b'{"users": [3], "context": {"\\ud800": 1}}', 422, "context"),
        (b" " * (17 * 2**20), 413, "body"),
    ],
)
def test_bodies_that_are_none(client, content, status, field):
    head = {"content-type": "application/json"}
    answer = client.post("/v1/recommend", content=content, headers=head)
    refused(answer, status, field)


def test_a_long_body_without_a_length(served):
    with serving(served.files[0], max_body=1000) as client:
        chunks = (b" " * 100 for _ in range(20))
        refused(client.post("/v1/recommend", content=chunks), 413, "body")


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/recommend", 405),
        ("POST", "/healthz", 405),
        ("GET", "/nothing", 404),
    ],
)
def test_routes_that_are_none(client, method, path, status):
    refused(client.request(method, path), status, None)


def test_a_fault_of_the_server_is_told_without_its_text(served, caplog):
    class Broken:
        def recommend(self, users, k=10):
            if k == 10:
                raise RuntimeError(f"lost user {users}")
            return recommend(served.models[0], users, k=k)

    with caplog.at_level(logging.DEBUG):
        with serving(served.files[0], scorer=lambda fitted: Broken()) as client:
            answer = refused(
                client.post("/v1/recommend", json={"users": [4711]}), 500, None
            )
            assert listed(ask(client, users=[4711], k=1))
            client.post("/v1/recommend", json={"users": ["4711"]})
            client.get("/metrics")
    assert "4711" not in caplog.text and "4711" not in answer["detail"]
    assert "RuntimeError" in caplog.text and "test_server.py" in caplog.text


# -- what is documented, counted, guarded ------------------------------------------


def test_openapi_has_examples_that_are_valid(client):
    schema = client.get("/v1/openapi.json").json()
    routes = {"/v1/recommend", "/v1/explain", "/v1/effect", "/healthz", "/metrics"}
    assert set(schema["paths"]) == routes | {"/v1/audit", "/v1/admin/reload"}
    for name in ("Recommend", "Explain", "Effect"):
        one = schema["components"]["schemas"][f"{name}Request"]
        assert one["additionalProperties"] is False
        assert one["examples"]
        from sklearn_causalrec.serving.server import messages

        for example in one["examples"]:
            getattr(messages, f"{name}Request").model_validate(example)
    for path in ("/v1/recommend", "/v1/explain", "/v1/effect"):
        answers = schema["paths"][path]["post"]["responses"]
        assert {"200", "400", "413", "422", "503"} <= set(answers)
        assert list(answers["422"]["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("route", ["recommend", "explain", "effect"])
def test_answers_are_as_documented(client, served, route):
    from sklearn_causalrec.serving.server import messages

    body = {"rows": [row_of(served.log)]} if route == "effect" else {"users": [3]}
    answer = ask(client, route, **body)
    model = getattr(messages, f"{route.capitalize()}Answer").model_validate(answer)
    assert model.model_dump(exclude_unset=True) == answer


def test_metrics_count(served, tmp_path):
    with serving(served.files[0], decisions=DecisionLog(tmp_path)) as client:
        ask(client, users=[3, 4711], k=3)
        ask(client, users=[4], k=2)
        client.post("/v1/recommend", json={})
        client.get("/nothing")
        text = client.get("/metrics").text
    for line in (
        'causalrec_requests_total{route="/v1/recommend",status="200"} 2.0',
        'causalrec_requests_total{route="/v1/recommend",status="422"} 1.0',
        'causalrec_requests_total{route="other",status="404"} 1.0',
        'causalrec_request_seconds_count{route="/v1/recommend"} 3.0',
        'causalrec_users_total{cold_start="true"} 1.0',
        'causalrec_users_total{cold_start="false"} 2.0',
        "causalrec_decisions_total 8.0",
        "causalrec_scoring_seconds_count 2.0",
        "causalrec_batch_size_sum 3.0",
        "causalrec_waiting 0.0",
    ):
        assert line in text.splitlines(), line


@pytest.mark.parametrize("answered", [True, False])
def test_who_has_an_answer_is_counted(answered):
    """A worker that is killed right after an answer has counted it."""
    from sklearn_causalrec.serving.server.edge import Edge
    from sklearn_causalrec.serving.server.metrics import Metrics

    metrics, seen = Metrics(), []
    labels = {"route": "other", "status": "200" if answered else "0"}

    def count():
        return metrics.registry.get_sample_value("causalrec_requests_total", labels)

    async def app(scope, receive, send):
        if answered:  # else the client has gone before an answer
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            await send({"type": "http.response.body", "body": b"2"})

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        seen.append((message.get("body"), count()))

    access = SimpleNamespace(who=lambda scope: None, count=lambda caller: None)
    scope = {"type": "http", "method": "GET", "path": "/a", "headers": []}
    scope["query_string"] = b""
    asyncio.run(Edge(app, access, metrics, 10, 1.0)(scope, receive, send))
    assert count() == 1.0
    if answered:
        assert seen == [(None, None), (b"1", None), (b"2", 1.0)]


def test_a_guard_stands_before_every_answer(served):
    asked = []

    async def guard(authorization: str = ""):
        asked.append(authorization)
        if authorization != "me":
            raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})

    with serving(served.files[0], guard=guard) as client:
        for route in ("recommend", "explain", "effect"):
            answer = client.post(f"/v1/{route}", json={"users": [3]})
            refused(answer, 401, None)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/recommend?authorization=me", json={"users": [3]}).json()
    assert asked == ["", "", "", "me"]


# -- batches -------------------------------------------------------------------------


class Slow:
    """A scorer whose first call waits, and which remembers whom it was asked for."""

    def __init__(self, fitted):
        self.fitted, self.calls = fitted, []
        self.entered, self.go = threading.Event(), threading.Event()

    def recommend(self, users, k=10, exclude=None, min_effect=None):
        self.calls.append(list(users))
        if k == 1:  # of the model's trial
            self.calls.clear()
        elif len(self.calls) == 1:
            self.entered.set()
            assert self.go.wait(10)
        return recommend(
            self.fitted, users, k=k, exclude=exclude, min_effect=min_effect
        )


@contextmanager
def held(client):
    """While the thread that scores is busy with user 0: what is asked must wait."""
    slow = client.host.current.scorer
    with ThreadPoolExecutor(20) as pool:

        def later(**body):
            n = client.app.state.batcher._waiting
            before = len(n) if (n := client.app.state.batcher._waiting) else 0
            future = pool.submit(client.post, "/v1/recommend", json=body)
            while len(client.app.state.batcher._waiting) == before:
                if future.done():
                    break
            return future

        first = pool.submit(client.post, "/v1/recommend", json={"users": [0]})
        assert slow.entered.wait(10)
        try:
            yield later
        finally:
            slow.go.set()
    assert first.result().status_code == 200


def test_requests_that_wait_are_answered_together(served):
    with serving(served.files[0], scorer=Slow) as client:
        with held(client) as later:
            assert client.get("/healthz").status_code == 200  # nobody waits for it
            bodies = [{"users": [n, 100 + n], "k": 3} for n in range(1, 6)]
            bodies[2]["exclude"] = [{"item": n} for n in range(20)]
            bodies[3]["exclude"] = [{"user": 1, "item": n} for n in range(25)]
            futures = [later(**body) for body in bodies]
            other = later(users=[9], k=2)
        calls = client.host.current.scorer.calls
    assert calls == [[0], [1, 101, 2, 102, 3, 103, 4, 104, 5, 105], [9]]
    for body, future in zip(bodies, futures):
        users, pairs = body["users"], body.pop("exclude", [])
        out = [(u, p["item"]) for p in pairs for u in users if p.get("user", u) == u]
        exact = recommend(served.models[0], users, k=3, exclude=out or None)
        assert listed(future.result().json()) == rows_of(exact)
    assert len(other.result().json()["lists"][0]["items"]) == 2


def test_a_call_is_about_so_many_users(served):
    with serving(served.files[0], scorer=Slow, max_batch=5) as client:
        with held(client) as later:
            for n in (1, 2, 3):
                later(users=[n, 10 + n])
    assert client.host.current.scorer.calls == [[0], [1, 11, 2, 12], [3, 13]]


def test_the_same_user_in_two_requests_is_answered_twice(served):
    with serving(served.files[0], scorer=Slow) as client:
        with held(client) as later:
            futures = [later(users=[u]) for u in (1, 1, 2)]
        assert client.host.current.scorer.calls == [[0], [1, 2], [1]]
    users = [f.result().json()["lists"][0]["user"] for f in futures]
    assert users == [1, 1, 2]


def test_a_bad_request_fails_alone(served):
    with serving(served.files[0], scorer=Slow) as client:
        with held(client) as later:
            futures = [later(users=[u]) for u in (1, "a", 2)]
    assert [f.result().status_code for f in futures] == [200, 422, 200]


def test_a_fault_hits_nobody_else(served):
    class Fragile(Slow):
        def recommend(self, users, k=10, **options):
            if 4711 in users:
                raise RuntimeError
            return super().recommend(users, k, **options)

    with serving(served.files[0], scorer=Fragile) as client:
        with held(client) as later:
            futures = [later(users=[u]) for u in (1, 4711, 2)]
    assert [f.result().status_code for f in futures] == [200, 500, 200]


def test_too_many_requests(served):
    with serving(served.files[0], scorer=Slow, max_waiting=2) as client:
        with held(client) as later:
            futures = [later(users=[u]) for u in (1, 2)]
            busy = client.post("/v1/recommend", json={"users": [3]})
            refused(busy, 503, None)
            assert busy.headers["retry-after"] == "1"
    assert [f.result().status_code for f in futures] == [200, 200]


def test_a_scorer_is_asked_only_for_what_it_has_parameters_for(served):
    class Fixed:
        def recommend(self, users, k=10, min_effect=None):
            return pd.DataFrame({"user": users, "item": 7, "rank": 1, "score": 0.5})

    with serving(served.files[0], scorer=lambda fitted: Fixed()) as client:
        assert listed(ask(client, users=[3])) == [(3, 7, 1, 0.5)]
        assert listed(ask(client, users=[3], min_effect=1)) == [(3, 7, 1, 0.5)]
        answer = ask(client, users=[3], by="outcome")
    assert listed(answer) == rows_of(recommend(served.models[0], [3], by="outcome"))


# -- replacement of the model ----------------------------------------------------------


def test_a_new_file_replaces_the_model(served, tmp_path):
    path = tmp_path / "m.crec"
    shutil.copy(served.files[0], path)
    exact = [rows_of(recommend(model, [3], k=5)) for model in served.models]
    assert exact[0] != exact[1]
    with serving(path, watch=0.02) as client:
        first = ask(client, users=[3], k=5)
        save(served.models[1], path)
        for _ in range(500):
            second = ask(client, users=[3], k=5)
            if second["model"] != first["model"]:
                break
        assert client.get("/healthz").json()["model"] == second["model"]
        swaps = 'causalrec_model_swaps_total{result="done"} 1.0'
        assert swaps in client.get("/metrics").text
    assert [listed(first), listed(second)] == exact


def test_a_request_ends_on_the_model_that_it_began_with(served, tmp_path):
    path = tmp_path / "m.crec"
    shutil.copy(served.files[0], path)
    with serving(path, scorer=Slow) as client:
        old = client.host.current
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, client, users=[3], k=5)
            assert old.scorer.entered.wait(10)
            save(served.models[1], path)
            assert client.host.reload()
            client.host.current.scorer.go.set()
            second = pool.submit(ask, client, users=[3], k=5)
            old.scorer.go.set()
        assert first.result()["model"]["id"] == old.id
        assert second.result()["model"]["id"] == client.host.current.id != old.id
    for answer, model in zip((first, second), served.models):
        assert listed(answer.result()) == rows_of(recommend(model, [3], k=5))


def broken_files(served, folder):
    data = served.files[1].read_bytes()
    log = served.log.X
    renamed = log.rename(columns={"user": "customer"})
    save(EASE(user="customer", item="item").fit(renamed), folder / "renamed")
    text = log.assign(user="u" + log["user"].astype(str))
    save(EASE(user="user", item="item").fit(text), folder / "text")
    save(CausalGraph("x -> y"), folder / "graph")
    return {
        "truncated": data[: len(data) // 2],
        "changed": data[:-1] + bytes([data[-1] ^ 1]),
        "foreign": b"hello",
        "empty": b"",
        **{n: (folder / n).read_bytes() for n in ("renamed", "text", "graph")},
    }


def test_a_broken_file_is_refused_and_the_old_model_stays(served, tmp_path, caplog):
    path = tmp_path / "m.crec"
    shutil.copy(served.files[0], path)
    host = ModelHost(path)
    old = host.current
    for name, data in broken_files(served, tmp_path).items():
        path.write_bytes(data)
        with caplog.at_level(logging.ERROR):
            assert not host.reload(), name
        assert host.current is old and host.failed, name
        assert "refused" in caplog.text
        caplog.clear()
        assert not host.reload()  # it is not opened a second time
        assert not caplog.text
    path.unlink()
    assert not host.reload() and host.current is old
    shutil.copy(served.files[1], path)
    assert host.reload() and host.failed is None and host.current is not old


def test_a_model_that_cannot_answer_is_not_served(served, tmp_path):
    class Unable:
        def recommend(self, users, k=10):
            raise ValueError("no lists today")

    with pytest.raises(ValueError, match="no lists today"):
        ModelHost(served.files[0], scorer=lambda fitted: Unable())
    with pytest.raises(ValueError, match="needs several networks"):
        ModelHost(served.files[0], exploration={"explore": "thompson"})


def test_a_key(served, tmp_path):
    save(served.models[0], tmp_path / "m.crec", key=b"k" * 32)
    assert ModelHost(tmp_path / "m.crec", b"k" * 32).current.name
    for key in (None, b"q" * 32):
        with pytest.raises(ModelFileError):
            ModelHost(tmp_path / "m.crec", key)


# -- decisions -------------------------------------------------------------------------

DRAWN = dict(explore="epsilon", epsilon=0.5, bonus=1.0, withhold=2)


def test_the_loop_closes(served, tmp_path):
    """What was answered is logged, read back, joined with outcomes, and fitted on."""
    options = dict(exploration=DRAWN, decisions=DecisionLog(tmp_path), random_state=0)
    with serving(served.files[0], **options) as client:
        answers = [
            ask(client, users=[{"user": u, "user_x0": 0.25}], k=3) for u in range(12)
        ]
    decisions = read_decisions(tmp_path, everything=True)
    shown = decisions[decisions["shown"] == 1]
    places = [p for a in answers for one in a["lists"] for p in one["items"]]
    assert listed({"lists": [one for a in answers for one in a["lists"]]}) == rows_of(
        shown
    )
    assert shown["propensity"].tolist() == [p["propensity"] for p in places]
    assert (decisions["user_x0"] == 0.25).all()
    assert set(decisions["model"]) == {client.host.current.id}
    assert decisions["request"].unique().tolist() == [a["request"] for a in answers]
    assert (decisions.groupby("request").size() == 5).all()
    # The rows stand for all candidates: those in the list and those outside of it.
    seen = served.models[0].catalogue_.seen
    for user, rows in decisions.groupby("user"):
        n_candidates = 25 - seen[[user]].nnz
        assert rows["sample_weight"].sum() == pytest.approx(n_candidates)

    decisions = read_decisions(tmp_path)
    events = decisions.iloc[::3].assign(time=lambda d: d["time"] + pd.Timedelta("1min"))
    examples = build_examples(
        events[["user", "item", "time"]],
        decisions,
        user="user",
        item="item",
        time="time",
        window="1h",
        treatment="shown",
        propensity="propensity",
        sample_weight="sample_weight",
        until=decisions["time"].max() + pd.Timedelta("1D"),
    )
    assert examples["outcome"].sum() == len(events)
    again = CausalDNNRecommender(
        user="user", item="item", effect_learner="t", max_epochs=1
    )
    again.fit(
        examples[["user", "item", "user_x0"]],
        examples["outcome"],
        treatment=examples["treatment"],
        propensity=examples["propensity"],
        sample_weight=examples["sample_weight"],
    )
    assert len(recommend(again, k=1)) == 12


def test_logged_propensities_are_the_frequencies(served, tmp_path):
    options = dict(exploration=DRAWN, decisions=DecisionLog(tmp_path), random_state=0)
    with serving(served.files[0], **options) as client:
        for _ in range(150):
            ask(client, users=[3], k=3)
    shown = read_decisions(tmp_path).query("shown == 1")
    found = shown.groupby("item")["propensity"].agg(["size", "first", "nunique"])
    assert (found["nunique"] == 1).all() and len(found) > 10
    p = found["first"]
    error = np.sqrt(150 * p * (1 - p))
    assert (np.abs(found["size"] - 150 * p) < 4.5 * error).all()


def test_two_requests_at_once_have_draws_of_their_own(served, tmp_path):
    options = dict(exploration=DRAWN, decisions=DecisionLog(tmp_path), random_state=0)
    with serving(served.files[0], **options) as client:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(client, users=[3], k=3), range(16)))
    assert len({str(listed(a)) for a in answers}) > 4
    decisions = read_decisions(tmp_path)
    assert not decisions.duplicated(["user", "item", "time"]).any()
    assert len(decisions) == 16 * 5


def test_no_two_answers_have_the_same_time(monkeypatch):
    from sklearn_causalrec.serving.server import answers

    class Stopped(datetime):
        @classmethod
        def now(cls, tz):
            return datetime(2030, 1, 1, tzinfo=tz)

    monkeypatch.setattr(answers, "datetime", Stopped)
    answerer = answers.Answerer({}, None, None, None)
    times = [answerer._now() for _ in range(5)]
    assert times == sorted(set(times))


def test_forked_workers_draw_apart(served, tmp_path):
    """A fork copies numpy's global generator: draws must not come from it."""
    drawn = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002
        with serving(served.files[0], exploration=DRAWN) as client:
            drawn.append([listed(ask(client, users=[3], k=5)) for _ in range(4)])
    assert drawn[0] != drawn[1]


def test_explanations_are_not_decisions(served, tmp_path):
    with serving(served.files[0], decisions=DecisionLog(tmp_path)) as client:
        ask(client, "explain", users=[3])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_logged_is_not_answered(served, tmp_path, monkeypatch, caplog):
    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(served.files[0], decisions=DecisionLog(tmp_path)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            # The event loop wakes itself by sockets, not by os.write.
            refused(client.post("/v1/recommend", json={"users": [3]}), 503, None)
        assert "ENOSPC" in caplog.text
        ask(client, users=[4], k=1)
    assert read_decisions(tmp_path)["user"].tolist() == [4]
