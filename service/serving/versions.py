"""Which weights a model's reference means at this moment, looked up at most a few times a second."""

import threading
import time
from collections import OrderedDict

from store import models
from store.database import Database
from store.models import Meaning

FRESH_SECONDS = 0.25  # how long a moved alias, or a new version, may go unseen by another process
_MOST = 4_096


class Versions:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[tuple[str, str], tuple[float, Meaning]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tenant: str, ref: str) -> Meaning:
        """Raises NotFound, Unavailable."""
        place = (tenant, ref)
        found = self._known.get(place)
        asked_at = time.monotonic()
        if found is not None and asked_at - found[0] < FRESH_SECONDS:
            return found[1]
        with self._database.read() as tx:
            version = models.resolve(tx, tenant, ref)
        with self._lock:
            self._known[place] = (asked_at, version)  # as old as the question: the answer may have changed since
            self._known.move_to_end(place)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return version

    def forget(self, tenant: str, name: str) -> None:
        """After a change of the model that this process has made itself: whoever asked for it sees it at once."""
        with self._lock:
            for place in [each for each in self._known if each[0] == tenant and name_of(each[1]) == name]:
                del self._known[place]


def name_of(ref: str) -> str:
    """The model's: what stands before `@alias` or `:version`."""
    return ref.partition("@")[0].partition(":")[0]
