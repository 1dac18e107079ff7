"""One attempt at a run: read the table, drive the fit, write what it tells through the fence, end as is asked."""

import errno
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from learning.experiment import Experiment, prepare
from learning.fitting import Pulse, State, fit
from learning.schedule import FEWER_MEMBERS
from learning.specs import columns_of
from store import checkpoints, finishing, leases, out_of_memory, runs
from store.blob_ledger import Pins
from store.blobs import Blobs
from store.checkpoints import Checkpoint
from store.claims import Claim
from store.database import Database
from store.errors import BlobMissing, Fenced, Unavailable
from store.runs import Run
from store.settings import Settings
from workers.checkpointing import Checkpointing, Saved
from workers.drain import Drain
from workers.exactness import exactness
from workers.failures import NON_FINITE, Failure, failure_of
from workers.heartbeat import Heartbeat
from workers.outlasting import AWAY_SECONDS, PATIENCE_SECONDS, Answer, outlast
from workers.ranking import Ranking
from workers.reading import Tables
from workers.reporting import Reporter
from workers.results import Making, Outcome
from workers.time_limit import TimeLimit

log = structlog.get_logger(__name__)

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
            except Fenced:
                raise
            except Unavailable as reason:
                log.warning("the store stayed away; the run is handed back", run=claim.run_id, reason=str(reason))
                ending = attempt.handed_back
            except Exception as error:  # whatever it was, the run must not stay running
                if isinstance(error, OSError) and error.errno == errno.EIO:
                    log.exception("the disk cannot be trusted; the process ends", run=claim.run_id)
                    os._exit(os.EX_IOERR)  # the run is tried again, perhaps elsewhere, from what was surely written
                ending = attempt.failed(failure_of(error, claim.run_id))
            attempt.patiently(lambda: attempt.end(ending), until_cancelled=False)
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
        self._pins = Pins(place.database, place.blobs)
        self._saving = Checkpointing(place.blobs, place.settings.checkpoint_seconds, put=self._pins.put)
        self._saved = Saved()
        self._doubted = claim.crashes > 0

    def train(self) -> Ending:
        """Until the fit is done or something else is asked for; how the run ends then."""
        experiment = self._prepared()
        self._saved = self.patiently(lambda: self._saving.newest(self._claim))
        self._time = TimeLimit(self._claim.spec, self._place.settings.max_run_seconds, self._trained())
        epochs = max(member.epochs for member in experiment.members)
        ranking = Ranking(self._claim.spec, experiment.members)
        reporter = Reporter(epochs, len(experiment.members), ranking, figures=self._saved.figures)
        for pulse in self._pulses(experiment):
            self._heart.advance()
            reporter.take(pulse)
            if reporter.is_due():
                self._look(reporter, pulse)
            self._heart.check()
            if self._heart.requested == "cancel":
                return lambda tx: finishing.acknowledge(tx, *self._held)
            if self._place.drain.is_asked:
                self._save(reporter, pulse)
                return self._told(reporter, pulse, self.handed_back)
            if pulse.epochs and not pulse.finished and self._heart.requested == "pause":
                self._save(reporter, pulse)
                return self._told(reporter, pulse, lambda tx: finishing.acknowledge(tx, *self._held))
            # An attempt that goes on after a crash stops no earlier than the one that was there when stop was asked.
            if pulse.epochs and self._heart.requested == "stop" and pulse.epoch >= self._claim.told_epoch:
                break
            if pulse.epoch >= self._claim.told_epoch and self._time.ends(pulse):
                if not pulse.epoch:
                    return self._told(reporter, pulse, self.failed(self._time.failure()))
                break
            if self._saving.is_due() or self._proves_itself(pulse):
                self._save(reporter, pulse)
        return self._finished(experiment, reporter, pulse)

    def _trained(self) -> float:
        """Return the seconds that the newest generation has trained; those of an earlier one do not count."""
        return self._saved.seconds if self._saved.legs == len(self._claim.legs) else 0.0

    def _proves_itself(self, pulse: Pulse) -> bool:
        """Whether this is the first step beyond where a worker was lost: saved at once, it clears the run of the loss.

        Otherwise workers that others kill, three in a row before a checkpoint is due, would fail a run that is well.
        """
        first = self._doubted and pulse.step > max((saved.step for saved in self._claim.checkpoints), default=0)
        self._doubted = self._doubted and not first
        return first

    def _pulses(self, experiment: Experiment) -> Iterator[Pulse]:
        """From where the run was saved; where an earlier generation of it ended, patience counts anew."""
        state = self._saved.state
        for number, end in enumerate(self._claim.legs):
            if number < self._saved.legs:
                continue
            # Whoever is extended stands at that end already: a fit would lay out all rows for nothing.
            if state is None or state.counters["epoch"] < end:
                state = (yield from self._until(end, experiment, state)).snapshot()
            state = state.renewed()
            self._saved = replace(self._saved, legs=number + 1)
            self._time.restart()
        yield from self._until(self._claim.last_epoch, experiment, state)

    def _until(self, end: int | None, experiment: Experiment, state: State | None) -> Generator[Pulse, None, Pulse]:
        """To the end of that epoch, or of the fit; answers the last pulse."""
        for pulse in self._fit(experiment, state):
            yield pulse
            if end is not None and pulse.epoch >= end:
                break
        return pulse

    def _fit(self, experiment: Experiment, state: State | None) -> Iterator[Pulse]:
        most = FEWER_MEMBERS if self._claim.memory_crashes else None
        return fit(experiment.members, experiment.data, state=state, threads=self._place.threads, most_members=most)

    def failed(self, failure: Failure) -> Ending:
        if failure.code == out_of_memory.CODE:
            return lambda tx: out_of_memory.hand_back(tx, *self._held, failure.message)
        return lambda tx: finishing.fail(tx, *self._held, failure.code, failure.message)

    def handed_back(self, tx: Connection) -> None:
        """Queued again and no crash counted; or what was asked of it is so."""
        finishing.release(tx, *self._held, reason="drained" if self._place.drain.is_asked else "store_away")

    def end(self, ending: Ending) -> None:
        with self._place.database.write() as tx:
            ending(tx)
            self._pins.give_up(tx)

    def patiently(self, action: Callable[[], Answer], *, until_cancelled: bool = True) -> Answer:
        return outlast(action, self._heart, self._place.drain, until_cancelled=until_cancelled)

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
            if time.monotonic() - self._away_since > PATIENCE_SECONDS:
                raise
            reporter.looked(postponed=AWAY_SECONDS)

    def _save(self, reporter: Reporter, pulse: Pulse) -> None:
        """A checkpoint, and all that was told up to it. Where there is no room the one before stays."""
        report = reporter.report(pulse, whole=True)
        try:
            checkpoint = self._put_checkpoint(reporter, pulse)
            with self._place.database.write() as tx:
                self._heart.requested = leases.record(tx, *self._held, report)
                checkpoints.advance(tx, *self._held, checkpoint)
                self._pins.name(tx, checkpoint.blob)
        except Unavailable as reason:
            log.warning("a checkpoint could not be written", run=self._claim.run_id, reason=str(reason))
            return
        self._pins.forget(checkpoint.blob)
        reporter.written(report)

    def _put_checkpoint(self, reporter: Reporter, pulse: Pulse, seconds: float | None = None) -> Checkpoint:
        """Store where the run stands. A last state has no `seconds`, so that equal runs have equal ones."""
        told = self._time.trained if seconds is None else seconds
        reached = replace(self._saved, figures=reporter.figures, exactness=self._exactness, seconds=told)
        return self._saving.put(pulse, reached)

    @property
    def _exactness(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._saved.exactness, exactness(self._place.device)]))

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
        file = outcome.weights_file()
        blob = self.patiently(lambda: self._pins.put(file))
        checkpoint = self.patiently(lambda: self._put_checkpoint(reporter, pulse, seconds=0.0))
        run = self.patiently(self._run)
        made = Making(self._place.device, self._place.threads, self._exactness)
        result = outcome.result(blob, checkpoint, [*run.warnings, *self._time.warnings(pulse.epoch)], made)

        def succeeded(tx: Connection) -> None:
            leases.record(tx, *self._held, replace(report, members=()))  # the result has them
            if finishing.succeed(tx, *self._held, result) == "succeeded":
                self._pins.name(tx, blob, checkpoint.blob)

        return succeeded

    def _run(self) -> Run:
        with self._place.database.read() as tx:
            return runs.get(tx, self._claim.tenant, self._claim.run_id)
