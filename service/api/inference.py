"""The Open Inference Protocol v2 over HTTP, with the binary tensor extension: what Triton's and KServe's clients speak.

A model's name in it may be any reference: `name`, `name@alias` or `name:version`. Its errors are problem details, with
the member `error` that such clients read.
"""

from importlib.metadata import version as release
from typing import Any

from flask import Response, request
from flask.views import MethodView

from learning.model import MeanModel, Model
from service import answers
from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.inference import InferenceModelOut, InferenceModelReadyOut, InferenceOut, ServerOut
from service.serving import inference
from store import models

resource = Resource("inference", __name__, url_prefix="/v2", description="The Open Inference Protocol")

_LIVE = {"type": "object", "required": ["live"], "properties": {"live": {"const": True}}}
_READY = {"type": "object", "required": ["ready"], "properties": {"ready": {"type": "boolean"}}}
_EXAMPLE = {
    "inputs": [{"name": "sepal_length", "datatype": "FP64", "shape": [2], "data": [5.1, 6.7]}],
    "outputs": [{"name": "predictions"}],
}
_BINARY = {"type": "string", "contentMediaType": inference.BINARY}
_BODY = {
    "required": True,
    "description": f"In binary the JSON comes first, and {inference.HEADER} says how long it is",
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/InferenceIn"}, "example": _EXAMPLE},
        inference.BINARY: {"schema": _BINARY},
    },
}


@resource.route("")
class Server(MethodView):
    @resource.response(200, ServerOut)
    def get(self) -> Response:
        """What this server is"""
        told = {"name": "learnd", "version": release("learnd"), "extensions": ["binary_tensor_data"]}
        return answers.plain(told)


@resource.route("/health/live")
class Live(MethodView):
    @resource.response(200, _LIVE)
    def get(self) -> Response:
        """Whether this process lives"""
        return answers.plain({"live": True})


@resource.route("/health/ready")
class Ready(MethodView):
    @resource.response(200, _READY)
    @resource.alt_response(503, schema=_READY, description="Database or blobs are away")
    def get(self) -> Response:
        """Whether predictions can be asked for"""
        ready = parts().readiness.storage()
        return answers.plain({"ready": ready}, 200 if ready else 503)


@resource.route("/models/<ref:ref>")
class ModelMetadata(MethodView):
    @resource.response(200, InferenceModelOut)
    def get(self, ref: str) -> Response:
        """A model's inputs and outputs"""
        return _metadata(ref)


@resource.route("/models/<name:name>/versions/<int:version>")
class VersionMetadata(MethodView):
    @resource.response(200, InferenceModelOut)
    def get(self, name: str, version: int) -> Response:
        """A version's inputs and outputs"""
        return _metadata(f"{name}:{version}")


@resource.route("/models/<ref:ref>/ready")
class ModelReady(MethodView):
    @resource.response(200, InferenceModelReadyOut)
    def get(self, ref: str) -> Response:
        """Whether a model can be asked; it is in memory then"""
        return _ready(ref)


@resource.route("/models/<name:name>/versions/<int:version>/ready")
class VersionReady(MethodView):
    @resource.response(200, InferenceModelReadyOut)
    def get(self, name: str, version: int) -> Response:
        """Whether a version can be asked; it is in memory then"""
        return _ready(f"{name}:{version}")


@resource.route("/models/<ref:ref>/infer")
class ModelInfer(MethodView):
    @resource.response(200, _BINARY, content_type=inference.BINARY)
    @resource.response(200, InferenceOut)
    @resource.doc(requestBody=_BODY)
    def post(self, ref: str) -> Response:
        """Predict by a model from tensors"""
        return _infer(ref)


@resource.route("/models/<name:name>/versions/<int:version>/infer")
class VersionInfer(MethodView):
    @resource.response(200, _BINARY, content_type=inference.BINARY)
    @resource.response(200, InferenceOut)
    @resource.doc(requestBody=_BODY)
    def post(self, name: str, version: int) -> Response:
        """Predict by a version from tensors"""
        return _infer(f"{name}:{version}")


def _meant(ref: str) -> tuple[models.Meaning, Model | MeanModel]:
    """Raises NotFound."""
    found = parts().versions.get(tenant(), ref)
    return found, parts().models.get(found.blob, None)


def _metadata(ref: str) -> Response:
    found, model = _meant(ref)
    told: dict[str, Any] = {
        "name": found.name,
        "versions": [str(found.version)],
        "platform": "learnd_torch",
        "inputs": inference.told_inputs(model.inputs),
        "outputs": inference.told_outputs(model.target),
    }
    return answers.plain(told)


def _ready(ref: str) -> Response:
    found, _ = _meant(ref)
    return answers.plain({"name": found.name, "ready": True})


def _infer(ref: str) -> Response:
    asked = inference.read(request)
    found, model = _meant(ref)
    return inference.respond(model, asked, found.name, found.version)
