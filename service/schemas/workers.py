"""Workers, as they are shown."""

from marshmallow import Schema, fields

from service.schemas.fields import Time


class SlotOut(Schema):
    pid = fields.Integer(required=True)
    busy = fields.Boolean(required=True, metadata={"description": "Also with a run that is not the caller's"})
    run = fields.String(required=True, allow_none=True)


class WorkerOut(Schema):
    id = fields.String(required=True)
    host = fields.String(required=True)
    pid = fields.Integer(required=True)
    queues = fields.List(fields.String(), required=True)
    device = fields.String(required=True, allow_none=True)
    slots = fields.List(fields.Nested(SlotOut), required=True)
    started_at = Time(required=True)
    seen_at = Time(required=True)


class WorkersOut(Schema):
    data = fields.List(fields.Nested(WorkerOut), required=True)
