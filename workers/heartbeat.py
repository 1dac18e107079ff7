"""Says every so often that an attempt lives, from a thread of its own, so that no long step looks like death."""

import os
import threading
import time
from types import TracebackType
from typing import Protocol, Self

import structlog
from sqlalchemy import Connection

from store.database import Database
from store.errors import Fenced, Unavailable
from store.memory import Memory
from store.settings import Settings

log = structlog.get_logger(__name__)

_LEASES_WITHOUT_PROGRESS = 10


class Held(Protocol):
    """What an attempt holds: a run, or an analysis of one."""

    @property
    def run_id(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def requested(self) -> str | None: ...

    def beat(self, tx: Connection, pulse: int, memory: Memory | None) -> str | None:
        """What is requested of the attempt. Raises Fenced if it is over."""


class Heartbeat:
    """Beats while entered. `advance` is the driver's word that it moves: a beat alone proves life, not progress."""

    def __init__(self, database: Database, claim: Held, settings: Settings) -> None:
        self.of = claim.run_id
        self.requested = claim.requested
        self._fenced = False
        self._database = database
        self._claim = claim
        self._seconds = settings.heartbeat_seconds
        self._patience = settings.lease_seconds * _LEASES_WITHOUT_PROGRESS
        self._pulse = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def advance(self) -> None:
        self._pulse += 1

    def check(self) -> None:
        """Raises Fenced if the attempt is over."""
        if self._fenced:
            raise Fenced(self._claim.run_id, self._claim.attempt)

    def _beat(self) -> None:
        pulse, moved_at = 0, time.monotonic()
        while not self._over.wait(self._seconds):
            if self._pulse != pulse:
                pulse, moved_at = self._pulse, time.monotonic()
            elif time.monotonic() - moved_at > self._patience:
                log.error("the attempt does not move; its process ends", run=self.of)
                os._exit(os.EX_SOFTWARE)  # a call into a device that hangs can be left in no other way
            memory = Memory.here()
            try:
                with self._database.write() as tx:
                    self.requested = self._claim.beat(tx, pulse, memory)
            except Fenced:
                self._fenced = True
                return
            except Unavailable as reason:
                log.warning("a beat was not written", run=self.of, reason=str(reason))
            except Exception:  # a heart that stops would let the run be taken away
                log.exception("a beat failed", run=self.of)
