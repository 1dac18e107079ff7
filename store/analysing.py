"""The making of analyses: claimed by a slot that found no run, fenced by the attempt's number, reaped when it died."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, select, update

from store import datasets
from store.analyses import Place, at
from store.datasets import Dataset
from store.errors import Fenced, NotFound
from store.memory import Memory
from store.moments import now
from store.processes import ProcessIdentity
from store.tables import analyses as table
from store.tables import runs

MAX_CRASHES = 3

_FREED: dict[str, Any] = {"owner": None, "worker_id": None, "slot_pid": None}
_MISSING = ("dataset_missing", "the dataset was deleted before this could be made of it")


@dataclass(frozen=True)
class Claim:
    """What an attempt needs to know; `epochs` is how many the run was trained for, which may be fewer than it says."""

    place: Place
    tenant: str
    attempt: int
    spec: dict[str, Any]
    task: str
    epochs: int
    dataset: Dataset
    weights_blob: str

    @property
    def run_id(self) -> str:
        return self.place.run_id

    @property
    def requested(self) -> None:
        """Nothing can be: who no longer wants it deletes the run."""

    def beat(self, tx: Connection, pulse: int, memory: Memory | None = None) -> None:  # noqa: ARG002 - told of runs
        """Says that the attempt lives, and with `pulse` how far it has come. Fenced if it is over."""
        _fence(tx, self, pulse=pulse)


@dataclass(frozen=True)
class Lease:
    """Lives while its `seq` moves, as a run's does."""

    place: Place
    attempt: int
    seq: int
    owner: ProcessIdentity


def claim(tx: Connection, *, worker: str, slot_pid: int, owner: ProcessIdentity) -> Claim | None:
    """The one that has waited longest, now this process's; None if there is none."""
    oldest = (
        select(table.c.run_id, table.c.kind, table.c.split)
        .where(table.c.status == "pending")
        .order_by(table.c.created_at, table.c.run_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (waiting := tx.execute(oldest).first()) is not None:
        place = Place(*waiting)
        taken = (
            update(table)
            .where(at(place))
            .values(
                status="running",
                attempt=table.c.attempt + 1,
                seq=0,
                pulse=0,
                owner=owner.to_json(),
                worker_id=worker,
                slot_pid=slot_pid,
                started_at=now(),
            )
        )
        row = tx.execute(taken.returning(table)).mappings().one()
        run = tx.execute(select(runs).where(runs.c.id == place.run_id)).mappings().one()
        try:
            dataset = datasets.get(tx, row["tenant_id"], run["dataset_id"])
        except NotFound:
            _end(tx, place, *_MISSING)
            continue
        kept = run["receipt"] or {}  # of the weights that it has, where the run itself may have been extended since
        return Claim(
            place=place,
            tenant=row["tenant_id"],
            attempt=row["attempt"],
            spec=kept.get("spec", run["spec"]),
            task=run["task"],
            epochs=kept.get("epochs", run["progress"]["epoch"]),
            dataset=dataset,
            weights_blob=row["weights_blob"],
        )
    return None


def finish(tx: Connection, claim: Claim, result: dict[str, Any]) -> None:
    _fence(tx, claim, status="ready", result=result, finished_at=now(), **_FREED)


def fail(tx: Connection, claim: Claim, code: str, message: str) -> None:
    _fence(tx, claim)
    _end(tx, claim.place, code, message)


def release(tx: Connection, claim: Claim) -> None:
    """The worker shuts down: it waits again, and no crash is counted."""
    _fence(tx, claim, status="pending", **_FREED)


def leases(tx: Connection) -> list[Lease]:
    """Those that somebody makes, whoever's the run."""
    return [
        Lease(_place(row), row["attempt"], row["seq"], ProcessIdentity.from_json(row["owner"]))
        for row in tx.execute(select(table).where(table.c.status == "running")).mappings()
    ]


def expire(tx: Connection, lease: Lease) -> bool:
    """Takes it away if it is still as it was seen; False, and nothing done, if it has moved.

    It waits again, or fails as `worker_lost` at the third crash.
    """
    seen = and_(_held(lease.place, lease.attempt), table.c.seq == lease.seq)
    freed = update(table).where(seen).values(status="pending", crashes=table.c.crashes + 1, **_FREED)
    crashes = tx.execute(freed.returning(table.c.crashes)).scalar()
    if crashes is not None and crashes >= MAX_CRASHES:
        _end(tx, lease.place, "worker_lost", f"its worker was lost {crashes} times")
    return crashes is not None


def _fence(tx: Connection, claim: Claim, **columns: Any) -> None:
    moved = update(table).where(_held(claim.place, claim.attempt)).values(seq=table.c.seq + 1, **columns)
    if tx.execute(moved).rowcount == 0:
        raise Fenced(claim.run_id, claim.attempt)


def _end(tx: Connection, place: Place, code: str, message: str) -> None:
    error = {"code": code, "message": message}
    tx.execute(update(table).where(at(place)).values(status="failed", error=error, finished_at=now(), **_FREED))


def _held(place: Place, attempt: int) -> ColumnElement[bool]:
    return and_(at(place), table.c.attempt == attempt, table.c.status == "running")


def _place(row: RowMapping) -> Place:
    return Place(row["run_id"], row["kind"], row["split"])
