"""The decision surface of a run: what it predicts over two features, the others held at one value."""

from typing import Any

from flask import Response
from flask.views import MethodView

from service import answers
from service.blueprint import Resource
from service.parts import parts, tenant
from service.problems import Invalid
from service.schemas.regions import RegionsOut, RegionsQuery
from service.serving import kept
from service.serving.points import points_of
from service.serving.regions import axes_of, size_of, surface
from store import datasets, members, runs
from store.datasets import Dataset
from store.errors import NotFound
from store.runs import Run

resource = Resource("regions", __name__, url_prefix="/v1/runs", description="Decision surfaces")


@resource.route("/<id('run'):id>/regions")
class Regions(MethodView):
    @resource.arguments(RegionsQuery, location="query")
    @resource.response(200, RegionsOut)
    def get(self, query: dict[str, Any], id: str) -> Response:
        """The decision surface over two features, the others at their mean or commonest value"""
        with parts().database.read() as tx:
            run = runs.get(tx, tenant(), id)
        dataset = _dataset_of(run)
        return kept.with_weights(run, lambda run: _answer(run, dataset, query))


def _dataset_of(run: Run) -> Dataset | None:
    with parts().database.read() as tx:
        try:
            return datasets.get(tx, run.tenant, run.dataset)
        except NotFound:
            return None


def _answer(run: Run, dataset: Dataset | None, query: dict[str, Any]) -> Response:
    blob, member = kept.blob_of(run), kept.member_of(parts().database, run, query.get("member"))
    model = parts().models.get(blob, member)
    _check_epoch(run, member, query.get("epoch"))
    x, y = axes_of(model, query.get("x"), query.get("y"))
    size = size_of(model, query.get("size"))
    columns = {} if dataset is None else {column["name"]: column for column in dataset.columns}
    found = surface(model, x, y, size, columns)
    outcomes = model.target.outcomes
    body = {
        "object": "regions",
        "run": run.id,
        "member": member,
        **vars(found),
        "classes": None if outcomes is None else list(outcomes),
        "points": points_of(run.spec, _fold(run, member), dataset, x, y),
    }
    return answers.plain(body)


def _check_epoch(run: Run, member: int | None, asked: int | None) -> None:
    """Raise Invalid for another epoch than the one whose weights are kept."""
    if asked is None:
        return
    best = None if member is None or run.status != "succeeded" else _member(run, member).best
    if best is None:
        raise Invalid({"epoch": "absent: the run answers by weights of several epochs, or goes on now"})
    if best["epoch"] != asked:
        raise Invalid({"epoch": f"{best['epoch']}, or absent: of no other epoch the weights are kept"})


def _fold(run: Run, member: int | None) -> int | None:
    return None if member is None else _member(run, member).fold


def _member(run: Run, member: int) -> members.Member:
    with parts().database.read() as tx:
        return members.get(tx, run.tenant, run.id, member)
