"""What becomes of runs whose worker is lost. Anyone may watch leases, and any number at once: one of them wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from store import leases as lease_rows
from store import moves, out_of_memory
from store.memory import Memory
from store.moments import now
from store.processes import ProcessIdentity
from store.states import TABLE, Transition
from store.tables import leases as table

MAX_CRASHES = 3
BACKOFF_SECONDS = (5.0, 30.0, 120.0)  # after the first crash, the second, and any more that are allowed


@dataclass(frozen=True)
class Lease:
    """A lease lives while its `seq` moves; a stalled `pulse` under a moving `seq` is an attempt that hangs."""

    run_id: str
    tenant: str
    attempt: int
    seq: int
    pulse: int
    at: datetime
    owner: ProcessIdentity
    worker: str
    slot_pid: int

    @property
    def place(self) -> str:
        """What it is the lease of."""
        return self.run_id


def leases(tx: Connection) -> list[Lease]:
    """Every lease there is, whoever's the run."""
    return [
        Lease(
            run_id=row["run_id"],
            tenant=row["tenant_id"],
            attempt=row["attempt"],
            seq=row["seq"],
            pulse=row["pulse"],
            at=row["at"],
            owner=ProcessIdentity.from_json(row["owner"]),
            worker=row["worker_id"],
            slot_pid=row["slot_pid"],
        )
        for row in tx.execute(select(table).order_by(table.c.run_id)).mappings()
    ]


def doubt(tx: Connection, lease: Lease) -> None:
    """Writes on the lease what changes nothing. A database that does not take this, its disk full, took no beat either:
    then it says nothing against the worker that the lease is still.
    """
    seen = (table.c.run_id == lease.run_id) & (table.c.attempt == lease.attempt) & (table.c.seq == lease.seq)
    tx.execute(update(table).where(seen).values(at=now()))


def expire(
    tx: Connection,
    run_id: str,
    attempt: int,
    seq: int,
    *,
    crashed: bool = True,
    starved: bool = False,
    backoff: Sequence[float] = BACKOFF_SECONDS,
) -> bool:
    """Takes the lease away if it is still as it was seen; False, and nothing done, if it has moved.

    The run is queued again, after the backoff if its worker crashed, or fails as `worker_lost` at the third crash; what
    was asked of it, to pause or to cancel, is so. A process that was `starved`, killed for want of memory, or held
    nearly all there is at its last beat, is another matter: see `out_of_memory`.
    """
    seen = (table.c.run_id == run_id) & (table.c.attempt == attempt) & (table.c.seq == seq)
    lease = tx.execute(delete(table).where(seen).returning(table)).mappings().first()
    if lease is None:
        return False
    memory = None if lease["memory"] is None else Memory(lease["memory"], lease["memory_limit"])
    if crashed and (starved or (memory is not None and memory.is_nearly_all)):
        wait = timedelta(seconds=_wait(1, backoff))
        out_of_memory.settle(tx, lease, out_of_memory.reason(memory), again="expire", over="give_up", wait=wait)
        return True
    run = moves.lock(tx, run_id)
    crashes = run["crashes"] + crashed
    outcome = TABLE[run["status"], "give_up" if crashes >= MAX_CRASHES else "expire"]
    columns: dict[str, Any] = {**lease_rows.last_told(lease), "crashes": crashes}
    data: dict[str, Any] = {"attempt": attempt}
    if isinstance(outcome, Transition) and outcome.status == "failed":
        error = {"code": "worker_lost", "message": f"its worker was lost {crashes} times without getting further"}
        columns["error"] = error
        data |= error
    elif isinstance(outcome, Transition) and outcome.status == "queued":
        columns["due_at"] = now() + timedelta(seconds=_wait(crashes, backoff) if crashed else 0.0)
        data |= {"reason": "worker_lost", "crashes": crashes}
    moves.move(tx, run_id, outcome, data, **columns)
    return True


def _wait(crashes: int, backoff: Sequence[float]) -> float:
    return backoff[min(crashes, len(backoff)) - 1]
