"""The lease: a narrow row that says which attempt holds a run. Its update is the fence before every write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from store import chunks, events, members, moves
from store.chunks import Chunk
from store.errors import Fenced
from store.members import MemberReport
from store.memory import Memory
from store.moments import Moment, now
from store.tables import leases, runs

_REQUESTED = select(runs.c.requested).where(runs.c.id == bindparam("of_run"))


@dataclass(frozen=True)
class Report:
    """What an attempt has to say since its last report; `progress`, `metrics` and `best` as the API shows them.

    `told`, {"epoch","metrics"}, is what a `run.progress` would tell: it is told if it is new and not too soon.
    """

    progress: dict[str, Any]
    metrics: dict[str, Any]
    best: dict[str, Any] | None = None
    chunks: Sequence[Chunk] = field(default_factory=tuple)
    members: Sequence[MemberReport] = field(default_factory=tuple)
    told: dict[str, Any] | None = None


def fence(tx: Connection, run_id: str, attempt: int, **columns: Any) -> RowMapping:
    """The first statement of every transaction of a worker: its lease, moved on. Fenced if it has none any more."""
    held = {"of_run": run_id, "of_attempt": attempt, "moved_at": now()}
    row = tx.execute(_moved(tuple(columns)), held | columns).mappings().first()
    if row is None:
        raise Fenced(run_id, attempt)
    return row


@cache
def _moved(columns: tuple[str, ...]) -> ReturningUpdate[Any]:
    """Made once: SQLite has one writer, and to make a statement takes it longer than to carry it out."""
    held = (leases.c.run_id == bindparam("of_run")) & (leases.c.attempt == bindparam("of_attempt"))
    told = {name: bindparam(name, type_=leases.c[name].type) for name in columns}
    moved = update(leases).where(held).values(seq=leases.c.seq + 1, at=bindparam("moved_at", type_=Moment), **told)
    return moved.returning(leases)


def beat(tx: Connection, run_id: str, attempt: int, pulse: int, memory: Memory | None = None) -> str | None:
    """Says that the attempt lives, with `pulse` how far it has come, and what memory its process holds; answers what is
    requested of it.
    """
    known = {} if memory is None else {"memory": memory.held, "memory_limit": memory.limit}
    fence(tx, run_id, attempt, pulse=pulse, **known)
    return requested(tx, run_id)


def record(tx: Connection, run_id: str, attempt: int, report: Report) -> str | None:
    """Writes the report; answers what is requested: None, stop, pause or cancel."""
    told = report.told
    row = fence(tx, run_id, attempt, progress=report.progress, metrics=report.metrics, best=report.best)
    chunks.write(tx, row["tenant_id"], run_id, report.chunks)
    members.report(tx, run_id, report.members)
    if told is not None and events.due(row["told_epoch"], told["epoch"]):
        tx.execute(update(leases).where(leases.c.run_id == run_id).values(told_epoch=told["epoch"]))
        moves.lock(tx, run_id)  # against a verb that tells at the same moment
        events.append(tx, run_id, "run.progress", told)
    return requested(tx, run_id)


def requested(tx: Connection, run_id: str) -> str | None:
    """What is requested of whoever holds the run; to be read as often as wanted, for it writes nothing."""
    return tx.execute(_REQUESTED, {"of_run": run_id}).scalar()


def last_told(lease: RowMapping) -> dict[str, Any]:
    """What the lease knows of its run and the run's own row does not; nothing before the first report."""
    if lease["progress"] is None:
        return {}
    return {name: lease[name] for name in ("progress", "metrics", "best")}
