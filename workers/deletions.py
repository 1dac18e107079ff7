"""Deleting what the database lets go of, on a thread of its own: an object store that hangs keeps no lease waiting."""

import time

import structlog

from store.blobs import Blobs
from store.database import Database
from store.errors import Unavailable
from store.purging import purge
from store.settings import Settings

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_AWAY_SECONDS = 5.0


def delete_for_ever(settings: Settings, database: Database, blobs: Blobs) -> None:
    """Never return. Whatever goes wrong is logged and tried again."""
    while True:
        try:
            deleted = purge(database, blobs, settings.keep_deleted_seconds)
        except Unavailable as reason:
            log.warning("nothing can be deleted while the store is away", reason=str(reason))
            time.sleep(_AWAY_SECONDS)
        except Exception:  # the next look may succeed, and this thread is the only one that deletes
            log.exception("blobs could not be deleted")
            time.sleep(_AWAY_SECONDS)
        else:
            if not deleted:
                time.sleep(_LOOK_SECONDS)
