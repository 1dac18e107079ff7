import threading

import pytest
from sqlalchemy import select, update

from store import idempotency, runs
from store.errors import Conflict
from store.idempotency import KEPT, Answered, Different, InFlight, Reserved
from store.moments import now
from store.tables import idempotency_keys as table

ONE, OTHER = "1" * 64, "2" * 64
ANSWER = {"status": 202, "headers": {"Location": "/v1/runs/x", "ETag": '"é"'}, "body": b'{"id":"\xc3\xa9\x00"}'}


def reserve(house, owner="me", fingerprint=ONE, key="key", **changes):
    with house.database.write() as tx:
        return idempotency.reserve(tx, house.tenant, key, fingerprint, owner, **changes)


def complete(house, owner="me", key="key"):
    with house.database.write() as tx:
        idempotency.complete(tx, house.tenant, key, owner, **ANSWER)


def test_a_key_is_reserved_completed_and_then_answers_as_the_first_time(house):
    assert reserve(house) == Reserved()
    assert reserve(house, "you") == InFlight()
    complete(house)
    for owner in ("me", "you"):
        assert reserve(house, owner) == Answered(**ANSWER)


def test_a_key_with_another_request_is_different_in_flight_and_after(house):
    reserve(house)
    assert reserve(house, "you", OTHER) == Different()
    complete(house)
    assert reserve(house, "you", OTHER) == Different()
    assert reserve(house, "you", OTHER, key="another") == Reserved()


def test_a_key_whose_request_came_to_nothing_is_free_again(house):
    reserve(house)
    with house.database.write() as tx:
        idempotency.release(tx, house.tenant, "key", "you")
    assert reserve(house, "you") == InFlight(), "only its owner gives it back"
    with house.database.write() as tx:
        idempotency.release(tx, house.tenant, "key", "me")
    assert reserve(house, "you", OTHER) == Reserved()


def test_a_key_whose_owner_is_known_to_have_ended_is_free_unless_it_was_answered(house):
    reserve(house)
    assert reserve(house, "you", ended=["somebody"]) == InFlight()
    assert reserve(house, "you", OTHER, ended=["somebody", "me"]) == Reserved()
    complete(house, "you")
    assert reserve(house, "another", OTHER, ended=["you"]) == Answered(**ANSWER)


def test_a_key_whose_request_died_is_free_after_its_lease_and_the_dead_one_completes_nothing(house):
    reserve(house, lease_seconds=0.0)
    assert reserve(house, "you") == Reserved()
    dataset = house.add_dataset().id

    def late() -> None:
        with house.database.write() as tx:
            runs.insert(tx, house.tenant, dataset=dataset, spec={}, task="", rows={}, warnings=[], members=[{}])
            idempotency.complete(tx, house.tenant, "key", "me", **ANSWER)

    with pytest.raises(Conflict):
        late()
    with house.database.read() as tx:
        assert runs.page(tx, house.tenant).data == [], "what it would have made was rolled back"
    complete(house, "you")
    assert reserve(house, "me") == Answered(**ANSWER)


def test_reserving_again_what_is_ones_own_renews_the_lease(house):
    reserve(house, lease_seconds=1.0)
    with house.database.read() as tx:
        before = tx.execute(select(table.c.expires_at)).scalar_one()
    assert reserve(house) == Reserved()
    with house.database.read() as tx:
        assert tx.execute(select(table.c.expires_at)).scalar_one() > before


def test_an_answer_is_released_by_nobody_and_kept_for_a_day(house):
    reserve(house)
    complete(house)
    with house.database.write() as tx:
        idempotency.release(tx, house.tenant, "key", "me")
        kept_until = tx.execute(select(table.c.expires_at)).scalar_one()
        assert (kept_until - now()).total_seconds() > 24 * 3600
        assert idempotency.forget(tx) == 0
    assert reserve(house) == Answered(**ANSWER)
    with house.database.write() as tx:
        tx.execute(update(table).values(expires_at=now()))
        assert idempotency.forget(tx) == 1
    assert reserve(house, "you", OTHER) == Reserved()
    assert KEPT.total_seconds() > 24 * 3600


def test_tenants_share_no_keys(house, stranger):
    reserve(house)
    with house.database.write() as tx:
        assert idempotency.reserve(tx, stranger, "key", OTHER, "you") == Reserved()


def test_of_many_equal_requests_at_once_one_creates_and_the_others_see_its_answer(house):
    """All in one transaction, as the API may do it: whoever comes second waits for the first, then replays it."""
    dataset, start = house.add_dataset().id, threading.Barrier(8)
    outcomes = []

    def post(owner: str) -> None:
        start.wait()
        with house.database.write() as tx:
            outcome = idempotency.reserve(tx, house.tenant, "key", ONE, owner)
            if outcome == Reserved():
                runs.insert(tx, house.tenant, dataset=dataset, spec={}, task="", rows={}, warnings=[], members=[{}])
                idempotency.complete(tx, house.tenant, "key", owner, **ANSWER)
        outcomes.append(outcome)

    threads = [threading.Thread(target=post, args=(f"{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Reserved()) == 1
    assert outcomes.count(Answered(**ANSWER)) == 7
    with house.database.read() as tx:
        assert len(runs.page(tx, house.tenant).data) == 1
