"""Predictions by a model's version, or by a run's kept weights."""

from typing import Any

from flask import Response, request
from flask.views import MethodView

from service.blueprint import Resource
from service.parts import parts, tenant
from service.schemas.predictions import PredictionOut, PredictionQuery
from service.serving import kept, prediction
from service.serving.prediction import ARROW, CSV
from store import runs
from store.runs import Run

resource = Resource("predictions", __name__, url_prefix="/v1", description="Answers for new rows")

_EXAMPLE = {"instances": [{"sepal_length": 5.1, "sepal_width": 3.5}], "probabilities": True}


@resource.route("/models/<ref:ref>/predictions")
class ModelPredictions(MethodView):
    @resource.arguments(PredictionQuery, location="query")
    @resource.response(200, prediction.TABLES[CSV]["schema"], content_type=CSV)
    @resource.response(200, prediction.TABLES[ARROW]["schema"], content_type=ARROW)
    @resource.response(200, PredictionOut)
    @resource.doc(requestBody=prediction.body_of(_EXAMPLE))
    def post(self, query: dict[str, Any], ref: str) -> Response:
        """Predict for new rows by a model: its newest version, `name@alias` or `name:version`"""
        version = parts().versions.get(tenant(), ref)
        asked = prediction.read(request, query)
        model = parts().models.get(version.blob, asked.member)
        return prediction.respond(model, asked, {"model": version.ref})


@resource.route("/runs/<id('run'):id>/predictions")
class RunPredictions(MethodView):
    @resource.arguments(PredictionQuery, location="query")
    @resource.response(200, prediction.TABLES[CSV]["schema"], content_type=CSV)
    @resource.response(200, prediction.TABLES[ARROW]["schema"], content_type=ARROW)
    @resource.response(200, PredictionOut)
    @resource.doc(requestBody=prediction.body_of(_EXAMPLE))
    def post(self, query: dict[str, Any], id: str) -> Response:
        """Predict for new rows"""
        with parts().database.read() as tx:
            found = runs.get(tx, tenant(), id)
        asked = prediction.read(request, query)

        def answer(run: Run) -> Response:
            member = kept.member_of(parts().database, run, asked.member)
            model = parts().models.get(kept.blob_of(run), member)
            return prediction.respond(model, asked, {"run": run.id, "member": member})

        return kept.with_weights(found, answer)
