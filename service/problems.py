"""Every error of the API, as RFC 9457 problem details; the one place where errors become HTTP.

    Problem                 what a caller may be told: status, detail, members
      Malformed             400  not JSON, not an object, not UTF-8
      Unauthorized          401
      Forbidden             403
      Missing               404
      Clash                 409
      PreconditionFailed    412
      TooLarge              413
      WrongMedia            415
      NotAcceptable         406
      Invalid               422  with `errors`: the field's path -> what is allowed
      Unavailable           503  with Retry-After
      Full                  507

The store's errors are translated here. Anything else is a 500 that tells its request id, and the log the rest.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from service.http_server.body import NotStored
from store import errors as stored
from store import inflow
from store.belonging import WrongStore
from store.durable import tells_of_no_room

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
Errors = dict[str, list[str]]

_NO_ROOM = "There is no room left to store this. Nothing of it was kept."
_GONE = (
    "The bytes of this are no longer in the service's storage, though its row is: put the storage back from a backup,"
    " or send or train it again."
)
_MOST_ERRORS = 100  # a body of 100,000 wrong instances gets an answer that can be read


class Problem(Exception):
    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class Malformed(Problem):
    status = HTTPStatus.BAD_REQUEST


class Unauthorized(Problem):
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN


class Missing(Problem):
    status = HTTPStatus.NOT_FOUND


class Clash(Problem):
    status = HTTPStatus.CONFLICT


class PreconditionFailed(Problem):
    status = HTTPStatus.PRECONDITION_FAILED


class Gone(Problem):
    status = HTTPStatus.GONE


class TooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class WrongMedia(Problem):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class NotAcceptable(Problem):
    status = HTTPStatus.NOT_ACCEPTABLE


class Full(Problem):
    status = HTTPStatus.INSUFFICIENT_STORAGE


class Invalid(Problem):
    """Well-formed, but wrong; `errors` maps each field's path to what is allowed there."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, errors: Mapping[str, str | list[str]], detail: str | None = None, **members: Any) -> None:
        self.errors: Errors = {path: [it] if isinstance(it, str) else list(it) for path, it in errors.items()}
        shown = dict(list(self.errors.items())[:_MOST_ERRORS])
        first = next(((path, messages[0]) for path, messages in shown.items()), ("", "The request is not valid."))
        super().__init__(detail or f"{first[0]}: {first[1]}", errors=shown, **members)


class Unavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def flatten(messages: Any, path: str = "") -> Errors:
    """The nested messages of marshmallow as dotted paths; what it says of a mapping's key or value is of that entry."""
    if isinstance(messages, Mapping):
        found: Errors = {}
        for key, below in messages.items():
            inner = path if key in ("_schema", "key", "value") and isinstance(below, list) else _joined(path, key)
            if key == "value" and isinstance(below, Mapping):
                inner = path
            for at, texts in flatten(below, inner).items():
                found.setdefault(at, []).extend(texts)
        return found
    return {path: [str(message) for message in (messages if isinstance(messages, Iterable) else [messages])]}


def _joined(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def answer(error: Exception) -> Response:
    """The response that tells of an error; logs it when it is ours."""
    if isinstance(error, RequestRedirect):
        return error.get_response()  # type: ignore[return-value]
    problem = _problem_of(error)
    if problem is None:
        log.error("request failed", method=request.method, path=request.path, request_id=g.request_id, exc_info=error)
        problem = Problem("Something went wrong on our side. The log has it under this request_id.")
    body = document(problem.status, problem.detail, g.request_id) | problem.members
    if request.path.startswith("/v2"):  # where the clients of the Open Inference Protocol look
        body["error"] = problem.detail
    return Response(orjson.dumps(body), status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def document(status: HTTPStatus, detail: str, request_id: str) -> dict[str, Any]:
    """Return the members that every problem has."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "request_id": request_id,
    }


def _problem_of(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case stored.NotFound():
            return Missing(f"There is no {error.noun} {error.id}.")
        case stored.Conflict():
            return Clash(_sentence(error.reason))
        case stored.BadCursor():
            return Invalid({"after": "the `next` of the page before"})
        case stored.UnreadableTable():
            return Invalid({"file": error.message}, _sentence(error.message), line=error.line, column=error.column)
        case inflow.TooLarge():
            return TooLarge(f"The body is larger than the {error.limit} bytes that this address takes, inflated.")
        case inflow.BadEncoding():
            allowed = "a whole gzip stream, as Content-Encoding says"
            return Invalid({"file": allowed}, _sentence(str(error)), line=None, column=None)
        case stored.Full():
            return Full(_NO_ROOM)
        case NotStored():
            no_room = tells_of_no_room(error.error)
            return Full(_NO_ROOM) if no_room else Unavailable("The body could not be stored. Try again.")
        case OSError() if tells_of_no_room(error):  # where the parts of a form wait to be read
            return Full(_NO_ROOM)
        case stored.BlobMissing():
            log.error("a blob is missing", key=error.key, request_id=g.request_id)
            return Gone(_GONE)
        case WrongStore():
            log.error("the store of blobs is another database's", reason=str(error), request_id=g.request_id)
            return Unavailable("The service's storage is not the one it should be. Its log has the reason.")
        case stored.Unavailable():
            return Unavailable("The service's storage is busy or away. Try again.")
        case HTTPException():
            return _of_werkzeug(error)
    return None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


_DETAILS = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    413: "The body is larger than this address takes.",
}


def _of_werkzeug(error: HTTPException) -> Problem | None:
    code = error.code or 500
    if code >= 500:
        return None
    headers = {}
    detail = _DETAILS.get(code, error.name)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        headers, detail = {"Allow": allowed}, f"{request.method} is not possible here; {allowed} are."
    if isinstance(error, RequestEntityTooLarge) and request.max_content_length:
        detail = f"The body is larger than the {request.max_content_length} bytes that this address takes."
    problem = Problem(detail, headers=headers)
    problem.status = HTTPStatus(code)
    return problem


def register(app: Flask) -> None:
    app.register_error_handler(Exception, answer)
