"""Memory is not enough: the run is tried once more in smaller chunks, to the same bits, then it fails and says why.

The kernel refuses memory to a real worker, by a limit that is set on it from outside. That it kills is played: whoever
it kills gets SIGKILL, and its count rises, here in a file that stands for that of the control group.
"""

import os
import random
import re
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import memory
from tests.faults.history import check
from tests.workers.running import alive, wait_for
from workers.app import create_app
from workers.reconciler import Reconciler

ROWS = 1_500
ROOM = 100 << 20  # bytes: enough for 8 members' activations, and far from enough for 64 members'
WIDE = {
    "target": "y",
    "network": {"layers": [{"units": 128}, {"units": 128}]},
    "batch_size": 512,
    "epochs": 2,
    "validation": {"fraction": 0.2},
    "early_stopping": None,
}


def table():
    draw = random.Random(0).random
    rows = (",".join(f"{draw():.4f}" for _ in range(8)) + "," + "abc"[int(3 * draw())] for _ in range(ROWS))
    return ("x1,x2,x3,x4,x5,x6,x7,x8,y\n" + "\n".join(rows) + "\n").encode()


@pytest.fixture
def chancy(full):
    if not full:
        pytest.skip("some library may die of refused memory before it can say so; the long form is tried again by hand")


@contextmanager
def limited(pid, room):
    """The process can have so many bytes more than it has now."""
    has = int(re.search(r"VmData:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
    soft, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (has + room, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))


def reasons(house, id):
    return [event.data["reason"] for event in house.events(id) if event.type == "run.interrupted"]


@pytest.mark.usefixtures("chancy")
def test_a_run_that_is_refused_memory_ends_in_smaller_chunks_with_the_same_bits(house):
    dataset = house.upload(table(), "wide")
    (slot,) = house.slots()
    spec = WIDE | {"dataset": dataset, "sweep": {"seed": list(range(64))}}
    with limited(slot.pid, ROOM):
        run = house.ended(house.start(**spec))
    assert (run.status, run.attempt, run.crashes) == ("succeeded", 2, 0), run.error
    assert reasons(house, run.id) == ["out_of_memory"]
    assert house.ended(house.start(**spec)).weights_sha256 == run.weights_sha256
    assert [each.pid for each in house.slots()] == [slot.pid], "nothing died of it"
    check(house)


@pytest.mark.usefixtures("chancy")
def test_a_run_that_is_too_large_in_any_chunks_fails_the_second_time_and_says_what_it_held(house):
    dataset = house.upload(table(), "wide")
    (slot,) = house.slots()
    with limited(slot.pid, ROOM):
        run = house.ended(house.start(**WIDE | {"dataset": dataset, "sweep": {"seed": list(range(512))}}))
        assert (run.status, run.attempt, run.crashes) == ("failed", 2, 0)
        assert run.error["code"] == "out_of_memory"
        assert re.search(r"held [\d,]+ MiB and asked for [\d,]+ MiB more, of [\d,]+ MiB", run.error["message"])
        assert house.ended(house.start()).status == "succeeded", "there is room for others"
    assert reasons(house, run.id) == ["out_of_memory"]
    check(house)


@pytest.fixture
def kills(tmp_path, monkeypatch):
    """Sets the kernel's count of those that it killed, as the reconciler of this process reads it."""
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    (tmp_path / "memory").mkdir()

    def count(number):
        (memory.group_of(os.getpid()) / "memory.events").write_text(f"oom_kill {number}\n")

    count(0)
    return count


@pytest.mark.parametrize(("deaths", "status"), [(1, "succeeded"), (2, "failed")])
def test_a_run_whose_process_is_killed_for_want_of_memory_is_tried_once_more(new_house, kills, deaths, status):
    house = new_house(reconciler=False)
    reconciler = Reconciler(house.settings, house.database, house.blobs, create_app(house.settings))
    id = house.start(epochs=2_000 if deaths == 1 else 100_000)
    for death in range(1, deaths + 1):
        wait_for(lambda: reconciler.look() or house.run(id).status == "running")
        house.in_mid_run(id)
        reconciler.look()
        slot = house.slot_of(id)
        kills(death)
        os.kill(slot, signal.SIGKILL)
        wait_for(lambda slot=slot: not alive(slot))
    run = wait_for(lambda: reconciler.look() or ((run := house.run(id)).status == status and run))
    assert (run.attempt, run.crashes) == (2, 0)
    assert reasons(house, id) == ["out_of_memory"]
    assert (run.error or {}).get("code") == (None if status == "succeeded" else "out_of_memory")
    check(house)
