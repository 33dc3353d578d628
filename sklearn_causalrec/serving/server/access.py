"""Who may ask for what, and how often."""

import math
import time

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute

from sklearn_causalrec.serving.server.keys import ANYBODY, SCOPES, NotLetIn

# What is answered to whoever can connect: it tells nothing that a caller sent.
OPEN = ("/healthz", "/v1/openapi.json")
READS = ("GET", "HEAD")  # methods without a body


class Denied(Exception):
    """A request that is not let in.

    Parameters
    ----------
    status : int
        The status of HTTP.
    detail : str
        Why.
    field : str or None, default=None
        The field at fault, if one is.
    headers : dict or None, default=None
        Headers of the answer.
    """

    def __init__(self, status, detail, field=None, headers=None):
        super().__init__(detail)
        self.status, self.detail, self.field = status, detail, field
        self.headers = headers


class Access:
    """Let callers in before their request is read, and count how often they come.

    Parameters
    ----------
    keys : KeyRing or None
        The keys. With None nobody is asked for one.
    rate : str or None
        How often a key may be used that has no rate of its own, such as "100/second".
        None: as often as one likes.
    hosts : collection of str or None
        The names by which the server may be called (the header Host). None: any.
    """

    def __init__(self, keys, rate=None, hosts=None):
        self.keys, self.rate = keys, rate
        self.hosts = None if hosts is None else frozenset(hosts)
        self._rates, self._limiter = {}, None
        if rate is not None:
            self._parsed(rate)

    def who(self, scope):
        """Who asks, by the head of a request.

        Parameters
        ----------
        scope : dict
            What ASGI says of the request.

        Returns
        -------
        Caller

        Raises
        ------
        Denied
            If the server is called by a wrong name, or the caller has no valid key and
            the path is not open.
        """
        headers = scope["headers"]
        if self.hosts is not None:
            host = b"".join(v for n, v in headers if n == b"host").decode("latin-1")
            if _without_port(host) not in self.hosts:
                raise Denied(421, "The server has another name.", "header.host")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self.keys is None or (path in OPEN and scope["method"] in READS):
            return ANYBODY
        found = [value for name, value in headers if name == b"authorization"]
        if len(found) != 1:
            text = "There is no key." if not found else "There are several keys."
            raise _unknown(text)
        kind, _, key = found[0].decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            raise _unknown("A key comes as `Authorization: Bearer KEY`.")
        try:
            return self.keys.caller(key.strip())
        except NotLetIn as error:
            raise _unknown(str(error)) from None

    def count(self, caller):
        """Refuse a caller who comes too often.

        Parameters
        ----------
        caller : Caller

        Raises
        ------
        Denied
        """
        rate = caller.rate or (self.rate if caller.id is not None else None)
        if rate is None:
            return
        limit = self._rates.get(rate) or self._parsed(rate)
        if self._limiter.hit(limit, caller.id):
            return
        until = self._limiter.get_window_stats(limit, caller.id).reset_time
        wait = {"Retry-After": str(max(1, math.ceil(until - time.time())))}
        often = rate.replace("/", " times a ")
        raise Denied(429, f"The key may be used {often}.", headers=wait)

    def _parsed(self, rate):
        import limits

        if self._limiter is None:
            from limits.storage import MemoryStorage

            storage = MemoryStorage()
            self._limiter = limits.strategies.SlidingWindowCounterRateLimiter(storage)
        return self._rates.setdefault(rate, limits.parse(rate))


def _unknown(text):
    return Denied(401, text, "header.authorization", {"WWW-Authenticate": "Bearer"})


def _without_port(host):
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


class Needs:
    """The dependency of a route: the caller's key has to be for its scope.

    Parameters
    ----------
    scope : str
        One of "recommend", "explain", "audit" and "admin".
    """

    def __init__(self, scope):
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is no scope.")
        self.scope = scope

    async def __call__(self, request: Request) -> None:
        """Refuse a caller without the scope.

        Parameters
        ----------
        request : Request
        """
        if self.scope not in request.state.caller.scopes:
            raise HTTPException(403, f"The key is not for {self.scope!r}.")


def scope_of(route):
    """The scope that a route needs.

    Parameters
    ----------
    route : Route

    Returns
    -------
    str or None
        None if the route is open.

    Raises
    ------
    RuntimeError
        If it is not open, and has not one scope.
    """
    found = []
    if isinstance(route, APIRoute):
        calls = [one.dependency for one in route.dependencies]
        found = [call.scope for call in calls if isinstance(call, Needs)]
    path = getattr(route, "path", route)
    if len(found) == 1 and path not in OPEN:
        return found[0]
    if not found and path in OPEN:
        return None
    raise RuntimeError(f"{path} has the scopes {found}: one route, one scope.")


def describe(schema):
    """Say in a description by OpenAPI that keys are needed.

    Parameters
    ----------
    schema : dict
        The description, which is changed.
    """
    parts = schema.setdefault("components", {})
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, routes in schema["paths"].items():
        for one in routes.values():
            one["security"] = [] if path in OPEN else [{"key": []}]
