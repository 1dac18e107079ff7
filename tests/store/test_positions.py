"""What a whole page is told of its places is what each run is told of its own."""

import random
from datetime import UTC, datetime, timedelta

from store import runs
from store.positions import positions


def test_a_page_is_told_what_each_run_is_told(house):
    drawn = random.Random(3)
    dataset = house.add_dataset().id
    later = datetime.now(UTC) + timedelta(hours=1)
    made = [
        house.add_run(
            dataset,
            priority=drawn.randint(-1, 1),
            queue=drawn.choice(["cpu", "gpu"]),
            not_before=drawn.choice([None, None, later]),
        )
        for _ in range(40)
    ]
    for run in made[::7]:
        house.request(run, "cancel")
    for _ in range(3):
        house.claim()
    with house.database.read() as tx:
        page = runs.page(tx, house.tenant, limit=1000).data
        alone = {run.id: place for run in page if (place := runs.queue_position(tx, run)) is not None}
        assert len(set(alone.values())) > 5
        assert positions(tx, page) == alone
        assert positions(tx, page[:5]).keys() <= alone.keys()
        assert positions(tx, []) == {}
