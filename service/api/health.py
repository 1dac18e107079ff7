"""Whether the service lives, whether it can work, and its figures. No key is asked for by the first two."""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Response, request
from flask.views import MethodView
from sqlalchemy.exc import SQLAlchemyError

from service import accept, answers, figures
from service.blueprint import Resource
from service.parts import parts
from store import figures as counted
from store import tenants
from store.errors import StoreError

resource = Resource("health", __name__, description="The service itself")

log = structlog.get_logger(__name__)

ALIVE = {"status": "ok"}
_NO_BLOB = "sha256/00/" + "0" * 62
_ALIVE = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
_CHECKS = ("database", "blobs", "broker")
_READY = {
    "type": "object",
    "required": ["status", *_CHECKS],
    "properties": {"status": {"enum": ["ready", "not ready"]}}
    | {name: {"enum": ["ok", "unreachable"]} for name in _CHECKS},
}


@resource.route("/healthz")
class Alive(MethodView):
    @resource.response(200, _ALIVE)
    def get(self) -> Response:
        """Whether this process lives"""
        return answers.plain(ALIVE)


@resource.route("/readyz")
class Ready(MethodView):
    @resource.response(200, _READY)
    @resource.alt_response(503, schema=_READY, description="Database or blobs are away")
    def get(self) -> Response:
        """Whether database, blobs and broker answer; runs are accepted without the broker, and wait"""
        works = {**storage(), "broker": parts().bell.answers()}
        ready = works["database"] and works["blobs"]
        told: dict[str, Any] = {name: "ok" if fine else "unreachable" for name, fine in works.items()}
        return answers.plain({"status": "ready" if ready else "not ready", **told}, 200 if ready else 503)


@resource.route("/metrics")
class Figures(MethodView):
    @resource.response(200, {"type": "string"}, content_type="text/plain")
    @resource.response(200, {"type": "string"}, content_type="application/openmetrics-text")
    def get(self) -> Response:
        """The service's figures, for Prometheus: in its text format or, where `Accept` asks for it, as OpenMetrics"""
        media = accept.preferred(request.headers.get("Accept"), figures.MEDIA_TYPES) or figures.MEDIA_TYPES[0]
        with parts().database.read() as tx:
            found = counted.read(tx)
        return Response(figures.exposition(found, media), content_type=media, headers={"Vary": "Accept"})


def storage() -> dict[str, bool]:
    """Whether what predictions need can be had."""
    return {"database": _works(_database), "blobs": _works(_blobs)}


def _works(check: Callable[[], None]) -> bool:
    try:
        check()
    except (StoreError, SQLAlchemyError, OSError) as error:
        log.warning("not ready", check=check.__name__, error=str(error))
        return False
    return True


def _database() -> None:
    with parts().database.read() as tx:
        tenants.exists(tx, tenants.LOCAL)


def _blobs() -> None:
    blobs = parts().blobs
    blobs.exists(_NO_BLOB)
    blobs.scratch.stat()
