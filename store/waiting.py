"""How many runs a worker could claim right now: what the reconciler rings for."""

from sqlalchemy import Connection, func, select

from store.moments import now
from store.tables import runs


def due(tx: Connection, queue: str) -> int:
    table = runs.c
    waiting = select(func.count()).where(table.queue == queue, table.status == "queued", table.due_at <= now())
    return int(tx.execute(waiting).scalar_one())
