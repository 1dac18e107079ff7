"""A worker that does not train but writes all that one writes, as fast as it can: a process for test_contention.py.

Takes the database's URL, a blob that stands for weights, and how many epochs to tell of each run. Works until its input
is closed and nothing waits; prints the runs it ended and the longest that it waited for a transaction, in seconds.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sqlalchemy import Connection

from store import claims, finishing, leases
from store.chunks import Chunk
from store.database import Database
from store.finishing import Result
from store.leases import Report
from store.members import MemberReport
from store.processes import ProcessIdentity

HASH = "b" * 64
BEST = {"epoch": 1, "metric": "train.loss", "value": 0.5}


class Recorder:
    def __init__(self, url: str, blob: str, epochs: int) -> None:
        self.database = Database(url)
        self.blob = blob
        self.epochs = epochs
        self.me = ProcessIdentity.current()
        self.ended: list[str] = []
        self.longest = 0.0

    def work(self) -> None:
        while self._one() or not _closed():
            pass

    @contextmanager
    def write(self) -> Iterator[Connection]:
        begin = time.monotonic()
        with self.database.write() as tx:
            self.longest = max(self.longest, time.monotonic() - begin)
            yield tx

    def _one(self) -> bool:
        """Whether there was a run to do."""
        with self.write() as tx:
            claim = claims.claim(tx, worker=f"wk_{os.getpid()}", slot_pid=os.getpid(), owner=self.me)
        if claim is None:
            return False
        for epoch in range(1, self.epochs + 1):
            with self.write() as tx:
                leases.record(tx, claim.run_id, claim.attempt, _told(epoch))
        member = MemberReport(0, "succeeded", self.epochs, BEST, weights_sha256=HASH)
        result = Result({}, BEST, [member], self.blob, HASH, "cpu", receipt={"weights_sha256": HASH})
        with self.write() as tx:
            finishing.succeed(tx, claim.run_id, claim.attempt, result)
        self.ended.append(claim.run_id)
        return True


def _told(epoch: int) -> Report:
    chunk = Chunk("train", "loss", epoch, np.array([[epoch]]), np.full((1, 1), 0.5, dtype=np.float32))
    metrics = {"train": {"loss": 0.5}}
    return Report({"epoch": epoch}, metrics, BEST, [chunk], told={"epoch": epoch, "metrics": metrics})


def _closed() -> bool:
    return bool(select.select([sys.stdin], [], [], 0.005)[0])


if __name__ == "__main__":
    recorder = Recorder(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    recorder.work()
    recorder.database.close()
    json.dump({"ended": recorder.ended, "longest": recorder.longest}, sys.stdout)
