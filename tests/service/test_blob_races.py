"""What was answered 201, or told as succeeded, has its bytes: beside equal files and equal runs that are deleted."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from store import claims
from store.blobs import Blobs
from store.processes import ProcessIdentity
from store.purging import purge
from tests.service.callers import Caller
from workers.driving import drive

SPEC: dict[str, Any] = {
    "target": "y",
    "network": {"layers": [{"units": 2}]},
    "epochs": 1,
    "validation": None,
    "seed": 3,
}


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("full"))


@pytest.fixture
def far(
    new_caller: Callable[..., Caller], postgresql_url: str, monkeypatch: pytest.MonkeyPatch, full: bool
) -> Iterator[Caller]:
    """On PostgreSQL, with a store that is as far away as an object store, and two that delete without a pause."""
    seconds = 0.1 if full else 0.02

    def delayed(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            time.sleep(random.uniform(0, seconds))  # as long as that on average for the way there and back
            try:
                return real(*args)
            finally:
                time.sleep(random.uniform(0, seconds))

        return call

    for name in ("put", "delete", "exists"):
        monkeypatch.setattr(Blobs, name, delayed(getattr(Blobs, name)))
    caller = new_caller(database_url=postgresql_url)
    done = threading.Event()

    def delete() -> None:
        while not done.wait(0.001):
            with suppress(Exception):
                purge(caller.parts.database, caller.parts.blobs, 0.0)

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield caller
    done.set()
    for thread in threads:
        thread.join()
    caller.parts.database.close()


def test_equal_files_sent_while_their_twins_are_deleted(far: Caller, full: bool) -> None:
    tables = ["x,y\n" + "".join(f"{number},{row}\n" for row in range(5)) for number in range(2)]

    def send(number: int) -> bool:
        client = far.app.test_client()
        sent = client.post("/v1/datasets", data=tables[number // 4 % 2], headers={"Content-Type": "text/csv"})
        assert sent.status_code == 201, sent.text
        address = sent.headers["Location"]
        there = client.get(f"{address}/rows").status_code == 200
        assert client.delete(address).status_code == 204
        return there

    with ThreadPoolExecutor(6) as pool:
        there = list(pool.map(send, range(1000 if full else 60)))
    assert there.count(False) == 0


def test_equal_runs_that_finish_while_their_twins_are_deleted(far: Caller, full: bool) -> None:
    dataset = far.dataset("x,y\n" + "".join(f"{row},{row % 7}\n" for row in range(20)))

    def train(_number: int) -> bool:
        client = far.app.test_client()
        assert client.post("/v1/runs", json={"dataset": dataset, **SPEC}).status_code == 202
        claim = None
        while claim is None:  # another may hold the row of this one for a moment, and take the next
            with far.parts.database.write() as tx:
                claim = claims.claim(tx, worker="wk_1", slot_pid=1, owner=ProcessIdentity.current())
        drive(claim, far.place)
        run = client.get(f"/v1/runs/{claim.run_id}").json
        assert run["status"] == "succeeded", run
        there = client.get(f"/v1/runs/{claim.run_id}/weights").status_code == 200
        assert client.delete(f"/v1/runs/{claim.run_id}").status_code == 204
        return there

    with ThreadPoolExecutor(4) as pool:
        there = list(pool.map(train, range(1000 if full else 24)))
    assert there.count(False) == 0
