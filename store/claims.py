"""Claiming: the one statement by which a queued run becomes an attempt's, exactly once however many ask."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from store import datasets, events, moves
from store.datasets import Dataset
from store.errors import NotFound
from store.moments import now
from store.processes import ProcessIdentity
from store.states import TABLE
from store.tables import checkpoints, leases, runs


@dataclass(frozen=True)
class Claim:
    """What an attempt needs to know; no `run.progress` tells an epoch up to `told_epoch` again, `record` sees to it."""

    run_id: str
    tenant: str
    attempt: int
    generation: int
    spec: dict[str, Any]
    task: str
    dataset: Dataset
    told_epoch: int
    requested: str | None


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
    while (row := _take(tx, queues, device)) is not None:
        try:
            dataset = datasets.get(tx, row["tenant_id"], row["dataset_id"])
        except NotFound:
            error = {"code": "dataset_deleted", "message": "the dataset was deleted before the run could start"}
            moves.move(tx, row["id"], TABLE["running", "fail"], {"attempt": row["attempt"], **error}, error=error)
            continue
        told_epoch = events.told_epoch(tx, row["id"])
        holder = {"worker_id": worker, "slot_pid": slot_pid, "owner": owner.to_json()}
        _lease(tx, row, holder, told_epoch)
        _tell(tx, row)
        return Claim(
            run_id=row["id"],
            tenant=row["tenant_id"],
            attempt=row["attempt"],
            generation=row["generation"],
            spec=row["spec"],
            task=row["task"],
            dataset=dataset,
            told_epoch=told_epoch,
            requested=row["requested"],
        )
    return None


def _take(tx: Connection, queues: Collection[str], device: str) -> RowMapping | None:
    moment, table = now(), runs.c
    # A queued run with a cancel or pause requested cannot be, by the table of states; the claim does not rely on it.
    free = or_(table.requested.is_(None), table.requested == "stop")
    most_urgent = (
        select(table.id)
        .where(table.queue.in_(queues), table.status == "queued", table.due_at <= moment, free)
        .order_by(table.priority.desc(), table.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
        .scalar_subquery()
    )
    taken = (
        update(runs)
        .where(table.id == most_urgent, table.status == "queued")
        .values(
            status="running",
            attempt=table.attempt + 1,
            device=device,
            started_at=func.coalesce(table.started_at, moment),
        )
        .returning(
            table.id,
            table.tenant_id,
            table.dataset_id,
            table.attempt,
            table.generation,
            table.spec,
            table.task,
            table.requested,
        )
    )
    return tx.execute(taken).mappings().first()


def _lease(tx: Connection, row: RowMapping, holder: dict[str, Any], told_epoch: int) -> None:
    tx.execute(delete(leases).where(leases.c.run_id == row["id"]))  # none can be left; one would block its run for ever
    tx.execute(
        insert(leases).values(
            run_id=row["id"],
            tenant_id=row["tenant_id"],
            attempt=row["attempt"],
            seq=0,
            pulse=0,
            at=now(),
            told_epoch=told_epoch,
            **holder,
        )
    )


def _tell(tx: Connection, row: RowMapping) -> None:
    if row["attempt"] == 1:
        events.append(tx, row["id"], "run.started", {"attempt": 1})
        return
    saved = select(func.max(checkpoints.c.epoch)).where(checkpoints.c.run_id == row["id"])
    epoch = tx.execute(saved).scalar() or 0
    events.append(tx, row["id"], "run.resumed", {"attempt": row["attempt"], "epoch": epoch})
