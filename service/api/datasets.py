"""Datasets over HTTP."""

from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView
from sqlalchemy import Connection

from service import answers, preconditions, uploads
from service.blueprint import Resource
from service.openapi import IDEMPOTENT, UPLOAD
from service.parts import parts, tenant
from service.schemas.datasets import DatasetChange, DatasetOut, DatasetPage, DatasetQuery, RowsOut, RowsQuery
from service.schemas.pages import PageQuery
from store import blob_copies, datasets
from store.tabular import cut_categories, read_rows

_LISTED_BYTES = 1 << 10  # of a column's categories, in a list

resource = Resource("datasets", __name__, url_prefix="/v1/datasets", description="Immutable tables of examples")

MOST_ROWS_BYTES = 8 << 20  # of the cells of one answer

_DATASET = DatasetOut()


@resource.route("")
class Datasets(MethodView):
    @resource.arguments(DatasetQuery, location="query")
    @resource.response(201, DatasetOut)
    @resource.header(IDEMPOTENT)
    @resource.doc(requestBody=UPLOAD)
    def post(self, options: dict[str, Any]) -> Response:
        """Send a table: CSV, Parquet or JSON lines, as the body or as the part `file` of a form"""
        return uploads.accept(options)

    @resource.arguments(PageQuery, location="query")
    @resource.response(200, DatasetPage)
    def get(self, query: dict[str, Any]) -> Any:
        """List datasets, newest first; of a column's categories the commonest that take at most 1 KiB"""
        with parts().database.read() as tx:
            page = datasets.page(tx, tenant(), **query)
        return replace(page, data=[_shortened(dataset) for dataset in page.data])


@resource.route("/<id('ds'):id>")
class Dataset(MethodView):
    @resource.response(200, DatasetOut)
    @resource.conditional
    def get(self, id: str) -> Response:
        """A dataset with its columns"""
        with parts().database.read() as tx:
            return preconditions.answer(answers.tagged(_DATASET.dump(datasets.get(tx, tenant(), id))))

    @resource.arguments(DatasetChange)
    @resource.response(200, DatasetOut)
    @resource.conditional
    def patch(self, change: dict[str, Any], id: str) -> Response:
        """Give a dataset another name"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            return answers.tagged(_DATASET.dump(datasets.rename(tx, tenant(), id, change["name"])))

    @resource.response(204)
    @resource.conditional
    def delete(self, id: str) -> Response:
        """Delete a dataset; 409 while a run that is not final reads it"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            blob = datasets.get(tx, tenant(), id).blob
            datasets.delete(tx, tenant(), id)
            unneeded = blob_copies.unneeded(tx, blob)
        for key in unneeded:
            parts().blobs.drop_copy(key)
        return Response(status=204)


@resource.route("/<id('ds'):id>/rows")
class Rows(MethodView):
    @resource.arguments(RowsQuery, location="query")
    @resource.response(200, RowsOut)
    def get(self, query: dict[str, Any], id: str) -> Response:
        """Some rows of the table, in the file's order: at most 8 MiB of cells, and at least one row"""
        with parts().database.read() as tx:
            found = datasets.get(tx, tenant(), id)
        assert found.blob is not None
        path = parts().blobs.local_path(found.blob)
        rows = read_rows(path, query["limit"], query["offset"], MOST_ROWS_BYTES)
        end = query["offset"] + len(rows)
        has_more = end < (found.rows or 0)
        return answers.plain(
            {
                "columns": [column["name"] for column in found.columns],
                "rows": rows,
                "has_more": has_more,
                "next_offset": end if has_more else None,
            }
        )


def _shortened(dataset: datasets.Dataset) -> datasets.Dataset:
    columns = [{**column} for column in dataset.columns]
    for column in columns:
        cut_categories(column, _LISTED_BYTES)
    return replace(dataset, columns=columns)


def _tag(tx: Connection, id: str) -> str:
    return answers.etag(_DATASET.dump(datasets.lock(tx, tenant(), id)))
