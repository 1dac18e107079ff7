"""Where the runs of a whole page stand in their queues, found in one pass over those that wait."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, case, func, select

from store.moments import now
from store.runs import Run
from store.tables import runs


def positions(tx: Connection, page: Iterable[Run]) -> dict[str, int]:
    """Of each queued run how many, whoever's, would be claimed before it: what `runs.queue_position` says of one."""
    asked = defaultdict(list)
    for run in page:
        if run.status == "queued":
            asked[run.queue].append(run)
    return {id: before for queue, waiting in asked.items() for id, before in _in_queue(tx, queue, waiting).items()}


def _in_queue(tx: Connection, queue: str, asked: Sequence[Run]) -> dict[str, int]:
    # The ids of a page lie close together, so all others are counted and only those among them read. A window function
    # over the whole queue says the same, and takes ten times as long.
    first, last = min(run.id for run in asked), max(run.id for run in asked)
    table = runs.c
    waiting = (table.queue == queue, table.status == "queued", table.due_at <= now())
    older = func.sum(case((table.id < first, 1), else_=0))
    counted = tx.execute(select(table.priority, func.count(), older).where(*waiting).group_by(table.priority)).all()
    near: dict[int, list[str]] = defaultdict(list)
    for priority, id in tx.execute(
        select(table.priority, table.id).where(*waiting, table.id.between(first, last)).order_by(table.id)
    ):
        near[priority].append(id)

    def before(run: Run) -> int:
        urgent = sum(int(count) for priority, count, _ in counted if priority > run.priority)
        as_urgent = sum(int(count) for priority, _, count in counted if priority == run.priority)
        return urgent + as_urgent + bisect_left(near[run.priority], run.id)

    return {run.id: before(run) for run in asked}
