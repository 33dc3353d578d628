"""What every request passes first and last: id, key, length, patience, faults."""

import asyncio
import time
import uuid

from sklearn_causalrec.serving.server.access import READS, Denied
from sklearn_causalrec.serving.server.batching import told
from sklearn_causalrec.serving.server.problems import problem

MAX_HEAD = 16 * 2**10  # bytes of the head of a request
# No cache keeps an answer about a person, and no browser guesses what it is.
HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Edge:
    """Middleware: know who asks, bound what comes, count it, answer for faults.

    A request gets its id here; none is taken from the client. Nothing of a body is read
    before the key is known to be one, and nothing is parsed of one that is too long,
    too slow or too often.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    access : Access
        It tells who asks.
    metrics : Metrics
        What is counted.
    max_body : int
        The number of bytes that a body may have.
    patience : float
        The seconds that a body may take.
    """

    def __init__(self, app, access, metrics, max_body, patience):
        self.app, self.access, self.metrics = app, access, metrics
        self.max_body, self.patience = max_body, patience

    async def __call__(self, scope, receive, send):
        """Answer a request, as ASGI asks for it.

        Parameters
        ----------
        scope : dict
            What the request is.
        receive : callable
            It brings the body.
        send : callable
            It takes the answer.
        """
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # a websocket: there are none
            return await send({"type": "websocket.close", "code": 1008})
        start = time.perf_counter()
        mine = uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["id"] = mine
        status, counted = None, False

        def count():
            nonlocal counted
            if not counted:
                route = getattr(scope.get("route"), "path", "other")
                self.metrics.requests.labels(route, status or 0).inc()
                counted = True

        async def answer(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", mine.encode())
                message["headers"] = [*message["headers"], own, *HEADERS]
            elif not message.get("more_body", False):
                count()  # before the last byte: whoever has an answer is counted
            await send(message)

        whole = False  # whether the body was read: else the connection has to end
        try:
            if _head(scope) > MAX_HEAD:  # that came in one piece: uvicorn lets it pass
                raise Denied(431, f"at most {MAX_HEAD} bytes", "header")
            caller = state["caller"] = self.access.who(scope)
            body = await self._body(scope, receive)
            if body is None:
                return None
            whole = True
            self.access.count(caller)
            return await self.app(scope, _again(body, receive), answer)
        except Denied as error:
            field, why, more = error.field, error.detail, dict(error.headers or {})
            if not whole and _has_body(scope):
                more["Connection"] = "close"
            errors = [] if field is None else [(field, why)]
            detail = why if field is None else f"{field}: {why}"
            denied = problem(error.status, detail, errors, mine, more)
            await denied(scope, receive, answer)
        except Exception as error:
            told(error)
            if status is None:
                text = "The server failed. Its log has the place."
                await problem(500, text, request=mine)(scope, receive, answer)
        finally:
            count()
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _body(self, scope, receive):
        """The body; None if the client has gone."""
        why = f"at most {self.max_body} bytes"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.max_body:
            raise Denied(413, why, "body")
        if scope["method"] in READS or scope["method"] == "OPTIONS":
            return b""
        body, size, more = [], 0, True
        try:
            async with asyncio.timeout(self.patience):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body.append(message.get("body", b""))
                    size += len(body[-1])
                    more = message.get("more_body", False)
                    if size > self.max_body:
                        raise Denied(413, why, "body")
        except TimeoutError:
            slow = f"it was not whole after {self.patience:g} seconds"
            raise Denied(408, slow, "body") from None
        return b"".join(body)


def _head(scope):
    """The bytes of a head, nearly."""
    size = len(scope["path"]) + len(scope["query_string"])
    return size + sum(len(name) + len(value) for name, value in scope["headers"])


def _has_body(scope):
    """Whether something may come after the head."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _again(body, receive):
    """Bring a body that was read already, then what comes after it."""
    brought = False

    async def bring():
        nonlocal brought
        if brought:
            return await receive()
        brought = True
        return {"type": "http.request", "body": body, "more_body": False}

    return bring
