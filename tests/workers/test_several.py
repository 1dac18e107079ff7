"""Several workers on one machine, each with several slots: what is listed is true whoever is killed."""

import os
import signal

import pytest

from tests.workers.running import alive, wait_for


@pytest.fixture
def pair(new_yard):
    """A yard with two workers of two slots each, and a reconciler."""
    yard = new_yard(slots=2)
    workers = [yard.start_worker() for _ in range(2)]
    yard.start_reconciler()
    return yard, workers


def listed(yard):
    """By the pid of each parent the runs of its slots, None for a slot that is free."""
    return {worker.pid: [slot.run for slot in worker.slots] for worker in yard.workers()}


def slots(yard, parent):
    return [slot.pid for worker in yard.workers() if worker.pid == parent.pid for slot in worker.slots]


def busy(yard, ids):
    """Once each of these runs is in a slot of its own, and no other."""
    wait_for(lambda: sorted(run for runs in listed(yard).values() for run in runs if run) == sorted(ids))


def test_every_slot_of_every_worker_trains_a_run_of_its_own(pair):
    yard, workers = pair
    ids = [yard.add_run(epochs=50_000) for _ in range(4)]
    busy(yard, ids)
    assert {pid: len(runs) for pid, runs in listed(yard).items()} == {worker.pid: 2 for worker in workers}
    for id in ids:
        yard.ask(id, "cancel")
    for id in ids:
        assert (yard.reached(id, "cancelled").attempt, yard.run(id).crashes) == (1, 0)
    busy(yard, [])


def test_a_killed_child_is_no_longer_listed_and_another_takes_its_place(pair):
    yard, (first, second) = pair
    ids = [yard.add_run(epochs=50_000) for _ in range(4)]
    busy(yard, ids)
    killed = slots(yard, first)[0]
    others = {*slots(yard, first), *slots(yard, second)} - {killed}
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in slots(yard, first))
    wait_for(lambda: len(slots(yard, first)) == 2)
    busy(yard, ids)
    assert others < {*slots(yard, first), *slots(yard, second)}, "nobody else died of it"
    assert sorted(yard.run(id).attempt for id in ids) == [1, 1, 1, 2]


def test_a_killed_parent_is_no_longer_listed_and_the_other_worker_goes_on(pair):
    yard, (first, second) = pair
    ids = [yard.add_run(epochs=50_000) for _ in range(2)]
    busy(yard, ids)
    children = slots(yard, first)
    first.kill()
    for child in children:
        wait_for(lambda child=child: not alive(child))
    wait_for(lambda: list(listed(yard)) == [second.pid])
    busy(yard, ids)
    again = yard.start_worker()
    assert {pid: len(runs) for pid, runs in listed(yard).items()} == {second.pid: 2, again.pid: 2}


def test_a_child_that_is_killed_as_soon_as_it_is_there_leaves_nothing_behind(pair):
    yard, (first, second) = pair
    for _ in range(2):
        for child in slots(yard, first):
            os.kill(child, signal.SIGKILL)
        wait_for(lambda: len(slots(yard, first)) == 2 and all(map(alive, slots(yard, first))))
    assert len(slots(yard, second)) == 2
    assert yard.reached(yard.add_run(), "succeeded").attempt == 1
