"""A prediction request read, and its answer: what stands between the wire and a `Model`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any

from flask import Request, Response
from marshmallow import ValidationError

from learning.model import MeanModel, Model
from service import accept, json_pieces, strict_json
from service.answers import JSON
from service.blueprint import read_body, refuse_rest, require_media
from service.json_pieces import Pieces
from service.problems import Invalid, Malformed, flatten
from service.schemas.predictions import MOST_INSTANCES, PredictionIn
from service.serving import answering, csv_rows, json_rows
from service.serving.answering import Options, Reader

MOST_BYTES = 64 << 20
_LONG = 1 << 20  # bytes
CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"

_SCHEMA = PredictionIn()
_STREAMED: Mapping[json_pieces.Path, int] = {("instances",): MOST_INSTANCES}
_NO_CALIBRATION = (
    "null: intervals are learned from validation rows or folds, for what the run predicts as and no other member"
)


@dataclass(frozen=True)
class Asked(Options):
    """`slices` are the rows as a model's inputs; raises Invalid where they do not fit them."""

    slices: Reader
    media: str  # of the answer


def read(request: Request, query: Mapping[str, Any]) -> Asked:
    """The options are in the body where that is JSON, else in the query.

    Raises NotAcceptable, WrongMedia, Malformed, Invalid, and 413 past MOST_BYTES.
    """
    media = accept.choose(request.headers.get("Accept"), (JSON, CSV, ARROW))
    body = read_large_body(request)
    require_media(request, JSON, CSV, ARROW)
    if request.mimetype != JSON:
        reader = csv_rows if request.mimetype == CSV else _arrow_rows()
        slices = partial(reader.slices, body, most=MOST_INSTANCES)
        return Asked(query.get("probabilities", False), query.get("interval"), query.get("member"), slices, media)
    if query:
        raise Invalid(dict.fromkeys(query, "absent: with application/json it stands in the body"))
    return of_json(body, media)


def of_json(body: bytes, media: str = JSON) -> Asked:
    """Raises Malformed, Invalid."""
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    try:
        found: dict[str, Any] = _SCHEMA.load(parsed(body, _STREAMED))
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    slices = partial(json_rows.slices, checked(found["instances"]))
    return Asked(found["probabilities"], found["interval"], found.get("member"), slices, media)


def read_large_body(request: Request) -> bytes:
    """Raises 413 past MOST_BYTES."""
    length = request.content_length or 0
    if not _LONG <= length <= MOST_BYTES:
        return read_body(request)
    # In one read, which a file lets other threads go on for: copies of so much would hold Python's lock.
    body: bytes = request.environ["wsgi.input"].read(length)
    refuse_rest(request)
    return body


def checked(instances: list[Any] | Pieces, place: str = "instances") -> list[Any] | Pieces:
    """Raises Invalid for none, and for too many."""
    if not 1 <= len(instances) <= MOST_INSTANCES:
        raise Invalid({place: f"a list of 1 to {MOST_INSTANCES} records or arrays"})
    return instances


def parsed(body: bytes, streamed: Mapping[json_pieces.Path, int]) -> dict[str, Any]:
    """The body, with `Pieces` for the streamed arrays of a large one. Raises Malformed, Invalid."""
    is_small = len(body) <= json_pieces.SMALL_BYTES
    return strict_json.parse_large(body) if is_small else json_pieces.parse(body, streamed)


@cache
def _arrow_rows() -> ModuleType:
    return import_module("service.serving.arrow_rows")


def respond(model: Model | MeanModel, asked: Asked, by: Mapping[str, Any]) -> Response:
    """The answer to what was asked; `by` says whose it is: in JSON its last members, else headers."""
    check(model, asked)
    if asked.media == JSON:
        return Response(answering.json(model, asked.slices, asked, by), content_type=JSON)
    said = {name: str(value) for name, value in by.items() if value is not None}
    headers = {f"X-Learnd-{name.title()}": value for name, value in said.items()}
    if asked.media == CSV:
        return Response(
            answering.csv(model, asked.slices, asked), headers=headers, content_type=f"{CSV}; charset=utf-8"
        )
    columns = answering.columns(model, asked.slices, asked)
    return Response(_arrow_rows().written(columns, said), headers=headers, content_type=ARROW)


def check(model: Model | MeanModel, asked: Options) -> None:
    """Raises Invalid for what this model cannot say."""
    if asked.probabilities and model.target.outcomes is None:
        raise Invalid({"probabilities": "false: a regression has none"})
    if asked.interval is not None and model.calibration is None:
        raise Invalid({"interval": _NO_CALIBRATION})


def body_of(example: Mapping[str, Any]) -> dict[str, Any]:
    """The request body for the document: read here and not by the blueprint, for it may be large."""
    schema = {"$ref": "#/components/schemas/PredictionIn"}
    content = {JSON: {"schema": schema, "example": example}, **TABLES}
    return {"required": True, "description": "Options of CSV and Arrow stand in the query", "content": content}


TABLES: Mapping[str, Any] = {
    CSV: {"schema": {"type": "string", "description": "With a header"}},
    ARROW: {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
