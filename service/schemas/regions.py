"""The decision surface of a run over two of its features."""

from marshmallow import fields

from service.schemas.fields import ColumnName, WholeParameter
from service.schemas.metrics import MOST_MEMBER
from service.schemas.run_spec import MOST_EPOCHS
from service.schemas.shapes import Shown, StrictSchema

MOST_SIZE = 256
_CELL = {"type": ["number", "string", "boolean", "array", "null"]}


class RegionsQuery(StrictSchema):
    x = ColumnName(metadata={"description": "A feature's name; default: the first one"})
    y = ColumnName(metadata={"description": "Another feature's name; default: the first other one"})
    member = WholeParameter(
        at_least=0, at_most=MOST_MEMBER, metadata={"description": "Default: what the run predicts as"}
    )
    epoch = WholeParameter(
        at_least=0,
        at_most=MOST_EPOCHS,
        metadata={"description": "Default: the one whose weights are kept; no other yet"},
    )
    size = WholeParameter(
        at_least=2,
        at_most=MOST_SIZE,
        metadata={"description": "Values of each axis; default 64, or fewer where the network is large"},
    )


class AxisOut(Shown):
    name = fields.String(required=True)
    values = fields.List(
        fields.Raw(metadata={"type": ["number", "string", "boolean", "null"]}),
        required=True,
        metadata={"description": "From the least to the largest of the dataset; of categories the commonest first"},
    )


class RegionsOut(Shown):
    object = fields.Constant("regions", required=True)
    run = fields.String(required=True)
    member = fields.Integer(required=True, allow_none=True)
    x = fields.Nested(AxisOut, required=True)
    y = fields.Nested(AxisOut, required=True)
    fixed = fields.Dict(
        required=True, metadata={"description": "The other features: their mean, or the commonest value"}
    )
    classes = fields.List(
        fields.Raw(metadata={"type": ["number", "string", "boolean"]}),
        required=True,
        allow_none=True,
        metadata={"description": "As predictions have them; null of a regression"},
    )
    grid = fields.List(
        fields.List(fields.Raw(metadata=_CELL)),
        required=True,
        metadata={"description": "A row for each value of `y`, in it the prediction for each value of `x`"},
    )
    points = fields.Raw(
        required=True,
        metadata={
            "type": "array",
            "maxItems": 500,
            "items": {"type": "array"},
            "description": "Rows of train and validation as [x, y, target, split]; none where the dataset is gone or"
            " has more than 200,000 rows",
        },
    )
