"""What is found out about a run after it ended: asked for once, made by a worker, and kept as long as the run.

    absent -> pending -> running -> ready | failed
    running -> pending (drained, or its worker lost)      failed -> pending (asked for again, a while later)

It is made when it is first asked for. A row that is running is its own lease, as `leases` are those of runs: `attempt`
is the fencing token, and `seq` moves with every beat.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select

from store import runs
from store.database import upsert
from store.errors import Conflict
from store.moments import now
from store.owned import owned
from store.tables import analyses as table
from store.tables import datasets
from store.tables import runs as run_rows

Kind = Literal["evaluation", "importance"]
Split = Literal["validation", "test"]

FAILED_SECONDS = 60.0  # how long a failure is told before asking again means trying again

_DATASET_MISSING = {
    "code": "dataset_missing",
    "message": "the dataset was deleted, and this had not been made of it before",
}
_ANEW: dict[str, Any] = {"status": "pending", "crashes": 0, "result": None, "error": None, "finished_at": None}


@dataclass(frozen=True)
class Place:
    """Which analysis it is."""

    run_id: str
    kind: str
    split: str


@dataclass(frozen=True)
class Analysis:
    """`result` is there once it is ready, `error` {"code","message"} once it has failed."""

    kind: str
    split: str
    status: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None


def get(tx: Connection, tenant: str, run_id: str, kind: Kind, split: Split) -> Analysis | None:
    """As it stands; None where it has to be asked for. NotFound if there is no such run."""
    run = runs.get(tx, tenant, run_id)
    row = tx.execute(select(table).where(at(Place(run_id, kind, split)))).mappings().first()
    if row is None or row["weights_blob"] != run.weights_blob or _is_over(row):
        return None
    return Analysis(kind, split, row["status"], row["result"], row["error"])


def ask(tx: Connection, tenant: str, run_id: str, kind: Kind, split: Split) -> Analysis:
    """As it stands, from now on waiting for a worker if it was not asked for before.

    Failed as `dataset_missing`, and nothing written, where the dataset is gone; Conflict where the run has kept no
    weights, NotFound if there is no such run.
    """
    # The share keeps the run from being deleted before what belongs to it can be seen.
    held = select(run_rows.c.id).where(owned(run_rows, tenant, run_id)).with_for_update(read=True, key_share=True)
    tx.execute(held)
    found = get(tx, tenant, run_id, kind, split)
    if found is not None:
        return found
    run = runs.get(tx, tenant, run_id)
    if run.weights_blob is None:
        raise Conflict(f"the run is {run.status} and has kept no weights; it keeps them when it succeeds")
    if tx.execute(select(datasets.c.id).where(owned(datasets, tenant, run.dataset))).first() is None:
        return Analysis(kind, split, "failed", None, _DATASET_MISSING)
    # An attempt that is at work on what the row was before is fenced off: the next one has a higher number.
    fresh = {**_ANEW, "weights_blob": run.weights_blob, "owner": None, "worker_id": None, "slot_pid": None}
    row = {"run_id": run_id, "kind": kind, "split": split, "tenant_id": tenant, "attempt": 0, "seq": 0, "pulse": 0}
    insert = upsert(tx, table).values(**row, **fresh, created_at=now())
    # Of two that ask at the same moment on PostgreSQL the later finds what the first has written, and leaves it be.
    stale = or_(table.c.weights_blob != run.weights_blob, table.c.status == "failed")
    tx.execute(
        insert.on_conflict_do_update(
            index_elements=[table.c.run_id, table.c.kind, table.c.split],
            set_={**fresh, "created_at": now()},
            where=stale,
        )
    )
    return Analysis(kind, split, "pending", None, None)


def waiting(tx: Connection) -> int:
    """How many wait for a worker."""
    return int(tx.execute(select(func.count()).where(table.c.status == "pending")).scalar_one())


def at(place: Place) -> ColumnElement[bool]:
    """The row is that one."""
    return and_(table.c.run_id == place.run_id, table.c.kind == place.kind, table.c.split == place.split)


def _is_over(row: RowMapping) -> bool:
    failed: bool = row["status"] == "failed"
    return failed and row["finished_at"] < now() - timedelta(seconds=FAILED_SECONDS)
