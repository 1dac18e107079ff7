"""Predictions in and out."""

from marshmallow import fields

from service.json_pieces import Pieces
from service.schemas.fields import Flag, FlagParameter, Number, NumberParameter, Whole, WholeParameter
from service.schemas.metrics import MOST_MEMBER
from service.schemas.shapes import Either, Shown, StrictSchema

MOST_INSTANCES = 100_000
_VALUE = {"type": ["number", "string", "boolean", "null"]}


class PredictionIn(StrictSchema):
    instances = Either(
        {(list, Pieces): fields.Raw()},
        allowed=f"a list of 1 to {MOST_INSTANCES} records or arrays",
        required=True,
        metadata={
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_INSTANCES,
            "description": "Records by the features' names, or arrays in the features' order; times as RFC 3339",
            "items": {
                "oneOf": [
                    {"type": "object", "additionalProperties": _VALUE},
                    {"type": "array", "items": _VALUE},
                ]
            },
        },
    )
    probabilities = Flag(load_default=False)
    interval = Number(
        above=0,
        below=1,
        allow_none=True,
        load_default=None,
        metadata={"description": "How probable it is to be that the truth is within the intervals or sets"},
    )
    member = Whole(at_least=0, at_most=MOST_MEMBER)


class PredictionQuery(StrictSchema):
    """The options of rows that come as CSV or as an Arrow stream."""

    probabilities = FlagParameter()
    interval = NumberParameter(above=0, below=1)
    member = WholeParameter(at_least=0, at_most=MOST_MEMBER)


class PredictionOut(Shown):
    predictions = fields.Raw(
        required=True,
        metadata={
            "type": "array",
            "description": "A number or a class; where the target is a list, an array of numbers or booleans",
            "items": {"type": ["number", "string", "boolean", "array", "null"]},
        },
    )
    probabilities = fields.List(fields.List(fields.Float()), metadata={"description": "They follow `classes`"})
    classes = fields.List(
        fields.Raw(metadata={"type": ["number", "string", "boolean"]}),
        metadata={"description": "The target's classes, or of a multilabel run the names of its targets"},
    )
    intervals = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array"},
            "description": "With `interval`, of numbers: [low, high], or such a pair for each target of a list; an end"
            " is null where there are too few validation rows to know it",
        }
    )
    sets = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array"},
            "description": "With `interval`, of classes: those that may be; of several targets such a set for each",
        }
    )
    model = fields.String(metadata={"description": "Which version answered, as `name:version`"})
    run = fields.String(metadata={"description": "Of predictions by a run, whose weights may change if it is extended"})
    member = fields.Integer(
        allow_none=True, metadata={"description": "Null where several answer together, as their mean"}
    )
