"""What happened to a run, in order: each event is written in the transaction of what it tells."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from store.errors import BadCursor, NotFound
from store.moments import Moment, now
from store.owned import owned
from store.pages import Page
from store.tables import Json, Word, events, runs

_NEXT = select(func.coalesce(func.max(events.c.seq), 0) + 1).where(events.c.run_id == bindparam("of_run"))
_APPEND = insert(events).from_select(
    ["run_id", "seq", "tenant_id", "type", "created_at", "data"],
    select(
        runs.c.id,
        _NEXT.scalar_subquery(),
        runs.c.tenant_id,
        bindparam("type", type_=Word),
        bindparam("at", type_=Moment),
        bindparam("data", type_=Json),
    ).where(runs.c.id == bindparam("of_run")),
)


@dataclass(frozen=True)
class Event:
    """`seq` counts up by one within a run, from 1."""

    seq: int
    type: str
    created_at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class News:
    """What is new of a run whose status is this; if there are no events, there is nothing new."""

    status: str
    events: list[Event]


def append(tx: Connection, run_id: str, type: str, data: dict[str, Any]) -> None:
    """Tells `type` of the run, whose row the transaction holds already: two that tell at once would both be next."""
    tx.execute(_APPEND, {"of_run": run_id, "type": type, "at": now(), "data": data})


def page(tx: Connection, tenant: str, run_id: str, *, limit: int = 50, after: str | None = None) -> Page[Event]:
    """Oldest first. The cursor is the seq of the last event seen, as the stream's ids are."""
    query = select(events).where(events.c.tenant_id == tenant, events.c.run_id == run_id)
    if after is not None:
        query = query.where(events.c.seq > seq_of(after))
    found = [
        Event(row.seq, row.type, row.created_at, row.data)
        for row in tx.execute(query.order_by(events.c.seq).limit(limit + 1))
    ]
    data = found[:limit]
    more = len(found) > limit
    return Page(data, more, str(data[-1].seq) if more else None)


def news(tx: Connection, tenant: str, run_id: str, after: int, *, limit: int = 500) -> News:
    """The oldest events after the seq `after`, with the status in the same moment. Raises NotFound."""
    new = (events.c.run_id == runs.c.id) & (events.c.seq > after)
    found = select(runs.c.status, events.c.seq, events.c.type, events.c.created_at, events.c.data)
    query = found.select_from(runs.outerjoin(events, new)).where(owned(runs, tenant, run_id))
    rows = tx.execute(query.order_by(events.c.seq).limit(limit)).all()
    if not rows:
        raise NotFound("run", run_id)
    told = [Event(row.seq, row.type, row.created_at, row.data) for row in rows if row.seq is not None]
    return News(rows[0].status, told)


def told_epoch(tx: Connection, run_id: str) -> int:
    """The last epoch that a `run.progress` has told; 0 before the first."""
    query = select(events.c.data).where(events.c.run_id == run_id, events.c.type == "run.progress")
    data = tx.execute(query.order_by(events.c.seq.desc()).limit(1)).scalar()
    return int(data["epoch"]) if data else 0


def due(told: int, epoch: int) -> bool:
    """Whether a `run.progress` may tell `epoch` after it told `told`.

    Never an epoch again, and the older the run the rarer: each of the first 250 epochs, then one in every 250th part
    of what has passed. Over the 100,000 epochs a run may have that is at most 250 + 250 ln(400) = 1,748 events, and it
    depends on epochs alone: crashes and clocks change nothing.
    """
    return epoch - told >= max(1, told // 250)


def seq_of(after: str) -> int:
    """The seq that a caller names as the last one seen. Raises BadCursor."""
    if not (after.isascii() and after.isdigit() and len(after) <= 9):
        raise BadCursor(after)
    return int(after)
