"""Deleting the bytes that no row needs any more: outside of any transaction, by the reconciler, however often it takes.

1. In a transaction, with the ledger's row locked: is the key still needed? Then its deletion is forgotten. If not, the
   key is dead: nobody can pin or name it from now on.
2. The bytes are deleted. A process that dies here leaves a dead key in the outbox, and the next one goes on.
3. In a transaction: the key is forgotten.

A deletion waits for a while before it begins, so that a reader that has just read the key from a row can read the
bytes too.
"""

from datetime import timedelta

import structlog
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.sql import Select

from store import belonging
from store.blob_ledger import free
from store.blobs import Blobs
from store.database import Database
from store.errors import Unavailable
from store.moments import now
from store.references import unreferenced
from store.tables import blob_deletions, blob_pins, blobs

log = structlog.get_logger(__name__)

_AT_ONCE = 100
_PINNED_SECONDS = 24 * 3600.0  # a writer that has not named a blob by then has died


def purge(database: Database, store: Blobs, after_seconds: float) -> int:
    """Delete blobs that have waited for `after_seconds`, and return how many. Raise Unavailable, WrongStore."""
    if not belonging.check(database, store):
        return 0
    with database.read() as tx:
        if tx.execute(_waiting(after_seconds).limit(1)).first() is None:
            return 0
    with database.write() as tx:
        dead = _condemned(tx, after_seconds)
    gone = []
    for key in dead:
        try:
            store.delete(key)
        except Unavailable as reason:
            log.warning("a blob could not be deleted; it is tried again", blob=key, reason=str(reason))
            break  # the store is away for the others too
        gone.append(key)
    if gone:
        with database.write() as tx:
            # In the order in which they are locked above, or two processes could wait for each other.
            tx.execute(delete(blob_deletions).where(blob_deletions.c.key.in_(gone)))
            tx.execute(delete(blobs).where(blobs.c.key.in_(gone)))
    return len(gone)


def forget_pins(database: Database, older_than: float = _PINNED_SECONDS) -> None:
    """Have the blobs deleted that were put by processes that died before a row named them."""
    with database.write() as tx:
        old = delete(blob_pins).where(blob_pins.c.created_at < now() - timedelta(seconds=older_than))
        free(tx, list(tx.execute(old.returning(blob_pins.c.key)).scalars()))


def _waiting(after_seconds: float) -> Select[tuple[str, str]]:
    until = now() - timedelta(seconds=after_seconds)
    return select(blob_deletions.c.id, blob_deletions.c.key).where(blob_deletions.c.waits_since <= until)


def _condemned(tx: Connection, after_seconds: float) -> list[str]:
    """Return the keys whose bytes are to be deleted now; from here on they are dead."""
    due = _waiting(after_seconds).order_by(blob_deletions.c.waits_since).limit(_AT_ONCE)
    rows = tx.execute(due.with_for_update(skip_locked=True)).all()
    keys = {row.key for row in rows}
    tx.execute(select(blobs.c.key).where(blobs.c.key.in_(keys)).order_by(blobs.c.key).with_for_update())
    dead = unreferenced(tx, keys)
    # Only those read above: another may come at this moment, with the transaction that deletes the last row.
    needed = [row.id for row in rows if row.key not in dead]
    tx.execute(delete(blob_deletions).where(blob_deletions.c.id.in_(needed)))
    tx.execute(update(blobs).where(blobs.c.key.in_(dead)).values(deleting=True))
    # If this process dies or the store is away, it is the next one's turn, after as long again.
    ids = [row.id for row in rows if row.key in dead]
    tx.execute(update(blob_deletions).where(blob_deletions.c.id.in_(ids)).values(waits_since=now()))
    return dead
