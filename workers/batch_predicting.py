"""One attempt at a batch prediction: answer the rows of a table, keep what is done, join it to one file in the end.

What is done is kept as parts, tables of answers that the database names as soon as they are durable: whoever goes on
with it begins behind them. A row's answer is the same bytes in whatever block, so the result is that of an attempt that
nothing disturbed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog
import torch
from sqlalchemy import Connection

from learning.keeping import Kept
from learning.model import MeanModel, Model
from store import batching, weights
from store.batching import Claim, Part
from store.blob_ledger import Pins
from store.durable import temporary_file
from store.errors import BlobMissing, Fenced, Unavailable
from store.tabular.answers import Answers, join_parts, write_part
from workers.answering import Answering
from workers.driving import Place
from workers.failures import Failure, failure_of
from workers.heartbeat import Heartbeat
from workers.outlasting import AWAY_SECONDS, Answer, outlast

log = structlog.get_logger(__name__)

_TELL_SECONDS = 1.0  # how often its caller is told how far it has come
_PART_BYTES = 32 << 20  # of answers that are held before they are written

Ending = Callable[[Connection], object]  # how it ends, in one transaction


class _Drained(Exception):
    """No error: the worker was asked to end."""


class _Cancelled(Exception):
    """No error: nobody wants it any more."""


class _Gone(Exception):
    """What it is made of is no longer there."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message)


def predict_batch(claim: Claim, place: Place) -> None:
    """Make the attempt. However it ends, the row says so; only an attempt that no longer holds it says nothing."""
    with Heartbeat(place.database, claim, place.settings) as heart:
        attempt = _Attempt(claim, place, heart)
        try:
            attempt.run()
        except Fenced:
            log.warning("another attempt makes the batch prediction, or none", of=claim.id, attempt=claim.attempt)
        except Unavailable as reason:
            log.warning("the store stayed away; the batch prediction is given up", of=claim.id, reason=str(reason))


class _Attempt:
    def __init__(self, claim: Claim, place: Place, heart: Heartbeat) -> None:
        self._claim = claim
        self._place = place
        self._heart = heart
        self._total = claim.dataset.rows or 0
        self._parts = list(claim.parts)
        self._held: list[Answers] = []  # of the rows behind the parts
        self._answering: Answering | None = None
        self._pins = Pins(place.database, place.blobs)
        self._answered = 0
        self._began = self._kept_at = time.monotonic()
        self._tell_at = 0.0  # at once, when there is something to tell

    def run(self) -> None:
        """Until every row is answered, or something else is asked for. Raises Fenced, Unavailable."""
        try:
            self._make()
        except Fenced:
            raise
        except _Cancelled:
            self._end(lambda tx: batching.acknowledge(tx, self._claim))
        except (_Drained, Unavailable) as reason:
            log.info("a batch prediction is handed back", of=self._claim.id, reason=str(reason) or "drained")
            self._end(lambda tx: batching.release(tx, self._claim))
        except _Gone as gone:
            self._fail(gone.failure)
        except Exception as error:  # noqa: BLE001 - whatever it was, the row must not stay running
            self._fail(failure_of(error, self._claim.id))

    def _make(self) -> None:
        path = self._patiently(self._table)
        self._answering = Answering(
            self._patiently(self._model),
            path,
            probabilities=self._claim.probabilities,
            interval=self._claim.interval,
            threads=self._place.threads,
        )
        self._began = self._kept_at = time.monotonic()
        try:
            with closing(self._answering.blocks(self._rows_kept, self._total, self._look)) as blocks:
                for answers in blocks:
                    self._held.append(answers)
                    self._look()
                    if self._is_part_due():
                        self._keep()
        except _Drained:
            self._keep()
            raise
        self._keep()
        if len(self._parts) == 1:
            self._end(lambda tx: batching.finish(tx, self._claim, self._parts[0].blob))
        else:
            self._join()

    def _fail(self, failure: Failure) -> None:
        self._end(lambda tx: batching.fail(tx, self._claim, failure.code, failure.message))

    def _end(self, ending: Ending) -> None:
        def end(tx: Connection) -> None:
            ending(tx)
            self._pins.give_up(tx)

        self._patiently(lambda: self._write(end), until_cancelled=False)

    def _table(self) -> Path:
        try:
            return self._place.blobs.local_path(self._claim.dataset.blob or "")
        except BlobMissing:
            raise _Gone("dataset_missing", "the dataset's table is no longer there") from None

    def _model(self) -> Model | MeanModel:
        try:
            arrays, header = weights.unpack(self._place.blobs.get(self._claim.weights_blob))
        except BlobMissing:
            raise _Gone("weights_missing", "the model's weights are no longer there") from None
        kept = Kept({name: torch.from_numpy(array) for name, array in arrays.items()}, header)
        return kept.model(self._claim.member)

    @property
    def _rows_kept(self) -> int:
        return sum(part.rows for part in self._parts)

    def _look(self) -> None:
        """Tell how far it has come, and see what is asked. While the database is away, reports wait."""
        assert self._answering is not None
        rows = self._answering.rows
        if rows > self._answered:
            self._answered = rows
            self._heart.advance()
        self._heart.check()
        if self._heart.requested == "cancel":
            raise _Cancelled
        if self._place.drain.is_asked:
            raise _Drained
        if self._answered and time.monotonic() >= self._tell_at:
            self._tell()

    def _tell(self) -> None:
        done = self._claim.rows_done + self._answered
        taken = time.monotonic() - self._began
        eta = (self._total - done) * taken / self._answered
        try:
            with self._place.database.write() as tx:
                self._heart.requested = batching.tell(tx, self._claim, done, eta)
            self._tell_at = time.monotonic() + _TELL_SECONDS
        except Unavailable:
            self._tell_at = time.monotonic() + AWAY_SECONDS

    def _is_part_due(self) -> bool:
        held = sum(column.values.nbytes for answers in self._held for column in answers.values())
        return held >= _PART_BYTES or time.monotonic() >= self._kept_at + self._place.settings.checkpoint_seconds

    def _keep(self) -> None:
        """What is held becomes a part."""
        if not self._held:
            return
        first = self._rows_kept
        rows = sum(len(next(iter(answers.values())).values) for answers in self._held)
        with self._stored(lambda out: write_part(self._held, first, out)) as blob:
            part = Part(first, rows, blob)
            self._heart.requested = self._patiently(lambda: self._write(lambda tx: self._add(tx, part)))
        self._pins.forget(part.blob)
        self._parts.append(part)
        self._held.clear()
        self._kept_at = time.monotonic()

    def _add(self, tx: Connection, part: Part) -> str | None:
        requested = batching.add_part(tx, self._claim, part)
        self._pins.name(tx, part.blob)
        return requested

    def _join(self) -> None:
        paths = self._patiently(lambda: [self._path(part) for part in self._parts])
        with self._stored(lambda out: join_parts(paths, out)) as blob:
            self._end(lambda tx: self._finish(tx, blob))

    def _finish(self, tx: Connection, blob: str) -> None:
        if batching.finish(tx, self._claim, blob):
            self._pins.name(tx, blob)

    def _path(self, part: Part) -> Path:
        try:
            return self._place.blobs.local_path(part.blob)
        except BlobMissing:
            raise _Gone("part_missing", f"the answers to rows from {part.first_row} on are no longer there") from None

    @contextmanager
    def _stored(self, make: Callable[[Path], None]) -> Iterator[str]:
        """The blob of the file that `make` writes, to be named by a row while this is entered."""
        with temporary_file(self._place.blobs.scratch) as (path, _):
            self._patiently(lambda: make(path))
            yield self._patiently(lambda: self._pins.put(path))

    def _write(self, act: Callable[[Connection], Answer]) -> Answer:
        with self._place.database.write() as tx:
            return act(tx)

    def _patiently(self, action: Callable[[], Answer], *, until_cancelled: bool = True) -> Answer:
        return outlast(action, self._heart, self._place.drain, until_cancelled=until_cancelled)
