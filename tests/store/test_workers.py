from datetime import timedelta

from store import workers
from store.moments import now
from store.processes import ProcessIdentity


def register(house, id="wk_1", slot=7, **changes):
    known = {"host": "h", "pid": 5, "queues": ["cpu"], "device": None, "slot_pid": slot}
    with house.database.write() as tx:
        workers.register(tx, id, **{**known, **changes})


def listed(house, tenant=None):
    with house.database.read() as tx:
        return workers.list_all(tx, tenant or house.tenant)


def test_a_worker_is_listed_with_its_slots_and_what_they_do(house):
    register(house, slot=8)
    register(house, slot=7)
    register(house, "wk_2", slot=7, pid=6, queues=["gpu", "cpu"], device="cuda")
    claim = house.start()
    first, second = listed(house)
    assert (first.id, first.host, first.pid, first.queues, first.device) == ("wk_1", "h", 5, ["cpu"], None)
    assert [(slot.pid, slot.busy, slot.run) for slot in first.slots] == [(7, True, claim.run_id), (8, False, None)]
    assert (second.queues, second.device) == (["gpu", "cpu"], "cuda")
    assert [slot.run for slot in second.slots] == [None]
    house.succeed(claim)
    assert not listed(house)[0].slots[0].busy


def test_another_tenants_run_is_only_a_busy_slot(house, stranger):
    register(house)
    house.start()
    ((slot,),) = [worker.slots for worker in listed(house, stranger)]
    assert (slot.busy, slot.run) == (True, None)


def test_registering_again_and_being_seen_move_the_time_and_nothing_else(house):
    register(house)
    (before,) = listed(house)
    register(house)
    with house.database.write() as tx:
        assert workers.seen(tx, "wk_1", 7)
    (after,) = listed(house)
    assert after.started_at == before.started_at
    assert after.seen_at > before.seen_at
    assert after.slots == before.slots


def test_the_last_slot_takes_its_worker_along(house):
    register(house, slot=7)
    register(house, slot=8)
    with house.database.write() as tx:
        workers.gone(tx, "wk_1", 7)
    assert [slot.pid for slot in listed(house)[0].slots] == [8]
    with house.database.write() as tx:
        workers.gone(tx, "wk_1", 8)
    assert listed(house) == []


def test_slots_that_were_not_seen_are_forgotten_and_told_to_register_again(house):
    register(house, slot=7)
    between = now()
    register(house, slot=8)
    with house.database.write() as tx:
        workers.forget(tx, between)
    assert [slot.pid for slot in listed(house)[0].slots] == [8]
    with house.database.write() as tx:
        assert not workers.seen(tx, "wk_1", 7)
        workers.forget(tx, now() + timedelta(seconds=1))
    assert listed(house) == []


def test_slot_says_which_process_it_is(house):
    register(house, slot=7, owner=ProcessIdentity.current())
    register(house, slot=8)
    assert [slot.owner for slot in listed(house)[0].slots] == [ProcessIdentity.current(), None]
