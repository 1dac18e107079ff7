"""The making of batch predictions: claimed by a slot that found no run, fenced by the attempt's number, and gone on
with behind the parts that are done.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from store import datasets, models
from store.batch_predictions import HELD, end, progress_of
from store.database import upsert
from store.datasets import Dataset
from store.errors import Fenced, NotFound
from store.memory import Memory
from store.moments import now
from store.processes import ProcessIdentity
from store.tables import batch_parts
from store.tables import batch_predictions as table

MAX_CRASHES = 3

_FREED: dict[str, Any] = {"owner": None, "worker_id": None, "slot_pid": None}


@dataclass(frozen=True)
class Part:
    """`rows` rows from `first_row` on, predicted: a table of answers."""

    first_row: int
    rows: int
    blob: str


@dataclass(frozen=True)
class Claim:
    """What an attempt needs to know; `parts` are done, one behind the other from the first row. `weights_blob` has the
    weights of the model's version, of this member or of several that answer together.
    """

    id: str
    tenant: str
    attempt: int
    requested: str | None
    dataset: Dataset
    weights_blob: str
    member: int | None
    probabilities: bool
    interval: float | None
    parts: tuple[Part, ...]

    @property
    def run_id(self) -> str:
        """What a log calls it by, as it calls a run."""
        return self.id

    @property
    def rows_done(self) -> int:
        return sum(part.rows for part in self.parts)

    def beat(self, tx: Connection, pulse: int, memory: Memory | None = None) -> str | None:  # noqa: ARG002 - of runs
        """Says that the attempt lives, and with `pulse` how far it has come; what is requested of it. Fenced if it is
        over.
        """
        return _fence(tx, self, pulse=pulse)


@dataclass(frozen=True)
class Lease:
    """Lives while its `seq` moves, as a run's does."""

    id: str
    attempt: int
    seq: int
    owner: ProcessIdentity

    @property
    def place(self) -> str:
        return self.id


def claim(tx: Connection, *, worker: str, slot_pid: int, owner: ProcessIdentity) -> Claim | None:
    """The one that has waited longest, now this process's; None if there is none."""
    oldest = (
        select(table.c.id)
        .where(table.c.status == "queued")
        .order_by(table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (id := tx.execute(oldest).scalar()) is not None:
        taken = (
            update(table)
            .where(table.c.id == id)
            .values(
                status="running",
                attempt=table.c.attempt + 1,
                seq=0,
                pulse=0,
                owner=owner.to_json(),
                worker_id=worker,
                slot_pid=slot_pid,
                started_at=func.coalesce(table.c.started_at, now()),
            )
        )
        row = tx.execute(taken.returning(table)).mappings().one()
        try:
            dataset = datasets.get(tx, row["tenant_id"], row["dataset_id"])
            meant = models.version(tx, row["tenant_id"], row["model"], row["version"])
        except NotFound as error:  # neither can be deleted while it waits
            end(tx, id, "failed", error={"code": f"{error.noun}_deleted", "message": f"there is {error}"})
            continue
        done = select(batch_parts).where(batch_parts.c.batch_id == id).order_by(batch_parts.c.first_row)
        parts = tuple(Part(each.first_row, each.rows, each.blob) for each in tx.execute(done))
        return Claim(
            id=id,
            tenant=row["tenant_id"],
            attempt=row["attempt"],
            requested=row["requested"],
            dataset=dataset,
            weights_blob=meant.blob,
            member=meant.member,
            probabilities=row["probabilities"],
            interval=row["interval"],
            parts=parts,
        )
    return None


def tell(tx: Connection, claim: Claim, rows: int, eta_seconds: float | None) -> str | None:
    """So many rows are predicted; what is requested of the attempt. Fenced if it is over."""
    return _fence(tx, claim, progress=progress_of(rows, claim.dataset.rows or 0, eta_seconds))


def add_part(tx: Connection, claim: Claim, part: Part) -> str | None:
    """It is done and stays so, whatever becomes of the attempt; crashes before it are forgotten. Answers as `tell`."""
    requested = _fence(tx, claim, crashes=0)
    insert = upsert(tx, batch_parts).values(batch_id=claim.id, tenant_id=claim.tenant, **vars(part))
    # There already where the answer to this very write was lost.
    place = [batch_parts.c.batch_id, batch_parts.c.first_row]
    tx.execute(insert.on_conflict_do_update(index_elements=place, set_={"rows": part.rows, "blob": part.blob}))
    return requested


def finish(tx: Connection, claim: Claim, blob: str) -> bool:
    """It has succeeded, or is cancelled if that was asked meanwhile; whether it has the blob."""
    if _fence(tx, claim) == "cancel":
        end(tx, claim.id, "cancelled")
        return False
    rows = claim.dataset.rows or 0
    end(tx, claim.id, "succeeded", blob=blob, rows=rows, progress=progress_of(rows, rows, 0.0))
    return True


def fail(tx: Connection, claim: Claim, code: str, message: str) -> None:
    """It has failed, or is cancelled if that was asked meanwhile."""
    if _fence(tx, claim) == "cancel":
        end(tx, claim.id, "cancelled")
    else:
        end(tx, claim.id, "failed", error={"code": code, "message": message})


def acknowledge(tx: Connection, claim: Claim) -> None:
    """Its worker has stopped as it was asked to."""
    _fence(tx, claim)
    end(tx, claim.id, "cancelled")


def release(tx: Connection, claim: Claim) -> None:
    """The worker shuts down: it waits again, no crash is counted, and its parts stay; or it is cancelled as asked."""
    if _fence(tx, claim) == "cancel":
        end(tx, claim.id, "cancelled")
    else:
        _put_back(tx, claim.id)


def leases(tx: Connection) -> list[Lease]:
    """Those that somebody makes, whoever's they are."""
    held = select(table.c.id, table.c.attempt, table.c.seq, table.c.owner).where(table.c.status.in_(HELD))
    return [Lease(row.id, row.attempt, row.seq, ProcessIdentity.from_json(row.owner)) for row in tx.execute(held)]


def expire(tx: Connection, lease: Lease) -> bool:
    """Takes it away if it is still as it was seen; False, and nothing done, if it has moved.

    It waits again, with its parts; or fails as `worker_lost` at the third crash without another part; or is cancelled,
    if that was asked.
    """
    seen = and_(_held(lease.id, lease.attempt), table.c.seq == lease.seq)
    counted = update(table).where(seen).values(crashes=table.c.crashes + 1)
    row = tx.execute(counted.returning(table.c.status, table.c.crashes)).first()
    if row is None:
        return False
    if row.status == "cancelling":
        end(tx, lease.id, "cancelled")
    elif row.crashes >= MAX_CRASHES:
        message = f"its worker was lost {row.crashes} times without getting further"
        end(tx, lease.id, "failed", error={"code": "worker_lost", "message": message})
    else:
        _put_back(tx, lease.id)
    return True


def _put_back(tx: Connection, id: str) -> None:
    """It waits again; only what its parts hold is still predicted."""
    counted = select(func.coalesce(func.sum(batch_parts.c.rows), 0)).where(batch_parts.c.batch_id == id)
    rows = int(tx.execute(counted).scalar_one())
    known = tx.execute(select(table.c.progress).where(table.c.id == id)).scalar_one()
    progress = progress_of(rows, known["total"])
    tx.execute(update(table).where(table.c.id == id).values(status="queued", progress=progress, **_FREED))


def _fence(tx: Connection, claim: Claim, **columns: Any) -> str | None:
    """The first statement of every transaction of a worker: the row, moved on; what is requested of who holds it."""
    moved = update(table).where(_held(claim.id, claim.attempt)).values(seq=table.c.seq + 1, **columns)
    row = tx.execute(moved.returning(table.c.requested)).first()
    if row is None:
        raise Fenced(claim.id, claim.attempt)
    requested: str | None = row.requested
    return requested


def _held(id: str, attempt: int) -> ColumnElement[bool]:
    return and_(table.c.id == id, table.c.attempt == attempt, table.c.status.in_(HELD))
