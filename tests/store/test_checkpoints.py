"""Checkpoints: named through the fence, the newest two, forgotten when nothing can go on from them any more."""

import pytest
from sqlalchemy import select

from store import checkpoints, events, expiry, finishing
from store.blobs import sha256_of
from store.checkpoints import Checkpoint
from store.errors import Fenced
from store.tables import checkpoints as table


def key(number: int) -> str:
    return f"sha256/{number:02d}/{'0' * 62}"


def advance(house, claim, epoch):
    with house.database.write() as tx:
        checkpoints.advance(tx, claim.run_id, claim.attempt, Checkpoint(epoch, 10 * epoch, key(epoch)))
    return house.freed()


def saved(house, claim):
    with house.database.read() as tx:
        return [each.epoch for each in checkpoints.newest_first(tx, claim.run_id)]


def crash(house, claim):
    with house.database.write() as tx:
        (lease,) = expiry.leases(tx)
        assert expiry.expire(tx, claim.run_id, claim.attempt, lease.seq, backoff=(0.0,))


def test_the_newest_two_are_kept_and_the_blob_of_the_third_is_free(house):
    claim = house.start()
    assert [advance(house, claim, epoch) for epoch in (1, 2, 3, 4)] == [[], [], [key(1)], [key(2)]]
    assert saved(house, claim) == [4, 3]
    with house.database.read() as tx:
        told = [each.data for each in events.page(tx, house.tenant, claim.run_id).data if "check" in each.type]
    assert told == [{"epoch": epoch, "step": 10 * epoch} for epoch in (1, 2, 3, 4)]


def test_what_a_new_attempt_saves_is_newer_even_if_it_is_of_an_earlier_epoch(house):
    first = house.start()
    advance(house, first, 5)
    advance(house, first, 6)
    crash(house, first)
    second = house.claim()
    assert [each.epoch for each in second.checkpoints] == [6, 5]
    advance(house, second, 2)
    assert saved(house, second) == [2, 6]


def test_the_same_place_saved_twice_is_one_checkpoint(house):
    claim = house.start()
    advance(house, claim, 1)
    assert advance(house, claim, 1) == []
    assert saved(house, claim) == [1]
    with house.database.write() as tx:
        checkpoints.advance(tx, claim.run_id, claim.attempt, Checkpoint(1, 10, key(7)))
        named = tx.execute(select(table.c.blob, table.c.sha256)).all()
    assert house.freed() == [key(1)], "its bytes are replaced"
    assert named == [(key(7), sha256_of(key(7)))]


def test_an_attempt_that_is_over_saves_nothing(house):
    claim = house.start()
    crash(house, claim)
    with pytest.raises(Fenced):
        advance(house, claim, 1)
    assert saved(house, claim) == []


def test_a_run_that_gets_further_may_crash_as_often_again(house):
    claim = house.start()
    for epoch in range(1, 6):
        advance(house, claim, epoch)
        assert house.run(claim).crashes == 0
        crash(house, claim)
        assert house.run(claim).crashes == 1
        claim = house.claim()
    assert claim.attempt == 6


def test_a_run_that_is_saved_where_it_stood_before_has_got_no_further(house):
    claim = house.start()
    advance(house, claim, 5)
    for crashes in (1, 2):
        crash(house, claim)
        claim = house.claim()
        advance(house, claim, 5)
        assert house.run(claim).crashes == crashes
    crash(house, claim)
    assert house.run(claim).error["code"] == "worker_lost"


def test_how_a_run_ended_stays_of_one_that_succeeded_and_nothing_of_any_other(house):
    claim = house.start()
    advance(house, claim, 1)
    advance(house, claim, 2)
    house.succeed(claim, checkpoint=Checkpoint(3, 30, key(3)))
    assert saved(house, claim) == [3]
    other = house.start()
    advance(house, other, 1)
    house.request(other, "pause")
    with house.database.write() as tx:
        finishing.acknowledge(tx, other.run_id, other.attempt)
    assert saved(house, other) == [1]
    house.request(other, "cancel")
    assert saved(house, other) == []
