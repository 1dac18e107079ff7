"""Whether the service lives, whether it can work, and its figures. No key is asked for by the first two."""

from typing import Any

import structlog
from flask import Response, request
from flask.views import MethodView

from service import accept, answers, figures
from service.blueprint import Resource
from service.parts import parts
from store import figures as counted

resource = Resource("health", __name__, description="The service itself")

log = structlog.get_logger(__name__)

ALIVE = {"status": "ok"}
_ALIVE = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
_CHECKS = ("database", "blobs", "broker")
_READY = {
    "type": "object",
    "required": ["status", *_CHECKS],
    "properties": {"status": {"enum": ["ready", "not ready"]}}
    | {name: {"enum": ["ok", "unreachable"]} for name in _CHECKS}
    | {
        "seconds_ago": {
            "type": "object",
            "description": "How long ago each was looked at; null: never yet",
            "properties": {name: {"type": ["number", "null"]} for name in _CHECKS},
        }
    },
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
        found = parts().readiness.everything()
        ready = found["database"].works and found["blobs"].works
        told: dict[str, Any] = {name: "ok" if each.works else "unreachable" for name, each in found.items()}
        ages = {name: None if each.seconds_ago is None else round(each.seconds_ago, 3) for name, each in found.items()}
        body = {"status": "ready" if ready else "not ready", **told, "seconds_ago": ages}
        return answers.plain(body, 200 if ready else 503)


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
