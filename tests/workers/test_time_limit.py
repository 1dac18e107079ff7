"""A run trains no longer than it may, and what it has by then is kept."""

import os
import signal

from tests.workers.running import wait_for


def test_run_past_its_time_keeps_its_best_weights(yard):
    yard.start_worker()
    run = yard.reached(yard.add_run(epochs=100_000, max_seconds=1), "succeeded")
    assert run.weights_sha256
    assert 1 <= run.progress["epoch"] < 100_000
    assert [warning["code"] for warning in run.warnings] == ["time_limit"]
    assert "1 seconds" in run.warnings[0]["message"]


def test_run_without_an_epoch_in_its_time_fails(yard):
    yard.start_worker(max_run_seconds=1e-6)
    run = yard.reached(yard.add_run(network={"layers": [{"units": 4096, "activation": "relu"}] * 2}), "failed")
    assert run.error["code"] == "time_limit"


def test_time_of_an_attempt_that_was_lost_counts(yard):
    worker = yard.start_worker(checkpoint_seconds=0.2)
    yard.start_reconciler()
    id = yard.add_run(epochs=100_000, max_seconds=3)
    wait_for(lambda: sum(event.type == "run.checkpointed" for event in yard.events(id)) > 4)
    os.kill(yard.child_of(worker), signal.SIGKILL)
    run = yard.reached(id, "succeeded")
    assert run.attempt == 2
    resumed = next(event for event in yard.events(id) if event.type == "run.resumed")
    assert (run.finished_at - resumed.created_at).total_seconds() < 2.9
