"""The workers that there are."""

from typing import Any

from flask.views import MethodView

from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.workers import WorkersOut
from store import workers

resource = Resource("workers", __name__, url_prefix="/v1/workers", description="Who trains")


@resource.route("")
class Workers(MethodView):
    @resource.response(200, WorkersOut)
    def get(self) -> Any:
        """Every worker with its slots, and the run that each trains"""
        with parts().database.read() as tx:
            return {"data": workers.list_all(tx, tenant())}
