"""Models over HTTP: a run's weights under a name, in versions, with aliases that move."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from service import answers, idempotency
from service.blueprint import Resource
from service.discarding import discard
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.problems import Clash, Invalid
from service.schemas.models import AliasIn, ModelIn, ModelOut, ModelPage, VersionOut
from service.schemas.pages import PageQuery
from service.serving import kept
from store import models, runs, weights
from store.errors import NotFound
from store.models import Version
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
        """List models, newest first"""
        with parts().database.read() as tx:
            return models.page(tx, tenant(), **query)


@resource.route("/<name:name>")
class Model(MethodView):
    @resource.response(200, ModelOut)
    def get(self, name: str) -> Any:
        """A model with its versions and aliases"""
        with parts().database.read() as tx:
            return models.get(tx, tenant(), name)

    @resource.response(204)
    def delete(self, name: str) -> Response:
        """Delete a model with all its versions; the runs stay"""
        with parts().database.write() as tx:
            freed = models.delete(tx, tenant(), name)
        parts().versions.forget()
        discard(freed)
        return Response(status=204)


@resource.route("/<name:name>/aliases/<name:alias>")
class Alias(MethodView):
    @resource.arguments(AliasIn, example={"version": 2})
    @resource.response(200, ModelOut)
    def put(self, asked: Mapping[str, Any], name: str, alias: str) -> Response:
        """Let an alias point to a version; the next prediction by it is that version's"""
        with parts().database.write() as tx:
            known = models.get(tx, tenant(), name)
            if asked["version"] not in {each.version for each in known.versions}:
                raise Invalid({"version": f"one of the versions of {name}, 1 to {known.latest}"})
            model = models.point(tx, tenant(), name, alias, asked["version"])
        parts().versions.forget()
        return answers.plain(_MODEL.dump(model))

    @resource.response(204)
    def delete(self, name: str, alias: str) -> Response:
        """Delete an alias; the version stays"""
        with parts().database.write() as tx:
            models.forget_alias(tx, tenant(), name, alias)
        parts().versions.forget()
        return Response(status=204)


def _add(run: Run, asked: Mapping[str, Any]) -> Response:
    member = kept.member_of(parts().database, run, asked.get("member"))
    found = kept.read(parts().blobs, kept.blob_of(run))
    members = found.predicts if member is None else (member,)
    tensors, header = found.only(members)
    model = found.model(member)
    if not model.is_finite:
        raise Clash(f"Member {member} failed before it had weights to keep.")
    blob = parts().blobs.put(weights.stream({name: each.numpy() for name, each in tensors.items()}, header))
    with parts().database.write() as tx:
        version: Version = models.add(
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
        response = idempotency.answer(
            tx, _VERSION.dump(version), 201, {"Location": f"/v1/models/{version.name}:{version.version}"}
        )
    parts().versions.forget()
    return response
