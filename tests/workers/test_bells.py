"""The broker is only a doorbell: nothing forged does more than ring, and losing it loses nothing."""

import base64
import json
import os
import pickle
from uuid import uuid4

import pytest
import redis

from service.supervision.embedded_valkey import socket_in
from tests.workers.running import alive, wait_for
from workers.bells import TASK

QUEUE = "cpu"


@pytest.fixture
def broker(yard):
    with redis.Redis(unix_socket_path=str(socket_in(yard.sockets))) as client:
        yield client


NOTHING = json.dumps([[], {}, {}]).encode()


def message(body=NOTHING, *, media="application/json", encoding="utf-8", **headers):
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": media,
            "content-encoding": encoding,
            "headers": {"lang": "py", "task": TASK, "id": str(uuid4())} | headers,
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
            },
        }
    )


class Deadly:
    """Where it is unpickled, there is a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def forged(folder):
    of_celery = json.dumps([[], {"task": {"task": TASK}, "it": [[]]}, {}]).encode()
    properties = {"delivery_tag": "1", "delivery_info": {}}
    return {
        "a pickle": message(
            pickle.dumps(([Deadly(folder)], {}, {})), media="application/x-python-serialize", encoding="binary"
        ),
        "arguments of any kind": message(json.dumps([[{"$ne": 1}, "run_x"], {"x": [1]}, {}]).encode()),
        "a time limit that kills": message(timelimit=[0.1, 0.1]),
        "an hour in the far future": message(eta="2199-01-01T00:00:00"),
        "another task": message(task="os.system"),
        "Celery's own task": message(of_celery, task="celery.map"),
        "callbacks": message(json.dumps([[], {}, {"callbacks": [{"task": "x"}], "chain": [1]}]).encode()),
        "no id": message(id=None),
        "an id that is a list": message(id=["x"]),
        "a task that is a list": message(task=[TASK]),
        "a body that is no JSON": message(b"\xff{{"),
        "a body that is null": message(b"null"),
        "an unknown encoding": message(encoding="rot99"),
        "no headers": json.dumps({"body": "", "headers": None, "properties": properties}),
        "nothing of a message": json.dumps({}),
        "JSON that is no object": "[1, 2]",
        "no JSON": "look",
        "no text": b"\xff\x00",
        "no byte": b"",
    }


def test_forged_bells_do_nothing_and_the_worker_lives(yard, broker, tmp_path):
    worker = yard.start_worker()
    child = yard.child_of(worker)
    for name, bell in forged(tmp_path / "unpickled").items():
        broker.lpush(QUEUE, bell)
        wait_for(lambda: broker.llen(QUEUE) == 0)
        assert worker.poll() is None, name
    assert yard.reached(yard.add_run(), "succeeded").attempt == 1
    assert alive(child)
    assert not (tmp_path / "unpickled").exists()


def test_a_bell_with_a_time_limit_does_not_end_the_run_that_it_rings_for(yard, broker):
    yard.start_worker()
    id = yard.add_run(ring=False, epochs=600)
    broker.lpush(QUEUE, message(timelimit=[0.2, 0.1]))
    assert yard.reached(id, "succeeded").attempt == 1


def test_a_bell_that_nobody_rang_is_rung_by_the_reconciler(yard):
    yard.start_worker()
    id = yard.add_run(ring=False)
    yard.start_reconciler()
    yard.reached(id, "succeeded")


def test_a_bell_that_the_broker_lost_is_rung_again(yard, broker):
    id = yard.add_run()
    assert broker.llen(QUEUE) == 1
    broker.flushall()
    yard.start_worker()
    yard.start_reconciler()
    yard.reached(id, "succeeded")


def test_a_run_does_not_notice_that_the_broker_dies_and_the_next_starts_when_it_is_back(yard):
    yard.start_worker()
    yard.start_reconciler()
    first = yard.add_run(epochs=600)
    yard.in_mid_run(first)
    yard.kill_broker()
    assert yard.reached(first, "succeeded").attempt == 1
    second = yard.add_run(ring=False)
    yard.start_broker()
    assert yard.reached(second, "succeeded").attempt == 1


@pytest.mark.parametrize("slots", [2])
def test_every_slot_gets_a_run(new_yard, slots):
    yard = new_yard(slots=slots)
    worker = yard.start_worker()
    ids = [yard.add_run(epochs=50_000) for _ in range(slots)]
    for id in ids:
        yard.in_mid_run(id)
    listed = next(each for each in yard.workers() if each.pid == worker.pid)
    assert {slot.run for slot in listed.slots} == set(ids)
