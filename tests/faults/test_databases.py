"""PostgreSQL is stopped hard and returns; with SQLite everything is killed at once. What was promised is there."""

import os
import signal
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from store.expiry import MAX_CRASHES
from store.migrating import upgrade
from tests.faults.history import check
from tests.faults.house import House
from tests.faults.postgresql import WAYS, PostgreSQL
from tests.workers.running import wait_for

CLIENTS = 3
RECOVERY_SECONDS = 180.0  # everything loads torch anew; five on a machine with nothing else to do
ENDLESS = {"epochs": 100_000, "batch_size": 1}  # twenty minutes, or until it is stopped


@pytest.fixture
def postgresql(monkeypatch):
    # Not in pytest's own folder: as root the server runs as another user, to whom that folder is closed.
    with tempfile.TemporaryDirectory(prefix="learnd-pg-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)  # where the package keeps its lock; it warns if there is none
        server = PostgreSQL(Path(folder) / "data")
        yield server
        server.stop_hard()


def test_postgresql_stopped_hard(postgresql, tmp_path, times, tell):
    upgrade(postgresql.url)
    seconds = times(2.5, 6.0)
    # Leases shorter than any outage, and somebody who looks at them more often than they beat.
    short = {"lease_seconds": 2.0, "heartbeat_seconds": 0.4, "reconcile_seconds": 0.1}
    with closing(House(tmp_path, postgresql.url, slots=2, **short)) as house:
        long = house.start(**ENDLESS)
        house.in_mid_run(long)
        slot = psutil.Process(house.slot_of(long))
        with _clients(house, pause=0.05) as promised:
            for strike, way in zip(range(times(2, 20)), [*WAYS] * 10, strict=False):
                before = len(promised)
                postgresql.stop_hard(WAYS[way])
                worked = slot.cpu_times().user
                _says_that_the_database_is_away(house)
                time.sleep(seconds)
                worked = slot.cpu_times().user - worked
                assert worked > seconds / 20, "training goes on"
                postgresql.start()
                house.in_mid_run(long)
                wait_for(lambda before=before: len(promised) >= before + 4 * CLIENTS)
                tell(f"stopped hard {strike + 1} times ({way}); {len(promised)} runs promised")
        assert house.run(long).attempt == 1
        wait_for(lambda: [each.pid for each in house.slots() if each.run == long] == [slot.pid])  # it says so again
        house.verb(long, "stop")
        for id in [long, *promised]:
            run = house.ended(id)
            assert (run.status, run.attempt) == ("succeeded", 1), run.error
        check(house)


def test_sqlite_with_everything_killed_at_once(sqlite_url, tmp_path, times, chance, tell):
    """All but the broker, which holds nothing that matters."""
    with closing(House(tmp_path, sqlite_url, slots=2, checkpoint_seconds=0.2)) as house:
        long = house.start(**ENDLESS)
        everything = [house.api, house.reconciler, *house.workers]
        with _clients(house, pause=0.5) as promised:
            for strike in range(times(2, 100)):
                before, saved = len(promised), _saved(house, long)
                wait_for(
                    lambda before=before, saved=saved: len(promised) > before and _saved(house, long) > saved,
                    RECOVERY_SECONDS,
                )
                time.sleep(chance.uniform(0.0, 1.0))
                for part in everything:
                    os.killpg(part.pid, signal.SIGKILL)
                for part in everything:
                    part.kill_group()  # until none of it is there any more
                assert _integrity(sqlite_url) == [("ok",)]
                tell(f"killed {strike + 1} times; {len(promised)} runs promised")
                for part in everything:
                    part.start(ready=False)
        for part in everything:
            part.wait_until_ready()
        house.verb(long, "stop")
        for id in [long, *promised]:
            run = house.ended(id)
            assert run.status == "succeeded" or run.crashes == MAX_CRASHES, run.error
        assert house.run(long).status == "succeeded"
        check(house)


@contextmanager
def _clients(house, pause):
    """Ask for runs all the while, each with its key until it is answered; the ids that they were promised.

    After each a client waits for `pause` seconds.
    """
    promised, over, broken = [], threading.Event(), []

    def ask():
        try:
            while not over.is_set():
                promised.append(house.start(epochs=2))
                over.wait(pause)
        except BaseException as error:
            broken.append(error)
            raise

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield promised
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not broken


def _says_that_the_database_is_away(house):
    ready = house.client.once("GET", "/readyz")
    assert (ready.status_code, ready.json()["database"], ready.json()["blobs"]) == (503, "unreachable", "ok")
    answer = house.client.once("GET", "/v1/runs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def _saved(house, id):
    return sum(event.type == "run.checkpointed" for event in house.events(id))


def _integrity(url):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()
        return connection.execute("PRAGMA integrity_check").fetchall()
