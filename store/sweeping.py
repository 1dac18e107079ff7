"""Clearing away what processes that died have left: files half written, and blobs that no row came to name or names.

Most such blobs are known by their pins. This finds those in a folder that nothing in the database tells of any more.
"""

from store import belonging
from store.blob_ledger import free
from store.blobs import Blobs
from store.database import Database
from store.references import unreferenced

ABANDONED_SECONDS = 24 * 3600.0  # what is this old and in nobody's name belongs to nobody
_AT_ONCE = 200


def sweep(database: Database, blobs: Blobs, older_than: float = ABANDONED_SECONDS) -> int:
    """Free blobs that nobody needs, and return how many. Raise Unavailable, and WrongStore for another's folder."""
    if not belonging.check(database, blobs):
        return 0
    blobs.sweep(older_than)
    swept = 0
    old = blobs.old(older_than)
    for keys in (old[first : first + _AT_ONCE] for first in range(0, len(old), _AT_ONCE)):
        with database.read() as tx:
            unnamed = unreferenced(tx, keys)
        if unnamed:
            with database.write() as tx:
                free(tx, unnamed)
            swept += len(unnamed)
    return swept
