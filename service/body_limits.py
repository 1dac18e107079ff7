"""How many bytes of a body each address takes: asked by the HTTP server before a body comes, and by the views."""

from collections.abc import Mapping
from typing import Any

import flask
from flask import Flask

from service import access
from service.api import replays
from service.blueprint import SPEC_BYTES
from service.problems import Problem
from service.serving import prediction
from store.errors import StoreError
from store.settings import Settings

_FORM_EXTRA_BYTES = 1 << 20  # boundaries, headers and the name around a file
_LARGER = {
    **dict.fromkeys(("predictions.RunPredictions", "predictions.ModelPredictions"), prediction.MOST_BYTES),
    **dict.fromkeys(
        ("invocations.Invocations", "inference.ModelInfer", "inference.VersionInfer"), prediction.MOST_BYTES
    ),
    "replays.Replays": replays.MOST_BYTES,
}


def register(app: Flask, settings: Settings) -> None:
    """Set each request's limit."""

    def limit() -> None:
        flask.request.max_content_length = _limit_of(flask.request.endpoint, settings)

    app.before_request(limit)


class Wanted:
    """Says how many bytes of a body will be taken from a caller, and None where the request is refused without it."""

    def __init__(self, app: Flask, door: access.Door, settings: Settings) -> None:
        self._app = app
        self._door = door
        self._settings = settings

    def __call__(self, environ: Mapping[str, Any]) -> int | None:
        with self._app.request_context(dict(environ)):
            endpoint = flask.request.endpoint
            if flask.request.routing_exception is not None or endpoint is None:
                return None
            try:
                access.admit(self._door)
            except (Problem, StoreError):  # which the application meets again, and answers
                return None
            return _limit_of(endpoint, self._settings)


def _limit_of(endpoint: str | None, settings: Settings) -> int:
    if endpoint == "datasets.Datasets":
        return settings.max_upload_bytes + _FORM_EXTRA_BYTES
    return _LARGER.get(endpoint or "", SPEC_BYTES)
