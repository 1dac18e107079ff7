"""The broker is killed, emptied, frozen: bells are lost by it and nothing else, and no run waits for a lost one."""

import time
from datetime import UTC, datetime, timedelta

import redis

from service.supervision.embedded_valkey import socket_in
from tests.faults.history import check

ENDLESS = {"epochs": 100_000, "batch_size": 1}  # twenty minutes, or until it is stopped
ANSWER_SECONDS = 0.25  # in which 99 of 100 POSTs are answered, whatever the broker does
SHARE = (75, 99)  # percent of the POSTs that are held to it, in the short form and in the long: few tell of no p99
BACK_SECONDS = 10.0  # in which the runs that waited for the broker have a worker again


def test_killed_or_emptied_while_runs_wait(house, times, tell):
    strikes, each = times(2, 20), times(10, 25)
    long = house.start(**ENDLESS)
    house.in_mid_run(long)
    slot, waiting = house.slot_of(long), []
    for strike in range(strikes):
        waiting += [house.start(epochs=2) for _ in range(each)]
        epoch = house.run(long).progress["epoch"]
        if strike % 2:
            _empty(house)
        else:
            house.broker.kill()
        house.in_mid_run(long, epoch + 1)
        waiting.append(house.start(epochs=2))
        if not house.broker.is_running():
            house.broker.start()
        tell(f"struck {strike + 1} times while {len(waiting)} runs wait")
    assert house.slot_of(long) == slot
    house.verb(long, "stop")
    _trained_at_the_first_attempt(house, [long, *waiting])
    # Now nobody is at work who would find the next one by himself, and the bell that it had is gone.
    late = house.start(epochs=2, not_before=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    _empty(house)
    house.reached(late, "running", "succeeded", seconds=BACK_SECONDS)
    _trained_at_the_first_attempt(house, [late])


def test_killed_or_frozen_it_holds_up_nobody_and_is_found_when_it_returns(new_house, times, tell):
    """One slot trains all the while; the other has nothing to do, and hears of a run through the broker alone."""
    house = new_house(slots=2)
    posts = times(20, 500)
    broker = house.broker
    ways = {"killed": (broker.kill, broker.start, times(1, 60)), "frozen": (broker.freeze, broker.thaw, times(2, 60))}
    long = house.start(**ENDLESS)
    house.in_mid_run(long)
    ended = []
    for way, (leave, come_back, seconds) in ways.items():
        leave()
        left_at, epoch, waiting = time.monotonic(), house.run(long).progress["epoch"], []
        for place in range(posts):
            waiting.append(house.start(epochs=2))
            time.sleep(max(0.0, left_at + seconds * (place + 1) / posts - time.monotonic()))
        house.in_mid_run(long, epoch + 1)
        tell(way)
        _answered_at_once(house, left_at, times(*SHARE), tell)
        come_back()
        house.reached(waiting[0], "running", "succeeded", seconds=BACK_SECONDS)
        for id in waiting:
            house.ended(id, seconds=posts)
        ended += waiting
    house.verb(long, "stop")
    _trained_at_the_first_attempt(house, [long, *ended])


def _empty(house):
    with redis.Redis(unix_socket_path=str(socket_in(house.sockets))) as broker:
        broker.flushall()


def _answered_at_once(house, since, percent, tell):
    answers = [each for each in house.log if each.method == "POST" and each.path == "/v1/runs" and each.at >= since]
    assert {each.status for each in answers} == {202}
    seconds = sorted(each.seconds for each in answers)
    slow = seconds[len(seconds) * percent // 100]
    tell(f"of {len(seconds)} POSTs {percent} % in {slow * 1000:.0f} ms, the slowest in {seconds[-1] * 1000:.0f} ms")
    assert slow < ANSWER_SECONDS


def _trained_at_the_first_attempt(house, ids):
    for id in ids:
        run = house.ended(id)
        assert (run.status, run.attempt) == ("succeeded", 1), run.error
    check(house)
