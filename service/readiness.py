"""Whether what a process needs answers, looked at beside the requests: a store that hangs holds one thread at most."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from store import belonging, tenants
from store.blobs import Blobs
from store.database import Database
from store.errors import StoreError, Unavailable

log = structlog.get_logger(__name__)

_FRESH_SECONDS = 1.0  # a result of then is as good as a new one
_WAIT_SECONDS = 0.5  # that a new look may keep those who ask, counted from its begin for all of them
_OLD_SECONDS = 15.0  # what hangs for so long does not work, whatever was so before


@dataclass(frozen=True)
class Finding:
    """Whether it worked when it was last looked at, and how many seconds ago that was; none if it never was."""

    works: bool
    seconds_ago: float | None


class Check:
    """One thing that may work or not. `look` raises, or returns False, if it does not."""

    def __init__(self, name: str, look: Callable[[], bool | None]) -> None:
        self._name = name
        self._look = look
        self._lock = threading.Lock()
        self._works = False
        self._looked_at: float | None = None
        self._looking: threading.Event | None = None
        self._began_at = 0.0
        self._took = 0.0  # seconds, the last look

    def latest(self) -> Finding:
        """Return the last finding. One that is not fresh begins another look, and waits half a second for
        it, unless the one before took longer.
        """
        looking = self.begin()
        if looking is not None and self._took < _WAIT_SECONDS:
            looking.wait(max(0.0, self._began_at + _WAIT_SECONDS - time.monotonic()))
        with self._lock:
            if self._looked_at is None:
                return Finding(works=False, seconds_ago=None)
            ago = time.monotonic() - self._looked_at
            return Finding(self._works and ago < _OLD_SECONDS, ago)

    def begin(self) -> threading.Event | None:
        """Return the look that is under way, begun now if need be; None where the last finding is fresh."""
        with self._lock:
            now = time.monotonic()
            if self._looking is None and (self._looked_at is None or now - self._looked_at > _FRESH_SECONDS):
                self._looking, self._began_at = threading.Event(), now
                threading.Thread(target=self._run, args=(self._looking,), name=self._name, daemon=True).start()
            return self._looking

    def _run(self, looking: threading.Event) -> None:
        works = False
        try:
            works = self._look() is not False
        except (StoreError, SQLAlchemyError, OSError) as error:
            log.warning("not ready", check=self._name, error=str(error))
        finally:
            with self._lock:
                self._works, self._looked_at, self._looking = works, time.monotonic(), None
                self._took = self._looked_at - self._began_at
            looking.set()


class Readiness:
    """The database, the blobs and the broker, each looked at apart."""

    def __init__(self, database: Database, blobs: Blobs, broker: Callable[[], bool]) -> None:
        def database_answers() -> None:
            with database.read() as tx:
                tenants.exists(tx, tenants.LOCAL)

        def blobs_answer() -> None:
            blobs.check()
            with suppress(Unavailable, SQLAlchemyError):  # that of the database is told beside
                belonging.check(database, blobs, first=True)

        self._storage = {"database": Check("database", database_answers), "blobs": Check("blobs", blobs_answer)}
        self._all = {**self._storage, "broker": Check("broker", broker)}

    def storage(self) -> bool:
        """Whether what predictions need can be had."""
        return all(finding.works for finding in _latest(self._storage).values())

    def everything(self) -> dict[str, Finding]:
        """Return the findings by name."""
        return _latest(self._all)


def _latest(checks: dict[str, Check]) -> dict[str, Finding]:
    for check in checks.values():
        check.begin()
    return {name: check.latest() for name, check in checks.items()}
