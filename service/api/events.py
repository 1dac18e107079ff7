"""What happened to a run, oldest first: as a list, or as a stream that goes on until the run has ended."""

from typing import Any

from flask import Response, request
from flask.views import MethodView

from service import accept, access, streaming
from service.answers import JSON
from service.blueprint import Resource
from service.openapi import LAST_EVENT_ID
from service.parts import parts, tenant
from service.problems import Invalid
from service.schemas.metrics import EventPage, EventPageQuery
from store import events, runs
from store.errors import BadCursor
from store.events import News

resource = Resource("events", __name__, url_prefix="/v1/runs", description="What happened to a run")

_LAST_SEEN = "Last-Event-ID"
_STREAMED = {
    "type": "string",
    "description": "As they happen: `id` is the seq, `event` the type, `data` the event; the last is `end`, at "
    "which a client closes: an EventSource would come back, after the hour that `retry` then says",
    "contentMediaType": streaming.MEDIA_TYPE,
}


@resource.route("/<id('run'):id>/events")
class Events(MethodView):
    @resource.arguments(EventPageQuery, location="query")
    @resource.response(200, EventPage)
    @resource.alt_response(200, schema=_STREAMED, content_type=streaming.MEDIA_TYPE, success=True)
    @resource.header(LAST_EVENT_ID)
    def get(self, query: dict[str, Any], id: str) -> Any:
        """The events, oldest first; by `Accept: text/event-stream` live, until the run has ended"""
        if accept.choose(request.headers.get("Accept"), (JSON, streaming.MEDIA_TYPE)) == streaming.MEDIA_TYPE:
            return _stream(tenant(), id, query.get("after"))
        with parts().database.read() as tx:
            runs.get(tx, tenant(), id)
            return events.page(tx, tenant(), id, **query)


def _stream(owner: str, id: str, after: str | None) -> Response:
    database, caller = parts().database, access.caller()

    def read(seq: int) -> News:
        with database.read() as tx:
            access.check_again(tx, caller)
            return events.news(tx, owner, id, seq)

    return parts().streams.open(read, _last_seen(after))


def _last_seen(after: str | None) -> int:
    # A browser that comes back asks the same address again, so the header is the newer of the two.
    if seen := request.headers.get(_LAST_SEEN):
        try:
            return events.seq_of(seen)
        except BadCursor:
            raise Invalid({_LAST_SEEN: "the id of the last event seen, a whole number"}) from None
    return events.seq_of(after) if after is not None else 0
