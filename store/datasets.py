"""Datasets: immutable tables of examples; the bytes are a blob, the row is what is known of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, case, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_row

from store import blob_ledger, pages
from store.errors import Conflict, NotFound
from store.ids import new_id
from store.moments import now
from store.owned import equals, owned
from store.pages import Page
from store.states import FINAL
from store.tables import batch_predictions, datasets, runs


@dataclass(frozen=True)
class Dataset:
    """`sha256` and `bytes` are those of the file that came in, inflated; `blob` is its table as Parquet."""

    id: str
    name: str
    status: str
    rows: int | None
    bytes: int | None
    sha256: str | None
    columns: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    blob: str | None
    error: dict[str, Any] | None
    created_at: datetime


def insert(
    tx: Connection,
    tenant: str,
    *,
    name: str,
    rows: int,
    bytes: int,
    sha256: str,
    columns: list[dict[str, Any]],
    warnings: list[dict[str, Any]],
    blob: str,
) -> Dataset:
    """A dataset that is ready."""
    id = new_id("ds")
    row = {
        "id": id,
        "name": name,
        "status": "ready",
        "rows": rows,
        "bytes": bytes,
        "sha256": sha256,
        "columns": columns,
        "warnings": warnings,
        "blob": blob,
        "error": None,
        "created_at": now(),
    }
    tx.execute(insert_row(datasets).values(tenant_id=tenant, **row))
    return Dataset(**row)  # type: ignore[arg-type] # a row of exactly its fields


def get(tx: Connection, tenant: str, id: str) -> Dataset:
    row = tx.execute(select(datasets).where(owned(datasets, tenant, id))).mappings().first()
    if row is None:
        raise NotFound("dataset", id)
    return _dataset(row)


def lock(tx: Connection, tenant: str, id: str) -> Dataset:
    """Return it, and keep others from changing it until the transaction ends. Raise NotFound."""
    tx.execute(select(datasets.c.id).where(owned(datasets, tenant, id)).with_for_update(key_share=True))
    return get(tx, tenant, id)


def of_file(tx: Connection, tenant: str, sha256: str, *, rather: str = "") -> Dataset | None:
    """Of those that were made of the file with this hash and are ready `rather` the one of this id, else the newest.

    None if there is none. One file makes several where it was read with other options.
    """
    made = (datasets.c.tenant_id == tenant) & (datasets.c.sha256 == sha256) & (datasets.c.status == "ready")
    order = case((equals(datasets.c.id, rather), 0), else_=1), datasets.c.id.desc()
    row = tx.execute(select(datasets).where(made).order_by(*order).limit(1)).mappings().first()
    return None if row is None else _dataset(row)


def page(tx: Connection, tenant: str, *, limit: int = 50, after: str | None = None) -> Page[Dataset]:
    query = select(datasets).where(datasets.c.tenant_id == tenant)
    return pages.newest_first(tx, query, datasets.c.id, _dataset, limit=limit, after=after)


def rename(tx: Connection, tenant: str, id: str, name: str) -> Dataset:
    tx.execute(update(datasets).where(owned(datasets, tenant, id)).values(name=name))
    return get(tx, tenant, id)


def delete(tx: Connection, tenant: str, id: str) -> None:
    """Delete the row and free its blob. Raise Conflict while what is unfinished reads it."""
    # The lock keeps out who is being inserted to read it: that takes a share of the same row.
    row = tx.execute(select(datasets.c.blob).where(owned(datasets, tenant, id)).with_for_update()).first()
    if row is None:
        raise NotFound("dataset", id)
    for noun, table in (("run", runs), ("batch prediction", batch_predictions)):
        reads = select(table.c.id).where(table.c.dataset_id == id, table.c.status.not_in(FINAL)).limit(1)
        reader = tx.execute(reads).scalar()
        if reader is not None:
            raise Conflict(f"{noun} {reader} still reads this dataset")
    tx.execute(delete_rows(datasets).where(owned(datasets, tenant, id)))
    blob_ledger.free(tx, [row.blob])


def _dataset(row: RowMapping) -> Dataset:
    return Dataset(**{name: row[name] for name in Dataset.__dataclass_fields__})
