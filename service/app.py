"""The API process, put together: the one place where its parts are made and handed to each other."""

import torch
from flask import Flask

from service import access, answers, blueprint, exposure, parts, unread
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
    replays,
    runs,
    weights,
    workers,
)
from service.bell import Bell
from service.openapi import Interface
from service.resolution.targets import TargetColumns
from service.serving.served import ServedModels
from service.serving.versions import Versions
from service.serving.wire import Wire
from service.streaming import Streams
from store.blobs import Blobs
from store.database import Database
from store.settings import Settings

RESOURCES = (
    datasets,
    networks,
    runs,
    replays,
    members,
    metrics,
    events,
    weights,
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
    blobs = Blobs(settings.blobs, settings.data_dir / "cache")
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
        bell=Bell(settings.redis_url),
        models=ServedModels(blobs, settings.max_served_models, settings.max_served_bytes),
        versions=Versions(database),
        targets=TargetColumns(blobs),
        streams=Streams(settings.max_streams),
    )
    parts.install(app, made)
    door = access.Door(settings, database)
    access.register(app, door)
    unread.register(app)
    interface = Interface(app)
    for each in RESOURCES:
        interface.register_blueprint(each.resource)
    documents.register(app, interface.document)
    app.wsgi_app = Wire(app.wsgi_app, made, door)  # type: ignore[method-assign, assignment]
    return app
