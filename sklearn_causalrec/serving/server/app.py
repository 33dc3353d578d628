"""The routes of the server."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from numpy.random import RandomState
from sklearn.utils import check_random_state
from starlette.exceptions import HTTPException

from sklearn_causalrec.serving.server import messages
from sklearn_causalrec.serving.server.answers import Answerer, NotLogged
from sklearn_causalrec.serving.server.batching import Batcher, Failed, TooBusy
from sklearn_causalrec.serving.server.edge import Edge
from sklearn_causalrec.serving.server.metrics import Metrics
from sklearn_causalrec.serving.server.problems import Json, documented, problem
from sklearn_causalrec.serving.server.questions import Question, Refused

ABOUT = """\
Lists and effects of a fitted causal model. Errors are problem details (RFC 9457) that
name the field. Users that the log does not know are answered as cold start, and the
answer says so.
"""


async def let_everybody_in(request: Request) -> None:
    """The guard of the routes below /v1 where none is passed: it asks nothing.

    Parameters
    ----------
    request : Request
        The request.
    """


def create_app(
    host: Any,
    *,
    decisions: Any = None,
    guard: Any = let_everybody_in,
    watch: float = 0.0,
    max_batch: int = 256,
    max_waiting: int = 1024,
    max_body: int = 16 * 2**20,
    random_state: Any = None,
) -> FastAPI:
    """Make the ASGI application that answers for a fitted model.

    Parameters
    ----------
    host : ModelHost
        It holds the model, and how lists are drawn at random (``exploration``).
    decisions : DecisionLog, default=None
        Where decisions are logged. With None they are not.
    guard : callable, default=let_everybody_in
        A dependency of FastAPI that every route below ``/v1`` asks first. It is the
        place for authentication: it raises ``fastapi.HTTPException`` to refuse. The
        default refuses nobody.
    watch : float, default=0.0
        Seconds between looks at the file of the model, which is opened if it is another
        one. With 0 it is not looked at; SIGHUP asks for a look in any case, where
        uvicorn runs in the main thread.
    max_batch : int, default=256
        The number of users, or rows, that one call of the model answers for, where it
        answers several requests.
    max_waiting : int, default=1024
        The number of requests that may wait. Further ones get the status 503.
    max_body : int, default=16777216
        The number of bytes that a request may have. Longer ones get the status 413.
    random_state : int, RandomState instance or None, default=None
        The seed of exploration. Leave it None in production.

    Returns
    -------
    FastAPI
        The application, for uvicorn or any other ASGI server. Run it with one thread
        of torch and OpenMP: ``sklearn-causalrec serve`` does all that.

    See Also
    --------
    ModelHost : Hold the model of a file.
    DecisionLog : Log decisions.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from fastapi.testclient import TestClient
    >>> from sklearn_causalrec import save
    >>> from sklearn_causalrec.baselines import EASE
    >>> from sklearn_causalrec.serving import ModelHost, create_app
    >>> log = pd.DataFrame({"user": [1, 1, 2, 2, 3], "item": [5, 6, 5, 7, 6]})
    >>> path = Path(tempfile.mkdtemp(), "model.crec")
    >>> save(EASE(user="user", item="item").fit(log), path)
    >>> with TestClient(create_app(ModelHost(path))) as client:
    ...     asked = {"users": [3], "k": 1, "by": "outcome"}
    ...     answer = client.post("/v1/recommend", json=asked).json()
    >>> [place["item"] for place in answer["lists"][0]["items"]]
    [5]
    """
    metrics = Metrics()
    # numpy's global generator, which None stands for, is the same in forked workers.
    rng = RandomState() if random_state is None else check_random_state(random_state)
    answerer = Answerer(host.exploration, decisions, rng, metrics.decisions.inc)
    batcher = Batcher(host, answerer, max_batch, max_waiting, metrics)
    metrics.loaded.set(host.current.since.timestamp())
    reloader = ThreadPoolExecutor(1, "reload")

    async def reload(force: bool) -> None:
        """Look at the file in a thread of its own, while the old model answers."""
        loop = asyncio.get_running_loop()
        failed = host.failed
        swapped = await loop.run_in_executor(reloader, host.reload, force)
        if swapped:
            metrics.loaded.set(host.current.since.timestamp())
            metrics.swaps.labels("done").inc()
        elif host.failed not in (None, failed):
            metrics.swaps.labels("refused").inc()

    async def look() -> None:
        while True:
            await asyncio.sleep(watch)
            await reload(False)

    @asynccontextmanager
    async def lifespan(app):
        loop, tasks = asyncio.get_running_loop(), set()

        def asked_to_reload():
            task = loop.create_task(reload(True))
            tasks.add(task)  # or it may be collected before it is done
            task.add_done_callback(tasks.discard)

        if hasattr(signal, "SIGHUP"):
            try:
                loop.add_signal_handler(signal.SIGHUP, asked_to_reload)
            except (RuntimeError, ValueError):  # not the main thread
                pass
        watcher = loop.create_task(look()) if watch > 0 else None
        try:
            yield
        finally:
            if watcher is not None:
                watcher.cancel()
            await batcher.close()
            reloader.shutdown()
            if decisions is not None:
                await loop.run_in_executor(None, decisions.close)

    app = FastAPI(
        title="sklearn-causalrec",
        description=ABOUT,
        version="1",
        lifespan=lifespan,
        default_response_class=Json,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.host, app.state.batcher, app.state.metrics = host, batcher, metrics
    app.add_middleware(Edge, metrics=metrics, max_body=max_body)
    _errors(app)
    app.include_router(_answers(batcher, metrics, guard))
    app.include_router(_facts(host, metrics))
    return app


def _answers(batcher, metrics, guard):
    """The routes below /v1."""
    v1 = APIRouter(
        prefix="/v1",
        dependencies=[Depends(guard)],
        responses=documented(400, 413, 422, 503),
    )

    async def answer(route, body, request):
        question = Question(route, body.model_dump(), request.state.id)
        found = await batcher.ask(question)
        for one in found.get("lists", ()):
            metrics.users.labels(str(one["cold_start"]).lower()).inc()
        return Json(found)

    @v1.post("/recommend", response_model=messages.RecommendAnswer)
    async def recommend(body: messages.RecommendRequest, request: Request):
        """The best items of each user, by effect or by outcome."""
        return await answer("recommend", body, request)

    @v1.post("/explain", response_model=messages.ExplainAnswer)
    async def explain(body: messages.ExplainRequest, request: Request):
        """Lists without exploration, and what their scores rest on. Not logged."""
        return await answer("explain", body, request)

    @v1.post("/effect", response_model=messages.EffectAnswer)
    async def effect(body: messages.EffectRequest, request: Request):
        """The effect of one arm against another on each row."""
        return await answer("effect", body, request)

    return v1


def _facts(host, metrics):
    """The routes that tell of the server itself, which nobody guards."""
    facts = APIRouter()

    @facts.get("/healthz")
    async def health():
        """Whether the server answers, and by which model."""
        model, failed = host.current, host.failed
        return Json(
            {
                "status": "ok",
                "model": {"id": model.id, "name": model.name},
                "since": model.since.isoformat(timespec="seconds"),
                "refused": failed and failed.isoformat(timespec="seconds"),
            }
        )

    @facts.get("/metrics")
    async def prometheus():
        """Metrics in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return facts


def _errors(app):
    """One format for all errors."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        errors = []
        for one in error.errors()[:20]:
            if one["type"] == "json_invalid":
                why = "this is no JSON"
                return _problem(request, 400, f"body: {why}", [("body", why)])
            place = [*one["loc"], *filter(None, [one.get("ctx", {}).get("field")])]
            field = ".".join(str(part) for part in place[1:]) or "body"
            errors.append((field, one["msg"]))
        detail = "; ".join(f"{field}: {why}" for field, why in errors)
        return _problem(request, 422, detail, errors)

    @app.exception_handler(Refused)
    async def refused(request, error):
        errors = [] if error.field is None else [(error.field, error.detail)]
        return _problem(request, 422, error.detail, errors)

    @app.exception_handler(TooBusy)
    async def busy(request, error):
        wait = {"Retry-After": "1"}
        return _problem(request, 503, "Too many requests wait.", headers=wait)

    @app.exception_handler(NotLogged)
    async def unlogged(request, error):
        return _problem(request, 503, "The decision could not be logged.")

    @app.exception_handler(HTTPException)
    async def other(request, error):
        detail, status = str(error.detail), error.status_code
        errors = [("body", detail)] if status == 400 else []
        return _problem(request, status, detail, errors, error.headers)

    @app.exception_handler(Failed)
    async def failed(request, error):
        return _problem(request, 500, "The server failed. Its log has the place.")


def _problem(request, status, detail, errors=(), headers=None):
    mine = getattr(request.state, "id", None)
    return problem(status, detail, errors, mine, headers)
