"""What every request passes first and last: its id, length, time and faults."""

import time
import uuid

from sklearn_causalrec.serving.server.batching import told
from sklearn_causalrec.serving.server.problems import problem


class Edge:
    """Middleware: give a request its id, bound its body, count it, answer for faults.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    metrics : Metrics
        What is counted.
    max_body : int
        The number of bytes that a body may have.
    """

    def __init__(self, app, metrics, max_body):
        self.app, self.metrics, self.max_body = app, metrics, max_body

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
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start = time.perf_counter()
        mine = uuid.uuid4().hex
        scope.setdefault("state", {})["id"] = mine
        status = None

        async def answer(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", mine.encode()),
                ]
            await send(message)

        try:
            length = dict(scope["headers"]).get(b"content-length", b"0")
            body, whole = [], None
            if length.isdigit() and int(length) <= self.max_body:
                whole, size = True, 0
                more = scope["method"] not in ("GET", "HEAD", "OPTIONS")
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body.append(message.get("body", b""))
                    size += len(body[-1])
                    more = message.get("more_body", False)
                    if size > self.max_body:
                        whole, more = None, False
            if whole is None:
                why = f"at most {self.max_body} bytes"
                # What is left of the body is not read: the connection has to end.
                bye = {"Connection": "close"}
                large = problem(413, f"body: {why}", [("body", why)], mine, bye)
                return await large(scope, receive, answer)
            return await self.app(scope, _again(b"".join(body), receive), answer)
        except Exception as error:
            told(error)
            if status is None:
                text = "The server failed. Its log has the place."
                await problem(500, text, request=mine)(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status or 0).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)


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
