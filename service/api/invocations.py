"""Predictions as MLflow's scoring server gives them: whoever scores by `/invocations` changes the address alone."""

from contextlib import closing

from flask import Response, request
from flask.views import MethodView

from service.answers import JSON
from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.invocations import InvocationOut
from service.serving import answering, invocation

resource = Resource("invocations", __name__, url_prefix="/v1", description="Predictions in MLflow's form")

_EXAMPLE = {"dataframe_split": {"columns": ["sepal_length", "sepal_width"], "data": [[5.1, 3.5]]}}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/InvocationIn"}, "example": _EXAMPLE},
        "text/csv": {"schema": {"type": "string", "description": "With a header"}},
    },
}


@resource.route("/models/<ref:ref>/invocations")
class Invocations(MethodView):
    @resource.response(200, InvocationOut)
    @resource.doc(requestBody=_BODY)
    def post(self, ref: str) -> Response:
        """Predict for new rows as MLflow's clients send them"""
        version = parts().versions.get(tenant(), ref)
        rows = invocation.read(request)
        model = parts().models.get(version.blob, None)
        with closing(answering.predictions(model, rows)) as found:
            return Response(
                answering.joined(({"predictions": each.answers()} for each in found), {}), content_type=JSON
            )
