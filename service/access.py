"""Who may call: one hook before every request, closed by default, with an explicit list of what is open.

While no key exists, whoever reaches the loopback address may call; but a page in a browser reaches it too, so `Host`
must be a loopback name (DNS rebinding) and `Origin`, if sent, the service's own (forged posts). Once a key exists, only
keys count.
"""

import re
from contextlib import suppress
from functools import partial
from uuid import uuid4

from flask import Flask, Response, g, request

from service.loopback import is_loopback
from service.parts import parts
from service.problems import Forbidden, Unauthorized
from store import keys, tenants
from store.database import Database
from store.errors import Unavailable
from store.settings import Settings

OPEN = frozenset({"health.Alive", "health.Ready"})

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PREDICTING = frozenset({"predictions.RunPredictions", "predictions.ModelPredictions"})


def register(app: Flask, settings: Settings, database: Database) -> None:
    first_key = _FirstKey(settings.bootstrap_key, database)
    with suppress(Unavailable):  # then it is made before anybody is admitted
        first_key.make()
    app.before_request(_name_request)
    app.before_request(partial(_admit, first_key))
    app.after_request(_tell_request_id)


class _FirstKey:
    """The key that the settings give, if any, with every scope; one that is there already stays as it is."""

    def __init__(self, secret: str, database: Database) -> None:
        self._secret = secret
        self._database = database

    def make(self) -> None:
        """Once. Raises Unavailable."""
        if self._secret:
            with self._database.write() as tx:
                keys.create(tx, tenants.LOCAL, keys.SCOPES, secret=self._secret)
            self._secret = ""


def _name_request() -> None:
    asked = request.headers.get("X-Request-Id", "")
    g.request_id = asked if _SANE_REQUEST_ID.fullmatch(asked) else f"req_{uuid4().hex}"


def _tell_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _admit(first_key: _FirstKey) -> None:
    if request.endpoint in OPEN:
        return
    first_key.make()
    with parts().database.read() as tx:
        if not keys.any_exist(tx):
            _check_browser()
            g.tenant, g.scopes = tenants.LOCAL, frozenset(keys.SCOPES)
            return
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        key = keys.find(tx, secret.strip()) if scheme.lower() == "bearer" and secret.strip() else None
    if key is None:
        raise Unauthorized(
            "This service asks for a key: Authorization: Bearer <key>.", headers={"WWW-Authenticate": "Bearer"}
        )
    g.tenant, g.scopes = key.tenant, key.scopes
    needed = _scope_needed()
    if needed not in g.scopes and "admin" not in g.scopes:
        raise Forbidden(f"This key lacks the scope {needed!r}.")


def _scope_needed() -> str:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    return "predict" if request.endpoint in _PREDICTING else "write"


def _check_browser() -> None:
    name = re.sub(r":\d*$", "", request.headers.get("Host", ""))
    if not is_loopback(name.lower()):
        raise Forbidden("Without a key, calls are answered only when Host is a loopback name, like localhost.")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != request.host_url.rstrip("/").lower():
        raise Forbidden("Without a key, calls from other origins are refused.")
