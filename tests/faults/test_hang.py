"""A child that beats and does not move: a beat proves life, not progress."""

from tests.faults.history import check
from tests.workers.running import alive, wait_for

# Ten leases without progress are too many, so that this one shows after two seconds and not after ten minutes.
IMPATIENT = {"heartbeat_seconds": 0.05, "lease_seconds": 0.2}


def test_an_attempt_that_beats_and_does_not_move_is_ended_and_made_again(new_house):
    house = new_house(workers=0)
    worker = house.new_worker("tests.faults.hanging", **IMPATIENT).start()
    hanging, another = house.start(), house.start()
    house.in_mid_run(hanging)
    child = house.slot_of(hanging)
    wait_for((house.folder / "hung").exists)
    wait_for(lambda: not alive(child))
    run = house.ended(hanging)
    assert (run.status, run.attempt) == ("succeeded", 2)
    (lost,) = [event.data for event in house.events(hanging) if event.type == "run.interrupted"]
    assert lost == {"attempt": 1, "reason": "worker_lost", "crashes": 1}
    assert house.ended(another).weights_sha256 == run.weights_sha256
    assert "does not move" in house.output.read_text()
    assert worker.is_running()
    check(house)
