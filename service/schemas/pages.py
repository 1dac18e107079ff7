"""Lists: their parameters and their envelope."""

from marshmallow import Schema, fields

from service.schemas.fields import Text, WholeParameter
from service.schemas.shapes import Shown, StrictSchema

DEFAULT_LIMIT, MOST_LIMIT = 50, 1_000


class PageQuery(StrictSchema):
    limit = WholeParameter(at_least=1, at_most=MOST_LIMIT, load_default=DEFAULT_LIMIT)
    after = Text(
        longest=1_000, metadata={"description": "`next` of the page before", "pattern": "^[A-Za-z0-9_-]{1,1000}$"}
    )


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The envelope of a list of these."""
    return type(
        name,
        (Shown,),
        {
            "data": fields.List(fields.Nested(item), required=True),
            "has_more": fields.Boolean(required=True),
            "next": fields.String(required=True, allow_none=True),
        },
    )
