"""The service's figures over all tenants, counted when they are asked for: many processes, one truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, func, select

from store import batch_predictions as batches
from store.states import STATUSES
from store.tables import batch_predictions, datasets, runs, worker_slots, workers


@dataclass(frozen=True)
class Figures:
    """`runs` and `batch_predictions` by status, every status named; `waiting_since` is when the oldest queued run was
    made, by queue.
    """

    runs: dict[str, int]
    batch_predictions: dict[str, int]
    queued: dict[str, int]
    waiting_since: dict[str, datetime]
    datasets: int
    workers: int
    slots: int


def read(tx: Connection) -> Figures:
    waiting = select(runs.c.queue, func.count(), func.min(runs.c.created_at)).where(runs.c.status == "queued")
    by_queue = tx.execute(waiting.group_by(runs.c.queue)).all()
    return Figures(
        runs=_by_status(tx, runs, STATUSES),
        batch_predictions=_by_status(tx, batch_predictions, batches.STATUSES),
        queued={queue: count for queue, count, _ in by_queue},
        waiting_since={queue: oldest for queue, _, oldest in by_queue},
        datasets=tx.execute(select(func.count()).select_from(datasets)).scalar_one(),
        workers=tx.execute(select(func.count()).select_from(workers)).scalar_one(),
        slots=tx.execute(select(func.count()).select_from(worker_slots)).scalar_one(),
    )


def _by_status(tx: Connection, table: Table, statuses: Sequence[str]) -> dict[str, int]:
    counts = tx.execute(select(table.c.status, func.count()).group_by(table.c.status))
    return dict.fromkeys(statuses, 0) | {status: count for status, count in counts}  # noqa: C416 - rows are no pairs to a type checker
