"""A run is cancelled at a random moment of its life, the first and the last included: it ends once, and soon."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from store.states import FINAL
from tests.faults.history import check
from tests.workers.running import wait_for

CLIENTS = 4
STOPPED_SECONDS = 30.0


def test_a_run_that_is_cancelled_at_any_moment_ends_once_and_soon(new_house, times, chance, tell):
    house = new_house(workers=2)
    quiet = house.ended(house.start(epochs=300))
    life = (quiet.finished_at - quiet.created_at).total_seconds()
    moments = [chance.uniform(0.0, 2 * life) for _ in range(times(20, 500))]
    took: list[float] = []

    def live(moment: float) -> None:
        id = house.start(epochs=300)
        time.sleep(moment)
        code, asked_at = house.verb(id, "cancel"), datetime.now(UTC)
        run = house.ended(id)
        if code == 202:
            took.append((run.finished_at - asked_at).total_seconds())
        assert run.status == ("cancelled" if code == 202 else "succeeded")

    with ThreadPoolExecutor(CLIENTS) as pool:
        for count, each in enumerate([pool.submit(live, moment) for moment in moments]):
            each.result()
            if count % 50 == 49:
                tell(f"{count + 1} runs: {dict(house.statuses())}")
    found = house.statuses()
    tell(f"{dict(found)}, stopped within {max(took):.2f} s")
    assert set(found) <= set(FINAL)
    assert max(took) < STOPPED_SECONDS
    assert found["cancelled"]
    # The slots are free again: cancelled attempts have left nothing behind.
    wait_for(lambda: all(not slot.busy for slot in house.slots()))
    assert house.ended(house.start(epochs=300)).weights_sha256 == quiet.weights_sha256
    check(house)
