"""Models in and out: a name, its versions, and the aliases that point to them."""

import re
from typing import Any

from marshmallow import fields

from service.schemas.fields import Text, Time, Whole, Worded, with_schema
from service.schemas.metrics import MOST_MEMBER
from service.schemas.pages import page_of
from service.schemas.shapes import Shown, StrictSchema
from store.models import NAME

MOST_VERSION = 999_999_999


class Name(Worded, fields.String):
    """Of a model or an alias. What is called `.` or `..` could not be reached: clients take these out of an address."""

    allowed = "1 to 100 of the letters A-Z a-z, digits, '.', '_' and '-', and neither '.' nor '..'"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, pattern=rf"^(?!\.{{1,2}}$){NAME}$"))

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(NAME, value) or value in (".", ".."):
            raise self.refuse()
        return value


class ModelIn(StrictSchema):
    name = Name(required=True)
    run = Text(required=True)
    member = Whole(at_least=0, at_most=MOST_MEMBER)
    alias = Name()


class AliasIn(StrictSchema):
    version = Whole(at_least=1, at_most=MOST_VERSION, required=True)


class VersionOut(Shown):
    name = fields.String(required=True)
    version = fields.Integer(required=True)
    object = fields.Constant("model_version", required=True)
    run = fields.String(required=True)
    member = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null where several answer together, as their mean"}
    )
    aliases = fields.List(fields.String(), required=True)
    inputs = fields.List(
        fields.Dict(),
        required=True,
        metadata={"description": "Each feature's name and type, in order; of a categorical one the known categories"},
    )
    outputs = fields.List(
        fields.Dict(), required=True, metadata={"description": "Each target's name and type, and its classes"}
    )
    sha256 = fields.String(required=True, metadata={"description": "Of the kept weights, as a run's weights_sha256"})
    created_at = Time(required=True)


class ModelOut(Shown):
    name = fields.String(required=True)
    object = fields.Constant("model", required=True)
    latest = fields.Integer(required=True, metadata={"description": "The newest version, which the bare name means"})
    versions = fields.List(
        fields.Nested(VersionOut),
        required=True,
        metadata={"description": "The newest hundred, newest first; in a list of models the newest alone"},
    )
    aliases = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": "Alias to version"}
    )
    created_at = Time(required=True)


ModelPage = page_of(ModelOut, "ModelPage")
VersionPage = page_of(VersionOut, "VersionPage")
