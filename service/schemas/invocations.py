"""The rows of a prediction in one of MLflow's forms, and the answer."""

from marshmallow import fields

from service.json_pieces import Pieces
from service.schemas.predictions import MOST_INSTANCES
from service.schemas.shapes import Either, Object, Shown, StrictSchema

_ROWS = "a list of records or arrays"
_MANY = {"type": "array", "minItems": 1, "maxItems": MOST_INSTANCES}


class FrameIn(StrictSchema):
    """A pandas DataFrame as `to_dict(orient="split")` tells it; its index is passed over."""

    columns = Either({(list, Pieces): fields.Raw()}, allowed="a list of features", metadata={"type": "array"})
    index = Either({(list, Pieces): fields.Raw()}, allowed="a list", metadata={"type": "array"})
    data = Either(
        {(list, Pieces): fields.Raw()},
        allowed="a list of arrays",
        required=True,
        metadata={"type": "array", "items": {}},
    )


class InvocationIn(StrictSchema):
    """One of the first four."""

    dataframe_split = Object(FrameIn)
    dataframe_records = Either({(list, Pieces): fields.Raw()}, allowed="a list of records", metadata=_MANY)
    instances = Either({(list, Pieces): fields.Raw()}, allowed=_ROWS, metadata=_MANY)
    inputs = Either(
        {(list, Pieces): fields.Raw(), dict: fields.Raw()},
        allowed=f"{_ROWS}, or an object of a list for each feature",
        metadata={"type": ["array", "object"]},
    )
    params = Either(
        {dict: fields.Raw()},
        allowed="an object",
        allow_none=True,
        metadata={"type": "object", "maxProperties": 0, "description": "A model here has none"},
    )


class InvocationOut(Shown):
    predictions = fields.List(
        fields.Raw(metadata={"type": ["number", "string", "boolean", "array", "null"]}), required=True
    )
