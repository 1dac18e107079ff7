"""Processes whose machines' clocks differ go by the database's, where that is a server."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from store import ids, moments
from store.database import Database

SHIFT = timedelta(minutes=10)

# A process on a machine whose clock is 10 minutes off: all that tells the time of day is.
SHIFTED = """
import datetime, sys, time
shift = float(sys.argv[2])
real_time, real_ns = time.time, time.time_ns
time.time = lambda: real_time() + shift
time.time_ns = lambda: real_ns() + int(shift * 1e9)
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=shift)
datetime.datetime = Shifted
from store.database import Database
from store import ids, moments
database = Database(sys.argv[1])
before = moments.now()
with database.read() as tx:
    pass
print(before.isoformat())
print(moments.now().isoformat())
print(ids.new_id("run"))
"""


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(moments, "_reference", None)


@pytest.mark.parametrize("shift", [SHIFT, -SHIFT])
def test_process_with_another_clock_goes_by_the_servers(new_postgresql, shift):
    command = [sys.executable, "-c", SHIFTED, new_postgresql(), str(shift.total_seconds())]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    before, after = map(datetime.fromisoformat, told[:2])
    here = datetime.now(UTC)
    assert abs(before - here) > SHIFT / 2, "its own clock is off"
    assert abs(after - here) < timedelta(seconds=30)
    assert ids.new_id("run")[:8] == told[2][:8], "ids of all processes sort by one clock"


def test_clock_is_the_machines_own_beside_sqlite(tmp_path, clock):
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.read():
        pass
    database.close()
    assert moments._reference is None
    assert abs(moments.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_clock_goes_on_from_what_the_server_said(clock):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    moments.set_by(moment, moments.steady() - 5)
    assert timedelta(seconds=5) <= moments.now() - moment < timedelta(seconds=10)
    assert moments.now() <= moments.now()


def test_server_is_asked_seldom(new_postgresql, clock, monkeypatch):
    database = Database(new_postgresql())
    asked = []
    monkeypatch.setattr(moments, "set_by", lambda *told: asked.append(told))
    for _ in range(20):
        with database.read():
            pass
    database.close()
    assert len(asked) == 1
