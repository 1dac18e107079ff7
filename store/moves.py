"""A run moves: its row changes as the table of states says, and the event that tells it is written with it."""

from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, select, update

from store import blob_ledger, events
from store.errors import Conflict, NotFound
from store.moments import now
from store.states import FINAL, KEEP, Already, Outcome, Refusal, Transition
from store.tables import checkpoints, runs

_SEEN = (
    runs.c.tenant_id,
    runs.c.status,
    runs.c.requested,
    runs.c.attempt,
    runs.c.crashes,
    runs.c.memory_crashes,
    runs.c.warnings,
    runs.c.weights_blob,
)
_LOCK = select(*_SEEN).where(runs.c.id == bindparam("of_run")).with_for_update(key_share=True)


def lock(tx: Connection, run_id: str) -> RowMapping:
    """What a move depends on, held still until the transaction ends."""
    row = tx.execute(_LOCK, {"of_run": run_id}).mappings().first()
    if row is None:
        raise NotFound("run", run_id)
    return row


def move(tx: Connection, run_id: str, outcome: Outcome, data: dict[str, Any], **columns: Any) -> str | None:
    """Makes the transition and tells it with `data`; its status. None where nothing was to be done; else Conflict."""
    match outcome:
        case Refusal(reason):
            raise Conflict(reason)
        case Already():
            return None
        case Transition(status, event, requested):
            values: dict[str, Any] = {"status": status, **columns}
            if requested != KEEP:
                values["requested"] = requested
            if status in FINAL:
                values["finished_at"] = now()
                if status != "succeeded":  # which can be extended from its last one; nothing goes on from here
                    gone = delete(checkpoints).where(checkpoints.c.run_id == run_id).returning(checkpoints.c.blob)
                    blob_ledger.free(tx, list(tx.execute(gone).scalars()))
            tx.execute(update(runs).where(runs.c.id == run_id).values(**values))
            if event is not None:
                events.append(tx, run_id, event, data)
            return status
