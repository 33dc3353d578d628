"""The routes of the server."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from numpy.random import RandomState
from sklearn.utils import check_random_state
from starlette.exceptions import HTTPException

from sklearn_causalrec.serving.server import messages
from sklearn_causalrec.serving.server.access import Access, Needs, describe, scope_of
from sklearn_causalrec.serving.server.answers import Answerer, NotLogged
from sklearn_causalrec.serving.server.audit import read_audit
from sklearn_causalrec.serving.server.batching import Batcher, Failed, TooBusy, told
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
    audit: Any = None,
    keys: Any = None,
    rate: str | None = None,
    hosts: Any = None,
    guard: Any = let_everybody_in,
    watch: float = 0.0,
    max_batch: int = 256,
    max_waiting: int = 1024,
    max_body: int = 16 * 2**20,
    patience: float = 10.0,
    others: Any = None,
    random_state: Any = None,
) -> FastAPI:
    """Make the ASGI application that answers for a fitted model.

    Parameters
    ----------
    host : ModelHost
        It holds the model, and how lists are drawn at random (``exploration``).
    decisions : DecisionLog, default=None
        Where decisions are logged. With None they are not.
    audit : AuditLog, default=None
        Where it is logged who got what, before it is answered, and where the route
        ``/v1/audit`` reads. With None it is not.
    keys : KeyRing, default=None
        The keys of callers. With None nobody is asked for one: let only those reach the
        application who may. ``sklearn-causalrec serve`` does not start without keys
        unless told so.
    rate : str, default=None
        How often a key may be used that has no rate of its own, such as "100/second".
        Each process counts for itself. With None it may be used at will.
    hosts : collection of str, default=None
        The names by which the application may be called, without ports. Pages of others
        cannot then reach it through a browser by a name of theirs. With None, by any.
    guard : callable, default=let_everybody_in
        A dependency of FastAPI that every route below ``/v1`` asks first, for
        authentication of another kind than by keys: it raises ``fastapi.HTTPException``
        to refuse. The default refuses nobody.
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
    patience : float, default=10.0
        The seconds that the body of a request may take. Slower ones get the status 408.
    others : callable, default=None
        It asks other processes that answer, too, to look at the file of the model, when
        ``/v1/admin/reload`` does. With None there are none.
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
    AuditLog : Log who got what.
    KeyRing : Know callers by their keys.

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
    counted = metrics.decisions.inc
    answerer = Answerer(host.exploration, decisions, rng, counted, audit)
    access = Access(keys, rate, hosts)
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
            for log in filter(None, (decisions, audit)):
                await loop.run_in_executor(None, log.close)

    app = FastAPI(
        title="sklearn-causalrec",
        description=ABOUT,
        version="1",
        lifespan=lifespan,
        default_response_class=Json,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.host, app.state.batcher, app.state.metrics = host, batcher, metrics
    app.add_middleware(
        Edge, access=access, metrics=metrics, max_body=max_body, patience=patience
    )
    _errors(app)
    _answers(_routes(app, guard), batcher, metrics)
    _care(_routes(app, guard), host, audit, reload, others)
    _facts(app, host, metrics, keys)
    for route in app.routes:
        scope_of(route)  # a route that nobody has thought about is not served
    described = app.openapi

    def openapi():
        if app.openapi_schema is None:
            describe(described())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _routes(app, guard):
    """What adds a route below /v1."""

    def add(method, path, scope, answer, *statuses):
        return app.api_route(
            f"/v1/{path}",
            methods=[method],
            response_model=answer,
            dependencies=[Depends(Needs(scope)), Depends(guard)],
            responses=documented(401, 403, 422, 429, 503, *statuses),
        )

    return add


def _answers(add, batcher, metrics):
    """The routes that a model answers."""
    body_faults = (400, 408, 413)

    async def answer(route, body, request):
        mine, caller = request.state.id, request.state.caller.id
        question = Question(route, body.model_dump(), mine, caller)
        found = await batcher.ask(question)
        for one in found.get("lists", ()):
            metrics.users.labels(str(one["cold_start"]).lower()).inc()
        return Json(found)

    @add("POST", "recommend", "recommend", messages.RecommendAnswer, *body_faults)
    async def recommend(body: messages.RecommendRequest, request: Request):
        """The best items of each user, by effect or by outcome."""
        return await answer("recommend", body, request)

    @add("POST", "explain", "explain", messages.ExplainAnswer, *body_faults)
    async def explain(body: messages.ExplainRequest, request: Request):
        """Lists without exploration, and what their scores rest on. No decisions."""
        return await answer("explain", body, request)

    @add("POST", "effect", "explain", messages.EffectAnswer, *body_faults)
    async def effect(body: messages.EffectRequest, request: Request):
        """The effect of one arm against another on each row."""
        return await answer("effect", body, request)


def _care(add, host, audit, reload, others):
    """The routes for those who look after the server."""
    reader = ThreadPoolExecutor(1, "audit")

    async def event(request, route, **more):
        if audit is None:
            return
        mine, caller = request.state.id, request.state.caller.id
        try:
            audit.event(mine, caller, route, **more)
        except OSError as error:
            raise NotLogged from error

    @add("GET", "audit", "audit", messages.AuditAnswer, 404)
    async def lines(asked: Annotated[messages.AuditRequest, Query()], request: Request):
        """The last lines of the audit: who got what, and which model answered."""
        if audit is None:
            raise HTTPException(404, "The server keeps no audit.")
        options = asked.model_dump()
        given = asked.model_dump(mode="json", exclude_none=True)
        await event(request, "audit", asked=given)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                reader, lambda: read_audit(audit.folder, **options)
            )
        except OSError as error:
            raise NotLogged from error
        return Json({"request": request.state.id, "lines": found})

    @add("POST", "admin/reload", "admin", messages.ReloadAnswer, 408, 413)
    async def reload_model(request: Request):
        """Look whether the file of the model was replaced, and open it if so."""
        before = host.current.id
        await event(request, "reload", model=host.current.about)
        await reload(True)
        if others is not None:
            others()
        model = host.current
        return Json(
            {
                "request": request.state.id,
                "model": {"id": model.id, "name": model.name},
                "replaced": model.id != before,
                "refused": _seconds(host.failed),
            }
        )


def _facts(app, host, metrics, keys):
    """The routes that tell of the server itself: neither ids nor what was asked."""

    @app.get("/healthz")
    async def health():
        """Whether the server answers, and by which model."""
        model, failed = host.current, host.failed
        return Json(
            {
                "status": "ok",
                "model": {"id": model.id, "name": model.name},
                "since": _seconds(model.since),
                "refused": _seconds(failed),
                "keys_refused": keys and _seconds(keys.failed),
            }
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}} | documented(401, 403, 429),
        dependencies=[Depends(Needs("admin"))],
    )
    async def prometheus():
        """Metrics in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")


def _seconds(time):
    return time and time.isoformat(timespec="seconds")


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
        if error.__cause__ is not None:  # it was not told where it happened
            told(error)
        return _problem(request, 503, "What would be answered could not be logged.")

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
