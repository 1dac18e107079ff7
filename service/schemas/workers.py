"""Workers, as they are shown."""

from marshmallow import fields

from service.schemas.fields import Time
from service.schemas.shapes import Shown


class SlotOut(Shown):
    pid = fields.Integer(required=True)
    busy = fields.Boolean(required=True, metadata={"description": "Also with a run that is not the caller's"})
    run = fields.String(required=True, allow_none=True)


class WorkerOut(Shown):
    id = fields.String(required=True)
    host = fields.String(required=True)
    pid = fields.Integer(required=True)
    queues = fields.List(fields.String(), required=True)
    device = fields.String(required=True, allow_none=True)
    slots = fields.List(fields.Nested(SlotOut), required=True)
    started_at = Time(required=True)
    seen_at = Time(required=True)


class WorkersOut(Shown):
    data = fields.List(fields.Nested(WorkerOut), required=True)
