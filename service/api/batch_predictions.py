"""Batch predictions over HTTP: asking for one, watching it, and fetching its result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Response, request
from flask.views import MethodView
from sqlalchemy import Connection

from service import accept, access, answers, idempotency, preconditions
from service.blueprint import Resource
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.problems import Clash, Invalid
from service.resolution.stored_rows import check_columns
from service.schemas.batch_predictions import (
    BatchPredictionIn,
    BatchPredictionOut,
    BatchPredictionPage,
    BatchPredictionPageQuery,
    BatchPredictionQuery,
)
from service.schemas.shapes import Nothing
from service.serving import prediction
from service.serving.answering import Options
from service.waiting import when_changed
from store import batch_predictions, blob_copies, datasets, models, runs
from store.errors import NotFound
from store.states import FINAL
from store.tabular.answers import as_csv

resource = Resource(
    "batch_predictions", __name__, url_prefix="/v1/batch-predictions", description="Answers for every row of a dataset"
)

PARQUET, CSV = "application/vnd.apache.parquet", "text/csv"
_PIECE = 32 << 10

_SHOWN = BatchPredictionOut()
_EXAMPLE = {"model": "iris@prod", "dataset": "ds_06f3kq1v8nzc2w5t9xay7bm4dh", "probabilities": True}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


@resource.route("")
class BatchPredictions(MethodView):
    @idempotency.once
    @resource.arguments(BatchPredictionIn, example=_EXAMPLE)
    @resource.response(202, BatchPredictionOut, headers={"Location": {"schema": {"type": "string"}}})
    @resource.header(IDEMPOTENT)
    def post(self, asked: dict[str, Any]) -> Response:
        """Answer every row of a dataset by a model: checked at once, queued, and made by a worker"""
        with parts().database.read() as tx:
            try:
                meant = models.resolve(tx, tenant(), asked["model"])
                version = models.version(tx, tenant(), meant.name, meant.version)
            except NotFound:
                raise _no_model(asked["model"]) from None
            try:
                dataset = datasets.get(tx, tenant(), asked["dataset"])
            except NotFound:
                raise _no_dataset(asked["dataset"]) from None
            queue = runs.get(tx, tenant(), version.run).queue
        model = parts().models.get(meant.blob, meant.member)
        prediction.check(model, Options(asked["probabilities"], asked["interval"], None))
        check_columns(model.inputs, dataset, meant.ref)
        with parts().database.write() as tx:
            try:
                found = batch_predictions.insert(
                    tx,
                    tenant(),
                    model=meant.name,
                    version=meant.version,
                    dataset=dataset.id,
                    probabilities=asked["probabilities"],
                    interval=asked["interval"],
                )
            except NotFound as error:  # gone between our two steps
                raise (_no_model if error.noun == "model" else _no_dataset)(error.id) from None
            headers = {"Location": f"/v1/batch-predictions/{found.id}", "Retry-After": "1"}
            response = idempotency.answer(tx, _SHOWN.dump(found), 202, headers)
        parts().bell.ring(queue, found.id)
        return response

    @resource.arguments(BatchPredictionPageQuery, location="query")
    @resource.response(200, BatchPredictionPage)
    def get(self, query: dict[str, Any]) -> Any:
        """List batch predictions, newest first"""
        with parts().database.read() as tx:
            return batch_predictions.page(tx, tenant(), **query)


@resource.route("/<id('bp'):id>")
class OneBatchPrediction(MethodView):
    @resource.arguments(BatchPredictionQuery, location="query")
    @resource.response(200, BatchPredictionOut)
    @resource.conditional
    def get(self, query: dict[str, Any], id: str) -> Response:
        """A batch prediction; with `wait`, when something changes"""
        status = _read(id).status
        return when_changed(lambda: answers.tagged(_SHOWN.dump(_read(id))), query["wait"], is_final=status in FINAL)

    @resource.response(204)
    @resource.conditional
    def delete(self, id: str) -> Response:
        """Delete a batch prediction that is final, with its result"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            blob = batch_predictions.get(tx, tenant(), id).blob
            batch_predictions.remove(tx, tenant(), id)
            unneeded = blob_copies.unneeded(tx, blob)
        for key in unneeded:
            parts().blobs.drop_copy(key)
        return Response(status=204)


@resource.route("/<id('bp'):id>/cancel")
class Cancel(MethodView):
    @resource.arguments(Nothing, required=False)
    @resource.response(202, BatchPredictionOut)
    @resource.conditional
    def post(self, _nothing: dict[str, Any], id: str) -> Response:
        """Stop within a moment and keep nothing"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            found = batch_predictions.cancel(tx, tenant(), id)
        return answers.tagged(_SHOWN.dump(found), 202)


@resource.route("/<id('bp'):id>/result")
class Result(MethodView):
    @resource.response(200, {"type": "string"}, content_type=CSV)
    @resource.response(200, _FILE, content_type=PARQUET)
    @resource.conditional
    def get(self, id: str) -> Response:
        """The answers, a line for each row in the dataset's order, as Parquet or, where `Accept` asks for it, as CSV"""
        found = _read(id)
        media = accept.choose(request.headers.get("Accept"), (PARQUET, CSV))
        if found.blob is None:
            raise Clash(f"The batch prediction is {found.status}; it has a result when it has succeeded.")
        etag = answers.etag(f"{found.blob} as {media}".encode())  # a blob never changes
        headers = {"ETag": etag, "Cache-Control": answers.CACHED_BUT_ASKED_FOR, "Vary": "Accept"}
        preconditions.check_match(etag)
        if preconditions.is_known(etag):
            return Response(status=304, headers=headers)
        path = parts().blobs.local_path(found.blob)
        pieces = as_csv(path, parts().blobs.scratch) if media == CSV else _pieces(path)
        file = f"{id}.{'csv' if media == CSV else 'parquet'}"
        headers["Content-Disposition"] = f'attachment; filename="{file}"'
        if media == PARQUET:
            headers["Content-Length"] = str(path.stat().st_size)
        return Response(pieces, content_type=media, headers=headers)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _tag(tx: Connection, id: str) -> str:
    return answers.etag(_SHOWN.dump(batch_predictions.lock(tx, tenant(), id)))


def _read(id: str) -> batch_predictions.BatchPrediction:
    with parts().database.read() as tx:
        access.check_again(tx, access.caller())
        return batch_predictions.get(tx, tenant(), id)


def _no_model(ref: str) -> Invalid:
    return Invalid({"model": f"a model's name, name@alias or name:version; there is no model {ref}"})


def _no_dataset(id: str) -> Invalid:
    return Invalid({"dataset": f"the id of a dataset; there is no dataset {id}"})
