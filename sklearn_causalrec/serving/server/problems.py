"""Errors as answers: problem details of RFC 9457."""

import json
from http import HTTPStatus

from fastapi.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
EXAMPLE = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "k: Input should be greater than or equal to 1",
    "errors": [{"field": "k", "detail": "Input should be greater than or equal to 1"}],
    "request": "0f7e3c9a5b1d4e6f8a2b4c6d8e0f1a3b",
}
SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "The place in the request, such as `users.0`.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
        "request": {"type": "string"},
    },
}


class Json(JSONResponse):
    """JSON in ASCII, so that no text can break it, of finite numbers."""

    def render(self, content):
        """The body.

        Parameters
        ----------
        content : object
            What JSON can hold.

        Returns
        -------
        bytes
        """
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def problem(status, detail, errors=(), request=None, headers=None):
    """The answer to a request that failed.

    Parameters
    ----------
    status : int
        The status of HTTP.
    detail : str
        What went wrong.
    errors : sequence of (field, detail), default=()
        What is wrong with which field.
    request : str or None, default=None
        The id of the request.
    headers : dict or None, default=None
        Further headers.

    Returns
    -------
    Json
    """
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [{"field": field, "detail": why} for field, why in errors],
    }
    if request is not None:
        body["request"] = request
    return Json(body, status, headers, media_type=MEDIA_TYPE)


def documented(*statuses):
    """What OpenAPI says of the answers with these statuses.

    Parameters
    ----------
    *statuses : int

    Returns
    -------
    dict
    """
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": SCHEMA, "example": EXAMPLE}},
        }
        for status in statuses
    }
