"""That a database and a store of blobs belong together: the store bears a mark which the database knows.

A process with another store than the others would fail every run for want of its table, and a sweep of another's folder
would delete what that needs. So nobody puts, sweeps or claims before it has seen the mark.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing

import structlog
from sqlalchemy import Connection, RowMapping, select, union, update

from store.blob_location import BadBlobUrl
from store.blobs import Blobs
from store.database import Database, upsert
from store.errors import StoreError, Unavailable
from store.ids import new_id
from store.moments import now
from store.references import NAMES
from store.settings import Settings
from store.tables import blob_store, datasets, runs

log = structlog.get_logger(__name__)

_LOOKED_AT = 5  # of the newest names, of which one at least must be there


class WrongStore(StoreError):
    """The blobs are not those of the database; the message says why, and what to do."""


def check(database: Database, blobs: Blobs, *, first: bool = False) -> bool:
    """Whether they belong together: False as long as a new database has no store. Raise WrongStore, Unavailable.

    `first`: such a database gets this one. That is for processes that answer uploads; a worker may have been set up
    wrongly.
    """
    if not blobs.belongs:
        try:
            blobs.belongs = _seen(database, blobs, first)
        except WrongStore:  # or another process was marking it between two of our looks
            blobs.belongs = _seen(database, blobs, first)
    return blobs.belongs


def _seen(database: Database, blobs: Blobs, first: bool) -> bool:
    with database.read() as tx:
        known = _known(tx)
        newest = list(_newest(tx)) if known is None else []
    if known is None and not newest and not first:
        return False
    mark = blobs.mark()
    if known is None:
        if mark is not None:
            raise WrongStore(_of_another(blobs, mark))
        known = _adopted(database, blobs, newest)
    if mark is None:
        if known["is_marked"]:
            lost = f"If that store is no more, write {known['mark']} to {blobs.mark_place}"
            raise WrongStore(_said(blobs, f"it has no mark, and that one has, first seen as {known['url']}. {lost}"))
        blobs.set_mark(known["mark"])
        mark = blobs.mark()  # another database's, if that was as quick
    if mark != known["mark"]:
        raise WrongStore(_of_another(blobs, mark))
    if not known["is_marked"]:
        with database.write() as tx:
            tx.execute(update(blob_store).values(is_marked=True))
    return True


def refusal(settings: Settings, *, first: bool = False) -> str | None:
    """Return why a process with these settings must not start: its store is another database's. Else None.

    A store or database that is away is no reason: the first use looks again. It is looked at in a process of its own,
    since what it opens must not be copied by a fork.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, (_reason(settings, first) or "").encode())
        finally:
            os._exit(os.EX_OK)
    os.close(writing)
    with os.fdopen(reading) as told:
        reason = told.read()
    os.waitpid(child, 0)
    return reason or None


def _reason(settings: Settings, first: bool) -> str | None:
    with closing(Database(settings.database)) as database:
        try:
            blobs = Blobs(settings.blobs, settings.data_dir / "cache", settings.blob_timeout_seconds)
            check(database, blobs, first=first)
        except Unavailable as reason:
            log.warning("whose the blobs are cannot be seen yet", reason=str(reason))
        except (WrongStore, BadBlobUrl) as reason:
            return str(reason)
    return None


def _said(blobs: Blobs, why: str) -> str:
    return f"{blobs.url} is not the store of this database's blobs: {why}. See LEARND_BLOB_URL and LEARND_DATABASE_URL"


def _of_another(blobs: Blobs, mark: str | None) -> str:
    return _said(blobs, f"it has the mark of another one, {mark}. If that is no more, remove {blobs.mark_place}")


def _known(tx: Connection) -> RowMapping | None:
    return tx.execute(select(blob_store)).mappings().first()


def _adopted(database: Database, blobs: Blobs, newest: Sequence[str]) -> RowMapping:
    """What the database knows of its store from now on. Raise WrongStore where it names blobs that are elsewhere."""
    if newest and not any(map(blobs.exists, newest)):
        with database.read() as tx:
            named = [key for key in tx.execute(union(*map(select, NAMES))).scalars() if key is not None]
        if not blobs.fetch_misplaced(named):
            raise WrongStore(_said(blobs, f"none of the newest {len(newest)} that it names is there"))
    row = {"one": 1, "mark": new_id("store"), "url": blobs.url, "is_marked": False, "created_at": now()}
    with database.write() as tx:
        tx.execute(upsert(tx, blob_store).values(**row).on_conflict_do_nothing())
        known = _known(tx)
    assert known is not None, "it was just written"
    return known


def _newest(tx: Connection) -> Iterator[str]:
    for table, name in ((datasets, datasets.c.blob), (runs, runs.c.weights_blob)):
        newest = select(name).where(name.is_not(None)).order_by(table.c.id.desc())
        yield from tx.execute(newest.limit(_LOOKED_AT)).scalars()
