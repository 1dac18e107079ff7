"""A prediction request read, and its answer: what stands between the wire and a `Model`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any

from flask import Request, Response
from marshmallow import ValidationError

from learning.answer_columns import answer_columns
from learning.cells import Cells, Row
from learning.columns import Table
from learning.conformal import Calibration
from learning.model import MeanModel, Model, Prediction
from service import accept, answers, strict_json
from service.answers import JSON
from service.blueprint import read_body, require_media
from service.problems import Invalid, Malformed, flatten
from service.schemas.predictions import MOST_INSTANCES, PredictionIn
from service.serving import csv_rows
from service.serving.instances import Input, columns_of

MOST_BYTES = 64 << 20
CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"

_SCHEMA = PredictionIn()
_NO_CALIBRATION = (
    "null: intervals are learned from validation rows or folds, for what the run predicts as and no other member"
)


Rows = Table | Cells | Row  # what a model predicts from
Reader = Callable[[Sequence[Input]], Rows]  # of rows that came, for a model of these inputs


@dataclass(frozen=True)
class Options:
    probabilities: bool
    interval: float | None
    member: int | None


@dataclass(frozen=True)
class Asked(Options):
    """`table` makes the rows a table of a model's inputs, and raises Invalid where they do not fit them."""

    table: Reader
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
        table = partial(reader.table, body, most=MOST_INSTANCES)
        return Asked(query.get("probabilities", False), query.get("interval"), query.get("member"), table, media)
    if query:
        raise Invalid(dict.fromkeys(query, "absent: with application/json it stands in the body"))
    found = _of_json(body)
    table = partial(columns_of, checked(found["instances"]))
    return Asked(found["probabilities"], found["interval"], found.get("member"), table, media)


def read_large_body(request: Request) -> bytes:
    """Raises 413 past MOST_BYTES."""
    return read_body(request)


def checked(instances: list[Any], place: str = "instances") -> list[Any]:
    """Raises Invalid for none, and for too many."""
    if not 1 <= len(instances) <= MOST_INSTANCES:
        raise Invalid({place: f"a list of 1 to {MOST_INSTANCES} records or arrays"})
    return instances


def _of_json(body: bytes) -> dict[str, Any]:
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    try:
        found: dict[str, Any] = _SCHEMA.load(strict_json.parse_large(body))
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    return found


@cache
def _arrow_rows() -> ModuleType:
    return import_module("service.serving.arrow_rows")


def respond(model: Model | MeanModel, asked: Asked, by: Mapping[str, Any]) -> Response:
    """The answer to what was asked; `by` says whose it is: in JSON its last members, else headers."""
    check(model, asked)
    prediction = model.predict(asked.table(model.inputs))
    if asked.media == JSON:
        return answers.plain({**told(prediction, model.calibration, asked), **by})
    columns = answer_columns(
        prediction, probabilities=asked.probabilities, interval=asked.interval, calibration=model.calibration
    )
    said = {name: str(value) for name, value in by.items() if value is not None}
    headers = {f"X-Learnd-{name.title()}": value for name, value in said.items()}
    if asked.media == CSV:
        return Response(csv_rows.written(columns), headers=headers, content_type=f"{CSV}; charset=utf-8")
    return Response(_arrow_rows().written(columns, said), headers=headers, content_type=ARROW)


def check(model: Model | MeanModel, asked: Options) -> None:
    """Raises Invalid for what this model cannot say."""
    if asked.probabilities and model.target.outcomes is None:
        raise Invalid({"probabilities": "false: a regression has none"})
    if asked.interval is not None and model.calibration is None:
        raise Invalid({"interval": _NO_CALIBRATION})


def told(prediction: Prediction, calibration: Calibration | None, asked: Options) -> dict[str, Any]:
    """The answer, all but by which model it is; call `check` before."""
    outcomes = prediction.target.outcomes
    found: dict[str, Any] = {"predictions": prediction.answers()}
    if asked.probabilities:
        found["probabilities"] = prediction.probabilities().numpy()
    if outcomes is not None:
        found["classes"] = list(outcomes)
    if asked.interval is not None:
        found |= _within(calibration, prediction, asked.interval)
    return found


def _within(calibration: Calibration | None, prediction: Prediction, level: float) -> dict[str, Any]:
    """Where the truth is, with this probability: of numbers an interval, of classes a set."""
    assert calibration is not None, "refused otherwise"
    if prediction.target.task == "regression":
        return {"intervals": calibration.intervals(prediction.values(), level)}
    return {"sets": calibration.sets(prediction.probabilities(), level)}


def body_of(example: Mapping[str, Any]) -> dict[str, Any]:
    """The request body for the document: read here and not by the blueprint, for it may be large."""
    schema = {"$ref": "#/components/schemas/PredictionIn"}
    content = {JSON: {"schema": schema, "example": example}, **TABLES}
    return {"required": True, "description": "Options of CSV and Arrow stand in the query", "content": content}


TABLES: Mapping[str, Any] = {
    CSV: {"schema": {"type": "string", "description": "With a header"}},
    ARROW: {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
