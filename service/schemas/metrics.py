"""Metrics and events of a run."""

from marshmallow import fields

from service.schemas.fields import Choice, Text, Time, WholeParameter
from service.schemas.pages import PageQuery, page_of
from service.schemas.shapes import Shown

SPLITS = ("train", "validation", "test")
MOST_MEMBER = 100_000
MOST_POINTS = 100_000


class MembersQuery(PageQuery):
    sort = Choice(
        ("index", "value"),
        load_default="index",
        metadata={"description": "value: the best first, those without one last"},
    )


class MetricsQuery(PageQuery):
    member = WholeParameter(at_least=0, at_most=MOST_MEMBER)
    split = Choice(SPLITS)
    name = Text()
    points = WholeParameter(
        at_least=4,
        at_most=MOST_POINTS,
        metadata={"description": "At most so many points of each series, with every extreme among them"},
    )


class MetricOut(Shown):
    member = fields.Integer(required=True)
    epoch = fields.Integer(required=True)
    step = fields.Integer(required=True)
    split = fields.String(required=True)
    name = fields.String(required=True)
    value = fields.Float(required=True, allow_none=True)
    finite = fields.Boolean(metadata={"description": "Only where it is false: then the value is null"})


class EventOut(Shown):
    seq = fields.Integer(required=True)
    object = fields.Constant("event", required=True)
    type = fields.String(required=True)
    created_at = Time(required=True)
    data = fields.Dict(required=True)


MetricPage = page_of(MetricOut, "MetricPage")


class EventPageQuery(PageQuery):
    after = Text(longest=9, metadata={"description": "The seq of the last event seen", "pattern": "^[0-9]{1,9}$"})


EventPage = page_of(EventOut, "EventPage")
