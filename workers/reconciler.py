"""`learnd reconciler`: takes work back from attempts that died, and rings for what waits. Any number may run.

It is a process of its own: Celery's parent forks and so may hold no connection, and a scheduler inside Celery would
need the very broker whose absence this makes good.
"""

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import structlog
from celery import Celery
from celery.exceptions import OperationalError
from sqlalchemy import Connection

from store import (
    analyses,
    analysing,
    batch_predictions,
    batching,
    belonging,
    expiry,
    idempotency,
    schema,
    tenants,
    waiting,
    workers,
)
from store.blobs import Blobs
from store.database import Database
from store.errors import StoreError, Unavailable
from store.expiry import BACKOFF_SECONDS, Lease
from store.logs import write_logs
from store.moments import now
from store.purging import forget_pins
from store.settings import Settings
from store.sweeping import sweep
from store.workers import Slot
from workers.app import create_app
from workers.bells import TASK
from workers.deletions import delete_for_ever
from workers.shortage import Shortage

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0  # how long a child killed on this machine may go unnoticed
_RING_SECONDS = 1.0
_TIDY_SECONDS = 3600.0
_USUAL_LEASE_SECONDS = Settings.lease_seconds


class Held(Protocol):
    """The lease of a run, a batch prediction or an analysis."""

    @property
    def place(self) -> Hashable: ...

    @property
    def attempt(self) -> int: ...

    @property
    def seq(self) -> int: ...


class Watch:
    """How long each lease has been seen not to move, by this process's own clock and only while the database answered:
    clocks that jump and databases that are away expire nothing.
    """

    def __init__(self, longest_step: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_step = longest_step
        self._clock = clock
        self._at: float | None = None
        self._still: dict[tuple[Hashable, int, int], float] = {}

    def look(self, leases: Sequence[Held]) -> None:
        """The leases as they are now. A long gap since the last look, this process having slept, counts little."""
        at = self._clock()
        step = 0.0 if self._at is None else min(at - self._at, self._longest_step)
        self._at = at
        keys = [(lease.place, lease.attempt, lease.seq) for lease in leases]
        self._still = {key: self._still[key] + step if key in self._still else 0.0 for key in keys}

    def blink(self) -> None:
        """Nothing could be seen: the time until the next look does not count."""
        self._at = None

    def still_for(self, lease: Held) -> float:
        return self._still.get((lease.place, lease.attempt, lease.seq), 0.0)


class Reconciler:
    def __init__(self, settings: Settings, database: Database, blobs: Blobs, app: Celery) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._app = app
        self.look_seconds = min(_LOOK_SECONDS, settings.reconcile_seconds)
        self._watch = Watch(2 * self.look_seconds)
        self._shortage = Shortage()
        self._forget_at = self._tidy_at = 0.0
        # A deployment with shorter leases wants its retries sooner in proportion; so do the tests.
        self._backoff = [each * settings.lease_seconds / _USUAL_LEASE_SECONDS for each in BACKOFF_SECONDS]

    def look(self) -> None:
        """Once over everything. What is away now, or fails in a way nobody foresaw, is tried again at the next look."""
        try:
            self._take_back()
            self._forget_the_dead()
            wanted = self._wanted_bells()
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + _TIDY_SECONDS
                self._tidy()
        except Unavailable as reason:
            self._watch.blink()
            log.warning("the store is away", reason=str(reason))
            return
        except Exception:  # others wait for this process: it goes on with what it can do
            self._watch.blink()
            log.exception("a look at the work failed")
            return
        if any(wanted.values()):
            self._ring(wanted)

    def _take_back(self) -> None:
        with self._database.read() as tx:
            leases: list[Lease | batching.Lease | analysing.Lease]
            leases = [*expiry.leases(tx), *batching.leases(tx), *analysing.leases(tx)]
            idle = [slot.owner for slot in self._slots(tx) if slot.owner is not None and not slot.busy]
        self._watch.look(leases)
        self._shortage.look([*(lease.owner for lease in leases), *idle])
        for lease in leases:
            still = self._watch.still_for(lease)
            # What is on another machine, or in doubt, is only dead when its lease has long been still.
            if lease.owner.is_alive() is False or still > self._settings.lease_seconds:
                self._expire(lease)
            elif still > self._settings.lease_seconds / 2 and isinstance(lease, Lease):
                with self._database.write() as tx:
                    expiry.doubt(tx, lease)

    def _expire(self, lease: Lease | batching.Lease | analysing.Lease) -> None:
        try:
            with self._database.write() as tx:
                if isinstance(lease, Lease):
                    starved = self._shortage.explains(lease.owner)
                    seen = (lease.run_id, lease.attempt, lease.seq)
                    expired = expiry.expire(tx, *seen, starved=starved, backoff=self._backoff)
                elif isinstance(lease, batching.Lease):
                    expired = batching.expire(tx, lease)
                else:
                    expired = analysing.expire(tx, lease)
        except Unavailable:
            raise
        except StoreError as error:  # one run that cannot be helped must not keep the others waiting
            log.warning("a lease could not be expired", of=lease.place, reason=str(error))
            return
        if expired:
            log.warning("work was taken back from a lost worker", of=lease.place, attempt=lease.attempt)

    def _forget_the_dead(self) -> None:
        """Slots whose process is known to be gone at once, any other that was silent as long as a lease lasts."""
        with self._database.read() as tx:
            slots = [(each.id, slot) for each in workers.list_all(tx, tenants.LOCAL) for slot in each.slots]
        # The same host name may be another machine's, and the same pid another container's: only an identity tells.
        dead = [(id, slot.pid) for id, slot in slots if slot.owner is not None and slot.owner.is_alive() is False]
        forget = time.monotonic() >= self._forget_at
        if not dead and not forget:
            return
        with self._database.write() as tx:
            for id, pid in dead:
                workers.gone(tx, id, pid)
            if forget:
                workers.forget(tx, now() - timedelta(seconds=self._settings.lease_seconds))
                self._forget_at = time.monotonic() + self._settings.reconcile_seconds

    @staticmethod
    def _slots(tx: Connection) -> list[Slot]:
        return [slot for each in workers.list_all(tx, tenants.LOCAL) for slot in each.slots]

    def _tidy(self) -> None:
        sweep(self._database, self._blobs)
        forget_pins(self._database)
        with self._database.write() as tx:
            idempotency.forget(tx)

    def _wanted_bells(self) -> dict[str, int]:
        """In each queue that somebody serves: as many as there are runs due, at most one for each slot that is free.

        Batch predictions and analyses wait in no queue: whoever hears a bell for nothing else makes them.
        """
        with self._database.read() as tx:
            free: Counter[str] = Counter()
            for worker in workers.list_all(tx, tenants.LOCAL):
                free.update(dict.fromkeys(worker.queues, sum(not slot.busy for slot in worker.slots)))
            asked = batch_predictions.waiting(tx) + analyses.waiting(tx)
            return {queue: min(slots, waiting.due(tx, queue) + asked) for queue, slots in free.items() if slots}

    def _ring(self, wanted: Mapping[str, int]) -> None:
        """As many as are wanted and not waiting already: the broker may have lost them, or been away when they rang."""
        try:
            with self._app.connection_for_write() as connection:
                # Once and briefly: leases are not to wait for a broker that is away or frozen.
                connection.transport_options.update(socket_connect_timeout=_RING_SECONDS, socket_timeout=_RING_SECONDS)
                connection.ensure_connection(max_retries=0)
                for queue, bells in wanted.items():
                    there = connection.default_channel.queue_declare(queue).message_count
                    for _ in range(bells - there):
                        self._app.send_task(TASK, queue=queue, connection=connection, retry=False, ignore_result=True)
        except (OperationalError, *self._app.connection_for_write().connection_errors) as error:
            log.warning("the broker is away, or has no room", reason=str(error))


def main() -> None:
    settings = Settings.from_environment()
    if not settings.redis_url:
        print("the reconciler rings through a broker: set LEARND_REDIS_URL, or use `learnd up`", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    try:
        schema.check(settings.database)
    except schema.WrongSchema as reason:
        print(reason, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    write_logs(settings.log_level)
    if refusal := belonging.refusal(settings):
        print(refusal, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # whatever it is doing rolls back
    database = Database(settings.database)
    blobs = Blobs(settings.blobs, settings.data_dir / "cache", settings.blob_timeout_seconds)
    reconciler = Reconciler(settings, database, blobs, create_app(settings))
    threading.Thread(target=delete_for_ever, args=(settings, database, blobs), daemon=True).start()
    with suppress(KeyboardInterrupt):
        while True:
            reconciler.look()
            time.sleep(reconciler.look_seconds)


if __name__ == "__main__":
    main()
