"""Memory that runs out: tried once more in smaller chunks, then the run fails and says what was used."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from store import events, leases, out_of_memory
from store.errors import Fenced
from store.expiry import expire
from store.expiry import leases as all_leases
from store.memory import Memory
from store.moments import now
from store.tables import runs as table

GIB = 1 << 30


def lose(house, **changes):
    with house.database.write() as tx:
        (lease,) = all_leases(tx)
        return expire(tx, lease.run_id, lease.attempt, lease.seq, **changes)


def beat(house, claim, held, limit=GIB):
    with house.database.write() as tx:
        leases.beat(tx, claim.run_id, claim.attempt, 1, Memory(held, limit))


def hand_back(house, claim, message="too much"):
    with house.database.write() as tx:
        return out_of_memory.hand_back(tx, claim.run_id, claim.attempt, message)


def memory_crashes(house, claim):
    with house.database.read() as tx:
        return tx.execute(select(table.c.memory_crashes).where(table.c.id == claim.run_id)).scalar_one()


def told(house, claim):
    with house.database.read() as tx:
        return [(event.type, event.data) for event in events.page(tx, house.tenant, claim.run_id).data]


def test_a_process_killed_for_want_of_memory_gives_the_run_one_more_attempt_in_smaller_chunks(house):
    claim = house.start(epoch=3)
    before = now()
    assert lose(house, starved=True)
    run = house.run(claim)
    assert (run.status, run.crashes, run.progress) == ("queued", 0, {"epoch": 3})
    assert before + timedelta(seconds=5) <= run.due_at, "what took the memory has time to give it back"
    assert told(house, claim)[-1] == ("run.interrupted", {"attempt": 1, "reason": "out_of_memory"})
    with house.database.write() as tx:
        tx.execute(update(table).values(due_at=now()))
    again = house.claim()
    assert (again.attempt, again.memory_crashes) == (2, 1)


def test_the_second_time_the_run_fails_and_says_what_was_used_and_what_to_do(house):
    claim = house.start()
    assert lose(house, starved=True, backoff=[0.0])
    beat(house, house.claim(), 700 << 20)
    assert lose(house, starved=True)
    run = house.run(claim)
    assert (run.status, run.error["code"], run.crashes) == ("failed", "out_of_memory", 0)
    assert "held 700 MiB, of 1,024 MiB in all" in run.error["message"]
    assert "smaller batch_size" in run.error["message"]
    assert told(house, claim)[-1] == ("run.failed", {"attempt": 2, **run.error})


@pytest.mark.parametrize(("held", "code"), [(GIB * 9 // 10 + 1, "out_of_memory"), (GIB * 8 // 10, "worker_lost")])
def test_a_process_that_held_nearly_all_there_is_when_last_seen_is_taken_to_have_asked_for_more(house, held, code):
    claim = house.start()
    beat(house, claim, held)
    assert lose(house)
    assert told(house, claim)[-1][1]["reason"] == code


def test_losses_for_want_of_memory_are_not_counted_among_the_others(house):
    claim = house.start()
    for _ in range(2):
        assert lose(house, backoff=[0.0])
        house.claim()
    assert lose(house, starved=True, backoff=[0.0])
    assert (house.run(claim).status, house.run(claim).crashes) == ("queued", 2)
    house.claim()
    assert lose(house)
    assert house.run(claim).error["code"] == "worker_lost"


def test_an_attempt_that_finds_out_by_itself_hands_its_run_back_once(house):
    claim = house.start(epoch=2)
    assert hand_back(house, claim) == "queued"
    assert (house.run(claim).crashes, memory_crashes(house, claim)) == (0, 1)
    again = house.claim()
    assert (again.attempt, again.memory_crashes) == (2, 1), "at once: nobody else took the memory"
    assert hand_back(house, again) == "failed"
    assert house.run(claim).error == {"code": "out_of_memory", "message": "too much"}
    with pytest.raises(Fenced):
        hand_back(house, again)


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("pause", "paused")])
@pytest.mark.parametrize("end", [hand_back, lambda house, _: lose(house, starved=True)])
def test_what_was_requested_is_so(house, verb, status, end):
    claim = house.start(epoch=1)
    house.request(claim, verb)
    end(house, claim)
    run = house.run(claim)
    assert (run.status, run.requested, run.error) == (status, None, None)


def test_what_was_asked_for_at_last_is_told_too():
    assert "held 2 MiB and asked for 3 MiB more, of 4 MiB" in out_of_memory.reason(Memory(2 << 20, 4 << 20), 3 << 20)
    assert "more memory is needed than there is;" in out_of_memory.reason(None)
