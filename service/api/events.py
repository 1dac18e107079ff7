"""What happened to a run, oldest first."""

from typing import Any

from flask import request
from flask.views import MethodView

from service.blueprint import Resource
from service.parts import parts, tenant
from service.problems import NotAcceptable
from service.schemas.metrics import EventPage
from service.schemas.pages import PageQuery
from store import events, runs

resource = Resource("events", __name__, url_prefix="/v1/runs", description="What happened to a run")

_STREAM = "text/event-stream"


@resource.route("/<id('run'):id>/events")
class Events(MethodView):
    @resource.arguments(PageQuery, location="query")
    @resource.response(200, EventPage)
    def get(self, query: dict[str, Any], id: str) -> Any:
        """The events, oldest first"""
        if request.accept_mimetypes.best_match(["application/json", _STREAM]) == _STREAM:
            raise NotAcceptable("The live stream is not supported yet; application/json is: ask again with `after`.")
        with parts().database.read() as tx:
            runs.get(tx, tenant(), id)
            return events.page(tx, tenant(), id, **query)
