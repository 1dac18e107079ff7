"""The workers that there are: a row each, and one for each of their slots, the processes that train."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, null, select, union_all, update

from store.database import upsert
from store.moments import now
from store.processes import ProcessIdentity
from store.tables import analyses, batch_predictions, leases, worker_slots, workers

_HELD = union_all(
    select(leases.c.worker_id, leases.c.slot_pid, leases.c.run_id, leases.c.tenant_id),
    select(analyses.c.worker_id, analyses.c.slot_pid, analyses.c.run_id, analyses.c.tenant_id).where(
        analyses.c.status == "running"
    ),
    select(batch_predictions.c.worker_id, batch_predictions.c.slot_pid, null(), batch_predictions.c.tenant_id).where(
        batch_predictions.c.status.in_(("running", "cancelling"))
    ),
)


@dataclass(frozen=True)
class Slot:
    """`busy` with somebody's run, an analysis of it, or a batch prediction; `run` is its id where it is the asking
    tenant's, and there is one.
    """

    pid: int
    busy: bool
    run: str | None
    owner: ProcessIdentity | None = None  # the process, where it has said so


@dataclass(frozen=True)
class Worker:
    id: str
    host: str
    pid: int
    queues: list[str]
    device: str | None
    started_at: datetime
    seen_at: datetime
    slots: list[Slot] = field(default_factory=list)


def register(
    tx: Connection,
    id: str,
    *,
    host: str,
    pid: int,
    queues: Sequence[str],
    device: str | None,
    slot_pid: int,
    owner: ProcessIdentity | None = None,
) -> None:
    """A slot says that it is there, and with it its worker: `id` and `pid` are those all slots of the worker share."""
    moment = now()
    worker = upsert(tx, workers).values(
        id=id, host=host, pid=pid, queues=list(queues), device=device, started_at=moment, seen_at=moment
    )
    tx.execute(worker.on_conflict_do_update(index_elements=[workers.c.id], set_={"seen_at": moment}))
    known = {"seen_at": moment, "owner": owner.to_json() if owner is not None else None}
    slot = upsert(tx, worker_slots).values(worker_id=id, pid=slot_pid, **known)
    keys = [worker_slots.c.worker_id, worker_slots.c.pid]
    tx.execute(slot.on_conflict_do_update(index_elements=keys, set_=known))


def seen(tx: Connection, id: str, slot_pid: int) -> bool:
    """The slot is still there; False if it was taken for gone meanwhile and must register again."""
    slot = (worker_slots.c.worker_id == id) & (worker_slots.c.pid == slot_pid)
    if tx.execute(update(worker_slots).where(slot).values(seen_at=now())).rowcount == 0:
        return False
    tx.execute(update(workers).where(workers.c.id == id).values(seen_at=now()))
    return True


def gone(tx: Connection, id: str, slot_pid: int) -> None:
    """The slot goes, and its worker with the last of them."""
    tx.execute(delete(worker_slots).where(worker_slots.c.worker_id == id, worker_slots.c.pid == slot_pid))
    _without_slots(tx)


def forget(tx: Connection, before: datetime) -> None:
    """Slots not seen since then are gone: killed, or cut off; one that comes back registers again."""
    tx.execute(delete(worker_slots).where(worker_slots.c.seen_at < before))
    _without_slots(tx)


def list_all(tx: Connection, tenant: str) -> list[Worker]:
    """Every worker, by id, with what its slots do as far as it is the tenant's business."""
    held = {(row.worker_id, row.slot_pid): row for row in tx.execute(_HELD)}
    slots: dict[str, list[Slot]] = {}
    for row in tx.execute(select(worker_slots).order_by(worker_slots.c.worker_id, worker_slots.c.pid)):
        lease = held.get((row.worker_id, row.pid))
        own = lease is not None and lease.tenant_id == tenant
        slots.setdefault(row.worker_id, []).append(
            Slot(
                row.pid,
                lease is not None,
                lease.run_id if lease is not None and own else None,
                ProcessIdentity.from_json(row.owner) if row.owner is not None else None,
            )
        )
    return [
        Worker(row.id, row.host, row.pid, row.queues, row.device, row.started_at, row.seen_at, slots.get(row.id, []))
        for row in tx.execute(select(workers).order_by(workers.c.id))
    ]


def _without_slots(tx: Connection) -> None:
    tx.execute(delete(workers).where(workers.c.id.not_in(select(worker_slots.c.worker_id))))
