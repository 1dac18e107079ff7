"""The members of a run's population, all of them by pages."""

from typing import Any

from flask.views import MethodView

from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.metrics import MembersQuery
from service.schemas.runs import MemberPage
from store import members, runs

resource = Resource("members", __name__, url_prefix="/v1/runs", description="The networks that a run trains")


@resource.route("/<id('run'):id>/members")
class Members(MethodView):
    @resource.arguments(MembersQuery, location="query")
    @resource.response(200, MemberPage)
    def get(self, query: dict[str, Any], id: str) -> Any:
        """The members, by index or the best first"""
        with parts().database.read() as tx:
            runs.get(tx, tenant(), id)
            return members.page(tx, tenant(), id, **query)
