"""The service's figures over all tenants, counted when they are asked for: many processes, one truth."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from store.states import STATUSES
from store.tables import datasets, runs, worker_slots, workers


@dataclass(frozen=True)
class Figures:
    """`runs` by status, every status named; `waiting_since` is when the oldest queued run was made, by queue."""

    runs: dict[str, int]
    queued: dict[str, int]
    waiting_since: dict[str, datetime]
    datasets: int
    workers: int
    slots: int


def read(tx: Connection) -> Figures:
    counts = select(runs.c.status, func.count()).group_by(runs.c.status)
    by_status = {status: count for status, count in tx.execute(counts)}  # noqa: C416 - rows are no pairs to a type checker
    waiting = select(runs.c.queue, func.count(), func.min(runs.c.created_at)).where(runs.c.status == "queued")
    by_queue = tx.execute(waiting.group_by(runs.c.queue)).all()
    return Figures(
        runs=dict.fromkeys(STATUSES, 0) | by_status,
        queued={queue: count for queue, count, _ in by_queue},
        waiting_since={queue: oldest for queue, _, oldest in by_queue},
        datasets=tx.execute(select(func.count()).select_from(datasets)).scalar_one(),
        workers=tx.execute(select(func.count()).select_from(workers)).scalar_one(),
        slots=tx.execute(select(func.count()).select_from(worker_slots)).scalar_one(),
    )
