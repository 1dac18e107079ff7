"""One attempt at a run: read the table, drive the fit, write what it tells through the fence, end as is asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from learning.experiment import Experiment, prepare
from learning.fitting import Pulse, fit
from store import finishing, leases, runs
from store.blobs import Blobs
from store.claims import Claim
from store.database import Database
from store.errors import BlobMissing, Fenced, Unavailable
from store.settings import Settings
from workers.drain import Drain
from workers.failures import NON_FINITE, Failure, failure_of
from workers.heartbeat import Heartbeat
from workers.ranking import Ranking
from workers.reading import Tables, columns_of
from workers.reporting import Reporter
from workers.results import Outcome

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 15 * 60.0  # how long a run outlives its database
_AWAY_SECONDS = 3.0  # between two tries while the database is away

Answer = TypeVar("Answer")
Ending = Callable[[Connection], Any]  # how the run ends, in one transaction


@dataclass(frozen=True)
class Place:
    """Where a slot does its work, the same for all of its attempts."""

    settings: Settings
    database: Database
    blobs: Blobs
    tables: Tables
    drain: Drain
    device: str
    threads: int


def drive(claim: Claim, place: Place) -> None:
    """Make the attempt. However it ends, the run is told; only an attempt that no longer holds it says nothing."""
    with Heartbeat(place.database, claim, place.settings) as heart:
        attempt = _Attempt(claim, place, heart)
        try:
            try:
                ending = attempt.train()
            except (Fenced, Unavailable):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the run must not stay running
                ending = attempt.failed(failure_of(error, claim.run_id))
            attempt.patiently(lambda: attempt.end(ending))
        except Fenced:
            log.warning("another attempt holds the run, or none", run=claim.run_id, attempt=claim.attempt)
        except Unavailable as reason:
            log.warning("the store stayed away; the attempt is given up", run=claim.run_id, reason=str(reason))


class _Attempt:
    def __init__(self, claim: Claim, place: Place, heart: Heartbeat) -> None:
        self._claim = claim
        self._place = place
        self._heart = heart
        self._held = (claim.run_id, claim.attempt)
        self._away_since: float | None = None

    def train(self) -> Ending:
        """Until the fit is done or something else is asked for; how the run ends then."""
        experiment = self._prepared()
        epochs = max(member.epochs for member in experiment.members)
        ranking = Ranking(self._claim.spec, experiment.members)
        reporter = Reporter(epochs, len(experiment.members), ranking)
        for pulse in fit(experiment.members, experiment.data, threads=self._place.threads):
            self._heart.advance()
            reporter.take(pulse)
            if reporter.is_due():
                self._look(reporter, pulse)
            if self._heart.fenced:
                raise Fenced(*self._held)
            if self._heart.requested == "cancel":
                return lambda tx: finishing.acknowledge(tx, *self._held)
            if self._place.drain.is_asked:
                return self._told(reporter, pulse, lambda tx: finishing.release(tx, *self._held))
            if pulse.epochs and not pulse.finished and self._heart.requested == "pause":
                return self._told(reporter, pulse, lambda tx: finishing.acknowledge(tx, *self._held))
            # An attempt after a crash begins anew: it stops no earlier than the one that was there when stop was asked.
            if pulse.epochs and self._heart.requested == "stop" and pulse.epoch >= self._claim.told_epoch:
                break
        return self._finished(experiment, reporter, pulse)

    def failed(self, failure: Failure) -> Ending:
        return lambda tx: finishing.fail(tx, *self._held, failure.code, failure.message)

    def end(self, ending: Ending) -> None:
        with self._place.database.write() as tx:
            ending(tx)

    def patiently(self, action: Callable[[], Answer]) -> Answer:
        """Do it, again and again while the store is away. Raises Unavailable when that lasts too long."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return action()
            except Unavailable as reason:
                # A worker that shuts down has no time for this; the lease tells the reconciler what became of the run.
                if time.monotonic() > until or self._place.drain.is_asked:
                    raise
                log.warning("the store is away; trying again", run=self._claim.run_id, reason=str(reason))
                time.sleep(_AWAY_SECONDS)

    def _prepared(self) -> Experiment:
        spec, blob = self._claim.spec, self._claim.dataset.blob
        if blob is None:
            raise BlobMissing(self._claim.dataset.id)
        path = self.patiently(lambda: self._place.blobs.local_path(blob))
        table = self._place.tables.read(path, columns_of(spec))
        self._heart.advance()
        return prepare(spec, table)

    def _look(self, reporter: Reporter, pulse: Pulse) -> None:
        """Write what is new and read what is asked. While the database is away, training goes on and reports wait."""
        try:
            if reporter.has_news():
                report = reporter.report(pulse)
                with self._place.database.write() as tx:
                    self._heart.requested = leases.record(tx, *self._held, report)
                reporter.written(report)
            else:
                with self._place.database.read() as tx:
                    self._heart.requested = leases.requested(tx, self._claim.run_id)
                reporter.looked()
            self._away_since = None
        except Unavailable:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > _PATIENCE_SECONDS:
                raise
            reporter.looked(postponed=_AWAY_SECONDS)

    def _told(self, reporter: Reporter, pulse: Pulse, ending: Ending) -> Ending:
        report = reporter.report(pulse, whole=True)

        def told(tx: Connection) -> None:
            leases.record(tx, *self._held, report)
            ending(tx)

        return told

    def _finished(self, experiment: Experiment, reporter: Reporter, pulse: Pulse) -> Ending:
        report = reporter.report(pulse, whole=True)
        if report.best is None:
            return self._told(reporter, pulse, self.failed(NON_FINITE))
        outcome = Outcome(self._claim, experiment, pulse, reporter)
        blob = self.patiently(lambda: self._place.blobs.put(outcome.weights_file()))
        warnings = self.patiently(self._warnings)
        result = outcome.result(blob, warnings, self._place.device, self._place.threads)

        def succeeded(tx: Connection) -> None:
            leases.record(tx, *self._held, report)
            finishing.succeed(tx, *self._held, result)

        return succeeded

    def _warnings(self) -> list[dict[str, Any]]:
        with self._place.database.read() as tx:
            return runs.get(tx, self._claim.tenant, self._claim.run_id).warnings
