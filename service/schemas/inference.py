"""The Open Inference Protocol v2, in and out. Parameters that nobody here knows are hints, and are passed over."""

from typing import Any

from marshmallow import ValidationError, fields

from service.json_pieces import Pieces
from service.schemas.fields import Choice, ColumnName, Flag, Text, Whole, Worded
from service.schemas.shapes import Either, Items, Object, Shown, StrictSchema

MOST_INPUTS = 10_000
DATATYPES = (
    *("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
_VALUE = {"type": ["number", "string", "boolean", "null", "array"]}


class Parameters(Worded, fields.Dict):
    """Of those that are known the value is checked; those that would put the data elsewhere are refused."""

    allowed = "an object of numbers, texts and booleans"
    known: dict[str, fields.Field[Any]] = {  # noqa: RUF012
        "binary_data": Flag(),
        "binary_data_output": Flag(),
        "binary_data_size": Whole(at_least=0, at_most=1 << 40),
    }
    refused = ("shared_memory_region", "classification", "sequence_id")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            load_default=dict,
            metadata={
                "type": "object",
                "properties": {
                    "binary_data": {"type": "boolean"},
                    "binary_data_output": {"type": "boolean"},
                    "binary_data_size": {"type": "integer", "minimum": 0, "maximum": 1 << 40},
                },
                "additionalProperties": {"type": ["number", "string", "boolean"]},
            },
            **kwargs,
        )

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(each, str | int | float) for each in value.values()):
            raise self.refuse()
        if any(name in value for name in self.refused):
            raise ValidationError(f"none of {', '.join(self.refused)}: these are Triton's own")
        return {name: field.deserialize(value[name]) for name, field in self.known.items() if name in value}


class TensorIn(StrictSchema):
    name = ColumnName(required=True)
    datatype = Choice(DATATYPES, required=True)
    shape = Items(Whole(at_least=0, at_most=1 << 40), shortest=1, longest=2, noun="sizes", required=True)
    parameters = Parameters()
    data = Either(
        {(list, Pieces): fields.Raw()},
        allowed="a list of values, flat or nested as the shape is",
        metadata={"type": "array", "items": _VALUE, "description": "Null is a missing value"},
    )


class OutputIn(StrictSchema):
    name = ColumnName(required=True)
    parameters = Parameters()


class InferenceIn(StrictSchema):
    id = Text(longest=1_000, shortest=0)
    model_name = fields.Raw(allow_none=True, metadata={"description": "The address says it; passed over"})
    model_version = fields.Raw(allow_none=True, metadata={"description": "The same"})
    parameters = Parameters()
    inputs = Items(Object(TensorIn), shortest=1, longest=MOST_INPUTS, noun="tensors", required=True)
    outputs = Items(Object(OutputIn), longest=2, noun="of the outputs predictions and probabilities")


class TensorOut(Shown):
    name = fields.String(required=True)
    datatype = fields.String(required=True, metadata={"enum": list(DATATYPES)})
    shape = fields.List(fields.Integer(), required=True)
    parameters = fields.Dict(metadata={"description": "Of one in binary: `binary_data_size`"})
    data = fields.List(fields.Raw(metadata=_VALUE), metadata={"description": "In row-major order"})


class InferenceOut(Shown):
    model_name = fields.String(required=True)
    model_version = fields.String(required=True)
    id = fields.String()
    outputs = fields.List(fields.Nested(TensorOut), required=True)


class ServerOut(Shown):
    name = fields.String(required=True)
    version = fields.String(required=True)
    extensions = fields.List(fields.String(), required=True)


class MetadataTensorOut(Shown):
    name = fields.String(required=True)
    datatype = fields.String(required=True, metadata={"enum": list(DATATYPES)})
    shape = fields.List(fields.Integer(), required=True, metadata={"description": "-1 is as many as there are rows"})
    classes = fields.List(
        fields.Raw(metadata={"type": ["number", "string", "boolean"]}),
        metadata={"description": "Of `probabilities`: what its columns stand for"},
    )


class InferenceModelOut(Shown):
    name = fields.String(required=True)
    versions = fields.List(fields.String(), required=True)
    platform = fields.String(required=True)
    inputs = fields.List(fields.Nested(MetadataTensorOut), required=True)
    outputs = fields.List(fields.Nested(MetadataTensorOut), required=True)


class InferenceModelReadyOut(Shown):
    name = fields.String(required=True)
    ready = fields.Boolean(required=True)
