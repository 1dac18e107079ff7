"""Who may call: one hook before every request, closed by default, with an explicit list of what is open.

While no key exists, whoever reaches the loopback address may call; but a page in a browser reaches it too, so `Host`
must be a loopback name (DNS rebinding) and `Origin`, if sent, the service's own (forged posts). Once a key exists, only
keys count.

Predictions that are answered without Flask (`serving/wire.py`) go through the same door; there what the database says
of a caller is remembered for a second, and for as long as references are while it is away: nobody can take back a key
then either.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from random import getrandbits
from typing import Any

from flask import Flask, Response, g, request
from sqlalchemy import Connection
from werkzeug.wsgi import get_current_url

from service.loopback import is_loopback
from service.problems import Forbidden, Unauthorized
from service.serving.versions import LAST_SECONDS
from store import keys, tenants
from store.database import Database
from store.errors import Unavailable
from store.settings import Settings

OPEN = frozenset({"health.Alive", "health.Ready", "inference.Live", "inference.Ready"})

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PREDICTING = frozenset(
    {
        *("predictions.RunPredictions", "predictions.ModelPredictions", "invocations.Invocations"),
        *("inference.ModelInfer", "inference.VersionInfer"),
        *("batch_predictions.BatchPredictions", "batch_predictions.Cancel"),
    }
)

_REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 4_096
_LONGEST_HOST = 255


@dataclass(frozen=True)
class Admitted:
    """Who calls; `by_address` where no key exists and the address alone has let it in."""

    tenant: str
    scopes: frozenset[str]
    by_address: bool = False
    key: str | None = None  # the id of the key, where there is one

    def require(self, scope: str) -> None:
        """Raises Forbidden."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Forbidden(f"This key lacks the scope {scope!r}.")


_LOCAL = Admitted(tenants.LOCAL, frozenset(keys.SCOPES), by_address=True)


def check_again(tx: Connection, caller: Admitted) -> None:
    """Raise Unauthorized where the caller would no longer be admitted, since a long answer began."""
    if keys.any_exist(tx) if caller.key is None else not keys.is_valid(tx, caller.key):
        raise _no_key()


def _no_key() -> Unauthorized:
    return Unauthorized(
        "This service asks for a key: Authorization: Bearer <key>.", headers={"WWW-Authenticate": "Bearer"}
    )


class Door:
    """Admits callers by the headers of a WSGI environment and what the database says of keys."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._first_key = _FirstKey(settings.bootstrap_key, database)
        self._database = database
        self._remembered: dict[bytes, tuple[float, Admitted]] = {}
        with suppress(Unavailable):  # then it is made before anybody is admitted
            self._first_key.make()

    def admit(self, environ: Mapping[str, Any]) -> Admitted:
        """Raises Unauthorized, Forbidden, Unavailable."""
        self._first_key.make()
        scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        secret = secret.strip()
        with self._database.read() as tx:
            if not keys.any_exist(tx):
                _check_browser(environ)
                return _LOCAL
            key = keys.find(tx, secret) if scheme.lower() == "bearer" and secret else None
        if key is None:
            raise _no_key()
        return Admitted(key.tenant, key.scopes, key=key.id)

    def admit_again(self, environ: Mapping[str, Any]) -> Admitted:
        """As `admit`, but whoever was admitted less than a second ago is not asked about; a refusal is never old."""
        named = _named_by(environ)
        found, asked_at = self._remembered.get(named), time.monotonic()
        if found is None or asked_at - found[0] > _REMEMBERED_SECONDS:
            try:
                admitted = self.admit(environ)
            except Unavailable:
                if found is None or asked_at - found[0] > LAST_SECONDS:
                    raise
            else:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[named] = asked_at, admitted
                return admitted
        if found[1].by_address:
            _check_browser(environ)
        return found[1]

    def remembered(self, environ: Mapping[str, Any]) -> Admitted | None:
        """Return who was admitted with these headers less than a second ago, without asking the database; or None.

        Raise Forbidden.
        """
        found = self._remembered.get(_named_by(environ))
        if found is None or time.monotonic() - found[0] > _REMEMBERED_SECONDS:
            return None
        if found[1].by_address:
            _check_browser(environ)
        return found[1]


def _named_by(environ: Mapping[str, Any]) -> bytes:
    secret = environ.get("HTTP_AUTHORIZATION")
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest() if secret else b""


class _FirstKey:
    """The key that the settings give, if any, with every scope; the one that they gave before ends."""

    def __init__(self, secret: str, database: Database) -> None:
        self._secret = secret
        self._database = database

    def make(self) -> None:
        """Once. Raises Unavailable."""
        if self._secret:
            with self._database.write() as tx:
                keys.set_bootstrap(tx, tenants.LOCAL, self._secret)
            self._secret = ""


def request_id(environ: Mapping[str, Any]) -> str:
    """The caller's, if it is a sane one, or a new one."""
    asked: str | None = environ.get("HTTP_X_REQUEST_ID")
    return asked if asked and _SANE_REQUEST_ID.fullmatch(asked) else f"req_{getrandbits(128):032x}"


def told_of_every_answer(id: str) -> list[tuple[str, str]]:
    """The headers that every answer has."""
    return [("X-Request-Id", id), ("X-Content-Type-Options", "nosniff")]


def register(app: Flask, door: Door) -> None:
    app.before_request(_name_request)
    app.before_request(partial(admit, door))
    app.after_request(_tell_request_id)


def _name_request() -> None:
    g.request_id = request_id(request.environ)


def _tell_request_id(response: Response) -> Response:
    response.headers.update(told_of_every_answer(g.request_id))
    return response


def admit(door: Door) -> None:
    """Let the caller of this request in, or raise Unauthorized, Forbidden, Unavailable."""
    if request.endpoint in OPEN:
        return
    caller = door.admit(request.environ)
    g.caller, g.tenant, g.scopes = caller, caller.tenant, caller.scopes
    caller.require(_scope_needed())


def caller() -> Admitted:
    """Return who has sent this request."""
    found: Admitted = g.caller
    return found


def _scope_needed() -> str:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    return "predict" if request.endpoint in _PREDICTING else "write"


def _check_browser(environ: Mapping[str, Any]) -> None:
    if not _is_loopback_host(environ.get("HTTP_HOST", "")):
        raise Forbidden("Without a key, calls are answered only when Host is a loopback name, like localhost.")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() != get_current_url(dict(environ), host_only=True).rstrip("/").lower():
        raise Forbidden("Without a key, calls from other origins are refused.")


@lru_cache(maxsize=256)
def _is_loopback_host(host: str) -> bool:
    return len(host) <= _LONGEST_HOST and is_loopback(re.sub(r":\d*+$", "", host).lower())
