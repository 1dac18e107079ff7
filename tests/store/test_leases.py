import threading

import pytest
from sqlalchemy import select

from store import events, expiry, finishing, leases, members, metrics, runs
from store.errors import Fenced
from store.finishing import Result
from store.leases import Report
from store.members import MemberReport
from store.tables import metadata
from store.tables import runs as run_rows


def test_a_beat_moves_the_lease_and_reads_what_is_requested(house):
    claim = house.start()
    seen = []
    for pulse in (3, 9):
        with house.database.write() as tx:
            assert leases.beat(tx, claim.run_id, claim.attempt, pulse) is None
        with house.database.read() as tx:
            (lease,) = expiry.leases(tx)
            seen.append((lease.seq, lease.pulse))
    assert seen == [(1, 3), (2, 9)]
    house.request(claim, "cancel")
    with house.database.write() as tx:
        assert leases.beat(tx, claim.run_id, claim.attempt, 9) == "cancel"
    with house.database.read() as tx:
        assert leases.requested(tx, claim.run_id) == "cancel"


def test_a_beat_leaves_the_wide_row_alone(house):
    claim = house.start(epoch=1)
    with house.database.write() as tx:
        before = tx.execute(select(run_rows)).one()
        leases.beat(tx, claim.run_id, claim.attempt, 1)
        leases.record(tx, claim.run_id, claim.attempt, Report({"epoch": 2}, {}))
        assert tx.execute(select(run_rows)).one() == before


def test_a_report_is_written_whole(house, chunk):
    claim = house.start()
    told = {"epoch": 1, "metrics": {"train": {"loss": 0.25}}}
    report = Report(
        progress={"epoch": 1, "epochs": 4, "fraction": 0.25},
        metrics=told["metrics"],
        best={"member": 0, "epoch": 1},
        chunks=[chunk("train", "loss", 1, [[0.25]])],
        members=[MemberReport(0, "running", 1, {"epoch": 1, "metric": "train.loss", "value": 0.25}, {"train": {}})],
        told=told,
    )
    with house.database.write() as tx:
        assert leases.record(tx, claim.run_id, claim.attempt, report) is None
    run = house.run(claim)
    assert (run.progress, run.metrics, run.best) == (report.progress, report.metrics, report.best)
    with house.database.read() as tx:
        assert [row["value"] for row in metrics.page(tx, house.tenant, claim.run_id).data] == [0.25]
        (member,) = members.first(tx, house.tenant, claim.run_id)
        assert (member.status, member.epoch, member.last) == ("running", 1, {"train": {}})
        assert events.page(tx, house.tenant, claim.run_id).data[-1].data == told


def test_an_epoch_is_told_once_and_never_after_a_later_one(house):
    claim = house.start()
    for epoch in (1, 2, 2, 1, 3):
        house.record(claim, epoch)
    assert _told(house, claim.run_id) == [1, 2, 3]


def test_a_run_that_grows_old_is_told_more_rarely(house):
    claim = house.start()
    for epoch in (1000, 1001, 1003, 1004, 1005):
        house.record(claim, epoch)
    assert _told(house, claim.run_id) == [1000, 1004]


def test_however_long_a_run_there_are_never_over_2000_progress_events():
    told, count = 0, 0
    for epoch in range(1, 100_001):
        if events.due(told, epoch):
            told, count = epoch, count + 1
    assert 1000 < count < 2000
    assert [events.due(249, 250), events.due(250, 250), events.due(500, 501), events.due(500, 502)] == [1, 0, 0, 1]


WRITES = {
    "beat": lambda tx, run, attempt, chunk: leases.beat(tx, run, attempt, 5),
    "record": lambda tx, run, attempt, chunk: leases.record(
        tx, run, attempt, Report({"epoch": 9}, {}, chunks=[chunk], told={"epoch": 9, "metrics": {}})
    ),
    "succeed": lambda tx, run, attempt, chunk: finishing.succeed(
        tx, run, attempt, Result({}, None, [], "b", "s", "cpu")
    ),
    "fail": lambda tx, run, attempt, chunk: finishing.fail(tx, run, attempt, "x", "y"),
    "acknowledge": lambda tx, run, attempt, chunk: finishing.acknowledge(tx, run, attempt),
    "release": lambda tx, run, attempt, chunk: finishing.release(tx, run, attempt),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("now", ["queued again", "claimed by another", "final", "deleted"])
def test_a_worker_that_was_taken_for_lost_writes_nothing(house, chunk, write, now):
    zombie = house.start(epoch=1)
    with house.database.write() as tx:
        (lease,) = expiry.leases(tx)
        assert expiry.expire(tx, lease.run_id, lease.attempt, lease.seq, backoff=[0])
    if now != "queued again":
        other = house.claim()
        if now in ("final", "deleted"):
            house.succeed(other)
        if now == "deleted":
            with house.database.write() as tx:
                runs.delete(tx, house.tenant, zombie.run_id)
    before = _everything(house)
    with pytest.raises(Fenced), house.database.write() as tx:
        WRITES[write](tx, zombie.run_id, zombie.attempt, chunk("train", "loss", 1, [[7.0]]))
    assert _everything(house) == before


def test_the_fence_comes_first_so_that_what_a_stale_report_carries_is_not_even_looked_at(house):
    with pytest.raises(Fenced), house.database.write() as tx:
        leases.record(tx, "run_" + "0" * 26, 1, Report({}, {}, chunks=[None]))  # type: ignore[list-item]


def test_verbs_and_reports_at_the_same_time_tell_in_one_order(house):
    claim = house.start(epoch=1)
    start = threading.Barrier(2)

    def ask() -> None:
        start.wait()
        for verb in ("pause", "cancel"):
            house.request(claim, verb)

    thread = threading.Thread(target=ask)
    thread.start()
    start.wait()
    for epoch in range(2, 12):
        house.record(claim, epoch)
    thread.join()
    with house.database.read() as tx:
        told = events.page(tx, house.tenant, claim.run_id).data
    assert [event.seq for event in told] == list(range(1, 16))
    assert [event.data["epoch"] for event in told if event.type == "run.progress"] == list(range(1, 12))


def _told(house, run_id):
    with house.database.read() as tx:
        page = events.page(tx, house.tenant, run_id)
    return [event.data["epoch"] for event in page.data if event.type == "run.progress"]


def _everything(house):
    with house.database.read() as tx:
        return [tx.execute(select(each)).all() for each in metadata.sorted_tables]
