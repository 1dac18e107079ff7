"""Who takes which runs: a worker hears the bells of its queues, and claims from them in their order."""

import pytest
import redis

from service.supervision.embedded_valkey import socket_in
from tests.workers.running import wait_for
from workers.app import create_app
from workers.reconciler import Reconciler


@pytest.fixture
def reconciler(yard):
    """In this process, and looking only when it is told to."""
    return Reconciler(yard.settings, yard.database, yard.blobs, create_app(yard.settings))


def started(yard, id):
    """When the run's first attempt began; waits until it has."""
    return wait_for(lambda: yard.run(id).started_at)


def test_a_worker_claims_the_runs_of_its_queues_and_no_others(yard):
    yard.start_worker(queues="gpu")
    other, own = yard.add_run(), yard.add_run(queue="gpu")
    yard.reached(own, "succeeded")
    yard.ring("gpu")
    assert yard.reached(yard.add_run(queue="gpu"), "succeeded")
    assert yard.run(other).status == "queued"
    assert yard.workers()[0].queues == ["gpu"]
    yard.start_worker()
    yard.reached(other, "succeeded")


@pytest.mark.parametrize(("queues", "first"), [("gpu,cpu", "gpu"), ("cpu,gpu", "cpu")])
def test_of_several_queues_the_one_that_is_named_first_goes_first(yard, queues, first):
    ids = {queue: yard.add_run(queue=queue, ring=False) for queue in ("cpu", "gpu")}
    yard.start_worker(queues=queues)
    yard.ring(first)
    assert min(ids, key=lambda queue: started(yard, ids[queue])) == first


@pytest.mark.parametrize("queue", ["cpu", "gpu"])
def test_a_bell_of_either_queue_is_heard(yard, queue):
    yard.start_worker(queues="gpu,cpu")
    yard.reached(yard.add_run(queue=queue), "succeeded")


def test_the_reconciler_rings_in_each_queue_for_as_many_slots_as_are_free_there(yard, reconciler):
    yard.start_worker(slots=2)
    yard.start_worker(queues="gpu,cpu")
    assert reconciler._wanted_bells() == {"cpu": 0, "gpu": 0}
    for queue in ("cpu", "cpu", "cpu", "cpu", "gpu", "gpu"):
        yard.add_run(ring=False, queue=queue, epochs=50_000)
    assert reconciler._wanted_bells() == {"cpu": 3, "gpu": 1}
    reconciler.look()
    wait_for(lambda: sum(slot.busy for each in yard.workers() for slot in each.slots) == 3)
    assert reconciler._wanted_bells() == {}, "nobody is free"


def test_nothing_is_rung_in_a_queue_that_nobody_serves(yard, reconciler):
    yard.start_worker()
    id = yard.add_run(ring=False, queue="gpu")
    assert reconciler._wanted_bells() == {"cpu": 0}
    reconciler.look()
    assert yard.run(id).status == "queued"


def test_a_broker_without_room_does_not_end_the_reconciler(yard, reconciler):
    with redis.Redis(unix_socket_path=str(socket_in(yard.sockets))) as client:
        client.config_set("maxmemory", 1)
        reconciler._ring({"cpu": 1})
        client.config_set("maxmemory", 0)
        reconciler._ring({"cpu": 1})
        assert client.llen("cpu") == 1
