"""A worker that is told to end hands its run back, uncounted, however the signal comes."""

import os
import signal
import time

import pytest

from tests.workers.running import Yard, alive, wait_for


def to_the_parent(worker, _child):
    os.kill(worker.pid, signal.SIGTERM)


def to_the_group(worker, _child):
    os.killpg(worker.pid, signal.SIGTERM)


def by_ctrl_c(worker, _child):
    os.killpg(worker.pid, signal.SIGINT)


@pytest.mark.parametrize("tell", [to_the_parent, to_the_group, by_ctrl_c])
def test_the_run_is_queued_again_and_no_crash_is_counted(yard: Yard, tell):
    worker = yard.start_worker()
    id = yard.add_run(epochs=50_000)
    yard.in_mid_run(id)
    began = time.monotonic()
    tell(worker, yard.child_of(worker))
    worker.wait(yard.settings.drain_seconds)
    run = yard.run(id)
    assert (run.status, run.attempt, run.crashes, run.requested) == ("queued", 1, 0, None)
    assert run.progress["epoch"] > 0
    assert time.monotonic() - began < yard.settings.drain_seconds / 3
    assert yard.events(id)[-1].data == {"attempt": 1, "reason": "drained"}


@pytest.mark.parametrize("tell", [to_the_parent, to_the_group])
def test_an_idle_worker_just_ends(yard: Yard, tell):
    worker = yard.start_worker()
    tell(worker, yard.child_of(worker))
    assert worker.wait(yard.settings.drain_seconds) == 0


def test_a_child_told_by_itself_hands_its_run_to_the_next(yard: Yard):
    worker = yard.start_worker()
    child = yard.child_of(worker)
    id = yard.add_run(epochs=400)
    yard.in_mid_run(id)
    os.kill(child, signal.SIGTERM)
    yard.start_reconciler()
    run = yard.reached(id, "succeeded")
    assert (run.attempt, run.crashes) == (2, 0)
    assert worker.poll() is None
    assert yard.child_of(worker) != child


def test_a_child_that_does_not_come_to_its_next_pulse_ends_with_the_drain(new_yard):
    yard = new_yard(drain_seconds=2.0)
    worker = yard.start_worker()
    child = yard.child_of(worker)
    id = yard.add_run(epochs=50_000)
    yard.in_mid_run(id)
    os.kill(child, signal.SIGSTOP)
    worker.terminate()
    assert worker.wait(10) == -signal.SIGALRM
    wait_for(lambda: not alive(child))
    assert yard.run(id).status == "running"  # for the reconciler to find out
