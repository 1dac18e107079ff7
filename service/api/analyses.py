"""What a worker finds out about a run after it ended: how good it is beside plain answers, and which features matter.

It is made when it is first asked for: of a thousand runs few are ever looked at this closely.
"""

from typing import Any

from flask import Response
from flask.views import MethodView

from service import answers
from service.blueprint import Resource
from service.parts import parts, tenant
from service.problems import Clash, Missing
from service.schemas.analyses import AnalysisQuery, EvaluationOut, ImportanceOut, PendingOut
from service.serving import kept
from store import analyses, runs
from store.analyses import Analysis, Kind, Split
from store.runs import Run

resource = Resource("analyses", __name__, url_prefix="/v1/runs", description="A closer look at a run that has ended")

_PENDING: dict[str, Any] = {
    "schema": PendingOut,
    "success": True,
    "description": "A worker makes it: ask again",
    "headers": {"Retry-After": {"schema": {"type": "integer"}}},
}


@resource.route("/<id('run'):id>/evaluation")
class Evaluation(MethodView):
    @resource.arguments(AnalysisQuery, location="query")
    @resource.response(200, EvaluationOut)
    @resource.alt_response(202, **_PENDING)
    def get(self, query: dict[str, Any], id: str) -> Response:
        """How good the predictions are, beside a trivial answer and a linear fit; 202 until it is made"""
        return _answer("evaluation", id, query.get("split"))


@resource.route("/<id('run'):id>/importance")
class Importance(MethodView):
    @resource.arguments(AnalysisQuery, location="query")
    @resource.response(200, ImportanceOut)
    @resource.alt_response(202, **_PENDING)
    def get(self, query: dict[str, Any], id: str) -> Response:
        """How much worse the predictions get when a feature's values are shuffled; 202 until it is made"""
        return _answer("importance", id, query.get("split"))


def _answer(kind: Kind, id: str, asked: Split | None) -> Response:
    with parts().database.read() as tx:
        run = runs.get(tx, tenant(), id)
        kept.blob_of(run)
        split = _split_of(run, asked)
        found = analyses.get(tx, tenant(), id, kind, split)
    if found is None:
        with parts().database.write() as tx:
            found = analyses.ask(tx, tenant(), id, kind, split)
        if found.status == "pending":
            parts().bell.ring(run.queue, run.id)
    return _shown(run, found)


def _split_of(run: Run, asked: Split | None) -> Split:
    """Raises Missing where the split has no rows."""
    if asked is not None and not run.rows.get(asked):
        raise Missing(f"The {asked} split of this run has no rows.")
    if asked is None and not run.rows.get("test") and not run.rows.get("validation"):
        raise Missing("This run has neither test nor validation rows.")
    return asked or ("test" if run.rows.get("test") else "validation")


def _shown(run: Run, found: Analysis) -> Response:
    said = {"object": found.kind, "run": run.id, "split": found.split}
    if found.result is not None:
        return answers.plain({**said, **found.result})
    if found.error is not None:
        raise Clash(f"It could not be made: {found.error['message']}.", code=found.error["code"])
    return answers.plain({**said, "status": found.status}, 202, {"Retry-After": "1"})
