"""A worker that is frozen past its lease and wakes up when another has finished its run: it must have no effect."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url

from tests.faults.history import check, rows_of
from tests.workers.running import wait_for

SHORT = {"heartbeat_seconds": 0.2, "lease_seconds": 1.0, "reconcile_seconds": 0.2}
# As short for a process frozen within a transaction: PostgreSQL ends its session, by default after half a minute.
IMPATIENT = "-c idle_in_transaction_session_timeout=1s -c lock_timeout=1s"
LONG = {"epochs": 1_000}
STALE = "another attempt holds the run, or none"
WRITER = 120  # the byte of SQLite's -shm file that its one writer has locked


def send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def is_stopped(pid: int) -> bool:
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2] == "T"


def writers(url: str) -> set[int]:
    """The process that writes to the database just now, if that is SQLite."""
    if not url.startswith("sqlite"):
        return set()
    inode = Path(f"{make_url(url).database}-shm").stat().st_ino
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line]
    return {
        int(pid)
        for _, _, _, kind, pid, place, first, last in lines
        if kind == "WRITE" and int(place.split(":")[2]) == inode and int(first) <= WRITER <= int(last)
    }


def freeze(pids: Sequence[int], url: str) -> None:
    """But not in a transaction on SQLite, where nobody else could write until it wakes: then a moment later."""
    while True:
        send(pids, signal.SIGSTOP)
        for pid in pids:
            wait_for(lambda pid=pid: is_stopped(pid))
        if not writers(url) & set(pids):
            return
        send(pids, signal.SIGCONT)
        time.sleep(0.01)


def impatient(url: str) -> str:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url
    return parsed.update_query_dict({"options": IMPATIENT}).render_as_string(hide_password=False)


def test_a_worker_that_wakes_up_too_late_has_no_effect(new_house, new_database_url, times, chance):
    """A child or its whole group, which wakes when the run is finished, or while another attempt is at it."""
    url = impatient(new_database_url())
    house = new_house(database_url=url, workers=2, **SHORT)
    quiet = house.ended(house.start(**LONG))
    for count in range(times(2, 50)):
        id = house.start(**LONG)
        first = house.in_mid_run(id, epoch=chance.randrange(1, 300)).attempt
        child = house.slot_of(id)
        (worker,) = [each for each in house.workers if child in each.children()]
        frozen = [worker.pid, *worker.children()] if count % 2 else [child]
        freeze(frozen, url)
        stale = house.output.read_text().count(STALE)
        if count % 3 == 1:
            wait_for(lambda run=id, first=first: first < house.run(run).attempt and house.run(run).status == "running")
        else:
            house.ended(id)
        before = rows_of(house, id)
        send(frozen, signal.SIGCONT)
        wait_for(lambda stale=stale: house.output.read_text().count(STALE) > stale)
        run = house.ended(id)
        assert run.attempt > first
        assert (run.status, run.weights_sha256) == ("succeeded", quiet.weights_sha256)
        assert before["leases"] or rows_of(house, id) == before
    check(house)
