"""Where the runs of a whole page stand in their queues, found in one pass over those that wait."""

from collections.abc import Iterable

from sqlalchemy import Connection, case, func, select

from store.moments import now
from store.runs import Run
from store.tables import runs


def positions(tx: Connection, page: Iterable[Run]) -> dict[str, int]:
    """Of each queued run how many, whoever's, would be claimed before it: what `runs.queue_position` says of one."""
    asked = [run.id for run in page if run.status == "queued"]
    if not asked:
        return {}
    table = runs.c
    due = case((table.due_at <= now(), 1), else_=0)
    upto = func.sum(due).over(partition_by=table.queue, order_by=(table.priority.desc(), table.id), rows=(None, 0))
    queued = select(table.id, (upto - due).label("before")).where(table.status == "queued").subquery()
    rows = tx.execute(select(queued.c.id, queued.c.before).where(queued.c.id.in_(asked)))
    return {row.id: int(row.before) for row in rows}
