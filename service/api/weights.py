"""Trained networks to take away: a member's weights, and whole models that predict without learnd."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from learning.model import MeanModel, Model
from service import answers, preconditions
from service.blueprint import Resource
from service.openapi import FILE
from service.parts import parts, tenant
from service.problems import Invalid
from service.schemas.exports import ModelQuery, WeightsQuery
from service.serving import kept
from store import models, runs
from store.models import Version
from store.runs import Run

resource = Resource("weights", __name__, url_prefix="/v1", description="Trained networks to take away")


@resource.route("/runs/<id('run'):id>/weights")
class RunWeights(MethodView):
    @resource.arguments(WeightsQuery, location="query")
    @resource.response(200, FILE, content_type=answers.BINARY)
    @resource.conditional
    def get(self, query: dict[str, Any], id: str) -> Response:
        """The kept weights of a member as safetensors, with what is needed to predict in its metadata"""

        def file(run: Run) -> Response:
            blob = kept.blob_of(run)
            member = kept.member_of(parts().database, run, query.get("member"))
            if member is None:
                raise _required("run", parts().models.predicts(blob))
            return preconditions.answer(
                answers.file(kept.file_of(parts().blobs, blob, member), f"{run.id}-{member}.safetensors")
            )

        return kept.with_weights(_run(id), file)


@resource.route("/runs/<id('run'):id>/onnx")
class RunOnnx(MethodView):
    @resource.arguments(ModelQuery, location="query")
    @resource.response(200, FILE, content_type=answers.BINARY)
    @resource.conditional
    def get(self, query: dict[str, Any], id: str) -> Response:
        """What the run predicts as, or one member, as ONNX that takes raw features: preprocessing is inside"""

        def file(run: Run) -> Response:
            member = kept.member_of(parts().database, run, query.get("member"))
            model = parts().models.get(kept.blob_of(run), member)
            return preconditions.answer(
                answers.file(_onnx(model, _source(run.id, member)), f"{_named(run.id, member)}.onnx")
            )

        return kept.with_weights(_run(id), file)


@resource.route("/models/<ref:ref>/weights")
class ModelWeights(MethodView):
    @resource.arguments(WeightsQuery, location="query")
    @resource.response(200, FILE, content_type=answers.BINARY)
    @resource.conditional
    def get(self, query: dict[str, Any], ref: str) -> Response:
        """A model's weights as safetensors, of one member where it is several; as those of a run"""
        version = _version(ref)
        member = _member(version, query.get("member"))
        if member is None:
            raise _required("model", parts().models.predicts(version.blob))
        content = kept.file_of(parts().blobs, version.blob, member)
        return preconditions.answer(answers.file(content, f"{_named(_stem(version), member)}.safetensors"))


@resource.route("/models/<ref:ref>/onnx")
class ModelOnnx(MethodView):
    @resource.arguments(ModelQuery, location="query")
    @resource.response(200, FILE, content_type=answers.BINARY)
    @resource.conditional
    def get(self, query: dict[str, Any], ref: str) -> Response:
        """A model, or one of its members, as ONNX that takes raw features: preprocessing is inside"""
        version = _version(ref)
        member = _member(version, query.get("member"))
        model = parts().models.get(version.blob, member)
        source = {"model": _ref(version), **_source(version.run, member)}
        return preconditions.answer(answers.file(_onnx(model, source), f"{_named(_stem(version), member)}.onnx"))


def _run(id: str) -> Run:
    with parts().database.read() as tx:
        return runs.get(tx, tenant(), id)


def _member(version: Version, asked: int | None) -> int | None:
    """The member asked for, or the only one; None where several answer together. Raises Invalid for another."""
    members = parts().models.predicts(version.blob)
    if asked is None:
        return members[0] if len(members) == 1 else None
    if asked not in members:
        raise Invalid({"member": f"{', '.join(map(str, members))}: the model {_ref(version)} has no other"})
    return asked


def _required(what: str, members: tuple[int, ...]) -> Invalid:
    told = ", ".join(map(str, members))
    return Invalid({"member": f"required here, for this {what} answers by several; by members {told}"})


def _source(run: str, member: int | None) -> Mapping[str, str]:
    return {"run": run} if member is None else {"run": run, "member": str(member)}


def _version(ref: str) -> Version:
    with parts().database.read() as tx:
        meant = models.resolve(tx, tenant(), ref)
        return models.version(tx, tenant(), meant.name, meant.version)


def _ref(version: Version) -> str:
    return f"{version.name}:{version.version}"


def _stem(version: Version) -> str:
    return f"{version.name}-{version.version}"


def _named(stem: str, member: int | None) -> str:
    return stem if member is None else f"{stem}-{member}"


def _onnx(model: Model | MeanModel, source: Mapping[str, str]) -> bytes:
    # The library takes a tenth of a second to import, which the first file waits for and no start of the service does.
    from service.exporting.onnx_file import onnx_file  # noqa: PLC0415

    return onnx_file(model, source)
