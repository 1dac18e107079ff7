"""The shape of every error: RFC 9457 problem details."""

from marshmallow import fields

from service.schemas.shapes import Shown


class ProblemOut(Shown):
    type = fields.String(required=True, metadata={"description": "about:blank: the title says it all"})
    title = fields.String(required=True, metadata={"example": "Unprocessable Content"})
    status = fields.Integer(required=True, metadata={"example": 422})
    detail = fields.String(required=True, metadata={"example": "epochs: a whole number from 1 to 100000"})
    request_id = fields.String(required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "description": "With 422: the path of each wrong field, and what is allowed there",
            "example": {"epochs": ["a whole number from 1 to 100000"]},
        },
    )
    code = fields.String(metadata={"description": "What went wrong, where a worker found it out"})
    error = fields.String(metadata={"description": "The detail once more, on addresses of the Open Inference Protocol"})
    line = fields.Integer(
        allow_none=True,
        metadata={"description": "Where an unreadable file or body is wrong; null where that is no line"},
    )
    column = fields.Raw(metadata={"type": ["string", "integer", "null"]})
