"""The API process, put together: the one place where its parts are made and handed to each other."""

import re
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import torch
from flask import Flask

from service import access, answers, blueprint, body_limits, exposure, parts, problems
from service.api import (
    analyses,
    batch_predictions,
    datasets,
    documents,
    events,
    health,
    inference,
    invocations,
    members,
    metrics,
    models,
    networks,
    predictions,
    regions,
    replays,
    runs,
    weights,
    workers,
)
from service.bell import Bell
from service.http_server.loop import Application
from service.http_server.reply import Reply, status_line
from service.openapi import Interface
from service.readiness import Readiness
from service.resolution.targets import TargetColumns
from service.serving.served import ServedModels
from service.serving.versions import Versions
from service.serving.wire import Wire
from service.streaming import Streams
from store.blob_copies import sweep_copies
from store.blobs import Blobs
from store.database import Database
from store.errors import Unavailable
from store.settings import Settings
from store.sweeping import ABANDONED_SECONDS
from store.tabular import import_processes
from store.tabular.import_processes import ImportProcesses, Limits

# Requests answered at once by one process. Each `?wait=` holds one of any kind, an event stream has its own; what takes
# long has threads of its own, so that much of it keeps nothing else waiting.
_THREADS = {"any": 32, "probes": 2, "uploads": 8, "files": 2}
_WARM_SECONDS = 1.5
_PROBES = frozenset({"/readyz", "/v2/health/live", "/v2/health/ready"})
_FILES = re.compile(r"/v1/(?:batch-predictions/[^/]+/result|runs/[^/]+/(?:weights|onnx|regions))")

RESOURCES = (
    datasets,
    networks,
    runs,
    replays,
    members,
    metrics,
    events,
    weights,
    regions,
    analyses,
    models,
    predictions,
    invocations,
    inference,
    batch_predictions,
    workers,
    health,
)


def create_app(settings: Settings) -> Flask:
    """The WSGI application, on a database whose tables are there. Raises Exposed, as `exposure.check` does."""
    exposure.check(settings)
    # The server has threads enough; torch's own would only fight them, and the training beside them, for the cores.
    torch.set_num_threads(1)
    database = Database(settings.database)
    blobs = Blobs(settings.blobs, settings.data_dir / "cache", settings.blob_timeout_seconds)
    bell = Bell(settings.redis_url)
    app = Flask("learnd", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=blueprint.SPEC_BYTES,  # a route that takes more says so itself
        # The parser holds what it reads, 64 KiB at a time, beside what it has not taken apart yet; and not only fields.
        MAX_FORM_MEMORY_SIZE=4 * blueprint.SPEC_BYTES,
        MAX_FORM_PARTS=10,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.json = answers.Provider(app)
    app.url_map.converters |= {"id": blueprint.Id, "name": blueprint.Name, "ref": blueprint.Ref}
    made = parts.Parts(
        settings=settings,
        database=database,
        blobs=blobs,
        bell=bell,
        models=ServedModels(blobs, settings.max_served_models, settings.max_served_bytes),
        versions=Versions(database),
        targets=TargetColumns(blobs),
        streams=Streams(settings.max_streams),
        readiness=Readiness(database, blobs, bell.answers),
        imports=ImportProcesses(
            settings.max_imports,
            Limits(rows=settings.max_rows, columns=settings.max_columns, bytes=8 * settings.max_upload_bytes),
        ),
    )
    parts.install(app, made)
    door = access.Door(settings, database)
    access.register(app, door)
    body_limits.register(app, settings)
    interface = Interface(app)
    for each in RESOURCES:
        interface.register_blueprint(each.resource)
    documents.register(app, interface.document)
    app.extensions["door"] = door
    app.wsgi_app = app.extensions["wire"] = Wire(app.wsgi_app, made, door)  # type: ignore[method-assign, assignment]
    return app


def create_application(settings: Settings) -> Application:
    """The application with what the HTTP server asks of it beside. Raises Exposed, as `exposure.check` does."""
    app = create_app(settings)
    made: parts.Parts = app.extensions["learnd"]
    # Ready before anybody has a table to send, and not in the way of what starts now.
    warming = threading.Timer(_WARM_SECONDS, import_processes.start)
    warming.daemon = True
    warming.start()
    tempfile.tempdir = str(made.blobs.scratch)  # where a form's file waits: /tmp may be small, or memory
    made.blobs.sweep(ABANDONED_SECONDS)  # what died on this machine; the reconciler may be on another
    with suppress(Unavailable):  # else at the next start
        sweep_copies(made.database, made.blobs)
    return Application(
        wsgi=app,
        folder=made.blobs.scratch,
        threads=_THREADS | {"any": _THREADS["any"] + settings.max_streams},
        kind=_kind,
        wants=body_limits.Wanted(app, app.extensions["door"], settings),
        refusal=_refusal,
        at_once={"/healthz": _alive},
        quick=app.extensions["wire"],
    )


def _kind(method: str, target: str) -> str:
    path = target.partition("?")[0]
    if path in _PROBES:
        return "probes"
    if path == "/v1/datasets" and method == "POST":
        return "uploads"
    return "files" if _FILES.fullmatch(path) else "any"


def _refusal(status: int, detail: str) -> Reply:
    id = access.request_id({})
    content = answers.encoded(problems.document(HTTPStatus(status), detail, id))
    headers = [("Content-Type", problems.MEDIA_TYPE), *access.told_of_every_answer(id)]
    return Reply(status_line(status), headers, content, None, None)


def _alive(environ: Mapping[str, Any]) -> Reply:
    headers = [("Content-Type", answers.JSON), *access.told_of_every_answer(access.request_id(environ))]
    return Reply(status_line(200), headers, answers.encoded(health.ALIVE), None, None)
