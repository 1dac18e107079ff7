"""A prediction request read, and its answer: what stands between the wire and a `Model`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request
from marshmallow import ValidationError

from learning.conformal import Calibration
from learning.model import MeanModel, Model, Prediction
from service import strict_json
from service.blueprint import read_body, require_json
from service.problems import Invalid, Malformed, NotAcceptable, flatten
from service.schemas.predictions import MOST_INSTANCES, PredictionIn
from service.serving.instances import columns_of

MOST_BYTES = 64 << 20

_SCHEMA = PredictionIn()
_NO_CALIBRATION = (
    "null: intervals are learned from validation rows or folds, for what the run predicts as and no other member"
)


@dataclass(frozen=True)
class Options:
    probabilities: bool
    interval: float | None
    member: int | None


@dataclass(frozen=True)
class Asked(Options):
    instances: list[Any]


def read(request: Request) -> Asked:
    """Raises NotAcceptable, WrongMedia, Malformed, Invalid, and 413 past MOST_BYTES."""
    if request.accept_mimetypes and not request.accept_mimetypes.accept_json:
        raise NotAcceptable(f"Answers as {request.accept_mimetypes} are not supported yet; application/json is.")
    request.max_content_length = MOST_BYTES
    body = read_body(request)
    require_json(request)
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    try:
        found = _SCHEMA.load(strict_json.parse_large(body))
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    instances = found["instances"]
    if not 1 <= len(instances) <= MOST_INSTANCES:
        raise Invalid({"instances": f"a list of 1 to {MOST_INSTANCES} records or arrays"})
    return Asked(found["probabilities"], found["interval"], found.get("member"), instances)


def answer(model: Model | MeanModel, asked: Asked) -> dict[str, Any]:
    """Of a body's instances."""
    check(model, asked)
    return told(model.predict(columns_of(asked.instances, model.inputs)), model.calibration, asked)


def check(model: Model | MeanModel, asked: Options) -> None:
    """Raises Invalid for what this model cannot say."""
    if asked.probabilities and model.target.outcomes is None:
        raise Invalid({"probabilities": "false: a regression has none"})
    if asked.interval is not None and model.calibration is None:
        raise Invalid({"interval": _NO_CALIBRATION})


def told(prediction: Prediction, calibration: Calibration | None, asked: Options) -> dict[str, Any]:
    """The answer, all but by which model it is; call `check` before."""
    outcomes = prediction.target.outcomes
    found: dict[str, Any] = {"predictions": prediction.predictions()}
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
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}
