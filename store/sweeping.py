"""Clearing away what processes that died have left: files half written, and blobs that no row came to name or names.

Whoever frees a blob deletes it; this is for those that were killed between the one and the other.
"""

from store.blobs import Blobs
from store.database import Database
from store.references import unreferenced

ABANDONED_SECONDS = 24 * 3600.0  # what is this old and in nobody's name belongs to nobody
_AT_ONCE = 200


def sweep(database: Database, blobs: Blobs, older_than: float = ABANDONED_SECONDS) -> int:
    """How many blobs were deleted. Raises Unavailable."""
    blobs.sweep(older_than)
    swept = 0
    old = blobs.old(older_than)
    for keys in (old[first : first + _AT_ONCE] for first in range(0, len(old), _AT_ONCE)):
        with database.read() as tx:
            unnamed = unreferenced(tx, keys)
        if not unnamed:
            continue
        # Once more, while nothing can be inserted that names one of them.
        with database.write() as tx:
            for key in unreferenced(tx, unnamed):
                blobs.delete(key)
                swept += 1
    return swept
