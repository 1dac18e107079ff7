"""Claiming: the one statement by which a queued run becomes an attempt's, exactly once however many ask."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, or_, select, update

from store import checkpoints, datasets, events, moves
from store import leases as lease_rows
from store.checkpoints import Checkpoint
from store.database import upsert
from store.datasets import Dataset
from store.errors import NotFound
from store.memory import Memory
from store.moments import Moment, now
from store.processes import ProcessIdentity
from store.states import TABLE
from store.tables import Word, leases, runs

_UNTOLD = {"progress": None, "metrics": None, "best": None}

_MOST_URGENT = (
    select(runs.c.id)
    .where(
        runs.c.queue.in_(bindparam("queues", expanding=True)),
        runs.c.status == "queued",
        runs.c.due_at <= bindparam("moment"),
        # By the table of states a queued run is asked to do nothing else; the claim does not rely on it.
        or_(runs.c.requested.is_(None), runs.c.requested == "stop"),
    )
    .order_by(runs.c.priority.desc(), runs.c.id)
    .limit(1)
    .with_for_update(skip_locked=True, key_share=True)
)
_TAKE = (
    update(runs)
    .where(runs.c.id == _MOST_URGENT.scalar_subquery(), runs.c.status == "queued")
    .values(
        status="running",
        attempt=runs.c.attempt + 1,
        device=bindparam("to_device", type_=Word),
        started_at=func.coalesce(runs.c.started_at, bindparam("moment", type_=Moment)),
    )
    .returning(
        runs.c.id,
        runs.c.tenant_id,
        runs.c.dataset_id,
        runs.c.attempt,
        runs.c.generation,
        runs.c.legs,
        runs.c.replay,
        runs.c.crashes,
        runs.c.memory_crashes,
        runs.c.spec,
        runs.c.task,
        runs.c.requested,
    )
)


@dataclass(frozen=True)
class Claim:
    """What an attempt needs to know; no `run.progress` tells an epoch up to `told_epoch` again, `record` sees to it.

    `legs` are the epochs at which earlier generations ended, after which patience counts anew; `last_epoch` is the one
    to end after where the run repeats another one that was stopped; `checkpoints` are the newest first.
    """

    run_id: str
    tenant: str
    attempt: int
    generation: int
    legs: tuple[int, ...]
    last_epoch: int | None
    checkpoints: tuple[Checkpoint, ...]
    crashes: int  # since the run last got further
    memory_crashes: int
    spec: dict[str, Any]
    task: str
    dataset: Dataset
    told_epoch: int
    requested: str | None

    def beat(self, tx: Connection, pulse: int, memory: Memory | None = None) -> str | None:
        """As `leases.beat`."""
        return lease_rows.beat(tx, self.run_id, self.attempt, pulse, memory)


def claim(
    tx: Connection,
    *,
    worker: str,
    slot_pid: int,
    owner: ProcessIdentity,
    queues: Collection[str] = ("cpu",),
    device: str = "cpu",
) -> Claim | None:
    """The most urgent run that is due, now this process's; None if there is none."""
    asked = {"queues": list(queues), "moment": now(), "to_device": device}
    while (row := tx.execute(_TAKE, asked).mappings().first()) is not None:
        try:
            dataset = datasets.get(tx, row["tenant_id"], row["dataset_id"])
        except NotFound:
            error = {"code": "dataset_deleted", "message": "the dataset was deleted before the run could start"}
            moves.move(tx, row["id"], TABLE["running", "fail"], {"attempt": row["attempt"], **error}, error=error)
            continue
        told_epoch = events.told_epoch(tx, row["id"]) if row["attempt"] > 1 else 0
        lease = {
            "attempt": row["attempt"],
            "seq": 0,
            "pulse": 0,
            "at": now(),
            "owner": owner.to_json(),
            "worker_id": worker,
            "slot_pid": slot_pid,
            "told_epoch": told_epoch,
        }
        fresh = upsert(tx, leases).values(run_id=row["id"], tenant_id=row["tenant_id"], **lease)
        # No lease can be left of a run that is queued; if one were, it would keep the run from ever being claimed.
        tx.execute(fresh.on_conflict_do_update(index_elements=[leases.c.run_id], set_={**_UNTOLD, **lease}))
        saved = checkpoints.newest_first(tx, row["id"])
        _tell(tx, row, saved)
        return Claim(
            run_id=row["id"],
            tenant=row["tenant_id"],
            attempt=row["attempt"],
            generation=row["generation"],
            legs=tuple(row["legs"] or ()),
            last_epoch=row["replay"] and row["replay"]["epochs"],
            checkpoints=tuple(saved),
            crashes=row["crashes"],
            memory_crashes=row["memory_crashes"],
            spec=row["spec"],
            task=row["task"],
            dataset=dataset,
            told_epoch=told_epoch,
            requested=row["requested"],
        )
    return None


def _tell(tx: Connection, row: RowMapping, saved: Sequence[Checkpoint]) -> None:
    if row["attempt"] == 1:
        events.append(tx, row["id"], "run.started", {"attempt": 1})
        return
    epoch = saved[0].epoch if saved else 0
    events.append(tx, row["id"], "run.resumed", {"attempt": row["attempt"], "epoch": epoch})
