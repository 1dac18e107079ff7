import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from store import events, leases
from store.expiry import doubt, expire
from store.expiry import leases as all_leases
from store.moments import now
from store.tables import runs as table


def lose(house, **changes):
    """The one lease there is, expired as a watcher would that has seen it stand still."""
    with house.database.write() as tx:
        (lease,) = all_leases(tx)
        return expire(tx, lease.run_id, lease.attempt, lease.seq, **changes)


def test_a_lease_that_stood_still_is_taken_away_and_the_run_queued(house):
    claim = house.start(epoch=3)
    assert lose(house)
    run = house.run(claim)
    assert (run.status, run.crashes, run.attempt) == ("queued", 1, 1)
    assert (run.progress, run.metrics) == ({"epoch": 3}, {"train": {"loss": 1 / 3}}), "what could be read stays so"
    assert _types(house, claim)[-1] == ("run.interrupted", {"attempt": 1, "reason": "worker_lost", "crashes": 1})


def test_a_lease_that_has_moved_since_it_was_seen_stays(house):
    claim = house.start()
    with house.database.read() as tx:
        (seen,) = all_leases(tx)
    house.record(claim, 1)
    with house.database.write() as tx:
        assert not expire(tx, seen.run_id, seen.attempt, seen.seq)
        assert not expire(tx, seen.run_id, seen.attempt + 1, seen.seq + 1)
        assert len(all_leases(tx)) == 1
    assert house.run(claim).status == "running"


def test_a_doubted_lease_is_still_as_it_was_seen(house):
    claim = house.start()
    with house.database.read() as tx:
        (seen,) = all_leases(tx)
    with house.database.write() as tx:
        doubt(tx, seen)
    with house.database.read() as tx:
        (now_seen,) = all_leases(tx)
    assert now_seen.at > seen.at
    assert replace(now_seen, at=seen.at) == seen
    assert house.run(claim).status == "running"


def test_of_many_watchers_one_takes_the_lease(house):
    claim = house.start()
    with house.database.read() as tx:
        (seen,) = all_leases(tx)
    start, took = threading.Barrier(4), []

    def watch() -> None:
        start.wait()
        with house.database.write() as tx:
            took.append(expire(tx, seen.run_id, seen.attempt, seen.seq))

    watchers = [threading.Thread(target=watch) for _ in range(4)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert sorted(took) == [False, False, False, True]
    assert house.run(claim).crashes == 1


def test_a_beat_and_an_expiry_at_the_same_time_never_both_win(house):
    for _ in range(10):
        claim = house.start()
        with house.database.read() as tx:
            (seen,) = all_leases(tx)
        start, beaten = threading.Barrier(2), []

        def beat(claim=claim, start=start, beaten=beaten) -> None:
            start.wait()
            try:
                with house.database.write() as tx:
                    leases.beat(tx, claim.run_id, claim.attempt, 1)
                beaten.append(True)
            except leases.Fenced:
                beaten.append(False)

        thread = threading.Thread(target=beat)
        thread.start()
        start.wait()
        with house.database.write() as tx:
            expired = expire(tx, seen.run_id, seen.attempt, seen.seq)
        thread.join()
        assert beaten == [not expired]
        if not expired:
            house.succeed(claim)


def test_each_crash_waits_longer_and_the_third_is_the_end(house):
    claim = house.start()
    for crash, seconds in ((1, 5), (2, 30)):
        before = now()
        assert lose(house)
        due = house.run(claim).due_at
        assert before + timedelta(seconds=seconds) <= due <= now() + timedelta(seconds=seconds)
        assert house.try_claim() is None
        assert house.run(claim).crashes == crash
        with house.database.write() as tx:
            tx.execute(update(table).values(due_at=now()))
        house.claim()
    assert lose(house)
    run = house.run(claim)
    assert (run.status, run.crashes, run.attempt) == ("failed", 3, 3)
    assert run.error is not None
    assert run.error["code"] == "worker_lost"
    assert run.finished_at is not None
    assert [type for type, _ in _types(house, claim)] == [
        "run.queued",
        "run.started",
        "run.interrupted",
        "run.resumed",
        "run.interrupted",
        "run.resumed",
        "run.failed",
    ]


def test_a_loss_that_is_no_crash_is_not_counted_and_waits_for_nothing(house):
    claim = house.start()
    assert lose(house, crashed=False)
    assert house.run(claim).crashes == 0
    assert house.claim().run_id == claim.run_id


def test_the_backoff_can_be_shortened(house):
    claim = house.start()
    assert lose(house, backoff=[0.0])
    assert house.claim().attempt == claim.attempt + 1


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("pause", "paused")])
@pytest.mark.parametrize("crashes", [0, 2])
def test_an_expiry_completes_what_was_requested(house, verb, status, crashes):
    claim = house.start(epoch=1)
    house.request(claim, verb)
    with house.database.write() as tx:
        tx.execute(update(table).values(crashes=crashes))
    assert lose(house)
    run = house.run(claim)
    assert (run.status, run.requested, run.error) == (status, None, None)
    assert _types(house, claim)[-1][0] == f"run.{status}"


def test_a_run_asked_to_stop_is_still_asked_after_its_worker_was_lost(house):
    claim = house.start(epoch=1)
    house.request(claim, "stop")
    assert lose(house, backoff=[0.0])
    assert house.claim().requested == "stop"


def _types(house, claim):
    with house.database.read() as tx:
        return [(event.type, event.data) for event in events.page(tx, house.tenant, claim.run_id).data]
