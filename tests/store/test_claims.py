import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from store import datasets, events, expiry, finishing, leases
from store.errors import Fenced
from store.ids import new_id
from store.moments import now
from store.processes import ProcessIdentity
from store.tables import checkpoints
from store.tables import datasets as dataset_rows
from store.tables import runs as table

CLAIMANT = Path(__file__).with_name("claimant.py")


def test_a_claim_makes_the_run_an_attempts(house):
    run = house.add_run(spec={"seed": 4, "epochs": 2})
    claim = house.claim(worker="wk_9", slot_pid=11, device="cuda")
    assert (claim.run_id, claim.tenant, claim.attempt, claim.generation) == (run.id, house.tenant, 1, 1)
    assert (claim.spec, claim.task, claim.told_epoch, claim.requested) == ({"seed": 4, "epochs": 2}, run.task, 0, None)
    with house.database.read() as tx:
        assert claim.dataset == datasets.get(tx, house.tenant, run.dataset)
        (lease,) = expiry.leases(tx)
        assert [each.type for each in events.page(tx, house.tenant, run.id).data] == ["run.queued", "run.started"]
    assert (lease.run_id, lease.attempt, lease.worker, lease.slot_pid) == (run.id, 1, "wk_9", 11)
    assert lease.owner == ProcessIdentity.current()
    running = house.run(run)
    assert (running.status, running.attempt, running.device) == ("running", 1, "cuda")
    assert running.started_at is not None
    assert house.try_claim() is None, "it was the only one"


def test_the_most_urgent_comes_first_then_the_oldest(house):
    dataset = house.add_dataset().id
    wanted = [(0, "second"), (5, "first"), (0, "third"), (-5, "last")]
    for priority, name in wanted:
        house.add_run(dataset, priority=priority, name=name)
    assert [house.run(house.claim()).name for _ in wanted] == ["first", "second", "third", "last"]


def test_a_run_is_not_claimed_before_its_time_nor_from_another_queue(house):
    house.add_run(not_before=now() + timedelta(hours=1))
    house.add_run(queue="gpu")
    assert house.try_claim() is None
    assert house.try_claim(queues=["gpu", "cpu"]) is not None
    with house.database.write() as tx:
        tx.execute(update(table).values(due_at=now()))
    assert house.try_claim() is not None


def test_a_run_that_starts_again_is_resumed_from_its_checkpoint_and_tells_no_epoch_twice(house):
    first = house.start(epoch=3)
    started = house.run(first).started_at
    with house.database.write() as tx:
        (lease,) = expiry.leases(tx)
        assert expiry.expire(tx, lease.run_id, lease.attempt, lease.seq, backoff=[0, 0])
        saved = {"run_id": first.run_id, "tenant_id": house.tenant, "attempt": 1, "step": 9, "created_at": now()}
        tx.execute(checkpoints.insert().values(**saved, epoch=2, blob="c", sha256="d"))
    second = house.claim()
    assert (second.attempt, second.told_epoch) == (2, 3)
    assert house.run(second).started_at == started
    for epoch in (2, 3, 4):
        house.record(second, epoch)
    with house.database.read() as tx:
        told = events.page(tx, house.tenant, first.run_id).data
    assert [(each.type, each.data.get("epoch")) for each in told] == [
        ("run.queued", None),
        ("run.started", None),
        ("run.progress", 3),
        ("run.interrupted", None),
        ("run.resumed", 2),
        ("run.progress", 4),
    ]
    assert told[4].data == {"attempt": 2, "epoch": 2}


def test_a_run_asked_to_stop_is_still_claimed(house):
    claim = house.start(epoch=1)
    house.request(claim, "stop")
    with house.database.write() as tx:
        finishing.release(tx, claim.run_id, claim.attempt)
    again = house.claim()
    assert (again.run_id, again.requested) == (claim.run_id, "stop")


def test_a_run_whose_dataset_is_gone_fails_and_the_next_is_claimed(house):
    lost, good = house.add_run(), house.add_run()
    with house.database.write() as tx:
        tx.execute(delete(dataset_rows).where(dataset_rows.c.id == lost.dataset))
    assert house.claim().run_id == good.id
    failed = house.run(lost)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "dataset_deleted"
    with house.database.read() as tx:
        assert events.page(tx, house.tenant, lost.id).data[-1].type == "run.failed"
        assert [lease.run_id for lease in expiry.leases(tx)] == [good.id]


def test_of_a_thousand_runs_four_processes_claim_each_once(house):
    ids = set(_queue(house, 1000))
    command = [sys.executable, str(CLAIMANT), house.database.url]
    claimants = [subprocess.Popen([*command, f"wk_{number}"], stdout=subprocess.PIPE) for number in range(4)]
    claimed = [json.loads(each.communicate()[0]) for each in claimants]
    assert [each.returncode for each in claimants] == [0] * 4
    assert sorted(id for each in claimed for id in each) == sorted(ids)
    assert sum(bool(each) for each in claimed) > 1, "there was a race"
    with house.database.read() as tx:
        assert set(tx.execute(select(table.c.attempt)).scalars()) == {1}
        assert {lease.run_id for lease in expiry.leases(tx)} == ids


def test_with_ten_thousand_runs_queued_a_claim_stays_quick(house):
    _queue(house, 10_000)
    begun = time.perf_counter()
    for _ in range(20):
        house.claim()
    assert (time.perf_counter() - begun) / 20 < 0.05


def _queue(house, count):
    row = {"tenant_id": house.tenant, "dataset_id": house.add_dataset().id, "metadata": {}, "seed": 0, "rows": {}}
    row |= {"spec": {"note": "y" * 2000}, "task": "binary", "warnings": [], "status": "queued", "queue": "cpu"}
    row |= {"attempt": 0, "crashes": 0, "generation": 1, "created_at": now(), "due_at": now()}
    rows = [{**row, "id": new_id("run"), "priority": number % 3} for number in range(count)]
    with house.database.write() as tx:
        tx.execute(table.insert(), rows)
    return [each["id"] for each in rows]


def test_an_old_attempt_writes_nothing(house):
    claim = house.start(epoch=1)
    with house.database.write() as tx:
        (lease,) = expiry.leases(tx)
        expiry.expire(tx, lease.run_id, lease.attempt, lease.seq, backoff=[0, 0])
    with pytest.raises(Fenced), house.database.write() as tx:
        leases.beat(tx, claim.run_id, claim.attempt, 1)
