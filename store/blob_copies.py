"""The copies that a process keeps of an object store's blobs, beside the store: dropped once no row needs their blob.

The reconciler deletes the blobs themselves, and it may be on another machine.
"""

from sqlalchemy import Connection

from store.blobs import Blobs
from store.database import Database
from store.references import unreferenced

_AT_ONCE = 200


def unneeded(tx: Connection, key: str | None) -> list[str]:
    """Return the key if no row names it any more, after what this transaction has deleted."""
    return [] if key is None else unreferenced(tx, [key])


def sweep_copies(database: Database, blobs: Blobs) -> int:
    """Drop the copies of blobs that were deleted by other processes, and return how many. Raise Unavailable."""
    copies = blobs.copies()
    dropped = 0
    for keys in (copies[first : first + _AT_ONCE] for first in range(0, len(copies), _AT_ONCE)):
        with database.read() as tx:
            gone = unreferenced(tx, keys)
        for key in gone:
            blobs.drop_copy(key)
        dropped += len(gone)
    return dropped
