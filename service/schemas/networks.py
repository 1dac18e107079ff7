"""Networks in and out: hidden layers only, since input and output widths come from data and target."""

from typing import Any

from marshmallow import fields

from learning.specs import ACTIVATIONS, NORMALIZATIONS
from service.schemas.fields import Choice, Number, Text, Time, Whole
from service.schemas.pages import page_of
from service.schemas.shapes import Items, Object, Shown, StrictSchema

MOST_LAYERS = 64
MOST_UNITS = 16_384


class LayerIn(StrictSchema):
    units = Whole(at_least=1, at_most=MOST_UNITS, required=True)
    activation = Choice(ACTIVATIONS, load_default="relu")
    dropout = Number(at_least=0, below=1, load_default=0.0)
    normalization = Choice(NORMALIZATIONS, allow_none=True, load_default=None)


def layers(**kwargs: Any) -> Items:
    return Items(Object(LayerIn), longest=MOST_LAYERS, noun="hidden layers", required=True, **kwargs)


class NetworkIn(StrictSchema):
    name = Text()
    layers = layers()


class NetworkShape(StrictSchema):
    """A network said inside a run."""

    layers = layers()


class LayerOut(Shown):
    units = fields.Integer(required=True)
    activation = Choice(ACTIVATIONS, required=True)
    dropout = fields.Float(required=True)
    normalization = Choice(NORMALIZATIONS, allow_none=True, required=True)


class NetworkOut(Shown):
    id = fields.String(required=True)
    object = fields.Constant("network", required=True)
    name = fields.String(allow_none=True, required=True)
    layers = fields.List(fields.Nested(LayerOut), required=True)
    created_at = Time(required=True)


NetworkPage = page_of(NetworkOut, "NetworkPage")
