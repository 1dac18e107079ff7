"""What marshmallow cannot tell OpenAPI: raw bodies, headers, and the errors that any address may answer."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from flask_smorest import Api  # type: ignore[import-untyped]
from marshmallow import Schema

from service import problems
from service.blueprint import IF_MATCH, Id, Name, Ref
from service.document_rules import link, refine
from service.problems import MEDIA_TYPE
from service.schemas.datasets import ColumnOut, WarningOut
from service.schemas.fields import TEXT
from service.schemas.inference import InferenceIn
from service.schemas.invocations import InvocationIn
from service.schemas.networks import NetworkShape
from service.schemas.predictions import PredictionIn
from service.schemas.problems import ProblemOut
from service.schemas.replays import ReceiptIn

_BINARY = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
_CSV_EXAMPLE = "sepal_length,sepal_width,species\n5.1,3.5,setosa\n6.7,3.1,versicolor\n"

UPLOAD: Mapping[str, Any] = {
    "required": True,
    "description": "The table itself, also with Content-Encoding: gzip; or a form with the parts `file` and `name`.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
        "application/vnd.apache.parquet": _BINARY,
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"x": 1, "y": 2}\n{"x": 2, "y": 4}\n'},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "contentMediaType": "application/octet-stream"},
                    "name": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": TEXT},
                },
            },
            "encoding": {"file": {"contentType": "text/csv, application/vnd.apache.parquet, application/x-ndjson"}},
        },
    },
}


FILE: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}


def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": description, "schema": {"type": "string", **schema}}


IDEMPOTENT = header("Idempotency-Key", "The same request with the same key is done once", pattern="^[!-~]{1,255}$")
LAST_EVENT_ID = header("Last-Event-ID", "Of a stream: the id of the last event seen; it goes on after that one")
REQUEST_ID = header("X-Request-Id", "The caller's own id of this request, answered as it came")

_OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")  # no key is asked for

_REASONS = {
    "400": "Malformed: not JSON, not an object, not UTF-8",
    "401": "A key is asked for",
    "403": "The key lacks a scope; or, without keys, Host or Origin is another's",
    "404": "There is nothing of this id",
    "405": "The method is not possible here",
    "406": "The form asked for in Accept is not there",
    "409": "The state does not allow it",
    "410": "Its bytes are lost: the service's storage no longer has them",
    "412": "A precondition does not hold; nothing was done",
    "413": "The body is over its limit",
    "415": "Another media type than this address takes",
    "422": "Well-formed, but wrong: `errors` says which fields",
    "500": "Our fault; the log has it under the request_id",
    "503": "The database is busy or away, or every place is taken; Retry-After says when to ask again",
    "507": "No room is left",
}


class Interface(Api):  # type: ignore[misc]  # the library carries no types
    """The API whose errors are problem details, in the document as on the wire."""

    ERROR_SCHEMA = ProblemOut
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask) -> None:
        app.config.update(API_TITLE="learnd", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
        super().__init__(
            app,
            spec_kwargs={
                "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=_name_of),
                "info": {"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
                "servers": [{"url": "/"}],
            },
        )
        self.register_converter(Id, lambda converter: {"type": "string", "pattern": f"^{converter.regex}$"})
        for converter in (Name, Ref):
            self.register_converter(converter, lambda each: {"type": "string", "pattern": f"^{each.regex}$"})
        # Those that are only named by reference, from fields that pass JSON through as it is.
        named = (ProblemOut, ColumnOut, WarningOut, NetworkShape, PredictionIn, InvocationIn, InferenceIn, ReceiptIn)
        for schema in named:
            if _name_of(schema) not in self.spec.components.schemas:
                self.spec.components.schema(_name_of(schema), schema=schema)

    def document(self) -> dict[str, Any]:
        return complete(self.spec.to_dict())

    def _register_error_handlers(self) -> None:
        problems.register(self._app)


def _name_of(schema: type[Schema] | Schema | str) -> str:
    """What a schema is called in the document: a run is a Run, not a RunOut."""
    if isinstance(schema, str):
        return schema
    return (schema if isinstance(schema, type) else type(schema)).__name__.removesuffix("Out")


_ABOUT = f"""learnd {version("learnd")} trains feed-forward neural networks on tables of examples and serves
predictions.

Send a table, ask for a run, wait for it, predict. Every error is `application/problem+json`;
with 422, `errors` maps each wrong field to what is allowed there.

No text or name, wherever it stands in a body, may hold U+0000 or half a surrogate pair."""


def complete(spec: dict[str, Any]) -> dict[str, Any]:
    """The document with every error of every operation, the security scheme and the answers' own headers."""
    components = spec.setdefault("components", {})
    components["responses"] = {f"Problem{status}": _problem(status) for status in _REASONS}
    components["schemas"].pop("PaginationMetadataSchema", None)  # the library's own pages are not ours
    refine(components["schemas"])
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    components["headers"] = {"RequestId": {"description": "This request's id", "schema": {"type": "string"}}}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            operation["operationId"] = _operation_id(method, path)
            operation["responses"] = _sorted(_with_errors(operation, method, path))
            operation.setdefault("parameters", []).append(REQUEST_ID)
            if path in _OPEN:
                operation["security"] = []
    link(spec["paths"])
    spec["security"] = [{}, {"key": []}]
    return spec


def _with_errors(operation: Mapping[str, Any], method: str, path: str) -> dict[str, Any]:
    responses = {status: dict(response) for status, response in operation["responses"].items()}
    possible = {"405", "422", "500"}
    if path not in _OPEN:
        possible |= {"401", "403", "410", "503"}
    if "{" in path:
        possible |= {"404"}
    if method in ("delete", "patch", "post", "put"):
        possible |= {"409", "507"}
    if path.endswith(("/events", "/predictions", "/result")):
        possible |= {"406"}
    if path.endswith(("/weights", "/onnx", "/receipt", "/evaluation", "/importance", "/regions", "/result")):
        possible |= {"409"}
    if "requestBody" in operation:
        possible |= {"400", "413", "415"}
    if any(each.get("name") == IF_MATCH["name"] for each in operation.get("parameters", ())):
        possible |= {"412"}
        _tell_of_tags(responses, method)
    for response in responses.values():
        if "$ref" not in response:
            response.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/RequestId"}
    for status in possible:
        responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
    return responses


def _tell_of_tags(responses: dict[str, Any], method: str) -> None:
    for status, response in responses.items():
        if status.startswith("2") and status != "204":
            response.setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
    if method == "get":
        tag = {"ETag": {"schema": {"type": "string"}}}
        responses["304"] = {"description": "The caller has it: If-None-Match names its ETag", "headers": tag}


def _problem(status: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    found: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {MEDIA_TYPE: {"schema": schema}},
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    }
    if status == "503":
        found["headers"]["Retry-After"] = {"schema": {"type": "integer"}}
    if status == "405":
        found["headers"]["Allow"] = {"schema": {"type": "string"}}
    return found


def _operation_id(method: str, path: str) -> str:
    words = [word.strip("{}").replace("-", "_").replace(".", "_") for word in path.split("/") if word not in ("", "v1")]
    return "_".join([method, *words])


def _sorted(responses: Mapping[str, Any]) -> dict[str, Any]:
    return {status: responses[status] for status in sorted(responses)}
