"""The ledger of blobs: a blob's name is pinned before its bytes are put, and let go of in an outbox.

    put:     pin (a transaction) -> write the bytes -> name the key in a row, which ends the pin (a transaction)
    delete:  the transaction that deletes the last row writes the key to the outbox; `store/purging.py` does the rest

Equal bytes share a key while that is alive. Once it is being deleted it is dead: a writer of the same bytes gets a key
that was never used, so a deletion that arrives late harms nobody.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from store import belonging
from store.blobs import Blobs, key_of
from store.database import Database
from store.errors import Unavailable
from store.ids import new_id
from store.moments import now
from store.tables import blob_deletions, blob_pins, blobs

_ORDINAL_BYTES = 6  # random: a key must not be one that this content had before


class BlobLost(Unavailable):
    """The blob was pinned for so long that it was given up; it has to be put again."""

    def __init__(self, key: str) -> None:
        super().__init__(f"blob {key} was given up before a row named it")


@dataclass(frozen=True)
class Pin:
    """Keeps `key` from being deleted until a row names it."""

    id: str
    key: str


class Pins:
    """The blobs that one request or attempt puts."""

    def __init__(self, database: Database, store: Blobs) -> None:
        self._database = database
        self._store = store
        self._pins: list[Pin] = []

    def put(self, content: bytes | Path | Iterable[memoryview]) -> str:
        """Store the bytes, pinned, and return their key. Raise Full, BlobsAway, Busy, WrongStore."""
        belonging.check(self._database, self._store, first=True)
        return self._store.put(content, self._pinned)

    @contextmanager
    def named(self, *keys: str) -> Iterator[Connection]:
        """A transaction in which rows come to name `keys`; if it fails, the bytes are given up."""
        try:
            with self._database.write() as tx:
                yield tx
                self.name(tx, *keys)
        except BaseException:
            with suppress(Unavailable), self._database.write() as tx:  # else they go when the pins are old
                self.give_up(tx)
            raise

    def name(self, tx: Connection, *keys: str) -> None:
        """End the pins of `keys`, in the transaction in which a row comes to name them. Raise BlobLost."""
        for key in keys:
            ids = [pin.id for pin in self._pins if pin.key == key]
            gone = tx.execute(delete(blob_pins).where(blob_pins.c.id.in_(ids))).rowcount == 0
            if gone and not _alive(tx, key):
                raise BlobLost(key)

    def forget(self, key: str) -> None:
        """A row names it for certain: a long attempt is to remember only what is left."""
        self._pins = [pin for pin in self._pins if pin.key != key]

    def give_up(self, tx: Connection) -> None:
        """End all pins that are left, and have the bytes deleted unless others need them."""
        ids = [pin.id for pin in self._pins]
        if ids:
            left = delete(blob_pins).where(blob_pins.c.id.in_(ids)).returning(blob_pins.c.key)
            free(tx, list(tx.execute(left).scalars()))

    def _pinned(self, sha256: str) -> str:
        with self._database.write() as tx:
            pin = _pin(tx, sha256)
        self._pins.append(pin)
        return pin.key


def free(tx: Connection, keys: Iterable[str | None]) -> None:
    """Have the bytes of `keys` deleted, unless a row names them then. Part of the transaction that deletes rows."""
    rows = [{"id": new_id("bd"), "key": key, "waits_since": now()} for key in sorted({key for key in keys if key})]
    if rows:
        tx.execute(insert(blob_deletions), rows)


def _pin(tx: Connection, sha256: str) -> Pin:
    """The lock keeps a deletion of the key from beginning before the pin can be seen; one that has begun is passed."""
    alive = select(blobs.c.key).where(blobs.c.sha256 == sha256, blobs.c.deleting.is_(False))
    key = tx.execute(alive.limit(1).with_for_update()).scalar()
    if key is None:
        key = key_of(sha256, secrets.token_hex(_ORDINAL_BYTES))
        tx.execute(insert(blobs).values(key=key, sha256=sha256, created_at=now()))
    pin = Pin(new_id("pin"), key)
    tx.execute(insert(blob_pins).values(id=pin.id, key=key, created_at=now()))
    return pin


def _alive(tx: Connection, key: str) -> bool:
    """Whether the key may still be named; if so it stays until this transaction ends."""
    alive = select(blobs.c.key).where(blobs.c.key == key, blobs.c.deleting.is_(False))
    return tx.execute(alive.with_for_update()).first() is not None
