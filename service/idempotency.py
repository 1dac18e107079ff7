"""`Idempotency-Key`: the same request twice is done once, and answered twice alike.

A key is reserved before the work, and completed in the very transaction that creates, so that neither a crash nor a
lost answer can make two of a thing. Refusals are kept as well; answers of 5xx and 429 are not: they ask to be tried
again.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from uuid import uuid4

import orjson
from flask import Response, g, request
from sqlalchemy import Connection

from service import problems
from service.blueprint import read_body
from service.parts import parts, tenant
from service.problems import Clash, Invalid
from store import idempotency
from store.errors import Unavailable

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_SANE = re.compile(r"[\x21-\x7e]{1,255}")
_TOO_MANY_REQUESTS = 429
# Owners whose requests ended while the database was away, so that nobody could release their keys then.
_ended: deque[str] = deque(maxlen=1_000)


def once(view: Callable[..., Response]) -> Callable[..., Response]:
    """For a view that creates from a JSON body: with a key, done once."""

    @wraps(view)
    def creating(*args: Any, **kwargs: Any) -> Response:
        if key() is None:
            return view(*args, **kwargs)
        digest = hashlib.sha256(read_body(request)).hexdigest()
        return answered_once(fingerprint(request.mimetype, digest), lambda: view(*args, **kwargs))

    return creating


def key() -> str | None:
    """The caller's key. Raises Invalid for one that is none."""
    found = request.headers.get(HEADER)
    if found is not None and not _SANE.fullmatch(found):
        raise Invalid({HEADER: "1 to 255 visible ASCII characters"})
    return found


def fingerprint(media_type: str, body: str) -> str:
    """What must be the same for a request to be the same; `body` is whatever stands for its bytes."""
    parts_of_it = [request.method, request.path, request.query_string.decode("latin-1"), media_type, body]
    return hashlib.sha256(orjson.dumps(parts_of_it)).hexdigest()


def answered_once(
    print_of_it: str, operation: Callable[[], Response], *, lease_seconds: float | None = None
) -> Response:
    """The operation's answer, or the one that was given to this key before.

    The key of a request that dies is free after `lease_seconds`; the usual lease of the settings, if None.
    """
    asked = key()
    if asked is None:
        return operation()
    owner = uuid4().hex
    try:
        return _reserved(asked, owner, print_of_it, operation, lease_seconds or parts().settings.lease_seconds)
    except Unavailable:
        _ended.append(owner)
        raise


def _reserved(
    asked: str, owner: str, print_of_it: str, operation: Callable[[], Response], lease_seconds: float
) -> Response:
    database = parts().database
    with database.write() as tx:
        found = idempotency.reserve(
            tx, tenant(), asked, print_of_it, owner, lease_seconds=lease_seconds, ended=list(_ended)
        )
    match found:
        case idempotency.Answered(status, headers, body):
            return Response(body, status=status, headers={**headers, REPLAYED: "true"})
        case idempotency.InFlight():
            raise Clash("A request with this Idempotency-Key is still at work.", headers={"Retry-After": "1"})
        case idempotency.Different():
            raise Invalid({HEADER: "a key that was not used for another request"})
    g.reservation = (asked, owner)
    try:
        response = operation()
    except Exception as error:  # noqa: BLE001  (rendered exactly as it would be without a key)
        g.reservation = (asked, owner)  # what an operation completed was rolled back with it
        response = problems.answer(error)
    if g.reservation is None:
        return response
    with database.write() as tx:
        if response.status_code >= 500 or response.status_code == _TOO_MANY_REQUESTS:
            idempotency.release(tx, tenant(), asked, owner)
        else:
            _keep(tx, response)
    return response


def answer(tx: Connection, body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The answer of a creation, kept under its key in the same transaction."""
    response = Response(orjson.dumps(body), status=status, headers=dict(headers or {}), content_type="application/json")
    if g.get("reservation") is not None:
        _keep(tx, response)
        g.reservation = None
    return response


def _keep(tx: Connection, response: Response) -> None:
    asked, owner = g.reservation
    headers = dict(response.headers.items())
    headers.pop("Content-Length", None)
    idempotency.complete(
        tx, tenant(), asked, owner, status=response.status_code, headers=headers, body=response.get_data()
    )
