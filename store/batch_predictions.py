"""Batch predictions: a model's version answers every row of a dataset, as work that waits for a worker.

    queued -> running -> succeeded | failed | cancelled
    queued -> cancelled       running -> cancelling -> cancelled
    running -> queued (drained, or its worker lost)

A row that is held is its own lease, as an analysis is (`batching` has the worker's side). What is already predicted
stands in `batch_parts` until it ends, so that whoever goes on with it begins behind them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, select, update
from sqlalchemy import insert as insert_row

from store import blob_ledger, pages
from store.errors import Conflict, NotFound
from store.ids import new_id
from store.moments import now
from store.owned import owned
from store.pages import Page
from store.states import FINAL
from store.tables import batch_parts, datasets, model_versions, models
from store.tables import batch_predictions as table

STATUSES = ("queued", "running", "cancelling", "succeeded", "failed", "cancelled")
HELD = ("running", "cancelling")  # those that a worker holds


@dataclass(frozen=True)
class BatchPrediction:
    """`progress` is {"rows", "total", "fraction", "eta_seconds"}; `rows` and `blob` are the result's, once there is."""

    id: str
    tenant: str
    status: str
    model: str
    version: int
    dataset: str
    probabilities: bool
    interval: float | None
    progress: dict[str, Any]
    rows: int | None
    blob: str | None
    error: dict[str, Any] | None
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def insert(
    tx: Connection,
    tenant: str,
    *,
    model: str,
    version: int,
    dataset: str,
    probabilities: bool = False,
    interval: float | None = None,
) -> BatchPrediction:
    """One that is queued. NotFound where the version or the dataset is gone, Conflict where that is not ready."""
    # The shares keep both from being deleted until the one that needs them can be seen.
    share = select(models.c.name).where(models.c.tenant_id == tenant, models.c.name == model)
    tx.execute(share.with_for_update(read=True))
    meant = and_(model_versions.c.tenant_id == tenant, model_versions.c.name == model)
    if tx.execute(select(model_versions.c.version).where(meant, model_versions.c.version == version)).first() is None:
        raise NotFound("model", f"{model}:{version}")
    ready = select(datasets.c.status, datasets.c.rows).where(owned(datasets, tenant, dataset))
    found = tx.execute(ready.with_for_update(read=True)).first()
    if found is None:
        raise NotFound("dataset", dataset)
    if found.status != "ready":
        raise Conflict(f"the dataset is {found.status}")
    id = new_id("bp")
    tx.execute(
        insert_row(table).values(
            id=id,
            tenant_id=tenant,
            model=model,
            version=version,
            dataset_id=dataset,
            probabilities=probabilities,
            interval=interval,
            status="queued",
            attempt=0,
            crashes=0,
            progress=progress_of(0, found.rows),
            created_at=now(),
        )
    )
    return get(tx, tenant, id)


def get(tx: Connection, tenant: str, id: str) -> BatchPrediction:
    row = tx.execute(select(table).where(owned(table, tenant, id))).mappings().first()
    if row is None:
        raise NotFound("batch prediction", id)
    return _read(row)


def lock(tx: Connection, tenant: str, id: str) -> BatchPrediction:
    """Return it, and keep others from changing it until the transaction ends. Raise NotFound."""
    row = tx.execute(select(table).where(owned(table, tenant, id)).with_for_update()).mappings().first()
    if row is None:
        raise NotFound("batch prediction", id)
    return _read(row)


def page(
    tx: Connection, tenant: str, *, status: str | None = None, limit: int = 50, after: str | None = None
) -> Page[BatchPrediction]:
    """Newest first."""
    query = select(table).where(table.c.tenant_id == tenant)
    if status is not None:
        query = query.where(table.c.status == status)
    return pages.newest_first(tx, query, table.c.id, _read, limit=limit, after=after)


def cancel(tx: Connection, tenant: str, id: str) -> BatchPrediction:
    """Cancel one that is queued at once, one that a worker holds as soon as that looks. Raise Conflict where it has
    ended otherwise.
    """
    found = lock(tx, tenant, id)
    if found.status in ("succeeded", "failed"):
        raise Conflict(f"the batch prediction has already {found.status}")
    if found.status == "queued":
        end(tx, id, "cancelled")
    elif found.status == "running":
        tx.execute(update(table).where(table.c.id == id).values(status="cancelling", requested="cancel"))
    return get(tx, tenant, id)


def remove(tx: Connection, tenant: str, id: str) -> None:
    """Delete one that has ended, and free its blob. Raise Conflict before."""
    found = lock(tx, tenant, id)
    if found.status not in FINAL:
        raise Conflict(f"the batch prediction is {found.status}: cancel it first")
    tx.execute(delete(table).where(table.c.id == id))
    blob_ledger.free(tx, [found.blob])


def waiting(tx: Connection) -> int:
    """How many wait for a worker."""
    return int(tx.execute(select(func.count()).where(table.c.status == "queued")).scalar_one())


def end(tx: Connection, id: str, status: str, **columns: Any) -> None:
    """Make it final whichever worker held it, forget its parts and free their blobs."""
    mine = batch_parts.c.batch_id == id
    blobs = list(tx.execute(select(batch_parts.c.blob).where(mine)).scalars())
    tx.execute(delete(batch_parts).where(mine))
    freed = {"requested": None, "owner": None, "worker_id": None, "slot_pid": None}
    tx.execute(update(table).where(table.c.id == id).values(status=status, finished_at=now(), **freed, **columns))
    blob_ledger.free(tx, blobs)


def progress_of(rows: int, total: int, eta_seconds: float | None = None) -> dict[str, Any]:
    """As the API shows it: `rows` of `total` are predicted."""
    return {"rows": rows, "total": total, "fraction": rows / total if total else 1.0, "eta_seconds": eta_seconds}


def _read(row: RowMapping) -> BatchPrediction:
    same = BatchPrediction.__dataclass_fields__.keys() - {"tenant", "dataset"}
    return BatchPrediction(tenant=row["tenant_id"], dataset=row["dataset_id"], **{name: row[name] for name in same})
