"""Models over HTTP: a run's weights under a name, in versions, with aliases that move."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask.views import MethodView
from sqlalchemy import Connection

from service import answers, idempotency, preconditions
from service.blueprint import Resource
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.problems import Invalid
from service.schemas.models import MOST_VERSION, AliasIn, ModelIn, ModelOut, ModelPage, VersionOut, VersionPage
from service.schemas.pages import PageQuery
from service.serving import kept
from service.serving.served import usable
from store import models, runs, weights
from store.blob_ledger import Pins
from store.errors import NotFound
from store.runs import Run

resource = Resource("models", __name__, url_prefix="/v1/models", description="Trained networks under a name")

_VERSION, _MODEL = VersionOut(), ModelOut()
_EXAMPLE = {"name": "iris", "run": "run_06f3kq1v8nzc2w5t9xay7bm4dh", "alias": "prod"}


@resource.route("")
class Models(MethodView):
    @idempotency.once
    @resource.arguments(ModelIn, example=_EXAMPLE)
    @resource.response(201, VersionOut)
    @resource.header(IDEMPOTENT)
    def post(self, asked: dict[str, Any]) -> Response:
        """Name a run's weights: the next version of the model, which never changes whatever becomes of the run"""
        try:
            with parts().database.read() as tx:
                run = runs.get(tx, tenant(), asked["run"])
            return kept.with_weights(run, lambda run: _add(run, asked))
        except NotFound as error:
            raise Invalid({"run": f"the id of a run; there is no run {asked['run']}"}) from error

    @resource.arguments(PageQuery, location="query")
    @resource.response(200, ModelPage)
    def get(self, query: dict[str, Any]) -> Any:
        """List models, newest first, each with its newest version"""
        with parts().database.read() as tx:
            return models.page(tx, tenant(), **query)


@resource.route("/<name:name>")
class Model(MethodView):
    @resource.response(200, ModelOut)
    @resource.conditional
    def get(self, name: str) -> Response:
        """A model with its newest hundred versions, and its aliases"""
        with parts().database.read() as tx:
            return preconditions.answer(answers.tagged(_MODEL.dump(models.get(tx, tenant(), name))))

    @resource.response(204)
    @resource.conditional
    def delete(self, name: str) -> Response:
        """Delete a model with all its versions; the runs stay, and a model of that name that is made again counts on"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, name)):
            models.delete(tx, tenant(), name)
        parts().versions.forget(tenant(), name)
        return Response(status=204)


@resource.route("/<name:name>/versions")
class Versions(MethodView):
    @resource.arguments(PageQuery, location="query")
    @resource.response(200, VersionPage)
    def get(self, query: dict[str, Any], name: str) -> Any:
        """List the versions of a model, newest first"""
        with parts().database.read() as tx:
            return models.versions(tx, tenant(), name, **query)


@resource.route(f"/<name:name>/versions/<int(min=1, max={MOST_VERSION}):version>")
class Version(MethodView):
    @resource.response(200, VersionOut)
    @resource.conditional
    def get(self, name: str, version: int) -> Response:
        """A version of a model"""
        with parts().database.read() as tx:
            found = models.version(tx, tenant(), name, version)
        return preconditions.answer(answers.tagged(_VERSION.dump(found)))


@resource.route("/<name:name>/aliases/<name:alias>")
class Alias(MethodView):
    @resource.response(200, ModelOut)
    @resource.conditional
    def get(self, name: str, alias: str) -> Response:
        """The model that has this alias, as PUT answers it; `aliases` says which version it points to"""
        with parts().database.read() as tx:
            model = models.get(tx, tenant(), name)
        if alias not in model.aliases:
            raise NotFound("alias", f"{name}@{alias}")
        return preconditions.answer(answers.tagged(_MODEL.dump(model)))

    @resource.arguments(AliasIn, example={"version": 2})
    @resource.response(200, ModelOut)
    @resource.conditional
    def put(self, asked: Mapping[str, Any], name: str, alias: str) -> Response:
        """Let an alias point to a version; the next prediction by it is that version's"""
        try:
            with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, name, alias)):
                model = models.point(tx, tenant(), name, alias, asked["version"])
        except NotFound as error:
            if error.noun != "version":
                raise
            raise Invalid({"version": f"the number of a version of {name}; there is no {error.id}"}) from error
        parts().versions.forget(tenant(), name)
        return answers.tagged(_MODEL.dump(model))

    @resource.response(204)
    @resource.conditional
    def delete(self, name: str, alias: str) -> Response:
        """Delete an alias; the version stays"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, name, alias)):
            models.forget_alias(tx, tenant(), name, alias)
        parts().versions.forget(tenant(), name)
        return Response(status=204)


def _tag(tx: Connection, name: str, alias: str | None = None) -> str | None:
    """Return the ETag that the model has now, or None where it has not this alias; others wait until we are through."""
    model = models.lock(tx, tenant(), name)
    return None if alias is not None and alias not in model.aliases else answers.etag(_MODEL.dump(model))


def _add(run: Run, asked: Mapping[str, Any]) -> Response:
    member = kept.member_of(parts().database, run, asked.get("member"))
    found = kept.read(parts().blobs, kept.blob_of(run))
    members = found.predicts if member is None else (member,)
    tensors, header = found.only(members)
    model = usable(found, member)
    pins = Pins(parts().database, parts().blobs)
    blob = pins.put(weights.stream({name: each.numpy() for name, each in tensors.items()}, header))
    with pins.named(blob) as tx:
        version = models.add(
            tx,
            tenant(),
            asked["name"],
            run=run.id,
            member=member,
            inputs=model.inputs,
            outputs=model.target.outputs,
            blob=blob,
            sha256=found.sha256(members),
            alias=asked.get("alias"),
        )
        at = f"/v1/models/{version.name}/versions/{version.version}"
        response = idempotency.answer(tx, _VERSION.dump(version), 201, {"Location": at})
    parts().versions.forget(tenant(), version.name)
    return response
