"""Checkpoints: what an attempt has saved of a run, so that the next one goes on from there instead of from the start.

The bytes are a blob, put before its name is written here through the fence: a name is never of bytes that may not be
there. The newest two are kept while the run is not final, since the newest may turn out damaged; of a run that
succeeded the last one, from which it can be extended.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, bindparam, delete, select, update

from store import blob_ledger, events, moves
from store.blobs import sha256_of
from store.database import upsert
from store.leases import fence
from store.moments import now
from store.tables import checkpoints as table
from store.tables import runs

KEPT = 2

_PLACE = (table.c.run_id, table.c.attempt, table.c.epoch, table.c.step)
_NEWEST_FIRST = (
    select(table)
    .where(table.c.run_id == bindparam("of_run"))
    .order_by(table.c.attempt.desc(), table.c.epoch.desc(), table.c.step.desc())
)


@dataclass(frozen=True)
class Checkpoint:
    """After `epoch` whole epochs; `step` counts the optimizer's since the start, also those of an epoch begun."""

    epoch: int
    step: int
    blob: str


def newest_first(tx: Connection, run_id: str) -> list[Checkpoint]:
    return [Checkpoint(row.epoch, row.step, row.blob) for row in tx.execute(_NEWEST_FIRST, {"of_run": run_id})]


def advance(tx: Connection, run_id: str, attempt: int, checkpoint: Checkpoint) -> None:
    """Make it the run's newest, and free those before it that are too many.

    If the run has got further by it, its crashes are forgotten. One of the place where the attempt began is no further:
    what crashes at the next step would crash for ever. Fenced if the attempt is over.
    """
    keep(tx, fence(tx, run_id, attempt), checkpoint, KEPT)
    moves.lock(tx, run_id)  # against a verb that tells at the same moment
    if sum(each.step >= checkpoint.step for each in newest_first(tx, run_id)) == 1:
        tx.execute(update(runs).where(runs.c.id == run_id).values(crashes=0))
    events.append(tx, run_id, "run.checkpointed", {"epoch": checkpoint.epoch, "step": checkpoint.step})


def keep(tx: Connection, lease: RowMapping, checkpoint: Checkpoint, count: int) -> None:
    """Keep it and those before it, `count` in all, and free the blobs of the others. `lease` is what the fence has
    answered.
    """
    row = {name: lease[name] for name in ("run_id", "tenant_id", "attempt")} | vars(checkpoint)
    known = {"sha256": sha256_of(checkpoint.blob), "created_at": now()}
    insert = upsert(tx, table)
    overwritten = {name: insert.excluded[name] for name in ("blob", *known)}
    before = [each.blob for each in newest_first(tx, lease["run_id"])]
    tx.execute(insert.on_conflict_do_update(index_elements=_PLACE, set_=overwritten), row | known)
    newest = tx.execute(_NEWEST_FIRST, {"of_run": lease["run_id"]}).all()
    older = newest[count:]
    for each in older:
        tx.execute(delete(table).where(*(column == getattr(each, column.name) for column in _PLACE)))
    blob_ledger.free(tx, set(before) - {each.blob for each in newest[:count]})
