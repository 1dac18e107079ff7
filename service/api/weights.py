"""A trained member's weights, to take away."""

from typing import Any

from flask import Response
from flask.views import MethodView

from service.blueprint import Resource
from service.openapi import SAFETENSORS
from service.parts import parts, tenant
from service.problems import Invalid
from service.schemas.metrics import MemberQuery
from service.serving import kept
from store import runs
from store.runs import Run

resource = Resource("weights", __name__, url_prefix="/v1/runs", description="Weights as safetensors")


@resource.route("/<id('run'):id>/weights")
class Weights(MethodView):
    @resource.arguments(MemberQuery, location="query")
    @resource.response(200, SAFETENSORS, content_type="application/octet-stream")
    def get(self, query: dict[str, Any], id: str) -> Response:
        """The kept weights of a member as safetensors, with what is needed to predict in its metadata"""
        with parts().database.read() as tx:
            found = runs.get(tx, tenant(), id)

        def file(run: Run) -> Response:
            member = kept.member_of(parts().database, run, query.get("member"))
            if member is None:
                told = ", ".join(map(str, parts().models.predicts(kept.blob_of(run))))
                raise Invalid({"member": f"required here, for this run answers by several; by members {told}"})
            return Response(
                kept.file_of(parts().blobs, run, member),
                content_type="application/octet-stream",
                headers={"Content-Disposition": f'attachment; filename="{run.id}-{member}.safetensors"'},
            )

        return kept.with_weights(found, file)
