"""The learning curves of a run."""

from typing import Any

from flask import Response
from flask.views import MethodView

from service import answers
from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.metrics import MetricPage, MetricsQuery
from service.serving import kept
from store import metrics, runs

resource = Resource("metrics", __name__, url_prefix="/v1/runs", description="Learning curves")


@resource.route("/<id('run'):id>/metrics")
class Metrics(MethodView):
    @resource.arguments(MetricsQuery, location="query")
    @resource.response(200, MetricPage)
    def get(self, query: dict[str, Any], id: str) -> Response:
        """Every epoch's values, by epoch, member, split and name"""
        with parts().database.read() as tx:
            run = runs.get(tx, tenant(), id)
            if "member" in query:
                kept.existing(tx, run, query["member"])
            page = metrics.page(tx, tenant(), id, **query)
        # A thousand rows at a time are polled many times a second, and are the contract's already.
        return answers.plain({"data": page.data, "has_more": page.has_more, "next": page.next})
