"""What an attempt does when things go wrong, and what it must never do."""

import os
import signal

from store import expiry
from tests.workers.running import alive, wait_for


def test_an_attempt_that_lost_its_lease_stops_and_writes_nothing_more(yard):
    worker = yard.start_worker()
    id = yard.add_run(epochs=50_000)
    yard.in_mid_run(id)

    def take_away():
        with yard.database.write() as tx:
            (lease,) = expiry.leases(tx)
            return expiry.expire(tx, id, lease.attempt, lease.seq, backoff=(3600.0,))

    wait_for(take_away)
    progress, told = yard.run(id).progress, len(yard.events(id))
    # Its child is free again: it takes another run.
    yard.reached(yard.add_run(), "succeeded")
    assert (yard.run(id).status, yard.run(id).progress, len(yard.events(id))) == ("queued", progress, told)
    assert worker.poll() is None


def test_a_table_that_is_gone_fails_the_run_with_its_reason(yard):
    yard.start_worker()
    yard.blobs.delete(yard.blob)
    run = yard.reached(yard.add_run(), "failed")
    assert run.error["code"] == "dataset_deleted"


def test_data_that_cannot_be_learned_from_fails_the_run_with_its_reason(yard):
    yard.start_worker()
    run = yard.reached(yard.add_run(validation={"fraction": 0.5}, test={"fraction": 0.5}), "failed")
    assert run.error["code"] == "invalid_data"
    assert "train split" in run.error["message"]
    assert yard.events(run.id)[-1].data["code"] == "invalid_data"


def test_an_error_that_nobody_foresaw_is_told_by_an_id_that_the_log_has_too(yard):
    yard.start_worker()
    run = yard.reached(yard.add_run(optimizer={"name": "no such optimizer"}), "failed")
    assert run.error["code"] == "internal"
    assert "Traceback" not in run.error["message"]
    id = run.error["message"].split()[-1]
    (line,) = [line for line in yard.log.read_text().splitlines() if id in line]
    assert "Traceback" in line
    yard.reached(yard.add_run(), "succeeded")


def test_a_run_asked_to_stop_stops_no_earlier_after_a_crash_than_it_had_come_before(yard):
    worker = yard.start_worker()
    yard.start_reconciler()
    id = yard.add_run(epochs=50_000)
    wait_for(lambda: (yard.run(id).progress or {}).get("epoch", 0) > 100)
    child = yard.child_of(worker)
    os.kill(child, signal.SIGSTOP)
    yard.ask(id, "stop")
    told = [event.data["epoch"] for event in yard.events(id) if event.type == "run.progress"]
    os.kill(child, signal.SIGKILL)
    run = yard.reached(id, "succeeded")
    assert run.attempt == 2
    assert told[-1] <= run.progress["epoch"] < 50_000


def test_a_frozen_worker_loses_its_run_and_does_no_harm_when_it_wakes(yard):
    frozen = yard.start_worker()
    child = yard.child_of(frozen)
    yard.start_reconciler()
    id = yard.add_run(epochs=1_000)
    yard.in_mid_run(id)
    os.killpg(frozen.pid, signal.SIGSTOP)
    yard.start_worker()
    run = yard.reached(id, "succeeded")
    assert run.attempt == 2
    events = len(yard.events(id))
    os.killpg(frozen.pid, signal.SIGCONT)
    wait_for(lambda: "another attempt holds the run" in yard.log.read_text())
    assert yard.run(id) == run
    assert len(yard.events(id)) == events
    assert alive(child)


def test_three_workers_lost_at_the_same_step_fail_the_run(yard):
    worker = yard.start_worker()
    yard.start_reconciler()
    wide = {"units": 4096, "activation": "relu", "dropout": 0.0, "normalization": None}
    id = yard.add_run(epochs=50_000, batch_size=None, network={"layers": [wide] * 2})  # whose first step takes long
    for attempt in (1, 2, 3):
        wait_for(lambda attempt=attempt: (run := yard.run(id)).status == "running" and run.attempt == attempt)
        (slot,) = [slot for each in yard.workers() for slot in each.slots if slot.run == id]
        os.kill(slot.pid, signal.SIGKILL)
        wait_for(lambda attempt=attempt: yard.run(id).crashes == attempt)
    run = yard.run(id)
    assert (run.status, run.error["code"]) == ("failed", "worker_lost")
    assert worker.poll() is None
