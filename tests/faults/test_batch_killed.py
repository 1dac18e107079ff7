"""A batch prediction whose workers are killed, frozen or told to end has every row once, and a quiet one's values."""

import os
import signal
import time
from pathlib import Path

import duckdb
import pytest

from store import batch_predictions, tenants
from store.states import FINAL
from tests.workers.running import wait_for

ROWS = 300_000  # five blocks, some seconds
WIDE = {"layers": [{"units": 512}, {"units": 512}]}
AT = "/v1/batch-predictions"


@pytest.fixture
def many(tmp_path) -> Path:
    """Iris over and over, each time a little moved, some cells missing."""
    file = tmp_path / "many.parquet"
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    chosen = ", ".join(
        f"CASE WHEN i % {11 + place} = 0 THEN NULL ELSE 3 + sin(i * {place + 1}) END AS {name}"
        for place, name in enumerate(names)
    )
    duckdb.connect().execute(f"COPY (SELECT {chosen} FROM range({ROWS}) AS r(i)) TO '{file}' (FORMAT parquet)")
    return file


def serve(house, many: Path) -> str:
    """The dataset; the model `wide` is there."""
    run = house.ended(house.start(network=WIDE, epochs=1))
    house.client.create("/v1/models", json={"name": "wide", "run": run.id})
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    sent = house.client.create("/v1/datasets", params={"name": "many"}, content=many.read_bytes(), headers=headers)
    return sent["id"]


def ask(house, dataset):
    return house.client.create(AT, json={"model": "wide", "dataset": dataset, "probabilities": True})["id"]


def get(house, id):
    with house.database.read() as tx:
        return batch_predictions.get(tx, tenants.LOCAL, id)


def ended(house, id):
    return wait_for(lambda: (found := get(house, id)).status in FINAL and found)


def rows_of(house, id):
    file = house.folder / "result.parquet"
    file.write_bytes(house.client.ask("GET", f"{AT}/{id}/result").content)
    return duckdb.sql(f"SELECT * FROM read_parquet('{file}')").fetchall()


def busy(house):
    """The worker that makes one just now."""
    pids = {slot.pid for slot in house.slots() if slot.busy}
    return next((worker for worker in house.workers if pids & set(worker.children())), None)


def strike(worker, how):
    match how:
        case "a child is killed":
            os.kill(worker.children()[0], signal.SIGKILL)
        case "a worker is killed":
            worker.kill_group()
            worker.start(ready=False)
        case "a worker is told to end":
            worker.stop()
            worker.start(ready=False)


HOW = ("a child is killed", "a worker is killed", "a worker is told to end")


def test_whoever_is_killed_or_told_to_end_every_row_is_there_once(new_house, many, times, chance, tell):
    house = new_house(workers=2, checkpoint_seconds=0.2)
    dataset = serve(house, many)
    quiet = ask(house, dataset)
    found = ended(house, quiet)
    assert (found.status, found.attempt) == ("succeeded", 1)
    lasted = (found.finished_at - found.started_at).total_seconds()
    expected = rows_of(house, quiet)
    assert [row[0] for row in expected] == list(range(ROWS))
    struck = 0
    for turn in range(times(3, 40)):
        for worker in house.workers:
            worker.wait_until_ready()
        id = ask(house, dataset)
        wait_for(lambda batch=id: get(house, batch).status != "queued")
        time.sleep(chance.uniform(0, lasted))
        worker = busy(house)
        if worker is not None:
            strike(worker, HOW[turn % len(HOW)])
        found = ended(house, id)
        assert found.status == "succeeded", found.error
        assert rows_of(house, id) == expected
        struck += found.attempt > 1
        tell(f"{turn + 1} times, {struck} of them struck in the middle, last by attempt {found.attempt}")
    assert struck > 0


def test_one_that_was_frozen_past_its_lease_writes_nothing_more(new_house, many):
    house = new_house(workers=2, checkpoint_seconds=0.2, lease_seconds=3.0)
    dataset = serve(house, many)
    quiet = ask(house, dataset)
    assert ended(house, quiet).status == "succeeded"
    id = ask(house, dataset)
    wait_for(lambda: get(house, id).progress["rows"] > 0)
    frozen = busy(house)
    assert frozen is not None
    frozen.freeze()
    found = ended(house, id)
    assert (found.status, found.attempt) == ("succeeded", 2)
    frozen.thaw()
    again = ask(house, dataset)
    assert ended(house, again).status == "succeeded"
    assert get(house, id) == found
    expected = rows_of(house, quiet)
    assert rows_of(house, id) == rows_of(house, again) == expected
