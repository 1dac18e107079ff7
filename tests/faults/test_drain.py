"""A worker that is told to end lets go of its run at the next pulse, uncounted, and another one goes on from there."""

import os
import signal
import time
from itertools import pairwise

from tests.faults.history import check
from tests.faults.tracing import traces
from tests.workers.running import alive, wait_for

EPOCHS = 600  # a second or two, so that there is something to be hit
DEADLINE_SECONDS = 30.0


def test_a_worker_that_is_told_to_end_is_out_in_time_and_its_run_goes_on_elsewhere(new_house, times, chance, tell):
    """Told by itself or with its children, at a random moment of the run: also before it is claimed, and at its end."""
    house = new_house(workers=0)
    for _ in range(2):
        house.new_worker("tests.faults.tracing").start(ready=False)
    for worker in house.workers:
        worker.wait_until_ready()
    quiet = house.ended(house.start(epochs=EPOCHS))
    lasted = (quiet.finished_at - quiet.started_at).total_seconds()
    slowest = drained = 0
    for turn in range(times(2, 50)):
        traces(house.folder)
        id = house.start(epochs=EPOCHS)
        if turn % 5 < 4:
            house.in_mid_run(id)
        else:
            time.sleep(chance.uniform(0, lasted))
        worker = holder(house, id) or chance.choice(house.workers)
        began = time.monotonic()
        assert worker.stop(DEADLINE_SECONDS, group=turn % 2 == 1) == 0
        slowest = max(slowest, time.monotonic() - began)
        worker.start(ready=False)
        run = house.ended(id)
        assert (run.status, run.crashes, run.weights_sha256) == ("succeeded", 0, quiet.weights_sha256)
        assert {event.data["reason"] for event in house.events(id) if event.type == "run.interrupted"} <= {"drained"}
        drained += run.attempt > 1
        repeats_at_most_one_pulse(traces(house.folder))
        tell(f"{turn + 1} times told to end, {drained} times in mid-run, out within {slowest:.1f} s")
        worker.wait_until_ready()
    assert drained > 0
    check(house)


def holder(house, id):
    """The worker that trains the run just now."""
    pid = next((slot.pid for slot in house.slots() if slot.run == id), None)
    return next((worker for worker in house.workers if pid in worker.children()), None)


def repeats_at_most_one_pulse(attempts):
    """The first thing that an attempt tells is where it stands."""
    for before, after in pairwise(attempts):
        assert not before or after[0] >= before[max(0, len(before) - 2)]


def test_a_run_that_does_not_come_to_its_next_pulse_is_killed_and_counted_as_lost(new_house):
    house = new_house(workers=2, drain_seconds=2.0)
    quiet = house.ended(house.start(epochs=EPOCHS))
    id = house.start(epochs=EPOCHS)
    house.in_mid_run(id)
    worker, child = holder(house, id), house.slot_of(id)
    os.kill(child, signal.SIGSTOP)
    assert worker.stop(DEADLINE_SECONDS, group=True) == -signal.SIGALRM
    wait_for(lambda: not alive(child))
    run = house.ended(id)
    assert (run.status, run.attempt, run.weights_sha256) == ("succeeded", 2, quiet.weights_sha256)
    assert [event.data["reason"] for event in house.events(id) if event.type == "run.interrupted"] == ["worker_lost"]
    check(house)
